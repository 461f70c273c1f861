//! Who says how uncertain an answer is, and what it is: the network, or a profile that remembers.

use enachi_core::task::{Candidate, TaskGrant};
use enachi_proto::Progress;
use enachi_proto::message::Scored;
use enachi_sim::deployment::Deployment;
use enachi_sim::scenario::Packet;

/// What a judge knows of a task.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// Scenario on profile.
    pub deployment: &'a Deployment,
    /// Packet level of the policy.
    pub packet: &'a Packet,
    /// The choice.
    pub candidate: &'a Candidate,
    /// The grant.
    pub grant: &'a TaskGrant,
    /// Device, from 0.
    pub device: u32,
    /// Number that the device gave the task.
    pub task: u32,
    /// Q before the task \[J\].
    pub energy_queue_j: f64,
    /// Gain that the plan knew.
    pub gain: f64,
    /// When the upload ends, from the beginning of the frame \[s\].
    pub upload_end_s: f64,
}

/// A task on its way from the end of its upload to its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// Connection.
    pub connection: u64,
    /// The device's number of the task.
    pub task: u32,
}

/// The answer to a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Classes, best first; empty if the tail failed.
    pub top: Vec<Scored>,
    /// Uncertainty, as the stop rule sees it \[nat\].
    pub entropy_nats: f64,
    /// Chunks that it rests on.
    pub chunks: u32,
    /// Checkpoint that they reach.
    pub checkpoint: usize,
    /// Whether it is right, where the judge knows; otherwise the device's label decides.
    pub correct: Option<bool>,
    /// How long decoder and tail took \[s\].
    pub tail_s: f64,
}

/// An upload that is closed.
pub struct Closed<'a, E> {
    /// Which.
    pub id: TaskId,
    /// Its task.
    pub situation: Situation<'a>,
    /// What was gathered.
    pub evidence: E,
    /// How far it came.
    pub progress: Progress,
    /// When its answer must be there, by the clock of whoever drives the edge \[s\].
    pub due_s: f64,
}

/// Judges uploads.
pub trait Judge {
    /// What is gathered of an upload.
    type Evidence;

    /// Chunks of the stream that is sent.
    fn chunks(&self, situation: &Situation<'_>) -> u32;

    /// Row of the profile's images, where the input is one of them: plans within the frame count on the others.
    fn image(&self, _situation: &Situation<'_>) -> usize {
        0
    }

    /// Before the first chunk.
    fn open(&mut self, situation: &Situation<'_>) -> Self::Evidence;

    /// A chunk has arrived, once, in any order.
    fn chunk(&mut self, evidence: &mut Self::Evidence, id: u16, payload: &[u8]);

    /// Last checkpoint within what has been reached, and the last of the stream.
    fn checkpoint(
        &self,
        situation: &Situation<'_>,
        evidence: &Self::Evidence,
        reached: u32,
    ) -> (usize, usize);

    /// Whether the device may stop at `checkpoint`.
    fn stop(
        &mut self,
        situation: &Situation<'_>,
        evidence: &mut Self::Evidence,
        checkpoint: usize,
    ) -> bool;

    /// Answer uploads that were closed together; verdicts come from [`Judge::verdict`].
    fn submit(&mut self, batch: Vec<Closed<'_, Self::Evidence>>);

    /// A verdict that is ready; an error says why there is none.
    fn verdict(&mut self) -> Option<(TaskId, Result<Verdict, String>)>;

    /// Whether the device's own answer is right, where the judge knows.
    fn local(&self, situation: &Situation<'_>) -> Option<bool>;

    /// Times of decoder and tail \[s\] that planning counts on in place of the model's.
    fn measured_edge_s(&self, _candidate: &Candidate) -> Option<f64> {
        None
    }
}
