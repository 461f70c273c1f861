//! `enachi`: P1.2 solved jointly once a frame; the packet level tracks the reference power and the receiver stops the
//! sender once it is certain. `enachi-mux`: the same plan, made again within the frame over the devices that still send;
//! the caller does that, see [`TaskPolicy::replanning`]. `enachi-max`: the same, counting a bit by the tasks that get to send
//! it, at the mean rate of the fading channel, and before the [`Barrier`] (9). `enachi-sequential`: `enachi` with the paper's Algorithm 2 for the cuts.

use super::barrier::Barrier;
use super::shared::{Translation, frame_solver, quality};
use crate::fading::rate_share;
use crate::task::PlanFailure;
use crate::task::outlook::snr_at_price;
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
    barrier: Barrier,
}

impl Enachi {
    /// `enachi`, `enachi-mux` or `enachi-max`.
    pub fn new(replanning: Replanning) -> Self {
        Self {
            translation: Translation::default(),
            solver: frame_solver(),
            plan: Plan::default(),
            replanning,
            barrier: Barrier::default(),
        }
    }

    fn solve(&mut self, frame: &FrameView<'_>) {
        let problem = self.translation.problem(frame);
        self.solver.solve(&problem, &mut self.plan);
    }

    /// Gains at which steady channels would have the mean rates of the plan at hand. A device that it leaves silent is taken
    /// at the rates that it would have.
    fn set_rate_shares(&mut self, frame: &FrameView<'_>) {
        let Translation {
            options, devices, ..
        } = &mut self.translation;
        let with_task = devices.iter().filter(|device| !device.options.is_empty());
        let share_hz = frame.bandwidth_hz / with_task.count().max(1) as f64;
        for ((problem, view), grant) in devices.iter_mut().zip(frame.devices).zip(&self.plan.grants)
        {
            problem.gain = view.gain;
            let (band_hz, power_w) = (grant.bandwidth_hz, grant.reference_power_w);
            let mut snr = frame.radio.snr(band_hz, view.gain, power_w);
            if snr <= 0.0 {
                let range = problem.options.start as usize..problem.options.end as usize;
                let times = options[range].iter().map(|option| option.transmit_time_s);
                let time_s = times.fold(0.0, f64::max);
                let price = self.plan.bandwidth_price;
                snr = snr_at_price(&frame.radio, problem, time_s, price, share_hz);
            }
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
        self.solve(frame);
        if self.replanning == Replanning::StoppingAware {
            for _ in 0..RATE_PASSES {
                self.set_rate_shares(frame);
                self.solve(frame);
            }
            let Self {
                translation,
                solver,
                plan,
                barrier,
                ..
            } = self;
            if !barrier.is_kept(frame, translation, plan) {
                barrier.respect(frame, translation, solver, plan);
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
