//! The edge as a process: one thread for the engine, one per tail worker, and those of the network.

mod shelf;

use crate::cell::{Cell, CellError};
use crate::edge::{Edge, EdgeOptions, Happening, Live, LiveOptions};
use crate::ledger::{Keeper, Ledger, LedgerError};
use crate::monitor::Monitor;
use crate::network::Network;
use crate::transport::{Input, Lines};
use enachi_core::profile::CutKind;
use enachi_core::record::FrameRecord;
use enachi_core::task::Replanning;
use enachi_sim::scenario::{ArrivalKind, UncertaintyKind};
use shelf::Clerk;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// How the edge runs.
#[derive(Debug)]
pub struct ServeOptions {
    /// What the engine is told.
    pub edge: EdgeOptions,
    /// Threads that run tails.
    pub workers: usize,
    /// File with the energy queues; `None` keeps them in memory.
    pub ledger: Option<Ledger>,
    /// Whether records are made.
    pub keep_records: bool,
    /// Takes new records every quarter of a second; without it they are kept for the end.
    pub sink: Option<Sink>,
    /// Set to end.
    pub stop: Arc<AtomicBool>,
}

/// Writes records, all or none of them; an error says why it cannot. They are offered again.
type Write = dyn FnMut(&[FrameRecord]) -> Result<(), String> + Send;

/// Takes records that are new.
pub struct Sink(pub Box<Write>);

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}

/// Why an edge does not start or has ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The scenario cannot be run.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A cut that the policy may choose and the runtime cannot serve.
    #[error(
        "policies: {policy} may choose to send {cut:?} as {stream:?}, which the runtime does not: {mend}"
    )]
    Stream {
        /// The policy.
        policy: String,
        /// The cut.
        cut: String,
        /// The stream.
        stream: String,
        /// What to do.
        mend: &'static str,
    },
    /// A stop rule that needs the tail at every checkpoint.
    #[error(
        "packet.uncertainty = \"tail\": a live edge reads the predictor; must be \"predictor\""
    )]
    Uncertainty,
    /// Tasks come as devices have inputs.
    #[error(
        "arrivals.process: must be \"each-frame\": live, a device offers a task when it has an input"
    )]
    Arrivals,
    /// Plans within a frame need frames.
    #[error("policies: {0} plans again within the frame; without the barrier there are no frames")]
    NoFrames(String),
    /// No thread for the energy queues, or for the records.
    #[error("no thread that writes energy queues or records: {0}")]
    Thread(std::io::Error),
    /// The network does not run.
    #[error("the network: {0}")]
    Network(String),
}

/// Slack for the edge's own work between the last tail and the deadline \[s\].
const GUARD_S: f64 = 4e-3;
/// Time to say hello after connecting.
const HELLO: Duration = Duration::from_secs(5);
/// How often the engine looks whether it should end, at least \[s\].
const LOOK_S: f64 = 0.05;
/// How often energy queues and records are handed on to be written.
const SAVE: Duration = Duration::from_millis(250);

/// Streams that the policy may choose, as cut and stream; all of them can be sent.
pub fn check(cell: &Cell, network: &Network) -> Result<Vec<(usize, usize)>, ServeError> {
    if cell.variant.packet.uncertainty == UncertaintyKind::Tail {
        return Err(ServeError::Uncertainty);
    }
    if cell.deployment.scenario.arrivals.process != ArrivalKind::EachFrame {
        return Err(ServeError::Arrivals);
    }
    let mut streams = Vec::new();
    for candidate in &cell.offer.candidates {
        let Some(stream) = candidate
            .stream
            .filter(|_| candidate.kind != CutKind::Local)
        else {
            continue;
        };
        let cut = candidate.cut as usize;
        if !network.sends(cut, stream as usize) {
            let profile = &cell.deployment.networks[0].profile.cuts[cut];
            return Err(ServeError::Stream {
                policy: cell.variant.label.clone(),
                cut: profile.name.clone(),
                stream: profile.streams[stream as usize].name.clone(),
                mend: match candidate.kind {
                    CutKind::Input => {
                        "set profile.forbid_input = true, or a picture_stream that the profile says how to code"
                    }
                    _ => "choose a policy that sends features in order of importance",
                },
            });
        }
        let stream = (cut, stream as usize);
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    Ok(streams)
}

/// What an edge leaves when it has ended as it was told.
#[derive(Debug)]
pub struct Served {
    /// The records that no sink has taken, if they are made.
    pub records: Vec<FrameRecord>,
    /// Records that a sink has not taken for so long that there was no more room for them.
    pub lost_records: u64,
    /// Whether the energy queues are on the disk.
    pub ledger: Result<(), LedgerError>,
}

/// Serve until told to stop.
pub fn serve(
    mut cell: Cell,
    network: &Network,
    mut options: ServeOptions,
    sender: SyncSender<Input>,
    inputs: &Receiver<Input>,
    lines: &Lines,
    monitor: &Arc<Mutex<Monitor>>,
) -> Result<Served, ServeError> {
    let streams = check(&cell, network)?;
    if cell.policy.replanning() != Replanning::Never && !options.edge.barrier {
        return Err(ServeError::NoFrames(cell.variant.label));
    }
    let ledger = options.ledger.take();
    // Without room in the queue the engine is busy and looks for verdicts anyway.
    let waker = Arc::new(move || drop(sender.try_send(Input::Wake)));
    let setting = Arc::clone(&cell.deployment.setting);
    let start = Instant::now();
    let tails = LiveOptions {
        workers: options.workers,
        waiting: cell.deployment.devices.len(),
        runs: 9,
        waker,
        clock: Arc::new(move || start.elapsed().as_secs_f64()),
    };
    let live = Live::new(network, streams, &setting, tails);
    let (live, workers) = live.map_err(ServeError::Network)?;
    cell.measure_edge(|candidate| crate::edge::Judge::measured_edge_s(&live, candidate));
    cell.set_live(options.workers, GUARD_S, options.edge.barrier);
    let accounts = ledger
        .as_ref()
        .map_or_else(Default::default, |l| l.accounts().clone());
    let keeper = ledger.map(Keeper::start).transpose();
    let keeper = keeper.map_err(ServeError::Thread)?;
    let clerk = Clerk::start(options.sink.take()).map_err(ServeError::Thread)?;
    let frame_s = cell.deployment.scenario.frame.length_s;
    {
        let mut monitor = lock(monitor);
        monitor.describe(&cell);
    }
    let edge = Edge::new(cell, options.edge.clone(), live, accounts);
    std::thread::scope(|scope| {
        for _ in 0..options.workers {
            scope.spawn(|| workers.run());
        }
        let mut served = Serving {
            start,
            edge,
            lines,
            monitor,
            greeting: HashMap::new(),
            keeper,
            clerk,
            keep: options.keep_records,
            stop: Arc::clone(&options.stop),
        };
        served.run(inputs, frame_s, options.edge.barrier);
        served.edge.judge_mut().close();
        let ledger = served.keeper.take().map_or(Ok(()), Keeper::close);
        let (records, lost_records) = served.clerk.close();
        Ok(Served {
            records,
            lost_records,
            ledger,
        })
    })
}

fn lock(monitor: &Mutex<Monitor>) -> std::sync::MutexGuard<'_, Monitor> {
    monitor.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The other end of a line.
struct Peer {
    /// Name that its certificate proves.
    name: String,
    since: Instant,
}

struct Serving<'a, 'n> {
    /// Zero of the edge's clock, which only goes forward.
    start: Instant,
    edge: Edge<Live<'n>>,
    lines: &'a Lines,
    monitor: &'a Mutex<Monitor>,
    /// Who is at the other end of each line.
    greeting: HashMap<u64, Peer>,
    keeper: Option<Keeper>,
    clerk: Clerk,
    keep: bool,
    stop: Arc<AtomicBool>,
}

impl Serving<'_, '_> {
    fn run(&mut self, inputs: &Receiver<Input>, frame_s: f64, barrier: bool) {
        let start = self.start;
        let mut next_frame_s = start.elapsed().as_secs_f64() + frame_s;
        let mut saved = start;
        // A flag, not an input: it must be seen however much waits there.
        while !self.stop.load(Ordering::Relaxed) {
            let now_s = start.elapsed().as_secs_f64();
            let mut until_s = now_s + LOOK_S;
            if barrier {
                until_s = until_s.min(next_frame_s);
            }
            if let Some(tick_s) = self.edge.next_tick_s() {
                until_s = until_s.min(tick_s);
            }
            let wait = Duration::from_secs_f64((until_s - now_s).max(0.0));
            match inputs.recv_timeout(wait) {
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(input) => self.take(input, start),
            }
            // What has gathered meanwhile, but not for ever: deadlines come first.
            for _ in 0..256 {
                match inputs.try_recv() {
                    Ok(input) => self.take(input, start),
                    Err(_) => break,
                }
            }
            let now_s = start.elapsed().as_secs_f64();
            self.edge.tick(now_s);
            if !barrier && self.edge.has_frame() {
                self.edge.begin_frame(now_s);
            } else if barrier && now_s >= next_frame_s {
                if self.edge.has_frame() {
                    self.edge.begin_frame(now_s);
                }
                // A clock that was held up does not make up for missed frames.
                while next_frame_s <= now_s {
                    next_frame_s += frame_s;
                }
            }
            self.transmit();
            self.watch();
            if saved.elapsed() > SAVE {
                saved = Instant::now();
                self.drop_unintroduced(|peer| peer.since.elapsed() > HELLO);
                self.clerk.hand_on();
                self.save();
            }
        }
        self.edge.shut_down();
        self.transmit();
        self.watch();
        self.clerk.hand_on();
        self.save();
    }

    fn save(&mut self) {
        let changed = self.edge.changed_accounts();
        if let Some(keeper) = &mut self.keeper {
            keeper.enter(changed);
        }
    }

    fn take(&mut self, input: Input, start: Instant) {
        match input {
            Input::Connected { connection, name } => {
                debug!(connection, name, "connected");
                self.drop_unintroduced(|peer| peer.name == name);
                let since = Instant::now();
                self.greeting.insert(connection, Peer { name, since });
                self.edge.connect(connection);
            }
            Input::Control(connection, bytes, _place) => {
                let name = self.greeting.get(&connection).map(|peer| &*peer.name);
                let outcome = self.edge.control(connection, &bytes, name);
                if let Err(error) = outcome {
                    warn!(connection, %error, "protocol");
                }
            }
            Input::Datagram(connection, bytes, _place) => {
                lock(self.monitor).datagram(bytes.len());
                let now_s = start.elapsed().as_secs_f64();
                self.edge.datagram(connection, &bytes, now_s);
            }
            Input::Gone(connection) => {
                debug!(connection, "gone");
                self.greeting.remove(&connection);
                self.edge.disconnect(connection);
            }
            Input::Refused(reason) => {
                info!(reason, "turned away");
                lock(self.monitor).refused();
            }
            Input::Wake => {}
        }
    }

    fn transmit(&mut self) {
        while let Some((connection, bytes)) = self.edge.poll_transmit() {
            if !self.lines.send(connection, bytes) {
                self.edge.disconnect(connection);
            }
        }
        let over: Vec<u64> = self
            .greeting
            .keys()
            .copied()
            .filter(|connection| self.edge.is_over(*connection))
            .collect();
        for connection in over {
            self.lines.close(connection);
            self.greeting.remove(&connection);
        }
    }

    /// Hang up on the chosen ones of the peers that have not said who they are.
    fn drop_unintroduced(&mut self, chosen: impl Fn(&Peer) -> bool) {
        let (edge, greeting) = (&self.edge, &self.greeting);
        let waiting = greeting
            .iter()
            .filter(|(connection, peer)| !edge.is_introduced(**connection) && chosen(peer));
        let dropped: Vec<u64> = waiting.map(|(connection, _)| *connection).collect();
        for connection in dropped {
            info!(connection, "hung up on: no greeting");
            lock(self.monitor).refused();
            self.edge.disconnect(connection);
            self.lines.close(connection);
            self.greeting.remove(&connection);
        }
    }

    fn watch(&mut self) {
        while let Some(happening) = self.edge.poll_happening() {
            match &happening {
                Happening::Joined {
                    device,
                    name,
                    radio,
                } => {
                    info!(device, name, ?radio, "joined");
                    let values = &self.edge.cell().deployment.devices[*device].values;
                    lock(self.monitor).budget(*device, values.energy_budget_j);
                }
                Happening::AccountBack { name, known, told } => warn!(
                    name,
                    ?known,
                    ?told,
                    "the energy account of this device goes back: the larger numbers are kept"
                ),
                Happening::Left { device, name } => info!(device, name, "left"),
                Happening::Refused { detail } => warn!(detail, "refused"),
                Happening::Failed { device, detail } => warn!(device, detail, "failed"),
                Happening::Planned { frame, offers } => debug!(frame, offers, "planned"),
                Happening::Answered {
                    device,
                    task,
                    frame,
                    class,
                } => debug!(device, task, frame, class, "answered"),
                Happening::Idle(record) if self.keep => self.clerk.push((**record).clone()),
                Happening::Done(done) => {
                    debug!(
                        name = done.name,
                        frame = done.record.frame,
                        outcome = done.record.outcome.name(),
                        "done"
                    );
                    if self.keep {
                        self.clerk.push(done.record.clone());
                    }
                }
                _ => {}
            }
            lock(self.monitor).happened(&happening);
        }
    }
}
