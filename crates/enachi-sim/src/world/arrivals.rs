//! Which frames have a task.
//!
//! Tasks that arrive while a frame runs are there when the next one begins. A frame takes one task of a device, the oldest;
//! up to `waiting_max` others wait for later frames, in order, and what finds no place is dropped. The deadline of a task
//! runs from the start of the frame that takes it. None of this depends on what a policy does.

use super::World;
use crate::rng::{Draws, Purpose};
use crate::scenario::{ArrivalKind, Arrivals as Law};
use enachi_core::record::TaskQueue;
use std::collections::VecDeque;

/// Tasks of all devices, frame by frame.
#[derive(Clone, Debug)]
pub struct Arrivals {
    draws: Draws,
    law: Law,
    /// Frames in which waiting tasks arrived, by device, oldest first. Never longer than one more than may wait.
    waiting: Vec<VecDeque<u32>>,
    /// Frame that was begun last.
    begun: Option<u32>,
    /// What the current frame is, by device; empty where every frame brings one task.
    now: Vec<(bool, TaskQueue)>,
}

impl Arrivals {
    /// Before frame 0.
    pub fn new(world: &World, law: &Law, devices: usize) -> Self {
        let each_frame = law.process == ArrivalKind::EachFrame;
        let count = if each_frame { 0 } else { devices };
        let room = law.waiting_max as usize + 1;
        Self {
            draws: world.draws,
            law: law.clone(),
            waiting: (0..count).map(|_| VecDeque::with_capacity(room)).collect(),
            begun: None,
            now: vec![(false, TaskQueue::default()); count],
        }
    }

    /// Go on to `frame`; frames must be taken in order, and one that was begun stays as it is.
    pub fn begin(&mut self, frame: u32) {
        if self.begun == Some(frame) {
            return;
        }
        self.begun = Some(frame);
        for (device, (waiting, now)) in self.waiting.iter_mut().zip(&mut self.now).enumerate() {
            let uniform = self
                .draws
                .uniform(Purpose::Arrival, device as u32, frame, 0);
            let arrived = match self.law.process {
                ArrivalKind::EachFrame => 1,
                ArrivalKind::Bernoulli => u32::from(uniform < self.law.tasks_per_frame),
                ArrivalKind::Poisson => poisson(self.law.tasks_per_frame, uniform),
            };
            let room = self.law.waiting_max as usize + 1 - waiting.len();
            let taken = (arrived as usize).min(room);
            waiting.extend(std::iter::repeat_n(frame, taken));
            let oldest = waiting.pop_front();
            *now = (
                oldest.is_some(),
                TaskQueue {
                    arrived,
                    dropped: arrived - taken as u32,
                    waiting: waiting.len() as u32,
                    waited_frames: oldest.map_or(0, |from| frame - from),
                },
            );
        }
    }

    /// Whether a device has a task in this frame.
    pub fn has_task(&self, device: usize) -> bool {
        self.now.get(device).is_none_or(|(task, _)| *task)
    }

    /// The tasks around this frame; `None` where every frame brings one.
    pub fn queue(&self, device: usize) -> Option<TaskQueue> {
        self.now.get(device).map(|(_, queue)| *queue)
    }
}

/// Poisson number by inversion of one uniform.
fn poisson(mean: f64, uniform: f64) -> u32 {
    let (mut probability, mut below) = ((-mean).exp(), 0.0);
    // Far more than any uniform of 52 bits asks for at the means that a scenario may have.
    for count in 0..1000 {
        below += probability;
        if uniform < below {
            return count;
        }
        probability *= mean / f64::from(count + 1);
    }
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(law: Law, frames: u32) -> Vec<(bool, TaskQueue)> {
        let mut arrivals = Arrivals {
            draws: Draws::new(11),
            waiting: vec![VecDeque::new()],
            begun: None,
            now: vec![(false, TaskQueue::default())],
            law,
        };
        (0..frames)
            .map(|frame| {
                arrivals.begin(frame);
                (arrivals.has_task(0), arrivals.queue(0).expect("one device"))
            })
            .collect()
    }

    fn law(process: ArrivalKind, tasks_per_frame: f64, waiting_max: u32) -> Law {
        Law {
            process,
            tasks_per_frame,
            waiting_max,
        }
    }

    #[test]
    fn poisson_numbers_have_their_distribution() {
        for mean in [0.3, 2.0, 20.0] {
            let n = 20_000;
            let mut counts = [0.0; 80];
            for (_, queue) in run(law(ArrivalKind::Poisson, mean, 0), n) {
                counts[queue.arrived as usize] += 1.0;
            }
            // Chi-squared over the cells that expect at least five.
            let (mut probability, mut distance, mut cells) = ((-mean).exp(), 0.0, 0.0_f64);
            for (count, seen) in counts.iter().enumerate() {
                let expected = probability * f64::from(n);
                if expected >= 5.0 {
                    distance += (seen - expected).powi(2) / expected;
                    cells += 1.0;
                }
                probability *= mean / (count as f64 + 1.0);
            }
            assert!(
                distance < cells + 4.0 * (2.0 * cells).sqrt(),
                "{mean}: {distance} {cells}"
            );
        }
    }

    #[test]
    fn bernoulli_frames_have_a_task_as_often_as_they_should() {
        let frames = run(law(ArrivalKind::Bernoulli, 0.3, 0), 20_000);
        let tasks = frames.iter().filter(|(task, _)| *task).count() as f64 / 20_000.0;
        assert!(
            (tasks - 0.3).abs() < 4.0 * (0.21 / 20_000.0_f64).sqrt(),
            "{tasks}"
        );
        assert!(
            frames
                .iter()
                .all(|(task, q)| q.arrived == u32::from(*task) && q.dropped == 0)
        );
    }

    #[test]
    fn no_task_is_lost_or_made_up() {
        for waiting_max in [0, 1, 5] {
            let frames = run(law(ArrivalKind::Poisson, 0.95, waiting_max), 5_000);
            let (mut waiting, mut oldest) = (0, VecDeque::new());
            for (frame, (task, q)) in frames.iter().enumerate() {
                let there = waiting + q.arrived - q.dropped;
                assert_eq!(*task, there > 0);
                assert_eq!(q.waiting, there - u32::from(*task));
                assert!(q.waiting <= waiting_max);
                assert!(q.dropped == 0 || q.waiting == waiting_max);
                oldest.extend(std::iter::repeat_n(
                    frame as u32,
                    (q.arrived - q.dropped) as usize,
                ));
                if let Some(from) = oldest.pop_front() {
                    assert_eq!(q.waited_frames, frame as u32 - from);
                }
                waiting = q.waiting;
            }
        }
    }

    #[test]
    fn each_frame_brings_one_where_nothing_else_is_said() {
        let arrivals = Arrivals {
            draws: Draws::new(1),
            law: Law::default(),
            waiting: Vec::new(),
            begun: None,
            now: Vec::new(),
        };
        assert!(arrivals.has_task(7) && arrivals.queue(7).is_none());
    }
}
