//! Measurement: what the tail answers at every checkpoint of every stream, image by image.

use super::journal::{Journal, Outcome, Row};
use super::streams::{Coder, StreamPlan};
use super::{Job, ProfilerError, Step};
use crate::codec::statistics::STATISTICS;
use crate::codec::{Decoder, EncoderScratch};
use crate::images::{RgbCrop, to_tensor};
use crate::parallel::for_each_parallel;
use crate::picture::Rung;
use crate::raw::random_order;
use crate::tensor::Tensor;
use std::collections::HashMap;

/// Measure every image that the journal does not hold yet.
pub fn measure(
    job: &Job,
    plan: &[StreamPlan],
    journal: &mut Journal,
    progress: &(dyn Fn(Step) + Sync),
) -> Result<(), ProfilerError> {
    let total = job.measured.len();
    let missing: Vec<usize> = (0..total)
        .filter(|i| !journal.rows().contains_key(i))
        .collect();
    progress(Step::Begin(
        "measuring",
        total as u64,
        (total - missing.len()) as u64,
    ));
    for_each_parallel(
        job.threads,
        missing.len(),
        |i| measure_image(job, plan, missing[i]),
        |_, row| {
            journal.append(row)?;
            progress(Step::Advance(1));
            Ok(())
        },
    )
}

fn measure_image(job: &Job, plan: &[StreamPlan], image: usize) -> Result<Row, ProfilerError> {
    let picture = job.picture(&job.measured[image])?;
    let (features, scores) = job.features(&picture)?;
    let name = &job.measured[image].name;
    let whole = job.read(&scores, name)?;
    let mut scratch = EncoderScratch::default();
    let mut answered = HashMap::new();
    let mut known: Vec<Vec<f32>> = plan.iter().map(|_| Vec::new()).collect();
    let streams = plan
        .iter()
        .zip(&mut known)
        .map(|(stream, known)| {
            if image >= stream.images {
                return Ok(None);
            }
            let run = Run {
                job,
                stream,
                image: name,
                from: match stream.cut {
                    0 => job.graph.input_name(),
                    inner => &job.cuts[inner - 1].name,
                },
            };
            let outcomes = match &stream.coder {
                Coder::Pixels => {
                    let bits = picture.pixels.len() as u32 * 8;
                    vec![(bits, whole.top1, whole.entropy_nats)]
                }
                Coder::Picture(rungs) => run.picture(&picture, rungs, &mut answered)?,
                Coder::Feature { codec, class_means } => {
                    let feature = &features[stream.cut - 1];
                    run.feature(codec, class_means, feature, &mut scratch, known)?
                }
                Coder::Raw(raw, order) => {
                    let drawn;
                    let order = match order {
                        Some(order) => order,
                        None => {
                            drawn = random_order(
                                job.settings.seed ^ (image as u64) << 20,
                                raw.mean.len(),
                            );
                            &drawn
                        }
                    };
                    run.raw(raw, order, &features[stream.cut - 1])?
                }
            };
            Ok(Some(outcomes))
        })
        .collect::<Result<Vec<_>, ProfilerError>>()?;
    Ok(Row {
        image,
        top1: whole.top1,
        streams,
        known,
    })
}

/// Numbers that [`Row::known`] holds per checkpoint: those of [`Decoder::statistics`], then [`distance_ratio`].
pub const KNOWN: usize = STATISTICS + 1;

/// Distance to the nearest class mean over that to the second nearest: small where the class is clear.
fn distance_ratio(means: &[Vec<f32>], pooled: &[f32]) -> f32 {
    let (mut first, mut second) = (f32::INFINITY, f32::INFINITY);
    for mean in means {
        let distance = mean
            .iter()
            .zip(pooled)
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        second = second.min(first.max(distance));
        first = first.min(distance);
    }
    if second.is_finite() && second > 0.0 {
        (first / second).sqrt()
    } else {
        1.0
    }
}

struct Run<'a> {
    job: &'a Job<'a>,
    stream: &'a StreamPlan,
    image: &'a str,
    from: &'a str,
}

impl Run<'_> {
    fn answer(&self, bits: usize, tensor: &Tensor) -> Result<Outcome, ProfilerError> {
        let scores = self
            .job
            .engine
            .run(self.from, tensor, self.job.graph.output_name())?;
        let answer = self.job.read(&scores, self.image)?;
        let bits = u32::try_from(bits).map_err(|_| {
            ProfilerError::Setting(format!(
                "stream `{}` takes {bits} bits an image, more than a profile can hold",
                self.stream.name
            ))
        })?;
        Ok((bits, answer.top1, answer.entropy_nats))
    }

    /// Ladders share rungs; each is `answered` once.
    fn picture(
        &self,
        picture: &RgbCrop,
        rungs: &[Rung],
        answered: &mut HashMap<Rung, Outcome>,
    ) -> Result<Vec<Outcome>, ProfilerError> {
        rungs
            .iter()
            .map(|rung| {
                if let Some(known) = answered.get(rung) {
                    return Ok(*known);
                }
                let bytes = rung.encode(picture)?;
                let received = rung.decode(&bytes, picture.width)?;
                let outcome =
                    self.answer(bytes.len() * 8, &to_tensor(&received, &self.job.preprocess))?;
                answered.insert(*rung, outcome);
                Ok(outcome)
            })
            .collect()
    }

    fn feature(
        &self,
        codec: &crate::codec::Codec,
        class_means: &[Vec<f32>],
        feature: &Tensor,
        scratch: &mut EncoderScratch,
        known: &mut Vec<f32>,
    ) -> Result<Vec<Outcome>, ProfilerError> {
        let chunks = codec.encode(&feature.data, scratch);
        let mut decoder = codec.decoder();
        let (mut working, mut numbers) = (Vec::new(), Vec::new());
        let mut note = |decoder: &Decoder| {
            decoder.statistics(&mut working, &mut numbers);
            known.extend(&numbers);
            known.push(distance_ratio(class_means, &decoder.pooled()));
        };
        note(&decoder);
        let mut received = feature.clone();
        let (mut next, mut bytes) = (0, 0);
        self.stream.checkpoints[1..]
            .iter()
            .map(|&checkpoint| {
                for chunk in &chunks[next..checkpoint as usize] {
                    decoder
                        .push(chunk.id, &chunk.payload)
                        .expect("the encoder's own chunk");
                    bytes += chunk.air_bytes();
                }
                next = checkpoint as usize;
                note(&decoder);
                decoder.reconstruct(&mut received.data);
                self.answer(bytes * 8, &received)
            })
            .collect()
    }

    fn raw(
        &self,
        raw: &crate::raw::RawMaps,
        order: &[usize],
        feature: &Tensor,
    ) -> Result<Vec<Outcome>, ProfilerError> {
        let mut received = feature.clone();
        self.stream.checkpoints[1..]
            .iter()
            .map(|&maps| {
                let maps = maps as usize;
                raw.receive(&feature.data, &order[..maps], &mut received.data);
                self.answer(maps * raw.map_bytes() * 8, &received)
            })
            .collect()
    }
}
