//! The engine itself.

use super::Work;
use super::radio::{Path, Radio};
use super::sending::Sending;
use crate::cell;
use enachi_core::queue::EnergyQueue;
use enachi_core::task::{Candidate, TaskGrant};
use enachi_proto::message::{
    Account, Answer, Grant, Hello, Offer, Refuse, Report, Scored, Waiting, Welcome,
};
use enachi_proto::{DeviceEvent, DeviceSession, ProtocolError, SessionError};
use enachi_sim::deployment::Deployment;
use enachi_sim::scenario::Packet;
use std::sync::Arc;

/// How a device runs.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// Largest datagram that the line carries \[byte\].
    pub datagram_bytes: usize,
    /// T \[s\].
    pub deadline_s: f64,
}

/// What the caller must know.
#[derive(Clone, Debug)]
pub enum Signal {
    /// The edge has admitted the device.
    Welcome(Welcome),
    /// It has not.
    Refused(Refuse),
    /// The edge's copy of the energy account was kept at a larger allowance; the queue goes on higher, so that nothing is forgotten.
    AccountRaised {
        /// The copy.
        kept: Account,
        /// Q now \[J\].
        queue_j: f64,
    },
    /// A task's frame begins now: slot 0.
    Began {
        /// Which.
        task: u32,
    },
    /// The edge wants no more of it.
    Stopped {
        /// Which.
        task: u32,
    },
    /// Head or encoder have failed; the device does what it can alone.
    Failed {
        /// Which.
        task: u32,
        /// Why.
        reason: String,
    },
    /// A task is over.
    Finished(Box<Finished>),
}

/// A task that is over at the device.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which.
    pub task: u32,
    /// What it was granted, if anything.
    pub grant: Option<Grant>,
    /// The edge's answer.
    pub answer: Option<Answer>,
    /// What it has cost.
    pub report: Report,
    /// The class that counts: the edge's, or the device's own.
    pub class: Option<u16>,
    /// From the offer to its end by the clock of whoever drives the device \[s\]; 0 where nobody looks at one.
    pub elapsed_s: f64,
    /// Whether it ended after its deadline, by the same clock: an answer that the device found by itself then comes too late.
    pub late: bool,
    /// How often its band and power were changed.
    pub regrants: u32,
}

pub(super) struct Running {
    pub(super) task: u32,
    pub(super) grant: Option<Grant>,
    pub(super) granted: TaskGrant,
    pub(super) candidate: Option<Candidate>,
    pub(super) gain: super::Gain,
    pub(super) queue_j: f64,
    pub(super) upload: Option<Sending>,
    pub(super) ready_s: f64,
    pub(super) local: Option<Scored>,
    /// Tasks around the frame.
    pub(super) tasks: Option<Waiting>,
    /// The slot that comes next.
    pub(super) next_slot: u32,
}

/// The device.
pub struct Device<W: Work, R: Radio> {
    pub(super) deployment: Arc<Deployment>,
    pub(super) packet: Packet,
    pub(super) options: DeviceOptions,
    pub(super) session: DeviceSession,
    pub(super) radio: R,
    pub(super) work: W,
    pub(super) queue: EnergyQueue,
    /// Whether the queue goes on from what was spent before the program started.
    knows_its_past: bool,
    /// Slots from one plan within the frame to the next; 0 where grants hold for the frame.
    pub(super) replan_slots: u32,
    pub(super) running: Option<Running>,
    /// Time since the frame began, by whoever drives the device \[s\].
    pub(super) now_s: f64,
    pub(super) buffer: Vec<u8>,
    pub(super) signals: Vec<Signal>,
}

impl<W: Work, R: Radio> Device<W, R> {
    /// A device at its place in `deployment`, before its greeting is sent.
    pub fn new(
        deployment: Arc<Deployment>,
        packet: Packet,
        options: DeviceOptions,
        hello: Hello,
        radio: R,
        work: W,
    ) -> Result<Self, SessionError> {
        let place = radio.world().1 as usize;
        let budget_j = deployment.devices[place].values.energy_budget_j;
        Ok(Self {
            session: DeviceSession::new(hello)?,
            queue: EnergyQueue::new(budget_j),
            knows_its_past: false,
            buffer: vec![0; options.datagram_bytes],
            replan_slots: 0,
            running: None,
            now_s: 0.0,
            signals: Vec::new(),
            deployment,
            packet,
            options,
            radio,
            work,
        })
    }

    /// Begin another session with the edge; the energy account goes on.
    pub fn reconnect(&mut self, hello: Hello) -> Result<(), SessionError> {
        self.session = DeviceSession::new(hello)?;
        Ok(())
    }

    /// The cell is another than was thought: from the next task on, its slots, noise and power law hold, and its world is that
    /// of `seed`.
    pub fn set_cell(&mut self, deployment: Arc<Deployment>, packet: Packet, seed: u64) {
        self.radio.join(seed, &deployment);
        self.deployment = deployment;
        self.packet = packet;
    }

    /// What the transport says of the path to the edge now.
    pub fn observe(&mut self, path: Path) {
        self.radio.observe(path);
    }

    /// The work.
    pub fn work_mut(&mut self) -> &mut W {
        &mut self.work
    }

    /// Length of a frame \[s\].
    pub fn frame_s(&self) -> f64 {
        self.deployment.scenario.frame.length_s
    }

    /// Length of a slot \[s\].
    pub fn slot_s(&self) -> f64 {
        self.deployment.scenario.frame.slot_s
    }

    /// T \[s\].
    pub fn deadline_s(&self) -> f64 {
        self.options.deadline_s
    }

    /// Place of the device in its deployment.
    pub(super) fn place(&self) -> usize {
        self.radio.world().1 as usize
    }

    /// The energy account.
    pub fn account(&self) -> Account {
        Account {
            queue_j: self.queue.level_j(),
            spent_j: self.queue.spent_j(),
            frames: self.queue.frames(),
        }
    }

    /// Go on from an account that was kept elsewhere. The first one is what was before this device's own frames, if it has
    /// spent any; later ones are copies of its own account, and count only where they are further: neither energy nor frames
    /// are ever taken back. `false`: no run at this budget can have left the account, as its frames were allowed more; the queue
    /// takes on what they have spent beyond this budget.
    pub fn resume(&mut self, account: &Account) -> bool {
        let Account {
            queue_j,
            spent_j,
            frames,
        } = *account;
        let budget_j = self.queue.budget_j();
        let fits = EnergyQueue::resumed(budget_j, queue_j, spent_j, frames).is_some();
        let Some(kept) = EnergyQueue::carried_over(budget_j, queue_j, spent_j, frames) else {
            return false;
        };
        let known = std::mem::replace(&mut self.knows_its_past, true);
        self.queue = match known {
            false => self.queue.following(&kept),
            true => self.queue.or_further(&kept),
        };
        fits
    }

    /// Offer a task; `tasks` are those around it, where they do not come once a frame.
    pub fn offer(&mut self, task: u32, tasks: Option<Waiting>) -> Result<(), SessionError> {
        let gain = self.radio.gain(&self.deployment, task);
        self.session.offer(Offer {
            task,
            gain: gain.known,
            fading: cell::fading_told(gain.told.fading),
            energy_queue_j: self.queue.level_j(),
            deadline_s: self.options.deadline_s,
        })?;
        self.running = Some(Running {
            tasks,
            ..self.fresh(task)
        });
        Ok(())
    }

    pub(super) fn fresh(&self, task: u32) -> Running {
        Running {
            task,
            grant: None,
            granted: TaskGrant::default(),
            candidate: None,
            gain: self.radio.gain(&self.deployment, task),
            queue_j: self.queue.level_j(),
            upload: None,
            ready_s: 0.0,
            local: None,
            tasks: None,
            next_slot: 0,
        }
    }

    /// Control bytes from the edge.
    pub fn control(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let outcome = self.hear(bytes);
        self.events();
        outcome
    }

    /// Control bytes from the edge, to be dealt with by [`Device::step`].
    pub fn hear(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.session.received(bytes)
    }

    /// The line is broken.
    pub fn disconnected(&mut self) {
        self.session.disconnected();
        self.events();
    }

    /// Leave.
    pub fn close(&mut self) {
        self.session.close();
        self.events();
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    /// The next bytes for the control stream.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.session.poll_transmit()
    }

    /// What the caller must know, in order.
    pub fn take_signals(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.signals)
    }

    /// The task in hand.
    pub fn running(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.task)
    }

    /// Whether there is anything left to send of the task in hand, and time to send it.
    pub fn is_sending(&self) -> bool {
        let Some(running) = &self.running else {
            return false;
        };
        running.upload.as_ref().is_some_and(|u| {
            let sends = u.sends || u.planned;
            let left = u.sent < u.outgoing.len() && running.next_slot < u.sender.window().end;
            sends && left && !u.sender.released()
        })
    }

    fn events(&mut self) {
        while self.step() {}
    }

    /// What is dealt with next is so long after the start of the task's frame \[s\].
    pub fn at(&mut self, now_s: f64) {
        self.now_s = now_s;
    }

    /// Deal with one thing that was heard, which takes as long as the head if it is a grant; false if there is none.
    pub fn step(&mut self) -> bool {
        let event = self.session.poll_event();
        let any = event.is_some();
        if let Some(event) = event {
            match event {
                DeviceEvent::Welcome(welcome) => {
                    if let Some(kept) = welcome.account
                        && !self.resume(&kept)
                    {
                        let queue_j = self.queue.level_j();
                        self.signals.push(Signal::AccountRaised { kept, queue_j });
                    }
                    self.knows_its_past = true;
                    self.replan_slots = welcome.replan_slots;
                    self.signals.push(Signal::Welcome(welcome));
                }
                DeviceEvent::Refused(refuse) => self.signals.push(Signal::Refused(refuse)),
                DeviceEvent::Granted(grant) => self.granted(grant),
                DeviceEvent::Regranted(regrant) => self.regranted(regrant),
                DeviceEvent::Stopped(stop) => {
                    self.signals.push(Signal::Stopped { task: stop.task });
                    let running = self.running.as_mut().filter(|r| r.task == stop.task);
                    if let Some(running) = running
                        && let Some(upload) = running.upload.as_mut()
                    {
                        upload.sender.release(running.next_slot);
                    }
                }
                DeviceEvent::Answered(answer) => {
                    if self.running() == Some(answer.task) {
                        self.finish(Some(answer));
                    }
                }
                DeviceEvent::Lost { task } => {
                    if self.running() == Some(task) {
                        self.finish(None);
                    }
                }
            }
        }
        any
    }

    fn granted(&mut self, grant: Grant) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        if running.task != grant.task {
            self.running = Some(running);
            return;
        }
        running.granted = cell::task_grant(&grant);
        running.candidate = self.candidate(&grant);
        running.grant = Some(grant);
        self.signals.push(Signal::Began { task: grant.task });
        let Some(candidate) = running.candidate.clone() else {
            // Nothing to choose: the device is on its own.
            if self.work.falls_back() {
                running.local = self.work.whole(running.task);
            }
            self.running = Some(running);
            self.alone();
            return;
        };
        running.ready_s = candidate.head_time_s + candidate.encode_time_s;
        if candidate.stream.is_none() {
            running.local = self.work.whole(running.task);
            self.running = Some(running);
            self.alone();
            return;
        }
        let begun = self.begin_upload(&running, &candidate, grant.upload_end_s);
        let failed = begun.as_ref().err().cloned();
        running.upload = begun.ok();
        self.running = Some(running);
        if let Some(reason) = failed {
            self.signals.push(Signal::Failed {
                task: grant.task,
                reason,
            });
            if self.work.falls_back() {
                self.alone();
            }
        }
    }

    /// The device's own part in a task is all there is.
    fn alone(&mut self) {
        if let Some(task) = self.running() {
            self.session.give_up(task);
            self.finish(None);
        }
    }

    /// The candidate that a grant names.
    fn candidate(&self, grant: &Grant) -> Option<Candidate> {
        let choice = grant.choice?;
        let profile = &self.deployment.networks[0].profile;
        let cut = profile.cuts.get(usize::from(choice.cut))?;
        let stream = choice.stream.map(u32::from);
        if stream.is_some_and(|s| s as usize >= cut.streams.len()) {
            return None;
        }
        let device = &self.deployment.devices[self.place()];
        let cut = usize::from(choice.cut);
        Some(self.deployment.candidate(device, cut, stream, 0, 0..0))
    }

    /// The deadline of the task in hand has passed: end it without the edge's answer.
    pub fn give_up(&mut self) {
        let Some(task) = self.running() else {
            return;
        };
        self.session.give_up(task);
        self.finish(None);
    }

    /// Do a task without an edge.
    pub fn solo(&mut self, task: u32) {
        let mut running = self.fresh(task);
        running.local = self.work.whole(task);
        self.running = Some(running);
        self.finish(None);
    }
}
