//! Pools over windows.

use super::window::Window;
use super::{Rule, Step};
use crate::gradient::attributes::{int, ints, set_int, set_ints};

fn window(step: &Step) -> Result<(Vec<usize>, Vec<usize>, Window), String> {
    let (x, y) = (step.input_shape(0)?, step.output_shape()?);
    let kernel: Vec<usize> = ints(step.node, "kernel_shape")
        .unwrap_or_default()
        .iter()
        .map(|&k| usize::try_from(k).unwrap_or(0))
        .collect();
    if kernel.contains(&0) || x.len() != kernel.len() + 2 || y.len() != x.len() || x[0] != 1 {
        return Err("its shapes do not agree".into());
    }
    let window = Window::new(step.node, &kernel, &x[2..], &y[2..])?;
    let pads = window.begin.iter().zip(&window.end).enumerate();
    if pads
        .into_iter()
        .any(|(a, (b, e))| *b.max(e) >= window.extent(a))
    {
        return Err("a window may lie in the padding".into());
    }
    Ok((x, y, window))
}

/// The gradient goes to the largest element of each window. Where several are equal it is shared among them: then
/// the maximum has no derivative, and this is the mean of its one-sided ones.
pub(super) fn max_pool(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let (x, y, window) = window(step)?;
    let axes = window.kernel.len();
    let (input, output) = (step.input(0), step.output());
    // Windows that reach over the end in ceil mode need more padding than the file says.
    let spans: Vec<usize> = (0..axes)
        .map(|a| (y[a + 2] - 1) * window.strides[a] + window.extent(a))
        .collect();
    let behind: Vec<usize> = (0..axes)
        .map(|a| spans[a].saturating_sub(x[a + 2] + window.begin[a]))
        .collect();
    let tape = &mut *step.tape;
    let padded = if window.begin.iter().chain(&behind).all(|&p| p == 0) {
        input.to_string()
    } else {
        let pads = [&[0, 0], &window.begin[..], &[0, 0], &behind[..]].concat();
        let pads = tape.integers(pads.into_iter().map(|p| p as i64));
        let lowest = tape.scalar(f32::MIN);
        tape.node("Pad", &[input, &pads, &lowest], [])
    };
    let places: usize = window.kernel.iter().product();
    let positions = x[1];
    let each: usize = y[2..].iter().product();
    let spatial: Vec<i64> = (2..2 + axes as i64).collect();
    let steps: Vec<i64> = window.strides.iter().map(|&s| s as i64).collect();
    let mut hits = Vec::with_capacity(places);
    for place in 0..places {
        let mut rest = place;
        let mut starts = vec![0i64; axes];
        for axis in (0..axes).rev() {
            starts[axis] = (rest % window.kernel[axis] * window.dilations[axis]) as i64;
            rest /= window.kernel[axis];
        }
        let ends: Vec<i64> = (0..axes)
            .map(|a| starts[a] + ((y[a + 2] - 1) * window.strides[a]) as i64 + 1)
            .collect();
        let element = tape.slice(&padded, &spatial, &starts, &ends, &steps);
        let hit = tape.node("Equal", &[&element, output], []);
        let hit = tape.as_float(&hit);
        hits.push(tape.reshape(&hit, &[positions, 1, each]));
    }
    let inputs: Vec<&str> = hits.iter().map(String::as_str).collect();
    // Channels × places × windows.
    let hits = tape.node("Concat", &inputs, [set_int("axis", 1)]);
    let count = tape.sum_over(&hits, [1]);
    let gradient = tape.reshape(&gradient, &[positions, 1, each]);
    let share = tape.node("Div", &[&gradient, &count], []);
    let shares = tape.mul(&hits, &share);
    // Back to its place: place p has the kernel that is 1 at p.
    let mut kernel = vec![0.0; places * places];
    (0..places).for_each(|p| kernel[p * places + p] = 1.0);
    Ok(vec![(0, spread(step, &shares, places, &kernel, &window)?)])
}

/// Each element of a window gets its share of the gradient.
pub(super) fn average_pool(step: &mut Step) -> Rule {
    let gradient = step.gradient()?;
    let (x, y, window) = window(step)?;
    let axes = window.kernel.len();
    let with_padding = int(step.node, "count_include_pad", 0) != 0;
    // Elements that count in each window, as a product over the axes.
    let mut shares = vec![1.0f32];
    for a in 0..axes {
        let (begin, size) = (window.begin[a], x[a + 2]);
        let counted = |at: usize| {
            let (low, high) = if with_padding {
                (0, begin + size + window.end[a])
            } else {
                (begin, begin + size)
            };
            let start = at * window.strides[a];
            (start + window.extent(a)).min(high) - start.max(low)
        };
        shares = shares
            .iter()
            .flat_map(|&share| (0..y[a + 2]).map(move |at| share / counted(at) as f32))
            .collect();
    }
    let dims = [&[1, 1], &y[2..]].concat();
    let shares = step.tape.floats(&dims, &shares);
    let shared = step.tape.mul(&gradient, &shares);
    let kernel = vec![1.0; window.kernel.iter().product()];
    Ok(vec![(0, spread(step, &shared, 1, &kernel, &window)?)])
}

/// Transposed convolution of each feature map by itself (maps take the place of the batch), `places` channels to
/// one, to the size of the pool's input.
fn spread(
    step: &mut Step,
    values: &str,
    places: usize,
    kernel: &[f32],
    window: &Window,
) -> Result<String, String> {
    let (x, y) = (step.input_shape(0)?, step.output_shape()?);
    let tape = &mut *step.tape;
    let axes = window.kernel.len();
    let values = tape.reshape(values, &[&[x[1], places], &y[2..]].concat());
    let kernel = tape.floats(&[&[places, 1], &window.kernel[..]].concat(), kernel);
    // The result must end with the last element of the input. Padding cuts off what lies behind it, output padding
    // adds what no window reached.
    let (mut cut, mut missing) = (Vec::new(), Vec::new());
    for a in 0..axes {
        let reached = (y[a + 2] - 1) * window.strides[a] + window.extent(a);
        let wanted = window.begin[a] + x[a + 2];
        cut.push(reached.saturating_sub(wanted) as i64);
        missing.push(wanted.saturating_sub(reached) as i64);
    }
    let signed = |list: &[usize]| list.iter().map(|&v| v as i64).collect::<Vec<_>>();
    let attributes = [
        set_ints("kernel_shape", signed(&window.kernel)),
        set_ints("strides", signed(&window.strides)),
        set_ints("dilations", signed(&window.dilations)),
        set_ints("pads", [signed(&window.begin), cut].concat()),
        set_ints("output_padding", missing),
    ];
    let spread = tape.node("ConvTranspose", &[&values, &kernel], attributes);
    Ok(tape.reshape(&spread, &x))
}
