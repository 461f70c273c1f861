//! Control messages. Every field is checked when it is read; units are in the names.

mod bounded;

use crate::error::ProtocolError;
use serde::{Deserialize, Serialize};

/// Longest name of a device \[byte\].
pub const MAX_NAME_BYTES: usize = 64;
/// Longest explanation \[byte\].
pub const MAX_DETAIL_BYTES: usize = 256;
/// Most cuts of a network.
pub const MAX_CUTS: usize = 256;
/// Most classes of an answer.
pub const MAX_TOP: usize = 16;
/// Most frames of an account; they are computed with as floating-point numbers.
pub const MAX_FRAMES: u64 = 1 << 53;

/// From the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToEdge {
    /// First message.
    Hello(Hello),
    /// A task to be done.
    Offer(Offer),
    /// What a task has cost and how its upload ended.
    Report(Report),
    /// Frames without a task.
    Idle(Idle),
    /// The device leaves.
    Bye,
}

/// From the edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToDevice {
    /// The device is admitted.
    Welcome(Welcome),
    /// It is not; the session is over.
    Refuse(Refuse),
    /// What to do with a task.
    Grant(Grant),
    /// Another band and power for a task that is being sent.
    Regrant(Regrant),
    /// Send no more of a task.
    Stop(Stop),
    /// What a task's answer is.
    Answer(Answer),
}

/// Who the device is and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Name; with certificates it must be the certificate's.
    #[serde(deserialize_with = "bounded::name")]
    pub name: String,
    /// SHA-256 of the network's file.
    pub model_sha256: [u8; 32],
    /// SHA-256 of the codec tables.
    pub tables_sha256: [u8; 32],
    /// Cuts that it can run up to, as indices into the profile's.
    #[serde(deserialize_with = "bounded::cuts")]
    pub cuts: Vec<u16>,
    /// What it spends.
    pub energy: Energy,
    /// How its bits reach the edge.
    pub radio: RadioKind,
}

/// How a device's bits reach the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RadioKind {
    /// A channel model turns power and band into bits; the network underneath only carries them.
    Emulated,
    /// The network as it is, at the rate that it takes; no power control.
    Host,
}

/// Computer and radio of a device: the parameters of ENACHI (1), (2) and (7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// Clock f \[Hz\].
    pub frequency_hz: f64,
    /// Cycles per multiply-accumulate ρ.
    pub cycles_per_mac: f64,
    /// Effective switched capacitance α \[W/Hz³\].
    pub capacitance_w_per_hz3: f64,
    /// Power while doing nothing \[W\].
    pub idle_power_w: f64,
    /// Most that the amplifier draws \[W\].
    pub power_max_w: f64,
    /// Circuit power in every used slot \[W\].
    pub circuit_power_w: f64,
    /// Power after the last used slot \[W\].
    pub tail_power_w: f64,
    /// How long that lasts \[s\].
    pub tail_time_s: f64,
    /// Mean energy allowed per frame Ē \[J\].
    pub budget_j: f64,
    /// Weight of its accuracy.
    pub weight: f64,
}

/// An energy queue (12) with its history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Q \[J\].
    pub queue_j: f64,
    /// Energy spent over all frames \[J\].
    pub spent_j: f64,
    /// Frames accounted.
    pub frames: u64,
}

/// The cell that a device has joined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Number of the device at this edge.
    pub device: u32,
    /// Length of a frame \[s\]; 0 where every task is served as it comes.
    pub frame_s: f64,
    /// Length of a slot \[s\].
    pub slot_s: f64,
    /// N0 \[W/Hz\]; 0 where `noise_w` holds.
    pub noise_psd_w_per_hz: f64,
    /// Constant σ² \[W\]; 0 where `noise_psd_w_per_hz` holds.
    pub noise_w: f64,
    /// Best spectral efficiency \[bit/s/Hz\], or infinite.
    pub spectral_cap: f64,
    /// How the power follows its reference.
    pub law: PowerLaw,
    /// Tasks that may be outstanding.
    pub outstanding_tasks: u32,
    /// Slots from one plan within the frame to the next; 0 where grants hold for the frame.
    pub replan_slots: u32,
    /// The edge's copy of the device's energy queue, for one that has lost its own.
    pub account: Option<Account>,
}

/// How the device sets its power, slot by slot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PowerLaw {
    /// ENACHI (25), corrected, with κ \[W²\].
    Tracking(f64),
    /// The same with κ from v and D bits per element, as the paper reads it.
    PaperTracking(f64, u32),
    /// ENACHI (25) as printed, with v and D bits per element.
    Printed(f64, u32),
    /// The reference power in every slot.
    Constant,
    /// Water-filling on the fading's statistics.
    WaterFilling,
}

/// Why a device is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// In short.
    pub reason: RefuseReason,
    /// In words.
    #[serde(deserialize_with = "bounded::detail")]
    pub detail: String,
}

/// Reasons of [`Refuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefuseReason {
    /// Another network.
    Model,
    /// Other codec tables.
    Tables,
    /// Cuts that the edge's profile does not have.
    Cuts,
    /// Unknown or revoked, or not the certificate's name.
    Identity,
    /// No room.
    Full,
    /// The device broke the protocol or its limits.
    Misbehaviour,
    /// The edge is shutting down.
    Closing,
}

/// How the gain of a slot is distributed around its mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fading {
    /// The same in every slot.
    None,
    /// Rayleigh.
    Rayleigh,
    /// Rician, with K.
    Rician(f64),
}

/// A task, and the state of the device at its start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Number of the task, ascending within a session.
    pub task: u32,
    /// Estimate of the frame's power gain.
    pub gain: f64,
    /// How the gains of the slots vary around it.
    pub fading: Fading,
    /// Q \[J\].
    pub energy_queue_j: f64,
    /// T: the answer must be there so long after the start of the frame \[s\].
    pub deadline_s: f64,
}

/// What to do with a task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Task.
    pub task: u32,
    /// Frame of the edge's clock; it begins where this message arrives.
    pub frame: u32,
    /// Where to cut; without it the device is on its own for this task.
    pub choice: Option<Choice>,
    /// Why the edge does not serve it, where it does not.
    pub refused: Option<Failure>,
    /// ω \[Hz\].
    pub bandwidth_hz: f64,
    /// p̃ \[W\].
    pub reference_power_w: f64,
    /// Send at most so many bits; may be infinite.
    pub bits_limit: f64,
    /// Whether the power tracks its reference slot by slot, or is the reference.
    pub tracking: bool,
    /// Bits that the plan counts on.
    pub planned_bits: f64,
    /// Accuracy that the plan counts on, 0..=1.
    pub planned_accuracy: f64,
    /// What arrives later than this after the start of the frame is not used \[s\].
    pub upload_end_s: f64,
}

/// Band and power from a slot on; the cut stays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regrant {
    /// Task.
    pub task: u32,
    /// From 1, ascending within a task.
    pub revision: u32,
    /// First slot of the frame in which it holds; a device that hears of it later applies it to the next slot.
    pub slot: u32,
    /// ω \[Hz\].
    pub bandwidth_hz: f64,
    /// p̃ \[W\].
    pub reference_power_w: f64,
}

/// A cut and what is sent of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Index of the cut in the profile.
    pub cut: u16,
    /// Index of the stream in the cut; `None`: the whole network on the device.
    pub stream: Option<u16>,
    /// Level of a stream of alternatives, from 1.
    pub level: Option<u16>,
}

/// Send no more of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Task.
    pub task: u32,
    /// Why.
    pub reason: StopReason,
}

/// Why the edge stops a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// The answer is certain enough.
    Certain,
    /// Further bits are not worth their energy.
    NotWorth,
    /// Everything has arrived.
    Complete,
    /// The batch has begun.
    Deadline,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Task.
    pub task: u32,
    /// Classes with their probabilities, best first; empty where there is no answer.
    #[serde(deserialize_with = "bounded::top")]
    pub top: Vec<Scored>,
    /// Entropy of the class probabilities, ENACHI (5) \[nat\].
    pub entropy_nats: f32,
    /// Chunks that it was made from.
    pub chunks: u32,
    /// Their bits, with headers.
    pub bits: u64,
    /// Last checkpoint that they reached.
    pub checkpoint: u32,
    /// When the batch began, from the start of the frame \[s\].
    pub batch_s: f64,
    /// How long decoding and tail took \[s\].
    pub tail_s: f64,
    /// Why there is no answer, where there is none.
    pub failure: Option<Failure>,
}

/// A class and its probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Class.
    pub class: u16,
    /// Probability, 0..=1.
    pub probability: f32,
}

/// Why a task has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The tails of this frame do not fit.
    Overload,
    /// The tail did not end in time, or failed.
    Tail,
    /// Nothing can be done by the deadline.
    Infeasible,
}

/// The tasks around a frame, where they do not come once a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Tasks that arrived since the last frame began.
    pub arrived: u32,
    /// Of them, dropped as too many waited.
    pub dropped: u32,
    /// Tasks that wait for later frames.
    pub waiting: u32,
    /// Frames that this frame's task has waited.
    pub waited_frames: u32,
}

/// Frames in which the device had nothing to do, since its last task or message of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// How many.
    pub frames: u32,
    /// Estimate of the power gain.
    pub gain: f64,
    /// How the gains of the slots vary around it.
    pub fading: Fading,
    /// Mean gain.
    pub mean_gain: f64,
    /// Q before \[J\].
    pub energy_queue_j: f64,
    /// Energy of doing nothing \[J\].
    pub energy_j: f64,
    /// The queue after.
    pub account: Account,
    /// Tasks around the frame.
    pub tasks: Option<Waiting>,
}

/// What a task has cost the device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Task.
    pub task: u32,
    /// Energy of head and idling \[J\].
    pub energy_local_j: f64,
    /// Energy of the encoder \[J\].
    pub energy_codec_j: f64,
    /// Energy of the radio \[J\].
    pub energy_transmit_j: f64,
    /// The queue after the task.
    pub account: Account,
    /// Slots used.
    pub slots: u32,
    /// Bits that the radio carried.
    pub bits: f64,
    /// Bits of the task's whole stream.
    pub total_bits: f64,
    /// Mean power over the used slots \[W\].
    pub mean_power_w: f64,
    /// Mean gain over the used slots.
    pub mean_gain: f64,
    /// q after the last slot \[W\].
    pub power_queue_w: f64,
    /// How the upload ended.
    pub ending: Ending,
    /// When head and encoder were done, from the start of the frame \[s\].
    pub ready_s: f64,
    /// When the last used slot ended \[s\].
    pub sent_s: f64,
    /// Level that was sent, of a stream of alternatives.
    pub level: Option<u16>,
    /// Row of the profile's images, where the input is one of them.
    pub image: Option<u32>,
    /// True class, where it is known.
    pub label: Option<u16>,
    /// The device's own answer, where it made one.
    pub local: Option<Scored>,
    /// When the edge's answer was read, from the start of the frame \[s\]; `None` if it was not by the deadline.
    pub answered_s: Option<f64>,
    /// Tasks around the frame, where they do not come once a frame.
    pub tasks: Option<Waiting>,
}

/// How an upload ended, as the device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// There was none.
    NotSending,
    /// Everything was sent.
    AllSent,
    /// The edge stopped it.
    Stopped,
    /// Time was up.
    Deadline,
}

/// A number that must be finite and in a range.
fn within(
    field: &'static str,
    value: f64,
    fits: bool,
    allowed: &'static str,
) -> Result<(), ProtocolError> {
    if fits {
        return Ok(());
    }
    Err(ProtocolError::Value {
        field,
        value: value.to_string(),
        allowed,
    })
}

fn positive(field: &'static str, value: f64) -> Result<(), ProtocolError> {
    let fits = value.is_finite() && value > 0.0;
    within(field, value, fits, "finite and above 0")
}

fn not_negative(field: &'static str, value: f64) -> Result<(), ProtocolError> {
    let fits = value.is_finite() && value >= 0.0;
    within(field, value, fits, "finite and at least 0")
}

/// Far outside anything real, and near enough that planners need not fear for their arithmetic.
fn physical(field: &'static str, value: f64) -> Result<(), ProtocolError> {
    within(field, value, (0.0..=1e12).contains(&value), "0 to 1e12")
}

fn share(field: &'static str, value: f64) -> Result<(), ProtocolError> {
    within(field, value, (0.0..=1.0).contains(&value), "0 to 1")
}

fn channel(gain: f64, fading: Fading) -> Result<(), ProtocolError> {
    within("gain", gain, (1e-30..=1.0).contains(&gain), "1e-30 to 1")?;
    match fading {
        Fading::Rician(k) => physical("fading", k),
        Fading::None | Fading::Rayleigh => Ok(()),
    }
}

impl Energy {
    /// Whether every value can be computed with.
    pub fn check(&self) -> Result<(), ProtocolError> {
        for (field, value) in [
            ("frequency_hz", self.frequency_hz),
            ("cycles_per_mac", self.cycles_per_mac),
            ("power_max_w", self.power_max_w),
            ("budget_j", self.budget_j),
            ("weight", self.weight),
        ] {
            within(field, value, (1e-9..=1e12).contains(&value), "1e-9 to 1e12")?;
        }
        physical("capacitance_w_per_hz3", self.capacitance_w_per_hz3)?;
        physical("idle_power_w", self.idle_power_w)?;
        physical("circuit_power_w", self.circuit_power_w)?;
        physical("tail_power_w", self.tail_power_w)?;
        physical("tail_time_s", self.tail_time_s)
    }
}

impl Account {
    fn check(&self) -> Result<(), ProtocolError> {
        physical("queue_j", self.queue_j)?;
        physical("spent_j", self.spent_j)?;
        let fits = self.frames <= MAX_FRAMES;
        within("frames", self.frames as f64, fits, "at most 2^53")
    }
}

impl ToEdge {
    /// Kind of the message.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Offer(_) => "offer",
            Self::Report(_) => "report",
            Self::Idle(_) => "idle",
            Self::Bye => "bye",
        }
    }

    /// Whether every value is in its range.
    pub fn check(&self) -> Result<(), ProtocolError> {
        match self {
            Self::Hello(hello) => hello.energy.check(),
            Self::Offer(offer) => {
                let deadline_s = offer.deadline_s;
                channel(offer.gain, offer.fading)?;
                physical("energy_queue_j", offer.energy_queue_j)?;
                let fits = (1e-6..=1e6).contains(&deadline_s);
                within("deadline_s", deadline_s, fits, "1e-6 to 1e6")
            }
            Self::Report(report) => {
                not_negative("energy_local_j", report.energy_local_j)?;
                not_negative("energy_codec_j", report.energy_codec_j)?;
                not_negative("energy_transmit_j", report.energy_transmit_j)?;
                report.account.check()?;
                not_negative("bits", report.bits)?;
                not_negative("total_bits", report.total_bits)?;
                not_negative("mean_power_w", report.mean_power_w)?;
                not_negative("mean_gain", report.mean_gain)?;
                not_negative("power_queue_w", report.power_queue_w)?;
                not_negative("ready_s", report.ready_s)?;
                not_negative("sent_s", report.sent_s)?;
                not_negative("answered_s", report.answered_s.unwrap_or(0.0))?;
                report
                    .local
                    .map_or(Ok(()), |l| share("local", f64::from(l.probability)))
            }
            Self::Idle(idle) => {
                channel(idle.gain, idle.fading)?;
                physical("energy_queue_j", idle.energy_queue_j)?;
                not_negative("mean_gain", idle.mean_gain)?;
                not_negative("energy_j", idle.energy_j)?;
                idle.account.check()
            }
            Self::Bye => Ok(()),
        }
    }
}

impl ToDevice {
    /// Kind of the message.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Refuse(_) => "refusal",
            Self::Grant(_) => "grant",
            Self::Regrant(_) => "re-grant",
            Self::Stop(_) => "stop",
            Self::Answer(_) => "answer",
        }
    }

    /// Whether every value is in its range.
    pub fn check(&self) -> Result<(), ProtocolError> {
        match self {
            Self::Welcome(w) => {
                let fits = (0.0..=86_400.0).contains(&w.frame_s);
                within("frame_s", w.frame_s, fits, "0 to 86400")?;
                let fits = (1e-6..=60.0).contains(&w.slot_s);
                within("slot_s", w.slot_s, fits, "1e-6 to 60")?;
                not_negative("noise_psd_w_per_hz", w.noise_psd_w_per_hz)?;
                not_negative("noise_w", w.noise_w)?;
                positive("noise", w.noise_w.max(w.noise_psd_w_per_hz))?;
                let cap = w.spectral_cap;
                within("spectral_cap", cap, cap > 0.0, "above 0")?;
                match w.law {
                    PowerLaw::Tracking(kappa) => positive("kappa_w2", kappa)?,
                    PowerLaw::PaperTracking(v, d) | PowerLaw::Printed(v, d) => {
                        positive("v", v)?;
                        positive("bits_per_element", f64::from(d))?;
                    }
                    PowerLaw::Constant | PowerLaw::WaterFilling => {}
                }
                w.account.map_or(Ok(()), |account| account.check())
            }
            Self::Grant(g) => {
                not_negative("bandwidth_hz", g.bandwidth_hz)?;
                not_negative("reference_power_w", g.reference_power_w)?;
                let limit = g.bits_limit;
                within("bits_limit", limit, limit >= 0.0, "at least 0")?;
                not_negative("planned_bits", g.planned_bits)?;
                share("planned_accuracy", g.planned_accuracy)?;
                not_negative("upload_end_s", g.upload_end_s)
            }
            Self::Regrant(r) => {
                // The grant itself is revision 0.
                within(
                    "revision",
                    f64::from(r.revision),
                    r.revision > 0,
                    "at least 1",
                )?;
                not_negative("bandwidth_hz", r.bandwidth_hz)?;
                not_negative("reference_power_w", r.reference_power_w)
            }
            Self::Answer(a) => {
                not_negative("entropy_nats", f64::from(a.entropy_nats))?;
                not_negative("batch_s", a.batch_s)?;
                not_negative("tail_s", a.tail_s)?;
                a.top
                    .iter()
                    .try_for_each(|s| share("probability", f64::from(s.probability)))
            }
            Self::Refuse(_) | Self::Stop(_) => Ok(()),
        }
    }
}
