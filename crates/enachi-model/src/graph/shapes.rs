//! Shapes and element types of all tensors, at batch 1.

use std::collections::HashMap;

use rten::{DataType, Dimension, Model, Value, ValueType};

use super::error::GraphError;
use super::file::{BATCH, OnnxModel};
use crate::engine::{RtenEngine, load_model};
use crate::tensor::Tensor;

/// Largest tensor accepted inside a network, in elements of one sample.
pub const MAX_TENSOR_ELEMENTS: usize = 1 << 28;

/// Element type of a tensor, as the engine holds it (64-bit integers and booleans become 32-bit integers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 32-bit integer.
    I32,
    /// Unsigned byte (a quantised activation).
    U8,
    /// Signed byte.
    I8,
}

impl ElementType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::U8 | Self::I8 => 1,
        }
    }

    /// `f32`, `i32`, `u8` or `i8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::U8 => "u8",
            Self::I8 => "i8",
        }
    }

    fn from_engine(dtype: DataType) -> Option<Self> {
        match dtype {
            DataType::Float => Some(Self::F32),
            DataType::Int32 => Some(Self::I32),
            DataType::UInt8 => Some(Self::U8),
            DataType::Int8 => Some(Self::I8),
            _ => None,
        }
    }
}

/// Shape at batch 1 and element type of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorInfo {
    pub shape: Vec<usize>,
    pub element: ElementType,
}

/// Look up `names`: from the engine's shape inference where that is complete, otherwise by running the network once
/// on zeros.
pub(crate) fn shapes_of(
    model: &OnnxModel,
    names: &[&str],
) -> Result<HashMap<String, TensorInfo>, GraphError> {
    let engine = load_model(model, true)?;
    let all: Vec<&str> = model
        .structure
        .nodes
        .iter()
        .flat_map(|node| &node.outputs)
        .map(String::as_str)
        .filter(|name| !name.is_empty())
        .collect();
    // Tensors that do not cross a cut are held in memory all the same.
    refuse_oversized(&inferred(&engine, &all))?;
    let inferred = inferred(&engine, names);
    refuse_oversized(&inferred)?;
    if inferred.len() == names.len() {
        Ok(inferred)
    } else {
        probed(model, names)
    }
}

fn refuse_oversized(tensors: &HashMap<String, TensorInfo>) -> Result<(), GraphError> {
    for (name, info) in tensors {
        let elements = info.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements.is_none_or(|n| n > MAX_TENSOR_ELEMENTS) {
            return Err(GraphError::Shape(format!(
                "tensor `{name}` of {:?} has more than {MAX_TENSOR_ELEMENTS} elements",
                info.shape
            )));
        }
    }
    Ok(())
}

fn inferred(engine: &Model, names: &[&str]) -> HashMap<String, TensorInfo> {
    let info = |name: &str| {
        let node = engine.node_info(engine.find_node(name)?)?;
        let ValueType::Tensor(dtype) = node.dtype()? else {
            return None;
        };
        let shape = node
            .shape()?
            .iter()
            .map(|dim| match dim {
                Dimension::Fixed(size) => Some(*size),
                Dimension::Symbolic(name) if name == BATCH => Some(1),
                Dimension::Symbolic(_) => None,
            })
            .collect::<Option<_>>()?;
        Some(TensorInfo {
            shape,
            element: ElementType::from_engine(dtype)?,
        })
    };
    names
        .iter()
        .filter_map(|name| Some((name.to_string(), info(name)?)))
        .collect()
}

fn probed(model: &OnnxModel, names: &[&str]) -> Result<HashMap<String, TensorInfo>, GraphError> {
    let zeros = Tensor::zeros(&model.input_shape);
    let values = RtenEngine::probe(model, &zeros, names)
        .map_err(|reason| GraphError::Shape(format!("a run on zeros failed: {reason}")))?;
    names
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let tensor_info = tensor_info(&value).ok_or_else(|| {
                GraphError::Shape(format!("`{name}` is not a tensor of a supported type"))
            })?;
            Ok((name.to_string(), tensor_info))
        })
        .collect()
}

fn tensor_info(value: &Value) -> Option<TensorInfo> {
    use rten_tensor::Layout;
    let ValueType::Tensor(dtype) = value.dtype() else {
        return None;
    };
    let shape = match value {
        Value::FloatTensor(t) => t.shape().to_vec(),
        Value::Int32Tensor(t) => t.shape().to_vec(),
        Value::Int8Tensor(t) => t.shape().to_vec(),
        Value::UInt8Tensor(t) => t.shape().to_vec(),
        _ => return None,
    };
    Some(TensorInfo {
        shape,
        element: ElementType::from_engine(dtype)?,
    })
}
