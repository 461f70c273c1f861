//! Planning again within the frame: the simulator's own plans ([`enachi_sim::mux`]), from what the edge has heard.
//!
//! A plan is made at the beginning of its slot and told at once, for the slot in which it takes effect. What it reserves for
//! devices that have finished by then is shared out in that slot, and those whose band changes hear once more. A device that was
//! told to stop counts with the band that it was told last until the stop has reached it; it is told no other.

use super::engine::{Edge, SLACK_S};
use super::judge::{Judge, TaskId};
use super::task::{Stage, Task};
use crate::cell::{Cell, fading};
use enachi_core::packet::Window;
use enachi_core::task::Replanning;
use enachi_proto::message::Regrant;
use enachi_sim::mux::{Leaving, Party, Replanner, Situation, Standing, share_out};
use enachi_sim::runner::sends;
use tracing::warn;

/// Plans of the frame in hand.
pub(super) struct Replan {
    replanner: Replanner,
    replanning: Replanning,
    situation: Situation,
    frame: u32,
    began_s: f64,
    /// Slot of the next plan.
    next: u32,
    /// What the last plan still has to do.
    pending: Option<Effect>,
}

/// When a plan takes effect, and when the one after it does.
#[derive(Clone, Copy)]
struct Effect {
    slot: u32,
    next: u32,
}

/// A task's part in the plans.
pub(super) struct Share {
    standing: Standing,
    /// Band \[Hz\] and p̃ \[W\] that the device was told last.
    told: [f64; 2],
    revision: u32,
    /// Slot and checkpoint at which the device has last said how far it is to the next.
    heard_at: (u32, usize),
    /// Whether it was ever given anything to send with.
    pub ever: bool,
}

/// A task in a plan.
struct Seat {
    task: usize,
    standing: Standing,
}

impl Party for Seat {
    fn standing(&self) -> Standing {
        self.standing
    }

    fn reserve(&mut self, bandwidth_hz: f64, reference_w: f64) {
        self.standing.reserve(bandwidth_hz, reference_w);
    }
}

impl Share {
    /// Of a task that may send; `None` for others.
    pub fn new<J: Judge>(judge: &J, cell: &Cell, task: &Task<J::Evidence>) -> Option<Self> {
        let situation = task.situation(cell)?;
        let candidate = situation.candidate;
        let stream = candidate.stream?;
        let deployment = &cell.deployment;
        let device = &deployment.devices[task.device];
        let ready_s = candidate.head_time_s + candidate.encode_time_s;
        let slot_s = deployment.scenario.frame.slot_s;
        let mut window = Window::between(ready_s, task.batch_s, slot_s);
        let of = &deployment.cut(candidate.cut).streams[stream as usize];
        let planned = of.is_divisible();
        if !planned && !sends(&task.grant) {
            window.end = window.first;
        }
        let told @ [reserved_hz, reference_w] =
            [task.grant.bandwidth_hz, task.grant.reference_power_w];
        Some(Self {
            standing: Standing {
                window,
                released: false,
                leaving: None,
                planned,
                reserved_hz,
                reference_w,
                checkpoint: 0,
                begun: 0.0,
                stream: deployment.stream_index(candidate.cut, stream),
                image: judge.image(&situation),
                gain: task.offer.gain,
                fading: fading(task.offer.fading),
                energy_queue_j: task.offer.energy_queue_j,
                power_max_w: device.drawn_power_max_w,
                weight: device.values.weight,
            },
            told,
            revision: 0,
            heard_at: (0, 0),
            ever: reserved_hz > 0.0 && reference_w > 0.0,
        })
    }

    /// The device says in `slot` which share of the way from `checkpoint` to the next it has sent.
    pub fn progress(&mut self, slot: u32, checkpoint: usize, begun: f64) {
        if slot >= self.heard_at.0 {
            self.heard_at = (slot, checkpoint);
            self.standing.begun = begun;
        }
    }

    /// `until` is the first slot without it, if it was told to stop.
    fn standing(&self, checkpoint: usize, until: Option<u32>) -> Standing {
        let heard = self.heard_at.1 == checkpoint;
        let [bandwidth_hz, _] = self.told;
        Standing {
            checkpoint,
            begun: if heard { self.standing.begun } else { 0.0 },
            released: until.is_some(),
            leaving: until.map(|until| Leaving {
                until,
                bandwidth_hz,
            }),
            ..self.standing
        }
    }
}

impl Replan {
    /// `None` for a policy whose plans hold for the frame.
    pub fn new(cell: &Cell) -> Option<Self> {
        let replanning = cell.policy.replanning();
        let deployment = &cell.deployment;
        let scenario = &deployment.scenario;
        Some(Self {
            replanner: Replanner::new(replanning)?,
            replanning,
            situation: Situation {
                bandwidth_hz: scenario.channel.bandwidth_hz,
                radio: deployment.radio,
                v: scenario.task.v,
                bandwidth_price: 0.0,
                slot_s: scenario.frame.slot_s,
                period_slots: scenario.mux.period_slots,
                delay_slots: scenario.mux.delay_slots,
                feedback_slots: cell.variant.packet.feedback_slots,
            },
            frame: 0,
            began_s: 0.0,
            next: u32::MAX,
            pending: None,
        })
    }

    /// Another frame begins, whose own plan had the price `bandwidth_price` \[objective/Hz\].
    pub fn begin(&mut self, frame: u32, now_s: f64, bandwidth_price: f64) {
        self.replanner.begin(bandwidth_price);
        (self.frame, self.began_s, self.next, self.pending) = (frame, now_s, 0, None);
    }

    fn due_s(&self) -> f64 {
        let slot = self.pending.map_or(self.next, |effect| effect.slot);
        self.began_s + f64::from(slot) * self.situation.slot_s
    }

    /// First slot in which a device sends nothing more that was told to stop at `told_s`.
    fn silent_from(&self, told_s: f64) -> u32 {
        let feedback_slots = self.situation.feedback_slots;
        if feedback_slots == 0 {
            // At once, however late the clock of whoever drives the edge is.
            return 0;
        }
        let slots = (told_s - self.began_s - SLACK_S) / self.situation.slot_s;
        (slots.ceil().max(0.0) as u32).saturating_add(feedback_slots)
    }

    /// The slot of a plan that is made at `now_s`, and when it takes effect. Plans that a clock which was held up has missed
    /// are not made up for.
    fn plan_slot(&mut self, now_s: f64) -> (u32, Effect) {
        let Situation {
            slot_s,
            period_slots,
            delay_slots,
            ..
        } = self.situation;
        let now = ((now_s - self.began_s + SLACK_S) / slot_s).max(0.0) as u32;
        let decided = self.next.max(now / period_slots * period_slots);
        self.next = decided + period_slots;
        // The first plan goes with the frame's own grants.
        let slot = if decided == 0 {
            0
        } else {
            decided + delay_slots
        };
        let next = decided + period_slots + delay_slots;
        (decided, Effect { slot, next })
    }
}

impl<J: Judge> Edge<J> {
    /// Make the plans that are due, and share out what those that take effect leave.
    pub(super) fn replan(&mut self, now_s: f64) {
        let Some(mut replan) = self.replan.take() else {
            return;
        };
        while now_s + SLACK_S >= replan.due_s() {
            let seats = self.seats(&replan);
            if seats.is_empty() {
                replan.next = u32::MAX;
                replan.pending = None;
                break;
            }
            match replan.pending.take() {
                None => self.plan_again(&mut replan, seats, now_s),
                Some(effect) => self.share_out(&replan, seats, effect),
            }
        }
        self.replan = Some(replan);
    }

    /// When [`Edge::replan`] has something to do.
    pub(super) fn next_plan_s(&self) -> Option<f64> {
        let replan = self.replan.as_ref().filter(|r| r.next < u32::MAX)?;
        Some(replan.due_s())
    }

    /// Tasks of the frame that still send or have not yet heard that they are to stop, by device.
    fn seats(&self, replan: &Replan) -> Vec<Seat> {
        let mut seats: Vec<Seat> = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            let told_s = task.silence_s.filter(|_| task.stopped);
            let until = told_s.map(|(told_s, _)| replan.silent_from(told_s));
            // Without the barrier a task is judged as soon as it is stopped, and its device sends on all the same.
            let sends = until.is_some() || matches!(task.stage, Stage::Uploading(_));
            let counts = sends && task.frame == replan.frame && !task.complete;
            if let Some(share) = task.share.as_ref().filter(|_| counts) {
                let standing = share.standing(task.checkpoint, until);
                seats.push(Seat {
                    task: index,
                    standing,
                });
            }
        }
        // Sums of bands depend on their order.
        seats.sort_by_key(|seat| self.tasks[seat.task].device);
        seats
    }

    fn plan_again(&mut self, replan: &mut Replan, mut seats: Vec<Seat>, now_s: f64) {
        let (decided, effect) = replan.plan_slot(now_s);
        let (packet, deployment) = (&self.cell.variant.packet, &self.cell.deployment);
        let tables = deployment.conditional(packet, replan.replanning);
        let tables = tables.expect("prepared for every policy that plans again");
        let situation = replan.situation;
        let planned = replan
            .replanner
            .plan(&situation, tables, &mut seats, effect.slot);
        if let Err(failure) = planned {
            warn!(frame = replan.frame, %failure, "the plan before it holds");
        }
        for seat in &seats {
            if let Some(share) = self.tasks[seat.task].share.as_mut() {
                let Standing {
                    reserved_hz,
                    reference_w,
                    ..
                } = seat.standing;
                share.standing.reserve(reserved_hz, reference_w);
            }
        }
        // Devices that are told to stop before the slot, and hear it late, would apply what they are told now.
        if decided < effect.slot && situation.feedback_slots == 0 {
            self.tell(&situation, &mut seats, effect);
        }
        replan.pending = Some(effect);
    }

    /// A plan takes effect among those that still send.
    fn share_out(&mut self, replan: &Replan, mut seats: Vec<Seat>, effect: Effect) {
        self.tell(&replan.situation, &mut seats, effect);
        for seat in &seats {
            if let Some(share) = self.tasks[seat.task].share.as_mut() {
                share.ever |= share.told.iter().all(|part| *part > 0.0);
            }
        }
    }

    /// Tell those who may use it their band and power from `effect` on, where they do not know.
    fn tell(&mut self, situation: &Situation, seats: &mut [Seat], effect: Effect) {
        let mut bands: Vec<(usize, [f64; 2])> = Vec::with_capacity(seats.len());
        let each = |seat: &mut Seat, band_hz| {
            bands.push((seat.task, [band_hz, seat.standing.reference_w]));
        };
        let Effect { slot, next } = effect;
        share_out(situation.bandwidth_hz, seats, slot, next, each);
        for (index, told) in bands {
            let task = &mut self.tasks[index];
            let TaskId {
                connection,
                task: number,
            } = task.id;
            let Some(share) = task.share.as_mut().filter(|share| share.told != told) else {
                continue;
            };
            share.told = told;
            share.revision += 1;
            let regrant = Regrant {
                task: number,
                revision: share.revision,
                slot,
                bandwidth_hz: told[0],
                reference_power_w: told[1],
            };
            if let Some(connected) = self.connections.get_mut(&connection) {
                // Refused where the device was stopped meanwhile.
                let _ = connected.session.regrant(regrant);
            }
            self.flush(connection);
        }
    }
}
