//! Every policy on frames of every kind: grants are feasible, reproducible, and do what the policy stands for.
mod common;

use common::Rng;
use enachi_core::curve::AccuracyCurve;
use enachi_core::profile::{CutKind, LadderKind};
use enachi_core::radio::{Noise, Radio};
use enachi_core::task::check_grants;
use enachi_core::task::policies::{NAMES, PolicyError, PolicyParams, by_name};
use enachi_core::task::{
    Candidate, CutOption, DeviceProblem, DeviceView, Fading, FrameOutcome, FrameView, Level, Plan,
    PowerMode, Problem, Settings, Solver, StreamUse, TaskGrant, TaskPolicy,
};

const CUTS: [&str; 4] = ["input", "layer1.0", "layer2.0", "all"];

struct Owned {
    radio: Radio,
    curves: Vec<AccuracyCurve>,
    levels: Vec<Level>,
    candidates: Vec<Candidate>,
    devices: Vec<DeviceView>,
}

impl Owned {
    fn view(&self, frame: u64) -> FrameView<'_> {
        FrameView {
            frame,
            slot_s: 1e-3,
            bandwidth_hz: 5e6,
            radio: self.radio,
            v: 50.0,
            curves: &self.curves,
            levels: &self.levels,
            candidates: &self.candidates,
            devices: &self.devices,
        }
    }
}

/// A frame of `n` devices with the candidates that a policy of this stream use is offered.
fn frame(n: usize, stream_use: StreamUse, deadline_s: f64, rng: &mut Rng) -> Owned {
    let embedded = |total: f64| {
        let bits: Vec<f64> = (0..17)
            .map(|i| total * (f64::from(i) / 16.0).powi(2))
            .collect();
        let accuracy: Vec<f64> = bits
            .iter()
            .map(|b| 0.79 - 0.789 * (-b / (0.1 * total)).exp())
            .collect();
        AccuracyCurve::measured(&bits, &accuracy).expect("valid")
    };
    let level_bits = [0.0, 2e4, 5e4, 9e4];
    let level_accuracy = [0.001, 0.4, 0.7, 0.77];
    let curves = vec![
        match stream_use {
            StreamUse::ImageCodec => {
                AccuracyCurve::levels(&level_bits, &level_accuracy).expect("valid")
            }
            _ => embedded(1.2e6),
        },
        embedded(6e5),
        embedded(2e5),
        AccuracyCurve::constant(0.8).expect("valid"),
    ];
    let levels = level_bits
        .iter()
        .zip(&level_accuracy)
        .map(|(&bits, &accuracy)| Level { bits, accuracy })
        .collect();
    let (mut candidates, mut devices) = (Vec::new(), Vec::new());
    let kinds = [
        CutKind::Input,
        CutKind::Feature,
        CutKind::Feature,
        CutKind::Local,
    ];
    for _ in 0..n {
        let first = candidates.len() as u32;
        for (cut, kind) in kinds.into_iter().enumerate() {
            let offered = match stream_use {
                StreamUse::RawInput | StreamUse::ImageCodec => cut == 0,
                _ => true,
            };
            if !offered {
                continue;
            }
            let head_time_s = [0.0, 0.02, 0.08, 0.27][cut];
            let tail_time_s = [0.027, 0.025, 0.02, 0.0][cut];
            let ladder = match (cut, stream_use) {
                (0, StreamUse::ImageCodec) => LadderKind::Alternatives,
                _ => LadderKind::Embedded,
            };
            let total_bits = curves[cut].total_bits();
            candidates.push(Candidate {
                cut: cut as u32,
                stream: (kind != CutKind::Local).then_some(0),
                kind,
                ladder,
                curve: cut as u32,
                levels: if ladder == LadderKind::Alternatives {
                    0..4
                } else {
                    0..0
                },
                head_time_s,
                encode_time_s: 0.0,
                tail_time_s,
                decode_time_s: 0.0,
                transmit_time_s: deadline_s - head_time_s - tail_time_s,
                local_energy_j: 0.8 * head_time_s,
                total_bits,
                raw_bits: 8.0 * total_bits,
                head_macs: (1e9 * head_time_s) as u64,
                encode_macs: 0,
                tail_macs: 0,
                decode_macs: 0,
            });
        }
        devices.push(DeviceView {
            energy_queue_j: if rng.chance(0.2) {
                0.0
            } else {
                rng.decade(-1.0, 2.0)
            },
            energy_budget_j: 0.25,
            gain: rng.decade(-12.0, -10.5),
            fading: Fading::Rayleigh,
            power_max_w: 2.0,
            deadline_s,
            weight: 1.0,
            edge_price_per_s: 0.0,
            candidates: first..candidates.len() as u32,
        });
    }
    let radio = Radio {
        noise: Noise::Exact {
            psd_w_per_hz: 3.3e-20,
        },
        spectral_cap: 7.4,
    };
    Owned {
        radio,
        curves,
        levels,
        candidates,
        devices,
    }
}

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

/// The value of (17) when every device keeps the cut of `cuts` and all uploads end before the longest of their tails (9).
fn value_before_the_barrier(view: &FrameView<'_>, cuts: &[u32]) -> Option<f64> {
    let chosen: Vec<&Candidate> = view
        .devices
        .iter()
        .zip(cuts)
        .map(|(device, cut)| &view.candidates[(device.candidates.start + cut) as usize])
        .collect();
    let barrier_s = chosen.iter().map(|c| c.tail_time_s).fold(0.0, f64::max);
    let (mut options, mut devices) = (Vec::new(), Vec::new());
    for (device, candidate) in view.devices.iter().zip(chosen) {
        let local = candidate.kind == CutKind::Local;
        let time_s =
            device.deadline_s - candidate.head_time_s - if local { 0.0 } else { barrier_s };
        if time_s < 0.0 {
            return None;
        }
        let first = options.len() as u32;
        options.push(CutOption {
            curve: candidate.curve,
            transmit_time_s: if local { 0.0 } else { time_s },
            local_energy_j: candidate.local_energy_j,
            charge: 0.0,
        });
        devices.push(DeviceProblem {
            energy_queue_j: device.energy_queue_j,
            gain: device.gain,
            power_max_w: device.power_max_w,
            weight: device.weight,
            options: first..first + 1,
        });
    }
    let problem = Problem {
        bandwidth_hz: view.bandwidth_hz,
        radio: view.radio,
        v: view.v,
        curves: view.curves,
        options: &options,
        devices: &devices,
    };
    let mut plan = Plan::default();
    Solver::new(Settings::default()).solve(&problem, &mut plan);
    Some(plan.objective)
}

/// `enachi-max` plans the best cuts under the barrier that they themselves set: as every assignment of cuts, one by one.
#[test]
fn enachi_max_plans_with_the_barrier() {
    let mut rng = Rng(11);
    let (mut mixed, mut gained) = (0, 0);
    for index in 0..120 {
        let mut owned = frame(3, StreamUse::Progressive, 0.115, &mut rng);
        for device in &mut owned.devices {
            device.fading = Fading::None;
            device.gain = rng.decade(-13.0, -11.5);
        }
        let mut view = owned.view(index);
        view.bandwidth_hz = 2e5;
        let mut best = f64::NEG_INFINITY;
        for code in 0..64u32 {
            let cuts = [code % 4, code / 4 % 4, code / 16];
            if let Some(value) = value_before_the_barrier(&view, &cuts) {
                best = best.max(value);
            }
        }
        let plan = |name: &str| {
            let mut policy = make(name);
            let mut grants = vec![TaskGrant::default(); 3];
            policy.plan(&view, &mut grants).expect("a plan");
            let cuts: Vec<u32> = grants
                .iter()
                .zip(view.devices)
                .map(|(grant, device)| grant.candidate.expect("feasible") - device.candidates.start)
                .collect();
            (policy.last_plan().expect("known").objective, cuts)
        };
        let (objective, cuts) = plan("enachi-max");
        assert!(
            (objective - best).abs() <= 1e-4 * best.abs() + 1e-6,
            "{index}: {objective} {best} {cuts:?}"
        );
        let (_, naive) = plan("enachi");
        if let Some(value) = value_before_the_barrier(&view, &naive) {
            mixed += u32::from(naive.iter().any(|cut| *cut != naive[0]));
            gained += u32::from(value < objective - 1e-3 * objective.abs());
        } else {
            gained += 1;
        }
    }
    assert!(mixed > 4 && gained > 3, "{mixed} {gained}");
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
