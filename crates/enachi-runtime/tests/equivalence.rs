//! The live engines, run on a clock of slots over a line of no time, write the simulator's own records.
//!
//! Compared field by field, to the last bit; only `answer_time_s` is taken from the clock, at the resolution of a slot.
#![allow(missing_docs, clippy::unwrap_used)]

use enachi_core::profile::Profile;
use enachi_core::record::{FrameRecord, Outcome};
use enachi_runtime::virtual_clock;
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::{Scenario, parse};
use enachi_sim::simulate::{Unwatched, simulate};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn simulated(scenario: &Scenario, profile: &Profile) -> Vec<FrameRecord> {
    let factory = PolicyFactory::new(profile, scenario.baselines);
    let deployment = Deployment::new(scenario.clone(), profile.clone()).unwrap();
    let (_, records) = simulate(deployment, &factory, &AtomicBool::new(false), &Unwatched).unwrap();
    records.frames
}

/// Fields that come from a clock.
fn without_clock(record: &FrameRecord) -> FrameRecord {
    FrameRecord {
        answer_time_s: 0.0,
        ..record.clone()
    }
}

/// Run both and compare; the outcomes that were met.
fn compare(toml: &str, profile: Option<&Profile>) -> BTreeMap<&'static str, usize> {
    let scenario = parse(toml, "test.toml", &[]).unwrap();
    let own = scenario.profile.curves.as_ref().map(curve_profile);
    let profile = profile.or(own.as_ref()).unwrap();
    let simulated = simulated(&scenario, profile);
    let live = virtual_clock::run(scenario.clone(), profile.clone(), scenario.seed).unwrap();
    assert_eq!(simulated.len(), live.len());
    let mut outcomes = BTreeMap::new();
    for (expected, got) in simulated.iter().zip(&live) {
        assert_eq!(without_clock(expected), without_clock(got));
        // The clock of the live run ticks once a slot.
        let answered = !matches!(got.outcome, Outcome::Local | Outcome::Infeasible);
        if answered {
            let off = got.answer_time_s - got.batch_time_s;
            assert!((-1e-9..=scenario.frame.slot_s).contains(&off), "{off}");
        } else {
            assert_eq!(expected.answer_time_s, got.answer_time_s);
        }
        *outcomes.entry(got.outcome.name()).or_default() += 1;
    }
    outcomes
}

fn tiny() -> Profile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles/tiny.parquet");
    enachi_data::profile::read(&path).unwrap()
}

const TINY: &str = r#"
frames = 40
warmup_frames = 0
seed = 5
[frame]
length_s = 0.1
[channel]
bandwidth_hz = 120e3
[device]
deadline_s = 0.1
energy_budget_j = 0.01
distance_m = [60.0, 250.0]
"#;

fn scenario(policy: &str, count: u32, more: &str) -> String {
    format!("policies = [\"{policy}\"]\n{TINY}\n{more}\n[[devices]]\ncount = {count}\n")
}

#[test]
fn every_policy_writes_the_simulators_records() {
    let profile = tiny();
    let mut met = BTreeMap::new();
    for policy in [
        "enachi",
        "progressive-ftx@stage1",
        "effect-dnn",
        "sc-cao",
        "edge-only",
        "device-only",
        "min-energy-split",
        "jpeg-equal-share",
        "best-static-cut",
    ] {
        for (outcome, count) in compare(&scenario(policy, 6, ""), Some(&profile)) {
            *met.entry(outcome).or_insert(0) += count;
        }
    }
    for outcome in [
        "delivered",
        "stopped_early",
        "deadline_cut",
        "sent_nothing",
        "local",
    ] {
        assert!(met.contains_key(outcome), "{outcome} was not met: {met:?}");
    }
}

#[test]
fn every_power_law_stop_rule_and_feedback_delay_does() {
    let profile = tiny();
    for policy in [
        "enachi+printed",
        "enachi+paper-tracking",
        "enachi+water-filling",
        "enachi+constant",
        "enachi+stop-marginal",
        "enachi+stop-never",
        "enachi+tail",
    ] {
        compare(&scenario(policy, 4, ""), Some(&profile));
    }
    for feedback in [1, 3, 40] {
        let more = format!("[packet]\nfeedback_slots = {feedback}");
        compare(&scenario("enachi", 4, &more), Some(&profile));
    }
}

#[test]
fn unequal_devices_and_deadlines_do() {
    let more = "[task]\nv = 20.0\n[[devices]]\ncount = 2\ndeadline_s = 0.06\nenergy_budget_j = 0.002\n[[devices]]\ncount = 2\n\
                mean_gain = 1e-15\nidle_power_w = 0.01\ncircuit_power_w = 0.1\namplifier_efficiency = 0.4";
    compare(&scenario("enachi", 2, more), Some(&tiny()));
}

#[test]
fn the_papers_curves_do() {
    let text = include_str!("../../../scenarios/paper.toml");
    let mut scenario: Scenario = parse(text, "paper.toml", &[]).unwrap();
    scenario.policies = vec!["enachi".into()];
    scenario.seeds = 1;
    scenario.frames = 30;
    scenario.channel.bandwidth_hz = 12e6;
    scenario.warmup_frames = 0;
    let outcomes = compare(&scenario.to_toml(), None);
    assert!(outcomes.len() > 1, "{outcomes:?}");
}
