//! Quantised activations, by the straight-through estimator.
//!
//! A staircase has no slope, but what the layers behind it see moves with what goes in. The gradient "of" an integer
//! tensor is therefore kept per unit of the number that it stands for: rounding has slope 1 within the range of the
//! integers, and 0 where it saturates, like a clip.

use super::{Rule, Step};
use crate::graph::ElementType;

/// Slope 1 up to half a step beyond the range, where values still round to its ends.
pub(super) fn quantise(step: &mut Step) -> Rule {
    step.only_first()?;
    let mut gradient = step.gradient()?;
    let (low, high): (f64, f64) = match step.facts.element(step.output()) {
        Some(ElementType::I8) => (i8::MIN.into(), i8::MAX.into()),
        Some(ElementType::U8) => (u8::MIN.into(), u8::MAX.into()),
        other => return Err(format!("it makes {other:?}, neither int8 nor uint8")),
    };
    let scales = step.constant_floats(1)?;
    let zero = match step.has_input(2) {
        true => step.constant_integers(2)?,
        false => vec![0],
    };
    let (&[scale], &[zero]) = (scales.as_slice(), zero.as_slice()) else {
        return Err("it has a scale per channel".into());
    };
    let x = step.input(0);
    for (op, end) in [("Greater", low - 0.5), ("Less", high + 0.5)] {
        let bound = step
            .tape
            .scalar(((end - zero as f64) * f64::from(scale)) as f32);
        let mask = step.tape.node(op, &[x, &bound], []);
        gradient = step.tape.keep_where(&mask, &gradient);
    }
    Ok(vec![(0, gradient)])
}

/// The integer's gradient is per unit of the number that comes out.
pub(super) fn dequantise(step: &mut Step) -> Rule {
    step.only_first()?;
    Ok(vec![(0, step.gradient()?)])
}
