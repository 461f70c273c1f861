//! Training of the network: Adam with decoupled weight decay (Loshchilov and Hutter 2019) for a fixed number of passes
//! over the rows, the step falling to zero along a cosine.

use super::mlp::{Mlp, Target, Weights, sigmoid, softplus, standardised};
use super::random::Random;

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainSettings {
    /// Hidden units.
    pub hidden: usize,
    /// Passes over the rows.
    pub epochs: usize,
    /// Rows per step.
    pub batch: usize,
    /// First and largest step of Adam.
    pub step: f32,
    /// Share by which a weight shrinks in a step of size 1.
    pub decay: f32,
    /// Seed of the first weights and of the order of the rows.
    pub seed: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            hidden: 32,
            epochs: 40,
            batch: 64,
            step: 0.01,
            decay: 0.1,
            seed: 1,
        }
    }
}

/// Rows to learn from: `inputs` values each, and one target.
pub(super) struct Rows<'a> {
    pub inputs: usize,
    pub values: &'a [f32],
    pub targets: &'a [f32],
}

/// Mean and one over the standard deviation of every input; 0 for one that does not change.
fn standard(rows: &Rows) -> (Vec<f32>, Vec<f32>) {
    let count = rows.targets.len().max(1) as f64;
    let mut sums = vec![(0.0f64, 0.0f64); rows.inputs];
    for row in rows.values.chunks_exact(rows.inputs) {
        for (sum, x) in sums.iter_mut().zip(row) {
            sum.0 += f64::from(*x);
        }
    }
    for sum in &mut sums {
        sum.0 /= count;
    }
    for row in rows.values.chunks_exact(rows.inputs) {
        for (sum, x) in sums.iter_mut().zip(row) {
            sum.1 += (f64::from(*x) - sum.0).powi(2);
        }
    }
    sums.into_iter()
        .map(|(mean, squares)| {
            let deviation = (squares / count).sqrt();
            // Rounding in sums of equal values is not a change.
            let changes = deviation > 1e-6 * mean.abs().max(1e-6);
            (
                mean as f32,
                if changes {
                    (1.0 / deviation) as f32
                } else {
                    0.0
                },
            )
        })
        .unzip()
}

/// Loss of one row and its derivative with respect to the network's output before the link.
pub(super) fn loss(kind: Target, output: f32, target: f32) -> (f32, f32) {
    match kind {
        Target::Entropy => {
            let error = softplus(output) - target;
            (0.5 * error * error, error * sigmoid(output))
        }
        Target::Disagreement => (softplus(output) - target * output, sigmoid(output) - target),
    }
}

/// Adds the gradient of one row's loss to `gradient`, returns the loss. `units` is scratch of `hidden` values.
fn add_gradient(
    kind: Target,
    weights: &Weights,
    row: &[f32],
    target: f32,
    units: &mut [f32],
    gradient: &mut [f32],
) -> f32 {
    let hidden = weights.hidden;
    let output = weights.output(row.iter().copied(), units);
    let (loss, slope) = loss(kind, output, target);
    let output_weights = &weights.values[(weights.inputs + 1) * hidden..];
    let (input_part, rest) = gradient.split_at_mut(weights.inputs * hidden);
    let (bias_part, rest) = rest.split_at_mut(hidden);
    let (output_part, output_bias) = rest.split_at_mut(hidden);
    output_bias[0] += slope;
    for (((unit, weight), output), bias) in units
        .iter_mut()
        .zip(output_weights)
        .zip(output_part)
        .zip(bias_part)
    {
        *output += slope * *unit;
        *unit = slope * weight * (1.0 - *unit * *unit);
        *bias += *unit;
    }
    for (x, part) in row.iter().zip(input_part.chunks_exact_mut(hidden)) {
        for (g, unit) in part.iter_mut().zip(units.iter()) {
            *g += x * unit;
        }
    }
    loss
}

/// Adam's running means and the weights that they move.
struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Adam {
    const KEEP_MEAN: f32 = 0.9;
    const KEEP_SQUARE: f32 = 0.999;

    fn step(&mut self, weights: &mut [f32], gradient: &[f32], step: f32, decay: f32) {
        self.steps += 1;
        let unbias_mean = 1.0 / (1.0 - Self::KEEP_MEAN.powi(self.steps));
        let unbias_square = 1.0 / (1.0 - Self::KEEP_SQUARE.powi(self.steps));
        for (((w, g), mean), square) in weights
            .iter_mut()
            .zip(gradient)
            .zip(&mut self.mean)
            .zip(&mut self.square)
        {
            *mean += (1.0 - Self::KEEP_MEAN) * (g - *mean);
            *square += (1.0 - Self::KEEP_SQUARE) * (g * g - *square);
            let direction = *mean * unbias_mean / ((*square * unbias_square).sqrt() + 1e-8);
            *w -= step * (direction + decay * *w);
        }
    }
}

/// What a network may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Anything that fits.
    Any,
    /// The output falls, or stays, as any input rises.
    Falling,
}

impl Shape {
    /// The nearest weights that have it: every hidden unit rises with the inputs and pulls the output down.
    fn keep(self, weights: &mut Weights) {
        if self == Self::Falling {
            let (inputs, hidden) = (weights.inputs, weights.hidden);
            let (into, rest) = weights.values.split_at_mut(inputs * hidden);
            let (_, rest) = rest.split_at_mut(hidden);
            into.iter_mut().for_each(|w| *w = w.max(0.0));
            rest[..hidden].iter_mut().for_each(|w| *w = w.min(0.0));
        }
    }
}

/// A network that fits `rows`. The same rows and settings give the same network.
pub(super) fn train(
    rows: &Rows,
    used: &[usize],
    target: Target,
    classes: u32,
    shape: Shape,
    settings: &TrainSettings,
) -> Mlp {
    let (inputs, hidden) = (rows.inputs, settings.hidden);
    let (shift, mut scale) = standard(rows);
    // An input of scale 0 stands at 0 for every row: the network does not see it.
    for (input, scale) in scale.iter_mut().enumerate() {
        if !used.contains(&input) {
            *scale = 0.0;
        }
    }
    let values: Vec<f32> = rows
        .values
        .iter()
        .enumerate()
        .map(|(at, x)| standardised(*x, shift[at % inputs], scale[at % inputs]))
        .collect();
    let mut random = Random::new(settings.seed);
    let mut weights = first_weights(inputs, hidden, target, rows.targets, &mut random);
    if shape == Shape::Falling {
        // All units begin on the side that they may be on.
        let (into, rest) = weights.values.split_at_mut(inputs * hidden);
        into.iter_mut().for_each(|w| *w = w.abs());
        rest[hidden..2 * hidden]
            .iter_mut()
            .for_each(|w| *w = -w.abs());
    }
    let count = weights.values.len();
    let mut adam = Adam {
        mean: vec![0.0; count],
        square: vec![0.0; count],
        steps: 0,
    };
    let mut order: Vec<u32> = (0..rows.targets.len() as u32).collect();
    let (mut gradient, mut units) = (vec![0.0; count], vec![0.0; hidden]);
    let steps = settings.epochs * order.len().div_ceil(settings.batch);
    let mut done = 0;
    for _ in 0..settings.epochs {
        random.shuffle(&mut order);
        for batch in order.chunks(settings.batch) {
            gradient.fill(0.0);
            for &row in batch {
                let row = row as usize;
                let x = &values[row * inputs..(row + 1) * inputs];
                let y = rows.targets[row];
                add_gradient(target, &weights, x, y, &mut units, &mut gradient);
            }
            let share = 1.0 / batch.len() as f32;
            gradient.iter_mut().for_each(|g| *g *= share);
            let progress = done as f32 / steps as f32;
            let step = settings.step * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos());
            adam.step(&mut weights.values, &gradient, step, settings.decay);
            shape.keep(&mut weights);
            done += 1;
        }
    }
    Mlp::new(target, classes, (shift, scale), weights)
}

/// Small random weights (Glorot and Bengio 2010), and an output bias that gives the mean of the targets.
fn first_weights(
    inputs: usize,
    hidden: usize,
    target: Target,
    targets: &[f32],
    random: &mut Random,
) -> Weights {
    let mut values = vec![0.0; Weights::count(inputs, hidden)];
    let mut fill = |part: &mut [f32], fan: usize| {
        let reach = (6.0 / fan as f32).sqrt();
        part.iter_mut()
            .for_each(|w| *w = reach * (2.0 * random.unit() - 1.0));
    };
    fill(&mut values[..inputs * hidden], inputs + hidden);
    fill(&mut values[(inputs + 1) * hidden..][..hidden], hidden + 1);
    let mean = targets.iter().sum::<f32>() / targets.len().max(1) as f32;
    values[(inputs + 2) * hidden] = match target {
        // The inverses of softplus and of the sigmoid.
        Target::Entropy => mean.max(1e-3).exp_m1().ln(),
        Target::Disagreement => {
            let p = mean.clamp(1e-3, 1.0 - 1e-3);
            (p / (1.0 - p)).ln()
        }
    };
    Weights {
        inputs,
        hidden,
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (inputs, hidden) = (3, 4);
        let rows: Vec<(Vec<f32>, f32)> = vec![
            (vec![0.5, -1.0, 2.0], 1.0),
            (vec![-0.3, 0.2, 0.1], 0.0),
            (vec![1.5, 1.0, -0.7], 0.3),
        ];
        for kind in [Target::Entropy, Target::Disagreement] {
            let mut random = Random::new(5);
            let mut weights = first_weights(inputs, hidden, kind, &[0.4], &mut random);
            let mut units = vec![0.0; hidden];
            let mut total = |weights: &Weights, gradient: &mut [f32]| -> f64 {
                let each = rows.iter().map(|(x, y)| {
                    f64::from(add_gradient(kind, weights, x, *y, &mut units, gradient))
                });
                each.sum()
            };
            let count = weights.values.len();
            let mut gradient = vec![0.0; count];
            total(&weights, &mut gradient);
            let mut ignored = vec![0.0; count];
            let distance = 1e-2f32;
            for (at, &slope) in gradient.iter().enumerate() {
                let here = weights.values[at];
                weights.values[at] = here + distance;
                let above = total(&weights, &mut ignored);
                weights.values[at] = here - distance;
                let below = total(&weights, &mut ignored);
                weights.values[at] = here;
                let difference = (above - below) / (2.0 * f64::from(distance));
                let found = f64::from(slope);
                assert!(
                    (difference - found).abs() < 2e-3 * (1.0 + found.abs()),
                    "{kind:?} weight {at}: {found}, by differences {difference}"
                );
            }
        }
    }

    #[test]
    fn it_learns_a_function_that_is_not_linear() {
        let mut random = Random::new(3);
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            let (x, y) = (4.0 * random.unit() - 2.0, 4.0 * random.unit() - 2.0);
            // Far from standard, and one input that is always the same.
            values.extend([100.0 + 5.0 * x, 1e-3 * y, 7.0]);
            targets.push((x * x - y).abs());
        }
        let rows = Rows {
            inputs: 3,
            values: &values,
            targets: &targets,
        };
        let settings = TrainSettings {
            epochs: 60,
            decay: 0.0,
            ..TrainSettings::default()
        };
        let network = train(
            &rows,
            &[0, 1, 2],
            Target::Entropy,
            1000,
            Shape::Any,
            &settings,
        );
        assert_eq!(
            network,
            train(
                &rows,
                &[0, 1, 2],
                Target::Entropy,
                1000,
                Shape::Any,
                &settings
            )
        );
        let mean = targets.iter().sum::<f32>() / 2000.0;
        let squares = |guess: &dyn Fn(usize) -> f32| -> f32 {
            (0..2000).map(|i| (guess(i) - targets[i]).powi(2)).sum()
        };
        // An input that is not used does not change the output.
        let half = train(&rows, &[1], Target::Entropy, 1000, Shape::Any, &settings);
        assert_eq!(
            half.predict(&[1.0, 2e-4, 7.0]),
            half.predict(&[-9.0, 2e-4, 1.0])
        );
        assert_ne!(
            half.predict(&[1.0, 2e-4, 7.0]),
            half.predict(&[1.0, 5e-4, 7.0])
        );
        let left = squares(&|i| network.predict(&values[3 * i..3 * i + 3]));
        assert!(left < 0.02 * squares(&|_| mean), "{left}");
    }

    #[test]
    fn probabilities_come_out_calibrated() {
        let mut random = Random::new(8);
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..4000 {
            let x = random.unit();
            values.push(x);
            targets.push(f32::from(u8::from(random.unit() < x * x)));
        }
        let rows = Rows {
            inputs: 1,
            values: &values,
            targets: &targets,
        };
        let network = train(
            &rows,
            &[0],
            Target::Disagreement,
            2,
            Shape::Any,
            &TrainSettings::default(),
        );
        // With two classes the nats are those of the binary entropy, up to a half.
        for x in [0.2f64, 0.4, 0.6] {
            let p = x * x;
            let expected = -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
            let found = f64::from(network.predict(&[x as f32]));
            assert!((found - expected).abs() < 0.08, "{x}: {found} {expected}");
        }
    }

    #[test]
    fn a_falling_network_falls_wherever_it_is_looked_at() {
        // Shares still to come at places that crowd together at the end, as those of a stream do.
        let places: Vec<f32> = (1..=15).map(|c| 1.0 - 0.8f32.powi(c)).collect();
        let left: Vec<f32> = (1..=15).map(|c| 1.0 - 1.356f32.powi(c - 15)).collect();
        let (values, targets) = (places.repeat(40), left.repeat(40));
        let rows = Rows {
            inputs: 1,
            values: &values,
            targets: &targets,
        };
        let settings = TrainSettings {
            hidden: 8,
            ..TrainSettings::default()
        };
        let target = Target::Disagreement;
        let network = train(&rows, &[0], target, 2, Shape::Falling, &settings);
        let at = |x: f32| network.output(&[x]);
        assert!(places.windows(2).all(|w| at(w[0]) > at(w[1]) + 1e-3));
        assert!((0..1000).all(|i| at(i as f32 * 1e-3) >= at((i + 1) as f32 * 1e-3)));
        // Nobody stops at the last place; nothing hangs on what is said there.
        for (place, left) in places.iter().zip(&left).take(14) {
            assert!((sigmoid(at(*place)) - left).abs() < 0.15, "{place}");
        }
    }
}
