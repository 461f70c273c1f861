//! The policies a simulation compares, one file each. None knows whether an answer is right.
//!
//! | name | cut | band | power | sends |
//! |---|---|---|---|---|
//! | `enachi` | joint optimum | joint optimum | tracks the optimum slot by slot | by importance, may be stopped |
//! | `enachi-mux` | as `enachi` | as `enachi`, again every few slots over the devices still sending | as `enachi` | as `enachi` |
//! | `enachi-max` | as `enachi`, counting the bits that tasks get to send before they are stopped | as `enachi-mux`, on that count | as `enachi` | as `enachi` |
//! | `enachi-sequential` | each device its own best | optimum for those cuts | as `enachi` | as `enachi` |
//! | `progressive-ftx@CUT` | fixed | as `enachi` | as `enachi` | as `enachi` |
//! | `effect-dnn` | per frame | equal share | per frame, constant | the whole tensor, no order, no stop |
//! | `sc-cao` | per frame | per frame, no memory | per frame, constant | what an accuracy target needs |
//! | `edge-only` | 0 | as `enachi` | constant | raw pixels |
//! | `device-only` | all local | none | none | nothing |
//! | `min-energy-split` | least device energy | equal share | constant | the whole tensor |
//! | `jpeg-equal-share` | 0 | equal share | constant | the best picture that fits |
//! | `best-static-cut`, `best-static-cut@CUT` | fixed | equal share | constant | by importance, no stop |

mod barrier;
mod best_static_cut;
mod device_only;
mod edge_only;
mod effect_dnn;
mod enachi;
mod jpeg_equal_share;
mod min_energy_split;
mod progressive_ftx;
mod sc_cao;
mod shared;

pub use best_static_cut::BestStaticCut;
pub use device_only::DeviceOnly;
pub use edge_only::EdgeOnly;
pub use effect_dnn::{EffectDnn, EffectDnnParams};
pub use enachi::{Enachi, EnachiSequential};
pub use jpeg_equal_share::JpegEqualShare;
pub use min_energy_split::{MinEnergySplit, MinEnergySplitParams};
pub use progressive_ftx::ProgressiveFtx;
pub use sc_cao::{ScCao, ScCaoParams};
pub use shared::EqualShareParams;

use super::names::nearest;
use super::policy::{Replanning, TaskPolicy};
use serde::{Deserialize, Serialize};

/// What the sources of the baselines leave open. Every value is a parameter to be tuned to the policy's best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyParams {
    /// Of `effect-dnn`.
    pub effect_dnn: EffectDnnParams,
    /// Of `sc-cao`.
    pub sc_cao: ScCaoParams,
    /// Of `min-energy-split`.
    pub min_energy_split: MinEnergySplitParams,
    /// Of `jpeg-equal-share` and `best-static-cut`.
    pub equal_share: EqualShareParams,
}

impl PolicyParams {
    /// Whether every parameter is in its range: the key, the value and the range of the first that is not.
    pub fn check(&self) -> Result<(), ParamError> {
        let positive = |key, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(ParamError {
                    key,
                    value,
                    allowed: "finite and above 0",
                })
            }
        };
        positive("effect_dnn.energy_weight", self.effect_dnn.energy_weight)?;
        positive("effect_dnn.latency_target", self.effect_dnn.latency_target)?;
        positive("effect_dnn.longest", self.effect_dnn.longest)?;
        let target = self.sc_cao.accuracy_target;
        if !(target > 0.0 && target <= 1.0) {
            let allowed = "above 0, at most 1";
            return Err(ParamError {
                key: "sc_cao.accuracy_target",
                value: target,
                allowed,
            });
        }
        positive("sc_cao.worth_j", self.sc_cao.worth_j)?;
        positive("sc_cao.gain_margin", self.sc_cao.gain_margin)?;
        let memory = self.min_energy_split.memory_j_per_mac;
        if !(memory.is_finite() && memory >= 0.0) {
            let allowed = "finite and at least 0";
            return Err(ParamError {
                key: "min_energy_split.memory_j_per_mac",
                value: memory,
                allowed,
            });
        }
        positive(
            "min_energy_split.gain_margin",
            self.min_energy_split.gain_margin,
        )?;
        positive("equal_share.gain_margin", self.equal_share.gain_margin)?;
        positive(
            "equal_share.budget_fraction",
            self.equal_share.budget_fraction,
        )
    }
}

/// A parameter out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} is {value}, must be {allowed}")]
pub struct ParamError {
    /// Which.
    pub key: &'static str,
    /// What it is.
    pub value: f64,
    /// What it may be.
    pub allowed: &'static str,
}

/// A policy name that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// No such policy.
    #[error("unknown policy {name:?}{hint}; known are {}", NAMES.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// `, did you mean …?`, or empty.
        hint: String,
    },
    /// A cut is needed, or not allowed, or unknown.
    #[error("policy {name:?}: {reason}")]
    Cut {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// All names; a `@CUT` is to be replaced by the name of a cut or its index in the profile.
pub const NAMES: [&str; 12] = [
    "enachi",
    "enachi-mux",
    "enachi-max",
    "enachi-sequential",
    "progressive-ftx@CUT",
    "effect-dnn",
    "sc-cao",
    "edge-only",
    "device-only",
    "min-energy-split",
    "jpeg-equal-share",
    "best-static-cut",
];

/// Make a policy by its name. `cuts` are the names of the profile's cuts, in its order, to resolve `@CUT`.
pub fn by_name(
    name: &str,
    params: &PolicyParams,
    cuts: &[&str],
) -> Result<Box<dyn TaskPolicy>, PolicyError> {
    let (base, cut) = match name.split_once('@') {
        Some((base, cut)) => (base, Some(resolve(name, cut, cuts)?)),
        None => (name, None),
    };
    let cut_error = |reason: &str| PolicyError::Cut {
        name: name.to_owned(),
        reason: reason.to_owned(),
    };
    if cut.is_some() && !matches!(base, "progressive-ftx" | "best-static-cut") && known(base) {
        return Err(cut_error("takes no cut"));
    }
    Ok(match base {
        "enachi" => Box::new(Enachi::new(Replanning::Never)),
        "enachi-mux" => Box::new(Enachi::new(Replanning::Bits)),
        "enachi-max" => Box::new(Enachi::new(Replanning::StoppingAware)),
        "enachi-sequential" => Box::new(EnachiSequential::default()),
        "progressive-ftx" => match cut {
            Some(cut) => Box::new(ProgressiveFtx::new(name, cut)),
            None => return Err(cut_error("needs a cut: progressive-ftx@CUT")),
        },
        "effect-dnn" => Box::new(EffectDnn::new(params.effect_dnn)),
        "sc-cao" => Box::new(ScCao::new(params.sc_cao)),
        "edge-only" => Box::new(EdgeOnly::default()),
        "device-only" => Box::new(DeviceOnly),
        "min-energy-split" => Box::new(MinEnergySplit::new(params.min_energy_split)),
        "jpeg-equal-share" => Box::new(JpegEqualShare::new(params.equal_share)),
        "best-static-cut" => Box::new(BestStaticCut::new(name, cut, params.equal_share)),
        _ => {
            let hint = nearest(base, NAMES.into_iter().map(stem));
            let hint = hint.map_or(String::new(), |near| format!(", did you mean {near:?}?"));
            return Err(PolicyError::Unknown {
                name: name.to_owned(),
                hint,
            });
        }
    })
}

/// Name without its `@CUT`.
fn stem(name: &'static str) -> &'static str {
    name.split('@').next().unwrap_or(name)
}

fn known(base: &str) -> bool {
    NAMES.into_iter().map(stem).any(|name| name == base)
}

/// Index of a cut given by name or index.
fn resolve(name: &str, cut: &str, cuts: &[&str]) -> Result<u32, PolicyError> {
    if let Some(index) = cuts.iter().position(|known| *known == cut) {
        return Ok(index as u32);
    }
    match cut.parse::<u32>() {
        Ok(index) if (index as usize) < cuts.len() => Ok(index),
        _ => {
            let near = nearest(cut, cuts.iter().copied());
            let hint = near.map_or(String::new(), |near| format!(", did you mean {near:?}?"));
            let reason = format!("no cut {cut:?}{hint}; known are {}", cuts.join(", "));
            Err(PolicyError::Cut {
                name: name.to_owned(),
                reason,
            })
        }
    }
}
