//! Convolution.

use super::window::Window;
use super::{Rule, Step};
use crate::gradient::attributes::{int, set_int, set_ints};

/// y = w ∗ x + b. The gradient with respect to x is the transposed convolution of dL/dy with w. At stride 1 that is
/// an ordinary convolution with the kernel turned around and its channels exchanged, which the engine runs faster.
pub(super) fn conv(step: &mut Step) -> Rule {
    step.only_first()?;
    let gradient = step.gradient()?;
    let (x, w, y) = (
        step.input_shape(0)?,
        step.input_shape(1)?,
        step.output_shape()?,
    );
    if x.len() < 3 || w.len() != x.len() || y.len() != x.len() {
        return Err("its shapes do not agree".into());
    }
    let window = Window::new(step.node, &w[2..], &x[2..], &y[2..])?;
    let groups = usize::try_from(int(step.node, "group", 1)).unwrap_or(0);
    if groups == 0 || w[0] % groups != 0 || w[1] * groups != x[1] {
        return Err(format!("{groups} groups do not fit its channels"));
    }
    let axes = 0..window.kernel.len();
    let turned = axes.clone().all(|a| {
        let reach = window.extent(a) - 1;
        window.strides[a] == 1 && window.begin[a] <= reach && window.end[a] <= reach
    });
    let weights = step.facts.floats(step.input(1)).filter(|_| turned);
    let signed = |list: &[usize]| list.iter().map(|&v| v as i64).collect::<Vec<_>>();
    let mut attributes = vec![
        set_ints("kernel_shape", signed(&window.kernel)),
        set_ints("strides", signed(&window.strides)),
        set_ints("dilations", signed(&window.dilations)),
        set_int("group", groups as i64),
    ];
    let result = if let Some(weights) = weights {
        let pads = [&window.begin, &window.end].map(|pads| {
            let reach = |(a, &pad): (usize, &usize)| (window.extent(a) - 1 - pad) as i64;
            pads.iter().enumerate().map(reach).collect::<Vec<_>>()
        });
        attributes.push(set_ints("pads", pads.concat()));
        let kernel: usize = window.kernel.iter().product();
        let (values, dims) = turn(&weights, &w, groups, kernel);
        let weights = step.tape.floats(&dims, &values);
        step.tape.node("Conv", &[&gradient, &weights], attributes)
    } else {
        let rest = axes
            .map(|a| {
                // What the last window left over.
                let padded = x[a + 2] + window.begin[a] + window.end[a];
                let used = (y[a + 2] - 1) * window.strides[a] + window.extent(a);
                padded.checked_sub(used).map(|rest| rest as i64)
            })
            .collect::<Option<Vec<_>>>()
            .ok_or("its shapes do not agree")?;
        attributes.push(set_ints(
            "pads",
            [signed(&window.begin), signed(&window.end)].concat(),
        ));
        attributes.push(set_ints("output_padding", rest));
        let inputs = [&gradient, step.input(1)];
        step.tape.node("ConvTranspose", &inputs, attributes)
    };
    Ok(vec![(0, result)])
}

/// Weights \[out, in/groups, …\] as \[in, out/groups, …\] with the kernel turned around.
fn turn(weights: &[f32], w: &[usize], groups: usize, kernel: usize) -> (Vec<f32>, Vec<usize>) {
    let (out_each, in_each) = (w[0] / groups, w[1]);
    let mut values = Vec::with_capacity(weights.len());
    for group in 0..groups {
        for i in 0..in_each {
            for o in 0..out_each {
                let at = ((group * out_each + o) * in_each + i) * kernel;
                values.extend(weights[at..at + kernel].iter().rev());
            }
        }
    }
    let dims = [&[in_each * groups, out_each], &w[2..]].concat();
    (values, dims)
}
