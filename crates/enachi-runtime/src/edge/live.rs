//! The live judge: chunks are decoded as they come, the predictor reads what is there, and the tail runs once.

use super::judge::{Closed, Judge, Situation, TaskId, Verdict};
use crate::network::Network;
use crate::picture::{Arriving, MOST_PARTS};
use enachi_core::packet::{Arrivals, StopRule, Window};
use enachi_core::profile::round_prediction;
use enachi_core::task::Candidate;
use enachi_model::codec::Decoder;
use enachi_sim::upload::Upload;
use enachi_sim::world::{Local, Setting, World};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Most tails in one run of the engine.
const MOST_TOGETHER: usize = 16;

/// Called by a worker when a verdict is ready, from its thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The clock that drives the edge \[s\], as workers read it.
pub type Clock = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What has arrived of a task.
pub enum Evidence<'n> {
    /// A feature, decoded as it comes.
    Feature(Box<Decoder<'n>>),
    /// A picture, of use only as a whole.
    Picture(Arriving),
    /// Of a cut that cannot be run.
    Nothing,
}

/// A task on its way through the tail.
struct Member<'n> {
    id: TaskId,
    evidence: Evidence<'n>,
    chunks: u32,
    checkpoint: usize,
    due_s: f64,
}

/// Tails of one stream, run together.
pub struct Job<'n> {
    cut: usize,
    stream: usize,
    members: Vec<Member<'n>>,
}

type Outcome = (TaskId, Result<Verdict, String>);

/// Judges with the network itself.
pub struct Live<'n> {
    network: &'n Network,
    workers: usize,
    jobs: Option<SyncSender<Job<'n>>>,
    done: Receiver<Outcome>,
    waiting: Vec<Outcome>,
    /// Times of decoder and tail by cut and stream \[s\].
    edge_s: BTreeMap<(usize, usize), f64>,
    scratch: Vec<f32>,
    numbers: Vec<f32>,
    nobody: World,
}

/// The other end of [`Live`]: what worker threads need.
pub struct Workers<'n> {
    network: &'n Network,
    jobs: Arc<Mutex<Receiver<Job<'n>>>>,
    done: Sender<Outcome>,
    waker: Waker,
    clock: Clock,
}

/// How [`Live`] runs tails.
pub struct LiveOptions {
    /// Threads that run them.
    pub workers: usize,
    /// Most jobs that wait for a thread. More of them than the cell has devices are of frames that have passed.
    pub waiting: usize,
    /// How often each tail is timed at first.
    pub runs: usize,
    /// Called when a verdict is ready.
    pub waker: Waker,
    /// What says that a job has waited too long.
    pub clock: Clock,
}

impl<'n> Live<'n> {
    /// A judge and the source of its workers. Tails are timed first.
    pub fn new(
        network: &'n Network,
        streams: impl IntoIterator<Item = (usize, usize)>,
        setting: &Arc<Setting>,
        options: LiveOptions,
    ) -> Result<(Self, Workers<'n>), String> {
        let (jobs, job_queue) = sync_channel(options.waiting.max(1));
        let (done_sender, done) = channel();
        let mut edge_s = BTreeMap::new();
        for (cut, stream) in streams {
            let time = network.time_edge_s(cut, stream, options.runs);
            edge_s.insert((cut, stream), time.map_err(|e| e.to_string())?);
        }
        let live = Self {
            network,
            workers: options.workers.max(1),
            jobs: Some(jobs),
            done,
            waiting: Vec::new(),
            edge_s,
            scratch: Vec::new(),
            numbers: Vec::new(),
            nobody: World::new(0, setting),
        };
        let workers = Workers {
            network,
            jobs: Arc::new(Mutex::new(job_queue)),
            done: done_sender,
            waker: options.waker,
            clock: options.clock,
        };
        Ok((live, workers))
    }

    /// Let the workers end once their jobs are done.
    pub fn close(&mut self) {
        self.jobs = None;
    }
}

impl Workers<'_> {
    /// Work until the judge is closed.
    pub fn run(&self) {
        loop {
            let job = {
                let queue = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                queue.recv()
            };
            let Ok(job) = job else {
                return;
            };
            for outcome in self.in_time(job) {
                if self.done.send(outcome).is_err() {
                    return;
                }
            }
            (self.waker)();
        }
    }

    /// Answers to those of a job whose deadlines have not passed while it waited; the tails of the others are not run.
    fn in_time(&self, job: Job<'_>) -> Vec<Outcome> {
        let now_s = (self.clock)();
        let (members, late): (Vec<_>, Vec<_>) =
            job.members.into_iter().partition(|m| m.due_s > now_s);
        let gone = |m: Member<'_>| (m.id, Err("no worker was free by the deadline".to_owned()));
        let mut outcomes: Vec<Outcome> = late.into_iter().map(gone).collect();
        if !members.is_empty() {
            outcomes.extend(self.answer(Job { members, ..job }));
        }
        outcomes
    }

    /// What the tail is given. A picture that is not whole, or none at all, is as good as nothing: zeros, which are the mean colour that
    /// preprocessing takes away.
    fn input(&self, cut: usize, stream: usize, evidence: &mut Evidence<'_>, into: &mut [f32]) {
        match evidence {
            Evidence::Feature(decoder) => decoder.reconstruct(into),
            Evidence::Picture(arriving) => {
                let whole = self.network.pictures(cut).zip(arriving.whole());
                let decoded = whole.and_then(|(p, bytes)| p.decode(stream, &bytes).ok());
                if let Some(values) = decoded {
                    into.copy_from_slice(&values);
                }
            }
            Evidence::Nothing => {}
        }
    }

    fn answer(&self, mut job: Job<'_>) -> Vec<Outcome> {
        let start = Instant::now();
        let elements = self.network.elements(job.cut);
        let mut features = vec![0.0; elements * job.members.len()];
        for (member, feature) in job
            .members
            .iter_mut()
            .zip(features.chunks_exact_mut(elements))
        {
            self.input(job.cut, job.stream, &mut member.evidence, feature);
        }
        let answers = self.network.tails(job.cut, features, job.members.len());
        let tail_s = start.elapsed().as_secs_f64();
        let failed = |id, reason: String| (id, Err(reason));
        match answers {
            Err(error) => job
                .members
                .iter()
                .map(|m| failed(m.id, error.to_string()))
                .collect(),
            Ok(answers) => job
                .members
                .iter()
                .zip(answers)
                .map(|(member, answer)| match answer {
                    Some((top, entropy_nats)) => {
                        let verdict = Verdict {
                            top,
                            entropy_nats: f64::from(entropy_nats),
                            chunks: member.chunks,
                            checkpoint: member.checkpoint,
                            correct: None,
                            tail_s,
                        };
                        (member.id, Ok(verdict))
                    }
                    None => failed(member.id, "the scores are not numbers".into()),
                })
                .collect(),
        }
    }
}

/// Uncertainty at the checkpoint that has just been reached.
struct Now {
    checkpoint: usize,
    nats: f64,
}

impl Arrivals for Now {
    fn last(&self) -> usize {
        self.checkpoint
    }
    fn bits(&self, _checkpoint: usize) -> f64 {
        0.0
    }
    fn entropy_nats(&self, _checkpoint: usize) -> f64 {
        self.nats
    }
}

impl<'n> Judge for Live<'n> {
    type Evidence = Evidence<'n>;

    fn chunks(&self, s: &Situation<'_>) -> u32 {
        let cut = s.candidate.cut as usize;
        if self.network.pictures(cut).is_some() {
            return MOST_PARTS;
        }
        let codec = self.network.codec(cut);
        codec.map_or(0, |codec| codec.chunk_count() as u32)
    }

    fn open(&mut self, s: &Situation<'_>) -> Self::Evidence {
        let cut = s.candidate.cut as usize;
        if self.network.pictures(cut).is_some() {
            return Evidence::Picture(Arriving::default());
        }
        let codec = self.network.codec(cut);
        codec.map_or(Evidence::Nothing, |codec| {
            Evidence::Feature(Box::new(codec.decoder()))
        })
    }

    fn chunk(&mut self, evidence: &mut Self::Evidence, id: u16, payload: &[u8]) {
        match evidence {
            // Identifiers are within the stream; a payload too long for its chunk counts as lost.
            Evidence::Feature(decoder) => {
                let _ = decoder.push(id, payload);
            }
            Evidence::Picture(arriving) => arriving.push(id, payload),
            Evidence::Nothing => {}
        }
    }

    fn checkpoint(
        &self,
        s: &Situation<'_>,
        evidence: &Self::Evidence,
        reached: u32,
    ) -> (usize, usize) {
        if let Evidence::Picture(arriving) = evidence {
            return (usize::from(arriving.is_whole()), 1);
        }
        let cut = &s.deployment.networks[0].profile.cuts[s.candidate.cut as usize];
        let stream = &cut.streams[s.candidate.stream.unwrap_or(0) as usize];
        let chunks = &stream.checkpoint_chunks;
        let last = chunks.len().saturating_sub(1);
        (chunks.partition_point(|c| *c <= reached).max(1) - 1, last)
    }

    fn stop(
        &mut self,
        s: &Situation<'_>,
        evidence: &mut Self::Evidence,
        checkpoint: usize,
    ) -> bool {
        let codec = self.network.codec(s.candidate.cut as usize);
        let predictor = codec.and_then(|codec| codec.tables().predictor.as_ref());
        let (Evidence::Feature(decoder), Some(predictor)) = (evidence, predictor) else {
            return false;
        };
        decoder.statistics(&mut self.scratch, &mut self.numbers);
        let nats = f64::from(round_prediction(predictor.predict(&self.numbers)));
        let channel = Local {
            mean_gain: s.gain,
            fading: s.deployment.setting.fading,
        };
        let upload = Upload {
            deployment: s.deployment,
            world: &self.nobody,
            packet: s.packet,
            device: s.device,
            frame: 0,
            candidate: s.candidate,
            grant: s.grant,
            window: Window { first: 0, end: 0 },
            local: channel,
            known: channel,
            energy_queue_j: s.energy_queue_j,
            task: 0.5,
            image: 0,
        };
        upload.rule().stop(&Now { checkpoint, nats }, checkpoint)
    }

    fn submit(&mut self, batch: Vec<Closed<'_, Self::Evidence>>) {
        let mut by_stream: BTreeMap<(usize, usize), Vec<Member<'n>>> = BTreeMap::new();
        for closed in batch {
            let candidate = closed.situation.candidate;
            let (cut, stream) = (
                candidate.cut as usize,
                candidate.stream.unwrap_or(0) as usize,
            );
            let (reached, evidence) = (closed.progress.reached, closed.evidence);
            let (checkpoint, _) = self.checkpoint(&closed.situation, &evidence, reached);
            let chunks = match &evidence {
                Evidence::Feature(_) => closed.progress.chunks,
                // A profile counts a picture as one chunk.
                Evidence::Picture(_) => checkpoint as u32,
                Evidence::Nothing => {
                    let failed = Err("this cut cannot be run".into());
                    self.waiting.push((closed.id, failed));
                    continue;
                }
            };
            by_stream.entry((cut, stream)).or_default().push(Member {
                id: closed.id,
                evidence,
                chunks,
                checkpoint,
                due_s: closed.due_s,
            });
        }
        for ((cut, stream), members) in by_stream {
            let together = members.len().div_ceil(self.workers).clamp(1, MOST_TOGETHER);
            let mut members = members.into_iter().peekable();
            while members.peek().is_some() {
                let job = Job {
                    cut,
                    stream,
                    members: members.by_ref().take(together).collect(),
                };
                let (job, why) = match self.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
                    Some(Err(TrySendError::Full(job))) => (job, "too many tails wait for a worker"),
                    Some(Err(TrySendError::Disconnected(job))) => (job, "the workers are gone"),
                    Some(Ok(())) | None => continue,
                };
                let refused = |m: Member<'_>| (m.id, Err(why.to_owned()));
                self.waiting.extend(job.members.into_iter().map(refused));
            }
        }
    }

    fn verdict(&mut self) -> Option<Outcome> {
        self.waiting.pop().or_else(|| self.done.try_recv().ok())
    }

    fn local(&self, _situation: &Situation<'_>) -> Option<bool> {
        None
    }

    fn measured_edge_s(&self, candidate: &Candidate) -> Option<f64> {
        let stream = candidate.stream.unwrap_or(0) as usize;
        self.edge_s.get(&(candidate.cut as usize, stream)).copied()
    }
}
