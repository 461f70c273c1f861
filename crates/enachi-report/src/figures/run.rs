//! Figures of a run: what each policy achieved, and how.

use super::{Figure, axis, frontier_series, outcome_part, reason_part};
use crate::draw::Sheet;
use crate::draw::chart::{Chart, Mark, Names, Point, Rule, Series};
use crate::draw::ink::{Ink, step_of};
use crate::draw::rows::{Part, Row, Rows};
use crate::draw::scale::{Scale, short, upper_part};
use crate::draw::strips::{Strip, Strips};
use crate::policies::{PolicyFigure, PolicyRow};
use crate::run::Run;
use crate::run::tally::{PolicyTally, STOP_BINS, bits_quantile};
use enachi_core::record::{Outcome, StopReason};

/// Accuracy with interval and energy by part.
pub fn achieved(run: &Run) -> Figure {
    let rows = (0..run.extent.policies.len()).map(|index| {
        let (sums, estimate) = (
            &run.tally.policies[index].settled,
            run.settled[index].accuracy,
        );
        PolicyRow {
            name: run.policy(index).into(),
            accuracy: [estimate.value, estimate.low, estimate.high],
            energy_j: [sums.local_j, sums.codec_j, sums.transmit_j].map(|s| sums.per_frame(s)),
            budget_j: run.budget_j(),
        }
    });
    Figure::new(
        "policies",
        "Accuracy and energy by policy",
        format!("{} Dashed: the mean allowance.", settled_sentence(run)),
        PolicyFigure {
            rows: rows.collect(),
            ..PolicyFigure::default()
        },
    )
}

/// Which frames a figure counts.
pub fn settled_sentence(run: &Run) -> String {
    match run.extent.warmup_frames {
        0 => "All frames.".into(),
        n => format!("Frames from {n} on: before, the energy queue fills and policies overspend."),
    }
}

/// Accuracy against energy.
pub fn pareto(run: &Run) -> Figure {
    let points: Vec<(f64, f64)> = run
        .settled
        .iter()
        .map(|e| (e.energy_j.value * 1e3, e.accuracy.value * 100.0))
        .collect();
    let accuracies: Vec<f64> = points.iter().map(|p| p.1).collect();
    let least = upper_part(&accuracies)
        .into_iter()
        .fold(f64::INFINITY, f64::min);
    let points: Vec<(f64, f64)> = points.into_iter().filter(|p| p.1 >= least).collect();
    let mut series = vec![frontier_series(&points)];
    let mut below: Vec<String> = Vec::new();
    for (index, estimate) in run.settled.iter().enumerate() {
        let (accuracy, energy) = (
            estimate.accuracy.scaled(100.0),
            estimate.energy_j.scaled(1e3),
        );
        if accuracy.value < least {
            below.push(format!("{} ({:.1} %)", run.policy(index), accuracy.value));
            continue;
        }
        series.push(Series {
            name: run.policy(index).into(),
            category: index,
            mark: Mark::Dots,
            strong: index == 0,
            points: vec![Point {
                x: energy.value,
                y: accuracy.value,
                band: Some((accuracy.low, accuracy.high)),
                x_band: Some((energy.low, energy.high)),
                tip: format!(
                    "{}\n{:.2} % [{:.2}, {:.2}]\n{} mJ [{}, {}]",
                    run.policy(index),
                    accuracy.value,
                    accuracy.low,
                    accuracy.high,
                    short(energy.value),
                    short(energy.low),
                    short(energy.high)
                ),
                ..Point::default()
            }],
        });
    }
    let budget = run.budget_j() * 1e3;
    let xs = run
        .settled
        .iter()
        .flat_map(|e| [e.energy_j.low * 1e3, e.energy_j.high * 1e3])
        .chain([budget]);
    let ys = run
        .settled
        .iter()
        .filter(|e| e.accuracy.value * 100.0 >= least)
        .flat_map(|e| [e.accuracy.low * 100.0, e.accuracy.high * 100.0]);
    let below = match below.as_slice() {
        [] => String::new(),
        below => format!(" Far below and not drawn: {}.", below.join(", ")),
    };
    Figure::new(
        "pareto",
        "Accuracy against energy",
        "Up and to the left is better. Crosses are 95 % intervals; the grey steps join the policies that no other beats in both. \
         Intervals are of each policy alone: policies meet the same images and worlds, so their differences, in the table above, \
         are known better than these crosses suggest."
            .to_owned()
            + &below,
        Chart {
            title: String::new(),
            x: axis("mean energy per device and frame [mJ]", Scale::over(xs, true)),
            y: axis("accuracy [%]", Scale::over(ys, false)),
            series,
            rules: vec![Rule {
                at: budget,
                upright: true,
                name: "mean allowance".into(),
                name_right: false,
            }],
            names: Names::Beside,
            size: (900.0, 460.0),
        },
    )
}

fn shares(counts: impl Iterator<Item = u64>, total: f64) -> Vec<f64> {
    counts
        .map(|count| 100.0 * count as f64 / total.max(1.0))
        .collect()
}

/// Cuts in the order of the network, dark to light.
pub fn cut_parts(names: &[String]) -> Vec<Part> {
    let part = |(index, name): (usize, &String)| {
        let step = step_of(index, names.len());
        Part {
            name: name.clone(),
            ink: Ink::Ordered(step),
            on: Ink::OnOrdered(step),
        }
    };
    names.iter().enumerate().map(part).collect()
}

/// Where policies split the network.
pub fn cuts(run: &Run) -> Figure {
    let mut names: Vec<String> = Vec::new();
    if let Some(profile) = &run.profile {
        names.extend(profile.cuts.iter().map(|c| c.name.clone()));
    }
    for tally in &run.tally.policies {
        for cut in tally.cuts.keys() {
            if !names.contains(cut) {
                names.push(cut.clone());
            }
        }
    }
    names.retain(|name| run.tally.policies.iter().any(|t| t.cuts.contains_key(name)));
    let mut parts = cut_parts(&names);
    let out = |t: &PolicyTally| t.settled.tasks as u64 - t.cuts.values().sum::<u64>();
    let some_out = run.tally.policies.iter().any(|t| out(t) > 0);
    if some_out {
        parts.push(Part {
            name: "sits out".into(),
            ink: Ink::Series(6),
            on: Ink::OnSeries(6),
        });
    }
    let rows = run.tally.policies.iter().enumerate().map(|(index, tally)| {
        let counts = names
            .iter()
            .map(|name| tally.cuts.get(name).copied().unwrap_or(0))
            .chain(some_out.then(|| out(tally)));
        Row {
            name: run.policy(index).into(),
            values: shares(counts, tally.settled.tasks),
            limit: None,
        }
    });
    Figure::new(
        "cuts",
        "Where the network is split",
        "Share of tasks by cut, from the input (sent as a picture) to the whole network on the device.".into(),
        Rows {
            rows_label: String::new(),
            label: "share of tasks [%]".into(),
            unit: "%".into(),
            rows: rows.collect(),
            parts,
            most: Some(100.0),
            limit_name: String::new(),
        },
    )
}

/// How tasks came out.
pub fn outcomes(run: &Run) -> Figure {
    let present: Vec<Outcome> = Outcome::ALL
        .into_iter()
        .filter(|o| {
            run.tally
                .policies
                .iter()
                .any(|t| t.outcomes[*o as usize] > 0)
        })
        .collect();
    let parts = present.iter().map(|outcome| {
        let (name, ink, on) = outcome_part(*outcome);
        Part {
            name: name.into(),
            ink,
            on,
        }
    });
    let rows = run.tally.policies.iter().enumerate().map(|(index, tally)| {
        let counts = present.iter().map(|o| tally.outcomes[*o as usize]);
        Row {
            name: run.policy(index).into(),
            values: shares(counts, tally.settled.frames),
            limit: None,
        }
    });
    Figure::new(
        "outcomes",
        "How tasks come out",
        "Share of tasks by outcome. A task that the deadline cuts is answered from what arrived."
            .into(),
        Rows {
            rows_label: String::new(),
            label: "share of tasks [%]".into(),
            unit: "%".into(),
            parts: parts.collect(),
            rows: rows.collect(),
            most: Some(100.0),
            limit_name: String::new(),
        },
    )
}

/// When sending ends under one policy.
pub struct StopPanel {
    /// Policy.
    pub title: String,
    /// Reason, ends of the bin \[ms\] and share of all tasks in it \[%\].
    pub bins: Vec<(StopReason, f64, f64, f64)>,
}

impl StopPanel {
    fn chart(&self, reasons: &[StopReason], length_ms: f64) -> Chart {
        // Height so far at the left end of each bin.
        let mut feet: Vec<(f64, f64)> = Vec::new();
        let mut series = Vec::new();
        for reason in reasons {
            let (name, ink, _) = reason_part(*reason);
            let mut points = Vec::new();
            let mut wide: f64 = 1.0;
            for &(_, low, high, share) in self.bins.iter().filter(|b| b.0 == *reason) {
                let at = feet.iter().position(|f| (f.0 - low).abs() < 1e-9);
                let at = at.unwrap_or_else(|| {
                    feet.push((low, 0.0));
                    feet.len() - 1
                });
                let base = feet[at].1;
                feet[at].1 += share;
                wide = high - low;
                points.push(Point {
                    x: (low + high) / 2.0,
                    y: base + share,
                    base,
                    tip: format!(
                        "{}\n{low:.1} to {high:.1} ms: {share:.2} % {name}",
                        self.title
                    ),
                    ..Point::default()
                });
            }
            series.push(Series {
                name: String::new(),
                category: category(ink),
                mark: Mark::Bars(wide),
                strong: false,
                points,
            });
        }
        Chart {
            title: self.title.clone(),
            x: axis(
                "sending ends at [ms]",
                Scale::over([0.0, length_ms].into_iter(), true),
            ),
            y: axis("tasks [%]", Scale::over(feet.iter().map(|f| f.1), true)),
            series,
            rules: Vec::new(),
            names: Names::Hidden,
            size: (300.0, 210.0),
        }
    }
}

/// Panels beside each other, and the width of their bins \[ms\]; `None` without any.
pub fn stop_sheet(panels: Vec<StopPanel>) -> Option<(Sheet, f64)> {
    let bins = || panels.iter().flat_map(|p| p.bins.iter());
    let width = bins().map(|b| b.2 - b.1).next()?;
    let length_ms = bins().map(|b| b.2).fold(0.0, f64::max);
    let reasons: Vec<StopReason> = StopReason::ALL
        .into_iter()
        .filter(|r| bins().any(|b| b.0 == *r))
        .collect();
    let charts = panels.iter().map(|p| p.chart(&reasons, length_ms));
    let sheet = Sheet {
        legend: reasons
            .iter()
            .map(|r| (reason_part(*r).1, reason_part(*r).0.into()))
            .collect(),
        panels: charts.map(|p| Box::new(p) as _).collect(),
        columns: 3,
    };
    Some((sheet, width))
}

/// When sending ends, by reason.
pub fn stops(run: &Run) -> Option<Figure> {
    let width = run.extent.length_s * 1e3 / STOP_BINS as f64;
    let panels = run.tally.policies.iter().enumerate().map(|(index, tally)| {
        let total = tally.settled.tasks.max(1.0);
        let rows = StopReason::ALL.into_iter().zip(&tally.stop_times);
        let bins = rows.flat_map(|(reason, counts)| {
            let counted = counts.iter().enumerate().filter(|(_, n)| **n > 0);
            counted.map(move |(bin, count)| {
                let low = bin as f64 * width;
                (reason, low, low + width, 100.0 * *count as f64 / total)
            })
        });
        StopPanel {
            title: run.policy(index).into(),
            bins: bins.collect(),
        }
    });
    let (sheet, width) = stop_sheet(panels.filter(|p| !p.bins.is_empty()).collect())?;
    Some(Figure::new(
        "stops",
        "When sending ends, and why",
        format!(
            "Share of all tasks whose last slot lies in a stretch of {} ms of the frame, by reason; policies that send. Each panel has its own height.",
            short(width)
        ),
        sheet,
    ))
}

/// Number of the category of a colour.
fn category(ink: Ink) -> usize {
    match ink {
        Ink::Series(category) => category,
        _ => 0,
    }
}

/// Bits that arrive.
pub fn bits(run: &Run) -> Figure {
    /// Least that the axis shows.
    const LEAST_KBIT: f64 = 0.01;
    const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
    let rows: Vec<Strip> = run
        .tally
        .policies
        .iter()
        .enumerate()
        .map(|(index, tally)| {
            let mean = tally.settled.per_task(tally.settled.bits) / 1e3;
            let planned = tally.settled.per_task(tally.settled.planned_bits) / 1e3;
            let at = QUANTILES.map(|q| bits_quantile(&tally.bits, q).unwrap_or(0.0) / 1e3);
            let spread = format!(
                "{}\n5 %: {}, 25 %: {}, 50 %: {}, 75 %: {}, 95 %: {} kbit\nmean {} kbit, planned {} kbit",
                run.policy(index),
                short(at[0]),
                short(at[1]),
                short(at[2]),
                short(at[3]),
                short(at[4]),
                short(mean),
                short(planned)
            );
            if at[4] < LEAST_KBIT {
                // On a logarithmic axis there is no place for them.
                return Strip {
                    name: run.policy(index).into(),
                    note: match mean {
                        0.0 => "sends nothing".into(),
                        mean => format!("95 % of tasks send nothing; mean {} kbit", short(mean)),
                    },
                    ..Strip::default()
                };
            }
            Strip {
                name: run.policy(index).into(),
                category: index,
                range: Some((at[0], at[4])),
                middle: Some((at[1], at[3])),
                dots: vec![(mean, spread.clone())],
                tip: spread,
                note: String::new(),
            }
        })
        .collect();
    let positive = rows
        .iter()
        .flat_map(|r| {
            let (low, high) = r.range.unwrap_or_default();
            [low, high, r.dots.first().map_or(0.0, |d| d.0)]
        })
        .filter(|v| *v >= LEAST_KBIT);
    let scale = Scale::logarithmic(positive);
    Figure::new(
        "bits",
        "Bits delivered per task",
        "Thin: 5 % to 95 % of tasks; thick: 25 % to 75 %; dot: the mean. Logarithmic; nothing sent stands at the left edge.".into(),
        Strips {
            title: String::new(),
            label: "bits that arrived [kbit]".into(),
            scale,
            rows,
            rule: None,
            named: true,
            width: 900.0,
        },
    )
}

/// Accuracies below the bound for all policies, where the run was made with it.
pub fn oracle(run: &Run) -> Option<Figure> {
    let rows: Vec<Strip> = run
        .oracle
        .iter()
        .enumerate()
        .filter_map(|(index, share)| {
            let share = (*share)?;
            let [accuracy, bound, blind] =
                [share.accuracy, share.bound, share.uncertain_bound].map(|v| v * 100.0);
            let tip = format!(
                "{}\n{accuracy:.2} %, bound {bound:.2} %, blind bound {blind:.2} %",
                run.policy(index)
            );
            Some(Strip {
                name: run.policy(index).into(),
                category: index,
                range: Some((accuracy, bound)),
                middle: Some((bound, bound)),
                dots: vec![(accuracy, tip.clone())],
                tip,
                note: String::new(),
            })
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let ends = rows.iter().flat_map(|r| {
        let (low, high) = r.range.unwrap_or_default();
        [low, high]
    });
    let scale = Scale::over(ends, false);
    Some(Figure::new(
        "oracle",
        "Accuracy below the upper bound",
        "Dot: the policy; mark: what no policy exceeds with its energy (at least the allowance), all gains and answers known.".into(),
        Strips {
            title: String::new(),
            label: "accuracy [%]".into(),
            scale,
            rows,
            rule: None,
            named: true,
            width: 900.0,
        },
    ))
}
