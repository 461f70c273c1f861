//! The example of a policy of one's own runs, and its policy is in the dataset beside the others.

use enachi_data::sweep::file_sha256;
use enachi_sweep::plan::Added;
use enachi_sweep::{RunOptions, Sweep, SweepError, Unwatched, merge, read_plan};

#[allow(dead_code)]
#[path = "../examples/my_policy.rs"]
mod example;

#[test]
fn a_policy_of_ones_own_is_in_the_dataset() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = example::sweep(folder.path(), true).expect("runs");
    assert_eq!(data.manifest.failed_runs, 0, "{:?}", data.manifest.failures);
    let policies: Vec<&str> = data.points.iter().map(|row| row.policy.as_str()).collect();
    let each = ["far-first", "enachi", "best-static-cut"];
    assert_eq!(policies, [each, each].concat());
    for row in &data.points {
        // Better than a guess among a thousand classes: something was sent and answered.
        assert!(row.accuracy > 0.1 && row.accuracy <= 1.0, "{row:?}");
        assert!(row.energy_j > 0.0 && row.bits > 0.0, "{row:?}");
    }
    assert!(
        data.pairs
            .iter()
            .any(|pair| pair.policy == "far-first" && pair.other == "enachi")
    );
}

#[test]
fn another_state_of_the_program_is_another_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = r#"
name = "own"
policies = ["enachi"]
set.frames = 4
set.warmup_frames = 1
[[sweep]]
name = "v"
[[sweep.axis]]
key = "task.v"
values = [1, 5]
"#;
    let sweep = Sweep::parse(plain, "own.toml".as_ref()).expect("a sweep");
    assert_eq!(sweep.plan().expect("a plan").added, None);
    let sweep = sweep.with_policy("far-first", example::FarFirst::default);
    let plan = sweep.plan().expect("a plan");
    let added = plan.added.clone().expect("a policy of one's own");
    let program = std::env::current_exe().expect("known");
    assert_eq!(added.policies, ["far-first"]);
    assert_eq!(
        added.program_sha256,
        file_sha256(&program).expect("readable")
    );
    let run = |force: bool| {
        let options = RunOptions {
            force,
            ..RunOptions::default()
        };
        sweep.run(folder.path(), &options, &Unwatched)
    };
    run(false).expect("runs");
    // What another build left there: the same plan but for the program.
    let mut other = plan.clone();
    other.added = Some(Added {
        program_sha256: "0".repeat(64),
        ..added
    });
    other.plan_sha256 = other.hash();
    std::fs::write(folder.path().join("plan.json"), other.to_json()).expect("written");
    let error = run(false).expect_err("of another program");
    assert!(matches!(error, SweepError::OtherSweep { .. }), "{error}");
    assert_eq!(run(true).expect("runs").left, 0);
    assert_eq!(read_plan(folder.path()).expect("a plan"), plan);
    merge(folder.path(), &[]).expect("merges");
    // So is another version of the results.
    let mut older = plan.clone();
    older.results_version -= 1;
    older.plan_sha256 = older.hash();
    std::fs::write(folder.path().join("plan.json"), older.to_json()).expect("written");
    let error = run(false).expect_err("older results");
    assert!(matches!(error, SweepError::OtherSweep { .. }), "{error}");
    let error = merge(folder.path(), &[]).expect_err("newer parts");
    assert!(matches!(error, SweepError::Part { .. }), "{error}");
}
