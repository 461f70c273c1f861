//! From the tallies of a point to the rows of the dataset.

use crate::oracle::{Bound, Bounds};
use crate::plan::{Plan, PointPlan};
use crate::tally::{BITS_BINS, Bin, DeviceTally, FRACTION_BINS, SLOT_BINS, Tally};
use enachi_core::record::{Outcome, StopReason};
use enachi_data::sweep::{
    AxisColumn, AxisValues, CutRow, DeviceRow, ExampleRow, HistogramRow, OracleRow, PointRow,
    PointTables, SeedRow, SlotRow, TrajectoryRow,
};
use enachi_sim::bootstrap::{Bootstrap, Replicates};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What came of one policy at one point, or why nothing did in any seed.
pub type PolicyOutcome = Result<Seeds, String>;

/// Keys that axes set, in the order of the file, and whether all their values are numbers.
pub fn axis_columns(plan: &Plan) -> Vec<(String, bool)> {
    let mut columns: Vec<(String, bool)> = Vec::new();
    for axis in plan.sweeps.iter().flat_map(|sweep| &sweep.axes) {
        for (index, key) in axis.keys.iter().enumerate() {
            let numbers = axis.values.iter().all(|value| value[index].is_number());
            match columns.iter_mut().find(|(known, _)| known == key) {
                Some((_, all)) => *all &= numbers,
                None => columns.push((key.clone(), numbers)),
            }
        }
    }
    columns
}

/// All rows of point number `point`; `outcomes` has one entry per policy, `bounds` one per seed of the upper bound.
pub fn tables(
    plan: &Plan,
    columns: &[(String, bool)],
    point: usize,
    outcomes: &[PolicyOutcome],
    bounds: &[Bounds],
) -> PointTables {
    let of = &plan.points[point];
    let at = At {
        plan: of,
        bootstraps: RefCell::default(),
        sweep: &plan.sweeps[of.sweep].name,
        point: point as u64,
    };
    let policies = plan.policies(point);
    let mut tables = PointTables {
        axes: axis_values(&plan.points[point], columns, policies.len()),
        ..PointTables::default()
    };
    let mut drawn: Vec<Option<Drawn<'_>>> = Vec::with_capacity(policies.len());
    for (policy, outcome) in policies.iter().zip(outcomes) {
        match outcome {
            Err(error) => {
                tables.points.push(at.failed(policy, error));
                drawn.push(None);
            }
            Ok(seeds) => {
                let of = at.drawn(seeds, &seeds.numbers);
                tables
                    .points
                    .push(at.point_row(policy, &seeds.tallies, &of));
                at.details(policy, seeds, &mut tables);
                drawn.push(Some(of));
            }
        }
    }
    let bounded = policies.iter().enumerate();
    tables.oracle = bounded
        .filter_map(|(index, policy)| at.oracle(policy, index, bounds))
        .collect();
    tables.pairs = at.pairs(policies, &drawn);
    tables
}

fn axis_values(point: &PointPlan, columns: &[(String, bool)], rows: usize) -> Vec<AxisColumn> {
    let column = |(key, number): &(String, bool)| {
        let value = point
            .values
            .iter()
            .find(|(set, _)| set == key)
            .map(|(_, value)| value);
        let values = if *number {
            AxisValues::Number(vec![value.and_then(serde_json::Value::as_f64); rows])
        } else {
            let text = value.map(|value| match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            AxisValues::Text(vec![text; rows])
        };
        AxisColumn {
            key: key.clone(),
            values,
        }
    };
    columns.iter().map(column).collect()
}

/// Figures of a policy with all that intervals need.
struct Drawn<'a> {
    seeds: &'a Seeds,
    bootstrap: Rc<Bootstrap>,
    accuracy: Replicates,
    settled_j: Replicates,
}

/// Keys of the rows of a point.
struct At<'a> {
    plan: &'a PointPlan,
    /// By the number of seeds, which is smaller where some failed.
    bootstraps: RefCell<BTreeMap<usize, Rc<Bootstrap>>>,
    sweep: &'a str,
    point: u64,
}

/// Fills the first three columns.
macro_rules! keyed {
    ($at:expr, $policy:expr, $row:ident { $($rest:tt)* }) => {
        $row { sweep: $at.sweep.to_owned(), point: $at.point, policy: $policy.to_owned(), $($rest)* }
    };
}

// Below the macro, which they use.
mod pairs;
mod seeds;

pub use seeds::Seeds;

fn per(sum: f64, count: u64) -> f64 {
    if count > 0 {
        sum / count as f64
    } else {
        f64::NAN
    }
}

fn share(part: u64, whole: u64) -> f64 {
    per(part as f64, whole)
}

/// Jain's index (Σx)²/(N Σx²); 1 where all are equal, 0 with them.
fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|x| x * x).sum();
    if squares == 0.0 {
        1.0
    } else {
        sum * sum / (values.len() as f64 * squares)
    }
}

fn total(seeds: &[Tally], value: impl Fn(&Tally) -> f64) -> f64 {
    seeds.iter().map(value).sum()
}

fn count(seeds: &[Tally], value: impl Fn(&Tally) -> u64) -> u64 {
    seeds.iter().map(value).sum()
}

impl At<'_> {
    fn failed(&self, policy: &str, error: &str) -> PointRow {
        let mut row = keyed!(
            self,
            policy,
            PointRow {
                error: Some(error.to_owned()),
                ..PointRow::default()
            }
        );
        for figure in figures(&mut row) {
            *figure = f64::NAN;
        }
        row
    }

    fn point_row(&self, policy: &str, seeds: &[Tally], drawn: &Drawn<'_>) -> PointRow {
        let n = count(seeds, |t| t.device_frames);
        let tasks = count(seeds, |t| t.tasks);
        let mean = |value: &dyn Fn(&Tally) -> f64| per(total(seeds, value), n);
        let per_task = |value: &dyn Fn(&Tally) -> f64| per(total(seeds, value), tasks);
        let rate = |outcome: Outcome| share(count(seeds, |t| t.outcomes[outcome as usize]), tasks);
        let [accuracy_low, accuracy_high] = drawn.interval(&drawn.accuracy);
        let [energy_settled_low_j, energy_settled_high_j] = drawn.interval(&drawn.settled_j);
        let by_seed: Vec<f64> = seeds.iter().map(|t| per(t.bits, t.tasks)).collect();
        let [bits_low, bits_high] = drawn.interval(&drawn.bootstrap.mean(&by_seed));
        let several = seeds.first().is_some_and(|tally| tally.devices.len() > 1);
        let over_seeds = |value: &dyn Fn(&[DeviceTally]) -> f64| {
            let values = seeds.iter().map(|tally| value(&tally.devices));
            if several {
                per(values.sum(), seeds.len() as u64)
            } else {
                f64::NAN
            }
        };
        // A device without a task has no accuracy.
        let accuracies = |devices: &[DeviceTally]| -> Vec<f64> {
            let with_task = devices.iter().filter(|device| device.tasks > 0);
            with_task
                .map(|device| share(device.right, device.tasks))
                .collect()
        };
        let energies = |devices: &[DeviceTally]| -> Vec<f64> {
            devices.iter().map(|device| device.energy_j).collect()
        };
        let budget_j = seeds.first().map_or(f64::NAN, |tally| {
            let sum: f64 = tally.devices.iter().map(|device| device.budget_j).sum();
            per(sum, tally.devices.len() as u64)
        });
        let frame_s = f64::from(self.plan.slots) * self.plan.slot_s;
        keyed!(
            self,
            policy,
            PointRow {
                error: None,
                seeds: seeds.len() as u64,
                frames: u64::from(self.plan.frames),
                devices: self.plan.devices,
                device_frames: n,
                tasks,
                failed_frames: count(seeds, |t| t.failed_frames),
                accuracy: share(count(seeds, |t| t.right), tasks),
                accuracy_low,
                accuracy_high,
                accuracy_settled: share(
                    count(seeds, |t| t.settled_right),
                    count(seeds, |t| t.settled_tasks),
                ),
                energy_j: mean(&|t| t.energy_j.iter().sum()),
                energy_local_j: mean(&|t| t.energy_j[0]),
                energy_codec_j: mean(&|t| t.energy_j[1]),
                energy_transmit_j: mean(&|t| t.energy_j[2]),
                energy_settled_j: per(
                    total(seeds, |t| t.settled_energy_j),
                    count(seeds, |t| t.settled_frames)
                ),
                energy_settled_low_j,
                energy_settled_high_j,
                energy_budget_j: budget_j,
                energy_queue_j: per(
                    total(seeds, |t| t.settled_queue_j),
                    count(seeds, |t| t.settled_frames)
                ),
                bits: per_task(&|t| t.bits),
                bits_low,
                bits_high,
                fraction: per(total(seeds, |t| t.fraction), count(seeds, |t| t.sent)),
                bandwidth_hz: per_task(&|t| t.bandwidth_hz),
                slots: per_task(&|t| t.slots as f64),
                answer_time_s: per_task(&|t| t.answer_time_s),
                planned_accuracy: per_task(&|t| t.planned_accuracy),
                dropped: share(count(seeds, |t| t.dropped), count(seeds, |t| t.arrived)),
                waiting_s: per_task(&|t| t.waited_frames as f64) * frame_s,
                delivered: rate(Outcome::Delivered),
                stopped_early: rate(Outcome::StoppedEarly),
                deadline_cut: rate(Outcome::DeadlineCut),
                sent_nothing: rate(Outcome::SentNothing),
                local: rate(Outcome::Local),
                infeasible: rate(Outcome::Infeasible),
                fairness_accuracy: over_seeds(&|devices| jain(&accuracies(devices))),
                fairness_energy: over_seeds(&|devices| jain(&energies(devices))),
                worst_device_accuracy: over_seeds(&|devices| {
                    accuracies(devices)
                        .into_iter()
                        .fold(f64::INFINITY, f64::min)
                }),
            }
        )
    }

    /// Every row but those of `points` and `pairs`.
    fn details(&self, policy: &str, seeds: &Seeds, tables: &mut PointTables) {
        let (numbers, seeds) = (&seeds.numbers, seeds.tallies.as_slice());
        let n = count(seeds, |t| t.tasks);
        for (number, tally) in numbers.iter().zip(seeds) {
            let seed = self.plan.first_seed.wrapping_add(*number as u64);
            tables.seeds.push(self.seed_row(policy, seed, tally));
            let devices = tally.devices.iter().enumerate();
            tables.devices.extend(
                devices.map(|(index, device)| self.device_row(policy, seed, index, device)),
            );
        }
        // All seeds share the profile's cuts, though not each chooses all of them.
        let mut cuts: Vec<(&str, u64)> = Vec::new();
        for (cut, chosen) in seeds.iter().flat_map(|tally| &tally.cuts) {
            match cuts.iter_mut().find(|(known, _)| known == cut) {
                Some((_, sum)) => *sum += chosen,
                None => cuts.push((cut, *chosen)),
            }
        }
        tables.cuts.extend(cuts.into_iter().map(|(cut, chosen)| {
            keyed!(
                self,
                policy,
                CutRow {
                    cut: cut.to_owned(),
                    share: share(chosen, n)
                }
            )
        }));
        let slots = f64::from(self.plan.slots);
        let slot_edge = |bin: usize| slots * bin as f64 / SLOT_BINS as f64;
        self.histogram(
            policy,
            "stop_slot",
            seeds,
            |t| &t.stop_slots,
            SLOT_BINS,
            slot_edge,
            tables,
        );
        let edge = |bin: usize| bin as f64 / FRACTION_BINS as f64;
        self.histogram(
            policy,
            "fraction",
            seeds,
            |t| &t.fractions,
            FRACTION_BINS,
            edge,
            tables,
        );
        let edge = |bin: usize| (bin as f64 / 4.0).exp2();
        self.histogram(
            policy,
            "bits",
            seeds,
            |t| &t.bits_bins,
            BITS_BINS,
            edge,
            tables,
        );
        self.trajectory(policy, seeds, tables);
        self.example(policy, seeds, tables);
    }

    fn seed_row(&self, policy: &str, seed: u64, t: &Tally) -> SeedRow {
        let n = t.device_frames;
        keyed!(
            self,
            policy,
            SeedRow {
                seed,
                device_frames: n,
                accuracy: share(t.right, t.tasks),
                energy_j: per(t.energy_j.iter().sum(), n),
                energy_settled_j: settled_energy_j(t),
                energy_transmit_j: per(t.energy_j[2], n),
                energy_queue_j: per(t.settled_queue_j, t.settled_frames),
                bits: per(t.bits, t.tasks),
                deadline_cut: share(t.outcomes[Outcome::DeadlineCut as usize], t.tasks),
                stopped_early: share(t.outcomes[Outcome::StoppedEarly as usize], t.tasks),
            }
        )
    }

    fn device_row(&self, policy: &str, seed: u64, index: usize, device: &DeviceTally) -> DeviceRow {
        let frames = u64::from(self.plan.frames);
        let settled = frames.saturating_sub(u64::from(self.plan.warmup_frames));
        keyed!(
            self,
            policy,
            DeviceRow {
                seed,
                device: index as u64,
                accuracy: share(device.right, device.tasks),
                energy_j: per(device.energy_j, frames),
                energy_settled_j: per(device.settled_energy_j, settled),
                energy_budget_j: device.budget_j,
                bits: per(device.bits, device.tasks),
            }
        )
    }

    #[allow(clippy::too_many_arguments)]
    fn histogram(
        &self,
        policy: &str,
        quantity: &str,
        seeds: &[Tally],
        bins: impl Fn(&Tally) -> &Vec<Bin>,
        size: usize,
        edge: impl Fn(usize) -> f64,
        tables: &mut PointTables,
    ) {
        let mut counts = vec![0; StopReason::ALL.len() * size];
        for Bin(reason, bin, count) in seeds.iter().flat_map(bins) {
            // A journal is checked for damage, not for sense.
            if let Some(sum) = counts.get_mut(usize::from(*reason) * size + usize::from(*bin)) {
                *sum += count;
            }
        }
        let filled = counts
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count > 0);
        tables.histograms.extend(filled.map(|(index, count)| {
            keyed!(
                self,
                policy,
                HistogramRow {
                    quantity: quantity.into(),
                    category: StopReason::ALL[index / size].name().into(),
                    bin_low: edge(index % size),
                    bin_high: edge(index % size + 1),
                    count,
                }
            )
        }));
    }

    fn trajectory(&self, policy: &str, seeds: &[Tally], tables: &mut PointTables) {
        let windows = seeds
            .iter()
            .map(|tally| tally.windows.len())
            .min()
            .unwrap_or(0);
        let frames = u64::from(self.plan.frames);
        let budget_j = seeds.first().map_or(0.0, |tally| {
            tally
                .devices
                .iter()
                .map(|device| device.budget_j)
                .sum::<f64>()
                / tally.devices.len().max(1) as f64
        });
        let mut cumulative_energy_j = 0.0;
        // Frame f falls into window ⌊f·windows/frames⌋.
        let first_frame = |window: u64| (window * frames).div_ceil(windows as u64);
        for window in 0..windows {
            let of = || seeds.iter().map(|tally| &tally.windows[window]);
            let n: u64 = of().map(|w| w.device_frames).sum();
            let queues = || of().map(|w| per(w.queue_j, w.device_frames));
            let energy_j = per(of().map(|w| w.energy_j).sum(), n);
            let (first, end) = (first_frame(window as u64), first_frame(window as u64 + 1));
            cumulative_energy_j += energy_j * (end - first) as f64;
            tables.trajectories.push(keyed!(
                self,
                policy,
                TrajectoryRow {
                    first_frame: first,
                    end_frame: end,
                    energy_queue_j: per(of().map(|w| w.queue_j).sum(), n),
                    energy_queue_least_j: queues().fold(f64::INFINITY, f64::min),
                    energy_queue_most_j: queues().fold(f64::NEG_INFINITY, f64::max),
                    energy_j,
                    cumulative_energy_j,
                    cumulative_budget_j: budget_j * end as f64,
                    accuracy: share(of().map(|w| w.right).sum(), of().map(|w| w.tasks).sum()),
                }
            ));
        }
    }

    fn example(&self, policy: &str, seeds: &[Tally], tables: &mut PointTables) {
        let Some(of) = seeds.first().and_then(|tally| tally.example.as_ref()) else {
            return;
        };
        let (seed, frame, device) = (of.seed, u64::from(of.frame), 0);
        tables.examples.push(keyed!(
            self,
            policy,
            ExampleRow {
                seed,
                frame,
                device,
                cut: of.cut.clone(),
                stream: of.stream.clone(),
                bandwidth_hz: of.bandwidth_hz,
                reference_power_w: of.reference_power_w,
                planned_bits: of.planned_bits,
                bits: of.bits,
                fraction: of.fraction,
                outcome: of.outcome.clone(),
                stop_reason: of.stop_reason.clone(),
                correct: of.correct,
                energy_j: of.energy_j,
                energy_transmit_j: of.energy_transmit_j,
                energy_queue_j: of.energy_queue_j,
                slots: u64::from(of.slots_used),
                ready_time_s: of.times_s[0],
                sent_time_s: of.times_s[1],
                batch_time_s: of.times_s[2],
                answer_time_s: of.times_s[3],
                slot_s: self.plan.slot_s,
            }
        ));
        tables
            .slots
            .extend(of.slots.iter().map(|(slot, checkpoint, values)| {
                let [gain, power_w, bits, power_queue_w] = *values;
                keyed!(
                    self,
                    policy,
                    SlotRow {
                        seed,
                        frame,
                        device,
                        slot: u64::from(*slot),
                        gain,
                        power_w,
                        bits,
                        power_queue_w,
                        checkpoint: u64::from(*checkpoint),
                    }
                )
            }));
    }

    /// The bound of policy number `index`, unless it failed in some seed. Seeds count by the worth of their tasks.
    fn oracle(&self, policy: &str, index: usize, bounds: &[Bounds]) -> Option<OracleRow> {
        let of_seed = |bounds: &Bounds| bounds.policies.get(index).copied().flatten();
        let seeds: Vec<Bound> = bounds.iter().map(of_seed).collect::<Option<_>>()?;
        let plan = self.plan.oracle.filter(|_| !seeds.is_empty())?;
        let sum = |of: &dyn Fn(&Bound) -> f64| seeds.iter().map(of).sum::<f64>();
        let worth = sum(&|b| b.worth);
        let mean = |of: &dyn Fn(&Bound) -> f64| sum(&|b| b.worth * of(b)) / worth;
        let device_frames: u64 = seeds.iter().map(|b| b.device_frames).sum();
        let accuracy = mean(&|b| b.accuracy);
        let (bound, blind_bound) = (mean(&|b| b.bound), mean(&|b| b.blind_bound));
        let of = |bound: f64| {
            if bound > 0.0 {
                accuracy / bound
            } else {
                f64::NAN
            }
        };
        Some(keyed!(
            self,
            policy,
            OracleRow {
                seeds: seeds.len() as u64,
                frames: u64::from(plan.frames),
                tasks: seeds.iter().map(|b| b.tasks).sum(),
                accuracy,
                energy_j: per(sum(&|b| b.energy_j), device_frames),
                bound,
                share: of(bound),
                kept: mean(&|b| b.kept),
                blind_bound,
                blind_share: of(blind_bound),
            }
        ))
    }
}

fn settled_energy_j(tally: &Tally) -> f64 {
    per(tally.settled_energy_j, tally.settled_frames)
}

/// All figures of a row.
fn figures(row: &mut PointRow) -> [&mut f64; 32] {
    [
        &mut row.accuracy,
        &mut row.accuracy_low,
        &mut row.accuracy_high,
        &mut row.accuracy_settled,
        &mut row.energy_j,
        &mut row.energy_local_j,
        &mut row.energy_codec_j,
        &mut row.energy_transmit_j,
        &mut row.energy_settled_j,
        &mut row.energy_settled_low_j,
        &mut row.energy_settled_high_j,
        &mut row.energy_budget_j,
        &mut row.energy_queue_j,
        &mut row.bits,
        &mut row.bits_low,
        &mut row.bits_high,
        &mut row.fraction,
        &mut row.bandwidth_hz,
        &mut row.slots,
        &mut row.answer_time_s,
        &mut row.planned_accuracy,
        &mut row.dropped,
        &mut row.waiting_s,
        &mut row.delivered,
        &mut row.stopped_early,
        &mut row.deadline_cut,
        &mut row.sent_nothing,
        &mut row.local,
        &mut row.infeasible,
        &mut row.fairness_accuracy,
        &mut row.fairness_energy,
        &mut row.worst_device_accuracy,
    ]
}
