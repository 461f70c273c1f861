//! From an ONNX network and labelled images to what the scheduler needs: cuts, costs, features, codec, profiles.
pub mod answer;
pub mod codec;
pub mod engine;
#[cfg(feature = "fixtures")]
pub mod fixtures;
pub mod gradient;
pub mod graph;
pub mod images;
pub mod parallel;
pub mod picture;
pub mod predictor;
pub mod profiler;
pub mod raw;
pub mod tensor;
