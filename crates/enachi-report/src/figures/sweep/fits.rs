//! Curves of the profiles with their fits, the paper's Fig. 4. Where a profile has curves alone, what the policies of the sweep
//! achieved stands in for measurements.

use crate::figures::Figure;
use crate::figures::profile::{Dots, FitPanel, fit_figure};
use crate::sweep::Sweep;
use enachi_core::profile::Surrogate;
use enachi_data::sweep::CurveRow;

/// A policy keeps to a cut where it chose it for this share of its tasks.
const KEEPS_TO: f64 = 0.999;
/// Stops tell something of answers, so bits and accuracy no longer go by the curve.
const STOPS: f64 = 0.001;

/// The figures, one per profile, and what their panels hold.
pub struct Fits {
    /// Figures.
    pub figures: Vec<Figure>,
    /// Network and panels.
    pub panels: Vec<(String, Vec<FitPanel>)>,
}

/// Every profile's first stream with a fit of each cut.
pub fn fits(sweep: &Sweep) -> Fits {
    let mut profiles: Vec<&str> = Vec::new();
    for row in &sweep.data.curves {
        if !profiles.contains(&row.profile.as_str()) {
            profiles.push(&row.profile);
        }
    }
    // Which network a policy ran on is not in the dataset.
    let alone = profiles.len() == 1;
    let mut found = Fits {
        figures: Vec::new(),
        panels: Vec::new(),
    };
    for (index, profile) in profiles.iter().enumerate() {
        let panels = panels(sweep, profile, alone);
        let id = match index {
            0 => "fit".into(),
            _ => format!("fit-{}", index + 1),
        };
        found.figures.extend(fit_figure(&id, profile, &panels));
        found.panels.push(((*profile).to_owned(), panels));
    }
    found
}

fn panels(sweep: &Sweep, profile: &str, alone: bool) -> Vec<FitPanel> {
    let mut panels: Vec<FitPanel> = Vec::new();
    let rows = || sweep.data.curves.iter().filter(|r| r.profile == profile);
    for row in rows().filter(|r| r.a0.is_finite() && r.fraction > 0.0) {
        // The first stream of a cut that has a fit.
        if panels.iter().any(|panel| panel.cut == row.cut) {
            continue;
        }
        let mine = |r: &&CurveRow| r.cut == row.cut && r.stream == row.stream;
        let measured = rows().filter(mine).filter(|r| r.accuracy.is_finite());
        let mut dots: Vec<[f64; 4]> = measured
            .map(|r| [r.bits, r.accuracy, r.accuracy_low, r.accuracy_high])
            .collect();
        let mut kind = Dots::Measured;
        if dots.is_empty() && alone {
            kind = Dots::Achieved;
            dots = achieved(sweep, &row.cut);
        }
        dots.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let total_bits = row.bits / row.fraction;
        panels.push(FitPanel::new(row.cut.clone(), surrogate(row), total_bits).with(kind, dots));
    }
    panels
}

/// Mean bits and accuracy of every policy at every point where it kept to `cut` and did not stop early, one where several agree.
fn achieved(sweep: &Sweep, cut: &str) -> Vec<[f64; 4]> {
    let kept = sweep
        .data
        .cuts
        .iter()
        .filter(|row| row.cut == cut && row.share >= KEEPS_TO);
    let rows = kept.filter_map(|kept| sweep.row(kept.point, &kept.policy));
    let mut dots: Vec<[f64; 4]> = Vec::new();
    for row in rows.filter(|row| row.stopped_early < STOPS && row.bits > 0.0) {
        let dot = [row.bits, row.accuracy, row.accuracy_low, row.accuracy_high];
        let close = |other: &[f64; 4]| (other[0] / dot[0] - 1.0).abs() < 0.01;
        if !dots.iter().any(close) {
            dots.push(dot);
        }
    }
    dots
}

fn surrogate(row: &CurveRow) -> Surrogate {
    Surrogate {
        a0: row.a0,
        a1: row.a1,
        a2: row.a2,
        floor: row.floor,
        rmse: row.rmse,
        max_error: row.max_error,
    }
}
