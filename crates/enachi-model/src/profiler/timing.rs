//! Timing: head, encoder, decoder and tail of every cut, one thread, and no other work of this program.
//! Take them on a quiet machine.

use super::streams::{Coder, StreamPlan};
use super::{Job, ProfilerError, Step};
use crate::codec::{Codec, EncoderScratch};
use crate::images::to_tensor;
use crate::parallel::single_thread;
use crate::predictor::Fitted;
use crate::tensor::Tensor;
use enachi_core::profile::Timing;
use std::time::Instant;

/// Runs timed, after one that is not.
const RUNS: usize = 15;

/// Evaluations of a predictor timed at once.
const EVALUATIONS: u32 = 100;

/// Times of a whole job.
pub struct Timings {
    /// Head and tail per cut: the input, the inner cuts, all local.
    pub cuts: Vec<(Timing, Timing)>,
    /// Encoder and decoder per stream of the plan; `None` where there is nothing to do.
    pub streams: Vec<Option<(Timing, Timing)>>,
    /// One evaluation of the predictor per stream, statistics included.
    pub predictors: Vec<Option<Timing>>,
}

/// Time everything.
pub fn measure(
    job: &Job,
    plan: &[StreamPlan],
    predictors: &[Option<Fitted>],
    progress: &(dyn Fn(Step) + Sync),
) -> Result<Timings, ProfilerError> {
    progress(Step::Begin("timing", (RUNS + 1) as u64, 0));
    single_thread(|| measure_alone(job, plan, predictors, progress))
}

fn measure_alone(
    job: &Job,
    plan: &[StreamPlan],
    predictors: &[Option<Fitted>],
    progress: &(dyn Fn(Step) + Sync),
) -> Result<Timings, ProfilerError> {
    let cuts = job.cuts.len() + 2;
    let mut heads: Vec<Vec<f64>> = vec![Vec::new(); cuts];
    let mut tails = heads.clone();
    let mut encoders: Vec<Vec<f64>> = plan.iter().map(|_| Vec::new()).collect();
    let mut decoders = encoders.clone();
    let mut evaluations = encoders.clone();
    let (input, output) = (job.graph.input_name(), job.graph.output_name());
    let mut scratch = EncoderScratch::default();
    // Rounds over all cuts, so that a disturbance of the machine falls on every cut alike.
    for round in 0..=RUNS {
        let picture = job.picture(&job.measured[round % job.measured.len()])?;
        let x = to_tensor(&picture, &job.preprocess);
        let mut features = Vec::new();
        heads[0].push(0.0);
        for (i, cut) in job.cuts.iter().enumerate() {
            let start = Instant::now();
            let feature = job.timing_engine.run(input, &x, &cut.name)?;
            heads[i + 1].push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            job.timing_engine.run(&cut.name, &feature, output)?;
            tails[i + 1].push(start.elapsed().as_secs_f64());
            features.push(feature);
        }
        let start = Instant::now();
        job.timing_engine.run(input, &x, output)?;
        let whole = start.elapsed().as_secs_f64();
        heads[cuts - 1].push(whole);
        tails[0].push(whole);
        tails[cuts - 1].push(0.0);
        for (s, stream) in plan.iter().enumerate() {
            let feature = stream.cut.checked_sub(1).map(|inner| &features[inner]);
            if let Some((encode, decode)) =
                time_coder(job, stream, &picture, feature, &mut scratch)?
            {
                encoders[s].push(encode);
                decoders[s].push(decode);
            }
            if let (Coder::Feature { codec, .. }, Some(fitted), Some(feature)) =
                (&stream.coder, &predictors[s], feature)
            {
                evaluations[s].push(time_predictor(codec, fitted, feature, &mut scratch));
            }
        }
        progress(Step::Advance(1));
    }
    Ok(Timings {
        cuts: heads
            .into_iter()
            .zip(tails)
            .map(|(head, tail)| (summary(head), summary(tail)))
            .collect(),
        streams: encoders
            .into_iter()
            .zip(decoders)
            .map(|(e, d)| (!e.is_empty()).then(|| (summary(e), summary(d))))
            .collect(),
        predictors: evaluations
            .into_iter()
            .map(|e| (!e.is_empty()).then(|| summary(e)))
            .collect(),
    })
}

/// Seconds of one evaluation with half of the stream received, mean of [`EVALUATIONS`].
fn time_predictor(
    codec: &Codec,
    fitted: &Fitted,
    feature: &Tensor,
    scratch: &mut EncoderScratch,
) -> f64 {
    let chunks = codec.encode(&feature.data, scratch);
    let mut decoder = codec.decoder();
    for chunk in &chunks[..chunks.len() / 2] {
        decoder
            .push(chunk.id, &chunk.payload)
            .expect("the encoder's own chunk");
    }
    let (mut working, mut numbers) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for _ in 0..EVALUATIONS {
        decoder.statistics(&mut working, &mut numbers);
        std::hint::black_box(fitted.model.predict(&numbers));
    }
    start.elapsed().as_secs_f64() / f64::from(EVALUATIONS)
}

/// Seconds of encoding everything, and of decoding everything.
fn time_coder(
    job: &Job,
    stream: &StreamPlan,
    picture: &crate::images::RgbCrop,
    feature: Option<&Tensor>,
    scratch: &mut EncoderScratch,
) -> Result<Option<(f64, f64)>, ProfilerError> {
    Ok(match (&stream.coder, feature) {
        (Coder::Picture(rungs), _) => {
            let rung = rungs[rungs.len() / 2];
            let start = Instant::now();
            let bytes = rung.encode(picture)?;
            let encode = start.elapsed().as_secs_f64();
            let start = Instant::now();
            to_tensor(&rung.decode(&bytes, picture.width)?, &job.preprocess);
            Some((encode, start.elapsed().as_secs_f64()))
        }
        (Coder::Feature { codec, .. }, Some(feature)) => {
            let start = Instant::now();
            let chunks = codec.encode(&feature.data, scratch);
            let encode = start.elapsed().as_secs_f64();
            let mut out = vec![0.0; feature.data.len()];
            let start = Instant::now();
            let mut decoder = codec.decoder();
            for chunk in &chunks {
                decoder
                    .push(chunk.id, &chunk.payload)
                    .expect("the encoder's own chunk");
            }
            decoder.reconstruct(&mut out);
            Some((encode, start.elapsed().as_secs_f64()))
        }
        _ => None,
    })
}

/// Median and quartiles without the first run.
fn summary(mut seconds: Vec<f64>) -> Timing {
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    let quantile = |q: f64| seconds[((seconds.len() - 1) as f64 * q).round() as usize];
    Timing {
        median_s: quantile(0.5),
        p25_s: quantile(0.25),
        p75_s: quantile(0.75),
        runs: seconds.len() as u32,
        threads: 1,
    }
}
