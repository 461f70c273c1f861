//! H_th chosen from a profile: the largest entropy threshold whose paired loss stays within an allowance.
//!
//! An image stops at its first checkpoint (≥ 1) whose entropy is at most the threshold. Its loss is what it would have
//! got right at the last checkpoint and does not at the stop. The loss does not rise steadily with the threshold, so
//! "largest" means: no smaller threshold exceeds the allowance either.

use crate::profile::Samples;

/// Mean loss in right answers, over `images`, of stopping at `threshold_nats` in place of sending everything.
fn paired_loss(samples: &Samples, images: &[usize], threshold_nats: f64) -> f64 {
    let last = samples.checkpoints - 1;
    let right = |image: usize, checkpoint: usize| {
        f64::from(u8::from(samples.correct[samples.at(image, checkpoint)]))
    };
    let lost: f64 = images
        .iter()
        .map(|&image| {
            let entropy = |c: usize| f64::from(samples.entropy_nats[samples.at(image, c)]);
            let stop = (1..last).find(|c| entropy(*c) <= threshold_nats);
            right(image, last) - right(image, stop.unwrap_or(last))
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

#[cfg(test)]
mod tests {
    use super::*;

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
