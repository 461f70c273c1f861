//! A measured profile: all that the scheduler, the simulator and the live runtime need to know about
//! splitting one network, without the network itself.
//!
//! A [`Profile`] holds one [`CutProfile`] per legal cut, ordered from the input (cut 0) to the output
//! (all local). Each cut has one or more [`Stream`]s: ways of turning the tensor at the cut into a sequence of
//! chunks (the feature codec, raw maps, JPEG, ...). A stream carries what was measured with it: the
//! replayable outcome of every image at every checkpoint ([`Samples`]), the mean [`MeasuredCurve`] and the
//! fitted [`Surrogate`] of ENACHI (14).
//!
//! Bits count everything that goes over the air: payload and chunk headers.

use serde::{Deserialize, Serialize};

/// A network, its cuts, and where the numbers come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Provenance: model, data, settings, versions, licence.
    pub meta: Meta,
    /// Cuts in graph order. The first has kind [`CutKind::Input`], the last may have [`CutKind::Local`].
    pub cuts: Vec<CutProfile>,
    /// Measured images, in the order in which [`Samples`] rows refer to them. Empty for a curve-only profile.
    #[serde(skip)]
    pub images: Vec<Image>,
}

/// One measured image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// File name, without folder.
    pub name: String,
    /// True class index.
    pub label: u16,
    /// Top-1 class of the whole, uncompressed network.
    pub top1: u16,
}

/// Where a profile comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Short name, e.g. `resnet50`.
    pub model_name: String,
    /// SHA-256 of the ONNX file, hex. Empty for a curve-only profile.
    pub model_sha256: String,
    /// SHA-256 of the codec tables that made the streams, hex. Empty if there are none.
    pub tables_sha256: String,
    /// Number of classes of the classifier.
    pub classes: u32,
    /// Top-1 accuracy of the whole uncompressed network on the measured images, 0..=1.
    pub top1_uncompressed: f64,
    /// What the images are and under which terms.
    pub data_source: String,
    /// Licence of the weights and what may be done with the figures.
    pub licence_note: String,
    /// Version of this software that wrote the profile.
    pub enachi_version: String,
    /// Inference engine and version.
    pub engine: String,
    /// Full command line.
    pub command_line: String,
    /// CPU model and threads per run of the timings.
    pub machine: String,
    /// Every codec and profiling setting, as text pairs, sorted by key.
    pub settings: std::collections::BTreeMap<String, String>,
    /// File names of the calibration images (disjoint from the measured ones).
    pub calibration_images: Vec<String>,
}

/// Position of a cut in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutKind {
    /// Cut 0: the input leaves the device; the head is empty.
    Input,
    /// An inner tensor leaves the device.
    Feature,
    /// Nothing leaves the device; the tail is empty.
    Local,
}

/// Everything known about one cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutProfile {
    /// ONNX tensor name, e.g. `layer2.0`.
    pub name: String,
    /// Input, inner feature, or all local.
    pub kind: CutKind,
    /// Number of feature maps (channels).
    pub maps: u32,
    /// Rows of a map.
    pub height: u32,
    /// Columns of a map.
    pub width: u32,
    /// MACs on the device, without the codec.
    pub head_macs: u64,
    /// MACs on the edge, without the codec.
    pub tail_macs: u64,
    /// Measured wall time of the head; `None` in a curve-only profile.
    pub head_time: Option<Timing>,
    /// Measured wall time of the tail.
    pub tail_time: Option<Timing>,
    /// Ways to send the tensor; the first is the default. Empty for [`CutKind::Local`].
    pub streams: Vec<Stream>,
    /// Top-1 at this cut with nothing lost, 0..=1 (the whole network's).
    pub top1_uncompressed: f64,
}

/// A measured wall time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Median [s].
    pub median_s: f64,
    /// First quartile [s].
    pub p25_s: f64,
    /// Third quartile [s].
    pub p75_s: f64,
    /// Runs timed.
    pub runs: u32,
    /// Threads per run.
    pub threads: u32,
}

/// How the levels of a stream relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LadderKind {
    /// Checkpoint `c + 1` extends checkpoint `c`: a prefix is always useful (feature codec, raw maps).
    Embedded,
    /// Each level is an encoding of its own, chosen before sending; unless all of its bits arrive the answer is the
    /// one for nothing sent (JPEG quality ladder).
    Alternatives,
}

/// One way to send the tensor at a cut, and what was measured with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// `task-klt`, `klt-dct`, `raw8-taylor`, `raw32-taylor`, `raw8-random`, `jpeg`, `pixels`, ...
    pub name: String,
    /// Prefix or alternatives.
    pub ladder: LadderKind,
    /// MACs of the encoder on the device.
    pub encode_macs: u64,
    /// MACs of the decoder on the edge.
    pub decode_macs: u64,
    /// Measured wall time of the encoder.
    pub encode_time: Option<Timing>,
    /// Measured wall time of the decoder.
    pub decode_time: Option<Timing>,
    /// Bits of the whole stream (mean over images, or exact where constant). β = bits / total_bits.
    pub total_bits: f64,
    /// Chunks in the whole stream.
    pub total_chunks: u32,
    /// Chunks delivered at each checkpoint, ascending; the first is 0 (nothing sent). For
    /// [`LadderKind::Alternatives`], the level index instead. Empty for a curve-only stream.
    pub checkpoint_chunks: Vec<u32>,
    /// ENACHI (14) fitted to the measured mean curve (or given, for a curve-only profile).
    pub surrogate: Option<Surrogate>,
    /// Mean measured curve with intervals. `None` for a curve-only profile.
    pub measured: Option<MeasuredCurve>,
    /// What the predictor of uncertainty achieves on this stream; `None` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictor: Option<PredictorReport>,
    /// Outcome of every image at every checkpoint. Empty for a curve-only profile.
    #[serde(skip)]
    pub samples: Samples,
}

impl Stream {
    /// Whether every prefix of what is sent is worth something, so that plans within the frame may change how much of it is. A
    /// picture is sent whole or not at all.
    pub fn is_divisible(&self) -> bool {
        let known = self.samples.images > 0 || self.surrogate.is_some();
        self.ladder == LadderKind::Embedded && known
    }
}

/// ENACHI (14): Â(β) = a2 − 1/(a0 β − a1) with the floor `floor` (1/classes) left of its domain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surrogate {
    /// Slope parameter a0 > 0.
    pub a0: f64,
    /// Shift a1.
    pub a1: f64,
    /// Ceiling a2.
    pub a2: f64,
    /// Accuracy with nothing sent.
    pub floor: f64,
    /// Root-mean-square error of the fit over the checkpoints (0 if given, not fitted).
    pub rmse: f64,
    /// Largest absolute error over the checkpoints.
    pub max_error: f64,
}

/// Mean accuracy at mean bits, over the measured images. All vectors have one entry per checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredCurve {
    /// Mean bits, ascending from 0.
    pub bits: Vec<f64>,
    /// Mean top-1, 0..=1.
    pub top1: Vec<f64>,
    /// 95 % bootstrap interval over images, lower end.
    pub top1_low: Vec<f64>,
    /// 95 % bootstrap interval over images, upper end.
    pub top1_high: Vec<f64>,
    /// Mean loss against the uncompressed network, paired by image (positive = worse).
    pub loss: Vec<f64>,
    /// 95 % bootstrap interval of the paired loss, lower end.
    pub loss_low: Vec<f64>,
    /// 95 % bootstrap interval of the paired loss, upper end.
    pub loss_high: Vec<f64>,
    /// Indices of the checkpoints on the upper concave envelope, ascending, first 0.
    pub envelope: Vec<u32>,
}

/// What a stream's predictor of uncertainty achieves, and the rules it was compared with.
///
/// All figures are cross-fitted: no image is judged by a model that saw it. They are over the images of the stream's
/// [`Samples`]; losses are paired by image with never stopping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PredictorReport {
    /// Statistics that the predictor reads.
    pub inputs: u32,
    /// Hidden units.
    pub hidden: u32,
    /// Parts of the images in cross-fitting.
    pub folds: u32,
    /// Root-mean-square difference to the entropy of the tail, over all images and checkpoints from 1 on \[nat\].
    pub rmse_nats: f64,
    /// Mean absolute difference, likewise \[nat\].
    pub mae_nats: f64,
    /// Spearman correlation with the entropy of the tail, over all images and checkpoints from 1 on, −1..=1.
    pub rank_correlation: f64,
    /// Spearman correlation across the images of one checkpoint, mean over checkpoints.
    pub rank_correlation_within: f64,
    /// Thresholds on the predicted uncertainty from the smallest on, the default among them, and what each saves and loses.
    pub ladder: Vec<StopPoint>,
    /// Largest threshold whose upper confidence bound of the loss is at most [`ALLOWED_LOSS`], as is that of every
    /// smaller one; 0, which no prediction reaches, if there is none \[nat\].
    pub default_threshold_nats: f64,
    /// Competing rules, for comparison.
    pub rules: Vec<RuleReport>,
    /// Wall time of one evaluation of the network with the statistics that it reads.
    pub evaluate_time: Option<Timing>,
}

impl PredictorReport {
    /// What the default threshold saves and loses; `None` if there is no threshold to use.
    pub fn default_point(&self) -> Option<&StopPoint> {
        let chosen = |point: &&StopPoint| point.threshold == self.default_threshold_nats;
        self.ladder.iter().find(chosen)
    }
}

/// Loss that the upper bound at the default threshold may reach: one point of top-1.
pub const ALLOWED_LOSS: f64 = 0.01;

/// One threshold of a stop rule and what it does: stop at the first checkpoint whose score is at most the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StopPoint {
    /// Threshold, in the units of the rule's score (nat for the predictor).
    pub threshold: f64,
    /// Mean bits sent.
    pub mean_bits: f64,
    /// Bits saved against never stopping, as a share of the whole stream's mean bits, 0..=1.
    pub bits_saved: f64,
    /// Right answers lost against never stopping, as a share of images, −1..=1.
    pub loss: f64,
    /// One-sided 95 % upper confidence bound of `loss`
    /// ([`loss_bound`](crate::packet::loss_bound)).
    pub loss_upper: f64,
}

/// A stop rule that the predictor was compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// `fixed-fraction`, `class-means`, `probe-margin`, `tail-entropy`, `genie`, ...
    pub name: String,
    /// Its operating point, chosen as the predictor's default threshold is; `None` if no threshold may be used.
    pub best: Option<StopPoint>,
    /// Its trade-off, from the smallest threshold on; empty for a rule without a threshold.
    pub ladder: Vec<StopPoint>,
}

/// Replayable outcomes: row-major `images × checkpoints` arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Rows: the first `images` entries of [`Profile::images`].
    pub images: usize,
    /// Columns.
    pub checkpoints: usize,
    /// Cumulative bits over the air at the checkpoint (non-decreasing along a row for embedded ladders).
    pub bits: Vec<u32>,
    /// The tail's top-1 class.
    pub top1: Vec<u16>,
    /// Whether it is the true class.
    pub correct: Vec<bool>,
    /// Entropy of the tail's softmax, ENACHI (5) \[nat\].
    pub entropy_nats: Vec<f32>,
    /// Uncertainty that the stream's predictor reads off what has arrived, by a model that did not see the image
    /// \[nat\]; empty if the stream has no predictor.
    pub predicted_nats: Vec<f32>,
}

/// Steps per nat of [`Samples::predicted_nats`]. Stop thresholds lie at hundredths of a nat, where the tail's entropy, kept
/// to a thousandth, would be too coarse.
pub const PREDICTED_STEPS_PER_NAT: f32 = 16384.0;

/// A prediction to the resolution of a profile, and at least one step: a threshold of 0 is reached by none.
pub fn round_prediction(nats: f32) -> f32 {
    (nats * PREDICTED_STEPS_PER_NAT).round().max(1.0) / PREDICTED_STEPS_PER_NAT
}

/// Which uncertainty a stop rule sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncertainty {
    /// The predictor's, where the stream has one: what an edge can know in microseconds.
    Predictor,
    /// The entropy of the tail's answer, ENACHI (5): it costs a run of the tail at every checkpoint.
    Tail,
}

impl Samples {
    /// Whether a predictor's output was recorded.
    pub fn has_predictions(&self) -> bool {
        !self.predicted_nats.is_empty()
    }

    /// The uncertainty asked for, `images × checkpoints` \[nat\]; the tail's where there is no predictor.
    pub fn uncertainty_nats(&self, of: Uncertainty) -> &[f32] {
        match of {
            Uncertainty::Predictor if self.has_predictions() => &self.predicted_nats,
            _ => &self.entropy_nats,
        }
    }

    /// Where `image` stops under a threshold on `nats` (laid out like the samples): the first checkpoint ≥ 1 that is at most
    /// `threshold_nats`, or the last of all.
    pub fn stop_checkpoint(&self, nats: &[f32], image: usize, threshold_nats: f64) -> usize {
        let last = self.checkpoints - 1;
        (1..last)
            .find(|c| f64::from(nats[self.at(image, *c)]) <= threshold_nats)
            .unwrap_or(last)
    }

    /// Index of (`image`, `checkpoint`) in the arrays.
    #[inline]
    pub fn at(&self, image: usize, checkpoint: usize) -> usize {
        debug_assert!(image < self.images && checkpoint < self.checkpoints);
        image * self.checkpoints + checkpoint
    }
}
