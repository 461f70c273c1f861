//! All policies and seeds of a scenario, in parallel over (policy, seed), frames in sequence.

use crate::deployment::{Deployment, DeploymentError, OfferedCuts};
use crate::policies::PolicyFactory;
use crate::runner::{FailedFrame, Recorder, Runner};
use crate::scenario::StopKind;
use crate::variant::{Variant, VariantError};
use enachi_core::profile::CutKind;
use enachi_core::record::{FrameRecord, Names, SlotRecord};
use enachi_core::task::StreamUse;
use enachi_core::task::policies::PolicyError;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// A simulation that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// Scenario and profile do not fit.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// No such policy.
    #[error("policies: {0}")]
    Policy(#[from] PolicyError),
    /// No such variant.
    #[error(transparent)]
    Variant(#[from] VariantError),
    /// A policy named twice would be counted twice.
    #[error("policies: {0:?} is named twice")]
    Twice(String),
    /// Devices that a policy can never serve ([`feasible`](crate::feasible)); all of them, one a line.
    #[error("{}", .problems.join("\n  "))]
    Infeasible {
        /// `policies = ...: key = value: must be ...`.
        problems: Vec<String>,
    },
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Names.
    pub names: Names,
    /// Device-frames: by policy, then seed, frame, device.
    pub frames: Vec<FrameRecord>,
    /// Slots, if wanted.
    pub slots: Vec<SlotRecord>,
    /// Frames in which a policy failed, in the same order.
    pub failures: Vec<FailedFrame>,
    /// Whether the run was interrupted: some (policy, seed) have fewer frames than the scenario says.
    pub interrupted: bool,
}

/// Watches a run, from any thread.
pub trait Monitor: Sync {
    /// All that is to come will be as much as `frames` frames.
    fn expect(&self, _frames: u64) {}
    /// `frames` more frames are done.
    fn progress(&self, _frames: u64) {}
}

/// Watches nothing.
pub struct Unwatched;

impl Monitor for Unwatched {}

/// Variants of the scenario's policies, checked.
pub fn variants(
    deployment: &mut Deployment,
    factory: &PolicyFactory,
) -> Result<Vec<Variant>, SimulateError> {
    let scenario = &deployment.scenario;
    let mut variants: Vec<Variant> = Vec::new();
    for label in &scenario.policies {
        let variant = Variant::parse(label, &scenario.packet, &scenario.task)?;
        factory.make(&variant.policy)?;
        if variants.iter().any(|v| v.label == variant.label) {
            return Err(SimulateError::Twice(label.clone()));
        }
        variants.push(variant);
    }
    for variant in &variants {
        match variant.packet.stop {
            StopKind::Marginal => deployment.fit_continuation(variant.packet.uncertainty)?,
            StopKind::Entropy => deployment.fit_thresholds(variant.packet.uncertainty),
            StopKind::Never => {}
        }
        let replanning = factory.make(&variant.policy)?.replanning();
        deployment.fit_conditional(&variant.packet, replanning)?;
    }
    Ok(variants)
}

/// What is odd about policies of the scenario, as sentences: those that send the picture although `profile.forbid_input` keeps
/// planners from it (they are about the picture, and find it all the same).
pub fn policy_warnings(
    deployment: &Deployment,
    factory: &PolicyFactory,
) -> Result<Vec<String>, SimulateError> {
    let scenario = &deployment.scenario;
    let mut warnings = Vec::new();
    for label in &scenario.policies {
        let variant = Variant::parse(label, &scenario.packet, &scenario.task)?;
        let policy = factory.make(&variant.policy)?;
        let only_input = match factory.offered(&variant.policy) {
            OfferedCuts::Only(cut) => {
                let mut cuts = deployment.networks.iter().flat_map(|n| &n.profile.cuts);
                cuts.nth(cut).is_some_and(|cut| cut.kind == CutKind::Input)
            }
            OfferedCuts::Local | OfferedCuts::Plannable => false,
        };
        let picture = matches!(
            policy.stream_use(),
            StreamUse::RawInput | StreamUse::ImageCodec
        );
        if scenario.profile.forbid_input && (only_input || picture) {
            warnings.push(format!(
                "policies: {label} sends the picture, although profile.forbid_input = true; it is there to be compared with"
            ));
        }
    }
    Ok(warnings)
}

/// Run every policy of the scenario in every seed. Once `cancel` is set, what is finished is returned.
pub fn simulate(
    mut deployment: Deployment,
    factory: &PolicyFactory,
    cancel: &AtomicBool,
    monitor: &impl Monitor,
) -> Result<(Deployment, Records), SimulateError> {
    let variants = variants(&mut deployment, factory)?;
    let names = deployment.names(variants.iter().map(|v| v.label.clone()).collect());
    let jobs: Vec<(usize, u64)> = (0..variants.len())
        .flat_map(|v| deployment.scenario.seed_range().map(move |seed| (v, seed)))
        .collect();
    let parts: Vec<Result<Recorder, SimulateError>> = jobs
        .par_iter()
        .map(|(index, seed)| {
            let variant = variants[*index].clone();
            let runner = Runner::new(&deployment, factory, variant, *index as u16, *seed)?;
            Ok(run_frames(runner, &deployment, cancel, monitor))
        })
        .collect();
    let mut records = Records {
        names,
        interrupted: cancel.load(Ordering::Relaxed),
        ..Records::default()
    };
    for part in parts {
        let part = part?;
        records.frames.extend(part.frames);
        records.slots.extend(part.slots);
        records.failures.extend(part.failures);
    }
    Ok((deployment, records))
}

fn run_frames(
    mut runner: Runner<'_>,
    deployment: &Deployment,
    cancel: &AtomicBool,
    monitor: &impl Monitor,
) -> Recorder {
    let scenario = &deployment.scenario;
    let frames = scenario.frames as usize;
    let mut recorder = Recorder {
        frames: Vec::with_capacity(frames.saturating_mul(deployment.devices.len()).min(1 << 20)),
        keep_slots: scenario.output.slots,
        ..Recorder::default()
    };
    // Reporting every frame would cost more than some frames do.
    const REPORT: u32 = 32;
    for frame in 0..scenario.frames {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        runner.plan();
        runner.execute(&mut recorder);
        if (frame + 1) % REPORT == 0 {
            monitor.progress(u64::from(REPORT));
        }
    }
    monitor.progress(u64::from(runner.frame() % REPORT));
    recorder
}
