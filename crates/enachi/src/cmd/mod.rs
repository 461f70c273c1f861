//! One module per subcommand.
pub mod cuts;
pub mod demo;
pub mod device;
pub mod explain;
pub mod least;
mod live;
pub mod pki;
pub mod plan;
pub mod profile;
pub mod report;
pub mod serve;
pub mod show;
pub mod signals;
pub mod simulate;
pub mod sweep;
pub mod trace;
