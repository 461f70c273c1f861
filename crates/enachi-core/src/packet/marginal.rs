//! What further bits are worth to a sample, given how uncertain it is now: a table estimated from a profile.
//!
//! At checkpoint c the images are sorted by uncertainty into bins of equal size. For every bin and every later
//! checkpoint c′ the table holds the mean gain in right answers and the mean number of bits between the two. A
//! sample in the bin should go on if for some c′ the gain exceeds the price of the bits.

use crate::profile::{Samples, Uncertainty};

/// Bins of entropy at each checkpoint.
const BINS: usize = 8;

/// Expected gains of continuing, for one stream, estimated on a part of its images.
#[derive(Clone, Debug, PartialEq)]
pub struct ContinuationTable {
    checkpoints: usize,
    /// Upper entropy edges of all bins but the last, `checkpoints × (BINS − 1)`.
    edges: Vec<f64>,
    /// Steepest worth (gain in accuracy per bit) of any continuation, `checkpoints × BINS`.
    worth_per_bit: Vec<f64>,
}

impl ContinuationTable {
    /// Estimate from the rows of `samples` for which `use_image` holds, for rules that see `uncertainty`.
    ///
    /// Leave the image to be decided about out of its own table: see [`cross_fitted`].
    pub fn fit(
        samples: &Samples,
        uncertainty: Uncertainty,
        use_image: impl Fn(usize) -> bool,
    ) -> Self {
        let nats = samples.uncertainty_nats(uncertainty);
        let images: Vec<usize> = (0..samples.images).filter(|i| use_image(*i)).collect();
        let checkpoints = samples.checkpoints;
        let mut edges = Vec::with_capacity(checkpoints * (BINS - 1));
        let mut worth_per_bit = Vec::with_capacity(checkpoints * BINS);
        let mut order = images.clone();
        for c in 0..checkpoints {
            let entropy = |i: usize| nats[samples.at(i, c)];
            order.sort_by(|a, b| entropy(*a).total_cmp(&entropy(*b)).then(a.cmp(b)));
            let bin = |b: usize| &order[b * order.len() / BINS..(b + 1) * order.len() / BINS];
            for b in 0..BINS {
                if b + 1 < BINS {
                    let edge = bin(b)
                        .last()
                        .map_or(f64::NEG_INFINITY, |i| f64::from(entropy(*i)));
                    edges.push(edge);
                }
                let best = (c + 1..checkpoints)
                    .map(|later| worth(samples, bin(b), c, later))
                    .fold(0.0, f64::max);
                worth_per_bit.push(best);
            }
        }
        Self {
            checkpoints,
            edges,
            worth_per_bit,
        }
    }

    /// Whether some continuation from `checkpoint` gains more than `price_per_bit` per bit.
    #[inline]
    pub fn worth_continuing(
        &self,
        checkpoint: usize,
        entropy_nats: f64,
        price_per_bit: f64,
    ) -> bool {
        debug_assert!(checkpoint < self.checkpoints);
        let edges = &self.edges[checkpoint * (BINS - 1)..(checkpoint + 1) * (BINS - 1)];
        let bin = edges
            .iter()
            .take_while(|edge| entropy_nats > **edge)
            .count();
        self.worth_per_bit[checkpoint * BINS + bin] > price_per_bit
    }
}

/// Mean gain in right answers per mean bit of going from checkpoint `now` to `later`, over `images`.
fn worth(samples: &Samples, images: &[usize], now: usize, later: usize) -> f64 {
    let (mut gain, mut bits) = (0.0, 0.0);
    for &image in images {
        let (a, b) = (samples.at(image, now), samples.at(image, later));
        gain += f64::from(u8::from(samples.correct[b])) - f64::from(u8::from(samples.correct[a]));
        bits += f64::from(samples.bits[b]) - f64::from(samples.bits[a]);
    }
    if bits > 0.0 { gain / bits } else { 0.0 }
}

/// Two tables, fitted on the odd and on the even images: entry `image % 2` never saw the image itself.
pub fn cross_fitted(samples: &Samples, uncertainty: Uncertainty) -> [ContinuationTable; 2] {
    [
        ContinuationTable::fit(samples, uncertainty, |image| image % 2 == 1),
        ContinuationTable::fit(samples, uncertainty, |image| image % 2 == 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even-numbered pairs are certain and right from the start; the others turn right at the last checkpoint.
    fn samples() -> Samples {
        let images = 64;
        let mut s = Samples {
            images,
            checkpoints: 3,
            ..Samples::default()
        };
        for i in 0..images {
            let easy = i % 4 < 2;
            s.bits.extend([0, 100, 200]);
            s.top1.extend([0, 1, 1]);
            s.correct.extend([false, easy, true]);
            s.entropy_nats.extend(if easy {
                [5.0, 0.1, 0.05]
            } else {
                [5.0, 3.0, 1.0]
            });
        }
        s
    }

    #[test]
    fn certain_samples_stop_and_uncertain_ones_go_on_while_bits_are_cheap() {
        for table in cross_fitted(&samples(), Uncertainty::Tail) {
            assert!(!table.worth_continuing(1, 0.1, 1e-6));
            // 100 bits for one certain right answer: worth 0.01 per bit.
            assert!(table.worth_continuing(1, 3.0, 0.0099));
            assert!(!table.worth_continuing(1, 3.0, 0.0101));
            // Nothing comes after the last checkpoint.
            assert!(!table.worth_continuing(2, 9.0, 0.0));
        }
    }
    #[test]
    fn a_table_for_the_predictor_sorts_by_what_the_predictor_says() {
        // The predictor confuses nothing, but speaks of tenths where the tail speaks of nats.
        let mut s = samples();
        s.predicted_nats = s.entropy_nats.iter().map(|nats| nats / 10.0).collect();
        let [tail, _] = cross_fitted(&s, Uncertainty::Tail);
        let [predictor, _] = cross_fitted(&s, Uncertainty::Predictor);
        assert!(tail.worth_continuing(1, 3.0, 0.0099));
        assert!(!tail.worth_continuing(1, 0.1, 0.0099));
        assert!(predictor.worth_continuing(1, 0.3, 0.0099));
        assert!(!predictor.worth_continuing(1, 0.009, 0.0099));
    }
}
