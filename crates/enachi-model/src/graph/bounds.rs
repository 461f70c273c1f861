//! Bounds on tensor sizes before an engine sees the file.
//!
//! An engine folds constants while it loads, so a file of a few bytes could make it allocate any amount: a size is a
//! value inside the file. This walk bounds every tensor that depends on constants only from above, and every other
//! one from below, as far as constants alone decide it.

use std::collections::HashMap;

use rten_onnx::onnx::{DataType, GraphProto, TensorProto};

use super::error::GraphError;
use super::shapes::MAX_TENSOR_ELEMENTS;
use super::structure::{NodeDef, Structure};

/// Constants up to this length are followed by value; sizes, pads and repeats have one value per axis.
const MAX_VALUES: usize = 64;

/// What is known of a tensor that depends on constants only.
#[derive(Clone, Default)]
struct Known {
    /// Upper bound of the elements.
    elements: u128,
    shape: Option<Vec<usize>>,
    /// The values of a short list.
    values: Option<Vec<f64>>,
}

/// Refuse operators whose constant arguments make a tensor above [`MAX_TENSOR_ELEMENTS`], or constants of more
/// elements than that in all.
pub(super) fn refuse_oversized(
    graph: &GraphProto,
    structure: &Structure,
) -> Result<(), GraphError> {
    let limit = MAX_TENSOR_ELEMENTS as u128;
    let mut known: HashMap<&str, Known> = graph
        .initializer
        .iter()
        .filter_map(|tensor| Some((tensor.name.as_deref()?, constant(tensor))))
        .collect();
    let mut grown = 0u128;
    for &index in &structure.order {
        let node = &structure.nodes[index];
        let name = node.outputs.first().map_or("", String::as_str);
        let attributes = &graph.node[index].attribute;
        if node.op == "Constant" {
            let value = attributes.iter().find_map(|a| a.t.as_ref());
            let made = value.map_or_else(|| listed(node, attributes), constant);
            known.insert(name, made);
            continue;
        }
        let inputs: Vec<Option<&Known>> = node
            .inputs
            .iter()
            .map(|name| known.get(name.as_str()))
            .collect();
        let constant_only = inputs
            .iter()
            .zip(&node.inputs)
            .all(|(input, name)| input.is_some() || name.is_empty());
        let refuse = |size: String| {
            GraphError::Shape(format!(
                "{} -> `{name}` makes a tensor of {size} elements; at most {limit} are accepted",
                node.op
            ))
        };
        let Some(factor) = growth(node, &inputs) else {
            if constant_only {
                return Err(refuse("a computed number of".into()));
            }
            continue;
        };
        if !constant_only {
            if factor > limit {
                return Err(refuse(format!("at least {factor}")));
            }
            continue;
        }
        let given = inputs.iter().flatten().map(|k| k.elements);
        let given = given.fold(0u128, u128::saturating_add);
        let made = result(node, &inputs, factor);
        grown = grown.saturating_add(made.elements.saturating_sub(given));
        if made.elements > limit && made.elements > given {
            return Err(refuse(format!("up to {}", made.elements)));
        }
        if grown > limit {
            return Err(GraphError::Shape(format!(
                "the constants computed up to `{name}` have {grown} elements; at most {limit} are accepted"
            )));
        }
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            known.insert(output, made.clone());
        }
    }
    Ok(())
}

/// How many times larger than its first input (or than one element) the constant arguments make the result; `None`
/// if they are not known.
fn growth(node: &NodeDef, inputs: &[Option<&Known>]) -> Option<u128> {
    let input = |i: usize| inputs.get(i).copied().flatten();
    let values = |i: usize| input(i)?.values.as_deref();
    let given = |i: usize| node.inputs.get(i).is_some_and(|name| !name.is_empty());
    let attribute = |name: &str| node.ints.get(name).map_or(&[][..], Vec::as_slice);
    let around = |pads: &[f64]| {
        let half = pads.len() / 2;
        (0..half).fold(1u128, |n, i| {
            n.saturating_mul(size(1.0 + pads[i].max(0.0) + pads[i + half].max(0.0)))
        })
    };
    let float = |list: &[i64]| list.iter().map(|&v| v as f64).collect::<Vec<_>>();
    Some(match node.op.as_str() {
        "ConstantOfShape" => product(values(0)?),
        "Expand" | "Tile" => product(values(1)?),
        "Range" => {
            let (start, end, step) = (
                *values(0)?.first()?,
                *values(1)?.first()?,
                *values(2)?.first()?,
            );
            size(((end - start) / step).ceil().max(0.0))
        }
        "Pad" if given(1) => around(values(1)?),
        "OneHot" => product(values(1)?),
        "Resize" | "Upsample" => {
            let scales = if node.op == "Upsample" { 1 } else { 2 };
            let by_scale = given(scales) && input(scales).is_none_or(|k| k.elements > 0);
            if by_scale {
                product(values(scales)?)
            } else if given(3) {
                product(values(3)?)
            } else {
                1
            }
        }
        // Transposed convolutions and unpooling enlarge by attributes.
        "ConvTranspose" | "MaxUnpool" => [
            "strides",
            "dilations",
            "kernel_shape",
            "output_padding",
            "output_shape",
        ]
        .iter()
        .map(|name| {
            float(attribute(name))
                .iter()
                .map(|v| v + 1.0)
                .collect::<Vec<_>>()
        })
        .fold(1u128, |n, list| n.saturating_mul(product(&list)))
        // Only an upper bound, so of no use where the result is not constant.
        .min(if inputs.first().is_some_and(Option::is_some) {
            u128::MAX
        } else {
            1
        }),
        op if op.starts_with("Random") => product(&float(attribute("shape"))),
        // A window of a convolution or pooling may take much of the padding away again.
        "Pad" => around(&float(attribute("pads"))),
        _ if inputs.first().is_some_and(Option::is_some) => around(&float(attribute("pads"))),
        _ => 1,
    })
}

/// The result of an operator on constants.
fn result(node: &NodeDef, inputs: &[Option<&Known>], factor: u128) -> Known {
    let first = inputs
        .first()
        .copied()
        .flatten()
        .cloned()
        .unwrap_or_default();
    let all = || inputs.iter().flatten();
    let bound = |elements: u128| Known {
        elements,
        ..Known::default()
    };
    match node.op.as_str() {
        "ConstantOfShape" | "Range" => bound(factor),
        op if op.starts_with("Random") => bound(factor),
        "Expand" | "Tile" | "Pad" | "OneHot" | "Resize" | "Upsample" => {
            bound(first.elements.saturating_mul(factor))
        }
        "Shape" => Known {
            elements: 64,
            values: first
                .shape
                .map(|shape| shape.iter().map(|&d| d as f64).collect()),
            ..Known::default()
        },
        "Size" => bound(1),
        "Identity" | "QuantizeLinear" | "DequantizeLinear" => Known {
            values: first.values.filter(|_| node.op == "Identity"),
            ..first
        },
        "Cast" => Known {
            // Towards zero, as a cast to integers does; a size is a whole number anyhow.
            values: first.values.map(|v| v.iter().map(|x| x.trunc()).collect()),
            ..first
        },
        "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" => Known {
            elements: first.elements,
            shape: None,
            values: first.values,
        },
        "Transpose" | "Slice" | "Split" => bound(first.elements),
        "Concat" => {
            let lists: Option<Vec<Vec<f64>>> = all().map(|k| k.values.clone()).collect();
            let elements = all().map(|k| k.elements).fold(0, u128::saturating_add);
            Known {
                elements,
                shape: None,
                values: lists
                    .map(|lists| lists.concat())
                    .filter(|list| list.len() <= MAX_VALUES),
            }
        }
        "MatMul" | "Gemm" | "Conv" | "ConvTranspose" | "Gather" | "Einsum" => {
            product_of(inputs, factor)
        }
        // Element by element, the shapes stretched to each other.
        _ => match broadcast(inputs) {
            Some(shape) => Known {
                elements: shape
                    .iter()
                    .fold(factor, |n, &d| n.saturating_mul(d as u128)),
                shape: (factor == 1).then_some(shape),
                values: arithmetic(&node.op, inputs),
            },
            None => product_of(inputs, factor),
        },
    }
}

fn product_of(inputs: &[Option<&Known>], factor: u128) -> Known {
    Known {
        elements: inputs
            .iter()
            .flatten()
            .fold(factor, |n, k| n.saturating_mul(k.elements)),
        ..Known::default()
    }
}

fn broadcast(inputs: &[Option<&Known>]) -> Option<Vec<usize>> {
    let mut shape: Vec<usize> = Vec::new();
    for input in inputs.iter().flatten() {
        let other = input.shape.as_ref()?;
        let rank = shape.len().max(other.len());
        let at = |list: &[usize], axis: usize| {
            (axis + list.len()).checked_sub(rank).map_or(1, |i| list[i])
        };
        shape = (0..rank).map(|i| at(&shape, i).max(at(other, i))).collect();
    }
    Some(shape)
}

fn arithmetic(op: &str, inputs: &[Option<&Known>]) -> Option<Vec<f64>> {
    let [Some(a), Some(b)] = inputs else {
        return None;
    };
    let (a, b) = (a.values.as_ref()?, b.values.as_ref()?);
    let length = a.len().max(b.len());
    if [a.len(), b.len()].iter().any(|&n| n != 1 && n != length) {
        return None;
    }
    let of = |list: &[f64], i: usize| list[i % list.len()];
    (0..length)
        .map(|i| match op {
            "Add" => Some(of(a, i) + of(b, i)),
            "Sub" => Some(of(a, i) - of(b, i)),
            "Mul" => Some(of(a, i) * of(b, i)),
            _ => None,
        })
        .collect()
}

/// A size as computed; what is no number counts as unbounded.
fn size(value: f64) -> u128 {
    if value.is_nan() {
        u128::MAX
    } else {
        value.ceil() as u128
    }
}

/// Product of sizes; a −1 (keep) counts as 1.
fn product(values: &[f64]) -> u128 {
    values.iter().fold(1u128, |n, &v| {
        n.saturating_mul(if v < 0.0 { 1 } else { size(v) })
    })
}

fn constant(tensor: &TensorProto) -> Known {
    let shape: Vec<usize> = tensor.dims.iter().map(|&d| d as usize).collect();
    let elements = shape.iter().product::<usize>();
    Known {
        elements: elements as u128,
        values: (elements <= MAX_VALUES).then(|| values(tensor)).flatten(),
        shape: Some(shape),
    }
}

fn values(tensor: &TensorProto) -> Option<Vec<f64>> {
    if let Some(raw) = &tensor.raw_data {
        let raw = raw.borrow();
        let wide = raw.as_chunks::<8>().0.iter();
        let narrow = raw.as_chunks::<4>().0.iter();
        return match tensor.data_type {
            Some(DataType::INT64) => Some(wide.map(|&b| i64::from_le_bytes(b) as f64).collect()),
            Some(DataType::DOUBLE) => Some(wide.map(|&b| f64::from_le_bytes(b)).collect()),
            Some(DataType::INT32) => {
                Some(narrow.map(|&b| f64::from(i32::from_le_bytes(b))).collect())
            }
            Some(DataType::FLOAT) => {
                Some(narrow.map(|&b| f64::from(f32::from_le_bytes(b))).collect())
            }
            _ => None,
        };
    }
    match tensor.data_type {
        Some(DataType::INT64) => Some(tensor.int64_data.iter().map(|&v| v as f64).collect()),
        Some(DataType::INT32) => Some(tensor.int32_data.iter().map(|&v| f64::from(v)).collect()),
        Some(DataType::FLOAT) => Some(tensor.float_data.iter().map(|&v| f64::from(v)).collect()),
        Some(DataType::DOUBLE) => Some(tensor.double_data.clone()),
        _ => None,
    }
}

/// A `Constant` node that lists its value in `value_int(s)` or `value_float(s)`.
fn listed(node: &NodeDef, attributes: &[rten_onnx::onnx::AttributeProto]) -> Known {
    let ints = node
        .ints
        .iter()
        .find(|(name, _)| name.starts_with("value_int"));
    let list: Vec<f64> = match ints {
        Some((_, list)) => list.iter().map(|&v| v as f64).collect(),
        None => attributes
            .iter()
            .flat_map(|a| a.f.iter().chain(&a.floats))
            .map(|&v| f64::from(v))
            .collect(),
    };
    Known {
        elements: list.len() as u128,
        shape: None,
        values: Some(list).filter(|list| !list.is_empty() && list.len() <= MAX_VALUES),
    }
}
