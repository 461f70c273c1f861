//! Stopping-aware power: energy spent late is spent only by tasks that have not been stopped by then.
//!
//! Let S(b) be the share of tasks that the stop rule has not released when b bits have arrived, and P(r) the power that a rate
//! r takes. A device that is not stopped follows a path b(t); what it spends in the mean is
//!
//! ```text
//!     min ∫₀ᵀ S(b) P(ḃ) dt,   b(0) = 0,  b(T) = x.
//! ```
//!
//! Time does not appear in the integrand, so along the best path the Beltrami identity holds:
//!
//! ```text
//!     S(b)·(ḃ P′(ḃ) − P(ḃ)) = C                                                    (B)
//! ```
//!
//! slowly while everybody pays, faster the fewer are left. For P ∝ rᵃ this is ḃ ∝ S^(−1/a), and the mean energy is exactly
//! that of sending
//!
//! ```text
//!     y(x) = ∫₀ˣ S(b)^(1/a) db                                                     (E)
//! ```
//!
//! *equivalent bits* at a constant rate over the whole window; the best path starts at that very rate, y/T. So a planner
//! that counts equivalent bits on the curves of its tasks, and plans again as bits arrive, sends along the best path
//! without knowing about stops. Shannon's P is no power of r, but its elasticity a = r P′/P changes slowly: the test
//! `tests/stopping.rs` compares with the finite-horizon dynamic programme.
//!
//! In a shared band a stopped device frees its band as well as its energy. Where it holds a small part of the band, what
//! it pays per bit does not depend on its rate (price of a hertz-second plus price of a joule, at the best ratio of
//! the two), so a = 1: expected bits. [`exponent`] goes between the two by the share of the band.

/// a = d ln P/d ln r of Shannon's power for a rate at fixed band, at signal-to-noise ratio `snr`:
/// (1 + γ) ln(1 + γ)/γ, from 1 where power is scarce upwards.
pub fn elasticity(snr: f64) -> f64 {
    if snr <= 1e-9 {
        return 1.0;
    }
    (1.0 + snr) * snr.ln_1p() / snr
}

/// Exponent of S in (E) for a device that holds `share` (0..=1) of the band at `snr`: 1/a where it is alone, 1 in a crowd.
pub fn exponent(share: f64, snr: f64) -> f64 {
    1.0 - share.clamp(0.0, 1.0) * (1.0 - 1.0 / elasticity(snr))
}

/// Exponents for which curves are made ready. At 40 dB and alone it is 0.11: the lowest is for that.
pub const EXPONENTS: [f64; 5] = [0.125, 0.25, 0.5, 0.75, 1.0];

/// Entry of [`EXPONENTS`] nearest to `exponent`.
pub fn nearest_exponent(exponent: f64) -> usize {
    let mut best = 0;
    for (index, known) in EXPONENTS.iter().enumerate() {
        if (known - exponent).abs() < (EXPONENTS[best] - exponent).abs() {
            best = index;
        }
    }
    best
}

/// (E) in steps: from survival and bits of each step to equivalent bits at the end of each, beginning with 0. Ends before the
/// first step that nobody is left to send.
pub fn equivalent_bits(steps: impl IntoIterator<Item = (f64, f64)>, exponent: f64) -> Vec<f64> {
    let mut total = vec![0.0];
    let mut sum = 0.0;
    for (survival, bits) in steps {
        if survival <= 0.0 || bits <= 0.0 {
            break;
        }
        sum += survival.powf(exponent) * bits;
        total.push(sum);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elasticity_is_the_slope_in_logarithms() {
        for snr in [1e-6, 0.1, 1.0, 30.0, 1e4] {
            let power = |rate: f64| rate.exp_m1();
            let rate = f64::ln_1p(snr);
            let step = 1e-5;
            let numeric = (power(rate * (1.0 + step)) / power(rate * (1.0 - step))).ln()
                / ((1.0 + step) / (1.0 - step)).ln();
            assert!((elasticity(snr) / numeric - 1.0).abs() < 1e-6, "{snr}");
        }
    }

    #[test]
    fn exponents_lie_between_alone_and_in_a_crowd() {
        assert_eq!(exponent(0.0, 1e3), 1.0);
        assert!((exponent(1.0, 1e3) - 1.0 / elasticity(1e3)).abs() < 1e-12);
        assert_eq!(nearest_exponent(0.0), 0);
        assert_eq!(EXPONENTS[nearest_exponent(0.6)], 0.5);
        assert_eq!(EXPONENTS[nearest_exponent(0.99)], 1.0);
    }

    /// On a power law the energy of the path (B) is that of equivalent bits at a constant rate.
    #[test]
    fn equivalent_bits_cost_what_the_best_path_costs() {
        let (a, time, end) = (2.5, 0.7, 3.0);
        let survival = |b: f64| (-b).exp();
        let n = 200_000;
        let d = end / f64::from(n);
        let middle = |i: i32| (f64::from(i) + 0.5) * d;
        let steps = (0..n).map(|i| (survival(middle(i)), d));
        let y = equivalent_bits(steps, 1.0 / a)[n as usize];
        // ḃ = c·S^(−1/a), c from the time it takes.
        let c = (0..n)
            .map(|i| survival(middle(i)).powf(1.0 / a) * d)
            .sum::<f64>()
            / time;
        let energy: f64 = (0..n)
            .map(|i| {
                let s = survival(middle(i));
                let rate = c * s.powf(-1.0 / a);
                s * rate.powf(a) * d / rate
            })
            .sum();
        assert!((energy / ((y / time).powf(a) * time) - 1.0).abs() < 1e-9);
    }
}
