//! The device as a process: one thread that computes, keeps the slots and sends; another for the network.
//!
//! The slot loop sleeps on the queue of control messages until the next slot begins, so a stop is seen at once and no
//! timer of a runtime (whose ticks are as long as a slot) is in the way.

mod alone;

use crate::cell::adopt;
use crate::device::{
    Coming, Device, DeviceOptions, Emulated, Finished, Host, LiveWork, Radio, Signal,
};
use crate::ledger::{Book, LedgerError};
use crate::network::Network;
use crate::pki::Credentials;
use crate::transport::{FromEdge, Line, TransportError};
use alone::{Alone, Search};
use enachi_core::profile::{CutKind, Profile};
use enachi_proto::message::{Account, Hello, RadioKind, Refuse, RefuseReason};
use enachi_proto::{ProtocolError, SessionError};
use enachi_sim::deployment::{Deployment, DeploymentError};
use enachi_sim::scenario::Scenario;
use enachi_sim::world::World;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// How a device runs.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The edge.
    pub edge: SocketAddr,
    /// Name, as in its certificate.
    pub name: String,
    /// Seed of its channel.
    pub seed: u64,
    /// How its bits reach the edge.
    pub radio: RadioKind,
    /// Tasks to do; `None`: as long as there are inputs.
    pub tasks: Option<u32>,
    /// Give up if the edge cannot be reached the first time.
    pub must_connect: bool,
    /// File with the device's own energy account; `None` keeps it in memory, and the edge's copy is all that a restart finds.
    pub ledger: Option<PathBuf>,
}

/// Why a device has ended before its inputs did.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its own scenario.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The edge sent it away.
    #[error("the edge refuses this device: {}", .0.detail)]
    Refused(Refuse),
    /// What listens there is no edge of this version.
    #[error("the edge: {0}")]
    Protocol(#[from] ProtocolError),
    /// Its certificate does not open this door.
    #[error("the edge turns this device away: {0}")]
    TurnedAway(String),
    /// Its energy account.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No line, and none wanted without.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A call out of turn, which is a defect.
    #[error("the session: {0}")]
    Session(#[from] SessionError),
    /// An input that cannot be used.
    #[error("input: {0}")]
    Input(String),
}

/// Time for the edge to hear the last words.
const GOODBYE: Duration = Duration::from_secs(1);
/// Time for an attempt.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a device has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// Tasks that have ended.
    pub tasks: u64,
    /// Of them, answered by the edge.
    pub by_edge: u64,
    /// Answered by the device itself.
    pub by_device: u64,
    /// Of all, those that ended after their deadline: no answer came in time, and the device's own does not count as right.
    pub late: u64,
    /// Without an answer.
    pub unanswered: u64,
    /// Tasks with a label, and right.
    pub known: u64,
    /// Right answers among them.
    pub right: u64,
    /// Connections made.
    pub connections: u64,
    /// Times that band and power of a task were changed.
    pub regrants: u64,
    /// Slots in which something was sent after the message that stops it had come: must be 0.
    pub late_datagrams: u64,
    /// Datagrams that were lost before they left, as the path took no more.
    pub unsent_datagrams: u64,
    /// Energy account.
    pub account: Account,
}

/// Run until there are no more inputs, `cancel` is set, or the edge refuses. `each` hears of every task.
#[expect(clippy::too_many_arguments, reason = "what a device consists of")]
pub fn run(
    options: &ClientOptions,
    scenario: Scenario,
    profile: &Profile,
    network: &Network,
    work: LiveWork<'_>,
    credentials: &Credentials,
    cancel: &AtomicBool,
    each: impl FnMut(&Finished),
) -> Result<Done, ClientError> {
    let deployment = Arc::new(Deployment::new(scenario.clone(), profile.clone())?);
    let own = Own {
        options,
        profile,
        network,
        credentials,
        cancel,
    };
    let seed = options.seed;
    match options.radio {
        RadioKind::Emulated => {
            let world = World::new(seed, &deployment.setting);
            let radio = Emulated { world, device: 0 };
            run_with(&own, scenario, deployment, radio, work, each)
        }
        RadioKind::Host => {
            let radio = Host::new(seed, &deployment);
            run_with(&own, scenario, deployment, radio, work, each)
        }
    }
}

/// What does not change while a device runs.
struct Own<'o> {
    options: &'o ClientOptions,
    profile: &'o Profile,
    network: &'o Network,
    credentials: &'o Credentials,
    cancel: &'o AtomicBool,
}

fn run_with<R: Radio>(
    own: &Own<'_>,
    mut scenario: Scenario,
    mut deployment: Arc<Deployment>,
    radio: R,
    work: LiveWork<'_>,
    mut each: impl FnMut(&Finished),
) -> Result<Done, ClientError> {
    let Own {
        options,
        profile,
        network,
        credentials,
        cancel,
    } = *own;
    let deadline_s = deployment.devices[0].values.deadline_s;
    let hello = Hello {
        name: options.name.clone(),
        model_sha256: network.model_sha256,
        tables_sha256: network.tables_sha256,
        cuts: (0u16..)
            .zip(&profile.cuts)
            .filter(|(cut, of)| {
                let mut streams = 0..of.streams.len();
                of.kind == CutKind::Local || streams.any(|s| network.sends(usize::from(*cut), s))
            })
            .map(|(cut, _)| cut)
            .collect(),
        energy: crate::cell::energy(&deployment.devices[0]),
        radio: radio.kind(),
    };
    let mut device = Device::new(
        Arc::clone(&deployment),
        scenario.packet.clone(),
        DeviceOptions {
            datagram_bytes: 1162,
            deadline_s,
        },
        hello.clone(),
        radio,
        work,
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("enachi-net")
        .enable_all()
        .build()
        .map_err(TransportError::Io)?;
    let mut state = State {
        done: Done::default(),
        next_task: 0,
        limit: options.tasks,
        finished: false,
        refused: None,
        book: Book::open(&options.name, options.ledger.as_deref())?,
    };
    if let Some(account) = state.book.account()
        && !device.resume(&account)
    {
        warn!(
            ?account,
            queue_j = device.account().queue_j,
            "the account kept here is of a larger budget: the queue goes on with all that was spent beyond this one"
        );
    }
    let search = Search {
        runtime: runtime.handle(),
        options,
        credentials,
        hello: &hello,
    };
    loop {
        let mut alone = Alone::new(&mut device, &mut state, cancel, &mut each);
        let Some((mut line, welcome)) = alone.reach(&search)? else {
            break;
        };
        let before = scenario.clone();
        adopt(&welcome, &mut scenario);
        if scenario != before {
            deployment = Arc::new(Deployment::new(scenario.clone(), profile.clone())?);
            let cell = (Arc::clone(&deployment), scenario.packet.clone());
            device.set_cell(cell.0, cell.1, options.seed);
        }
        info!(edge = %options.edge, "welcome");
        let mut session = Session {
            line: &mut line,
            device: &mut device,
            state: &mut state,
            cancel,
            each: &mut each,
        };
        session.work(welcome.frame_s)?;
        let refused = state.refused.take();
        // An edge that shuts down may come back; other reasons stay what they are.
        if let Some(refuse) = refused.filter(|r| r.reason != RefuseReason::Closing) {
            return Err(ClientError::Refused(refuse));
        }
        device.close();
        while let Some(bytes) = device.poll_transmit() {
            line.control(bytes);
        }
        state.take_finished(&mut device, &mut each);
        if !state.finished && !cancel.load(Ordering::Relaxed) {
            warn!("the line is broken");
        } else {
            // The edge hangs up once it has heard the last words.
            let until = Instant::now() + GOODBYE;
            while let Ok(FromEdge::Control(_)) = line
                .inputs
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {}
        }
        line.close();
    }
    state.done.account = device.account();
    runtime.shutdown_timeout(Duration::from_millis(300));
    Ok(state.done)
}

struct State {
    done: Done,
    next_task: u32,
    limit: Option<u32>,
    finished: bool,
    /// Why the edge has sent the device away in the middle of a session.
    refused: Option<Refuse>,
    book: Book,
}

impl State {
    /// Number of the next task, if there is another input.
    fn next(
        &mut self,
        work: &mut LiveWork<'_>,
        cancel: &AtomicBool,
    ) -> Result<Option<u32>, ClientError> {
        if self.is_full() || !work.advance(cancel).map_err(ClientError::Input)? {
            self.finished = true;
            return Ok(None);
        }
        let task = self.next_task;
        self.next_task += 1;
        Ok(Some(task))
    }

    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.next_task >= limit)
    }

    /// Whether there is another input now, and the number of the task that it is or would be.
    fn coming(&mut self, work: &mut LiveWork<'_>) -> Result<(Coming, u32), ClientError> {
        let coming = match self.is_full() {
            true => Coming::End,
            false => work.look(Duration::ZERO).map_err(ClientError::Input)?,
        };
        let task = self.next_task;
        match coming {
            Coming::Ready => self.next_task += 1,
            Coming::NotYet => {}
            Coming::End => self.finished = true,
        }
        Ok((coming, task))
    }

    /// Count what the device has ended without an edge.
    fn take_finished<R: Radio>(
        &mut self,
        device: &mut Device<LiveWork<'_>, R>,
        each: &mut impl FnMut(&Finished),
    ) {
        for signal in device.take_signals() {
            if let Signal::Finished(finished) = signal {
                self.count(&finished);
                each(&finished);
            }
        }
    }

    fn count(&mut self, finished: &Finished) {
        self.book.enter(finished.report.account);
        let done = &mut self.done;
        done.tasks += 1;
        done.late += u64::from(finished.late);
        done.regrants += u64::from(finished.regrants);
        let by_edge = finished.answer.as_ref().is_some_and(|a| !a.top.is_empty());
        if by_edge {
            done.by_edge += 1;
        } else if finished.class.is_some() {
            done.by_device += 1;
        } else {
            done.unanswered += 1;
        }
        if let Some(label) = finished.report.label {
            done.known += 1;
            done.right += u64::from(finished.class == Some(label) && !finished.late);
        }
    }
}

fn raised(kept: &Account, queue_j: f64) {
    warn!(
        ?kept,
        queue_j,
        "the edge's copy of the account is of a larger budget: the queue goes on with all that was spent beyond this one"
    );
}

struct Session<'s, 'n, E, R: Radio> {
    line: &'s mut Line,
    device: &'s mut Device<LiveWork<'n>, R>,
    state: &'s mut State,
    cancel: &'s AtomicBool,
    each: &'s mut E,
}

/// A task as the clock sees it.
struct Clock {
    task: u32,
    offered: Instant,
    /// When its frame began: slot 0.
    began: Option<Instant>,
    next_slot: u32,
    stopped: bool,
    deadline: Duration,
    /// How long a grant may take.
    unheard: Duration,
}

impl Clock {
    /// When the task is given up.
    fn due(&self) -> Instant {
        match self.began {
            None => self.offered + self.unheard,
            Some(began) => began + self.deadline,
        }
    }
}

impl<E: FnMut(&Finished), R: Radio> Session<'_, '_, E, R> {
    fn flush(&mut self) {
        while let Some(bytes) = self.device.poll_transmit() {
            self.line.control(bytes);
        }
    }

    /// Do tasks until there are no more or the line breaks.
    fn work(&mut self, frame_s: f64) -> Result<(), ClientError> {
        let slot_s = self.device.slot_s();
        let deadline = Duration::from_secs_f64(self.device.deadline_s());
        // An offer waits for the next frame; more than two frames and a deadline mean that it is lost.
        let unheard = Duration::from_secs_f64(2.0 * frame_s + 1.0) + deadline;
        let mut clock: Option<Clock> = None;
        loop {
            if clock.is_none() {
                // A task that has begun is seen to its end.
                if self.cancel.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.device.observe(self.line.path());
                let free = Instant::now();
                let Some(task) = self.state.next(self.device.work_mut(), self.cancel)? else {
                    return Ok(());
                };
                // Whole frames that passed until there was an input had no task.
                let frame_s = self.device.frame_s();
                let idle = (free.elapsed().as_secs_f64() / frame_s) as u32;
                if idle > 0 {
                    self.device.idle(task, idle, None);
                }
                self.device.offer(task, None)?;
                self.flush();
                clock = Some(Clock {
                    task,
                    offered: Instant::now(),
                    began: None,
                    next_slot: 0,
                    stopped: false,
                    deadline,
                    unheard,
                });
            }
            let Some(now) = clock.as_mut() else { continue };
            let until = match now.began {
                Some(began) if self.device.is_sending() => {
                    let slot = f64::from(now.next_slot) * slot_s;
                    (began + Duration::from_secs_f64(slot)).min(now.due())
                }
                _ => now.due(),
            };
            let wait = until.saturating_duration_since(Instant::now());
            let wait = wait.min(Duration::from_millis(200));
            let heard = match self.line.inputs.recv_timeout(wait) {
                Ok(FromEdge::Control(bytes)) => Some(bytes),
                Ok(FromEdge::TurnedAway(reason)) => {
                    self.device.disconnected();
                    self.signals(&mut clock, Instant::now());
                    return Err(ClientError::TurnedAway(reason));
                }
                Ok(FromEdge::Gone(reason)) => {
                    debug!(reason, "gone");
                    self.device.disconnected();
                    self.signals(&mut clock, Instant::now());
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if let Some(bytes) = heard {
                let at = Instant::now();
                let understood = self.device.hear(&bytes);
                loop {
                    // An answer that is read after the deadline is late, however long it has waited behind other things.
                    let now = Instant::now();
                    self.give_up_overdue(&mut clock, now);
                    let began = clock.as_ref().and_then(|c| c.began);
                    let elapsed = began.map_or(Duration::ZERO, |began| now - began);
                    self.device.at(elapsed.as_secs_f64());
                    if !self.device.step() {
                        break;
                    }
                    self.signals(&mut clock, at);
                }
                if let Err(error) = understood {
                    warn!(%error, "protocol");
                    return Ok(());
                }
                self.flush();
                if self.device.is_closed() {
                    return Ok(());
                }
                continue;
            }
            self.slots(&mut clock, slot_s);
            self.flush();
        }
    }

    /// Take in what the engine has to say. A frame begins at `at`, when its grant arrived.
    fn signals(&mut self, clock: &mut Option<Clock>, at: Instant) {
        for signal in self.device.take_signals() {
            match signal {
                Signal::Began { task } => {
                    if let Some(now) = clock.as_mut().filter(|c| c.task == task) {
                        now.began = Some(at);
                        // Slots that head and encoder have used up are gone.
                        let gone = at.elapsed().as_secs_f64() / self.device.slot_s();
                        now.next_slot = gone.ceil() as u32;
                    }
                }
                Signal::Stopped { task } => {
                    if let Some(now) = clock.as_mut().filter(|c| c.task == task) {
                        now.stopped = true;
                    }
                }
                Signal::Finished(mut finished) => {
                    let own = clock.as_ref().filter(|c| c.task == finished.task);
                    finished.elapsed_s = own.map_or(0.0, |c| c.offered.elapsed().as_secs_f64());
                    // The edge's answer was in time, or it would not have been taken.
                    finished.late = finished.report.answered_s.is_none()
                        && own.is_some_and(|c| Instant::now() >= c.due());
                    self.state.count(&finished);
                    (self.each)(&finished);
                    if clock.as_ref().is_some_and(|c| c.task == finished.task) {
                        *clock = None;
                    }
                }
                Signal::Failed { task, reason } => warn!(task, reason, "failed"),
                Signal::Refused(refuse) => {
                    warn!(detail = refuse.detail, "refused");
                    self.state.refused = Some(refuse);
                }
                Signal::AccountRaised { kept, queue_j } => raised(&kept, queue_j),
                Signal::Welcome(_) => {}
            }
        }
    }

    /// Give a task up whose deadline has passed.
    fn give_up_overdue(&mut self, clock: &mut Option<Clock>, at: Instant) {
        if clock.as_ref().is_some_and(|now| at >= now.due()) {
            self.device.give_up();
            self.signals(clock, at);
        }
    }

    /// Run the slots that are due, and give a task up whose deadline has passed.
    fn slots(&mut self, clock: &mut Option<Clock>, slot_s: f64) {
        let at = Instant::now();
        self.give_up_overdue(clock, at);
        let Some(now) = clock.as_mut() else { return };
        let Some(began) = now.began else { return };
        // A slot that the thread has slept through is made up for: its bits were carried all the same.
        self.device.observe(self.line.path());
        let current = ((at - began).as_secs_f64() / slot_s).floor() as u32;
        while now.next_slot <= current && self.device.is_sending() {
            let (line, slot) = (&mut *self.line, now.next_slot);
            let (mut sent, mut unsent) = (0, 0);
            self.device.slot(slot, |bytes| match line.datagram(bytes) {
                true => sent += 1,
                false => unsent += 1,
            });
            self.state.done.unsent_datagrams += unsent;
            if now.stopped {
                self.state.done.late_datagrams += sent;
            }
            now.next_slot = slot + 1;
        }
    }
}
