//! How far a deviation is listened to, and scores in nats: few coefficients, fitted by the loss that networks are trained by.

use super::PredictorData;
use super::mlp::{Target, nats};
use super::train::loss;
use nalgebra::{SMatrix, SVector};

/// A deviation is listened to if at least so much of it is confirmed on images held back: 1 if it is right as it stands, 0 if it is noise.
const CONFIRMED: f64 = 0.5;
/// Least coefficient of what must rise.
const LEAST_SLOPE: f64 = 0.05;
/// Newton steps at most; a handful is enough.
const MOST_STEPS: usize = 100;

/// The share of its deviation that is best added to the ramp, from cells (ramp, deviation, target) of images that the networks
/// did not see; 0 where less than half of the deviation is confirmed. Where the statistics tell images apart, most
/// is; where they do not, what a network makes of them is noise, which would stop some images too early.
pub(super) fn share(cells: &[(f32, f32, f32)], target: Target) -> f32 {
    let rows: Vec<([f64; 3], f32)> = cells
        .iter()
        .map(|&(ramp, deviation, truth)| ([1.0, ramp.into(), deviation.into()], truth))
        .collect();
    let [_, ramp, deviation] = best(&rows, target, [0.0, 1.0, 0.0]);
    if deviation < CONFIRMED {
        return 0.0;
    }
    (deviation / ramp.max(LEAST_SLOPE)) as f32
}

/// One rising line for all images, so that it changes nothing in what is stopped before what: the output of a network at
/// score `s` is `offset + slope s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Label {
    pub offset: f32,
    pub slope: f32,
}

impl Label {
    /// The line under which `scores` (of an image and the statistics at a checkpoint) fit the outcomes of all images best.
    pub fn fit(
        data: &PredictorData,
        target: Target,
        scores: &impl Fn(usize, &[f32]) -> f32,
    ) -> Self {
        let mut rows = Vec::new();
        for image in 0..data.images {
            for checkpoint in 1..data.checkpoints {
                let score = scores(image, data.row(image, checkpoint));
                rows.push((
                    [1.0, f64::from(score)],
                    data.target(target, image, checkpoint),
                ));
            }
        }
        Self::of(&rows, target)
    }

    fn of(rows: &[([f64; 2], f32)], target: Target) -> Self {
        let mut line = best(rows, target, [0.0, 1.0]);
        if line[1] < LEAST_SLOPE {
            // Outcomes that do not follow the scores; the level is all that can be right.
            let level: Vec<([f64; 1], f32)> = rows.iter().map(|(_, t)| ([1.0], *t)).collect();
            line = [best(&level, target, [0.0])[0], LEAST_SLOPE];
        }
        Self {
            offset: line[0] as f32,
            slope: line[1] as f32,
        }
    }

    /// The uncertainty at a score \[nat\].
    pub fn nats(&self, target: Target, classes: u32, score: f32) -> f32 {
        nats(target, classes, self.offset + self.slope * score)
    }
}

/// Coefficients of least total loss of rows (values, target), by Newton's method with steps halved where they do not help.
fn best<const N: usize>(rows: &[([f64; N], f32)], target: Target, first: [f64; N]) -> [f64; N] {
    let output = |at: &SVector<f64, N>, values: &[f64; N]| -> f32 {
        let terms = at.iter().zip(values).map(|(c, v)| c * v);
        terms.sum::<f64>() as f32
    };
    let total = |at: &SVector<f64, N>| -> f64 {
        let each = rows
            .iter()
            .map(|(values, truth)| f64::from(loss(target, output(at, values), *truth).0));
        each.sum()
    };
    let mut at = SVector::from(first);
    let mut now = total(&at);
    for _ in 0..MOST_STEPS {
        // A trace keeps the curvature invertible where a value never changes.
        let mut gradient = SVector::<f64, N>::zeros();
        let mut curvature = SMatrix::<f64, N, N>::identity() * 1e-6;
        for (values, truth) in rows {
            let output = output(&at, values);
            let values = SVector::from(*values);
            gradient += values * f64::from(loss(target, output, *truth).1);
            curvature += values * values.transpose() * target.curvature(output);
        }
        let Some(factor) = curvature.cholesky() else {
            break;
        };
        let step = factor.solve(&gradient);
        let mut shares = std::iter::successors(Some(1.0f64), |share| Some(share / 2.0)).take(20);
        let better = shares.find_map(|share| {
            let next = at - step * share;
            let then = total(&next);
            (then < now).then_some((next, then))
        });
        let Some((next, then)) = better else { break };
        let gained = now - then;
        (at, now) = (next, then);
        if gained < 1e-9 * now {
            break;
        }
    }
    at.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores, and outcomes that rise with them.
    fn rows() -> Vec<([f64; 2], f32)> {
        let row = |i: usize| {
            let score = (i % 20) as f64 / 4.0 - 2.0;
            (
                [1.0, score],
                f32::from(u8::from(i * 7 % 23 < 3 + i % 20 / 2)),
            )
        };
        (0..400).map(row).collect()
    }

    #[test]
    fn no_line_nearby_fits_better() {
        let rows = rows();
        for target in [Target::Disagreement, Target::Entropy] {
            let total = |offset: f64, slope: f64| -> f64 {
                let output = |v: &[f64; 2]| (offset * v[0] + slope * v[1]) as f32;
                let each = rows
                    .iter()
                    .map(|(v, t)| f64::from(loss(target, output(v), *t).0));
                each.sum()
            };
            let found = Label::of(&rows, target);
            let (offset, slope) = (f64::from(found.offset), f64::from(found.slope));
            assert!(slope > 0.1, "{found:?}");
            let least = total(offset, slope);
            for (x, y) in [(0.02, 0.0), (-0.02, 0.0), (0.0, 0.02), (0.0, -0.02)] {
                assert!(total(offset + x, slope + y) > least, "{target:?} {x} {y}");
            }
        }
    }

    #[test]
    fn the_line_rises_even_where_outcomes_fall() {
        let falling: Vec<([f64; 2], f32)> = (0..100)
            .map(|i| ([1.0, f64::from(i)], f32::from(u8::from(i < 25))))
            .collect();
        let found = Label::of(&falling, Target::Disagreement);
        assert!((f64::from(found.slope) - LEAST_SLOPE).abs() < 1e-6);
        // The level is that of the outcomes: a quarter.
        assert!(
            (found.offset - (1.0f32 / 3.0).ln()).abs() < 1e-3,
            "{found:?}"
        );
    }

    #[test]
    fn a_deviation_counts_as_far_as_it_is_confirmed() {
        // Logits ramp + k deviation, for deviations that spread as widely as the ramp.
        let cells = |k: f64| -> Vec<(f32, f32, f32)> {
            let grid = (0..40).flat_map(|i| (0..40).map(move |j| (i, j)));
            grid.map(|(i, j)| {
                let (ramp, deviation) = (f64::from(i) / 10.0 - 2.0, f64::from(j) / 10.0 - 2.0);
                let odds = (ramp + k * deviation).exp();
                // The outcome in the mean: a soft target.
                (ramp as f32, deviation as f32, (odds / (1.0 + odds)) as f32)
            })
            .collect()
        };
        for (k, share) in [(1.0, 1.0), (0.7, 0.7), (0.4, 0.0), (0.0, 0.0), (-1.0, 0.0)] {
            let found = super::share(&cells(k), Target::Disagreement);
            assert!((found - share).abs() < 1e-3, "{k}: {found}");
        }
    }
}
