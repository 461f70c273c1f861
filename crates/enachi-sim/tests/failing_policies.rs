//! Policies that fail now and then: nobody sends in that frame, it is counted, and the rest of the run is as usual.
#![allow(clippy::unwrap_used)]

mod common;

use common::{EQUAL, factory, scenario};
use enachi_core::record::{FrameRecord, Outcome, StopReason};
use enachi_core::task::{
    FrameOutcome, FrameView, PlanFailure, PlanQuality, Replanning, StreamUse, TaskGrant, TaskPolicy,
};
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
    /// What it says of its plan in that frame.
    worth: fn() -> PlanQuality,
    replanning: Replanning,
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
    fn replanning(&self) -> Replanning {
        self.replanning
    }
    fn last_plan(&self) -> Option<PlanQuality> {
        Some(match self.frame {
            FRAME => (self.worth)(),
            _ => PlanQuality::default(),
        })
    }
}

const SOUND: Failing = Failing {
    plan: |_, _| Ok(()),
    observe: |_| {},
    worth: PlanQuality::default,
    replanning: Replanning::Never,
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
    one_frame_fails(Failing { plan, ..SOUND }, SOUND)
}

/// What the failure of `policy` says, which is as `sound` but for its one frame; checks everything else.
fn one_frame_fails(policy: Failing, sound: Failing) -> String {
    let (deployment, records) = run(policy);
    let (_, sound) = run(sound);
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
fn what_a_policy_says_of_its_plan_is_not_trusted_either() {
    type Worth = fn() -> PlanQuality;
    let price = "last_plan: bandwidth_price = ";
    let cases: [(Worth, String); 5] = [
        (|| panic!("worth nothing"), "panicked: worth nothing".into()),
        (
            || PlanQuality {
                bandwidth_price: f64::NAN,
                ..PlanQuality::default()
            },
            format!("{price}NaN: must be finite and at least 0"),
        ),
        (
            || PlanQuality {
                bandwidth_price: -1.0,
                ..PlanQuality::default()
            },
            format!("{price}-1"),
        ),
        (
            || PlanQuality {
                objective: f64::INFINITY,
                ..PlanQuality::default()
            },
            "last_plan: objective = inf: must be finite".into(),
        ),
        (
            || PlanQuality {
                upper_bound: f64::NAN,
                ..PlanQuality::default()
            },
            "last_plan: upper_bound = NaN".into(),
        ),
    ];
    for replanning in [
        Replanning::Never,
        Replanning::Bits,
        Replanning::StoppingAware,
    ] {
        let sound = Failing {
            replanning,
            ..SOUND
        };
        for (worth, expected) in &cases {
            let worth = *worth;
            let said = one_frame_fails(
                Failing {
                    worth,
                    ..sound.clone()
                },
                sound.clone(),
            );
            assert!(said.starts_with(expected), "{said} instead of {expected}");
        }
    }
}

/// Answers that are worth more than there are numbers: the policy does not mind, the plans within the frame cannot be made. The
/// frame's own plan holds then, and the frame is counted.
#[test]
fn plans_within_the_frame_that_fail_leave_the_one_before() {
    let records = |replanning: Replanning, worth: &str| {
        let text = format!("{SCENARIO}\n[task]\nv = {worth}");
        let text = text.replace("[device]", "[device]\nweight = 1e6");
        let deployment = Deployment::new(scenario(&text), common::profile()).unwrap();
        let policy = Failing {
            replanning,
            ..SOUND
        };
        let cancel = AtomicBool::new(false);
        simulate(deployment, &with(policy), &cancel, &Unwatched).unwrap()
    };
    let (_, never) = records(Replanning::Never, "1e305");
    for replanning in [Replanning::Bits, Replanning::StoppingAware] {
        assert!(records(replanning, "1.0").1.failures.is_empty());
        let (deployment, failed) = records(replanning, "1e305");
        assert_eq!(failed.frames.len(), never.frames.len());
        for (row, other) in failed.frames.iter().zip(&never.frames) {
            // Bands that lie idle are shared out all the same.
            assert!(row.chunks >= other.chunks, "{row:?}");
            assert!(row.bits.is_finite() && row.energy_j().is_finite());
            assert_eq!(row.bandwidth_hz, other.bandwidth_hz);
        }
        let summary = summarise(&deployment.scenario, &failed);
        assert_eq!(summary.policies[0].failures, 2 * 12);
        assert_eq!(summary.policies[0].policy_failed_rate, 0.0);
        let first = summary.policies[0].first_failure.clone().unwrap();
        let expected = "seed 1, frame 0: plan within the frame for slot 0 on: ";
        assert!(first.starts_with(expected), "{first}");
    }
}

/// The smallest numbers that a grant may hold, under every power law and stop rule: powers, bits and energies are numbers.
#[test]
fn power_laws_take_whatever_is_granted() {
    let tiny: fn(&FrameView<'_>, &mut [TaskGrant]) -> Result<(), PlanFailure> = |_, grants| {
        (grants[0].bandwidth_hz, grants[0].bits_limit) = (1e-270, 5e-324);
        grants[1].reference_power_w = 5e-324;
        grants[2].bits_limit = f64::MAX;
        Ok(())
    };
    let laws = [
        "reference-tracking",
        "paper-tracking",
        "printed",
        "constant",
        "water-filling",
    ];
    for law in laws {
        for stop in ["stop-entropy", "stop-marginal", "stop-never"] {
            for replanning in [Replanning::Never, Replanning::StoppingAware] {
                let text = SCENARIO.replace("failing", &format!("failing+{law}+{stop}"));
                let deployment = Deployment::new(scenario(&text), common::profile()).unwrap();
                let policy = Failing {
                    plan: tiny,
                    replanning,
                    ..SOUND
                };
                let cancel = AtomicBool::new(false);
                let (_, records) =
                    simulate(deployment, &with(policy), &cancel, &Unwatched).unwrap();
                assert!(records.failures.is_empty(), "{:?}", records.failures);
                for row in &records.frames {
                    let numbers = [
                        row.bits,
                        row.energy_j(),
                        row.mean_power_w,
                        row.power_queue_w,
                    ];
                    assert!(
                        numbers.iter().all(|x| x.is_finite()),
                        "{law} {stop}: {row:?}"
                    );
                    assert!((0.0..=2.0).contains(&row.mean_power_w), "{row:?}");
                }
            }
        }
    }
    let nothing = fails(|_, grants| {
        grants[1].bandwidth_hz = 5e-324;
        Ok(())
    });
    assert!(
        nothing.starts_with("device 1: bandwidth_hz = 5e-324: must be 0, or"),
        "{nothing}"
    );
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
