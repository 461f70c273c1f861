//! `enachi profile` from outside, on a network and pictures that the test makes.

#![allow(clippy::unwrap_used)]

use enachi_core::profile::{CutKind, LadderKind, Profile};
use enachi_model::fixtures::{NetBuilder, png, residual_net, value_info};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with `net.onnx`, `images/` and `labels.csv`, removed at the end.
struct Lab(PathBuf);

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const IMAGES: u32 = 36;

impl Lab {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("enachi-profile-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("images")).unwrap();
        std::fs::write(folder.join("net.onnx"), residual_net(16).bytes()).unwrap();
        let mut labels = String::from("file,label\n");
        for i in 0..IMAGES {
            let picture = png(24, 20, |x, y| {
                let wave = |a: u32, b: u32| ((x * a + y * b + i * 37) * 11 % 251) as u8;
                [wave(1 + i % 3, 2), wave(i % 5, 1), (i * 7) as u8]
            });
            std::fs::write(folder.join(format!("images/{i:02}.png")), picture).unwrap();
            labels += &format!("{i:02}.png,{}\n", i % 5);
        }
        std::fs::write(folder.join("labels.csv"), labels).unwrap();
        Self(folder)
    }

    fn run(&self, options: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_enachi"))
            .current_dir(&self.0)
            .args(["profile", "net.onnx", "--images", "images"])
            .args(["--labels", "labels.csv", "--out", "out.parquet"])
            .args(["--checkpoints", "6", "--raw-images", "5"])
            .args(options)
            .output()
            .unwrap()
    }

    /// Run, expect failure, return the message.
    fn fails(&self, options: &[&str]) -> String {
        let output = self.run(options);
        assert!(!output.status.success(), "{options:?} should fail");
        assert!(!self.0.join("out.parquet").exists());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!message.contains("panicked"), "{message}");
        message
    }

    fn profile(&self) -> Profile {
        enachi_data::profile::read(&self.0.join("out.parquet")).unwrap()
    }

    fn edit(&self, file: &str, change: impl Fn(String) -> String) {
        let path = self.0.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, change(text)).unwrap();
    }
}

/// What must not depend on threads or interruptions.
fn timeless(mut profile: Profile) -> Profile {
    profile.meta.command_line.clear();
    for cut in &mut profile.cuts {
        (cut.head_time, cut.tail_time) = (None, None);
        for stream in &mut cut.streams {
            (stream.encode_time, stream.decode_time) = (None, None);
            if let Some(predictor) = &mut stream.predictor {
                predictor.evaluate_time = None;
            }
        }
    }
    profile
}

fn succeed(output: &Output) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
}

#[test]
fn a_profile_holds_every_cut_and_does_not_depend_on_threads() {
    let lab = Lab::new("whole");
    succeed(&lab.run(&["--threads", "1"]));
    let one = lab.profile();
    one.validate().unwrap();
    let tables = std::fs::read(lab.0.join("out.tables.safetensors")).unwrap();
    assert!(!lab.0.join("out.work").exists());

    let names: Vec<&str> = one.cuts.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["input", "block", "dw", "logits"]);
    assert_eq!(one.cuts[3].kind, CutKind::Local);
    assert_eq!(one.images.len(), 24);
    let calibration = &one.meta.calibration_images;
    assert_eq!(calibration.len(), 12);
    assert!(one.images.iter().all(|i| !calibration.contains(&i.name)));

    // The lists on disk are the lists in the profile.
    let lists = std::fs::read_to_string(lab.0.join("out.images.csv")).unwrap();
    for image in &one.images {
        assert!(lists.contains(&format!("measured,{},{}\n", image.name, image.label)));
    }
    let streams = |cut: usize| -> Vec<(&str, usize)> {
        let streams = one.cuts[cut].streams.iter();
        streams
            .map(|s| (s.name.as_str(), s.samples.images))
            .collect()
    };
    let pictures = ["jpeg", "webp", "jpeg-ladder", "webp-ladder", "pixels"];
    assert_eq!(streams(0), pictures.map(|name| (name, 24)));
    let inner = [
        ("task-klt", 24),
        ("raw8-taylor", 5),
        ("raw32-taylor", 5),
        ("raw8-energy", 5),
        ("raw8-random", 5),
        ("raw32-random", 5),
    ];
    assert_eq!(streams(1), inner);
    for stream in &one.cuts[0].streams[..4] {
        assert_eq!(stream.ladder, LadderKind::Alternatives);
        let bits = &stream.measured.as_ref().unwrap().bits;
        assert!(bits.windows(2).all(|w| w[0] < w[1]), "{bits:?}");
        let rungs = &one.meta.settings[&format!("{}.rungs", stream.name)];
        assert_eq!(
            rungs.split(", ").count() as u32,
            stream.total_chunks,
            "{rungs}"
        );
    }

    // Whole raw maps at 32 bits and raw pixels are the uncompressed network, answer by answer.
    for stream in [&one.cuts[0].streams[4], &one.cuts[1].streams[2]] {
        let last = stream.samples.checkpoints - 1;
        for (i, image) in one.images[..stream.samples.images].iter().enumerate() {
            assert_eq!(stream.samples.top1[stream.samples.at(i, last)], image.top1);
        }
    }
    let raw = &one.cuts[1].streams[2];
    assert_eq!(raw.total_bits, f64::from(8 * (16 * 16 * 32 + 2 * 8)));

    succeed(&lab.run(&["--threads", "3", "--force"]));
    assert_eq!(timeless(one), timeless(lab.profile()));
    let again = std::fs::read(lab.0.join("out.tables.safetensors")).unwrap();
    assert!(tables == again, "tables depend on the number of threads");

    use enachi_model::codec::file::{for_profile, from_bytes};
    let cuts = for_profile(&lab.profile(), &again).unwrap();
    assert_eq!(cuts.len(), 2);
    let mut stranger = lab.profile();
    stranger.meta.tables_sha256 = "0".repeat(64);
    let refused = for_profile(&stranger, &again).unwrap_err();
    assert!(refused.to_string().contains("not those"), "{refused}");
    for n in (0..again.len()).step_by(97) {
        assert!(from_bytes(&again[..n]).is_err());
    }
}

#[test]
fn a_stopped_run_goes_on_and_gives_the_same_profile() {
    let lab = Lab::new("resume");
    succeed(&lab.run(&["--keep-work"]));
    let whole = timeless(lab.profile());
    std::fs::remove_file(lab.0.join("out.parquet")).unwrap();
    // As a kill leaves it: some rows, the last cut off in the middle.
    let mut kept = String::new();
    lab.edit("out.work/rows.jsonl", |text| {
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "{}\n{}\n{}",
            lines[0],
            lines[1],
            &lines[2][..lines[2].len() / 2]
        )
    });
    kept += &std::fs::read_to_string(lab.0.join("out.work/rows.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 3);

    let other = lab.fails(&["--force", "--seed", "2"]);
    assert!(
        other.contains("other settings") && other.contains("seed"),
        "{other}"
    );

    let output = lab.run(&["--force", "--keep-work"]);
    succeed(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("measuring: 2 of 24 done"));
    let mut resumed = timeless(lab.profile());
    resumed.meta.command_line.clear();
    assert_eq!(whole, resumed);
}

#[test]
fn damaged_and_foreign_rows_are_measured_again() {
    let lab = Lab::new("rows");
    succeed(&lab.run(&["--keep-work"]));
    let whole = timeless(lab.profile());
    lab.edit("out.work/rows.jsonl", |text| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[0] = "not a row".into();
        let mut row: serde_json::Value = serde_json::from_str(&lines[3]).unwrap();
        row["streams"].as_array_mut().unwrap().pop();
        lines[3] = row.to_string();
        let mut row: serde_json::Value = serde_json::from_str(&lines[5]).unwrap();
        row["streams"][0].as_array_mut().unwrap().pop();
        lines[5] = row.to_string();
        lines.join("\n")
    });
    let output = lab.run(&["--force"]);
    succeed(&output);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("measuring: 21 of 24 done"), "{message}");
    assert_eq!(whole, timeless(lab.profile()));
}

#[test]
fn picture_streams_can_be_left_out() {
    let lab = Lab::new("pictures");
    succeed(&lab.run(&[
        "--webp-qualities",
        "0",
        "--picture-sides",
        "0",
        "--jpeg-qualities",
        "20,60,95",
    ]));
    let profile = lab.profile();
    let names: Vec<&str> = profile.cuts[0]
        .streams
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["jpeg", "pixels"]);
}

#[test]
fn a_network_without_finite_scores_has_no_profile() {
    let lab = Lab::new("nan");
    let mut net = NetBuilder::square(3, 16);
    net.conv("stem", "input", (3, 8), 3, 2, 1);
    net.relu("stem.relu", "stem");
    net.classifier("stem.relu", 8, 5);
    // The logarithm of scores of either sign.
    net.node("Log", "logged", &["logits"], vec![]);
    net.graph.output = vec![value_info("logged", &[None, Some(5)])];
    std::fs::write(lab.0.join("net.onnx"), net.bytes()).unwrap();
    let message = lab.fails(&[]);
    assert!(message.contains("not finite"), "{message}");
}

#[test]
fn bad_input_gets_one_clear_error() {
    let lab = Lab::new("bad");
    let expect = |message: String, parts: &[&str]| {
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert_eq!(message.matches("error:").count(), 1, "{message}");
    };
    expect(
        lab.fails(&["--cuts", "nowhere"]),
        &["--cuts nowhere", "enachi cuts"],
    );
    expect(lab.fails(&["--measured", "99"]), &["99", "36"]);
    expect(lab.fails(&["--crop", "10"]), &["--crop 10", "16"]);
    expect(
        lab.fails(&["--max-divergence=-1"]),
        &["--max-divergence", "-1"],
    );
    expect(
        lab.fails(&["--label-offset", "3"]),
        &["--label-offset 3", "5 classes"],
    );
    expect(
        lab.fails(&["--webp-qualities", "5,3"]),
        &["WebP qualities [5, 3]", "1 to 100"],
    );
    expect(
        lab.fails(&["--picture-sides", "8,16"]),
        &["picture sides [8, 16]", "1 to 15"],
    );
    std::fs::write(lab.0.join("scores.json"), r#"{"block": [1, 2]}"#).unwrap();
    expect(
        lab.fails(&["--scores", "scores.json"]),
        &["block", "2 values", "8"],
    );

    let labels = lab.0.join("labels.csv");
    let good = std::fs::read_to_string(&labels).unwrap();
    std::fs::write(&labels, format!("{good}absent.png,1\n")).unwrap();
    expect(lab.fails(&[]), &["labels.csv", "absent.png"]);
    std::fs::write(&labels, good.replace("07.png,2", "07.png,9")).unwrap();
    expect(lab.fails(&[]), &["labels.csv", "9"]);
    std::fs::write(&labels, &good).unwrap();

    std::fs::write(lab.0.join("images/05.png"), b"not a picture").unwrap();
    expect(lab.fails(&[]), &["05.png", "1 of 36"]);
    let output = lab.run(&["--max-bad-images", "0.1"]);
    succeed(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("skipped 1 of 36 images"));
    assert_eq!(
        lab.profile().images.len() + lab.profile().meta.calibration_images.len(),
        35
    );

    let refused = lab.run(&[]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    assert!(Path::new(&lab.0.join("out.parquet")).exists());

    let net = std::fs::read(lab.0.join("net.onnx")).unwrap();
    std::fs::write(lab.0.join("net.onnx"), &net[..net.len() / 2]).unwrap();
    std::fs::remove_file(lab.0.join("out.parquet")).unwrap();
    expect(lab.fails(&["--force"]), &["net.onnx"]);
}
