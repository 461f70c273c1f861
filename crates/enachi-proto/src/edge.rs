//! The edge's side of a session with one device.

use crate::assembly::{Assembly, Taken};
use crate::datagram::{Datagram, Prefix};
use crate::error::{ProtocolError, SessionError};
use crate::limits::Limits;
use crate::message::{
    Answer, Grant, Hello, Idle, Offer, Refuse, RefuseReason, Regrant, Report, Stop, StopReason,
    ToDevice, ToEdge, Welcome,
};
use crate::stream::{self, Reader};
use std::collections::VecDeque;

/// What happened at the edge.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeEvent {
    /// A device that holds the right network asks to be admitted: [`EdgeSession::welcome`] or [`EdgeSession::refuse`].
    Hello(Hello),
    /// A task to be planned.
    Offered(Offer),
    /// What a task has cost.
    Reported(Report),
    /// Frames without a task.
    Idle(Idle),
    /// A task will not be reported: the line is broken, or too many reports are missing.
    Unreported {
        /// Which.
        task: u32,
    },
    /// The device has left.
    Left,
}

/// What the edge holds, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeSettings {
    /// SHA-256 of the network's file.
    pub model_sha256: [u8; 32],
    /// SHA-256 of the codec tables.
    pub tables_sha256: [u8; 32],
    /// Cuts of the profile.
    pub cuts: u16,
    /// Limits of each device.
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    Deciding,
    Ready,
    Closed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Greeting => "waiting for the hello",
            Self::Deciding => "deciding about the hello",
            Self::Ready => "open",
            Self::Closed => "closed",
        }
    }
}

#[derive(Debug)]
struct Task {
    number: u32,
    stage: Stage,
    /// The report came before the answer: the device had given the task up.
    reported: bool,
}

#[derive(Debug)]
enum Stage {
    Offered,
    Granted(Option<Upload>),
    /// Nothing that arrives is used any more; the answer is being made.
    Closed,
    /// Answered; the report is missing.
    Answered,
}

#[derive(Debug)]
struct Upload {
    cut: u16,
    stopped: bool,
    assembly: Assembly,
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Chunks that have arrived.
    pub chunks: u32,
    /// One past the highest of them.
    pub reached: u32,
    /// Their bits, with headers.
    pub bits: u64,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// It belongs to an open upload; its new chunks were handed on.
    Upload(Prefix),
    /// It says how much of the way to the next checkpoint an open upload has come, 0..=1.
    Progress(Prefix, f64),
    /// Too late, doubled, or of a task that is not open: no harm.
    Stray,
    /// Nothing that a device of ours sends.
    Bad,
}

/// The edge's side of a session: calls and bytes in, events and bytes out.
#[derive(Debug)]
pub struct EdgeSession {
    settings: EdgeSettings,
    state: State,
    reader: Reader<ToEdge>,
    events: VecDeque<EdgeEvent>,
    transmit: VecDeque<Vec<u8>>,
    tasks: Vec<Task>,
    last_task: Option<u32>,
}

impl EdgeSession {
    /// Before the first byte of a peer.
    pub fn new(settings: EdgeSettings) -> Self {
        Self {
            settings,
            state: State::Greeting,
            reader: Reader::default(),
            events: VecDeque::new(),
            transmit: VecDeque::from([stream::preamble().to_vec()]),
            tasks: Vec::new(),
            last_task: None,
        }
    }

    /// Bytes from the control stream, in pieces of any size. After an error the session is closed.
    pub fn received(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        if self.state == State::Closed {
            return Ok(());
        }
        let mut reader = std::mem::take(&mut self.reader);
        let outcome = reader.push(bytes, |message| self.handle(message));
        self.reader = reader;
        if let Err(error) = &outcome {
            self.refuse(RefuseReason::Misbehaviour, &error.to_string());
        }
        outcome
    }

    fn handle(&mut self, message: ToEdge) -> Result<(), ProtocolError> {
        let unexpected = ProtocolError::Unexpected {
            message: message.name(),
            state: self.state.name(),
        };
        match (self.state, message) {
            (State::Closed, _) => {}
            (State::Greeting, ToEdge::Hello(hello)) => self.greeted(hello),
            (State::Ready, ToEdge::Offer(offer)) => self.offered(offer)?,
            (State::Ready, ToEdge::Report(report)) => {
                let known = |t: &Task| t.number == report.task && !t.reported;
                if let Some(index) = self.tasks.iter().position(known) {
                    if matches!(self.tasks[index].stage, Stage::Answered) {
                        self.tasks.remove(index);
                    } else {
                        self.tasks[index].reported = true;
                    }
                    self.events.push_back(EdgeEvent::Reported(report));
                }
            }
            (State::Ready, ToEdge::Idle(idle)) => self.events.push_back(EdgeEvent::Idle(idle)),
            (_, ToEdge::Bye) => {
                self.disconnected();
            }
            _ => return Err(unexpected),
        }
        Ok(())
    }

    fn greeted(&mut self, hello: Hello) {
        self.state = State::Deciding;
        let settings = &self.settings;
        let wrong = if hello.model_sha256 != settings.model_sha256 {
            Some((RefuseReason::Model, "the edge holds another network"))
        } else if hello.tables_sha256 != settings.tables_sha256 {
            Some((RefuseReason::Tables, "the edge holds other codec tables"))
        } else if hello.cuts.iter().any(|cut| *cut >= settings.cuts) {
            Some((RefuseReason::Cuts, "a cut that the profile does not have"))
        } else {
            None
        };
        match wrong {
            Some((reason, detail)) => self.refuse(reason, detail),
            None => self.events.push_back(EdgeEvent::Hello(hello)),
        }
    }

    fn offered(&mut self, offer: Offer) -> Result<(), ProtocolError> {
        let limit = self.settings.limits.outstanding_tasks;
        if let Some(last) = self.last_task.filter(|last| offer.task <= *last) {
            return Err(ProtocolError::TaskOrder {
                task: offer.task,
                last,
            });
        }
        let open = |t: &&Task| !matches!(t.stage, Stage::Answered);
        if self.tasks.iter().filter(open).count() >= limit as usize {
            return Err(ProtocolError::TooManyTasks {
                task: offer.task,
                limit,
            });
        }
        self.last_task = Some(offer.task);
        // Reports that are still missing after so many tasks will not come.
        if self.tasks.len() >= 2 * limit as usize {
            let oldest = self
                .tasks
                .iter()
                .position(|t| matches!(t.stage, Stage::Answered));
            if let Some(index) = oldest {
                let task = self.tasks.remove(index).number;
                self.events.push_back(EdgeEvent::Unreported { task });
            }
        }
        self.tasks.push(Task {
            number: offer.task,
            stage: Stage::Offered,
            reported: false,
        });
        self.events.push_back(EdgeEvent::Offered(offer));
        Ok(())
    }

    /// A datagram. Chunks that it completes go to `each` with the task; nothing is kept of them here.
    pub fn datagram(&mut self, bytes: &[u8], mut each: impl FnMut(u32, u16, &[u8])) -> Arrival {
        if bytes.len() > self.settings.limits.datagram_bytes as usize {
            return Arrival::Bad;
        }
        let Ok(datagram) = Datagram::parse(bytes) else {
            return Arrival::Bad;
        };
        let prefix = datagram.prefix;
        let Some(upload) = self.upload(prefix.task) else {
            return Arrival::Stray;
        };
        if upload.cut != prefix.cut {
            return Arrival::Bad;
        }
        if let Some(begun) = datagram.progress() {
            return Arrival::Progress(prefix, begun);
        }
        for part in datagram.parts() {
            let hand_on = |id, payload: &[u8]| each(prefix.task, id, payload);
            if upload.assembly.push(part, hand_on) == Taken::Refused {
                return Arrival::Bad;
            }
        }
        Arrival::Upload(prefix)
    }

    /// Admit the device.
    pub fn welcome(&mut self, welcome: Welcome) -> Result<(), SessionError> {
        if self.state != State::Deciding {
            return Err(SessionError::NotReady(self.state.name()));
        }
        self.send(&ToDevice::Welcome(welcome))?;
        self.state = State::Ready;
        Ok(())
    }

    /// Send the device away; the session is over.
    pub fn refuse(&mut self, reason: RefuseReason, detail: &str) {
        if self.state == State::Closed {
            return;
        }
        let mut end = detail.len().min(crate::message::MAX_DETAIL_BYTES);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        let detail = detail[..end].to_owned();
        let sent = self.send(&ToDevice::Refuse(Refuse { reason, detail }));
        debug_assert!(sent.is_ok(), "the detail was cut to its limit");
        self.disconnected();
    }

    /// Grant a task; `chunks` is the number of chunks of the chosen stream.
    pub fn grant(&mut self, grant: Grant, chunks: u32) -> Result<(), SessionError> {
        self.ready()?;
        let limits = self.settings.limits;
        let unknown = SessionError::UnknownTask(grant.task);
        let task = self.tasks.iter_mut().find(|t| t.number == grant.task);
        let task = task.ok_or_else(|| unknown.clone())?;
        if !matches!(task.stage, Stage::Offered) {
            return Err(unknown);
        }
        let sends = grant.choice.and_then(|c| c.stream.map(|_| c.cut));
        task.stage = Stage::Granted(sends.map(|cut| Upload {
            cut,
            stopped: false,
            assembly: Assembly::new(chunks, &limits),
        }));
        self.send(&ToDevice::Grant(grant))
    }

    /// Change band and power of a task that is being sent.
    pub fn regrant(&mut self, regrant: Regrant) -> Result<(), SessionError> {
        self.ready()?;
        let upload = self.upload(regrant.task).filter(|upload| !upload.stopped);
        upload.ok_or(SessionError::UnknownTask(regrant.task))?;
        self.send(&ToDevice::Regrant(regrant))
    }

    /// Tell the device to send no more of a task; what is on its way is still taken. False if it was told before.
    pub fn stop(&mut self, task: u32, reason: StopReason) -> Result<bool, SessionError> {
        self.ready()?;
        let upload = self.upload(task).ok_or(SessionError::UnknownTask(task))?;
        if std::mem::replace(&mut upload.stopped, true) {
            return Ok(false);
        }
        self.send(&ToDevice::Stop(Stop { task, reason }))?;
        Ok(true)
    }

    /// Use nothing that arrives from now on. Returns what has arrived; `None` for a task that sends nothing.
    pub fn close_upload(&mut self, task: u32) -> Option<Progress> {
        let progress = self.progress(task);
        let task = self.tasks.iter_mut().find(|t| t.number == task)?;
        if matches!(task.stage, Stage::Granted(_)) {
            task.stage = Stage::Closed;
        }
        progress
    }

    /// How far the upload of a task has come.
    pub fn progress(&self, task: u32) -> Option<Progress> {
        let task = self.tasks.iter().find(|t| t.number == task)?;
        let Stage::Granted(Some(upload)) = &task.stage else {
            return None;
        };
        Some(Progress {
            chunks: upload.assembly.arrived(),
            reached: upload.assembly.reached(),
            bits: upload.assembly.bits(),
        })
    }

    /// End a task with an answer, or the reason why there is none.
    pub fn answer(&mut self, answer: Answer) -> Result<(), SessionError> {
        self.ready()?;
        let number = answer.task;
        let open = |t: &Task| t.number == number && !matches!(t.stage, Stage::Answered);
        let index = self.tasks.iter().position(open);
        let index = index.ok_or(SessionError::UnknownTask(number))?;
        if self.tasks[index].reported {
            self.tasks.remove(index);
        } else {
            self.tasks[index].stage = Stage::Answered;
        }
        self.send(&ToDevice::Answer(answer))
    }

    /// Forget a task that ends without an answer: the device was left on its own, and has reported.
    pub fn dismiss(&mut self, task: u32) {
        self.tasks.retain(|t| t.number != task);
    }

    /// The line is broken, or the device has left.
    pub fn disconnected(&mut self) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let lost = self.tasks.drain(..).filter(|task| !task.reported);
        self.events
            .extend(lost.map(|task| EdgeEvent::Unreported { task: task.number }));
        self.events.push_back(EdgeEvent::Left);
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<EdgeEvent> {
        self.events.pop_front()
    }

    /// The next bytes for the control stream.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    fn upload(&mut self, task: u32) -> Option<&mut Upload> {
        let task = self.tasks.iter_mut().find(|t| t.number == task)?;
        match &mut task.stage {
            Stage::Granted(upload) => upload.as_mut(),
            _ => None,
        }
    }

    fn ready(&self) -> Result<(), SessionError> {
        if self.state == State::Ready {
            Ok(())
        } else {
            Err(SessionError::NotReady(self.state.name()))
        }
    }

    fn send(&mut self, message: &ToDevice) -> Result<(), SessionError> {
        self.transmit.push_back(stream::encode(message)?);
        Ok(())
    }
}
