//! From replayable samples to curves: means with bootstrap intervals, the concave envelope, and ENACHI (14) fitted
//! to the means.

use crate::profile::{MeasuredCurve, Samples, Surrogate};

/// Resamples of the bootstrap. The ends of a 95 % interval are then known to about a tenth of its width.
pub const BOOTSTRAP_RESAMPLES: usize = 2000;

/// Mean curve of a stream with 95 % percentile bootstrap intervals over images.
///
/// `uncompressed_correct` says for every row of `samples` whether the whole, uncompressed network is right on that
/// image: the loss is paired with it, image by image, so that the luck of the draw of images cancels. All
/// checkpoints share the resamples, and so do all streams measured with the same `seed` on the same images.
///
/// Returns an empty curve when there are no samples.
///
/// # Panics
/// When `uncompressed_correct` is shorter than `samples.images`, or the columns of `samples` do not have
/// `images × checkpoints` entries.
pub fn measure(samples: &Samples, uncompressed_correct: &[bool], seed: u64) -> MeasuredCurve {
    let (images, checkpoints) = (samples.images, samples.checkpoints);
    if images == 0 || checkpoints == 0 {
        return MeasuredCurve::default();
    }
    let whole = &uncompressed_correct[..images];
    let mut curve = MeasuredCurve::default();
    for checkpoint in 0..checkpoints {
        let cells = (0..images).map(|image| samples.at(image, checkpoint));
        let bits: f64 = cells.clone().map(|at| f64::from(samples.bits[at])).sum();
        let right: i64 = cells.clone().map(|at| i64::from(samples.correct[at])).sum();
        let lost: i64 = cells
            .zip(whole)
            .map(|(at, &whole)| i64::from(whole) - i64::from(samples.correct[at]))
            .sum();
        curve.bits.push(bits / images as f64);
        curve.top1.push(right as f64 / images as f64);
        curve.loss.push(lost as f64 / images as f64);
    }

    // top1[c * RESAMPLES + b]: mean at checkpoint c of resample b; loss likewise.
    let mut top1 = vec![0.0; checkpoints * BOOTSTRAP_RESAMPLES];
    let mut loss = top1.clone();
    let mut weights = vec![0u32; images];
    for resample in 0..BOOTSTRAP_RESAMPLES {
        draw_weights(seed, resample as u64, &mut weights);
        let whole_right: i64 = weights
            .iter()
            .zip(whole)
            .map(|(&weight, &right)| i64::from(weight) * i64::from(right))
            .sum();
        for checkpoint in 0..checkpoints {
            let right: i64 = weights
                .iter()
                .enumerate()
                .map(|(image, &weight)| {
                    i64::from(weight) * i64::from(samples.correct[samples.at(image, checkpoint)])
                })
                .sum();
            let at = checkpoint * BOOTSTRAP_RESAMPLES + resample;
            top1[at] = right as f64 / images as f64;
            loss[at] = (whole_right - right) as f64 / images as f64;
        }
    }
    for checkpoint in 0..checkpoints {
        let range = checkpoint * BOOTSTRAP_RESAMPLES..(checkpoint + 1) * BOOTSTRAP_RESAMPLES;
        let (low, high) = interval_95(&mut top1[range.clone()]);
        curve.top1_low.push(low);
        curve.top1_high.push(high);
        let (low, high) = interval_95(&mut loss[range]);
        curve.loss_low.push(low);
        curve.loss_high.push(high);
    }
    curve.envelope = concave_envelope(&curve.bits, &curve.top1);
    curve
}

/// How often each image is drawn in one resample: as many draws as images, with replacement.
fn draw_weights(seed: u64, resample: u64, weights: &mut [u32]) {
    weights.fill(0);
    let key = mix(seed ^ mix(resample));
    let images = weights.len() as u128;
    for draw in 0..weights.len() as u64 {
        // The high half of a 64 × 64 bit product maps 64 random bits to 0..images without a visible bias.
        let random = u128::from(mix(key.wrapping_add(draw.wrapping_mul(GOLDEN))));
        weights[((random * images) >> 64) as usize] += 1;
    }
}

/// 2⁶⁴ divided by the golden ratio, the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64 (Steele, Lea and Flood 2014): a counter in, 64 well-mixed bits out.
fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The 2.5 % and 97.5 % quantiles, interpolated linearly. Sorts `values`.
fn interval_95(values: &mut [f64]) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| {
        let position = q * (values.len() - 1) as f64;
        let below = position.floor() as usize;
        let above = (below + 1).min(values.len() - 1);
        let share = position - below as f64;
        values[below] * (1.0 - share) + values[above] * share
    };
    (quantile(0.025), quantile(0.975))
}

/// Indices of the points on the upper concave envelope of (`x`, `y`), ascending, from the first to the last point.
/// `x` must not fall. Points inside a straight piece are left out.
pub fn concave_envelope(x: &[f64], y: &[f64]) -> Vec<u32> {
    let mut hull: Vec<usize> = Vec::new();
    for next in 0..x.len().min(y.len()) {
        while let [.., before, top] = hull[..] {
            // `top` is on or below the chord from `before` to `next`.
            let turn = (x[top] - x[before]) * (y[next] - y[before])
                - (y[top] - y[before]) * (x[next] - x[before]);
            if turn < 0.0 {
                break;
            }
            hull.pop();
        }
        hull.push(next);
    }
    hull.into_iter()
        .map(|index| u32::try_from(index).expect("a ladder has fewer than 2^32 checkpoints"))
        .collect()
}

/// ENACHI (14) fitted to the mean accuracies `top1` at mean `bits` by least squares.
///
/// β = `bits / total_bits`. Every checkpoint counts the same: a ladder is dense where the curve bends, so this is
/// already a weight on the part of the curve that a planner works on. `floor` is the accuracy with nothing sent
/// (1/classes). The ceiling a2 is kept at or below 1.
///
/// With the pole π = a1/a0 and s = 1/a0, (14) reads a2 − s/(β − π): linear in a2 and s. So the search is over
/// the pole alone, with a2 and s from a 2×2 system (variable projection); it is done once for every choice of the
/// first checkpoint that lies above the floor, because the others see the constant floor. A last descent in
/// all three parameters settles the cases where the best fit lies on the edge between two such choices.
///
/// Returns `None` when the curve has fewer than three checkpoints above nothing sent, or never rises above `floor`.
pub fn fit_surrogate(bits: &[f64], top1: &[f64], total_bits: f64, floor: f64) -> Option<Surrogate> {
    let beta: Vec<f64> = bits.iter().map(|b| b / total_bits).collect();
    let points = Points {
        beta: &beta,
        top1,
        floor,
    };
    let rises = top1.iter().any(|&a| a > floor);
    let sent = beta.iter().filter(|&&b| b > 0.0).count();
    if !rises || sent < 3 || beta.len() != top1.len() {
        return None;
    }
    let best = (0..beta.len())
        .filter_map(|first| points.best_pole(first))
        .min_by(|a, b| points.cost(a).total_cmp(&points.cost(b)))?;
    let best = points.descend(best);
    let errors = beta
        .iter()
        .zip(top1)
        .map(|(&b, &a)| (best.at(b, floor) - a).abs());
    let (squares, largest) = errors.fold((0.0, 0.0f64), |(sum, largest), error| {
        (sum + error * error, largest.max(error))
    });
    Some(Surrogate {
        a0: 1.0 / best.scale,
        a1: best.pole / best.scale,
        a2: best.ceiling,
        floor,
        rmse: (squares / beta.len() as f64).sqrt(),
        max_error: largest,
    })
}

/// (14) as ceiling − scale/(β − pole).
#[derive(Clone, Copy)]
struct Hyperbola {
    pole: f64,
    scale: f64,
    ceiling: f64,
}

impl Hyperbola {
    /// (14) with its domain: the floor left of β = (a1 + 1/(a2 − floor))/a0.
    fn at(&self, beta: f64, floor: f64) -> f64 {
        if beta <= self.pole {
            return floor;
        }
        (self.ceiling - self.scale / (beta - self.pole)).max(floor)
    }
}

struct Points<'a> {
    beta: &'a [f64],
    top1: &'a [f64],
    floor: f64,
}

/// Largest a0. A curve that jumps from the floor to its ceiling between two checkpoints would take any; at this one the
/// jump is 10^-5 wide in β, and the slopes that a planner divides by stay finite.
pub const MAX_A0: f64 = 1e5;
/// Distances of the pole from the first checkpoint above the floor: 10^-7 ..= 10^2 in β, which covers a step and a
/// straight line.
const POLE_DECADES: std::ops::RangeInclusive<f64> = -7.0..=2.0;
/// Most rounds of the last descent.
const MAX_DESCENT_ROUNDS: u32 = 2000;
/// Trial poles per first checkpoint.
const POLE_TRIALS: u32 = 181;

impl Points<'_> {
    /// Sum of squared errors over all points, the floor included.
    fn cost(&self, h: &Hyperbola) -> f64 {
        let error = |(&b, &a): (&f64, &f64)| (h.at(b, self.floor) - a).powi(2);
        self.beta.iter().zip(self.top1).map(error).sum()
    }

    /// Best fit to the points from `first` on, over poles left of it.
    fn best_pole(&self, first: usize) -> Option<Hyperbola> {
        let trial = |decade: f64| self.project(first, self.beta[first] - 10f64.powf(decade));
        let cost = |decade: f64| trial(decade).map_or(f64::INFINITY, |h| self.cost(&h));
        let (low, high) = (*POLE_DECADES.start(), *POLE_DECADES.end());
        let step = (high - low) / f64::from(POLE_TRIALS - 1);
        let best = (0..POLE_TRIALS)
            .map(|i| low + step * f64::from(i))
            .min_by(|&a, &b| cost(a).total_cmp(&cost(b)))?;
        trial(golden_section(cost, best - step, best + step))
    }

    /// a2 and s of the least-squares fit to the points from `first` on for a given pole, with s > 0 and a2 ≤ 1.
    fn project(&self, first: usize, pole: f64) -> Option<Hyperbola> {
        let (mut n, mut su, mut suu, mut sy, mut suy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (&b, &y) in self.beta[first..].iter().zip(&self.top1[first..]) {
            let u = 1.0 / (b - pole);
            n += 1.0;
            su += u;
            suu += u * u;
            sy += y;
            suy += u * y;
        }
        let determinant = n * suu - su * su;
        let free = (sy * suu - su * suy) / determinant;
        let (ceiling, scale) = if free <= 1.0 {
            (free, (su * sy - n * suy) / determinant)
        } else {
            // On the bound: the best s for a ceiling of 1. Also where the free fit is singular (NaN is not ≤ 1).
            (1.0, (su - suy) / suu)
        };
        if !(scale > 0.0 && scale.is_finite()) {
            return None;
        }
        let (ceiling, scale) = if scale < 1.0 / MAX_A0 {
            // On the other bound: the best ceiling for the smallest s.
            (((sy + su / MAX_A0) / n).min(1.0), 1.0 / MAX_A0)
        } else {
            (ceiling, scale)
        };
        let usable = ceiling > self.floor;
        usable.then_some(Hyperbola {
            pole,
            scale,
            ceiling,
        })
    }

    /// Coordinate descent with shrinking steps on the true cost.
    fn descend(&self, start: Hyperbola) -> Hyperbola {
        let mut best = start;
        let mut cost = self.cost(&best);
        // Steps: the pole and the ceiling in their own units, the scale as a factor.
        let mut step = 0.05;
        // Along a narrow valley the gains of a round shrink without end; they stop to count long before.
        for _ in 0..MAX_DESCENT_ROUNDS {
            if step <= 1e-10 {
                break;
            }
            let enough = cost * (1.0 - 1e-6);
            for direction in [
                [1.0, 0.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 0.0, 1.0],
                [1.0, 1.0, 0.0],
                [1.0, -1.0, 0.0],
                [0.0, 1.0, 1.0],
                [0.0, 1.0, -1.0],
            ] {
                for sign in [step, -step] {
                    let next = Hyperbola {
                        pole: best.pole + sign * direction[0],
                        scale: best.scale * (sign * direction[1]).exp(),
                        ceiling: best.ceiling + sign * direction[2],
                    };
                    let next_cost = self.cost(&next);
                    let allowed = next.scale >= 1.0 / MAX_A0
                        && next.ceiling <= 1.0
                        && next.ceiling > self.floor;
                    if allowed && next_cost < cost {
                        (best, cost) = (next, next_cost);
                    }
                }
            }
            if cost >= enough {
                step *= 0.5;
            }
        }
        best
    }
}

/// Minimiser of a function that falls and then rises on `low..high`.
fn golden_section(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let mut left = high - RATIO * (high - low);
    let mut right = low + RATIO * (high - low);
    let (mut at_left, mut at_right) = (f(left), f(right));
    for _ in 0..60 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - RATIO * (high - low);
            at_left = f(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + RATIO * (high - low);
            at_right = f(right);
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests;
