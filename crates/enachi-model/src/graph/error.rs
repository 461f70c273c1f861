//! What can be wrong with an ONNX file.

/// Why an ONNX file cannot be used. The text names the file's part at fault and, where there is one, the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than [`super::MAX_MODEL_BYTES`].
    #[error("the model is {bytes} bytes; at most {limit} bytes are accepted")]
    TooLarge {
        /// Size found \[byte\].
        bytes: u64,
        /// Largest size accepted \[byte\].
        limit: u64,
    },
    /// Not an ONNX file, or a truncated or damaged one.
    #[error("not a usable ONNX file (damaged or truncated?): {0}")]
    Corrupt(String),
    /// Weights live in another file.
    #[error("tensor `{0}` keeps its data in another file; save the model with its weights inside")]
    ExternalData(String),
    /// Something the inference engine cannot run.
    #[error("unsupported operator {op} at output `{output}`: {reason}")]
    UnsupportedOperator {
        /// ONNX operator type.
        op: String,
        /// First output of the node.
        output: String,
        /// What the engine said.
        reason: String,
    },
    /// A feature of ONNX that cannot be split.
    #[error("the model uses {0}, which is not supported")]
    UnsupportedFeature(&'static str),
    /// The graph has a cycle through this tensor.
    #[error("the graph has a cycle through tensor `{0}`")]
    Cycle(String),
    /// Two nodes, inputs or initialisers have the same output name.
    #[error("tensor `{0}` is defined twice")]
    DuplicateTensor(String),
    /// A node or output refers to a tensor that nothing produces.
    #[error("tensor `{tensor}`, needed by {by}, is never produced")]
    MissingTensor {
        /// The name.
        tensor: String,
        /// Who wants it.
        by: String,
    },
    /// Not exactly one image input.
    #[error("a classifier with one image input N×C×H×W of float32 is needed, but {0}")]
    Input(String),
    /// Not exactly one output of class scores.
    #[error("a classifier with one output N×classes is needed, but {0}")]
    Output(String),
    /// Shapes stay unknown.
    #[error("shapes cannot be fixed: {0}")]
    Shape(String),
    /// The inference engine rejects the graph for another reason.
    #[error("the inference engine cannot load the model: {0}")]
    Engine(String),
}
