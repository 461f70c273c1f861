//! The three one-dimensional equations behind a device's answer to a bandwidth price, all in x = ln(1 + snr).
//!
//! With exact noise a slice of ω hertz at snr `e^x − 1` carries `T·ω·x/ln 2` bits and takes `N0·ω·(e^x − 1)/h` watts,
//! so bits per hertz and watts per hertz depend on `x` alone.

/// Below this the closed forms lose digits and series take over.
const SERIES: f64 = 0.03;

/// The snr of the cheapest bit: solves `e^x·(x − 1) + 1 = k` for `x > 0`, where `k = λ·h/(Q·T·N0)` is the price of a hertz
/// against that of a joule. (That is `x = 1 + W0((k − 1)/e)`.)
///
/// A table, indexed by the leading bits of `k` and linear in between, starts a single Halley step; it holds e^x too, so
/// that an answer takes no exponential.
#[derive(Debug)]
pub(crate) struct CheapestBit {
    cells: Vec<Cell>,
}

/// One piece of the table.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// x at its left end.
    left: f64,
    /// Rise of x to the right end.
    rise: f64,
    /// e^left.
    exp: f64,
}

/// A cell spans 1/8 of an octave, linearly.
const CELL_SHIFT: u32 = 49;
/// Leading bits of 2^−46: the first cell.
const CELL_FIRST: u64 = (1023 - 46) << 3;
/// Cells up to 2^100.
const CELLS: usize = 146 * 8;

impl Default for CheapestBit {
    fn default() -> Self {
        let edge = |i: usize| {
            cheapest_bit_from_scratch(f64::from_bits((CELL_FIRST + i as u64) << CELL_SHIFT))
        };
        let cells = (0..CELLS)
            .map(|i| Cell {
                left: edge(i),
                rise: edge(i + 1) - edge(i),
                exp: edge(i).exp(),
            })
            .collect();
        Self { cells }
    }
}

impl CheapestBit {
    /// `(x, e^x)` for `k > 0`.
    #[inline]
    pub fn solve(&self, k: f64) -> (f64, f64) {
        let bits = k.to_bits();
        let cell = (bits >> CELL_SHIFT).wrapping_sub(CELL_FIRST) as usize;
        let Some(&Cell { left, rise, exp }) = self.cells.get(cell) else {
            let x = cheapest_bit_from_scratch(k);
            return (x, x.exp());
        };
        let within = (bits & ((1 << CELL_SHIFT) - 1)) as f64 * (1.0 / (1u64 << CELL_SHIFT) as f64);
        // No cell rises by more than ln(9/8), so seven terms of the exponential are good to 1e-12.
        let r = rise * within;
        let x = left + r;
        let tail = 1.0 + r * (0.25 + r * (0.05 + r * (1.0 / 120.0 + r / 840.0)));
        let e = exp * (1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0) * tail)));
        // The start is off by less than 1e-3·x, so the step leaves an error of about 1e-10·x.
        let d = halley(x, e, k);
        (x - d, e * (1.0 - d * (1.0 - d * (0.5 - d / 6.0))))
    }
}

/// Halley step of `f(x) = e^x·(x − 1) + 1 − k`: 2·f·f'/(2·f'² − f·f'') with f' = x·e^x, f'' = (x + 1)·e^x.
#[inline]
fn halley(x: f64, e: f64, k: f64) -> f64 {
    let f = if x < SERIES {
        x * x * (0.5 + x * (1.0 / 3.0 + x * (0.125 + x * (1.0 / 30.0 + x / 144.0)))) - k
    } else {
        e * (x - 1.0) + 1.0 - k
    };
    2.0 * f * x / (2.0 * x * x * e - f * (x + 1.0))
}

/// The same without a table, for `k` ≥ 0.
pub(crate) fn cheapest_bit_from_scratch(k: f64) -> f64 {
    if k <= 0.0 {
        return 0.0;
    }
    let mut x = if k < 2.0 {
        let s = (2.0 * k).sqrt();
        s / (1.0 + s / 3.0)
    } else {
        let l = k.ln();
        (l - l.max(1.0).ln() + 0.5).max(1.0)
    };
    for _ in 0..64 {
        let d = halley(x, x.exp(), k).clamp(-3.0, 0.9 * x);
        x -= d;
        if d.abs() <= 1e-6 * x {
            break;
        }
    }
    x
}

/// At full power: solves `x − 1 + e^(−x) = kappa`, the snr at which the next hertz is worth its price when every bit is
/// worth `λ·ln 2/(T·kappa)`.
pub(crate) fn full_power_margin(kappa: f64) -> f64 {
    // Convex and increasing, and the start is to the right of the root or next to it.
    let mut x = if kappa < 1.0 {
        (2.0 * kappa).sqrt() * (1.0 + 0.3 * kappa.sqrt())
    } else {
        kappa + 1.0
    };
    for _ in 0..64 {
        // f' = 1 − e^(−x), f'' = e^(−x).
        let rise = -(-x).exp_m1();
        let f = if x < SERIES {
            x * x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0 - x / 720.0))))
                - kappa
        } else {
            x - rise - kappa
        };
        // Halley's step leaves an error of the order of its cube.
        let d = 2.0 * f * rise / (2.0 * rise * rise - f * (1.0 - rise));
        x -= d;
        if d.abs() <= 1e-5 * x {
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

/// With constant noise on a given band: solves `x·e^x = k` for `k` ≥ 0.
pub(crate) fn product_log(k: f64) -> f64 {
    if k <= 0.0 {
        return 0.0;
    }
    // In logarithms x + ln x = ln k: concave and increasing, so Newton from the left rises monotonically.
    let target = k.ln();
    let mut x = if k < 3.0 {
        k / (1.0 + k)
    } else {
        target - target.ln()
    };
    for _ in 0..64 {
        let d = (x + x.ln() - target) / (1.0 + 1.0 / x);
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
    fn cheapest_bit_solves_its_equation() {
        let table = CheapestBit::default();
        // Inside the table, across its edges, and far outside.
        for k in decades(-16, 36).flat_map(|k| [k, k * 1.0317, k * 1.118]) {
            let (x, e) = table.solve(k);
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
            assert!((left / k - 1.0).abs() < 1e-8, "k {k} x {x}: {left}");
            assert!((e / x.exp() - 1.0).abs() < 1e-11);
        }
    }

    #[test]
    fn full_power_margin_solves_its_equation() {
        for kappa in decades(-12, 4) {
            let x = full_power_margin(kappa);
            let left = if x < 1e-3 {
                x * x / 2.0 - x * x * x / 6.0 + x * x * x * x / 24.0
            } else {
                x + (-x).exp_m1()
            };
            assert!((left / kappa - 1.0).abs() < 1e-9, "{kappa} {x}");
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
    fn product_log_solves_its_equation() {
        assert_eq!(product_log(0.0), 0.0);
        for k in decades(-12, 30) {
            let x = product_log(k);
            assert!((x * x.exp() / k - 1.0).abs() < 1e-10, "{k} {x}");
        }
    }

    #[test]
    fn constant_noise_bit_solves_its_equation() {
        for k in decades(-12, 30) {
            let x = constant_noise_bit(k);
            assert!((x * x * x.exp() / k - 1.0).abs() < 1e-10, "{k} {x}");
        }
    }
}
