//! Scenarios that can never work are refused before anything is written; those that are shipped all work.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

const SHORT: [&str; 8] = [
    "--set",
    "frames=1",
    "--set",
    "warmup_frames=0",
    "--set",
    "seeds=1",
    "--set",
    "output.bootstrap_replicates=100",
];

fn simulate(scenario: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enachi"));
    command.arg("simulate").arg(scenario).arg("--out").arg(out);
    command.args(SHORT).args(more).output().unwrap()
}

#[test]
fn what_can_never_work_is_an_error_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.toml");
    std::fs::write(
        &file,
        "policies = [\"enachi\"]\n[[devices]]\ncount = 2\ndeadline_s = 0.001\n",
    )
    .unwrap();
    let out = folder.path().join("out");
    let output = simulate(&file, &out, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    let key = "policies = \"enachi\": devices.0.deadline_s = 0.001: must be at least ";
    let start = format!("error: {}: {key}", file.display());
    assert!(said.starts_with(&start), "{said}");
    assert!(!out.exists());
}

#[test]
fn shipped_scenarios_work() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let folder = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for entry in std::fs::read_dir(&scenarios).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            let out = folder.path().join(path.file_stem().unwrap());
            // `enachi demo` runs its scenario on the small network.
            let small = scenarios.join("../profiles/tiny.parquet");
            let tiny = ["--profile", small.to_str().unwrap()];
            let demo = path.file_stem().unwrap() == "demo";
            let output = simulate(&path, &out, if demo { &tiny } else { &[] });
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", path.display());
            assert!(!said.contains("warning"), "{}: {said}", path.display());
            tried += 1;
        }
    }
    assert!(tried >= 6, "{tried}");
}
