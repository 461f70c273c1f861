//! One policy in the world of one seed, frame by frame.

use crate::deployment::{Deployment, Offer};
use crate::edge::{Capacity, edge_s, frame_view};
use crate::knowledge::Knowledge;
use crate::mux::{Replanner, Situation, sending};
use crate::policies::PolicyFactory;
use crate::rehearsal::settled_levels;
use crate::scenario::{QueueStart, StopKind};
use crate::simulate::SimulateError;
use crate::upload::{Upload, Uploaded};
use crate::variant::Variant;
use crate::world::arrivals::Arrivals;
use crate::world::{Places, World};
use enachi_core::packet::{Ending, Slot, Window, batch_time_s};
use enachi_core::profile::{CutKind, LadderKind};
use enachi_core::queue::EnergyQueue;
use enachi_core::record::{FrameRecord, Outcome, SlotRecord, StopReason};
use enachi_core::task::{
    DeviceView, FrameOutcome, FrameView, PlanFailure, PlanQuality, Replanning, TaskGrant,
    TaskPolicy, observe_contained, plan_contained,
};

/// Receives records as frames end.
pub trait Sink {
    /// A device-frame is done.
    fn frame(&mut self, record: FrameRecord);
    /// Whether slots are wanted.
    fn wants_slots(&self) -> bool {
        false
    }
    /// A slot was used.
    fn slot(&mut self, _record: SlotRecord) {}
    /// The policy failed.
    fn failure(&mut self, _failure: FailedFrame) {}
}

/// A frame in which a policy failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedFrame {
    /// Index into [`Names::policies`](enachi_core::record::Names::policies).
    pub policy: u16,
    /// Seed of the world.
    pub seed: u64,
    /// Frame from 0.
    pub frame: u32,
    /// What it did.
    pub failure: PlanFailure,
}

/// Keeps everything in memory.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// Device-frames.
    pub frames: Vec<FrameRecord>,
    /// Slots, if wanted.
    pub slots: Vec<SlotRecord>,
    /// Whether slots are wanted.
    pub keep_slots: bool,
    /// Frames in which the policy failed.
    pub failures: Vec<FailedFrame>,
}

impl Sink for Recorder {
    fn frame(&mut self, record: FrameRecord) {
        self.frames.push(record);
    }
    fn wants_slots(&self) -> bool {
        self.keep_slots
    }
    fn slot(&mut self, record: SlotRecord) {
        self.slots.push(record);
    }
    fn failure(&mut self, failure: FailedFrame) {
        self.failures.push(failure);
    }
}

/// One policy in one world.
pub struct Runner<'a> {
    deployment: &'a Deployment,
    variant: Variant,
    policy: Box<dyn TaskPolicy>,
    offer: Offer,
    policy_index: u16,
    seed: u64,
    world: World,
    places: Places,
    knowledge: Knowledge,
    arrivals: Arrivals,
    queues: Vec<EnergyQueue>,
    views: Vec<DeviceView>,
    grants: Vec<TaskGrant>,
    outcomes: Vec<FrameOutcome>,
    /// Batch start per distinct deadline.
    batches_s: Vec<f64>,
    /// What the policy said when it was made: it is asked once, so that tables and plans go by the same answer.
    replanning: Replanning,
    /// Of policies that plan again within a frame.
    replanner: Option<Replanner>,
    /// Of an edge of finite capacity.
    capacity: Option<Capacity>,
    /// Of the planned frame's plan, where the edge has no capacity to tell of it.
    quality: Option<PlanQuality>,
    /// Why the planned frame has no plan.
    failure: Option<PlanFailure>,
    frame: u32,
}

impl<'a> Runner<'a> {
    /// Set up `variant` in the world of `seed`.
    pub fn new(
        deployment: &'a Deployment,
        factory: &PolicyFactory,
        variant: Variant,
        policy_index: u16,
        seed: u64,
    ) -> Result<Self, SimulateError> {
        let set_up = || Self::empty(deployment, factory, variant.clone(), policy_index, seed);
        let mut runner = set_up()?;
        if deployment.scenario.task.queue_start == QueueStart::Settled {
            runner.set_levels(settled_levels(set_up()?, deployment.scenario.frames));
        }
        Ok(runner)
    }

    /// With empty queues.
    fn empty(
        deployment: &'a Deployment,
        factory: &PolicyFactory,
        variant: Variant,
        policy_index: u16,
        seed: u64,
    ) -> Result<Self, SimulateError> {
        let scenario = &deployment.scenario;
        let policy = factory.make(&variant.policy)?;
        let offered = factory.offered(&variant.policy);
        let replanning = policy.replanning();
        let aware = replanning == Replanning::StoppingAware;
        let stops = aware.then_some(&variant.packet);
        let offer = deployment.offer(policy.stream_use(), offered, variant.curve, stops)?;
        let world = World::new(seed, &deployment.setting);
        let views = deployment
            .devices
            .iter()
            .zip(&offer.device_candidates)
            .map(|(device, candidates)| DeviceView {
                energy_queue_j: 0.0,
                energy_budget_j: device.values.energy_budget_j,
                gain: 0.0,
                fading: deployment.setting.fading,
                power_max_w: device.drawn_power_max_w,
                deadline_s: device.values.deadline_s,
                weight: device.values.weight,
                edge_price_per_s: 0.0,
                candidates: candidates.clone(),
            })
            .collect();
        let count = deployment.devices.len();
        Ok(Self {
            queues: deployment
                .devices
                .iter()
                .map(|device| EnergyQueue::new(device.values.energy_budget_j))
                .collect(),
            views,
            grants: vec![TaskGrant::default(); count],
            outcomes: vec![FrameOutcome::default(); count],
            batches_s: vec![0.0; deployment.deadlines_s.len()],
            replanning,
            replanner: Replanner::new(replanning),
            capacity: Capacity::new(deployment, &offer),
            quality: None,
            failure: None,
            frame: 0,
            deployment,
            variant,
            policy,
            offer,
            policy_index,
            seed,
            places: Places::new(world.clone()),
            knowledge: Knowledge::new(&world, scenario.channel.known_gain),
            arrivals: Arrivals::new(&world, &scenario.arrivals, count),
            world,
        })
    }

    /// Frame to be planned next.
    pub fn frame(&self) -> u32 {
        self.frame
    }

    /// What the policy knows about the planned frame.
    pub fn view(&self) -> FrameView<'_> {
        frame_view(self.deployment, &self.offer, &self.views, self.frame)
    }

    /// Grants of the planned frame.
    pub fn grants(&self) -> &[TaskGrant] {
        &self.grants
    }

    /// Quality of the planned frame's plan.
    pub fn last_plan(&self) -> Option<PlanQuality> {
        let quality = match &self.capacity {
            Some(capacity) => capacity.quality(),
            None => self.quality,
        };
        quality.filter(|_| self.failure.is_none())
    }

    /// Whether the edge has no time for a device in the planned frame.
    pub fn refused(&self, device: usize) -> bool {
        self.capacity.as_ref().is_some_and(|c| c.refused(device))
    }

    /// Why the planned frame has no plan.
    pub fn failure(&self) -> Option<&PlanFailure> {
        self.failure.as_ref()
    }

    /// Energy queues.
    pub fn queues(&self) -> &[EnergyQueue] {
        &self.queues
    }

    /// Queues that stand at `levels_j` \[J\], with nothing spent.
    pub(crate) fn set_levels(&mut self, levels_j: impl IntoIterator<Item = f64>) {
        for (queue, level_j) in self.queues.iter_mut().zip(levels_j) {
            *queue = EnergyQueue::starting_at(queue.budget_j(), level_j);
        }
    }

    /// V·w/Ē of every device, in which levels of its energy queue are of order one \[J\]; 0 without an allowance.
    pub(crate) fn energy_units(&self) -> impl Iterator<Item = f64> {
        let v = self.deployment.scenario.task.v;
        self.deployment.devices.iter().map(move |device| {
            let budget_j = device.values.energy_budget_j;
            if budget_j > 0.0 {
                v * device.values.weight / budget_j
            } else {
                0.0
            }
        })
    }

    /// Let the policy plan the next frame.
    pub fn plan(&mut self) {
        self.places.advance_to(self.frame);
        self.knowledge.begin(&self.world, &self.places, self.frame);
        self.arrivals.begin(self.frame);
        for (index, view) in self.views.iter_mut().enumerate() {
            view.energy_queue_j = self.queues[index].level_j();
            view.gain = self.knowledge.planned_gain(&self.world, index);
            view.fading = self.knowledge.told(index).fading;
            let candidates = self.offer.device_candidates[index].clone();
            view.candidates = if self.arrivals.has_task(index) {
                candidates
            } else {
                candidates.start..candidates.start
            };
        }
        let planned = match &mut self.capacity {
            Some(capacity) => capacity
                .plan(
                    self.deployment,
                    self.policy.as_mut(),
                    &mut self.offer,
                    &mut self.views,
                    self.frame,
                    &mut self.grants,
                )
                .map(|()| None),
            None => {
                let view = frame_view(self.deployment, &self.offer, &self.views, self.frame);
                plan_contained(self.policy.as_mut(), &view, &mut self.grants)
            }
        };
        (self.quality, self.failure) = match planned {
            Ok(quality) => (quality, None),
            Err(failure) => (None, Some(failure)),
        };
        self.set_batches();
    }

    /// ENACHI (9), one batch per distinct deadline; as early as all tails need on an edge of finite capacity.
    fn set_batches(&mut self) {
        for (batch, start_s) in self.batches_s.iter_mut().enumerate() {
            if let Some(capacity) = &self.capacity {
                *start_s = capacity.barrier_s(batch);
                continue;
            }
            let edge_times = self
                .grants
                .iter()
                .zip(&self.deployment.devices)
                .filter(|(_, device)| device.batch == batch)
                .filter_map(|(grant, _)| grant.candidate)
                .map(|candidate| self.offer.candidates[candidate as usize].edge_time_s());
            *start_s = batch_time_s(self.deployment.deadlines_s[batch], edge_times);
        }
    }

    /// Run the planned frame and hand its records to `sink`.
    pub fn execute(&mut self, sink: &mut impl Sink) {
        let mut within = None;
        if let Some(mut replanner) = self.replanner.take() {
            within = self.multiplexed_frame(&mut replanner, sink).err();
            self.replanner = Some(replanner);
        } else {
            for index in 0..self.deployment.devices.len() {
                let (mut record, upload) = self.begin(index);
                if let Some(upload) = upload {
                    let uploaded = if sink.wants_slots() {
                        upload.run(&mut |slot| sink.slot(self.slot_record(index as u32, slot)))
                    } else {
                        upload.run(&mut ())
                    };
                    let sends = sends(&self.grants[index]);
                    self.book(&mut record, &uploaded, sends);
                }
                self.settle(index, record, sink);
            }
        }
        let observed = observe_contained(self.policy.as_mut(), &self.outcomes);
        let failures = self.failure.take().into_iter().chain(within);
        for failure in failures.chain(observed.err()) {
            sink.failure(FailedFrame {
                policy: self.policy_index,
                seed: self.seed,
                frame: self.frame,
                failure,
            });
        }
        self.frame += 1;
    }

    /// A frame whose bands and reference powers are planned again every few slots. The first of those plans that fails is told.
    fn multiplexed_frame(
        &mut self,
        replanner: &mut Replanner,
        sink: &mut impl Sink,
    ) -> Result<(), PlanFailure> {
        let scenario = &self.deployment.scenario;
        let begun: Vec<_> = (0..self.deployment.devices.len())
            .map(|index| self.begin(index))
            .collect();
        let situation = Situation {
            bandwidth_hz: scenario.channel.bandwidth_hz,
            radio: self.deployment.radio,
            v: scenario.task.v,
            bandwidth_price: self.last_plan().map_or(0.0, |plan| plan.bandwidth_price),
            slot_s: scenario.frame.slot_s,
            period_slots: scenario.mux.period_slots,
            delay_slots: scenario.mux.delay_slots,
            feedback_slots: self.variant.packet.feedback_slots,
        };
        let uploads = begun
            .iter()
            .enumerate()
            .filter_map(|(index, (_, upload))| Some((index, upload.as_ref()?)))
            .map(|(index, upload)| {
                let view = &self.views[index];
                sending(upload, view.gain, view.weight)
            });
        let mut uploads: Vec<_> = uploads.collect();
        let packet = &self.variant.packet;
        let tables = self.deployment.conditional(packet, self.replanning);
        let tables = tables.expect("prepared for every policy that plans again");
        let planned = replanner.run(&situation, tables, &mut uploads, |device, slot| {
            if sink.wants_slots() {
                sink.slot(self.slot_record(device, slot));
            }
        });
        let mut uploaded: Vec<Option<(Uploaded, bool)>> = vec![None; begun.len()];
        for one in uploads {
            let device = one.device();
            uploaded[device] = Some(one.finish());
        }
        let records: Vec<FrameRecord> = begun.into_iter().map(|(record, _)| record).collect();
        for (index, (mut record, uploaded)) in records.into_iter().zip(uploaded).enumerate() {
            if let Some((uploaded, sends)) = uploaded {
                self.book(&mut record, &uploaded, sends);
            }
            self.settle(index, record, sink);
        }
        planned
    }

    /// Enter a finished device-frame into queue, outcome and records.
    fn settle(&mut self, index: usize, record: FrameRecord, sink: &mut impl Sink) {
        let energy_j = record.energy_j();
        let candidate = self.grants[index].candidate;
        let candidate = candidate.map(|choice| &self.offer.candidates[choice as usize]);
        let edge_s = candidate.map(|candidate| edge_s(self.capacity.as_ref(), index, candidate));
        let deadline_s = self.deployment.devices[index].values.deadline_s;
        self.outcomes[index] = outcome(edge_s, deadline_s, &record);
        self.queues[index].update(energy_j);
        sink.frame(record);
    }

    /// The record of a device-frame before its first slot, and its upload if there is one.
    fn begin(&self, index: usize) -> (FrameRecord, Option<Upload<'_>>) {
        let deployment = self.deployment;
        let device = &deployment.devices[index];
        let grant = &self.grants[index];
        let task = self.world.task(index as u32, self.frame);
        let network = &deployment.networks[device.network];
        let image = (task * network.images as f64) as usize;
        let local = self.knowledge.truth(index, self.frame);
        let idle_j = device.values.idle_power_w * deployment.scenario.frame.length_s;
        let mut record = FrameRecord {
            policy: self.policy_index,
            seed: self.seed,
            frame: self.frame,
            device: index as u32,
            image: (network.images > 0).then_some(image as u32),
            cut: None,
            stream: None,
            level: None,
            bandwidth_hz: grant.bandwidth_hz,
            reference_power_w: grant.reference_power_w,
            mean_power_w: 0.0,
            planned_gain: self.views[index].gain,
            mean_gain: local.mean_gain,
            planned_bits: grant.bits,
            planned_accuracy: grant.accuracy,
            bits: 0.0,
            chunks: 0,
            fraction: 0.0,
            outcome: match self.failure {
                Some(_) => Outcome::PolicyFailed,
                None => Outcome::Infeasible,
            },
            stop_reason: StopReason::NotSending,
            correct: false,
            entropy_nats: None,
            energy_local_j: idle_j,
            energy_codec_j: 0.0,
            energy_transmit_j: 0.0,
            energy_queue_j: self.queues[index].level_j(),
            power_queue_w: 0.0,
            slots: 0,
            ready_time_s: 0.0,
            sent_time_s: 0.0,
            batch_time_s: self.batches_s[device.batch],
            answer_time_s: device.values.deadline_s,
            tasks: self.arrivals.queue(index),
        };
        if !self.arrivals.has_task(index) {
            record.outcome = Outcome::NoTask;
            record.image = None;
            record.answer_time_s = 0.0;
            return (record, None);
        }
        if self.refused(index) {
            record.outcome = Outcome::Refused;
            record.stop_reason = StopReason::EdgeFull;
        }
        let Some(choice) = grant.candidate else {
            return (record, None);
        };
        let candidate = &self.offer.candidates[choice as usize];
        record.cut = Some(candidate.cut as u16);
        record.energy_local_j += device.compute.energy_j(candidate.head_macs);
        record.energy_codec_j = device.compute.energy_j(candidate.encode_macs);
        record.ready_time_s = candidate.head_time_s + candidate.encode_time_s;
        record.sent_time_s = record.ready_time_s;
        let Some(stream) = candidate
            .stream
            .filter(|_| candidate.kind != CutKind::Local)
        else {
            record.outcome = Outcome::Local;
            record.answer_time_s = record.ready_time_s;
            record.correct = if network.images > 0 {
                let image = &network.profile.images[image];
                image.top1 == image.label
            } else {
                task <= deployment.cut(candidate.cut).top1_uncompressed
            };
            return (record, None);
        };
        record.stream = Some(deployment.stream_index(candidate.cut, stream) as u16);
        let samples = &deployment.cut(candidate.cut).streams[stream as usize].samples;
        let image = if samples.images > 0 {
            image % samples.images
        } else {
            image
        };
        record.image = record.image.map(|_| image as u32);
        record.answer_time_s =
            record.batch_time_s + edge_s(self.capacity.as_ref(), index, candidate);
        let slot_s = deployment.scenario.frame.slot_s;
        let mut window = Window::between(record.ready_time_s, record.batch_time_s, slot_s);
        // A plan within the frame may still find band for an embedded stream.
        let may_send = self.replanning != Replanning::Never
            && candidate.ladder == LadderKind::Embedded
            || sends(grant);
        if !may_send {
            window.end = window.first;
        }
        let upload = Upload {
            deployment,
            world: &self.world,
            packet: &self.variant.packet,
            device: index as u32,
            frame: self.frame,
            candidate,
            grant,
            window,
            local,
            known: self.knowledge.told(index),
            energy_queue_j: self.queues[index].level_j(),
            task,
            image,
        };
        (record, Some(upload))
    }

    fn slot_record(&self, device: u32, slot: Slot) -> SlotRecord {
        SlotRecord {
            policy: self.policy_index,
            seed: self.seed,
            frame: self.frame,
            device,
            slot: slot.slot,
            gain: slot.gain,
            power_w: slot.power_w,
            bits: slot.bits,
            power_queue_w: slot.queue_w,
            checkpoint: slot.checkpoint as u32,
        }
    }

    /// Enter an upload into its record.
    fn book(&self, record: &mut FrameRecord, uploaded: &Uploaded, sends: bool) {
        let radio = self.deployment.devices[record.device as usize].radio;
        let slot_s = self.deployment.scenario.frame.slot_s;
        let sent = &uploaded.sent;
        record.level = uploaded.level.map(|level| level as u16);
        record.correct = uploaded.correct;
        record.entropy_nats = Some(uploaded.entropy_nats);
        record.bits = sent.bits;
        record.chunks = uploaded.chunks;
        record.fraction = sent.bits / uploaded.total_bits;
        record.slots = sent.slots;
        record.power_queue_w = sent.queue.level_w();
        record.energy_transmit_j = radio.transmit_energy_j(sent.queue.sum_w(), sent.slots, slot_s);
        if sent.slots > 0 {
            record.mean_power_w = sent.queue.sum_w() / f64::from(sent.slots);
            record.mean_gain = sent.gain_sum / f64::from(sent.slots);
            record.sent_time_s = f64::from(sent.end_slot) * slot_s;
        }
        let nothing = sent.slots == 0 && sent.ending == Ending::AllSent;
        (record.outcome, record.stop_reason) = if !sends || nothing {
            (Outcome::SentNothing, StopReason::NotSending)
        } else {
            match sent.ending {
                Ending::AllSent => (Outcome::Delivered, StopReason::AllSent),
                Ending::Deadline => (Outcome::DeadlineCut, StopReason::Deadline),
                Ending::Stopped if self.variant.packet.stop == StopKind::Marginal => {
                    (Outcome::StoppedEarly, StopReason::MarginalValue)
                }
                Ending::Stopped => (Outcome::StoppedEarly, StopReason::EntropyThreshold),
            }
        };
    }
}

/// What a policy learns of a frame whose task took `edge_s` from the barrier on; `None` where nothing was chosen.
pub fn outcome(edge_s: Option<f64>, deadline_s: f64, record: &FrameRecord) -> FrameOutcome {
    FrameOutcome {
        energy_j: record.energy_j(),
        latency_s: latency_s(edge_s, deadline_s, record),
        bits: record.bits,
        deadline_cut: record.outcome == Outcome::DeadlineCut,
    }
}

/// Time from the start of the frame to the answer, or what it would have taken at the frame's mean rate.
fn latency_s(edge_s: Option<f64>, deadline_s: f64, record: &FrameRecord) -> f64 {
    let Some(edge_s) = edge_s else {
        return deadline_s;
    };
    if record.outcome != Outcome::DeadlineCut {
        return record.sent_time_s + edge_s;
    }
    // A device that got nothing through has no rate of its own: two deadlines say "far too late".
    if record.fraction <= 0.0 {
        return 2.0 * deadline_s;
    }
    let sending_s = record.sent_time_s - record.ready_time_s;
    record.ready_time_s + sending_s / record.fraction + edge_s
}

/// Whether a grant sends anything.
pub fn sends(grant: &TaskGrant) -> bool {
    grant.bandwidth_hz > 0.0 && grant.reference_power_w > 0.0 && grant.bits_limit > 0.0
}
