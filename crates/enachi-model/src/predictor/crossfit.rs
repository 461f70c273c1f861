//! Cross-fitting by image: every image is judged by a model that saw none of its rows.

use super::PredictorData;
use super::mlp::{Mlp, Target};
use super::train::{Rows, TrainSettings, train};
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
    let model_without = |part: Option<usize>| {
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for image in (0..data.images).filter(|i| part != Some(part_of(*i, folds))) {
            for checkpoint in 1..data.checkpoints {
                values.extend_from_slice(data.row(image, checkpoint));
                targets.push(data.target(target, image, checkpoint));
            }
        }
        let rows = Rows {
            inputs: data.n_inputs,
            values: &values,
            targets: &targets,
        };
        train(&rows, target, data.classes, settings)
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
