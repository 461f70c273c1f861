//! What a device that a plan leaves silent would have if it sent.

use super::price::{cheapest_bit_from_scratch, product_log};
use super::problem::DeviceProblem;
use crate::radio::{Noise, Radio};

/// Signal-to-noise ratio, at `device.gain`, at which a device that has `time_s` to send would carry bits at least cost where a
/// hertz costs `price` \[objective/Hz\]: the ratio at which band and power share the cost of a bit best, and no more than
/// p_max gives on `band_hz`, the band that it may count on. 0 where band costs nothing: the more band, the less power.
///
/// A planner that counts rates or stops at the ratio of its last plan has none for a device that got nothing. Taking it as 0
/// would offer such a device the rates of a steady channel, which it never has once it sends.
pub fn snr_at_price(
    radio: &Radio,
    device: &DeviceProblem,
    time_s: f64,
    price: f64,
    band_hz: f64,
) -> f64 {
    let full = radio.snr(band_hz, device.gain, device.power_max_w);
    let joule = device.energy_queue_j * time_s.max(0.0) / device.gain;
    let cap = radio.spectral_cap * std::f64::consts::LN_2;
    let cheapest = match radio.noise {
        // λ = Q·T·(N0/h)·(e^x·(x − 1) + 1)
        Noise::Exact { psd_w_per_hz } => {
            let k = price / (joule * psd_w_per_hz);
            (k < 1e300).then(|| cheapest_bit_from_scratch(k))
        }
        // λ·ω = Q·T·(σ²/h)·x·e^x
        Noise::Constant { power_w } => {
            let k = price * band_hz / (joule * power_w);
            (k < 1e300).then(|| product_log(k))
        }
    };
    // Not a number: neither band nor energy has a price.
    cheapest.map_or(full, |x| x.min(cap).exp_m1().min(full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(energy_queue_j: f64, power_max_w: f64) -> DeviceProblem {
        DeviceProblem {
            energy_queue_j,
            gain: 1e-11,
            power_max_w,
            weight: 1.0,
            options: 0..0,
        }
    }

    /// Cost of a bit at a ratio, by the problem's own formula: λ·ω + Q·p·T over the bits that they carry.
    fn cost(
        radio: &Radio,
        device: &DeviceProblem,
        time_s: f64,
        price: f64,
        band_hz: f64,
        snr: f64,
    ) -> f64 {
        let power_w = snr * radio.noise_power_w(band_hz) / device.gain;
        let bits = radio.bits(band_hz, device.gain, power_w, time_s);
        (price * band_hz + device.energy_queue_j * power_w * time_s) / bits
    }

    #[test]
    fn no_ratio_carries_a_bit_for_less() {
        let time_s = 0.1;
        let device = device(40.0, 1e9);
        let radio = Radio {
            noise: Noise::Exact {
                psd_w_per_hz: 3e-20,
            },
            spectral_cap: f64::INFINITY,
        };
        for price in [1e-9, 1e-7, 1e-5, 1e-3] {
            let best = snr_at_price(&radio, &device, time_s, price, 1e5);
            let least = cost(&radio, &device, time_s, price, 1e5, best);
            for factor in [0.5, 0.9, 1.1, 2.0] {
                assert!(cost(&radio, &device, time_s, price, 1e5, factor * best) > least);
            }
        }
    }

    /// With constant noise the band for given bits at the ratio is the cheapest one.
    #[test]
    fn with_constant_noise_no_other_band_carries_the_bits_for_less() {
        let (time_s, band_hz) = (0.1, 1e5);
        let device = device(40.0, 1e9);
        let radio = Radio {
            noise: Noise::Constant { power_w: 1e-13 },
            spectral_cap: f64::INFINITY,
        };
        for price in [1e-7, 1e-5, 1e-3] {
            let snr = snr_at_price(&radio, &device, time_s, price, band_hz);
            let bits = band_hz * time_s * radio.efficiency(snr);
            let of = |band_hz: f64| {
                let power_w = radio.power_for_bits_w(band_hz, device.gain, bits, time_s);
                price * band_hz + device.energy_queue_j * power_w * time_s
            };
            for factor in [0.7, 0.95, 1.05, 1.4] {
                assert!(of(factor * band_hz) > of(band_hz), "{price} {factor}");
            }
        }
    }

    #[test]
    fn free_energy_is_full_power_and_free_band_is_no_power() {
        let radio = Radio {
            noise: Noise::Exact {
                psd_w_per_hz: 3e-20,
            },
            spectral_cap: 7.4,
        };
        let full = radio.snr(1e5, 1e-11, 2.0);
        assert_eq!(
            snr_at_price(&radio, &device(0.0, 2.0), 0.1, 1e-6, 1e5),
            full
        );
        assert_eq!(snr_at_price(&radio, &device(0.0, 2.0), 0.1, 0.0, 1e5), full);
        assert_eq!(snr_at_price(&radio, &device(5.0, 2.0), 0.1, 0.0, 1e5), 0.0);
        // Dear band: the cap on spectral efficiency, or full power.
        let dear = snr_at_price(&radio, &device(5.0, 2.0), 0.1, 1e9, 1e5);
        assert!((dear - full.min(2f64.powf(7.4) - 1.0)).abs() < 1e-9);
    }
}
