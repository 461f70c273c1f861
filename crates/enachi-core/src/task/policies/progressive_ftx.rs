//! `progressive-ftx@CUT`: the paper's ablation. Everything as `enachi`, but the cut is fixed.

use super::shared::{Translation, frame_solver, quality};
use crate::task::PlanFailure;
use crate::task::policy::{FrameView, PlanQuality, PowerMode, StreamUse, TaskGrant, TaskPolicy};
use crate::task::problem::Plan;
use crate::task::solver::Solver;

/// One cut for all devices and frames; a device for which it does not fit the deadline sits the frame out.
#[derive(Debug)]
pub struct ProgressiveFtx {
    name: String,
    cut: u32,
    translation: Translation,
    solver: Solver,
    plan: Plan,
}

impl ProgressiveFtx {
    /// `cut` is an index into the profile.
    pub fn new(name: &str, cut: u32) -> Self {
        Self {
            name: name.to_owned(),
            cut,
            translation: Translation::default(),
            solver: frame_solver(),
            plan: Plan::default(),
        }
    }
}

impl TaskPolicy for ProgressiveFtx {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        self.translation
            .fill(frame, |candidate| candidate.cut == self.cut);
        self.solver
            .solve(&self.translation.problem(frame), &mut self.plan);
        self.translation
            .grant(frame, &self.plan, PowerMode::Tracking, true, grants);
        Ok(())
    }

    fn reset(&mut self) {
        self.solver.cold();
    }

    fn last_plan(&self) -> Option<PlanQuality> {
        Some(quality(&self.plan))
    }
}
