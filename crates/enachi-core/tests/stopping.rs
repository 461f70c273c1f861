//! Stopping-aware power against the finite-horizon dynamic programme of one device on a steady channel.
#![allow(clippy::unwrap_used)]

use enachi_core::curve::AccuracyCurve;
use enachi_core::packet::stopping::{equivalent_bits, exponent};
use enachi_core::radio::{Noise, Radio};
use enachi_core::task::{CutOption, DeviceProblem, Plan, Problem, Settings, Solver};

const BAND_HZ: f64 = 1e6;
const SLOT_S: f64 = 5e-3;
const SLOTS: usize = 40;
const GAIN: f64 = 1e-11;
const RADIO: Radio = Radio {
    noise: Noise::Exact {
        psd_w_per_hz: 3e-20,
    },
    spectral_cap: f64::INFINITY,
};
/// Steps in which bits are counted.
const GRID: usize = 1500;

/// Tasks that turn right (and stop, if the rule sees it) after an exponential number of bits; some never do.
struct Case {
    mean_bits: f64,
    ceiling: f64,
    v_per_queue_j: f64,
    total_bits: f64,
}

impl Case {
    fn right(&self, bits: f64) -> f64 {
        self.ceiling * (1.0 - (-bits / self.mean_bits).exp())
    }

    fn survival(&self, bits: f64) -> f64 {
        1.0 - self.right(bits)
    }

    fn energy_j(&self, bits: f64) -> f64 {
        SLOT_S * RADIO.power_for_bits_w(BAND_HZ, GAIN, bits, SLOT_S)
    }

    /// G_k(b) = max over b′ of −S(b) P(b′ − b) t + G_{k+1}(b′), G_K(b) = V A(b), per unit of Q.
    fn optimum(&self) -> f64 {
        let step = self.total_bits / GRID as f64;
        let bits = |i: usize| i as f64 * step;
        let cost: Vec<f64> = (0..=GRID).map(|i| self.energy_j(bits(i))).collect();
        let mut value: Vec<f64> = (0..=GRID)
            .map(|i| self.v_per_queue_j * self.right(bits(i)))
            .collect();
        for _ in 0..SLOTS {
            value = (0..=GRID)
                .map(|i| {
                    let survival = self.survival(bits(i));
                    (i..=GRID)
                        .map(|to| value[to] - survival * cost[to - i])
                        .fold(f64::NEG_INFINITY, f64::max)
                })
                .collect();
        }
        value[0]
    }

    /// The curve of what is left to a task that was not stopped at `from`, on the scale `exponent`.
    fn left(&self, from: f64, exponent: f64) -> AccuracyCurve {
        let n = 64;
        let step = (self.total_bits - from) / f64::from(n);
        let at = |i: i32| from + f64::from(i) * step;
        let survival = |i: i32| self.survival(at(i)) / self.survival(from);
        let bits = equivalent_bits((0..n).map(|i| (survival(i), step)), exponent);
        let right: Vec<f64> = (0..=n).map(|i| 1.0 - survival(i)).collect();
        AccuracyCurve::measured(&bits, &right).unwrap()
    }

    /// Mean value per unit of Q when a plan is made before every slot, as within a frame.
    fn replanned(&self, exponent_of: impl Fn(f64) -> f64) -> f64 {
        let mut solver = Solver::new(Settings::default());
        let mut plan = Plan::default();
        let (mut bits, mut spent, mut snr) = (0.0, 0.0, 16.0);
        for slot in 0..SLOTS {
            let curves = [self.left(bits, exponent_of(snr))];
            let options = [CutOption {
                curve: 0,
                transmit_time_s: (SLOTS - slot) as f64 * SLOT_S,
                local_energy_j: 0.0,
                charge: 0.0,
            }];
            let devices = [DeviceProblem {
                energy_queue_j: 1.0,
                gain: GAIN,
                power_max_w: 10.0,
                weight: 1.0,
                options: 0..1,
            }];
            let problem = Problem {
                bandwidth_hz: BAND_HZ,
                radio: RADIO,
                v: self.v_per_queue_j,
                curves: &curves,
                options: &options,
                devices: &devices,
            };
            solver.solve(&problem, &mut plan);
            let power_w = plan.grants[0].reference_power_w;
            spent += self.survival(bits) * power_w * SLOT_S;
            bits += RADIO.bits(BAND_HZ, GAIN, power_w, SLOT_S);
            bits = bits.min(self.total_bits * (1.0 - 1e-9));
            snr = GAIN * power_w / RADIO.noise_power_w(BAND_HZ);
        }
        self.v_per_queue_j * self.right(bits) - spent
    }
}

/// What is lost against all right answers for nothing: accuracy not reached, and energy.
#[test]
fn equivalent_bits_come_close_to_the_dynamic_programme() {
    let (mut worst, mut unaware_worst): (f64, f64) = (0.0, 0.0);
    for mean_bits in [3e5, 7e5, 1.5e6] {
        for v_per_queue_j in [0.3, 3.0, 30.0] {
            let case = Case {
                mean_bits,
                ceiling: 0.9,
                v_per_queue_j,
                total_bits: 5.0 * mean_bits,
            };
            let best = v_per_queue_j * case.ceiling;
            let optimum = best - case.optimum();
            let aware = best - case.replanned(|snr| exponent(1.0, snr));
            // Bits as they are: S⁰.
            let unaware = best - case.replanned(|_| 0.0);
            println!(
                "{mean_bits:9.0} {v_per_queue_j:5} loss {optimum:.5} aware {:.4} unaware {:.4}",
                aware / optimum,
                unaware / optimum
            );
            // The programme's steps of bits are coarse: it is not quite the optimum itself.
            assert!(aware >= 0.985 * optimum, "{aware} {optimum}");
            worst = worst.max(aware / optimum);
            unaware_worst = unaware_worst.max(unaware / optimum);
        }
    }
    assert!(worst < 1.015, "{worst}");
    assert!(unaware_worst > worst + 0.01, "{unaware_worst} {worst}");
}
