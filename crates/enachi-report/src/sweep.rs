//! A sweep's dataset, arranged for drawing: one view per sweep and per combination of its other axes.

use crate::ReportError;
use crate::published::{Achieved, Ran, Setting};
use crate::run::estimate::Estimate;
use enachi_data::sweep::{
    AxisInfo, Dataset, MANIFEST_FILE, OracleRow, PairRow, PointRow, SweepInfo, of_point,
};
use enachi_sim::scenario::{Scenario, parse};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A dataset and its views.
pub struct Sweep {
    /// As read.
    pub data: Dataset,
    /// One per sweep and combination of the axes that are not drawn across.
    pub views: Vec<View>,
    /// Points in the paper's setting.
    pub ran: Vec<Ran>,
}

/// Points of a sweep along one axis, the others held.
#[derive(Clone, Debug)]
pub struct View {
    /// Which sweep, in the manifest.
    pub sweep: usize,
    /// Short name for anchors and files, of letters, digits and hyphens.
    pub id: String,
    /// For people.
    pub title: String,
    /// Its axis.
    pub axis: AxisView,
    /// Numbers of its points, along the axis.
    pub points: Vec<u64>,
}

/// The axis that is drawn across.
#[derive(Clone, Debug)]
pub struct AxisView {
    /// Label with its unit.
    pub label: String,
    /// Unit; may be empty.
    pub unit: String,
    /// Whether it is logarithmic.
    pub log: bool,
    /// Where each point stands: the value of the first key, or its number where values are words.
    pub at: Vec<f64>,
    /// What each point is called, with its unit.
    pub names: Vec<String>,
    /// Whether values are words, or numbers of which the first key repeats some.
    pub words: bool,
}

impl AxisView {
    /// Point `index` for a sentence: `200 ms`, but `users = 15`.
    pub fn place(&self, index: usize) -> String {
        match self.unit.is_empty() {
            true => format!("{} = {}", self.label, self.names[index]),
            false => self.names[index].clone(),
        }
    }
}

impl Sweep {
    /// Whether `folder` looks like the output of a sweep.
    pub fn is_at(folder: &Path) -> bool {
        ["sweep.json", "points.parquet", "plan.json"]
            .iter()
            .any(|file| folder.join(file).is_file())
    }

    /// Read the dataset in `folder`.
    ///
    /// # Errors
    /// When it is unfinished, damaged, of another version, or holds no points.
    pub fn open(folder: &Path) -> Result<Self, ReportError> {
        let data = Dataset::read(folder)?;
        if data.points.is_empty() {
            return Err(ReportError::Empty {
                file: folder.join("points.parquet").display().to_string(),
            });
        }
        let manifest = folder.join(MANIFEST_FILE).display().to_string();
        let mut views = Vec::new();
        for (index, sweep) in data.manifest.sweeps.iter().enumerate() {
            views.extend(views_of(index, sweep, &manifest)?);
        }
        let ran = ran(&data, &manifest)?;
        Ok(Self { data, views, ran })
    }

    /// The sweep of a view.
    pub fn info(&self, view: &View) -> &SweepInfo {
        &self.data.manifest.sweeps[view.sweep]
    }

    /// The row of `policy` at `point`, unless it failed.
    pub fn row(&self, point: u64, policy: &str) -> Option<&PointRow> {
        let mut rows = of_point(&self.data.points, point, |r| r.point).iter();
        let row = rows.find(|row| row.policy == policy)?;
        (row.error.is_none() && row.device_frames > 0).then_some(row)
    }

    /// What the upper bound is at `point`, for every policy that ran there; nothing where it was not asked for.
    pub fn bounds(&self, point: u64) -> &[OracleRow] {
        of_point(&self.data.oracle, point, |r| r.point)
    }

    /// `policy` less `other` at `point`.
    pub fn pair(&self, point: u64, policy: &str, other: &str) -> Option<&PairRow> {
        of_point(&self.data.pairs, point, |r| r.point)
            .iter()
            .find(|row| row.policy == policy && row.other == other)
    }
}

fn damaged(manifest: &str, reason: String) -> ReportError {
    ReportError::Manifest {
        file: manifest.into(),
        reason,
    }
}

/// Words for a value of an axis.
fn value_name(value: &serde_json::Value, unit: &str) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => {
            let value = number.as_f64().unwrap_or(f64::NAN);
            let (value, unit) = in_unit(value, unit);
            if unit.is_empty() {
                crate::draw::scale::short(value)
            } else {
                format!("{} {unit}", crate::draw::scale::short(value))
            }
        }
        other => other.to_string(),
    }
}

/// Words for place `index` of an axis, all its keys.
fn place_name(info: &AxisInfo, index: usize) -> String {
    let values = info.values[index].iter().enumerate();
    let names = values.map(|(key, value)| value_name(value, &info.unit_of(key)));
    names.collect::<Vec<_>>().join(" / ")
}

/// A value in the unit that people read: Hz in MHz, s in ms.
fn in_unit(value: f64, unit: &str) -> (f64, &str) {
    match unit {
        "Hz" => (value / 1e6, "MHz"),
        "s" => (value * 1e3, "ms"),
        _ => (value, unit),
    }
}

/// One view per combination of all axes but the one with most values.
fn views_of(index: usize, sweep: &SweepInfo, manifest: &str) -> Result<Vec<View>, ReportError> {
    let sizes: Vec<usize> = sweep.axes.iter().map(|a| a.values.len()).collect();
    let total: usize = sizes.iter().product();
    if total as u64 != sweep.points || sizes.contains(&0) {
        return Err(damaged(
            manifest,
            format!(
                "sweep {:?} has {} points, its axes make {total}",
                sweep.name, sweep.points
            ),
        ));
    }
    // The first of the longest.
    let across = (0..sizes.len()).rev().max_by_key(|&axis| sizes[axis]);
    let Some(across) = across else {
        return Ok(Vec::new());
    };
    let stride: usize = sizes[across + 1..].iter().product();
    let axis = axis_view(sweep, across, manifest)?;
    let mut views = Vec::new();
    for first in 0..total {
        // The first point along the axis stands for its combination.
        if !(first / stride).is_multiple_of(sizes[across]) {
            continue;
        }
        let held: Vec<String> = (0..sizes.len())
            .filter(|&other| other != across)
            .map(|other| {
                let stride: usize = sizes[other + 1..].iter().product();
                let info = &sweep.axes[other];
                let index = first / stride % sizes[other];
                format!("{} {}", info.label, place_name(info, index))
            })
            .collect();
        let title = match held.as_slice() {
            [] => sweep.title.clone(),
            held => format!("{}: {}", sweep.title, held.join(", ")),
        };
        views.push(View {
            sweep: index,
            id: identifier(&sweep.name, views.len(), held.is_empty()),
            title,
            axis: axis.clone(),
            points: (0..sizes[across])
                .map(|i| sweep.first_point + (first + i * stride) as u64)
                .collect(),
        });
    }
    Ok(views)
}

fn identifier(name: &str, number: usize, only: bool) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    if only {
        plain
    } else {
        format!("{plain}-{}", number + 1)
    }
}

fn axis_view(sweep: &SweepInfo, across: usize, manifest: &str) -> Result<AxisView, ReportError> {
    let info = &sweep.axes[across];
    let mut firsts = Vec::new();
    for values in &info.values {
        let Some(first) = values.first() else {
            return Err(damaged(
                manifest,
                format!(
                    "axis {:?} of sweep {:?} has an empty value",
                    info.name, sweep.name
                ),
            ));
        };
        firsts.push(first);
    }
    let numbers: Option<Vec<f64>> = firsts.iter().map(|value| value.as_f64()).collect();
    // In-step keys may repeat the first one's value: then no place on a line of numbers tells points apart.
    let numbers = numbers.filter(|numbers| {
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.windows(2).all(|pair| pair[0] < pair[1])
    });
    let names: Vec<String> = (0..info.values.len())
        .map(|index| place_name(info, index))
        .collect();
    let words = numbers.is_none();
    let at = match numbers {
        Some(numbers) => numbers.iter().map(|v| in_unit(*v, &info.unit).0).collect(),
        None => (0..names.len()).map(|i| i as f64).collect(),
    };
    let unit = if words {
        ""
    } else {
        in_unit(0.0, &info.unit).1
    };
    let label = match unit {
        "" => info.label.clone(),
        unit => format!("{} [{unit}]", info.label),
    };
    Ok(AxisView {
        label,
        unit: unit.into(),
        log: info.scale == "log" && !words,
        at,
        names,
        words,
    })
}

/// Points in the paper's setting, with what was achieved there.
fn ran(data: &Dataset, manifest: &str) -> Result<Vec<Ran>, ReportError> {
    let mut by_point: BTreeMap<u64, Vec<Achieved>> = BTreeMap::new();
    let mut seeds: HashMap<(u64, &str), Vec<f64>> = HashMap::new();
    for row in &data.seeds {
        let key = (row.point, row.policy.as_str());
        seeds.entry(key).or_default().push(row.accuracy);
    }
    let pairs = data.pairs.iter().filter(|pair| pair.policy == "enachi");
    let leads: HashMap<(u64, &str), Estimate> = pairs
        .map(|pair| {
            let lead = Estimate {
                value: pair.accuracy_difference,
                low: pair.accuracy_difference_low,
                high: pair.accuracy_difference_high,
            };
            ((pair.point, pair.other.as_str()), lead)
        })
        .collect();
    for row in data.points.iter().filter(|r| r.error.is_none()) {
        let key = (row.point, row.policy.as_str());
        by_point.entry(row.point).or_default().push(Achieved {
            policy: row.policy.clone(),
            accuracy: Estimate {
                value: row.accuracy,
                low: row.accuracy_low,
                high: row.accuracy_high,
            },
            energy_j: Estimate {
                value: row.energy_settled_j,
                low: row.energy_settled_low_j,
                high: row.energy_settled_high_j,
            },
            trails_by: leads.get(&key).copied(),
            by_seed: seeds.remove(&key).unwrap_or_default(),
        });
    }
    let mut ran = Vec::new();
    for sweep in &data.manifest.sweeps {
        for point in sweep.first_point..sweep.first_point + sweep.points {
            let Some(policies) = by_point.remove(&point) else {
                continue;
            };
            // A scenario that this version cannot read is not held against the paper, and drawn all the same.
            let Ok(base) = parse(&sweep.scenario, manifest, &[]) else {
                continue;
            };
            let overrides = overrides(sweep, point - sweep.first_point);
            let Ok(scenario) = parse(&sweep.scenario, manifest, &overrides) else {
                continue;
            };
            if let Some(setting) = Setting::of(&unfilled(&base, scenario)) {
                ran.push(Ran { setting, policies });
            }
        }
    }
    Ok(ran)
}

/// Written out, a scenario repeats `[device]` in every group, where an axis over `[device]` does not reach it: groups that
/// said the same as `base`'s `[device]` follow it again.
fn unfilled(base: &Scenario, mut scenario: Scenario) -> Scenario {
    for (group, old) in scenario.devices.iter_mut().zip(&base.devices) {
        let was = old.resolved(&base.device);
        let mut now = group.resolved(&base.device);
        let device = &scenario.device;
        let follow = |now: &mut f64, was: f64, before: f64, after: f64| {
            if was == before {
                *now = after;
            }
        };
        follow(
            &mut now.deadline_s,
            was.deadline_s,
            base.device.deadline_s,
            device.deadline_s,
        );
        follow(
            &mut now.energy_budget_j,
            was.energy_budget_j,
            base.device.energy_budget_j,
            device.energy_budget_j,
        );
        follow(
            &mut now.frequency_hz,
            was.frequency_hz,
            base.device.frequency_hz,
            device.frequency_hz,
        );
        follow(
            &mut now.power_max_w,
            was.power_max_w,
            base.device.power_max_w,
            device.power_max_w,
        );
        group.deadline_s = Some(now.deadline_s);
        group.energy_budget_j = Some(now.energy_budget_j);
        group.frequency_hz = Some(now.frequency_hz);
        group.power_max_w = Some(now.power_max_w);
    }
    scenario
}

/// What the axes set at a point, as `key=value`.
fn overrides(sweep: &SweepInfo, mut number: u64) -> Vec<String> {
    let mut list = Vec::new();
    for axis in sweep.axes.iter().rev() {
        let size = axis.values.len().max(1) as u64;
        let values = axis.values.get((number % size) as usize);
        number /= size;
        for (key, value) in axis.keys.iter().zip(values.into_iter().flatten()) {
            list.push(format!("{key}={value}"));
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_in_step_are_all_named_and_never_share_a_place() {
        let sweep = |values: &[serde_json::Value]| SweepInfo {
            axes: vec![AxisInfo {
                label: "cell".into(),
                keys: vec!["devices.0.count".into(), "channel.bandwidth_hz".into()],
                values: (values.iter())
                    .map(|value| value.as_array().cloned().unwrap_or_default())
                    .collect(),
                ..AxisInfo::default()
            }],
            ..SweepInfo::default()
        };
        let view = |sweep: &SweepInfo| axis_view(sweep, 0, "sweep.json").expect("an axis");
        let repeated = view(&sweep(&[json!([1, 5e5]), json!([1, 1e6]), json!([2, 5e5])]));
        assert_eq!(repeated.names, ["1 / 0.5 MHz", "1 / 1 MHz", "2 / 0.5 MHz"]);
        assert_eq!((repeated.at, repeated.words), (vec![0.0, 1.0, 2.0], true));
        let distinct = view(&sweep(&[json!([5, 5e6]), json!([10, 8e6])]));
        assert_eq!(distinct.names, ["5 / 5 MHz", "10 / 8 MHz"]);
        assert_eq!((distinct.at, distinct.words), (vec![5.0, 10.0], false));
    }
}
