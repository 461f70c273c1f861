//! Accuracy as a function of delivered bits, and its upper concave envelope.
//!
//! Three shapes share one type: the surrogate of ENACHI (14), a measured piecewise-linear curve, and a ladder of
//! alternatives (each level counts only when all of its bits arrive). All begin with what happens when nothing
//! is sent.

use crate::profile::Surrogate;

/// What is wrong with the numbers of a curve.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CurveError {
    /// No point at all.
    #[error("a curve needs at least one point (bits 0: nothing sent)")]
    Empty,
    /// Differing lengths.
    #[error("bits has {bits} entries, accuracy has {accuracy}: they must be equally many")]
    Length {
        /// Entries of `bits`.
        bits: usize,
        /// Entries of `accuracy`.
        accuracy: usize,
    },
    /// The first point is not "nothing sent".
    #[error("bits[0] is {value}, must be 0 (nothing sent)")]
    FirstBits {
        /// Offending value.
        value: f64,
    },
    /// Bits do not ascend.
    #[error("bits[{index}] is {value}, must be finite and above bits[{}] = {previous}", index - 1)]
    Bits {
        /// Offending index.
        index: usize,
        /// Offending value.
        value: f64,
        /// Value before it.
        previous: f64,
    },
    /// Accuracy out of range.
    #[error("accuracy[{index}] is {value}, must be in 0..=1")]
    Accuracy {
        /// Offending index.
        index: usize,
        /// Offending value.
        value: f64,
    },
    /// A parameter of the surrogate out of range.
    #[error("surrogate {name} is {value}, must be {allowed}")]
    Surrogate {
        /// Parameter.
        name: &'static str,
        /// Offending value.
        value: f64,
        /// Allowed range.
        allowed: &'static str,
    },
}

/// Accuracy against delivered bits.
#[derive(Clone, Debug, PartialEq)]
pub struct AccuracyCurve {
    pub(crate) shape: Shape,
}

/// The shapes a curve may have. All accuracies in 0..=1, all bits ≥ 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Fitted(Fitted),
    Points(Points),
}

/// ENACHI (14) with its domain: floor, then concave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fitted {
    pub a0: f64,
    pub a1: f64,
    pub a2: f64,
    /// Accuracy with nothing sent (continues the curve at 0 where its domain begins left of 0).
    pub floor: f64,
    pub total_bits: f64,
    /// Bits up to which the accuracy stays on the floor.
    pub floor_bits: f64,
    /// Where the tangent through (0, floor) touches the curve: the envelope is straight up to there.
    pub tangent_bits: f64,
}

/// Breakpoints, straight lines between them or (`steps`) nothing between them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Points {
    pub bits: Vec<f64>,
    pub accuracy: Vec<f64>,
    /// Alternatives: between two breakpoints the accuracy is that of the lower level reached.
    pub steps: bool,
    /// Indices of the upper concave envelope's vertices, up to the first maximum.
    pub envelope: Vec<u32>,
    /// Slope of the envelope right of each vertex \[1/bit\], strictly falling; 0 after the last.
    pub slope: Vec<f64>,
}

impl AccuracyCurve {
    /// ENACHI (14) over a stream of `total_bits`.
    pub fn fitted(surrogate: &Surrogate, total_bits: f64) -> Result<Self, CurveError> {
        let &Surrogate {
            a0, a1, a2, floor, ..
        } = surrogate;
        let check = |name, value: f64, ok: bool, allowed| {
            if value.is_finite() && ok {
                Ok(())
            } else {
                Err(CurveError::Surrogate {
                    name,
                    value,
                    allowed,
                })
            }
        };
        check("a0", a0, a0 > 0.0, "finite and above 0")?;
        check("a1", a1, a1 < a0, "finite and below a0")?;
        check("floor", floor, (0.0..=1.0).contains(&floor), "in 0..=1")?;
        check(
            "a2",
            a2,
            a2 > floor && a2 - 1.0 / (a0 - a1) <= 1.0,
            "above the floor, and at most 1 + 1/(a0 - a1)",
        )?;
        check(
            "total_bits",
            total_bits,
            total_bits > 0.0,
            "finite and above 0",
        )?;
        // a0·β − a1 = 1/(a2 − floor) is where (14) leaves the floor.
        let mut start = floor;
        let mut floor_beta = (a1 + 1.0 / (a2 - floor)) / a0;
        if floor_beta <= 0.0 {
            floor_beta = 0.0;
            start = a2 + 1.0 / a1;
        }
        let floor_beta = floor_beta.min(1.0);
        // Tangent from (0, start): (a2 − start)·u² − 2u − a1 = 0 with u = a0·β − a1.
        let rise = a2 - start;
        let u = (1.0 + (1.0 + a1 * rise).max(0.0).sqrt()) / rise;
        let tangent_beta = ((u + a1) / a0).clamp(floor_beta, 1.0);
        Ok(Self {
            shape: Shape::Fitted(Fitted {
                a0,
                a1,
                a2,
                floor: start,
                total_bits,
                floor_bits: floor_beta * total_bits,
                tangent_bits: tangent_beta * total_bits,
            }),
        })
    }

    /// A measured curve: straight lines between (`bits`, `accuracy`). The accuracy need not rise everywhere (a measured
    /// one wobbles): a user of the curve may always use fewer bits than it received.
    pub fn measured(bits: &[f64], accuracy: &[f64]) -> Result<Self, CurveError> {
        Self::points(bits, accuracy, false)
    }

    /// A ladder of alternatives: level `i` needs all of `bits[i]`; between two levels the accuracy is that of the lower.
    pub fn levels(bits: &[f64], accuracy: &[f64]) -> Result<Self, CurveError> {
        Self::points(bits, accuracy, true)
    }

    /// Nothing to send: the accuracy of an all-local device (or of giving up).
    pub fn constant(accuracy: f64) -> Result<Self, CurveError> {
        Self::points(&[0.0], &[accuracy], false)
    }

    fn points(bits: &[f64], accuracy: &[f64], steps: bool) -> Result<Self, CurveError> {
        if bits.len() != accuracy.len() {
            return Err(CurveError::Length {
                bits: bits.len(),
                accuracy: accuracy.len(),
            });
        }
        let &first = bits.first().ok_or(CurveError::Empty)?;
        if first != 0.0 {
            return Err(CurveError::FirstBits { value: first });
        }
        for (index, pair) in bits.windows(2).enumerate() {
            if !pair[1].is_finite() || pair[1] <= pair[0] {
                return Err(CurveError::Bits {
                    index: index + 1,
                    value: pair[1],
                    previous: pair[0],
                });
            }
        }
        if let Some(index) = accuracy.iter().position(|a| !(0.0..=1.0).contains(a)) {
            return Err(CurveError::Accuracy {
                index,
                value: accuracy[index],
            });
        }
        let (mut envelope, mut slope) = (Vec::new(), Vec::new());
        upper_envelope(bits, accuracy, 0, bits.len() - 1, &mut envelope, &mut slope);
        Ok(Self {
            shape: Shape::Points(Points {
                bits: bits.to_vec(),
                accuracy: accuracy.to_vec(),
                steps,
                envelope,
                slope,
            }),
        })
    }

    /// Accuracy when `bits` are used; beyond the end it stays at its last value.
    pub fn accuracy(&self, bits: f64) -> f64 {
        match &self.shape {
            Shape::Fitted(fitted) => fitted.accuracy(bits),
            Shape::Points(points) => points.accuracy(bits),
        }
    }

    /// Right derivative of the accuracy \[1/bit\].
    pub fn marginal(&self, bits: f64) -> f64 {
        match &self.shape {
            Shape::Fitted(fitted) => fitted.marginal(bits),
            Shape::Points(points) => points.marginal(bits),
        }
    }

    /// Value of the upper concave envelope: never below [`AccuracyCurve::accuracy`] of that many bits or fewer.
    pub fn envelope(&self, bits: f64) -> f64 {
        match &self.shape {
            Shape::Fitted(fitted) => fitted.envelope(bits),
            Shape::Points(points) => points.envelope_at(bits),
        }
    }

    /// Accuracy with nothing sent.
    pub fn nothing_sent(&self) -> f64 {
        match &self.shape {
            Shape::Fitted(fitted) => fitted.floor,
            Shape::Points(points) => points.accuracy[0],
        }
    }

    /// Highest accuracy anywhere on the curve.
    pub fn ceiling(&self) -> f64 {
        match &self.shape {
            Shape::Fitted(fitted) => fitted.accuracy(fitted.total_bits),
            Shape::Points(points) => points.accuracy[points.peak()],
        }
    }

    /// Bits at the end of the curve.
    pub fn total_bits(&self) -> f64 {
        match &self.shape {
            Shape::Fitted(fitted) => fitted.total_bits,
            Shape::Points(points) => points.bits[points.bits.len() - 1],
        }
    }

    /// Bits at which one concave piece of the curve ends and the next begins, from 0 to the end.
    pub fn knots(&self) -> Vec<f64> {
        match &self.shape {
            Shape::Fitted(fitted) => vec![0.0, fitted.floor_bits, fitted.total_bits],
            Shape::Points(points) => points.bits.clone(),
        }
    }

    /// The curve up to where it first reaches `accuracy`, and no further. A fitted curve becomes a measured one of 65
    /// points, which follow it within what a straight line between them loses.
    pub fn capped(&self, accuracy: f64) -> Self {
        let end = self.bits_for(accuracy).unwrap_or(self.total_bits());
        let (mut bits, steps) = match &self.shape {
            Shape::Fitted(fitted) => {
                let rise = (end - fitted.floor_bits).max(0.0);
                let grid =
                    (0..64).map(|i| fitted.floor_bits + rise * (f64::from(i) / 64.0).powi(2));
                (
                    std::iter::once(0.0).chain(grid).collect::<Vec<f64>>(),
                    false,
                )
            }
            Shape::Points(points) => (points.bits.clone(), points.steps),
        };
        bits.retain(|&b| b < end);
        bits.dedup();
        if bits.is_empty() || end > 0.0 {
            bits.push(end);
        }
        let accuracy: Vec<f64> = bits.iter().map(|&b| self.accuracy(b)).collect();
        Self::points(&bits, &accuracy, steps)
            .expect("bits ascend from 0 and accuracies are the curve's own")
    }

    /// Make `of`, whose buffers are used again, this curve for a receiver that already has the share `begun` (in 0..1) of the
    /// bits up to the second breakpoint: worth nothing yet, but not to be sent again. A fitted curve stays as it is.
    pub fn begun(&self, begun: f64, of: &mut Self) {
        let (Shape::Points(points), Shape::Points(into)) = (&self.shape, &mut of.shape) else {
            of.clone_from(self);
            return;
        };
        into.bits.clone_from(&points.bits);
        into.accuracy.clone_from(&points.accuracy);
        into.steps = points.steps;
        if let Some(&next) = points.bits.get(1) {
            // A sliver is left, so that bits ascend.
            let have = next * begun.clamp(0.0, 1.0 - 1e-6);
            into.bits.iter_mut().skip(1).for_each(|bits| *bits -= have);
        }
        into.envelope.clear();
        into.slope.clear();
        upper_envelope(
            &into.bits,
            &into.accuracy,
            0,
            into.bits.len() - 1,
            &mut into.envelope,
            &mut into.slope,
        );
    }

    /// Fewest bits at which the curve reaches `accuracy`; `None` if it never does.
    pub fn bits_for(&self, accuracy: f64) -> Option<f64> {
        match &self.shape {
            Shape::Fitted(fitted) => fitted.bits_for(accuracy),
            Shape::Points(points) => points.bits_for(accuracy),
        }
    }
}

impl Fitted {
    pub(crate) fn accuracy(&self, bits: f64) -> f64 {
        if bits <= self.floor_bits {
            return self.floor;
        }
        let beta = (bits / self.total_bits).min(1.0);
        (self.a2 - 1.0 / (self.a0 * beta - self.a1)).max(self.floor)
    }

    fn marginal(&self, bits: f64) -> f64 {
        if bits < self.floor_bits || bits >= self.total_bits {
            return 0.0;
        }
        let u = self.a0 * bits / self.total_bits - self.a1;
        self.a0 / (u * u * self.total_bits)
    }

    fn envelope(&self, bits: f64) -> f64 {
        if bits >= self.tangent_bits || self.tangent_bits <= 0.0 {
            return self.accuracy(bits);
        }
        self.floor + (self.accuracy(self.tangent_bits) - self.floor) * bits / self.tangent_bits
    }

    fn bits_for(&self, accuracy: f64) -> Option<f64> {
        if accuracy <= self.floor {
            return Some(0.0);
        }
        if accuracy >= self.a2 {
            return None;
        }
        let beta = (self.a1 + 1.0 / (self.a2 - accuracy)) / self.a0;
        (beta <= 1.0).then_some(beta * self.total_bits)
    }
}

impl Points {
    /// Segment (index of its left end) that holds `bits`. A level counts as reached within one part in 10⁹, so that
    /// rounding between band, power and bits does not cost it.
    fn segment(&self, bits: f64) -> usize {
        let bits = if self.steps {
            bits * (1.0 + 1e-9)
        } else {
            bits
        };
        self.bits.partition_point(|&b| b <= bits).saturating_sub(1)
    }

    pub(crate) fn accuracy(&self, bits: f64) -> f64 {
        let i = self.segment(bits);
        if i + 1 >= self.bits.len() || self.steps {
            return self.accuracy[i];
        }
        let t = ((bits - self.bits[i]) / (self.bits[i + 1] - self.bits[i])).max(0.0);
        self.accuracy[i] + t * (self.accuracy[i + 1] - self.accuracy[i])
    }

    fn marginal(&self, bits: f64) -> f64 {
        let i = self.segment(bits);
        if i + 1 >= self.bits.len() || self.steps {
            return 0.0;
        }
        (self.accuracy[i + 1] - self.accuracy[i]) / (self.bits[i + 1] - self.bits[i])
    }

    fn envelope_at(&self, bits: f64) -> f64 {
        let k = self
            .envelope
            .partition_point(|&i| self.bits[i as usize] <= bits)
            .saturating_sub(1);
        let i = self.envelope[k] as usize;
        self.accuracy[i] + self.slope[k] * (bits - self.bits[i]).max(0.0)
    }

    fn peak(&self) -> usize {
        self.envelope[self.envelope.len() - 1] as usize
    }

    fn bits_for(&self, accuracy: f64) -> Option<f64> {
        let i = self.accuracy.iter().position(|&a| a >= accuracy)?;
        if i == 0 || self.steps {
            return Some(self.bits[i]);
        }
        let t = (accuracy - self.accuracy[i - 1]) / (self.accuracy[i] - self.accuracy[i - 1]);
        Some(self.bits[i - 1] + t * (self.bits[i] - self.bits[i - 1]))
    }
}

/// Appends the vertices of the upper concave envelope of points `first..=last`, from `first` to the first maximum, and
/// the slope right of each (0 after the last).
pub(crate) fn upper_envelope(
    bits: &[f64],
    accuracy: &[f64],
    first: usize,
    last: usize,
    envelope: &mut Vec<u32>,
    slope: &mut Vec<f64>,
) {
    let (start, start_slope) = (envelope.len(), slope.len());
    let mut peak = first;
    for i in first..=last {
        if accuracy[i] > accuracy[peak] {
            peak = i;
        }
    }
    for i in first..=peak {
        while envelope.len() > start {
            let top = envelope[envelope.len() - 1] as usize;
            let rise = (accuracy[i] - accuracy[top]) / (bits[i] - bits[top]);
            // A vertex on or below the chord from its left neighbour to the new point is none.
            if slope.len() == start_slope || rise < slope[slope.len() - 1] {
                slope.push(rise);
                break;
            }
            envelope.pop();
            slope.pop();
        }
        envelope.push(i as u32);
    }
    slope.push(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_is_not_sent_again() {
        let curve = AccuracyCurve::measured(&[0.0, 10.0, 30.0, 40.0], &[0.1, 0.3, 0.7, 0.6])
            .expect("a curve");
        let mut begun = AccuracyCurve::constant(0.0).expect("a curve");
        curve.begun(0.75, &mut begun);
        let expected = AccuracyCurve::measured(&[0.0, 2.5, 22.5, 32.5], &[0.1, 0.3, 0.7, 0.6])
            .expect("a curve");
        assert_eq!(begun, expected);
        curve.begun(0.0, &mut begun);
        assert_eq!(begun, curve);
    }

    fn paper_l3() -> AccuracyCurve {
        let surrogate = Surrogate {
            a0: 300.0,
            a1: 10.0,
            a2: 0.8072,
            floor: 0.001,
            rmse: 0.0,
            max_error: 0.0,
        };
        AccuracyCurve::fitted(&surrogate, 25.7e6).expect("valid")
    }

    #[test]
    fn fitted_curve_is_equation_14_above_its_floor() {
        let curve = paper_l3();
        for beta in [0.05, 0.2, 1.0] {
            let expected = 0.8072 - 1.0 / (300.0 * beta - 10.0);
            assert!((curve.accuracy(beta * 25.7e6) - expected).abs() < 1e-12);
        }
        assert_eq!(curve.accuracy(0.01 * 25.7e6), 0.001);
        assert_eq!(curve.nothing_sent(), 0.001);
    }

    #[test]
    fn envelope_is_concave_and_never_below_the_curve() {
        let measured = AccuracyCurve::measured(
            &[0.0, 1.0, 2.0, 3.0, 5.0, 9.0],
            &[0.1, 0.1, 0.5, 0.4, 0.8, 0.7],
        )
        .expect("valid");
        let levels =
            AccuracyCurve::levels(&[0.0, 2.0, 3.0, 8.0], &[0.0, 0.6, 0.7, 0.75]).expect("valid");
        for curve in [paper_l3(), measured, levels] {
            let end = curve.total_bits();
            let grid: Vec<f64> = (0..=2000).map(|i| end * f64::from(i) / 2000.0).collect();
            let envelope: Vec<f64> = grid.iter().map(|&b| curve.envelope(b)).collect();
            for i in 0..grid.len() {
                assert!(envelope[i] >= curve.accuracy(grid[i]) - 1e-12);
                if i >= 2 {
                    assert!(envelope[i - 1] * 2.0 >= envelope[i] + envelope[i - 2] - 1e-12);
                }
            }
            assert!((envelope[0] - curve.nothing_sent()).abs() < 1e-15);
            assert!((envelope[2000] - curve.ceiling()).abs() < 1e-12);
        }
    }

    #[test]
    fn bits_for_inverts_accuracy() {
        let curve = paper_l3();
        for accuracy in [0.3, 0.7, 0.8] {
            let bits = curve.bits_for(accuracy).expect("within reach");
            assert!((curve.accuracy(bits) - accuracy).abs() < 1e-9);
        }
        assert_eq!(curve.bits_for(0.9), None);
    }

    #[test]
    fn bad_curves_are_refused() {
        assert_eq!(AccuracyCurve::measured(&[], &[]), Err(CurveError::Empty));
        assert_eq!(
            AccuracyCurve::measured(&[1.0], &[0.5]),
            Err(CurveError::FirstBits { value: 1.0 })
        );
        assert!(AccuracyCurve::measured(&[0.0, 2.0, 2.0], &[0.1, 0.2, 0.3]).is_err());
        assert!(AccuracyCurve::measured(&[0.0, 2.0], &[0.1, f64::NAN]).is_err());
        assert!(AccuracyCurve::measured(&[0.0, f64::NAN], &[0.1, 0.2]).is_err());
        assert!(AccuracyCurve::measured(&[0.0], &[0.1, 0.2]).is_err());
        assert!(AccuracyCurve::constant(1.2).is_err());
    }
}
