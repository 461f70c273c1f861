//! How a task's answer can be right on what is offered, and what each way takes.

use crate::deployment::Deployment;
use enachi_core::bound::Way;
use enachi_core::packet::Window;
use enachi_core::packet::replay::required_fraction;
use enachi_core::profile::{CutKind, LadderKind, Stream};
use enachi_core::task::Candidate;

/// What the bound knows of answers. All gains, all sizes and all uncertainties are known in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Which answers are right: a bound on every path, for every policy.
    Answers,
    /// On a measured stream, only how often answers of that uncertainty (the tail's entropy) are right at that checkpoint; where
    /// nothing is seen before the choice (a picture's level, all local, nothing sent), only the mean. It bounds the
    /// expectation of policies that judge an answer by its uncertainty. On a curve an answer's uncertainty *is* whether
    /// it is right.
    Uncertainty,
}

/// Worth of answers, by stream (as in the records' names), image and checkpoint; empty where answers are known.
#[derive(Clone, Debug, Default)]
pub struct Worth {
    streams: Vec<Vec<f32>>,
    /// By network.
    local: Vec<f64>,
}

impl Worth {
    /// Estimate it from the profile.
    pub fn new(deployment: &Deployment, knowledge: Knowledge) -> Self {
        let streams = deployment.cuts().flat_map(|cut| &cut.streams);
        let local = deployment.networks.iter().map(|network| {
            let images = &network.profile.images;
            let right = images.iter().filter(|image| image.top1 == image.label);
            right.count() as f64 / images.len().max(1) as f64
        });
        Self {
            streams: match knowledge {
                Knowledge::Answers => Vec::new(),
                Knowledge::Uncertainty => streams.map(by_uncertainty).collect(),
            },
            local: local.collect(),
        }
    }

    fn known(&self) -> bool {
        self.streams.is_empty()
    }
}

/// Images that share an estimate.
const GROUP: usize = 50;

/// Share of right answers among the images of a checkpoint with about the same entropy, forced to fall with the entropy.
fn by_uncertainty(stream: &Stream) -> Vec<f32> {
    let samples = &stream.samples;
    let mut worth = vec![0.0; samples.images * samples.checkpoints];
    let mut order: Vec<usize> = (0..samples.images).collect();
    for checkpoint in 0..samples.checkpoints {
        let at = |image: usize| samples.at(image, checkpoint);
        // Nothing has been seen yet, or nothing ever is before the choice.
        let blind = checkpoint == 0 || stream.ladder == LadderKind::Alternatives;
        let group = if blind { samples.images } else { GROUP };
        order.sort_by(|a, b| {
            let nats = |image: &usize| samples.entropy_nats[at(*image)];
            nats(a).total_cmp(&nats(b)).then(a.cmp(b))
        });
        // Neighbours that break the order are pooled.
        let mut pools: Vec<(f64, usize)> = Vec::new();
        for images in order.chunks(group.max(1)) {
            let right = images.iter().filter(|image| samples.correct[at(**image)]);
            pools.push((right.count() as f64, images.len()));
            while let [.., a, b] = pools[..]
                && b.0 * a.1 as f64 > a.0 * b.1 as f64
            {
                pools.pop();
                *pools.last_mut().expect("two were there") = (a.0 + b.0, a.1 + b.1);
            }
        }
        let mut images = order.iter();
        for (right, count) in pools {
            for image in images.by_ref().take(count) {
                worth[at(*image)] = (right / count as f64) as f32;
            }
        }
    }
    worth
}

/// The most favourable window: from the end of head and encoder to a batch that waits for no slower tail than one's own.
pub fn window(candidate: &Candidate, deadline_s: f64, slot_s: f64) -> Window {
    if candidate.stream.is_none() {
        return Window { first: 0, end: 0 };
    }
    Window::between(
        candidate.head_time_s + candidate.encode_time_s,
        deadline_s - candidate.tail_time_s - candidate.decode_time_s,
        slot_s,
    )
}

/// Every way in which `device` may answer the task of draw `task` with `candidate`, added to `ways`.
pub fn ways(
    deployment: &Deployment,
    worth: &Worth,
    device: usize,
    candidate: &Candidate,
    task: f64,
    ways: &mut Vec<Way>,
) {
    let scenario = &deployment.scenario;
    let values = &deployment.devices[device].values;
    let window = window(candidate, values.deadline_s, scenario.frame.slot_s);
    let idle_j = values.idle_power_w * scenario.frame.length_s;
    let mut add = |right: f64, bits: f64| {
        if right > 0.0 && (bits <= 0.0 || window.slots() > 0) {
            ways.push(Way {
                right,
                fixed_energy_j: (candidate.local_energy_j - idle_j).max(0.0),
                bits,
                window: window.first..window.end,
            });
        }
    };
    let network_index = deployment.devices[device].network;
    let network = &deployment.networks[network_index];
    let cut = deployment.cut(candidate.cut);
    let image = (task * network.images as f64) as usize;
    let yes = |right: bool| f64::from(u8::from(right));
    let Some(index) = candidate.stream.filter(|_| cut.kind != CutKind::Local) else {
        if candidate.feasible() {
            let right = if network.images == 0 {
                yes(task <= cut.top1_uncompressed)
            } else if worth.known() {
                let image = &network.profile.images[image];
                yes(image.top1 == image.label)
            } else {
                worth.local[network_index]
            };
            add(right, 0.0);
        }
        return;
    };
    let stream = &cut.streams[index as usize];
    let samples = &stream.samples;
    if samples.images > 0 {
        let image = image % samples.images;
        let estimates = worth
            .streams
            .get(deployment.stream_index(candidate.cut, index));
        for checkpoint in 0..samples.checkpoints {
            let at = samples.at(image, checkpoint);
            let right = estimates.map_or(yes(samples.correct[at]), |worth| f64::from(worth[at]));
            let bits = if checkpoint == 0 {
                0.0
            } else {
                f64::from(samples.bits[at])
            };
            add(right, bits);
        }
        return;
    }
    match (stream.ladder, &stream.surrogate) {
        (LadderKind::Embedded, Some(surrogate)) => {
            let maps = f64::from(stream.total_chunks);
            let needed = (required_fraction(surrogate, task) * maps - 1e-9)
                .ceil()
                .max(0.0);
            if needed <= maps {
                add(1.0, needed * (stream.total_bits / maps));
            }
        }
        // One piece: all of it or a guess.
        _ => {
            add(yes(task <= deployment.floor(candidate.cut)), 0.0);
            add(yes(task <= cut.top1_uncompressed), stream.total_bits);
        }
    }
}
