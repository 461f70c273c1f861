//! What every [`Profile`] must satisfy before anything is computed from it.
//!
//! A profile is read from files that others wrote, so the checks assume nothing: every number is tested before it
//! is used, and the first thing that is wrong is named by its place in the profile.

use crate::profile::{
    CutKind, CutProfile, Image, LadderKind, MeasuredCurve, PredictorReport, Profile, Samples,
    StopPoint, Stream, Surrogate, Timing,
};

/// Most cuts in one profile.
pub const MAX_CUTS: usize = 4096;
/// Most streams at one cut.
pub const MAX_STREAMS: usize = 256;
/// Most checkpoints of one stream.
pub const MAX_CHECKPOINTS: usize = 4096;
/// Most measured images.
pub const MAX_IMAGES: usize = 1 << 20;
/// Most competing stop rules of one predictor report.
pub const MAX_RULES: usize = 64;
/// Most classes: class indices are 16 bits.
pub const MAX_CLASSES: u32 = 1 << 16;

/// Slack on the largest possible entropy, ln(classes) \[nat\]: rounding in `f32` softmax sums and in the file.
const ENTROPY_SLACK_NATS: f32 = 0.01;
/// Slack on accuracies and losses, for rounding in means.
const UNIT_SLACK: f64 = 1e-9;

/// The first thing that is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ProfileError {
    /// Where, e.g. `cuts[3] (layer2.0).streams[0] (klt-dct).samples`.
    pub place: String,
    /// The value found and the values allowed.
    pub what: String,
}

type Outcome = Result<(), ProfileError>;

fn fail<T>(place: impl Into<String>, what: impl Into<String>) -> Result<T, ProfileError> {
    Err(ProfileError {
        place: place.into(),
        what: what.into(),
    })
}

impl Profile {
    /// Checks shapes, ranges and consistency of the whole profile.
    ///
    /// # Errors
    /// The first violation found, in the order metadata, images, cuts, streams.
    pub fn validate(&self) -> Outcome {
        let classes = self.meta.classes;
        if !(2..=MAX_CLASSES).contains(&classes) {
            return fail(
                "meta.classes",
                format!("{classes} is not in 2..={MAX_CLASSES}"),
            );
        }
        unit("meta.top1_uncompressed", self.meta.top1_uncompressed)?;
        check_images(&self.images, classes)?;
        if self.cuts.is_empty() || self.cuts.len() > MAX_CUTS {
            return fail(
                "cuts",
                format!("{} cuts, allowed 1..={MAX_CUTS}", self.cuts.len()),
            );
        }
        let last = self.cuts.len() - 1;
        for (index, cut) in self.cuts.iter().enumerate() {
            let place = format!("cuts[{index}] ({})", cut.name);
            if self.cuts[..index]
                .iter()
                .any(|other| other.name == cut.name)
            {
                return fail(place, "the name appears twice");
            }
            match cut.kind {
                CutKind::Input if index != 0 => {
                    return fail(place, "only the first cut may be the input");
                }
                CutKind::Local if index != last => {
                    return fail(place, "only the last cut may be all local");
                }
                _ => {}
            }
            check_cut(&place, cut, classes, &self.images)?;
        }
        Ok(())
    }
}

fn check_images(images: &[Image], classes: u32) -> Outcome {
    if images.len() > MAX_IMAGES {
        return fail(
            "images",
            format!("{} images, at most {MAX_IMAGES} allowed", images.len()),
        );
    }
    for (index, image) in images.iter().enumerate() {
        if u32::from(image.label) >= classes || u32::from(image.top1) >= classes {
            return fail(
                format!("images[{index}] ({})", image.name),
                format!(
                    "label {} and top1 {} must be below {classes} classes",
                    image.label, image.top1
                ),
            );
        }
    }
    Ok(())
}

fn check_cut(place: &str, cut: &CutProfile, classes: u32, images: &[Image]) -> Outcome {
    if cut.name.is_empty() {
        return fail(place, "the name is empty");
    }
    unit(&format!("{place}.top1_uncompressed"), cut.top1_uncompressed)?;
    check_timing(&format!("{place}.head_time"), cut.head_time)?;
    check_timing(&format!("{place}.tail_time"), cut.tail_time)?;
    if cut.kind != CutKind::Local && (cut.maps == 0 || cut.height == 0 || cut.width == 0) {
        return fail(
            place,
            format!(
                "{}x{}x{} maps: every extent must be positive",
                cut.maps, cut.height, cut.width
            ),
        );
    }
    if cut.streams.len() > MAX_STREAMS {
        return fail(
            place,
            format!(
                "{} streams, at most {MAX_STREAMS} allowed",
                cut.streams.len()
            ),
        );
    }
    if cut.kind == CutKind::Local && !cut.streams.is_empty() {
        return fail(place, "an all-local cut sends nothing and has no streams");
    }
    for (index, stream) in cut.streams.iter().enumerate() {
        let place = format!("{place}.streams[{index}] ({})", stream.name);
        if stream.name.is_empty() {
            return fail(place, "the name is empty");
        }
        if cut.streams[..index].iter().any(|s| s.name == stream.name) {
            return fail(place, "the name appears twice at this cut");
        }
        check_stream(&place, stream, classes, images)?;
    }
    Ok(())
}

fn check_stream(place: &str, stream: &Stream, classes: u32, images: &[Image]) -> Outcome {
    check_timing(&format!("{place}.encode_time"), stream.encode_time)?;
    check_timing(&format!("{place}.decode_time"), stream.decode_time)?;
    if !(stream.total_bits.is_finite() && stream.total_bits > 0.0) {
        return fail(
            format!("{place}.total_bits"),
            format!("{} is not a positive number", stream.total_bits),
        );
    }
    let ladder = &stream.checkpoint_chunks;
    let key = format!("{place}.checkpoint_chunks");
    if ladder.len() > MAX_CHECKPOINTS {
        return fail(
            key,
            format!("{} entries, at most {MAX_CHECKPOINTS}", ladder.len()),
        );
    }
    if ladder.first().is_some_and(|&first| first != 0) {
        return fail(
            key,
            format!("starts at {}, must start at 0 (nothing sent)", ladder[0]),
        );
    }
    if let Some(at) = ladder.windows(2).position(|pair| pair[0] >= pair[1]) {
        return fail(
            key,
            format!(
                "{} after {} at entry {}, must ascend",
                ladder[at + 1],
                ladder[at],
                at + 1
            ),
        );
    }
    if let Some(&last) = ladder.last()
        && last > stream.total_chunks
    {
        return fail(
            key,
            format!(
                "ends at {last}, above total_chunks = {}",
                stream.total_chunks
            ),
        );
    }
    if let Some(surrogate) = &stream.surrogate {
        check_surrogate(&format!("{place}.surrogate"), surrogate)?;
    }
    if let Some(curve) = &stream.measured {
        check_curve(&format!("{place}.measured"), curve, ladder.len())?;
    }
    if let Some(report) = &stream.predictor {
        check_predictor(&format!("{place}.predictor"), report)?;
    }
    check_samples(&format!("{place}.samples"), stream, classes, images)
}

fn check_predictor(place: &str, report: &PredictorReport) -> Outcome {
    for (name, value) in [
        ("rmse_nats", report.rmse_nats),
        ("mae_nats", report.mae_nats),
        ("default_threshold_nats", report.default_threshold_nats),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            return fail(
                format!("{place}.{name}"),
                format!("{value} nat is not a number from 0 on"),
            );
        }
    }
    for (name, value) in [
        ("rank_correlation", report.rank_correlation),
        ("rank_correlation_within", report.rank_correlation_within),
    ] {
        between(&format!("{place}.{name}"), value, -1.0, 1.0)?;
    }
    check_timing(&format!("{place}.evaluate_time"), report.evaluate_time)?;
    check_ladder(&format!("{place}.ladder"), &report.ladder)?;
    if report.default_threshold_nats > 0.0 && report.default_point().is_none() {
        return fail(
            format!("{place}.default_threshold_nats"),
            format!(
                "{} nat is not a threshold of the ladder",
                report.default_threshold_nats
            ),
        );
    }
    if report.rules.len() > MAX_RULES {
        return fail(
            format!("{place}.rules"),
            format!("{} rules, at most {MAX_RULES} allowed", report.rules.len()),
        );
    }
    for (index, rule) in report.rules.iter().enumerate() {
        let place = format!("{place}.rules[{index}] ({})", rule.name);
        check_ladder(&format!("{place}.ladder"), &rule.ladder)?;
        if let Some(best) = &rule.best {
            check_stop_point(&format!("{place}.best"), best)?;
        }
    }
    Ok(())
}

fn check_ladder(place: &str, ladder: &[StopPoint]) -> Outcome {
    if ladder.len() > MAX_CHECKPOINTS {
        return fail(
            place,
            format!("{} points, at most {MAX_CHECKPOINTS}", ladder.len()),
        );
    }
    for (index, point) in ladder.iter().enumerate() {
        check_stop_point(&format!("{place}[{index}]"), point)?;
        if index > 0 && point.threshold <= ladder[index - 1].threshold {
            return fail(
                format!("{place}[{index}].threshold"),
                format!(
                    "{} after {}, must ascend",
                    point.threshold,
                    ladder[index - 1].threshold
                ),
            );
        }
    }
    Ok(())
}

fn check_stop_point(place: &str, point: &StopPoint) -> Outcome {
    if !point.threshold.is_finite() {
        return fail(
            format!("{place}.threshold"),
            format!("{} is not a number", point.threshold),
        );
    }
    if !(point.mean_bits.is_finite() && point.mean_bits >= 0.0) {
        return fail(
            format!("{place}.mean_bits"),
            format!("{} is not a number of bits", point.mean_bits),
        );
    }
    unit(&format!("{place}.bits_saved"), point.bits_saved)?;
    between(&format!("{place}.loss"), point.loss, -1.0, 1.0)?;
    between(&format!("{place}.loss_upper"), point.loss_upper, -1.0, 1.0)
}

fn check_surrogate(place: &str, s: &Surrogate) -> Outcome {
    if !(s.a0.is_finite() && s.a0 > 0.0) {
        return fail(
            format!("{place}.a0"),
            format!("{} is not a positive number", s.a0),
        );
    }
    // The pole a1/a0 must lie left of β = 1, or nothing is ever gained.
    if !(s.a1.is_finite() && s.a1 < s.a0) {
        return fail(
            format!("{place}.a1"),
            format!("{} is not a number below a0 = {}", s.a1, s.a0),
        );
    }
    // The ceiling itself is never reached for β ≤ 1, so a fit may put it slightly above 1.
    if !(s.a2 > 0.0 && s.a2 <= 2.0) {
        return fail(format!("{place}.a2"), format!("{} is not in 0..=2", s.a2));
    }
    unit(&format!("{place}.floor"), s.floor)?;
    if s.a2 <= s.floor {
        return fail(
            format!("{place}.a2"),
            format!("{} is not above the floor {}", s.a2, s.floor),
        );
    }
    unit(&format!("{place}.rmse"), s.rmse)?;
    unit(&format!("{place}.max_error"), s.max_error)
}

fn check_curve(place: &str, curve: &MeasuredCurve, checkpoints: usize) -> Outcome {
    let columns: [(&str, &[f64], f64); 7] = [
        ("bits", &curve.bits, 0.0),
        ("top1", &curve.top1, 0.0),
        ("top1_low", &curve.top1_low, 0.0),
        ("top1_high", &curve.top1_high, 0.0),
        ("loss", &curve.loss, -1.0),
        ("loss_low", &curve.loss_low, -1.0),
        ("loss_high", &curve.loss_high, -1.0),
    ];
    for (name, values, low) in columns {
        let key = format!("{place}.{name}");
        if values.len() != checkpoints {
            return fail(
                key,
                format!("{} entries for {checkpoints} checkpoints", values.len()),
            );
        }
        let high = if name == "bits" { f64::MAX } else { 1.0 };
        for (at, &value) in values.iter().enumerate() {
            if !(value >= low - UNIT_SLACK && value <= high + UNIT_SLACK) {
                return fail(
                    key,
                    format!("entry {at} is {value}, outside {low}..={high}"),
                );
            }
        }
    }
    if let Some(at) = curve.bits.windows(2).position(|pair| pair[0] > pair[1]) {
        return fail(
            format!("{place}.bits"),
            format!("entry {} is below the one before it", at + 1),
        );
    }
    let envelope = &curve.envelope;
    let ascending = envelope.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = envelope.iter().all(|&i| (i as usize) < checkpoints);
    let starts = envelope.first().is_none_or(|&first| first == 0);
    if !(ascending && inside && starts && (envelope.is_empty() == (checkpoints == 0))) {
        return fail(
            format!("{place}.envelope"),
            format!("must be ascending checkpoint indices below {checkpoints} that start with 0"),
        );
    }
    Ok(())
}

fn check_samples(place: &str, stream: &Stream, classes: u32, images: &[Image]) -> Outcome {
    let samples: &Samples = &stream.samples;
    if samples.images > images.len() {
        return fail(
            place,
            format!(
                "{} images, the profile has {}",
                samples.images,
                images.len()
            ),
        );
    }
    if samples.images > 0 && samples.checkpoints != stream.checkpoint_chunks.len() {
        return fail(
            place,
            format!(
                "{} checkpoints, the ladder has {}",
                samples.checkpoints,
                stream.checkpoint_chunks.len()
            ),
        );
    }
    let cells = samples.images.checked_mul(samples.checkpoints);
    let lengths = [
        samples.bits.len(),
        samples.top1.len(),
        samples.correct.len(),
        samples.entropy_nats.len(),
    ];
    if lengths.iter().any(|&length| Some(length) != cells) {
        return fail(
            place,
            format!(
                "columns of {lengths:?} cells for {} images x {} checkpoints",
                samples.images, samples.checkpoints
            ),
        );
    }
    let predicted = &samples.predicted_nats;
    if samples.has_predictions() && Some(predicted.len()) != cells {
        return fail(
            place,
            format!(
                "{} predictions for {} images x {} checkpoints",
                predicted.len(),
                samples.images,
                samples.checkpoints
            ),
        );
    }
    let entropy_max = (classes as f32).ln() + ENTROPY_SLACK_NATS;
    for (row, image) in images.iter().enumerate().take(samples.images) {
        for checkpoint in 0..samples.checkpoints {
            let cell = samples.at(row, checkpoint);
            let wrong = |what: String| {
                fail(
                    format!(
                        "{place}[image {row} ({}), checkpoint {checkpoint}]",
                        image.name
                    ),
                    what,
                )
            };
            let bits = samples.bits[cell];
            if checkpoint == 0 && bits != 0 {
                return wrong(format!("{bits} bits before anything is sent, must be 0"));
            }
            if stream.ladder == LadderKind::Embedded
                && checkpoint > 0
                && bits < samples.bits[cell - 1]
            {
                return wrong(format!(
                    "{bits} bits after {}, cumulative bits must not fall",
                    samples.bits[cell - 1]
                ));
            }
            let top1 = samples.top1[cell];
            if u32::from(top1) >= classes {
                return wrong(format!("top1 {top1} must be below {classes} classes"));
            }
            if samples.correct[cell] != (top1 == image.label) {
                return wrong(format!(
                    "correct = {} but top1 is {top1} and the label {}",
                    samples.correct[cell], image.label
                ));
            }
            let entropy = samples.entropy_nats[cell];
            if !(0.0..=entropy_max).contains(&entropy) {
                return wrong(format!(
                    "entropy {entropy} nat is outside 0..=ln({classes})"
                ));
            }
            if let Some(predicted) = predicted.get(cell)
                && !(0.0..=entropy_max).contains(predicted)
            {
                return wrong(format!(
                    "predicted uncertainty {predicted} nat is outside 0..=ln({classes})"
                ));
            }
        }
    }
    Ok(())
}

fn check_timing(place: &str, timing: Option<Timing>) -> Outcome {
    let Some(t) = timing else { return Ok(()) };
    for (name, value) in [
        ("median_s", t.median_s),
        ("p25_s", t.p25_s),
        ("p75_s", t.p75_s),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            return fail(
                format!("{place}.{name}"),
                format!("{value} s is not a duration"),
            );
        }
    }
    Ok(())
}

fn unit(place: &str, value: f64) -> Outcome {
    between(place, value, 0.0, 1.0)
}

fn between(place: &str, value: f64, low: f64, high: f64) -> Outcome {
    if (low - UNIT_SLACK..=high + UNIT_SLACK).contains(&value) {
        Ok(())
    } else {
        fail(place, format!("{value} is not in {low}..={high}"))
    }
}
