//! The predictor of an answer's uncertainty: a small network per stream that reads statistics of what has arrived, so that
//! an edge can tell a sender to stop without running the tail (ENACHI §2, the uncertainty predictor).
//!
//! [`fit`] takes what was measured on a profile's images. It cross-fits the network by image, so that no image is judged by
//! a model that saw it, reports what stopping on its output saves and loses beside competing rules, and returns the
//! network of all images for use on others.

mod crossfit;
mod label;
pub mod mlp;
mod random;
pub mod rank;
pub mod rules;
mod train;

pub use mlp::{Array, ArrayError, MAX_HIDDEN, MAX_INPUTS, Mlp, Target};
pub use train::TrainSettings;

use enachi_core::packet::loss_bound::LossBound;
use enachi_core::profile::{PredictorReport, Samples, round_prediction};
use rank::spearman;
use thiserror::Error;

/// What was measured of one stream, all of it `images × checkpoints`, row-major; checkpoint 0 is "nothing sent".
#[derive(Clone, Debug, Default)]
pub struct PredictorData {
    /// Images.
    pub images: usize,
    /// Checkpoints, with checkpoint 0.
    pub checkpoints: usize,
    /// Statistics per image and checkpoint.
    pub n_inputs: usize,
    /// The statistics, `images × checkpoints × n_inputs`. Those of checkpoint 0 are not read.
    pub inputs: Vec<f32>,
    /// The input that tells how far the stream has come, the same for every image at the same checkpoint. What the other inputs say
    /// beyond it is listened to as far as it is confirmed on images held back. `None`: all inputs are, without question.
    pub progress: Option<usize>,
    /// Classes of the classifier.
    pub classes: u32,
    /// Bits over the air up to the checkpoint.
    pub bits: Vec<u32>,
    /// Whether the tail's answer is right.
    pub correct: Vec<bool>,
    /// The tail's answer.
    pub top1: Vec<u16>,
    /// Its entropy \[nat\].
    pub entropy_nats: Vec<f32>,
    /// Names and scores of further rules to compare with. A rule stops where its score is at most a threshold, so a margin
    /// goes in with its sign changed.
    pub extra_scores: Vec<(String, Vec<f32>)>,
}

/// How predictors are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictorSettings {
    /// What the network learns.
    pub target: Target,
    /// Parts of the images in cross-fitting, 2 or more.
    pub folds: usize,
    /// How the network is trained.
    pub train: TrainSettings,
    /// Models trained at a time. The result does not depend on it.
    pub threads: usize,
}

impl Default for PredictorSettings {
    fn default() -> Self {
        Self {
            target: Target::Disagreement,
            folds: 5,
            train: TrainSettings::default(),
            threads: 1,
        }
    }
}

/// A fitted predictor.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Cross-fitted uncertainty per image and checkpoint \[nat\], rounded as a profile keeps it: column
    /// `predicted_nats` of [`Samples`].
    pub predictions: Vec<f32>,
    /// The model of all images: the one to use on others.
    pub model: Mlp,
    /// What the cross-fitted predictions achieve. `evaluate_time` is left to the profiler.
    pub report: PredictorReport,
}

/// Data that no predictor can be fitted to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("predictor: {what}: {found}, must be {allowed}")]
pub struct PredictorError {
    /// The quantity.
    pub what: String,
    /// Its value.
    pub found: String,
    /// The values allowed.
    pub allowed: String,
}

impl PredictorData {
    /// Statistics of one image at one checkpoint.
    fn row(&self, image: usize, checkpoint: usize) -> &[f32] {
        let at = (image * self.checkpoints + checkpoint) * self.n_inputs;
        &self.inputs[at..at + self.n_inputs]
    }

    /// What the network should say, before its link.
    fn target(&self, target: Target, image: usize, checkpoint: usize) -> f32 {
        let cell = |checkpoint: usize| image * self.checkpoints + checkpoint;
        match target {
            Target::Entropy => self.entropy_nats[cell(checkpoint)],
            Target::Disagreement => {
                let differs = self.top1[cell(checkpoint)] != self.top1[cell(self.checkpoints - 1)];
                f32::from(u8::from(differs))
            }
        }
    }

    fn check(&self, settings: &PredictorSettings) -> Result<(), PredictorError> {
        let wrong = |what: &str, found: String, allowed: String| {
            Err(PredictorError {
                what: what.to_owned(),
                found,
                allowed,
            })
        };
        let number = |what: &str, found: usize, least: usize, most: usize| {
            if (least..=most).contains(&found) {
                Ok(())
            } else {
                wrong(what, found.to_string(), format!("in {least}..={most}"))
            }
        };
        let train = &settings.train;
        number("inputs", self.n_inputs, 1, MAX_INPUTS)?;
        number(
            "hidden units",
            train.hidden,
            1,
            MAX_HIDDEN - 2 * crossfit::PROGRESS_HIDDEN,
        )?;
        if let Some(progress) = self.progress {
            number("progress", progress, 0, self.n_inputs - 1)?;
        }
        number("epochs", train.epochs, 1, 100_000)?;
        number("batch", train.batch, 1, usize::MAX)?;
        number("classes", self.classes as usize, 2, 65536)?;
        number("checkpoints", self.checkpoints, 2, usize::MAX)?;
        number("folds", settings.folds, 2, usize::MAX)?;
        number("images", self.images, settings.folds, u32::MAX as usize)?;
        let step = train.step;
        if !(step > 0.0 && step <= 1.0) {
            return wrong("step", step.to_string(), "above 0 and at most 1".to_owned());
        }
        if !(train.decay >= 0.0 && train.decay * step < 1.0) {
            return wrong("decay", train.decay.to_string(), "in 0..1/step".to_owned());
        }
        let cells = self.images * self.checkpoints;
        let columns = [
            ("bits", self.bits.len(), 1),
            ("correct", self.correct.len(), 1),
            ("top1", self.top1.len(), 1),
            ("entropy_nats", self.entropy_nats.len(), 1),
            ("inputs", self.inputs.len(), self.n_inputs),
        ];
        let extra = self
            .extra_scores
            .iter()
            .map(|(name, scores)| (name.as_str(), scores.len(), 1));
        for (name, length, each) in columns.into_iter().chain(extra) {
            if Some(length) != cells.checked_mul(each) {
                return wrong(
                    name,
                    format!("{length} values"),
                    format!(
                        "{each} for each of {} images x {} checkpoints",
                        self.images, self.checkpoints
                    ),
                );
            }
        }
        for (name, scores) in &self.extra_scores {
            if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
                let place = format!("score {at} of rule {name}");
                return wrong(&place, scores[at].to_string(), "finite".to_owned());
            }
        }
        let most = (self.classes as f32).ln() + 0.01;
        for image in 0..self.images {
            for checkpoint in 0..self.checkpoints {
                let place =
                    |what: String| format!("{what} of image {image}, checkpoint {checkpoint}");
                let entropy = self.entropy_nats[image * self.checkpoints + checkpoint];
                if !(0.0..=most).contains(&entropy) {
                    let allowed = format!("in 0..=ln({})", self.classes);
                    return wrong(&place("entropy".to_owned()), entropy.to_string(), allowed);
                }
                let row = self.row(image, checkpoint);
                if let Some(at) = row.iter().position(|x| !x.is_finite())
                    && checkpoint > 0
                {
                    let what = place(format!("input {at}"));
                    return wrong(&what, row[at].to_string(), "finite".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// Fit a stream's predictor and compare it with other rules. The same data and settings give the same result, on any number
/// of threads.
///
/// # Errors
/// Data or settings out of range, named.
pub fn fit(data: &PredictorData, settings: &PredictorSettings) -> Result<Fitted, PredictorError> {
    data.check(settings)?;
    let samples = Samples {
        images: data.images,
        checkpoints: data.checkpoints,
        bits: data.bits.clone(),
        top1: data.top1.clone(),
        correct: data.correct.clone(),
        entropy_nats: data.entropy_nats.clone(),
        predicted_nats: Vec::new(),
    };
    let fitting = crossfit::Fitting {
        data,
        target: settings.target,
        train: &settings.train,
    };
    let (predictions, model) = crossfit::cross_fit(fitting, settings.folds, settings.threads);
    let predictions: Vec<f32> = predictions.into_iter().map(round_prediction).collect();
    let report = report(data, &samples, settings, &predictions, model.hidden());
    Ok(Fitted {
        predictions,
        model,
        report,
    })
}

fn report(
    data: &PredictorData,
    samples: &Samples,
    settings: &PredictorSettings,
    predictions: &[f32],
    hidden: usize,
) -> PredictorReport {
    let mut bound = LossBound::new(data.images);
    let (ladder, best) = rules::trade_off(samples, predictions, &mut bound);
    let fixed = rules::fixed_fraction(data.images, data.checkpoints);
    let mut compared = vec![rules::report("fixed-fraction", samples, &fixed, &mut bound)];
    for (name, scores) in &data.extra_scores {
        compared.push(rules::report(name, samples, scores, &mut bound));
    }
    let tail = &data.entropy_nats;
    compared.push(rules::report("tail-entropy", samples, tail, &mut bound));
    compared.push(rules::genie(samples, &mut bound));

    let sent = |cell: &usize| !cell.is_multiple_of(data.checkpoints);
    let column = |values: &[f32], keep: &dyn Fn(&usize) -> bool| -> Vec<f32> {
        let cells = (0..values.len()).filter(keep);
        cells.map(|cell| values[cell]).collect()
    };
    let (guesses, truths) = (column(predictions, &sent), column(tail, &sent));
    let errors = guesses.iter().zip(&truths).map(|(a, b)| f64::from(a - b));
    let (squares, absolutes) = errors.fold((0.0, 0.0), |(squares, absolutes), error| {
        (squares + error * error, absolutes + error.abs())
    });
    let count = guesses.len() as f64;
    let within: Vec<f64> = (1..data.checkpoints)
        .filter_map(|checkpoint| {
            let here = |cell: &usize| cell % data.checkpoints == checkpoint;
            spearman(&column(predictions, &here), &column(tail, &here))
        })
        .collect();
    PredictorReport {
        inputs: data.n_inputs as u32,
        hidden: hidden as u32,
        folds: settings.folds as u32,
        rmse_nats: (squares / count).sqrt(),
        mae_nats: absolutes / count,
        rank_correlation: spearman(&guesses, &truths).unwrap_or(0.0),
        rank_correlation_within: within.iter().sum::<f64>() / within.len().max(1) as f64,
        ladder,
        default_threshold_nats: best.map_or(0.0, |point| point.threshold),
        rules: compared,
        evaluate_time: None,
    }
}

#[cfg(test)]
mod tests;
