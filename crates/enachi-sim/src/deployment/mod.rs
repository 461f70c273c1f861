//! Scenario and profile put together: devices, candidates, curves. All that does not change from frame to frame.

mod check;
mod curve_profile;
mod fitted;
mod network;
mod offer;

pub use check::DeploymentError;
pub use curve_profile::curve_profile;
pub use network::{Network, Profiles};
pub use offer::{Offer, OfferedCuts};

use crate::scenario::{DeviceDefaults, NoiseKind, Scenario};
use crate::world::Setting;
use enachi_core::energy::{Compute, RadioOverhead};
use enachi_core::profile::CutProfile;
use enachi_core::radio::{Noise, Radio};
use enachi_core::record::Names;
use fitted::Fitted;
use std::sync::Arc;

/// What a simulated device is.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Values of its group.
    pub values: DeviceDefaults,
    /// Mean gain, where it does not come from a distance.
    pub mean_gain: Option<f64>,
    /// Index of its group (equal groups have equal candidates).
    pub group: usize,
    /// Index of its network.
    pub network: usize,
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
    /// What devices run, in the order in which groups name them. Cuts are numbered through: those of the first network, then
    /// those of the second, ...
    pub networks: Vec<Network>,
    /// Noise and cap.
    pub radio: Radio,
    /// What is fixed about the world beside its seed.
    pub setting: Arc<Setting>,
    /// Devices, in order.
    pub devices: Vec<Device>,
    /// Distinct deadlines \[s\].
    pub deadlines_s: Vec<f64>,
    /// First entry of each cut's streams in [`Names::streams`].
    stream_offset: Vec<usize>,
    /// Tables of stop rules and of planning again.
    fitted: Fitted,
}

impl Deployment {
    /// Put `scenario` on its profile (from [`curve_profile`] if the scenario holds curves), or on several if groups name
    /// their own.
    pub fn new(scenario: Scenario, profiles: impl Into<Profiles>) -> Result<Self, DeploymentError> {
        let (networks, network_of_group) = network::resolve(&scenario, profiles.into())?;
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
        let setting = Arc::new(Setting::new(&scenario)?);
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
                network: network_of_group[group],
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
        let mut stream_offset = Vec::new();
        let mut streams = 0;
        for cut in networks.iter().flat_map(|network| &network.profile.cuts) {
            stream_offset.push(streams);
            streams += cut.streams.len();
        }
        let deployment = Self {
            scenario,
            networks,
            radio,
            setting,
            devices,
            deadlines_s,
            stream_offset,
            fitted: Fitted::default(),
        };
        check::names(&deployment)?;
        Ok(deployment)
    }

    /// Names for records under `policies`.
    pub fn names(&self, policies: Vec<String>) -> Names {
        let streams = self.cuts().flat_map(|cut| &cut.streams);
        Names {
            policies,
            cuts: self.cut_names(),
            streams: streams.map(|stream| stream.name.clone()).collect(),
        }
    }

    /// Cuts of all networks.
    pub fn cuts(&self) -> impl Iterator<Item = &CutProfile> {
        let networks = self.networks.iter();
        networks.flat_map(|network| &network.profile.cuts)
    }

    /// A cut by its number.
    pub fn cut(&self, index: u32) -> &CutProfile {
        let network = self.network_of(index);
        &network.profile.cuts[(index - network.first_cut) as usize]
    }

    /// Network of a cut.
    pub fn network_of(&self, cut: u32) -> &Network {
        let after = self.networks.partition_point(|n| n.first_cut <= cut);
        &self.networks[after - 1]
    }

    /// Names of all cuts, by number: `layer2.0`, or `resnet50/layer2.0` where there is more than one network.
    pub fn cut_names(&self) -> Vec<String> {
        let several = self.networks.len() > 1;
        let names = self.networks.iter().flat_map(|network| {
            let cuts = network.profile.cuts.iter();
            cuts.map(move |cut| match several {
                true => format!("{}/{}", network.name, cut.name),
                false => cut.name.clone(),
            })
        });
        names.collect()
    }

    /// Names of all networks, with a plus between them.
    pub fn network_names(&self) -> String {
        let names: Vec<&str> = self.networks.iter().map(|n| n.name.as_str()).collect();
        names.join(" + ")
    }

    /// Processor of the edge.
    fn edge(&self) -> Compute {
        Compute {
            frequency_hz: self.scenario.edge.frequency_hz,
            cycles_per_mac: self.scenario.edge.cycles_per_mac,
            capacitance_w_per_hz3: 0.0,
        }
    }

    /// Index of a stream in [`Names::streams`].
    pub fn stream_index(&self, cut: u32, stream: u32) -> usize {
        self.stream_offset[cut as usize] + stream as usize
    }

    /// Accuracy of a guess by the network of a cut.
    pub fn floor(&self, cut: u32) -> f64 {
        1.0 / f64::from(self.network_of(cut).profile.meta.classes.max(2))
    }
}
