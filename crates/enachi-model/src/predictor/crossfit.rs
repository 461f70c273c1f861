//! Cross-fitting by image: every image is judged by a model that saw none of its rows.

use super::PredictorData;
use super::mlp::{Mlp, Target};
use super::train::{Rows, TrainSettings, loss, train};
use crate::parallel::for_each_parallel;

/// Part of the images that `image` belongs to.
fn part_of(image: usize, folds: usize) -> usize {
    image % folds
}

/// A prediction \[nat\] for every image and checkpoint by a model of the other parts, and the model of all images.
///
/// Rows of checkpoint 0, where nothing has arrived and all images look the same, are not learnt from; their prediction is
/// what the tail says of nothing, which an edge knows beforehand.
pub(super) fn cross_fit(
    data: &PredictorData,
    target: Target,
    settings: &TrainSettings,
    folds: usize,
    threads: usize,
) -> (Vec<f32>, Mlp) {
    let gather = |images: &[usize]| {
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for &image in images {
            for checkpoint in 1..data.checkpoints {
                values.extend_from_slice(data.row(image, checkpoint));
                targets.push(data.target(target, image, checkpoint));
            }
        }
        (values, targets)
    };
    let fit = |images: &[usize], used: &[usize], settings: &TrainSettings| {
        let (values, targets) = gather(images);
        let rows = Rows {
            inputs: data.n_inputs,
            values: &values,
            targets: &targets,
        };
        train(&rows, used, target, data.classes, settings)
    };
    let all: Vec<usize> = (0..data.n_inputs).collect();
    let alone = TrainSettings {
        hidden: settings.hidden.min(PROGRESS_HIDDEN),
        ..*settings
    };
    let model_of = |images: &[usize]| {
        let Some(progress) = data.progress else {
            return fit(images, &all, settings);
        };
        let pair = |images: &[usize]| {
            (
                fit(images, &[progress], &alone),
                fit(images, &all, settings),
            )
        };
        let trust = trust(data, target, images, &pair);
        let (alone, full) = pair(images);
        alone.towards(&full, trust)
    };
    let model_without = |part: Option<usize>| {
        let images: Vec<usize> = (0..data.images)
            .filter(|i| part != Some(part_of(*i, folds)))
            .collect();
        model_of(&images)
    };
    // Job `folds` is the model of all images.
    let mut models: Vec<Option<Mlp>> = vec![None; folds + 1];
    let done: Result<(), std::convert::Infallible> = for_each_parallel(
        threads,
        folds + 1,
        |job| Ok(model_without((job < folds).then_some(job))),
        |job, model| {
            models[job] = Some(model);
            Ok(())
        },
    );
    let Ok(()) = done;
    let mut models: Vec<Mlp> = models
        .into_iter()
        .map(|model| model.expect("every job ran"))
        .collect();
    let mut predictions = Vec::with_capacity(data.images * data.checkpoints);
    for image in 0..data.images {
        let model = &models[part_of(image, folds)];
        predictions.push(data.entropy_nats[image * data.checkpoints]);
        for checkpoint in 1..data.checkpoints {
            predictions.push(model.predict(data.row(image, checkpoint)));
        }
    }
    let all = models.pop().expect("folds + 1 models");
    (predictions, all)
}

/// Hidden units of the network that reads only how far the stream has come.
pub(super) const PROGRESS_HIDDEN: usize = 8;

/// Parts of the images in which the trust is judged.
const PARTS: usize = 4;

/// Steps between no trust and full trust.
const STEPS: usize = 20;

/// How far to go from the network that reads only how far the stream has come (0) to the one that reads everything (1):
/// as far as it lowers the loss on images held back. Where the statistics tell images apart that is far; where they do
/// not, what the large network makes of them is noise, which would stop some images too early. Only `images` are looked at.
fn trust(
    data: &PredictorData,
    target: Target,
    images: &[usize],
    pair: &impl Fn(&[usize]) -> (Mlp, Mlp),
) -> f32 {
    if images.len() < PARTS {
        return 1.0;
    }
    let mut losses = [0.0f64; STEPS + 1];
    for part in 0..PARTS {
        let held = |nth: &usize| nth % PARTS == part;
        let of = |keep: &dyn Fn(&usize) -> bool| -> Vec<usize> {
            (0..images.len())
                .filter(keep)
                .map(|nth| images[nth])
                .collect()
        };
        let (alone, full) = pair(&of(&|nth| !held(nth)));
        for image in of(&held) {
            for checkpoint in 1..data.checkpoints {
                let row = data.row(image, checkpoint);
                let truth = data.target(target, image, checkpoint);
                let (a, b) = (alone.output(row), full.output(row));
                for (step, total) in losses.iter_mut().enumerate() {
                    let share = step as f32 / STEPS as f32;
                    *total += f64::from(loss(target, a + share * (b - a), truth).0);
                }
            }
        }
    }
    let best = (0..=STEPS).min_by(|a, b| losses[*a].total_cmp(&losses[*b]));
    best.map_or(1.0, |step| step as f32 / STEPS as f32)
}
