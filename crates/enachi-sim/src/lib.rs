//! The simulator: scenario and profile in, records and summaries out.
//!
//! [`scenario`] reads and checks the file; [`deployment`] puts it on a profile; [`world`] is what all policies meet;
//! [`runner`] runs one policy in one world, frame by frame; [`simulate`] runs them all; [`summary`] condenses.
pub mod bootstrap;
pub mod deployment;
pub mod device;
pub mod edge;
pub mod explain;
pub mod feasible;
pub mod knowledge;
pub mod least;
pub mod mux;
pub mod oracle;
pub mod output;
pub mod policies;
mod rehearsal;
pub mod rng;
pub mod runner;
pub mod scenario;
pub mod simulate;
pub mod summary;
pub mod summary_groups;
pub mod upload;
pub mod variant;
pub mod world;

/// Raised whenever the same scenario and policy may give other results than before, for whichever reason: two builds with the same
/// number give the same. Sweeps go on and are merged only with results of their own number. `crates/enachi-sweep/tests/results.rs`
/// fails where results change and this does not.
pub const RESULTS_VERSION: u32 = 3;
