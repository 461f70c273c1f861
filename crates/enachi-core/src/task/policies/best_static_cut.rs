//! `best-static-cut`: one cut for good, an equal share of the band, and the constant power that the energy budget
//! allows; sent by importance until all is sent or the deadline comes. Without `@CUT` every device keeps the cut that
//! promises the most accuracy in its first frame; the best fixed cut in hindsight is found by running every `@CUT`.

use super::shared::{
    EqualShareParams, budget_power_w, constant_grant, equal_share_hz, equal_slice,
};
use crate::profile::{CutKind, LadderKind};
use crate::task::PlanFailure;
use crate::task::policy::{Candidate, DeviceView, FrameView, StreamUse, TaskGrant, TaskPolicy};

/// One cut for good.
#[derive(Clone, Debug)]
pub struct BestStaticCut {
    name: String,
    /// Given cut, as an index into the profile.
    cut: Option<u32>,
    params: EqualShareParams,
    /// Cut that each device chose, where none is given.
    chosen: Vec<Option<u32>>,
}

impl BestStaticCut {
    /// With parameters that [`PolicyParams::check`](super::PolicyParams::check) accepts.
    pub fn new(name: &str, cut: Option<u32>, params: EqualShareParams) -> Self {
        Self {
            name: name.to_owned(),
            cut,
            params,
            chosen: Vec::new(),
        }
    }

    /// Grant of a candidate.
    fn grant(
        &self,
        frame: &FrameView<'_>,
        share_hz: f64,
        device: &DeviceView,
        index: u32,
        candidate: &Candidate,
    ) -> TaskGrant {
        let curve = &frame.curves[candidate.curve as usize];
        let slice = equal_slice(frame, share_hz, device, candidate, self.params.gain_margin);
        if candidate.kind == CutKind::Local {
            let accuracy = curve.nothing_sent();
            return TaskGrant {
                candidate: Some(index),
                accuracy,
                ..TaskGrant::default()
            };
        }
        let power_w = budget_power_w(device, candidate, self.params.budget_fraction);
        let capacity = frame
            .radio
            .bits(slice.bandwidth_hz, slice.gain, power_w, slice.time_s);
        let bits = capacity.min(candidate.total_bits);
        let mut grant = constant_grant(index, &slice, power_w, bits, curve);
        if candidate.ladder == LadderKind::Alternatives {
            let levels =
                &frame.levels[candidate.levels.start as usize..candidate.levels.end as usize];
            let level = levels
                .iter()
                .rposition(|level| level.bits <= capacity)
                .unwrap_or(0);
            grant.level = Some(level as u32);
            grant.bits = levels.get(level).map_or(0.0, |level| level.bits);
            grant.bits_limit = grant.bits;
            grant.accuracy = curve.accuracy(grant.bits);
        }
        grant
    }
}

impl TaskPolicy for BestStaticCut {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        self.chosen.resize(frame.devices.len(), None);
        let share_hz = equal_share_hz(frame);
        for (n, (device, grant)) in frame.devices.iter().zip(grants).enumerate() {
            *grant = TaskGrant::default();
            let fixed = self.cut.or(self.chosen[n]);
            let mut best = f64::NEG_INFINITY;
            for index in device.candidates.clone() {
                let candidate = &frame.candidates[index as usize];
                if !candidate.feasible() || fixed.is_some_and(|cut| cut != candidate.cut) {
                    continue;
                }
                // A static choice must live within the budget for good.
                let affordable = candidate.local_energy_j
                    <= self.params.budget_fraction * device.energy_budget_j;
                let offer = self.grant(frame, share_hz, device, index, candidate);
                let score = if affordable {
                    offer.accuracy
                } else {
                    offer.accuracy - 1.0
                };
                if score > best {
                    best = score;
                    *grant = offer;
                    self.chosen[n] = Some(candidate.cut);
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, n: usize) {
        if let Some(chosen) = self.chosen.get_mut(n) {
            *chosen = None;
        }
    }

    fn reset(&mut self) {
        self.chosen.clear();
    }
}
