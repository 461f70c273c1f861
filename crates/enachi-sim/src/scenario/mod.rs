//! The scenario file: what is simulated, in SI units, every default written out when it is echoed.

mod channel;
mod check;
mod load;
mod model;
mod world;

pub use channel::{Channel, FadingKind, KnownGain, NoiseKind};
pub use load::{ScenarioError, load, locate, nearest, parse};
pub use world::{
    ArrivalKind, Arrivals, CorrelationKind, Estimate, LineOfSight, Mobility, MobilityKind,
    PathLossKind, TraceSource, UrbanChannel,
};

use enachi_core::task::policies::PolicyParams;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A simulation, complete but for the measured profile it may name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Name of the run; the output folder is called after it.
    pub name: String,
    /// First seed. The world of a seed is the same for every policy.
    pub seed: u64,
    /// Number of seeds: `seed`, `seed + 1`, ...
    pub seeds: u32,
    /// Frames per seed and policy.
    pub frames: u32,
    /// Frames that the "after warm-up" figures leave out: the energy queue starts empty, so the first frames overspend.
    pub warmup_frames: u32,
    /// Policies to run, each optionally with `+variant`s of the packet level, e.g. `enachi+printed`.
    pub policies: Vec<String>,
    /// The network and its cuts.
    pub profile: ProfileSource,
    /// Frame and slot.
    pub frame: FrameTiming,
    /// The shared band and how it fades.
    pub channel: Channel,
    /// How devices move.
    pub mobility: Mobility,
    /// When tasks arrive.
    pub arrivals: Arrivals,
    /// The edge server.
    pub edge: Edge,
    /// What devices have in common; groups may differ in any of it.
    pub device: DeviceDefaults,
    /// Groups of devices.
    pub devices: Vec<DeviceGroup>,
    /// Task level: once a frame.
    pub task: Task,
    /// Packet level: every slot.
    pub packet: Packet,
    /// Planning again within a frame.
    pub mux: Mux,
    /// How a curve-only profile predicts uncertainty. Measured profiles replay what was measured.
    pub predictor: Predictor,
    /// Parameters that the sources of the baselines leave open, by policy.
    #[schemars(
        with = "std::collections::BTreeMap<String, std::collections::BTreeMap<String, f64>>"
    )]
    pub baselines: PolicyParams,
    /// What is written.
    pub output: Output,
}

/// Where the profile comes from: a file, curves given here, or (neither) the profile embedded in the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileSource {
    /// Profile file, relative to the scenario file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Cuts that planners may choose, by name; empty: all of them. Policies that are about one cut (`edge-only`,
    /// `device-only`, ...) find theirs regardless.
    pub candidates: Vec<String>,
    /// Stream in which policies send the picture at cut 0, e.g. `webp-ladder`; without it the profile's first, which is
    /// `jpeg`. `edge-only` sends raw pixels regardless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_stream: Option<String>,
    /// Forbid planners to send the input itself: the picture must not leave the device. Policies that are about the picture
    /// (`jpeg-equal-share`, `edge-only`) send it all the same, with a warning.
    pub forbid_input: bool,
    /// Forbid planners to run the whole network on the device.
    pub forbid_local: bool,
    /// A profile that consists of fitted curves alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curves: Option<CurveProfile>,
}

/// A profile made of ENACHI (14) curves: sent as raw maps, most important first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurveProfile {
    /// Name of the network.
    pub model: String,
    /// Classes; the accuracy with nothing sent is 1/classes.
    pub classes: u32,
    /// MACs of the whole network.
    pub total_macs: u64,
    /// Top-1 with nothing lost, 0..=1.
    pub top1: f64,
    /// D: bits per element of a map.
    pub bits_per_element: u32,
    /// Shape of the input (channels, height, width), sent whole by `edge-only`.
    pub input_shape: [u32; 3],
    /// The cuts, in graph order.
    pub cuts: Vec<CurveCut>,
}

/// One cut of a [`CurveProfile`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurveCut {
    /// Name.
    pub name: String,
    /// Number of feature maps.
    pub maps: u32,
    /// Rows of a map.
    pub height: u32,
    /// Columns of a map.
    pub width: u32,
    /// MACs on the device.
    pub head_macs: u64,
    /// Slope parameter of (14).
    pub a0: f64,
    /// Shift of (14).
    pub a1: f64,
    /// Ceiling of (14).
    pub a2: f64,
}

/// Frame and slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FrameTiming {
    /// Length of a frame [s]: one task per device; no deadline is longer.
    pub length_s: f64,
    /// Length of a slot [s].
    pub slot_s: f64,
}

/// What becomes of a task that the edge has no time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// The device runs the whole network if it may, if that meets the deadline, and if the policy then wants it; else as
    /// `drop`.
    Local,
    /// The device does nothing in this frame, and its task has no answer.
    Drop,
}

/// The edge server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// Clock [Hz].
    pub frequency_hz: f64,
    /// Cycles per multiply-accumulate ρ.
    pub cycles_per_mac: f64,
    /// Batches that run at the same time. Without it every tail has the edge to itself, as in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// Most tails in a batch.
    pub max_batch: u32,
    /// Time that every batch takes beside its tails [s].
    pub batch_overhead_s: f64,
    /// What every tail of a batch after the first adds, as a share of the time of a tail alone: 1 if batching saves
    /// nothing, 0 if a batch takes as long as one tail.
    pub batch_per_item: f64,
    /// In place of `batch_per_item`: measured [batch size, time] pairs in ascending order, the first of size 1; the unit of
    /// time does not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub batch_table: Vec<(u32, f64)>,
    /// What becomes of a task that the edge has no time for.
    pub refused: Refused,
}

/// What devices have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceDefaults {
    /// A device description that fills what is not given here: a name that `enachi simulate --list-devices` prints, or
    /// a TOML file relative to the scenario file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Clock f [Hz].
    pub frequency_hz: f64,
    /// Cycles per multiply-accumulate ρ.
    pub cycles_per_mac: f64,
    /// Effective switched capacitance α [W/Hz³].
    pub capacitance_w_per_hz3: f64,
    /// Power while doing nothing [W], over the whole frame.
    pub idle_power_w: f64,
    /// Largest radiated power p_max [W].
    pub power_max_w: f64,
    /// Share of the amplifier's power that is radiated. Every power that is planned, tracked and recorded is what the
    /// amplifier draws, at most power_max_w / amplifier_efficiency, and recorded gains count from there.
    pub amplifier_efficiency: f64,
    /// Circuit power of the radio in every slot it is used [W].
    pub circuit_power_w: f64,
    /// Power of the radio after its last slot [W].
    pub tail_power_w: f64,
    /// How long the radio stays up after its last slot [s].
    pub tail_time_s: f64,
    /// Mean energy allowed per frame Ē [J].
    pub energy_budget_j: f64,
    /// Deadline of a task T [s].
    pub deadline_s: f64,
    /// Weight of its accuracy.
    pub weight: f64,
    /// Ring around the base station in which devices stand, and stay if they move, nearest and farthest [m]; placed once
    /// per seed, uniformly over its area.
    pub distance_m: [f64; 2],
    /// Speed [m/s]: of the way with `mobility`, and of the fading with `doppler`.
    pub speed_m_per_s: f64,
}

/// Some devices; what is not given is as in `[device]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceGroup {
    /// How many.
    pub count: u32,
    /// Profile file of the network that they run, relative to the scenario file; without it that of `[profile]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Mean channel power gain, in place of a distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_gain: Option<f64>,
    /// As in `[device]`; goes before what `[device]` says, and behind what the group says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_hz: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles_per_mac: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacitance_w_per_hz3: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_power_w: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_max_w: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amplifier_efficiency: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_power_w: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_power_w: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_time_s: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_budget_j: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<[f64; 2]>,
    /// As in `[device]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_m_per_s: Option<f64>,
    /// Place of each device, in place of a distance: [x, y] from the base station [m]. Devices that move keep to the cell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub positions_m: Vec<[f64; 2]>,
}

impl DeviceGroup {
    /// The group with every value that it takes from `defaults` written out.
    pub fn filled(&self, defaults: &DeviceDefaults) -> Self {
        Self {
            count: self.count,
            profile: self.profile.clone(),
            mean_gain: self.mean_gain,
            model: self.model.clone(),
            frequency_hz: self.frequency_hz.or(Some(defaults.frequency_hz)),
            cycles_per_mac: self.cycles_per_mac.or(Some(defaults.cycles_per_mac)),
            capacitance_w_per_hz3: self
                .capacitance_w_per_hz3
                .or(Some(defaults.capacitance_w_per_hz3)),
            idle_power_w: self.idle_power_w.or(Some(defaults.idle_power_w)),
            power_max_w: self.power_max_w.or(Some(defaults.power_max_w)),
            amplifier_efficiency: self
                .amplifier_efficiency
                .or(Some(defaults.amplifier_efficiency)),
            circuit_power_w: self.circuit_power_w.or(Some(defaults.circuit_power_w)),
            tail_power_w: self.tail_power_w.or(Some(defaults.tail_power_w)),
            tail_time_s: self.tail_time_s.or(Some(defaults.tail_time_s)),
            energy_budget_j: self.energy_budget_j.or(Some(defaults.energy_budget_j)),
            deadline_s: self.deadline_s.or(Some(defaults.deadline_s)),
            weight: self.weight.or(Some(defaults.weight)),
            distance_m: if self.mean_gain.is_some() || !self.positions_m.is_empty() {
                self.distance_m
            } else {
                self.distance_m.or(Some(defaults.distance_m))
            },
            speed_m_per_s: self.speed_m_per_s.or(Some(defaults.speed_m_per_s)),
            positions_m: self.positions_m.clone(),
        }
    }

    /// The values of one device of the group.
    pub fn resolved(&self, defaults: &DeviceDefaults) -> DeviceDefaults {
        DeviceDefaults {
            model: self.model.clone().or_else(|| defaults.model.clone()),
            frequency_hz: self.frequency_hz.unwrap_or(defaults.frequency_hz),
            cycles_per_mac: self.cycles_per_mac.unwrap_or(defaults.cycles_per_mac),
            capacitance_w_per_hz3: self
                .capacitance_w_per_hz3
                .unwrap_or(defaults.capacitance_w_per_hz3),
            idle_power_w: self.idle_power_w.unwrap_or(defaults.idle_power_w),
            power_max_w: self.power_max_w.unwrap_or(defaults.power_max_w),
            amplifier_efficiency: self
                .amplifier_efficiency
                .unwrap_or(defaults.amplifier_efficiency),
            circuit_power_w: self.circuit_power_w.unwrap_or(defaults.circuit_power_w),
            tail_power_w: self.tail_power_w.unwrap_or(defaults.tail_power_w),
            tail_time_s: self.tail_time_s.unwrap_or(defaults.tail_time_s),
            energy_budget_j: self.energy_budget_j.unwrap_or(defaults.energy_budget_j),
            deadline_s: self.deadline_s.unwrap_or(defaults.deadline_s),
            weight: self.weight.unwrap_or(defaults.weight),
            distance_m: self.distance_m.unwrap_or(defaults.distance_m),
            speed_m_per_s: self.speed_m_per_s.unwrap_or(defaults.speed_m_per_s),
        }
    }
}

/// Which accuracy curve planners use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CurveKind {
    /// The measured mean curve, where there is one.
    Measured,
    /// ENACHI (14).
    Fitted,
}

/// Level of the energy queues (12) before the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QueueStart {
    /// 0, as in the paper: devices overspend until their queues have filled.
    Empty,
    /// Where they settle, from a rehearsal of the first 200 frames (docs/policies.md).
    Settled,
}

/// Task level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Task {
    /// V of (13): the worth of accuracy against queued energy.
    pub v: f64,
    /// Level of the energy queues before the first frame.
    pub queue_start: QueueStart,
    /// Curve to plan with.
    pub curve: CurveKind,
    /// Whether the feature codec's work at both ends costs time and energy.
    pub codec_work: bool,
}

/// How the packet level sets the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerKind {
    /// ENACHI (25), corrected, with κ.
    ReferenceTracking,
    /// ENACHI (25), corrected, with κ from `v` and the map's bits as the paper reads it.
    PaperTracking,
    /// ENACHI (25) as printed.
    Printed,
    /// The reference power in every slot.
    Constant,
    /// Water-filling on the known fading statistics.
    WaterFilling,
}

/// When the edge tells a device to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopKind {
    /// Uncertainty at or below the threshold.
    Entropy,
    /// Further bits not worth their energy (needs a measured profile).
    Marginal,
    /// Never.
    Never,
}

/// Which uncertainty the stop rule sees on a measured stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UncertaintyKind {
    /// The predictor's, read off what has arrived: what a live edge can do. A stream without a predictor falls back to
    /// `tail`.
    Predictor,
    /// The entropy of the tail's answer at every checkpoint, ENACHI (5) taken literally: the edge would have to run the tail
    /// each time.
    Tail,
}

/// Packet level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Packet {
    /// Power law.
    pub power: PowerKind,
    /// κ of the corrected (25) [W²].
    pub kappa_w2: f64,
    /// v of (24), for `paper-tracking` and `printed`.
    pub v: f64,
    /// D of a map's bits D·Lh·Lw, for `paper-tracking` and `printed`.
    pub bits_per_element: u32,
    /// Stop rule.
    pub stop: StopKind,
    /// Uncertainty that the stop rule sees.
    pub uncertainty: UncertaintyKind,
    /// H_th [nat]; without it the largest that `threshold_loss` allows, fitted to every measured stream (no image decides
    /// about itself), and 0.3 on curves.
    pub entropy_threshold_nats: Option<f64>,
    /// Share of answers that a fitted H_th may cost against sending everything: for the tail's entropy on average over the
    /// images, for a predictor by its one-sided 95 % upper confidence bound.
    pub threshold_loss: f64,
    /// Slots between the decision and its effect on the device.
    pub feedback_slots: u32,
}

/// How policies that multiplex (`enachi-mux`) plan again within a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mux {
    /// Slots from one plan to the next.
    pub period_slots: u32,
    /// Slots from a plan to its effect on the devices, less than `period_slots`.
    pub delay_slots: u32,
}

impl Default for Mux {
    fn default() -> Self {
        Self {
            period_slots: 5,
            delay_slots: 1,
        }
    }
}

/// Predicted uncertainty on a curve-only profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Predictor {
    /// Entropy of a task far from its answer [nat].
    pub entropy_max_nats: f64,
    /// Standard deviation of the prediction error [nat].
    pub noise_nats: f64,
}

/// File formats of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// One JSON object per line.
    Json,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Formats of the records.
    pub records: Vec<RecordFormat>,
    /// Whether every used slot is recorded too.
    pub slots: bool,
    /// Bootstrap replicates of the accuracy intervals.
    pub bootstrap_replicates: u32,
    /// Whether every policy is held against the upper bound for all policies (`docs/oracle.md`).
    pub oracle: bool,
}

impl From<UncertaintyKind> for enachi_core::profile::Uncertainty {
    fn from(kind: UncertaintyKind) -> Self {
        match kind {
            UncertaintyKind::Predictor => Self::Predictor,
            UncertaintyKind::Tail => Self::Tail,
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "scenario".into(),
            seed: 1,
            seeds: 1,
            frames: 400,
            warmup_frames: 100,
            policies: vec!["enachi".into()],
            profile: ProfileSource::default(),
            frame: FrameTiming::default(),
            channel: Channel::default(),
            mobility: Mobility::default(),
            arrivals: Arrivals::default(),
            edge: Edge::default(),
            device: DeviceDefaults::default(),
            devices: vec![DeviceGroup {
                count: 1,
                ..DeviceGroup::default()
            }],
            task: Task::default(),
            packet: Packet::default(),
            mux: Mux::default(),
            predictor: Predictor::default(),
            baselines: PolicyParams::default(),
            output: Output::default(),
        }
    }
}

impl Default for FrameTiming {
    fn default() -> Self {
        Self {
            length_s: 0.3,
            slot_s: 1e-3,
        }
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            frequency_hz: 20e9,
            cycles_per_mac: 0.1345,
            workers: None,
            max_batch: 1024,
            batch_overhead_s: 0.0,
            batch_per_item: 1.0,
            batch_table: Vec::new(),
            refused: Refused::Local,
        }
    }
}

impl Default for DeviceDefaults {
    fn default() -> Self {
        Self {
            model: None,
            frequency_hz: 2e9,
            cycles_per_mac: 0.1345,
            capacitance_w_per_hz3: 1e-28,
            idle_power_w: 0.0,
            power_max_w: 2.0,
            amplifier_efficiency: 1.0,
            circuit_power_w: 0.0,
            tail_power_w: 0.0,
            tail_time_s: 0.0,
            energy_budget_j: 0.25,
            deadline_s: 0.3,
            weight: 1.0,
            distance_m: [100.0, 100.0],
            speed_m_per_s: 1.0,
        }
    }
}

impl Default for Task {
    fn default() -> Self {
        Self {
            v: 50.0,
            queue_start: QueueStart::Empty,
            curve: CurveKind::Measured,
            codec_work: true,
        }
    }
}

impl Default for Packet {
    fn default() -> Self {
        Self {
            power: PowerKind::ReferenceTracking,
            kappa_w2: 1.0,
            v: 5.0,
            bits_per_element: 32,
            stop: StopKind::Entropy,
            uncertainty: UncertaintyKind::Predictor,
            entropy_threshold_nats: None,
            threshold_loss: 0.01,
            feedback_slots: 0,
        }
    }
}

impl Default for Predictor {
    fn default() -> Self {
        Self {
            entropy_max_nats: 6.9,
            noise_nats: 0.0,
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self {
            records: vec![RecordFormat::Parquet],
            slots: false,
            bootstrap_replicates: 1000,
            oracle: false,
        }
    }
}

impl Scenario {
    /// The scenario as TOML with every default written out, as it is kept beside the results.
    pub fn to_toml(&self) -> String {
        let mut complete = self.clone();
        complete.devices = self
            .devices
            .iter()
            .map(|group| group.filled(&self.device))
            .collect();
        if self.channel.path_loss.urban().is_some() {
            complete.channel.urban.base_height_m = Some(self.channel.base_height_m());
        }
        toml::to_string_pretty(&complete).expect("a scenario is plain data that TOML can hold")
    }

    /// JSON Schema of the file, for editors.
    pub fn json_schema() -> String {
        let schema = schemars::schema_for!(Scenario);
        serde_json::to_string_pretty(&schema).expect("a schema is plain JSON")
    }

    /// Number of devices.
    pub fn device_count(&self) -> usize {
        self.devices.iter().map(|group| group.count as usize).sum()
    }

    /// Profile files that groups name, each once.
    pub fn group_profiles(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self
            .devices
            .iter()
            .filter_map(|group| group.profile.as_deref())
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether some group runs the network of `[profile]`.
    pub fn uses_own_profile(&self) -> bool {
        self.devices.iter().any(|group| group.profile.is_none())
    }

    /// Seeds to run.
    pub fn seed_range(&self) -> impl Iterator<Item = u64> {
        let first = self.seed;
        (0..u64::from(self.seeds)).map(move |i| first.wrapping_add(i))
    }
}
