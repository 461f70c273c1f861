//! A small sweep, whole: run, killed, resumed, sharded, merged, read back; and compared with the simulator's own summary.

use enachi_data::sweep::{AxisValues, Dataset, MANIFEST_FILE, TABLES};
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::parse;
use enachi_sim::simulate::{Unwatched as NoMonitor, simulate};
use enachi_sim::summary::summarise;
use enachi_sweep::journal::part_path;
use enachi_sweep::plan::Shard;
use enachi_sweep::{Monitor, RunOptions, Sweep, SweepError, Unwatched, merge};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const PAPER: &str = include_str!("../../../scenarios/paper.toml");

const SWEEP: &str = r#"
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
fn workplace() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("paper.toml"), PAPER).expect("written");
    let out = folder.path().join("out");
    (folder, out)
}

fn sweep(folder: &Path, text: &str) -> Sweep {
    Sweep::parse(text, &folder.join("sweep.toml")).expect("a sweep file")
}

fn options(shard: Shard, threads: usize) -> RunOptions<'static> {
    RunOptions {
        shard,
        threads,
        ..RunOptions::default()
    }
}

/// All bytes of a dataset.
fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = TABLES.iter().copied().chain([MANIFEST_FILE]);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("part of the dataset");
    names.map(|name| (name.to_owned(), read(name))).collect()
}

fn assert_same(a: &Path, b: &Path) {
    for ((name, a), (_, b)) in bytes(a).into_iter().zip(bytes(b)) {
        assert!(a == b, "{name} differs");
    }
}

#[test]
fn figures_are_those_of_the_simulator() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP);
    let outcome = sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    assert_eq!(
        (outcome.runs, outcome.left, outcome.failed),
        (3 * 4 * 3 + 4 * 3 * 3, 0, 0)
    );
    let manifest = merge(&out, &[]).expect("merges");
    let data = Dataset::read(&out).expect("readable");
    assert_eq!(data.manifest, manifest);
    assert_eq!(
        (manifest.points, manifest.runs, manifest.failed_runs),
        (7, 72, 0)
    );
    assert_eq!(data.points.len(), 3 * 4 + 4 * 3);

    for (point, overrides) in [
        (1, vec!["device.deadline_s=0.2"]),
        (
            6,
            vec![
                "devices.0.count=5",
                "channel.bandwidth_hz=4e6",
                "channel.fading=rayleigh",
            ],
        ),
        (
            3,
            vec![
                "devices.0.count=2",
                "channel.bandwidth_hz=2e6",
                "channel.fading=none",
            ],
        ),
    ] {
        let rows: Vec<_> = data
            .points
            .iter()
            .filter(|row| row.point == point)
            .collect();
        let mut all: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        all.extend(
            [
                "frames=30",
                "warmup_frames=10",
                "seeds=3",
                "output.bootstrap_replicates=100",
            ]
            .map(String::from),
        );
        let mut scenario = parse(PAPER, "paper.toml", &all).expect("a scenario");
        scenario.policies = rows.iter().map(|row| row.policy.clone()).collect();
        let profile = curve_profile(scenario.profile.curves.as_ref().expect("curves"));
        let factory = PolicyFactory::new(&profile, scenario.baselines);
        let deployment = Deployment::new(scenario, profile).expect("deployed");
        let (deployment, records) =
            simulate(deployment, &factory, &AtomicBool::new(false), &NoMonitor).expect("simulated");
        let summary = summarise(&deployment.scenario, &records);
        for (row, of) in rows.iter().zip(&summary.policies) {
            let context = format!("point {point}, {}", row.policy);
            assert_eq!(row.policy, of.policy);
            // Counts, so exact; the replicates of the bootstrap are the same.
            assert_eq!(row.accuracy, of.accuracy, "{context}");
            assert_eq!(
                [row.accuracy_low, row.accuracy_high],
                [of.accuracy_low, of.accuracy_high],
                "{context}"
            );
            assert_eq!(row.device_frames, of.device_frames);
            for (name, ours, theirs) in [
                (
                    "settled accuracy",
                    row.accuracy_settled,
                    of.accuracy_after_warmup,
                ),
                ("energy", row.energy_j, of.energy_j),
                ("settled", row.energy_settled_j, of.energy_after_warmup_j),
                ("local", row.energy_local_j, of.energy_local_j),
                ("transmit", row.energy_transmit_j, of.energy_transmit_j),
                ("budget", row.energy_budget_j, of.energy_budget_j),
                ("queue", row.energy_queue_j, of.mean_energy_queue_j),
                ("bits", row.bits, of.mean_bits),
                ("band", row.bandwidth_hz, of.mean_bandwidth_hz),
                ("slots", row.slots, of.mean_slots),
                ("answer", row.answer_time_s, of.mean_answer_time_s),
                ("stop", row.stopped_early, of.stop_rate),
                ("cut", row.deadline_cut, of.deadline_cut_rate),
                ("nothing", row.sent_nothing, of.sent_nothing_rate),
                ("local rate", row.local, of.local_rate),
                ("infeasible", row.infeasible, of.infeasible_rate),
            ] {
                assert!(
                    (ours - theirs).abs() <= 1e-12 * theirs.abs(),
                    "{context}: {name} {ours} {theirs}"
                );
            }
            let cuts: Vec<(String, f64)> = data
                .cuts
                .iter()
                .filter(|cut| cut.point == point && cut.policy == row.policy)
                .map(|cut| (cut.cut.clone(), cut.share))
                .collect();
            assert_eq!(cuts, of.cut_share, "{context}");
            let pair = data.pairs.iter().find(|pair| {
                pair.point == point && pair.policy == row.policy && pair.other == rows[0].policy
            });
            if let Some(pair) = pair {
                assert_eq!(pair.accuracy_difference, of.accuracy_difference);
                assert_eq!(
                    [pair.accuracy_difference_low, pair.accuracy_difference_high],
                    [of.accuracy_difference_low, of.accuracy_difference_high]
                );
            }
        }
    }
}

#[test]
fn tables_agree_with_each_other() {
    let (folder, out) = workplace();
    sweep(folder.path(), SWEEP)
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    merge(&out, &[]).expect("merges");
    let data = Dataset::read(&out).expect("readable");
    let keys: Vec<&str> = data.axes.iter().map(|axis| axis.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "device.deadline_s",
            "devices.0.count",
            "channel.bandwidth_hz",
            "channel.fading"
        ]
    );
    for (index, row) in data.points.iter().enumerate() {
        let of =
            |key: (&u64, &String)| (*key.0, key.1.as_str()) == (row.point, row.policy.as_str());
        let context = format!("point {}, {}", row.point, row.policy);
        for axis in &data.axes {
            let set = match &axis.values {
                AxisValues::Number(values) => values[index].is_some(),
                AxisValues::Text(values) => values[index].is_some(),
            };
            assert_eq!(
                set,
                (axis.key == "device.deadline_s") == (row.sweep == "deadline"),
                "{context}"
            );
        }
        let outcomes = row.delivered
            + row.stopped_early
            + row.deadline_cut
            + row.sent_nothing
            + row.local
            + row.infeasible;
        assert!((outcomes - 1.0).abs() < 1e-12, "{context}");
        let n = row.device_frames as f64;
        let close = |a: f64, b: f64, what: &str| {
            assert!(
                (a - b).abs() <= 1e-9 * b.abs().max(1e-9),
                "{context}: {what}: {a} {b}"
            );
        };
        let seeds: Vec<_> = data
            .seeds
            .iter()
            .filter(|r| of((&r.point, &r.policy)))
            .collect();
        close(
            seeds.iter().map(|s| s.accuracy).sum::<f64>() / 3.0,
            row.accuracy,
            "seeds",
        );
        let devices: Vec<_> = data
            .devices
            .iter()
            .filter(|r| of((&r.point, &r.policy)))
            .collect();
        assert_eq!(devices.len() as u64, row.devices * 3);
        close(
            devices.iter().map(|d| d.energy_j).sum::<f64>() / devices.len() as f64,
            row.energy_j,
            "devices",
        );
        close(
            devices.iter().map(|d| d.energy_settled_j).sum::<f64>() / devices.len() as f64,
            row.energy_settled_j,
            "settled devices",
        );
        let windows: Vec<_> = data
            .trajectories
            .iter()
            .filter(|r| of((&r.point, &r.policy)))
            .collect();
        let last = windows.last().expect("windows");
        assert_eq!((windows[0].first_frame, last.end_frame), (0, 30));
        assert!(
            windows
                .windows(2)
                .all(|pair| pair[0].end_frame == pair[1].first_frame)
        );
        close(last.cumulative_energy_j / 30.0, row.energy_j, "trajectory");
        close(
            last.cumulative_budget_j / 30.0,
            row.energy_budget_j,
            "budget line",
        );
        // ENACHI (12): what was spent is at most the allowance and what the queue holds at the end.
        let bins: Vec<_> = data
            .histograms
            .iter()
            .filter(|r| of((&r.point, &r.policy)))
            .collect();
        let in_bins = |quantity: &str, category: Option<&str>| {
            let of = bins
                .iter()
                .filter(|b| b.quantity == quantity && category.is_none_or(|c| b.category == c));
            of.map(|b| b.count).sum::<u64>() as f64
        };
        close(
            in_bins("stop_slot", Some("entropy_threshold")) / n,
            row.stopped_early,
            "stop histogram",
        );
        close(
            in_bins("stop_slot", Some("deadline")) / n,
            row.deadline_cut,
            "deadline histogram",
        );
        close(
            in_bins("stop_slot", None),
            in_bins("fraction", None),
            "histograms",
        );
        let mean: f64 = bins
            .iter()
            .filter(|b| b.quantity == "bits")
            .map(|b| (b.bin_low * b.bin_high).sqrt() * b.count as f64)
            .sum::<f64>()
            / n;
        assert!(
            (mean - row.bits).abs() <= 0.1 * row.bits + 1.0,
            "{context}: bits {mean} {}",
            row.bits
        );
        let cuts: f64 = data
            .cuts
            .iter()
            .filter(|r| of((&r.point, &r.policy)))
            .map(|c| c.share)
            .sum();
        close(cuts, 1.0 - row.infeasible, "cuts");
        let example = data
            .examples
            .iter()
            .find(|r| of((&r.point, &r.policy)))
            .expect("an example");
        assert_eq!((example.frame, example.device, example.seed), (10, 0, 1));
        let slots: Vec<_> = data
            .slots
            .iter()
            .filter(|r| of((&r.point, &r.policy)))
            .collect();
        assert_eq!(slots.len() as u64, example.slots);
        close(
            slots.iter().map(|s| s.bits).sum(),
            example.bits,
            "example's bits",
        );
        close(
            slots.iter().map(|s| s.power_w).sum::<f64>() * example.slot_s,
            example.energy_transmit_j,
            "example's energy",
        );
    }
    for pair in &data.pairs {
        let back = data
            .pairs
            .iter()
            .find(|p| (p.point, &p.policy, &p.other) == (pair.point, &pair.other, &pair.policy));
        let back = back.expect("both orders");
        assert_eq!(pair.accuracy_difference, -back.accuracy_difference);
        assert!(pair.accuracy_difference_low <= pair.accuracy_difference_high);
    }
    // ENACHI (14) itself.
    for row in &data.curves {
        let beta = row.fraction;
        if row.fitted > row.floor {
            let expected = row.a2 - 1.0 / (row.a0 * beta - row.a1);
            assert!((row.fitted - expected).abs() < 1e-9, "{row:?}");
        }
    }
    assert_eq!(
        data.curves.iter().filter(|row| row.cut == "L3").count(),
        101
    );
}

#[test]
fn threads_shards_and_the_order_of_parts_do_not_matter() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP);
    sweep
        .run(&out, &options(Shard::WHOLE, 1), &Unwatched)
        .expect("runs");
    merge(&out, &[]).expect("merges");
    let many = folder.path().join("many");
    sweep
        .run(&many, &options(Shard::WHOLE, 5), &Unwatched)
        .expect("runs");
    merge(&many, &[]).expect("merges");
    assert_same(&out, &many);
    // Shards, in a folder of their own each, as on machines that share nothing.
    let main = folder.path().join("shard-2");
    let mut elsewhere = Vec::new();
    for index in [2, 0, 1] {
        let own = folder.path().join(format!("shard-{index}"));
        sweep
            .run(&own, &options(Shard { index, count: 3 }, 2), &Unwatched)
            .expect("runs");
        if own != main {
            elsewhere.push(own);
        }
    }
    merge(&main, &elsewhere).expect("merges");
    assert_same(&out, &main);
    // Again, over what is there.
    merge(&main, &elsewhere).expect("merges twice");
    assert_same(&out, &main);
    let again = sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("nothing left");
    assert_eq!((again.left, again.failed), (0, 0));
    merge(&out, &[]).expect("merges");
    assert_same(&out, &main);
}

/// Cancels after some runs.
struct Impatient<'a> {
    after: usize,
    seen: AtomicUsize,
    cancel: &'a AtomicBool,
}

impl Monitor for Impatient<'_> {
    fn finished(&self, _device_frames: u64, _failed: bool, _point: bool) {
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 >= self.after {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_stopped_sweep_goes_on_where_it_was() {
    let (folder, out) = workplace();
    let whole = folder.path().join("whole");
    let sweep = sweep(folder.path(), SWEEP);
    sweep
        .run(&whole, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    merge(&whole, &[]).expect("merges");
    let part = part_path(&out, Shard::WHOLE);
    let mut finished = 0;
    let mut rounds = 0;
    loop {
        let cancel = AtomicBool::new(false);
        let impatient = Impatient {
            after: 20,
            seen: AtomicUsize::new(0),
            cancel: &cancel,
        };
        let options = RunOptions {
            cancel: &cancel,
            ..options(Shard::WHOLE, 2)
        };
        let outcome = sweep.run(&out, &options, &impatient).expect("runs");
        let seen = impatient.seen.into_inner();
        finished += seen;
        assert_eq!(finished + outcome.left, 72, "no run twice, none forgotten");
        if outcome.left == 0 {
            break;
        }
        let error = merge(&out, &[]).expect_err("not finished").to_string();
        assert!(
            error.contains(&format!("0/1 has {finished} of 72 runs")),
            "{error}"
        );
        // A kill in the middle of a line, on top: that run is lost, and no other.
        let text = std::fs::read(&part).expect("readable");
        if rounds == 0 {
            std::fs::write(&part, &text[..text.len() - 10]).expect("written");
            finished -= 1;
        }
        rounds += 1;
    }
    assert!(rounds >= 2);
    merge(&out, &[]).expect("merges");
    assert_same(&whole, &out);
}

#[test]
fn what_fails_is_recorded_and_the_rest_goes_on() {
    let (folder, out) = workplace();
    // A deadline longer than the frame is out of range; the marginal rule needs samples.
    let text = SWEEP
        .replace(
            "from = 0.1\nto = 0.3\npoints = 3",
            "values = [0.2, 0.9, 0.3]",
        )
        .replace("\"progressive-ftx@L2\"", "\"enachi+stop-marginal\"");
    let sweep = sweep(folder.path(), &text);
    let outcome = sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    assert_eq!((outcome.left, outcome.failed), (0, 2 * 3));
    let manifest = merge(&out, &[]).expect("merges");
    // A point that cannot run counts once per policy.
    assert_eq!(manifest.failed_runs, 2 * 3 + 4);
    // One failure for all seeds.
    assert_eq!(manifest.failures.len(), 2 + 4);
    let data = Dataset::read(&out).expect("readable");
    for row in &data.points {
        let fails =
            row.sweep == "deadline" && (row.point == 1 || row.policy == "enachi+stop-marginal");
        assert_eq!(row.error.is_some(), fails, "{row:?}");
        assert_eq!(row.accuracy.is_nan(), fails);
        if let Some(error) = &row.error {
            let expected = if row.point == 1 {
                "device.deadline_s = 0.9"
            } else {
                "packet.stop = \"marginal\""
            };
            assert!(error.contains(expected), "{error}");
        }
    }
    // Failed runs get another chance, and fail again.
    let again = sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    assert_eq!((again.left, again.failed), (0, 6));
    let first = bytes(&out);
    merge(&out, &[]).expect("merges");
    assert!(first == bytes(&out));
}

fn refused(text: &str) -> String {
    let (folder, out) = workplace();
    let path = folder.path().join("sweep.toml");
    let run = Sweep::parse(text, &path)
        .and_then(|sweep| sweep.run(&out, &options(Shard::WHOLE, 1), &Unwatched));
    assert!(
        !out.exists(),
        "nothing is written for a sweep that is refused: {text}"
    );
    run.expect_err("must be refused").to_string()
}

#[test]
fn bad_sweeps_are_refused_before_anything_runs() {
    for (from, to, expected) in [
        (
            "device.deadline_s",
            "device.deadlin_s",
            "did you mean `deadline_s`?",
        ),
        (
            "key = \"channel.fading\"",
            "key = \"channel.fadin\"",
            "axis \"fadin\": channel.fadin=\"none\": unknown field `fadin`",
        ),
        (
            "\"progressive-ftx@L2\"",
            "\"progresive-ftx@L2\"",
            "did you mean \"progressive-ftx\"?",
        ),
        (
            "\"progressive-ftx@L2\"",
            "\"progressive-ftx@L9\"",
            "no cut \"L9\"",
        ),
        (
            "\"progressive-ftx@L2\"",
            "\"enachi\"",
            "\"enachi\" is named twice",
        ),
        (
            "\"none\", \"rayleigh\"",
            "\"non\", \"rayleigh\"",
            "did you mean `none`?",
        ),
        (
            "[\"none\", \"rayleigh\"]",
            "[]",
            "axis \"channel.fading\": has no values",
        ),
        (
            "scenario = \"paper.toml\"",
            "scenario = \"nowhere.toml\"",
            "nowhere.toml",
        ),
        ("seeds = 3", "seeds = 0", "no point can run: "),
        ("seeds = 3", "sedes = 3", "did you mean `seeds`?"),
    ] {
        assert!(SWEEP.contains(from), "{from}");
        let message = refused(&SWEEP.replace(from, to));
        assert!(message.contains(expected), "{to}: {message}");
    }
    let (folder, out) = workplace();
    let error = sweep(folder.path(), SWEEP)
        .set(&["device.deadline_s=0.2".into()])
        .run(&out, &RunOptions::default(), &Unwatched)
        .expect_err("swept");
    assert!(
        error.to_string().contains("an axis sets device.deadline_s"),
        "{error}"
    );
}

#[test]
fn bad_parts_and_datasets_are_refused_and_kept() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP).quick(true);
    for index in [0, 1, 3] {
        sweep
            .run(&out, &options(Shard { index, count: 4 }, 2), &Unwatched)
            .expect("runs");
    }
    let fails = |expected: &str| {
        let error = merge(&out, &[]).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    fails("shard 2/4 is missing");
    assert!(!out.join(MANIFEST_FILE).exists());
    sweep
        .run(&out, &options(Shard { index: 2, count: 4 }, 2), &Unwatched)
        .expect("runs");
    let part = |index| part_path(&out, Shard { index, count: 4 });
    let copy = out.join("parts/copy.jsonl");
    std::fs::copy(part(1), &copy).expect("copied");
    fails("shard 1/4 is there twice");
    std::fs::remove_file(&copy).expect("removed");
    let whole = std::fs::read(part(1)).expect("readable");
    std::fs::write(part(1), &whole[..whole.len() / 2]).expect("written");
    fails("1/4 has ");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(part(1), &damaged).expect("written");
    fails("is damaged");
    let again = sweep
        .run(&out, &options(Shard { index: 1, count: 4 }, 2), &Unwatched)
        .expect("mended");
    assert_eq!(again.left, 0);
    merge(&out, &[]).expect("merges");
    let good = bytes(&out);
    let other = Shard { index: 0, count: 2 };
    sweep
        .run(&out, &options(other, 2), &Unwatched)
        .expect("runs");
    fails("parts of different splits");
    assert!(
        good == bytes(&out),
        "a failed merge leaves the dataset as it was"
    );
    std::fs::remove_file(part_path(&out, other)).expect("removed");

    // Another sweep in the same folder, unless told to drop this one.
    let changed = sweep.clone().set(&["seeds=2".into()]);
    let error = changed
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect_err("another sweep");
    assert!(matches!(error, SweepError::OtherSweep { .. }), "{error}");
    assert!(good == bytes(&out));
    // Truncated and foreign files.
    let reading = |expected: &str| {
        let error = Dataset::read(&out).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    for name in TABLES {
        let path = out.join(name);
        let whole = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
        reading("checksum");
        std::fs::write(&path, whole).expect("written");
    }
    let path = out.join(MANIFEST_FILE);
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(
        &path,
        text.replace("\"format_version\": 1", "\"format_version\": 7"),
    )
    .expect("written");
    reading("version 7, written by enachi");
    std::fs::write(&path, &text[..text.len() / 2]).expect("written");
    reading("damaged");
    std::fs::remove_file(&path).expect("removed");
    reading("holds no finished sweep");
    let plan = out.join("plan.json");
    let text = std::fs::read_to_string(&plan).expect("readable");
    std::fs::write(&plan, text.replace("\"quick\":true", "\"quick\":false")).expect("written");
    fails("plan.json: damaged");
    std::fs::write(
        &plan,
        text.replace("\"format_version\":1", "\"format_version\":2"),
    )
    .expect("written");
    fails("version 2");
    let dropped = RunOptions {
        force: true,
        ..options(Shard::WHOLE, 2)
    };
    changed
        .run(&out, &dropped, &Unwatched)
        .expect("starts anew");
    merge(&out, &[]).expect("merges");
    assert_eq!(Dataset::read(&out).expect("readable").points[0].seeds, 2);
    // A folder with something else in it.
    let theirs = folder.path().join("theirs");
    std::fs::create_dir(&theirs).expect("made");
    std::fs::write(theirs.join("thesis.tex"), "text").expect("written");
    let error = sweep
        .run(&theirs, &RunOptions::default(), &Unwatched)
        .expect_err("in use");
    assert!(matches!(error, SweepError::OtherSweep { .. }), "{error}");
}
