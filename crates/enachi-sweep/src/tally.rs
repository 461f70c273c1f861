//! One run, condensed while it runs: no record outlives its frame.

use enachi_core::record::{FrameRecord, Names, Outcome, SlotRecord, StopReason};
use enachi_sim::bootstrap::{ClusterTally, ClusterWeights, Sketch};
use enachi_sim::deployment::Deployment;
use enachi_sim::runner::{FailedFrame, Sink};
use serde::{Deserialize, Serialize};

/// Most windows of a trajectory.
pub const WINDOWS: u32 = 100;
/// Bins of the stop slot over a frame.
pub const SLOT_BINS: usize = 50;
/// Bins of the delivered share.
pub const FRACTION_BINS: usize = 20;
/// Bins of delivered bits: four to the octave, from 1 bit to 2^40.
pub const BITS_BINS: usize = 160;

/// What is kept of a run: a policy at a point in a seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Device-frames.
    pub device_frames: u64,
    /// Of them, those with a task: accuracy, bits and outcomes count over these.
    pub tasks: u64,
    /// Tasks that arrived.
    pub arrived: u64,
    /// Of them, those that found no place to wait.
    pub dropped: u64,
    /// Sum of the frames that tasks waited.
    pub waited_frames: u64,
    /// Right answers.
    pub right: u64,
    /// Sums of head, encoder and radio \[J\].
    pub energy_j: [f64; 3],
    /// Device-frames after the warm-up.
    pub settled_frames: u64,
    /// Of them, those with a task.
    pub settled_tasks: u64,
    /// Of those, the right answers.
    pub settled_right: u64,
    /// Frames in which the policy failed and so sent nothing.
    pub failed_frames: u64,
    /// Energy after the warm-up \[J\].
    pub settled_energy_j: f64,
    /// Sum of Q over them \[J\].
    pub settled_queue_j: f64,
    /// Device-frames by [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Sum of delivered bits.
    pub bits: f64,
    /// Device-frames that used a slot.
    pub sent: u64,
    /// Sum of delivered shares over them.
    pub fraction: f64,
    /// Sum of bandwidths \[Hz\].
    pub bandwidth_hz: f64,
    /// Slots used.
    pub slots: u64,
    /// Sum of answer times \[s\].
    pub answer_time_s: f64,
    /// Sum of planned accuracies.
    pub planned_accuracy: f64,
    /// Cuts chosen, by name, in the order of the profile.
    pub cuts: Vec<(String, u64)>,
    /// Bins that are not empty.
    pub stop_slots: Vec<Bin>,
    /// Bins that are not empty.
    pub fractions: Vec<Bin>,
    /// Bins that are not empty.
    pub bits_bins: Vec<Bin>,
    /// Windows of frames.
    pub windows: Vec<Window>,
    /// Devices.
    pub devices: Vec<DeviceTally>,
    /// First level of the bootstrap.
    pub sketch: Sketch,
    /// One device-frame, of the first seed.
    pub example: Option<Example>,
    /// Wall time; no part of the dataset \[s\].
    pub wall_s: f64,
}

impl Tally {
    /// The first figure that is not finite, and so could be neither averaged nor written down.
    fn not_finite(&self) -> Option<&'static str> {
        let sums = [
            ("the energy", self.energy_j.iter().sum()),
            ("the energy queue", self.settled_queue_j),
            ("the number of bits", self.bits),
            ("the share of bits", self.fraction),
            ("the bandwidth", self.bandwidth_hz),
            ("the answer time", self.answer_time_s),
            ("the planned accuracy", self.planned_accuracy),
            (
                "the energy queue",
                self.windows.iter().map(|w| w.queue_j).sum(),
            ),
        ];
        let example = self.example.iter().flat_map(|example| {
            let slots = example.slots.iter().flat_map(|slot| slot.2);
            [example.reference_power_w, example.planned_bits]
                .into_iter()
                .chain(slots)
        });
        let sums = sums.into_iter().map(|(what, sum): (&str, f64)| (what, sum));
        sums.chain(example.map(|value| ("a value of the example frame", value)))
            .find(|(_, sum)| !sum.is_finite())
            .map(|(what, _)| what)
    }
}

/// A bin of a histogram: stop reason, bin, device-frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin(pub u8, pub u16, pub u64);

/// Sums over a window of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Device-frames.
    pub device_frames: u64,
    /// Device-frames with a task.
    pub tasks: u64,
    /// Right answers.
    pub right: u64,
    /// Energy \[J\].
    pub energy_j: f64,
    /// Q at the start of the frames \[J\].
    pub queue_j: f64,
}

/// Sums over the frames of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceTally {
    /// Frames with a task.
    pub tasks: u64,
    /// Right answers.
    pub right: u64,
    /// Energy \[J\].
    pub energy_j: f64,
    /// Energy after the warm-up \[J\].
    pub settled_energy_j: f64,
    /// Delivered bits.
    pub bits: f64,
    /// Allowance Ē \[J per frame\].
    pub budget_j: f64,
}

/// One device-frame with its slots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Cut.
    pub cut: Option<String>,
    /// Stream.
    pub stream: Option<String>,
    /// Outcome.
    pub outcome: String,
    /// Stop reason.
    pub stop_reason: String,
    /// Whether the answer is right.
    pub correct: bool,
    /// Seed.
    pub seed: u64,
    /// Frame.
    pub frame: u32,
    /// Slots used.
    pub slots_used: u32,
    /// ω \[Hz\].
    pub bandwidth_hz: f64,
    /// p̃ \[W\].
    pub reference_power_w: f64,
    /// Planned bits.
    pub planned_bits: f64,
    /// Delivered bits.
    pub bits: f64,
    /// Delivered share.
    pub fraction: f64,
    /// Energy \[J\].
    pub energy_j: f64,
    /// Energy of the radio \[J\].
    pub energy_transmit_j: f64,
    /// Q \[J\].
    pub energy_queue_j: f64,
    /// Ready, sent, batch, answer \[s\].
    pub times_s: [f64; 4],
    /// The slots used.
    pub slots: Vec<ExampleSlot>,
}

/// Slot, checkpoint; gain, power \[W\], bits, power queue \[W\].
pub type ExampleSlot = (u32, u32, [f64; 4]);

/// What the bootstrap draws at its first level: images, each network's own, and behind them the frames of curves, whose devices
/// share the band and so belong together.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// All of them.
    pub count: usize,
    /// First image of each device's network.
    first: Vec<usize>,
    /// Images of all networks.
    images: usize,
}

impl Clusters {
    /// Those of `frames` frames.
    pub fn new(deployment: &Deployment, frames: usize) -> Self {
        let mut images = 0;
        let networks = deployment.networks.iter().map(|network| {
            images += network.images;
            images - network.images
        });
        let of_network: Vec<usize> = networks.collect();
        let curves = deployment.networks.iter().any(|n| n.images == 0);
        let devices = &deployment.devices;
        Self {
            count: images + if curves { frames } else { 0 },
            first: devices.iter().map(|d| of_network[d.network]).collect(),
            images,
        }
    }

    fn of(&self, record: &FrameRecord) -> usize {
        match record.image {
            Some(image) => self.first[record.device as usize] + image as usize,
            None => self.images + record.frame as usize,
        }
    }
}

/// Counts what a runner hands over.
pub struct Tallying<'a> {
    tally: Tally,
    names: &'a Names,
    of_record: &'a Clusters,
    clusters: ClusterTally,
    cuts: Vec<u64>,
    stop_slots: Vec<u64>,
    fractions: Vec<u64>,
    bits_bins: Vec<u64>,
    frames: u32,
    slots_per_frame: f64,
    slot_s: f64,
    warmup_frames: u32,
    /// Frame whose device 0 is kept as an example.
    example_frame: Option<u32>,
    /// Its slots.
    example_slots: Vec<ExampleSlot>,
    now: u32,
}

const REASONS: usize = StopReason::ALL.len();

impl<'a> Tallying<'a> {
    /// Nothing counted yet. `names` are the deployment's; `example` keeps one device-frame.
    pub fn new(
        deployment: &Deployment,
        names: &'a Names,
        clusters: &'a Clusters,
        example: bool,
    ) -> Self {
        let scenario = &deployment.scenario;
        let windows = scenario.frames.min(WINDOWS) as usize;
        let devices = deployment.devices.iter().map(|device| DeviceTally {
            budget_j: device.values.energy_budget_j,
            ..DeviceTally::default()
        });
        Self {
            tally: Tally {
                windows: vec![Window::default(); windows],
                devices: devices.collect(),
                ..Tally::default()
            },
            names,
            of_record: clusters,
            clusters: ClusterTally::new(clusters.count),
            cuts: vec![0; names.cuts.len()],
            stop_slots: vec![0; REASONS * SLOT_BINS],
            fractions: vec![0; REASONS * FRACTION_BINS],
            bits_bins: vec![0; REASONS * BITS_BINS],
            frames: scenario.frames,
            slots_per_frame: (scenario.frame.length_s / scenario.frame.slot_s).round(),
            slot_s: scenario.frame.slot_s,
            warmup_frames: scenario.warmup_frames,
            example_frame: example.then_some(scenario.warmup_frames.min(scenario.frames - 1)),
            example_slots: Vec::new(),
            now: 0,
        }
    }

    /// Frame `frame` is about to be run.
    pub fn begin(&mut self, frame: u32) {
        self.now = frame;
    }

    /// All frames are done. An error where a figure is not finite: some policy or setting made nonsense.
    pub fn finish(mut self, weights: &ClusterWeights) -> Result<Tally, String> {
        let chosen = self.names.cuts.iter().zip(&self.cuts);
        self.tally.cuts = chosen
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| (name.clone(), *count))
            .collect();
        self.tally.stop_slots = bins(&self.stop_slots, SLOT_BINS);
        self.tally.fractions = bins(&self.fractions, FRACTION_BINS);
        self.tally.bits_bins = bins(&self.bits_bins, BITS_BINS);
        self.tally.sketch = weights.sketch(&self.clusters);
        if let Some(example) = &mut self.tally.example {
            example.slots = self.example_slots;
        }
        match self.tally.not_finite() {
            Some(what) => Err(format!("{what} is not finite")),
            None => Ok(self.tally),
        }
    }

    fn histograms(&mut self, record: &FrameRecord) {
        let reason = record.stop_reason as usize;
        if record.slots > 0 {
            self.tally.sent += 1;
            self.tally.fraction += record.fraction;
            let end_slot = (record.sent_time_s / self.slot_s).round();
            let bin = (end_slot / self.slots_per_frame * SLOT_BINS as f64) as usize;
            self.stop_slots[reason * SLOT_BINS + bin.min(SLOT_BINS - 1)] += 1;
            let bin = (record.fraction * FRACTION_BINS as f64) as usize;
            self.fractions[reason * FRACTION_BINS + bin.min(FRACTION_BINS - 1)] += 1;
        }
        if record.bits >= 1.0 {
            let bin = (record.bits.log2() * 4.0) as usize;
            self.bits_bins[reason * BITS_BINS + bin.min(BITS_BINS - 1)] += 1;
        }
    }
}

impl Example {
    fn of(record: &FrameRecord, names: &Names) -> Self {
        let name = |names: &[String], index: Option<u16>| {
            index.and_then(|index| names.get(usize::from(index)).cloned())
        };
        Self {
            cut: name(&names.cuts, record.cut),
            stream: name(&names.streams, record.stream),
            outcome: record.outcome.name().into(),
            stop_reason: record.stop_reason.name().into(),
            correct: record.correct,
            seed: record.seed,
            frame: record.frame,
            slots_used: record.slots,
            bandwidth_hz: record.bandwidth_hz,
            reference_power_w: record.reference_power_w,
            planned_bits: record.planned_bits,
            bits: record.bits,
            fraction: record.fraction,
            energy_j: record.energy_j(),
            energy_transmit_j: record.energy_transmit_j,
            energy_queue_j: record.energy_queue_j,
            times_s: [
                record.ready_time_s,
                record.sent_time_s,
                record.batch_time_s,
                record.answer_time_s,
            ],
            slots: Vec::new(),
        }
    }
}

fn bins(counts: &[u64], bins: usize) -> Vec<Bin> {
    let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    filled
        .map(|(index, count)| Bin((index / bins) as u8, (index % bins) as u16, *count))
        .collect()
}

impl Sink for Tallying<'_> {
    fn frame(&mut self, record: FrameRecord) {
        let energy_j = record.energy_j();
        let right = u64::from(record.correct);
        let settled = record.frame >= self.warmup_frames;
        let device = record.device as usize;
        let task = record.outcome != Outcome::NoTask;
        if task {
            let cluster = self.of_record.of(&record);
            self.clusters.add(cluster, record.correct);
            self.histograms(&record);
        }
        if self.example_frame == Some(record.frame) && device == 0 {
            self.tally.example = Some(Example::of(&record, self.names));
        }
        let tally = &mut self.tally;
        tally.device_frames += 1;
        tally.right += right;
        tally.energy_j[0] += record.energy_local_j;
        tally.energy_j[1] += record.energy_codec_j;
        tally.energy_j[2] += record.energy_transmit_j;
        if settled {
            tally.settled_frames += 1;
            tally.settled_tasks += u64::from(task);
            tally.settled_right += right;
            tally.settled_energy_j += energy_j;
            tally.settled_queue_j += record.energy_queue_j;
        }
        tally.outcomes[record.outcome as usize] += 1;
        let waiting = record.tasks.unwrap_or_default();
        tally.arrived += u64::from(waiting.arrived);
        tally.dropped += u64::from(waiting.dropped);
        if task {
            tally.tasks += 1;
            tally.waited_frames += u64::from(waiting.waited_frames);
            tally.bits += record.bits;
            tally.bandwidth_hz += record.bandwidth_hz;
            tally.slots += u64::from(record.slots);
            tally.answer_time_s += record.answer_time_s;
            tally.planned_accuracy += record.planned_accuracy;
        }
        if let Some(cut) = record.cut {
            self.cuts[usize::from(cut)] += 1;
        }
        let windows = tally.windows.len() as u64;
        let window = u64::from(record.frame) * windows / u64::from(self.frames.max(1));
        let window = &mut tally.windows[window as usize];
        window.device_frames += 1;
        window.tasks += u64::from(task);
        window.right += right;
        window.energy_j += energy_j;
        window.queue_j += record.energy_queue_j;
        let device = &mut tally.devices[device];
        device.tasks += u64::from(task);
        device.right += right;
        device.energy_j += energy_j;
        device.settled_energy_j += if settled { energy_j } else { 0.0 };
        device.bits += record.bits;
    }

    fn wants_slots(&self) -> bool {
        self.example_frame == Some(self.now)
    }

    fn slot(&mut self, record: SlotRecord) {
        if record.device != 0 {
            return;
        }
        let values = [
            record.gain,
            record.power_w,
            record.bits,
            record.power_queue_w,
        ];
        self.example_slots
            .push((record.slot, record.checkpoint, values));
    }

    fn failure(&mut self, _failure: FailedFrame) {
        self.tally.failed_frames += 1;
    }
}
