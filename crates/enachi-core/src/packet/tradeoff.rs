//! What a stop rule saves and what it loses at every threshold, on replayed samples.
//!
//! A rule is a column of scores, one per image and checkpoint; it stops an image at its first checkpoint, neither "nothing
//! sent" nor the last, whose score is at most the threshold. As the threshold rises an image can only stop earlier, so
//! one pass over the scores in ascending order visits every threshold that makes a difference.

use super::loss_bound::LossBound;
use crate::profile::{Samples, StopPoint};

/// State of a [`Sweep`] at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Images that are right at the end and wrong at their stop.
    pub lost: u32,
    /// Images that are wrong at the end and right at their stop.
    pub gained: u32,
    /// Bits of all images up to their stops.
    pub bits: u64,
}

impl Stopped {
    /// Right answers lost, less those gained.
    fn net_lost(&self) -> f64 {
        f64::from(self.lost) - f64::from(self.gained)
    }
}

/// Every threshold that makes a difference, ascending, with what it does.
#[derive(Clone, Debug)]
pub struct Sweep<'a> {
    samples: &'a Samples,
    /// (score, image, checkpoint) in ascending order.
    cells: Vec<(f32, u32, u32)>,
    next: usize,
    /// Where each image stops now.
    stops: Vec<u32>,
    now: Stopped,
    images: usize,
    whole_bits: u64,
}

impl<'a> Sweep<'a> {
    /// A sweep of `scores` (the layout of the samples' columns) over the images with `use_image`. A score that is not a
    /// number never stops.
    ///
    /// # Panics
    /// When `scores` has not `images × checkpoints` entries.
    pub fn new(samples: &'a Samples, scores: &[f32], use_image: impl Fn(usize) -> bool) -> Self {
        assert_eq!(
            scores.len(),
            samples.images * samples.checkpoints,
            "one score per image and checkpoint"
        );
        let last = samples.checkpoints.saturating_sub(1);
        let mut cells = Vec::new();
        let (mut images, mut whole_bits) = (0, 0);
        for image in (0..samples.images).filter(|image| use_image(*image)) {
            images += 1;
            whole_bits += u64::from(samples.bits[samples.at(image, last)]);
            for checkpoint in 1..last {
                let score = scores[samples.at(image, checkpoint)];
                if !score.is_nan() {
                    cells.push((score, image as u32, checkpoint as u32));
                }
            }
        }
        cells.sort_unstable_by(|a, b| {
            a.0.partial_cmp(&b.0)
                .expect("no score is NaN")
                .then((a.1, a.2).cmp(&(b.1, b.2)))
        });
        Self {
            samples,
            cells,
            next: 0,
            stops: vec![last as u32; samples.images],
            now: Stopped {
                lost: 0,
                gained: 0,
                bits: whole_bits,
            },
            images,
            whole_bits,
        }
    }

    /// Images that take part.
    pub fn images(&self) -> usize {
        self.images
    }

    /// A point of a report.
    pub fn point(&self, threshold: f32, at: Stopped, bound: &mut LossBound) -> StopPoint {
        let images = self.images.max(1) as f64;
        let whole = self.whole_bits.max(1) as f64;
        StopPoint {
            threshold: f64::from(threshold),
            mean_bits: at.bits as f64 / images,
            bits_saved: 1.0 - at.bits as f64 / whole,
            loss: at.net_lost() / images,
            loss_upper: bound.upper(at.lost, at.gained),
        }
    }

    /// Moves the stop of `image` forward to `checkpoint`, if it is not earlier already.
    fn stop(&mut self, image: u32, checkpoint: u32) {
        let held = self.stops[image as usize];
        if checkpoint >= held {
            return;
        }
        let samples = self.samples;
        let cell = |checkpoint: u32| samples.at(image as usize, checkpoint as usize);
        let right = |checkpoint: u32| samples.correct[cell(checkpoint)];
        let at_end = right(samples.checkpoints as u32 - 1);
        for (stop, sign) in [(held, -1i32), (checkpoint, 1)] {
            match (at_end, right(stop)) {
                (true, false) => self.now.lost = self.now.lost.wrapping_add_signed(sign),
                (false, true) => self.now.gained = self.now.gained.wrapping_add_signed(sign),
                _ => {}
            }
        }
        self.now.bits -= u64::from(samples.bits[cell(held)]);
        self.now.bits += u64::from(samples.bits[cell(checkpoint)]);
        self.stops[image as usize] = checkpoint;
    }
}

impl Iterator for Sweep<'_> {
    type Item = (f32, Stopped);

    fn next(&mut self) -> Option<Self::Item> {
        let threshold = self.cells.get(self.next)?.0;
        while let Some(&(score, image, checkpoint)) = self.cells.get(self.next)
            && score <= threshold
        {
            self.stop(image, checkpoint);
            self.next += 1;
        }
        Some((threshold, self.now))
    }
}

/// The point of the largest threshold whose upper bound of the loss is at most `allowed`; `None` if there is none.
///
/// A larger threshold stops every image at the same checkpoint or an earlier one, so but for luck it loses no less; a bound that
/// fails at a smaller threshold says little against a larger one that holds. Testing in ascending order up to the first
/// failure ("learn then test", Angelopoulos et al., 2021) would promise 95 % by a theorem and gives up at the first
/// unlucky image. The largest of many bounds is one that was chosen, for which there is no theorem: thresholds near each other stop the same images
/// and the bound errs on the safe side, and `the_promise_is_kept_on_other_images` counts how often the promise is broken.
pub fn largest_within(mut sweep: Sweep, allowed: f64, bound: &mut LossBound) -> Option<StopPoint> {
    let tried: Vec<(f32, Stopped)> = sweep.by_ref().collect();
    let images = sweep.images() as f64;
    // From the largest down, as a bound takes far longer than a sweep; it lies above the loss itself.
    let (threshold, at) = tried.into_iter().rev().find(|(_, at)| {
        at.net_lost() <= allowed * images && bound.upper(at.lost, at.gained) <= allowed
    })?;
    Some(sweep.point(threshold, at, bound))
}

/// A readable part of the trade-off: the first threshold at which the bits saved reach each multiple of `step` (a share of
/// the whole), and the last.
pub fn ladder(mut sweep: Sweep, step: f64, bound: &mut LossBound) -> Vec<StopPoint> {
    let mut points = Vec::new();
    let (mut reached, mut last) = (0, None);
    while let Some((threshold, at)) = sweep.next() {
        let saved = 1.0 - at.bits as f64 / sweep.whole_bits.max(1) as f64;
        let steps = (saved / step + 1e-9).floor() as u64;
        last = None;
        if steps > reached {
            reached = steps;
            points.push(sweep.point(threshold, at, bound));
        } else {
            last = Some((threshold, at));
        }
    }
    points.extend(last.map(|(threshold, at)| sweep.point(threshold, at, bound)));
    points
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Reproducible made-up samples and scores with ties, gains and losses.
    pub(crate) fn noisy(images: usize, checkpoints: usize) -> (Samples, Vec<f32>) {
        let mut state = 1u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        let mut samples = Samples {
            images,
            checkpoints,
            ..Samples::default()
        };
        let mut scores = Vec::new();
        for _ in 0..images {
            let need = random() * random();
            let size = 0.5 + random();
            for c in 0..checkpoints {
                let share = c as f32 / (checkpoints - 1) as f32;
                let right = share > need && random() < 0.9;
                samples.bits.push((1000.0 * size * share) as u32);
                samples.correct.push(right);
                samples.top1.push(u16::from(right));
                samples
                    .entropy_nats
                    .push((need - share).max(0.0) + 0.2 * random());
                scores.push((((need - share).max(0.0) + 0.3 * random()) * 32.0).round() / 32.0);
            }
        }
        (samples, scores)
    }

    /// The definition, image by image.
    fn brute_force(s: &Samples, scores: &[f32], threshold: f32, images: &[usize]) -> Stopped {
        let last = s.checkpoints - 1;
        let mut out = Stopped {
            lost: 0,
            gained: 0,
            bits: 0,
        };
        for &image in images {
            let stop = (1..last)
                .find(|c| scores[s.at(image, *c)] <= threshold)
                .unwrap_or(last);
            let (end, now) = (s.correct[s.at(image, last)], s.correct[s.at(image, stop)]);
            out.lost += u32::from(end && !now);
            out.gained += u32::from(!end && now);
            out.bits += u64::from(s.bits[s.at(image, stop)]);
        }
        out
    }

    #[test]
    fn one_pass_finds_what_every_threshold_does() {
        let (samples, mut scores) = noisy(120, 7);
        scores[10] = f32::NAN;
        for (some, use_image) in [
            (
                (0..120).collect::<Vec<_>>(),
                (|_| true) as fn(usize) -> bool,
            ),
            ((0..120).filter(|i| i % 3 == 1).collect(), |i| i % 3 == 1),
        ] {
            let sweep = Sweep::new(&samples, &scores, use_image);
            assert_eq!(sweep.images(), some.len());
            let mut before = f32::NEG_INFINITY;
            let mut count = 0;
            for (threshold, at) in sweep {
                assert!(threshold > before);
                before = threshold;
                count += 1;
                assert_eq!(at, brute_force(&samples, &scores, threshold, &some));
            }
            assert!(count > 20);
        }
    }

    #[test]
    fn the_threshold_found_is_within_and_no_larger_one_is() {
        let (samples, scores) = noisy(600, 9);
        let all: Vec<usize> = (0..600).collect();
        let mut bound = LossBound::new(600);
        let sweep = || Sweep::new(&samples, &scores, |_| true);
        let best = largest_within(sweep(), 0.05, &mut bound).expect("some threshold");
        let mut larger = 0;
        for (threshold, _) in sweep() {
            let at = brute_force(&samples, &scores, threshold, &all);
            let within = bound.upper(at.lost, at.gained) <= 0.05;
            if f64::from(threshold) == best.threshold {
                assert!(within);
            } else if f64::from(threshold) > best.threshold {
                larger += 1;
                assert!(!within);
            }
        }
        assert!(larger > 0 && best.loss < best.loss_upper && best.bits_saved > 0.0);
        // Nothing may be lost for certain: no threshold can promise that.
        assert_eq!(largest_within(sweep(), 0.0, &mut bound), None);
    }

    #[test]
    fn the_promise_is_kept_on_other_images() {
        // Images drawn from a population that is known: the threshold chosen on 300 of them, its loss on all. No two scores
        // are equal, so that every stop is a threshold of its own.
        let (population, mut scores) = noisy(6000, 9);
        for (i, score) in scores.iter_mut().enumerate() {
            *score += 1e-7 * (i * 7919 % 200_003) as f32;
        }
        let truth: Vec<(f32, f64)> = Sweep::new(&population, &scores, |_| true)
            .map(|(threshold, at)| (threshold, at.net_lost() / 6000.0))
            .collect();
        let mut bound = LossBound::new(300);
        let mut state = 9u64;
        for allowed in [0.03, 0.05] {
            let (mut found, mut broken) = (0, 0);
            for _ in 0..400 {
                let mut chosen = vec![false; 6000];
                let mut left = 300;
                while left > 0 {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let image = (state >> 33) as usize % 6000;
                    left -= usize::from(!chosen[image]);
                    chosen[image] = true;
                }
                let sweep = Sweep::new(&population, &scores, |image| chosen[image]);
                let Some(point) = largest_within(sweep, allowed, &mut bound) else {
                    continue;
                };
                found += 1;
                let at = truth.partition_point(|(t, _)| f64::from(*t) <= point.threshold);
                broken += usize::from(truth[at - 1].1 > allowed);
            }
            assert!(found > 350, "{found}");
            // 5 % of 400, and three standard deviations of such a count.
            assert!(broken <= 33, "{broken} of {found} at {allowed}");
        }
    }

    #[test]
    fn a_ladder_ascends_and_ends_with_the_last_threshold() {
        let (samples, scores) = noisy(300, 9);
        let mut bound = LossBound::new(300);
        let sweep = || Sweep::new(&samples, &scores, |_| true);
        let points = ladder(sweep(), 0.05, &mut bound);
        assert!((8..=22).contains(&points.len()), "{}", points.len());
        for pair in points.windows(2) {
            assert!(pair[0].threshold < pair[1].threshold);
            assert!(pair[0].bits_saved <= pair[1].bits_saved);
        }
        let last = sweep().last().expect("thresholds");
        assert_eq!(points.last().map(|p| p.threshold), Some(f64::from(last.0)));
        // Everything stops at checkpoint 1 there.
        let first: u64 = (0..300)
            .map(|i| u64::from(samples.bits[samples.at(i, 1)]))
            .sum();
        assert_eq!(last.1.bits, first);
    }

    #[test]
    fn without_images_or_checkpoints_there_is_nothing_to_stop() {
        let mut bound = LossBound::new(0);
        let none = Samples::default();
        assert_eq!(Sweep::new(&none, &[], |_| true).next(), None);
        let (samples, scores) = noisy(10, 2);
        assert_eq!(Sweep::new(&samples, &scores, |_| true).next(), None);
        let sweep = Sweep::new(&samples, &scores, |_| false);
        assert_eq!(largest_within(sweep, 1.0, &mut bound), None);
    }
}
