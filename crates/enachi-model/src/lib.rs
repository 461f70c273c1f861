//! ONNX networks split in two: cuts, MACs, inference of head and tail, the feature codec, and profiling.
pub mod codec;
//! From an ONNX network and labelled images to what the scheduler needs: cuts, costs, features, profiles.
pub mod engine;
pub mod graph;
pub mod images;
pub mod tensor;
