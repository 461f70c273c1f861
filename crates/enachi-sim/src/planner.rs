//! ENACHI's task level as a policy: the joint solver over every candidate.

use enachi_core::profile::LadderKind;
use enachi_core::task::{
    Candidate, CutOption, DeviceProblem, FrameView, Plan, PlanQuality, PowerMode, Problem, Solver,
    StreamUse, TaskGrant, TaskPolicy,
};

/// Solves P1.2 (17) jointly, once a frame.
#[derive(Debug, Default)]
pub struct Planner {
    solver: Solver,
    options: Vec<CutOption>,
    choices: Vec<u32>,
    devices: Vec<DeviceProblem>,
    plan: Plan,
}

impl TaskPolicy for Planner {
    fn name(&self) -> &str {
        "enachi"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) {
        self.options.clear();
        self.choices.clear();
        self.devices.clear();
        for device in frame.devices {
            let first = self.options.len() as u32;
            for index in device.candidates.clone() {
                let candidate = &frame.candidates[index as usize];
                if candidate.feasible() {
                    self.choices.push(index);
                    self.options.push(CutOption {
                        curve: candidate.curve,
                        transmit_time_s: candidate.transmit_time_s,
                        local_energy_j: candidate.local_energy_j,
                    });
                }
            }
            self.devices.push(DeviceProblem {
                energy_queue_j: device.energy_queue_j,
                gain: device.gain,
                power_max_w: device.power_max_w,
                weight: device.weight,
                options: first..self.options.len() as u32,
            });
        }
        let problem = Problem {
            bandwidth_hz: frame.bandwidth_hz,
            radio: frame.radio,
            v: frame.v,
            curves: frame.curves,
            options: &self.options,
            devices: &self.devices,
        };
        self.solver.solve(&problem, &mut self.plan);
        for ((out, grant), device) in grants.iter_mut().zip(&self.plan.grants).zip(&self.devices) {
            let Some(cut) = grant.cut else { continue };
            let index = self.choices[(device.options.start + cut) as usize];
            let candidate = &frame.candidates[index as usize];
            *out = TaskGrant {
                candidate: Some(index),
                bandwidth_hz: grant.bandwidth_hz,
                reference_power_w: grant.reference_power_w,
                level: level(frame, candidate, grant.bits),
                bits_limit: f64::INFINITY,
                power: PowerMode::Tracking,
                stop: true,
                bits: grant.bits,
                accuracy: grant.accuracy,
            };
        }
    }

    fn reset(&mut self) {
        self.solver.cold();
    }

    fn last_plan(&self) -> Option<PlanQuality> {
        Some(PlanQuality {
            bandwidth_price: self.plan.bandwidth_price,
            objective: self.plan.objective,
            upper_bound: self.plan.upper_bound,
        })
    }
}

/// The largest level that the planned bits carry.
fn level(frame: &FrameView<'_>, candidate: &Candidate, bits: f64) -> Option<u32> {
    if candidate.ladder != LadderKind::Alternatives {
        return None;
    }
    let levels = &frame.levels[candidate.levels.start as usize..candidate.levels.end as usize];
    let fits = |level: &enachi_core::task::Level| level.bits <= bits * (1.0 + 1e-9);
    let best = levels.iter().enumerate().filter(|(_, level)| fits(level));
    best.max_by(|a, b| a.1.bits.total_cmp(&b.1.bits))
        .map(|(index, _)| index as u32)
}
