//! Competing stop rules, all of one form: a score for every image and checkpoint, and a stop at the first checkpoint whose
//! score is at most a threshold.

use enachi_core::packet::loss_bound::LossBound;
use enachi_core::packet::tradeoff::{Sweep, ladder, largest_within};
use enachi_core::profile::{ALLOWED_LOSS, RuleReport, Samples, StopPoint};

/// Bits saved between two points of a reported trade-off, as a share of the whole.
const LADDER_STEP: f64 = 0.05;

/// Scores of the rule that sends the same share to everyone: what is left of the ladder.
pub fn fixed_fraction(images: usize, checkpoints: usize) -> Vec<f32> {
    let row = (0..checkpoints).map(|c| (checkpoints - 1 - c) as f32);
    row.collect::<Vec<f32>>().repeat(images)
}

/// Trade-off and operating point of a column of scores: the largest threshold whose upper bound of the loss is within
/// [`ALLOWED_LOSS`]. The point is one of the trade-off.
pub fn trade_off(
    samples: &Samples,
    scores: &[f32],
    bound: &mut LossBound,
) -> (Vec<StopPoint>, Option<StopPoint>) {
    let sweep = Sweep::new(samples, scores, |_| true);
    let best = largest_within(sweep.clone(), ALLOWED_LOSS, bound);
    let mut points = ladder(sweep, LADDER_STEP, bound);
    if let Some(best) = best {
        let at = points.partition_point(|point| point.threshold < best.threshold);
        if points.get(at).is_none_or(|p| p.threshold != best.threshold) {
            points.insert(at, best);
        }
    }
    (
        points.into_iter().map(shortened).collect(),
        best.map(shortened),
    )
}

/// A rule's report from its scores.
pub fn report(name: &str, samples: &Samples, scores: &[f32], bound: &mut LossBound) -> RuleReport {
    let (ladder, best) = trade_off(samples, scores, bound);
    RuleReport {
        name: name.to_owned(),
        best,
        ladder,
    }
}

/// The bound that no rule can know: stop at the first checkpoint (from 1 on) from which on the answer is what it is at
/// the end. It loses nothing; the bound of its loss is the one for no loss in so many images.
pub fn genie(samples: &Samples, bound: &mut LossBound) -> RuleReport {
    let last = samples.checkpoints - 1;
    let (mut sent, mut whole) = (0u64, 0u64);
    for image in 0..samples.images {
        let row = samples.at(image, 0)..samples.at(image, 0) + samples.checkpoints;
        let (top1, bits) = (&samples.top1[row.clone()], &samples.bits[row]);
        let settled = top1.iter().rposition(|answer| *answer != top1[last]);
        let stop = settled.map_or(0, |changed| changed + 1).clamp(1, last);
        sent += u64::from(bits[stop]);
        whole += u64::from(bits[last]);
    }
    RuleReport {
        name: "genie".to_owned(),
        best: Some(shortened(StopPoint {
            threshold: 0.0,
            mean_bits: sent as f64 / samples.images as f64,
            bits_saved: 1.0 - sent as f64 / whole.max(1) as f64,
            loss: 0.0,
            loss_upper: bound.upper(0, 0),
        })),
        ladder: Vec::new(),
    }
}

/// A point without digits that mean nothing. The threshold stays exact: scores are compared with it.
fn shortened(point: StopPoint) -> StopPoint {
    let to = |value: f64, steps: f64| (value * steps).round() / steps;
    StopPoint {
        threshold: point.threshold,
        mean_bits: to(point.mean_bits, 10.0),
        bits_saved: to(point.bits_saved, 1e6),
        loss: to(point.loss, 1e6),
        loss_upper: to(point.loss_upper, 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rows: &[[(u32, u16); 4]]) -> Samples {
        let mut s = Samples {
            images: rows.len(),
            checkpoints: 4,
            ..Samples::default()
        };
        for row in rows {
            for &(bits, top1) in row {
                s.bits.push(bits);
                s.top1.push(top1);
                s.correct.push(top1 == 1);
                s.entropy_nats.push(0.5);
            }
        }
        s
    }

    #[test]
    fn the_genie_waits_for_the_last_change_of_the_answer() {
        // Settled before anything is sent (but something must be); at 2; only at the end.
        let s = samples(&[
            [(0, 1), (10, 1), (20, 1), (40, 1)],
            [(0, 3), (10, 1), (20, 2), (40, 2)],
            [(0, 1), (10, 1), (20, 3), (40, 1)],
        ]);
        let report = genie(&s, &mut LossBound::new(3));
        let best = report.best.expect("always");
        assert_eq!(best.bits_saved, 1.0 - (70.0f64 / 120.0 * 1e6).round() / 1e6);
        assert_eq!(best.mean_bits, 23.3);
        assert_eq!(best.loss, 0.0);
    }

    #[test]
    fn a_fixed_fraction_stops_everyone_at_the_same_checkpoint() {
        let s = samples(&[[(0, 3), (10, 1), (20, 1), (40, 1)]; 400]);
        let scores = fixed_fraction(400, 4);
        let (points, best) = trade_off(&s, &scores, &mut LossBound::new(400));
        let saved: Vec<f64> = points.iter().map(|p| p.bits_saved).collect();
        assert_eq!(saved, [0.5, 0.75]);
        assert_eq!(best.map(|b| b.threshold), Some(2.0));
    }
}
