//! Devices of a run beside each other, and how even their shares are.

use super::{Figure, jain};
use crate::draw::Sheet;
use crate::draw::scale::{Scale, short};
use crate::draw::strips::{Strip, Strips};
use crate::run::Run;
use crate::run::tally::{PolicyTally, Sums};

/// One policy's fairness.
pub struct Fairness {
    /// Jain's index of the devices' accuracies.
    pub accuracy: Option<f64>,
    /// Jain's index of the devices' energies as shares of their allowances.
    pub energy: Option<f64>,
    /// Least accuracy of a device.
    pub worst: f64,
    /// Greatest accuracy of a device.
    pub best: f64,
    /// Largest share of its allowance that a device spends.
    pub most_spent: f64,
}

fn device_values(run: &Run, tally: &PolicyTally) -> Vec<(f64, f64)> {
    tally
        .by_device
        .iter()
        .zip(&run.budgets_j)
        .filter(|(sums, _)| sums.tasks > 0.0)
        .map(|(sums, budget)| (sums.accuracy(), sums.energy_j() / budget))
        .collect()
}

/// Fairness of every policy.
pub fn fairness(run: &Run) -> Vec<Fairness> {
    let over = |values: &[f64], pick: fn(f64, f64) -> f64, start: f64| {
        values.iter().copied().fold(start, pick)
    };
    run.tally
        .policies
        .iter()
        .map(|tally| {
            let (accuracies, energies): (Vec<f64>, Vec<f64>) =
                device_values(run, tally).into_iter().unzip();
            Fairness {
                accuracy: jain(&accuracies),
                energy: jain(&energies),
                worst: over(&accuracies, f64::min, 1.0),
                best: over(&accuracies, f64::max, 0.0),
                most_spent: over(&energies, f64::max, 0.0),
            }
        })
        .collect()
}

/// Devices beside each other.
pub fn devices(run: &Run) -> Option<Figure> {
    if run.extent.devices < 2 {
        return None;
    }
    let strip = |index: usize, of: fn(&Sums, f64) -> f64, unit: &str| {
        let tally = &run.tally.policies[index];
        let dots: Vec<(f64, String)> = tally
            .by_device
            .iter()
            .zip(&run.budgets_j)
            .enumerate()
            .filter(|(_, (sums, _))| sums.tasks > 0.0)
            .map(|(device, (sums, budget))| {
                let value = of(sums, *budget);
                let tip = format!(
                    "{}, device {device}\n{} {unit}",
                    run.policy(index),
                    short(value)
                );
                (value, tip)
            })
            .collect();
        let ends = dots
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), d| {
                (low.min(d.0), high.max(d.0))
            });
        Strip {
            name: run.policy(index).into(),
            category: index,
            range: (!dots.is_empty()).then_some(ends),
            dots,
            ..Strip::default()
        }
    };
    let all = |of: fn(&Sums, f64) -> f64, unit: &str| -> Vec<Strip> {
        (0..run.extent.policies.len())
            .map(|index| strip(index, of, unit))
            .collect()
    };
    let values = |rows: &[Strip]| -> Vec<f64> {
        rows.iter()
            .flat_map(|r| r.dots.iter().map(|d| d.0))
            .collect()
    };
    let accuracy = all(|sums, _| sums.accuracy() * 100.0, "%");
    let energy = all(
        |sums, budget| sums.energy_j() / budget * 100.0,
        "% of its allowance",
    );
    let scales = [
        Scale::over(values(&accuracy).into_iter(), false),
        Scale::over(values(&energy).into_iter().chain([100.0]), true),
    ];
    let panel = |label: &str, scale, rows, rule, named, width| Strips {
        title: String::new(),
        label: label.into(),
        scale,
        rows,
        rule,
        named,
        width,
    };
    let panels = [
        panel(
            "accuracy of a device [%]",
            scales[0],
            accuracy,
            None,
            true,
            470.0,
        ),
        panel(
            "energy of a device [% of its allowance]",
            scales[1],
            energy,
            Some((100.0, "allowance".into())),
            true,
            470.0,
        ),
    ];
    Some(Figure::new(
        "devices",
        "Devices beside each other",
        "One dot per device, over all seeds.".into(),
        Sheet {
            legend: Vec::new(),
            panels: panels.into_iter().map(|p| Box::new(p) as _).collect(),
            columns: 2,
        },
    ))
}
