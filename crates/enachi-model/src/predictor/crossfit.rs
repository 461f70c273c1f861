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
    let fit = |images: &[usize], used: &[usize]| {
        let (values, targets) = gather(images);
        let rows = Rows {
            inputs: data.n_inputs,
            values: &values,
            targets: &targets,
        };
        train(&rows, used, target, data.classes, settings)
    };
    let model_without = |part: Option<usize>| {
        let images: Vec<usize> = (0..data.images)
            .filter(|i| part != Some(part_of(*i, folds)))
            .collect();
        let used = choose_inputs(data, &images, &fit, &gather, target);
        fit(&images, &used)
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

/// A larger set of inputs must lower the loss on images held back by this share, or the smaller one stays.
const WORTH: f64 = 0.01;

/// The set of inputs that earns its place: each of [`PredictorData::input_sets`] is fitted to three quarters of `images`
/// and judged on the others, from the smallest set on. Only the images given are looked at, so that those held back from
/// the cross-fit stay unseen.
fn choose_inputs(
    data: &PredictorData,
    images: &[usize],
    fit: &impl Fn(&[usize], &[usize]) -> Mlp,
    gather: &impl Fn(&[usize]) -> (Vec<f32>, Vec<f32>),
    target: Target,
) -> Vec<usize> {
    let all: Vec<usize> = (0..data.n_inputs).collect();
    if data.input_sets.is_empty() || images.len() < 4 {
        return all;
    }
    let (mut learn, mut judge) = (Vec::new(), Vec::new());
    for (nth, &image) in images.iter().enumerate() {
        if nth % 4 == 3 {
            judge.push(image);
        } else {
            learn.push(image);
        }
    }
    let (values, targets) = gather(&judge);
    let judged = |used: &[usize]| {
        let model = fit(&learn, used);
        let losses = values
            .chunks_exact(data.n_inputs)
            .zip(&targets)
            .map(|(row, &y)| f64::from(loss(target, model.output(row), y).0));
        losses.sum::<f64>() / targets.len() as f64
    };
    let mut best: Option<(f64, &Vec<usize>)> = None;
    for set in data.input_sets.iter().chain([&all]) {
        let here = judged(set);
        if best.is_none_or(|(least, _)| here < least * (1.0 - WORTH)) {
            best = Some((here, set));
        }
    }
    best.map_or_else(|| all.clone(), |(_, set)| set.clone())
}
