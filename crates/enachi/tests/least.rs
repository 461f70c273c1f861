//! `enachi least`: its answer is checked with `enachi simulate`.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::process::{Command, Output};

const SHORT: [&str; 6] = [
    "--set",
    "frames=12",
    "--set",
    "warmup_frames=4",
    "--set",
    "seeds=1",
];

fn enachi(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_enachi"))
        .args(args)
        .output()
        .unwrap()
}

fn least(extra: &[&str]) -> Output {
    let mut args = vec!["least", "--key", "channel.bandwidth_hz", "--policy"];
    args.extend(["best-static-cut", "--tolerance", "0.2"]);
    args.extend(SHORT);
    args.extend(extra);
    enachi(&args)
}

/// Accuracy at a bandwidth, from a run of its own.
fn accuracy_at(bandwidth_hz: f64) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let band = format!("channel.bandwidth_hz={bandwidth_hz:e}");
    let mut args = vec!["simulate", "--format", "json", "--force", "--set", &band];
    args.extend(["--policy", "best-static-cut", "--out"]);
    args.push(folder.path().to_str().unwrap());
    args.extend(SHORT);
    let output = enachi(&args);
    assert!(output.status.success(), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    summary["policies"][0]["accuracy_after_warmup"]
        .as_f64()
        .unwrap()
}

#[test]
fn the_least_band_holds_and_a_smaller_one_does_not() {
    let range = ["--from", "2e4", "--to", "2e6", "--accuracy", "0.6"];
    let mut args = range.to_vec();
    args.extend(["--format", "json"]);
    let output = least(&args);
    assert!(output.status.success(), "{output:?}");
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let value = rows[0]["value"].as_f64().unwrap();
    assert_eq!(rows[0]["at_low_end"], false);
    assert!((2e4..=2e6).contains(&value));
    let accuracy = accuracy_at(value);
    assert_eq!(accuracy, rows[0]["accuracy_after_warmup"].as_f64().unwrap());
    assert!(accuracy >= 0.6);
    // Two tolerances below it does not.
    assert!(accuracy_at(value / 1.44) < 0.6);

    let output = least(&["--from", "1e3", "--to", "2e3", "--accuracy", "0.99"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("not within"),
        "{text}"
    );
}

#[test]
fn bad_input_is_refused() {
    for (args, parts) in [
        (
            &["--from", "0", "--to", "1", "--accuracy", "0.5"][..],
            "--from 0: must be",
        ),
        (
            &["--from", "2", "--to", "1", "--accuracy", "0.5"],
            "--to 1: must be above",
        ),
        (
            &["--from", "1", "--to", "2", "--accuracy", "72.5"],
            "--accuracy 72.5: must be",
        ),
        (
            &[
                "--from",
                "1",
                "--to",
                "2",
                "--accuracy",
                "0.5",
                "--set",
                "chanel.noise=1",
            ],
            "did you mean `channel`",
        ),
    ] {
        let output = least(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(parts), "{text}");
    }
}
