//! The mathematics of energy-aware split inference: profile types, accuracy curves, radio, energy, queues, the
//! task-level planner and the packet-level power control.
//!
//! No I/O, no clock, no threads, no global random numbers, no allocation per slot.
pub mod bound;
pub mod curve;
pub mod edge;
pub mod energy;
pub mod fading;
pub mod fit;
pub mod packet;
pub mod profile;
pub mod profile_check;
pub mod queue;
pub mod radio;
pub mod record;
pub mod task;
