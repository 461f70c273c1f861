//! Policies against each other along an axis: paired differences, and accuracy against energy.

use super::{LOWER_EDGE, across, all_values, allowance, budget_mj, policy_lines};
use crate::draw::chart::{Axis, BANDS, Chart, Mark, Names, Point, Rule, Series};
use crate::draw::scale::{Scale, short, upper_part};
use crate::draw::{Drawing, Sheet};
use crate::figures::{Figure, axis};
use crate::sweep::{Sweep, View};

/// Differences below this are not worth an axis that shows them \[points\].
const DIFFERENCES: f64 = -12.0;

/// Paired difference of accuracy to the first policy along the axis: a panel per policy where there are many, so that every
/// interval is seen.
pub fn difference(sweep: &Sweep, view: &View) -> Option<Figure> {
    let policies = &sweep.info(view).policies;
    let first = policies.first()?;
    let lines = policy_lines(sweep, view, |policy, i, point| {
        let pair = sweep.pair(point, policy, first)?;
        let [y, low, high] = [
            pair.accuracy_difference,
            pair.accuracy_difference_low,
            pair.accuracy_difference_high,
        ]
        .map(|v| v * 100.0);
        y.is_finite().then(|| Point {
            x: view.axis.at[i],
            y,
            band: Some((low, high)),
            tip: format!(
                "{policy}\n{}: {y:+.2} [{low:+.2}, {high:+.2}] points",
                view.axis.place(i)
            ),
            ..Point::default()
        })
    });
    let series = lines.into_iter().skip(1);
    let series: Vec<Series> = series.filter(|s: &Series| !s.points.is_empty()).collect();
    if series.is_empty() {
        return None;
    }
    let many = series.len() > BANDS;
    // A panel of nothing but arrows says no more than a word.
    let far = |s: &Series| {
        many && s
            .points
            .iter()
            .all(|p| p.band.is_none_or(|b| b.1 < DIFFERENCES))
    };
    let (far, series): (Vec<Series>, Vec<Series>) = series.into_iter().partition(far);
    let far: Vec<&str> = far.iter().map(|s| s.name.as_str()).collect();
    let far = match far.as_slice() {
        [] => String::new(),
        far => format!(
            " More than {:.0} points worse everywhere, and not drawn: {}.",
            -DIFFERENCES,
            far.join(", ")
        ),
    };
    if series.is_empty() {
        return None;
    }
    let low = heights(&series).low;
    let below = series.iter().any(|s| {
        let low = match many {
            true => heights(std::slice::from_ref(s)).low,
            false => low,
        };
        s.points.iter().any(|p| p.y < low)
    });
    let caption = format!(
        "Points by which each policy is more accurate than {first} in the same worlds, with the 95 % interval of the paired difference. Energies differ: see \
         above.{}{far}{}",
        if many {
            " Each panel has its own height."
        } else {
            ""
        },
        if below { LOWER_EDGE } else { "" }
    );
    let drawing: Box<dyn Drawing> = if many {
        Box::new(Sheet {
            legend: Vec::new(),
            panels: series
                .into_iter()
                .map(|s| Box::new(panel(view, s)) as _)
                .collect(),
            columns: 4,
        })
    } else {
        Box::new(Chart {
            title: String::new(),
            x: across(view),
            y: axis(format!("against {first} [points]"), heights(&series)),
            series,
            rules: vec![nought(first.clone())],
            names: Names::AtEnd,
            size: (900.0, 400.0),
        })
    };
    Some(Figure::boxed(
        &format!("{}-difference", view.id),
        "Accuracy against the first policy",
        caption,
        drawing,
    ))
}

/// The heights that hold the intervals of `series` and 0, down to [`DIFFERENCES`].
fn heights(series: &[Series]) -> Scale {
    let ends = series
        .iter()
        .flat_map(|s| s.points.iter().filter_map(|p| p.band))
        .filter(|(_, high)| *high > DIFFERENCES)
        .flat_map(|(low, high)| [low.max(DIFFERENCES), high]);
    Scale::over(ends, true)
}

/// The line of the first policy.
fn nought(name: String) -> Rule {
    Rule {
        at: 0.0,
        upright: false,
        name,
        name_right: true,
    }
}

/// One policy's difference.
fn panel(view: &View, series: Series) -> Chart {
    let scale = heights(std::slice::from_ref(&series));
    let wide = Axis {
        label: view.axis.label.clone(),
        ..across(view)
    };
    let mut chart = Chart {
        title: series.name.clone(),
        x: wide,
        y: axis("[points]", scale),
        series: vec![Series {
            name: String::new(),
            strong: true,
            ..series
        }],
        rules: vec![nought(String::new())],
        names: Names::Hidden,
        size: (232.0, 190.0),
    };
    // Few ticks, as the panel is small.
    if !chart.x.scale.log && chart.x.categories.is_empty() {
        chart.x.scale.step *= 2.0;
    }
    chart
}

/// Accuracy against energy, each policy along the axis.
pub fn pareto(sweep: &Sweep, view: &View) -> Figure {
    let mut series = policy_lines(sweep, view, |policy, i, point| {
        let row = sweep.row(point, policy)?;
        let [y, low, high] = [row.accuracy, row.accuracy_low, row.accuracy_high].map(|a| a * 100.0);
        let [x, least, most] = [
            row.energy_settled_j,
            row.energy_settled_low_j,
            row.energy_settled_high_j,
        ]
        .map(|e| e * 1e3);
        let known = least.is_finite();
        let energy = match known {
            true => format!("{} mJ [{}, {}]", short(x), short(least), short(most)),
            false => format!("{} mJ", short(x)),
        };
        Some(Point {
            x,
            y,
            band: Some((low, high)),
            x_band: known.then_some((least, most)),
            tip: format!(
                "{policy}\n{}: {y:.2} % [{low:.2}, {high:.2}]\n{energy}",
                view.axis.place(i)
            ),
            ..Point::default()
        })
    });
    // Crosses of all policies would hide the dots.
    let many = series.len() > BANDS;
    for one in &mut series {
        one.mark = Mark::Crosses {
            drawn: one.strong || !many,
        };
    }
    let all = all_values(&series);
    let shown = upper_part(&all);
    let least = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let (series, below): (Vec<Series>, Vec<Series>) = series
        .into_iter()
        .partition(|s| s.points.iter().any(|p| p.y >= least));
    let below: Vec<&str> = below.iter().map(|s| s.name.as_str()).collect();
    let mut caption = format!(
        "One dot per point of the sweep, joined along {}. Up and to the left is better. Crosses: 95 % intervals{}.",
        view.axis.label,
        match many {
            true =>
                " of the first policy; those of the others are about as large, the pointer shows them",
            false => "",
        }
    );
    if least > all.iter().copied().fold(f64::INFINITY, f64::min) {
        caption += LOWER_EDGE;
    }
    if !below.is_empty() {
        caption += &format!(
            " Not drawn, as they lie far below everywhere: {}.",
            below.join(", ")
        );
    }
    let points = || series.iter().flat_map(|s| s.points.iter());
    let budget = budget_mj(sweep, view);
    let crosses = series
        .iter()
        .filter(|s| s.strong || !many)
        .flat_map(|s| s.points.iter().filter(|p| p.y >= least))
        .flat_map(|p| p.band.map_or([p.y, p.y], |(low, high)| [low, high]));
    let (xs, ys) = (
        Scale::over(points().map(|p| p.x).chain(budget), true),
        Scale::over(shown.into_iter().chain(crosses), false),
    );
    Figure::new(
        &format!("{}-pareto", view.id),
        "Accuracy against energy",
        caption,
        Chart {
            title: String::new(),
            x: axis("mean energy per device and frame [mJ]", xs),
            y: axis("accuracy [%]", ys),
            series,
            rules: allowance(sweep, view, true),
            names: Names::Beside,
            size: (900.0, 460.0),
        },
    )
}
