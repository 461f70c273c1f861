//! The shared band and how it fades.

use super::world::{CorrelationKind, Estimate, PathLossKind, TraceSource, UrbanChannel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which noise power a slice of the band sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseKind {
    /// N0·ω.
    Exact,
    /// A constant σ², whatever the bandwidth.
    Constant,
}

/// How gains vary from slot to slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FadingKind {
    /// They do not.
    None,
    /// Exponential power gains: waves from all around.
    Rayleigh,
    /// A steady wave of `rician_k_db` beside them; in a street canyon or a macro cell where there is line of sight, Rayleigh
    /// elsewhere.
    Rician,
}

/// What planners know of a frame's gain when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KnownGain {
    /// Its mean: path loss and shadowing.
    Mean,
    /// Its geometric mean over the fading, the mean times e^-0.577 on a Rayleigh channel and nearer to it on a Rician: at
    /// high signal-to-noise ratio the rate at this gain is the mean rate, where the rate at the mean gain is more than the
    /// channel carries.
    GeometricMean,
    /// The average that the frame's slots will really have (a prophecy, for studies).
    FrameAverage,
}

/// The shared band and how it fades.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Channel {
    /// Band shared by all devices [Hz].
    pub bandwidth_hz: f64,
    /// Noise model.
    pub noise: NoiseKind,
    /// N0 [W/Hz], for `exact`.
    pub noise_psd_w_per_hz: f64,
    /// σ² [W], for `constant`.
    pub noise_power_w: f64,
    /// Best spectral efficiency [bit/s/Hz]; `inf` for Shannon alone, 7.4 is about the peak of 256-QAM.
    pub max_spectral_efficiency: f64,
    /// Small-scale fading.
    pub fading: FadingKind,
    /// How it hangs together in time.
    pub correlation: CorrelationKind,
    /// Slots over which fading in blocks holds.
    pub coherence_slots: u32,
    /// K of `rician`: power of the steady wave over that of all others [dB].
    pub rician_k_db: f64,
    /// Carrier [Hz]: for `doppler`, `umi` and `uma`.
    pub carrier_hz: f64,
    /// Standard deviation of the log-normal shadowing of `log-distance` [dB].
    pub shadowing_db: f64,
    /// Decorrelation distance of this shadowing [m] (Gudmundson): it belongs to the place. 0: drawn afresh in every frame.
    pub shadowing_distance_m: f64,
    /// Path loss model.
    pub path_loss: PathLossKind,
    /// Path loss of `log-distance` at 1 m [dB].
    pub path_loss_1m_db: f64,
    /// Path-loss exponent of `log-distance`.
    pub path_loss_exponent: f64,
    /// Radius of the cell [m]: no device stands beyond it.
    pub cell_radius_m: f64,
    /// What planners know of a frame's gain.
    pub known_gain: KnownGain,
    /// `umi` and `uma`.
    pub urban: UrbanChannel,
    /// How old and how wrong what is known of gains is.
    pub estimate: Estimate,
    /// Gains from a file, in place of path loss, shadowing and fading. `fading` then only says what planners take it for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceSource>,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            bandwidth_hz: 3e6,
            noise: NoiseKind::Exact,
            // -174 dBm/Hz thermal noise and a noise figure of 7 dB.
            noise_psd_w_per_hz: 2e-20,
            noise_power_w: 1e-13,
            max_spectral_efficiency: 7.4,
            fading: FadingKind::Rayleigh,
            correlation: CorrelationKind::Block,
            coherence_slots: 1,
            rician_k_db: 9.0,
            carrier_hz: 3.5e9,
            shadowing_db: 0.0,
            shadowing_distance_m: 0.0,
            path_loss: PathLossKind::LogDistance,
            path_loss_1m_db: 38.5,
            path_loss_exponent: 3.5,
            cell_radius_m: 5000.0,
            known_gain: KnownGain::Mean,
            urban: UrbanChannel::default(),
            estimate: Estimate::default(),
            trace: None,
        }
    }
}
