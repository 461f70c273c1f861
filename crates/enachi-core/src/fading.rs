//! Statistics of small-scale fading: what a planner or a power law may know of gains that vary around their mean.

/// How the gain of a slot is distributed around its mean within a frame.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Fading {
    /// The gain is the same in every slot.
    #[default]
    None,
    /// Rayleigh: the power gain is exponential.
    Rayleigh,
    /// Rician: a steady wave and a scattered one; the power gain is non-central chi-squared with two degrees of freedom.
    Rician {
        /// K: power of the steady wave over that of the scattered one, ≥ 0. 0 is Rayleigh.
        k: f64,
    },
}

/// γ of Euler and Mascheroni.
const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

impl Fading {
    /// Geometric mean of the gain over its mean, exp E\[ln x\]: e^−γ on a Rayleigh channel, K/(1+K)·e^{E₁(K)} on a Rician.
    ///
    /// At high signal-to-noise ratio the mean rate of the channel is the rate at this share of the mean gain; at any
    /// ratio it lies between the rates at this share and at the mean gain itself.
    pub fn geometric_share(self) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Rayleigh => (-EULER_GAMMA).exp(),
            // K·e^{E1(K)} → e^−γ as K → 0.
            Self::Rician { k } if k < 1e-9 => (-EULER_GAMMA).exp(),
            Self::Rician { k } => k / (1.0 + k) * exponential_integral(k).exp(),
        }
    }

    /// E\[log2(1 + γ x)\], the mean spectral efficiency at constant power and mean signal-to-noise ratio γ \[bit/s/Hz\].
    pub fn efficiency(self, mean_snr: f64) -> f64 {
        match self {
            Self::None => mean_snr.max(0.0).ln_1p() * std::f64::consts::LOG2_E,
            Self::Rayleigh => rayleigh_efficiency(mean_snr),
            Self::Rician { k } => {
                let rate = |x: f64| (mean_snr.max(0.0) * x).ln_1p();
                RicianNodes::new(k).mean(rate) * std::f64::consts::LOG2_E
            }
        }
    }
}

/// Share of the mean gain at which a steady channel has the mean rate of a fading one at mean signal-to-noise ratio γ
/// and constant power: (2^E\[log2(1 + γ x)\] − 1)/γ, from 1 where γ is small to [`Fading::geometric_share`].
pub fn rate_share(fading: Fading, mean_snr: f64) -> f64 {
    // Below, rounding would decide; the share is 1 − O(γ) there.
    if fading == Fading::None || mean_snr <= 1e-6 {
        return 1.0;
    }
    let steady = (fading.efficiency(mean_snr) * std::f64::consts::LN_2).exp_m1() / mean_snr;
    steady.clamp(fading.geometric_share(), 1.0)
}

/// Points of a quadrature over the power gain x of a Rician channel of mean 1.
///
/// The trapezoidal rule in ln √x, where the density is analytic and dies off at both ends, so that it converges
/// exponentially: 128 points leave 1e-6 of a smooth function's mean for every K.
#[derive(Clone, Debug)]
pub struct RicianNodes([(f64, f64); 128]);

impl RicianNodes {
    /// The points for K = `k`.
    pub fn new(k: f64) -> Self {
        // Amplitude r = √x: steady part ν, deviation σ of each component.
        let (steady, deviation) = ((k / (1.0 + k)).sqrt(), (0.5 / (1.0 + k)).sqrt());
        let low = (steady - 9.0 * deviation).max((-9.0_f64).exp()).ln();
        let high = (steady + 9.0 * deviation).ln();
        let mut nodes = [(0.0, 0.0); 128];
        let step = (high - low) / nodes.len() as f64;
        let mut total = 0.0;
        for (i, node) in nodes.iter_mut().enumerate() {
            let r = (low + (i as f64 + 0.5) * step).exp();
            // Rice density times dr = r d(ln r), up to a constant.
            let away = (1.0 + k).sqrt() * r - k.sqrt();
            let bessel = scaled_bessel_i0(2.0 * r * (k * (1.0 + k)).sqrt());
            let weight = r * r * (-away * away).exp() * bessel;
            total += weight;
            *node = (r * r, weight);
        }
        for node in &mut nodes {
            node.1 /= total;
        }
        Self(nodes)
    }

    /// E\[f(x)\].
    #[inline]
    pub fn mean(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|(x, weight)| weight * f(*x)).sum()
    }
}

/// e^−x·I₀(x) for x ≥ 0 (Abramowitz & Stegun 9.8.1 and 9.8.2; relative error 2e-7).
pub fn scaled_bessel_i0(x: f64) -> f64 {
    let horner = |t: f64, c: &[f64]| c.iter().rev().fold(0.0, |sum, c| sum * t + c);
    if x < 3.75 {
        let t = (x / 3.75) * (x / 3.75);
        let c = [
            1.0,
            3.515_622_9,
            3.089_942_4,
            1.206_749_2,
            0.265_973_2,
            0.036_076_8,
            0.004_581_3,
        ];
        return (-x).exp() * horner(t, &c);
    }
    let c = [
        0.398_942_28,
        0.013_285_92,
        0.002_253_19,
        -0.001_575_65,
        0.009_162_81,
        -0.020_577_06,
        0.026_355_37,
        -0.016_476_33,
        0.003_923_77,
    ];
    horner(3.75 / x, &c) / x.sqrt()
}

/// Exponential integral E₁(x) = ∫ₓ^∞ e^(−t)/t dt for x > 0 (series below 1, Lentz continued fraction above).
pub fn exponential_integral(x: f64) -> f64 {
    if x <= 0.0 {
        return f64::INFINITY;
    }
    if x <= 1.0 {
        let (mut sum, mut term) = (-x.ln() - EULER_GAMMA, 1.0);
        for n in 1..40 {
            let n = f64::from(n);
            term *= -x / n;
            sum -= term / n;
            if term.abs() < 1e-18 * sum.abs() {
                break;
            }
        }
        return sum;
    }
    let (mut b, mut c) = (x + 1.0, 1e300);
    let mut d = 1.0 / b;
    let mut h = d;
    for n in 1..200 {
        let a = -f64::from(n) * f64::from(n);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        let delta = c * d;
        h *= delta;
        if (delta - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h * (-x).exp()
}

/// E\[log2(1 + γ x)\] for x ~ Exp(1): mean spectral efficiency \[bit/s/Hz\] of a Rayleigh channel at constant power and
/// mean signal-to-noise ratio γ.
pub fn rayleigh_efficiency(mean_snr: f64) -> f64 {
    if mean_snr <= 0.0 {
        return 0.0;
    }
    let x = 1.0 / mean_snr;
    let scaled = if x > 500.0 {
        // e^x E1(x) → 1/x − 1/x², where e^x would overflow.
        mean_snr - mean_snr * mean_snr
    } else {
        x.exp() * exponential_integral(x)
    };
    scaled / std::f64::consts::LN_2
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Midpoint rule over x = −ln(u): ∫ f(x) e^{−x} dx.
    pub(crate) fn mean_over_exponential(f: impl Fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        (0..steps)
            .map(|i| {
                let u = (f64::from(i) + 0.5) / f64::from(steps);
                f(-u.ln())
            })
            .sum::<f64>()
            / f64::from(steps)
    }

    /// The same for a Rician channel, over both components of the scattered wave.
    fn mean_over_rician(k: f64, f: impl Fn(f64) -> f64) -> f64 {
        let steps = 1200;
        let (mut mean, mut weight) = (0.0, 0.0);
        for i in 0..steps {
            for j in 0..steps {
                let at = |n: i32| (f64::from(n) + 0.5) / f64::from(steps) * 12.0 - 6.0;
                let (u, v) = (at(i), at(j));
                let w = (-0.5 * (u * u + v * v)).exp();
                let re = k.sqrt() + u / std::f64::consts::SQRT_2;
                mean += w * f((re * re + 0.5 * v * v) / (1.0 + k));
                weight += w;
            }
        }
        mean / weight
    }

    #[test]
    fn exponential_integral_matches_tables() {
        // Abramowitz & Stegun, table 5.1.
        for (x, value) in [
            (0.1, 1.822_923_958_4),
            (0.5, 0.559_773_594_8),
            (1.0, 0.219_383_934_4),
            (2.0, 0.048_900_510_7),
            (5.0, 0.001_148_295_6),
        ] {
            assert!(
                (exponential_integral(x) - value).abs() < 1e-9,
                "E1({x}) = {}",
                exponential_integral(x)
            );
        }
    }

    #[test]
    fn rayleigh_efficiency_matches_quadrature() {
        for snr in [1e-4, 0.01, 1.0, 30.0, 1000.0] {
            let numeric = mean_over_exponential(|x| (1.0 + snr * x).log2());
            assert!(
                (rayleigh_efficiency(snr) / numeric - 1.0).abs() < 2e-4,
                "{snr}"
            );
        }
    }

    #[test]
    fn bessel_matches_tables() {
        // Abramowitz & Stegun, table 9.8: e^−x I0(x).
        for (x, value) in [
            (0.0, 1.0),
            (1.0, 0.465_759_607_7),
            (2.0, 0.308_508_322_5),
            (5.0, 0.183_540_812_6),
            (10.0, 0.127_833_337_2),
        ] {
            assert!((scaled_bessel_i0(x) - value).abs() < 3e-7, "{x}");
        }
    }

    #[test]
    fn rician_statistics_match_brute_force() {
        for k in [0.0, 0.1, 1.0, 7.9, 100.0, 1000.0] {
            let fading = Fading::Rician { k };
            let nodes = RicianNodes::new(k);
            assert!((nodes.mean(|x| x) - 1.0).abs() < 2e-6, "{k}");
            // Var x = (1 + 2K)/(1 + K)².
            let variance = nodes.mean(|x| (x - 1.0) * (x - 1.0));
            let expected = (1.0 + 2.0 * k) / ((1.0 + k) * (1.0 + k));
            assert!((variance / expected - 1.0).abs() < 1e-5, "{k}: {variance}");
            let geometric = mean_over_rician(k, f64::ln).exp();
            assert!(
                (fading.geometric_share() / geometric - 1.0).abs() < 1e-3,
                "{k}: {} {geometric}",
                fading.geometric_share()
            );
            for snr in [1e-3, 1.0, 1000.0] {
                let numeric = mean_over_rician(k, |x| (snr * x).ln_1p()) / std::f64::consts::LN_2;
                assert!(
                    (fading.efficiency(snr) / numeric - 1.0).abs() < 1e-3,
                    "{k} {snr}"
                );
            }
        }
    }

    #[test]
    fn a_steady_channel_at_the_rate_share_has_the_mean_rate() {
        for fading in [Fading::None, Fading::Rayleigh, Fading::Rician { k: 4.0 }] {
            for snr in [1e-3, 0.3, 10.0, 1e3] {
                let share = rate_share(fading, snr);
                let steady = (share * snr).ln_1p() / std::f64::consts::LN_2;
                assert!(
                    (steady / fading.efficiency(snr) - 1.0).abs() < 1e-4,
                    "{fading:?} {snr}"
                );
            }
            assert_eq!(rate_share(fading, 0.0), 1.0);
        }
    }

    #[test]
    fn rician_without_a_steady_wave_is_rayleigh() {
        let (rician, rayleigh) = (Fading::Rician { k: 0.0 }, Fading::Rayleigh);
        assert_eq!(rician.geometric_share(), rayleigh.geometric_share());
        let near = Fading::Rician { k: 1e-6 }.geometric_share();
        assert!((near / rayleigh.geometric_share() - 1.0).abs() < 1e-5);
        for snr in [1e-3, 0.5, 20.0, 1e4] {
            assert!((rician.efficiency(snr) / rayleigh.efficiency(snr) - 1.0).abs() < 1e-5);
        }
        assert!((Fading::Rician { k: 1e6 }.geometric_share() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn mean_rate_lies_between_the_rates_at_geometric_and_mean_gain() {
        for fading in [Fading::Rayleigh, Fading::Rician { k: 3.0 }] {
            for snr in [0.01, 1.0, 30.0, 1e4] {
                let rate = |share: f64| Fading::None.efficiency(snr * share);
                let mean = fading.efficiency(snr);
                assert!(rate(fading.geometric_share()) <= mean && mean <= rate(1.0));
            }
        }
    }
}
