//! The network as a graph: files, legal cuts, shapes and costs.

mod error;
mod file;
mod structure;
mod wire;

pub use error::GraphError;
pub(crate) use file::node_index;
pub use file::{LoadOptions, MAX_INPUT_ELEMENTS, MAX_MODEL_BYTES, OnnxModel};
