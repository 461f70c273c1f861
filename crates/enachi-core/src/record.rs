//! One row per device and frame: the common currency of the simulator and of the live runtime.

/// How a device's frame came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything it set out to send arrived in time.
    Delivered,
    /// The receiver was certain enough and released it.
    StoppedEarly,
    /// The batch barrier cut the upload; the answer comes from what arrived.
    DeadlineCut,
    /// It was granted no band or power, or nothing worth sending.
    SentNothing,
    /// The whole network ran on the device.
    Local,
    /// No candidate can finish by the deadline.
    Infeasible,
    /// The device had no task in this frame; it counts in energy, not in accuracy.
    NoTask,
    /// The policy failed in this frame, so nobody sent.
    PolicyFailed,
    /// The edge had no time for the task, and the device did nothing.
    Refused,
}

impl Outcome {
    /// All outcomes, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::StoppedEarly,
        Self::DeadlineCut,
        Self::SentNothing,
        Self::Local,
        Self::Infeasible,
        Self::NoTask,
        Self::PolicyFailed,
        Self::Refused,
    ];

    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::StoppedEarly => "stopped_early",
            Self::DeadlineCut => "deadline_cut",
            Self::SentNothing => "sent_nothing",
            Self::Local => "local",
            Self::Infeasible => "infeasible",
            Self::NoTask => "no_task",
            Self::PolicyFailed => "policy_failed",
            Self::Refused => "refused",
        }
    }

    /// Inverse of [`Outcome::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }
}

/// Why a device stopped sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It never sent.
    NotSending,
    /// All was sent.
    AllSent,
    /// Entropy at or below the threshold.
    EntropyThreshold,
    /// Further bits were not worth their energy.
    MarginalValue,
    /// The batch barrier.
    Deadline,
    /// It never sent, as the edge had no time for its task; it may have run all by itself instead.
    EdgeFull,
}

impl StopReason {
    /// All reasons, in the order of their codes.
    pub const ALL: [Self; 6] = [
        Self::NotSending,
        Self::AllSent,
        Self::EntropyThreshold,
        Self::MarginalValue,
        Self::Deadline,
        Self::EdgeFull,
    ];

    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSending => "not_sending",
            Self::AllSent => "all_sent",
            Self::EntropyThreshold => "entropy_threshold",
            Self::MarginalValue => "marginal_value",
            Self::Deadline => "deadline",
            Self::EdgeFull => "edge_full",
        }
    }

    /// Inverse of [`StopReason::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == name)
    }
}

/// Tasks of a device around one frame, where not every frame brings exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskQueue {
    /// Tasks that arrived for this frame.
    pub arrived: u32,
    /// Of these, tasks that found no place to wait.
    pub dropped: u32,
    /// Tasks that still wait when the frame has taken its own.
    pub waiting: u32,
    /// Frames that this frame's task has waited.
    pub waited_frames: u32,
}

/// One device in one frame under one policy and seed. Names stand in [`Names`].
#[derive(Clone, Debug, PartialEq)]
pub struct FrameRecord {
    /// Index into [`Names::policies`].
    pub policy: u16,
    /// Seed of the world.
    pub seed: u64,
    /// Frame from 0.
    pub frame: u32,
    /// Device from 0.
    pub device: u32,
    /// Row of the profile's images; `None` for a curve-only profile.
    pub image: Option<u32>,
    /// Index into [`Names::cuts`]; `None` where the device sits out.
    pub cut: Option<u16>,
    /// Index into [`Names::streams`]; `None` where nothing is sent.
    pub stream: Option<u16>,
    /// Level of a ladder of alternatives.
    pub level: Option<u16>,
    /// ω \[Hz\].
    pub bandwidth_hz: f64,
    /// p̃ \[W\].
    pub reference_power_w: f64,
    /// Mean power over the used slots \[W\].
    pub mean_power_w: f64,
    /// Gain that the plan knew.
    pub planned_gain: f64,
    /// Mean gain over the used slots.
    pub mean_gain: f64,
    /// Bits that the plan counted on.
    pub planned_bits: f64,
    /// Accuracy that the plan counted on.
    pub planned_accuracy: f64,
    /// Bits that arrived.
    pub bits: f64,
    /// Chunks (maps) that arrived.
    pub chunks: u32,
    /// Share of the whole stream's bits that arrived.
    pub fraction: f64,
    /// Outcome.
    pub outcome: Outcome,
    /// Why sending ended.
    pub stop_reason: StopReason,
    /// Whether the answer is right.
    pub correct: bool,
    /// Uncertainty of the answer, as the stop rule sees it \[nat\]; `None` where the device sits out or runs all by itself.
    pub entropy_nats: Option<f64>,
    /// Energy of the head, with idling \[J\].
    pub energy_local_j: f64,
    /// Energy of the encoder \[J\].
    pub energy_codec_j: f64,
    /// Energy of the radio \[J\].
    pub energy_transmit_j: f64,
    /// Q before the frame \[J\].
    pub energy_queue_j: f64,
    /// q after the last slot \[W\].
    pub power_queue_w: f64,
    /// Slots used.
    pub slots: u32,
    /// When the head and the encoder were done, from the start of the frame \[s\].
    pub ready_time_s: f64,
    /// When the last used slot ended \[s\].
    pub sent_time_s: f64,
    /// When the batch started \[s\].
    pub batch_time_s: f64,
    /// When the answer was there \[s\].
    pub answer_time_s: f64,
    /// Arrivals; `None` where every frame brings one task.
    pub tasks: Option<TaskQueue>,
}

impl FrameRecord {
    /// ENACHI (7): all energy of the device in the frame \[J\].
    pub fn energy_j(&self) -> f64 {
        self.energy_local_j + self.energy_codec_j + self.energy_transmit_j
    }
}

/// One used slot, kept on request.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotRecord {
    /// Index into [`Names::policies`].
    pub policy: u16,
    /// Seed of the world.
    pub seed: u64,
    /// Frame from 0.
    pub frame: u32,
    /// Device from 0.
    pub device: u32,
    /// Slot of the frame from 0.
    pub slot: u32,
    /// Channel power gain.
    pub gain: f64,
    /// p_k \[W\].
    pub power_w: f64,
    /// Bits of the slot.
    pub bits: f64,
    /// q after the slot \[W\].
    pub power_queue_w: f64,
    /// Checkpoint reached at its end.
    pub checkpoint: u32,
}

/// Names that records refer to by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Policies, in the order in which they ran.
    pub policies: Vec<String>,
    /// Cuts of the profile.
    pub cuts: Vec<String>,
    /// Streams of the profile, all cuts together.
    pub streams: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_name(outcome.name()), Some(outcome));
        }
        for reason in StopReason::ALL {
            assert_eq!(StopReason::from_name(reason.name()), Some(reason));
        }
        assert_eq!(Outcome::from_name("lost"), None);
    }
}
