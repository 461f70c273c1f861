//! The packet level, slot by slot: power control, bit carry-over, stop rules and the batch barrier.

pub mod conditional;
pub mod loss_bound;
pub mod marginal;
pub mod power;
pub mod replay;
pub mod stop;
pub mod stopping;
pub mod threshold;
pub mod tradeoff;
mod transmit;

pub use power::{ConstantPower, PowerControl, PrintedTracking, ReferenceTracking, WaterFilling};
pub use replay::{Arrivals, CurveRow, LevelRow, MeasuredRow, Prefix, Scored};
pub use stop::{EntropyThreshold, Marginal, Never, StopRule};
pub use transmit::{
    Ending, GainSource, Link, Sender, Slot, SlotObserver, Transmission, Window, batch_time_s,
    transmit,
};
