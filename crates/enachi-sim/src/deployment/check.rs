//! Whether scenario and profile can be put together.

use super::Deployment;
use crate::scenario::nearest;
use enachi_core::curve::CurveError;
use enachi_core::profile::{CutKind, CutProfile, LadderKind, Profile};

/// A scenario that does not fit its profile.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// A trace that cannot be replayed.
    #[error(transparent)]
    Trace(#[from] crate::world::trace::TraceError),
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
    /// A group names a profile that was not given.
    #[error("devices.{group}.profile = {name:?}: no such profile was read")]
    MissingProfile {
        /// Group.
        group: usize,
        /// What it says; empty where it means `[profile]`.
        name: String,
    },
    /// A group's own profile cannot be used.
    #[error("devices.{group}.profile = {name:?}: {source}")]
    OfGroup {
        /// Group.
        group: usize,
        /// Profile.
        name: String,
        /// Why.
        source: Box<DeploymentError>,
    },
    /// A policy about one cut, in a cell with devices that run another network.
    #[error(
        "policies: one that is about cut {cut:?} alone leaves the devices of devices.{group}, which run {network}, without a cut; \
         must be one that chooses, or a cell with one network"
    )]
    ForeignCut {
        /// The cut.
        cut: String,
        /// Group without it.
        group: usize,
        /// Network of the group.
        network: String,
    },
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

/// What the simulator needs of a profile beyond what every profile must satisfy.
pub(super) fn profile(profile: &Profile) -> Result<(), DeploymentError> {
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

/// Cuts and streams that the scenario names must be there, and every network must be left a cut.
pub(super) fn names(deployment: &Deployment) -> Result<(), DeploymentError> {
    let source = &deployment.scenario.profile;
    let networks = &deployment.networks;
    let suggest = |wrong: &str, names: &[String]| {
        nearest(wrong, names.iter().map(String::as_str))
            .map_or(String::new(), |near| format!("; did you mean `{near}`?"))
    };
    for name in &source.candidates {
        let mut cuts = networks
            .iter()
            .flat_map(|network| network.profile.cuts.iter().map(move |cut| (network, cut)));
        if !cuts.any(|(network, cut)| network.is_called(cut, name)) {
            let known = deployment.cut_names();
            return Err(DeploymentError::UnknownCut {
                name: name.clone(),
                suggestion: suggest(name, &known),
                known: known.join(", "),
            });
        }
    }
    if let Some(name) = &source.picture_stream {
        let inputs = deployment.cuts().filter(|cut| cut.kind == CutKind::Input);
        let mut known: Vec<String> = inputs
            .flat_map(|cut| cut.streams.iter().map(|stream| stream.name.clone()))
            .collect();
        if !known.contains(name) {
            known.dedup();
            return Err(DeploymentError::UnknownPictureStream {
                name: name.clone(),
                suggestion: suggest(name, &known),
                known: known.join(", "),
            });
        }
    }
    for (index, network) in networks.iter().enumerate() {
        if deployment.plannable(index).next().is_none() {
            let known: Vec<String> = deployment
                .cut_names()
                .drain(network.first_cut as usize..network.cuts().end as usize)
                .collect();
            return Err(DeploymentError::NoCandidate {
                known: known.join(", "),
            });
        }
    }
    Ok(())
}
