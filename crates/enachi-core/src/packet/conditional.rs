//! What further bits are worth to a task that the stop rule has not released yet: curves for re-planning within a frame.
//!
//! At checkpoint c the tasks still sending are those whose uncertainty was above the threshold at every checkpoint
//! 1..=c. The curve of state c is their mean accuracy against the bits beyond c, when each of them goes on under the
//! same stop rule: one that stops at s < c′ keeps its answer of s.
//!
//! A curve's bits are those that a task sends if it is not stopped, or with an `exponent` the equivalent bits (E) of
//! [`super::stopping`], which count a bit by the share of tasks that get to send it.

use super::stopping::equivalent_bits;
use crate::curve::{AccuracyCurve, CurveError};
use crate::profile::{Samples, Surrogate};

/// Curves of one stream by the last checkpoint reached.
#[derive(Clone, Debug)]
pub struct ConditionalCurves {
    curves: Vec<AccuracyCurve>,
    /// Checkpoints from one curve to the next: 1, or more for curve-only streams of many maps.
    checkpoints_per_state: f64,
}

/// Fewest images from which a curve is estimated; a later checkpoint with fewer keeps the gains of an earlier one.
const LEAST_IMAGES: usize = 12;
/// Most states and points of a curve-only stream, which has one checkpoint per map.
const MOST_STATES: usize = 64;

impl ConditionalCurves {
    /// From the rows of `samples` for which `use_image` holds, under a stop at the first checkpoint ≥ 1 whose uncertainty
    /// (`nats`, laid out like the samples) is at most `threshold(image)`.
    ///
    /// Leave the image to be decided about out of its own curves. `exponent`: that of (E), `None` for bits as they are.
    pub fn measured(
        samples: &Samples,
        nats: &[f32],
        threshold: impl Fn(usize) -> f64,
        use_image: impl Fn(usize) -> bool,
        exponent: Option<f64>,
    ) -> Result<Self, CurveError> {
        let last = samples.checkpoints - 1;
        // Images and where each stops.
        let mut sending: Vec<(usize, usize)> = (0..samples.images)
            .filter(|i| use_image(*i))
            .map(|i| (i, samples.stop_checkpoint(nats, i, threshold(i))))
            .collect();
        let mut curves = Vec::with_capacity(last + 1);
        for c in 0..=last {
            let left: Vec<_> = sending
                .iter()
                .copied()
                .filter(|(_, stop)| *stop > c)
                .collect();
            if left.len() >= LEAST_IMAGES {
                sending = left;
            }
            let (bits, right) = points(samples, &sending, c, exponent);
            curves.push(AccuracyCurve::measured(&bits, &right)?);
        }
        Ok(Self {
            curves,
            checkpoints_per_state: 1.0,
        })
    }

    /// Of a curve-only stream of `maps` maps: a task that was right from a share ≤ β on has stopped, so among those
    /// that have not, (Â(β′) − Â(β))/(1 − Â(β)) are right at β′. With `stops` false nothing is learnt on the way, and the
    /// curve is Â itself, continued from β, and every bit is sent.
    pub fn modelled(
        surrogate: &Surrogate,
        maps: usize,
        total_bits: f64,
        stops: bool,
        exponent: Option<f64>,
    ) -> Result<Self, CurveError> {
        let curve = AccuracyCurve::fitted(surrogate, total_bits)?;
        let states = maps.min(MOST_STATES);
        let share = |state: usize| state as f64 / states as f64;
        let curves = (0..=states)
            .map(|state| {
                let start = share(state) * total_bits;
                let settled = if stops && state > 0 {
                    curve.accuracy(start)
                } else {
                    0.0
                };
                let (bits, mut right): (Vec<f64>, Vec<f64>) = (state..=states)
                    .map(|later| {
                        let bits = share(later) * total_bits;
                        let right = (curve.accuracy(bits) - settled) / (1.0 - settled);
                        (bits - start, right)
                    })
                    .unzip();
                let bits = match exponent {
                    // Whoever is right has stopped.
                    Some(exponent) if stops => {
                        let steps = bits.windows(2).zip(&right);
                        let steps = steps.map(|(ends, right)| (1.0 - right, ends[1] - ends[0]));
                        equivalent_bits(steps, exponent)
                    }
                    _ => bits,
                };
                right.truncate(bits.len());
                AccuracyCurve::measured(&bits, &right)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            curves,
            checkpoints_per_state: maps as f64 / states as f64,
        })
    }

    /// The curve of a task that has reached `checkpoint` and the share `begun` (in 0..1) of the way to the next, and has not
    /// been stopped; with the share of the curve's own first step that has arrived.
    pub fn at(&self, checkpoint: usize, begun: f64) -> (&AccuracyCurve, f64) {
        let position = (checkpoint as f64 + begun) / self.checkpoints_per_state;
        let state = (position as usize).min(self.curves.len() - 1);
        (
            &self.curves[state],
            (position - state as f64).clamp(0.0, 1.0),
        )
    }
}

/// Bits and accuracy at checkpoints `from`.. of the images `sending`, each with the checkpoint at which it stops.
fn points(
    samples: &Samples,
    sending: &[(usize, usize)],
    from: usize,
    exponent: Option<f64>,
) -> (Vec<f64>, Vec<f64>) {
    let last = samples.checkpoints - 1;
    let mean = |value: &dyn Fn(usize, usize) -> f64| {
        let sum = sending.iter().map(|(i, stop)| value(*i, *stop));
        sum.sum::<f64>() / sending.len().max(1) as f64
    };
    let bits_at = |i, k| f64::from(samples.bits[samples.at(i, k)]);
    let bits: Vec<f64> = match exponent {
        None => (from..=last)
            .map(|later| mean(&|i, _| bits_at(i, later) - bits_at(i, from)))
            .collect(),
        Some(exponent) => {
            // An estimate that had to keep images that have stopped lets them take one step more.
            let sends = |stop: usize, step: usize| f64::from(u8::from(stop.max(from + 1) > step));
            let steps = (from..last).map(|step| {
                let survival = mean(&|_, stop| sends(stop, step));
                let bits =
                    mean(&|i, stop| (bits_at(i, step + 1) - bits_at(i, step)) * sends(stop, step));
                (survival, bits / survival.max(f64::MIN_POSITIVE))
            });
            equivalent_bits(steps, exponent)
        }
    };
    let right = (from..from + bits.len())
        .map(|later| {
            mean(&|i, stop| {
                let at = samples.at(i, later.min(stop.max(from)));
                f64::from(u8::from(samples.correct[at]))
            })
        })
        .collect();
    (bits, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::replay::tests::L1;

    #[test]
    fn those_that_stopped_do_not_count() {
        // 40 images: half are certain and right from checkpoint 1 on; a quarter is right at 2, a quarter never.
        let (images, checkpoints) = (40, 4);
        let kind = |i: usize| i % 4;
        let mut samples = Samples {
            images,
            checkpoints,
            bits: Vec::new(),
            top1: vec![0; images * checkpoints],
            correct: Vec::new(),
            entropy_nats: Vec::new(),
            predicted_nats: Vec::new(),
        };
        for i in 0..images {
            for c in 0..checkpoints {
                samples.bits.push(100 * c as u32);
                let right = kind(i) < 2 && c >= 1 || kind(i) == 2 && c >= 2;
                samples.correct.push(right);
                samples.entropy_nats.push(if right { 0.1 } else { 5.0 });
            }
        }
        let nats = samples.entropy_nats.clone();
        let made =
            ConditionalCurves::measured(&samples, &nats, |_| 0.5, |_| true, None).expect("curves");
        let at = |c: usize, bits: f64| made.at(c, 0.0).0.accuracy(bits);
        assert!((at(0, 0.0) - 0.0).abs() < 1e-12 && (at(0, 300.0) - 0.75).abs() < 1e-12);
        assert!((at(1, 0.0) - 0.0).abs() < 1e-12, "{}", at(1, 0.0));
        assert!((at(1, 100.0) - 0.5).abs() < 1e-12, "{}", at(1, 100.0));
        // The ten left at checkpoint 2 are too few: the curve keeps to the twenty before, whose half is right.
        assert!((at(2, 100.0) - 0.5).abs() < 1e-12);
        // With exponent 1 a curve's last point is the mean number of bits that tasks send before they stop: half of
        // them 100, a quarter 200, a quarter all 300.
        let sent = ConditionalCurves::measured(&samples, &nats, |_| 0.5, |_| true, Some(1.0))
            .expect("curves");
        let (curve, _) = sent.at(0, 0.0);
        assert!((curve.total_bits() - 175.0).abs() < 1e-9);
        assert!((curve.accuracy(175.0) - 0.75).abs() < 1e-12);
        // Without stops every image counts at every checkpoint.
        let all =
            ConditionalCurves::measured(&samples, &nats, |_| -1.0, |_| true, None).expect("curves");
        assert!((all.at(1, 0.0).0.accuracy(0.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_modelled_curve_follows_from_the_total_probability() {
        let whole = AccuracyCurve::fitted(&L1, 6400.0).expect("curve");
        let made = ConditionalCurves::modelled(&L1, 64, 6400.0, true, None).expect("curves");
        for state in [1usize, 5, 20, 60] {
            let (_, begun) = made.at(state, 0.25);
            assert!((begun - 0.25).abs() < 1e-9);
            let before = whole.accuracy(state as f64 * 100.0);
            let curve = made.at(state, 0.0).0;
            for more in [0usize, 1, 3] {
                let then = whole.accuracy((state + more) as f64 * 100.0);
                let total = before + (1.0 - before) * curve.accuracy(more as f64 * 100.0);
                assert!(
                    (total - then).abs() < 1e-9,
                    "{state} {more}: {total} {then}"
                );
            }
        }
        // With exponent 1 the end is ∫(1 − Â) db.
        let sent = ConditionalCurves::modelled(&L1, 64, 6400.0, true, Some(1.0)).expect("curves");
        let area: f64 = (0..64)
            .map(|i| 100.0 * (1.0 - whole.accuracy(f64::from(i) * 100.0)))
            .sum();
        assert!((sent.at(0, 0.0).0.total_bits() - area).abs() < 1e-6);
        // 512 maps in 64 steps: 12 maps and a half are 1.5625 steps.
        let coarse = ConditionalCurves::modelled(&L1, 512, 512.0, true, None).expect("curves");
        let (curve, begun) = coarse.at(12, 0.5);
        assert!((begun - 0.5625).abs() < 1e-9);
        assert!((curve.total_bits() - 504.0).abs() < 1e-9);
    }
}
