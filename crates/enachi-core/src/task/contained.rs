//! Plans that cannot do harm: what a policy decides is checked before it is used, and a policy that errs or panics in one
//! frame sends nothing in that frame.

use super::policy::{Candidate, DeviceView, FrameOutcome, FrameView, TaskGrant, TaskPolicy};
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

/// Plan a frame with a policy that is not trusted. If it fails, every grant is the default one (the device sits the frame out);
/// after a panic the policy has been reset as well.
///
/// Once a frame, so the cost of catching a panic does not count. The panic message goes to the program's panic hook as usual.
/// A program built with `panic = "abort"` ends there all the same.
pub fn plan_contained(
    policy: &mut dyn TaskPolicy,
    frame: &FrameView<'_>,
    grants: &mut [TaskGrant],
) -> Result<(), PlanFailure> {
    grants.fill(TaskGrant::default());
    let planned = contained(policy, |policy| policy.plan(frame, grants));
    let result = planned
        .and_then(|planned| planned)
        .and_then(|()| check_grants(frame, grants));
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
    catch_unwind(AssertUnwindSafe(|| call(policy))).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".to_owned());
        // A reset that panics too changes nothing: the next frame fails in the same way.
        let _ = catch_unwind(AssertUnwindSafe(|| policy.reset()));
        PlanFailure::Panicked(text)
    })
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
