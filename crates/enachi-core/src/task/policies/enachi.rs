//! `enachi`: P1.2 solved jointly once a frame; the packet level tracks the reference power and the receiver stops the
//! sender once it is certain. `enachi-mux`: the same plan, made again within the frame over the devices that still send;
//! the caller does that, see [`TaskPolicy::multiplexes`]. `enachi-sequential`: the same with the paper's Algorithm 2 for the cuts.

use super::shared::{Translation, frame_solver, quality};
use crate::task::policy::{FrameView, PlanQuality, PowerMode, StreamUse, TaskGrant, TaskPolicy};
use crate::task::problem::Plan;
use crate::task::sequential::Sequential;
use crate::task::solver::Solver;

/// The joint optimum.
#[derive(Debug)]
pub struct Enachi {
    translation: Translation,
    solver: Solver,
    plan: Plan,
    multiplexes: bool,
}

impl Enachi {
    /// `enachi-mux`.
    pub fn multiplexed() -> Self {
        Self {
            multiplexes: true,
            ..Self::default()
        }
    }
}

impl Default for Enachi {
    fn default() -> Self {
        Self {
            translation: Translation::default(),
            solver: frame_solver(),
            plan: Plan::default(),
            multiplexes: false,
        }
    }
}

impl TaskPolicy for Enachi {
    fn name(&self) -> &str {
        if self.multiplexes {
            "enachi-mux"
        } else {
            "enachi"
        }
    }

    fn multiplexes(&self) -> bool {
        self.multiplexes
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) {
        self.translation.fill(frame, |_| true);
        self.solver
            .solve(&self.translation.problem(frame), &mut self.plan);
        self.translation
            .grant(frame, &self.plan, PowerMode::Tracking, true, grants);
    }

    fn reset(&mut self) {
        self.solver.cold();
    }

    fn last_plan(&self) -> Option<PlanQuality> {
        Some(quality(&self.plan))
    }
}

/// The paper's rule: each device its own best cut, then band and power.
#[derive(Debug)]
pub struct EnachiSequential {
    translation: Translation,
    solver: Sequential,
    plan: Plan,
}

impl Default for EnachiSequential {
    fn default() -> Self {
        Self {
            translation: Translation::default(),
            solver: Sequential::new(),
            plan: Plan::default(),
        }
    }
}

impl TaskPolicy for EnachiSequential {
    fn name(&self) -> &str {
        "enachi-sequential"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) {
        self.translation.fill(frame, |_| true);
        self.solver
            .solve(&self.translation.problem(frame), &mut self.plan);
        self.translation
            .grant(frame, &self.plan, PowerMode::Tracking, true, grants);
    }

    fn reset(&mut self) {
        self.solver.cold();
    }

    fn last_plan(&self) -> Option<PlanQuality> {
        Some(quality(&self.plan))
    }
}
