//! One device-frame's record, put together from what both sides know.

use crate::edge::Verdict;
use enachi_core::profile::CutKind;
use enachi_core::record::{FrameRecord, Outcome, StopReason, TaskQueue};
use enachi_core::task::{Candidate, TaskGrant};
use enachi_proto::message::{Ending, Idle, Offer, Report, Waiting};
use enachi_sim::scenario::StopKind;

/// What the edge knows of a task when the device has reported.
pub(crate) struct Known<'a> {
    pub seed: u64,
    pub frame: u32,
    pub device: u32,
    pub offer: &'a Offer,
    pub grant: &'a TaskGrant,
    /// Whether it was ever given anything to send with.
    pub sends: bool,
    pub candidate: Option<&'a Candidate>,
    /// Why it was not planned for as the policy would have it.
    pub refusal: Option<Outcome>,
    /// Index into the names of streams.
    pub stream: Option<usize>,
    pub batch_s: f64,
    pub answer_s: f64,
    pub verdict: Option<&'a Verdict>,
    pub correct: bool,
    pub stop: StopKind,
}

/// The record.
pub(crate) fn frame_record(known: &Known<'_>, report: &Report) -> FrameRecord {
    let local = known.candidate.is_some_and(|c| c.kind == CutKind::Local);
    let verdict = known.verdict;
    let not_sending = match known.refusal {
        Some(Outcome::Refused) => StopReason::EdgeFull,
        _ => StopReason::NotSending,
    };
    let (outcome, stop_reason) = match known.candidate {
        None => (known.refusal.unwrap_or(Outcome::Infeasible), not_sending),
        Some(_) if local => (Outcome::Local, not_sending),
        Some(_) => ending(known.sends, report, known.stop),
    };
    FrameRecord {
        policy: 0,
        seed: known.seed,
        frame: known.frame,
        device: known.device,
        image: report.image,
        cut: known.candidate.map(|c| c.cut as u16),
        stream: known.stream.map(|stream| stream as u16),
        level: report.level,
        bandwidth_hz: known.grant.bandwidth_hz,
        reference_power_w: known.grant.reference_power_w,
        mean_power_w: report.mean_power_w,
        planned_gain: known.offer.gain,
        mean_gain: report.mean_gain,
        planned_bits: known.grant.bits,
        planned_accuracy: known.grant.accuracy,
        bits: report.bits,
        chunks: verdict.map_or(0, |v| v.chunks),
        fraction: if report.total_bits > 0.0 {
            report.bits / report.total_bits
        } else {
            0.0
        },
        outcome,
        stop_reason,
        correct: known.correct,
        entropy_nats: verdict.map(|v| v.entropy_nats),
        energy_local_j: report.energy_local_j,
        energy_codec_j: report.energy_codec_j,
        energy_transmit_j: report.energy_transmit_j,
        energy_queue_j: known.offer.energy_queue_j,
        power_queue_w: report.power_queue_w,
        slots: report.slots,
        ready_time_s: report.ready_s,
        sent_time_s: report.sent_s,
        batch_time_s: known.batch_s,
        answer_time_s: known.answer_s,
        tasks: report.tasks.map(queue),
    }
}

fn queue(told: Waiting) -> TaskQueue {
    TaskQueue {
        arrived: told.arrived,
        dropped: told.dropped,
        waiting: told.waiting,
        waited_frames: told.waited_frames,
    }
}

/// The record of a device that has nothing to do in a frame; its batch begins at `batch_s` all the same.
pub(crate) fn idle_record(
    seed: u64,
    frame: u32,
    device: usize,
    batch_s: f64,
    idle: &Idle,
) -> FrameRecord {
    FrameRecord {
        policy: 0,
        seed,
        frame,
        device: device as u32,
        image: None,
        cut: None,
        stream: None,
        level: None,
        bandwidth_hz: 0.0,
        reference_power_w: 0.0,
        mean_power_w: 0.0,
        planned_gain: idle.gain,
        mean_gain: idle.mean_gain,
        planned_bits: 0.0,
        planned_accuracy: 0.0,
        bits: 0.0,
        chunks: 0,
        fraction: 0.0,
        outcome: Outcome::NoTask,
        stop_reason: StopReason::NotSending,
        correct: false,
        entropy_nats: None,
        energy_local_j: idle.energy_j,
        energy_codec_j: 0.0,
        energy_transmit_j: 0.0,
        energy_queue_j: idle.energy_queue_j,
        power_queue_w: 0.0,
        slots: 0,
        ready_time_s: 0.0,
        sent_time_s: 0.0,
        batch_time_s: batch_s,
        answer_time_s: 0.0,
        tasks: idle.tasks.map(queue),
    }
}

fn ending(sends: bool, report: &Report, stop: StopKind) -> (Outcome, StopReason) {
    let nothing = report.slots == 0 && report.ending == Ending::AllSent;
    if !sends || nothing {
        return (Outcome::SentNothing, StopReason::NotSending);
    }
    match report.ending {
        Ending::NotSending => (Outcome::SentNothing, StopReason::NotSending),
        Ending::AllSent => (Outcome::Delivered, StopReason::AllSent),
        Ending::Deadline => (Outcome::DeadlineCut, StopReason::Deadline),
        Ending::Stopped if stop == StopKind::Marginal => {
            (Outcome::StoppedEarly, StopReason::MarginalValue)
        }
        Ending::Stopped => (Outcome::StoppedEarly, StopReason::EntropyThreshold),
    }
}
