//! A judge that replays what a profile has measured, in the world of a seed: the simulator's own answers.

use super::judge::{Closed, Judge, Situation, TaskId, Verdict};
use enachi_core::packet::{Arrivals, Ending, StopRule, Transmission, Window};
use enachi_core::queue::PowerQueue;
use enachi_proto::message::Scored;
use enachi_sim::knowledge::told_at;
use enachi_sim::runner::sends;
use enachi_sim::upload::{Row, Upload};
use enachi_sim::world::World;
use std::collections::VecDeque;

/// Replays samples. Tasks are frames of the world.
pub struct Replay {
    world: World,
    ready: VecDeque<(TaskId, Result<Verdict, String>)>,
}

impl Replay {
    /// In `world`.
    pub fn new(world: World) -> Self {
        Self {
            world,
            ready: VecDeque::new(),
        }
    }

    fn upload<'a>(&'a self, s: &Situation<'a>) -> Upload<'a> {
        upload(&self.world, s)
    }
}

/// The simulator's view of a task.
fn upload<'a>(world: &'a World, s: &Situation<'a>) -> Upload<'a> {
    let task = world.task(s.device, s.task);
    let kind = s.deployment.scenario.channel.known_gain;
    let ready_s = s.candidate.head_time_s + s.candidate.encode_time_s;
    let slot_s = s.deployment.scenario.frame.slot_s;
    let mut window = Window::between(ready_s, s.upload_end_s, slot_s);
    if !sends(s.grant) {
        window.end = window.first;
    }
    Upload {
        deployment: s.deployment,
        world,
        packet: s.packet,
        device: s.device,
        frame: s.task,
        candidate: s.candidate,
        grant: s.grant,
        window,
        local: world.local_at(s.device, s.task),
        known: told_at(world, kind, s.device, s.task).0,
        energy_queue_j: s.energy_queue_j,
        task,
        image: image(s, task),
    }
}

/// Row of the profile's images that a draw picks.
fn image(s: &Situation<'_>, task: f64) -> usize {
    let image = (task * s.deployment.networks[0].images as f64) as usize;
    let cut = &s.deployment.networks[0].profile.cuts[s.candidate.cut as usize];
    let images = s
        .candidate
        .stream
        .map_or(0, |stream| cut.streams[stream as usize].samples.images);
    if images > 0 { image % images } else { image }
}

impl Judge for Replay {
    /// Replayed answers need no chunks.
    type Evidence = ();

    fn chunks(&self, s: &Situation<'_>) -> u32 {
        let upload = self.upload(s);
        match upload.row() {
            Row::Level(..) => 1,
            _ => upload.stream().total_chunks,
        }
    }

    fn image(&self, s: &Situation<'_>) -> usize {
        image(s, self.world.task(s.device, s.task))
    }

    fn open(&mut self, _situation: &Situation<'_>) {}

    fn chunk(&mut self, _evidence: &mut (), _id: u16, _payload: &[u8]) {}

    fn checkpoint(&self, s: &Situation<'_>, _evidence: &(), reached: u32) -> (usize, usize) {
        let upload = self.upload(s);
        let row = upload.row();
        let chunks = &upload.stream().checkpoint_chunks;
        let checkpoint = match &row {
            Row::Measured(_) => chunks.partition_point(|c| *c <= reached).max(1) - 1,
            _ => reached as usize,
        };
        (checkpoint.min(row.last()), row.last())
    }

    fn stop(&mut self, s: &Situation<'_>, _evidence: &mut (), checkpoint: usize) -> bool {
        let upload = self.upload(s);
        upload.rule().stop(&upload.row(), checkpoint)
    }

    fn submit(&mut self, batch: Vec<Closed<'_, ()>>) {
        for closed in batch {
            let reached = closed.progress.reached;
            let (checkpoint, _) = self.checkpoint(&closed.situation, &(), reached);
            let upload = upload(&self.world, &closed.situation);
            let row = upload.row();
            // Only the checkpoint counts for what an answer is worth.
            let sent = Transmission {
                ending: Ending::Deadline,
                checkpoint,
                bits: row.bits(checkpoint),
                slots: 0,
                end_slot: 0,
                gain_sum: 0.0,
                queue: PowerQueue::new(0.0),
            };
            let samples = &upload.stream().samples;
            let level = match &row {
                Row::Level(_, level) => *level * checkpoint,
                _ => checkpoint,
            };
            let top = (samples.images > 0).then(|| Scored {
                class: samples.top1[samples.at(upload.image, level)],
                probability: 1.0,
            });
            let settled = upload.settle(sent, &row);
            let verdict = Verdict {
                top: top.into_iter().collect(),
                entropy_nats: settled.entropy_nats,
                chunks: settled.chunks,
                checkpoint,
                correct: Some(settled.correct),
                tail_s: closed.situation.candidate.tail_time_s
                    + closed.situation.candidate.decode_time_s,
            };
            self.ready.push_back((closed.id, Ok(verdict)));
        }
    }

    fn verdict(&mut self) -> Option<(TaskId, Result<Verdict, String>)> {
        self.ready.pop_front()
    }

    fn local(&self, s: &Situation<'_>) -> Option<bool> {
        let task = self.world.task(s.device, s.task);
        let profile = &s.deployment.networks[0].profile;
        Some(if s.deployment.networks[0].images > 0 {
            let image = &profile.images[(task * s.deployment.networks[0].images as f64) as usize];
            image.top1 == image.label
        } else {
            task <= profile.cuts[s.candidate.cut as usize].top1_uncompressed
        })
    }
}
