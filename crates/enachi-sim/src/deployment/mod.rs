//! Scenario and profile put together: devices, candidates, curves. All that does not change from frame to frame.

mod check;
mod curve_profile;
mod fitted;
mod offer;

pub use check::DeploymentError;
pub use curve_profile::curve_profile;
pub use offer::{Offer, OfferedCuts};

use crate::scenario::{DeviceDefaults, FadingKind, NoiseKind, Scenario};
use crate::world::FadingModel;
use enachi_core::energy::{Compute, RadioOverhead};
use enachi_core::profile::Profile;
use enachi_core::radio::{Noise, Radio};
use enachi_core::record::Names;
use enachi_core::task::Fading;
use fitted::Fitted;

/// What a simulated device is.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Values of its group.
    pub values: DeviceDefaults,
    /// Mean gain, where it does not come from a distance.
    pub mean_gain: Option<f64>,
    /// Index of its group (equal groups have equal candidates).
    pub group: usize,
    /// Index of its deadline among the distinct deadlines: one batch each.
    pub batch: usize,
    /// Most that the amplifier draws \[W\]: p_max over its efficiency. Every power of policies, power laws and records
    /// is a drawn one.
    pub drawn_power_max_w: f64,
    /// Processor.
    pub compute: Compute,
    /// What the radio costs beside the radiated power.
    pub radio: RadioOverhead,
}

/// Scenario and profile put together.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The scenario.
    pub scenario: Scenario,
    /// The profile, measured or made of the scenario's curves.
    pub profile: Profile,
    /// Noise and cap.
    pub radio: Radio,
    /// Fading.
    pub fading: FadingModel,
    /// Devices, in order.
    pub devices: Vec<Device>,
    /// Distinct deadlines \[s\].
    pub deadlines_s: Vec<f64>,
    /// Images that tasks are drawn from; 0 for a curve-only profile. A stream that was measured on fewer replays image
    /// modulo its own number.
    pub images: usize,
    /// First entry of each cut's streams in [`Names::streams`].
    stream_offset: Vec<usize>,
    /// Tables of stop rules and of planning again.
    fitted: Fitted,
}

impl Deployment {
    /// Put `scenario` on `profile` (from [`curve_profile`] if the scenario holds curves).
    pub fn new(scenario: Scenario, profile: Profile) -> Result<Self, DeploymentError> {
        check::profile(&profile)?;
        check::names(&scenario, &profile)?;
        let noise = match scenario.channel.noise {
            NoiseKind::Exact => Noise::Exact {
                psd_w_per_hz: scenario.channel.noise_psd_w_per_hz,
            },
            NoiseKind::Constant => Noise::Constant {
                power_w: scenario.channel.noise_power_w,
            },
        };
        let radio = Radio {
            noise,
            spectral_cap: scenario.channel.max_spectral_efficiency,
        };
        let fading = match scenario.channel.fading {
            FadingKind::None => FadingModel::None,
            FadingKind::Rayleigh => FadingModel::Rayleigh {
                coherence_slots: scenario.channel.coherence_slots,
            },
        };
        let mut deadlines_s: Vec<f64> = Vec::new();
        let mut devices = Vec::with_capacity(scenario.device_count());
        for (group, of) in scenario.devices.iter().enumerate() {
            let values = of.resolved(&scenario.device);
            let batch = deadlines_s
                .iter()
                .position(|d| *d == values.deadline_s)
                .unwrap_or_else(|| {
                    deadlines_s.push(values.deadline_s);
                    deadlines_s.len() - 1
                });
            let device = Device {
                mean_gain: of.mean_gain,
                drawn_power_max_w: values.power_max_w / values.amplifier_efficiency,
                group,
                batch,
                compute: Compute {
                    frequency_hz: values.frequency_hz,
                    cycles_per_mac: values.cycles_per_mac,
                    capacitance_w_per_hz3: values.capacitance_w_per_hz3,
                },
                radio: RadioOverhead {
                    circuit_power_w: values.circuit_power_w,
                    tail_power_w: values.tail_power_w,
                    tail_time_s: values.tail_time_s,
                },
                values,
            };
            devices.extend(std::iter::repeat_n(device, of.count as usize));
        }
        let mut stream_offset = Vec::with_capacity(profile.cuts.len());
        let mut streams = 0;
        for cut in &profile.cuts {
            stream_offset.push(streams);
            streams += cut.streams.len();
        }
        let images = profile
            .cuts
            .iter()
            .flat_map(|cut| &cut.streams)
            .map(|stream| stream.samples.images)
            .max()
            .unwrap_or(0);
        let deployment = Self {
            scenario,
            profile,
            radio,
            fading,
            devices,
            deadlines_s,
            images,
            stream_offset,
            fitted: Fitted::default(),
        };
        if deployment.plannable().next().is_none() {
            return Err(DeploymentError::NoCandidate {
                known: check::cut_names(&deployment.profile),
            });
        }
        Ok(deployment)
    }

    /// Names for records under `policies`.
    pub fn names(&self, policies: Vec<String>) -> Names {
        Names {
            policies,
            cuts: self.profile.cuts.iter().map(|c| c.name.clone()).collect(),
            streams: self
                .profile
                .cuts
                .iter()
                .flat_map(|cut| &cut.streams)
                .map(|stream| stream.name.clone())
                .collect(),
        }
    }

    /// Index of a stream in [`Names::streams`].
    pub fn stream_index(&self, cut: u32, stream: u32) -> usize {
        self.stream_offset[cut as usize] + stream as usize
    }

    /// Accuracy of a guess.
    pub fn floor(&self) -> f64 {
        1.0 / f64::from(self.profile.meta.classes.max(2))
    }

    /// How gains vary, as policies are told.
    pub fn fading_view(&self) -> Fading {
        match self.fading {
            FadingModel::None => Fading::None,
            FadingModel::Rayleigh { .. } => Fading::Rayleigh,
        }
    }
}
