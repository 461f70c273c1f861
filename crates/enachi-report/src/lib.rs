//! Records of a run or a sweep as figures and one page; figures of profiles and runs; terminal charts. The plotting crate
//! behind them is seen in [`plot`], [`policies`] and [`draw`] alone.
pub mod colour;
pub mod draw;
mod error;
pub mod figures;
mod labels;
pub mod page;
pub mod plot;
pub mod policies;
pub mod published;
pub mod run;
pub mod sweep;
pub mod text_chart;

pub use error::ReportError;
