//! Simulations with an edge of finite capacity.
#![allow(clippy::unwrap_used)]

mod common;

use common::{factory, profile, scenario};
use enachi_core::profile::CutKind;
use enachi_core::record::{FrameRecord, Outcome, StopReason};
use enachi_core::task::policies::PolicyParams;
use enachi_core::task::{FrameView, PlanFailure, StreamUse, TaskGrant, TaskPolicy};
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::parse;
use enachi_sim::simulate::{Records, Unwatched, simulate};
use enachi_sim::summary::summarise;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

const ALL: &str = r#"policies = ["enachi", "enachi-mux", "enachi-sequential", "effect-dnn", "sc-cao", "min-energy-split",
    "jpeg-equal-share", "best-static-cut", "device-only", "tracking", "level", "half", "enachi-max"]
frames = 30
warmup_frames = 5
seeds = 2
[channel]
bandwidth_hz = 1.2e6
shadowing_db = 3
[device]
distance_m = [50, 150]
energy_budget_j = 0.08
[[devices]]
count = 3
[[devices]]
count = 2
deadline_s = 0.2
energy_budget_j = 0.05
[output]
slots = true
"#;

fn run(text: &str) -> Records {
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    let cancel = AtomicBool::new(false);
    simulate(deployment, &factory(), &cancel, &Unwatched)
        .unwrap()
        .1
}

#[test]
fn a_worker_for_everybody_is_the_paper_to_the_byte() {
    let open = run(ALL);
    for edge in [
        "workers = 5",
        "workers = 100000",
        "workers = 5\nbatch_per_item = 0.2",
        "workers = 5\nmax_batch = 1",
    ] {
        let many = run(&format!("{ALL}\n[edge]\n{edge}"));
        assert_eq!(open.frames, many.frames, "{edge}");
        assert_eq!(open.slots, many.slots, "{edge}");
    }
}

/// 25 users on 20 MHz of the paper's setting, with more overrides.
fn paper(policies: &str, more: &[&str]) -> (Deployment, Records) {
    let mut overrides: Vec<String> = [
        "channel.bandwidth_hz=20e6",
        "devices=[{count=25,mean_gain=1.5e-11}]",
        "frames=12",
        "warmup_frames=2",
        "seeds=1",
        policies,
    ]
    .map(String::from)
    .to_vec();
    overrides.extend(more.iter().map(|text| (*text).to_owned()));
    let text = include_str!("../../../scenarios/paper.toml");
    let scenario = parse(text, "paper.toml", &overrides).unwrap();
    let profile = curve_profile(scenario.profile.curves.as_ref().unwrap());
    let factory = PolicyFactory::new(&profile, PolicyParams::default());
    let deployment = Deployment::new(scenario, profile).unwrap();
    let cancel = AtomicBool::new(false);
    simulate(deployment, &factory, &cancel, &Unwatched).unwrap()
}

/// Frames of one policy: records by frame.
fn frames(records: &Records, policy: u16) -> BTreeMap<(u64, u32), Vec<&FrameRecord>> {
    let mut frames: BTreeMap<_, Vec<&FrameRecord>> = BTreeMap::new();
    for record in records.frames.iter().filter(|r| r.policy == policy) {
        frames
            .entry((record.seed, record.frame))
            .or_default()
            .push(record);
    }
    frames
}

/// What must hold in every frame on an edge whose batches save nothing.
fn check(deployment: &Deployment, records: &Records, workers: f64) {
    let edge = &deployment.scenario.edge;
    let macs_per_s = edge.frequency_hz / edge.cycles_per_mac;
    for policy in 0..records.names.policies.len() {
        for rows in frames(records, policy as u16).values() {
            let mut load_s = 0.0;
            let mut barrier_s = f64::INFINITY;
            for r in rows {
                match r.outcome {
                    Outcome::Refused => {
                        assert_eq!(r.stop_reason, StopReason::EdgeFull);
                        assert!(r.cut.is_none() && r.slots == 0 && !r.correct);
                        assert!(r.energy_j() == 0.0 && r.bandwidth_hz == 0.0);
                    }
                    Outcome::Local | Outcome::Infeasible | Outcome::PolicyFailed => {}
                    _ => {
                        assert_ne!(r.stop_reason, StopReason::EdgeFull);
                        let cut = deployment.cut(r.cut.unwrap().into());
                        load_s += cut.tail_macs as f64 / macs_per_s;
                        barrier_s = barrier_s.min(r.batch_time_s);
                        assert!(r.answer_time_s <= 0.3 + 1e-9);
                        assert!(r.sent_time_s <= r.batch_time_s + 1e-9 || r.slots == 0);
                    }
                }
            }
            if load_s > 0.0 {
                assert!(load_s <= workers * (0.3 - barrier_s) + 1e-9);
            }
        }
    }
}

#[test]
fn twenty_five_tails_do_not_fit_on_one_worker() {
    let policies =
        "policies=[\"enachi\",\"best-static-cut\",\"edge-only\",\"enachi-mux\",\"enachi-max\"]";
    let (deployment, one) = paper(policies, &["edge.workers=1"]);
    check(&deployment, &one, 1.0);
    let refused = |records: &Records, policy: u16| {
        let rows = records.frames.iter().filter(|r| r.policy == policy);
        rows.filter(|r| r.stop_reason == StopReason::EdgeFull)
            .count() as f64
            / (12.0 * 25.0)
    };
    // The shortest tail, after layer2.0, takes 19.7 ms: never more than 15 in 300 ms, and they must be sent as well.
    for policy in 0..5 {
        assert!(refused(&one, policy) >= 0.4, "{policy}");
        assert!(refused(&one, policy) < 1.0, "{policy}");
    }
    // Whole answers for some are better than none for all.
    let (deployment, four) = paper(policies, &["edge.workers=4"]);
    check(&deployment, &four, 4.0);
    let (open_deployment, open) = paper(policies, &[]);
    let accuracy = |deployment: &Deployment, records: &Records, policy: usize| {
        summarise(&deployment.scenario, records).policies[policy].accuracy
    };
    for policy in [0, 1, 3, 4] {
        let of_one = accuracy(&deployment, &one, policy);
        let of_four = accuracy(&deployment, &four, policy);
        let of_all = accuracy(&open_deployment, &open, policy);
        assert!(
            of_one < of_four && of_four < of_all + 0.02,
            "{policy}: {of_one} {of_four} {of_all}"
        );
    }
    assert!(accuracy(&deployment, &four, 0) > 0.6);
    // A large batch in the time of few tails takes the pressure off.
    let more = ["edge.workers=1", "edge.batch_table=[[1,10],[8,20],[32,40]]"];
    let (batched_deployment, batched) = paper(policies, &more);
    assert!(accuracy(&batched_deployment, &batched, 0) > accuracy(&deployment, &one, 0) + 0.1);
}

#[test]
fn cuts_move_to_where_the_tail_is_short() {
    // An early cut with the shorter stream, and a deep one with hardly any tail, in reach of the deadline.
    let mut profile = profile();
    let stream = &mut profile.cuts[1].streams[0];
    stream.total_bits /= 3.0;
    let measured = stream.measured.as_mut().unwrap();
    measured.bits.iter_mut().for_each(|bits| *bits /= 3.0);
    stream.samples.bits.iter_mut().for_each(|bits| *bits /= 3);
    (profile.cuts[2].head_macs, profile.cuts[2].tail_macs) = (390_000_000, 10_000_000);
    let text = ALL.replace(
        "[device]",
        "[profile]\nforbid_input = true\nforbid_local = true\n[device]",
    );
    let text = text.replace("energy_budget_j = 0.08", "energy_budget_j = 0.015");
    let text = text.replace("energy_budget_j = 0.05", "energy_budget_j = 0.015");
    let run = |edge: &str| {
        let scenario = scenario(&text.replace("[device]", &format!("{edge}\n[device]")));
        let deployment = Deployment::new(scenario, profile.clone()).unwrap();
        let cancel = AtomicBool::new(false);
        simulate(deployment, &factory(), &cancel, &Unwatched)
            .unwrap()
            .1
    };
    // One early tail takes 76 ms of the only worker, a deep one 2 ms.
    let clock = "[edge]\nfrequency_hz = 6e8";
    let (open, busy) = (run(clock), run(&format!("{clock}\nworkers = 1")));
    for policy in [0, 1] {
        let share = |records: &Records, cut: u16| {
            let of = records.frames.iter().filter(|r| r.policy == policy);
            of.filter(|r| r.cut == Some(cut)).count() as f64 / 300.0
        };
        let deep = [share(&open, 2), share(&busy, 2)];
        assert!(deep[1] > deep[0] + 0.2, "{policy}: {deep:?}");
    }
}

/// The first inner cut, or what is left.
struct Stubborn;

impl TaskPolicy for Stubborn {
    fn name(&self) -> &str {
        "stubborn"
    }
    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }
    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        for (grant, device) in grants.iter_mut().zip(frame.devices) {
            let inner = |n: &u32| frame.candidates[*n as usize].kind == CutKind::Feature;
            let range = device.candidates.clone();
            let candidate = range.clone().find(inner).or(range.clone().last());
            *grant = TaskGrant {
                candidate,
                bandwidth_hz: 2e5,
                reference_power_w: 0.2,
                bits_limit: f64::INFINITY,
                accuracy: 0.5,
                ..TaskGrant::default()
            };
        }
        Ok(())
    }
}

#[test]
fn refused_tasks_run_on_the_device_where_they_may() {
    // Five tails of 76 ms on one worker.
    let edge = "policies = [\"stubborn\"]\n[edge]\nworkers = 1\nfrequency_hz = 6e8";
    let cell = ALL.split_once("seeds = 2").unwrap().1;
    let run = |edge: &str| {
        let scenario = scenario(&format!(
            "frames = 30\nseeds = 2\nwarmup_frames = 5\n{edge}{cell}"
        ));
        let deployment = Deployment::new(scenario, profile()).unwrap();
        let factory = factory().with("stubborn", || Stubborn);
        let cancel = AtomicBool::new(false);
        simulate(deployment, &factory, &cancel, &Unwatched)
            .unwrap()
            .1
    };
    let records = run(edge);
    let turned = |r: &&FrameRecord| r.stop_reason == StopReason::EdgeFull;
    let local: Vec<&FrameRecord> = records.frames.iter().filter(turned).collect();
    assert!(local.len() >= 60 && local.len() < 300, "{}", local.len());
    for r in &local {
        assert_eq!(r.outcome, Outcome::Local);
        // 400 MMAC at 2 GHz.
        assert!((r.answer_time_s - 0.0269).abs() < 1e-9 && r.energy_local_j > 0.02);
    }
    let dropped = run(&edge.replace("workers = 1", "workers = 1\nrefused = \"drop\""));
    let rows: Vec<&FrameRecord> = dropped.frames.iter().filter(turned).collect();
    assert!(rows.len() >= 60);
    assert!(rows.iter().all(|r| r.outcome == Outcome::Refused));
    assert!(rows.iter().all(|r| r.energy_j() == 0.0 && !r.correct));
}

#[test]
fn same_records_on_any_number_of_threads() {
    let text = ALL.replace(
        "[device]",
        "[edge]\nworkers = 1\nfrequency_hz = 1e8\n[device]",
    );
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        pool.install(|| run(&text).frames)
    };
    assert_eq!(on(1), on(4));
}

#[test]
fn edges_that_make_no_sense_are_refused() {
    let message = |edge: &str| {
        let text = format!("[edge]\n{edge}");
        parse(&text, "s.toml", &[]).unwrap_err().to_string()
    };
    assert!(message("workers = 0").contains("edge.workers = 0: must be at least 1"));
    assert!(message("workers = -1").contains("workers"));
    assert!(message("workers = 1\nmax_batch = 0").contains("edge.max_batch = 0"));
    let text = message("workers = 1\nbatch_overhead_s = -0.1");
    assert!(text.contains("edge.batch_overhead_s = -0.1"), "{text}");
    let text = message("workers = 1\nbatch_per_item = 1.5");
    assert!(
        text.contains("edge.batch_per_item = 1.5: must be in 0..=1"),
        "{text}"
    );
    let text = message("workers = 1\nbatch_table = [[2, 1.0]]");
    assert!(
        text.contains("edge.batch_table = [2, 1]: must be of size 1"),
        "{text}"
    );
    let text = message("workers = 1\nbatch_table = [[1, 2.0], [4, 1.0]]");
    assert!(text.contains("edge.batch_table = [4, 1]"), "{text}");
    let text = message("batch_per_item = 0.5");
    assert!(text.contains("edge.workers = absent"), "{text}");
    let text = message("workers = 1\nrefused = \"lcal\"");
    assert!(text.contains("did you mean `local`?"), "{text}");
}
