//! Planning a frame: the policy sees every device, and those without an offer have nothing to choose from.

use crate::cell::Cell;
use enachi_core::task::{
    DeviceView, FrameOutcome, FrameView, TaskGrant, observe_contained, plan_contained,
};
use enachi_proto::message::Offer;
use enachi_sim::runner::edge_time_s;

/// Gain that stands for a device without an offer; nothing depends on it.
const NO_GAIN: f64 = 1e-12;

/// Working memory of planning.
#[derive(Default)]
pub(super) struct Planner {
    views: Vec<DeviceView>,
    pub grants: Vec<TaskGrant>,
    pub outcomes: Vec<FrameOutcome>,
    observed: bool,
}

impl Planner {
    /// Let the policy decide about `offers` (one place per device) on `bandwidth_hz`.
    pub fn plan(
        &mut self,
        cell: &mut Cell,
        frame: u32,
        bandwidth_hz: f64,
        offers: &[Option<Offer>],
    ) {
        let deployment = &cell.deployment;
        let ranges = &cell.offer.device_candidates;
        self.views.clear();
        for ((device, range), offer) in deployment.devices.iter().zip(ranges).zip(offers) {
            self.views.push(DeviceView {
                energy_queue_j: offer.map_or(0.0, |o| o.energy_queue_j),
                energy_budget_j: device.values.energy_budget_j,
                gain: offer.map_or(NO_GAIN, |o| o.gain),
                fading: deployment.setting.fading,
                power_max_w: device.drawn_power_max_w,
                deadline_s: offer.map_or(device.values.deadline_s, |o| o.deadline_s),
                weight: device.values.weight,
                edge_price_per_s: 0.0,
                candidates: if offer.is_some() { range.clone() } else { 0..0 },
            });
        }
        if self.observed {
            // A policy that panics has been reset, and goes on as if this were its first frame.
            let _ = observe_contained(cell.policy.as_mut(), &self.outcomes);
        }
        self.observed = true;
        self.outcomes.clear();
        self.outcomes.resize(offers.len(), FrameOutcome::default());
        self.grants.clear();
        self.grants.resize(offers.len(), TaskGrant::default());
        let view = FrameView {
            frame: u64::from(frame),
            slot_s: deployment.scenario.frame.slot_s,
            bandwidth_hz,
            radio: deployment.radio,
            v: deployment.scenario.task.v,
            curves: &cell.offer.curves,
            levels: &cell.offer.levels,
            candidates: &cell.offer.candidates,
            devices: &self.views,
        };
        // A policy that fails sends nothing in this frame: the grants are the default ones.
        let _ = plan_contained(cell.policy.as_mut(), &view, &mut self.grants);
    }

    /// What was learnt of other devices no longer counts.
    pub fn forget(&mut self) {
        self.observed = false;
    }

    /// ENACHI (9): when the batch of `deadline_s` starts.
    pub fn batch_s(&self, cell: &Cell, offers: &[Option<Offer>], deadline_s: f64) -> f64 {
        let same = |offer: &Option<Offer>| offer.is_some_and(|o| o.deadline_s == deadline_s);
        let edge_times = self
            .grants
            .iter()
            .zip(offers)
            .filter(|(_, offer)| same(offer))
            .filter_map(|(grant, _)| grant.candidate)
            .map(|index| edge_time_s(&cell.offer.candidates[index as usize]));
        cell.batch_s(deadline_s, edge_times)
    }
}
