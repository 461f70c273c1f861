//! One device-frame's record, put together from what both sides know.

use crate::edge::Verdict;
use enachi_core::profile::CutKind;
use enachi_core::record::{FrameRecord, Outcome, StopReason};
use enachi_core::task::{Candidate, TaskGrant};
use enachi_proto::message::{Ending, Offer, Report};
use enachi_sim::runner::sends;
use enachi_sim::scenario::StopKind;

/// What the edge knows of a task when the device has reported.
pub(crate) struct Known<'a> {
    pub seed: u64,
    pub frame: u32,
    pub device: u32,
    pub offer: &'a Offer,
    pub grant: &'a TaskGrant,
    pub candidate: Option<&'a Candidate>,
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
    let (outcome, stop_reason) = match known.candidate {
        None => (Outcome::Infeasible, StopReason::NotSending),
        Some(_) if local => (Outcome::Local, StopReason::NotSending),
        Some(_) => ending(sends(known.grant), report, known.stop),
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
        tasks: None,
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
