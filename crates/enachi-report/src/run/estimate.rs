//! Intervals: the two-level bootstrap of `enachi_sim::bootstrap`, for accuracy and energy, over clusters that are
//! counted already.

use super::tally::{Cell, PolicyTally};
use enachi_sim::bootstrap::{interval, resample};
use enachi_sim::rng::Draws;
use rayon::prelude::*;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// Both ends and the figure, times `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            low: self.low * factor,
            high: self.high * factor,
        }
    }
}

/// What a policy achieved over some frames, and how it differs from the first policy in the same world.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimates {
    /// Share of right answers.
    pub accuracy: Estimate,
    /// Mean energy per device-frame \[J\].
    pub energy_j: Estimate,
    /// Accuracy less that of the first policy, paired.
    pub accuracy_difference: Estimate,
    /// Energy less that of the first policy, paired \[J\].
    pub energy_difference_j: Estimate,
}

/// Estimates of every policy, from the cells that `cells` picks. `seed` starts the draws; with the scenario's own and
/// clusters that are not bundled, the intervals of accuracy over all frames are those of `summary.json`.
pub fn estimates(
    tallies: &[PolicyTally],
    cells: impl Fn(&PolicyTally) -> &[Cell] + Sync,
    seeds: usize,
    seed: u64,
    replicates: u32,
) -> Vec<Estimates> {
    let seeds = seeds.max(1);
    let clusters = tallies
        .iter()
        .map(|t| cells(t).len().div_ceil(seeds))
        .max()
        .unwrap_or(0);
    let draws = Draws::new(seed);
    let replicas: Vec<Vec<[f64; 2]>> = (0..replicates)
        .into_par_iter()
        .map(|replicate| {
            let (mut seed_weight, mut cluster_weight) = (vec![0u8; seeds], vec![0u8; clusters]);
            resample(&draws, replicate, 0, &mut seed_weight);
            resample(&draws, replicate, 1, &mut cluster_weight);
            tallies
                .iter()
                .map(|t| weighted(cells(t), &seed_weight, &cluster_weight))
                .collect()
        })
        .collect();
    let ones = (vec![1u8; seeds], vec![1u8; clusters]);
    let plain: Vec<[f64; 2]> = tallies
        .iter()
        .map(|t| weighted(cells(t), &ones.0, &ones.1))
        .collect();
    let estimate = |policy: usize, which: usize, against: Option<usize>| {
        let of = |row: &[[f64; 2]]| {
            row[policy][which] - against.map_or(0.0, |against| row[against][which])
        };
        let [low, high] = interval(replicas.iter().map(|row| of(row)).collect());
        Estimate {
            value: of(&plain),
            low,
            high,
        }
    };
    (0..tallies.len())
        .map(|policy| Estimates {
            accuracy: estimate(policy, 0, None),
            energy_j: estimate(policy, 1, None),
            accuracy_difference: estimate(policy, 0, Some(0)),
            energy_difference_j: estimate(policy, 1, Some(0)),
        })
        .collect()
}

/// Mean accuracy and energy where cell (cluster, seed) counts as often as both were drawn.
fn weighted(cells: &[Cell], seed_weight: &[u8], cluster_weight: &[u8]) -> [f64; 2] {
    let mut sum = Cell::default();
    for (row, &cluster) in cells.chunks(seed_weight.len()).zip(cluster_weight) {
        if cluster == 0 {
            continue;
        }
        let mut inner = Cell::default();
        for (cell, &weight) in row.iter().zip(seed_weight) {
            inner.add_times(f64::from(weight), cell);
        }
        sum.add_times(f64::from(cluster), &inner);
    }
    let per = |value: f64, count: f64| if count > 0.0 { value / count } else { 0.0 };
    [per(sum.right, sum.tasks), per(sum.energy_j, sum.frames)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(cells: Vec<Cell>) -> PolicyTally {
        PolicyTally {
            cells,
            ..PolicyTally::default()
        }
    }

    fn run(tallies: &[PolicyTally], seeds: usize) -> Vec<Estimates> {
        estimates(tallies, |t| t.cells.as_slice(), seeds, 1, 2000)
    }

    #[test]
    fn one_seed_gives_the_binomial_interval_of_its_images() {
        // 400 images of one task each, 3 of 4 right: a normal interval of 1.96 √(0.75·0.25/400) = 0.0424 to each side.
        let cells = (0..400u32).map(|i| Cell {
            frames: 1.0,
            tasks: 1.0,
            right: f64::from(u8::from(i % 4 != 0)),
            energy_j: 0.5,
        });
        let estimates = run(&[tally(cells.collect())], 1);
        let accuracy = estimates[0].accuracy;
        assert!((accuracy.value - 0.75).abs() < 1e-12);
        assert!(
            (accuracy.high - accuracy.low - 0.0849).abs() < 0.006,
            "{accuracy:?}"
        );
        let energy = estimates[0].energy_j;
        assert!((energy.high - energy.low).abs() < 1e-12 && (energy.value - 0.5).abs() < 1e-12);
    }

    #[test]
    fn differences_are_paired() {
        // Both differ by exactly one joule and one answer in ten in every cell, whatever is drawn.
        let cell = |i: u32, right: f64, energy: f64| Cell {
            frames: 10.0,
            tasks: 10.0,
            right: f64::from(i % 7) + right,
            energy_j: f64::from(i % 5) * 10.0 + energy,
        };
        let first = tally((0..300).map(|i| cell(i, 0.0, 0.0)).collect());
        let second = tally((0..300).map(|i| cell(i, 1.0, 10.0)).collect());
        let estimates = run(&[first, second], 3);
        let (accuracy, energy) = (
            estimates[1].accuracy_difference,
            estimates[1].energy_difference_j,
        );
        for difference in [accuracy.scaled(10.0), energy] {
            for end in [difference.value, difference.low, difference.high] {
                assert!((end - 1.0).abs() < 1e-9, "{difference:?}");
            }
        }
        assert!(estimates[1].accuracy.high - estimates[1].accuracy.low > 0.01);
    }
}
