//! What is known of a task before its cut is chosen, and what may then come.

use crate::deployment::Deployment;
use enachi_core::bound::Prospects;
use enachi_core::packet::replay::required_fraction;
use enachi_core::profile::{CutKind, LadderKind, Stream, Uncertainty};
use enachi_core::task::Candidate;

/// Tasks that stand for all on a curve-only profile, equally spaced in difficulty.
const CURVE_TASKS: usize = 512;

/// What the tasks of `device` may turn out to be on `candidate`, to those who see `uncertainty`.
pub fn prospects(
    deployment: &Deployment,
    device: usize,
    candidate: &Candidate,
    uncertainty: Uncertainty,
) -> Prospects {
    let network = &deployment.networks[deployment.devices[device].network];
    let cut = deployment.cut(candidate.cut);
    let Some(index) = candidate.stream.filter(|_| cut.kind != CutKind::Local) else {
        let images = &network.profile.images;
        let right = images.iter().filter(|image| image.top1 == image.label);
        let mean = if network.images > 0 {
            right.count() as f64 / images.len() as f64
        } else {
            cut.top1_uncompressed
        };
        return Prospects::new(&[vec![(0.0, if candidate.feasible() { mean } else { 0.0 })]]);
    };
    let stream = &cut.streams[index as usize];
    let samples = &stream.samples;
    if samples.images > 0 {
        let worth = by_uncertainty(stream, uncertainty);
        let paths: Vec<Vec<(f64, f64)>> = (0..network.images)
            .map(|image| {
                let at = |checkpoint| samples.at(image % samples.images, checkpoint);
                (0..samples.checkpoints)
                    .map(|checkpoint| match checkpoint {
                        0 => (0.0, f64::from(worth[at(0)])),
                        c => (f64::from(samples.bits[at(c)]), f64::from(worth[at(c)])),
                    })
                    .collect()
            })
            .collect();
        return Prospects::new(&paths);
    }
    match (stream.ladder, &stream.surrogate) {
        (LadderKind::Embedded, Some(surrogate)) => {
            let maps = f64::from(stream.total_chunks);
            let paths: Vec<Vec<(f64, f64)>> = (0..CURVE_TASKS)
                .map(|task| {
                    // The easiest of those that it stands for.
                    let task = task as f64 / CURVE_TASKS as f64;
                    let needed = (required_fraction(surrogate, task) * maps - 1e-9).ceil();
                    let needed = needed.max(0.0);
                    if needed <= maps {
                        vec![(needed * (stream.total_bits / maps), 1.0)]
                    } else {
                        Vec::new()
                    }
                })
                .collect();
            Prospects::new(&paths)
        }
        // One piece, chosen blindly: all of it or a guess.
        _ => Prospects::new(&[vec![
            (0.0, deployment.floor(candidate.cut)),
            (stream.total_bits, cut.top1_uncompressed),
        ]]),
    }
}

/// Images that share an estimate.
const GROUP: usize = 50;

/// Share of right answers among the images of a checkpoint with about the same uncertainty, forced to fall with it.
fn by_uncertainty(stream: &Stream, uncertainty: Uncertainty) -> Vec<f32> {
    let samples = &stream.samples;
    let seen = samples.uncertainty_nats(uncertainty);
    let mut worth = vec![0.0; samples.images * samples.checkpoints];
    let mut order: Vec<usize> = (0..samples.images).collect();
    for checkpoint in 0..samples.checkpoints {
        let at = |image: usize| samples.at(image, checkpoint);
        // Nothing has been seen yet, or nothing ever is before the choice.
        let blind = checkpoint == 0 || stream.ladder == LadderKind::Alternatives;
        let group = if blind { samples.images } else { GROUP };
        order.sort_by(|a, b| {
            let nats = |image: &usize| seen[at(*image)];
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
