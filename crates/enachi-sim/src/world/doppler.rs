//! Fading that is continuous in time, with the spectrum of a device that moves among scatterers all around it.
//!
//! The complex amplitude of the scattered wave is a sum of sinusoids. A *set* of M waves is
//!
//! ```text
//! g(t) = Σ_m c_m e^{j 2π f_D cos(α_m) t},   c_m ~ CN(0, 1/M),   α_m uniform in the m-th of M equal sectors,
//! ```
//!
//! so that for given angles g is a Gaussian process, and over all draws E\[g(t) g*(t+τ)\] = J₀(2π f_D τ) exactly, as Clarke
//! and Jakes have it. M waves repeat themselves after a while, so sets are renewed: time is cut into epochs of
//! [`CYCLES`]/f_D, each with a set of its own, and within epoch b
//!
//! ```text
//! h(t) = cos(θ) g_b(t) + sin(θ) g_{b+1}(t),   θ = (π/2)·(share of the epoch that has passed).
//! ```
//!
//! h is again complex Gaussian with power 1 at every instant (its power gain is exponential), continuous across epochs, and
//! its autocorrelation is J₀(2π f_D τ)·cos(πτ/2T) within an epoch of length T: at the lags where J₀ still matters the
//! second factor is 1.
//!
//! A first-order recursion with coefficient J₀(2π f_D t_slot) would be cheaper, but it agrees with J₀ at the first lag
//! alone: at 17 Hz and 1 ms it would take a third of a second to decorrelate where the channel takes 20 ms. And it
//! would have to be run through from the first slot, where a sum of waves can be had at any time: a wave is a function
//! of (seed, device, epoch, m), so every policy meets the same fading whichever slots it uses.
//!
//! Slots are computed in blocks of [`BLOCK`]: exact phases at the block's first slot, then rotations, about ten
//! multiplications per wave and slot.

use crate::rng::{Draws, Purpose, open_unit};
use std::f64::consts::{FRAC_PI_2, TAU};

/// Waves of a set.
const WAVES: usize = 16;
/// Length of an epoch in periods of the largest Doppler shift: a process of bandwidth 2 f_D has 2·16 degrees of freedom in
/// it, and the two sets that take part have as many waves.
const CYCLES: f64 = 16.0;
/// Slots computed at a time.
const BLOCK: u32 = 32;

/// One set of waves.
#[derive(Clone, Copy, Debug)]
struct Waves {
    /// Angular frequencies \[rad/s\].
    omega: [f64; WAVES],
    /// Amplitudes c_m.
    amplitude: [[f64; 2]; WAVES],
    /// Waves at the current slot, real and imaginary parts.
    re: [f64; WAVES],
    im: [f64; WAVES],
    /// Rotation from a slot to the next.
    step_re: [f64; WAVES],
    step_im: [f64; WAVES],
}

impl Waves {
    const NONE: Self = Self {
        omega: [0.0; WAVES],
        amplitude: [[0.0; 2]; WAVES],
        re: [0.0; WAVES],
        im: [0.0; WAVES],
        step_re: [0.0; WAVES],
        step_im: [0.0; WAVES],
    };

    fn draw(draws: Draws, device: u32, epoch: u32, doppler_hz: f64, slot_s: f64) -> Self {
        let mut waves = Self::NONE;
        for m in 0..WAVES {
            let [sector, power, phase, _] = draws.block(Purpose::Doppler, device, epoch, m as u32);
            let angle = TAU * (m as f64 + open_unit(sector)) / WAVES as f64;
            let omega = TAU * doppler_hz * angle.cos();
            let size = (-open_unit(power).ln() / WAVES as f64).sqrt();
            let (sin, cos) = (TAU * open_unit(phase)).sin_cos();
            waves.omega[m] = omega;
            waves.amplitude[m] = [size * cos, size * sin];
            (waves.step_im[m], waves.step_re[m]) = (omega * slot_s).sin_cos();
        }
        waves
    }

    fn set_time(&mut self, t: f64) {
        for m in 0..WAVES {
            let (sin, cos) = (self.omega[m] * t).sin_cos();
            let [a, b] = self.amplitude[m];
            self.re[m] = a * cos - b * sin;
            self.im[m] = a * sin + b * cos;
        }
    }

    /// The sum now; then on to the next slot.
    #[inline]
    fn next(&mut self) -> [f64; 2] {
        let mut sum = [0.0; 2];
        for m in 0..WAVES {
            let (re, im) = (self.re[m], self.im[m]);
            sum[0] += re;
            sum[1] += im;
            self.re[m] = re * self.step_re[m] - im * self.step_im[m];
            self.im[m] = re * self.step_im[m] + im * self.step_re[m];
        }
        sum
    }
}

/// Power gains of one device in one frame.
#[derive(Clone, Copy, Debug)]
pub struct Doppler {
    draws: Draws,
    device: u32,
    doppler_hz: f64,
    /// Start of the frame \[s\].
    start_s: f64,
    slot_s: f64,
    epochs_per_s: f64,
    mean_gain: f64,
    /// Amplitude, angular frequency \[rad/s\] and phase of the steady wave.
    steady: [f64; 3],
    /// Amplitude of the scattered wave.
    scattered: f64,
    epoch: u32,
    sets: [Waves; 2],
    block: [f64; BLOCK as usize],
    block_index: u32,
}

/// What does not change from device to device of one call of [`Doppler::new`].
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Start of the frame \[s\].
    pub start_s: f64,
    /// t_slot \[s\].
    pub slot_s: f64,
}

impl Doppler {
    /// Gains of `device` in the frame that starts at `timing.start_s`; `k` is the power of a steady wave over that of the
    /// scattered one.
    pub fn new(
        draws: Draws,
        device: u32,
        timing: Timing,
        doppler_hz: f64,
        k: f64,
        mean_gain: f64,
    ) -> Self {
        let steady = if k > 0.0 {
            let [angle, phase, ..] = draws.block(Purpose::SteadyWave, device, 0, 0);
            let omega = TAU * doppler_hz * (TAU * open_unit(angle)).cos();
            [(k / (1.0 + k)).sqrt(), omega, TAU * open_unit(phase)]
        } else {
            [0.0; 3]
        };
        Self {
            draws,
            device,
            doppler_hz,
            start_s: timing.start_s,
            slot_s: timing.slot_s,
            epochs_per_s: doppler_hz / CYCLES,
            mean_gain,
            steady,
            scattered: (1.0 / (1.0 + k)).sqrt(),
            epoch: u32::MAX,
            sets: [Waves::NONE; 2],
            block: [0.0; BLOCK as usize],
            block_index: u32::MAX,
        }
    }

    /// Gain of a slot.
    #[inline]
    pub fn gain(&mut self, slot: u32) -> f64 {
        let block = slot / BLOCK;
        if block != self.block_index {
            self.fill(block);
        }
        self.block[(slot % BLOCK) as usize]
    }

    fn set(&self, epoch: u32) -> Waves {
        Waves::draw(self.draws, self.device, epoch, self.doppler_hz, self.slot_s)
    }

    fn fill(&mut self, block: u32) {
        self.block_index = block;
        let first = block * BLOCK;
        let mut anchored = false;
        for i in 0..BLOCK {
            let t = self.start_s + f64::from(first + i) * self.slot_s;
            let passed = t * self.epochs_per_s;
            let epoch = passed as u32;
            if epoch != self.epoch {
                self.sets = if self.epoch.checked_add(1) == Some(epoch) {
                    [self.sets[1], self.set(epoch + 1)]
                } else {
                    [self.set(epoch), self.set(epoch + 1)]
                };
                self.epoch = epoch;
                anchored = false;
            }
            if !anchored {
                self.sets[0].set_time(t);
                self.sets[1].set_time(t);
                anchored = true;
            }
            let (sin, cos) = ((passed - f64::from(epoch)) * FRAC_PI_2).sin_cos();
            let (old, new) = (self.sets[0].next(), self.sets[1].next());
            let mut re = self.scattered * (cos * old[0] + sin * new[0]);
            let mut im = self.scattered * (cos * old[1] + sin * new[1]);
            let [size, omega, phase] = self.steady;
            if size > 0.0 {
                let (sin, cos) = (omega * t + phase).sin_cos();
                re += size * cos;
                im += size * sin;
            }
            self.block[i as usize] = self.mean_gain * (re * re + im * im);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// J₀ by its integral, (1/π)∫₀^π cos(x sin φ) dφ: the midpoint rule converges exponentially.
    fn bessel_j0(x: f64) -> f64 {
        let n = 400;
        let angle = |i: i32| std::f64::consts::PI * (f64::from(i) + 0.5) / f64::from(n);
        (0..n).map(|i| (x * angle(i).sin()).cos()).sum::<f64>() / f64::from(n)
    }

    const SLOT_S: f64 = 1e-3;

    fn channel(device: u32, start_s: f64, doppler_hz: f64, k: f64) -> Doppler {
        let timing = Timing {
            start_s,
            slot_s: SLOT_S,
        };
        Doppler::new(Draws::new(7), device, timing, doppler_hz, k, 1.0)
    }

    #[test]
    fn gains_do_not_depend_on_where_one_starts() {
        // 300 Hz: an epoch is 53 slots, so blocks and frames cross epochs.
        for (doppler_hz, start_s) in [(17.0, 0.9), (300.0, 0.3)] {
            let mut all = channel(3, start_s, doppler_hz, 2.0);
            let from_start: Vec<f64> = (0..300).map(|slot| all.gain(slot)).collect();
            for start in [1, 31, 32, 33, 150, 299] {
                let mut late = channel(3, start_s, doppler_hz, 2.0);
                for slot in start..300 {
                    assert_eq!(late.gain(slot), from_start[slot as usize], "{start} {slot}");
                }
            }
            let mut back = channel(3, start_s, doppler_hz, 2.0);
            assert_eq!(back.gain(299), from_start[299]);
            assert_eq!(back.gain(0), from_start[0]);
        }
    }

    #[test]
    fn it_is_continuous_across_blocks_epochs_and_frames() {
        // At 17 Hz the amplitude turns by at most 2π·0.017 a slot.
        let mut last: Option<f64> = None;
        for frame in 0..20 {
            let mut gains = channel(5, f64::from(frame) * 0.3, 17.0, 0.0);
            for slot in 0..300 {
                let amplitude = gains.gain(slot).sqrt();
                if let Some(last) = last {
                    assert!((amplitude - last).abs() < 0.35, "{frame} {slot}");
                }
                last = Some(amplitude);
            }
        }
    }

    /// Kolmogorov–Smirnov distance of gains to a distribution, at independent instants.
    fn distance(k: f64, slot: u32, cdf: impl Fn(f64) -> f64) -> (f64, f64) {
        let n = 20_000;
        let mut values: Vec<f64> = (0..n)
            .map(|d| channel(d, 0.6, 40.0, k).gain(slot))
            .collect();
        values.sort_by(f64::total_cmp);
        let n = f64::from(n);
        let far = values
            .iter()
            .enumerate()
            .map(|(i, x)| (cdf(*x) - i as f64 / n).abs());
        (far.fold(0.0, f64::max), 1.95 / n.sqrt())
    }

    #[test]
    fn gains_are_exponential_or_rician_at_every_instant() {
        // At the start, the middle and three quarters of an epoch (0.4 s at 40 Hz).
        for slot in [0, 7, 100, 200] {
            let (distance, allowed) = distance(0.0, slot, |x| 1.0 - (-x).exp());
            assert!(distance < allowed, "{slot}: {distance}");
        }
        // Rician: the distribution function by its Poisson mixture of Gamma functions.
        let k = 4.0_f64;
        let cdf = |x: f64| {
            let y = (1.0 + k) * x;
            let (mut poisson, mut term, mut tail, mut sum) =
                ((-k).exp(), (-y).exp(), (-y).exp(), 0.0);
            for j in 1..200 {
                sum += poisson * (1.0 - tail);
                poisson *= k / f64::from(j);
                term *= y / f64::from(j);
                tail += term;
            }
            sum
        };
        let (distance, allowed) = distance(k, 100, cdf);
        assert!(distance < allowed, "{distance}");
    }

    #[test]
    fn autocorrelation_is_that_of_bessel() {
        // For a complex Gaussian process the covariance of the power gains is |J0(2π f_D τ)|².
        let (doppler_hz, devices) = (20.0, 8_000);
        for start_s in [0.0, 0.55] {
            let lags: Vec<u32> = (0..60).step_by(6).collect();
            let mut covariance = vec![0.0; lags.len()];
            let mut variance = 0.0;
            for device in 0..devices {
                let mut gains = channel(device, start_s, doppler_hz, 0.0);
                let first = gains.gain(0) - 1.0;
                variance += first * first;
                for (sum, lag) in covariance.iter_mut().zip(&lags) {
                    *sum += first * (gains.gain(*lag) - 1.0);
                }
            }
            assert!((variance / f64::from(devices) - 1.0).abs() < 0.15);
            for (sum, lag) in covariance.iter().zip(&lags) {
                let tau_s = f64::from(*lag) * SLOT_S;
                let expected = bessel_j0(TAU * doppler_hz * tau_s).powi(2);
                let found = sum / f64::from(devices);
                // Four standard errors of a mean of products of exponentials.
                assert!((found - expected).abs() < 0.13, "{lag}: {found} {expected}");
            }
        }
    }

    #[test]
    fn time_averages_of_one_device_converge_as_those_of_the_process() {
        // Power over 30 s at 20 Hz; the variance of the average is (2/T)∫(1 − τ/T) J0² dτ.
        let (doppler_hz, frames, devices) = (20.0, 100, 60);
        let averages: Vec<f64> = (0..devices)
            .map(|device| {
                let total: f64 = (0..frames)
                    .map(|frame| {
                        let mut gains = channel(device, f64::from(frame) * 0.3, doppler_hz, 0.0);
                        (0..300).map(|slot| gains.gain(slot)).sum::<f64>()
                    })
                    .sum();
                total / f64::from(300 * frames)
            })
            .collect();
        let length_s = 30.0;
        let steps = 30_000;
        let variance: f64 = (0..steps)
            .map(|i| {
                let tau_s = (f64::from(i) + 0.5) * length_s / f64::from(steps);
                (1.0 - tau_s / length_s) * bessel_j0(TAU * doppler_hz * tau_s).powi(2)
            })
            .sum::<f64>()
            * 2.0
            / f64::from(steps);
        let n = f64::from(devices);
        let mean = averages.iter().sum::<f64>() / n;
        let spread = averages.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((mean - 1.0).abs() < 4.0 * (variance / n).sqrt(), "{mean}");
        // Chi-squared with 59 degrees of freedom at about three standard deviations, on both sides.
        assert!(
            (0.45..1.7).contains(&(spread / variance)),
            "{spread} {variance}"
        );
    }

    #[test]
    fn a_device_that_stands_still_keeps_its_gain() {
        let (mut a, mut b) = (channel(1, 0.0, 0.0, 0.0), channel(1, 30.0, 0.0, 0.0));
        assert_eq!(a.gain(0), b.gain(299));
        assert_eq!(a.gain(40), b.gain(7));
    }
}
