//! The response of an [`Arm`] where the noise is the constant σ² of ENACHI (15).
//!
//! ω·log2(1 + h·p/σ²) is not jointly concave, so the cheapest-bit argument of exact noise does not hold: b bits cost
//! min over p of Q·T·p + λ·b/(T·log2(1 + h·p/σ²)), a minimum of functions linear in b and hence *concave* in b.
//! On a straight segment the gain less the cost is then convex, so the best point of a piecewise-linear curve is one
//! of its breakpoints. On (14) the roles change: for a given power the best bits are explicit, and power is searched.

use super::arm::{Arm, Response, Shared, silent};
use super::price::constant_noise_bit;
use crate::curve::{Fitted, Points};
use std::f64::consts::LN_2;

impl Arm {
    /// Largest useful x = ln(1 + snr): full power or the cap.
    fn constant_noise_x_max(&self, shared: &Shared<'_>) -> f64 {
        self.reach.ln_1p().min(shared.x_cap)
    }

    /// Cheapest x for `bits` at price λ: minimises snr_cost·(e^x − 1) + λ·bits·ln 2/(T·x).
    fn constant_noise_x(&self, lambda: f64, bits: f64, x_max: f64) -> f64 {
        if self.snr_cost <= 0.0 {
            return x_max;
        }
        constant_noise_bit(lambda * bits * LN_2 / (self.time_s * self.snr_cost)).min(x_max)
    }

    pub(super) fn constant_noise_points(
        &self,
        shared: &Shared<'_>,
        points: &Points,
        lambda: f64,
    ) -> Response {
        let x_max = self.constant_noise_x_max(shared);
        let mut best = silent(f64::NEG_INFINITY);
        let mut reached = f64::NEG_INFINITY;
        for i in self.lo as usize..=self.hi as usize {
            // No more accurate than with fewer bits.
            if points.accuracy[i] <= reached {
                continue;
            }
            reached = points.accuracy[i];
            let gain = self.base + self.worth * reached;
            if points.bits[i] <= 0.0 {
                best = silent(gain);
                continue;
            }
            let x = self.constant_noise_x(lambda, points.bits[i], x_max);
            let bandwidth_hz = points.bits[i] * LN_2 / (self.time_s * x);
            let value = gain - self.snr_cost * x.exp_m1() - lambda * bandwidth_hz;
            if value > best.value {
                best = Response {
                    value,
                    bandwidth_hz,
                    bits: points.bits[i],
                };
            }
        }
        best
    }

    /// The part of (14) above its floor. With b(x) the best bits at x, the slope of the value in x is
    /// F(x) − snr_cost·e^x with F = λ·b(x)·ln 2/(T·x²). Above its zero of b, F·e^(−x) first rises and then falls (it only
    /// falls where a1 ≥ 0), so the best x is where it falls through snr_cost, or an end.
    pub(super) fn constant_noise_fitted(
        &self,
        shared: &Shared<'_>,
        fitted: &Fitted,
        lambda: f64,
    ) -> Response {
        let x_max = self.constant_noise_x_max(shared);
        let bits_at = |x: f64| fitted.best_bits(self.worth, lambda * LN_2 / (self.time_s * x));
        let at = |x: f64| {
            let bits = bits_at(x);
            let bandwidth_hz = bits * LN_2 / (self.time_s * x);
            let value = self.base + self.worth * fitted.accuracy(bits)
                - self.snr_cost * x.exp_m1()
                - lambda * bandwidth_hz;
            Response {
                value,
                bandwidth_hz,
                bits,
            }
        };
        // ln of F·e^(−x) over snr_cost, up to a constant.
        let pull = |x: f64| lambda * bits_at(x) * LN_2 / (self.time_s * x * x) * (-x).exp();
        let mut low = 1e-9f64.min(0.5 * x_max);
        if fitted.a1 < 0.0 {
            // Golden section for the top of `pull`; left of it the value has a minimum, not a maximum.
            let (mut a, mut b) = (low, x_max);
            for _ in 0..80 {
                let (c, d) = (a + 0.382 * (b - a), b - 0.382 * (b - a));
                if pull(c) <= pull(d) { a = c } else { b = d }
            }
            low = a;
        }
        let mut high = x_max;
        if pull(high) >= self.snr_cost {
            return at(high);
        }
        for _ in 0..100 {
            let x = 0.5 * (low + high);
            if x <= low || x >= high {
                break;
            }
            if pull(x) > self.snr_cost {
                low = x
            } else {
                high = x
            }
        }
        at(high)
    }
}
