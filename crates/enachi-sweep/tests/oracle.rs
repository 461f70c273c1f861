//! The upper bound of a sweep: on its own grid, the same as the simulator's, the same however it was run.

mod common;

use common::{PAPER, assert_same, options, sweep, workplace};
use enachi_data::sweep::Dataset;
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::oracle::oracle_shares;
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::parse;
use enachi_sim::simulate::{Unwatched as NoMonitor, simulate};
use enachi_sweep::plan::{Job, OraclePlan, Shard};
use enachi_sweep::{Sweep, Unwatched, merge};
use std::sync::atomic::AtomicBool;

const SWEEP: &str = r#"
name = "bounded"
scenario = "paper.toml"
policies = ["enachi", "effect-dnn", "device-only"]

[set]
frames = 20
warmup_frames = 5
seeds = 3
output.bootstrap_replicates = 100

[quick]
points = 2
oracle = { points = 1, seeds = 1 }

[oracle]
points = 2
seeds = 2
frames = 12

[[sweep]]
name = "deadline"
[[sweep.axis]]
key = "device.deadline_s"
values = [0.15, 0.2, 0.3]

[[sweep]]
name = "cell"
oracle = { points = 2, seeds = 1 }
[[sweep.axis]]
key = "devices.0.count"
values = [2, 3, 4]
[[sweep.axis]]
key = "channel.bandwidth_hz"
values = [1e6, 2e6, 3e6]

[[sweep]]
name = "none"
oracle.points = 0
[[sweep.axis]]
key = "task.v"
values = [1, 2]
"#;

#[test]
fn the_bound_is_the_simulators_on_a_coarser_grid() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP);
    let plan = sweep.plan().expect("a plan");
    let runs = plan.runs();
    let bounded: Vec<usize> = (0..runs.count())
        .map(|run| runs.get(run))
        .filter(|run| run.job == Job::Oracle)
        .map(|run| run.point)
        .collect();
    // First and last of each axis: of three deadlines two, of nine cells four; two seeds, and one.
    assert_eq!(bounded, [0, 0, 2, 2, 3, 5, 9, 11]);
    let quick = sweep.clone().quick(true).plan().expect("a plan");
    let bounds: Vec<_> = quick.points.iter().map(|point| point.oracle).collect();
    // The last of each sweep, the third of which has its own mind only where the file is not quick.
    let one = Some(OraclePlan {
        seeds: 1,
        frames: 20,
    });
    assert_eq!(bounds, [None, one, None, None, None, one, None, one]);
    let outcome = sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    assert_eq!((outcome.runs, outcome.failed), (14 * 3 * 3 + 8, 0));
    let manifest = merge(&out, &[]).expect("merges");
    assert_eq!(manifest.runs, 14 * 3 * 3 + 8);
    let data = Dataset::read(&out).expect("readable");
    assert_eq!(data.oracle.len(), 6 * 3);
    for (point, first_seed, frames, seeds, overrides) in [
        (0, 1, 12, 2, vec!["device.deadline_s=0.15"]),
        (
            11,
            1,
            20,
            1,
            vec!["devices.0.count=4", "channel.bandwidth_hz=3e6"],
        ),
    ] {
        let rows = data.oracle.iter().filter(|row| row.point == point);
        let rows: Vec<_> = rows.collect();
        // Seeds have prices of their own, so each can be bounded alone.
        let mut sums = vec![[0.0; 4]; rows.len()];
        for seed in first_seed..first_seed + seeds {
            let mut all: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
            all.extend([
                format!("seed={seed}"),
                "seeds=1".into(),
                format!("frames={frames}"),
                "warmup_frames=5".into(),
            ]);
            let mut scenario = parse(PAPER, "paper.toml", &all).expect("a scenario");
            scenario.policies = rows.iter().map(|row| row.policy.clone()).collect();
            let profile = curve_profile(scenario.profile.curves.as_ref().expect("curves"));
            let deployment = Deployment::new(scenario, profile).expect("deployed");
            let factory = PolicyFactory::on(&deployment);
            let cancel = AtomicBool::new(false);
            let (deployment, records) =
                simulate(deployment, &factory, &cancel, &NoMonitor).expect("simulated");
            let shares = oracle_shares(&deployment, &factory, &records, &cancel, &NoMonitor)
                .expect("bounded");
            for (sum, share) in sums.iter_mut().zip(shares) {
                let of = [
                    share.accuracy,
                    share.bound,
                    share.kept,
                    share.uncertain_bound,
                ];
                sum.iter_mut()
                    .zip(of)
                    .for_each(|(sum, of)| *sum += of / seeds as f64);
            }
        }
        for (row, sum) in rows.iter().zip(sums) {
            assert_eq!((row.seeds, row.frames), (seeds, frames));
            let found = [row.accuracy, row.bound, row.kept, row.blind_bound];
            for (found, expected) in found.iter().zip(sum) {
                assert!((found - expected).abs() < 1e-12, "{row:?}: {expected}");
            }
            assert!((row.share - row.accuracy / row.bound).abs() < 1e-12);
            // What it is for: no policy exceeds it.
            assert!(
                row.accuracy <= row.bound + 1e-9 && row.kept <= row.bound + 1e-9,
                "{row:?}"
            );
        }
    }
}

#[test]
fn threads_and_shards_do_not_matter() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP);
    sweep
        .run(&out, &options(Shard::WHOLE, 1), &Unwatched)
        .expect("runs");
    merge(&out, &[]).expect("merges");
    let shards = folder.path().join("shards");
    for index in [1, 2, 0] {
        sweep
            .run(&shards, &options(Shard { index, count: 3 }, 2), &Unwatched)
            .expect("runs");
    }
    merge(&shards, &[]).expect("merges");
    assert_same(&out, &shards);
}

#[test]
fn a_bound_that_cannot_be_is_recorded_and_the_rest_goes_on() {
    let (folder, out) = workplace();
    // Hardly a task ever arrives.
    let text = SWEEP.replace(
        "[set]",
        "[set]\narrivals.process = \"poisson\"\narrivals.tasks_per_frame = 1e-9",
    );
    let sweep = sweep(folder.path(), &text);
    sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    let manifest = merge(&out, &[]).expect("merges");
    let of_bound = manifest.failures.iter().filter(|f| f.policy == "oracle");
    let errors: Vec<&str> = of_bound.map(|f| f.error.as_str()).collect();
    assert_eq!(errors.len(), 6, "one per point, as all seeds fail alike");
    assert!(errors[0].contains("no task arrives"), "{errors:?}");
    assert!(Dataset::read(&out).expect("readable").oracle.is_empty());
}

#[test]
fn bad_grids_are_refused() {
    let (folder, _) = workplace();
    for (from, to, expected) in [
        ("seeds = 2\nframes = 12", "seeds = 0", "oracle.seeds = 0"),
        ("frames = 12", "frames = 0", "oracle.frames = 0"),
        ("points = 1, seeds = 1 }", "seeds = 0 }", "oracle.seeds = 0"),
        ("points = 2\n", "point = 2\n", "did you mean `points`?"),
        (
            "points = 2, seeds = 1 }",
            "points = 2, seeds = 0 }",
            "sweep \"cell\": oracle.seeds = 0",
        ),
    ] {
        let text = SWEEP.replacen(from, to, 1);
        assert_ne!(text, SWEEP, "{from}");
        let error = Sweep::parse(&text, &folder.path().join("sweep.toml"));
        let message = error.err().expect("must be refused").to_string();
        assert!(message.contains(expected), "{to}: {message}");
    }
}
