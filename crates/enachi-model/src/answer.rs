//! What the network says: top-1 class and predictive entropy.

/// Answer to one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Class with the largest score; the first of equals.
    pub top1: u16,
    /// ENACHI (5): entropy of the class probabilities \[nat\].
    pub entropy_nats: f32,
}

/// The sum of scores that are probabilities: non-negative and of sum one. Anything else is logits.
fn sum_of_probabilities(scores: &[f32]) -> Option<f64> {
    let sum: f64 = scores.iter().map(|&s| f64::from(s)).sum();
    (scores.iter().all(|&s| s >= 0.0) && (sum - 1.0).abs() < 1e-3).then_some(sum)
}

/// Logarithms of the class probabilities behind one row of scores. Scores that are non-negative and sum to one are
/// probabilities; anything else is logits.
pub fn log_probabilities(scores: &[f32]) -> Vec<f64> {
    if let Some(sum) = sum_of_probabilities(scores) {
        return scores.iter().map(|&s| (f64::from(s) / sum).ln()).collect();
    }
    let peak = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = scores.iter().map(|&s| f64::from(s - peak));
    let total = shifted.clone().map(f64::exp).sum::<f64>().ln();
    shifted.map(|s| s - total).collect()
}

/// Class probabilities at a temperature: the network's own, raised to `1 / temperature` and normalised again.
pub fn tempered_probabilities(scores: &[f32], temperature: f64) -> Vec<f64> {
    let logs = log_probabilities(scores);
    let peak = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logs
        .iter()
        .map(|l| ((l - peak) / temperature).exp())
        .collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|p| p / total).collect()
}

/// The derivative of the logarithm of `class`'s [tempered probability](tempered_probabilities) with respect to each
/// score: (δ − p)/T for logits, and that over the score for probabilities. Pulled back through a softmax the two give
/// the same gradient.
///
/// # Panics
/// If `class` is not below the number of scores.
pub fn log_probability_gradient(scores: &[f32], class: usize, temperature: f64) -> Vec<f32> {
    let probabilities = sum_of_probabilities(scores).is_some();
    let mut gradient = tempered_probabilities(scores, temperature);
    gradient.iter_mut().for_each(|p| *p = -*p);
    gradient[class] += 1.0;
    gradient
        .iter()
        .zip(scores)
        .map(|(g, &score)| {
            // A class that has underflowed to zero gets a steep but finite slope.
            let unit = if probabilities {
                f64::from(score.max(1e-30))
            } else {
                1.0
            };
            (g / temperature / unit) as f32
        })
        .collect()
}

/// KL(p ‖ q) \[nat\] of two rows of log-probabilities.
pub fn divergence_nats(p: &[f64], q: &[f64]) -> f64 {
    p.iter()
        .zip(q)
        .filter(|(p, _)| p.is_finite())
        .map(|(p, q)| p.exp() * (p - q.max(-100.0)))
        .sum()
}

/// Read one row of scores. `None` if one of them is not a number or infinite: nothing can be said then, and it must not
/// pass for a certain answer.
pub fn read_answer(scores: &[f32]) -> Option<Answer> {
    if scores.is_empty() || scores.iter().any(|s| !s.is_finite()) {
        return None;
    }
    let top = (0..scores.len())
        .reduce(|best, i| if scores[i] > scores[best] { i } else { best })
        .unwrap_or(0);
    let entropy: f64 = log_probabilities(scores)
        .into_iter()
        .filter(|l| l.is_finite())
        .map(|l| -l.exp() * l)
        .sum();
    Some(Answer {
        top1: top as u16,
        entropy_nats: entropy.max(0.0) as f32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_of_the_log_probability_is_its_slope() {
        let sets = [vec![1.0f32, 3.0, -2.0, 0.5], vec![0.1, 0.2, 0.3, 0.4]];
        for (scores, temperature) in sets.iter().flat_map(|s| [(s, 1.0), (s, 3.0)]) {
            for class in 0..4 {
                let gradient = log_probability_gradient(scores, class, temperature);
                for i in 0..4 {
                    let moved = |by: f32| {
                        let mut scores = scores.clone();
                        scores[i] += by;
                        tempered_probabilities(&scores, temperature)[class].ln()
                    };
                    // Small enough that probabilities still pass for probabilities.
                    let slope = (moved(4e-4) - moved(-4e-4)) / 8e-4;
                    assert!((slope - f64::from(gradient[i])).abs() < 2e-3, "{i} {class}");
                }
            }
        }
    }

    #[test]
    fn logits_and_probabilities_agree() {
        let logits = [1.0f32, 3.0, -2.0, 0.5];
        let total: f32 = logits.iter().map(|l| l.exp()).sum();
        let probabilities: Vec<f32> = logits.iter().map(|l| l.exp() / total).collect();
        let read = |scores: &[f32]| read_answer(scores).expect("finite");
        let (a, b) = (read(&logits), read(&probabilities));
        assert_eq!(a.top1, 1);
        assert_eq!(b.top1, 1);
        assert!((a.entropy_nats - b.entropy_nats).abs() < 1e-5);
        let uniform = read(&[0.0; 10]);
        assert!((uniform.entropy_nats - 10f32.ln()).abs() < 1e-6);
        assert!(read(&[1000.0, 0.0]).entropy_nats < 1e-6);
        assert_eq!(read_answer(&[0.0, f32::NAN]), None);
        assert_eq!(read_answer(&[0.0, f32::INFINITY]), None);
        let (p, q) = (log_probabilities(&logits), log_probabilities(&[0.0; 4]));
        assert!(divergence_nats(&p, &p).abs() < 1e-12);
        let want = 4f64.ln() - f64::from(a.entropy_nats);
        assert!((divergence_nats(&p, &q) - want).abs() < 1e-5);
    }
}
