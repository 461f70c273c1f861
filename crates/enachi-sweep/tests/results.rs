//! Results that change raise `enachi_sim::RESULTS_VERSION`, by which sweeps tell theirs from those of another state of the software.
//!
//! The figures in `golden/results.txt` say nothing about what is right; other tests do. With `ENACHI_BLESS=1` they are written anew,
//! but only where the version was raised.

mod common;

use common::{options, sweep};
use enachi_data::sweep::Dataset;
use enachi_sim::RESULTS_VERSION;
use enachi_sweep::plan::Shard;
use enachi_sweep::{Unwatched, merge};
use std::path::Path;

/// Every kind of policy, power law and stop, on measured answers and on curves, one user and several.
const SWEEP: &str = r#"
name = "results"
[set]
frames = 12
warmup_frames = 4
seeds = 2
output.bootstrap_replicates = 100
[[sweep]]
name = "measured"
policies = [
    "enachi", "enachi+stop-never", "enachi+stop-marginal", "enachi-mux", "enachi-max", "enachi-sequential",
    "progressive-ftx@5", "effect-dnn", "sc-cao", "edge-only", "device-only", "min-energy-split",
    "jpeg-equal-share", "best-static-cut",
]
[[sweep.axis]]
key = "channel.bandwidth_hz"
values = [5e5, 2e6]
[[sweep]]
name = "curves"
scenario = "SCENARIOS/paper.toml"
policies = [
    "enachi", "enachi+stop-entropy", "enachi-mux+stop-entropy", "enachi-max+stop-entropy", "progressive-ftx@L2",
    "effect-dnn", "sc-cao", "edge-only", "device-only", "min-energy-split", "best-static-cut",
]
[[sweep.axis]]
key = "devices.0.count"
values = [1, 6]
"#;

/// As far as another mathematical library may round differently.
const TOLERANCE: f64 = 1e-6;

/// One line per point and policy: sweep, point, policy, accuracy, energy and bits.
fn figures() -> Vec<(String, [f64; 3])> {
    let folder = tempfile::tempdir().expect("a folder");
    let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
    let sweep = sweep(folder.path(), &SWEEP.replace("SCENARIOS", scenarios));
    let out = folder.path().join("out");
    let outcome = sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    assert_eq!(outcome.failed, 0);
    merge(&out, &[]).expect("merges");
    let rows = Dataset::read(&out).expect("readable").points;
    rows.iter()
        .map(|row| {
            let name = format!("{} {} {}", row.sweep, row.point, row.policy);
            (name, [row.accuracy, row.energy_j, row.bits])
        })
        .collect()
}

#[test]
fn results_that_change_raise_their_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/results.txt");
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|_| "0\n".into());
    let (version, lines) = golden.split_once('\n').expect("begins with a version");
    let version: u32 = version.parse().expect("a version");
    let ours = figures();
    if version < RESULTS_VERSION && std::env::var_os("ENACHI_BLESS").is_some() {
        let line =
            |(name, [a, b, c]): &(String, [f64; 3])| format!("{name} {a:.9e} {b:.9e} {c:.9e}\n");
        let text: String = ours.iter().map(line).collect();
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        std::fs::write(&path, format!("{RESULTS_VERSION}\n{text}")).expect("written");
        return;
    }
    assert_eq!(
        version, RESULTS_VERSION,
        "RESULTS_VERSION was raised: write the figures anew, ENACHI_BLESS=1 cargo test -p enachi-sweep --test results"
    );
    assert_eq!(lines.lines().count(), ours.len());
    for (line, (name, figures)) in lines.lines().zip(&ours) {
        let theirs = line
            .strip_prefix(name.as_str())
            .expect("the same points and policies");
        let theirs = theirs
            .split_whitespace()
            .map(|text| text.parse::<f64>().expect("a number"));
        for (ours, theirs) in figures.iter().zip(theirs) {
            assert!(
                (ours - theirs).abs() <= TOLERANCE * theirs.abs(),
                "{name}: {ours}, was {theirs}. If this is meant, raise RESULTS_VERSION (CONTRIBUTING.md, \"When results change\")"
            );
        }
    }
}
