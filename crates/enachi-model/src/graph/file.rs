//! An ONNX file, read and checked once; the graph analysis and the engine both start from it.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rten_onnx::onnx::{DataLocation, DataType, Dimension, ModelProto, TensorProto};
use sha2::{Digest, Sha256};

use super::bounds::refuse_oversized;
use super::error::GraphError;
use super::structure::Structure;
use super::wire::{WireError, normalise};

/// Largest ONNX file accepted \[byte\].
pub const MAX_MODEL_BYTES: u64 = 1 << 30;
/// Largest input accepted, in elements of one sample.
pub const MAX_INPUT_ELEMENTS: usize = 1 << 24;

/// Name given to the open batch dimension.
pub(crate) const BATCH: &str = "batch";

/// Choices made when a model is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Shape N×C×H×W to use where the file leaves the input's sizes open. Only N = 1 makes sense: the batch
    /// of a run is free whenever the file leaves it open.
    pub input_shape: Option<Vec<usize>>,
}

/// A parsed ONNX file whose structure was checked, with the input shape fixed but for the batch.
pub struct OnnxModel {
    /// The checked model, for an engine.
    pub(crate) bytes: Vec<u8>,
    pub(crate) structure: Structure,
    pub(crate) input: String,
    pub(crate) output: String,
    /// Batch 1.
    pub(crate) input_shape: Vec<usize>,
    /// Whether the file fixes the batch to 1.
    pub(crate) fixed_batch: bool,
    sha256: String,
}

impl std::fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnnxModel")
            .field("sha256", &self.sha256)
            .field("input", &self.input)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

impl OnnxModel {
    /// Read a file of at most [`MAX_MODEL_BYTES`].
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Arc<Self>, GraphError> {
        let path = path.as_ref();
        let io = |source| GraphError::Io {
            path: path.display().to_string(),
            source,
        };
        let file = std::fs::File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        if length > MAX_MODEL_BYTES {
            return Err(GraphError::TooLarge {
                bytes: length,
                limit: MAX_MODEL_BYTES,
            });
        }
        let mut bytes = Vec::with_capacity(length as usize);
        // The limit holds for pipes and devices too, whose length is not known beforehand.
        file.take(MAX_MODEL_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        Self::from_bytes(&bytes, options)
    }

    /// Parse and check the bytes of an ONNX file.
    pub fn from_bytes(bytes: &[u8], options: &LoadOptions) -> Result<Arc<Self>, GraphError> {
        if bytes.len() as u64 > MAX_MODEL_BYTES {
            return Err(GraphError::TooLarge {
                bytes: bytes.len() as u64,
                limit: MAX_MODEL_BYTES,
            });
        }
        let sha256 = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let plain = normalise(bytes).map_err(|error| match error {
            WireError::Malformed(what, at) => {
                GraphError::Corrupt(format!("{what} near byte {at} of {}", bytes.len()))
            }
            WireError::Unsupported(what) => GraphError::UnsupportedFeature(what),
        })?;
        let mut proto =
            ModelProto::parse_buf(&plain).map_err(|e| GraphError::Corrupt(e.to_string()))?;
        drop(plain);
        check_tensors(&proto)?;
        let (input, input_shape, fixed_batch) = fix_input(&mut proto, options)?;
        let output = single_output(&proto)?;
        rename_nodes(&mut proto);
        let graph = proto.graph.as_ref().expect("checked by check_tensors");
        let structure = Structure::new(graph, &input, &output)?;
        refuse_oversized(graph, &structure)?;
        let bytes = proto
            .write_buf()
            .map_err(|e| GraphError::Engine(e.to_string()))?;
        Ok(Arc::new(Self {
            bytes,
            structure,
            input,
            output,
            input_shape,
            fixed_batch,
            sha256,
        }))
    }

    /// SHA-256 of the file, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Name of the image input.
    pub fn input_name(&self) -> &str {
        &self.input
    }

    /// Name of the output.
    pub fn output_name(&self) -> &str {
        &self.output
    }

    /// Shape of the input at batch 1, N×C×H×W.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }
}

/// Weights inside the file, sizes that agree with their data.
fn check_tensors(proto: &ModelProto) -> Result<(), GraphError> {
    let graph = proto
        .graph
        .as_ref()
        .ok_or_else(|| GraphError::Corrupt("there is no graph in it".into()))?;
    if graph.node.is_empty() {
        return Err(GraphError::Corrupt("the graph has no nodes".into()));
    }
    let attributes = graph
        .node
        .iter()
        .flat_map(|node| &node.attribute)
        .filter_map(|attribute| attribute.t.as_ref());
    for tensor in graph.initializer.iter().chain(attributes) {
        check_tensor(tensor)?;
    }
    Ok(())
}

fn check_tensor(tensor: &TensorProto) -> Result<(), GraphError> {
    let name = tensor.name.clone().unwrap_or_default();
    if tensor.data_location == Some(DataLocation::EXTERNAL) || !tensor.external_data.is_empty() {
        return Err(GraphError::ExternalData(name));
    }
    let elements = tensor
        .dims
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
        .ok_or_else(|| GraphError::Corrupt(format!("tensor `{name}` has an impossible shape")))?;
    let size = match tensor.data_type {
        Some(DataType::UINT8 | DataType::INT8 | DataType::BOOL) => 1,
        Some(DataType::FLOAT16 | DataType::BFLOAT16 | DataType::INT16 | DataType::UINT16) => 2,
        Some(DataType::FLOAT | DataType::INT32 | DataType::UINT32) => 4,
        Some(DataType::DOUBLE | DataType::INT64 | DataType::UINT64) => 8,
        other => {
            let what = other.map_or("none".into(), |t| t.to_string());
            return Err(GraphError::Corrupt(format!(
                "tensor `{name}` has element type {what}"
            )));
        }
    };
    let found = match &tensor.raw_data {
        Some(raw) => {
            let bytes = raw.borrow().len();
            if bytes % size != 0 {
                return Err(GraphError::Corrupt(format!(
                    "tensor `{name}` ends inside a value"
                )));
            }
            bytes / size
        }
        None => {
            tensor.float_data.len()
                + tensor.int32_data.len()
                + tensor.int64_data.len()
                + tensor.double_data.len()
        }
    };
    if found != elements {
        return Err(GraphError::Corrupt(format!(
            "tensor `{name}` should hold {elements} values but holds {found}"
        )));
    }
    Ok(())
}

/// Find the one image input, apply `--input-shape`, leave the batch open unless the file fixes it.
fn fix_input(
    proto: &mut ModelProto,
    options: &LoadOptions,
) -> Result<(String, Vec<usize>, bool), GraphError> {
    let graph = proto.graph.as_mut().expect("checked by check_tensors");
    let constants: HashSet<&str> = graph
        .initializer
        .iter()
        .filter_map(|t| t.name.as_deref())
        .collect();
    // Old files list their initialisers among the inputs.
    graph
        .input
        .retain(|i| !constants.contains(i.name.as_deref().unwrap_or_default()));
    let [input] = graph.input.as_mut_slice() else {
        return Err(GraphError::Input(format!(
            "this graph has {} inputs",
            graph.input.len()
        )));
    };
    let name = input.name.clone().unwrap_or_default();
    if name.is_empty() {
        return Err(GraphError::Input("the input has no name".into()));
    }
    let Some(tensor) = input.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) else {
        return Err(GraphError::Input(format!("`{name}` has no tensor type")));
    };
    if tensor.elem_type != Some(DataType::FLOAT) {
        let found = tensor.elem_type.map_or("none".into(), |t| t.to_string());
        return Err(GraphError::Input(format!(
            "`{name}` has element type {found}"
        )));
    }
    let shape = tensor
        .shape
        .as_mut()
        .ok_or_else(|| ask_for_shape(&name, "has no shape"))?;
    if shape.dim.len() != 4 {
        return Err(GraphError::Input(format!(
            "`{name}` has {} dimensions",
            shape.dim.len()
        )));
    }
    let wanted = options.input_shape.as_deref();
    if let Some(wanted) = wanted
        && (wanted.len() != 4 || wanted[0] != 1 || wanted.contains(&0))
    {
        return Err(GraphError::Shape(format!(
            "the input shape given is {wanted:?}; it must be 1,C,H,W with positive sizes"
        )));
    }
    let mut fixed = Vec::with_capacity(4);
    let mut fixed_batch = false;
    for (axis, dim) in shape.dim.iter_mut().enumerate() {
        let size = match dim.dim_value {
            Some(size) => {
                let size = usize::try_from(size)
                    .ok()
                    .filter(|s| *s > 0)
                    .ok_or_else(|| {
                        GraphError::Shape(format!("input `{name}` has size {size} at axis {axis}"))
                    })?;
                if let Some(wanted) = wanted
                    && wanted[axis] != size
                {
                    return Err(GraphError::Shape(format!(
                        "the file fixes axis {axis} of input `{name}` to {size}, not {}",
                        wanted[axis]
                    )));
                }
                if axis == 0 {
                    if size != 1 {
                        return Err(GraphError::Shape(format!(
                            "the file fixes the batch of input `{name}` to {size}; export it with batch 1 or open"
                        )));
                    }
                    fixed_batch = true;
                }
                size
            }
            None if axis == 0 => 1,
            None => match wanted {
                Some(wanted) => wanted[axis],
                None => return Err(ask_for_shape(&name, "leaves its sizes open")),
            },
        };
        *dim = if axis == 0 && !fixed_batch {
            Dimension {
                dim_value: None,
                dim_param: Some(BATCH.into()),
            }
        } else {
            Dimension {
                dim_value: Some(size as i64),
                dim_param: None,
            }
        };
        fixed.push(size);
    }
    let elements = fixed.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if elements.is_none_or(|n| n > MAX_INPUT_ELEMENTS) {
        return Err(GraphError::Shape(format!(
            "input `{name}` of {fixed:?} has more than {MAX_INPUT_ELEMENTS} elements"
        )));
    }
    Ok((name, fixed, fixed_batch))
}

fn ask_for_shape(name: &str, what: &str) -> GraphError {
    GraphError::Shape(format!(
        "input `{name}` {what}; give them, e.g. --input-shape 1,3,224,224"
    ))
}

fn single_output(proto: &ModelProto) -> Result<String, GraphError> {
    let graph = proto.graph.as_ref().expect("checked by check_tensors");
    let [output] = graph.output.as_slice() else {
        return Err(GraphError::Output(format!(
            "this graph has {} outputs",
            graph.output.len()
        )));
    };
    match output.name.as_deref() {
        Some(name) if !name.is_empty() => Ok(name.to_string()),
        _ => Err(GraphError::Output("the output has no name".into())),
    }
}

/// Prefix of node names given to an engine; a control character that no exporter writes.
const NODE_PREFIX: char = '\u{1}';

/// Nodes often carry the name of their output, and rten keeps nodes and values in one table of names: give every
/// node a name that no tensor has, so that a name always means a tensor.
fn rename_nodes(proto: &mut ModelProto) {
    let graph = proto.graph.as_mut().expect("checked by check_tensors");
    for (index, node) in graph.node.iter_mut().enumerate() {
        node.name = Some(format!("{NODE_PREFIX}{index}"));
    }
}

/// Index of the node that an engine's message names, if it is one of ours.
pub(crate) fn node_index(name: &str) -> Option<usize> {
    name.strip_prefix(NODE_PREFIX)?.parse().ok()
}
