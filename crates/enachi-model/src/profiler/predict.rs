//! The predictor of every coded stream: fitted to what was measured, cross-fitted for the report.

use super::journal::Row;
use super::measure::KNOWN;
use super::streams::{Coder, StreamPlan};
use super::{Job, ProfilerError, Step};
use crate::codec::Tables;
use crate::codec::statistics::{CARRIED_SHARE, OPINION, STATISTICS};
use crate::predictor::{Fitted, PredictorData, PredictorSettings, fit};
use enachi_core::profile::Samples;

/// Fitted predictors per stream of the plan; `None` where a stream has none, or too few images to fit one.
pub fn fit_all(
    job: &Job,
    plan: &[StreamPlan],
    rows: &[Row],
    samples: &[Samples],
    progress: &(dyn Fn(Step) + Sync),
) -> Result<Vec<Option<Fitted>>, ProfilerError> {
    let settings = PredictorSettings {
        threads: job.threads,
        ..PredictorSettings::default()
    };
    let streams = plan.iter().filter(|s| s.has_predictor()).count();
    progress(Step::Begin("fitting predictors", streams as u64, 0));
    plan.iter()
        .enumerate()
        .map(|(s, stream)| {
            // A fold needs an image to learn from and one to be judged.
            if !stream.has_predictor() || stream.images < 2 * settings.folds {
                return Ok(None);
            }
            let known: Vec<&[f32]> = rows[..stream.images]
                .iter()
                .flat_map(|row| row.known[s].chunks_exact(KNOWN))
                .collect();
            let column = |at: usize, sign: f32| known.iter().map(|k| sign * k[at]).collect();
            let samples = &samples[s];
            let fitted = fit(
                &PredictorData {
                    images: samples.images,
                    checkpoints: samples.checkpoints,
                    n_inputs: STATISTICS,
                    inputs: known
                        .iter()
                        .flat_map(|k| &k[..STATISTICS])
                        .copied()
                        .collect(),
                    progress: Some(CARRIED_SHARE),
                    classes: job.graph.classes() as u32,
                    bits: samples.bits.clone(),
                    correct: samples.correct.clone(),
                    top1: samples.top1.clone(),
                    entropy_nats: samples.entropy_nats.clone(),
                    extra_scores: vec![
                        ("probe-entropy".into(), column(OPINION, 1.0)),
                        ("probe-margin".into(), column(OPINION + 1, -1.0)),
                        ("class-means".into(), column(STATISTICS, 1.0)),
                    ],
                },
                &settings,
            )?;
            progress(Step::Advance(1));
            Ok(Some(fitted))
        })
        .collect()
}

/// The codec tables of every cut with the predictor of its stream.
pub fn into_tables(plan: &[StreamPlan], fitted: &[Option<Fitted>]) -> Vec<Tables> {
    plan.iter()
        .zip(fitted)
        .filter_map(|(stream, fitted)| match &stream.coder {
            Coder::Feature { codec, .. } => Some(Tables {
                predictor: fitted.as_ref().map(|f| f.model.clone()),
                ..codec.tables().clone()
            }),
            _ => None,
        })
        .collect()
}
