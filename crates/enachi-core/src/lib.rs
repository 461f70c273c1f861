//! The mathematics of energy-aware split inference: profile types, accuracy curves, radio, energy, queues, the
//! task-level planner and the packet-level power control.
//!
//! No I/O, no clock, no threads, no global random numbers, no allocation per slot.
pub mod curve;
pub mod profile;
pub mod radio;
pub mod task;
