//! From an ONNX network and labelled images to what the scheduler needs: cuts, costs, features, codec, profiles.
pub mod codec;
pub mod engine;
pub mod graph;
pub mod images;
pub mod tensor;
