//! Scenario and profile put together: devices, candidates, curves. All that does not change from frame to frame.

use crate::mux::ConditionalTables;
use crate::scenario::{
    CurveKind, CurveProfile, DeviceDefaults, FadingKind, NoiseKind, Packet, Scenario, StopKind,
    UncertaintyKind, nearest,
};
use crate::world::FadingModel;
use enachi_core::curve::{AccuracyCurve, CurveError};
use enachi_core::energy::{Compute, RadioOverhead};
use enachi_core::packet::marginal::{ContinuationTable, cross_fitted};
use enachi_core::packet::threshold::Thresholds;
use enachi_core::profile::{CutKind, CutProfile, LadderKind, Meta, Profile, Stream, Surrogate};
use enachi_core::radio::{Noise, Radio};
use enachi_core::record::Names;
use enachi_core::task::{Candidate, Fading, Level, StreamUse};
use std::ops::Range;

/// A scenario that does not fit its profile.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// A candidate that the profile does not have.
    #[error("profile.candidates = {name:?}: must be a cut of the profile: {known}{suggestion}")]
    UnknownCut {
        /// Name given.
        name: String,
        /// Names there are.
        known: String,
        /// "; did you mean ...", or nothing.
        suggestion: String,
    },
    /// A picture stream that the profile does not have.
    #[error(
        "profile.picture_stream = {name:?}: must be a stream of the profile's input: {known}{suggestion}"
    )]
    UnknownPictureStream {
        /// Name given.
        name: String,
        /// Names there are.
        known: String,
        /// "; did you mean ...", or nothing.
        suggestion: String,
    },
    /// No cut is left to choose from.
    #[error(
        "profile.candidates, profile.forbid_input, profile.forbid_local: no cut is left to choose from; must leave at least one of {known}"
    )]
    NoCandidate {
        /// Names there are.
        known: String,
    },
    /// A profile that contradicts itself.
    #[error("profile: {0}")]
    Invalid(#[from] enachi_core::profile_check::ProfileError),
    /// A profile that cannot be simulated.
    #[error("profile: cut {cut:?}: {reason}")]
    Profile {
        /// Cut.
        cut: String,
        /// Why.
        reason: String,
    },
    /// A curve out of range.
    #[error("profile: cut {cut:?}: {source}")]
    Curve {
        /// Cut.
        cut: String,
        /// Why.
        source: CurveError,
    },
    /// The marginal stop rule on a profile without samples.
    #[error(
        "packet.stop = \"marginal\": must be \"entropy\" or \"never\" on a profile without measured samples"
    )]
    MarginalNeedsSamples,
}

/// What a simulated device is.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Values of its group.
    pub values: DeviceDefaults,
    /// Mean gain, where it does not come from a distance.
    pub mean_gain: Option<f64>,
    /// Index of its group (equal groups have equal candidates).
    pub group: usize,
    /// Index of its deadline among the distinct deadlines: one batch each.
    pub batch: usize,
    /// Most that the amplifier draws \[W\]: p_max over its efficiency. Every power of policies, power laws and records
    /// is a drawn one.
    pub drawn_power_max_w: f64,
    /// Processor.
    pub compute: Compute,
    /// What the radio costs beside the radiated power.
    pub radio: RadioOverhead,
}

/// Scenario and profile put together.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The scenario.
    pub scenario: Scenario,
    /// The profile, measured or made of the scenario's curves.
    pub profile: Profile,
    /// Noise and cap.
    pub radio: Radio,
    /// Fading.
    pub fading: FadingModel,
    /// Devices, in order.
    pub devices: Vec<Device>,
    /// Distinct deadlines \[s\].
    pub deadlines_s: Vec<f64>,
    /// Images that tasks are drawn from; 0 for a curve-only profile. A stream that was measured on fewer replays image
    /// modulo its own number.
    pub images: usize,
    /// First entry of each cut's streams in [`Names::streams`].
    stream_offset: Vec<usize>,
    /// Continuation tables per stream name entry, for the marginal rule; empty if no policy uses it.
    continuation: PerUncertainty<Option<[ContinuationTable; 2]>>,
    /// H_th per stream name entry, where the scenario gives none and the stream is measured.
    thresholds: PerUncertainty<Option<Thresholds>>,
    /// What further bits are worth to tasks that were not stopped, by packet settings that some policy multiplexes under.
    conditional: Vec<(StopKind, UncertaintyKind, ConditionalTables)>,
}

/// One entry per stream for each uncertainty that some policy's stop rule sees.
#[derive(Clone, Debug)]
struct PerUncertainty<T> {
    predictor: Vec<T>,
    tail: Vec<T>,
}

impl<T> Default for PerUncertainty<T> {
    fn default() -> Self {
        Self {
            predictor: Vec::new(),
            tail: Vec::new(),
        }
    }
}

impl<T> PerUncertainty<T> {
    fn of(&self, kind: UncertaintyKind) -> &Vec<T> {
        match kind {
            UncertaintyKind::Predictor => &self.predictor,
            UncertaintyKind::Tail => &self.tail,
        }
    }

    fn of_mut(&mut self, kind: UncertaintyKind) -> &mut Vec<T> {
        match kind {
            UncertaintyKind::Predictor => &mut self.predictor,
            UncertaintyKind::Tail => &mut self.tail,
        }
    }
}

/// H_th of streams without samples where the scenario gives none \[nat\].
const CURVE_THRESHOLD_NATS: f64 = 0.3;

/// Cuts that a policy is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferedCuts {
    /// Those that the scenario leaves to planners.
    Plannable,
    /// The whole network on the device.
    Local,
    /// One cut, by its index in the profile.
    Only(usize),
}

/// The candidates of every device under one [`StreamUse`].
#[derive(Clone, Debug)]
pub struct Offer {
    /// Curves that candidates refer to.
    pub curves: Vec<AccuracyCurve>,
    /// Levels that candidates refer to.
    pub levels: Vec<Level>,
    /// Candidates that device groups refer to.
    pub candidates: Vec<Candidate>,
    /// Candidates of each device.
    pub device_candidates: Vec<Range<u32>>,
}

impl Deployment {
    /// Put `scenario` on `profile` (from [`curve_profile`] if the scenario holds curves).
    pub fn new(scenario: Scenario, profile: Profile) -> Result<Self, DeploymentError> {
        check_profile(&profile)?;
        for name in &scenario.profile.candidates {
            let names = || profile.cuts.iter().map(|cut| cut.name.as_str());
            if !names().any(|known| known == name) {
                return Err(DeploymentError::UnknownCut {
                    name: name.clone(),
                    known: cut_names(&profile),
                    suggestion: nearest(name, names())
                        .map_or(String::new(), |near| format!("; did you mean `{near}`?")),
                });
            }
        }
        if let Some(name) = &scenario.profile.picture_stream {
            let input = profile.cuts.iter().filter(|cut| cut.kind == CutKind::Input);
            let names = || {
                input
                    .clone()
                    .flat_map(|cut| &cut.streams)
                    .map(|s| s.name.as_str())
            };
            if !names().any(|known| known == name) {
                return Err(DeploymentError::UnknownPictureStream {
                    name: name.clone(),
                    known: names().collect::<Vec<_>>().join(", "),
                    suggestion: nearest(name, names())
                        .map_or(String::new(), |near| format!("; did you mean `{near}`?")),
                });
            }
        }
        let noise = match scenario.channel.noise {
            NoiseKind::Exact => Noise::Exact {
                psd_w_per_hz: scenario.channel.noise_psd_w_per_hz,
            },
            NoiseKind::Constant => Noise::Constant {
                power_w: scenario.channel.noise_power_w,
            },
        };
        let radio = Radio {
            noise,
            spectral_cap: scenario.channel.max_spectral_efficiency,
        };
        let fading = match scenario.channel.fading {
            FadingKind::None => FadingModel::None,
            FadingKind::Rayleigh => FadingModel::Rayleigh {
                coherence_slots: scenario.channel.coherence_slots,
            },
        };
        let mut deadlines_s: Vec<f64> = Vec::new();
        let mut devices = Vec::with_capacity(scenario.device_count());
        for (group, of) in scenario.devices.iter().enumerate() {
            let values = of.resolved(&scenario.device);
            let batch = deadlines_s
                .iter()
                .position(|d| *d == values.deadline_s)
                .unwrap_or_else(|| {
                    deadlines_s.push(values.deadline_s);
                    deadlines_s.len() - 1
                });
            let device = Device {
                mean_gain: of.mean_gain,
                drawn_power_max_w: values.power_max_w / values.amplifier_efficiency,
                group,
                batch,
                compute: Compute {
                    frequency_hz: values.frequency_hz,
                    cycles_per_mac: values.cycles_per_mac,
                    capacitance_w_per_hz3: values.capacitance_w_per_hz3,
                },
                radio: RadioOverhead {
                    circuit_power_w: values.circuit_power_w,
                    tail_power_w: values.tail_power_w,
                    tail_time_s: values.tail_time_s,
                },
                values,
            };
            devices.extend(std::iter::repeat_n(device, of.count as usize));
        }
        let mut stream_offset = Vec::with_capacity(profile.cuts.len());
        let mut streams = 0;
        for cut in &profile.cuts {
            stream_offset.push(streams);
            streams += cut.streams.len();
        }
        let images = profile
            .cuts
            .iter()
            .flat_map(|cut| &cut.streams)
            .map(|stream| stream.samples.images)
            .max()
            .unwrap_or(0);
        let deployment = Self {
            scenario,
            profile,
            radio,
            fading,
            devices,
            deadlines_s,
            images,
            stream_offset,
            continuation: PerUncertainty::default(),
            thresholds: PerUncertainty::default(),
            conditional: Vec::new(),
        };
        if deployment.plannable().next().is_none() {
            return Err(DeploymentError::NoCandidate {
                known: cut_names(&deployment.profile),
            });
        }
        Ok(deployment)
    }

    /// Names for records under `policies`.
    pub fn names(&self, policies: Vec<String>) -> Names {
        Names {
            policies,
            cuts: self.profile.cuts.iter().map(|c| c.name.clone()).collect(),
            streams: self
                .profile
                .cuts
                .iter()
                .flat_map(|cut| &cut.streams)
                .map(|stream| stream.name.clone())
                .collect(),
        }
    }

    /// Index of a stream in [`Names::streams`].
    pub fn stream_index(&self, cut: u32, stream: u32) -> usize {
        self.stream_offset[cut as usize] + stream as usize
    }

    /// Prepare the tables of the marginal stop rule that sees `kind`.
    pub fn fit_continuation(&mut self, kind: UncertaintyKind) -> Result<(), DeploymentError> {
        if self.images == 0 {
            return Err(DeploymentError::MarginalNeedsSamples);
        }
        if self.continuation.of(kind).is_empty() {
            *self.continuation.of_mut(kind) = self
                .measured_embedded()
                .map(|stream| stream.map(|stream| cross_fitted(&stream.samples, kind.into())))
                .collect();
        }
        Ok(())
    }

    /// The table that decides about `image`, fitted without it.
    pub fn continuation(
        &self,
        kind: UncertaintyKind,
        cut: u32,
        stream: u32,
        image: usize,
    ) -> Option<&ContinuationTable> {
        let tables = self
            .continuation
            .of(kind)
            .get(self.stream_index(cut, stream))?;
        tables.as_ref().map(|tables| &tables[image % 2])
    }

    /// Choose H_th for every measured stream and rules that see `kind`, unless the scenario gives it.
    pub fn fit_thresholds(&mut self, kind: UncertaintyKind) {
        let packet = &self.scenario.packet;
        if packet.entropy_threshold_nats.is_some() || !self.thresholds.of(kind).is_empty() {
            return;
        }
        let allowed = packet.threshold_loss;
        *self.thresholds.of_mut(kind) = self
            .measured_embedded()
            .map(|stream| {
                stream.map(|stream| Thresholds::fit(&stream.samples, kind.into(), allowed))
            })
            .collect();
    }

    /// Prepare the curves for planning again within a frame under `packet`'s stop rule; its thresholds come first.
    pub fn fit_conditional(&mut self, packet: &Packet) -> Result<(), DeploymentError> {
        if self.conditional(packet).is_none() {
            let tables = ConditionalTables::fit(self, packet)?;
            self.conditional
                .push((packet.stop, packet.uncertainty, tables));
        }
        Ok(())
    }

    /// The curves that [`Self::fit_conditional`] prepared.
    pub fn conditional(&self, packet: &Packet) -> Option<&ConditionalTables> {
        let found = self
            .conditional
            .iter()
            .find(|(stop, kind, _)| (*stop, *kind) == (packet.stop, packet.uncertainty));
        found.map(|(_, _, tables)| tables)
    }

    /// H_th that decides about `image` for rules that see `kind` \[nat\].
    pub fn threshold_nats(
        &self,
        kind: UncertaintyKind,
        cut: u32,
        stream: u32,
        image: usize,
    ) -> f64 {
        self.scenario
            .packet
            .entropy_threshold_nats
            .unwrap_or_else(|| {
                let fitted = self.thresholds.of(kind).get(self.stream_index(cut, stream));
                fitted
                    .and_then(Option::as_ref)
                    .map_or(CURVE_THRESHOLD_NATS, |thresholds| thresholds.of(image))
            })
    }

    /// Streams in the order of [`Names::streams`]; `None` for those without samples of prefixes.
    fn measured_embedded(&self) -> impl Iterator<Item = Option<&Stream>> {
        let streams = self.profile.cuts.iter().flat_map(|cut| &cut.streams);
        streams.map(|stream| {
            let embedded = stream.ladder == LadderKind::Embedded;
            (embedded && stream.samples.images > 0).then_some(stream)
        })
    }

    /// Cuts that planners may choose.
    fn plannable(&self) -> impl Iterator<Item = usize> {
        let source = &self.scenario.profile;
        self.profile
            .cuts
            .iter()
            .enumerate()
            .filter(move |(_, cut)| {
                let named = source.candidates.is_empty() || source.candidates.contains(&cut.name);
                named
                    && match cut.kind {
                        CutKind::Input => !source.forbid_input,
                        CutKind::Feature => true,
                        CutKind::Local => !source.forbid_local,
                    }
            })
            .map(|(index, _)| index)
    }

    /// Candidates for a policy that sends `stream_use` from the cuts in `offered` (those that send the input always find it).
    pub fn offer(
        &self,
        stream_use: StreamUse,
        offered: OfferedCuts,
        curve: CurveKind,
    ) -> Result<Offer, DeploymentError> {
        let kind_cuts = |kind: CutKind| {
            let cuts = self.profile.cuts.iter().enumerate();
            cuts.filter(move |(_, cut)| cut.kind == kind)
                .map(|(index, _)| index)
                .collect()
        };
        let cuts: Vec<usize> = match (stream_use, offered) {
            (StreamUse::RawInput | StreamUse::ImageCodec, _) => kind_cuts(CutKind::Input),
            (_, OfferedCuts::Local) => kind_cuts(CutKind::Local),
            (_, OfferedCuts::Only(cut)) => vec![cut],
            (_, OfferedCuts::Plannable) => self.plannable().collect(),
        };
        let mut offer = Offer {
            curves: Vec::new(),
            levels: Vec::new(),
            candidates: Vec::new(),
            device_candidates: Vec::with_capacity(self.devices.len()),
        };
        // One curve (and ladder) per cut, shared by all groups.
        let mut shared = Vec::with_capacity(cuts.len());
        for &cut in &cuts {
            let profile = &self.profile.cuts[cut];
            let stream = pick_stream(
                profile,
                stream_use,
                self.scenario.profile.picture_stream.as_deref(),
            );
            let first = offer.levels.len() as u32;
            if let Some(index) = stream {
                offer
                    .levels
                    .extend(ladder_levels(profile, &profile.streams[index as usize]));
            }
            let levels = first..offer.levels.len() as u32;
            let made = make_curve(
                profile,
                stream.map(|index| &profile.streams[index as usize]),
                &offer.levels[first as usize..],
                self.floor(),
                curve,
            );
            offer
                .curves
                .push(made.map_err(|source| DeploymentError::Curve {
                    cut: profile.name.clone(),
                    source,
                })?);
            shared.push((cut, stream, levels));
        }
        let mut group_range: Vec<Option<Range<u32>>> = vec![None; self.scenario.devices.len()];
        for device in &self.devices {
            let range = group_range[device.group].clone().unwrap_or_else(|| {
                let first = offer.candidates.len() as u32;
                for (curve, (cut, stream, levels)) in shared.iter().enumerate() {
                    let candidate = self.candidate(device, *cut, *stream, curve, levels.clone());
                    offer.candidates.push(candidate);
                }
                first..offer.candidates.len() as u32
            });
            group_range[device.group] = Some(range.clone());
            offer.device_candidates.push(range);
        }
        Ok(offer)
    }

    /// Accuracy of a guess.
    pub fn floor(&self) -> f64 {
        1.0 / f64::from(self.profile.meta.classes.max(2))
    }

    fn candidate(
        &self,
        device: &Device,
        cut: usize,
        stream: Option<u32>,
        curve: usize,
        levels: Range<u32>,
    ) -> Candidate {
        let profile = &self.profile.cuts[cut];
        let sent = stream.map(|index| &profile.streams[index as usize]);
        let codec = self.scenario.task.codec_work;
        let encode_macs = sent.filter(|_| codec).map_or(0, |s| s.encode_macs);
        let decode_macs = sent.filter(|_| codec).map_or(0, |s| s.decode_macs);
        let edge = Compute {
            frequency_hz: self.scenario.edge.frequency_hz,
            cycles_per_mac: self.scenario.edge.cycles_per_mac,
            capacitance_w_per_hz3: 0.0,
        };
        let head_time_s = device.compute.time_s(profile.head_macs);
        let encode_time_s = device.compute.time_s(encode_macs);
        let tail_time_s = edge.time_s(profile.tail_macs);
        let decode_time_s = edge.time_s(decode_macs);
        let idle_j = device.values.idle_power_w * self.scenario.frame.length_s;
        let elements =
            f64::from(profile.maps) * f64::from(profile.height) * f64::from(profile.width);
        Candidate {
            cut: cut as u32,
            stream,
            kind: profile.kind,
            ladder: sent.map_or(LadderKind::Embedded, |s| s.ladder),
            curve: curve as u32,
            levels,
            head_time_s,
            encode_time_s,
            tail_time_s,
            decode_time_s,
            transmit_time_s: device.values.deadline_s
                - head_time_s
                - encode_time_s
                - tail_time_s
                - decode_time_s,
            local_energy_j: device.compute.energy_j(profile.head_macs)
                + device.compute.energy_j(encode_macs)
                + idle_j,
            total_bits: sent.map_or(0.0, |s| s.total_bits),
            raw_bits: elements * f64::from(raw_bits_per_element(profile)),
            head_macs: profile.head_macs,
            encode_macs,
            tail_macs: profile.tail_macs,
            decode_macs,
        }
    }

    /// Geometric mean of the fading: e^-γ for an exponential gain of mean 1.
    pub fn geometric_share(&self) -> f64 {
        const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
        match self.fading {
            FadingModel::None => 1.0,
            FadingModel::Rayleigh { .. } => (-EULER_GAMMA).exp(),
        }
    }

    /// How gains vary, as policies are told.
    pub fn fading_view(&self) -> Fading {
        match self.fading {
            FadingModel::None => Fading::None,
            FadingModel::Rayleigh { .. } => Fading::Rayleigh,
        }
    }
}

fn cut_names(profile: &Profile) -> String {
    let names: Vec<&str> = profile.cuts.iter().map(|cut| cut.name.as_str()).collect();
    names.join(", ")
}

/// What the simulator needs of a profile beyond what every profile must satisfy.
fn check_profile(profile: &Profile) -> Result<(), DeploymentError> {
    profile.validate()?;
    let fail = |cut: &CutProfile, reason: String| {
        Err(DeploymentError::Profile {
            cut: cut.name.clone(),
            reason,
        })
    };
    for cut in &profile.cuts {
        if cut.kind != CutKind::Local && cut.streams.is_empty() {
            return fail(cut, "has no stream".into());
        }
        for stream in &cut.streams {
            let samples = &stream.samples;
            let name = &stream.name;
            if samples.images > 0 && samples.checkpoints < 2 {
                return fail(cut, format!("stream {name:?} has no checkpoint but 0"));
            }
            let embedded = stream.ladder == LadderKind::Embedded;
            if embedded && samples.images == 0 && stream.surrogate.is_none() {
                return fail(
                    cut,
                    format!("stream {name:?} has neither samples nor a curve"),
                );
            }
            if stream.total_chunks == 0 {
                return fail(cut, format!("stream {name:?} has no chunks"));
            }
        }
    }
    Ok(())
}

/// Precision of the cut's raw stream, from its name (`raw8-...`); 32 where there is none.
fn raw_bits_per_element(cut: &CutProfile) -> u32 {
    cut.streams
        .iter()
        .filter_map(|stream| {
            let digits = stream.name.strip_prefix("raw")?;
            let end = digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len());
            digits[..end].parse().ok()
        })
        .min()
        .unwrap_or(32)
}

/// The cut's stream that fits `stream_use` best; `None` for all-local. `picture` names the one in which the input is sent,
/// unless raw pixels are wanted.
fn pick_stream(cut: &CutProfile, stream_use: StreamUse, picture: Option<&str>) -> Option<u32> {
    let find = |fits: &dyn Fn(&Stream) -> bool| cut.streams.iter().position(fits);
    let raw = |s: &Stream| s.name.starts_with("raw") || s.name == "pixels";
    let ladder = |s: &Stream| s.ladder == LadderKind::Alternatives;
    let named = picture.filter(|_| cut.kind == CutKind::Input);
    let named = named.and_then(|name| find(&|s| s.name == name));
    let best = match stream_use {
        StreamUse::Progressive => named,
        StreamUse::Unordered => find(&|s| s.name.contains("random")).or_else(|| find(&|s| raw(s))),
        StreamUse::RawInput => find(&|s| raw(s)),
        StreamUse::ImageCodec => named.or_else(|| find(&|s| ladder(s) && !raw(s))),
    };
    (!cut.streams.is_empty()).then(|| best.unwrap_or(0) as u32)
}

/// Levels of an `Alternatives` stream (without "nothing sent"); none for embedded streams.
fn ladder_levels(cut: &CutProfile, stream: &Stream) -> Vec<Level> {
    if stream.ladder != LadderKind::Alternatives {
        return Vec::new();
    }
    match &stream.measured {
        Some(curve) => (1..curve.bits.len())
            .map(|i| Level {
                bits: curve.bits[i],
                accuracy: curve.top1[i],
            })
            .collect(),
        None => vec![Level {
            bits: stream.total_bits,
            accuracy: cut.top1_uncompressed,
        }],
    }
}

fn make_curve(
    cut: &CutProfile,
    stream: Option<&Stream>,
    levels: &[Level],
    floor: f64,
    kind: CurveKind,
) -> Result<AccuracyCurve, CurveError> {
    let Some(stream) = stream else {
        return AccuracyCurve::constant(cut.top1_uncompressed);
    };
    if stream.ladder == LadderKind::Alternatives {
        let nothing = stream
            .measured
            .as_ref()
            .map_or(floor, |curve| curve.top1[0]);
        let mut order: Vec<&Level> = levels.iter().collect();
        order.sort_by(|a, b| a.bits.total_cmp(&b.bits));
        order.dedup_by(|a, b| a.bits == b.bits);
        let bits: Vec<f64> = std::iter::once(0.0)
            .chain(order.iter().map(|l| l.bits))
            .collect();
        let accuracy: Vec<f64> = std::iter::once(nothing)
            .chain(order.iter().map(|l| l.accuracy))
            .collect();
        return AccuracyCurve::levels(&bits, &accuracy);
    }
    match (&stream.measured, &stream.surrogate) {
        (Some(curve), surrogate) if kind == CurveKind::Measured || surrogate.is_none() => {
            // Checkpoints that add no bits add no choice.
            let (mut bits, mut accuracy): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
            for (b, a) in curve.bits.iter().zip(&curve.top1) {
                if bits.last().is_none_or(|last| b > last) {
                    bits.push(*b);
                    accuracy.push(*a);
                }
            }
            AccuracyCurve::measured(&bits, &accuracy)
        }
        (_, Some(surrogate)) => AccuracyCurve::fitted(surrogate, stream.total_bits),
        (_, None) => AccuracyCurve::constant(floor),
    }
}

/// The profile that a scenario's curves describe: the input sent whole, the cuts as raw maps in order of importance, and
/// all local.
pub fn curve_profile(curves: &CurveProfile) -> Profile {
    let floor = 1.0 / f64::from(curves.classes);
    let elements = |shape: [u32; 3]| shape.iter().map(|x| u64::from(*x)).product::<u64>();
    let bits = |shape| (elements(shape) * u64::from(curves.bits_per_element)) as f64;
    let cut = |name: &str, kind, shape: [u32; 3], head_macs, streams| CutProfile {
        name: name.into(),
        kind,
        maps: shape[0],
        height: shape[1],
        width: shape[2],
        head_macs,
        tail_macs: curves.total_macs - head_macs,
        head_time: None,
        tail_time: None,
        streams,
        top1_uncompressed: curves.top1,
    };
    let stream = |name: String, ladder, shape: [u32; 3], chunks, surrogate| Stream {
        name,
        ladder,
        encode_macs: 0,
        decode_macs: 0,
        encode_time: None,
        decode_time: None,
        total_bits: bits(shape),
        total_chunks: chunks,
        checkpoint_chunks: Vec::new(),
        surrogate,
        measured: None,
        predictor: None,
        samples: Default::default(),
    };
    let raw = format!("raw{}-energy", curves.bits_per_element);
    let whole = stream(
        format!("raw{}", curves.bits_per_element),
        LadderKind::Alternatives,
        curves.input_shape,
        1,
        None,
    );
    let mut cuts = vec![cut(
        "input",
        CutKind::Input,
        curves.input_shape,
        0,
        vec![whole],
    )];
    for c in &curves.cuts {
        let shape = [c.maps, c.height, c.width];
        let surrogate = Surrogate {
            a0: c.a0,
            a1: c.a1,
            a2: c.a2,
            floor,
            rmse: 0.0,
            max_error: 0.0,
        };
        let sent = stream(
            raw.clone(),
            LadderKind::Embedded,
            shape,
            c.maps,
            Some(surrogate),
        );
        cuts.push(cut(
            &c.name,
            CutKind::Feature,
            shape,
            c.head_macs,
            vec![sent],
        ));
    }
    let output = [curves.classes, 1, 1];
    cuts.push(cut(
        "local",
        CutKind::Local,
        output,
        curves.total_macs,
        Vec::new(),
    ));
    Profile {
        meta: Meta {
            model_name: curves.model.clone(),
            classes: curves.classes,
            top1_uncompressed: curves.top1,
            data_source: "fitted curves given in the scenario".into(),
            ..Meta::default()
        },
        cuts,
        images: Vec::new(),
    }
}
