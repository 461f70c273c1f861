//! Every policy on frames of every kind: grants are feasible, reproducible, and do what the policy stands for.
mod common;

use common::Rng;
use common::frames::{CUTS, frame};
use enachi_core::profile::{CutKind, LadderKind};
use enachi_core::task::check_grants;
use enachi_core::task::policies::{NAMES, PolicyError, PolicyParams, by_name};
use enachi_core::task::{FrameOutcome, FrameView, PowerMode, TaskGrant, TaskPolicy};

fn names() -> Vec<String> {
    let names = NAMES.iter().map(|name| name.replace("@CUT", "@layer2.0"));
    names.chain(["best-static-cut@1".to_owned()]).collect()
}

fn make(name: &str) -> Box<dyn TaskPolicy> {
    by_name(name, &PolicyParams::default(), &CUTS).expect("known")
}

/// Run a policy for some frames; all grants.
fn run(policy: &mut dyn TaskPolicy, n: usize, frames: u64, deadline_s: f64) -> Vec<Vec<TaskGrant>> {
    let mut rng = Rng(5);
    let mut all = Vec::new();
    for index in 0..frames {
        let owned = frame(n, policy.stream_use(), deadline_s, &mut rng);
        let view = owned.view(index);
        let mut grants = vec![TaskGrant::default(); n];
        policy.plan(&view, &mut grants).expect("a plan");
        check_grants(&view, &grants).expect("grants that can be carried out");
        check(policy.name(), &view, &grants);
        let outcomes: Vec<FrameOutcome> = grants
            .iter()
            .map(|grant| FrameOutcome {
                energy_j: 0.2,
                latency_s: rng.range(0.5, 1.3) * deadline_s,
                bits: grant.bits,
                deadline_cut: rng.chance(0.3),
            })
            .collect();
        policy.observe(&outcomes);
        all.push(grants);
    }
    all
}

fn check(name: &str, view: &FrameView<'_>, grants: &[TaskGrant]) {
    let band: f64 = grants.iter().map(|g| g.bandwidth_hz).sum();
    assert!(band <= view.bandwidth_hz * (1.0 + 1e-9), "{name}: {band}");
    for (device, grant) in view.devices.iter().zip(grants) {
        assert!(
            grant.bandwidth_hz >= 0.0 && grant.reference_power_w >= 0.0,
            "{name}"
        );
        assert!(
            grant.reference_power_w <= device.power_max_w * (1.0 + 1e-12),
            "{name}"
        );
        assert!((0.0..=1.0).contains(&grant.accuracy), "{name}");
        let Some(index) = grant.candidate else {
            continue;
        };
        assert!(
            device.candidates.contains(&index),
            "{name} grants another device's candidate"
        );
        let candidate = &view.candidates[index as usize];
        assert!(
            candidate.feasible(),
            "{name} grants a candidate that misses the deadline"
        );
        assert!(grant.bits <= candidate.total_bits * (1.0 + 1e-9), "{name}");
        let capacity = view.radio.bits(
            grant.bandwidth_hz,
            device.gain,
            grant.reference_power_w,
            candidate.transmit_time_s,
        );
        assert!(
            grant.bits <= capacity * (1.0 + 1e-9),
            "{name}: {} > {capacity}",
            grant.bits
        );
        match candidate.ladder {
            LadderKind::Embedded => assert_eq!(grant.level, None, "{name}"),
            LadderKind::Alternatives => {
                let level = grant.level.expect("a level is chosen");
                let bits = view.levels[(candidate.levels.start + level) as usize].bits;
                assert_eq!(grant.bits_limit, bits, "{name}");
            }
        }
        if candidate.kind == CutKind::Local {
            assert_eq!((grant.bits, grant.reference_power_w), (0.0, 0.0), "{name}");
        }
    }
}

#[test]
fn every_policy_makes_feasible_grants_and_repeats_them_after_a_reset() {
    for name in names() {
        let mut policy = make(&name);
        assert_eq!(policy.name(), name);
        let first = run(policy.as_mut(), 6, 30, 0.3);
        policy.reset();
        assert_eq!(first, run(policy.as_mut(), 6, 30, 0.3), "{name}");
        // Alone, and with a deadline that leaves nothing.
        run(policy.as_mut(), 1, 5, 0.3);
        policy.reset();
        for grants in run(policy.as_mut(), 3, 3, 0.01) {
            assert!(grants.iter().all(|g| g.candidate.is_none()), "{name}");
        }
    }
}

#[test]
fn who_stops_tracks_and_fixes() {
    for name in names() {
        let mut policy = make(&name);
        let inner = name.starts_with("enachi") || name.starts_with("progressive");
        for grant in run(policy.as_mut(), 6, 20, 0.3).iter().flatten() {
            if grant.candidate.is_none() || grant.bits == 0.0 {
                continue;
            }
            assert_eq!(grant.stop, inner, "{name}");
            assert_eq!(grant.power == PowerMode::Tracking, inner, "{name}");
            let cut = grant.candidate.expect("checked") % 4;
            match name.as_str() {
                "progressive-ftx@layer2.0" => assert_eq!(cut, 2),
                "best-static-cut@1" => assert_eq!(cut, 1),
                _ => {}
            }
        }
    }
}

#[test]
fn effect_dnn_hurries_when_latency_is_owed() {
    let mut policy = make("effect-dnn");
    let mut rng = Rng(9);
    let owned = frame(1, policy.stream_use(), 0.3, &mut rng);
    // Not the all-local candidate, whose power is 0.
    let mut owned = owned;
    owned.devices[0].candidates = 1..2;
    let mut power = Vec::new();
    for index in 0..50 {
        let mut grants = [TaskGrant::default()];
        policy
            .plan(&owned.view(index), &mut grants)
            .expect("a plan");
        power.push(grants[0].reference_power_w);
        policy.observe(&[FrameOutcome {
            latency_s: 0.6,
            ..FrameOutcome::default()
        }]);
    }
    assert!(power.windows(2).all(|p| p[1] >= p[0]));
    assert!(power[49] > 2.0 * power[0], "{power:?}");
}

#[test]
fn sc_cao_sends_no_more_than_its_target_needs() {
    let mut policy = make("sc-cao");
    for grant in run(policy.as_mut(), 3, 20, 0.3).iter().flatten() {
        assert!(
            grant.accuracy <= 0.75 + 1e-9 || grant.bits == 0.0,
            "{}",
            grant.accuracy
        );
        assert_eq!(grant.bits_limit, grant.bits);
    }
}

#[test]
fn names_are_checked_with_a_suggestion() {
    let fail = |name: &str| match by_name(name, &PolicyParams::default(), &CUTS) {
        Ok(policy) => panic!("{} was made", policy.name()),
        Err(error) => error,
    };
    assert!(
        fail("enaci")
            .to_string()
            .contains("did you mean \"enachi\"?")
    );
    assert!(fail("edgeonly").to_string().contains("edge-only"));
    assert!(fail("progressive-ftx").to_string().contains("needs a cut"));
    assert!(
        fail("progressive-ftx@layer2.1")
            .to_string()
            .contains("layer2.0")
    );
    assert!(fail("progressive-ftx@9").to_string().contains("no cut"));
    assert!(fail("enachi@2").to_string().contains("takes no cut"));
    assert!(matches!(fail("oracle"), PolicyError::Unknown { .. }));
    assert!(by_name("progressive-ftx@2", &PolicyParams::default(), &CUTS).is_ok());
}

#[test]
fn parameters_are_checked() {
    let mut params = PolicyParams::default();
    assert_eq!(params.check(), Ok(()));
    params.sc_cao.accuracy_target = 1.5;
    assert!(
        params
            .check()
            .expect_err("out of range")
            .to_string()
            .contains("sc_cao.accuracy_target is 1.5")
    );
}
