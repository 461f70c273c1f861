//! `enachi report` from outside: a small run, its page held against the records added up here, and its errors.

use enachi_core::record::{FrameRecord, Names, Outcome};
use enachi_data::records::{Format, read_frames, write_frames, write_slots};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

const WARMUP: u32 = 10;

fn enachi(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_enachi"))
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A run of three policies on the embedded profile, made once.
fn run() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        let run = folder.path().join("run");
        let output = enachi(&[
            "simulate",
            "--set=seeds=3",
            "--set=frames=40",
            &format!("--set=warmup_frames={WARMUP}"),
            "--policy=enachi",
            "--policy=jpeg-equal-share",
            "--policy=device-only",
            "--out",
            text(&run),
        ]);
        assert!(output.status.success(), "{output:?}");
        folder
    });
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| folder.path().join("run"))
}

/// A copy of the run that may be spoilt.
fn copy() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for entry in std::fs::read_dir(run()).expect("readable") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
    }
    folder
}

fn page(folder: &Path, more: &[&str]) -> String {
    let out = TempDir::new().expect("a folder");
    let file = out.path().join("page.html");
    let mut arguments = vec!["report", text(folder), "--out", text(&file)];
    arguments.extend(more);
    let output = enachi(&arguments);
    assert!(output.status.success(), "{output:?}");
    std::fs::read_to_string(file).expect("written")
}

/// Why `enachi report` refuses.
fn refusal(arguments: &[&str]) -> String {
    let output = enachi(&[&["report"], arguments].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
    error
}

/// The page as XML: it is written so that this works, which shows that every element is closed and every text escaped.
fn parsed(page: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    roxmltree::Document::parse_with_options(page, options).expect("well-formed")
}

/// Cells of the row that begins with `first` in the first table of the section `id`.
fn table_row(document: &roxmltree::Document<'_>, id: &str, first: &str) -> Vec<String> {
    table_row_in(document, id, 0, first)
}

/// The same in table `number`, from 0.
fn table_row_in(
    document: &roxmltree::Document<'_>,
    id: &str,
    number: usize,
    first: &str,
) -> Vec<String> {
    let mut sections = document.descendants().filter(|n| n.has_tag_name("section"));
    let section = sections
        .find(|n| n.attribute("id") == Some(id))
        .expect("the section");
    let mut tables = section.descendants().filter(|n| n.has_tag_name("table"));
    let table = tables.nth(number).expect("the table");
    let words = |node: roxmltree::Node<'_, '_>| -> String {
        node.descendants()
            .filter(|n| n.is_text())
            .filter_map(|n| n.text())
            .collect()
    };
    let rows = table.descendants().filter(|n| n.has_tag_name("tr"));
    let mut rows = rows.map(|row| {
        let cells = row.children().filter(|c| c.has_tag_name("td"));
        cells.map(words).collect::<Vec<_>>()
    });
    rows.find(|cells| cells.first().is_some_and(|c| c == first))
        .expect("the row")
}

#[test]
fn the_page_says_what_the_records_add_up_to() {
    let page = page(run(), &[]);
    let document = parsed(&page);
    let (names, rows) = read_frames(&run().join("frames.parquet")).expect("records");
    let mean = |rows: &[&FrameRecord], of: &dyn Fn(&FrameRecord) -> f64| {
        rows.iter().map(|r| of(r)).sum::<f64>() / rows.len() as f64
    };
    for (index, policy) in names.policies.iter().enumerate() {
        let all: Vec<&FrameRecord> = rows
            .iter()
            .filter(|r| usize::from(r.policy) == index)
            .collect();
        let settled: Vec<&FrameRecord> =
            all.iter().copied().filter(|r| r.frame >= WARMUP).collect();
        let accuracy =
            |rows: &[&FrameRecord]| 100.0 * mean(rows, &|r| f64::from(u8::from(r.correct)));
        let energy = |rows: &[&FrameRecord]| 1e3 * mean(rows, &FrameRecord::energy_j);
        let cells = table_row(&document, "policies-section", policy);
        let starts = |cell: &str, value: f64| {
            assert!(
                cell.starts_with(&format!("{value:.1} [")),
                "{policy}: {cell}, not {value}"
            );
        };
        starts(&cells[1], accuracy(&settled));
        starts(&cells[3], energy(&settled));
        let cells = table_row_in(&document, "policies-section", 1, policy);
        starts(&cells[5], accuracy(&all));
        assert_eq!(cells[7], format!("{:.1}", energy(&all)));
        assert_eq!(
            cells[1],
            format!("{:.1}", 1e3 * mean(&settled, &|r| r.energy_local_j))
        );
        assert_eq!(
            cells[3],
            format!("{:.1}", 1e3 * mean(&settled, &|r| r.energy_transmit_j))
        );

        // Fairness, device by device.
        let mut devices: BTreeMap<u32, Vec<&FrameRecord>> = BTreeMap::new();
        for row in &settled {
            devices.entry(row.device).or_default().push(row);
        }
        let accuracies: Vec<f64> = devices.values().map(|rows| accuracy(rows)).collect();
        let sum: f64 = accuracies.iter().sum();
        let squares: f64 = accuracies.iter().map(|a| a * a).sum();
        let jain = sum * sum / (accuracies.len() as f64 * squares);
        let cells = table_row(&document, "fairness", policy);
        assert_eq!(cells[1], format!("{jain:.4}"));
        let worst = accuracies.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(cells[2], format!("{worst:.1}"));

        // Shares under the pointer.
        let share = |of: &dyn Fn(&FrameRecord) -> bool| {
            100.0 * mean(&settled, &|r| f64::from(u8::from(of(r))))
        };
        let stopped = share(&|r| r.outcome == Outcome::StoppedEarly);
        if stopped > 0.0 {
            assert!(
                page.contains(&format!("<title>{policy} stopped early: {stopped:.1} %")),
                "{stopped}"
            );
        }
        for (cut, name) in names.cuts.iter().enumerate() {
            let chosen = share(&|r| r.cut.map(usize::from) == Some(cut));
            if chosen > 0.0 {
                assert!(
                    page.contains(&format!("<title>{policy} {name}: {chosen:.1} %")),
                    "{name}: {chosen}"
                );
            }
        }
    }
    assert!(page.contains(&format!("{} device-frames", rows.len())));
}

#[test]
fn intervals_over_all_frames_are_those_of_the_summary() {
    let page = page(run(), &[]);
    let document = parsed(&page);
    let summary = std::fs::read_to_string(run().join("summary.json")).expect("written");
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
    for policy in summary["policies"].as_array().expect("a list") {
        let percent = |key: &str| 100.0 * policy[key].as_f64().expect("a number");
        let expected = format!(
            "{:.1} [{:.1}, {:.1}]",
            percent("accuracy"),
            percent("accuracy_low"),
            percent("accuracy_high")
        );
        let name = policy["policy"].as_str().expect("a name");
        assert_eq!(
            table_row_in(&document, "policies-section", 1, name)[5],
            expected
        );
    }
    assert!(!page.contains("class=\"doubt\""));
}

#[test]
fn every_section_and_figure_is_there_with_units() {
    let page = page(run(), &[]);
    let document = parsed(&page);
    let figures: Vec<_> = document
        .descendants()
        .filter(|n| n.has_tag_name("figure"))
        .collect();
    let ids: Vec<&str> = figures.iter().filter_map(|f| f.attribute("id")).collect();
    assert_eq!(
        ids,
        [
            "policies",
            "pareto",
            "cuts",
            "outcomes",
            "stops",
            "bits",
            "queues",
            "cumulative",
            "frame",
            "slots",
            "devices",
            "fit"
        ]
    );
    for label in [
        "accuracy [%]",
        "mean energy per device and frame [mJ]",
        "bits that arrived [kbit]",
        "energy queue Q, mean of devices [J]",
        "gain [dB]",
        "power [mW]",
        "sent [kbit]",
    ] {
        assert!(page.contains(label), "{label}");
    }
    // Nothing is fetched, no identifier is there twice, no number is missing.
    assert!(!page.contains("http-equiv") && !page.contains("src=") && !page.contains("url(http"));
    assert!(!page.contains("NaN") && !page.contains(">inf"));
    let mut seen = std::collections::BTreeSet::new();
    for id in document.descendants().filter_map(|n| n.attribute("id")) {
        assert!(seen.insert(id), "{id} twice");
    }
    assert!(page.len() < 5 << 20);
}

#[test]
fn figures_are_files_of_their_own_and_nothing_is_replaced_unasked() {
    let folder = copy();
    let figures = folder.path().join("figures");
    let plain = ["report", text(folder.path())];
    assert!(enachi(&plain).status.success());
    assert!(folder.path().join("report.html").is_file());
    assert!(refusal(&plain[1..]).contains("report.html is there already; pass --force"));
    // What cannot be put in its place leaves nothing half written behind.
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join("page.html/inner")).expect("a folder");
    let page = taken.join("page.html");
    let refused = enachi(&[
        "report",
        text(folder.path()),
        "--out",
        text(&page),
        "--force",
    ]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(std::fs::read_dir(&taken).expect("readable").count(), 1);
    let with = |format: &str, force: bool| {
        let mut arguments = plain.to_vec();
        arguments.extend(["--figures", text(&figures), "--figure-format", format]);
        arguments.push("--quiet");
        if force {
            arguments.push("--force");
        }
        enachi(&arguments)
    };
    assert!(with("svg", true).status.success());
    let svg = std::fs::read_to_string(figures.join("pareto.svg")).expect("written");
    assert!(roxmltree::Document::parse(&svg).is_ok() && !svg.contains("var("));
    assert!(!with("svg", false).status.success());
    assert!(with("png", true).status.success());
    let png = std::fs::read(figures.join("slots.png")).expect("written");
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
}

#[test]
fn a_chosen_frame_is_shown() {
    let chosen = [
        "--policy=jpeg-equal-share",
        "--seed=2",
        "--frame=7",
        "--device=5",
    ];
    let page = page(run(), &chosen);
    assert!(page.contains("Device 5 in frame 7 of jpeg-equal-share, seed 2"));
    let wrong = |argument: &str| refusal(&[text(run()), "--out=/nowhere/x.html", argument]);
    assert!(wrong("--policy=nobody").contains("--policy nobody: must be one of enachi, jpeg"));
    assert!(wrong("--frame=40").contains("--frame 40: must be one of 0..=39"));
    assert!(wrong("--device=8").contains("--device 8: must be one of 0..=7"));
    assert!(wrong("--seed=9").contains("--seed 9: must be one of 1..=3"));
}

#[test]
fn text_from_files_is_escaped() {
    let folder = copy();
    let file = folder.path().join("run.json");
    let info = std::fs::read_to_string(&file).expect("written");
    let mut info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
    info["command_line"] = "enachi </code><script>alert(1)</script> & \"x\"".into();
    std::fs::write(&file, info.to_string()).expect("written");
    let page = page(folder.path(), &[]);
    assert_eq!(
        parsed(&page)
            .descendants()
            .filter(|n| n.has_tag_name("script"))
            .count(),
        1
    );
}

#[test]
fn what_is_no_run_is_refused_by_name() {
    let empty = TempDir::new().expect("a folder");
    assert!(refusal(&[text(empty.path())]).contains("must be the output folder of"));
    let missing = empty.path().join("none");
    assert!(refusal(&[text(&missing)]).contains("must be a folder"));

    let folder = copy();
    let frames = folder.path().join("frames.parquet");
    std::fs::remove_file(&frames).expect("removed");
    assert!(refusal(&[text(folder.path())]).contains("frames.parquet is missing"));

    let whole = std::fs::read(run().join("frames.parquet")).expect("readable");
    std::fs::write(&frames, &whole[..whole.len() / 2]).expect("written");
    let error = refusal(&[text(folder.path())]);
    assert!(
        error.contains("frames.parquet: not a readable Parquet file"),
        "{error}"
    );

    let names = Names {
        policies: vec!["enachi".into()],
        ..Names::default()
    };
    write_slots(&frames, Format::Parquet, &names, &[]).expect("written");
    let error = refusal(&[text(folder.path())]);
    assert!(
        error.contains("frames.parquet") && error.contains("column `image` is missing"),
        "{error}"
    );

    // Rows of a policy that the summary does not know, and rows beyond the scenario.
    let (mut names, mut rows) = read_frames(&run().join("frames.parquet")).expect("records");
    names.policies[0] = "stranger".into();
    write_frames(&frames, Format::Parquet, &names, &rows).expect("written");
    let error = refusal(&[text(folder.path())]);
    assert!(
        error.contains("column `policy` has \"stranger\""),
        "{error}"
    );
    names.policies[0] = "enachi".into();
    rows[5].device = 8;
    write_frames(&frames, Format::Parquet, &names, &rows).expect("written");
    let error = refusal(&[text(folder.path())]);
    assert!(error.contains("column `device` has 8"), "{error}");
}

#[test]
fn a_folder_of_another_version_is_refused_or_told() {
    let folder = copy();
    let replace = |name: &str, from: &str, to: &str| {
        let file = folder.path().join(name);
        let old = std::fs::read_to_string(&file).expect("readable");
        assert!(old.contains(from), "{name} has no {from}");
        std::fs::write(&file, old.replacen(from, to, 1)).expect("written");
    };
    let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
    replace("run.json", &version, "\"9.9.9\"");
    assert!(page(folder.path(), &[]).contains("made by version 9.9.9"));
    replace("scenario.toml", "warmup_frames", "warmup");
    let error = refusal(&[text(folder.path())]);
    assert!(
        error.contains("scenario.toml") && error.contains("warmup") && error.contains("9.9.9"),
        "{error}"
    );
    replace("run.json", "enachi_version", "version");
    assert!(refusal(&[text(folder.path())]).contains("run.json: missing field `enachi_version`"));
}

/// A sweep over two deadlines in the paper's setting, made once.
fn sweep() -> &'static Path {
    static SWEEP: OnceLock<TempDir> = OnceLock::new();
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let folder = SWEEP.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/paper.toml");
        let file = folder.path().join("small.toml");
        let sweep = format!(
            "name = \"small\"\nscenario = {:?}\npolicies = [\"enachi\", \"effect-dnn\"]\n\
             [set]\nframes = 30\nwarmup_frames = 10\nseeds = 2\n\
             [[sweep]]\nname = \"deadline\"\ntitle = \"Deadline <at> 3 MHz\"\n\
             [[sweep.axis]]\nkey = \"device.deadline_s\"\nvalues = [0.1, 0.2, 0.3]\n\
             [[sweep]]\nname = \"fading\"\n\
             [[sweep.axis]]\nkey = \"channel.fading\"\nvalues = [\"none\", \"rayleigh\"]\n",
            text(&scenario)
        );
        std::fs::write(&file, sweep).expect("written");
        let out = folder.path().join("out");
        let output = enachi(&["sweep", text(&file), "--out", text(&out)]);
        assert!(output.status.success(), "{output:?}");
        folder
    });
    PATH.get_or_init(|| folder.path().join("out"))
}

#[test]
fn a_sweep_has_its_figures_and_the_published_ones_beside_its_own() {
    let page = page(sweep(), &[]);
    let document = parsed(&page);
    let data = enachi_data::sweep::Dataset::read(sweep()).expect("a dataset");
    let at = |point: u64, policy: &str| {
        let mut rows = data.points.iter();
        rows.find(|r| r.point == point && r.policy == policy)
            .expect("ran")
    };
    let (first, last) = (at(0, "enachi"), at(2, "enachi"));
    let accuracy = |r: &enachi_data::sweep::PointRow| {
        let [value, low, high] = [r.accuracy, r.accuracy_low, r.accuracy_high].map(|v| v * 100.0);
        (
            format!("{value:.1} % [{low:.1}, {high:.1}]"),
            format!("{value:.1} [{low:.1}, {high:.1}]"),
        )
    };
    let row = table_row(&document, "published", "3 MHz, 100 ms, one user: accuracy");
    assert_eq!(row[1..3], ["72.5 %".to_owned(), accuracy(first).0]);
    let row = table_row(&document, "published", "3 MHz, 300 ms, one user: accuracy");
    assert_eq!(row[1..3], ["80.1 %".to_owned(), accuracy(last).0]);
    let row = table_row(&document, "deadline-sweep", "100 ms");
    assert_eq!(
        row[1],
        format!("{}, {:.3}", accuracy(first).1, first.energy_settled_j)
    );
    // Both deadlines at which the paper names a lead, and nothing that is not reproduced without its reason.
    let row = table_row(
        &document,
        "published",
        "3 MHz, 100 ms, one user: lead over the benchmarks",
    );
    let pair = (data.pairs.iter())
        .find(|r| (r.point, r.policy.as_str()) == (0, "enachi"))
        .expect("a pair");
    let lead = format!("{:+.1} [", pair.accuracy_difference * 100.0).replace('-', "−");
    assert!(row[2].starts_with(&lead), "{row:?}, {lead}");
    let published = document
        .descendants()
        .find(|n| n.attribute("id") == Some("published"));
    for row in published
        .expect("a section")
        .descendants()
        .filter(|n| n.has_tag_name("tr"))
    {
        let cells: Vec<String> = row
            .children()
            .filter(|n| n.has_tag_name("td"))
            .map(|n| n.text().unwrap_or_default().to_owned())
            .collect();
        if let [.., verdict, why] = cells.as_slice() {
            assert!(
                !["not reproduced", "cannot tell"].contains(&verdict.as_str()) || !why.is_empty(),
                "{cells:?}"
            );
        }
    }
    let row = table_row(&document, "curves", "resnet50");
    assert_eq!(row[1], "L1");
    let titles: Vec<_> = document
        .descendants()
        .filter(|n| n.has_tag_name("h2"))
        .filter_map(|n| n.text())
        .collect();
    assert!(titles.contains(&"Deadline <at> 3 MHz"), "{titles:?}");
    let figures = document.descendants().filter(|n| n.has_tag_name("figure"));
    let ids: Vec<&str> = figures.filter_map(|f| f.attribute("id")).collect();
    for id in [
        "deadline-accuracy",
        "deadline-energy",
        "deadline-difference",
        "deadline-pareto",
        "deadline-cuts",
        "deadline-outcomes",
        "deadline-bits",
        "deadline-stops",
        "deadline-queues",
        "deadline-cumulative",
        "deadline-slots",
        "fading-accuracy",
        "fit",
    ] {
        assert!(ids.contains(&id), "{id} is not among {ids:?}");
    }
    assert!(page.contains("deadline [ms]") && page.contains(">rayleigh<"));
    assert!(!page.contains("NaN") && page.len() < 5 << 20);
    assert!(
        refusal(&[text(sweep()), "--out=/nowhere/x", "--frame=3"])
            .contains("--frame: chooses a frame of a run")
    );
}

/// Sections of details that the page has no room for have their tables; figures have files of their own all the same.
#[test]
fn the_page_of_a_grid_has_a_bounded_size() {
    let folder = TempDir::new().expect("a folder");
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/paper.toml");
    let file = folder.path().join("grid.toml");
    let sweep = format!(
        "name = \"grid\"\nscenario = {:?}\npolicies = [\"enachi\", \"enachi+stop-entropy\", \"progressive-ftx@L1\", \"progressive-ftx@L2\",\
         \"progressive-ftx@L3\", \"progressive-ftx@L4\", \"effect-dnn\", \"sc-cao\", \"edge-only\", \"device-only\",\
         \"min-energy-split\", \"best-static-cut\"]\n\
         [set]\nframes = 100\nwarmup_frames = 5\nseeds = 2\noutput.bootstrap_replicates = 100\n\
         [[sweep]]\nname = \"grid\"\ntitle = \"Grid\"\n\
         [[sweep.axis]]\nkey = \"task.v\"\nvalues = [0.3, 1, 3, 10, 30, 100, 300, 1000]\n\
         [[sweep.axis]]\nkey = \"device.deadline_s\"\nfrom = 0.1\nto = 0.3\npoints = 9\n",
        text(&scenario)
    );
    std::fs::write(&file, sweep).expect("written");
    let out = folder.path().join("out");
    let output = enachi(&["sweep", text(&file), "--out", text(&out), "--quiet"]);
    assert!(output.status.success(), "{output:?}");
    let figures = folder.path().join("figures");
    let page = page(&out, &["--figures", text(&figures)]);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert!(page.contains("left out here, as the page would be too large"));
    let document = parsed(&page);
    // The first section is whole, every one has its table, and all have their figures as files.
    assert!(page.contains("id=\"grid-1-slots\""));
    for section in 1..=8 {
        let row = table_row(&document, &format!("grid-{section}-sweep"), "100 ms");
        assert_eq!(row.len(), 13);
        let accuracy = figures.join(format!("grid-{section}-accuracy.svg"));
        assert!(accuracy.is_file(), "{accuracy:?}");
    }
}

#[test]
fn a_spoilt_sweep_is_refused_by_name() {
    let folder = TempDir::new().expect("a folder");
    for entry in std::fs::read_dir(sweep()).expect("readable") {
        let entry = entry.expect("readable");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
        }
    }
    let points = folder.path().join("points.parquet");
    let whole = std::fs::read(&points).expect("readable");
    std::fs::write(&points, &whole[..whole.len() / 2]).expect("written");
    assert!(refusal(&[text(folder.path())]).contains("points.parquet"));
    std::fs::write(&points, whole).expect("written");
    let manifest = folder.path().join("sweep.json");
    let json = std::fs::read_to_string(&manifest).expect("readable");
    std::fs::write(
        &manifest,
        json.replace("\"format_version\": 3", "\"format_version\": 7"),
    )
    .expect("written");
    assert!(refusal(&[text(folder.path())]).contains("sweep.json: dataset of version 7"));
    std::fs::remove_file(&manifest).expect("removed");
    assert!(refusal(&[text(folder.path())]).contains("sweep.json is missing"));
}
