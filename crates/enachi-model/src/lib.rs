//! ONNX networks split in two: cuts, MACs, inference of head and tail, the feature codec, and profiling.
pub mod codec;
