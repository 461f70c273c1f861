//! Figures of a sweep: what each policy achieved along an axis.

mod bound;
mod compared;
mod detail;
mod fits;

pub use bound::oracle;
pub use compared::{difference, pareto};
pub use detail::{over_time, slots, stops};
pub use fits::{Fits, fits};

use super::run::cut_parts;
use super::{Figure, axis, outcome_part};
use crate::draw::chart::{Axis, BANDS, Chart, Mark, Names, Point, Rule, Series};
use crate::draw::rows::{Part, Row, Rows};
use crate::draw::scale::{Scale, short, upper_part};
use crate::sweep::{Sweep, View};
use enachi_core::record::Outcome;
use enachi_data::sweep::{PointRow, of_point};

/// Value and interval of a row.
type ValueOf = fn(&PointRow) -> (f64, Option<(f64, f64)>);

/// Share of an outcome in a row.
type ShareOf = fn(&PointRow) -> f64;

/// A figure along the axis.
struct Quantity {
    /// End of the figure's name.
    id: &'static str,
    title: &'static str,
    label: String,
    unit: &'static str,
    caption: String,
    of: ValueOf,
    /// Whether the axis begins at zero.
    zero: bool,
    log: bool,
    /// Whether what lies far below the rest is left to the lower edge.
    upper: bool,
}

/// How a caption says so.
const LOWER_EDGE: &str = " Hollow arrows at the lower edge stand for points far below it; the pointer shows their values.";

fn all_values(series: &[Series]) -> Vec<f64> {
    series
        .iter()
        .flat_map(|s| s.points.iter().map(|p| p.y))
        .collect()
}

/// The horizontal axis of a view.
fn across(view: &View) -> Axis {
    let values = || view.axis.at.iter().copied();
    let mut scale = if view.axis.log {
        Scale::logarithmic(values())
    } else {
        Scale::tight(values())
    };
    if view.axis.words {
        scale.step = 1.0;
        (scale.low, scale.high) = (scale.low - 0.2, scale.high + 0.2);
    }
    Axis {
        categories: if view.axis.words {
            view.axis.names.clone()
        } else {
            Vec::new()
        },
        ..axis(view.axis.label.clone(), scale)
    }
}

/// A line per policy through what `at` gives for it at each point, told by place in the view and number.
fn policy_lines(
    sweep: &Sweep,
    view: &View,
    at: impl Fn(&str, usize, u64) -> Option<Point>,
) -> Vec<Series> {
    let policies = sweep.info(view).policies.iter().enumerate();
    policies
        .map(|(index, policy)| Series {
            name: policy.clone(),
            category: index,
            mark: Mark::Line,
            strong: index == 0,
            points: (view.points.iter().enumerate())
                .filter_map(|(i, point)| at(policy, i, *point))
                .collect(),
        })
        .collect()
}

fn lines(sweep: &Sweep, view: &View, quantity: &Quantity) -> Vec<Series> {
    policy_lines(sweep, view, |policy, i, point| {
        let (y, band) = (quantity.of)(sweep.row(point, policy)?);
        let interval = band.map_or(String::new(), |(low, high)| {
            format!(" [{}, {}]", short(low), short(high))
        });
        Some(Point {
            x: view.axis.at[i],
            y,
            band,
            tip: format!(
                "{policy}\n{}: {}{interval} {}",
                view.axis.place(i),
                short(y),
                quantity.unit
            ),
            ..Point::default()
        })
    })
}

fn along(sweep: &Sweep, view: &View, quantity: &Quantity, rules: Vec<Rule>) -> Figure {
    let series = lines(sweep, view, quantity);
    let mut caption = quantity.caption.clone();
    if series.len() > BANDS
        && series
            .iter()
            .any(|s| s.points.iter().any(|p| p.band.is_some()))
    {
        caption += " With so many policies only the first one's band is drawn; the pointer shows the others' intervals.";
    }
    // A policy that fails altogether must not make all others look alike.
    let shown = upper_part(&all_values(&series));
    let least = shown.iter().copied().fold(f64::INFINITY, f64::min);
    if quantity.upper && all_values(&series).iter().any(|y| *y < least) {
        caption += LOWER_EDGE;
    }
    let ends = series.iter().flat_map(|s| {
        let drawn = |p: &&Point| !quantity.upper || p.y >= least;
        s.points.iter().filter(drawn).flat_map(|p| {
            let (low, high) = p.band.unwrap_or((p.y, p.y));
            [low, high, p.y]
        })
    });
    let ends = ends.chain(rules.iter().filter(|r| !r.upright).map(|r| r.at));
    let scale = if quantity.log {
        Scale::logarithmic(ends)
    } else {
        Scale::over(ends, quantity.zero)
    };
    Figure::new(
        &format!("{}-{}", view.id, quantity.id),
        quantity.title,
        caption,
        Chart {
            title: String::new(),
            x: across(view),
            y: axis(quantity.label.clone(), scale),
            series,
            rules,
            names: Names::AtEnd,
            size: (900.0, 430.0),
        },
    )
}

/// Accuracy along the axis.
pub fn accuracy(sweep: &Sweep, view: &View) -> Figure {
    let quantity = Quantity {
        id: "accuracy",
        title: "Accuracy",
        label: "accuracy [%]".into(),
        unit: "%",
        caption: format!(
            "All frames; bands are 95 % intervals over {} and seeds of each policy alone. Differences, below, are paired and better known.",
            clusters(sweep)
        ),
        of: |r| {
            let band = (100.0 * r.accuracy_low, 100.0 * r.accuracy_high);
            (100.0 * r.accuracy, Some(band))
        },
        zero: false,
        log: false,
        upper: true,
    };
    along(sweep, view, &quantity, Vec::new())
}

/// How a caption tells what is known of energies and bits.
fn over_seeds(sweep: &Sweep, view: &View) -> &'static str {
    let policies = &sweep.info(view).policies;
    let several = view.points.iter().any(|point| {
        let mut rows = policies.iter().filter_map(|p| sweep.row(*point, p));
        rows.any(|row| row.seeds > 1)
    });
    match several {
        true => "bands are 95 % intervals over seeds",
        false => "one seed gives no interval of it",
    }
}

fn clusters(sweep: &Sweep) -> &'static str {
    let curves = sweep.data.manifest.profiles.iter().all(|p| p.curve_only);
    if curves { "frames" } else { "images" }
}

/// The allowance, where it is the same at all points of the view.
fn budget_mj(sweep: &Sweep, view: &View) -> Option<f64> {
    let first = sweep.info(view).policies.first()?;
    let mut budgets = view
        .points
        .iter()
        .filter_map(|p| sweep.row(*p, first))
        .map(|r| r.energy_budget_j * 1e3);
    let budget = budgets.next()?;
    budgets
        .all(|b| (b - budget).abs() < 1e-9 * budget)
        .then_some(budget)
}

fn allowance(sweep: &Sweep, view: &View, upright: bool) -> Vec<Rule> {
    budget_mj(sweep, view)
        .map(|at| Rule {
            at,
            upright,
            name: "mean allowance".into(),
            name_right: false,
        })
        .into_iter()
        .collect()
}

/// Energy along the axis.
pub fn energy(sweep: &Sweep, view: &View) -> Figure {
    let quantity = Quantity {
        id: "energy",
        title: "Energy",
        label: "mean energy per device and frame [mJ]".into(),
        unit: "mJ",
        caption: format!("Without the warm-up frames; {}.", over_seeds(sweep, view)),
        of: |r| {
            let band = (1e3 * r.energy_settled_low_j, 1e3 * r.energy_settled_high_j);
            // One seed has no interval.
            (1e3 * r.energy_settled_j, band.0.is_finite().then_some(band))
        },
        zero: true,
        log: false,
        upper: false,
    };
    along(sweep, view, &quantity, allowance(sweep, view, false))
}

/// Bits along the axis.
pub fn bits(sweep: &Sweep, view: &View) -> Figure {
    let quantity = Quantity {
        id: "bits",
        title: "Bits delivered",
        label: "mean bits per task [kbit]".into(),
        unit: "kbit",
        caption: format!(
            "Mean over tasks, nothing sent included; {}. Logarithmic.",
            over_seeds(sweep, view)
        ),
        of: |r| {
            let band = (r.bits_low / 1e3, r.bits_high / 1e3);
            (r.bits / 1e3, (r.bits_low > 0.0).then_some(band))
        },
        zero: false,
        log: true,
        upper: false,
    };
    along(sweep, view, &quantity, Vec::new())
}

/// Where the first policy splits, along the axis.
pub fn cuts(sweep: &Sweep, view: &View) -> Option<Figure> {
    let policy = sweep.info(view).policies.first()?;
    let rows = |point: u64| {
        of_point(&sweep.data.cuts, point, |r| r.point)
            .iter()
            .filter(move |r| r.policy == *policy)
    };
    let present: Vec<String> = view
        .points
        .iter()
        .flat_map(|p| rows(*p).map(|r| r.cut.clone()))
        .collect();
    // In the order of the network, as far as the curves name the cuts.
    let mut names: Vec<String> = Vec::new();
    let known = sweep.data.curves.iter().map(|c| &c.cut);
    for cut in known.chain(&present) {
        if present.contains(cut) && !names.contains(cut) {
            names.push(cut.clone());
        }
    }
    if names.is_empty() {
        return None;
    }
    let bars = view.points.iter().enumerate().map(|(i, point)| Row {
        name: view.axis.names[i].clone(),
        values: names
            .iter()
            .map(|name| {
                let share = rows(*point).filter(|r| r.cut == *name).map(|r| r.share);
                100.0 * share.sum::<f64>()
            })
            .collect(),
        limit: None,
    });
    Some(Figure::new(
        &format!("{}-cuts", view.id),
        "Where the network is split",
        format!("Share of tasks of {policy} by cut."),
        Rows {
            rows_label: view.axis.label.clone(),
            label: "share of tasks [%]".into(),
            unit: "%".into(),
            parts: cut_parts(&names),
            rows: bars.collect(),
            most: Some(100.0),
            limit_name: String::new(),
        },
    ))
}

/// How tasks of the first policy come out, along the axis.
pub fn outcomes(sweep: &Sweep, view: &View) -> Option<Figure> {
    let policy = sweep.info(view).policies.first()?;
    let kinds: [(Outcome, ShareOf); 6] = [
        (Outcome::Delivered, |r| r.delivered),
        (Outcome::StoppedEarly, |r| r.stopped_early),
        (Outcome::DeadlineCut, |r| r.deadline_cut),
        (Outcome::SentNothing, |r| r.sent_nothing),
        (Outcome::Local, |r| r.local),
        (Outcome::Infeasible, |r| r.infeasible),
    ];
    let rows: Vec<Option<&PointRow>> = view.points.iter().map(|p| sweep.row(*p, policy)).collect();
    let present: Vec<_> = kinds
        .into_iter()
        .filter(|(_, of)| rows.iter().flatten().any(|r| of(r) > 0.0))
        .collect();
    let parts = present.iter().map(|(outcome, _)| {
        let (name, ink, on) = outcome_part(*outcome);
        Part {
            name: name.into(),
            ink,
            on,
        }
    });
    let bars = rows.iter().enumerate().map(|(i, row)| Row {
        name: view.axis.names[i].clone(),
        values: present
            .iter()
            .map(|(_, of)| row.map_or(0.0, |r| 100.0 * of(r)))
            .collect(),
        limit: None,
    });
    Some(Figure::new(
        &format!("{}-outcomes", view.id),
        "How tasks come out",
        format!("Share of tasks of {policy} by outcome."),
        Rows {
            rows_label: view.axis.label.clone(),
            label: "share of tasks [%]".into(),
            unit: "%".into(),
            parts: parts.collect(),
            rows: bars.collect(),
            most: Some(100.0),
            limit_name: String::new(),
        },
    ))
}

/// Fairness along the axis, where some point has several devices.
pub fn fairness(sweep: &Sweep, view: &View) -> Vec<Figure> {
    let first = sweep.info(view).policies.first();
    let several = first.is_some_and(|policy| {
        let rows = view.points.iter().filter_map(|p| sweep.row(*p, policy));
        rows.into_iter().any(|r| r.devices > 1)
    });
    if !several {
        return Vec::new();
    }
    let worst = Quantity {
        id: "worst",
        title: "The worst device",
        label: "accuracy of the worst device [%]".into(),
        unit: "%",
        caption: "Accuracy of the worst device, mean over seeds. It falls with the number of devices by chance alone.".into(),
        of: |r| (100.0 * r.worst_device_accuracy, None),
        zero: false,
        log: false,
        upper: true,
    };
    let jain = Quantity {
        id: "fairness",
        title: "Fairness of energy",
        label: "Jain's index of energy".into(),
        unit: "",
        caption:
            "(Σx)²/(n Σx²) over the devices' energies, mean over seeds: 1 where all spend the same."
                .into(),
        of: |r| (r.fairness_energy, None),
        zero: false,
        log: false,
        upper: false,
    };
    vec![
        along(sweep, view, &worst, Vec::new()),
        along(sweep, view, &jain, Vec::new()),
    ]
}
