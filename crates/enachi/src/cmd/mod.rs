//! One module per subcommand.
pub mod cuts;
pub mod explain;
pub mod least;
pub mod plan;
pub mod profile;
pub mod report;
pub mod show;
pub mod simulate;
pub mod sweep;
pub mod trace;
