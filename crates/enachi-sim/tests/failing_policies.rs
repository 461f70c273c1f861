//! Policies that fail now and then: nobody sends in that frame, it is counted, and the rest of the run is as usual.
#![allow(clippy::unwrap_used)]

mod common;

use common::{EQUAL, factory, scenario};
use enachi_core::record::{FrameRecord, Outcome, StopReason};
use enachi_core::task::{FrameOutcome, FrameView, PlanFailure, StreamUse, TaskGrant, TaskPolicy};
use enachi_sim::deployment::Deployment;
use enachi_sim::explain::{Question, explain};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::simulate::{Records, Unwatched, simulate};
use enachi_sim::summary::summarise;
use std::sync::atomic::AtomicBool;

const SCENARIO: &str = "policies = [\"failing\"]\nframes = 12\nwarmup_frames = 0\nseeds = 2\n\
     [channel]\nbandwidth_hz = 1e6\n[device]\nidle_power_w = 0.01\n[[devices]]\ncount = 3";

/// Frame in which policies fail.
const FRAME: u64 = 5;

/// As [`EQUAL`], but in one frame it does something else.
#[derive(Clone)]
struct Failing {
    plan: fn(&FrameView<'_>, &mut [TaskGrant]) -> Result<(), PlanFailure>,
    observe: fn(u64),
    resets: u32,
    frame: u64,
}

impl TaskPolicy for Failing {
    fn name(&self) -> &str {
        "failing"
    }
    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }
    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        self.frame = frame.frame;
        EQUAL.clone().plan(frame, grants)?;
        if frame.frame == FRAME {
            return (self.plan)(frame, grants);
        }
        Ok(())
    }
    fn observe(&mut self, _outcomes: &[FrameOutcome]) {
        (self.observe)(self.frame);
    }
    fn reset(&mut self) {
        self.resets += 1;
    }
}

const SOUND: Failing = Failing {
    plan: |_, _| Ok(()),
    observe: |_| {},
    resets: 0,
    frame: 0,
};

fn with(policy: Failing) -> PolicyFactory {
    factory().with("failing", move || policy.clone())
}

fn run(policy: Failing) -> (Deployment, Records) {
    let deployment = Deployment::new(scenario(SCENARIO), common::profile()).unwrap();
    let cancel = AtomicBool::new(false);
    simulate(deployment, &with(policy), &cancel, &Unwatched).unwrap()
}

/// What the failure says, where `plan` fails; checks everything else.
fn fails(plan: fn(&FrameView<'_>, &mut [TaskGrant]) -> Result<(), PlanFailure>) -> String {
    let (deployment, records) = run(Failing { plan, ..SOUND });
    let (_, sound) = run(SOUND);
    assert_eq!(records.frames.len(), 2 * 12 * 3);
    for (row, other) in records.frames.iter().zip(&sound.frames) {
        if u64::from(row.frame) == FRAME {
            assert_eq!(row.outcome, Outcome::PolicyFailed);
            assert_eq!(row.stop_reason, StopReason::NotSending);
            assert!((row.cut, row.slots, row.correct) == (None, 0, false));
            assert!(row.bandwidth_hz == 0.0 && row.reference_power_w == 0.0);
            // Idling for a frame of 300 ms is all it cost.
            assert!((row.energy_j() - 0.003).abs() < 1e-12);
            assert_eq!(row.image, other.image);
        } else {
            assert_ne!(row.outcome, Outcome::PolicyFailed);
        }
        if u64::from(row.frame) < FRAME {
            assert_eq!(row, other);
        }
    }
    let summary = summarise(&deployment.scenario, &records);
    let [own] = &summary.policies[..] else {
        panic!("one policy")
    };
    assert_eq!(own.failures, 2);
    assert!((own.policy_failed_rate - 1.0 / 12.0).abs() < 1e-12);
    let first = own.first_failure.clone().unwrap();
    let json = serde_json::to_string(&summary).unwrap();
    assert!(json.contains("\"failures\":2") && json.contains("\"first_failure\""));
    first
        .strip_prefix("seed 1, frame 5: ")
        .expect("seed and frame come first")
        .to_owned()
}

#[test]
fn a_policy_that_declines_sends_nothing() {
    let said = fails(|_, _| Err(PlanFailure::Declined("no solution".into())));
    assert_eq!(said, "no plan: no solution");
}

#[test]
fn a_panic_stays_in_its_frame() {
    assert_eq!(fails(|_, _| panic!("out of luck")), "panicked: out of luck");
    let text = fails(|frame, grants| {
        let beyond = grants.len() + frame.devices.len();
        grants[beyond].bits = 1.0;
        Ok(())
    });
    assert!(text.starts_with("panicked: index out of bounds"), "{text}");
}

#[test]
fn grants_that_cannot_be_carried_out_are_refused() {
    type Plan = fn(&FrameView<'_>, &mut [TaskGrant]) -> Result<(), PlanFailure>;
    let cases: [(Plan, &str); 11] = [
        (
            |_, grants| {
                grants[1].bandwidth_hz = f64::NAN;
                Ok(())
            },
            "device 1: bandwidth_hz = NaN: must be in 0..=1000000",
        ),
        (
            |_, grants| {
                grants[0].bandwidth_hz = -1.0;
                Ok(())
            },
            "device 0: bandwidth_hz = -1: must be",
        ),
        (
            |frame, grants| {
                grants[2].bandwidth_hz += 0.01 * frame.bandwidth_hz;
                Ok(())
            },
            "bandwidth_hz adds up to 1010000",
        ),
        (
            |_, grants| {
                grants[1].reference_power_w = 2.5;
                Ok(())
            },
            "device 1: reference_power_w = 2.5: must be in 0..=2",
        ),
        (
            |_, grants| {
                grants[1].reference_power_w = f64::INFINITY;
                Ok(())
            },
            "device 1: reference_power_w = inf",
        ),
        (
            |_, grants| {
                grants[2].candidate = Some(99);
                Ok(())
            },
            "device 2: candidate = 99: must be None or one of the device's, 0..4",
        ),
        (
            |_, grants| {
                grants[0].bits_limit = f64::NAN;
                Ok(())
            },
            "device 0: bits_limit = NaN: must be at least 0",
        ),
        (
            |_, grants| {
                grants[0].accuracy = f64::NAN;
                Ok(())
            },
            "device 0: accuracy = NaN",
        ),
        (
            |_, grants| {
                grants[0].bits = f64::INFINITY;
                Ok(())
            },
            "device 0: bits = inf",
        ),
        (
            |frame, grants| {
                grants[0].candidate = Some(frame.devices[0].candidates.start);
                grants[0].level = Some(3);
                Ok(())
            },
            "device 0: level = 3: must be below 3",
        ),
        (
            |_, grants| {
                grants[0].level = Some(0);
                Ok(())
            },
            "device 0: level = 0: must be None for an embedded stream",
        ),
    ];
    for (plan, expected) in cases {
        let said = fails(plan);
        assert!(said.starts_with(expected), "{said} instead of {expected}");
    }
}

#[test]
fn all_local_must_end_by_the_deadline() {
    let text = format!("{SCENARIO}\n").replace("[device]", "[device]\ndeadline_s = 0.02");
    let text = text.replace("\"failing\"", "\"local\"");
    let deployment = Deployment::new(scenario(&text), common::profile()).unwrap();
    let cancel = AtomicBool::new(false);
    let (deployment, records) = simulate(deployment, &factory(), &cancel, &Unwatched).unwrap();
    // 400 MMAC take 27 ms.
    assert!(
        records
            .frames
            .iter()
            .all(|r| r.outcome == Outcome::PolicyFailed)
    );
    let summary = summarise(&deployment.scenario, &records);
    let first = summary.policies[0].first_failure.clone().unwrap();
    assert!(
        first.contains("all local") && first.contains("0.02 s"),
        "{first}"
    );
}

#[test]
fn a_panic_while_observing_is_counted_and_costs_nothing() {
    let (deployment, records) = run(Failing {
        observe: |frame| assert!(frame != FRAME, "cannot bear to look"),
        ..SOUND
    });
    assert_eq!(records.frames, run(SOUND).1.frames);
    let summary = summarise(&deployment.scenario, &records);
    assert_eq!(summary.policies[0].failures, 2);
    assert_eq!(summary.policies[0].policy_failed_rate, 0.0);
    let first = summary.policies[0].first_failure.clone().unwrap();
    assert!(first.contains("cannot bear to look"), "{first}");
}

#[test]
fn a_policy_is_reset_after_a_panic_and_only_then() {
    let deployment = Deployment::new(scenario(SCENARIO), common::profile()).unwrap();
    // Says by its band how often it was reset.
    let tell = |policy: Failing| factory().with("failing", move || Telling(policy.clone()));
    let cancel = AtomicBool::new(false);
    for (plan, resets) in [
        (
            (|_: &FrameView<'_>, _: &mut [TaskGrant]| panic!("once"))
                as fn(&FrameView<'_>, &mut [TaskGrant]) -> _,
            1.0,
        ),
        (|_, _| Err(PlanFailure::Declined(String::new())), 0.0),
    ] {
        let factory = tell(Failing { plan, ..SOUND });
        let records = simulate(deployment.clone(), &factory, &cancel, &Unwatched)
            .unwrap()
            .1;
        let last: Vec<&FrameRecord> = records.frames.iter().filter(|r| r.frame == 11).collect();
        assert!(last.iter().all(|r| r.planned_bits == resets));
    }
}

struct Telling(Failing);

impl TaskPolicy for Telling {
    fn name(&self) -> &str {
        "failing"
    }
    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }
    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        let result = self.0.plan(frame, grants);
        for grant in grants {
            grant.bits = f64::from(self.0.resets);
        }
        result
    }
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[test]
fn explain_says_that_the_policy_failed() {
    let deployment = Deployment::new(scenario(SCENARIO), common::profile()).unwrap();
    let plan =
        |_: &FrameView<'_>, _: &mut [TaskGrant]| Err(PlanFailure::Declined("not today".into()));
    let question = Question {
        policy: None,
        seed: None,
        frame: FRAME as u32,
        device: 1,
    };
    let answer = explain(deployment, &with(Failing { plan, ..SOUND }), &question).unwrap();
    assert_eq!(answer.binding, ["the policy failed: no plan: not today"]);
    assert_eq!(answer.record.outcome, Outcome::PolicyFailed);
}
