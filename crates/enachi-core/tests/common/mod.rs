//! Random task-level problems, made from a seed.
#![allow(dead_code)]

pub mod frames;

use enachi_core::curve::AccuracyCurve;
use enachi_core::profile::Surrogate;
use enachi_core::radio::{Noise, Radio};
use enachi_core::task::{CutOption, DeviceProblem, Problem};

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Ten to the power of a uniform exponent.
    pub fn decade(&mut self, low: f64, high: f64) -> f64 {
        10f64.powf(self.range(low, high))
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

/// A problem that owns its parts.
pub struct Owned {
    pub bandwidth_hz: f64,
    pub radio: Radio,
    pub v: f64,
    pub curves: Vec<AccuracyCurve>,
    pub options: Vec<CutOption>,
    pub devices: Vec<DeviceProblem>,
}

impl Owned {
    pub fn view(&self) -> Problem<'_> {
        Problem {
            bandwidth_hz: self.bandwidth_hz,
            radio: self.radio,
            v: self.v,
            curves: &self.curves,
            options: &self.options,
            devices: &self.devices,
        }
    }
}

/// A curve of a random kind: concave, S-shaped, wobbling, flat, a ladder of alternatives, or fitted.
pub fn random_curve(rng: &mut Rng, max_points: usize) -> AccuracyCurve {
    let total = rng.decade(4.0, 7.0);
    let count = 2 + rng.below(max_points.max(2) - 1);
    let mut bits: Vec<f64> = (0..count).map(|_| total * rng.unit().powi(2)).collect();
    bits[0] = 0.0;
    bits.sort_by(f64::total_cmp);
    bits.dedup_by(|a, b| *a - *b < 1e-9 * total);
    let low = rng.range(0.0, 0.1);
    let high = rng.range(0.3, 0.95);
    let knee = total * rng.decade(-2.0, -0.3);
    let kind = rng.below(6);
    let wobble = rng.range(0.0, 0.03);
    let accuracy: Vec<f64> = bits
        .iter()
        .map(|&b| {
            let t = b / knee;
            let a = match kind {
                0 | 1 => low + (high - low) * (1.0 - (-t).exp()),
                2 => low + (high - low) * t.powi(4) / (1.0 + t.powi(4)),
                3 => {
                    low + (high - low) * t / (1.0 + t)
                        + if b > 0.0 {
                            rng.range(-wobble, wobble)
                        } else {
                            0.0
                        }
                }
                4 => low + (high - low) * t / (1.0 + t),
                _ => high,
            };
            a.clamp(0.0, 1.0)
        })
        .collect();
    match kind {
        4 => AccuracyCurve::levels(&bits, &accuracy).expect("valid"),
        1 if rng.chance(0.5) => {
            let surrogate = Surrogate {
                a0: rng.decade(1.0, 3.0),
                a1: rng.range(-0.5, 5.0),
                a2: high,
                floor: low.min(0.2),
                rmse: 0.0,
                max_error: 0.0,
            };
            AccuracyCurve::fitted(&surrogate, total).expect("valid")
        }
        _ => AccuracyCurve::measured(&bits, &accuracy).expect("valid"),
    }
}

/// What sort of problems to draw.
#[derive(Clone, Copy)]
pub struct Draw {
    pub devices: (usize, usize),
    pub max_cuts: usize,
    pub max_points: usize,
    pub constant_noise: bool,
}

pub fn random_problem(rng: &mut Rng, draw: Draw) -> Owned {
    let n = draw.devices.0 + rng.below(draw.devices.1 - draw.devices.0 + 1);
    let cuts = 1 + rng.below(draw.max_cuts);
    let bandwidth_hz = n as f64 * rng.decade(4.5, 6.3);
    let noise = if draw.constant_noise {
        Noise::Constant { power_w: 1e-13 }
    } else {
        Noise::Exact {
            psd_w_per_hz: 3.3e-20,
        }
    };
    let spectral_cap = if rng.chance(0.3) {
        rng.range(2.0, 8.0)
    } else {
        f64::INFINITY
    };
    let mut curves: Vec<AccuracyCurve> = (0..cuts)
        .map(|_| random_curve(rng, draw.max_points))
        .collect();
    let shared_times: Vec<(f64, f64)> = (0..cuts)
        .map(|_| (rng.range(0.02, 0.3), rng.range(0.0, 0.2)))
        .collect();
    let homogeneous = rng.chance(0.5);
    let local = rng.chance(0.3).then(|| {
        curves.push(AccuracyCurve::constant(rng.range(0.3, 0.9)).expect("valid"));
        (curves.len() - 1) as u32
    });
    let (mut options, mut devices) = (Vec::new(), Vec::new());
    // A stream of its own, so that charges do not change the rest of a problem.
    let mut rng_of_charge = Rng(!rng.0);
    let charge = |rng: &mut Rng| {
        if rng.chance(0.3) {
            rng.range(0.0, 5.0)
        } else {
            0.0
        }
    };
    for _ in 0..n {
        let start = options.len() as u32;
        for (cut, &(time_s, energy_j)) in shared_times.iter().enumerate() {
            let (time_s, energy_j) = if homogeneous {
                (time_s, energy_j)
            } else {
                (rng.range(0.02, 0.3), rng.range(0.0, 0.2))
            };
            options.push(CutOption {
                curve: cut as u32,
                transmit_time_s: time_s,
                local_energy_j: energy_j,
                charge: charge(&mut rng_of_charge),
            });
        }
        if let Some(curve) = local {
            options.push(CutOption {
                curve,
                transmit_time_s: 0.0,
                local_energy_j: rng.range(0.0, 0.5),
                charge: charge(&mut rng_of_charge),
            });
        }
        devices.push(DeviceProblem {
            energy_queue_j: if rng.chance(0.15) {
                0.0
            } else {
                rng.decade(-1.0, 2.5)
            },
            gain: rng.decade(-12.5, -10.0),
            power_max_w: rng.decade(-1.3, 0.3),
            weight: 1.0,
            options: start..options.len() as u32,
        });
    }
    Owned {
        bandwidth_hz,
        radio: Radio {
            noise,
            spectral_cap,
        },
        v: rng.decade(0.5, 2.0),
        curves,
        options,
        devices,
    }
}

/// Best use of a given slice of band by one device at one option, worked out from the slice instead of from a price:
/// on each straight (or fitted) piece the gain less Q·T·p(b) is concave in b and its top explicit or bracketed.
/// Returns (value, bits, power); only on one piece if given.
pub fn best_at_band(
    problem: &Problem<'_>,
    device: &DeviceProblem,
    option: &CutOption,
    bandwidth_hz: f64,
    piece: Option<usize>,
) -> (f64, f64, f64) {
    let curve = &problem.curves[option.curve as usize];
    let base = -device.energy_queue_j * option.local_energy_j - option.charge;
    let worth = problem.v * device.weight;
    let time_s = option.transmit_time_s;
    let capacity = if time_s > 0.0 {
        problem
            .radio
            .bits(bandwidth_hz, device.gain, device.power_max_w, time_s)
    } else {
        0.0
    };
    let knots = curve.knots();
    if let Some(left) = piece.map(|p| knots[p]).filter(|&left| left > capacity) {
        // Not feasible: how far from it, so that a search over bands finds its way.
        return (-1e6 * (1.0 + (left / capacity.max(1e-9)).ln_1p()), 0.0, 0.0);
    }
    let mut best = (f64::NEG_INFINITY, 0.0, 0.0);
    let mut consider = |bits: f64| {
        let power_w = problem
            .radio
            .power_for_bits_w(bandwidth_hz, device.gain, bits, time_s);
        let power_w = power_w.min(device.power_max_w);
        let value = base + worth * curve.accuracy(bits) - device.energy_queue_j * power_w * time_s;
        if value > best.0 {
            best = (value, bits, power_w);
        }
    };
    if piece.is_none_or(|p| p == 0) {
        consider(0.0);
    }
    for i in 0..knots.len() - 1 {
        if piece.is_some_and(|p| p != i) {
            continue;
        }
        let (left, right) = (knots[i], knots[i + 1].min(capacity));
        if left > capacity {
            continue;
        }
        if right <= left {
            consider(left);
            continue;
        }
        // Golden section on a concave piece.
        let (mut a, mut b) = (left, right);
        let value = |bits: f64| {
            worth * curve.accuracy(bits)
                - device.energy_queue_j
                    * time_s
                    * problem
                        .radio
                        .power_for_bits_w(bandwidth_hz, device.gain, bits, time_s)
        };
        let g = 0.618_033_988_749_894_9;
        let (mut c, mut d) = (b - g * (b - a), a + g * (b - a));
        let (mut fc, mut fd) = (value(c), value(d));
        for _ in 0..45 {
            if fc < fd {
                (a, c, fc) = (c, d, fd);
                d = a + g * (b - a);
                fd = value(d);
            } else {
                (b, d, fd) = (d, c, fc);
                c = b - g * (b - a);
                fc = value(c);
            }
        }
        consider(left);
        consider(0.5 * (a + b));
        consider(right);
    }
    best
}

/// Feasibility and value of a plan, checked from its grants alone.
pub fn audit(problem: &Problem<'_>, plan: &enachi_core::task::Plan) {
    assert_eq!(plan.grants.len(), problem.devices.len());
    let (mut band_hz, mut objective) = (0.0, 0.0);
    for (device, grant) in problem.devices.iter().zip(&plan.grants) {
        let values = [grant.bandwidth_hz, grant.reference_power_w, grant.bits];
        assert!(values.iter().all(|v| *v >= 0.0), "{plan:?}");
        assert!(grant.reference_power_w <= device.power_max_w);
        band_hz += grant.bandwidth_hz;
        let Some(cut) = grant.cut else {
            assert!(device.options.is_empty());
            continue;
        };
        let option = &problem.options_of(device)[cut as usize];
        let capacity = problem.radio.bits(
            grant.bandwidth_hz,
            device.gain,
            grant.reference_power_w,
            option.transmit_time_s,
        );
        assert!(
            grant.bits <= capacity * (1.0 + 1e-12),
            "{} > {capacity}",
            grant.bits
        );
        let curve = &problem.curves[option.curve as usize];
        assert_eq!(grant.accuracy, curve.accuracy(grant.bits));
        objective += problem.v * device.weight * grant.accuracy
            - device.energy_queue_j
                * (option.local_energy_j
                    + grant.reference_power_w * option.transmit_time_s.max(0.0))
            - option.charge;
    }
    assert!(
        band_hz <= problem.bandwidth_hz * (1.0 + 1e-12),
        "{band_hz} > {}",
        problem.bandwidth_hz
    );
    let scale = plan.upper_bound.abs().max(problem.v);
    assert!(
        (objective - plan.objective).abs() <= 1e-9 * scale,
        "{objective} {}",
        plan.objective
    );
    assert!(plan.objective <= plan.upper_bound);
    let gap = (plan.upper_bound - plan.objective) / plan.upper_bound.abs();
    assert!(plan.gap == gap || plan.upper_bound == plan.objective);
}
