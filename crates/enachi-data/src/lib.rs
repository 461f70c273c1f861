//! Files: the measured profile of a network, and what is recorded of a run.
pub mod profile;
pub mod records;
