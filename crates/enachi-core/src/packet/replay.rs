//! What one task's stream does when it arrives: bits and uncertainty at every checkpoint, replayed from measured
//! samples or drawn from the model for profiles that only have curves.
//!
//! Two traits keep knowledge apart: the slot loop and the stop rules see [`Arrivals`]; whether an answer is right is
//! in [`Scored`], which only the bookkeeping after the frame asks for.

use crate::profile::{Samples, Surrogate, Uncertainty};

/// Bits and uncertainty of one task at its checkpoints; checkpoint 0 is "nothing arrived".
pub trait Arrivals {
    /// Index of the last checkpoint: everything has arrived.
    fn last(&self) -> usize;
    /// Bits over the air after which checkpoint `checkpoint` is reached, non-decreasing, 0 at checkpoint 0.
    fn bits(&self, checkpoint: usize) -> f64;
    /// Uncertainty of the answer at the checkpoint, ENACHI (5) or a prediction of it \[nat\].
    fn entropy_nats(&self, checkpoint: usize) -> f64;
}

/// The truth about a task's answers.
pub trait Scored: Arrivals {
    /// Whether the answer at the checkpoint is right.
    fn correct(&self, checkpoint: usize) -> bool;
}

/// One image of a measured embedded stream.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredRow<'a> {
    bits: &'a [u32],
    entropy_nats: &'a [f32],
    correct: &'a [bool],
}

impl<'a> MeasuredRow<'a> {
    /// Row `image` of `samples`, with the uncertainty that the edge is taken to know.
    pub fn new(samples: &'a Samples, image: usize, uncertainty: Uncertainty) -> Self {
        let row = samples.at(image, 0)..samples.at(image, 0) + samples.checkpoints;
        Self {
            bits: &samples.bits[row.clone()],
            entropy_nats: &samples.uncertainty_nats(uncertainty)[row.clone()],
            correct: &samples.correct[row],
        }
    }
}

impl Arrivals for MeasuredRow<'_> {
    #[inline]
    fn last(&self) -> usize {
        self.bits.len() - 1
    }
    #[inline]
    fn bits(&self, checkpoint: usize) -> f64 {
        f64::from(self.bits[checkpoint])
    }
    #[inline]
    fn entropy_nats(&self, checkpoint: usize) -> f64 {
        f64::from(self.entropy_nats[checkpoint])
    }
}

impl Scored for MeasuredRow<'_> {
    #[inline]
    fn correct(&self, checkpoint: usize) -> bool {
        self.correct[checkpoint]
    }
}

/// One level of a ladder of alternatives: either all of its bits arrive, or the answer is the one for nothing sent.
#[derive(Clone, Copy, Debug)]
pub struct LevelRow {
    bits: f64,
    entropy_nats: [f64; 2],
    correct: [bool; 2],
}

impl LevelRow {
    /// Level `level` ≥ 1 of image `image`.
    pub fn new(samples: &Samples, image: usize, level: usize) -> Self {
        let (nothing, all) = (samples.at(image, 0), samples.at(image, level));
        Self {
            bits: f64::from(samples.bits[all]),
            entropy_nats: [nothing, all].map(|i| f64::from(samples.entropy_nats[i])),
            correct: [nothing, all].map(|i| samples.correct[i]),
        }
    }

    /// A tensor without samples and without a curve, sent as one piece of `bits`: a task of draw `u` is right with all
    /// of it if u ≤ `top1`, with nothing if u ≤ `floor`.
    pub fn whole(bits: f64, u: f64, floor: f64, top1: f64, entropy_max_nats: f64) -> Self {
        let settled = if u <= top1 { 0.0 } else { entropy_max_nats };
        Self {
            bits,
            entropy_nats: [entropy_max_nats, settled],
            correct: [u <= floor, u <= top1],
        }
    }
}

impl Arrivals for LevelRow {
    #[inline]
    fn last(&self) -> usize {
        1
    }
    #[inline]
    fn bits(&self, checkpoint: usize) -> f64 {
        if checkpoint == 0 { 0.0 } else { self.bits }
    }
    #[inline]
    fn entropy_nats(&self, checkpoint: usize) -> f64 {
        self.entropy_nats[checkpoint]
    }
}

impl Scored for LevelRow {
    #[inline]
    fn correct(&self, checkpoint: usize) -> bool {
        self.correct[checkpoint]
    }
}

/// The first `last` checkpoints of a stream: what a device sends that has decided to send no more.
#[derive(Clone, Copy, Debug)]
pub struct Prefix<A> {
    /// The stream.
    pub inner: A,
    /// Last checkpoint to send, at most the stream's own.
    pub last: usize,
}

impl<A: Arrivals> Arrivals for Prefix<A> {
    #[inline]
    fn last(&self) -> usize {
        self.last
    }
    #[inline]
    fn bits(&self, checkpoint: usize) -> f64 {
        self.inner.bits(checkpoint)
    }
    #[inline]
    fn entropy_nats(&self, checkpoint: usize) -> f64 {
        self.inner.entropy_nats(checkpoint)
    }
}

impl<A: Scored> Scored for Prefix<A> {
    #[inline]
    fn correct(&self, checkpoint: usize) -> bool {
        self.inner.correct(checkpoint)
    }
}

/// How a curve-only profile predicts uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurveUncertainty {
    /// Entropy far from the answer \[nat\].
    pub entropy_max_nats: f64,
    /// Standard deviation of the prediction error \[nat\].
    pub noise_nats: f64,
}

/// One task of a curve-only profile: a draw U ~ Uniform(0,1) decides at which fraction β* = Â⁻¹(U) the answer becomes
/// right, and the predicted entropy falls linearly to zero there.
///
/// One checkpoint per map. `N` supplies the prediction error, a standard normal per checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct CurveRow<N> {
    required_fraction: f64,
    maps: usize,
    map_bits: f64,
    model: CurveUncertainty,
    noise: N,
}

impl<N: Fn(usize) -> f64> CurveRow<N> {
    /// A task with draw `u` in (0,1) on `surrogate`, sent as `maps` chunks of `map_bits` bits each.
    pub fn new(
        surrogate: &Surrogate,
        u: f64,
        maps: usize,
        map_bits: f64,
        model: CurveUncertainty,
        noise: N,
    ) -> Self {
        Self {
            required_fraction: required_fraction(surrogate, u),
            maps,
            map_bits,
            model,
            noise,
        }
    }

    /// β*, infinite if no amount of data makes the answer right.
    pub fn required_fraction(&self) -> f64 {
        self.required_fraction
    }

    fn fraction(&self, checkpoint: usize) -> f64 {
        checkpoint as f64 / self.maps as f64
    }
}

/// Â⁻¹(u): the fraction from which (14) is at least `u`; 0 below the floor, infinite from the ceiling a2 on.
///
/// It may exceed 1: the curve is continued beyond what can be sent, so that such a task stays uncertain.
pub fn required_fraction(surrogate: &Surrogate, u: f64) -> f64 {
    if u <= surrogate.floor {
        0.0
    } else if u >= surrogate.a2 {
        f64::INFINITY
    } else {
        (surrogate.a1 + 1.0 / (surrogate.a2 - u)) / surrogate.a0
    }
}

impl<N: Fn(usize) -> f64> Arrivals for CurveRow<N> {
    #[inline]
    fn last(&self) -> usize {
        self.maps
    }
    #[inline]
    fn bits(&self, checkpoint: usize) -> f64 {
        checkpoint as f64 * self.map_bits
    }
    fn entropy_nats(&self, checkpoint: usize) -> f64 {
        let need = self.required_fraction;
        let share = if need.is_infinite() {
            1.0
        } else if need <= 0.0 {
            0.0
        } else {
            ((need - self.fraction(checkpoint)) / need).clamp(0.0, 1.0)
        };
        let noise = if self.model.noise_nats > 0.0 {
            self.model.noise_nats * (self.noise)(checkpoint)
        } else {
            0.0
        };
        self.model.entropy_max_nats * share + noise
    }
}

impl<N: Fn(usize) -> f64> Scored for CurveRow<N> {
    fn correct(&self, checkpoint: usize) -> bool {
        self.fraction(checkpoint) >= self.required_fraction
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The paper's first cut as fitted in scenarios/paper.toml.
    pub(crate) const L1: Surrogate = Surrogate {
        a0: 48.8,
        a1: 0.185,
        a2: 0.8244,
        floor: 1e-3,
        rmse: 0.0,
        max_error: 0.0,
    };

    #[test]
    fn share_of_right_answers_is_the_curve_itself() {
        // Over a fine grid of draws, the mean of `correct` at β must be (14) at β.
        let draws = 20_000;
        for beta_maps in [0_usize, 4, 8, 16, 32, 64] {
            let model = CurveUncertainty {
                entropy_max_nats: 6.9,
                noise_nats: 0.0,
            };
            let right = (0..draws)
                .filter(|i| {
                    let u = (f64::from(*i) + 0.5) / f64::from(draws);
                    CurveRow::new(&L1, u, 64, 100_352.0, model, |_| 0.0).correct(beta_maps)
                })
                .count() as f64
                / f64::from(draws);
            let beta = beta_maps as f64 / 64.0;
            let curve = (L1.a2 - 1.0 / (L1.a0 * beta - L1.a1)).max(L1.floor);
            let expected = if beta == 0.0 { L1.floor } else { curve };
            assert!(
                (right - expected).abs() < 1e-3,
                "{beta}: {right} {expected}"
            );
        }
    }

    #[test]
    fn entropy_reaches_zero_exactly_where_the_answer_turns_right() {
        let model = CurveUncertainty {
            entropy_max_nats: 6.9,
            noise_nats: 0.0,
        };
        for u in [0.0005, 0.1, 0.5, 0.7, 0.8, 0.82, 0.9] {
            let row = CurveRow::new(&L1, u, 64, 1.0, model, |_| 0.0);
            for c in 0..=64 {
                assert_eq!(
                    row.correct(c),
                    row.entropy_nats(c) == 0.0,
                    "u {u} checkpoint {c}"
                );
            }
        }
    }

    #[test]
    fn a_measured_row_shows_the_uncertainty_asked_for() {
        let mut samples = Samples {
            images: 2,
            checkpoints: 2,
            bits: vec![0, 100, 0, 120],
            top1: vec![1; 4],
            correct: vec![true; 4],
            entropy_nats: vec![6.0, 2.0, 6.0, 3.0],
            predicted_nats: Vec::new(),
        };
        let seen = |s: &Samples, of| MeasuredRow::new(s, 1, of).entropy_nats(1);
        // Without a predictor there is only the tail's.
        assert_eq!(seen(&samples, Uncertainty::Predictor), 3.0);
        samples.predicted_nats = vec![6.0, 1.5, 6.0, 2.5];
        assert_eq!(seen(&samples, Uncertainty::Predictor), 2.5);
        assert_eq!(seen(&samples, Uncertainty::Tail), 3.0);
    }

    #[test]
    fn alternatives_need_every_bit_of_their_level() {
        let samples = Samples {
            images: 1,
            checkpoints: 3,
            bits: vec![0, 100, 300],
            top1: vec![7, 1, 2],
            correct: vec![false, false, true],
            entropy_nats: vec![6.0, 2.0, 0.5],
            predicted_nats: Vec::new(),
        };
        let row = LevelRow::new(&samples, 0, 2);
        assert_eq!((row.last(), row.bits(0), row.bits(1)), (1, 0.0, 300.0));
        assert!(!row.correct(0) && row.correct(1));
        assert_eq!(row.entropy_nats(0), 6.0);
    }
}
