//! What a device makes of a given slice of band: the best cut, bits and power there. Policies that share the band by a
//! rule of their own plan with this, and so does the paper's sequential rule.

use super::problem::{CutOption, DeviceProblem, Problem};
use crate::curve::{AccuracyCurve, Fitted, Points, Shape};
use crate::radio::Radio;
use std::f64::consts::LN_2;

/// The best use of a slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandUse {
    /// worth·A(b) − price·p·T.
    pub value: f64,
    /// Bits.
    pub bits: f64,
    /// Power that carries them in the time there is \[W\].
    pub power_w: f64,
    /// Accuracy at those bits.
    pub accuracy: f64,
}

/// A slice of band for a device in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    /// Noise and cap.
    pub radio: Radio,
    /// ω \[Hz\].
    pub bandwidth_hz: f64,
    /// Frame-average gain.
    pub gain: f64,
    /// p_max \[W\].
    pub power_max_w: f64,
    /// Time to send \[s\].
    pub time_s: f64,
}

impl Slice {
    /// Bits at full power.
    pub fn capacity_bits(&self) -> f64 {
        self.radio
            .bits(self.bandwidth_hz, self.gain, self.power_max_w, self.time_s)
    }

    /// Least power that carries `bits` \[W\]; `None` if full power does not.
    pub fn power_w(&self, bits: f64) -> Option<f64> {
        let power_w = self
            .radio
            .power_for_bits_w(self.bandwidth_hz, self.gain, bits, self.time_s);
        (power_w <= self.power_max_w * (1.0 + 1e-12)).then(|| power_w.min(self.power_max_w))
    }

    /// Maximise `worth`·A(b) − `joule_price`·p(b)·T over bits. p is convex in b, so on a concave piece of the curve
    /// there is one top, and the envelope tells on which piece.
    pub fn best(&self, curve: &AccuracyCurve, worth: f64, joule_price: f64) -> BandUse {
        let capacity = self.capacity_bits();
        let cost = Cost {
            // joule_price·p·T = scale·(e^(rate·b) − 1).
            scale: joule_price * self.time_s * self.radio.noise_power_w(self.bandwidth_hz)
                / self.gain,
            rate: LN_2 / (self.bandwidth_hz * self.time_s),
            worth,
            capacity,
        };
        let bits = if capacity <= 0.0 || worth <= 0.0 {
            0.0
        } else {
            match &curve.shape {
                Shape::Points(points) => cost.points(points),
                Shape::Fitted(fitted) => cost.fitted(fitted),
            }
        };
        let power_w = if bits > 0.0 {
            self.power_w(bits).unwrap_or(self.power_max_w)
        } else {
            0.0
        };
        let accuracy = curve.accuracy(bits);
        BandUse {
            value: worth * accuracy - joule_price * power_w * self.time_s,
            bits,
            power_w,
            accuracy,
        }
    }
}

/// worth·A(b) against scale·(e^(rate·b) − 1), for bits up to `capacity`.
struct Cost {
    scale: f64,
    rate: f64,
    worth: f64,
    capacity: f64,
}

impl Cost {
    fn at(&self, bits: f64) -> f64 {
        self.scale * (self.rate * bits).exp_m1()
    }

    /// Whether another bit at `bits` is worth its cost, where the accuracy rises by `rise` per bit.
    fn pays(&self, rise: f64, bits: f64) -> bool {
        self.worth * rise > self.scale * self.rate * (self.rate * bits).exp()
    }

    /// Where the next bit just pays.
    fn stationary(&self, rise: f64) -> f64 {
        if self.scale <= 0.0 {
            return f64::INFINITY;
        }
        (self.worth * rise / (self.scale * self.rate)).ln() / self.rate
    }

    fn points(&self, points: &Points) -> f64 {
        let bits = |i: u32| points.bits[i as usize];
        let vertex = &points.envelope;
        // The last vertex worth climbing to, capacity allowing.
        let (mut low, mut high) = (0, vertex.len() - 1);
        while low < high {
            let middle = (low + high) / 2;
            if bits(vertex[middle + 1]) <= self.capacity
                && self.pays(points.slope[middle], bits(vertex[middle + 1]))
            {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let left = vertex[low] as usize;
        let Some(&right) = vertex.get(low + 1) else {
            return points.bits[left];
        };
        // The top is at `left` or between it and the next vertex.
        if !self.pays(points.slope[low], points.bits[left]) {
            return points.bits[left];
        }
        let mut best = (f64::NEG_INFINITY, 0.0);
        for i in left..=right as usize {
            if points.bits[i] > self.capacity {
                break;
            }
            let mut consider = |bits: f64, accuracy: f64| {
                let value = self.worth * accuracy - self.at(bits);
                if value > best.0 {
                    best = (value, bits);
                }
            };
            consider(points.bits[i], points.accuracy[i]);
            if i < right as usize && !points.steps && points.accuracy[i + 1] > points.accuracy[i] {
                let rise = (points.accuracy[i + 1] - points.accuracy[i])
                    / (points.bits[i + 1] - points.bits[i]);
                let end = points.bits[i + 1].min(self.capacity);
                let bits = self.stationary(rise).clamp(points.bits[i], end);
                consider(bits, points.accuracy[i] + rise * (bits - points.bits[i]));
            }
        }
        best.1
    }

    fn fitted(&self, fitted: &Fitted) -> f64 {
        let (mut low, mut high) = (fitted.floor_bits, fitted.total_bits.min(self.capacity));
        if low >= high {
            return 0.0;
        }
        let pays = |bits: f64| {
            let u = fitted.a0 * bits / fitted.total_bits - fitted.a1;
            self.pays(fitted.a0 / (u * u * fitted.total_bits), bits)
        };
        let top = if pays(high) {
            high
        } else {
            for _ in 0..100 {
                let middle = 0.5 * (low + high);
                if middle <= low || middle >= high {
                    break;
                }
                if pays(middle) {
                    low = middle
                } else {
                    high = middle
                }
            }
            low
        };
        let gain = self.worth * (fitted.accuracy(top) - fitted.floor) - self.at(top);
        if gain > 0.0 { top } else { 0.0 }
    }
}

/// The option a device likes best with a given slice of band: (index, its use, value with the energy of the head).
pub fn best_option(
    problem: &Problem<'_>,
    device: &DeviceProblem,
    bandwidth_hz: f64,
) -> Option<(u32, BandUse, f64)> {
    let mut best: Option<(u32, BandUse, f64)> = None;
    for (o, option) in problem.options_of(device).iter().enumerate() {
        let found = option_at_band(problem, device, option, bandwidth_hz);
        let value = found.value - device.energy_queue_j * option.local_energy_j - option.charge;
        if best.is_none_or(|(_, _, top)| value > top) {
            best = Some((o as u32, found, value));
        }
    }
    best
}

/// The best use of a slice by one option.
pub fn option_at_band(
    problem: &Problem<'_>,
    device: &DeviceProblem,
    option: &CutOption,
    bandwidth_hz: f64,
) -> BandUse {
    let slice = Slice {
        radio: problem.radio,
        bandwidth_hz,
        gain: device.gain,
        power_max_w: device.power_max_w,
        time_s: option.transmit_time_s.max(0.0),
    };
    let worth = problem.v * device.weight;
    slice.best(
        &problem.curves[option.curve as usize],
        worth,
        device.energy_queue_j,
    )
}
