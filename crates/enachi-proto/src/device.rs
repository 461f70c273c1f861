//! The device's side of a session.

use crate::error::{ProtocolError, SessionError};
use crate::message::{
    Answer, Grant, Hello, Idle, Offer, Refuse, Regrant, Report, Stop, ToDevice, ToEdge, Welcome,
};
use crate::stream::{self, Reader};
use std::collections::VecDeque;

/// What happened at the device.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceEvent {
    /// The edge has admitted the device.
    Welcome(Welcome),
    /// It has not; nothing more comes.
    Refused(Refuse),
    /// What to do with a task.
    Granted(Grant),
    /// New band and power for a task that was granted.
    Regranted(Regrant),
    /// Send no more of a task.
    Stopped(Stop),
    /// The end of a task.
    Answered(Answer),
    /// The end of a task whose answer will not come: the line is broken.
    Lost {
        /// Which.
        task: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    Ready,
    Closed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Greeting => "waiting for the welcome",
            Self::Ready => "open",
            Self::Closed => "closed",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Task {
    number: u32,
    /// Last revision of its grant; `None` before the grant itself.
    revision: Option<u32>,
    stopped: bool,
}

/// The device's side of a session: calls and bytes in, events and bytes out.
///
/// Every task that was offered ends in exactly one of [`DeviceEvent::Answered`], [`DeviceEvent::Lost`] and the caller's own
/// [`DeviceSession::give_up`].
#[derive(Debug)]
pub struct DeviceSession {
    state: State,
    reader: Reader<ToDevice>,
    events: VecDeque<DeviceEvent>,
    transmit: VecDeque<Vec<u8>>,
    tasks: Vec<Task>,
    outstanding: u32,
    last_task: Option<u32>,
}

impl DeviceSession {
    /// Begin: the greeting is ready to be sent.
    pub fn new(hello: Hello) -> Result<Self, SessionError> {
        let mut greeting = stream::preamble().to_vec();
        greeting.extend(stream::encode(&ToEdge::Hello(hello))?);
        Ok(Self {
            state: State::Greeting,
            reader: Reader::default(),
            events: VecDeque::new(),
            transmit: VecDeque::from([greeting]),
            tasks: Vec::new(),
            outstanding: 0,
            last_task: None,
        })
    }

    /// Bytes from the control stream, in pieces of any size. After an error the session is closed and open tasks are lost.
    pub fn received(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        if self.state == State::Closed {
            return Ok(());
        }
        let mut reader = std::mem::take(&mut self.reader);
        let outcome = reader.push(bytes, |message| self.handle(message));
        self.reader = reader;
        if outcome.is_err() {
            self.disconnected();
        }
        outcome
    }

    fn handle(&mut self, message: ToDevice) -> Result<(), ProtocolError> {
        let unexpected = ProtocolError::Unexpected {
            message: message.name(),
            state: self.state.name(),
        };
        match (self.state, message) {
            (State::Closed, _) => {}
            (State::Greeting, ToDevice::Welcome(welcome)) => {
                self.state = State::Ready;
                self.outstanding = welcome.outstanding_tasks;
                self.events.push_back(DeviceEvent::Welcome(welcome));
            }
            (_, ToDevice::Refuse(refuse)) => {
                self.disconnected();
                self.events.push_back(DeviceEvent::Refused(refuse));
            }
            (State::Ready, ToDevice::Grant(grant)) => {
                if self.revise(grant.task, 0) {
                    self.events.push_back(DeviceEvent::Granted(grant));
                }
            }
            (State::Ready, ToDevice::Regrant(regrant)) => {
                if self.revise(regrant.task, regrant.revision) {
                    self.events.push_back(DeviceEvent::Regranted(regrant));
                }
            }
            (State::Ready, ToDevice::Stop(stop)) => {
                let task = self.tasks.iter_mut().find(|t| t.number == stop.task);
                if let Some(task) = task.filter(|t| t.revision.is_some() && !t.stopped) {
                    task.stopped = true;
                    self.events.push_back(DeviceEvent::Stopped(stop));
                }
            }
            (State::Ready, ToDevice::Answer(answer)) => {
                // An answer to a task that was given up comes too late to count.
                if self.remove(answer.task) {
                    self.events.push_back(DeviceEvent::Answered(answer));
                }
            }
            _ => return Err(unexpected),
        }
        Ok(())
    }

    /// Whether a grant of `revision` changes anything: the first one a task that was offered, later ones a task that is sent.
    fn revise(&mut self, number: u32, revision: u32) -> bool {
        let Some(task) = self.tasks.iter_mut().find(|t| t.number == number) else {
            return false;
        };
        let newer = match task.revision {
            None => revision == 0,
            Some(last) => revision > last && !task.stopped,
        };
        if newer {
            task.revision = Some(revision);
        }
        newer
    }

    /// Offer a task.
    pub fn offer(&mut self, offer: Offer) -> Result<(), SessionError> {
        self.ready()?;
        if self.tasks.len() >= self.outstanding as usize {
            return Err(SessionError::TooManyTasks(self.outstanding));
        }
        if let Some(last) = self.last_task.filter(|last| offer.task <= *last) {
            return Err(SessionError::TaskOrder {
                task: offer.task,
                last,
            });
        }
        self.send(&ToEdge::Offer(offer))?;
        self.last_task = Some(offer.task);
        self.tasks.push(Task {
            number: offer.task,
            revision: None,
            stopped: false,
        });
        Ok(())
    }

    /// Whether chunks of a task may be sent: it is granted, not stopped, not answered.
    pub fn may_send(&self, task: u32) -> bool {
        let open = |t: &Task| t.number == task && t.revision.is_some() && !t.stopped;
        self.state == State::Ready && self.tasks.iter().any(open)
    }

    /// Tasks that are offered and not ended.
    pub fn open_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Report what a task has cost.
    pub fn report(&mut self, report: Report) -> Result<(), SessionError> {
        self.ready()?;
        self.send(&ToEdge::Report(report))
    }

    /// Report frames without a task.
    pub fn idle(&mut self, idle: Idle) -> Result<(), SessionError> {
        self.ready()?;
        self.send(&ToEdge::Idle(idle))
    }

    /// Its deadline has passed: an answer that comes now is ignored. False if the task has ended already.
    pub fn give_up(&mut self, task: u32) -> bool {
        self.remove(task)
    }

    /// Leave.
    pub fn close(&mut self) {
        if self.state == State::Ready {
            // A farewell has no fields that could be refused.
            let _ = self.send(&ToEdge::Bye);
        }
        self.disconnected();
    }

    /// The line is broken: open tasks are lost, nothing more is sent.
    pub fn disconnected(&mut self) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let lost = self.tasks.drain(..);
        self.events
            .extend(lost.map(|task| DeviceEvent::Lost { task: task.number }));
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<DeviceEvent> {
        self.events.pop_front()
    }

    /// The next bytes for the control stream.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    fn remove(&mut self, task: u32) -> bool {
        let before = self.tasks.len();
        self.tasks.retain(|t| t.number != task);
        self.tasks.len() < before
    }

    fn ready(&self) -> Result<(), SessionError> {
        if self.state == State::Ready {
            Ok(())
        } else {
            Err(SessionError::NotReady(self.state.name()))
        }
    }

    fn send(&mut self, message: &ToEdge) -> Result<(), SessionError> {
        self.transmit.push_back(stream::encode(message)?);
        Ok(())
    }
}
