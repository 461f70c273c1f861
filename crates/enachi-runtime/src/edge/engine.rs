//! The engine itself.

use super::judge::{Judge, TaskId};
use super::plan::Planner;
use super::replan::Replan;
use super::task::{Done, Stage, Task};
use crate::cell::Cell;
use enachi_core::record::FrameRecord;
use enachi_proto::datagram::{Datagram, End, Prefix};
use enachi_proto::message::{Account, Failure, Idle, Offer, RadioKind, RefuseReason, StopReason};
use enachi_proto::{Arrival, EdgeEvent, EdgeSession, EdgeSettings, ProtocolError};
use enachi_sim::scenario::StopKind;
use std::collections::{BTreeMap, VecDeque};

/// Slack of comparisons between times that are sums of slots \[s\].
pub(super) const SLACK_S: f64 = 1e-9;

/// How an edge runs.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// What it holds and allows.
    pub settings: EdgeSettings,
    /// Whether uploads stay open until their batch begins. Without the barrier each is answered as soon as it ends.
    pub barrier: bool,
    /// Seed in the records.
    pub seed: u64,
}

/// What an observer may want to know.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A device was admitted.
    Joined {
        /// Its number.
        device: usize,
        /// Its name.
        name: String,
        /// How its bits reach the edge.
        radio: RadioKind,
    },
    /// A peer was sent away, or left in disgrace.
    Refused {
        /// Why.
        detail: String,
    },
    /// A device has left.
    Left {
        /// Its number.
        device: usize,
        /// Its name.
        name: String,
    },
    /// A device tells an account of its energy that is behind what it has told before; the larger numbers are kept.
    AccountBack {
        /// Its name.
        name: String,
        /// What was known.
        known: Account,
        /// What it says.
        told: Account,
    },
    /// A frame was planned.
    Planned {
        /// Which.
        frame: u32,
        /// Offers in it.
        offers: usize,
    },
    /// A device was stopped.
    Stopped {
        /// Its number.
        device: usize,
    },
    /// A datagram that no device of ours sends.
    BadDatagram,
    /// The edge has failed a task.
    Failed {
        /// Its device.
        device: usize,
        /// Why.
        detail: String,
    },
    /// A task was answered.
    Answered {
        /// Its device.
        device: usize,
        /// Its number at the device.
        task: u32,
        /// Frame of the edge's clock.
        frame: u32,
        /// The best class.
        class: Option<u16>,
    },
    /// A task is over.
    Done(Box<Done>),
    /// A device has nothing to do in a frame.
    Idle(Box<FrameRecord>),
    /// A task is over and the device did not say what it has cost.
    Unreported {
        /// Its device.
        device: usize,
    },
}

pub(super) struct Connected {
    pub(super) session: EdgeSession,
    pub(super) device: Option<usize>,
    pub(super) bad: u32,
    /// Whether it was said that its account goes back.
    pub(super) warned: bool,
}

/// Bad datagrams after which a device is sent away.
const MOST_BAD: u32 = 1000;

/// The edge.
pub struct Edge<J: Judge> {
    pub(super) cell: Cell,
    pub(super) options: EdgeOptions,
    pub(super) judge: J,
    pub(super) planner: Planner,
    pub(super) connections: BTreeMap<u64, Connected>,
    /// Name of every device that has ever joined, by number.
    pub(super) names: Vec<String>,
    /// Connection of every device.
    pub(super) lines: Vec<Option<u64>>,
    /// The device's own energy queue as last reported, by name.
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) changed: Vec<String>,
    pub(super) offers: Vec<Option<Offer>>,
    /// Devices that have had nothing to do since their last offer.
    pub(super) idle: Vec<Option<Idle>>,
    pub(super) tasks: Vec<Task<J::Evidence>>,
    pub(super) transmit: VecDeque<(u64, Vec<u8>)>,
    pub(super) happenings: VecDeque<Happening>,
    pub(super) frame: u32,
    /// Of policies that plan again within the frame.
    pub(super) replan: Option<Replan>,
}

impl<J: Judge> Edge<J> {
    /// An edge without devices; `accounts` are those of an earlier run.
    pub fn new(
        cell: Cell,
        options: EdgeOptions,
        judge: J,
        accounts: BTreeMap<String, Account>,
    ) -> Self {
        let places = cell.deployment.devices.len();
        Self {
            replan: Replan::new(&cell),
            cell,
            options,
            judge,
            planner: Planner::default(),
            connections: BTreeMap::new(),
            names: Vec::new(),
            lines: vec![None; places],
            accounts,
            changed: Vec::new(),
            offers: vec![None; places],
            idle: vec![None; places],
            tasks: Vec::new(),
            transmit: VecDeque::new(),
            happenings: VecDeque::new(),
            frame: 0,
        }
    }

    /// The cell.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// The judge.
    pub fn judge_mut(&mut self) -> &mut J {
        &mut self.judge
    }

    /// Offers that wait for a plan.
    pub fn waiting(&self) -> usize {
        self.offers.iter().flatten().count()
    }

    /// Whether there is a frame to be planned: somebody has offered a task, or said that there is none.
    pub fn has_frame(&self) -> bool {
        self.waiting() > 0 || self.idle.iter().any(Option::is_some)
    }

    /// Devices that are connected.
    pub fn connected(&self) -> usize {
        self.lines.iter().flatten().count()
    }

    /// Energy queues that have changed since the last call.
    pub fn changed_accounts(&mut self) -> Vec<(String, Account)> {
        let changed = std::mem::take(&mut self.changed);
        let known = |name: String| self.accounts.get(&name).map(|a| (name.clone(), *a));
        changed.into_iter().filter_map(known).collect()
    }

    /// A peer has connected.
    pub fn connect(&mut self, connection: u64) {
        let session = EdgeSession::new(self.options.settings.clone());
        let connected = Connected {
            session,
            device: None,
            bad: 0,
            warned: false,
        };
        self.connections.insert(connection, connected);
        self.flush(connection);
    }

    /// Control bytes from a peer. `identity` is the name that its certificate proves, where there is one.
    pub fn control(
        &mut self,
        connection: u64,
        bytes: &[u8],
        identity: Option<&str>,
    ) -> Result<(), ProtocolError> {
        let Some(connected) = self.connections.get_mut(&connection) else {
            return Ok(());
        };
        let outcome = connected.session.received(bytes);
        if let Err(error) = &outcome {
            let detail = error.to_string();
            self.happenings.push_back(Happening::Refused { detail });
        }
        self.events(connection, identity);
        self.flush(connection);
        outcome
    }

    /// The line to a peer is broken.
    pub fn disconnect(&mut self, connection: u64) {
        if let Some(connected) = self.connections.get_mut(&connection) {
            connected.session.disconnected();
            self.events(connection, None);
            self.connections.remove(&connection);
        }
    }

    /// Send every peer away.
    pub fn shut_down(&mut self) {
        let all: Vec<u64> = self.connections.keys().copied().collect();
        for connection in all {
            if let Some(connected) = self.connections.get_mut(&connection) {
                let session = &mut connected.session;
                session.refuse(RefuseReason::Closing, "the edge is shutting down");
            }
            self.events(connection, None);
            self.flush(connection);
        }
    }

    /// The next control bytes, and whose they are.
    pub fn poll_transmit(&mut self) -> Option<(u64, Vec<u8>)> {
        self.transmit.pop_front()
    }

    /// Whether the session with a peer is over, so that the line may be closed once what is said is sent.
    pub fn is_over(&self, connection: u64) -> bool {
        let over = |c: &Connected| c.session.is_closed();
        self.connections.get(&connection).is_none_or(over)
    }

    /// Whether a peer has said who it is and was admitted.
    pub fn is_introduced(&self, connection: u64) -> bool {
        let connected = self.connections.get(&connection);
        connected.is_some_and(|c| c.device.is_some())
    }

    /// The next thing that happened.
    pub fn poll_happening(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    pub(super) fn flush(&mut self, connection: u64) {
        if let Some(connected) = self.connections.get_mut(&connection) {
            while let Some(bytes) = connected.session.poll_transmit() {
                self.transmit.push_back((connection, bytes));
            }
        }
    }

    pub(super) fn events(&mut self, connection: u64, identity: Option<&str>) {
        loop {
            let Some(connected) = self.connections.get_mut(&connection) else {
                return;
            };
            let (device, event) = (connected.device, connected.session.poll_event());
            match (event, device) {
                (None, _) => return,
                (Some(EdgeEvent::Hello(hello)), _) => self.admit(connection, &hello, identity),
                (Some(EdgeEvent::Offered(mut offer)), Some(device)) => {
                    if let Err(why) = self.credible_queue(device, offer.energy_queue_j) {
                        self.disbelieve(connection, why);
                        continue;
                    }
                    // Nobody may keep a task open for longer than the cell's frames allow.
                    let allowed_s = self.cell.deployment.devices[device].values.deadline_s;
                    offer.deadline_s = offer.deadline_s.min(allowed_s);
                    // One task a frame and device: a newer offer replaces one that has not been planned.
                    if let Some(old) = self.offers[device].replace(offer) {
                        self.on_its_own(connection, device, &old, Failure::Overload);
                    }
                }
                (Some(EdgeEvent::Reported(report)), Some(device)) => {
                    self.reported(connection, device, report);
                }
                (Some(EdgeEvent::Idle(idle)), Some(device)) => {
                    if let Err(why) = self.credible_idle(device, &idle) {
                        self.disbelieve(connection, why);
                        continue;
                    }
                    self.account(connection, device, idle.account);
                    self.idle[device] = Some(idle);
                }
                (Some(EdgeEvent::Unreported { task }), _) => {
                    self.unreported(TaskId { connection, task });
                }
                (Some(EdgeEvent::Left), Some(device)) => self.left(connection, device),
                (Some(_), _) => {}
            }
        }
    }

    /// A datagram from a peer.
    pub fn datagram(&mut self, connection: u64, bytes: &[u8], now_s: f64) {
        let Some(connected) = self.connections.get_mut(&connection) else {
            return;
        };
        let (tasks, judge) = (&mut self.tasks, &mut self.judge);
        let arrival = connected.session.datagram(bytes, |task, id, payload| {
            let of = TaskId { connection, task };
            let task = tasks.iter_mut().find(|t| t.id == of);
            if let Some(Stage::Uploading(evidence)) = task.map(|t| &mut t.stage) {
                judge.chunk(evidence, id, payload);
            }
        });
        match arrival {
            Arrival::Upload(prefix) => self.arrived(connection, prefix, None, now_s),
            Arrival::Progress(prefix, begun) => {
                self.arrived(connection, prefix, Some(begun), now_s);
            }
            Arrival::Stray => self.strayed(connection, bytes, now_s),
            Arrival::Bad => {
                connected.bad += 1;
                if connected.bad == MOST_BAD {
                    let detail = "too many datagrams that cannot be read";
                    connected.session.refuse(RefuseReason::Misbehaviour, detail);
                    self.events(connection, None);
                    self.flush(connection);
                }
                self.happenings.push_back(Happening::BadDatagram);
            }
        }
    }

    /// A datagram of no open upload has come; if its batch has begun, it tells how late the device's are.
    fn strayed(&mut self, connection: u64, bytes: &[u8], now_s: f64) {
        let Ok(Datagram { prefix, .. }) = Datagram::parse(bytes) else {
            return;
        };
        let of = TaskId {
            connection,
            task: prefix.task,
        };
        if let Some(task) = self.tasks.iter_mut().find(|t| t.id == of) {
            let slot_s = self.cell.deployment.scenario.frame.slot_s;
            task.behind(now_s, prefix.slot, slot_s);
        }
    }

    fn arrived(&mut self, connection: u64, prefix: Prefix, begun: Option<f64>, now_s: f64) {
        let of = TaskId {
            connection,
            task: prefix.task,
        };
        let Some(index) = self.tasks.iter().position(|t| t.id == of) else {
            return;
        };
        let Some(connected) = self.connections.get_mut(&connection) else {
            return;
        };
        let Some(progress) = connected.session.progress(prefix.task) else {
            return;
        };
        let task = &mut self.tasks[index];
        let slot_s = self.cell.deployment.scenario.frame.slot_s;
        task.behind(now_s, prefix.slot, slot_s);
        task.note(prefix.slot, progress);
        if let Some((told_s, heard_s)) = &mut task.silence_s {
            *heard_s = now_s - *told_s;
        }
        // If the mark at the end of a slot was lost, the next slot's first datagram is.
        let missed = task.open_slot.is_some_and(|slot| slot != prefix.slot);
        task.open_slot = (prefix.end == End::Nothing).then_some(prefix.slot);
        if prefix.end == End::Nothing && !missed {
            return;
        }
        let stop = self.judged(index, progress.reached);
        if stop {
            self.stop(index);
            self.tasks[index].silence_s = Some((now_s, 0.0));
        }
        let task = &mut self.tasks[index];
        task.complete |= prefix.end == End::Upload;
        let checkpoint = task.checkpoint;
        if let (Some(share), Some(begun)) = (task.share.as_mut(), begun) {
            share.progress(prefix.slot, checkpoint, begun);
        }
        let ended = prefix.end == End::Upload || self.tasks[index].stopped;
        if ended && !self.options.barrier {
            self.close(&[index], now_s);
        }
    }

    /// Whether what has arrived lets the device stop.
    fn judged(&mut self, index: usize, reached: u32) -> bool {
        let task = &mut self.tasks[index];
        let Stage::Uploading(mut evidence) = std::mem::replace(&mut task.stage, Stage::Ended)
        else {
            return false;
        };
        let (mut stop, mut all) = (false, false);
        let mut found = task.checkpoint;
        if let Some(situation) = task.situation(&self.cell) {
            let (checkpoint, last) = self.judge.checkpoint(&situation, &evidence, reached);
            all = checkpoint >= last;
            let asks = checkpoint > found && checkpoint < last && task.grant.stop && !task.stopped;
            found = checkpoint;
            stop = asks && self.judge.stop(&situation, &mut evidence, checkpoint);
        }
        let task = &mut self.tasks[index];
        task.checkpoint = found.max(task.checkpoint);
        task.complete |= all;
        task.stage = Stage::Uploading(evidence);
        stop
    }

    fn stop(&mut self, index: usize) {
        let reason = match self.cell.variant.packet.stop {
            StopKind::Marginal => StopReason::NotWorth,
            _ => StopReason::Certain,
        };
        let task = &mut self.tasks[index];
        task.stopped = true;
        let (connection, number, device) = (task.id.connection, task.id.task, task.device);
        if let Some(connected) = self.connections.get_mut(&connection)
            && connected.session.stop(number, reason) == Ok(true)
        {
            self.happenings.push_back(Happening::Stopped { device });
        }
        self.flush(connection);
    }

    /// Fail what is past its deadline, close uploads whose batch begins, and give verdicts out.
    pub fn tick(&mut self, now_s: f64) {
        // First: a verdict that is found now is of no use to them, and a tail would keep a worker from the others.
        let late = |t: &Task<_>| t.is_late(now_s);
        while let Some(index) = self.tasks.iter().position(late) {
            self.fail(index, "no answer by the deadline");
        }
        let due = |t: &Task<_>| {
            matches!(t.stage, Stage::Uploading(_)) && now_s + SLACK_S >= t.began_s + t.batch_s
        };
        let due: Vec<usize> = (0..self.tasks.len())
            .filter(|i| due(&self.tasks[*i]))
            .collect();
        self.close(&due, now_s);
        self.verdicts(now_s);
        self.sweep(now_s);
        self.replan(now_s);
    }

    /// The earliest time at which [`Edge::tick`] has something to do.
    pub fn next_tick_s(&self) -> Option<f64> {
        let of = |t: &Task<_>| match t.stage {
            Stage::Uploading(_) => Some(t.began_s + t.batch_s),
            Stage::Judged => Some(t.due_s() + 2.0 * SLACK_S),
            Stage::Ended => None,
        };
        let tasks = self.tasks.iter().filter_map(of);
        tasks.chain(self.next_plan_s()).reduce(f64::min)
    }
}
