//! An upload, slot by slot: what is sent, on which band and power, and what the edge changes of that.

use super::engine::{Device, Running};
use super::radio::Radio;
use super::{Outgoing, Work};
use enachi_core::packet::{Link, Never, Sender, Window};
use enachi_core::task::Candidate;
use enachi_proto::datagram::{End, Prefix, write_progress};
use enachi_proto::message::Regrant;
use enachi_sim::deployment::Deployment;
use enachi_sim::runner::sends;
use enachi_sim::scenario::Packet;
use enachi_sim::upload::{Law, Upload};
use enachi_sim::world::Gains;
use std::collections::VecDeque;

pub(super) struct Sending {
    pub(super) sender: Sender,
    pub(super) outgoing: Outgoing,
    pub(super) sent: usize,
    pub(super) link: Link,
    pub(super) law: Law,
    pub(super) gains: Gains,
    pub(super) sends: bool,
    /// Whether plans within the frame may change its band and power.
    pub(super) planned: bool,
    /// Such changes that are still to come, by slot.
    pub(super) regrants: VecDeque<Regrant>,
    /// Changes that have come into force.
    pub(super) regranted: u32,
    /// Chunks sent, and share of the way to the next checkpoint, as the edge was last told, and how often.
    pub(super) told: (usize, f64),
    pub(super) tellings: u32,
}

/// How often a device that pauses says how far it is.
const MOST_TELLINGS: u32 = 4;
/// Most changes of band and power that wait for their slots; the oldest give way.
const MOST_REGRANTS: usize = 8;

/// What the simulator calls the upload of a running task.
fn upload<'u>(
    deployment: &'u Deployment,
    packet: &'u Packet,
    radio: &'u impl Radio,
    running: &'u Running,
    candidate: &'u Candidate,
    window: Window,
    (task, image): (f64, Option<usize>),
) -> Upload<'u> {
    let (world, device) = radio.world();
    Upload {
        deployment,
        world,
        packet,
        device,
        frame: running.task,
        candidate,
        grant: &running.granted,
        window,
        local: running.gain.local,
        known: running.gain.told,
        energy_queue_j: running.queue_j,
        task,
        image: image.unwrap_or(0),
    }
}

impl<W: Work, R: Radio> Device<W, R> {
    pub(super) fn begin_upload(
        &mut self,
        running: &Running,
        candidate: &Candidate,
        upload_end_s: f64,
    ) -> Result<Sending, String> {
        let slot_s = self.deployment.scenario.frame.slot_s;
        let mut window = Window::between(running.ready_s, upload_end_s, slot_s);
        let sends = sends(&running.granted);
        let drawn = self.work.draw(running.task, Some(candidate));
        let Self {
            deployment,
            packet,
            radio,
            work,
            ..
        } = self;
        let mut upload = upload(deployment, packet, radio, running, candidate, window, drawn);
        // A plan within the frame may still find band for it.
        let planned = self.replan_slots > 0 && upload.stream().is_divisible();
        if !sends && !planned {
            window.end = window.first;
            upload.window = window;
        }
        let outgoing = work.head(&upload)?;
        let link = upload.link(running.granted.bandwidth_hz);
        let reference_w = running.granted.reference_power_w;
        Ok(Sending {
            sender: Sender::new(window, reference_w, &outgoing),
            law: upload.law(&link, reference_w),
            gains: self.radio.gains(running.task, running.gain.local),
            sent: 0,
            sends,
            planned,
            regrants: VecDeque::new(),
            regranted: 0,
            told: (0, 0.0),
            tellings: MOST_TELLINGS,
            outgoing,
            link,
        })
    }

    /// Keep a change of band and power until its slot; it takes the place of those that were to hold from there on.
    pub(super) fn regranted(&mut self, regrant: Regrant) {
        let running = self.running.as_mut().filter(|r| r.task == regrant.task);
        let Some(sending) = running.and_then(|r| r.upload.as_mut()) else {
            return;
        };
        sending.regrants.retain(|known| known.slot < regrant.slot);
        if sending.regrants.len() >= MOST_REGRANTS {
            sending.regrants.pop_front();
        }
        sending.regrants.push_back(regrant);
    }

    /// Band and power that hold from `slot` on.
    fn regrant(&mut self, slot: u32) {
        let Some(running) = self.running.as_mut() else {
            return;
        };
        let (Some(candidate), Some(sending)) = (&running.candidate, running.upload.as_mut()) else {
            return;
        };
        let mut due = None;
        while sending.regrants.front().is_some_and(|r| r.slot <= slot) {
            due = sending.regrants.pop_front();
        }
        let Some(Regrant {
            bandwidth_hz,
            reference_power_w,
            ..
        }) = due
        else {
            return;
        };
        let drawn = self.work.draw(running.task, Some(candidate));
        let window = sending.sender.window();
        let upload = upload(
            &self.deployment,
            &self.packet,
            &self.radio,
            running,
            candidate,
            window,
            drawn,
        );
        let link = upload.link(bandwidth_hz);
        let law = upload.law(&link, reference_power_w);
        if let Some(sending) = running.upload.as_mut() {
            (sending.link, sending.law) = (link, law);
            sending.sender.set_reference_w(reference_power_w);
            sending.regranted += 1;
            sending.sends = bandwidth_hz > 0.0 && reference_power_w > 0.0;
        }
    }

    /// Run slot `slot` of the task in hand and hand its datagrams to `send`. The slots of a task must ascend.
    pub fn slot(&mut self, slot: u32, mut send: impl FnMut(&[u8])) {
        self.regrant(slot);
        let Some(running) = self.running.as_mut() else {
            return;
        };
        running.next_slot = slot + 1;
        let (Some(upload), Some(candidate)) = (running.upload.as_mut(), &running.candidate) else {
            return;
        };
        if !upload.sends || !self.session.may_send(running.task) && !upload.sender.released() {
            // What it has sent since it last said so, and before it was told to pause.
            if !upload.sends && self.session.may_send(running.task) {
                self.tell_progress(slot, send);
            }
            return;
        }
        let carrier = self
            .radio
            .carrier(running.gain.local.mean_gain, upload.link.slot_s);
        if let Some((link, law)) = carrier {
            (upload.link, upload.law) = (link, law);
        }
        let Sending {
            sender,
            outgoing,
            link,
            gains,
            ..
        } = upload;
        macro_rules! with_law {
            ($law:expr) => {
                sender.advance(
                    slot..slot + 1,
                    link,
                    $law,
                    &Never,
                    0,
                    &*outgoing,
                    gains,
                    &mut (),
                )
            };
        }
        // The slot loop is compiled for each law.
        match &upload.law {
            Law::Tracking(law) => with_law!(law),
            Law::Printed(law) => with_law!(law),
            Law::Constant(law) => with_law!(law),
            Law::WaterFilling(law) => with_law!(law),
        }
        let reached = upload.sender.checkpoint();
        let prefix = Prefix {
            task: running.task,
            cut: candidate.cut as u16,
            slot,
            end: End::Nothing,
        };
        if reached > upload.sent {
            let chunks = upload.sent..reached;
            upload.sent = reached;
            upload
                .outgoing
                .datagrams(chunks, prefix, &mut self.buffer, &mut send);
        }
        self.tell_progress(slot, send);
    }

    /// Tell the edge, if it is about to plan again, how far the upload is.
    fn tell_progress(&mut self, slot: u32, mut send: impl FnMut(&[u8])) {
        let Some(running) = self.running.as_mut() else {
            return;
        };
        let (Some(upload), Some(candidate)) = (running.upload.as_mut(), &running.candidate) else {
            return;
        };
        let plans = upload.planned && (slot + 1).is_multiple_of(self.replan_slots);
        if !plans || upload.sender.released() {
            return;
        }
        let now = (upload.sent, upload.outgoing.begun(&upload.sender));
        if now != upload.told {
            (upload.told, upload.tellings) = (now, 0);
        }
        // Datagrams may be lost; one that pauses need not go on about it.
        if !upload.sends && upload.tellings >= MOST_TELLINGS {
            return;
        }
        upload.tellings += 1;
        let prefix = Prefix {
            task: running.task,
            cut: candidate.cut as u16,
            slot,
            end: End::Slot,
        };
        if let Some(length) = write_progress(&mut self.buffer, prefix, now.1) {
            send(&self.buffer[..length]);
        }
    }
}
