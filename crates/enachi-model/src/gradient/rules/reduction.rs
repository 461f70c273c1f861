//! Sums, means and normalisation along axes.

use super::{Rule, Step, axis_of};
use crate::gradient::attributes::{int, ints};

/// Repeat a gradient along the axes that were summed.
fn repeat(step: &mut Step, axes: &[usize], mean: bool) -> Rule {
    let (gradient, x) = (step.gradient()?, step.input_shape(0)?);
    let mut kept = x.clone();
    axes.iter().for_each(|&a| kept[a] = 1);
    let count: usize = axes.iter().map(|&a| x[a]).product();
    let gradient = step.tape.reshape(&gradient, &kept);
    let factor = if mean { 1.0 / count as f32 } else { 1.0 };
    let gradient = step.tape.scale(&gradient, factor);
    Ok(vec![(0, step.tape.expand(&gradient, &x))])
}

/// `ReduceMean` and `ReduceSum`; axes as an attribute or as an input, by opset.
pub(super) fn reduce(step: &mut Step, mean: bool) -> Rule {
    let rank = step.input_shape(0)?.len();
    let axes = match ints(step.node, "axes") {
        Some(axes) => axes.to_vec(),
        None if step.has_input(1) => step.constant_integers(1)?,
        None => Vec::new(),
    };
    if axes.is_empty() && int(step.node, "noop_with_empty_axes", 0) != 0 {
        return Ok(vec![(0, step.gradient()?)]);
    }
    let axes: Vec<usize> = if axes.is_empty() {
        (0..rank).collect()
    } else {
        axes.into_iter()
            .map(|a| axis_of(a, rank))
            .collect::<Result<_, _>>()?
    };
    repeat(step, &axes, mean)
}

pub(super) fn global_average_pool(step: &mut Step) -> Rule {
    let rank = step.input_shape(0)?.len();
    repeat(step, &(2..rank).collect::<Vec<_>>(), true)
}

/// Shared among equal largest elements, as in `MaxPool`.
pub(super) fn global_max_pool(step: &mut Step) -> Rule {
    let (gradient, rank) = (step.gradient()?, step.input_shape(0)?.len());
    let (input, output) = (step.input(0), step.output());
    let hits = step.tape.node("Equal", &[input, output], []);
    let hits = step.tape.as_float(&hits);
    let count = step.tape.sum_over(&hits, 2..rank as i64);
    let share = step.tape.node("Div", &[&gradient, &count], []);
    Ok(vec![(0, step.tape.mul(&hits, &share))])
}

/// The engine normalises along one axis, whatever the opset.
fn softmax_axis(step: &Step) -> Result<i64, String> {
    let rank = step.input_shape(0)?.len();
    Ok(axis_of(int(step.node, "axis", -1), rank)? as i64)
}

/// y ∘ (g − Σ g y).
pub(super) fn softmax(step: &mut Step) -> Rule {
    let (gradient, axis, y) = (step.gradient()?, softmax_axis(step)?, step.output());
    let weighted = step.tape.mul(&gradient, y);
    let mean = step.tape.sum_over(&weighted, [axis]);
    let centred = step.tape.sub(&gradient, &mean);
    Ok(vec![(0, step.tape.mul(&centred, y))])
}

/// g − e^y Σ g.
pub(super) fn log_softmax(step: &mut Step) -> Rule {
    let (gradient, axis) = (step.gradient()?, softmax_axis(step)?);
    let probabilities = step.tape.node("Exp", &[step.output()], []);
    let total = step.tape.sum_over(&gradient, [axis]);
    let pull = step.tape.mul(&probabilities, &total);
    Ok(vec![(0, step.tape.sub(&gradient, &pull))])
}
