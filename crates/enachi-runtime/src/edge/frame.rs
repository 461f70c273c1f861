//! A frame's beginning: plan, refusals, grants.

use super::answers::failed;
use super::engine::{Edge, Happening};
use super::judge::{Judge, Situation, TaskId};
use super::replan::Share;
use super::task::{MOST_SEEN, Stage, Task};
use crate::record::idle_record;
use enachi_core::profile::CutKind;
use enachi_core::record::Outcome;
use enachi_core::task::{PowerMode, TaskGrant};
use enachi_proto::message::{Choice, Failure, Grant, Idle, Offer};
use enachi_sim::edge::edge_s;
use enachi_sim::runner::outcome;

impl<J: Judge> Edge<J> {
    /// Plan what has been offered. The frame begins at `now_s`.
    pub fn begin_frame(&mut self, now_s: f64) {
        let frame = self.frame;
        self.frame += 1;
        let bandwidth_hz = self.bandwidth_hz();
        self.planner.plan(
            &mut self.cell,
            frame,
            bandwidth_hz,
            &self.offers,
            &self.idle,
        );
        let idle = std::mem::replace(&mut self.idle, vec![None; self.lines.len()]);
        let offers = std::mem::replace(&mut self.offers, vec![None; self.lines.len()]);
        let count = offers.iter().flatten().count();
        self.happenings.push_back(Happening::Planned {
            frame,
            offers: count,
        });
        for (device, offer) in offers.iter().enumerate() {
            let (Some(offer), Some(connection)) = (offer, self.lines[device]) else {
                continue;
            };
            let planner = &self.planner;
            let mut batch_s = planner.batch_s(&self.cell, &offers, device, offer.deadline_s);
            let mut refusal = planner.refusal(&self.cell, device);
            let mut grant = planner.grants[device];
            match self.queue_s(device, &grant, offer.deadline_s) {
                Some(queue_s) => batch_s -= queue_s,
                None => {
                    refusal = Some(Outcome::Refused);
                    grant = TaskGrant::default();
                }
            }
            self.grant(
                connection, device, frame, offer, grant, refusal, now_s, batch_s,
            );
        }
        for (device, idle) in idle.iter().enumerate() {
            // One that has an offer too was idle before, not in this frame.
            if let Some(idle) = idle.filter(|_| offers[device].is_none()) {
                self.idle_frame(frame, device, &idle, &offers);
            }
        }
        if let Some(replan) = &mut self.replan {
            replan.begin(frame, now_s, self.planner.bandwidth_price(&self.cell));
            self.replan(now_s);
        }
    }

    fn idle_frame(&mut self, frame: u32, device: usize, idle: &Idle, offers: &[Option<Offer>]) {
        let deadline_s = self.cell.deployment.devices[device].values.deadline_s;
        let planner = &mut self.planner;
        let batch_s = planner.batch_s(&self.cell, offers, device, deadline_s);
        let record = idle_record(self.options.seed, frame, device, batch_s, idle);
        planner.outcomes[device] = outcome(None, deadline_s, &record);
        self.happenings.push_back(Happening::Idle(Box::new(record)));
    }

    /// How long the tail of a grant waits for a worker, without a barrier; `None` if that is too long.
    fn queue_s(&self, device: usize, grant: &TaskGrant, deadline_s: f64) -> Option<f64> {
        let edge_s = |task: &Task<_>| match task.stage {
            Stage::Uploading(_) | Stage::Judged => task.edge_s.unwrap_or(0.0),
            Stage::Ended => 0.0,
        };
        let chosen = grant.candidate;
        let candidate = chosen.map(|index| &self.cell.offer.candidates[index as usize]);
        let Some(candidate) = candidate.filter(|c| c.kind != CutKind::Local) else {
            return Some(0.0);
        };
        let waiting_s = self.tasks.iter().map(edge_s).sum();
        self.cell
            .queue_s(device, waiting_s, candidate.edge_time_s(), deadline_s)
    }

    /// Band for the next plan: with a barrier all of it; without, what is free, shared fairly with those that may come.
    fn bandwidth_hz(&self) -> f64 {
        let total = self.cell.deployment.scenario.channel.bandwidth_hz;
        if self.options.barrier {
            return total;
        }
        let uploading = |t: &&Task<_>| matches!(t.stage, Stage::Uploading(_));
        let used: f64 = self
            .tasks
            .iter()
            .filter(uploading)
            .map(|t| t.grant.bandwidth_hz)
            .sum();
        let share = total * self.waiting() as f64 / self.connected().max(1) as f64;
        share.min(total - used).max(1e-6 * total)
    }

    #[expect(clippy::too_many_arguments, reason = "one per part of a grant")]
    fn grant(
        &mut self,
        connection: u64,
        device: usize,
        frame: u32,
        offer: &Offer,
        grant: TaskGrant,
        refusal: Option<Outcome>,
        now_s: f64,
        batch_s: f64,
    ) {
        let id = TaskId {
            connection,
            task: offer.task,
        };
        let candidate = grant
            .candidate
            .map(|index| self.cell.offer.candidates[index as usize].clone());
        let level = grant.level.map(|level| level as u16 + 1);
        let choice = candidate.as_ref().map(|c| Choice {
            cut: c.cut as u16,
            stream: c.stream.map(|stream| stream as u16),
            level,
        });
        let message = Grant {
            task: offer.task,
            frame,
            choice,
            refused: refusal.map(|_| Failure::Overload),
            bandwidth_hz: grant.bandwidth_hz,
            reference_power_w: grant.reference_power_w,
            bits_limit: grant.bits_limit,
            tracking: grant.power == PowerMode::Tracking,
            planned_bits: grant.bits,
            planned_accuracy: grant.accuracy.clamp(0.0, 1.0),
            upload_end_s: batch_s.max(0.0),
        };
        let chosen = candidate.as_ref();
        let planned_s = chosen.map(|c| edge_s(self.cell.capacity.as_ref(), device, c));
        let mut task = Task {
            id,
            device,
            frame,
            offer: *offer,
            grant,
            candidate,
            began_s: now_s,
            batch_s,
            stage: Stage::Ended,
            checkpoint: 0,
            behind_s: None,
            stopped: false,
            silence_s: None,
            complete: false,
            refusal,
            edge_s: planned_s,
            share: None,
            open_slot: None,
            timeline: Vec::new(),
            verdict: None,
            answered_s: None,
            report: None,
        };
        let sends = |s: &Situation<'_>| s.candidate.stream.is_some();
        let opened = task.situation(&self.cell).filter(sends).map(|situation| {
            let chunks = self.judge.chunks(&situation);
            (self.judge.open(&situation), chunks)
        });
        let mut chunks = 0;
        if let Some((evidence, count)) = opened {
            task.stage = Stage::Uploading(evidence);
            chunks = count;
            let slots = batch_s.max(0.0) / self.cell.deployment.scenario.frame.slot_s;
            task.timeline.reserve((slots as usize + 1).min(MOST_SEEN));
            if self.replan.is_some() {
                task.share = Share::new(&self.judge, &self.cell, &task);
            }
        }
        let Some(connected) = self.connections.get_mut(&connection) else {
            return;
        };
        match connected.session.grant(message, chunks) {
            Ok(()) => self.tasks.push(task),
            Err(error) => self.happenings.push_back(Happening::Failed {
                device,
                detail: error.to_string(),
            }),
        }
        self.flush(connection);
    }

    /// Leave a device on its own with a task that is not planned.
    pub(super) fn on_its_own(
        &mut self,
        connection: u64,
        device: usize,
        offer: &Offer,
        why: Failure,
    ) {
        if let Some(connected) = self.connections.get_mut(&connection) {
            let _ = connected.session.answer(failed(offer.task, why));
        }
        self.happenings.push_back(Happening::Failed {
            device,
            detail: format!("task {} was not planned", offer.task),
        });
    }
}
