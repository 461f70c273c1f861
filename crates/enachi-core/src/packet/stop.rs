//! When the edge tells a device to stop: never, on an entropy threshold, or on the marginal value of more bits.

use super::marginal::ContinuationTable;
use super::replay::Arrivals;

/// Decides at a checkpoint crossing whether the sender may stop.
///
/// A rule sees arrivals and uncertainty ([`Arrivals`]), never whether the answer is right.
pub trait StopRule {
    /// True to stop, having reached `checkpoint` (≥ 1).
    fn stop(&self, arrivals: &impl Arrivals, checkpoint: usize) -> bool;
}

/// Send everything, or until the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Never;

impl StopRule for Never {
    #[inline]
    fn stop(&self, _arrivals: &impl Arrivals, _checkpoint: usize) -> bool {
        false
    }
}

/// The paper's rule: stop once the entropy is at most H_th.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntropyThreshold {
    /// H_th \[nat\].
    pub threshold_nats: f64,
}

impl StopRule for EntropyThreshold {
    #[inline]
    fn stop(&self, arrivals: &impl Arrivals, checkpoint: usize) -> bool {
        arrivals.entropy_nats(checkpoint) <= self.threshold_nats
    }
}

/// Stop once no number of further bits is expected to be worth its energy: see [`ContinuationTable`].
#[derive(Clone, Copy, Debug)]
pub struct Marginal<'a> {
    table: &'a ContinuationTable,
    price_per_bit: f64,
}

impl<'a> Marginal<'a> {
    /// `price_per_bit` is what a bit costs in units of accuracy: Q·p̃·t_slot/(V·bits per slot).
    pub fn new(table: &'a ContinuationTable, price_per_bit: f64) -> Self {
        Self {
            table,
            price_per_bit,
        }
    }
}

impl StopRule for Marginal<'_> {
    #[inline]
    fn stop(&self, arrivals: &impl Arrivals, checkpoint: usize) -> bool {
        let entropy = arrivals.entropy_nats(checkpoint);
        !self
            .table
            .worth_continuing(checkpoint, entropy, self.price_per_bit)
    }
}
