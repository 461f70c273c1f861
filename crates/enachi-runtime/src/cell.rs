//! The cell that edge and devices share: scenario on profile, policy, and the messages that describe both.

mod slack;

use enachi_core::fading::Fading;
use enachi_core::packet::batch_time_s;
use enachi_core::profile::Profile;
use enachi_core::radio::Noise;
use enachi_core::task::policies::PolicyError;
use enachi_core::task::{Candidate, PowerMode, Replanning, TaskGrant, TaskPolicy};
use enachi_proto::message::{self, Account, Energy, Grant, PowerLaw, Welcome};
use enachi_sim::deployment::{Deployment, DeploymentError, Device, Offer};
use enachi_sim::edge::Capacity;
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::{NoiseKind, Packet, PowerKind, QueueStart, Scenario};
use enachi_sim::simulate::{SimulateError, variants};
use enachi_sim::variant::Variant;
use slack::Slack;
use std::ops::Range;

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
    /// Queues that start where they settle.
    #[error("task.queue_start: must be \"empty\": devices keep their own queues")]
    QueueStart,
}

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
    /// Of an edge of finite capacity.
    pub capacity: Option<Capacity>,
    /// Places of each device's candidates, with those of cuts that it does not have.
    places: Vec<Range<u32>>,
    /// Times of decoder and tail by cut and stream that take the place of the model's \[s\].
    measured_edge_s: Vec<(u32, Option<u32>, f64)>,
    /// On a clock that runs; `None`: as ENACHI (8) and (9) have it.
    tails: Option<Tails>,
}

/// How tails run on this machine.
#[derive(Clone, Debug)]
struct Tails {
    workers: usize,
    /// Whether uploads stay open until their batch begins.
    barrier: bool,
    /// What is learnt of deadlines and windows.
    slack: Slack,
    /// The longest tail of the last plan \[s\].
    longest_s: f64,
}

/// What of a deadline is left to plan with, whatever the slack.
const LEAST_LEFT: f64 = 0.5;

impl Cell {
    /// Put the only policy of `scenario` on `profile`.
    pub fn new(scenario: Scenario, profile: Profile) -> Result<Self, CellError> {
        if scenario.task.queue_start != QueueStart::Empty {
            return Err(CellError::QueueStart);
        }
        let factory = PolicyFactory::new(&profile, scenario.baselines);
        let mut deployment = Deployment::new(scenario, profile)?;
        let mut all = variants(&mut deployment, &factory)?;
        let (Some(variant), true) = (all.pop(), all.is_empty()) else {
            return Err(CellError::Policies(deployment.scenario.policies.len()));
        };
        let policy = factory.make(&variant.policy)?;
        let offer = offer(&deployment, &factory, policy.as_ref(), &variant)?;
        Ok(Self {
            capacity: Capacity::new(&deployment, &offer),
            deployment,
            variant,
            policy,
            places: offer.device_candidates.clone(),
            offer,
            measured_edge_s: Vec::new(),
            tails: None,
        })
    }

    /// Candidates of a device, with those of cuts that it does not have.
    pub fn candidates(&self, index: usize) -> &[Candidate] {
        let place = &self.places[index];
        &self.offer.candidates[place.start as usize..place.end as usize]
    }

    /// Whether what is planned for device `index` comes from `cuts`, and could come from each of them.
    pub fn has_cuts(&self, index: usize, cuts: &[u16]) -> bool {
        let could = |c: &&Candidate| cuts.iter().any(|cut| u32::from(*cut) == c.cut);
        let offered = self.offer.device_candidates[index].len();
        let all = self.candidates(index);
        all.iter().take(offered).all(|c| could(&c)) && !all.iter().skip(offered).any(|c| could(&c))
    }

    /// Give device `index` candidates that no other device has.
    fn own_candidates(&mut self, index: usize) {
        let old = self.places[index].clone();
        let shares = |(other, place): (usize, &Range<u32>)| other != index && *place == old;
        if self.places.iter().enumerate().any(shares) {
            let own = self.candidates(index).to_vec();
            let first = self.offer.candidates.len() as u32;
            self.offer.candidates.extend(own);
            self.places[index] = first..self.offer.candidates.len() as u32;
            let offered = self.offer.device_candidates[index].len() as u32;
            self.offer.device_candidates[index] = first..first + offered;
        }
    }

    /// Put another device, which can be cut at `cuts` only, in place `index`. The other devices keep their candidates, and the
    /// policy what it has learnt of them: nobody can take that away by connecting again.
    pub fn replace_device(&mut self, index: usize, device: Device, cuts: &[u16]) {
        self.own_candidates(index);
        let place = self.places[index].clone();
        let own = &mut self.offer.candidates[place.start as usize..place.end as usize];
        for candidate in own.iter_mut() {
            let (cut, curve) = (candidate.cut as usize, candidate.curve as usize);
            let (stream, levels) = (candidate.stream, candidate.levels.clone());
            *candidate = self
                .deployment
                .candidate(&device, cut, stream, curve, levels);
        }
        // Those that it cannot run come last, behind the end of its range.
        let cannot = |c: &Candidate| !cuts.iter().any(|cut| u32::from(*cut) == c.cut);
        own.sort_by_key(|c| (cannot(c), c.cut));
        let can = own.iter().filter(|c| !cannot(c)).count() as u32;
        self.offer.device_candidates[index] = place.start..place.start + can;
        self.deployment.devices[index] = device;
        if let Some(tails) = &mut self.tails {
            tails.slack.forget(index);
        }
        self.apply_edge_times();
        self.policy.forget(index);
    }

    /// Plan with measured times of decoder and tail in place of the model's.
    pub fn measure_edge(&mut self, time_s: impl Fn(&Candidate) -> Option<f64>) {
        let of = |c: &Candidate| Some((c.cut, c.stream, time_s(c)?));
        self.measured_edge_s = self.offer.candidates.iter().filter_map(of).collect();
        self.apply_edge_times();
    }

    /// (16), where the edge is free; plans within what it can do shorten windows from here.
    fn whole_windows(&mut self) {
        for (device, place) in self.deployment.devices.iter().zip(&self.places) {
            for c in &mut self.offer.candidates[place.start as usize..place.end as usize] {
                c.transmit_time_s = device.values.deadline_s
                    - c.head_time_s
                    - c.encode_time_s
                    - c.tail_time_s
                    - c.decode_time_s;
            }
        }
    }

    fn apply_edge_times(&mut self) {
        for candidate in &mut self.offer.candidates {
            let same = |known: &&(u32, Option<u32>, f64)| {
                known.0 == candidate.cut && known.1 == candidate.stream
            };
            if let Some((_, _, time_s)) = self.measured_edge_s.iter().find(same) {
                candidate.tail_time_s = *time_s;
                candidate.decode_time_s = 0.0;
            }
        }
        self.whole_windows();
        let quick = self.tails.is_some();
        let bounded = self.tails.as_ref().is_none_or(|tails| tails.barrier);
        let capacity = bounded.then(|| Capacity::new(&self.deployment, &self.offer));
        self.capacity = capacity
            .flatten()
            .map(|c| if quick { c.quick() } else { c });
    }

    /// The clock runs: tails share `workers` threads, and all is over `guard_s` before a deadline. With a `barrier`, frames are
    /// planned around what the threads can do.
    pub fn set_live(&mut self, workers: usize, guard_s: f64, barrier: bool) {
        let workers = workers.max(1);
        self.tails = Some(Tails {
            workers,
            barrier,
            slack: Slack::new(self.places.len(), guard_s),
            longest_s: 0.0,
        });
        self.deployment.scenario.edge.workers = Some(workers as u32);
        // Each has a path of its own.
        for index in 0..self.places.len() {
            self.own_candidates(index);
        }
        self.apply_edge_times();
    }

    /// A device had its answer `left_s` before its deadline \[s\] (none, if 0): the next batches begin earlier or later.
    pub fn answered(&mut self, device: usize, left_s: f64, deadline_s: f64) {
        if let Some(tails) = &mut self.tails {
            tails.slack.answered(device, left_s, deadline_s);
        }
    }

    /// Slack before the deadlines of a device \[s\]; none on a clock that stands still.
    fn slack_s(&self, device: usize, deadline_s: f64) -> f64 {
        let tails = self.tails.as_ref();
        tails.map_or(0.0, |tails| tails.slack.before_s(device, deadline_s))
    }

    /// The datagrams of a device came `late_s` after their slots, by the edge's clock \[s\].
    pub fn arrived_late(&mut self, device: usize, late_s: f64) {
        if let Some(tails) = &mut self.tails {
            let deadline_s = self.deployment.devices[device].values.deadline_s;
            tails.slack.arrived_late(device, late_s, deadline_s);
        }
    }

    /// What has been granted: the edge waits for its longest tail.
    pub fn planned(&mut self, grants: &[TaskGrant]) {
        if let Some(tails) = &mut self.tails {
            let chosen = grants.iter().filter_map(|grant| grant.candidate);
            let times = chosen.map(|index| self.offer.candidates[index as usize].edge_time_s());
            tails.longest_s = times.fold(0.0, f64::max);
        }
    }

    /// A frame begins: plans leave the slack, and count on no slots whose bits come when the batch has begun.
    pub fn keep_slack(&mut self) {
        let Some(tails) = &mut self.tails else {
            return;
        };
        let devices = &self.deployment.devices;
        let deadlines = devices.iter().map(|device| device.values.deadline_s);
        tails.slack.begin_frame(deadlines.fold(0.0, f64::max));
        if self.capacity.is_none() {
            self.whole_windows();
        }
        let Some(tails) = &self.tails else { return };
        for (index, device) in self.deployment.devices.iter().enumerate() {
            let deadline_s = device.values.deadline_s;
            let most_s = LEAST_LEFT * deadline_s;
            let slack_s = tails.slack.before_s(index, deadline_s) + tails.slack.late_s(index);
            let place = self.places[index].start as usize..self.places[index].end as usize;
            match &mut self.capacity {
                // A worker may be in the middle of the longest tail when another becomes free for the last.
                Some(capacity) => {
                    capacity.set_lost(place, (slack_s + tails.longest_s).min(most_s));
                }
                None => {
                    let own = self.offer.candidates[place].iter_mut();
                    own.filter(|c| c.stream.is_some())
                        .for_each(|c| c.transmit_time_s -= slack_s.min(most_s));
                }
            }
            self.deployment.deadlines_s[device.batch] =
                (deadline_s - tails.slack.shared_s(deadline_s)).max(most_s);
        }
    }

    /// ENACHI (9): when the batch of tails of `edge_times_s` of device `device` must start to be over by `deadline_s`; on an
    /// edge of finite capacity, where the plan has put it.
    pub fn batch_s(
        &self,
        device: usize,
        deadline_s: f64,
        edge_times_s: impl Iterator<Item = f64> + Clone,
    ) -> f64 {
        let Some(capacity) = &self.capacity else {
            return batch_time_s(deadline_s, edge_times_s) - self.slack_s(device, deadline_s);
        };
        let own_s = self.slack_s(device, deadline_s);
        let device = &self.deployment.devices[device];
        let earlier_s = device.values.deadline_s - deadline_s;
        // A worker may be in the middle of the longest tail when another becomes free for the last.
        let (longest_s, more_s) = match &self.tails {
            Some(tails) => {
                let shared_s = tails.slack.shared_s(device.values.deadline_s);
                (
                    edge_times_s.fold(0.0, f64::max),
                    (own_s - shared_s).max(0.0),
                )
            }
            None => (0.0, 0.0),
        };
        capacity.barrier_s(device.batch) - earlier_s - longest_s - more_s
    }

    /// How long a tail waits for a worker of an edge without a barrier that has `waiting_s` of tails to do \[s\]; `None` if one
    /// of `edge_s` would then leave its device less than half of `deadline_s` for the upload.
    pub fn queue_s(
        &self,
        device: usize,
        waiting_s: f64,
        edge_s: f64,
        deadline_s: f64,
    ) -> Option<f64> {
        let Some(tails) = self.tails.as_ref().filter(|tails| !tails.barrier) else {
            return Some(0.0);
        };
        let queue_s = waiting_s / tails.workers as f64;
        let slack_s = self.slack_s(device, deadline_s);
        (queue_s + edge_s + slack_s <= 0.5 * deadline_s).then_some(queue_s)
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
            replan_slots: match self.policy.replanning() {
                Replanning::Never => 0,
                Replanning::Bits | Replanning::StoppingAware => scenario.mux.period_slots,
            },
            account,
        }
    }
}

/// What a policy may choose from in a deployment.
fn offer(
    deployment: &Deployment,
    factory: &PolicyFactory,
    policy: &dyn TaskPolicy,
    variant: &Variant,
) -> Result<Offer, DeploymentError> {
    let aware = policy.replanning() == Replanning::StoppingAware;
    let stops = aware.then_some(&variant.packet);
    let offered = factory.offered(&variant.policy);
    deployment.offer(policy.stream_use(), offered, variant.curve, stops)
}

/// How gains vary, as it is told.
pub fn fading_told(fading: Fading) -> message::Fading {
    match fading {
        Fading::None => message::Fading::None,
        Fading::Rayleigh => message::Fading::Rayleigh,
        Fading::Rician { k } => message::Fading::Rician(k),
    }
}

/// How gains vary, as it was told.
pub fn fading(told: message::Fading) -> Fading {
    match told {
        message::Fading::None => Fading::None,
        message::Fading::Rayleigh => Fading::Rayleigh,
        message::Fading::Rician(k) => Fading::Rician { k },
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
