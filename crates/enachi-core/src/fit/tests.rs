use super::*;
use crate::curve::AccuracyCurve;

const LADDER: [f64; 17] = [
    0.0, 0.004, 0.008, 0.013, 0.02, 0.03, 0.045, 0.06, 0.08, 0.11, 0.15, 0.2, 0.28, 0.4, 0.55,
    0.75, 1.0,
];

fn given(a0: f64, a1: f64, a2: f64) -> Surrogate {
    Surrogate {
        a0,
        a1,
        a2,
        floor: 0.001,
        rmse: 0.0,
        max_error: 0.0,
    }
}

/// (14) as the planner reads it: a second, independent evaluation.
fn curve(surrogate: &Surrogate) -> AccuracyCurve {
    AccuracyCurve::fitted(surrogate, 1.0).expect("parameters in range")
}

fn cost(surrogate: &Surrogate, beta: &[f64], top1: &[f64]) -> f64 {
    let curve = curve(surrogate);
    let error = |(&b, &a): (&f64, &f64)| (curve.accuracy(b) - a).powi(2);
    beta.iter().zip(top1).map(error).sum()
}

#[test]
fn recovers_the_parameters_that_made_the_curve() {
    // The cuts of a ResNet-50 as in a published reproduction, a steep curve and a nearly straight one.
    for (a0, a1, a2) in [
        (48.8, 0.185, 0.8244),
        (99.29, 0.289, 0.8139),
        (300.0, 10.0, 0.8072),
        (797.2, 89.5, 0.8052),
        (2000.0, -1.5, 0.75),
        (2.0, -0.2, 0.95),
    ] {
        let truth = given(a0, a1, a2);
        let truth_curve = curve(&truth);
        let top1: Vec<f64> = LADDER.iter().map(|&b| truth_curve.accuracy(b)).collect();
        let bits: Vec<f64> = LADDER.iter().map(|b| b * 2.5e5).collect();
        let fit = fit_surrogate(&bits, &top1, 2.5e5, 0.001).expect("a rising curve");
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-3 * expected.abs();
        assert!(
            close(fit.a0, a0) && close(fit.a1, a1) && close(fit.a2, a2),
            "{fit:?} for {truth:?}"
        );
        assert!(fit.rmse < 1e-6 && fit.max_error < 1e-5, "{fit:?}");
    }
}

#[test]
fn no_point_of_a_fine_grid_fits_better() {
    // Smooth curves that are not of the form (14): an S-curve, an exponential, one with a dip, and a step.
    let curves: [fn(f64) -> f64; 4] = [
        |b| 0.001 + 0.75 / (1.0 + (-20.0 * (b - 0.3)).exp()),
        |b| 0.001 + 0.78 * (1.0 - (-b / 0.04).exp()),
        |b| 0.001 + 0.8 * b.sqrt() * (1.1 - 0.2 * b),
        |b| if b < 0.14 { 0.001 } else { 0.72 },
    ];
    for (index, curve) in curves.iter().enumerate() {
        let top1: Vec<f64> = LADDER.iter().map(|&b| curve(b).min(1.0)).collect();
        let fit = fit_surrogate(&LADDER, &top1, 1.0, 0.001).expect("a rising curve");
        let ours = cost(&fit, &LADDER, &top1);
        assert!((ours / 17.0 - fit.rmse.powi(2)).abs() < 1e-12);
        assert!(
            fit.a0 > 0.0 && fit.a0 <= 1.0001 * MAX_A0 && fit.a2 <= 1.0,
            "{fit:?}"
        );
        let mut best = f64::INFINITY;
        for i in 0..=120 {
            let scale = 10f64.powf(-5.0 + 6.0 * f64::from(i) / 120.0);
            for j in 0..=240 {
                let pole = -1.0 + 1.9 * f64::from(j) / 240.0;
                for k in 0..=60 {
                    let a2 = 0.4 + 0.6 * f64::from(k) / 60.0;
                    let trial = given(1.0 / scale, pole / scale, a2);
                    best = best.min(cost(&trial, &LADDER, &top1));
                }
            }
        }
        assert!(
            ours <= best + 1e-9,
            "curve {index}: {ours} against {best} on the grid"
        );
    }
}

#[test]
fn a_curve_without_a_rise_has_no_fit() {
    assert_eq!(fit_surrogate(&LADDER, &[0.001; 17], 1.0, 0.001), None);
    assert_eq!(fit_surrogate(&[0.0, 1.0], &[0.001, 0.7], 1.0, 0.001), None);
}

/// On the envelope: no chord of two other points passes on or above the point.
fn on_envelope_by_definition(x: &[f64], y: &[f64], point: usize) -> bool {
    for left in 0..point {
        for right in point + 1..x.len() {
            let share = (x[point] - x[left]) / (x[right] - x[left]);
            if y[point] <= y[left] + share * (y[right] - y[left]) {
                return false;
            }
        }
    }
    true
}

#[test]
fn the_envelope_is_the_one_by_definition() {
    for case in 0..500u64 {
        let mut x = 0.0;
        let points = 1 + (mix(case) % 12) as usize;
        let (xs, ys): (Vec<f64>, Vec<f64>) = (0..points as u64)
            .map(|i| {
                let word = mix(case * 1000 + i);
                // Coarse numbers, so that points on a common line occur and products are exact.
                let at = x;
                x += 1.0 + (word % 5) as f64;
                (at, ((word >> 32) % 8) as f64)
            })
            .unzip();
        let expected: Vec<u32> = (0..points)
            .filter(|&i| on_envelope_by_definition(&xs, &ys, i))
            .map(|i| i as u32)
            .collect();
        assert_eq!(concave_envelope(&xs, &ys), expected, "{xs:?} {ys:?}");
    }
}

/// Samples of one checkpoint pair: nothing sent (never right) and everything sent.
fn toy(seed: u64, images: usize, whole: f64, lost: f64) -> (Samples, Vec<bool>) {
    let unit = |counter: u64| (mix(mix(seed) ^ counter) >> 11) as f64 / (1u64 << 53) as f64;
    let mut samples = Samples {
        images,
        checkpoints: 2,
        ..Samples::default()
    };
    let mut uncompressed = Vec::new();
    for image in 0..images as u64 {
        let right = unit(2 * image) < whole;
        let kept = right && unit(2 * image + 1) >= lost;
        uncompressed.push(right);
        samples.bits.extend([0, 1000]);
        samples.correct.extend([false, kept]);
        samples.top1.extend([0, 0]);
        samples.entropy_nats.extend([0.0, 0.0]);
    }
    (samples, uncompressed)
}

#[test]
fn means_and_paired_loss_by_hand() {
    let samples = Samples {
        images: 4,
        checkpoints: 2,
        bits: vec![0, 10, 0, 20, 0, 30, 0, 40],
        top1: vec![0; 8],
        correct: vec![false, true, false, true, true, false, false, true],
        entropy_nats: vec![0.0; 8],
        predicted_nats: Vec::new(),
    };
    let curve = measure(&samples, &[true, true, true, false], 1);
    assert_eq!(curve.bits, [0.0, 25.0]);
    assert_eq!(curve.top1, [0.25, 0.75]);
    // Uncompressed .75: one image is lost and one is gained by luck.
    assert_eq!(curve.loss, [0.5, 0.0]);
    assert_eq!(curve.envelope, [0, 1]);
    assert_eq!(measure(&samples, &[true, true, true, false], 1), curve);
}

#[test]
fn identical_answers_lose_nothing_for_certain() {
    let (samples, _) = toy(3, 300, 0.8, 0.0);
    let whole: Vec<bool> = samples.correct.iter().skip(1).step_by(2).copied().collect();
    let curve = measure(&samples, &whole, 9);
    assert_eq!((curve.loss_low[1], curve.loss_high[1]), (0.0, 0.0));
    assert!(curve.top1_low[1] < curve.top1[1] && curve.top1[1] < curve.top1_high[1]);
}

#[test]
fn the_interval_has_the_width_of_the_binomial() {
    let (samples, whole) = toy(5, 600, 0.75, 0.04);
    let curve = measure(&samples, &whole, 2);
    let p = curve.top1[1];
    let width = 2.0 * 1.96 * (p * (1.0 - p) / 600.0).sqrt();
    let found = curve.top1_high[1] - curve.top1_low[1];
    assert!((found / width - 1.0).abs() < 0.1, "{found} against {width}");
    // Pairing removes the spread that both share: only the lost share q contributes.
    let q = curve.loss[1];
    let width = 2.0 * 1.96 * (q * (1.0 - q) / 600.0).sqrt();
    let found = curve.loss_high[1] - curve.loss_low[1];
    assert!(
        (found / width - 1.0).abs() < 0.15,
        "{found} against {width}"
    );
}

#[test]
fn the_intervals_cover_the_truth_as_often_as_they_say() {
    let (trials, whole, lost) = (200, 0.8, 0.1);
    let (mut top1_hits, mut loss_hits) = (0, 0);
    for trial in 0..trials {
        let (samples, uncompressed) = toy(1000 + trial, 250, whole, lost);
        let curve = measure(&samples, &uncompressed, trial);
        let (top1, loss) = (whole * (1.0 - lost), whole * lost);
        top1_hits += u32::from(curve.top1_low[1] <= top1 && top1 <= curve.top1_high[1]);
        loss_hits += u32::from(curve.loss_low[1] <= loss && loss <= curve.loss_high[1]);
    }
    // 95 % of 200 is 190; five standard deviations of that count are 15.
    for hits in [top1_hits, loss_hits] {
        assert!(
            (175..=200).contains(&hits),
            "{top1_hits} and {loss_hits} of {trials}"
        );
    }
}
