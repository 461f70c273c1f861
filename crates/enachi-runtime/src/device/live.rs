//! Work with the network itself, on inputs as they come.

use super::{Outgoing, Work};
use crate::network::Network;
use crate::picture::{Pictures, parts};
use enachi_core::task::Candidate;
use enachi_model::codec::EncoderScratch;
use enachi_model::tensor::Tensor;
use enachi_proto::message::Scored;
use enachi_sim::upload::Upload;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// How often a device that waits for an input looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(100);

/// An input of the network, preprocessed.
pub struct Input {
    /// Values, row-major, in the shape of the network's input.
    pub values: Vec<f32>,
    /// True class, where it is known.
    pub label: Option<u16>,
}

/// Where inputs come from.
pub trait Inputs: Send {
    /// The next one; `None` when there are no more.
    fn next(&mut self) -> Option<Result<Input, String>>;
}

/// What has become of the wait for an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coming {
    /// It is there.
    Ready,
    /// None has come.
    NotYet,
    /// There are no more.
    End,
}

/// Work on inputs, one a task.
pub struct LiveWork<'n> {
    network: &'n Network,
    inputs: Receiver<Result<Input, String>>,
    /// Lets the thread that reads inputs go on.
    go_on: SyncSender<()>,
    /// Whether it reads the one after the current, or has.
    reads_on: bool,
    scratch: EncoderScratch,
    current: Option<(Tensor, Option<u16>)>,
}

impl<'n> LiveWork<'n> {
    /// With inputs from `inputs`, which a thread reads one ahead: a picture is decoded while the features of the last one are under
    /// way, not between an answer and the next offer, when time is short.
    pub fn new(network: &'n Network, mut inputs: Box<dyn Inputs>) -> Self {
        let (ahead, ready) = sync_channel(0);
        let (go_on, goes_on) = sync_channel(1);
        // It ends with its inputs or when nobody takes them; a pipe that says nothing more must not keep the device.
        std::thread::spawn(move || {
            while let Some(input) = inputs.next() {
                if ahead.send(input).is_err() || goes_on.recv().is_err() {
                    return;
                }
            }
        });
        Self {
            network,
            inputs: ready,
            go_on,
            reads_on: true,
            scratch: EncoderScratch::default(),
            current: None,
        }
    }

    /// What is to be sent of the current input.
    fn outgoing(&mut self, upload: &Upload<'_>) -> Result<Outgoing, String> {
        let Some((input, _)) = &self.current else {
            return Err("no input".into());
        };
        let cut = upload.candidate.cut as usize;
        let stream = upload.candidate.stream.unwrap_or(0) as usize;
        if let Some(pictures) = self.network.pictures(cut) {
            return picture(pictures, upload, stream, &input.data);
        }
        let codec = self.network.codec(cut).filter(|_| stream == 0);
        let codec = codec.ok_or("a stream that this runtime does not send")?;
        let feature = self.network.head(input, cut).map_err(|e| e.to_string())?;
        // Of a network gone wrong; the codec would make a stream of it that looks like any other.
        if !feature.data.iter().all(|value| value.is_finite()) {
            return Err("the head's output is not finite".into());
        }
        let mut outgoing = Outgoing::default();
        for chunk in codec.encode(&feature.data, &mut self.scratch) {
            outgoing.push(&chunk.payload);
        }
        let stream = upload.stream();
        let limit = upload.measured_limit(stream);
        if let Some(&chunks) = stream.checkpoint_chunks.get(limit) {
            outgoing.truncate(chunks as usize);
        }
        outgoing.set_checkpoints(&stream.checkpoint_chunks);
        Ok(outgoing)
    }

    /// Let the thread read the next input.
    fn read_on(&mut self) {
        if !std::mem::replace(&mut self.reads_on, true) {
            // Full it cannot be, and a thread that has ended has nothing more to read.
            let _ = self.go_on.try_send(());
        }
    }

    /// Fetch the input of the next task; false when there are no more, or `cancel` is set while none comes.
    pub fn advance(&mut self, cancel: &AtomicBool) -> Result<bool, String> {
        loop {
            match self.look(PATIENCE)? {
                Coming::Ready => return Ok(true),
                Coming::NotYet if !cancel.load(Ordering::Relaxed) => {}
                Coming::NotYet | Coming::End => return Ok(false),
            }
        }
    }

    /// Fetch the input of the next task if one comes within `wait`.
    pub fn look(&mut self, wait: Duration) -> Result<Coming, String> {
        self.current = None;
        self.read_on();
        let input = match self.inputs.recv_timeout(wait) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => return Ok(Coming::NotYet),
            Err(RecvTimeoutError::Disconnected) => return Ok(Coming::End),
        };
        self.reads_on = false;
        let Input { values, label } = input?;
        let shape = self.network.input_shape().to_vec();
        let wanted: usize = shape.iter().product();
        if values.len() != wanted {
            return Err(format!(
                "an input of {} values, the network takes {wanted}",
                values.len()
            ));
        }
        let tensor = Tensor {
            shape,
            data: values,
        };
        self.current = Some((tensor, label));
        Ok(Coming::Ready)
    }
}

/// A picture at the level that fits, in chunks whose bits are those of the picture alone.
fn picture(
    pictures: &Pictures,
    upload: &Upload<'_>,
    stream: usize,
    values: &[f32],
) -> Result<Outgoing, String> {
    let picture = pictures.picture(values);
    let mut tried: Option<(usize, Vec<u8>)> = None;
    let level = upload.fitting(pictures.levels(stream), |level| {
        tried = Some(level).zip(pictures.encode(stream, level, &picture).ok());
        let coded = tried.as_ref();
        coded.map_or(f64::INFINITY, |(_, coded)| 8.0 * coded.len() as f64)
    });
    let coded = match tried {
        Some((at, coded)) if at == level => coded,
        _ => pictures.encode(stream, level, &picture)?,
    };
    let mut outgoing = Outgoing::default();
    let mut bytes = 0;
    for part in parts(&coded) {
        bytes = (bytes + part.len()).min(coded.len());
        outgoing.push_at(&part, 8.0 * bytes as f64);
    }
    outgoing.level = Some(level as u16);
    Ok(outgoing)
}

impl Work for LiveWork<'_> {
    fn head(&mut self, upload: &Upload<'_>) -> Result<Outgoing, String> {
        let outgoing = self.outgoing(upload);
        self.read_on();
        outgoing
    }

    fn whole(&mut self, _task: u32) -> Option<Scored> {
        let (input, _) = self.current.as_ref()?;
        let (top, _) = self.network.whole(input).ok()??;
        self.read_on();
        top.first().copied()
    }

    fn label(&self, _task: u32) -> Option<u16> {
        self.current.as_ref().and_then(|(_, label)| *label)
    }

    fn draw(&self, _task: u32, _candidate: Option<&Candidate>) -> (f64, Option<usize>) {
        (0.5, None)
    }
}
