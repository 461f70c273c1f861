//! The device without an edge: it answers by itself, a task a frame, while the network's thread looks for one.

use super::{ClientError, ClientOptions, PATIENCE, State, raised};
use crate::device::{Coming, Device, Finished, LiveWork, Radio, Signal};
use crate::pki::Credentials;
use crate::transport::{FromEdge, Line, TransportError, begin_to_connect};
use enachi_proto::message::{Hello, Welcome};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tracing::warn;

/// First and longest wait before another attempt to connect.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];
/// How often a device that waits looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// Whom to look for, and how.
pub(super) struct Search<'s> {
    pub(super) runtime: &'s tokio::runtime::Handle,
    pub(super) options: &'s ClientOptions,
    pub(super) credentials: &'s Credentials,
    pub(super) hello: &'s Hello,
}

pub(super) struct Alone<'s, 'n, E, R: Radio> {
    device: &'s mut Device<LiveWork<'n>, R>,
    state: &'s mut State,
    cancel: &'s AtomicBool,
    each: &'s mut E,
    /// When the present frame ends.
    frame_end: Instant,
    /// Whether frames bring tasks: not before the first connection of a device that ends if there is none.
    works: bool,
}

impl<'s, 'n, E: FnMut(&Finished), R: Radio> Alone<'s, 'n, E, R> {
    /// From now on.
    pub(super) fn new(
        device: &'s mut Device<LiveWork<'n>, R>,
        state: &'s mut State,
        cancel: &'s AtomicBool,
        each: &'s mut E,
    ) -> Self {
        let frame_end = Instant::now() + Duration::from_secs_f64(device.frame_s());
        Self {
            device,
            state,
            cancel,
            each,
            frame_end,
            works: true,
        }
    }

    /// Go on alone until an edge says welcome; `None` if there is nothing more to do before one does.
    pub(super) fn reach(
        &mut self,
        search: &Search<'_>,
    ) -> Result<Option<(Line, Welcome)>, ClientError> {
        let (_quiet, silence) = channel::<()>();
        let mut back_off = BACK_OFF[0];
        // A line that has broken is not tried again at once.
        let mut pause = self.state.done.connections > 0;
        loop {
            if pause {
                let _ = self.wait(&silence, Some(Instant::now() + back_off))?;
                back_off = (back_off * 2).min(BACK_OFF[1]);
            }
            pause = true;
            if self.is_over() {
                return Ok(None);
            }
            self.works = !search.options.must_connect || self.state.done.connections > 0;
            if let Some(found) = self.attempt(search)? {
                return Ok(Some(found));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.state.finished || self.cancel.load(Ordering::Relaxed)
    }

    /// One attempt to connect and to be welcome.
    fn attempt(&mut self, search: &Search<'_>) -> Result<Option<(Line, Welcome)>, ClientError> {
        let Search {
            runtime,
            options,
            credentials,
            hello,
        } = *search;
        let outcome = begin_to_connect(runtime, options.edge, credentials, PATIENCE)?;
        let line = match self.wait(&outcome, None)? {
            Ok(Ok(line)) => line,
            Ok(Err(TransportError::TurnedAway(reason))) => {
                return Err(ClientError::TurnedAway(reason));
            }
            Ok(Err(error)) if !self.works => return Err(error.into()),
            Ok(Err(error)) => {
                warn!(%error, "no edge");
                return Ok(None);
            }
            Err(_) => return Ok(None),
        };
        self.state.done.connections += 1;
        if self.state.done.connections > 1 {
            self.device.reconnect(hello.clone())?;
        }
        let welcome = self.greet(&line)?;
        if welcome.is_none() {
            self.device.close();
            line.close();
        }
        Ok(welcome.map(|welcome| (line, welcome)))
    }

    /// Say hello and wait for the welcome; `None` if the line breaks first, or no answer comes.
    fn greet(&mut self, line: &Line) -> Result<Option<Welcome>, ClientError> {
        while let Some(bytes) = self.device.poll_transmit() {
            line.control(bytes);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.wait(&line.inputs, Some(until))? {
                // Another version stays another version: there is nothing to wait for.
                Ok(FromEdge::Control(bytes)) => self.device.control(&bytes)?,
                Ok(FromEdge::Gone(reason)) => {
                    warn!(reason, "the edge hung up");
                    return Ok(None);
                }
                Ok(FromEdge::TurnedAway(reason)) => return Err(ClientError::TurnedAway(reason)),
                Err(_) => return Ok(None),
            }
            for signal in self.device.take_signals() {
                match signal {
                    Signal::Welcome(welcome) => return Ok(Some(welcome)),
                    Signal::Refused(refuse) => return Err(ClientError::Refused(refuse)),
                    Signal::AccountRaised { kept, queue_j } => raised(&kept, queue_j),
                    _ => {}
                }
            }
        }
    }

    /// What comes from `from`. Frames go on meanwhile. An error: it is closed, `until` has come, or there is nothing more to do.
    fn wait<T>(
        &mut self,
        from: &Receiver<T>,
        until: Option<Instant>,
    ) -> Result<Result<T, RecvTimeoutError>, ClientError> {
        while !self.is_over() && until.is_none_or(|until| Instant::now() < until) {
            let now = Instant::now();
            let mut next = until.map_or(now + LOOK, |until| until.min(now + LOOK));
            if self.works {
                next = next.min(self.frame_end);
            }
            match from.recv_timeout(next.saturating_duration_since(now)) {
                Err(RecvTimeoutError::Timeout) => {}
                heard => return Ok(heard),
            }
            if self.works && Instant::now() >= self.frame_end {
                self.frame()?;
            }
        }
        Ok(Err(RecvTimeoutError::Timeout))
    }

    /// A frame has passed: its task, or its allowance of energy if there is none.
    fn frame(&mut self) -> Result<(), ClientError> {
        match self.state.coming(self.device.work_mut())? {
            (Coming::Ready, task) => {
                self.device.solo(task);
                self.state.take_finished(self.device, self.each);
            }
            (Coming::NotYet, task) => self.device.idle(task, 1, None),
            (Coming::End, _) => {}
        }
        // Frames in which the device was busy with a task are not made up for.
        let frame = Duration::from_secs_f64(self.device.frame_s());
        self.frame_end = (self.frame_end + frame).max(Instant::now());
        Ok(())
    }
}
