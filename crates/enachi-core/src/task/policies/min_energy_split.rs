//! `min-energy-split`: the split with the least device energy for the channel at hand (arXiv 2106.00995): computation,
//! memory access and transmission of the whole tensor, at the least constant power that meets the deadline in an equal
//! share of the band. Accuracy plays no part. Where no split meets the deadline at full power, the one with the fewest
//! seconds to send, at full power.

use super::shared::{constant_grant, equal_share_hz, equal_slice};
use crate::profile::CutKind;
use crate::task::PlanFailure;
use crate::task::policy::{FrameView, StreamUse, TaskGrant, TaskPolicy};
use serde::{Deserialize, Serialize};

/// Parameters of `min-energy-split`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MinEnergySplitParams {
    /// Energy of memory access that the policy reckons with, per MAC on the device \[J\]. 0 where the world has none.
    pub memory_j_per_mac: f64,
    /// The average gain is multiplied by this when power is planned.
    pub gain_margin: f64,
}

impl Default for MinEnergySplitParams {
    fn default() -> Self {
        Self {
            memory_j_per_mac: 0.0,
            gain_margin: 0.7,
        }
    }
}

/// Least device energy.
#[derive(Clone, Copy, Debug)]
pub struct MinEnergySplit {
    params: MinEnergySplitParams,
}

impl MinEnergySplit {
    /// With parameters that [`PolicyParams::check`](super::PolicyParams::check) accepts.
    pub fn new(params: MinEnergySplitParams) -> Self {
        Self { params }
    }
}

impl TaskPolicy for MinEnergySplit {
    fn name(&self) -> &str {
        "min-energy-split"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Unordered
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        let (share_hz, margin) = (equal_share_hz(frame), self.params.gain_margin);
        for (device, grant) in frame.devices.iter().zip(grants) {
            // (misses the deadline, energy or seconds): compared in this order.
            let mut best: Option<((bool, f64), u32, f64)> = None;
            for index in device.candidates.clone() {
                let candidate = &frame.candidates[index as usize];
                if !candidate.feasible() {
                    continue;
                }
                let slice = equal_slice(frame, share_hz, device, candidate, margin);
                let macs = (candidate.head_macs + candidate.encode_macs) as f64;
                let compute_j = candidate.local_energy_j + self.params.memory_j_per_mac * macs;
                let (rank, power_w) = if candidate.kind == CutKind::Local {
                    ((false, compute_j), 0.0)
                } else if let Some(power_w) = slice.power_w(candidate.total_bits) {
                    ((false, compute_j + power_w * slice.time_s), power_w)
                } else {
                    let share = slice.capacity_bits() / candidate.total_bits;
                    ((true, -share), device.power_max_w)
                };
                if best.is_none_or(|(least, ..)| rank < least) {
                    best = Some((rank, index, power_w));
                }
            }
            *grant = match best {
                None => TaskGrant::default(),
                Some((_, index, power_w)) => {
                    let candidate = &frame.candidates[index as usize];
                    let mut slice = equal_slice(frame, share_hz, device, candidate, margin);
                    slice.power_max_w = power_w;
                    let bits = slice.capacity_bits().min(candidate.total_bits);
                    constant_grant(
                        index,
                        &slice,
                        power_w,
                        bits,
                        &frame.curves[candidate.curve as usize],
                    )
                }
            };
        }
        Ok(())
    }
}
