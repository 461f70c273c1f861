//! Operators that act on each element, with broadcasting. Activations use their output where that is enough: fewer
//! tensors are kept.

use std::f32::consts::FRAC_2_SQRT_PI;

use super::{Rule, Step};
use crate::gradient::attributes::float;

/// A gradient with the output's shape, summed to the shape of input `index`.
fn to_input(step: &mut Step, index: usize, gradient: &str) -> Result<(usize, String), String> {
    let (from, to) = (step.output_shape()?, step.input_shape(index)?);
    if to.len() > from.len() {
        return Err("its shapes do not agree".into());
    }
    Ok((index, step.tape.undo_broadcast(gradient, &from, &to)))
}

pub(super) fn sum(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let mut results = Vec::new();
    for index in 0..step.node.input.len() {
        if step.wants(index) {
            results.push(to_input(step, index, &gradient)?);
        }
    }
    Ok(results)
}

pub(super) fn sub(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let mut results = Vec::new();
    if step.wants(0) {
        results.push(to_input(step, 0, &gradient)?);
    }
    if step.wants(1) {
        let negative = step.tape.node("Neg", &[&gradient], []);
        results.push(to_input(step, 1, &negative)?);
    }
    Ok(results)
}

pub(super) fn mul(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let mut results = Vec::new();
    for index in 0..2 {
        if step.wants(index) {
            let scaled = step.tape.mul(&gradient, step.input(1 - index));
            results.push(to_input(step, index, &scaled)?);
        }
    }
    Ok(results)
}

/// y = a / b.
pub(super) fn div(step: &mut Step) -> Rule {
    let scaled = step.gradient()?;
    let scaled = step.tape.node("Div", &[&scaled, step.input(1)], []);
    let mut results = Vec::new();
    if step.wants(0) {
        results.push(to_input(step, 0, &scaled)?);
    }
    if step.wants(1) {
        let product = step.tape.mul(&scaled, step.output());
        let negative = step.tape.node("Neg", &[&product], []);
        results.push(to_input(step, 1, &negative)?);
    }
    Ok(results)
}

pub(super) fn neg(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    Ok(vec![(0, step.tape.node("Neg", &[&gradient], []))])
}

/// g where `x` > `threshold`.
fn above(step: &mut Step, x: &str, threshold: f32, gradient: &str) -> String {
    let threshold = step.tape.scalar(threshold);
    let mask = step.tape.node("Greater", &[x, &threshold], []);
    step.tape.keep_where(&mask, gradient)
}

/// 0 at the kink.
pub(super) fn relu(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let output = step.output();
    Ok(vec![(0, above(step, output, 0.0, &gradient))])
}

fn two_slopes(step: &mut Step, scaled: &str) -> Rule {
    let gradient = step.gradient()?;
    let zero = step.tape.scalar(0.0);
    let mask = step.tape.node("Greater", &[step.input(0), &zero], []);
    let result = step.tape.node("Where", &[&mask, &gradient, scaled], []);
    Ok(vec![(0, result)])
}

pub(super) fn leaky_relu(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let scaled = step
        .tape
        .scale(&gradient, float(step.node, "alpha").unwrap_or(0.01));
    two_slopes(step, &scaled)
}

pub(super) fn p_relu(step: &mut Step) -> Rule {
    step.only_first()?;
    let gradient = step.gradient()?;
    let scaled = step.tape.mul(&gradient, step.input(1));
    two_slopes(step, &scaled)
}

/// Bounds as attributes or as inputs, by opset; 0 at and beyond them.
pub(super) fn clip(step: &mut Step) -> Rule {
    step.only_first()?;
    let mut gradient = step.gradient()?;
    let output = step.output();
    for (index, name, op) in [(1, "min", "Greater"), (2, "max", "Less")] {
        let bound = match float(step.node, name) {
            Some(value) => step.tape.scalar(value),
            None if step.has_input(index) => step.input(index).to_string(),
            None => continue,
        };
        let mask = step.tape.node(op, &[output, &bound], []);
        gradient = step.tape.keep_where(&mask, &gradient);
    }
    Ok(vec![(0, gradient)])
}

/// y (1 − y).
pub(super) fn sigmoid(step: &mut Step) -> Rule {
    let (gradient, y) = (step.gradient()?, step.output());
    let one = step.tape.scalar(1.0);
    let rest = step.tape.sub(&one, y);
    let slope = step.tape.mul(&rest, y);
    Ok(vec![(0, step.tape.mul(&slope, &gradient))])
}

/// 1 − y².
pub(super) fn tanh(step: &mut Step) -> Rule {
    let (gradient, y) = (step.gradient()?, step.output());
    let one = step.tape.scalar(1.0);
    let square = step.tape.mul(y, y);
    let slope = step.tape.sub(&one, &square);
    Ok(vec![(0, step.tape.mul(&slope, &gradient))])
}

pub(super) fn exp(step: &mut Step) -> Rule {
    let (gradient, y) = (step.gradient()?, step.output());
    Ok(vec![(0, step.tape.mul(&gradient, y))])
}

/// 2/√π e^(−x²).
pub(super) fn erf(step: &mut Step) -> Rule {
    let (gradient, x) = (step.gradient()?, step.input(0));
    let square = step.tape.mul(x, x);
    let negative = step.tape.node("Neg", &[&square], []);
    let slope = step.tape.node("Exp", &[&negative], []);
    let slope = step.tape.scale(&slope, FRAC_2_SQRT_PI);
    Ok(vec![(0, step.tape.mul(&slope, &gradient))])
}

/// 1/(2y).
pub(super) fn sqrt(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let half = step.tape.scale(&gradient, 0.5);
    Ok(vec![(
        0,
        step.tape.node("Div", &[&half, step.output()], []),
    )])
}

/// y = xᵖ with one constant exponent: p xᵖ⁻¹.
pub(super) fn pow(step: &mut Step) -> Rule {
    step.only_first()?;
    let gradient = step.gradient()?;
    let [exponent] = step.constant_floats(1)?[..] else {
        return Err("its exponent is not one number".into());
    };
    let less = step.tape.scalar(exponent - 1.0);
    let slope = step.tape.node("Pow", &[step.input(0), &less], []);
    let slope = step.tape.scale(&slope, exponent);
    Ok(vec![(0, step.tape.mul(&slope, &gradient))])
}

/// Slope α strictly between 0 and 1.
pub(super) fn hard_sigmoid(step: &mut Step) -> Rule {
    let (gradient, y) = (step.gradient()?, step.output());
    let alpha = float(step.node, "alpha").unwrap_or(0.2);
    let gradient = step.tape.scale(&gradient, alpha);
    let gradient = above(step, y, 0.0, &gradient);
    let one = step.tape.scalar(1.0);
    let mask = step.tape.node("Less", &[y, &one], []);
    Ok(vec![(0, step.tape.keep_where(&mask, &gradient))])
}

/// 0 below −3, 1 above 3, x/3 + 1/2 between.
pub(super) fn hard_swish(step: &mut Step) -> Rule {
    let (gradient, x) = (step.gradient()?, step.input(0));
    let half = step.tape.scalar(0.5);
    let slope = step.tape.scale(x, 1.0 / 3.0);
    let slope = step.tape.add(&slope, &half);
    let inner = step.tape.mul(&slope, &gradient);
    let inner = above(step, x, -3.0, &inner);
    let three = step.tape.scalar(3.0);
    let mask = step.tape.node("Greater", &[x, &three], []);
    let result = step.tape.node("Where", &[&mask, &gradient, &inner], []);
    Ok(vec![(0, result)])
}
