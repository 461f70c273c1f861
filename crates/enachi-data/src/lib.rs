//! Files: the measured profile of a network, what is recorded of a run, and the dataset of a sweep.
pub mod profile;
pub mod records;
pub mod sweep;
pub mod trace;
