//! The interface of a task-level policy: everything it may know, and everything it may decide.

use super::contained::PlanFailure;
use crate::curve::AccuracyCurve;
use crate::fading::Fading;
use crate::profile::{CutKind, LadderKind};
use crate::radio::Radio;
use std::ops::Range;

/// A level of a [`LadderKind::Alternatives`] stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Mean bits of the whole encoding.
    pub bits: f64,
    /// Mean accuracy when all of them arrive.
    pub accuracy: f64,
}

/// Which sort of stream a policy sends. The caller offers the best match that the profile has, and lists only those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUse {
    /// Ordered by importance: the profile's default stream of every cut.
    Progressive,
    /// The whole tensor without an order (for a device that does not know the order).
    Unordered,
    /// Cut 0 with raw pixels, beside nothing else.
    RawInput,
    /// Cut 0 with an image codec's quality ladder.
    ImageCodec,
}

/// One (cut, stream) a device may choose in this frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Index of the cut in the profile.
    pub cut: u32,
    /// Index of the stream in the cut; `None` for all-local.
    pub stream: Option<u32>,
    /// Input, feature or local.
    pub kind: CutKind,
    /// Whether a prefix is useful, or one level must be chosen.
    pub ladder: LadderKind,
    /// Curve to plan with, as an index into [`FrameView::curves`].
    pub curve: u32,
    /// Levels to choose from, a range of [`FrameView::levels`]; empty unless `ladder` is `Alternatives`.
    pub levels: Range<u32>,
    /// ENACHI (1): time of the head \[s\].
    pub head_time_s: f64,
    /// Time of the encoder on the device \[s\].
    pub encode_time_s: f64,
    /// ENACHI (8): time of the tail on the edge \[s\].
    pub tail_time_s: f64,
    /// Time of the decoder on the edge \[s\].
    pub decode_time_s: f64,
    /// ENACHI (16): deadline less the four times above, or less what the edge needs for all tasks together where that is
    /// more \[s\]. Where ≤ 0 nothing can be sent.
    pub transmit_time_s: f64,
    /// Head, encoder and idle energy: what the device spends even if it sends nothing \[J\].
    pub local_energy_j: f64,
    /// Bits of the whole stream.
    pub total_bits: f64,
    /// Bits of the uncoded tensor in the precision that the profile's raw stream has.
    pub raw_bits: f64,
    /// MACs of the head.
    pub head_macs: u64,
    /// MACs of the encoder.
    pub encode_macs: u64,
    /// MACs of the tail.
    pub tail_macs: u64,
    /// MACs of the decoder.
    pub decode_macs: u64,
}

impl Candidate {
    /// ENACHI (8), with the decoder: time that the edge needs for this task alone \[s\].
    pub fn edge_time_s(&self) -> f64 {
        match self.kind {
            CutKind::Local => 0.0,
            _ => self.tail_time_s + self.decode_time_s,
        }
    }

    /// Whether the device can finish it in time at all: all-local needs its head to end by the deadline, the rest need
    /// time to send.
    pub fn feasible(&self) -> bool {
        match self.kind {
            CutKind::Local => self.transmit_time_s >= 0.0,
            _ => self.transmit_time_s > 0.0,
        }
    }
}

/// What a policy knows about one device at the start of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceView {
    /// Q_n of ENACHI (12) \[J\], kept by the caller from the energy that was really spent.
    pub energy_queue_j: f64,
    /// Ē_n \[J per frame\].
    pub energy_budget_j: f64,
    /// Frame-average power gain h̄_n (as estimated at the start of the frame).
    pub gain: f64,
    /// How the gain varies around its average.
    pub fading: Fading,
    /// p_max \[W\].
    pub power_max_w: f64,
    /// T \[s\].
    pub deadline_s: f64,
    /// Weight of its accuracy (1 in the paper).
    pub weight: f64,
    /// Price of the edge's time \[objective/s\]: 0 unless the edge is too busy to run every tail
    /// ([`edge`](crate::edge)). What a candidate costs is this times [`Candidate::edge_time_s`].
    pub edge_price_per_s: f64,
    /// Its candidates, a range of [`FrameView::candidates`]; empty where it has no task in this frame.
    pub candidates: Range<u32>,
}

/// What a policy knows at the start of a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    /// Frame number from 0.
    pub frame: u64,
    /// Duration of a slot \[s\].
    pub slot_s: f64,
    /// ω_tot \[Hz\].
    pub bandwidth_hz: f64,
    /// Noise and cap on spectral efficiency.
    pub radio: Radio,
    /// V of ENACHI (13).
    pub v: f64,
    /// Curves that candidates refer to.
    pub curves: &'a [AccuracyCurve],
    /// Levels that candidates refer to.
    pub levels: &'a [Level],
    /// Candidates that devices refer to.
    pub candidates: &'a [Candidate],
    /// The devices.
    pub devices: &'a [DeviceView],
}

/// How the device sets its power within the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PowerMode {
    /// The packet level tracks the reference power, slot by slot.
    #[default]
    Tracking,
    /// The reference power in every slot.
    Constant,
}

/// What a policy decides for one device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskGrant {
    /// Index into [`FrameView::candidates`]; `None`: nothing feasible, the device sits the frame out.
    pub candidate: Option<u32>,
    /// ω_n \[Hz\].
    pub bandwidth_hz: f64,
    /// p̃_n \[W\].
    pub reference_power_w: f64,
    /// Level of an `Alternatives` stream, counted from the candidate's first; `None` for embedded streams.
    pub level: Option<u32>,
    /// Send at most so many bits (`f64::INFINITY`: until stopped or all is sent).
    pub bits_limit: f64,
    /// How the power is set.
    pub power: PowerMode,
    /// Whether the receiver may stop the sender once it is certain enough.
    pub stop: bool,
    /// Bits the plan counts on.
    pub bits: f64,
    /// Accuracy the plan counts on.
    pub accuracy: f64,
}

/// What a policy learns about one device after a frame. Whether the answer was right is not part of it: nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameOutcome {
    /// Energy spent: head, codec and transmission \[J\].
    pub energy_j: f64,
    /// Time from the start of the frame to the answer, or what it would have taken at the frame's mean rate
    /// had the deadline not cut it \[s\].
    pub latency_s: f64,
    /// Bits that arrived.
    pub bits: f64,
    /// Whether the deadline cut the transmission.
    pub deadline_cut: bool,
}

/// How a frame's plan goes on once devices send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Replanning {
    /// It holds for the frame.
    #[default]
    Never,
    /// Made again every few slots over the devices that still send; bits count as they are.
    Bits,
    /// The same, and a bit counts by the share of tasks that get to send it (`packet::stopping`), at the start of the
    /// frame too: [`FrameView::curves`] of embedded streams are accuracy *with* stops against equivalent bits. Rates
    /// are the mean rates of the fading channel.
    StoppingAware,
}

/// A task-level policy. Called once a frame, so dispatch may be dynamic; must not allocate once warm.
pub trait TaskPolicy: Send {
    /// Name in scenario files, on the command line and in records.
    fn name(&self) -> &str;

    /// Sort of stream it sends; the caller builds [`FrameView::candidates`] accordingly.
    fn stream_use(&self) -> StreamUse;

    /// Decide a frame: fills `grants`, one per device in order (`grants.len() == frame.devices.len()`), which arrive as
    /// default ones. On a failure, a panic, or a grant that [`check_grants`](super::check_grants) refuses, nobody sends in
    /// this frame; the next one is planned as usual.
    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure>;

    /// Learn what came of it (one per device, in order). Policies without memory ignore it.
    fn observe(&mut self, _outcomes: &[FrameOutcome]) {}

    /// Another device has taken the place of device `n`: forget what was learnt of that one, and nothing of the others.
    fn forget(&mut self, _n: usize) {}

    /// Forget everything learnt; the next frame is the first.
    fn reset(&mut self) {}

    /// Whether band and reference power are planned again within the frame, over the devices still sending.
    fn replanning(&self) -> Replanning {
        Replanning::Never
    }

    /// Bandwidth price of the last plan and its gap, where the policy has them. Asked right after [`TaskPolicy::plan`], and as
    /// little trusted: a panic, or a number that is none, is a failure of the frame.
    fn last_plan(&self) -> Option<PlanQuality> {
        None
    }
}

/// How good the last plan was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlanQuality {
    /// λ \[objective/Hz\].
    pub bandwidth_price: f64,
    /// Value of the grants.
    pub objective: f64,
    /// No feasible plan is worth more.
    pub upper_bound: f64,
}
