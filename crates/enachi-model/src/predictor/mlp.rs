//! A small multilayer perceptron: standardised inputs, one hidden layer of tanh units, one output in nats.

use thiserror::Error;

/// Most inputs of a network.
pub const MAX_INPUTS: usize = 256;
/// Most hidden units of a network.
pub const MAX_HIDDEN: usize = 256;
/// Standardised inputs are cut here: what lies far outside of what was trained on says no more than "very large".
const MAX_DEVIATIONS: f32 = 8.0;

/// What the output of a network was trained to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The entropy of the tail's answer, ENACHI (5), by least squares.
    Entropy,
    /// The probability p that the answer differs from the one with everything sent, by logistic loss. It is told in nats as
    /// h(p) + p ln(classes − 1), the most uncertain that an answer can be which is wrong with probability p (Fano's
    /// inequality): 0 for p = 0, ln(classes) for a guess, rising in between.
    Disagreement,
}

impl Target {
    /// Curvature of the loss in the network's output before its link, without the part that the error itself has in it.
    pub(super) fn curvature(self, output: f32) -> f64 {
        let slope = f64::from(sigmoid(output));
        match self {
            Self::Entropy => slope * slope,
            Self::Disagreement => slope * (1.0 - slope),
        }
    }
}

/// A trained network.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    target: Target,
    classes: u32,
    /// Mean of each input in training.
    shift: Vec<f32>,
    /// One over its standard deviation; 0 for an input that never changed.
    scale: Vec<f32>,
    pub(super) weights: Weights,
}

/// The parameters that training moves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    pub inputs: usize,
    pub hidden: usize,
    /// `inputs × hidden` weights and `hidden` biases of the hidden layer, `hidden` weights and one bias of the output.
    pub values: Vec<f32>,
}

/// A named array, as it is kept in a tensor file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Name, unique within the network.
    pub name: &'static str,
    /// Extents.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Arrays that are no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("array `{name}`: {what}")]
pub struct ArrayError {
    /// Name of the array.
    pub name: &'static str,
    /// What was found and what is allowed.
    pub what: String,
}

impl Weights {
    /// Number of parameters.
    pub fn count(inputs: usize, hidden: usize) -> usize {
        (inputs + 2) * hidden + 1
    }

    /// The output before its link. `row` is standardised; `units` receives the `hidden` activations.
    #[inline]
    pub fn output(&self, row: impl Iterator<Item = f32>, units: &mut [f32]) -> f32 {
        let hidden = self.hidden;
        let (input_weights, rest) = self.values.split_at(self.inputs * hidden);
        let (biases, rest) = rest.split_at(hidden);
        let (output_weights, output_bias) = rest.split_at(hidden);
        units.copy_from_slice(biases);
        for (x, weights) in row.zip(input_weights.chunks_exact(hidden)) {
            for (unit, weight) in units.iter_mut().zip(weights) {
                *unit += x * weight;
            }
        }
        let mut output = output_bias[0];
        for (unit, weight) in units.iter_mut().zip(output_weights) {
            *unit = unit.tanh();
            output += *unit * weight;
        }
        output
    }
}

impl Mlp {
    pub(super) fn new(
        target: Target,
        classes: u32,
        (shift, scale): (Vec<f32>, Vec<f32>),
        weights: Weights,
    ) -> Self {
        Self {
            target,
            classes,
            shift,
            scale,
            weights,
        }
    }

    /// The network whose output before its link is the weighted sum of the outputs of `parts`, trained on rows of the same
    /// statistics as `self`, which sees all inputs that they see: their hidden units side by side. Parts of weight 0 are left out.
    pub(super) fn mixed(&self, parts: &[(&Self, f32)]) -> Self {
        let parts: Vec<&(&Self, f32)> = parts.iter().filter(|(_, w)| *w != 0.0).collect();
        let inputs = self.inputs();
        let hidden = parts.iter().map(|(part, _)| part.hidden()).sum();
        let mut values = Vec::with_capacity(Weights::count(inputs, hidden));
        // A row of weights per input, then the biases. What a part does not see stood at 0 for it.
        for row in 0..=inputs {
            for (part, _) in &parts {
                let size = part.hidden();
                let weights = &part.weights.values[row * size..(row + 1) * size];
                let seen = row == inputs || part.scale[row] != 0.0;
                values.extend(weights.iter().map(|w| if seen { *w } else { 0.0 }));
            }
        }
        let outputs = |part: &Self| (part.inputs() + 1) * part.hidden();
        for (part, weight) in &parts {
            let from = outputs(part);
            let weights = &part.weights.values[from..from + part.hidden()];
            values.extend(weights.iter().map(|w| weight * w));
        }
        let bias = |(part, weight): &&(&Self, f32)| {
            weight * part.weights.values[outputs(part) + part.hidden()]
        };
        values.push(parts.iter().map(bias).sum());
        Self {
            weights: Weights {
                inputs,
                hidden,
                values,
            },
            ..self.clone()
        }
    }

    /// The same with an output before its link that is higher by `offset`.
    pub(super) fn raised(mut self, offset: f32) -> Self {
        if let Some(bias) = self.weights.values.last_mut() {
            *bias += offset;
        }
        self
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weights.inputs
    }

    /// Number of hidden units.
    pub fn hidden(&self) -> usize {
        self.weights.hidden
    }

    /// What the output was trained to be.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The uncertainty that the network reads off its inputs, 0..=ln(classes) \[nat\]. Inputs that are not numbers make it
    /// as uncertain as can be. Does not allocate.
    ///
    /// # Panics
    /// When `inputs` has another length than the network has inputs.
    pub fn predict(&self, inputs: &[f32]) -> f32 {
        nats(self.target, self.classes, self.output(inputs))
    }

    /// The output before its link.
    pub(super) fn output(&self, inputs: &[f32]) -> f32 {
        assert_eq!(inputs.len(), self.inputs(), "one value per input");
        let mut units = [0.0; MAX_HIDDEN];
        let row = inputs
            .iter()
            .zip(&self.shift)
            .zip(&self.scale)
            .map(|((x, shift), scale)| standardised(*x, *shift, *scale));
        self.weights.output(row, &mut units[..self.hidden()])
    }

    /// The network as plain arrays, in a fixed order.
    pub fn to_arrays(&self) -> Vec<Array> {
        let (inputs, hidden) = (self.inputs(), self.hidden());
        let values = &self.weights.values;
        let (hidden_weights, rest) = values.split_at(inputs * hidden);
        let (hidden_biases, rest) = rest.split_at(hidden);
        let (output_weights, output_bias) = rest.split_at(hidden);
        let array = |name, shape: &[usize], values: &[f32]| Array {
            name,
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        vec![
            array("shift", &[inputs], &self.shift),
            array("scale", &[inputs], &self.scale),
            array("hidden_weights", &[inputs, hidden], hidden_weights),
            array("hidden_biases", &[hidden], hidden_biases),
            array("output_weights", &[hidden], output_weights),
            array("output_bias", &[1], output_bias),
            // Whole numbers up to 2^24 are exact in f32.
            array("classes", &[1], &[self.classes as f32]),
            array("target", &[1], &[code(self.target)]),
        ]
    }

    /// The network of the arrays that `find` gives by name, checked.
    ///
    /// # Errors
    /// The first array that is missing, of a wrong shape, or holds a value out of range.
    pub fn from_arrays<'a>(
        find: impl Fn(&str) -> Option<(&'a [usize], &'a [f32])>,
    ) -> Result<Self, ArrayError> {
        let get = |name: &'static str| -> Result<(&'a [usize], &'a [f32]), ArrayError> {
            let Some((shape, values)) = find(name) else {
                return wrong(name, "missing".to_owned());
            };
            let count = shape
                .iter()
                .try_fold(1usize, |n, extent| n.checked_mul(*extent));
            if count != Some(values.len()) {
                return wrong(
                    name,
                    format!("{} values for a shape of {shape:?}", values.len()),
                );
            }
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return wrong(
                    name,
                    format!("value {at} is {}, must be finite", values[at]),
                );
            }
            Ok((shape, values))
        };
        let (shape, hidden_weights) = get("hidden_weights")?;
        let (inputs, hidden) = match *shape {
            [inputs @ 1..=MAX_INPUTS, hidden @ 1..=MAX_HIDDEN] => (inputs, hidden),
            _ => {
                return wrong(
                    "hidden_weights",
                    format!(
                        "a shape of {shape:?}, must be [inputs, hidden] in 1..={MAX_INPUTS} and 1..={MAX_HIDDEN}"
                    ),
                );
            }
        };
        let vector = |name: &'static str, length: usize| {
            let (shape, values) = get(name)?;
            if shape != [length] {
                return wrong(name, format!("a shape of {shape:?}, must be [{length}]"));
            }
            Ok(values)
        };
        let mut values = hidden_weights.to_vec();
        values.extend(vector("hidden_biases", hidden)?);
        values.extend(vector("output_weights", hidden)?);
        values.extend(vector("output_bias", 1)?);
        let classes = vector("classes", 1)?[0];
        if !(2.0..=65536.0).contains(&classes) || classes.fract() != 0.0 {
            return wrong(
                "classes",
                format!("{classes}, must be a whole number in 2..=65536"),
            );
        }
        let found = vector("target", 1)?[0];
        let targets = [Target::Entropy, Target::Disagreement];
        let Some(target) = targets.into_iter().find(|t| code(*t) == found) else {
            return wrong("target", format!("{found}, must be 0 or 1"));
        };
        Ok(Self {
            target,
            classes: classes as u32,
            shift: vector("shift", inputs)?.to_vec(),
            scale: vector("scale", inputs)?.to_vec(),
            weights: Weights {
                inputs,
                hidden,
                values,
            },
        })
    }
}

fn wrong<T>(name: &'static str, what: String) -> Result<T, ArrayError> {
    Err(ArrayError { name, what })
}

fn code(target: Target) -> f32 {
    match target {
        Target::Entropy => 0.0,
        Target::Disagreement => 1.0,
    }
}

/// An input in standard deviations from its mean.
#[inline]
pub(super) fn standardised(x: f32, shift: f32, scale: f32) -> f32 {
    ((x - shift) * scale).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
}

/// ln(1 + e^x) without overflow.
#[inline]
pub(super) fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[inline]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The output of a network in nats, 0..=ln(classes).
pub(super) fn nats(target: Target, classes: u32, output: f32) -> f32 {
    let most = (classes as f32).ln();
    if output.is_nan() {
        return most;
    }
    let nats = match target {
        Target::Entropy => softplus(output),
        Target::Disagreement => fano_nats(output, classes),
    };
    nats.min(most)
}

/// h(p) + p ln(classes − 1) at p = sigmoid(`logit`), but no more than a guess is wrong.
fn fano_nats(logit: f32, classes: u32) -> f32 {
    let others = (classes as f32) - 1.0;
    // A guess is wrong with probability 1 − 1/classes: its logit is ln(classes − 1).
    let logit = logit.min(others.ln());
    let (wrong, right) = (sigmoid(logit), sigmoid(-logit));
    // −ln p = softplus(−logit): exact for the smallest p, where a rounded p is 0.
    wrong * softplus(-logit) + right * softplus(logit) + wrong * others.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Mlp {
        let weights = Weights {
            inputs: 2,
            hidden: 3,
            values: vec![
                0.5, -1.0, 2.0, 0.25, 0.75, -0.5, 0.1, 0.2, -0.3, 1.0, -2.0, 0.5, 0.3,
            ],
        };
        let standard = (vec![1.0, -2.0], vec![0.5, 0.0]);
        Mlp::new(Target::Entropy, 10, standard, weights)
    }

    #[test]
    fn the_output_is_the_formula() {
        let x = (3.0f64 - 1.0) * 0.5;
        // The second input never changed in training, so it says nothing.
        let units = [0.5 * x + 0.1, -x + 0.2, 2.0 * x - 0.3].map(f64::tanh);
        let output = units[0] - 2.0 * units[1] + 0.5 * units[2] + 0.3;
        let expected = output.exp().ln_1p().min(10f64.ln());
        for second in [-2.0, 1e9] {
            let found = f64::from(network().predict(&[3.0, second]));
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn side_by_side_networks_give_the_weighted_sum_of_their_outputs() {
        let progress = network();
        let mut full = network();
        full.scale[1] = 0.8;
        for (at, weight) in full.weights.values.iter_mut().enumerate() {
            *weight += 0.1 * (at as f32).sin();
        }
        for x in [[3.0, 1.0], [-1.0, 4.0]] {
            let (a, b) = (progress.output(&x), full.output(&x));
            for (first, second) in [(1.0, 0.0), (0.75, 0.25), (-0.5, 2.0), (0.0, 1.0)] {
                let mixed = full.mixed(&[(&progress, first), (&full, second)]);
                let found = mixed.raised(0.5).output(&x);
                assert!((found - (first * a + second * b + 0.5)).abs() < 1e-5);
            }
        }
        assert_eq!(full.mixed(&[(&progress, 1.0), (&full, 0.0)]).hidden(), 3);
    }

    #[test]
    fn outputs_are_uncertainties_whatever_comes_in() {
        for target in [Target::Entropy, Target::Disagreement] {
            let network = Mlp {
                target,
                ..network()
            };
            let most = 10f32.ln() + 1e-5;
            for x in [0.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY] {
                assert!((0.0..=most).contains(&network.predict(&[x, 0.0])));
            }
            assert_eq!(network.predict(&[f32::NAN, 0.0]), 10f32.ln());
        }
    }

    #[test]
    fn fano_is_the_entropy_of_an_answer_whose_errors_are_spread_evenly() {
        for classes in [2u32, 10, 1000] {
            let mut before = 0.0;
            for p in [1e-6, 1e-3, 0.05, 0.2, 0.4, 0.499] {
                // One class with 1 − p, all others with p/(classes − 1).
                let other = p / f64::from(classes - 1);
                let entropy = -(1.0 - p) * (1.0f64 - p).ln() - p * other.ln();
                let found = f64::from(fano_nats((p / (1.0 - p)).ln() as f32, classes));
                assert!((found - entropy).abs() < 1e-5 * (1.0 + entropy), "{p}");
                assert!(found > before);
                before = found;
            }
            let guess = fano_nats(50.0, classes);
            assert!((guess - (classes as f32).ln()).abs() < 1e-5);
        }
    }

    #[test]
    fn arrays_hold_all_of_it() {
        let network = network();
        let arrays = network.to_arrays();
        let find = |arrays: &[Array], name: &str| {
            let array = arrays.iter().find(|a| a.name == name)?;
            Some((array.shape.clone(), array.values.clone()))
        };
        let read = |arrays: Vec<Array>| {
            Mlp::from_arrays(|name| {
                let at = arrays.iter().position(|a| a.name == name)?;
                Some((arrays[at].shape.as_slice(), arrays[at].values.as_slice()))
            })
        };
        assert!(find(&arrays, "shift").is_some());
        assert_eq!(read(arrays.clone()), Ok(network));
        for at in 0..arrays.len() {
            let mut missing = arrays.clone();
            let name = missing.remove(at).name;
            assert_eq!(read(missing).expect_err("missing").name, name);
            let mut short = arrays.clone();
            short[at].values.pop();
            assert_eq!(read(short).expect_err("short").name, name);
            let mut longer = arrays.clone();
            longer[at].values.push(1.0);
            longer[at].shape[0] += 1;
            assert!(read(longer).is_err());
            let mut infinite = arrays.clone();
            infinite[at].values[0] = f32::NAN;
            let error = read(infinite).expect_err("not a number").to_string();
            assert!(error.contains("must be finite"), "{error}");
        }
        for (name, bad) in [("classes", 1.0), ("classes", 2.5), ("target", 2.0)] {
            let mut changed = arrays.clone();
            let at = changed.iter().position(|a| a.name == name).expect("there");
            changed[at].values[0] = bad;
            assert_eq!(read(changed).expect_err("out of range").name, name);
        }
    }
}
