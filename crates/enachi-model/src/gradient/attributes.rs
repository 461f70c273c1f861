//! Attributes and constant values of ONNX nodes.

use rten_onnx::onnx::{AttributeProto, AttributeType, DataType, NodeProto, TensorProto};

/// Attribute of a node.
fn find<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute
        .iter()
        .find(|a| a.name.as_deref() == Some(name))
}

/// Integer attribute, or `default`.
pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    find(node, name).and_then(|a| a.i).unwrap_or(default)
}

/// List of integers, if the node has it.
pub(super) fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    find(node, name).map(|a| a.ints.as_slice())
}

/// Float attribute, if the node has it.
pub(super) fn float(node: &NodeProto, name: &str) -> Option<f32> {
    find(node, name).and_then(|a| a.f)
}

/// Text attribute, if the node has it.
pub(super) fn text<'a>(node: &'a NodeProto, name: &str) -> Option<&'a str> {
    find(node, name).and_then(|a| a.s.as_deref())
}

/// A new integer attribute.
pub(super) fn set_int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        i: Some(value),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    }
}

/// A new list of integers.
pub(super) fn set_ints(name: &str, values: impl IntoIterator<Item = i64>) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ints: values.into_iter().collect(),
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    }
}

/// A new float attribute.
pub(super) fn set_float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        f: Some(value),
        r#type: Some(AttributeType::FLOAT),
        ..AttributeProto::default()
    }
}

/// The values of a float32 constant; `None` for other types.
pub(super) fn floats_of(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != Some(DataType::FLOAT) {
        return None;
    }
    Some(match &tensor.raw_data {
        Some(raw) => raw
            .borrow()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        None => tensor.float_data.clone(),
    })
}

/// The values of a constant of integers of 64, 32 or 8 bits; `None` for other types.
pub(super) fn integers_of(tensor: &TensorProto) -> Option<Vec<i64>> {
    match (tensor.data_type?, &tensor.raw_data) {
        (DataType::INT64, Some(raw)) => Some(
            raw.borrow()
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().expect("chunks of eight")))
                .collect(),
        ),
        (DataType::INT64, None) => Some(tensor.int64_data.clone()),
        (DataType::INT32, Some(raw)) => Some(
            raw.borrow()
                .chunks_exact(4)
                .map(|b| i64::from(i32::from_le_bytes(b.try_into().expect("chunks of four"))))
                .collect(),
        ),
        (DataType::INT8, Some(raw)) => Some(
            raw.borrow()
                .iter()
                .map(|&b| i8::from_le_bytes([b]).into())
                .collect(),
        ),
        (DataType::UINT8, Some(raw)) => Some(raw.borrow().iter().map(|&b| b.into()).collect()),
        (DataType::INT32 | DataType::INT8 | DataType::UINT8, None) => {
            Some(tensor.int32_data.iter().map(|&v| v.into()).collect())
        }
        _ => None,
    }
}
