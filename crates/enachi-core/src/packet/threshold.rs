//! H_th chosen from a profile: the largest threshold whose paired loss stays within an allowance.
//!
//! An image stops at its first checkpoint (≥ 1) whose uncertainty is at most the threshold. Its loss is what it would have
//! got right at the last checkpoint and does not at the stop.
//!
//! For the tail's entropy the loss is its mean over the images. That does not rise steadily with the threshold, so
//! "largest" means: no smaller threshold exceeds the allowance either. For a predictor it is the upper confidence bound of
//! that mean ([`loss_bound`](super::loss_bound)), the largest that is within
//! ([`largest_within`]): a threshold that will be used on other images promises its loss.

use super::loss_bound::LossBound;
use super::tradeoff::{Sweep, largest_within};
use crate::profile::{Samples, Uncertainty};

/// Mean loss in right answers, over `images`, of stopping at `threshold_nats` in place of sending everything.
fn paired_loss(samples: &Samples, images: &[usize], threshold_nats: f64) -> f64 {
    let last = samples.checkpoints - 1;
    let right = |image: usize, checkpoint: usize| {
        f64::from(u8::from(samples.correct[samples.at(image, checkpoint)]))
    };
    let lost: f64 = images
        .iter()
        .map(|&image| {
            let stop = samples.stop_checkpoint(&samples.entropy_nats, image, threshold_nats);
            right(image, last) - right(image, stop)
        })
        .sum();
    lost / images.len() as f64
}

/// Largest threshold \[nat\] whose [`paired_loss`] over the images with `use_image` is at most `allowed` (a share of
/// answers), as are those of all smaller ones; 0 where every threshold loses more.
pub fn largest_threshold(
    samples: &Samples,
    allowed: f64,
    use_image: impl Fn(usize) -> bool,
) -> f64 {
    // Steps of 2 % from a thousandth of a nat to more than the entropy of a million classes.
    const LEAST_NATS: f64 = 1e-3;
    const MOST_NATS: f64 = 14.0;
    let images: Vec<usize> = (0..samples.images).filter(|i| use_image(*i)).collect();
    if images.is_empty() {
        return 0.0;
    }
    std::iter::successors(Some(LEAST_NATS), |nats| Some(nats * 1.02))
        .take_while(|nats| *nats <= MOST_NATS)
        .take_while(|nats| paired_loss(samples, &images, *nats) <= allowed)
        .last()
        .unwrap_or(0.0)
}

/// Two thresholds, from the odd and from the even images: entry `image % 2` never saw the image itself.
pub fn cross_fitted(samples: &Samples, allowed: f64) -> [f64; 2] {
    [
        largest_threshold(samples, allowed, |image| image % 2 == 1),
        largest_threshold(samples, allowed, |image| image % 2 == 0),
    ]
}

/// Parts of the images in [`bounded`]: each is decided about by the other nine. The bound costs power with every image left
/// out, so the parts are smaller than the halves of [`cross_fitted`].
const BOUNDED_PARTS: usize = 10;

/// Thresholds of a stream, none of which saw the images it decides about.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Entry `image % len` is the image's threshold \[nat\]; −∞ where no threshold is within the allowance.
    parts: Vec<f64>,
}

impl Thresholds {
    /// Chosen for rules that see `uncertainty`: by the bound if that is a predictor's, by the mean loss otherwise.
    ///
    /// The predictions of the images that choose were made by models that may have seen the image decided about; a profile
    /// holds one prediction per image and cannot leave out two.
    pub fn fit(samples: &Samples, uncertainty: Uncertainty, allowed: f64) -> Self {
        let parts = match uncertainty {
            Uncertainty::Predictor if samples.has_predictions() => bounded(samples, allowed),
            _ => cross_fitted(samples, allowed).to_vec(),
        };
        Self { parts }
    }

    /// The threshold that decides about `image` \[nat\].
    pub fn of(&self, image: usize) -> f64 {
        self.parts[image % self.parts.len()]
    }
}

/// Thresholds on predictions from the images outside each tenth: entry `image % 10` never saw the image itself.
fn bounded(samples: &Samples, allowed: f64) -> Vec<f64> {
    // Parts of a profile differ by at most one image: two sets of remembered bounds serve all.
    let mut bounds: Vec<(usize, LossBound)> = Vec::new();
    (0..BOUNDED_PARTS)
        .map(|part| {
            let sweep = Sweep::new(samples, &samples.predicted_nats, |image| {
                image % BOUNDED_PARTS != part
            });
            let images = sweep.images();
            let known = bounds.iter().position(|(n, _)| *n == images);
            let index = known.unwrap_or_else(|| {
                bounds.push((images, LossBound::new(images)));
                bounds.len() - 1
            });
            largest_within(sweep, allowed, &mut bounds[index].1)
                .map_or(f64::NEG_INFINITY, |point| point.threshold)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::tradeoff::tests::noisy;

    #[test]
    fn a_predictor_promises_its_loss_by_the_bound() {
        let (mut s, scores) = noisy(600, 9);
        s.predicted_nats = scores;
        let allowed = 0.05;
        let fitted = Thresholds::fit(&s, Uncertainty::Predictor, allowed);
        for part in 0..BOUNDED_PARTS {
            let others: Vec<usize> = (0..600).filter(|i| i % BOUNDED_PARTS != part).collect();
            let sweep = Sweep::new(&s, &s.predicted_nats, |i| others.contains(&i));
            let best = largest_within(sweep, allowed, &mut LossBound::new(others.len()));
            assert_eq!(Some(fitted.of(part)), best.map(|point| point.threshold));
        }
        // An image's own outcomes do not move its threshold.
        let before = fitted.of(7);
        let mut changed = s.clone();
        for image in (0..600).filter(|i| i % BOUNDED_PARTS == 7) {
            for c in 0..9 {
                let at = changed.at(image, c);
                changed.correct[at] = c == 8;
                changed.predicted_nats[at] = 0.0;
            }
        }
        let after = Thresholds::fit(&changed, Uncertainty::Predictor, allowed);
        assert_eq!(after.of(7), before);
        assert!(after.of(6) < fitted.of(6));
        // Nothing to promise on few images: never stop.
        let (mut few, scores) = noisy(40, 9);
        few.predicted_nats = scores;
        let none = Thresholds::fit(&few, Uncertainty::Predictor, 0.01);
        assert_eq!(none.of(3), f64::NEG_INFINITY);
    }

    #[test]
    fn the_mean_loss_chooses_where_there_is_no_predictor() {
        let s = samples();
        let halves = cross_fitted(&s, 0.01);
        for uncertainty in [Uncertainty::Tail, Uncertainty::Predictor] {
            let fitted = Thresholds::fit(&s, uncertainty, 0.01);
            assert_eq!(
                [fitted.of(0), fitted.of(1), fitted.of(2)],
                [halves[0], halves[1], halves[0]]
            );
        }
    }

    /// 200 images; at the middle checkpoint image i has entropy i/100 and is right but for every tenth beyond 1 nat.
    fn samples() -> Samples {
        let mut s = Samples {
            images: 200,
            checkpoints: 3,
            ..Samples::default()
        };
        for i in 0..200 {
            s.bits.extend([0, 10, 20]);
            s.top1.extend([0, 1, 1]);
            s.correct.extend([false, i < 100 || i % 10 != 5, true]);
            s.entropy_nats.extend([5.0, i as f32 / 100.0, 0.0]);
        }
        s
    }

    #[test]
    fn the_largest_threshold_loses_what_is_allowed_and_no_more() {
        let s = samples();
        let all: Vec<usize> = (0..200).collect();
        // One image in 200 is half a point: two may be lost (105 and 115), the third sits at 1.25 nat.
        let threshold = largest_threshold(&s, 0.01, |_| true);
        assert!((1.22..1.25).contains(&threshold), "{threshold}");
        assert_eq!(paired_loss(&s, &all, threshold), 0.01);
        assert!(paired_loss(&s, &all, 1.25) > 0.01);
        // Nothing may be lost: up to the first wrong answer at 1.05.
        let strict = largest_threshold(&s, 0.0, |_| true);
        assert!((1.02..1.05).contains(&strict), "{strict}");
    }

    #[test]
    fn no_image_decides_about_itself() {
        let mut s = samples();
        let before = cross_fitted(&s, 0.01);
        for i in (0..200).step_by(2) {
            let at = s.at(i, 1);
            s.correct[at] = false;
        }
        // Even images changed: only the threshold that odd images use moves.
        let after = cross_fitted(&s, 0.01);
        assert_eq!(before[0], after[0]);
        assert!(after[1] < before[1]);
    }
}
