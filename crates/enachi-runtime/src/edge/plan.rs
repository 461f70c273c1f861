//! Planning a frame: the policy sees every device, and those without an offer have nothing to choose from.

use crate::cell::{self, Cell};
use enachi_core::record::Outcome;
use enachi_core::task::{
    DeviceView, FrameOutcome, FrameView, PlanQuality, TaskGrant, observe_contained, plan_contained,
};
use enachi_proto::message::{Idle, Offer};

/// Gain that stands for a device that has said nothing; nothing depends on it.
const NO_GAIN: f64 = 1e-12;

/// Working memory of planning.
#[derive(Default)]
pub(super) struct Planner {
    views: Vec<DeviceView>,
    pub grants: Vec<TaskGrant>,
    pub outcomes: Vec<FrameOutcome>,
    observed: bool,
    failed: bool,
    /// Of the plan, where the edge has no capacity to tell of it.
    quality: Option<PlanQuality>,
}

impl Planner {
    /// Let the policy decide about `offers` (one place per device) on `bandwidth_hz`.
    pub fn plan(
        &mut self,
        cell: &mut Cell,
        frame: u32,
        bandwidth_hz: f64,
        offers: &[Option<Offer>],
        idle: &[Option<Idle>],
    ) {
        cell.keep_slack();
        let deployment = &cell.deployment;
        let ranges = &cell.offer.device_candidates;
        self.views.clear();
        let devices = deployment.devices.iter().zip(ranges);
        for ((device, range), (offer, idle)) in devices.zip(offers.iter().zip(idle)) {
            let offered = offer.map(|o| (o.energy_queue_j, o.gain, cell::fading(o.fading)));
            let idling = idle.map(|i| (i.energy_queue_j, i.gain, cell::fading(i.fading)));
            let told = offered.or(idling);
            let nothing = (0.0, NO_GAIN, deployment.setting.fading);
            let (energy_queue_j, gain, fading) = told.unwrap_or(nothing);
            self.views.push(DeviceView {
                energy_queue_j,
                energy_budget_j: device.values.energy_budget_j,
                gain,
                fading,
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
        // A policy that fails sends nothing in this frame: the grants are the default ones.
        if let Some(capacity) = &mut cell.capacity {
            let planned = capacity.plan(
                &cell.deployment,
                cell.policy.as_mut(),
                &mut cell.offer,
                &mut self.views,
                frame,
                &mut self.grants,
            );
            self.failed = planned.is_err();
            cell.planned(&self.grants);
            return;
        }
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
        let planned = plan_contained(cell.policy.as_mut(), &view, &mut self.grants);
        self.failed = planned.is_err();
        self.quality = planned.ok().flatten();
        cell.planned(&self.grants);
    }

    /// Why a device was not planned for as its policy would have it.
    pub fn refusal(&self, cell: &Cell, device: usize) -> Option<Outcome> {
        let full = cell.capacity.as_ref().is_some_and(|c| c.refused(device));
        match self.failed {
            true => Some(Outcome::PolicyFailed),
            false => full.then_some(Outcome::Refused),
        }
    }

    /// Price of band in the frame's plan \[objective/Hz\]; 0 where there is none.
    pub fn bandwidth_price(&self, cell: &Cell) -> f64 {
        let quality = match &cell.capacity {
            Some(capacity) => capacity.quality(),
            None => self.quality,
        };
        let quality = quality.filter(|_| !self.failed);
        quality.map_or(0.0, |plan| plan.bandwidth_price)
    }

    /// Another device is in place `device`; what the one before has done there is not its doing.
    pub fn forget(&mut self, device: usize) {
        if let Some(place) = self.outcomes.get_mut(device) {
            *place = FrameOutcome::default();
        }
    }

    /// ENACHI (9): when the batch of `deadline_s` starts, of which `device` is one.
    pub fn batch_s(
        &self,
        cell: &Cell,
        offers: &[Option<Offer>],
        device: usize,
        deadline_s: f64,
    ) -> f64 {
        let same = |offer: &Option<Offer>| offer.is_some_and(|o| o.deadline_s == deadline_s);
        let edge_times = self
            .grants
            .iter()
            .zip(offers)
            .filter(|(_, offer)| same(offer))
            .filter_map(|(grant, _)| grant.candidate)
            .map(|index| cell.offer.candidates[index as usize].edge_time_s());
        cell.batch_s(device, deadline_s, edge_times)
    }
}
