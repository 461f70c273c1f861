//! The whole predictor on data whose truth is known.

use super::random::Random;
use super::*;

/// Images whose answer settles at a checkpoint of their own; one input says how far off it is, others say nothing. The tail
/// is certain from the start, so its entropy is no help.
fn settling(images: usize, noise: f32) -> PredictorData {
    let checkpoints = 9;
    let mut random = Random::new(11);
    let mut data = PredictorData {
        images,
        checkpoints,
        n_inputs: 5,
        classes: 10,
        ..PredictorData::default()
    };
    for image in 0..images {
        let settles = 1 + image * 7 % 8;
        for c in 0..checkpoints {
            let off = settles as f32 - c as f32;
            let blur = noise * (random.unit() + random.unit() - 1.0);
            data.inputs
                .extend([1000.0 + 10.0 * (off + blur), c as f32, random.unit(), 0.0]);
            data.inputs.push(random.unit());
            data.bits.push(1000 * c as u32);
            let right = c >= settles;
            data.correct.push(right);
            data.top1.push(if right { 3 } else { 4 });
            data.entropy_nats.push(0.2 + 0.1 * random.unit());
        }
    }
    data
}

fn quick() -> PredictorSettings {
    let mut settings = PredictorSettings::default();
    settings.train.epochs = 20;
    settings.train.hidden = 8;
    settings
}

fn rule<'a>(fitted: &'a Fitted, name: &str) -> &'a enachi_core::profile::RuleReport {
    let rules = &fitted.report.rules;
    rules.iter().find(|rule| rule.name == name).expect("there")
}

#[test]
fn what_says_nothing_is_not_listened_to() {
    // The checkpoint (input 1) against how far off the image is (input 0), which is what decides.
    let mut data = settling(200, 0.5);
    data.progress = Some(1);
    let row = |off: f32| [off, 3.0, 0.5, 0.0, 0.5];
    let told = fit(&data, &quick()).expect("fits");
    let reach = (told.model.predict(&row(1020.0)) - told.model.predict(&row(990.0))).abs();
    assert!(reach > 1.0, "{reach}");
    // Once input 0 is noise, the checkpoint is all there is, and the rule is the fixed share: images of one checkpoint have
    // one prediction, which falls from checkpoint to checkpoint.
    let mut random = Random::new(5);
    for row in data.inputs.chunks_exact_mut(5) {
        row[0] = random.unit();
    }
    let fitted = fit(&data, &quick()).expect("fits");
    assert_eq!(
        fitted.model.predict(&row(0.1)),
        fitted.model.predict(&row(0.9))
    );
    let first = &fitted.predictions[1..9];
    assert!(first.windows(2).all(|w| w[0] > w[1]), "{first:?}");
    for image in fitted.predictions.chunks_exact(9) {
        assert_eq!(&image[1..], first);
    }
    let fixed = rule(&fitted, "fixed-fraction");
    let own = fitted.report.ladder.iter().map(|p| (p.bits_saved, p.loss));
    assert!(own.eq(fixed.ladder.iter().map(|p| (p.bits_saved, p.loss))));
}

#[test]
fn it_saves_what_there_is_to_save() {
    let data = settling(600, 0.5);
    let fitted = fit(&data, &quick()).expect("fits");
    // Stops are spread evenly over checkpoints 1 to 8: 3.5 of 8 are saved by who knows them.
    let genie = rule(&fitted, "genie").best.expect("always").bits_saved;
    assert!((genie - 3.5 / 8.0).abs() < 1e-6, "{genie}");
    let threshold = fitted.report.default_threshold_nats;
    let point = fitted.report.default_point();
    let saved = point.expect("a usable threshold").bits_saved;
    assert!(saved > 0.8 * genie, "{saved} of {genie}");
    // The other rules know nothing.
    assert_eq!(rule(&fitted, "fixed-fraction").best, None);
    let tail = rule(&fitted, "tail-entropy").best;
    assert!(tail.is_none_or(|best| best.bits_saved < 0.1));
    // What is reported is what a replay of the predictions gives.
    let last = data.checkpoints - 1;
    let (mut bits, mut lost) = (0.0, 0.0);
    for image in 0..data.images {
        let cell = |c: usize| image * data.checkpoints + c;
        let certain = |c: &usize| f64::from(fitted.predictions[cell(*c)]) <= threshold;
        let stop = (1..last).find(certain).unwrap_or(last);
        bits += f64::from(data.bits[cell(stop)]);
        lost += f64::from(u8::from(!data.correct[cell(stop)]));
    }
    let images = data.images as f64;
    assert!(lost / images <= 0.01);
    assert!((1.0 - bits / (8000.0 * images) - saved).abs() < 1e-6);
}

#[test]
fn the_models_output_on_new_images_is_as_good() {
    let fitted = fit(&settling(600, 0.3), &quick()).expect("fits");
    let threshold = fitted.report.default_threshold_nats as f32;
    let mut random = Random::new(77);
    let (mut wrong, mut early) = (0, 0);
    for _ in 0..2000 {
        let off = (16.0 * random.unit() - 8.0).round();
        let c = (8.0 * random.unit()).round();
        let inputs = [1000.0 + 10.0 * off, c, random.unit(), 0.0, random.unit()];
        let certain = fitted.model.predict(&inputs) <= threshold;
        wrong += usize::from(certain && off > 0.5);
        early += usize::from(!certain && off < -0.5);
    }
    assert!(wrong <= 20 && early <= 60, "{wrong} {early}");
}

#[test]
fn no_image_is_judged_by_a_model_that_saw_it() {
    let mut data = settling(40, 0.5);
    let part = |of: &[f32], first: usize| -> Vec<f32> {
        let rows = of.chunks_exact(9).skip(first).step_by(5);
        rows.flat_map(|row| row[1..].to_vec()).collect()
    };
    // Alone, and beside the progress of the stream.
    for (target, progress) in [
        (Target::Entropy, None),
        (Target::Disagreement, None),
        (Target::Entropy, Some(1)),
        (Target::Disagreement, Some(1)),
    ] {
        data.progress = progress;
        let settings = PredictorSettings { target, ..quick() };
        let before = fit(&data, &settings).expect("fits").predictions;
        let mut changed = data.clone();
        let image = 13;
        for c in 1..data.checkpoints - 1 {
            let cell = image * data.checkpoints + c;
            changed.top1[cell] = 9;
            changed.correct[cell] = false;
            changed.entropy_nats[cell] = 2.0;
        }
        let after = fit(&changed, &settings).expect("fits").predictions;
        let (ours, theirs) = (part(&before, 3), part(&after, 3));
        match progress {
            None => {
                assert_eq!(ours, theirs);
                assert_ne!(part(&before, 4), part(&after, 4));
            }
            // The line into nats is that of all images; what comes before what within its part is not moved by it.
            Some(_) => {
                let pairs = ours.iter().zip(&theirs);
                let mut pairs: Vec<(f32, f32)> = pairs.map(|(a, b)| (*a, *b)).collect();
                pairs.sort_by(|a, b| a.partial_cmp(b).expect("finite"));
                assert!(pairs.windows(2).all(|w| w[0].1 <= w[1].1), "{pairs:?}");
            }
        }
    }
}

#[test]
fn threads_do_not_matter_and_seeds_do() {
    let mut data = settling(30, 0.5);
    data.progress = Some(1);
    let one = fit(&data, &quick()).expect("fits");
    let three = PredictorSettings {
        threads: 3,
        ..quick()
    };
    assert_eq!(fit(&data, &three).expect("fits"), one);
    let mut other = quick();
    other.train.seed = 2;
    assert_ne!(
        fit(&data, &other).expect("fits").predictions,
        one.predictions
    );
}

#[test]
fn predictions_are_uncertainties_of_the_profiles_resolution() {
    let data = settling(50, 0.5);
    let fitted = fit(&data, &quick()).expect("fits");
    for (cell, nats) in fitted.predictions.iter().enumerate() {
        assert!(*nats > 0.0 && *nats <= 10f32.ln() + 1e-3);
        assert_eq!((nats * 16384.0).fract(), 0.0);
        if cell % 9 == 0 {
            assert_eq!(*nats, round_prediction(data.entropy_nats[cell]));
        }
    }
    // 50 images promise nothing within a point.
    assert_eq!(fitted.report.default_threshold_nats, 0.0);
}

#[test]
fn errors_are_measured_against_the_tail() {
    let mut data = settling(60, 0.2);
    // Entropy that the inputs tell exactly.
    for cell in 0..data.entropy_nats.len() {
        data.entropy_nats[cell] = (data.inputs[5 * cell] - 900.0) / 100.0;
    }
    let mut settings = PredictorSettings {
        target: Target::Entropy,
        ..quick()
    };
    settings.train.epochs = 60;
    settings.train.decay = 0.0;
    let report = fit(&data, &settings).expect("fits").report;
    assert!(
        report.rmse_nats < 0.1 && report.mae_nats <= report.rmse_nats,
        "{report:?}"
    );
    assert!(report.rank_correlation > 0.98 && report.rank_correlation_within > 0.95);
    assert_eq!((report.inputs, report.hidden, report.folds), (5, 8, 5));
}

#[test]
fn data_out_of_range_is_named() {
    let good = settling(30, 0.5);
    let refuse = |change: &dyn Fn(&mut PredictorData, &mut PredictorSettings), part: &str| {
        let (mut data, mut settings) = (good.clone(), quick());
        change(&mut data, &mut settings);
        let error = fit(&data, &settings).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    refuse(
        &|d, _| d.inputs[5 * 12 + 3] = f32::NAN,
        "input 3 of image 1, checkpoint 3: NaN",
    );
    refuse(
        &|d, _| d.entropy_nats[10] = 3.0,
        "entropy of image 1, checkpoint 1: 3",
    );
    refuse(&|d, _| d.bits.truncate(100), "bits: 100 values");
    refuse(
        &|d, _| d.extra_scores.push(("probe".into(), vec![0.0])),
        "probe: 1 values",
    );
    refuse(
        &|d, _| {
            d.extra_scores
                .push(("probe".into(), vec![f32::INFINITY; 270]))
        },
        "score 0 of rule probe: inf",
    );
    refuse(&|d, _| d.classes = 1, "classes: 1, must be in 2..=65536");
    refuse(&|_, s| s.folds = 1, "folds: 1");
    refuse(&|_, s| s.folds = 31, "images: 30, must be in 31..=");
    refuse(&|_, s| s.train.hidden = 0, "hidden units: 0");
    refuse(&|_, s| s.train.step = 0.0, "step: 0");
    refuse(&|_, s| s.train.decay = -1.0, "decay: -1");
}
