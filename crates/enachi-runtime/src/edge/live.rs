//! The live judge: chunks are decoded as they come, the predictor reads what is there, and the tail runs once.

use super::judge::{Closed, Judge, Situation, TaskId, Verdict};
use crate::network::Network;
use enachi_core::packet::{Arrivals, StopRule, Window};
use enachi_core::profile::round_prediction;
use enachi_core::task::Candidate;
use enachi_model::codec::Decoder;
use enachi_sim::upload::Upload;
use enachi_sim::world::{Local, Setting, World};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Most tails in one run of the engine.
const MOST_TOGETHER: usize = 16;

/// Called by a worker when a verdict is ready, from its thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// A feature on its way through the tail.
struct Member<'n> {
    id: TaskId,
    decoder: Decoder<'n>,
    chunks: u32,
    checkpoint: usize,
}

/// Tails of one cut, run together.
pub struct Job<'n> {
    cut: usize,
    members: Vec<Member<'n>>,
}

type Outcome = (TaskId, Result<Verdict, String>);

/// Judges with the network itself.
pub struct Live<'n> {
    network: &'n Network,
    workers: usize,
    jobs: Option<Sender<Job<'n>>>,
    done: Receiver<Outcome>,
    waiting: Vec<Outcome>,
    edge_s: BTreeMap<u32, f64>,
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
}

impl<'n> Live<'n> {
    /// A judge and the source of its workers. Tails are timed first, `runs` times each.
    pub fn new(
        network: &'n Network,
        cuts: impl IntoIterator<Item = usize>,
        workers: usize,
        runs: usize,
        setting: &Arc<Setting>,
        waker: Waker,
    ) -> Result<(Self, Workers<'n>), String> {
        let (jobs, job_queue) = channel();
        let (done_sender, done) = channel();
        let mut edge_s = BTreeMap::new();
        for cut in cuts {
            let time = network.time_edge_s(cut, runs);
            edge_s.insert(cut as u32, time.map_err(|e| e.to_string())?);
        }
        let live = Self {
            network,
            workers,
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
            waker,
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
            for outcome in self.answer(job) {
                if self.done.send(outcome).is_err() {
                    return;
                }
            }
            (self.waker)();
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
            member.decoder.reconstruct(feature);
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
    type Evidence = Option<Decoder<'n>>;

    fn chunks(&self, s: &Situation<'_>) -> u32 {
        let codec = self.network.codec(s.candidate.cut as usize);
        codec.map_or(0, |codec| codec.chunk_count() as u32)
    }

    fn open(&mut self, s: &Situation<'_>) -> Self::Evidence {
        let codec = self.network.codec(s.candidate.cut as usize)?;
        Some(codec.decoder())
    }

    fn chunk(&mut self, evidence: &mut Self::Evidence, id: u16, payload: &[u8]) {
        if let Some(decoder) = evidence {
            // Identifiers are within the stream; a payload too long for its chunk counts as lost.
            let _ = decoder.push(id, payload);
        }
    }

    fn checkpoint(
        &self,
        s: &Situation<'_>,
        _evidence: &Self::Evidence,
        reached: u32,
    ) -> (usize, usize) {
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
        let (Some(decoder), Some(predictor)) = (evidence, predictor) else {
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
        let mut by_cut: BTreeMap<usize, Vec<Member<'n>>> = BTreeMap::new();
        for closed in batch {
            let cut = closed.situation.candidate.cut as usize;
            let reached = closed.progress.reached;
            let (checkpoint, _) = self.checkpoint(&closed.situation, &None, reached);
            match closed.evidence {
                Some(decoder) => by_cut.entry(cut).or_default().push(Member {
                    id: closed.id,
                    decoder,
                    chunks: closed.progress.chunks,
                    checkpoint,
                }),
                None => self
                    .waiting
                    .push((closed.id, Err("this cut cannot be run".into()))),
            }
        }
        for (cut, members) in by_cut {
            let together = members.len().div_ceil(self.workers).clamp(1, MOST_TOGETHER);
            let mut members = members.into_iter().peekable();
            while members.peek().is_some() {
                let job = Job {
                    cut,
                    members: members.by_ref().take(together).collect(),
                };
                if let Some(Err(refused)) = self.jobs.as_ref().map(|jobs| jobs.send(job)) {
                    let gone = |m: Member<'_>| (m.id, Err("the workers are gone".to_owned()));
                    self.waiting.extend(refused.0.members.into_iter().map(gone));
                }
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
        self.edge_s.get(&candidate.cut).copied()
    }
}
