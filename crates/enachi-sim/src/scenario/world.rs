//! The parts of a scenario that make its world: how the channel fades, how devices move, when tasks arrive.

use crate::world::path_loss::UrbanKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How path loss follows from distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathLossKind {
    /// `path_loss_1m_db` and `path_loss_exponent`.
    LogDistance,
    /// 3GPP TR 38.901 UMi – Street Canyon, outdoors.
    Umi,
    /// 3GPP TR 38.901 UMa, outdoors.
    Uma,
}

/// How fading hangs together in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CorrelationKind {
    /// Independent from block to block of `coherence_slots`.
    Block,
    /// Continuous, with Jakes' spectrum at the device's `speed_m_per_s`.
    Doppler,
}

/// Line of sight in a street canyon or an urban macro cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LineOfSight {
    /// With the standard's probability at the device's distance.
    Drawn,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// TR 38.901, for `path_loss` `umi` and `uma`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UrbanChannel {
    /// Height of the base station's antenna [m]; without it the standard's, 10 in a street canyon and 25 in a macro cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_height_m: Option<f64>,
    /// Height of the devices' antennas [m].
    pub device_height_m: f64,
    /// Line of sight.
    pub line_of_sight: LineOfSight,
    /// Whether there is shadowing, with the standard's deviations and correlation distances.
    pub shadowing: bool,
}

/// What is known of gains. Errors are log-normal: a normal number of dB with mean 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Estimate {
    /// Standard deviation of the error of the gain that planners know [dB], drawn per device and frame.
    pub error_db: f64,
    /// Age of the gain that planners know [frames]; in the first frames they know that of frame 0.
    pub delay_frames: u32,
    /// Standard deviation of the error of the gain by which a device sets its power [dB], drawn per device and slot.
    pub slot_error_db: f64,
    /// Age of the gain by which a device sets its power [slots].
    pub slot_delay_slots: u32,
}

/// Gains from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSource {
    /// CSV or Parquet file, relative to the scenario file (docs/worlds.md).
    pub path: String,
    /// Whether the trace starts over where it ends before the run does.
    #[serde(default)]
    pub repeat: bool,
    /// Folder of the scenario file.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) folder: PathBuf,
}

impl TraceSource {
    /// The file, from the working folder.
    pub fn file(&self) -> PathBuf {
        self.folder.join(&self.path)
    }
}

/// How devices move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MobilityKind {
    /// They do not.
    None,
    /// Straight to a point drawn from their ring, a pause, and on to the next.
    RandomWaypoint,
    /// Each component of the velocity is a Gaussian process with a memory; the ring's edges reflect.
    GaussMarkov,
}

/// How devices move, each at its own `speed_m_per_s` within its own ring. They are moved between frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mobility {
    /// Model.
    pub model: MobilityKind,
    /// Rest at each point of `random-waypoint` [s].
    pub pause_s: f64,
    /// Time after which the velocity of `gauss-markov` has forgotten all but 1/e of itself [s].
    pub memory_s: f64,
}

/// When tasks arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalKind {
    /// One for every device and frame.
    EachFrame,
    /// One or none per frame.
    Bernoulli,
    /// Any number per frame.
    Poisson,
}

/// When tasks arrive. A frame takes one task of a device; others wait, and drop out where there is no place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Arrivals {
    /// Process.
    pub process: ArrivalKind,
    /// Mean number of tasks per device and frame, for `bernoulli` and `poisson`.
    pub tasks_per_frame: f64,
    /// Tasks of a device that may wait for a later frame.
    pub waiting_max: u32,
}

impl Default for UrbanChannel {
    fn default() -> Self {
        Self {
            base_height_m: None,
            device_height_m: 1.5,
            line_of_sight: LineOfSight::Drawn,
            shadowing: true,
        }
    }
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            error_db: 0.0,
            delay_frames: 0,
            slot_error_db: 0.0,
            slot_delay_slots: 0,
        }
    }
}

impl Default for Mobility {
    fn default() -> Self {
        Self {
            model: MobilityKind::None,
            pause_s: 0.0,
            memory_s: 10.0,
        }
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            process: ArrivalKind::EachFrame,
            tasks_per_frame: 1.0,
            waiting_max: 0,
        }
    }
}

impl super::Channel {
    /// Height of the base station's antenna \[m\]; without meaning for log-distance path loss.
    pub fn base_height_m(&self) -> f64 {
        let standard = self.path_loss.urban().map_or(0.0, UrbanKind::base_height_m);
        self.urban.base_height_m.unwrap_or(standard)
    }

    /// Nearest place for which a path loss is defined \[m\].
    pub fn nearest_m(&self) -> f64 {
        match self.path_loss.urban() {
            None => 1.0,
            Some(_) => crate::world::path_loss::URBAN_DISTANCE_M[0],
        }
    }
}
