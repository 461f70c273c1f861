//! What policies choose from: candidates of every device, their curves and levels.

use super::{Deployment, DeploymentError, Device};
use crate::mux::stopping_aware_curve;
use crate::scenario::{CurveKind, Packet};
use enachi_core::curve::{AccuracyCurve, CurveError};
use enachi_core::profile::{CutKind, CutProfile, LadderKind, Stream};
use enachi_core::task::{Candidate, Level, StreamUse};
use std::ops::Range;

/// Cuts that a policy is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferedCuts {
    /// Those that the scenario leaves to planners.
    Plannable,
    /// The whole network on the device.
    Local,
    /// One cut, by its number.
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
    /// Cuts of a network that planners may choose. A network that `profile.candidates` does not name keeps all.
    pub(super) fn plannable(&self, network: usize) -> impl Iterator<Item = usize> {
        let source = &self.scenario.profile;
        let network = &self.networks[network];
        let named = move |cut: &CutProfile| {
            let mut names = source.candidates.iter();
            names.any(|name| network.is_called(cut, name))
        };
        let restricted = network.profile.cuts.iter().any(named);
        let cuts = network.cuts().zip(&network.profile.cuts);
        cuts.filter(move |(_, cut)| {
            let allowed = match cut.kind {
                CutKind::Input => !source.forbid_input,
                CutKind::Feature => true,
                CutKind::Local => !source.forbid_local,
            };
            allowed && (!restricted || named(cut))
        })
        .map(|(index, _)| index as usize)
    }

    /// Cuts of a network that a policy is offered.
    fn offered_cuts(
        &self,
        network: usize,
        stream_use: StreamUse,
        offered: OfferedCuts,
    ) -> Vec<usize> {
        let of_kind = |kind: CutKind| {
            let network = &self.networks[network];
            let cuts = network.cuts().zip(&network.profile.cuts);
            cuts.filter(|(_, cut)| cut.kind == kind)
                .map(|(index, _)| index as usize)
                .collect()
        };
        match (stream_use, offered) {
            (StreamUse::RawInput | StreamUse::ImageCodec, _) => of_kind(CutKind::Input),
            (_, OfferedCuts::Local) => of_kind(CutKind::Local),
            (_, OfferedCuts::Only(cut)) => {
                let own = self.networks[network].cuts().contains(&(cut as u32));
                own.then_some(cut).into_iter().collect()
            }
            (_, OfferedCuts::Plannable) => self.plannable(network).collect(),
        }
    }

    /// Candidates for a policy that sends `stream_use` from the cuts in `offered` (those that send the input always find it).
    /// With `stops`, curves of embedded streams are those of [`Replanning::StoppingAware`](enachi_core::task::Replanning)
    /// under its stop rule.
    pub fn offer(
        &self,
        stream_use: StreamUse,
        offered: OfferedCuts,
        curve: CurveKind,
        stops: Option<&Packet>,
    ) -> Result<Offer, DeploymentError> {
        if let OfferedCuts::Only(cut) = offered {
            let foreign = |d: &&Device| !self.networks[d.network].cuts().contains(&(cut as u32));
            if let Some(device) = self.devices.iter().find(foreign) {
                return Err(DeploymentError::ForeignCut {
                    cut: self.cut_names()[cut].clone(),
                    group: device.group,
                    network: self.networks[device.network].name.clone(),
                });
            }
        }
        let networks = 0..self.networks.len();
        let cuts: Vec<usize> = networks
            .flat_map(|network| self.offered_cuts(network, stream_use, offered))
            .collect();
        let mut offer = Offer {
            curves: Vec::new(),
            levels: Vec::new(),
            candidates: Vec::new(),
            device_candidates: Vec::with_capacity(self.devices.len()),
        };
        // One curve (and ladder) per cut, shared by all groups.
        let mut shared = Vec::with_capacity(cuts.len());
        for &cut in &cuts {
            let profile = self.cut(cut as u32);
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
            let sent = stream.map(|index| &profile.streams[index as usize]);
            let made = match (stops, sent, stream) {
                (Some(packet), Some(sent), Some(index)) if sent.ladder == LadderKind::Embedded => {
                    let cut = cut as u32;
                    let threshold = |image| self.stop_threshold_nats(packet, cut, index, image);
                    stopping_aware_curve(sent, packet, threshold, self.devices.len())
                }
                _ => {
                    let levels = &offer.levels[first as usize..];
                    make_curve(profile, sent, levels, self.floor(cut as u32), curve)
                }
            };
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
                let own = self.networks[device.network].cuts();
                for (curve, (cut, stream, levels)) in shared.iter().enumerate() {
                    if !own.contains(&(*cut as u32)) {
                        continue;
                    }
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

    /// What choosing `cut` and `stream` means for `device`.
    pub fn candidate(
        &self,
        device: &Device,
        cut: usize,
        stream: Option<u32>,
        curve: usize,
        levels: Range<u32>,
    ) -> Candidate {
        let profile = self.cut(cut as u32);
        let sent = stream.map(|index| &profile.streams[index as usize]);
        let codec = self.scenario.task.codec_work;
        let encode_macs = sent.filter(|_| codec).map_or(0, |s| s.encode_macs);
        let decode_macs = sent.filter(|_| codec).map_or(0, |s| s.decode_macs);
        let edge = self.edge();
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
