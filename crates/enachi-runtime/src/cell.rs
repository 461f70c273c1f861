//! The cell that edge and devices share: scenario on profile, policy, and the messages that describe both.

use enachi_core::packet::batch_time_s;
use enachi_core::profile::Profile;
use enachi_core::radio::Noise;
use enachi_core::task::policies::PolicyError;
use enachi_core::task::{Candidate, PowerMode, Replanning, TaskGrant, TaskPolicy};
use enachi_proto::message::{Account, Energy, Grant, PowerLaw, Welcome};
use enachi_sim::deployment::{Deployment, DeploymentError, Device, Offer};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::{ArrivalKind, NoiseKind, Packet, PowerKind, Scenario};
use enachi_sim::simulate::{SimulateError, variants};
use enachi_sim::variant::Variant;

/// A scenario that cannot be run live.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// It cannot be simulated either.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// Scenario and profile do not fit.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// No such policy.
    #[error("policies: {0}")]
    Policy(#[from] PolicyError),
    /// More than one policy.
    #[error("policies: an edge runs one policy, this scenario names {0}")]
    Policies(usize),
    /// A policy that plans within the frame.
    #[error("policies: {0:?} plans again within the frame, which the runtime does not do")]
    Multiplexes(String),
    /// Tasks that do not come once a frame.
    #[error(
        "arrivals.process: must be \"each-frame\": the runtime takes tasks as devices offer them"
    )]
    Arrivals,
    /// An edge of finite capacity.
    #[error("edge.workers: must be absent: the runtime plans every tail alone, ENACHI (8)")]
    EdgeWorkers,
}

/// A live batch starts no earlier than at this share of the deadline.
const EARLIEST_BATCH: f64 = 0.5;

/// Scenario, profile and one policy.
pub struct Cell {
    /// Scenario on profile.
    pub deployment: Deployment,
    /// The policy's name and packet level.
    pub variant: Variant,
    /// The policy.
    pub policy: Box<dyn TaskPolicy>,
    /// Candidates of all devices.
    pub offer: Offer,
    factory: PolicyFactory,
    /// Times of decoder and tail by cut and stream that take the place of the model's \[s\].
    measured_edge_s: Vec<(u32, Option<u32>, f64)>,
    /// Threads that run tails; `None`: as ENACHI (8) and (9) have it.
    tails: Option<Tails>,
}

/// How tails run on this machine.
#[derive(Clone, Copy, Debug)]
struct Tails {
    workers: usize,
    /// Slack before deadlines whatever happens \[s\].
    guard_s: f64,
    /// How much longer than planned the batches of late have taken, as other work is in their way \[s\].
    lag_s: f64,
}

/// Shares of a new lag that a longer and a shorter one are taken with: late answers count at once, good times slowly.
const LAG_SHARES: [f64; 2] = [0.5, 0.02];
/// Most lag that is planned for, as a share of the deadline: on a machine that is starved, uploads cut short cost more right answers than
/// late tails do.
const MOST_LAG: f64 = 0.2;

impl Cell {
    /// Put the only policy of `scenario` on `profile`.
    pub fn new(scenario: Scenario, profile: Profile) -> Result<Self, CellError> {
        if scenario.edge.workers.is_some() {
            return Err(CellError::EdgeWorkers);
        }
        if scenario.arrivals.process != ArrivalKind::EachFrame {
            return Err(CellError::Arrivals);
        }
        let factory = PolicyFactory::new(&profile, scenario.baselines);
        let mut deployment = Deployment::new(scenario, profile)?;
        let mut all = variants(&mut deployment, &factory)?;
        let (Some(variant), true) = (all.pop(), all.is_empty()) else {
            return Err(CellError::Policies(deployment.scenario.policies.len()));
        };
        let policy = factory.make(&variant.policy)?;
        if policy.replanning() != Replanning::Never {
            return Err(CellError::Multiplexes(variant.label));
        }
        let offered = factory.offered(&variant.policy);
        let offer = deployment.offer(policy.stream_use(), offered, variant.curve, None)?;
        Ok(Self {
            deployment,
            variant,
            policy,
            offer,
            factory,
            measured_edge_s: Vec::new(),
            tails: None,
        })
    }

    /// Put another device in place `index`; the policy forgets what it has learnt, as its devices have changed.
    pub fn replace_device(&mut self, index: usize, device: Device) -> Result<(), CellError> {
        self.deployment.devices[index] = device;
        let offered = self.factory.offered(&self.variant.policy);
        let stream_use = self.policy.stream_use();
        self.offer = self
            .deployment
            .offer(stream_use, offered, self.variant.curve, None)?;
        self.apply_edge_times();
        self.policy.reset();
        Ok(())
    }

    /// Plan with measured times of decoder and tail in place of the model's.
    pub fn measure_edge(&mut self, time_s: impl Fn(&Candidate) -> Option<f64>) {
        let of = |c: &Candidate| Some((c.cut, c.stream, time_s(c)?));
        self.measured_edge_s = self.offer.candidates.iter().filter_map(of).collect();
        self.apply_edge_times();
    }

    fn apply_edge_times(&mut self) {
        for candidate in &mut self.offer.candidates {
            let same = |known: &&(u32, Option<u32>, f64)| {
                known.0 == candidate.cut && known.1 == candidate.stream
            };
            if let Some((_, _, time_s)) = self.measured_edge_s.iter().find(same) {
                let modelled = candidate.tail_time_s + candidate.decode_time_s;
                candidate.transmit_time_s += modelled - time_s;
                candidate.tail_time_s = *time_s;
                candidate.decode_time_s = 0.0;
            }
        }
    }

    /// Tails share `workers` threads, and all is over `guard_s` before a deadline.
    pub fn set_workers(&mut self, workers: usize, guard_s: f64) {
        self.tails = Some(Tails {
            workers: workers.max(1),
            guard_s,
            lag_s: 0.0,
        });
    }

    /// The last answer of a batch came `left_s` before its deadline \[s\] (after it, if negative): the next batches begin earlier or later.
    pub fn answered(&mut self, left_s: f64, deadline_s: f64) {
        if let Some(tails) = &mut self.tails {
            let lag_s = tails.guard_s + tails.lag_s - left_s;
            let share = LAG_SHARES[usize::from(lag_s < tails.lag_s)];
            let most_s = MOST_LAG * deadline_s;
            tails.lag_s = (tails.lag_s + share * (lag_s - tails.lag_s)).clamp(0.0, most_s);
        }
    }

    /// ENACHI (9): when the batch of tails of `edge_times_s` must start to be over by `deadline_s`.
    pub fn batch_s(&self, deadline_s: f64, edge_times_s: impl Iterator<Item = f64> + Clone) -> f64 {
        let start = batch_time_s(deadline_s, edge_times_s.clone());
        let Some(tails) = self.tails else {
            return start;
        };
        // Tails that wait for a worker: their total over the workers, and the longest of them at the end.
        let queue_s = edge_times_s.sum::<f64>() / tails.workers as f64;
        let slack_s = queue_s + tails.guard_s + tails.lag_s;
        // An edge that is too slow for its devices fails some tails, and says so; it does not starve all uploads.
        (start - slack_s).max(EARLIEST_BATCH * deadline_s)
    }

    /// What a device is told of the cell.
    pub fn welcome(
        &self,
        device: u32,
        outstanding_tasks: u32,
        account: Option<Account>,
    ) -> Welcome {
        let scenario = &self.deployment.scenario;
        let (noise_psd_w_per_hz, noise_w) = match self.deployment.radio.noise {
            Noise::Exact { psd_w_per_hz } => (psd_w_per_hz, 0.0),
            Noise::Constant { power_w } => (0.0, power_w),
        };
        Welcome {
            device,
            frame_s: scenario.frame.length_s,
            slot_s: scenario.frame.slot_s,
            noise_psd_w_per_hz,
            noise_w,
            spectral_cap: self.deployment.radio.spectral_cap,
            law: power_law(&self.variant.packet),
            outstanding_tasks,
            account,
        }
    }
}

/// The power law of a packet level, as devices are told.
fn power_law(packet: &Packet) -> PowerLaw {
    match packet.power {
        PowerKind::ReferenceTracking => PowerLaw::Tracking(packet.kappa_w2),
        PowerKind::PaperTracking => PowerLaw::PaperTracking(packet.v, packet.bits_per_element),
        PowerKind::Printed => PowerLaw::Printed(packet.v, packet.bits_per_element),
        PowerKind::Constant => PowerLaw::Constant,
        PowerKind::WaterFilling => PowerLaw::WaterFilling,
    }
}

/// Adopt what the edge has said of the cell into a device's own scenario.
pub fn adopt(welcome: &Welcome, scenario: &mut Scenario) {
    scenario.frame.slot_s = welcome.slot_s;
    if welcome.frame_s > 0.0 {
        scenario.frame.length_s = welcome.frame_s;
    }
    let channel = &mut scenario.channel;
    channel.max_spectral_efficiency = welcome.spectral_cap;
    if welcome.noise_psd_w_per_hz > 0.0 {
        channel.noise = NoiseKind::Exact;
        channel.noise_psd_w_per_hz = welcome.noise_psd_w_per_hz;
    } else {
        channel.noise = NoiseKind::Constant;
        channel.noise_power_w = welcome.noise_w;
    }
    let packet = &mut scenario.packet;
    match welcome.law {
        PowerLaw::Tracking(kappa_w2) => {
            packet.power = PowerKind::ReferenceTracking;
            packet.kappa_w2 = kappa_w2;
        }
        PowerLaw::PaperTracking(v, bits) => {
            packet.power = PowerKind::PaperTracking;
            (packet.v, packet.bits_per_element) = (v, bits);
        }
        PowerLaw::Printed(v, bits) => {
            packet.power = PowerKind::Printed;
            (packet.v, packet.bits_per_element) = (v, bits);
        }
        PowerLaw::Constant => packet.power = PowerKind::Constant,
        PowerLaw::WaterFilling => packet.power = PowerKind::WaterFilling,
    }
}

/// What a device of a deployment spends, as the edge is told.
pub fn energy(device: &Device) -> Energy {
    Energy {
        frequency_hz: device.compute.frequency_hz,
        cycles_per_mac: device.compute.cycles_per_mac,
        capacitance_w_per_hz3: device.compute.capacitance_w_per_hz3,
        idle_power_w: device.values.idle_power_w,
        power_max_w: device.drawn_power_max_w,
        circuit_power_w: device.radio.circuit_power_w,
        tail_power_w: device.radio.tail_power_w,
        tail_time_s: device.radio.tail_time_s,
        budget_j: device.values.energy_budget_j,
        weight: device.values.weight,
    }
}

/// The device of a deployment that such a description describes; `template` gives the rest.
pub fn device(energy: &Energy, template: &Device) -> Device {
    let mut device = template.clone();
    device.compute.frequency_hz = energy.frequency_hz;
    device.compute.cycles_per_mac = energy.cycles_per_mac;
    device.compute.capacitance_w_per_hz3 = energy.capacitance_w_per_hz3;
    device.drawn_power_max_w = energy.power_max_w;
    device.radio.circuit_power_w = energy.circuit_power_w;
    device.radio.tail_power_w = energy.tail_power_w;
    device.radio.tail_time_s = energy.tail_time_s;
    let values = &mut device.values;
    values.frequency_hz = energy.frequency_hz;
    values.cycles_per_mac = energy.cycles_per_mac;
    values.capacitance_w_per_hz3 = energy.capacitance_w_per_hz3;
    values.idle_power_w = energy.idle_power_w;
    // What is drawn is all that counts here.
    values.power_max_w = energy.power_max_w;
    values.amplifier_efficiency = 1.0;
    values.circuit_power_w = energy.circuit_power_w;
    values.tail_power_w = energy.tail_power_w;
    values.tail_time_s = energy.tail_time_s;
    values.energy_budget_j = energy.budget_j;
    values.weight = energy.weight;
    device
}

/// The grant of a message, as the packet level takes it. Candidates are the edge's own numbers and do not travel.
pub fn task_grant(grant: &Grant) -> TaskGrant {
    let level = grant.choice.and_then(|choice| choice.level);
    TaskGrant {
        candidate: None,
        bandwidth_hz: grant.bandwidth_hz,
        reference_power_w: grant.reference_power_w,
        level: level.map(|level| u32::from(level.saturating_sub(1))),
        bits_limit: grant.bits_limit,
        power: if grant.tracking {
            PowerMode::Tracking
        } else {
            PowerMode::Constant
        },
        // The edge decides about stops.
        stop: false,
        bits: grant.planned_bits,
        accuracy: grant.planned_accuracy,
    }
}
