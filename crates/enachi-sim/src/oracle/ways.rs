//! How a task's answer can be right on what is offered, and what each way takes.

use crate::deployment::Deployment;
use enachi_core::bound::Way;
use enachi_core::packet::Window;
use enachi_core::packet::replay::required_fraction;
use enachi_core::profile::{CutKind, LadderKind};
use enachi_core::task::Candidate;

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
pub fn add_ways(
    deployment: &Deployment,
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
    let network = &deployment.networks[deployment.devices[device].network];
    let cut = deployment.cut(candidate.cut);
    let image = (task * network.images as f64) as usize;
    let yes = |right: bool| f64::from(u8::from(right));
    let Some(index) = candidate.stream.filter(|_| cut.kind != CutKind::Local) else {
        if candidate.feasible() {
            let right = if network.images == 0 {
                yes(task <= cut.top1_uncompressed)
            } else {
                let image = &network.profile.images[image];
                yes(image.top1 == image.label)
            };
            add(right, 0.0);
        }
        return;
    };
    let stream = &cut.streams[index as usize];
    let samples = &stream.samples;
    if samples.images > 0 {
        let image = image % samples.images;
        for checkpoint in 0..samples.checkpoints {
            let at = samples.at(image, checkpoint);
            let right = yes(samples.correct[at]);
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
