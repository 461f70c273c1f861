//! `edge-only`: the raw input goes to the edge; band and power from the task level, power constant within the frame.

use super::shared::{Translation, frame_solver, quality};
use crate::profile::CutKind;
use crate::task::PlanFailure;
use crate::task::policy::{FrameView, PlanQuality, PowerMode, StreamUse, TaskGrant, TaskPolicy};
use crate::task::problem::Plan;
use crate::task::solver::Solver;

/// Cut 0 for all.
#[derive(Debug)]
pub struct EdgeOnly {
    translation: Translation,
    solver: Solver,
    plan: Plan,
}

impl Default for EdgeOnly {
    fn default() -> Self {
        Self {
            translation: Translation::default(),
            solver: frame_solver(),
            plan: Plan::default(),
        }
    }
}

impl TaskPolicy for EdgeOnly {
    fn name(&self) -> &str {
        "edge-only"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::RawInput
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        self.translation
            .fill(frame, |candidate| candidate.kind == CutKind::Input);
        self.solver
            .solve(&self.translation.problem(frame), &mut self.plan);
        self.translation
            .grant(frame, &self.plan, PowerMode::Constant, false, grants);
        Ok(())
    }

    fn reset(&mut self) {
        self.solver.cold();
    }

    fn last_plan(&self) -> Option<PlanQuality> {
        Some(quality(&self.plan))
    }
}
