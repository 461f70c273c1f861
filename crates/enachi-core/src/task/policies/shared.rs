//! What several policies do alike: turn a frame into a problem, a plan into grants, and share the band equally.

use crate::curve::AccuracyCurve;
use crate::profile::{CutKind, LadderKind};
use crate::task::band::Slice;
use crate::task::policy::{Candidate, DeviceView, FrameView, PlanQuality, PowerMode, TaskGrant};
use crate::task::problem::{CutOption, DeviceProblem, Plan, Problem};
use crate::task::solver::{Settings, Solver};
use serde::{Deserialize, Serialize};

/// A solver for use once a frame. Devices that are all alike make plans that tie, which branch and bound cannot tell
/// apart: a few nodes find the plan, and proving it would take the time of many frames.
pub(super) fn frame_solver() -> Solver {
    Solver::new(Settings {
        gap_target: 1e-6,
        max_nodes: 24,
    })
}

/// A frame as a [`Problem`], in buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Translation {
    pub options: Vec<CutOption>,
    /// Candidate behind each option.
    origin: Vec<u32>,
    pub devices: Vec<DeviceProblem>,
}

impl Translation {
    /// Take the feasible candidates that `allowed` lets through, each with its own edge delay (16).
    pub fn fill(&mut self, frame: &FrameView<'_>, allowed: impl Fn(&Candidate) -> bool) {
        self.fill_timed(frame, |_, _, candidate| {
            (candidate.feasible() && allowed(candidate)).then_some(candidate.transmit_time_s)
        });
    }

    /// Take the feasible candidates whose edge time is at most `edge_s` of the device, with uploads that end so long before the
    /// deadline (9). One whose window is closed sends nothing.
    pub fn fill_before(&mut self, frame: &FrameView<'_>, edge_s: impl Fn(usize) -> f64) {
        self.fill_timed(frame, |n, device, candidate| {
            let edge_s = edge_s(n);
            if !candidate.feasible() || candidate.edge_time_s() > edge_s {
                return None;
            }
            let busy_s = candidate.head_time_s + candidate.encode_time_s;
            let time_s = (device.deadline_s - edge_s - busy_s).min(candidate.transmit_time_s);
            Some(time_s.max(0.0))
        });
    }

    /// Take the candidates for which there is a time to send.
    fn fill_timed(
        &mut self,
        frame: &FrameView<'_>,
        transmit_time_s: impl Fn(usize, &DeviceView, &Candidate) -> Option<f64>,
    ) {
        self.options.clear();
        self.origin.clear();
        self.devices.clear();
        for (n, device) in frame.devices.iter().enumerate() {
            let start = self.options.len() as u32;
            for index in device.candidates.clone() {
                let candidate = &frame.candidates[index as usize];
                if let Some(time_s) = transmit_time_s(n, device, candidate) {
                    self.origin.push(index);
                    self.options.push(CutOption {
                        curve: candidate.curve,
                        transmit_time_s: match candidate.kind {
                            CutKind::Local => 0.0,
                            _ => time_s,
                        },
                        local_energy_j: candidate.local_energy_j,
                        charge: device.edge_price_per_s * candidate.edge_time_s(),
                    });
                }
            }
            self.devices.push(DeviceProblem {
                energy_queue_j: device.energy_queue_j,
                gain: device.gain,
                power_max_w: device.power_max_w,
                weight: device.weight,
                options: start..self.options.len() as u32,
            });
        }
    }

    /// The candidate that the plan gives a device, and its option.
    pub fn chosen<'a>(
        &self,
        frame: &FrameView<'a>,
        plan: &Plan,
        device: usize,
    ) -> Option<(&'a Candidate, &CutOption)> {
        let cut = plan.grants[device].cut?;
        let index = (self.devices[device].options.start + cut) as usize;
        let candidate = &frame.candidates[self.origin[index] as usize];
        Some((candidate, &self.options[index]))
    }

    pub fn problem<'a>(&'a self, frame: &FrameView<'a>) -> Problem<'a> {
        Problem {
            bandwidth_hz: frame.bandwidth_hz,
            radio: frame.radio,
            v: frame.v,
            curves: frame.curves,
            options: &self.options,
            devices: &self.devices,
        }
    }

    /// Hand a plan out. `power` and `stop` apply to embedded streams that send something.
    pub fn grant(
        &self,
        frame: &FrameView<'_>,
        plan: &Plan,
        power: PowerMode,
        stop: bool,
        grants: &mut [TaskGrant],
    ) {
        for ((device, found), grant) in self.devices.iter().zip(&plan.grants).zip(grants) {
            let Some(cut) = found.cut else {
                *grant = TaskGrant::default();
                continue;
            };
            let index = self.origin[(device.options.start + cut) as usize];
            let candidate = &frame.candidates[index as usize];
            let level = level_of(frame, candidate, found.bits);
            *grant = TaskGrant {
                candidate: Some(index),
                bandwidth_hz: found.bandwidth_hz,
                reference_power_w: found.reference_power_w,
                level,
                bits_limit: if level.is_some() {
                    found.bits
                } else {
                    f64::INFINITY
                },
                power,
                stop: stop && candidate.ladder == LadderKind::Embedded,
                bits: found.bits,
                accuracy: found.accuracy,
            };
        }
    }
}

/// Level of an `Alternatives` stream that `bits` pay for.
fn level_of(frame: &FrameView<'_>, candidate: &Candidate, bits: f64) -> Option<u32> {
    if candidate.ladder != LadderKind::Alternatives {
        return None;
    }
    let levels = &frame.levels[candidate.levels.start as usize..candidate.levels.end as usize];
    levels
        .iter()
        .rposition(|level| level.bits <= bits * (1.0 + 1e-9))
        .map(|level| level as u32)
}

pub(super) fn quality(plan: &Plan) -> PlanQuality {
    PlanQuality {
        bandwidth_price: plan.bandwidth_price,
        objective: plan.objective,
        upper_bound: plan.upper_bound,
    }
}

/// Of the policies that share the band equally and set a constant power from the energy budget.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EqualShareParams {
    /// The average gain is multiplied by this when bits are planned: below 1 to be safe in a fading channel, where the
    /// mean rate is less than the rate at the mean gain.
    pub gain_margin: f64,
    /// Share of the energy budget that a frame may spend.
    pub budget_fraction: f64,
}

impl Default for EqualShareParams {
    fn default() -> Self {
        Self {
            gain_margin: 0.7,
            budget_fraction: 1.0,
        }
    }
}

/// An equal share of the band for every device that has a task in this frame \[Hz\].
pub(super) fn equal_share_hz(frame: &FrameView<'_>) -> f64 {
    let with_task = |device: &&DeviceView| !device.candidates.is_empty();
    frame.bandwidth_hz / frame.devices.iter().filter(with_task).count().max(1) as f64
}

/// The candidate's time to send in `share_hz` of the band, at a margin below the average gain.
pub(super) fn equal_slice(
    frame: &FrameView<'_>,
    share_hz: f64,
    device: &DeviceView,
    candidate: &Candidate,
    gain_margin: f64,
) -> Slice {
    Slice {
        radio: frame.radio,
        bandwidth_hz: share_hz,
        gain: device.gain * gain_margin,
        power_max_w: device.power_max_w,
        time_s: candidate.transmit_time_s.max(0.0),
    }
}

/// The power that spends what the head leaves of the budget over the whole time to send \[W\].
pub(super) fn budget_power_w(device: &DeviceView, candidate: &Candidate, fraction: f64) -> f64 {
    if candidate.transmit_time_s <= 0.0 {
        return 0.0;
    }
    let left_j = (fraction * device.energy_budget_j - candidate.local_energy_j).max(0.0);
    (left_j / candidate.transmit_time_s).min(device.power_max_w)
}

/// A grant of an equal share at constant power, not to be stopped.
pub(super) fn constant_grant(
    index: u32,
    slice: &Slice,
    power_w: f64,
    bits: f64,
    curve: &AccuracyCurve,
) -> TaskGrant {
    TaskGrant {
        candidate: Some(index),
        bandwidth_hz: slice.bandwidth_hz,
        reference_power_w: power_w,
        level: None,
        bits_limit: f64::INFINITY,
        power: PowerMode::Constant,
        stop: false,
        bits,
        accuracy: curve.accuracy(bits),
    }
}
