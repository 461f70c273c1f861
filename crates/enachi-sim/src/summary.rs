//! What each policy achieved: means, rates, and accuracy intervals by a two-level bootstrap over images (frames, on curve-only
//! profiles) and seeds ([`crate::bootstrap`]).

use crate::bootstrap::{Bootstrap, ClusterTally, ClusterWeights, Design, Replicates, Sketch};
use crate::oracle::OracleShare;
use crate::scenario::Scenario;
use crate::simulate::Records;
use crate::summary_groups::{GroupSummary, group_of_devices, summarise_groups};
use enachi_core::record::{FrameRecord, Outcome, StopReason};
use serde::{Deserialize, Serialize};

/// The table of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// One per policy, in the order in which they ran.
    pub policies: Vec<PolicySummary>,
}

/// One policy's figures, all seeds together. Accuracy, rates and means are over tasks, energies over all device-frames
/// (a device-frame without a task costs energy and answers nothing).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicySummary {
    /// Policy.
    pub policy: String,
    /// Share of right answers, ENACHI (10).
    pub accuracy: f64,
    /// The same without the warm-up frames, in which a policy may spend what it does not have: goes with
    /// [`PolicySummary::energy_after_warmup_j`].
    pub accuracy_after_warmup: f64,
    /// 95 % interval of the accuracy, lower end.
    pub accuracy_low: f64,
    /// 95 % interval, upper end.
    pub accuracy_high: f64,
    /// Accuracy less that of the first policy, paired.
    pub accuracy_difference: f64,
    /// 95 % interval of the paired difference, lower end.
    pub accuracy_difference_low: f64,
    /// 95 % interval of the paired difference, upper end.
    pub accuracy_difference_high: f64,
    /// Mean energy per device-frame \[J\].
    pub energy_j: f64,
    /// The same without the warm-up frames \[J\].
    pub energy_after_warmup_j: f64,
    /// Mean allowance Ē \[J\].
    pub energy_budget_j: f64,
    /// Mean energy of head and idling \[J\].
    pub energy_local_j: f64,
    /// Mean energy of the encoder \[J\].
    pub energy_codec_j: f64,
    /// Mean energy of the radio \[J\].
    pub energy_transmit_j: f64,
    /// Mean energy queue after the warm-up \[J\].
    pub mean_energy_queue_j: f64,
    /// Share of device-frames cut by the batch barrier.
    pub deadline_cut_rate: f64,
    /// Share released early by the stop rule.
    pub stop_rate: f64,
    /// Share that sent nothing.
    pub sent_nothing_rate: f64,
    /// Share run all on the device.
    pub local_rate: f64,
    /// Share without any feasible choice.
    pub infeasible_rate: f64,
    /// Share that the edge had no time for, whether they then ran all on the device or not at all.
    #[serde(default)]
    pub refused_rate: f64,
    /// Share in frames in which the policy failed, so that nobody sent.
    #[serde(default)]
    pub policy_failed_rate: f64,
    /// Times that the policy failed, all seeds together.
    #[serde(default)]
    pub failures: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// Mean bits that arrived.
    pub mean_bits: f64,
    /// Mean bandwidth \[Hz\].
    pub mean_bandwidth_hz: f64,
    /// Mean slots used.
    pub mean_slots: f64,
    /// Mean time from the start of a frame to its answer \[s\].
    pub mean_answer_time_s: f64,
    /// Share of each cut, by name, where chosen at all.
    pub cut_share: Vec<(String, f64)>,
    /// Device-frames counted.
    pub device_frames: u64,
    /// Device-frames that had a task.
    #[serde(default)]
    pub tasks: u64,
    /// Share of the tasks that arrived which found no place to wait.
    #[serde(default)]
    pub dropped_rate: f64,
    /// Mean time that tasks waited for their frame \[s\].
    #[serde(default)]
    pub mean_waiting_s: f64,
    /// The policy against the bound for all policies, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OracleShare>,
    /// The same for each group of devices, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSummary>,
}

/// Condense `records`.
pub fn summarise(scenario: &Scenario, records: &Records) -> Summary {
    let policies = records.names.policies.len();
    let mut rows: Vec<Vec<&FrameRecord>> = vec![Vec::new(); policies];
    for record in &records.frames {
        rows[usize::from(record.policy)].push(record);
    }
    let mut policies = figures(scenario, records, &rows);
    let groups = summarise_groups(scenario, records);
    for (index, (summary, groups)) in policies.iter_mut().zip(groups).enumerate() {
        (summary.failures, summary.first_failure) = failures(records, index);
        summary.groups = groups;
    }
    Summary { policies }
}

/// Figures of every policy over its `rows`.
pub(crate) fn figures(
    scenario: &Scenario,
    records: &Records,
    rows: &[Vec<&FrameRecord>],
) -> Vec<PolicySummary> {
    let (bootstrap, replicates) = bootstrap(scenario, rows);
    // Without any task there is nothing to know.
    let interval = |of: &Replicates| bootstrap.interval(of).unwrap_or([of.value; 2]);
    let summaries = rows
        .iter()
        .enumerate()
        .map(|(index, rows)| {
            let mut summary = condense(scenario, &records.names.policies[index], rows);
            summary.cut_share = cut_share(&records.names.cuts, rows);
            [summary.accuracy_low, summary.accuracy_high] = interval(&replicates[index]);
            [
                summary.accuracy_difference_low,
                summary.accuracy_difference_high,
            ] = interval(&replicates[index].less(&replicates[0]));
            summary
        })
        .collect::<Vec<_>>();
    let first = summaries.first().map_or(0.0, |s| s.accuracy);
    summaries
        .into_iter()
        .map(|mut summary| {
            summary.accuracy_difference = summary.accuracy - first;
            summary
        })
        .collect()
}

fn condense(scenario: &Scenario, policy: &str, rows: &[&FrameRecord]) -> PolicySummary {
    let mean = |value: &dyn Fn(&FrameRecord) -> f64| {
        rows.iter().map(|r| value(r)).sum::<f64>() / rows.len().max(1) as f64
    };
    let tasks: Vec<&&FrameRecord> = rows.iter().filter(|r| has_task(r)).collect();
    let n = tasks.len().max(1) as f64;
    let per_task =
        |value: &dyn Fn(&FrameRecord) -> f64| tasks.iter().map(|r| value(r)).sum::<f64>() / n;
    let rate = |outcome: Outcome| tasks.iter().filter(|r| r.outcome == outcome).count() as f64 / n;
    let queue = |r: &FrameRecord| r.tasks.unwrap_or_default();
    let count =
        |value: &dyn Fn(&FrameRecord) -> u32| rows.iter().map(|r| f64::from(value(r))).sum::<f64>();
    let arrived = count(&|r| queue(r).arrived);
    let dropped = count(&|r| queue(r).dropped);
    let settled: Vec<&&FrameRecord> = rows
        .iter()
        .filter(|r| r.frame >= scenario.warmup_frames)
        .collect();
    let late = |value: &dyn Fn(&FrameRecord) -> f64| {
        settled.iter().map(|r| value(r)).sum::<f64>() / settled.len().max(1) as f64
    };
    let devices = scenario.device_count().max(1) as f64;
    let budget: f64 = scenario
        .devices
        .iter()
        .map(|g| f64::from(g.count) * g.resolved(&scenario.device).energy_budget_j)
        .sum();
    PolicySummary {
        policy: policy.into(),
        accuracy: per_task(&|r| f64::from(u8::from(r.correct))),
        accuracy_after_warmup: {
            let late = tasks.iter().filter(|r| r.frame >= scenario.warmup_frames);
            let right = late.clone().filter(|r| r.correct).count() as f64;
            right / late.count().max(1) as f64
        },
        accuracy_low: 0.0,
        accuracy_high: 0.0,
        accuracy_difference: 0.0,
        accuracy_difference_low: 0.0,
        accuracy_difference_high: 0.0,
        energy_j: mean(&FrameRecord::energy_j),
        energy_after_warmup_j: late(&FrameRecord::energy_j),
        energy_budget_j: budget / devices,
        energy_local_j: mean(&|r| r.energy_local_j),
        energy_codec_j: mean(&|r| r.energy_codec_j),
        energy_transmit_j: mean(&|r| r.energy_transmit_j),
        mean_energy_queue_j: late(&|r| r.energy_queue_j),
        deadline_cut_rate: rate(Outcome::DeadlineCut),
        stop_rate: rate(Outcome::StoppedEarly),
        sent_nothing_rate: rate(Outcome::SentNothing),
        local_rate: rate(Outcome::Local),
        infeasible_rate: rate(Outcome::Infeasible),
        refused_rate: per_task(&|r| f64::from(u8::from(r.stop_reason == StopReason::EdgeFull))),
        policy_failed_rate: rate(Outcome::PolicyFailed),
        failures: 0,
        first_failure: None,
        mean_bits: per_task(&|r| r.bits),
        mean_bandwidth_hz: per_task(&|r| r.bandwidth_hz),
        mean_slots: per_task(&|r| f64::from(r.slots)),
        mean_answer_time_s: per_task(&|r| r.answer_time_s),
        cut_share: Vec::new(),
        device_frames: rows.len() as u64,
        tasks: tasks.len() as u64,
        dropped_rate: dropped / arrived.max(1.0),
        mean_waiting_s: per_task(&|r| f64::from(queue(r).waited_frames) * scenario.frame.length_s),
        oracle: None,
        groups: Vec::new(),
    }
}

fn has_task(record: &FrameRecord) -> bool {
    record.outcome != Outcome::NoTask
}

/// How often a policy failed, and the first time.
fn failures(records: &Records, policy: usize) -> (u64, Option<String>) {
    let mut own = records
        .failures
        .iter()
        .filter(|failed| usize::from(failed.policy) == policy);
    let first = own.next();
    let text = first.map(|f| format!("seed {}, frame {}: {}", f.seed, f.frame, f.failure));
    (own.count() as u64 + u64::from(first.is_some()), text)
}

fn cut_share(cuts: &[String], rows: &[&FrameRecord]) -> Vec<(String, f64)> {
    let n = rows.iter().filter(|r| has_task(r)).count().max(1) as f64;
    let count = |cut: usize| {
        rows.iter()
            .filter(|r| r.cut.map(usize::from) == Some(cut))
            .count() as f64
            / n
    };
    cuts.iter()
        .enumerate()
        .map(|(index, name)| (name.clone(), count(index)))
        .filter(|(_, share)| *share > 0.0)
        .collect()
}

/// Which images are whose.
struct Networks {
    /// Network of each device.
    of_device: Vec<usize>,
    /// Images of the networks before.
    first: Vec<usize>,
    /// Images of all networks.
    images: usize,
}

impl Networks {
    fn new(scenario: &Scenario, rows: &[Vec<&FrameRecord>]) -> Self {
        let mut known: Vec<&Option<String>> = Vec::new();
        let mut of_device = Vec::with_capacity(scenario.device_count());
        for group in group_of_devices(scenario) {
            let key = &scenario.devices[group].profile;
            let network = known.iter().position(|k| *k == key).unwrap_or_else(|| {
                known.push(key);
                known.len() - 1
            });
            of_device.push(network);
        }
        let mut count = vec![0; known.len()];
        for row in rows.iter().flatten() {
            let count = &mut count[of_device[row.device as usize]];
            *count = (*count).max(row.image.map_or(0, |image| image as usize + 1));
        }
        let mut images = 0;
        let first = count
            .iter()
            .map(|count| {
                images += count;
                images - count
            })
            .collect();
        Self {
            of_device,
            first,
            images,
        }
    }
}

/// Accuracies of every policy in every replicate.
fn bootstrap(scenario: &Scenario, rows: &[Vec<&FrameRecord>]) -> (Bootstrap, Vec<Replicates>) {
    // The image, or without images the frame; every network has images of its own.
    let networks = Networks::new(scenario, rows);
    let cluster = |r: &FrameRecord| match r.image {
        Some(image) => networks.first[networks.of_device[r.device as usize]] + image as usize,
        None => networks.images + r.frame as usize,
    };
    let design = match networks.images {
        0 => Design::Nested,
        _ => Design::Crossed,
    };
    let all = rows.iter().flatten().filter(|r| has_task(r));
    let clusters = all.map(|r| cluster(r) + 1).max().unwrap_or(0);
    let (replicates, seeds) = (
        scenario.output.bootstrap_replicates,
        scenario.seeds as usize,
    );
    let weights = ClusterWeights::new(scenario.seed, replicates, clusters);
    let bootstrap = Bootstrap::new(design, scenario.seed, replicates, seeds);
    let accuracy = |rows: &Vec<&FrameRecord>| {
        let mut tallies = vec![ClusterTally::new(clusters); seeds];
        for row in rows.iter().filter(|r| has_task(r)) {
            let seed = row.seed.wrapping_sub(scenario.seed) as usize;
            tallies[seed].add(cluster(row), row.correct);
        }
        let sketches: Vec<Sketch> = tallies.iter().map(|tally| weights.sketch(tally)).collect();
        let seeds: Vec<(u64, u64, &Sketch)> = tallies
            .iter()
            .zip(&sketches)
            .map(|(tally, sketch)| (tally.right(), tally.count(), sketch))
            .collect();
        bootstrap.accuracy(&seeds)
    };
    let replicates = rows.iter().map(accuracy).collect();
    (bootstrap, replicates)
}
