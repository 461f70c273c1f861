//! Two-level bootstrap of an accuracy, clustered by image, in two halves that meet late.
//!
//! A replicate draws images with replacement and seeds with replacement; a device-frame counts as often as its image
//! times its seed was drawn. [`ClusterWeights::sketch`] does the first level for the device-frames of one policy in one seed
//! and keeps two whole numbers per replicate; [`accuracies`] does the second over the sketches of all seeds. So a seed's
//! records can be forgotten as soon as it has run, and the order in which seeds are added up cannot matter. All policies share
//! the replicates, so differences between them are paired. On a curve-only profile a task (device, frame) takes the place of
//! the image.

use crate::rng::{Draws, Purpose};
use serde::{Deserialize, Serialize};

/// Weights that are kept rather than drawn again for every sketch \[bytes\].
const KEPT_BYTES: usize = 64 << 20;

/// Right answers and device-frames of every cluster (image) in one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterTally {
    right: Vec<u32>,
    count: Vec<u32>,
}

impl ClusterTally {
    /// Nothing counted in `clusters` clusters.
    pub fn new(clusters: usize) -> Self {
        Self {
            right: vec![0; clusters],
            count: vec![0; clusters],
        }
    }

    /// Count a device-frame.
    ///
    /// # Panics
    /// When `cluster` is not below the number of clusters.
    #[inline]
    pub fn add(&mut self, cluster: usize, right: bool) {
        self.right[cluster] += u32::from(right);
        self.count[cluster] += 1;
    }
}

/// First level, done: right answers and device-frames of one seed in every replicate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// Right answers.
    pub right: Vec<u64>,
    /// Device-frames; a single entry where all are equal.
    pub count: Vec<u64>,
}

impl Sketch {
    fn count(&self, replicate: usize) -> u64 {
        match self.count.as_slice() {
            [all] => *all,
            counts => counts[replicate],
        }
    }
}

/// How often each cluster is drawn in each replicate.
#[derive(Clone, Debug)]
pub struct ClusterWeights {
    draws: Draws,
    replicates: u32,
    clusters: usize,
    /// Row-major `replicates × clusters`; empty where that would be too large.
    kept: Vec<u8>,
}

impl ClusterWeights {
    /// Weights of `clusters` clusters in `replicates` replicates of the scenario whose first seed is `seed`.
    pub fn new(seed: u64, replicates: u32, clusters: usize) -> Self {
        let mut weights = Self {
            draws: Draws::new(seed),
            replicates,
            clusters,
            kept: Vec::new(),
        };
        let size = clusters.saturating_mul(replicates as usize);
        if size <= KEPT_BYTES && clusters > 0 {
            let mut kept = vec![0; size];
            for (replicate, row) in kept.chunks_exact_mut(clusters).enumerate() {
                resample(&weights.draws, replicate as u32, 1, row);
            }
            weights.kept = kept;
        }
        weights
    }

    /// First level of the bootstrap.
    ///
    /// # Panics
    /// When `tally` has another number of clusters.
    pub fn sketch(&self, tally: &ClusterTally) -> Sketch {
        assert_eq!(tally.right.len(), self.clusters, "clusters");
        // One task per cluster, as on curves, needs no multiplication.
        let single = tally.count.iter().all(|count| *count == 1);
        let mask: Vec<u8> = if single {
            tally
                .right
                .iter()
                .map(|right| 0u8.wrapping_sub(*right as u8))
                .collect()
        } else {
            Vec::new()
        };
        let mut sketch = Sketch {
            right: Vec::with_capacity(self.replicates as usize),
            count: Vec::new(),
        };
        if single {
            // As many draws as clusters, whatever they are.
            sketch.count.push(self.clusters as u64);
        }
        let mut drawn = vec![
            0;
            if self.kept.is_empty() {
                self.clusters
            } else {
                0
            }
        ];
        for replicate in 0..self.replicates {
            let row = if self.kept.is_empty() {
                resample(&self.draws, replicate, 1, &mut drawn);
                &drawn[..]
            } else {
                let first = replicate as usize * self.clusters;
                &self.kept[first..first + self.clusters]
            };
            if single {
                sketch.right.push(masked_sum(row, &mask));
            } else {
                sketch.right.push(weighted_sum(row, &tally.right));
                sketch.count.push(weighted_sum(row, &tally.count));
            }
        }
        sketch
    }
}

/// Second level: the accuracy in every replicate, from one sketch per seed, in the order of the seeds. `seed` is the
/// scenario's first.
pub fn accuracies(seed: u64, replicates: u32, sketches: &[Sketch]) -> Vec<f64> {
    let draws = Draws::new(seed);
    let mut weight = vec![0u8; sketches.len()];
    (0..replicates)
        .map(|replicate| {
            resample(&draws, replicate, 0, &mut weight);
            let (mut right, mut count) = (0u64, 0u64);
            for (sketch, weight) in sketches.iter().zip(&weight) {
                right += u64::from(*weight) * sketch.right[replicate as usize];
                count += u64::from(*weight) * sketch.count(replicate as usize);
            }
            if count > 0 {
                right as f64 / count as f64
            } else {
                0.0
            }
        })
        .collect()
}

/// Means over seeds drawn with replacement, one per replicate, of what has one value per seed. Shares its draws with
/// [`accuracies`].
pub fn seed_means(seed: u64, replicates: u32, values: &[f64]) -> Vec<f64> {
    let draws = Draws::new(seed);
    let mut weight = vec![0u8; values.len()];
    let n = values.len().max(1) as f64;
    (0..replicates)
        .map(|replicate| {
            resample(&draws, replicate, 0, &mut weight);
            let weighted = values
                .iter()
                .zip(&weight)
                .map(|(value, weight)| value * f64::from(*weight));
            weighted.sum::<f64>() / n
        })
        .collect()
}

/// 2.5 % and 97.5 % quantiles.
pub fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| {
        let index = (q * (values.len().max(1) - 1) as f64).round() as usize;
        values.get(index).copied().unwrap_or(0.0)
    };
    [at(0.025), at(0.975)]
}

/// How often each of `weights.len()` items is drawn in as many draws with replacement. More than 255 times out of n draws
/// is less likely than 1e-500 and counts as 255. `level` 0 draws seeds, 1 clusters.
pub fn resample(draws: &Draws, replicate: u32, level: u32, weights: &mut [u8]) {
    weights.fill(0);
    let n = weights.len();
    for block in 0..n.div_ceil(4) {
        let words = draws.block(Purpose::Bootstrap, level, replicate, block as u32);
        for word in words.iter().take(n - block * 4) {
            // Multiply-shift: uniform over 0..n up to n/2^32.
            let weight = &mut weights[((u64::from(*word) * n as u64) >> 32) as usize];
            *weight = weight.saturating_add(1);
        }
    }
}

/// Σ of the bytes of `row` that `mask` (0 or 255) keeps.
fn masked_sum(row: &[u8], mask: &[u8]) -> u64 {
    let mut sum = 0;
    for (row, mask) in row.chunks(4096).zip(mask.chunks(4096)) {
        // At most 4096·255, so 32 bits do.
        let part: u32 = row
            .iter()
            .zip(mask)
            .map(|(weight, mask)| u32::from(weight & mask))
            .sum();
        sum += u64::from(part);
    }
    sum
}

fn weighted_sum(row: &[u8], values: &[u32]) -> u64 {
    let products = row.iter().zip(values);
    products
        .map(|(weight, value)| u64::from(*weight) * u64::from(*value))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, device-frame by device-frame.
    fn literal(seed: u64, replicate: u32, tasks: &[Vec<(usize, bool)>], clusters: usize) -> f64 {
        let draws = Draws::new(seed);
        let (mut by_seed, mut by_cluster) = (vec![0; tasks.len()], vec![0; clusters]);
        resample(&draws, replicate, 0, &mut by_seed);
        resample(&draws, replicate, 1, &mut by_cluster);
        let (mut right, mut count) = (0.0, 0.0);
        for (tasks, seed_weight) in tasks.iter().zip(&by_seed) {
            for (cluster, correct) in tasks {
                let weight = f64::from(*seed_weight) * f64::from(by_cluster[*cluster]);
                right += weight * f64::from(u8::from(*correct));
                count += weight;
            }
        }
        right / count
    }

    #[test]
    fn two_halves_are_the_whole() {
        let draws = Draws::new(77);
        // Once with images that come up again and again, once with one task per cluster.
        for (clusters, tasks_per_seed) in [(37, 500), (5003, 5003)] {
            let tasks: Vec<Vec<(usize, bool)>> = (0..4)
                .map(|seed| {
                    let task = |i: u32| {
                        let [a, b, ..] = draws.block(Purpose::Task, seed, i, 0);
                        let cluster = if clusters == 37 {
                            a as usize % clusters
                        } else {
                            i as usize
                        };
                        (cluster, b % 3 > 0)
                    };
                    (0..tasks_per_seed).map(task).collect()
                })
                .collect();
            let weights = ClusterWeights::new(5, 40, clusters);
            let mut forgetful = weights.clone();
            forgetful.kept = Vec::new();
            let sketches: Vec<Sketch> = tasks
                .iter()
                .map(|tasks| {
                    let mut tally = ClusterTally::new(clusters);
                    tasks
                        .iter()
                        .for_each(|(cluster, right)| tally.add(*cluster, *right));
                    let sketch = weights.sketch(&tally);
                    assert_eq!(sketch, forgetful.sketch(&tally));
                    sketch
                })
                .collect();
            for (replicate, accuracy) in accuracies(5, 40, &sketches).into_iter().enumerate() {
                assert_eq!(accuracy, literal(5, replicate as u32, &tasks, clusters));
            }
        }
    }

    #[test]
    fn every_replicate_draws_as_often_as_there_are_items() {
        let mut weights = vec![0; 1001];
        for replicate in 0..20 {
            resample(&Draws::new(3), replicate, 1, &mut weights);
            assert_eq!(weights.iter().map(|w| u32::from(*w)).sum::<u32>(), 1001);
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_theory_says() {
        // 2000 tasks of their own in one seed, right with probability 0.8: a standard error of √(0.16/2000).
        let draws = Draws::new(1);
        let mut tally = ClusterTally::new(2000);
        for task in 0..2000 {
            let right = draws.uniform(Purpose::Task, 0, task, 0) < 0.8;
            tally.add(task as usize, right);
        }
        let sketch = ClusterWeights::new(9, 2000, 2000).sketch(&tally);
        let [low, high] = interval(accuracies(9, 2000, &[sketch]));
        let expected = 2.0 * 1.96 * (0.16f64 / 2000.0).sqrt();
        assert!(
            ((high - low) / expected - 1.0).abs() < 0.1,
            "{low} {high} {expected}"
        );
    }
}
