//! How strongly the decoder stretches an incomplete feature: chosen by what moves the answer least.

use super::calibrate::held_out;
use super::{Job, ProfilerError, Step};
use crate::answer::{divergence_nats, log_probabilities};
use crate::codec::{Codec, EncoderScratch, Tables, TablesError};
use crate::parallel::ordered_fold;
use crate::tensor::Tensor;

/// Most of the held-out calibration images on which exponents are tried.
const IMAGES: usize = 24;
/// Prefixes of the stream at which they are tried, as shares of its bytes.
const SHARES: [f64; 8] = [0.02, 0.04, 0.08, 0.15, 0.25, 0.4, 0.65, 1.0];
/// Exponents tried, equally spaced.
const EXPONENTS: [f32; 7] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2];

/// Mean divergence per (prefix, exponent) and mean share of the variance per prefix, for one cut.
#[derive(Clone, Default)]
struct Tried {
    divergence: [[f64; EXPONENTS.len()]; SHARES.len()],
    share: [f64; SHARES.len()],
}

/// Set the restoration exponents of every cut's tables.
pub fn choose(
    job: &Job,
    tables: &mut [Tables],
    progress: &(dyn Fn(Step) + Sync),
) -> Result<(), ProfilerError> {
    let failed = |cut: usize| {
        move |source: TablesError| ProfilerError::Codec {
            cut: job.cuts[cut].name.clone(),
            source,
        }
    };
    let codecs = tables
        .iter()
        .enumerate()
        .map(|(cut, t)| Codec::new(t.clone()).map_err(failed(cut)))
        .collect::<Result<Vec<_>, _>>()?;
    let judged = held_out(job.calibration.len());
    let images = judged.len().min(IMAGES);
    progress(Step::Begin("restoring energy", images as u64, 0));
    let mut tried = vec![Tried::default(); codecs.len()];
    ordered_fold(
        job.threads,
        images,
        |i| {
            let (features, scores) =
                job.features(&job.picture(&job.calibration[judged.start + i])?)?;
            let whole = log_probabilities(&scores.data);
            let mut scratch = EncoderScratch::default();
            codecs
                .iter()
                .zip(&features)
                .zip(&job.cuts)
                .map(|((codec, feature), cut)| {
                    try_image(job, codec, &cut.name, feature, &whole, &mut scratch)
                })
                .collect::<Result<Vec<_>, ProfilerError>>()
        },
        |_, found| {
            for (sum, part) in tried.iter_mut().zip(found) {
                for prefix in 0..SHARES.len() {
                    sum.share[prefix] += part.share[prefix] / images as f64;
                    for e in 0..EXPONENTS.len() {
                        sum.divergence[prefix][e] += part.divergence[prefix][e] / images as f64;
                    }
                }
            }
            progress(Step::Advance(1));
        },
    )?;
    for (tables, tried) in tables.iter_mut().zip(tried) {
        let mut knots: Vec<[f32; 2]> = Vec::new();
        for (share, divergence) in tried.share.iter().zip(&tried.divergence) {
            let share = *share as f32;
            // Prefixes of a short stream may coincide.
            if share > 0.0 && knots.last().is_none_or(|last| last[0] < share) {
                knots.push([share, least(divergence)]);
            }
        }
        tables.restoration.exponents = knots;
    }
    Ok(())
}

fn try_image(
    job: &Job,
    codec: &Codec,
    cut: &str,
    feature: &Tensor,
    whole: &[f64],
    scratch: &mut EncoderScratch,
) -> Result<Tried, ProfilerError> {
    let chunks = codec.encode(&feature.data, scratch);
    let total: usize = chunks.iter().map(|c| c.air_bytes()).sum();
    let mut decoder = codec.decoder();
    let mut plain = feature.clone();
    let (mut next, mut sent) = (0, 0);
    let mut tried = Tried::default();
    for (prefix, share) in SHARES.iter().enumerate() {
        while next < chunks.len() && sent as f64 <= share * total as f64 {
            decoder
                .push(chunks[next].id, &chunks[next].payload)
                .expect("the encoder's own chunk");
            sent += chunks[next].air_bytes();
            next += 1;
        }
        decoder.reconstruct_plain(&mut plain.data);
        let carried = decoder.carried();
        tried.share[prefix] = f64::from(decoder.carried_share());
        for (exponent, divergence) in EXPONENTS.iter().zip(&mut tried.divergence[prefix]) {
            let mut stretched = plain.clone();
            decoder.restore(&carried, *exponent, &mut stretched.data);
            let scores = job.engine.run(cut, &stretched, job.graph.output_name())?;
            *divergence = divergence_nats(whole, &log_probabilities(&scores.data));
        }
    }
    Ok(tried)
}

/// The exponent of least divergence: the vertex of the parabola through the best one tried and its neighbours.
fn least(divergence: &[f64; EXPONENTS.len()]) -> f32 {
    let best = (0..EXPONENTS.len())
        .min_by(|&a, &b| divergence[a].total_cmp(&divergence[b]))
        .unwrap_or(0);
    if best == 0 || best + 1 == EXPONENTS.len() {
        return EXPONENTS[best];
    }
    let [before, at, after] = [best - 1, best, best + 1].map(|i| divergence[i]);
    let bend = before - 2.0 * at + after;
    let shift = if bend > 0.0 {
        ((before - after) / (2.0 * bend)).clamp(-0.5, 0.5)
    } else {
        0.0
    };
    EXPONENTS[best] + shift as f32 * (EXPONENTS[1] - EXPONENTS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertex_of_a_parabola_is_found() {
        for vertex in [0.0f64, 0.13, 0.37, 0.6, 0.8] {
            let d = EXPONENTS.map(|e| 3.0 + 2.0 * (f64::from(e) - vertex).powi(2));
            assert!((f64::from(least(&d)) - vertex).abs() < 1e-6, "{vertex}");
        }
        assert_eq!(least(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), 0.0);
    }
}
