//! The paper's sequential rule (Algorithm 2): first every device picks the cut with the greatest utility for itself,
//! then bandwidth and power are solved with the cuts fixed.
//!
//! The paper does not say at which band a device compares its cuts; here it is an equal share ω_tot/N, with the best
//! power and bits for that share. The bound reported is that of the joint problem, so the gap is what the rule loses.

use super::band::best_option;
use super::problem::{DeviceProblem, Plan, Problem};
use super::solver::{Settings, Solver};

/// Workspace of the sequential rule.
#[derive(Debug, Default)]
pub struct Sequential {
    joint: Solver,
    fixed: Solver,
    cuts: Vec<u32>,
    scratch: Plan,
}

impl Sequential {
    /// A workspace. Only the root of the joint problem is solved, for its bound.
    pub fn new() -> Self {
        Self {
            joint: Solver::new(Settings {
                max_nodes: 1,
                ..Settings::default()
            }),
            fixed: Solver::new(Settings {
                max_nodes: 24,
                ..Settings::default()
            }),
            ..Self::default()
        }
    }

    /// Forget the prices of the last plan.
    pub fn cold(&mut self) {
        self.joint.cold();
        self.fixed.cold();
    }

    /// Solve a problem that [`Problem::check`] accepts.
    pub fn solve(&mut self, problem: &Problem<'_>, plan: &mut Plan) {
        let taking_part = |device: &&DeviceProblem| !device.options.is_empty();
        let taking_part = problem.devices.iter().filter(taking_part).count();
        let share_hz = problem.bandwidth_hz / taking_part.max(1) as f64;
        self.cuts.clear();
        for device in problem.devices {
            let best = best_option(problem, device, share_hz);
            self.cuts.push(best.map_or(0, |(option, ..)| option));
        }
        self.fixed.solve_fixed(problem, &self.cuts, plan);
        self.joint.solve(problem, &mut self.scratch);
        plan.set_bound(self.scratch.upper_bound);
    }
}
