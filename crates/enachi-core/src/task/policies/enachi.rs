//! `enachi`: P1.2 solved jointly once a frame; the packet level tracks the reference power and the receiver stops the
//! sender once it is certain. `enachi-mux`: the same plan, made again within the frame over the devices that still send;
//! the caller does that, see [`TaskPolicy::replanning`]. `enachi-max`: the same, counting a bit by the tasks that get to send
//! it, at the mean rate of the fading channel. `enachi-sequential`: `enachi` with the paper's Algorithm 2 for the cuts.

use super::shared::{Translation, frame_solver, quality};
use crate::fading::rate_share;
use crate::profile::CutKind;
use crate::task::PlanFailure;
use crate::task::policy::{
    Candidate, FrameView, PlanQuality, PowerMode, Replanning, StreamUse, TaskGrant, TaskPolicy,
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
    /// Distinct edge times of the candidates \[s\].
    edge_times_s: Vec<f64>,
}

impl Enachi {
    /// `enachi`, `enachi-mux` or `enachi-max`.
    pub fn new(replanning: Replanning) -> Self {
        Self {
            translation: Translation::default(),
            solver: frame_solver(),
            plan: Plan::default(),
            replanning,
            edge_times_s: Vec::new(),
        }
    }

    fn solve(&mut self, frame: &FrameView<'_>) {
        let problem = self.translation.problem(frame);
        self.solver.solve(&problem, &mut self.plan);
    }

    /// Plan with the barrier (9) instead of each device's own edge delay (16): the longest tail that anybody chooses cuts
    /// everybody's upload. For each length that it may have the rest is P1.2 again, so the best of them is the optimum (with
    /// one deadline; with several, all of them are held to the same length). The plan at hand is of (16), which promises
    /// at least as much: where all its tails are equally long there is nothing to do.
    fn respect_barrier(&mut self, frame: &FrameView<'_>) {
        let chosen = |device| self.translation.chosen(frame, &self.plan, device);
        let tails = (0..frame.devices.len()).filter_map(chosen);
        let mut tails = tails.filter(|candidate| candidate.kind != CutKind::Local);
        let Some(first) = tails.next() else {
            return;
        };
        if tails.all(|candidate| candidate.edge_time_s() == first.edge_time_s()) {
            return;
        }
        self.edge_times_s.clear();
        let tails = frame.candidates.iter().map(Candidate::edge_time_s);
        self.edge_times_s.extend(tails);
        self.edge_times_s.sort_by(f64::total_cmp);
        self.edge_times_s.dedup();
        let mut best = (f64::NEG_INFINITY, 0.0);
        for index in 0..self.edge_times_s.len() {
            let edge_s = self.edge_times_s[index];
            self.solve_before(frame, edge_s);
            if self.plan.objective > best.0 {
                best = (self.plan.objective, edge_s);
            }
        }
        self.solve_before(frame, best.1);
    }

    fn solve_before(&mut self, frame: &FrameView<'_>, edge_s: f64) {
        self.translation.fill_before(frame, edge_s);
        self.set_rate_shares(frame);
        self.solve(frame);
    }

    /// Gains at which steady channels would have the mean rates of the plan at hand.
    fn set_rate_shares(&mut self, frame: &FrameView<'_>) {
        let devices = self.translation.devices.iter_mut().zip(frame.devices);
        for ((problem, view), grant) in devices.zip(&self.plan.grants) {
            let (band_hz, power_w) = (grant.bandwidth_hz, grant.reference_power_w);
            let snr = frame.radio.snr(band_hz, view.gain, power_w);
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
            self.respect_barrier(frame);
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
