//! `enachi`: P1.2 solved jointly once a frame; the packet level tracks the reference power and the receiver stops the
//! sender once it is certain. `enachi-mux`: the same plan, made again within the frame over the devices that still send;
//! the caller does that, see [`TaskPolicy::replanning`]. `enachi-max`: the same, counting a bit by the tasks that get to send
//! it, at the mean rate of the fading channel. `enachi-sequential`: `enachi` with the paper's Algorithm 2 for the cuts.

use super::shared::{Translation, frame_solver, quality};
use crate::fading::rate_share;
use crate::task::PlanFailure;
use crate::task::policy::{
    FrameView, PlanQuality, PowerMode, Replanning, StreamUse, TaskGrant, TaskPolicy,
};
use crate::task::problem::Plan;
use crate::task::sequential::Sequential;
use crate::task::solver::Solver;

/// Plans until the rate share of every device fits the power that it is planned at: it moves by little after two.
const RATE_PASSES: usize = 2;

/// The joint optimum.
#[derive(Debug)]
pub struct Enachi {
    translation: Translation,
    solver: Solver,
    plan: Plan,
    replanning: Replanning,
}

impl Enachi {
    /// `enachi`, `enachi-mux` or `enachi-max`.
    pub fn new(replanning: Replanning) -> Self {
        Self {
            translation: Translation::default(),
            solver: frame_solver(),
            plan: Plan::default(),
            replanning,
        }
    }

    /// Gains at which steady channels would have the mean rates of the plan at hand.
    fn set_rate_shares(&mut self, frame: &FrameView<'_>) {
        let devices = self.translation.devices.iter_mut().zip(frame.devices);
        for ((problem, view), grant) in devices.zip(&self.plan.grants) {
            let noise_w = frame.radio.noise_power_w(grant.bandwidth_hz);
            let snr = if noise_w > 0.0 {
                view.gain * grant.reference_power_w / noise_w
            } else {
                0.0
            };
            problem.gain = view.gain * rate_share(view.fading, snr);
        }
    }
}

impl TaskPolicy for Enachi {
    fn name(&self) -> &str {
        match self.replanning {
            Replanning::Never => "enachi",
            Replanning::Bits => "enachi-mux",
            Replanning::StoppingAware => "enachi-max",
        }
    }

    fn replanning(&self) -> Replanning {
        self.replanning
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        self.translation.fill(frame, |_| true);
        self.solver
            .solve(&self.translation.problem(frame), &mut self.plan);
        if self.replanning == Replanning::StoppingAware {
            for _ in 0..RATE_PASSES {
                self.set_rate_shares(frame);
                self.solver
                    .solve(&self.translation.problem(frame), &mut self.plan);
            }
        }
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

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        self.translation.fill(frame, |_| true);
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
