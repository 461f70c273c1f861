//! A task at the edge, from its offer to its record.

use super::engine::SLACK_S;
use super::judge::{Situation, TaskId, Verdict};
use super::replan::Share;
use crate::cell::Cell;
use crate::record::{Known, frame_record};
use enachi_core::record::{FrameRecord, Outcome};
use enachi_core::task::{Candidate, TaskGrant};
use enachi_proto::Progress;
use enachi_proto::message::{Offer, Report, Scored};
use enachi_sim::runner::sends;

/// Most entries of a task's timeline.
pub(super) const MOST_SEEN: usize = 1024;

/// What a slot has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Slot of the frame, by the device's count.
    pub slot: u32,
    /// Chunks so far.
    pub chunks: u32,
    /// Their bits.
    pub bits: u64,
}

/// A finished task.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its record.
    pub record: FrameRecord,
    /// Name of the device.
    pub name: String,
    /// The answer; empty where there is none.
    pub top: Vec<Scored>,
    /// True class, where it is known.
    pub label: Option<u16>,
    /// Whether `record.correct` says anything: the label or the replayed truth is known.
    pub known: bool,
    /// From the start of the task to its answer \[s\]; `None` without one.
    pub latency_s: Option<f64>,
    /// T \[s\].
    pub deadline_s: f64,
    /// Whether the answer, where the edge owed one, came by the deadline.
    pub in_time: bool,
    /// What arrived, slot by slot.
    pub timeline: Vec<Seen>,
    /// Where the edge stopped the device: from sending that to the last datagram that came after it \[s\], 0 if none did.
    pub silence_s: Option<f64>,
}

pub(super) struct Task<E> {
    pub id: TaskId,
    pub device: usize,
    pub frame: u32,
    pub offer: Offer,
    pub grant: TaskGrant,
    pub candidate: Option<Candidate>,
    /// When the frame began, by the caller's clock \[s\].
    pub began_s: f64,
    /// When the upload ends, from the beginning \[s\].
    pub batch_s: f64,
    pub stage: Stage<E>,
    pub checkpoint: usize,
    /// How much later than the end of its slot the last datagram came, by the edge's clock \[s\].
    pub behind_s: Option<f64>,
    pub stopped: bool,
    /// When it was told, by the caller's clock \[s\], and how long datagrams came after that \[s\].
    pub silence_s: Option<(f64, f64)>,
    /// Nothing more will come, as the device has sent all.
    pub complete: bool,
    /// Why it was not planned for as the policy would have it.
    pub refusal: Option<Outcome>,
    /// From its batch to its answer, as planned \[s\]; `None` where nothing was chosen.
    pub edge_s: Option<f64>,
    /// Its part in plans within the frame.
    pub share: Option<Share>,
    /// A slot of which something, but not its end, has arrived.
    pub open_slot: Option<u32>,
    pub timeline: Vec<Seen>,
    pub verdict: Option<Verdict>,
    pub answered_s: Option<f64>,
    pub report: Option<Report>,
}

pub(super) enum Stage<E> {
    /// Chunks come in.
    Uploading(E),
    /// The tail is at work.
    Judged,
    /// Nothing more to do but to hear from the device.
    Ended,
}

impl<E> Task<E> {
    /// What a judge is told; `None` where the device is on its own without a choice.
    pub fn situation<'a>(&'a self, cell: &'a Cell) -> Option<Situation<'a>> {
        Some(Situation {
            deployment: &cell.deployment,
            packet: &cell.variant.packet,
            candidate: self.candidate.as_ref()?,
            grant: &self.grant,
            device: self.device as u32,
            task: self.id.task,
            energy_queue_j: self.offer.energy_queue_j,
            gain: self.offer.gain,
            upload_end_s: self.batch_s,
        })
    }

    /// When its answer must be there, by the caller's clock \[s\].
    pub fn due_s(&self) -> f64 {
        self.began_s + self.offer.deadline_s
    }

    /// Whether it still has no answer, and one that comes at `now_s` is too late.
    pub fn is_late(&self, now_s: f64) -> bool {
        !matches!(self.stage, Stage::Ended) && now_s > self.due_s() + SLACK_S
    }

    /// A datagram of slot `slot` of the device's clock has come.
    pub fn behind(&mut self, now_s: f64, slot: u32, slot_s: f64) {
        // What comes before the batch tells the most, the last of it; if nothing does, the first that comes behind.
        if matches!(self.stage, Stage::Uploading(_)) || self.behind_s.is_none() {
            let end_s = slot_s * (f64::from(slot) + 1.0);
            self.behind_s = Some((now_s - self.began_s - end_s).max(0.0));
        }
    }

    pub fn note(&mut self, slot: u32, progress: Progress) {
        let seen = Seen {
            slot,
            chunks: progress.chunks,
            bits: progress.bits,
        };
        let full = self.timeline.len() >= MOST_SEEN;
        match self.timeline.last_mut() {
            Some(last) if last.slot == slot => *last = seen,
            _ if full => {}
            _ => self.timeline.push(seen),
        }
    }

    /// The record and what goes with it. `local` is whether the device's own answer is right, where a judge knows.
    pub fn done(
        &self,
        cell: &Cell,
        seed: u64,
        name: &str,
        report: &Report,
        local: Option<bool>,
    ) -> Done {
        let deadline_s = self.offer.deadline_s;
        let streamed = self.candidate.as_ref().filter(|c| c.stream.is_some());
        // An answer that came too late for the device is none.
        let verdict = self
            .verdict
            .as_ref()
            .filter(|_| report.answered_s.is_some());
        let top = match (verdict, streamed) {
            (Some(verdict), _) => verdict.top.clone(),
            (None, None) => report.local.into_iter().collect(),
            // What the device finds by itself after the deadline comes too late as well.
            (None, Some(_)) => Vec::new(),
        };
        let judged = match (verdict, streamed) {
            (Some(verdict), _) => verdict.correct,
            (None, None) => local,
            (None, Some(_)) => None,
        };
        let labelled = report
            .label
            .map(|label| top.first().is_some_and(|best| best.class == label));
        let correct = judged.or(labelled);
        let answer_s = match (&self.candidate, verdict) {
            (None, _) => deadline_s,
            (Some(candidate), None) if candidate.stream.is_none() => report.ready_s,
            (Some(_), Some(_)) => self
                .answered_s
                .unwrap_or(self.batch_s + self.edge_s.unwrap_or(0.0)),
            (Some(_), None) => deadline_s,
        };
        let known = Known {
            seed,
            frame: self.frame,
            device: self.device as u32,
            offer: &self.offer,
            grant: &self.grant,
            sends: self
                .share
                .as_ref()
                .map_or_else(|| sends(&self.grant), |s| s.ever),
            candidate: self.candidate.as_ref(),
            refusal: self.refusal,
            stream: streamed.map(|candidate| {
                let stream = candidate.stream.unwrap_or(0);
                cell.deployment.stream_index(candidate.cut, stream)
            }),
            batch_s: self.batch_s,
            answer_s,
            verdict,
            correct: correct.unwrap_or(false),
            stop: cell.variant.packet.stop,
        };
        let owed = streamed.is_some();
        Done {
            record: frame_record(&known, report),
            name: name.to_owned(),
            label: report.label,
            known: correct.is_some(),
            latency_s: (!top.is_empty()).then_some(answer_s),
            in_time: !owed || (verdict.is_some() && answer_s <= deadline_s + SLACK_S),
            deadline_s,
            top,
            timeline: self.timeline.clone(),
            silence_s: self.silence_s.map(|(_, heard_s)| heard_s),
        }
    }
}
