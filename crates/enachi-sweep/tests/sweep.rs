//! A small sweep, whole: run, killed, resumed, sharded, merged, read back; and compared with the simulator's own summary.

mod common;

use common::{PAPER, SWEEP, assert_same, bytes, options, sweep, workplace};
use enachi_data::sweep::{AxisValues, Dataset};
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::parse;
use enachi_sim::simulate::{Unwatched as NoMonitor, simulate};
use enachi_sim::summary::summarise;
use enachi_sweep::journal::{Entry, Journal, part_path};
use enachi_sweep::plan::Shard;
use enachi_sweep::{Monitor, RunOptions, Sweep, SweepError, Unwatched, merge, read_plan};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
fn one_seed_has_an_interval_only_of_what_its_frames_tell() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP).set(&["seeds=1".into()]);
    sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    merge(&out, &[]).expect("merges");
    let data = Dataset::read(&out).expect("readable");
    for row in data.points.iter().filter(|r| r.accuracy > 0.1) {
        // Thirty frames, of which some are wrong; with several devices a frame counts as a whole.
        assert!(row.accuracy_low < row.accuracy_high, "{row:?}");
        for end in [
            row.energy_settled_low_j,
            row.energy_settled_high_j,
            row.bits_low,
            row.bits_high,
        ] {
            assert!(end.is_nan(), "{row:?}");
        }
    }
    assert!(data.points.iter().any(|r| r.accuracy > 0.1));
    for pair in &data.pairs {
        assert!(pair.accuracy_difference_low.is_finite());
        assert!(pair.energy_settled_difference_low_j.is_nan());
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
        for (there, back) in [
            (pair.accuracy_difference_low, back.accuracy_difference_high),
            (
                pair.energy_settled_difference_low_j,
                back.energy_settled_difference_high_j,
            ),
        ] {
            assert_eq!(there, -back);
        }
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

#[test]
fn shards_may_start_at_the_same_moment() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP).quick(true);
    const COUNT: u32 = 8;
    for round in 0..5 {
        let out = out.join(round.to_string());
        let start = std::sync::Barrier::new(COUNT as usize);
        std::thread::scope(|scope| {
            for index in 0..COUNT {
                let (sweep, out, start) = (&sweep, &out, &start);
                scope.spawn(move || {
                    start.wait();
                    let shard = Shard {
                        index,
                        count: COUNT,
                    };
                    sweep
                        .run(out, &options(shard, 1), &Unwatched)
                        .expect("runs");
                });
            }
        });
        merge(&out, &[]).expect("merges");
    }
}

/// Asks, while its own sweep runs, for the folder to be dropped by another.
struct Intruder<'a> {
    other: Sweep,
    out: &'a Path,
    answers: std::sync::Mutex<Vec<Result<(), SweepError>>>,
}

impl Monitor for Intruder<'_> {
    fn finished(&self, _device_frames: u64, _failed: bool, _point: bool) {
        let mut answers = self.answers.lock().expect("not poisoned");
        if answers.is_empty() {
            let options = RunOptions {
                force: true,
                ..options(Shard::WHOLE, 1)
            };
            let answer = self.other.run(self.out, &options, &Unwatched);
            answers.push(answer.map(|_| ()));
        }
    }
}

#[test]
fn force_drops_what_is_there_but_not_what_others_work_on() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP).quick(true);
    let intruder = Intruder {
        other: sweep.clone().set(&["seeds=2".into()]),
        out: &out,
        answers: Default::default(),
    };
    let outcome = sweep
        .run(&out, &options(Shard::WHOLE, 1), &intruder)
        .expect("goes on");
    assert_eq!((outcome.left, outcome.failed), (0, 0));
    let answers = intruder.answers.into_inner().expect("not poisoned");
    assert!(
        matches!(answers[..], [Err(SweepError::InUse { .. })]),
        "{answers:?}"
    );
    merge(&out, &[]).expect("nothing was lost");
    let before = bytes(&out);

    // The same sweep: nothing is left to do, but with force all of it; of another split only the shard.
    struct Left(AtomicUsize);
    impl Monitor for Left {
        fn started(&self, start: &enachi_sweep::Start) {
            self.0.store(start.left, Ordering::Relaxed);
        }
    }
    let left = |shard: Shard, force: bool| {
        let left = Left(AtomicUsize::new(0));
        let options = RunOptions {
            force,
            ..options(shard, 2)
        };
        let outcome = sweep.run(&out, &options, &left).expect("runs");
        (left.0.into_inner(), outcome.runs)
    };
    let (none, runs) = left(Shard::WHOLE, false);
    assert_eq!(none, 0);
    assert_eq!(left(Shard::WHOLE, true), (runs, runs));
    merge(&out, &[]).expect("merges");
    assert!(before == bytes(&out));
    let half = Shard { index: 1, count: 2 };
    assert_eq!(left(half, true), (runs / 2, runs / 2));
    assert_eq!(left(Shard::WHOLE, false), (0, runs), "other parts are kept");
}

#[test]
fn seeds_that_went_well_count_where_others_failed() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP);
    sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    merge(&out, &[]).expect("merges");
    let whole = Dataset::read(&out).expect("readable");

    // In place of the second of three seeds of the first policy at the second point: a failure.
    let plan = read_plan(&out).expect("a plan");
    let lost = plan.runs().of_policies(1).start + 1;
    let part = part_path(&out, Shard::WHOLE);
    let text = std::fs::read_to_string(&part).expect("readable");
    let kept = text
        .lines()
        .filter(|line| !line.contains(&format!("{{\"run\":{lost},")));
    let kept: Vec<&str> = kept.collect();
    assert_eq!(kept.len() + 1, text.lines().count());
    std::fs::write(&part, kept.join("\n") + "\n").expect("written");
    let (mut journal, _) =
        Journal::open(&out, &plan.plan_sha256, Shard::WHOLE, false).expect("opens");
    let outcome = Err("out of luck".into());
    journal
        .append(&Entry { run: lost, outcome })
        .expect("appended");
    drop(journal);
    let manifest = merge(&out, &[]).expect("merges");
    assert_eq!(manifest.failed_runs, 1);
    let failure = &manifest.failures[0];
    assert_eq!(
        (failure.point, failure.seed, failure.policy.as_str()),
        (1, Some(2), "enachi")
    );

    let data = Dataset::read(&out).expect("readable");
    let changed = |point: u64, policy: &str| point == 1 && policy == "enachi";
    let seeds = |policy: &str| -> Vec<f64> {
        let own = whole
            .seeds
            .iter()
            .filter(|row| row.point == 1 && row.policy == policy);
        own.map(|row| row.accuracy).collect()
    };
    // All seeds have as many tasks.
    let mean = |policy: &str| {
        let seeds = seeds(policy);
        (seeds[0] + seeds[2]) / 2.0
    };
    for (row, before) in data.points.iter().zip(&whole.points) {
        if !changed(row.point, &row.policy) {
            assert_eq!(format!("{row:?}"), format!("{before:?}"));
            continue;
        }
        assert_eq!((row.error.as_ref(), row.seeds, before.seeds), (None, 2, 3));
        assert!((row.accuracy - mean("enachi")).abs() < 1e-12, "{row:?}");
        assert!(row.accuracy_low <= row.accuracy && row.accuracy <= row.accuracy_high);
    }
    assert_eq!(data.pairs.len(), whole.pairs.len());
    for (pair, before) in data.pairs.iter().zip(&whole.pairs) {
        if changed(pair.point, &pair.policy) || changed(pair.point, &pair.other) {
            let expected = mean(&pair.policy) - mean(&pair.other);
            assert!(
                (pair.accuracy_difference - expected).abs() < 1e-12,
                "{pair:?}"
            );
        } else {
            assert_eq!(format!("{pair:?}"), format!("{before:?}"));
        }
    }
    let numbers = |data: &Dataset| -> Vec<u64> {
        let own = data
            .seeds
            .iter()
            .filter(|row| changed(row.point, &row.policy));
        own.map(|row| row.seed).collect()
    };
    assert_eq!(
        (numbers(&whole), numbers(&data)),
        (vec![1, 2, 3], vec![1, 3])
    );
}
