//! Plans that cannot do harm: what a policy decides is checked before it is used, and a policy that errs or panics in one
//! frame sends nothing in that frame.

use super::policy::{
    Candidate, DeviceView, FrameOutcome, FrameView, PlanQuality, TaskGrant, TaskPolicy,
};
use super::problem::{Plan, Problem};
use crate::profile::{CutKind, LadderKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a frame has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFailure {
    /// The policy said so.
    #[error("no plan: {0}")]
    Declined(String),
    /// It panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// A grant that cannot be carried out.
    #[error("device {device}: {key} = {value}: must be {allowed}")]
    Grant {
        /// Device from 0.
        device: usize,
        /// Field of the [`TaskGrant`].
        key: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        allowed: String,
    },
    /// What the policy says of its plan is no number.
    #[error("last_plan: {key} = {value}: must be {allowed}")]
    Quality {
        /// Field of the [`PlanQuality`].
        key: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        allowed: &'static str,
    },
    /// A plan within the frame that cannot be carried out, or none; the one before it holds.
    #[error("plan within the frame for slot {slot} on: {reason}")]
    Within {
        /// First slot of the plan.
        slot: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// More band than there is.
    #[error("bandwidth_hz adds up to {sum_hz}: must be at most the cell's {bandwidth_hz}")]
    Band {
        /// Sum of the grants \[Hz\].
        sum_hz: String,
        /// ω_tot \[Hz\].
        bandwidth_hz: String,
    },
}

/// Slack of sums and of p_max, for rounding.
const ROUNDING: f64 = 1e-6;
/// Least noise power that ratios are taken to \[W\]: below it a band is so narrow that its ratio is no number.
const LEAST_NOISE_W: f64 = 1e-300;

/// Plan a frame with a policy that is not trusted, and ask it what its plan is worth. If either fails, every grant is the default
/// one (the device sits the frame out); after a panic the policy has been reset as well.
///
/// Once a frame, so the cost of catching a panic does not count. The panic message goes to the program's panic hook as usual.
/// A program built with `panic = "abort"` ends there all the same.
pub fn plan_contained(
    policy: &mut dyn TaskPolicy,
    frame: &FrameView<'_>,
    grants: &mut [TaskGrant],
) -> Result<Option<PlanQuality>, PlanFailure> {
    grants.fill(TaskGrant::default());
    let planned = contained(policy, |policy| {
        policy.plan(frame, grants)?;
        Ok(policy.last_plan())
    });
    let result = planned.and_then(|planned| planned).and_then(|quality| {
        check_grants(frame, grants)?;
        quality.as_ref().map_or(Ok(()), check_quality)?;
        Ok(quality)
    });
    if result.is_err() {
        grants.fill(TaskGrant::default());
    }
    result
}

/// Tell a policy that is not trusted what came of a frame; after a panic it has been reset.
pub fn observe_contained(
    policy: &mut dyn TaskPolicy,
    outcomes: &[FrameOutcome],
) -> Result<(), PlanFailure> {
    contained(policy, |policy| policy.observe(outcomes))
}

fn contained<T>(
    policy: &mut dyn TaskPolicy,
    call: impl FnOnce(&mut dyn TaskPolicy) -> T,
) -> Result<T, PlanFailure> {
    // What the call may have left half done is the policy's own state, which is reset, and grants, which are filled again.
    caught(|| call(policy)).map_err(|text| {
        // A reset that panics too changes nothing: the next frame fails in the same way.
        let _ = caught(|| policy.reset());
        PlanFailure::Panicked(text)
    })
}

/// What a call that panics says. Whatever it may have left half done must not be used again.
fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>();
        text.map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".to_owned())
    })
}

/// Make a plan within a frame, from `slot` on, with `solve`. A panic, or a plan of `problem` that cannot be carried out, is a
/// failure, after which neither the plan nor the solver may be used.
pub fn solve_contained(
    slot: u32,
    problem: &Problem<'_>,
    plan: &mut Plan,
    solve: impl FnOnce(&Problem<'_>, &mut Plan),
) -> Result<(), PlanFailure> {
    let fail = |reason| PlanFailure::Within { slot, reason };
    caught(|| solve(problem, plan)).map_err(|text| fail(format!("panicked: {text}")))?;
    check_plan(problem, plan).map_err(fail)
}

fn check_plan(problem: &Problem<'_>, plan: &Plan) -> Result<(), String> {
    let wrong = |key: &str, value: f64, most: f64| {
        let within = value.is_finite() && value >= 0.0 && value <= most * (1.0 + ROUNDING);
        (!within).then(|| format!("{key} = {value}: must be in 0..={most}"))
    };
    if plan.grants.len() != problem.devices.len() {
        let (grants, devices) = (plan.grants.len(), problem.devices.len());
        return Err(format!("{grants} grants: must be {devices}"));
    }
    let mut sum_hz = 0.0;
    for (grant, device) in plan.grants.iter().zip(problem.devices) {
        let (band_hz, power_w) = (grant.bandwidth_hz, grant.reference_power_w);
        let found = wrong("bandwidth_hz", band_hz, problem.bandwidth_hz)
            .or_else(|| wrong("reference_power_w", power_w, device.power_max_w));
        found.map_or(Ok(()), Err)?;
        sum_hz += band_hz;
    }
    wrong("sum of bandwidth_hz", sum_hz, problem.bandwidth_hz)
        .or_else(|| wrong("bandwidth_price", plan.bandwidth_price, f64::MAX))
        .map_or(Ok(()), Err)
}

fn check_quality(quality: &PlanQuality) -> Result<(), PlanFailure> {
    let fail = |key, value: f64, allowed| {
        Err(PlanFailure::Quality {
            key,
            value: value.to_string(),
            allowed,
        })
    };
    let price = quality.bandwidth_price;
    if !(price >= 0.0 && price.is_finite()) {
        return fail("bandwidth_price", price, "finite and at least 0");
    }
    if !quality.objective.is_finite() {
        return fail("objective", quality.objective, "finite");
    }
    if quality.upper_bound.is_nan() {
        return fail("upper_bound", quality.upper_bound, "a number");
    }
    Ok(())
}

/// Whether grants can be carried out: numbers that are numbers, no more band and power than there is, candidates and levels
/// that the device has, and all-local only where it ends by the deadline.
pub fn check_grants(frame: &FrameView<'_>, grants: &[TaskGrant]) -> Result<(), PlanFailure> {
    let mut sum_hz = 0.0;
    for (n, (grant, device)) in grants.iter().zip(frame.devices).enumerate() {
        check_grant(frame, device, grant).map_err(|(key, value, allowed)| PlanFailure::Grant {
            device: n,
            key,
            value,
            allowed,
        })?;
        sum_hz += grant.bandwidth_hz;
    }
    if sum_hz > frame.bandwidth_hz * (1.0 + ROUNDING) {
        return Err(PlanFailure::Band {
            sum_hz: sum_hz.to_string(),
            bandwidth_hz: frame.bandwidth_hz.to_string(),
        });
    }
    Ok(())
}

type Wrong = (&'static str, String, String);

fn check_grant(frame: &FrameView<'_>, device: &DeviceView, grant: &TaskGrant) -> Result<(), Wrong> {
    let range = |key, value: f64, most: f64| {
        let limit = (most * (1.0 + ROUNDING)).min(f64::MAX).max(most);
        if value >= 0.0 && value <= limit {
            Ok(())
        } else {
            let allowed = match most {
                f64::INFINITY => "at least 0".to_owned(),
                f64::MAX => "finite and at least 0".to_owned(),
                _ => format!("in 0..={most}"),
            };
            Err((key, value.to_string(), allowed))
        }
    };
    range("bandwidth_hz", grant.bandwidth_hz, frame.bandwidth_hz)?;
    if grant.bandwidth_hz > 0.0 && frame.radio.noise_power_w(grant.bandwidth_hz) < LEAST_NOISE_W {
        let allowed = format!("0, or so wide that its noise is above {LEAST_NOISE_W:e} W");
        return Err(("bandwidth_hz", format!("{:e}", grant.bandwidth_hz), allowed));
    }
    let most_w = device.power_max_w;
    range("reference_power_w", grant.reference_power_w, most_w)?;
    range("bits_limit", grant.bits_limit, f64::INFINITY)?;
    range("bits", grant.bits, f64::MAX)?;
    range("accuracy", grant.accuracy, 1.0)?;
    let Some(index) = grant.candidate else {
        return Ok(());
    };
    if !device.candidates.contains(&index) {
        let allowed = format!("None or one of the device's, {:?}", device.candidates);
        return Err(("candidate", index.to_string(), allowed));
    }
    let candidate = &frame.candidates[index as usize];
    if candidate.kind == CutKind::Local && !candidate.feasible() {
        let allowed = format!("one that ends by the deadline of {} s", device.deadline_s);
        return Err(("candidate", format!("{index} (all local)"), allowed));
    }
    check_level(candidate, grant.level)
}

fn check_level(candidate: &Candidate, level: Option<u32>) -> Result<(), Wrong> {
    let Some(level) = level else {
        return Ok(());
    };
    if candidate.ladder != LadderKind::Alternatives {
        return Err((
            "level",
            level.to_string(),
            "None for an embedded stream".into(),
        ));
    }
    let levels = candidate.levels.len();
    if level as usize >= levels {
        return Err(("level", level.to_string(), format!("below {levels}")));
    }
    Ok(())
}
