//! `sc-cao`: split computing with compression-aware offloading. Every frame by itself, cut, compression ratio, band and
//! power are chosen to meet an accuracy target at the least energy of all devices together. No energy queue, so nothing
//! carries over from frame to frame.
//!
//! Solved with the planner: energy has price 1, accuracy up to the target is worth so much that energy only decides
//! between ways to reach it, and accuracy beyond the target is worth nothing. Where the band cannot carry the target for
//! all, it comes as near as it can.
//!
//! Left open by the source and hence parameters: the target, the worth, and a margin on the gain (power is constant, and
//! in a fading channel the mean rate is less than the rate at the mean gain).

use super::shared::{Translation, frame_solver, quality};
use crate::curve::AccuracyCurve;
use crate::task::PlanFailure;
use crate::task::policy::{FrameView, PlanQuality, PowerMode, StreamUse, TaskGrant, TaskPolicy};
use crate::task::problem::{Plan, Problem};
use crate::task::solver::Solver;
use serde::{Deserialize, Serialize};

/// Parameters of `sc-cao`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScCaoParams {
    /// Accuracy to reach in every frame, 0..=1.
    pub accuracy_target: f64,
    /// What accuracy below the target is worth \[J per unit\].
    pub worth_j: f64,
    /// The average gain is multiplied by this when power is planned.
    pub gain_margin: f64,
}

impl Default for ScCaoParams {
    fn default() -> Self {
        Self {
            accuracy_target: 0.75,
            worth_j: 100.0,
            gain_margin: 0.7,
        }
    }
}

/// Least energy at a given accuracy, frame by frame.
#[derive(Debug)]
pub struct ScCao {
    params: ScCaoParams,
    translation: Translation,
    solver: Solver,
    plan: Plan,
    /// The frame's curves, and the same cut off at the target.
    originals: Vec<AccuracyCurve>,
    capped: Vec<AccuracyCurve>,
}

impl ScCao {
    /// With parameters that [`PolicyParams::check`](super::PolicyParams::check) accepts.
    pub fn new(params: ScCaoParams) -> Self {
        Self {
            params,
            translation: Translation::default(),
            solver: frame_solver(),
            plan: Plan::default(),
            originals: Vec::new(),
            capped: Vec::new(),
        }
    }
}

impl TaskPolicy for ScCao {
    fn name(&self) -> &str {
        "sc-cao"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        // Curves are those of the profile and do not change from frame to frame.
        if self.originals != frame.curves {
            self.originals = frame.curves.to_vec();
            let target = self.params.accuracy_target;
            self.capped = frame
                .curves
                .iter()
                .map(|curve| curve.capped(target))
                .collect();
        }
        self.translation.fill(frame, |_| true);
        for device in &mut self.translation.devices {
            device.energy_queue_j = 1.0;
            device.weight = 1.0;
            device.gain *= self.params.gain_margin;
        }
        let problem = Problem {
            v: self.params.worth_j,
            curves: &self.capped,
            ..self.translation.problem(frame)
        };
        self.solver.solve(&problem, &mut self.plan);
        self.translation
            .grant(frame, &self.plan, PowerMode::Constant, false, grants);
        for grant in grants {
            // The compression ratio: no more than planned is sent.
            grant.bits_limit = grant.bits;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.solver.cold();
    }

    fn last_plan(&self) -> Option<PlanQuality> {
        Some(quality(&self.plan))
    }
}
