//! Networks of a cell: every group of devices runs one, and their cuts stand in one list.

use super::DeploymentError;
use super::check;
use crate::scenario::Scenario;
use enachi_core::profile::{CutProfile, Profile};

/// Profiles that a scenario runs on: that of `[profile]`, and those that groups name themselves.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    /// Of all groups that name none.
    pub default: Option<Profile>,
    /// By what `devices.N.profile` says.
    pub named: Vec<(String, Profile)>,
}

impl From<Profile> for Profiles {
    fn from(profile: Profile) -> Self {
        Self {
            default: Some(profile),
            named: Vec::new(),
        }
    }
}

/// A network that some devices run.
#[derive(Clone, Debug)]
pub struct Network {
    /// The model's name, with a number behind it from the second of that name on.
    pub name: String,
    /// What `devices.N.profile` says; `None` for the scenario's `[profile]`.
    pub key: Option<String>,
    /// Its profile.
    pub profile: Profile,
    /// Images that tasks are drawn from; 0 for a curve-only profile. A stream that was measured on fewer replays image
    /// modulo its own number.
    pub images: usize,
    /// Its first cut in the list of all.
    pub first_cut: u32,
}

impl Network {
    /// Indices of its cuts in the list of all.
    pub fn cuts(&self) -> std::ops::Range<u32> {
        self.first_cut..self.first_cut + self.profile.cuts.len() as u32
    }

    /// Whether `name` means `cut` of this network: `layer2.0`, or `resnet50/layer2.0`.
    pub(super) fn is_called(&self, cut: &CutProfile, name: &str) -> bool {
        name == cut.name || name.strip_prefix(&self.name) == Some(&format!("/{}", cut.name))
    }
}

/// Networks in the order in which groups name them, and the network of each group.
pub(super) fn resolve(
    scenario: &Scenario,
    profiles: Profiles,
) -> Result<(Vec<Network>, Vec<usize>), DeploymentError> {
    let Profiles { mut default, named } = profiles;
    let mut named: Vec<(String, Option<Profile>)> = named
        .into_iter()
        .map(|(key, profile)| (key, Some(profile)))
        .collect();
    let mut networks: Vec<Network> = Vec::new();
    let mut of_group = Vec::with_capacity(scenario.devices.len());
    for (group, devices) in scenario.devices.iter().enumerate() {
        let key = &devices.profile;
        if let Some(known) = networks.iter().position(|network| network.key == *key) {
            of_group.push(known);
            continue;
        }
        let profile = match key {
            None => default.take(),
            Some(key) => named
                .iter_mut()
                .find(|(name, _)| name == key)
                .and_then(|(_, profile)| profile.take()),
        };
        let profile = profile.ok_or_else(|| DeploymentError::MissingProfile {
            group,
            name: key.clone().unwrap_or_default(),
        })?;
        check::profile(&profile).map_err(|source| match key {
            None => source,
            Some(key) => DeploymentError::OfGroup {
                group,
                name: key.clone(),
                source: Box::new(source),
            },
        })?;
        of_group.push(networks.len());
        let streams = profile.cuts.iter().flat_map(|cut| &cut.streams);
        networks.push(Network {
            name: free_name(&networks, &profile.meta.model_name),
            key: key.clone(),
            images: streams.map(|s| s.samples.images).max().unwrap_or(0),
            first_cut: networks.last().map_or(0, |last| last.cuts().end),
            profile,
        });
    }
    Ok((networks, of_group))
}

/// `wanted`, with a number behind it if it is taken.
fn free_name(networks: &[Network], wanted: &str) -> String {
    let taken = |name: &str| networks.iter().any(|network| network.name == name);
    let numbered = (2..).map(|n| format!("{wanted}-{n}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|name| !taken(name))
        .expect("some number is free")
}
