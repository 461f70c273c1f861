//! What share of the bound each policy of a run reaches.

use super::{Choices, Energies, Knowledge, OracleBound, effort, oracle_bound};
use crate::deployment::Deployment;
use crate::policies::PolicyFactory;
use crate::simulate::{Monitor, Records, SimulateError};
use crate::variant::Variant;
use enachi_core::profile::Uncertainty;
use enachi_core::record::Outcome;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// A policy against the bound for the energy it spent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OracleShare {
    /// No policy is right more often with the larger of the allowance and what this one spent, device by device and seed by
    /// seed; a share of tasks weighted by device.
    pub bound: f64,
    /// The policy's accuracy, weighted likewise.
    pub accuracy: f64,
    /// Accuracy over bound.
    pub share: f64,
    /// `bound` is loose by at most the difference to this (0 if nothing is known of that).
    pub kept: f64,
    /// The bound if answers are known only as well as their uncertainty tells that the policy's stop rule sees
    /// ([`Knowledge::Uncertainty`]).
    pub uncertain_bound: f64,
    /// Accuracy over that.
    pub uncertain_share: f64,
}

/// Bound every policy of a finished run. In the order of the scenario's policies.
///
/// # Errors
/// Where the scenario's policies cannot be made, which a run has already ruled out.
pub fn oracle_shares(
    deployment: &Deployment,
    factory: &PolicyFactory,
    records: &Records,
    cancel: &AtomicBool,
    monitor: &impl Monitor,
) -> Result<Vec<OracleShare>, SimulateError> {
    let scenario = &deployment.scenario;
    let seeds: Vec<u64> = scenario.seed_range().collect();
    let spent = spent(deployment, records);
    // Policies with the same choices and the same view of uncertainty share their passes.
    let mut groups: Vec<((Choices, Uncertainty), Vec<usize>)> = Vec::new();
    for (index, label) in scenario.policies.iter().enumerate() {
        let variant = Variant::parse(label, &scenario.packet, &scenario.task)?;
        let policy = factory.make(&variant.policy)?;
        let offered = factory.offered(&variant.policy);
        let offer = deployment.offer(policy.stream_use(), offered, variant.curve, None)?;
        let mut choices = Choices::of_planners(deployment)?;
        choices.add(&offer);
        let key = (choices, variant.packet.uncertainty.into());
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, policies)) => policies.push(index),
            None => groups.push((key, vec![index])),
        }
    }
    let cases = scenario.policies.len();
    let kinds = |uncertainty| [Knowledge::Answers, Knowledge::Uncertainty(uncertainty)];
    let efforts = kinds(Uncertainty::Tail).map(|knowledge| effort(deployment, knowledge, cases));
    monitor.expect(efforts.iter().sum());
    let mut bounds: Vec<Option<[OracleBound; 2]>> = vec![None; cases];
    for ((choices, uncertainty), mut policies) in groups {
        // The cheapest first: at the allowance, where most are.
        let total = |policy: &usize| spent[*policy].iter().flatten().sum::<f64>();
        policies.sort_by(|a, b| total(a).total_cmp(&total(b)));
        let energies: Vec<Energies> = policies.iter().map(|p| spent[*p].clone()).collect();
        let of = |knowledge| {
            oracle_bound(
                deployment, &choices, knowledge, &seeds, &energies, cancel, monitor,
            )
        };
        let [answers, uncertainty] = kinds(uncertainty).map(of);
        let both = answers.into_iter().zip(uncertainty);
        for (policy, (answers, uncertainty)) in policies.iter().zip(both) {
            bounds[*policy] = Some([answers, uncertainty]);
        }
    }
    let shares = bounds.into_iter().enumerate().map(|(policy, bounds)| {
        let [answers, uncertainty] = bounds.expect("every policy is in a group");
        let accuracy = weighted_accuracy(deployment, records, policy);
        OracleShare {
            bound: answers.accuracy,
            accuracy,
            share: accuracy / answers.accuracy,
            kept: answers.kept_accuracy,
            uncertain_bound: uncertainty.accuracy,
            uncertain_share: accuracy / uncertainty.accuracy,
        }
    });
    Ok(shares.collect())
}

/// max(Ē, what was spent) per frame, by policy, seed and device \[J\].
fn spent(deployment: &Deployment, records: &Records) -> Vec<Energies> {
    let scenario = &deployment.scenario;
    let frames = f64::from(scenario.frames);
    let per_seed = vec![vec![0.0; deployment.devices.len()]; scenario.seeds as usize];
    let mut spent = vec![per_seed; scenario.policies.len()];
    for record in &records.frames {
        let seed = record.seed.wrapping_sub(scenario.seed) as usize;
        spent[usize::from(record.policy)][seed][record.device as usize] += record.energy_j();
    }
    for by_seed in spent.iter_mut().flatten() {
        for (energy, device) in by_seed.iter_mut().zip(&deployment.devices) {
            *energy = (*energy / frames).max(device.values.energy_budget_j);
        }
    }
    spent
}

fn weighted_accuracy(deployment: &Deployment, records: &Records, policy: usize) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for record in &records.frames {
        if usize::from(record.policy) == policy && record.outcome != Outcome::NoTask {
            let weight = deployment.devices[record.device as usize].values.weight;
            all += weight;
            right += weight * f64::from(u8::from(record.correct));
        }
    }
    if all > 0.0 { right / all } else { 0.0 }
}
