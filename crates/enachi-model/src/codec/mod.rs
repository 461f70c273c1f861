//! The feature codec: transform, embedded quantisation, entropy coding, chunks in order of importance.
//!
//! `feature → channels → maps → bit planes per band → range-coded chunks`, and back from any subset of the chunks, both
//! transforms weighted by what the answer is sensitive to. All models are static and come from calibration images ([`train`]); nothing adapts across chunks, so a
//! lost chunk costs at most the rest of its own band.

pub mod file;
mod linalg;
pub mod plane;
pub mod range;
mod restore;
mod spatial;
pub mod statistics;
pub mod stream;
pub mod tables;
pub mod train;
pub mod transform;

pub use stream::{Chunk, ChunkError, Codec, Decoder, EncoderScratch, framed_bytes};
pub use tables::{Band, ChunkSpec, Tables, TablesError};
pub use train::{ChannelTransform, CodecSettings, SpatialTransform, Trainer};
pub use transform::Geometry;
