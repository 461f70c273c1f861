//! The backward nodes that are added to a network, and shorthands to write them.

use std::cell::RefCell;
use std::collections::HashMap;

use rten_onnx::onnx::{AttributeProto, DataType, NodeProto, TensorProto};

use super::attributes::{set_int, set_ints};

/// Nodes and constants of the backward pass under construction. Methods that add something return its tensor name.
pub(super) struct Tape {
    /// Begins every new name; nothing in the file begins so.
    prefix: String,
    pub nodes: Vec<NodeProto>,
    pub constants: Vec<TensorProto>,
    scalars: HashMap<u32, String>,
    /// The forward node whose gradient is being written, for messages of the engine.
    pub context: String,
}

impl Tape {
    pub fn new(prefix: String) -> Self {
        Self {
            prefix,
            nodes: Vec::new(),
            constants: Vec::new(),
            scalars: HashMap::new(),
            context: String::new(),
        }
    }

    /// Name of the graph input for dL/dscores.
    pub fn cotangent(&self) -> String {
        format!("{}cotangent", self.prefix)
    }

    /// Add an operator with one output.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: impl Into<Vec<AttributeProto>>,
    ) -> String {
        let (prefix, count) = (&self.prefix, self.nodes.len());
        let output = format!("{prefix}{count}");
        self.nodes.push(NodeProto {
            name: Some(format!(
                "{prefix}{count}: {op} in the gradient of {}",
                self.context
            )),
            op_type: Some(op.into()),
            input: inputs.iter().map(|s| (*s).to_string()).collect(),
            output: vec![output.clone()],
            attribute: attribute.into(),
            domain: None,
        });
        output
    }

    fn constant(&mut self, dims: &[usize], data_type: DataType, raw: Vec<u8>) -> String {
        let name = format!("{}c{}", self.prefix, self.constants.len());
        self.constants.push(TensorProto {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(data_type),
            raw_data: Some(RefCell::new(raw)),
            name: Some(name.clone()),
            ..TensorProto::default()
        });
        name
    }

    /// A float constant.
    pub fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(dims, DataType::FLOAT, raw)
    }

    /// A float constant without axes.
    pub fn scalar(&mut self, value: f32) -> String {
        if let Some(known) = self.scalars.get(&value.to_bits()) {
            return known.clone();
        }
        let name = self.floats(&[], &[value]);
        self.scalars.insert(value.to_bits(), name.clone());
        name
    }

    /// A list of integers.
    pub fn integers(&mut self, values: impl IntoIterator<Item = i64>) -> String {
        let values: Vec<i64> = values.into_iter().collect();
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(&[values.len()], DataType::INT64, raw)
    }

    pub fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let shape = self.integers(shape.iter().map(|&s| s as i64));
        self.node("Reshape", &[x, &shape], [])
    }

    pub fn expand(&mut self, x: &str, shape: &[usize]) -> String {
        let shape = self.integers(shape.iter().map(|&s| s as i64));
        self.node("Expand", &[x, &shape], [])
    }

    pub fn transpose(&mut self, x: &str, order: impl IntoIterator<Item = i64>) -> String {
        self.node("Transpose", &[x], [set_ints("perm", order)])
    }

    pub fn add(&mut self, a: &str, b: &str) -> String {
        self.node("Add", &[a, b], [])
    }

    pub fn sub(&mut self, a: &str, b: &str) -> String {
        self.node("Sub", &[a, b], [])
    }

    pub fn mul(&mut self, a: &str, b: &str) -> String {
        self.node("Mul", &[a, b], [])
    }

    pub fn scale(&mut self, x: &str, factor: f32) -> String {
        if factor == 1.0 {
            return x.to_string();
        }
        let factor = self.scalar(factor);
        self.mul(x, &factor)
    }

    /// `x` where `mask` holds, elsewhere 0. As a product: the engine's `Where` takes four times as long.
    pub fn keep_where(&mut self, mask: &str, x: &str) -> String {
        let mask = self.as_float(mask);
        self.mul(x, &mask)
    }

    /// A truth value as 1 or 0.
    pub fn as_float(&mut self, mask: &str) -> String {
        // 1 is float32 in ONNX.
        self.node("Cast", &[mask], [set_int("to", 1)])
    }

    /// Sum over `axes`, which stay with size 1.
    pub fn sum_over(&mut self, x: &str, axes: impl IntoIterator<Item = i64>) -> String {
        let axes = self.integers(axes);
        self.node("ReduceSum", &[x, &axes], [set_int("keepdims", 1)])
    }

    /// `x[starts..ends]` along `axes`, every `steps`-th element.
    pub fn slice(
        &mut self,
        x: &str,
        axes: &[i64],
        starts: &[i64],
        ends: &[i64],
        steps: &[i64],
    ) -> String {
        let lists = [starts, ends, axes, steps].map(|list| self.integers(list.iter().copied()));
        let [starts, ends, axes, steps] = &lists;
        self.node("Slice", &[x, starts, ends, axes, steps], [])
    }

    /// The gradient of a broadcast from shape `to` to shape `from`: sums over the axes that were repeated.
    pub fn undo_broadcast(&mut self, gradient: &str, from: &[usize], to: &[usize]) -> String {
        let lead = from.len() - to.len();
        let axes: Vec<i64> = (0..from.len())
            .filter(|&axis| from[axis] != 1 && (axis < lead || to[axis - lead] == 1))
            .map(|axis| axis as i64)
            .collect();
        let summed = if axes.is_empty() {
            gradient.to_string()
        } else {
            self.sum_over(gradient, axes)
        };
        if lead == 0 {
            summed
        } else {
            self.reshape(&summed, to)
        }
    }
}
