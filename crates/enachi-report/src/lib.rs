//! Figures: curves as SVG, PNG or plain text. The plotting crate behind them is seen in [`plot`] alone.
pub mod colour;
mod labels;
pub mod plot;
pub mod policies;
pub mod text_chart;
