//! One device's frame once it has its grant: which law, which rule, which replay; then the slot loop of the core.

use crate::deployment::Deployment;
use crate::scenario::{Packet, PowerKind, StopKind};
use crate::world::{Gains, Local, World};
use enachi_core::fading::Fading;
use enachi_core::packet::power::{paper_kappa_w2, printed_level_w2};
use enachi_core::packet::replay::CurveUncertainty;
use enachi_core::packet::{
    Arrivals, ConstantPower, CurveRow, EntropyThreshold, LevelRow, Link, Marginal, MeasuredRow,
    Never, PowerControl, Prefix, PrintedTracking, ReferenceTracking, Scored, SlotObserver,
    StopRule, Transmission, WaterFilling, Window, transmit,
};
use enachi_core::profile::{LadderKind, Stream};
use enachi_core::queue::PowerQueue;
use enachi_core::task::{Candidate, PowerMode, TaskGrant};

/// Everything fixed about one upload before its first slot.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// Scenario and profile.
    pub deployment: &'a Deployment,
    /// The world of the seed.
    pub world: &'a World,
    /// Packet level of the policy.
    pub packet: &'a Packet,
    /// Device from 0.
    pub device: u32,
    /// Frame from 0.
    pub frame: u32,
    /// The choice.
    pub candidate: &'a Candidate,
    /// The grant.
    pub grant: &'a TaskGrant,
    /// Slots open to the device.
    pub window: Window,
    /// The channel as it is.
    pub local: Local,
    /// The channel as it is known when the frame begins.
    pub known: Local,
    /// Q before the frame \[J\].
    pub energy_queue_j: f64,
    /// The task's draw.
    pub task: f64,
    /// Row of the profile's images, for measured streams.
    pub image: usize,
}

/// How an upload went and what its answer is worth.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The slot loop's result.
    pub sent: Transmission,
    /// Whether the answer is right.
    pub correct: bool,
    /// Uncertainty of the answer, as the stop rule sees it \[nat\].
    pub entropy_nats: f64,
    /// Chunks that arrived.
    pub chunks: u32,
    /// Bits of the device's whole stream for this task.
    pub total_bits: f64,
    /// Level that was sent, from 1, of a ladder of alternatives.
    pub level: Option<usize>,
}

/// The stop rules as one type: matched at checkpoint crossings only, a few times a frame.
pub enum Rule<'a> {
    /// Send everything.
    Never,
    /// On a threshold.
    Entropy(EntropyThreshold),
    /// On the worth of more bits.
    Marginal(Marginal<'a>),
}

impl StopRule for Rule<'_> {
    #[inline]
    fn stop(&self, arrivals: &impl Arrivals, checkpoint: usize) -> bool {
        match self {
            Self::Never => Never.stop(arrivals, checkpoint),
            Self::Entropy(rule) => rule.stop(arrivals, checkpoint),
            Self::Marginal(rule) => rule.stop(arrivals, checkpoint),
        }
    }
}

impl Upload<'_> {
    /// The stream that is sent.
    pub fn stream(&self) -> &Stream {
        let cut = self.deployment.cut(self.candidate.cut);
        let stream = self.candidate.stream.expect("uploads have a stream");
        &cut.streams[stream as usize]
    }

    /// What the device sends.
    pub fn row(&self) -> Row<'_, impl Fn(usize) -> f64 + Copy + use<>> {
        let stream = self.stream();
        let samples = &stream.samples;
        let entropy_max_nats = self.deployment.scenario.predictor.entropy_max_nats;
        match (stream.ladder, samples.images > 0, &stream.surrogate) {
            (LadderKind::Embedded, true, _) => {
                let uncertainty = self.packet.uncertainty.into();
                let row = MeasuredRow::new(samples, self.image, uncertainty);
                let last = self.measured_limit(stream);
                Row::Measured(Prefix { inner: row, last })
            }
            (LadderKind::Embedded, false, Some(surrogate)) => {
                let maps = stream.total_chunks as usize;
                let map_bits = stream.total_bits / maps as f64;
                let model = CurveUncertainty {
                    entropy_max_nats,
                    noise_nats: self.deployment.scenario.predictor.noise_nats,
                };
                let noise = self.world.prediction_errors(self.device, self.frame);
                let row = CurveRow::new(surrogate, self.task, maps, map_bits, model, noise);
                let last = (self.grant.bits_limit * (1.0 - 1e-9) / map_bits)
                    .ceil()
                    .min(maps as f64);
                Row::Curve(Prefix {
                    inner: row,
                    last: last as usize,
                })
            }
            (LadderKind::Alternatives, true, _) => {
                let level = self.fitting_level(stream);
                Row::Level(LevelRow::new(samples, self.image, level), level)
            }
            (_, false, _) => {
                let cut = self.deployment.cut(self.candidate.cut);
                let (floor, top1) = (
                    self.deployment.floor(self.candidate.cut),
                    cut.top1_uncompressed,
                );
                let bits = stream.total_bits;
                Row::Level(
                    LevelRow::whole(bits, self.task, floor, top1, entropy_max_nats),
                    1,
                )
            }
        }
    }

    /// Run the upload.
    pub fn run<O: SlotObserver>(&self, observer: &mut O) -> Uploaded {
        let row = self.row();
        let sent = match &row {
            Row::Measured(row) => self.send(row, observer),
            Row::Curve(row) => self.send(row, observer),
            Row::Level(row, _) => self.send(row, observer),
        };
        self.settle(sent, &row)
    }

    /// What the answer to `sent` is worth.
    pub fn settle<N: Fn(usize) -> f64>(&self, sent: Transmission, row: &Row<'_, N>) -> Uploaded {
        let stream = self.stream();
        match row {
            Row::Measured(row) => {
                let chunks = stream.checkpoint_chunks[sent.checkpoint];
                let total_bits = row.inner.bits(row.inner.last());
                finish(sent, row, chunks, total_bits)
            }
            Row::Curve(row) => {
                let chunks = sent.checkpoint as u32;
                finish(sent, row, chunks, stream.total_bits)
            }
            Row::Level(row, level) => {
                let chunks = sent.checkpoint as u32;
                Uploaded {
                    level: Some(*level),
                    ..finish(sent, row, chunks, row.bits(1))
                }
            }
        }
    }

    fn fitting_level(&self, stream: &Stream) -> usize {
        let samples = &stream.samples;
        self.fitting(samples.checkpoints - 1, |level| {
            f64::from(samples.bits[samples.at(self.image, level)])
        })
    }

    /// The granted level of `whole`, or the highest below it whose encoding of *this* image, of `bits` bits, the window is
    /// expected to carry: grants are made on mean sizes, but a device knows the size of what it has encoded.
    pub fn fitting(&self, whole: usize, mut bits: impl FnMut(usize) -> f64) -> usize {
        // No level: the policy sends the tensor whole or not at all.
        let Some(granted) = self.grant.level else {
            return whole;
        };
        let granted = (granted as usize + 1).min(whole);
        let bandwidth_hz = self.grant.bandwidth_hz;
        let radio = &self.deployment.radio;
        let power_w = self.grant.reference_power_w;
        let snr = radio.snr(bandwidth_hz, self.known.mean_gain, power_w);
        let efficiency = match self.known.fading {
            Fading::None => radio.efficiency(snr),
            fading => fading.efficiency(snr).min(radio.spectral_cap),
        };
        let window_s = f64::from(self.window.slots()) * self.deployment.scenario.frame.slot_s;
        let carried = bandwidth_hz * efficiency * window_s;
        (1..=granted)
            .rev()
            .find(|level| bits(*level) <= carried)
            .unwrap_or(1)
    }

    /// Last checkpoint within a limit on bits. Limits are planned on mean bits, so they name a checkpoint of the mean
    /// curve (the first that holds so many bits), and the image sends that checkpoint's chunks whatever they cost it.
    pub fn measured_limit(&self, stream: &Stream) -> usize {
        let last = stream.samples.checkpoints - 1;
        if self.grant.bits_limit.is_infinite() {
            return last;
        }
        stream.measured.as_ref().map_or(last, |curve| {
            let limit = self.grant.bits_limit * (1.0 - 1e-9);
            curve.bits.partition_point(|bits| *bits < limit).min(last)
        })
    }

    /// The stop rule.
    pub fn rule(&self) -> Rule<'_> {
        if !self.grant.stop {
            return Rule::Never;
        }
        match self.packet.stop {
            StopKind::Never => Rule::Never,
            StopKind::Entropy => Rule::Entropy(EntropyThreshold {
                threshold_nats: self.deployment.threshold_nats(
                    self.packet.uncertainty,
                    self.candidate.cut,
                    self.candidate.stream.unwrap_or(0),
                    self.image,
                ),
            }),
            StopKind::Marginal => {
                let stream = self.candidate.stream.unwrap_or(0);
                let kind = self.packet.uncertainty;
                let table =
                    self.deployment
                        .continuation(kind, self.candidate.cut, stream, self.image);
                match table {
                    Some(table) => Rule::Marginal(Marginal::new(table, self.price_per_bit())),
                    None => Rule::Never,
                }
            }
        }
    }

    /// What a bit costs in units of accuracy at the reference power: Q·(p̃ + circuit)/(V·rate).
    pub fn price_per_bit(&self) -> f64 {
        let device = &self.deployment.devices[self.device as usize];
        let power_w = self.grant.reference_power_w;
        let rate_bps =
            self.deployment
                .radio
                .rate_bps(self.grant.bandwidth_hz, self.known.mean_gain, power_w);
        let worth = self.deployment.scenario.task.v * device.values.weight;
        self.energy_queue_j * (power_w + device.radio.circuit_power_w) / (worth * rate_bps)
    }

    /// Most power that the device draws for sending \[W\].
    pub fn power_max_w(&self) -> f64 {
        self.deployment.devices[self.device as usize].drawn_power_max_w
    }

    /// The link on `bandwidth_hz`.
    pub fn link(&self, bandwidth_hz: f64) -> Link {
        Link {
            bandwidth_hz,
            noise_w: self.deployment.radio.noise_power_w(bandwidth_hz),
            max_efficiency: self.deployment.radio.spectral_cap,
            slot_s: self.deployment.scenario.frame.slot_s,
        }
    }

    /// The power law for a reference power on a link.
    pub fn law(&self, link: &Link, reference_w: f64) -> Law {
        let noise_w = link.noise_w;
        let power_max_w = self.power_max_w();
        let cut = self.deployment.cut(self.candidate.cut);
        let map_bits =
            f64::from(cut.height) * f64::from(cut.width) * f64::from(self.packet.bits_per_element);
        let kind = match self.grant.power {
            PowerMode::Tracking => self.packet.power,
            PowerMode::Constant => PowerKind::Constant,
        };
        let v = self.packet.v;
        match kind {
            PowerKind::ReferenceTracking => Law::Tracking(ReferenceTracking {
                kappa_w2: self.packet.kappa_w2,
                noise_w,
                power_max_w,
            }),
            PowerKind::PaperTracking => Law::Tracking(ReferenceTracking {
                kappa_w2: paper_kappa_w2(v, link.bandwidth_hz, link.slot_s, map_bits),
                noise_w,
                power_max_w,
            }),
            PowerKind::Printed => Law::Printed(PrintedTracking {
                level_w2: printed_level_w2(v, link.bandwidth_hz, map_bits),
                noise_w,
                power_max_w,
            }),
            PowerKind::Constant => Law::Constant(ConstantPower {
                power_w: reference_w.min(power_max_w),
            }),
            PowerKind::WaterFilling => Law::WaterFilling(WaterFilling::on(
                self.known.fading,
                reference_w,
                self.known.mean_gain,
                noise_w,
                power_max_w,
            )),
        }
    }

    fn send<A: Arrivals, O: SlotObserver>(&self, arrivals: &A, observer: &mut O) -> Transmission {
        let reference_w = self.grant.reference_power_w;
        let link = self.link(self.grant.bandwidth_hz);
        let rule = self.rule();
        let gains = self.world.gains(self.device, self.frame, self.local);
        macro_rules! with_law {
            ($law:expr, $gains:expr) => {
                transmit(
                    &link,
                    self.window,
                    reference_w,
                    $law,
                    &rule,
                    self.packet.feedback_slots,
                    arrivals,
                    $gains,
                    observer,
                )
            };
        }
        macro_rules! with_gains {
            ($gains:expr) => {
                match &self.law(&link, reference_w) {
                    Law::Tracking(law) => with_law!(law, $gains),
                    Law::Printed(law) => with_law!(law, $gains),
                    Law::Constant(law) => with_law!(law, $gains),
                    Law::WaterFilling(law) => with_law!(law, $gains),
                }
            };
        }
        // The slot loop is compiled for each law, on the plain channel and on any.
        match gains {
            Gains::Plain(mut gains) => with_gains!(&mut gains),
            Gains::Other(mut gains) => with_gains!(&mut gains),
        }
    }
}

/// The power laws as one type.
#[derive(Clone, Copy, Debug)]
pub enum Law {
    /// Corrected (25).
    Tracking(ReferenceTracking),
    /// (25) as printed.
    Printed(PrintedTracking),
    /// The reference power.
    Constant(ConstantPower),
    /// Water-filling.
    WaterFilling(WaterFilling),
}

impl PowerControl for Law {
    #[inline]
    fn power_w(&self, queue: &PowerQueue, gain: f64) -> f64 {
        match self {
            Self::Tracking(law) => law.power_w(queue, gain),
            Self::Printed(law) => law.power_w(queue, gain),
            Self::Constant(law) => law.power_w(queue, gain),
            Self::WaterFilling(law) => law.power_w(queue, gain),
        }
    }
}

/// What a device sends, as one type: asked at checkpoint crossings only.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a, N> {
    /// Prefix of a measured embedded stream.
    Measured(Prefix<MeasuredRow<'a>>),
    /// Prefix of a curve-only stream.
    Curve(Prefix<CurveRow<N>>),
    /// A level of a ladder, counted from 1.
    Level(LevelRow, usize),
}

impl<N: Fn(usize) -> f64> Arrivals for Row<'_, N> {
    fn last(&self) -> usize {
        match self {
            Self::Measured(row) => row.last(),
            Self::Curve(row) => row.last(),
            Self::Level(row, _) => row.last(),
        }
    }
    fn bits(&self, checkpoint: usize) -> f64 {
        match self {
            Self::Measured(row) => row.bits(checkpoint),
            Self::Curve(row) => row.bits(checkpoint),
            Self::Level(row, _) => row.bits(checkpoint),
        }
    }
    fn entropy_nats(&self, checkpoint: usize) -> f64 {
        match self {
            Self::Measured(row) => row.entropy_nats(checkpoint),
            Self::Curve(row) => row.entropy_nats(checkpoint),
            Self::Level(row, _) => row.entropy_nats(checkpoint),
        }
    }
}

fn finish<A: Scored>(sent: Transmission, row: &A, chunks: u32, total_bits: f64) -> Uploaded {
    Uploaded {
        correct: row.correct(sent.checkpoint),
        entropy_nats: row.entropy_nats(sent.checkpoint),
        chunks,
        total_bits,
        level: None,
        sent,
    }
}
