//! What a task, or a frame without one, has cost.

use super::Work;
use super::engine::{Device, Finished, Running, Signal};
use super::radio::Radio;
use crate::cell;
use enachi_core::packet::Ending;
use enachi_proto::message::{self, Account, Answer, Idle, Report, Waiting};

impl<W: Work, R: Radio> Device<W, R> {
    /// `frames` frames have brought no task; `task` is the number that the next would have had. Each has its allowance of
    /// energy, and costs what doing nothing costs.
    pub fn idle(&mut self, task: u32, frames: u32, tasks: Option<Waiting>) {
        let gain = self.radio.gain(&self.deployment, task);
        let energy_queue_j = self.queue.level_j();
        let device = &self.deployment.devices[self.place()];
        let frame_j = device.values.idle_power_w * self.deployment.scenario.frame.length_s;
        for _ in 0..frames {
            self.queue.update(frame_j);
        }
        // A broken line cannot take it; the next report carries the account.
        let _ = self.session.idle(Idle {
            frames,
            gain: gain.known,
            fading: cell::fading_told(gain.told.fading),
            mean_gain: gain.local.mean_gain,
            energy_queue_j,
            energy_j: f64::from(frames) * frame_j,
            account: self.account(),
            tasks,
        });
    }

    /// Account for the task in hand and report it.
    pub(super) fn finish(&mut self, answer: Option<Answer>) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        let answered = answer.as_ref().and_then(|a| a.top.first().copied());
        // A replayed answer may have no classes.
        let taken = answer.as_ref().is_some_and(|a| a.failure.is_none());
        if answered.is_none() && !taken && running.local.is_none() && self.work.falls_back() {
            running.local = self.work.whole(running.task);
        }
        let mut report = self.account_for(&running);
        report.answered_s = taken.then_some(self.now_s);
        // A broken line cannot take it; the next report carries the account.
        let _ = self.session.report(report);
        self.signals.push(Signal::Finished(Box::new(Finished {
            task: running.task,
            grant: running.grant,
            class: answered.or(running.local).map(|best| best.class),
            regrants: running.upload.as_ref().map_or(0, |u| u.regranted),
            answer,
            report,
            elapsed_s: 0.0,
            late: false,
        })));
    }

    fn account_for(&mut self, running: &Running) -> Report {
        let device = &self.deployment.devices[self.place()];
        let timing = &self.deployment.scenario.frame;
        let slot_s = timing.slot_s;
        let mut energy_local_j = device.values.idle_power_w * timing.length_s;
        let mut energy_codec_j = 0.0;
        if let Some(candidate) = &running.candidate {
            energy_local_j += device.compute.energy_j(candidate.head_macs);
            energy_codec_j = device.compute.energy_j(candidate.encode_macs);
        }
        let whole = running
            .candidate
            .as_ref()
            .is_some_and(|c| c.stream.is_none());
        if running.local.is_some() && !whole {
            // It ran the whole network after all.
            let macs = self.deployment.networks[0].profile.cuts.first();
            let macs = macs.map_or(0, |cut| cut.head_macs + cut.tail_macs);
            energy_local_j += device.compute.energy_j(macs);
        }
        let (_, image) = self.work.draw(running.task, running.candidate.as_ref());
        let mut report = Report {
            task: running.task,
            energy_local_j,
            energy_codec_j,
            energy_transmit_j: 0.0,
            account: Account::default(),
            slots: 0,
            bits: 0.0,
            total_bits: 0.0,
            mean_power_w: 0.0,
            mean_gain: running.gain.local.mean_gain,
            power_queue_w: 0.0,
            ending: message::Ending::NotSending,
            ready_s: running.ready_s,
            sent_s: running.ready_s,
            level: None,
            image: image.map(|image| image as u32),
            label: self.work.label(running.task),
            local: running.local,
            answered_s: None,
            tasks: running.tasks,
        };
        if let Some(upload) = &running.upload {
            let sent = upload.sender.clone().finish();
            report.slots = sent.slots;
            report.bits = sent.bits;
            report.total_bits = upload.outgoing.total_bits();
            report.level = upload.outgoing.level;
            report.power_queue_w = sent.queue.level_w();
            report.energy_transmit_j =
                device
                    .radio
                    .transmit_energy_j(sent.queue.sum_w(), sent.slots, slot_s);
            if sent.slots > 0 {
                report.mean_power_w = sent.queue.sum_w() / f64::from(sent.slots);
                report.mean_gain = sent.gain_sum / f64::from(sent.slots);
                report.sent_s = f64::from(sent.end_slot) * slot_s;
            }
            report.ending = match sent.ending {
                Ending::AllSent => message::Ending::AllSent,
                Ending::Stopped => message::Ending::Stopped,
                Ending::Deadline => message::Ending::Deadline,
            };
        }
        let spent = report.energy_local_j + report.energy_codec_j + report.energy_transmit_j;
        self.queue.update(spent);
        report.account = self.account();
        report
    }
}
