//! Normalisation by the image's own mean and deviation.

use super::{Rule, Step, axis_of};
use crate::gradient::attributes::{float, int};

/// y = x̂ ∘ scale + bias with x̂ = (x − mean) / σ over `axes`:
/// dL/dx = (g′ − mean(g′) − x̂ mean(g′ x̂)) / σ with g′ = g ∘ scale.
fn normalised(step: &mut Step, axes: &[usize], scaled: &str) -> Rule {
    let shape = step.input_shape(0)?;
    let share = 1.0 / axes.iter().map(|&a| shape[a]).product::<usize>() as f32;
    let epsilon = float(step.node, "epsilon").unwrap_or(1e-5);
    let x = step.input(0);
    let tape = &mut *step.tape;
    let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
    let mean = |tape: &mut crate::gradient::tape::Tape, of: &str| {
        let sum = tape.sum_over(of, axes.iter().copied());
        tape.scale(&sum, share)
    };
    let centre = mean(tape, x);
    let centred = tape.sub(x, &centre);
    let square = tape.mul(&centred, &centred);
    let variance = mean(tape, &square);
    let floor = tape.scalar(epsilon);
    let variance = tape.add(&variance, &floor);
    let deviation = tape.node("Sqrt", &[&variance], []);
    let unit = tape.node("Div", &[&centred, &deviation], []);
    let along = tape.mul(scaled, &unit);
    let along = mean(tape, &along);
    let along = tape.mul(&unit, &along);
    let level = mean(tape, scaled);
    let rest = tape.sub(scaled, &level);
    let rest = tape.sub(&rest, &along);
    Ok(vec![(0, tape.node("Div", &[&rest, &deviation], []))])
}

/// Over the last axes, one scale per element of them.
pub(super) fn layer(step: &mut Step) -> Rule {
    step.only_first()?;
    let (gradient, rank) = (step.gradient()?, step.input_shape(0)?.len());
    let first = axis_of(int(step.node, "axis", -1), rank)?;
    let scaled = step.tape.mul(&gradient, step.input(1));
    normalised(step, &(first..rank).collect::<Vec<_>>(), &scaled)
}

/// Over the positions of each map, one scale per map.
pub(super) fn instance(step: &mut Step) -> Rule {
    step.only_first()?;
    let (gradient, shape) = (step.gradient()?, step.input_shape(0)?);
    if shape.len() < 3 {
        return Err(format!("its input has no positions: {shape:?}"));
    }
    let mut per_map = vec![1; shape.len()];
    per_map[1] = shape[1];
    let scale = step.tape.reshape(step.input(1), &per_map);
    let scaled = step.tape.mul(&gradient, &scale);
    normalised(step, &(2..shape.len()).collect::<Vec<_>>(), &scaled)
}
