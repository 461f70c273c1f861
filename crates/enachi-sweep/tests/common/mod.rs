//! What tests of sweeps share.
#![allow(dead_code)]

use enachi_data::sweep::{MANIFEST_FILE, TABLES};
use enachi_sweep::plan::Shard;
use enachi_sweep::{RunOptions, Sweep};
use std::path::{Path, PathBuf};

pub const PAPER: &str = include_str!("../../../../scenarios/paper.toml");

/// A small sweep.
pub const SWEEP: &str = r#"
name = "small"
scenario = "paper.toml"
policies = ["enachi", "enachi+stop-entropy", "progressive-ftx@L2", "device-only"]

[set]
frames = 30
warmup_frames = 10
seeds = 3
output.bootstrap_replicates = 100

[quick]
points = 2
set.frames = 20

[[sweep]]
name = "deadline"
title = "Deadline"
[[sweep.axis]]
key = "device.deadline_s"
from = 0.1
to = 0.3
points = 3

[[sweep]]
name = "cell"
policies = ["enachi", "enachi-mux+stop-entropy", "effect-dnn"]
[[sweep.axis]]
keys = ["devices.0.count", "channel.bandwidth_hz"]
values = [[2, 2e6], [5, 4e6]]
[[sweep.axis]]
key = "channel.fading"
values = ["none", "rayleigh"]
"#;

/// A folder with the scenario, in which sweep files lie.
pub fn workplace() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("paper.toml"), PAPER).expect("written");
    let out = folder.path().join("out");
    (folder, out)
}

pub fn sweep(folder: &Path, text: &str) -> Sweep {
    Sweep::parse(text, &folder.join("sweep.toml")).expect("a sweep file")
}

pub fn options(shard: Shard, threads: usize) -> RunOptions<'static> {
    RunOptions {
        shard,
        threads,
        ..RunOptions::default()
    }
}

/// All bytes of a dataset.
pub fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = TABLES.iter().copied().chain([MANIFEST_FILE]);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("part of the dataset");
    names.map(|name| (name.to_owned(), read(name))).collect()
}

pub fn assert_same(a: &Path, b: &Path) {
    for ((name, a), (_, b)) in bytes(a).into_iter().zip(bytes(b)) {
        assert!(a == b, "{name} differs");
    }
}
