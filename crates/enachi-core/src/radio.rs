//! The link of ENACHI (3) and (15): Shannon rate over a slice of an FDMA band, with the noise either exact
//! (`N0·ω`, grows with the slice) or the constant σ² that the paper uses from (15) on.

use serde::{Deserialize, Serialize};

/// Receiver noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// Noise power N0·ω: ENACHI (3) as printed.
    Exact {
        /// Power spectral density N0 \[W/Hz\].
        psd_w_per_hz: f64,
    },
    /// Noise power σ² whatever the bandwidth: ENACHI (15) as printed.
    Constant {
        /// Noise power σ² \[W\].
        power_w: f64,
    },
}

/// Noise and the best modulation there is: all that turns band and power into bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Radio {
    /// Receiver noise.
    pub noise: Noise,
    /// Cap on spectral efficiency \[bit/s/Hz\]; `f64::INFINITY` in the paper, 7.4 is about the peak of 256-QAM.
    pub spectral_cap: f64,
}

impl Radio {
    /// Noise power in a slice of `bandwidth_hz` \[W\].
    #[inline]
    pub fn noise_power_w(&self, bandwidth_hz: f64) -> f64 {
        match self.noise {
            Noise::Exact { psd_w_per_hz } => psd_w_per_hz * bandwidth_hz,
            Noise::Constant { power_w } => power_w,
        }
    }

    /// Signal-to-noise ratio over `bandwidth_hz`; 0 without bandwidth or power.
    #[inline]
    pub fn snr(&self, bandwidth_hz: f64, gain: f64, power_w: f64) -> f64 {
        if bandwidth_hz <= 0.0 || power_w <= 0.0 {
            return 0.0;
        }
        gain * power_w / self.noise_power_w(bandwidth_hz)
    }

    /// Spectral efficiency at a signal-to-noise ratio \[bit/s/Hz\].
    #[inline]
    pub fn efficiency(&self, snr: f64) -> f64 {
        (snr.ln_1p() * std::f64::consts::LOG2_E).min(self.spectral_cap)
    }

    /// ENACHI (3): ω·min(log2(1 + h·p/noise), cap) \[bit/s\]; 0 without bandwidth or power.
    #[inline]
    pub fn rate_bps(&self, bandwidth_hz: f64, gain: f64, power_w: f64) -> f64 {
        if bandwidth_hz <= 0.0 || power_w <= 0.0 {
            return 0.0;
        }
        bandwidth_hz * self.efficiency(gain * power_w / self.noise_power_w(bandwidth_hz))
    }

    /// Numerator of ENACHI (15): bits carried in `time_s` at constant gain and power.
    #[inline]
    pub fn bits(&self, bandwidth_hz: f64, gain: f64, power_w: f64, time_s: f64) -> f64 {
        self.rate_bps(bandwidth_hz, gain, power_w) * time_s.max(0.0)
    }

    /// Least power that carries `bits` in `time_s` over `bandwidth_hz` \[W\]: the inverse of [`Radio::bits`] in power.
    /// `f64::INFINITY` where no power does (no band, no time, or above the cap).
    pub fn power_for_bits_w(&self, bandwidth_hz: f64, gain: f64, bits: f64, time_s: f64) -> f64 {
        if bits <= 0.0 {
            return 0.0;
        }
        if bandwidth_hz <= 0.0 || time_s <= 0.0 || gain <= 0.0 {
            return f64::INFINITY;
        }
        let efficiency = bits / (bandwidth_hz * time_s);
        // The allowance keeps a point that sits on the cap up to rounding feasible.
        if efficiency > self.spectral_cap * (1.0 + 1e-12) {
            return f64::INFINITY;
        }
        (efficiency * std::f64::consts::LN_2).exp_m1() * self.noise_power_w(bandwidth_hz) / gain
    }

    /// Least bandwidth that carries `bits` in `time_s` at `power_w` \[Hz\]; `None` where no bandwidth does.
    pub fn bandwidth_for_bits_hz(
        &self,
        gain: f64,
        power_w: f64,
        bits: f64,
        time_s: f64,
    ) -> Option<f64> {
        if bits <= 0.0 {
            return Some(0.0);
        }
        if gain <= 0.0 || power_w <= 0.0 || time_s <= 0.0 {
            return None;
        }
        let rate_bps = bits / time_s;
        match self.noise {
            Noise::Constant { power_w: noise_w } => {
                Some(rate_bps / self.efficiency(gain * power_w / noise_w))
            }
            Noise::Exact { psd_w_per_hz } => {
                // With x = ln(1 + snr), rate = (h·p/N0)·(x/ln 2)/(e^x − 1).
                let r = gain * power_w * std::f64::consts::LOG2_E / (psd_w_per_hz * rate_bps);
                let x = crate::task::price::band_for_rate(r)?;
                let efficiency = x * std::f64::consts::LOG2_E;
                Some(rate_bps / efficiency.min(self.spectral_cap))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn radios() -> [Radio; 3] {
        [
            Radio {
                noise: Noise::Exact {
                    psd_w_per_hz: 3e-20,
                },
                spectral_cap: f64::INFINITY,
            },
            Radio {
                noise: Noise::Exact {
                    psd_w_per_hz: 3e-20,
                },
                spectral_cap: 6.0,
            },
            Radio {
                noise: Noise::Constant { power_w: 1e-13 },
                spectral_cap: f64::INFINITY,
            },
        ]
    }

    #[test]
    fn power_inverts_bits() {
        for radio in radios() {
            for (bandwidth_hz, gain, power_w) in
                [(1e6, 1.5e-11, 0.3), (3e4, 1e-13, 2.0), (2e7, 1e-12, 1e-3)]
            {
                let bits = radio.bits(bandwidth_hz, gain, power_w, 0.2);
                let back = radio.power_for_bits_w(bandwidth_hz, gain, bits, 0.2);
                // Above the cap less power does the same.
                assert!(back <= power_w * (1.0 + 1e-9));
                assert!((radio.bits(bandwidth_hz, gain, back, 0.2) / bits - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn bandwidth_inverts_bits() {
        for radio in radios() {
            for bits in [1e1, 1e3, 1e5, 1e6] {
                let bandwidth_hz = radio
                    .bandwidth_for_bits_hz(1.5e-11, 0.25, bits, 0.2)
                    .expect("within reach");
                let back = radio.bits(bandwidth_hz, 1.5e-11, 0.25, 0.2);
                assert!((back / bits - 1.0).abs() < 1e-9, "{back} {bits}");
            }
        }
        // h·p·T/(N0·ln 2) is the most that unlimited bandwidth carries.
        let most = 1.5e-11 * 0.25 * 0.2 / (3e-20 * std::f64::consts::LN_2);
        assert!(
            radios()[0]
                .bandwidth_for_bits_hz(1.5e-11, 0.25, most * 1.0001, 0.2)
                .is_none()
        );
        assert!(
            radios()[0]
                .bandwidth_for_bits_hz(1.5e-11, 0.25, most * 0.999, 0.2)
                .is_some()
        );
    }
}
