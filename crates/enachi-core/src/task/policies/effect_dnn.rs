//! `effect-dnn`: energy-efficient offloading with an *average* latency constraint.
//!
//! Per device a virtual queue Z ← [Z + latency − target]⁺ holds the latency owed. Every frame the device takes the cut
//! and the constant power that minimise W·energy + Z·latency for the whole tensor, in an equal share of the band. It
//! knows no order of importance, never stops early, and a task that the deadline cuts is answered from what arrived.
//!
//! Left open by the source and hence parameters: the weight W, the latency target (as a fraction of the deadline), and
//! the longest latency it may plan for one frame (with an empty queue any latency would do, and the least energy takes
//! for ever).

use super::shared::{constant_grant, equal_share_hz, equal_slice};
use crate::profile::CutKind;
use crate::task::PlanFailure;
use crate::task::policy::{
    Candidate, DeviceView, FrameOutcome, FrameView, StreamUse, TaskGrant, TaskPolicy,
};
use crate::task::price::CheapestBit;
use serde::{Deserialize, Serialize};

/// Parameters of `effect-dnn`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EffectDnnParams {
    /// W \[s²/J\]: what a joule weighs against a second owed and a second of latency.
    pub energy_weight: f64,
    /// Target of the average latency, as a fraction of the deadline.
    pub latency_target: f64,
    /// Longest latency planned for one frame, as a fraction of the deadline.
    pub longest: f64,
}

impl Default for EffectDnnParams {
    fn default() -> Self {
        Self {
            energy_weight: 1.0,
            latency_target: 0.9,
            longest: 1.0,
        }
    }
}

/// Least energy at a given average latency.
#[derive(Debug)]
pub struct EffectDnn {
    params: EffectDnnParams,
    cheapest_bit: CheapestBit,
    /// Z, by device \[s\].
    owed_s: Vec<f64>,
    /// Target, by device, of those that have a task in the frame \[s\].
    target_s: Vec<Option<f64>>,
}

/// One way to do the task.
#[derive(Clone, Copy)]
struct Way {
    energy_j: f64,
    latency_s: f64,
    power_w: f64,
}

impl EffectDnn {
    /// With parameters that [`PolicyParams::check`](super::PolicyParams::check) accepts.
    pub fn new(params: EffectDnnParams) -> Self {
        Self {
            params,
            cheapest_bit: CheapestBit::default(),
            owed_s: Vec::new(),
            target_s: Vec::new(),
        }
    }

    /// Best power for a candidate when `owed_s` seconds are owed.
    fn way(
        &self,
        frame: &FrameView<'_>,
        share_hz: f64,
        device: &DeviceView,
        candidate: &Candidate,
        owed_s: f64,
    ) -> Option<Way> {
        let fixed_s = candidate.head_time_s
            + candidate.encode_time_s
            + candidate.tail_time_s
            + candidate.decode_time_s;
        if candidate.kind == CutKind::Local {
            let way = Way {
                energy_j: candidate.local_energy_j,
                latency_s: fixed_s,
                power_w: 0.0,
            };
            return candidate.feasible().then_some(way);
        }
        let mut slice = equal_slice(frame, share_hz, device, candidate, 1.0);
        slice.time_s = self.params.longest * device.deadline_s - fixed_s;
        if slice.time_s <= 0.0 || device.gain <= 0.0 || device.power_max_w <= 0.0 {
            return None;
        }
        let bits = candidate.total_bits;
        // (W·p + Z)/rate(p) is least where W·(noise/h)·(e^x − 1) + Z per x is: the cheapest bit with k = Z·h/(W·noise).
        let snr_unit_w = frame.radio.noise_power_w(slice.bandwidth_hz) / device.gain;
        let k = owed_s / (self.params.energy_weight * snr_unit_w);
        let cheapest_w = if k > 0.0 {
            self.cheapest_bit.solve(k).0.exp_m1() * snr_unit_w
        } else {
            0.0
        };
        // Power beyond the spectral cap does nothing.
        let useful_w = (frame.radio.spectral_cap * std::f64::consts::LN_2).exp_m1() * snr_unit_w;
        let least_w = slice.power_w(bits).unwrap_or(device.power_max_w);
        let power_w = cheapest_w
            .max(least_w)
            .min(useful_w)
            .min(device.power_max_w);
        let rate_bps = frame
            .radio
            .rate_bps(slice.bandwidth_hz, device.gain, power_w);
        let send_s = bits / rate_bps;
        // What the deadline cuts is not paid for.
        let paid_s = send_s.min(candidate.transmit_time_s.max(0.0));
        let energy_j = candidate.local_energy_j + power_w * paid_s;
        Some(Way {
            energy_j,
            latency_s: fixed_s + send_s,
            power_w,
        })
    }
}

impl TaskPolicy for EffectDnn {
    fn name(&self) -> &str {
        "effect-dnn"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Unordered
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        self.owed_s.resize(frame.devices.len(), 0.0);
        self.target_s.clear();
        let share_hz = equal_share_hz(frame);
        for (n, (device, grant)) in frame.devices.iter().zip(grants).enumerate() {
            let has_task = !device.candidates.is_empty();
            self.target_s
                .push(has_task.then_some(self.params.latency_target * device.deadline_s));
            let owed_s = self.owed_s[n];
            let mut best: Option<(f64, u32, Way)> = None;
            for index in device.candidates.clone() {
                let candidate = &frame.candidates[index as usize];
                if !candidate.feasible() {
                    continue;
                }
                let Some(way) = self.way(frame, share_hz, device, candidate, owed_s) else {
                    continue;
                };
                let cost = self.params.energy_weight * way.energy_j + owed_s * way.latency_s;
                if best.is_none_or(|(least, ..)| cost < least) {
                    best = Some((cost, index, way));
                }
            }
            *grant = match best {
                None => TaskGrant::default(),
                Some((_, index, way)) => {
                    let candidate = &frame.candidates[index as usize];
                    let slice = equal_slice(frame, share_hz, device, candidate, 1.0);
                    let bits = frame
                        .radio
                        .bits(slice.bandwidth_hz, device.gain, way.power_w, slice.time_s)
                        .min(candidate.total_bits);
                    constant_grant(
                        index,
                        &slice,
                        way.power_w,
                        bits,
                        &frame.curves[candidate.curve as usize],
                    )
                }
            };
        }
        Ok(())
    }

    fn observe(&mut self, outcomes: &[FrameOutcome]) {
        for ((owed_s, target_s), outcome) in
            self.owed_s.iter_mut().zip(&self.target_s).zip(outcomes)
        {
            if let Some(target_s) = target_s {
                *owed_s = (*owed_s + outcome.latency_s - target_s).max(0.0);
            }
        }
    }

    fn forget(&mut self, n: usize) {
        if let Some(owed_s) = self.owed_s.get_mut(n) {
            *owed_s = 0.0;
        }
        if let Some(target_s) = self.target_s.get_mut(n) {
            *target_s = None;
        }
    }

    fn reset(&mut self) {
        self.owed_s.clear();
    }
}
