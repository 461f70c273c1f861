//! `enachi show` on a small made-up profile.
#![allow(clippy::unwrap_used)]

#[path = "../../enachi-data/tests/common/mod.rs"]
mod common;

use enachi_core::profile::{PredictorReport, RuleReport, StopPoint};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder with the small profile in it, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("enachi-show-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let profile = common::profile(&common::SMALL);
        enachi_data::profile::write(&path.join("small.parquet"), &profile, true).unwrap();
        Folder(path)
    }

    fn show(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enachi"));
        command.current_dir(&self.0).arg("show").args(arguments);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    text
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The whole page, word for word. `ENACHI_BLESS=1 cargo test` writes it anew: read the difference before committing.
#[test]
fn the_page_is_as_it_was() {
    let folder = Folder::new("page");
    let page = stdout(&folder.show(&["small.parquet"]));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/show_small.txt");
    if std::env::var_os("ENACHI_BLESS").is_some() {
        std::fs::write(golden, &page).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(page, expected, "\n{page}");
}

#[test]
fn without_a_file_the_embedded_profile_is_shown() {
    let folder = Folder::new("embedded");
    let page = stdout(&folder.show(&[]));
    assert!(page.starts_with("Model      mobilenetv2"), "{page}");
    assert!(page.contains("LICENCE"), "{page}");
    assert!(stdout(&folder.show(&["--format", "json"])).contains("\"curve\""));
}

#[test]
fn json_has_every_cut_and_its_measured_curve() {
    let folder = Folder::new("json");
    let text = stdout(&folder.show(&["small.parquet", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let profile = common::profile(&common::SMALL);
    let cuts = json["cuts"].as_array().unwrap();
    assert_eq!(cuts.len(), profile.cuts.len());
    for (found, cut) in cuts.iter().zip(&profile.cuts) {
        assert_eq!(found["name"], cut.name);
        assert_eq!(found["maps"], cut.maps);
        assert_eq!(found["head_macs"], cut.head_macs);
        assert_eq!(found["tail_macs"], cut.tail_macs);
        assert_eq!(found["top1_uncompressed"], cut.top1_uncompressed);
        let curve = found["curve"].as_array().unwrap();
        let Some(stream) = cut.streams.first() else {
            assert_eq!(curve.len(), 1, "all local: one point");
            continue;
        };
        let measured = stream.measured.as_ref().unwrap();
        assert_eq!(curve.len(), measured.bits.len());
        for (at, point) in curve.iter().enumerate() {
            assert_eq!(point["bits"], measured.bits[at]);
            assert_eq!(point["top1"], measured.top1[at]);
        }
    }
}

#[test]
fn csv_has_a_line_per_checkpoint() {
    let folder = Folder::new("csv");
    let arguments = [
        "small.parquet",
        "--format",
        "csv",
        "--cut",
        "stage1",
        "--stream",
        "klt-dct",
    ];
    let text = stdout(&folder.show(&arguments));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + common::SMALL.checkpoints);
    assert!(
        lines[1].starts_with("1,stage1,klt-dct,40,embedded,0,0,0,"),
        "{}",
        lines[1]
    );
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns));
}

#[test]
fn filters_take_names_and_indices_and_say_what_there_is() {
    let folder = Folder::new("filter");
    let one = stdout(&folder.show(&["small.parquet", "--cut", "2", "--points"]));
    assert!(one.contains("stage2") && !one.contains("stage1"), "{one}");
    assert!(one.contains("klt-dct at stage2\n"), "{one}");
    let error = refusal(&folder.show(&["small.parquet", "--cut", "layer9"]));
    assert_eq!(
        error,
        "error: no cut `layer9`; the profile has input, stage1, stage2, output\n"
    );
    let error = refusal(&folder.show(&["small.parquet", "--cut", "1", "--stream", "jpeg"]));
    assert_eq!(
        error,
        "error: no stream `jpeg` at these cuts; there are klt-dct, raw8-1\n"
    );
}

#[test]
fn the_picture_is_recommended_where_it_is_cheaper() {
    let folder = Folder::new("picture");
    let page = stdout(&folder.show(&["small.parquet"]));
    assert!(!page.contains("SEND THE PICTURE"), "{page}");
    // Raw maps that lose nothing in the end, at many more bits than the picture.
    let mut profile = common::profile(&common::SMALL);
    for cut in &mut profile.cuts[1..3] {
        let curve = cut.streams[1].measured.as_mut().unwrap();
        *curve.loss.last_mut().unwrap() = 0.0;
    }
    enachi_data::profile::write(&folder.0.join("raw.parquet"), &profile, true).unwrap();
    let raw = stdout(&folder.show(&["raw.parquet", "--stream", "raw8-1", "--stream", "jpeg"]));
    assert!(
        raw.contains("SEND THE PICTURE (jpeg, 156 kbit); the best feature cut"),
        "{raw}"
    );
    assert!(raw.contains("1600*"), "{raw}");
    assert!(raw.contains("* the picture needs fewer bits"), "{raw}");
}

#[test]
fn curves_without_samples_are_shown_by_their_surrogate() {
    let folder = Folder::new("curves");
    let mut profile = common::profile(&common::SMALL);
    profile.images.clear();
    for stream in profile.cuts.iter_mut().flat_map(|cut| &mut cut.streams) {
        stream.samples = Default::default();
        stream.checkpoint_chunks.clear();
        stream.measured = None;
        stream.surrogate.as_mut().unwrap().a2 = 0.9;
    }
    enachi_data::profile::write(&folder.0.join("curves.parquet"), &profile, false).unwrap();
    let page = stdout(&folder.show(&["curves.parquet", "--points", "--plot", "curves.svg"]));
    assert!(
        page.contains("none: the curves were given, not measured"),
        "{page}"
    );
    assert!(
        page.contains("no measured curve") && page.contains("2222"),
        "{page}"
    );
    let text = stdout(&folder.show(&["curves.parquet", "--format", "json", "--cut", "stage2"]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let curve = json["cuts"][0]["curve"].as_array().unwrap();
    let surrogate = profile.cuts[2].streams[0].surrogate.unwrap();
    let expected = surrogate.a2 - 1.0 / (surrogate.a0 - surrogate.a1);
    let last = curve.last().unwrap();
    assert!(
        (last["top1"].as_f64().unwrap() - expected).abs() < 1e-12,
        "{last}"
    );
}

#[test]
fn figures_are_written_in_both_formats_and_in_no_other() {
    let folder = Folder::new("figure");
    stdout(&folder.show(&["small.parquet", "--plot", "a.svg"]));
    let svg = std::fs::read_to_string(folder.0.join("a.svg")).unwrap();
    for part in [
        "stage1",
        "stage2",
        "picture, jpeg",
        "Sent per image [kbit]",
        "Top-1 accuracy [%]",
    ] {
        assert!(svg.contains(part), "{part} is missing");
    }
    stdout(&folder.show(&["small.parquet", "--plot", "a.png", "--stream", "raw8-1"]));
    assert!(
        std::fs::read(folder.0.join("a.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    let error = refusal(&folder.show(&["small.parquet", "--plot", "a.pdf"]));
    assert!(
        error.contains("a.pdf: the name of a figure must end in .svg or .png"),
        "{error}"
    );
}

/// The small profile with a predictor's report on the first stream of both feature cuts.
fn with_predictors() -> enachi_core::profile::Profile {
    let mut profile = common::profile(&common::SMALL);
    let point = |threshold: f64, bits_saved: f64, loss: f64| StopPoint {
        threshold,
        mean_bits: 1e5 * (1.0 - bits_saved),
        bits_saved,
        loss,
        loss_upper: loss + 0.006,
    };
    for cut in &mut profile.cuts[1..3] {
        let stream = &mut cut.streams[0];
        stream.samples.predicted_nats = stream
            .samples
            .entropy_nats
            .iter()
            .map(|nats| enachi_core::profile::round_prediction(*nats))
            .collect();
        stream.predictor = Some(PredictorReport {
            inputs: 40,
            hidden: 32,
            folds: 5,
            rmse_nats: 0.31,
            mae_nats: 0.2,
            rank_correlation: 0.87,
            rank_correlation_within: 0.64,
            ladder: vec![
                point(0.01, 0.3, 0.0),
                point(0.04, 0.55, 0.002),
                point(0.5, 0.8, 0.09),
            ],
            default_threshold_nats: 0.04,
            rules: vec![
                RuleReport {
                    name: "fixed-fraction".to_owned(),
                    best: None,
                    ladder: vec![point(1.0, 0.2, 0.02)],
                },
                RuleReport {
                    name: "genie".to_owned(),
                    best: Some(point(0.0, 0.75, 0.0)),
                    ladder: Vec::new(),
                },
            ],
            evaluate_time: None,
        });
    }
    profile
}

#[test]
fn the_stop_rules_trade_off_is_shown_where_there_is_a_predictor() {
    let folder = Folder::new("stops");
    let profile = with_predictors();
    enachi_data::profile::write(&folder.0.join("stops.parquet"), &profile, true).unwrap();
    let page = stdout(&folder.show(&["stops.parquet"]));
    let row = page.lines().find(|line| line.contains("40 × 32")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    let expected = "1 stage1 klt-dct 0.040 45.0 55 0.20 0.80 0.310 0.87 0.64 40 × 32 –";
    assert_eq!(words.join(" "), expected);
    assert!(
        page.contains("genie") && !page.contains("Thresholds of"),
        "{page}"
    );
    let ladders = stdout(&folder.show(&["stops.parquet", "--stops", "--cut", "2"]));
    assert!(
        ladders.contains("Thresholds of klt-dct at stage2\n"),
        "{ladders}"
    );
    assert!(ladders.contains("• the default threshold\n"), "{ladders}");

    let csv = stdout(&folder.show(&["stops.parquet", "--stops", "--format", "csv"]));
    let lines: Vec<&str> = csv.lines().collect();
    // Three thresholds, one of a rule without a choice, and the genie's point; two cuts.
    assert_eq!(lines.len(), 1 + 2 * 5);
    assert_eq!(
        lines.iter().filter(|line| line.ends_with(",true")).count(),
        2 * 2
    );
    assert!(
        lines[2].starts_with("1,stage1,klt-dct,40,predictor,0.04,"),
        "{}",
        lines[2]
    );
    let json: serde_json::Value = serde_json::from_str(&stdout(&folder.show(&[
        "stops.parquet",
        "--format",
        "json",
    ])))
    .unwrap();
    let stream = &json["cuts"][1]["streams"][0];
    assert_eq!(stream["predictor"]["ladder"][1]["bits_saved"], 0.55);
    assert!(json["cuts"][1]["streams"][1]["predictor"].is_null());

    stdout(&folder.show(&["stops.parquet", "--cut", "1", "--stop-plot", "one.svg"]));
    let svg = std::fs::read_to_string(folder.0.join("one.svg")).unwrap();
    for part in ["fixed-fraction", "genie", "predictor", "Bits saved"] {
        assert!(svg.contains(part), "{part} is missing");
    }
    stdout(&folder.show(&["stops.parquet", "--stop-plot", "two.svg"]));
    let svg = std::fs::read_to_string(folder.0.join("two.svg")).unwrap();
    assert!(svg.contains("klt-dct at stage1") && svg.contains("klt-dct at stage2"));
    let error = refusal(&folder.show(&["small.parquet", "--stop-plot", "none.svg"]));
    assert!(
        error.contains("none of the streams shown has a predictor"),
        "{error}"
    );
}

#[test]
fn a_bad_file_is_one_line_that_names_it() {
    let folder = Folder::new("bad");
    let error = refusal(&folder.show(&["none.parquet"]));
    assert!(
        error.starts_with("error: profile none.parquet: No such file"),
        "{error}"
    );
    std::fs::write(folder.0.join("text.parquet"), "not a profile").unwrap();
    let error = refusal(&folder.show(&["text.parquet"]));
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains("text.parquet: not a complete Parquet file"),
        "{error}"
    );
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = Folder::new("pipe");
    let mut child = folder
        .command(&["small.parquet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let folder = Folder::new("control");
    let mut profile = common::profile(&common::SMALL);
    profile.cuts[1].name = "stage1\u{1b}[2J".to_owned();
    profile.meta.licence_note = "free\u{7}\u{1b}]0;x".to_owned();
    enachi_data::profile::write(&folder.0.join("small.parquet"), &profile, true).unwrap();
    let page = stdout(&folder.show(&["small.parquet", "--points"]));
    assert!(!page.contains(['\u{1b}', '\u{7}']), "{page:?}");
}
