//! Cross-fitting by image: every image is judged by a model that saw none of its outcomes.
//!
//! With an input that tells how far the stream has come, a score is made of two parts. The *ramp* falls as the stream comes
//! along, the same for every image at the same place; it is learnt from bits alone. The *deviation* is what a network that reads
//! everything says beyond one that reads only the progress. It is listened to in a share, none unless it [is
//! confirmed](super::label::share) on images held back. With a share of 0 the score is the ramp: stopping at a threshold is then to send everybody the
//! same share of the stream. What is the same for all folds, the ramp, makes their scores comparable.

use super::PredictorData;
use super::label::{Label, share};
use super::mlp::{Mlp, Target};
use super::train::{Rows, Shape, TrainSettings, train};
use crate::parallel::for_each_parallel;

/// Hidden units of the ramp, and of the network that reads only how far the stream has come.
pub(super) const PROGRESS_HIDDEN: usize = 8;

/// Parts of the images learnt from in which the share is judged.
const PARTS: usize = 4;

/// Models of one stream are made from this.
#[derive(Clone, Copy)]
pub(super) struct Fitting<'a> {
    pub data: &'a PredictorData,
    pub target: Target,
    pub train: &'a TrainSettings,
}

/// Networks whose difference tells images apart.
struct Pair {
    alone: Mlp,
    full: Mlp,
}

/// What the images learnt from made of a stream.
struct Part {
    pair: Pair,
    share: f32,
}

/// A prediction \[nat\] for every image and checkpoint by a model of the other parts, and the model of all images.
///
/// Rows of checkpoint 0, where nothing has arrived and all images look the same, are not learnt from; their prediction is
/// what the tail says of nothing, which an edge knows beforehand.
pub(super) fn cross_fit(fitting: Fitting, folds: usize, threads: usize) -> (Vec<f32>, Mlp) {
    let data = fitting.data;
    let without =
        |fold: usize| -> Vec<usize> { (0..data.images).filter(|i| i % folds != fold).collect() };
    let Some(progress) = data.progress else {
        let every: Vec<usize> = (0..data.n_inputs).collect();
        let models = in_parallel(threads, folds + 1, |job| {
            fitting.network(&without(job), &every, fitting.train)
        });
        let predictions = predictions(data, |image, row| models[image % folds].predict(row));
        return (predictions, last(models));
    };
    let ramp = fitting.ramp(progress);
    // Job `folds` leaves nobody out.
    let parts = in_parallel(threads, folds + 1, |job| {
        fitting.part(&without(job), progress, &ramp)
    });
    let scores = |image: usize, row: &[f32]| parts[image % folds].score(&ramp, row);
    let label = Label::fit(data, fitting.target, &scores);
    let predictions = predictions(data, |image, row| {
        label.nats(fitting.target, data.classes, scores(image, row))
    });
    let Part { pair, share } = last(parts);
    let model = pair.full.mixed(&[
        (&ramp, label.slope),
        (&pair.alone, -share * label.slope),
        (&pair.full, share * label.slope),
    ]);
    (predictions, model.raised(label.offset))
}

fn last<T>(mut models: Vec<T>) -> T {
    models.pop().expect("one job at least")
}

/// The results of `count` jobs in their order.
fn in_parallel<T: Send>(threads: usize, count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut made: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let done: Result<(), std::convert::Infallible> = for_each_parallel(
        threads,
        count,
        |at| Ok(job(at)),
        |at, result| {
            made[at] = Some(result);
            Ok(())
        },
    );
    let Ok(()) = done;
    made.into_iter()
        .map(|result| result.expect("every job ran"))
        .collect()
}

/// One prediction per image and checkpoint from the statistics there.
fn predictions(data: &PredictorData, of: impl Fn(usize, &[f32]) -> f32) -> Vec<f32> {
    let mut all = Vec::with_capacity(data.images * data.checkpoints);
    for image in 0..data.images {
        all.push(data.entropy_nats[image * data.checkpoints]);
        all.extend((1..data.checkpoints).map(|c| of(image, data.row(image, c))));
    }
    all
}

impl Part {
    fn score(&self, ramp: &Mlp, row: &[f32]) -> f32 {
        ramp.output(row) + self.share * self.pair.deviation(row)
    }
}

impl Pair {
    fn deviation(&self, row: &[f32]) -> f32 {
        self.full.output(row) - self.alone.output(row)
    }
}

impl Fitting<'_> {
    /// A network of the inputs `used` that fits the outcomes of `images`.
    fn network(&self, images: &[usize], used: &[usize], settings: &TrainSettings) -> Mlp {
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for &image in images {
            for checkpoint in 1..self.data.checkpoints {
                values.extend_from_slice(self.data.row(image, checkpoint));
                targets.push(self.data.target(self.target, image, checkpoint));
            }
        }
        let rows = Rows {
            inputs: self.data.n_inputs,
            values: &values,
            targets: &targets,
        };
        let classes = self.data.classes;
        train(&rows, used, self.target, classes, Shape::Any, settings)
    }

    fn alone(&self) -> TrainSettings {
        TrainSettings {
            hidden: self.train.hidden.min(PROGRESS_HIDDEN),
            ..*self.train
        }
    }

    /// The logit of the share of the bits that is still to come, falling with the progress. It knows no answer.
    fn ramp(&self, progress: usize) -> Mlp {
        let data = self.data;
        let bits = |checkpoint: usize| -> f64 {
            let cells = (0..data.images).map(|i| data.bits[i * data.checkpoints + checkpoint]);
            cells.map(f64::from).sum()
        };
        let whole = bits(data.checkpoints - 1).max(1.0);
        let targets: Vec<f32> = (1..data.checkpoints)
            .map(|c| (1.0 - bits(c) / whole) as f32)
            .collect();
        let targets = targets.repeat(data.images);
        let sent = |image: usize| (1..data.checkpoints).map(move |c| data.row(image, c));
        let values: Vec<f32> = (0..data.images).flat_map(sent).flatten().copied().collect();
        let rows = Rows {
            inputs: data.n_inputs,
            values: &values,
            targets: &targets,
        };
        let target = Target::Disagreement;
        train(
            &rows,
            &[progress],
            target,
            data.classes,
            Shape::Falling,
            &self.alone(),
        )
    }

    fn pair(&self, images: &[usize], progress: usize) -> Pair {
        let every: Vec<usize> = (0..self.data.n_inputs).collect();
        Pair {
            alone: self.network(images, &[progress], &self.alone()),
            full: self.network(images, &every, self.train),
        }
    }

    /// What `images` make of the stream; nothing else is looked at but bits.
    fn part(&self, images: &[usize], progress: usize, ramp: &Mlp) -> Part {
        Part {
            share: self.share(images, progress, ramp),
            pair: self.pair(images, progress),
        }
    }

    /// How far the deviation is listened to, judged on images held back.
    fn share(&self, images: &[usize], progress: usize, ramp: &Mlp) -> f32 {
        if images.len() < PARTS {
            return 0.0;
        }
        let mut cells = Vec::new();
        for part in 0..PARTS {
            let (mut held, mut learnt) = (Vec::new(), Vec::new());
            for (nth, &image) in images.iter().enumerate() {
                if nth % PARTS == part {
                    held.push(image);
                } else {
                    learnt.push(image);
                }
            }
            let pair = self.pair(&learnt, progress);
            for image in held {
                // Nobody stops at the last checkpoint.
                for checkpoint in 1..self.data.checkpoints - 1 {
                    let row = self.data.row(image, checkpoint);
                    let truth = self.data.target(self.target, image, checkpoint);
                    cells.push((ramp.output(row), pair.deviation(row), truth));
                }
            }
        }
        share(&cells, self.target)
    }
}
