//! The live engines, run on a clock of slots over a line of no time, write the simulator's own records.
//!
//! Compared field by field, to the last bit; only `answer_time_s` is taken from the clock, at the resolution of a slot.
#![allow(missing_docs, clippy::unwrap_used)]

use enachi_core::profile::Profile;
use enachi_core::record::{FrameRecord, Outcome, StopReason};
use enachi_data::trace::TraceWriter;
use enachi_runtime::virtual_clock;
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::{Scenario, parse};
use enachi_sim::simulate::{Unwatched, simulate};
use enachi_sim::world::{Setting, trace};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
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
        let answered = !matches!(
            got.outcome,
            Outcome::Local | Outcome::Infeasible | Outcome::Refused | Outcome::NoTask
        );
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
        "enachi-mux",
        "enachi-max",
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
fn plans_within_the_frame_do() {
    let profile = tiny();
    let mut met = BTreeMap::new();
    for policy in ["enachi-mux", "enachi-max"] {
        for more in [
            "[mux]\nperiod_slots = 1\ndelay_slots = 0",
            "[mux]\nperiod_slots = 7\ndelay_slots = 3",
            "[mux]\nperiod_slots = 5\ndelay_slots = 2\n[packet]\nfeedback_slots = 3",
            "[mux]\nperiod_slots = 1\ndelay_slots = 0\n[packet]\nfeedback_slots = 20",
            "[mux]\nperiod_slots = 6\ndelay_slots = 5\n[packet]\nfeedback_slots = 9",
            "[profile]\npicture_stream = \"jpeg\"\n[packet]\nfeedback_slots = 12",
            "[mux]\nperiod_slots = 5\ndelay_slots = 4\n[packet]\npower = \"water-filling\"\nstop = \"marginal\"",
            "[profile]\npicture_stream = \"jpeg\"\n[packet]\nstop = \"never\"",
            // Without a way out devices wait for band, pause, and go on.
            "[profile]\nforbid_local = true",
        ] {
            for (outcome, count) in compare(&scenario(policy, 6, more), Some(&profile)) {
                *met.entry(outcome).or_insert(0) += count;
            }
        }
    }
    for outcome in ["delivered", "stopped_early", "deadline_cut"] {
        assert!(met.contains_key(outcome), "{outcome} was not met: {met:?}");
    }
}

#[test]
fn an_edge_of_finite_capacity_does() {
    let profile = tiny();
    // A tail of the small network takes so long on this clock that few fit.
    for more in [
        "[edge]\nfrequency_hz = 30e6\nworkers = 1",
        "[edge]\nfrequency_hz = 30e6\nworkers = 2\nmax_batch = 3\nbatch_overhead_s = 0.002\nbatch_per_item = 0.3\nrefused = \"drop\"",
    ] {
        let mut met = BTreeMap::new();
        for policy in [
            "enachi",
            "enachi-max",
            "jpeg-equal-share",
            "best-static-cut",
        ] {
            for (outcome, count) in compare(&scenario(policy, 7, more), Some(&profile)) {
                *met.entry(outcome).or_insert(0) += count;
            }
        }
        assert!(met.contains_key("refused"), "{met:?}");
    }
}

/// On a clock that runs, what is accepted can be answered: tails that take their measured time fit between barrier and
/// deadline, with the slack, and the rest is refused in the grant.
#[test]
fn an_edge_that_is_too_slow_refuses_what_it_cannot_answer() {
    const TAIL_S: f64 = 0.021;
    for (workers, most) in [(1, 4), (2, 8)] {
        for policy in ["enachi", "enachi-max", "jpeg-equal-share"] {
            let more = "[profile]\nforbid_local = true";
            let parsed = parse(&scenario(policy, 12, more), "test.toml", &[]).unwrap();
            let deadline_s = parsed.device.deadline_s;
            let records = virtual_clock::run_on(parsed, tiny(), 5, |cell| {
                cell.measure_edge(|_| Some(TAIL_S));
                cell.set_live(workers, 0.004, true);
            })
            .unwrap();
            let mut refused = 0;
            for frame in 0..40 {
                let of: Vec<_> = records.iter().filter(|r| r.frame == frame).collect();
                assert_eq!(of.len(), 12);
                let served = of.iter().filter(|r| r.cut.is_some());
                let (mut tails, mut batch_s) = (0usize, deadline_s);
                for record in served {
                    tails += 1;
                    batch_s = batch_s.min(record.batch_time_s);
                    assert!(record.entropy_nats.is_some(), "no answer: {record:?}");
                }
                let rounds = tails.div_ceil(workers) as f64;
                let over_s = batch_s + rounds * TAIL_S + if tails > 0 { 0.004 } else { 0.0 };
                assert!(
                    over_s <= deadline_s + 1e-9,
                    "{policy}: {tails} tails from {batch_s}"
                );
                assert!(tails <= most, "{policy}: {tails} tails");
                let full = of.iter().filter(|r| r.outcome == Outcome::Refused);
                refused += full
                    .inspect(|r| assert_eq!(r.stop_reason, StopReason::EdgeFull))
                    .count();
            }
            assert!(refused > 100, "{policy}: {refused}");
        }
    }
}

#[test]
fn frames_without_a_task_do() {
    let profile = tiny();
    for arrivals in [
        "process = \"bernoulli\"\ntasks_per_frame = 0.4",
        "process = \"poisson\"\ntasks_per_frame = 0.9\nwaiting_max = 2",
    ] {
        for policy in ["enachi", "enachi-max", "jpeg-equal-share", "sc-cao"] {
            let more =
                format!("[arrivals]\n{arrivals}\n[[devices]]\ncount = 1\nidle_power_w = 0.02");
            let met = compare(&scenario(policy, 4, &more), Some(&profile));
            assert!(met.contains_key("no_task"), "{met:?}");
        }
    }
}

#[test]
fn pictures_do() {
    let profile = tiny();
    for (policy, more) in [
        ("jpeg-equal-share", ""),
        (
            "best-static-cut@input",
            "[profile]\npicture_stream = \"webp-ladder\"",
        ),
        ("enachi", "[profile]\ncandidates = [\"input\"]"),
    ] {
        let toml = scenario(policy, 4, more);
        let parsed = parse(&toml, "test.toml", &[]).unwrap();
        let live = virtual_clock::run(parsed.clone(), profile.clone(), parsed.seed).unwrap();
        let sent = live
            .iter()
            .filter(|r| r.cut == Some(0) && r.outcome == Outcome::Delivered);
        assert!(sent.count() > 20, "{policy} sends no pictures");
        compare(&toml, Some(&profile));
    }
}

#[test]
fn line_of_sight_that_comes_and_goes_does() {
    let more = "[channel]\nfading = \"rician\"\npath_loss = \"umi\"";
    let text = scenario("enachi-max", 5, "").replace("[channel]", more);
    compare(&text, Some(&tiny()));
}

#[test]
fn a_gain_trace_does() {
    let urban = "[channel]\nfading = \"rayleigh\"\ncorrelation = \"doppler\"\n";
    let moving = "[mobility]\nmodel = \"random-waypoint\"";
    let world = scenario("enachi", 5, moving).replace("[channel]\n", urban);
    let world: Scenario = parse(&world, "world.toml", &[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.csv");
    let mut writer = TraceWriter::create(&file).unwrap();
    let setting = Arc::new(Setting::new(&world).unwrap());
    trace::export(&setting, world.seed, world.frames, &mut writer, || {}).unwrap();
    writer.finish().unwrap();
    let path = file.to_str().unwrap();
    let trace = format!("[profile]\nforbid_local = true\n[channel.trace]\npath = {path:?}");
    for policy in ["enachi", "enachi-mux", "enachi-max"] {
        // So little band that not every upload gets as far as its stop.
        let narrow = scenario(policy, 5, &trace).replace("120e3", "15e3");
        let met = compare(&narrow, Some(&tiny()));
        assert!(met.len() > 1 && !met.contains_key("local"), "{met:?}");
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
    scenario.seeds = 1;
    scenario.frames = 30;
    scenario.channel.bandwidth_hz = 12e6;
    scenario.warmup_frames = 0;
    for policy in ["enachi", "enachi-mux", "enachi-max"] {
        scenario.policies = vec![policy.into()];
        let outcomes = compare(&scenario.to_toml(), None);
        assert!(outcomes.len() > 1, "{outcomes:?}");
    }
}
