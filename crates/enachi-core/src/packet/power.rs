//! Transmit power of one slot: reference tracking (corrected and as printed), constant, water-filling.

use crate::fading::{Fading, RicianNodes, exponential_integral};
use crate::queue::PowerQueue;

/// Chooses the transmit power of a slot from the power queue and the gain of the slot.
///
/// Implementations are plain values, built once per grant; the slot loop is compiled for each of them.
pub trait PowerControl {
    /// Power \[W\] in \[0, p_max\] for a slot whose channel power gain is `gain`, before the queue is updated.
    fn power_w(&self, queue: &PowerQueue, gain: f64) -> f64;
}

/// ENACHI (25), corrected: p* = κ/q − σ²/h, clamped to \[0, p_max\]; an empty queue gives p_max.
///
/// κ is the stationary point of (24) with (3): κ = v ω t_slot/(map_bits ln 2), see [`paper_kappa_w2`]. Given
/// directly it is free of the scale of the chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceTracking {
    /// Gain κ \[W²\], positive.
    pub kappa_w2: f64,
    /// Noise power in the device's band, σ² = N0·ω \[W\].
    pub noise_w: f64,
    /// p_max \[W\].
    pub power_max_w: f64,
}

impl PowerControl for ReferenceTracking {
    #[inline]
    fn power_w(&self, queue: &PowerQueue, gain: f64) -> f64 {
        // κ/0 = ∞ is clamped to p_max: an empty queue means there is power to spare.
        (self.kappa_w2 / queue.level_w() - self.noise_w / gain).clamp(0.0, self.power_max_w)
    }
}

/// κ \[W²\] of the corrected (25) in the paper's reading: v ω t_slot/(map_bits ln 2).
pub fn paper_kappa_w2(v: f64, bandwidth_hz: f64, slot_s: f64, map_bits: f64) -> f64 {
    v * bandwidth_hz * slot_s / (map_bits * std::f64::consts::LN_2)
}

/// Level \[W²\] of (25) as printed: v ω ln 2/(D·Lh·Lw), without t_slot and with ln 2 on the wrong side.
pub fn printed_level_w2(v: f64, bandwidth_hz: f64, map_bits: f64) -> f64 {
    v * bandwidth_hz * std::f64::consts::LN_2 / map_bits
}

/// ENACHI (25) exactly as printed: p* = v ω ln 2/(q D Lh Lw) − σ²/h.
///
/// The printed formula has no clamp; a radio cannot radiate less than nothing or more than p_max, so the
/// result is limited to what it can do. Use [`printed_level_w2`] for the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrintedTracking {
    /// v ω ln 2/(D Lh Lw).
    pub level_w2: f64,
    /// σ² \[W\].
    pub noise_w: f64,
    /// p_max \[W\].
    pub power_max_w: f64,
}

impl PowerControl for PrintedTracking {
    #[inline]
    fn power_w(&self, queue: &PowerQueue, gain: f64) -> f64 {
        (self.level_w2 / queue.level_w() - self.noise_w / gain).clamp(0.0, self.power_max_w)
    }
}

/// The reference power in every slot, whatever the channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConstantPower {
    /// Power \[W\], already at most p_max.
    pub power_w: f64,
}

impl PowerControl for ConstantPower {
    #[inline]
    fn power_w(&self, _queue: &PowerQueue, _gain: f64) -> f64 {
        self.power_w
    }
}

/// Water-filling over the known statistics of a fading channel: p = \[μ − σ²/h\]⁺, at most p_max.
///
/// It is causal: μ is fixed at the grant so that the *expected* power is the reference power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaterFilling {
    /// Water level μ \[W\].
    pub level_w: f64,
    /// σ² \[W\].
    pub noise_w: f64,
    /// p_max \[W\].
    pub power_max_w: f64,
}

impl WaterFilling {
    /// Level for a mean power of `reference_w` on a channel of mean gain `mean_gain` that fades as `fading` says.
    pub fn on(
        fading: Fading,
        reference_w: f64,
        mean_gain: f64,
        noise_w: f64,
        power_max_w: f64,
    ) -> Self {
        match fading {
            Fading::None => Self::constant(reference_w, mean_gain, noise_w, power_max_w),
            Fading::Rayleigh => Self::rayleigh(reference_w, mean_gain, noise_w, power_max_w),
            Fading::Rician { k } => Self::rician(k, reference_w, mean_gain, noise_w, power_max_w),
        }
    }

    /// Level for a mean power of `reference_w` on a Rician channel.
    pub fn rician(
        k: f64,
        reference_w: f64,
        mean_gain: f64,
        noise_w: f64,
        power_max_w: f64,
    ) -> Self {
        let (nodes, a) = (RicianNodes::new(k), noise_w / mean_gain);
        let expected = |level: f64| nodes.mean(|x| (level - a / x).clamp(0.0, power_max_w));
        Self::solve(expected, reference_w, mean_gain, noise_w, power_max_w)
    }

    /// Level for a mean power of `reference_w` on a Rayleigh channel of mean gain `mean_gain`.
    pub fn rayleigh(reference_w: f64, mean_gain: f64, noise_w: f64, power_max_w: f64) -> Self {
        let expected = |level: f64| mean_power_rayleigh(level, noise_w / mean_gain, power_max_w);
        Self::solve(expected, reference_w, mean_gain, noise_w, power_max_w)
    }

    /// Level for a channel without fading: the power is the reference power itself.
    pub fn constant(reference_w: f64, mean_gain: f64, noise_w: f64, power_max_w: f64) -> Self {
        Self {
            level_w: reference_w + noise_w / mean_gain,
            noise_w,
            power_max_w,
        }
    }

    fn solve(
        expected: impl Fn(f64) -> f64,
        reference_w: f64,
        mean_gain: f64,
        noise_w: f64,
        power_max_w: f64,
    ) -> Self {
        let (mut low, mut high) = (0.0, reference_w + noise_w / mean_gain);
        // The expected power tends to p_max as the level grows; 60 doublings leave any real channel behind.
        for _ in 0..60 {
            if expected(high) >= reference_w {
                break;
            }
            low = high;
            high *= 2.0;
        }
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if expected(middle) < reference_w {
                low = middle;
            } else {
                high = middle;
            }
        }
        Self {
            level_w: 0.5 * (low + high),
            noise_w,
            power_max_w,
        }
    }
}

impl PowerControl for WaterFilling {
    #[inline]
    fn power_w(&self, _queue: &PowerQueue, gain: f64) -> f64 {
        (self.level_w - self.noise_w / gain).clamp(0.0, self.power_max_w)
    }
}

/// E\[min(\[μ − a/x\]⁺, p_max)\] for x ~ Exp(1): the mean power of water level `level_w` with `a` = σ²/h̄ \[W\].
fn mean_power_rayleigh(level_w: f64, a: f64, power_max_w: f64) -> f64 {
    if level_w <= 0.0 {
        return 0.0;
    }
    // The power is μ − a/x between x0 (where it leaves 0) and x1 (where it reaches p_max).
    let x0 = a / level_w;
    let below = |x: f64| level_w * (-x).exp() - a * exponential_integral(x);
    if level_w <= power_max_w {
        below(x0)
    } else {
        let x1 = a / (level_w - power_max_w);
        below(x0) - below(x1) + power_max_w * (-x1).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fading::tests::mean_over_exponential;

    #[test]
    fn water_level_gives_the_reference_power_on_average() {
        let (noise_w, mean_gain) = (1e-13, 1e-12);
        for (reference_w, power_max_w) in [(0.3, 2.0), (1.8, 2.0), (0.02, 2.0), (0.5, 10.0)] {
            let law = WaterFilling::rayleigh(reference_w, mean_gain, noise_w, power_max_w);
            let queue = PowerQueue::new(reference_w);
            let mean = mean_over_exponential(|x| law.power_w(&queue, mean_gain * x));
            assert!(
                (mean - reference_w).abs() < 1e-3 * reference_w.max(0.1),
                "{mean} {reference_w}"
            );
        }
    }

    #[test]
    fn water_level_on_a_rician_channel() {
        let (noise_w, mean_gain) = (1e-13, 1e-12);
        for (k, reference_w) in [(0.0, 0.3), (2.0, 0.05), (8.0, 1.8), (300.0, 0.4)] {
            let law = WaterFilling::rician(k, reference_w, mean_gain, noise_w, 2.0);
            // Its own statistics, by brute force over a grid of both components of the scattered wave.
            let queue = PowerQueue::new(reference_w);
            let steps = 600;
            let (mut mean, mut weight) = (0.0, 0.0);
            for i in 0..steps {
                for j in 0..steps {
                    let at = |n: i32| (f64::from(n) + 0.5) / f64::from(steps) * 12.0 - 6.0;
                    let (u, v) = (at(i), at(j));
                    let w = (-0.5 * (u * u + v * v)).exp();
                    let re = k.sqrt() + u / std::f64::consts::SQRT_2;
                    let x = (re * re + 0.5 * v * v) / (1.0 + k);
                    mean += w * law.power_w(&queue, mean_gain * x);
                    weight += w;
                }
            }
            assert!(
                (mean / weight - reference_w).abs() < 2e-3 * reference_w,
                "{k}"
            );
        }
    }

    #[test]
    fn water_filling_beats_constant_power_in_bits() {
        let (noise_w, mean_gain, reference_w) = (1e-13, 2e-13, 0.5);
        let law = WaterFilling::rayleigh(reference_w, mean_gain, noise_w, 5.0);
        let queue = PowerQueue::new(reference_w);
        let rate = |p: f64, x: f64| (1.0 + mean_gain * x * p / noise_w).log2();
        let filled = mean_over_exponential(|x| rate(law.power_w(&queue, mean_gain * x), x));
        let constant = mean_over_exponential(|x| rate(reference_w, x));
        assert!(filled > constant);
    }

    #[test]
    fn corrected_law_maximises_the_drift_plus_penalty_of_the_slot() {
        // (24): v·b − q p with b = ω t log2(1 + h p/σ²)/map_bits, by brute force over p.
        let (v, bandwidth_hz, slot_s, map_bits) = (5.0, 1e6, 1e-3, 25_088.0);
        let (noise_w, power_max_w) = (1e-13, 2.0);
        let law = ReferenceTracking {
            kappa_w2: paper_kappa_w2(v, bandwidth_hz, slot_s, map_bits),
            noise_w,
            power_max_w,
        };
        for reference_w in [0.1, 0.4] {
            for gain in [1e-13, 1e-12, 1.5e-11] {
                let mut queue = PowerQueue::new(reference_w);
                for warm in [1.5, 0.2] {
                    queue.update(warm);
                    let chosen = law.power_w(&queue, gain);
                    let value = |p: f64| {
                        v * bandwidth_hz * slot_s * (1.0 + gain * p / noise_w).log2() / map_bits
                            - queue.level_w() * p
                    };
                    let best = (0..=20_000)
                        .map(|i| value(power_max_w * f64::from(i) / 20_000.0))
                        .fold(f64::NEG_INFINITY, f64::max);
                    assert!(value(chosen) >= best - 1e-9 * best.abs());
                }
            }
        }
    }

    #[test]
    fn empty_queue_and_dead_channel_stay_in_range() {
        let law = ReferenceTracking {
            kappa_w2: 1.0,
            noise_w: 1e-13,
            power_max_w: 2.0,
        };
        let queue = PowerQueue::new(0.5);
        assert_eq!(law.power_w(&queue, 1e-11), 2.0);
        let mut busy = PowerQueue::new(0.0);
        busy.update(2.0);
        assert_eq!(law.power_w(&busy, 1e-30), 0.0);
    }
}
