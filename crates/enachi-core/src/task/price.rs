//! The three one-dimensional equations behind a device's answer to a bandwidth price, all in x = ln(1 + snr).
//!
//! With exact noise a slice of ω hertz at snr `e^x − 1` carries `T·ω·x/ln 2` bits and takes `N0·ω·(e^x − 1)/h` watts,
//! so bits per hertz and watts per hertz depend on `x` alone.

/// Below this the closed forms lose digits and series take over.
const SERIES: f64 = 0.03;

/// The snr of the cheapest bit: solves `e^x·(x − 1) + 1 = k` for `x > 0`, where `k = λ·h/(Q·T·N0)` is the price of a hertz
/// against that of a joule. (That is `x = 1 + W0((k − 1)/e)`.) Returns `(x, e^x)`; `start` is any guess, or ≤ 0 for none.
#[inline]
pub(crate) fn cheapest_bit(k: f64, start: f64) -> (f64, f64) {
    let mut x = if start > 0.0 {
        start
    } else if k < 2.0 {
        let s = (2.0 * k).sqrt();
        s / (1.0 + s / 3.0)
    } else {
        let l = k.ln();
        (l - l.max(1.0).ln() + 0.5).max(1.0)
    };
    for _ in 0..64 {
        let e = x.exp();
        let f = if x < SERIES {
            x * x * (0.5 + x * (1.0 / 3.0 + x * (0.125 + x * (1.0 / 30.0 + x / 144.0)))) - k
        } else {
            e * (x - 1.0) + 1.0 - k
        };
        let newton = f / (x * e);
        // Halley: f''/(2f') = (x + 1)/(2x). Far from the root the correction is limited so that a step never reverses.
        let d = newton / (1.0 - (newton * (x + 1.0) / (2.0 * x)).clamp(-1.0, 0.5));
        let d = d.clamp(-3.0, 0.9 * x);
        x -= d;
        if d.abs() <= 3e-5 * x {
            // The step left an error of order d³.
            return (x, e * (1.0 - d * (1.0 - d * (0.5 - d / 6.0))));
        }
    }
    (x, x.exp())
}

/// At full power: solves `x − 1 + e^(−x) = kappa`, the snr at which the next hertz is worth its price when every bit is
/// worth `λ·ln 2/(T·kappa)`.
pub(crate) fn full_power_margin(kappa: f64) -> f64 {
    // Convex and increasing: Newton from the right end falls monotonically onto the root.
    let mut x = if kappa < 1.0 {
        (2.0 * kappa).sqrt() * (1.0 + 0.3 * kappa.sqrt())
    } else {
        kappa + 1.0
    };
    for _ in 0..64 {
        let f = if x < SERIES {
            x * x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0 - x / 720.0))))
                - kappa
        } else {
            x - 1.0 + (-x).exp() - kappa
        };
        let d = f / -(-x).exp_m1();
        x -= d;
        if d.abs() <= 1e-14 * x {
            break;
        }
    }
    x
}

/// Solves `(e^x − 1)/x = r`: the snr at which a given power carries a given rate, `r` = the most that unlimited
/// bandwidth would carry over what is asked for. `None` for `r ≤ 1`: no bandwidth is enough.
pub(crate) fn band_for_rate(r: f64) -> Option<f64> {
    if r <= 1.0 {
        return None;
    }
    // ln((e^x − 1)/x) is increasing and convex with slope between 1/2 and 1: Newton from the right.
    let target = r.ln();
    let mut x = (2.0 * target).min(target + (2.0 + 2.0 * target).ln());
    for _ in 0..64 {
        let (f, slope) = if x < SERIES {
            // ln((e^x − 1)/x) = x/2 + x²/24 − x⁴/2880 + …
            (
                x * (0.5 + x * (1.0 / 24.0 - x * x / 2880.0)) - target,
                0.5 + x / 12.0,
            )
        } else {
            let rest = -(-x).exp_m1();
            (x + rest.ln() - x.ln() - target, 1.0 / rest - 1.0 / x)
        };
        let d = f / slope;
        x -= d;
        if d.abs() <= 1e-14 * x {
            break;
        }
    }
    Some(x)
}

/// With constant noise: solves `x²·e^x = k`, the snr at which bits of a given number are cheapest.
pub(crate) fn constant_noise_bit(k: f64) -> f64 {
    // In logarithms x + 2·ln x = ln k: concave and increasing, so Newton from the left rises monotonically.
    let target = k.ln();
    let mut x = if target < 1.0 {
        (0.5 * target).exp() / (1.0 + 0.5 * (0.5 * target).exp())
    } else {
        0.6 * target.max(1.0) / (1.0 + 0.4 * target.ln_1p() / target)
    };
    for _ in 0..64 {
        let d = (x + 2.0 * x.ln() - target) / (1.0 + 2.0 / x);
        x = (x - d).max(0.1 * x);
        if d.abs() <= 1e-14 * x {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decades(from: i32, to: i32) -> impl Iterator<Item = f64> {
        (from * 10..to * 10).map(|i| 10f64.powf(f64::from(i) / 10.0))
    }

    #[test]
    fn cheapest_bit_solves_its_equation_from_any_start() {
        for k in decades(-12, 30) {
            for start in [0.0, 1e-3, 0.1, 1.0, 5.0, 30.0] {
                let (x, e) = cheapest_bit(k, start);
                // The identity in a form without cancellation: ∫0^x t·e^t dt = k.
                let left = if x < 0.1 {
                    let mut sum = 0.0;
                    let mut power = x * x;
                    let mut factorial = 1.0;
                    for n in 0..12 {
                        sum += power / (factorial * f64::from(n + 2));
                        power *= x;
                        factorial *= f64::from(n + 1);
                    }
                    sum
                } else {
                    x.exp() * (x - 1.0) + 1.0
                };
                assert!(
                    (left / k - 1.0).abs() < 1e-9,
                    "k {k} start {start} x {x}: {left}"
                );
                assert!((e / x.exp() - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn full_power_margin_solves_its_equation() {
        for kappa in decades(-12, 4) {
            let x = full_power_margin(kappa);
            let left = if x < 1e-3 {
                x * x / 2.0 - x * x * x / 6.0
            } else {
                x + (-x).exp_m1()
            };
            assert!((left / kappa - 1.0).abs() < 1e-6, "{kappa} {x}");
        }
    }

    #[test]
    fn band_for_rate_solves_its_equation() {
        for excess in decades(-9, 12) {
            let x = band_for_rate(1.0 + excess).expect("r > 1");
            let left = x.exp_m1() / x;
            assert!((left / (1.0 + excess) - 1.0).abs() < 1e-11, "{excess} {x}");
        }
        assert_eq!(band_for_rate(1.0), None);
    }

    #[test]
    fn constant_noise_bit_solves_its_equation() {
        for k in decades(-12, 30) {
            let x = constant_noise_bit(k);
            assert!((x * x * x.exp() / k - 1.0).abs() < 1e-10, "{k} {x}");
        }
    }
}
