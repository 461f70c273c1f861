//! Gradients of the answer at the cuts, for calibration images.

use super::{Job, ProfilerError};
use crate::answer::{log_probability_gradient, tempered_probabilities};
use crate::tensor::Tensor;

/// Labels drawn per calibration image.
const DRAWS: u64 = 2;
/// Temperature of the answer that labels are drawn from. At 1 the gradients of images that the network is certain of
/// all but vanish, and those images are most of the data; once features are coarse, their answers move too.
const TEMPERATURE: f64 = 3.0;

/// Gradients of one image.
pub struct Sensitivity {
    /// Per inner cut, one gradient per drawn label; empty where there are none.
    pub drawn: Vec<Vec<Tensor>>,
    /// Per inner cut, the gradient for the true label.
    pub label: Vec<Option<Tensor>>,
}

/// Gradients of the log-probability of labels drawn from the network's tempered answer, and of the true label.
pub fn gradients(job: &Job, input: &Tensor, image: usize) -> Result<Sensitivity, ProfilerError> {
    let mut found = Sensitivity {
        drawn: job.cuts.iter().map(|_| Vec::new()).collect(),
        label: job.cuts.iter().map(|_| None).collect(),
    };
    let Some(engine) = job.gradients else {
        return Ok(found);
    };
    let places = job.differentiable();
    let wanted: Vec<&str> = places.iter().map(|&i| job.cuts[i].name.as_str()).collect();
    if wanted.is_empty() {
        return Ok(found);
    }
    let pass = engine.forward(job.graph.input_name(), input, &wanted)?;
    let scores = pass.scores();
    job.read_scores(scores, &job.calibration[image].name)?;
    let tempered = tempered_probabilities(scores, TEMPERATURE);
    for draw in 0..DRAWS {
        let class = draw_class(&tempered, uniform(job.settings.seed, image as u64, draw));
        let cotangent = log_probability_gradient(scores, class, TEMPERATURE);
        for (&place, gradient) in places.iter().zip(engine.backward(&pass, &cotangent)?) {
            found.drawn[place].extend(finite(gradient));
        }
    }
    let label = usize::from(job.class(&job.calibration[image]));
    let cotangent = log_probability_gradient(scores, label, 1.0);
    for (&place, gradient) in places.iter().zip(engine.backward(&pass, &cotangent)?) {
        found.label[place] = finite(gradient);
    }
    Ok(found)
}

/// A gradient that says something: where a root or a quotient meets 0 some are no numbers, and one of them would take the
/// others' sum with it.
fn finite(gradient: Tensor) -> Option<Tensor> {
    gradient
        .data
        .iter()
        .all(|g| g.is_finite())
        .then_some(gradient)
}

/// The class whose share of the unit interval holds `u`.
fn draw_class(probabilities: &[f64], u: f64) -> usize {
    let mut sum = 0.0;
    probabilities
        .iter()
        .position(|p| {
            sum += p;
            u < sum
        })
        .unwrap_or(probabilities.len() - 1)
}

/// A number in [0, 1) that depends on the three alone (SplitMix64 of their mixture).
fn uniform(seed: u64, image: u64, draw: u64) -> f64 {
    let mut z = seed
        ^ (image << 8 | draw)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_that_are_no_numbers_are_left_out() {
        let of = |value: f32| Tensor {
            shape: vec![1, 3],
            data: vec![1.0, value, 2.0],
        };
        assert_eq!(finite(of(0.5)).map(|t| t.data), Some(vec![1.0, 0.5, 2.0]));
        assert!(finite(of(f32::NAN)).is_none() && finite(of(f32::INFINITY)).is_none());
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let p = [0.2, 0.5, 0.3];
        let mut hits = [0; 3];
        for image in 0..20_000 {
            hits[draw_class(&p, uniform(7, image, 1))] += 1;
        }
        for (hit, p) in hits.iter().zip(p) {
            assert!((f64::from(*hit) / 20_000.0 - p).abs() < 0.015, "{hits:?}");
        }
        assert_eq!(draw_class(&p, 1.0), 2);
    }
}
