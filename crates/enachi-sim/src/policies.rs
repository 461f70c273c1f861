//! The policies that a simulation can run, by name: those of the core, and any that a caller adds.

use crate::deployment::{Deployment, OfferedCuts};
use enachi_core::profile::Profile;
use enachi_core::task::TaskPolicy;
use enachi_core::task::policies::{NAMES, PolicyError, PolicyParams, by_name};

/// Makes a fresh policy.
type Make = Box<dyn Fn() -> Box<dyn TaskPolicy> + Send + Sync>;

/// Makes policies by name.
pub struct PolicyFactory {
    params: PolicyParams,
    cuts: Vec<String>,
    added: Vec<(String, Make)>,
}

impl PolicyFactory {
    /// The policies of the core on `profile`, whose cuts resolve `@CUT`.
    pub fn new(profile: &Profile, params: PolicyParams) -> Self {
        Self {
            params,
            cuts: profile.cuts.iter().map(|cut| cut.name.clone()).collect(),
            added: Vec::new(),
        }
    }

    /// The same on the cuts of a deployment, which are `NETWORK/CUT` where there is more than one network.
    pub fn on(deployment: &Deployment) -> Self {
        Self {
            params: deployment.scenario.baselines,
            cuts: deployment.cut_names(),
            added: Vec::new(),
        }
    }

    /// Add a policy of one's own; it goes before one of the core of the same name.
    pub fn with<P: TaskPolicy + 'static>(
        mut self,
        name: &str,
        make: impl Fn() -> P + Send + Sync + 'static,
    ) -> Self {
        let make: Make = Box::new(move || Box::new(make()));
        self.added.push((name.into(), make));
        self
    }

    /// All names; `@CUT` stands for a cut.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let added = self.added.iter().map(|(name, _)| name.as_str());
        added.chain(NAMES)
    }

    /// A fresh policy called `name`.
    pub fn make(&self, name: &str) -> Result<Box<dyn TaskPolicy>, PolicyError> {
        if let Some((_, make)) = self.added.iter().find(|(added, _)| added == name) {
            return Ok(make());
        }
        let cuts: Vec<&str> = self.cuts.iter().map(String::as_str).collect();
        by_name(name, &self.params, &cuts)
    }

    /// The cuts that a policy called `name` is offered: one that is about a single cut finds it whatever candidates the
    /// scenario leaves to planners.
    pub fn offered(&self, name: &str) -> OfferedCuts {
        let single = name.split_once('@').map(|(_, cut)| cut);
        if let Some(cut) = single {
            let by_name = self.cuts.iter().position(|known| known == cut);
            if let Some(index) = by_name.or_else(|| cut.parse().ok()) {
                return OfferedCuts::Only(index);
            }
        }
        if name == "device-only" {
            OfferedCuts::Local
        } else {
            OfferedCuts::Plannable
        }
    }
}
