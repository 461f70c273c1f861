//! What one device does at one cut when a hertz costs λ: the inner maximisation of the Lagrangian of P1.2.
//!
//! An [`Arm`] is a device, a cut and an interval of its curve. [`Arm::respond`] maximises
//! V·A(b) − Q·(E + p·T) − λ·ω over bits, band and power, exactly:
//!
//! 1. the cheapest way to carry a bit does not depend on how many bits (see [`price`](super::price)), so up to the
//!    number of bits `b₁` at which it takes all of p_max the cost is a constant `c(λ)` per bit, and the best number of
//!    bits is a vertex of the curve's upper concave envelope;
//! 2. beyond `b₁` the power is p_max and the cost is strictly convex: the best point may lie inside a segment. The
//!    envelope finds it, unless it falls on a part of the envelope that the curve does not reach; then the segments of
//!    the curve itself below that part are scanned.

use super::price::{CheapestBit, band_for_rate, full_power_margin};
use crate::curve::{AccuracyCurve, Fitted, Points, Shape};
use std::f64::consts::LN_2;

/// An option of a device as the search sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arm {
    /// Index among the device's own options.
    pub option: u32,
    /// Index of the curve.
    pub curve: u32,
    /// Breakpoints of the curve it may use, first and last. Of a fitted curve: 0 = nothing sent, 1 = above the floor.
    pub lo: u32,
    pub hi: u32,
    /// Where its envelope lies in [`Envelopes`]; `None`: the whole curve's own.
    pub envelope: Option<(u32, u32)>,
    /// V·w.
    pub worth: f64,
    /// −Q·E.
    pub base: f64,
    /// T \[s\].
    pub time_s: f64,
    /// Q·T·N0/h, or Q·T·σ²/h: what a unit of snr costs, per hertz or outright.
    pub snr_cost: f64,
    /// h·p_max/N0 \[Hz\], or h·p_max/σ²: the snr of full power in one hertz, or outright.
    pub reach: f64,
    /// 1/T.
    pub per_time: f64,
    /// x at full power at the last price, on a fitted curve: where to begin at the next.
    pub x: f64,
    /// Vertex of the envelope at the last price: where to begin at the next.
    pub vertex: u32,
    /// The same beyond `full_bits`: segments of the envelope that were used up.
    pub full: u32,
}

/// What an arm does at a price.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Response {
    /// V·A − Q·(E + p·T) − λ·ω; −∞ where the arm is infeasible.
    pub value: f64,
    pub bandwidth_hz: f64,
    pub bits: f64,
}

/// Envelopes of parts of curves, made while branching.
#[derive(Debug, Default)]
pub(crate) struct Envelopes {
    pub vertex: Vec<u32>,
    pub slope: Vec<f64>,
}

/// What all arms share.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub curves: &'a [AccuracyCurve],
    pub envelopes: &'a Envelopes,
    pub cheapest_bit: &'a CheapestBit,
    /// ln 2 × the cap on spectral efficiency: the largest useful x.
    pub x_cap: f64,
    pub exact_noise: bool,
}

impl<'a> Shared<'a> {
    /// Vertices and slopes of the envelope of an arm on a piecewise curve.
    #[inline]
    pub fn envelope(&self, arm: &Arm, points: &'a Points) -> (&'a [u32], &'a [f64]) {
        match arm.envelope {
            None => (&points.envelope, &points.slope),
            Some((first, last)) => {
                let range = first as usize..last as usize;
                (
                    &self.envelopes.vertex[range.clone()],
                    &self.envelopes.slope[range],
                )
            }
        }
    }
}

impl Arm {
    /// The best response to a price λ > 0 \[objective/Hz\].
    #[inline]
    pub fn respond(&mut self, shared: &Shared<'_>, lambda: f64) -> Response {
        match &shared.curves[self.curve as usize].shape {
            Shape::Points(points) => {
                if self.hi == 0 {
                    return silent(self.base + self.worth * points.accuracy[0]);
                }
                if !shared.exact_noise {
                    return self.constant_noise_points(shared, points, lambda);
                }
                self.points(shared, points, lambda)
            }
            Shape::Fitted(fitted) => {
                let nothing = silent(self.base + self.worth * fitted.floor);
                if self.hi == 0 {
                    return nothing;
                }
                let something = if shared.exact_noise {
                    self.fitted(shared, fitted, lambda)
                } else {
                    self.constant_noise_fitted(shared, fitted, lambda)
                };
                if self.lo == 0 && nothing.value >= something.value {
                    nothing
                } else {
                    something
                }
            }
        }
    }

    /// Step 1: the cheapest bit.
    #[inline]
    fn cheapest(&self, shared: &Shared<'_>, lambda: f64) -> Bit {
        let mut x = shared.x_cap;
        if self.snr_cost > 0.0 {
            let k = lambda / self.snr_cost;
            if k < 1e300 {
                let (free, e) = shared.cheapest_bit.solve(k);
                if free <= shared.x_cap {
                    let snr = if free < 0.03 { free.exp_m1() } else { e - 1.0 };
                    return Bit {
                        x: free,
                        snr,
                        cost: LN_2 * self.snr_cost * e * self.per_time,
                    };
                }
            } else {
                x = x.min(690.0);
            }
        }
        if !x.is_finite() {
            // Energy is free and so is spectral efficiency: full power at once.
            return Bit {
                x: 1.0,
                snr: f64::INFINITY,
                cost: 0.0,
            };
        }
        // The cap binds: less power than the price would justify.
        let snr = x.exp_m1();
        Bit {
            x,
            snr,
            cost: LN_2 * (self.snr_cost * snr + lambda) * self.per_time / x,
        }
    }

    /// b₁: with more bits than this, full power is not enough for the cheapest snr.
    #[inline]
    fn full_bits(&self, bit: &Bit) -> f64 {
        self.reach * self.time_s * bit.x / (LN_2 * bit.snr)
    }

    /// Carry `bits` at the cheapest snr, unless that takes more than full power.
    #[inline]
    fn carry_cheaply(&self, bit: &Bit, bits: f64, gain: f64) -> Option<Response> {
        if bits <= 0.0 {
            return Some(silent(gain));
        }
        if bits * LN_2 * bit.snr > self.reach * self.time_s * bit.x {
            return None;
        }
        let bandwidth_hz = bits * LN_2 * self.per_time / bit.x;
        Some(Response {
            value: gain - bit.cost * bits,
            bandwidth_hz,
            bits,
        })
    }

    /// Value of carrying exactly `bits` at least cost: cheapest bits as far as they go, full power beyond.
    fn carry(&self, lambda: f64, bit: &Bit, bits: f64, accuracy: f64) -> Response {
        let gain = self.base + self.worth * accuracy;
        if let Some(response) = self.carry_cheaply(bit, bits, gain) {
            return response;
        }
        match band_for_rate(self.reach * self.time_s / (LN_2 * bits)) {
            None => silent(f64::NEG_INFINITY),
            Some(x) => {
                let bandwidth_hz = bits * LN_2 / (self.time_s * x);
                // snr_cost·reach = Q·T·p_max.
                Response {
                    value: gain - self.snr_cost * self.reach - lambda * bandwidth_hz,
                    bandwidth_hz,
                    bits,
                }
            }
        }
    }

    /// Bits at which, at full power, the next one costs as much band as it is worth (`rise` = accuracy per bit).
    #[inline]
    fn stationary_bits(&self, lambda: f64, rise: f64) -> f64 {
        let x = full_power_margin(lambda * LN_2 / (self.time_s * self.worth * rise)).min(690.0);
        self.reach * self.time_s * x / (LN_2 * x.exp_m1())
    }

    fn points(&mut self, shared: &Shared<'_>, points: &Points, lambda: f64) -> Response {
        let (vertex, slope) = shared.envelope(self, points);
        let bit = self.cheapest(shared, lambda);
        // First vertex right of which the envelope rises no faster than bits cost. The last slope is 0, so there is one,
        // and most often it is the same as last time.
        let margin = bit.cost / self.worth;
        let mut k = self.vertex as usize;
        if slope[k] > margin || (k > 0 && slope[k - 1] <= margin) {
            k = slope[..slope.len() - 1].partition_point(|&s| s > margin);
            self.vertex = k as u32;
        }
        let best = vertex[k] as usize;
        let (bits, accuracy) = (points.bits[best], points.accuracy[best]);
        match self.carry_cheaply(&bit, bits, self.base + self.worth * accuracy) {
            Some(response) => response,
            None => self.points_full_power(points, vertex, slope, lambda, &bit),
        }
    }

    /// Step 2: the best point lies beyond `full_bits`, or just there.
    #[cold]
    fn points_full_power(
        &mut self,
        points: &Points,
        vertex: &[u32],
        slope: &[f64],
        lambda: f64,
        bit: &Bit,
    ) -> Response {
        let full_bits = self.full_bits(bit);
        // Segment of the envelope that holds full_bits (its first if the arm begins beyond).
        let first = vertex
            .partition_point(|&i| points.bits[i as usize] <= full_bits)
            .saturating_sub(1);
        let end_of = |k: usize| points.bits[vertex[k + 1] as usize];
        // Slopes fall and ends rise, so the segments that pay to their end come first. Looked for next to where they ended
        // at the last price, then by halves.
        let (mut k, mut high) = (first, vertex.len() - 1);
        let mut middle = (self.full as usize).clamp(first, high.max(first + 1) - 1);
        let mut near = true;
        while k < high {
            let pays = self.stationary_bits(lambda, slope[middle]) >= end_of(middle);
            if pays {
                k = middle + 1;
            } else {
                high = middle;
            }
            middle = match (near, pays) {
                (true, true) => k,
                (true, false) => high.saturating_sub(1),
                (false, _) => k.midpoint(high),
            };
            near = false;
        }
        self.full = k as u32;
        let left = vertex[k] as usize;
        if k + 1 == vertex.len() {
            return self.carry(lambda, bit, points.bits[left], points.accuracy[left]);
        }
        let right = vertex[k + 1] as usize;
        let best = self.stationary_bits(lambda, slope[k]).max(full_bits);
        if best <= points.bits[left] {
            self.carry(lambda, bit, points.bits[left], points.accuracy[left])
        } else if right == left + 1 && !points.steps {
            let accuracy = points.accuracy[left] + slope[k] * (best - points.bits[left]);
            self.carry(lambda, bit, best, accuracy)
        } else {
            // The envelope leaves the curve here. Everything outside its two vertices is worse than they are.
            self.scan(points, left, right, lambda, bit)
        }
    }

    /// Best point of the curve itself from breakpoint `left` to `right`.
    fn scan(&self, points: &Points, left: usize, right: usize, lambda: f64, bit: &Bit) -> Response {
        let full_bits = self.full_bits(bit);
        let mut best = silent(f64::NEG_INFINITY);
        let mut consider = |bits: f64, accuracy: f64| {
            let response = self.carry(lambda, bit, bits, accuracy);
            if response.value > best.value {
                best = response;
            }
        };
        for i in left..=right {
            consider(points.bits[i], points.accuracy[i]);
            if i == right || points.steps || points.accuracy[i + 1] <= points.accuracy[i] {
                continue;
            }
            let rise = (points.accuracy[i + 1] - points.accuracy[i])
                / (points.bits[i + 1] - points.bits[i]);
            let bits = self.stationary_bits(lambda, rise).max(full_bits);
            if bits > points.bits[i] && bits < points.bits[i + 1] {
                consider(bits, points.accuracy[i] + rise * (bits - points.bits[i]));
            }
        }
        best
    }

    /// The part of (14) above its floor, which is concave.
    fn fitted(&mut self, shared: &Shared<'_>, fitted: &Fitted, lambda: f64) -> Response {
        let bit = self.cheapest(shared, lambda);
        let cheap = fitted.best_bits(self.worth, bit.cost);
        let gain = self.base + self.worth * fitted.accuracy(cheap);
        if let Some(response) = self.carry_cheaply(&bit, cheap, gain) {
            return response;
        }
        let full_bits = self.full_bits(&bit);
        let start = full_bits.max(fitted.floor_bits);
        if start * LN_2 >= self.reach * self.time_s {
            return silent(f64::NEG_INFINITY);
        }
        let (bits, snr) = self.fitted_full_power(fitted, lambda);
        if bits <= start || bits >= fitted.total_bits {
            let bits = bits.clamp(start, fitted.total_bits);
            return self.carry(lambda, &bit, bits, fitted.accuracy(bits));
        }
        let bandwidth_hz = self.reach / snr;
        let gain = self.base + self.worth * fitted.accuracy(bits);
        Response {
            value: gain - self.snr_cost * self.reach - lambda * bandwidth_hz,
            bandwidth_hz,
            bits,
        }
    }

    /// Bits (and their snr) at which, at full power, the slope of (14) is worth the band of the next bit. In x that is
    /// (x − 1 + e^(−x))/u² = λ·ln 2·total/(T·worth·a0) with u = a0·β − a1 at b(x) bits; the left side rises with x.
    fn fitted_full_power(&mut self, fitted: &Fitted, lambda: f64) -> (f64, f64) {
        let limit = self.reach * self.time_s / LN_2;
        let slope = fitted.a0 / fitted.total_bits;
        let target = (lambda * LN_2 * self.per_time / (self.worth * slope)).ln();
        let (mut low, mut high) = (0.0, 690.0);
        let mut x = if self.x > 0.0 { self.x } else { 1.0 };
        for _ in 0..100 {
            let grown = x.exp_m1();
            let u = slope * limit * x / grown - fitted.a1;
            let margin = x + (-x).exp_m1();
            // Where u ≤ 0 the bits are left of the curve's domain: x is too large.
            let excess = if u > 0.0 {
                margin.ln() - 2.0 * u.ln() - target
            } else {
                f64::INFINITY
            };
            if excess > 0.0 {
                high = x
            } else {
                low = x
            }
            let bits_slope = limit * (grown - x * (grown + 1.0)) / (grown * grown);
            let rise = -(-x).exp_m1() / margin - 2.0 * slope * bits_slope / u;
            let newton = x - excess / rise;
            let next = if newton > low && newton < high {
                newton
            } else {
                (2.0 * x).min(0.5 * (low + high))
            };
            let step = (next - x).abs();
            x = next;
            // Quadratic convergence: the step before the last tells.
            if step <= 1e-6 * x {
                break;
            }
        }
        self.x = x;
        let snr = x.exp_m1();
        (limit * x / snr, snr)
    }
}

/// The cheapest way to carry a bit at some price.
struct Bit {
    /// ln(1 + snr).
    x: f64,
    snr: f64,
    /// c(λ) \[objective/bit\].
    cost: f64,
}

/// Sending nothing.
#[inline]
pub(crate) fn silent(value: f64) -> Response {
    Response {
        value,
        bandwidth_hz: 0.0,
        bits: 0.0,
    }
}

impl Fitted {
    /// Bits above the floor at which the accuracy is worth `worth` and a bit costs `cost`: the inverse of (14)'s slope.
    pub(crate) fn best_bits(&self, worth: f64, cost: f64) -> f64 {
        if cost <= 0.0 {
            return self.total_bits;
        }
        let u = (worth * self.a0 / (cost * self.total_bits)).sqrt();
        ((u + self.a1) * self.total_bits / self.a0).clamp(self.floor_bits, self.total_bits)
    }
}
