//! Whether scenario and profile can be put together.

use crate::scenario::{Scenario, nearest};
use enachi_core::curve::CurveError;
use enachi_core::profile::{CutKind, CutProfile, LadderKind, Profile};

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

/// Cuts and streams that the scenario names must be there.
pub(super) fn names(scenario: &Scenario, profile: &Profile) -> Result<(), DeploymentError> {
    for name in &scenario.profile.candidates {
        let names = || profile.cuts.iter().map(|cut| cut.name.as_str());
        if !names().any(|known| known == name) {
            return Err(DeploymentError::UnknownCut {
                name: name.clone(),
                known: cut_names(profile),
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
    Ok(())
}

pub(super) fn cut_names(profile: &Profile) -> String {
    let names: Vec<&str> = profile.cuts.iter().map(|cut| cut.name.as_str()).collect();
    names.join(", ")
}
