//! Files that a sweep's scenarios name: profiles of groups of devices, and traces.

mod common;

use common::{assert_same, options, sweep};
use enachi_data::sweep::Dataset;
use enachi_sim::deployment::{Deployment, Profiles};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::load;
use enachi_sim::simulate::{Unwatched as NoMonitor, simulate};
use enachi_sim::summary::summarise;
use enachi_sweep::plan::Shard;
use enachi_sweep::{Sweep, SweepError, Unwatched, merge};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const MIXED: &str = r#"
name = "networks"
scenario = "SCENARIO"
policies = ["enachi", "best-static-cut", "device-only"]
[set]
frames = 8
warmup_frames = 2
seeds = 2
output.bootstrap_replicates = 100
[oracle]
points = 1
seeds = 1
frames = 2
[[sweep]]
name = "band"
[[sweep.axis]]
key = "channel.bandwidth_hz"
values = [5e5, 2e6]
"#;

#[test]
fn groups_may_run_networks_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = repository().join("scenarios/mixed.toml");
    let text = MIXED.replace("SCENARIO", &scenario.display().to_string());
    let sweep = sweep(folder.path(), &text);
    let out = folder.path().join("out");
    let outcome = sweep
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect("runs");
    assert_eq!(outcome.failed, 0);
    let manifest = merge(&out, &[]).expect("merges");
    let models: Vec<&str> = manifest.profiles.iter().map(|p| p.model.as_str()).collect();
    assert_eq!(models.len(), 3, "{models:?}");
    let data = Dataset::read(&out).expect("readable");
    assert_eq!(data.oracle.len(), 3);
    for model in models {
        assert!(data.curves.iter().any(|row| row.profile == model));
    }
    // The simulator's own figures, intervals over the images of each network among them.
    let set = [
        "frames=8",
        "warmup_frames=2",
        "seeds=2",
        "output.bootstrap_replicates=100",
        "channel.bandwidth_hz=2e6",
    ];
    let mut scenario = load(&scenario, &set.map(String::from)).expect("a scenario");
    scenario.policies = data.manifest.sweeps[0].policies.clone();
    let named = scenario.group_profiles().into_iter().map(|name| {
        let path = repository().join("scenarios").join(name);
        (
            name.to_owned(),
            enachi_data::profile::read(&path).expect("a profile"),
        )
    });
    let profiles = Profiles {
        default: None,
        named: named.collect(),
    };
    let deployment = Deployment::new(scenario, profiles).expect("deployed");
    let factory = PolicyFactory::on(&deployment);
    let (deployment, records) =
        simulate(deployment, &factory, &AtomicBool::new(false), &NoMonitor).expect("simulated");
    let summary = summarise(&deployment.scenario, &records);
    for of in &summary.policies {
        let row = data
            .points
            .iter()
            .find(|row| row.point == 1 && row.policy == of.policy);
        let row = row.expect("a row");
        assert_eq!(row.accuracy, of.accuracy, "{}", of.policy);
        assert!((row.energy_j - of.energy_j).abs() < 1e-12, "{}", of.policy);
        assert!(row.accuracy_low <= row.accuracy && row.accuracy <= row.accuracy_high);
        let cuts = data
            .cuts
            .iter()
            .filter(|cut| cut.point == 1 && cut.policy == of.policy);
        let cuts: Vec<(String, f64)> = cuts.map(|cut| (cut.cut.clone(), cut.share)).collect();
        assert_eq!(cuts.len(), of.cut_share.len());
        for (name, share) in &of.cut_share {
            let found = cuts.iter().find(|(cut, _)| cut == name);
            assert_eq!(
                found.map(|cut| cut.1),
                Some(*share),
                "{}: {name}",
                of.policy
            );
        }
    }
}

#[test]
fn a_group_profile_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = repository().join("scenarios/mixed.toml");
    let text = std::fs::read_to_string(scenario).expect("readable");
    std::fs::write(folder.path().join("mixed.toml"), text).expect("written");
    let text = MIXED.replace("SCENARIO", "mixed.toml");
    let sweep = sweep(folder.path(), &text);
    let error = sweep.plan().expect_err("no profile").to_string();
    assert!(
        error.contains("devices.N.profile = \"../profiles/resnet50.parquet\""),
        "{error}"
    );
}

#[test]
fn a_trace_that_changed_is_another_sweep() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["trace.toml", "trace.csv"] {
        let from = repository().join("scenarios").join(name);
        std::fs::copy(from, folder.path().join(name)).expect("copied");
    }
    let text = r#"
name = "trace"
scenario = "trace.toml"
policies = ["best-static-cut"]
[set]
frames = 3
warmup_frames = 1
seeds = 1
output.bootstrap_replicates = 100
[[sweep]]
name = "band"
[[sweep.axis]]
key = "channel.bandwidth_hz"
values = [1e5, 2e5]
"#;
    let sweep = Sweep::parse(text, &folder.path().join("sweep.toml")).expect("a sweep file");
    let out = folder.path().join("out");
    let run = || sweep.run(&out, &options(Shard::WHOLE, 1), &Unwatched);
    assert_eq!(run().expect("runs").failed, 0);
    merge(&out, &[]).expect("merges");
    let again = folder.path().join("again");
    let kept = sweep
        .run(&again, &options(Shard::WHOLE, 1), &Unwatched)
        .and_then(|_| merge(&again, &[]));
    kept.expect("merges");
    assert_same(&out, &again);
    let trace = folder.path().join("trace.csv");
    let gains = std::fs::read_to_string(&trace).expect("readable");
    let (head, rest) = gains.split_at(gains.len() - 2);
    let other = if rest.starts_with('9') { "8" } else { "9" };
    std::fs::write(&trace, format!("{head}{other}\n")).expect("written");
    let error = run().expect_err("gains differ");
    assert!(matches!(error, SweepError::OtherSweep { .. }), "{error}");
    std::fs::write(&trace, gains).expect("written");
    assert_eq!(run().expect("the same gains again").left, 0);
    std::fs::remove_file(&trace).expect("removed");
    let error = run().expect_err("no trace").to_string();
    assert!(
        error.contains("channel.trace.path") && error.contains("trace.csv"),
        "{error}"
    );
}
