//! Intervals: the two-level bootstrap of `enachi_sim::bootstrap`, for accuracy and energy, over clusters that are
//! counted already.

use super::tally::{Cell, PolicyTally};
use enachi_sim::bootstrap::{Bootstrap, Design, Ratios, Replicates, resample};
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
///
/// Frames of a curve-only profile hang together by the energy queue, which frames drawn one by one would overlook: there
/// the uncertainty of energies is that of the seeds, unless there is only one.
pub fn estimates(
    tallies: &[PolicyTally],
    cells: impl Fn(&PolicyTally) -> &[Cell] + Sync,
    design: Design,
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
    let bootstrap = Bootstrap::new(design, seed, replicates, seeds);
    let draws = Draws::new(seed);
    let of = |tally: &PolicyTally| {
        let cells = cells(tally);
        let all = weighted(cells, seeds, &vec![1; clusters]);
        let drawn: Vec<Vec<Cell>> = (0..replicates)
            .into_par_iter()
            .map_init(
                || vec![0u8; clusters],
                |weights, replicate| {
                    resample(&draws, replicate, 1, weights);
                    weighted(cells, seeds, weights)
                },
            )
            .collect();
        let ratio = |of: fn(&Cell) -> (f64, f64)| {
            let by_seed = all.iter().enumerate().map(|(seed, cell)| Ratios {
                top: of(cell).0,
                bottom: of(cell).1,
                drawn: drawn.iter().map(|row| of(&row[seed])).collect(),
            });
            bootstrap.ratio(&by_seed.collect::<Vec<_>>())
        };
        let energy = |cell: &Cell| (cell.energy_j, cell.frames);
        let energy_j = if design == Design::Nested && seeds > 1 {
            let means = all.iter().map(energy);
            bootstrap.mean(&means.map(|(sum, n)| sum / n.max(1.0)).collect::<Vec<_>>())
        } else {
            ratio(energy)
        };
        [ratio(|cell| (cell.right, cell.tasks)), energy_j]
    };
    let drawn: Vec<[Replicates; 2]> = tallies.iter().map(of).collect();
    let estimate = |of: &Replicates| {
        let [low, high] = bootstrap.interval(of).unwrap_or([of.value; 2]);
        Estimate {
            value: of.value,
            low,
            high,
        }
    };
    drawn
        .iter()
        .map(|[accuracy, energy_j]| Estimates {
            accuracy: estimate(accuracy),
            energy_j: estimate(energy_j),
            accuracy_difference: estimate(&accuracy.less(&drawn[0][0])),
            energy_difference_j: estimate(&energy_j.less(&drawn[0][1])),
        })
        .collect()
}

/// Sums of each seed where every cluster counts as often as it was drawn.
fn weighted(cells: &[Cell], seeds: usize, weights: &[u8]) -> Vec<Cell> {
    let mut sums = vec![Cell::default(); seeds];
    for (row, &weight) in cells.chunks(seeds).zip(weights) {
        if weight > 0 {
            for (sum, cell) in sums.iter_mut().zip(row) {
                sum.add_times(f64::from(weight), cell);
            }
        }
    }
    sums
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
        estimates(
            tallies,
            |t| t.cells.as_slice(),
            Design::Crossed,
            seeds,
            1,
            2000,
        )
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

    #[test]
    fn energies_on_curves_are_as_uncertain_as_their_seeds() {
        // Frames swing between 0 and 1 J, and the means of the seeds lie at 0.49 and 0.51 J.
        let cell = |i: u32| Cell {
            frames: 1.0,
            tasks: 1.0,
            right: 1.0,
            energy_j: f64::from(i / 2 % 2) + if i.is_multiple_of(2) { 0.01 } else { -0.01 },
        };
        let tallies = [tally((0..400).map(cell).collect())];
        let found = estimates(&tallies, |t| &t.cells, Design::Nested, 2, 1, 2000);
        let energy = found[0].energy_j;
        // Both seeds the same, drawn with one of two chances, is the farthest that means go: 0.01·√2.
        assert!((energy.value - 0.5).abs() < 1e-12);
        for (end, sign) in [(energy.low, -1.0), (energy.high, 1.0)] {
            assert!(
                (end - 0.5 - sign * 0.01 * 2f64.sqrt()).abs() < 1e-9,
                "{energy:?}"
            );
        }
    }
}
