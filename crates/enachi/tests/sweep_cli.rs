//! `enachi sweep` from outside: exit codes, formats, kills, a full disk, shards.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const SCENARIO: &str = include_str!("../../../scenarios/paper.toml");

const SWEEP: &str = r#"
name = "cli"
scenario = "paper.toml"
policies = ["enachi", "effect-dnn"]
[set]
frames = 40
warmup_frames = 10
seeds = 2
output.bootstrap_replicates = 100
[[sweep]]
name = "users"
title = "Users on 4 MHz"
set.channel.bandwidth_hz = 4e6
[[sweep.axis]]
key = "devices.0.count"
values = [1, 3]
"#;

fn workplace(sweep: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("paper.toml"), SCENARIO).expect("written");
    std::fs::write(folder.path().join("sweep.toml"), sweep).expect("written");
    folder
}

fn enachi(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enachi"));
    command.current_dir(folder).arg("sweep").args(args);
    command
}

fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = enachi(folder, args).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[test]
fn a_sweep_prints_tables_json_and_csv() {
    let folder = workplace(SWEEP);
    let (code, table, errors) = run(folder.path(), &["sweep.toml"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{table}");
    for expected in [
        "Users on 4 MHz",
        "accuracy, %",
        "settled energy, mJ",
        "effect-dnn",
        "█",
        "▁",
        "wrote runs/cli",
        "±",
    ] {
        assert!(table.contains(expected), "{expected}:\n{table}");
    }
    let (code, json, _) = run(folder.path(), &["show", "runs/cli", "--format", "json"]);
    assert_eq!(code, 0);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let points = json["points"].as_array().expect("points");
    assert_eq!(points.len(), 4);
    assert_eq!(points[3]["axes"]["devices.0.count"], 3.0);
    assert_eq!(points[3]["policy"], "effect-dnn");
    let (code, csv, _) = run(folder.path(), &["sweep.toml", "--format", "csv"]);
    assert_eq!(code, 0);
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        lines[0][..4],
        ["sweep", "point", "axis.devices.0.count", "policy"]
    );
    let column = lines[0]
        .iter()
        .position(|name| *name == "accuracy")
        .expect("a column");
    for (line, point) in lines[1..].iter().zip(points) {
        assert_eq!(line.len(), lines[0].len());
        assert_eq!(line[column].parse::<f64>().ok(), point["accuracy"].as_f64());
    }
    let (code, out, errors) = run(folder.path(), &["sweep.toml", "--quiet"]);
    assert_eq!((code, out.as_str(), errors.as_str()), (0, "", ""));
}

#[test]
fn exit_codes_and_errors_say_what_happened() {
    let folder = workplace(&SWEEP.replace("[1, 3]", "[1, 0]"));
    let (code, table, _) = run(folder.path(), &["sweep.toml"]);
    assert_eq!(code, 3, "{table}");
    assert!(
        table.contains("failed") && table.contains("devices.0.count = 0"),
        "{table}"
    );
    assert_eq!(run(folder.path(), &["show", "runs/cli"]).0, 3);
    for (args, expected) in [
        (vec!["nowhere.toml"], "cannot read sweep nowhere.toml"),
        (vec!["sweep.toml", "--quick"], "no [quick] table"),
        (
            vec!["sweep.toml", "--set", "seeds=5"],
            "holds another sweep",
        ),
        (
            vec!["sweep.toml", "--set", "sedes=5"],
            "did you mean `seeds`?",
        ),
        (
            vec!["sweep.toml", "--policy", "enach"],
            "did you mean \"enachi\"?",
        ),
        (vec!["merge", "."], "holds no sweep"),
        (vec!["show", "."], "holds no finished sweep"),
    ] {
        let (code, out, errors) = run(folder.path(), &args);
        assert!(
            code == 1 && errors.contains(expected),
            "{args:?}: {code} {out} {errors}"
        );
    }
    let (code, _, errors) = run(folder.path(), &["run", "sweep.toml", "--shard", "2/2"]);
    assert!(
        code == 2 && errors.contains("i from 0 to n - 1"),
        "{errors}"
    );
}

#[test]
fn the_plan_and_shards_agree() {
    let folder = workplace(SWEEP);
    let (code, plan, _) = run(folder.path(), &["plan", "sweep.toml", "--shards", "3"]);
    assert_eq!(code, 0);
    assert!(
        plan.contains("cli: 2 points, 8 runs, 0.00 M device-frames"),
        "{plan}"
    );
    let shards = plan
        .lines()
        .filter_map(|line| line.trim().strip_prefix(|c: char| c.is_ascii_digit()));
    let runs =
        shards.filter_map(|rest| rest.split([':', ',']).nth(1)?.trim().parse::<usize>().ok());
    assert_eq!(runs.sum::<usize>(), 8, "{plan}");
    assert!(
        !folder.path().join("runs").exists(),
        "planning writes nothing"
    );
    for shard in ["1/3", "0/3", "2/3"] {
        let (code, out, errors) = run(
            folder.path(),
            &["run", "sweep.toml", "--shard", shard, "--out", "out"],
        );
        assert_eq!(code, 0, "{errors}");
        assert!(out.contains("enachi sweep merge out"), "{out}");
    }
    assert_eq!(run(folder.path(), &["merge", "out", "--quiet"]).0, 0);
    assert_eq!(
        run(folder.path(), &["sweep.toml", "--out", "whole", "--quiet"]).0,
        0
    );
    for file in [
        "points.parquet",
        "trajectories.parquet",
        "slots.parquet",
        "sweep.json",
    ] {
        let read = |out: &str| std::fs::read(folder.path().join(out).join(file)).expect("written");
        assert!(read("out") == read("whole"), "{file}");
    }
}

/// The journal of the only shard.
fn journal(folder: &Path) -> std::path::PathBuf {
    folder.join("runs/cli/parts/part-00000-of-00001.jsonl")
}

fn lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| {
        bytes.iter().filter(|byte| **byte == b'\n').count()
    })
}

#[cfg(unix)]
#[test]
fn a_killed_sweep_keeps_what_was_finished() {
    // Long enough to be killed in the middle on any machine.
    let long = SWEEP
        .replace("seeds = 2", "seeds = 40")
        .replace("frames = 40", "frames = 400");
    let folder = workplace(&long);
    let mut child = enachi(folder.path(), &["sweep.toml", "--threads", "1", "--quiet"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let path = journal(folder.path());
    let patience = Instant::now();
    while lines(&path) < 4 && patience.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let before = std::fs::read(&path).expect("a journal");
    let kept = lines(&path);
    assert!((4..161).contains(&kept), "{kept} lines");
    let (code, _, errors) = run(folder.path(), &["merge", "runs/cli"]);
    assert!(
        code == 1 && errors.contains(&format!("0/1 has {} of 160 runs", kept - 1)),
        "{errors}"
    );
    let (code, _, errors) = run(folder.path(), &["sweep.toml", "--quiet"]);
    assert_eq!(code, 0, "{errors}");
    // What was finished was not run again.
    let after = std::fs::read(&path).expect("a journal");
    let whole = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    assert!(after.starts_with(&before[..whole]));
    assert_eq!(lines(&path), 161);
}

/// What `enachi` says when it fails because no file may be longer than `kib` KiB, which stands for a full disk.
#[cfg(unix)]
fn on_a_full_disk(folder: &Path, kib: u32, arguments: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_enachi");
    let command = format!("trap '' XFSZ; ulimit -f {kib}; exec {binary} {arguments}");
    let output = Command::new("bash")
        .current_dir(folder)
        .args(["-c", &command])
        .output()
        .expect("bash runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    errors
}

#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_that_was_finished() {
    let folder = workplace(SWEEP);
    // Writing fails in the middle of the journal.
    let errors = on_a_full_disk(folder.path(), 40, "sweep sweep.toml --threads 1");
    assert!(
        errors.contains("part-00000-of-00001.jsonl") && errors.contains("what is finished is kept"),
        "{errors}"
    );
    let kept = lines(&journal(folder.path()));
    assert!((2..9).contains(&kept), "{kept} lines");
    assert!(!folder.path().join("runs/cli/sweep.json").exists());
    // With room again, the same command goes on.
    assert_eq!(run(folder.path(), &["sweep.toml", "--quiet"]).0, 0);
    assert_eq!(lines(&journal(folder.path())), 9);
}

#[cfg(unix)]
#[test]
fn a_merge_on_a_full_disk_leaves_nothing_half_done() {
    let folder = workplace(SWEEP);
    let args = [
        "run",
        "sweep.toml",
        "--shard",
        "0/1",
        "--out",
        "out",
        "--quiet",
    ];
    assert_eq!(run(folder.path(), &args).0, 0);
    let errors = on_a_full_disk(folder.path(), 4, "sweep merge out");
    assert!(
        errors.contains(".parquet") && errors.contains("File too large"),
        "{errors}"
    );
    let left: Vec<String> = std::fs::read_dir(folder.path().join("out"))
        .expect("readable")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with("plan.json") && name != "parts")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(run(folder.path(), &["merge", "out", "--quiet"]).0, 0);
}
