//! The figures of each group of devices, beside those of all together.

use crate::scenario::Scenario;
use crate::simulate::Records;
use crate::summary::{PolicySummary, figures};
use enachi_core::record::FrameRecord;
use serde::{Deserialize, Serialize};

/// One policy's figures in one group of devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// Group, as in `devices.N`.
    pub group: usize,
    /// What `devices.N.profile` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Devices.
    pub devices: u32,
    /// T \[s\].
    pub deadline_s: f64,
    /// Figures of the group, compared with those of the first policy in the same group.
    #[serde(flatten)]
    pub figures: PolicySummary,
}

/// Group of each device.
pub fn group_of_devices(scenario: &Scenario) -> Vec<usize> {
    let groups = scenario.devices.iter().enumerate();
    groups
        .flat_map(|(group, of)| std::iter::repeat_n(group, of.count as usize))
        .collect()
}

/// Figures by policy, then group; none where there is a single group.
pub fn summarise_groups(scenario: &Scenario, records: &Records) -> Vec<Vec<GroupSummary>> {
    let policies = records.names.policies.len();
    let mut by_policy: Vec<Vec<GroupSummary>> = vec![Vec::new(); policies];
    if scenario.devices.len() < 2 {
        return by_policy;
    }
    let group_of = group_of_devices(scenario);
    for (group, of) in scenario.devices.iter().enumerate() {
        let mut rows: Vec<Vec<&FrameRecord>> = vec![Vec::new(); policies];
        for record in &records.frames {
            if group_of[record.device as usize] == group {
                rows[usize::from(record.policy)].push(record);
            }
        }
        let values = of.resolved(&scenario.device);
        for (policy, mut figures) in figures(scenario, records, &rows).into_iter().enumerate() {
            figures.energy_budget_j = values.energy_budget_j;
            by_policy[policy].push(GroupSummary {
                group,
                profile: of.profile.clone(),
                devices: of.count,
                deadline_s: values.deadline_s,
                figures,
            });
        }
    }
    by_policy
}
