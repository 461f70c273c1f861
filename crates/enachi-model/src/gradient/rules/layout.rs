//! Operators that move elements without changing them.

use super::{Rule, Step, axis_of};
use crate::gradient::attributes::{int, ints, set_int, text};

/// Any change of shape that keeps the order.
pub(super) fn reshape(step: &mut Step) -> Rule {
    let (gradient, x) = (step.gradient()?, step.input_shape(0)?);
    Ok(vec![(0, step.tape.reshape(&gradient, &x))])
}

pub(super) fn transpose(step: &mut Step) -> Rule {
    let (gradient, rank) = (step.gradient()?, step.input_shape(0)?.len());
    let order: Vec<i64> = match ints(step.node, "perm") {
        Some(order) => order.to_vec(),
        None => (0..rank as i64).rev().collect(),
    };
    let back: Vec<i64> = (0..rank as i64)
        .map(|axis| order.iter().position(|&o| o == axis).map(|p| p as i64))
        .collect::<Option<_>>()
        .ok_or("its perm is not a permutation")?;
    Ok(vec![(0, step.tape.transpose(&gradient, back))])
}

pub(super) fn concat(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let axis = axis_of(int(step.node, "axis", 0), step.output_shape()?.len())?;
    let mut results = Vec::new();
    let mut at = 0;
    for index in 0..step.node.input.len() {
        let size = step.input_shape(index)?[axis] as i64;
        if step.wants(index) {
            let part = step
                .tape
                .slice(&gradient, &[axis as i64], &[at], &[at + size], &[1]);
            results.push((index, part));
        }
        at += size;
    }
    Ok(results)
}

pub(super) fn split(step: &mut Step) -> Rule {
    let axis = axis_of(int(step.node, "axis", 0), step.input_shape(0)?.len())?;
    let mut parts = Vec::new();
    for (output, gradient) in step.node.output.iter().zip(step.gradients.clone()) {
        parts.push(match gradient {
            Some(gradient) => gradient,
            None => {
                // Nothing needs this part, so its shape may not have been looked up.
                let shape = step.shape_of(output)?;
                let zeros = vec![0.0; shape.iter().product()];
                step.tape.floats(&shape, &zeros)
            }
        });
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let joined = step
        .tape
        .node("Concat", &parts, [set_int("axis", axis as i64)]);
    Ok(vec![(0, joined)])
}

/// Surround a gradient with zeros.
fn surround(step: &mut Step, gradient: &str, before: &[i64], after: &[i64]) -> String {
    let pads = step
        .tape
        .integers(before.iter().chain(after).copied().collect::<Vec<_>>());
    let zero = step.tape.scalar(0.0);
    step.tape.node("Pad", &[gradient, &pads, &zero], [])
}

/// Slices of step 1.
pub(super) fn slice(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let (x, y) = (step.input_shape(0)?, step.output_shape()?);
    let (starts, axes) = match ints(step.node, "starts") {
        Some(starts) => (
            starts.to_vec(),
            ints(step.node, "axes").map(<[i64]>::to_vec),
        ),
        None => {
            if step.has_input(4) && step.constant_integers(4)?.iter().any(|&s| s != 1) {
                return Err("its steps are not 1".into());
            }
            let axes = step.has_input(3).then(|| step.constant_integers(3));
            (step.constant_integers(1)?, axes.transpose()?)
        }
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let mut before = vec![0i64; x.len()];
    for (&axis, &start) in axes.iter().zip(&starts) {
        let axis = axis_of(axis, x.len())?;
        let size = x[axis] as i64;
        before[axis] = if start < 0 {
            start.saturating_add(size)
        } else {
            start
        }
        .clamp(0, size);
    }
    let after: Vec<i64> = (0..x.len())
        .map(|a| x[a] as i64 - y[a] as i64 - before[a])
        .collect();
    Ok(vec![(0, surround(step, &gradient, &before, &after))])
}

/// One place along an axis, as where a transformer reads its class token.
pub(super) fn gather(step: &mut Step) -> Rule {
    let (gradient, x) = (step.gradient()?, step.input_shape(0)?);
    let axis = axis_of(int(step.node, "axis", 0), x.len())?;
    let [index] = step.constant_integers(1)?[..] else {
        return Err("only a single index is known".into());
    };
    let size = x[axis] as i64;
    let index = if index < 0 { index + size } else { index };
    if !(0..size).contains(&index) {
        return Err(format!("its axis has no place {index}"));
    }
    let mut one = x.clone();
    one[axis] = 1;
    let gradient = step.tape.reshape(&gradient, &one);
    let (mut before, mut after) = (vec![0; x.len()], vec![0; x.len()]);
    before[axis] = index;
    after[axis] = size - 1 - index;
    Ok(vec![(0, surround(step, &gradient, &before, &after))])
}

/// Padding with a constant.
pub(super) fn pad(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let x = step.input_shape(0)?;
    let pads = match ints(step.node, "pads") {
        Some(pads) => pads.to_vec(),
        None => step.constant_integers(1)?,
    };
    if text(step.node, "mode").is_some_and(|mode| mode != "constant") || step.has_input(3) {
        return Err("only constant padding of all axes is known".into());
    }
    if pads.len() != 2 * x.len() || pads.iter().any(|&p| p < 0) {
        return Err(format!("its pads are {pads:?}"));
    }
    let axes: Vec<i64> = (0..x.len() as i64).collect();
    let starts = &pads[..x.len()];
    let ends: Vec<i64> = starts.iter().zip(&x).map(|(s, &n)| s + n as i64).collect();
    let steps = vec![1; x.len()];
    let inner = step.tape.slice(&gradient, &axes, starts, &ends, &steps);
    Ok(vec![(0, inner)])
}
