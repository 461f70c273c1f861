//! An upper confidence bound for the loss of stopping early, from few images on which it matters.
//!
//! Of n images, `lost` are right at the end and wrong at the stop, `gained` the other way round; all others are as
//! right or wrong as they would have been. The loss is p₊ − p₋, estimated by (`lost` − `gained`)/n. Near a useful
//! threshold a handful of images decide, so a normal approximation is of no use: with no such image its interval has no
//! width, although up to 3/n may be lost all the same.
//!
//! The bound is a melded one (Fay, Proschan and Brittain, Biometrics 71, 2015): take for p₊ the distribution whose
//! quantiles are its upper Clopper–Pearson bounds, Beta(lost + 1, n − lost), for p₋ the one whose quantiles are its lower
//! bounds, Beta(gained, n − gained + 1), and of their difference the 95 % quantile. With nothing gained p₋ is 0 and the
//! bound is Clopper and Pearson's, which is exact. Otherwise each part errs on the safe side by itself; that their
//! difference does so too is no theorem but holds wherever it was computed: the tests add up the coverage over all
//! outcomes, exactly and not by sampling, and find no less than 95 %.

use std::collections::HashMap;

/// Confidence of the bound, one-sided.
pub const CONFIDENCE: f64 = 0.95;

/// Bounds for one number of images, remembered: sweeps over thresholds ask for the same few again and again.
#[derive(Clone, Debug)]
pub struct LossBound {
    images: u32,
    known: HashMap<(u32, u32), f64>,
}

impl LossBound {
    /// For samples of `images` images.
    pub fn new(images: usize) -> Self {
        Self {
            images: u32::try_from(images).unwrap_or(u32::MAX),
            known: HashMap::new(),
        }
    }

    /// The bound on the share of right answers lost, −1..=1, when `lost` and `gained` images were counted. Without images it is 1.
    pub fn upper(&mut self, lost: u32, gained: u32) -> f64 {
        let images = self.images;
        *self
            .known
            .entry((lost, gained))
            .or_insert_with(|| melded(lost, gained, images))
    }
}

/// The 95 % quantile of Beta(lost + 1, n − lost) − Beta(gained, n − gained + 1).
fn melded(lost: u32, gained: u32, images: u32) -> f64 {
    let n = f64::from(images);
    let (lost, gained) = (f64::from(lost), f64::from(gained));
    if lost + gained > n || n == 0.0 {
        return 1.0;
    }
    // P(p₊ ≤ x); p₊ is certainly 1 where everything was lost.
    let at_most = |x: f64| {
        if x >= 1.0 {
            1.0
        } else if lost == n {
            0.0
        } else {
            beta_at_most(x, lost + 1.0, n - lost)
        }
    };
    let nodes = if gained == 0.0 {
        vec![(0.0, 1.0)]
    } else {
        beta_nodes(gained, n - gained + 1.0)
    };
    let (mut low, mut high) = (-1.0, 1.0);
    // 2 · 2⁻³² is far below one image in the largest profile.
    for _ in 0..32 {
        let middle = 0.5 * (low + high);
        let share: f64 = nodes
            .iter()
            .map(|(y, weight)| weight * at_most(middle + y))
            .sum();
        if share < CONFIDENCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Points and weights (of sum 1) to integrate against the density of Beta(a, b), a, b ≥ 1: Simpson's rule over all of it
/// but tails of less than 10⁻⁹.
fn beta_nodes(a: f64, b: f64) -> Vec<(f64, f64)> {
    const PANELS: usize = 128;
    let mean = a / (a + b);
    let deviation = (mean * (1.0 - mean) / (a + b + 1.0)).sqrt();
    // The upper tail of a Beta of small a is that of an exponential: 22 deviations are e^-22.
    let (low, high) = (
        (mean - 9.0 * deviation).max(0.0),
        (mean + 22.0 * deviation).min(1.0),
    );
    let log_power = |exponent: f64, base: f64| {
        if exponent == 0.0 {
            0.0
        } else {
            exponent * base.ln()
        }
    };
    let log_density = |y: f64| log_power(a - 1.0, y) + log_power(b - 1.0, 1.0 - y);
    let peak = log_density(((a - 1.0) / (a + b - 2.0).max(1e-300)).clamp(low, high));
    let mut nodes: Vec<(f64, f64)> = (0..=PANELS)
        .map(|k| {
            let y = low + (high - low) * k as f64 / PANELS as f64;
            let simpson = match k {
                0 | PANELS => 1.0,
                k if k % 2 == 1 => 4.0,
                _ => 2.0,
            };
            (y, simpson * (log_density(y) - peak).exp())
        })
        .collect();
    let sum: f64 = nodes.iter().map(|node| node.1).sum();
    for node in &mut nodes {
        node.1 /= sum;
    }
    nodes
}

/// P(Beta(a, b) ≤ x): the regularised incomplete beta function, by its continued fraction (DLMF 8.17.22).
fn beta_at_most(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast below the mean; above it the complement does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_at_most(1.0 - x, b, a);
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    front.exp() / (a * fraction(x, a, b))
}

/// 1 + d₁/(1 + d₂/(1 + ...)) of DLMF 8.17.22, by Lentz's method.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d, mut value) = (1.0, 0.0, 1.0);
    for k in 1..=10_000_u32 {
        let m = f64::from(k / 2);
        let step = if k % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / guard(1.0 + step * d);
        c = guard(1.0 + step / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

/// ln Γ(x) for x ≥ 1 by Stirling's series after a shift (DLMF 5.11.1), to about 10⁻¹³.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binomial(n: u32, k: u32, p: f64) -> f64 {
        let (nf, kf) = (f64::from(n), f64::from(k));
        let log = |exponent: f64, base: f64| {
            if exponent == 0.0 {
                0.0
            } else {
                exponent * base.ln()
            }
        };
        let choose = ln_gamma(nf + 1.0) - ln_gamma(kf + 1.0) - ln_gamma(nf - kf + 1.0);
        (choose + log(kf, p) + log(nf - kf, 1.0 - p)).exp()
    }

    #[test]
    fn the_beta_distribution_is_a_binomial_tail() {
        // P(Beta(k, n − k + 1) ≤ p) = P(Binomial(n, p) ≥ k).
        for (n, k) in [(1, 1), (7, 3), (40, 1), (40, 39), (600, 5), (600, 300)] {
            for p in [1e-4, 0.01, 0.2, 0.5, 0.93] {
                let tail: f64 = (k..=n).map(|j| binomial(n, j, p)).sum();
                let beta = beta_at_most(p, f64::from(k), f64::from(n - k + 1));
                assert!((tail - beta).abs() < 1e-11, "{n} {k} {p}: {tail} {beta}");
            }
        }
    }

    #[test]
    fn with_nothing_gained_it_is_the_bound_of_clopper_and_pearson() {
        // The share at which so few losses have a probability of 5 %.
        for (n, lost) in [(30, 0), (300, 0), (600, 0), (600, 1), (600, 4), (12, 11)] {
            let upper = LossBound::new(n as usize).upper(lost, 0);
            let so_few: f64 = (0..=lost).map(|j| binomial(n, j, upper)).sum();
            assert!((so_few - 0.05).abs() < 1e-6, "{n} {lost}: {so_few}");
        }
        assert!((LossBound::new(600).upper(0, 0) - (1.0 - 0.05f64.powf(1.0 / 600.0))).abs() < 1e-8);
    }

    #[test]
    fn losing_more_raises_it_and_gaining_more_lowers_it() {
        let mut bound = LossBound::new(600);
        for lost in 0..12 {
            for gained in 0..12 {
                let here = bound.upper(lost, gained);
                assert!(here > (f64::from(lost) - f64::from(gained)) / 600.0);
                assert!(bound.upper(lost + 1, gained) > here);
                assert!(bound.upper(lost, gained + 1) < here);
            }
        }
    }

    #[test]
    fn extremes_stay_in_range() {
        assert_eq!(LossBound::new(0).upper(0, 0), 1.0);
        for n in [1, 2, 5, 1000, 1 << 20] {
            let mut bound = LossBound::new(n);
            for (lost, gained) in [(0, 0), (n, 0), (0, n), (n / 2, n / 2), (1, 0), (0, 1)] {
                let upper = bound.upper(lost as u32, gained as u32);
                assert!(
                    (-1.0..=1.0).contains(&upper),
                    "{n} {lost} {gained}: {upper}"
                );
            }
        }
        assert!(LossBound::new(5).upper(5, 0) > 1.0 - 1e-9);
    }

    /// Probability that the bound is at or above the truth, summed over every outcome of n images.
    fn coverage(bound: &mut LossBound, n: u32, lost: f64, gained: f64) -> f64 {
        // Outcomes of next to no weight count as missed.
        let most = n.min(40);
        let mut covered = 0.0;
        for a in 0..=most {
            let p = binomial(n, a, lost);
            for b in 0..=most.min(n - a) {
                let both = p * binomial(n - a, b, gained / (1.0 - lost));
                if both > 1e-7 && bound.upper(a, b) >= lost - gained - 1e-9 {
                    covered += both;
                }
            }
        }
        covered
    }

    #[test]
    fn the_truth_is_below_the_bound_95_times_in_100() {
        for n in [60, 600] {
            let mut bound = LossBound::new(n as usize);
            // Expected counts, among them those just above the bounds of 0, 1 and 2 losses, where coverage is least.
            for lost in [0.05, 0.5, 1.0, 2.0, 2.97, 3.1, 4.0, 4.8, 6.4, 8.0, 12.0] {
                for gained in [0.0, 0.05, 0.3, 1.0, 2.0, 4.0, 8.0, 12.0] {
                    let rate = coverage(&mut bound, n, lost / f64::from(n), gained / f64::from(n));
                    assert!(
                        rate >= 0.95,
                        "{n} images, {lost} lost, {gained} gained: {rate}"
                    );
                }
            }
        }
    }
}
