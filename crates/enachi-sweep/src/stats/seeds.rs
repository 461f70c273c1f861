//! The seeds of a policy at a point. Where some failed, its figures are those of the others, and it is compared with another policy
//! over the seeds that both have.

use super::{At, Drawn, settled_energy_j};
use crate::tally::Tally;
use enachi_sim::bootstrap::{Bootstrap, Replicates, Sketch};
use std::rc::Rc;

/// Tallies of the seeds that went well.
pub struct Seeds {
    /// Which, counted from the point's first, ascending.
    pub(super) numbers: Vec<usize>,
    /// Theirs, in the same order.
    pub(super) tallies: Vec<Tally>,
}

impl Seeds {
    /// Of tallies with the numbers of their seeds, ascending.
    pub fn new(found: Vec<(usize, Tally)>) -> Self {
        let (numbers, tallies) = found.into_iter().unzip();
        Self { numbers, tallies }
    }

    /// Seeds that `other` has, too.
    pub(super) fn common(&self, other: &Self) -> Vec<usize> {
        let shared = |number: &usize| other.numbers.binary_search(number).is_ok();
        self.numbers.iter().copied().filter(shared).collect()
    }
}

impl At<'_> {
    /// Replicates over those of `seeds` that are in `numbers`.
    pub(super) fn drawn<'a>(&self, seeds: &'a Seeds, numbers: &[usize]) -> Drawn<'a> {
        let own = seeds.numbers.iter().zip(&seeds.tallies);
        let tallies: Vec<&Tally> = own
            .filter(|(number, _)| numbers.binary_search(number).is_ok())
            .map(|(_, tally)| tally)
            .collect();
        let bootstrap = self.bootstrap(tallies.len());
        let sketches: Vec<(u64, u64, &Sketch)> = tallies
            .iter()
            .map(|tally| (tally.right, tally.tasks, &tally.sketch))
            .collect();
        let settled: Vec<f64> = tallies
            .iter()
            .map(|tally| settled_energy_j(tally))
            .collect();
        Drawn {
            seeds,
            accuracy: bootstrap.accuracy(&sketches),
            settled_j: bootstrap.mean(&settled),
            bootstrap,
        }
    }

    fn bootstrap(&self, seeds: usize) -> Rc<Bootstrap> {
        let of = self.plan;
        let make = || {
            Rc::new(Bootstrap::new(
                of.design,
                of.first_seed,
                of.replicates,
                seeds,
            ))
        };
        let mut known = self.bootstraps.borrow_mut();
        Rc::clone(known.entry(seeds).or_insert_with(make))
    }
}

impl Drawn<'_> {
    /// 95 % interval; nothing where a single seed cannot tell.
    pub(super) fn interval(&self, of: &Replicates) -> [f64; 2] {
        self.bootstrap.interval(of).unwrap_or([f64::NAN; 2])
    }
}
