//! The share of the upper bound that each policy reaches along an axis.

use super::{LOWER_EDGE, across, all_values, policy_lines};
use crate::draw::chart::{Chart, Names, Point, Rule, Series};
use crate::draw::scale::{Scale, upper_part};
use crate::figures::{Figure, axis};
use crate::sweep::{Sweep, View};
use enachi_data::sweep::OracleRow;

/// A bound in a row, and the share of it that the policy reaches.
type BoundOf = fn(&OracleRow) -> (f64, f64);

/// Two figures, where the sweep computed the bound at some points of the view: answers known, and known only by their entropy.
pub fn oracle(sweep: &Sweep, view: &View) -> Vec<Figure> {
    let rows = view.points.iter().flat_map(|point| sweep.bounds(*point));
    let Some(any) = rows.into_iter().next() else {
        return Vec::new();
    };
    let frames = format!(
        "First {} frames of {} seed{}",
        any.frames,
        any.seeds,
        if any.seeds == 1 { "" } else { "s" }
    );
    let answers: BoundOf = |row| (row.bound, row.share);
    let blind: BoundOf = |row| (row.blind_bound, row.blind_share);
    let known = format!(
        "{frames}, warm-up included: accuracy of each policy over what no policy can exceed with the energy that this one spent (at least the \
         allowance), all gains and answers known. 100 % is out of reach where an early answer may be right by luck."
    );
    let unknown = format!(
        "{frames}. The same where answers are known only as well as their entropy tells. This bounds the expectation over tasks, so a share may lie above \
         100 % by sampling error."
    );
    vec![
        figure(
            sweep,
            view,
            "oracle",
            "Share of the upper bound",
            known,
            answers,
        ),
        figure(
            sweep,
            view,
            "blind",
            "Share of the upper bound, answers unknown",
            unknown,
            blind,
        ),
    ]
}

fn figure(
    sweep: &Sweep,
    view: &View,
    id: &str,
    title: &str,
    mut caption: String,
    of: BoundOf,
) -> Figure {
    let lines = policy_lines(sweep, view, |policy, i, point| {
        let row = sweep
            .bounds(point)
            .iter()
            .find(|row| row.policy == *policy)?;
        let (bound, share) = of(row);
        share.is_finite().then(|| Point {
            x: view.axis.at[i],
            y: 100.0 * share,
            tip: format!(
                "{policy}\n{}: {:.1} % of {:.1} %, {} tasks",
                view.axis.place(i),
                100.0 * share,
                100.0 * bound,
                row.tasks
            ),
            ..Point::default()
        })
    });
    let series = lines.into_iter();
    let series: Vec<Series> = series.filter(|s: &Series| !s.points.is_empty()).collect();
    let all = all_values(&series);
    let shown = upper_part(&all);
    if shown.len() < all.len() {
        caption += LOWER_EDGE;
    }
    let scale = Scale::over(shown.into_iter().chain([100.0]), false);
    Figure::new(
        &format!("{}-{id}", view.id),
        title,
        caption,
        Chart {
            title: String::new(),
            x: across(view),
            y: axis("share of the bound [%]", scale),
            series,
            rules: vec![Rule {
                at: 100.0,
                upright: false,
                name: "the bound".into(),
                name_right: false,
            }],
            names: Names::AtEnd,
            size: (900.0, 400.0),
        },
    )
}
