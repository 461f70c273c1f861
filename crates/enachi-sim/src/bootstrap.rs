//! Intervals by a two-level bootstrap, in two halves that meet late.
//!
//! [`ClusterWeights::sketch`] does the first level, clusters drawn with replacement, for the device-frames of one policy in one
//! seed and keeps two whole numbers per replicate; [`Bootstrap::accuracy`] does the second over the sketches of all seeds. So
//! a seed's records can be forgotten as soon as it has run, and the order in which seeds are added up cannot matter. All
//! policies share the replicates, so differences between them ([`Replicates::less`]) are paired.
//!
//! What a cluster is, and how it belongs to seeds, is the [`Design`]:
//!
//! * On measured profiles every seed meets the same images. Images and seeds are drawn each by themselves; a device-frame
//!   counts as often as its image times its seed was drawn.
//! * On curve-only profiles seeds share nothing, so frames are drawn within each seed. To draw the seeds as well and no more
//!   would count the luck of tasks twice, as the mean of a seed varies by it already: the standard error would be √2 too large. So
//!   the seeds' means are drawn shrunk towards their mean until the variance of a replicate is right (Davison and Hinkley,
//!   *Bootstrap Methods and their Application*, 1997, section 3.8): what seeds differ by more than their tasks explain counts,
//!   and counts once.

use crate::rng::{Draws, Purpose};
use serde::{Deserialize, Serialize};

/// Weights that are kept rather than drawn again for every sketch \[bytes\].
const KEPT_BYTES: usize = 64 << 20;

/// Right answers and device-frames of every cluster (image or frame) in one seed.
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

    /// Right answers.
    pub fn right(&self) -> u64 {
        self.right.iter().map(|right| u64::from(*right)).sum()
    }

    /// Device-frames.
    pub fn count(&self) -> u64 {
        self.count.iter().map(|count| u64::from(*count)).sum()
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
        // As many draws as clusters, whatever they are: where all clusters are equally large, nothing is to be added up.
        let size = tally.count.first().copied().unwrap_or(0);
        let even = tally.count.iter().all(|count| *count == size);
        // One answer per cluster at most, as on curves with one device, needs no multiplication.
        let single = tally.right.iter().all(|right| *right <= 1);
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
        if even {
            let total = self.clusters as u64 * u64::from(size);
            sketch.count.push(total);
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
            sketch.right.push(if single {
                masked_sum(row, &mask)
            } else {
                weighted_sum(row, &tally.right)
            });
            if !even {
                sketch.count.push(weighted_sum(row, &tally.count));
            }
        }
        sketch
    }
}

/// How clusters belong to seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Design {
    /// Every seed meets the same clusters: images.
    Crossed,
    /// Every seed has clusters of its own: frames, on a curve-only profile.
    Nested,
}

/// Second level: the seeds of a run and how they are drawn.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    design: Design,
    replicates: usize,
    seeds: usize,
    /// Row-major `replicates × seeds`: how often each seed is drawn.
    weights: Vec<u8>,
}

impl Bootstrap {
    /// Of `seeds` seeds, the first of which is `seed`.
    pub fn new(design: Design, seed: u64, replicates: u32, seeds: usize) -> Self {
        let draws = Draws::new(seed);
        let mut weights = vec![0; replicates as usize * seeds];
        for (replicate, row) in weights.chunks_exact_mut(seeds.max(1)).enumerate() {
            resample(&draws, replicate as u32, 0, row);
        }
        Self {
            design,
            replicates: replicates as usize,
            seeds,
            weights,
        }
    }

    /// The accuracy in every replicate, from the right answers, the tasks and the sketch of each seed, in their order.
    ///
    /// # Panics
    /// When there is not one of them per seed.
    pub fn accuracy(&self, seeds: &[(u64, u64, &Sketch)]) -> Replicates {
        assert_eq!(seeds.len(), self.seeds, "seeds");
        let ratios = seeds.iter().map(|(right, count, sketch)| Ratios {
            top: *right as f64,
            bottom: *count as f64,
            drawn: (0..self.replicates)
                .map(|at| (sketch.right[at] as f64, sketch.count(at) as f64))
                .collect(),
        });
        self.ratio(&ratios.collect::<Vec<_>>())
    }

    /// A sum over a sum, in every replicate, from those of each seed.
    ///
    /// # Panics
    /// When there is not one of them per seed.
    pub fn ratio(&self, seeds: &[Ratios]) -> Replicates {
        assert_eq!(seeds.len(), self.seeds, "seeds");
        let sum = |of: &dyn Fn(&Ratios) -> f64| seeds.iter().map(of).sum::<f64>();
        let bottom = sum(&|seed| seed.bottom);
        let value = per(sum(&|seed| seed.top), bottom);
        if self.design == Design::Crossed {
            let rows = (0..self.replicates).map(|at| {
                let weights = self.row(at).iter().map(|weight| f64::from(*weight));
                let (mut top, mut bottom) = (0.0, 0.0);
                for (seed, weight) in seeds.iter().zip(weights) {
                    top += weight * seed.drawn[at].0;
                    bottom += weight * seed.drawn[at].1;
                }
                per(top, bottom)
            });
            return Replicates {
                value,
                drawn: rows.collect(),
                means: Vec::new(),
            };
        }
        let mean = |seed: &Ratios| match seed.bottom > 0.0 {
            true => seed.top / seed.bottom,
            false => value,
        };
        let mut drawn = vec![value; self.replicates];
        for (number, seed) in seeds.iter().enumerate() {
            // Weights of clusters are kept once for all seeds; other rows of them for every seed make seeds independent.
            let from = number * self.replicates / self.seeds;
            let (share, mean) = (per(seed.bottom, bottom), mean(seed));
            for (at, drawn) in drawn.iter_mut().enumerate() {
                let (top, bottom) = seed.drawn[(at + from) % self.replicates];
                if bottom > 0.0 {
                    *drawn += share * (top / bottom - mean);
                }
            }
        }
        Replicates {
            value,
            drawn,
            means: seeds.iter().map(mean).collect(),
        }
    }

    /// What has one value per seed and no more. Its only uncertainty is that of the seeds.
    ///
    /// # Panics
    /// When there is not one value per seed.
    pub fn mean(&self, values: &[f64]) -> Replicates {
        assert_eq!(values.len(), self.seeds, "seeds");
        Replicates {
            value: per(values.iter().sum(), values.len() as f64),
            drawn: Vec::new(),
            means: values.to_vec(),
        }
    }

    /// 95 % interval of `of`; `None` where one seed says nothing about it.
    pub fn interval(&self, of: &Replicates) -> Option<[f64; 2]> {
        match (of.means.as_slice(), of.drawn.as_slice()) {
            ([] | [_], []) => None,
            ([] | [_], drawn) => Some(interval(drawn.to_vec())),
            (means, drawn) => {
                let n = means.len() as f64;
                let centre = means.iter().sum::<f64>() / n;
                let squares: f64 = means.iter().map(|mean| (mean - centre).powi(2)).sum();
                // Variance of a seed's mean, all in all and by its clusters alone.
                let (all, within) = (squares / (n - 1.0), n * variance(drawn));
                // n - 1 of n as in any variance from as many values.
                let shrink = if all > within {
                    ((1.0 - within / all) * n / (n - 1.0)).sqrt()
                } else {
                    0.0
                };
                let values = (0..self.replicates).map(|at| {
                    let weights = self.row(at).iter().zip(means);
                    let seeds: f64 = weights
                        .map(|(weight, mean)| f64::from(*weight) * (mean - centre))
                        .sum();
                    drawn.get(at).copied().unwrap_or(of.value) + shrink * seeds / n
                });
                Some(interval(values.collect()))
            }
        }
    }

    fn row(&self, replicate: usize) -> &[u8] {
        &self.weights[replicate * self.seeds..(replicate + 1) * self.seeds]
    }
}

/// Two sums of a seed whose ratio is of interest: over everything, and in every replicate of the clusters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratios {
    /// What is divided.
    pub top: f64,
    /// By what.
    pub bottom: f64,
    /// The same in every replicate.
    pub drawn: Vec<(f64, f64)>,
}

/// A figure over everything, and in every replicate as far as clusters go.
#[derive(Clone, Debug, PartialEq)]
pub struct Replicates {
    /// The figure.
    pub value: f64,
    /// With clusters drawn, and seeds where `means` is empty; empty where there are no clusters.
    drawn: Vec<f64>,
    /// By seed, where seeds are yet to be drawn.
    means: Vec<f64>,
}

impl Replicates {
    /// This less `other`, paired. Both must come from the same [`Bootstrap`] and be of one kind.
    pub fn less(&self, other: &Self) -> Self {
        let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        Self {
            value: self.value - other.value,
            drawn: less(&self.drawn, &other.drawn),
            means: less(&self.means, &other.means),
        }
    }
}

fn per(sum: f64, count: f64) -> f64 {
    if count > 0.0 { sum / count } else { 0.0 }
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let centre = per(values.iter().sum(), n);
    per(values.iter().map(|v| (v - centre).powi(2)).sum(), n)
}

/// 2.5 % and 97.5 % quantiles, each as far from its end.
fn interval(mut values: Vec<f64>) -> [f64; 2] {
    let last = values.len().saturating_sub(1);
    let low = (0.025 * last as f64).round() as usize;
    [low, last - low].map(|index| match values.get(index) {
        Some(_) => *values.select_nth_unstable_by(index, f64::total_cmp).1,
        None => 0.0,
    })
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
            let right = |tasks: &Vec<(usize, bool)>| tasks.iter().filter(|task| task.1).count();
            let seeds: Vec<(u64, u64, &Sketch)> = tasks
                .iter()
                .zip(&sketches)
                .map(|(tasks, sketch)| (right(tasks) as u64, tasks.len() as u64, sketch))
                .collect();
            let found = Bootstrap::new(Design::Crossed, 5, 40, 4).accuracy(&seeds);
            for (replicate, accuracy) in found.drawn.into_iter().enumerate() {
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

    const SEEDS: usize = 10;
    const FRAMES: usize = 300;
    const REPLICATES: u32 = 400;

    /// Two policies on a curve-only profile, `SEEDS` seeds of `FRAMES` tasks. The first is right with probability 0.75 and what is
    /// `luck` of the seed; the second is wrong in one of eight of the tasks in which the first is right.
    fn world(number: u32, luck: f64, weights: &ClusterWeights) -> [Vec<(u64, u64, Sketch)>; 2] {
        let draws = Draws::new(1000 + u64::from(number));
        let mut found = [Vec::new(), Vec::new()];
        for seed in 0..SEEDS as u32 {
            // Uniform with a standard deviation of 1.
            let shift = (draws.uniform(Purpose::Placement, seed, 0, 0) - 0.5) * 12f64.sqrt() * luck;
            let mut tallies = [ClusterTally::new(FRAMES), ClusterTally::new(FRAMES)];
            for frame in 0..FRAMES as u32 {
                let first = draws.uniform(Purpose::Task, seed, frame, 0) < 0.75 + shift;
                let second = first && draws.uniform(Purpose::Task, seed, frame, 1) > 0.125;
                tallies[0].add(frame as usize, first);
                tallies[1].add(frame as usize, second);
            }
            for (policy, tally) in found.iter_mut().zip(&tallies) {
                policy.push((tally.right(), FRAMES as u64, weights.sketch(tally)));
            }
        }
        found
    }

    /// Share of 300 worlds in which the interval holds the truth, and its mean width, of the first policy's accuracy and of the
    /// difference to the second.
    fn coverage(luck: f64) -> [(f64, f64); 2] {
        const WORLDS: u32 = 300;
        let weights = ClusterWeights::new(9, REPLICATES, FRAMES);
        let bootstrap = Bootstrap::new(Design::Nested, 9, REPLICATES, SEEDS);
        let mut found = [(0.0, 0.0); 2];
        for number in 0..WORLDS {
            let [first, second] = world(number, luck, &weights).map(|seeds| {
                let seeds: Vec<_> = seeds
                    .iter()
                    .map(|(r, n, sketch)| (*r, *n, sketch))
                    .collect();
                bootstrap.accuracy(&seeds)
            });
            let figures = [(first.clone(), 0.75), (first.less(&second), 0.75 / 8.0)];
            for (found, (figure, truth)) in found.iter_mut().zip(figures) {
                let [low, high] = bootstrap.interval(&figure).expect("ten seeds");
                found.0 += f64::from(u8::from(low <= truth && truth <= high)) / f64::from(WORLDS);
                found.1 += (high - low) / f64::from(WORLDS);
            }
        }
        found
    }

    #[test]
    fn seeds_that_share_nothing_have_intervals_of_the_binomial_width() {
        let n = (SEEDS * FRAMES) as f64;
        // A right answer lost in 3 of 32 tasks, never one won.
        let analytic = [0.75f64 * 0.25, 0.75 / 8.0 * (1.0 - 0.75 / 8.0)]
            .map(|variance| 2.0 * 1.96 * (variance / n).sqrt());
        for ((covered, width), analytic) in coverage(0.0).into_iter().zip(analytic) {
            // Seeds that differ by chance alone look different by more than chance in every second world: 8 % of width.
            assert!((0.93..=0.985).contains(&covered), "{covered}");
            let wider = width / analytic;
            assert!((0.99..=1.12).contains(&wider), "{wider}");
        }
    }

    #[test]
    fn what_seeds_differ_by_counts_once() {
        let n = (SEEDS * FRAMES) as f64;
        let luck = 0.05;
        let variance = luck * luck / SEEDS as f64 + (0.75 * 0.25 - luck * luck) / n;
        let [(covered, width), _] = coverage(luck);
        let wider = width / (2.0 * 1.96 * variance.sqrt());
        // Ten seeds tell their own spread to a quarter, and percentiles make no allowance for that.
        assert!((0.88..=0.97).contains(&covered), "{covered}");
        assert!((0.92..=1.04).contains(&wider), "{wider}");
    }

    #[test]
    fn one_seed_says_what_its_tasks_say() {
        // 2000 tasks of their own, right with probability 0.8: a standard error of √(0.16/2000).
        let draws = Draws::new(1);
        let mut tally = ClusterTally::new(2000);
        for task in 0..2000 {
            let right = draws.uniform(Purpose::Task, 0, task, 0) < 0.8;
            tally.add(task as usize, right);
        }
        let sketch = ClusterWeights::new(9, 2000, 2000).sketch(&tally);
        let expected = 2.0 * 1.96 * (0.16f64 / 2000.0).sqrt();
        for design in [Design::Crossed, Design::Nested] {
            let bootstrap = Bootstrap::new(design, 9, 2000, 1);
            let [low, high] = bootstrap
                .interval(&bootstrap.accuracy(&[(tally.right(), 2000, &sketch)]))
                .expect("tasks");
            let wider = (high - low) / expected;
            assert!((wider - 1.0).abs() < 0.1, "{low} {high} {expected}");
            // A mean energy has one value per seed: nothing is known of its spread.
            assert_eq!(bootstrap.interval(&bootstrap.mean(&[0.25])), None);
        }
    }

    #[test]
    fn a_mean_of_seeds_is_as_uncertain_as_theory_says() {
        let values: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 20)).collect();
        // Variance of 0..20 over 19, of a mean of 20.
        let expected = 2.0 * 1.96 * (35.0f64 / 20.0).sqrt();
        let bootstrap = Bootstrap::new(Design::Nested, 3, 4000, 20);
        let figure = bootstrap.mean(&values);
        let [low, high] = bootstrap.interval(&figure).expect("20 seeds");
        assert!(((high - low) / expected - 1.0).abs() < 0.06, "{low} {high}");
        assert!((figure.value - 9.5).abs() < 1e-12);
    }
}
