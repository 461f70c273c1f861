//! Calibration: codec tables and raw-map statistics of every cut.

use super::{Job, ProfilerError, Step, restoration, sensitivity};
use crate::answer::{divergence_nats, log_probabilities};
use crate::codec::statistics::Probe;
use crate::codec::train::{Accumulator, GRADIENT_PASS, PASSES, RATES_PASS, SPREAD_PASS};
use crate::codec::{Tables, Trainer};
use crate::images::to_tensor;
use crate::parallel::ordered_fold;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Statistics of the raw maps at one cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RawStatistics {
    /// Mean per map.
    pub mean: Vec<f32>,
    /// Smallest value per map.
    pub low: Vec<f32>,
    /// Largest value per map.
    pub high: Vec<f32>,
    /// Variance around the mean per map: what is lost when the mean stands in for the map.
    pub energy: Vec<f64>,
    /// First-order Taylor score per map, `E[(Σ x ∂L/∂x)²]` with the loss L of the true label; empty without gradients.
    pub taylor: Vec<f64>,
}

/// What calibration found at one cut.
#[derive(Clone, Debug, PartialEq)]
pub struct CutCalibration {
    /// The cut.
    pub name: String,
    /// Codec tables.
    pub tables: Tables,
    /// Raw maps.
    pub raw: RawStatistics,
    /// Mean pooled feature per class that the network answered, for a rule to compare with.
    pub class_means: Vec<Vec<f32>>,
}

/// What calibration found.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Channel means of the network's input.
    pub input_mean: Vec<f32>,
    /// Inner cuts, in order.
    pub cuts: Vec<CutCalibration>,
}

impl Calibration {
    /// Names and tables of all cuts.
    pub fn tables(&self) -> Vec<(&str, &Tables)> {
        self.cuts
            .iter()
            .map(|cut| (cut.name.as_str(), &cut.tables))
            .collect()
    }
}

#[derive(Default)]
struct Sums {
    count: f64,
    sum: Vec<f64>,
    square: Vec<f64>,
    low: Vec<f32>,
    high: Vec<f32>,
    taylor: Vec<f64>,
}

impl Sums {
    fn of(data: &[f32], area: usize, gradient: Option<&Tensor>) -> Self {
        let maps = data.chunks_exact(area);
        let fold = |map: &[f32], f: fn(f32, f32) -> f32, start| map.iter().copied().fold(start, f);
        Self {
            count: area as f64,
            sum: maps
                .clone()
                .map(|m| m.iter().map(|&v| f64::from(v)).sum())
                .collect(),
            square: maps
                .clone()
                .map(|m| m.iter().map(|&v| f64::from(v) * f64::from(v)).sum())
                .collect(),
            low: maps
                .clone()
                .map(|m| fold(m, f32::min, f32::INFINITY))
                .collect(),
            taylor: gradient.map_or(Vec::new(), |g| {
                maps.clone()
                    .zip(g.data.chunks_exact(area))
                    .map(|(x, g)| x.iter().zip(g).map(|(x, g)| f64::from(x * g)).sum::<f64>())
                    .map(|change| change * change)
                    .collect()
            }),
            high: maps.map(|m| fold(m, f32::max, f32::NEG_INFINITY)).collect(),
        }
    }

    fn add(&mut self, other: Self) {
        if self.sum.is_empty() {
            *self = other;
            return;
        }
        self.count += other.count;
        for i in 0..self.sum.len() {
            self.sum[i] += other.sum[i];
            self.square[i] += other.square[i];
            self.low[i] = self.low[i].min(other.low[i]);
            self.high[i] = self.high[i].max(other.high[i]);
        }
        for (sum, part) in self.taylor.iter_mut().zip(other.taylor) {
            *sum += part;
        }
    }

    fn finish(self) -> RawStatistics {
        let mean: Vec<f64> = self.sum.iter().map(|s| s / self.count).collect();
        RawStatistics {
            energy: self
                .square
                .iter()
                .zip(&mean)
                .map(|(s, m)| (s / self.count - m * m).max(0.0))
                .collect(),
            mean: mean.into_iter().map(|m| m as f32).collect(),
            low: self.low,
            high: self.high,
            taylor: self.taylor,
        }
    }
}

/// Train everything that the calibration images teach.
pub fn calibrate(
    job: &Job,
    progress: &(dyn Fn(Step) + Sync),
) -> Result<Calibration, ProfilerError> {
    let images = job.calibration.len();
    progress(Step::Begin("calibrating", (images * PASSES) as u64, 0));
    let mut trainers: Vec<Trainer> = job
        .cuts
        .iter()
        .map(|cut| Trainer::new(job.settings.codec, cut.maps, cut.height, cut.width))
        .collect();
    let mut raw: Vec<Sums> = (0..=job.cuts.len()).map(|_| Sums::default()).collect();
    let mut pooled_images: Vec<Vec<Vec<f32>>> = trainers.iter().map(|_| Vec::new()).collect();
    let mut answers = Vec::new();
    let fitted = match held_out(images).start {
        0 => images,
        start => start,
    };
    for pass in 0..PASSES {
        let mut sums: Vec<Accumulator> = trainers.iter().map(|_| Accumulator::default()).collect();
        ordered_fold(
            job.threads,
            images,
            |i| {
                let picture = job.picture(&job.calibration[i])?;
                let (features, scores) = job.features(&picture)?;
                let input = to_tensor(&picture, &job.preprocess);
                let gradients = if pass == GRADIENT_PASS {
                    Some(sensitivity::gradients(job, &input, i)?)
                } else {
                    None
                };
                let partials: Vec<_> = features
                    .iter()
                    .zip(&trainers)
                    .enumerate()
                    .map(|(cut, (feature, trainer))| {
                        let drawn: Vec<&[f32]> = gradients
                            .iter()
                            .flat_map(|g| &g.drawn[cut])
                            .map(|g| g.data.as_slice())
                            .collect();
                        trainer.observe(&feature.data, &drawn)
                    })
                    .collect();
                let raw = gradients.map_or(Vec::new(), |gradients| {
                    let inner = features.iter().zip(&job.cuts).zip(&gradients.label);
                    std::iter::once(Sums::of(&input.data, input.data.len() / 3, None))
                        .chain(inner.map(|((f, cut), g)| {
                            Sums::of(&f.data, cut.height * cut.width, g.as_ref())
                        }))
                        .collect()
                });
                let pooled = (pass == RATES_PASS).then(|| {
                    let pooled: Vec<Vec<f32>> = features
                        .iter()
                        .zip(&trainers)
                        .filter_map(|(feature, trainer)| trainer.pooled(&feature.data))
                        .collect();
                    (pooled, log_probabilities(&scores.data))
                });
                Ok::<_, ProfilerError>((partials, raw, pooled))
            },
            |i, (partials, part, pooled)| {
                if let Some((pooled, log_probabilities)) = pooled {
                    for (all, one) in pooled_images.iter_mut().zip(pooled) {
                        all.push(one);
                    }
                    answers.push(log_probabilities);
                }
                // The bases are judged on images that they were not fitted to.
                if pass > SPREAD_PASS || i < fitted {
                    for (total, partial) in sums.iter_mut().zip(partials) {
                        total.add(partial);
                    }
                }
                for (total, part) in raw.iter_mut().zip(part) {
                    total.add(part);
                }
                progress(Step::Advance(1));
            },
        )?;
        if pass == SPREAD_PASS
            && let Some(limit) = job.settings.max_divergence_nats
        {
            choose_quality(job, &mut trainers, &sums, limit, progress)?;
            let done = images * (pass + 1);
            progress(Step::Begin(
                "calibrating",
                (images * PASSES) as u64,
                done as u64,
            ));
        }
        for ((trainer, sums), cut) in trainers.iter_mut().zip(sums).zip(&job.cuts) {
            trainer
                .finish_pass(sums)
                .map_err(|source| ProfilerError::Codec {
                    cut: cut.name.clone(),
                    source,
                })?;
        }
    }
    let mut raw = raw.into_iter().map(Sums::finish);
    let input_mean = raw.next().expect("the input comes first").mean;
    let mut tables: Vec<Tables> = trainers
        .into_iter()
        .map(|trainer| trainer.into_tables().expect("every pass was made"))
        .collect();
    for (tables, pooled) in tables.iter_mut().zip(&pooled_images) {
        tables.probe = Probe::fit(pooled, &answers);
    }
    restoration::choose(job, &mut tables, progress)?;
    Ok(Calibration {
        input_mean,
        cuts: tables
            .into_iter()
            .zip(raw)
            .zip(&job.cuts)
            .zip(&pooled_images)
            .map(|(((tables, raw), cut), pooled)| CutCalibration {
                name: cut.name.clone(),
                tables,
                raw,
                class_means: class_means(pooled, &answers),
            })
            .collect(),
    })
}

/// Mean pooled feature of the images with the same answer.
fn class_means(pooled: &[Vec<f32>], log_probabilities: &[Vec<f64>]) -> Vec<Vec<f32>> {
    let mut by_class: BTreeMap<usize, (f32, Vec<f32>)> = BTreeMap::new();
    for (v, answer) in pooled.iter().zip(log_probabilities) {
        let class = (0..answer.len()).max_by(|&a, &b| answer[a].total_cmp(&answer[b]));
        let (count, sum) = by_class
            .entry(class.unwrap_or(0))
            .or_insert_with(|| (0.0, vec![0.0; v.len()]));
        *count += 1.0;
        sum.iter_mut().zip(v).for_each(|(s, x)| *s += x);
    }
    by_class
        .into_values()
        .map(|(count, sum)| sum.into_iter().map(|s| s / count).collect())
        .collect()
}

/// Signal-to-noise ratios of a whole stream that are tried \[dB\].
const SNR_DB: [f64; 18] = [
    0.5, 1.0, 1.5, 2.25, 3.0, 4.0, 5.0, 6.0, 7.5, 9.0, 10.5, 12.0, 14.0, 16.0, 20.0, 24.0, 28.0,
    32.0,
];
/// Shares of the missing energy (in decibels) that stand in for the restoration, which is trained last and picks what
/// moves the answer least.
const RESTORATIONS: [f64; 2] = [0.0, 0.5];
/// Most calibration images that are kept from fitting the bases.
const MOST_HELD_OUT: usize = 40;

/// The calibration images on which quality and restoration are chosen: the last ones, which no basis was fitted to.
/// At deep cuts a basis over thousands of channels explains the images that it was fitted to far better than others,
/// and would make a coarse step look good. With fewer than five images, all of them.
pub(super) fn held_out(images: usize) -> std::ops::Range<usize> {
    match MOST_HELD_OUT.min(images / 5) {
        0 => 0..images,
        held => images - held..images,
    }
}

/// Give every cut the least quality at which a whole stream leaves the network's answer alone: the mean divergence
/// KL(answer to the feature ‖ answer to the coded feature) is at most `limit` nat on images held out from the bases,
/// with the better of the two stand-ins for the restoration. By bisection over [`SNR_DB`].
fn choose_quality(
    job: &Job,
    trainers: &mut [Trainer],
    sums: &[Accumulator],
    limit: f64,
    progress: &(dyn Fn(Step) + Sync),
) -> Result<(), ProfilerError> {
    let judged = held_out(job.calibration.len());
    let images = judged.len();
    let rounds = SNR_DB.len().ilog2() as u64 + 1;
    progress(Step::Begin("choosing quality", images as u64 * rounds, 0));
    let mut range: Vec<(usize, usize)> = trainers.iter().map(|_| (0, SNR_DB.len() - 1)).collect();
    while range.iter().any(|(low, high)| low < high) {
        let tried: Vec<usize> = range.iter().map(|(low, high)| (low + high) / 2).collect();
        let mut divergence = vec![[0.0; RESTORATIONS.len()]; trainers.len()];
        ordered_fold(
            job.threads,
            images,
            |i| {
                let picture = job.picture(&job.calibration[judged.start + i])?;
                let (features, scores) = job.features(&picture)?;
                let whole = log_probabilities(&scores.data);
                let mut found = vec![[0.0; RESTORATIONS.len()]; features.len()];
                for (c, feature) in features.iter().enumerate() {
                    if range[c].0 == range[c].1 {
                        continue;
                    }
                    for (found, restored) in found[c].iter_mut().zip(RESTORATIONS) {
                        let snr_db = SNR_DB[tried[c]];
                        let Some(data) =
                            trainers[c].degrade(&sums[c], snr_db, restored, &feature.data)
                        else {
                            continue;
                        };
                        let coded = Tensor {
                            shape: feature.shape.clone(),
                            data,
                        };
                        let cut = &job.cuts[c].name;
                        let scores = job.engine.run(cut, &coded, job.graph.output_name())?;
                        *found = divergence_nats(&whole, &log_probabilities(&scores.data));
                    }
                }
                Ok::<_, ProfilerError>(found)
            },
            |_, found| {
                for (total, d) in divergence.iter_mut().flatten().zip(found.iter().flatten()) {
                    *total += d / images as f64;
                }
                progress(Step::Advance(1));
            },
        )?;
        for (c, (low, high)) in range.iter_mut().enumerate() {
            if low < high {
                if divergence[c].iter().any(|&d| d <= limit) {
                    *high = tried[c];
                } else {
                    *low = tried[c] + 1;
                }
            }
        }
    }
    for (trainer, (chosen, _)) in trainers.iter_mut().zip(range) {
        trainer.set_snr_db(SNR_DB[chosen]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_held_out_when_there_are_enough() {
        assert_eq!(held_out(4), 0..4);
        assert_eq!(held_out(5), 4..5);
        assert_eq!(held_out(300), 260..300);
    }
}
