//! The simulator: scenario and profile in, records and summaries out.
pub mod rng;
pub mod scenario;
pub mod world;
