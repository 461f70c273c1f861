//! Matrix products and batch normalisation.

use super::{Rule, Step};
use crate::gradient::attributes::{float, int, set_float, set_int};

/// y = α A B + β C; A and C may depend on the image.
pub(super) fn gemm(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    if step.facts.is_active(step.input(1)) || int(step.node, "transA", 0) != 0 {
        return Err("only a constant second factor and an untransposed first are known".into());
    }
    let mut results = Vec::new();
    if step.wants(0) {
        let flipped = i64::from(int(step.node, "transB", 0) == 0);
        let alpha = float(step.node, "alpha").unwrap_or(1.0);
        let attributes = [set_int("transB", flipped), set_float("alpha", alpha)];
        let inputs = [&gradient, step.input(1)];
        results.push((0, step.tape.node("Gemm", &inputs, attributes)));
    }
    if step.wants(2) {
        let beta = float(step.node, "beta").unwrap_or(1.0);
        let scaled = step.tape.scale(&gradient, beta);
        let (y, c) = (step.output_shape()?, step.input_shape(2)?);
        results.push((2, step.tape.undo_broadcast(&scaled, &y, &c)));
    }
    Ok(results)
}

/// y = A B, also stacks of matrices.
pub(super) fn mat_mul(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let shapes = [step.input_shape(0)?, step.input_shape(1)?];
    let y = step.output_shape()?;
    if shapes.iter().any(|s| s.len() < 2 || s.len() > y.len()) {
        return Err("a factor is a vector".into());
    }
    let mut results = Vec::new();
    for index in 0..2 {
        if !step.wants(index) {
            continue;
        }
        let rank = shapes[1 - index].len() as i64;
        let order = (0..rank - 2).chain([rank - 1, rank - 2]);
        let other = step.tape.transpose(step.input(1 - index), order);
        let factors = if index == 0 {
            [&gradient, &other]
        } else {
            [&other, &gradient]
        };
        let product = step.tape.node("MatMul", &factors.map(String::as_str), []);
        // Leading axes may have been broadcast; the last two sizes agree, so nothing is summed along them.
        let to = &shapes[index];
        let mut from = y.clone();
        from[y.len() - 2..].copy_from_slice(&to[to.len() - 2..]);
        results.push((index, step.tape.undo_broadcast(&product, &from, to)));
    }
    Ok(results)
}

/// Inference: a factor per channel, scale / √(variance + ε).
pub(super) fn batch_normalisation(step: &mut Step) -> Rule {
    step.only_first()?;
    let gradient = step.gradient()?;
    let rank = step.input_shape(0)?.len();
    let (scale, variance) = (step.constant_floats(1)?, step.constant_floats(4)?);
    let epsilon = float(step.node, "epsilon").unwrap_or(1e-5);
    let factors: Vec<f32> = scale
        .iter()
        .zip(&variance)
        .map(|(s, v)| s / (v + epsilon).sqrt())
        .collect();
    let mut dims = vec![1; rank];
    if rank < 2 {
        return Err("it has no channels".into());
    }
    dims[1] = factors.len();
    let factors = step.tape.floats(&dims, &factors);
    Ok(vec![(0, step.tape.mul(&gradient, &factors))])
}
