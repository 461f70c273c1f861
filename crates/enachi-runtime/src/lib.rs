//! The live runtime: an edge and devices that run one network between them.
//!
//! [`edge::Edge`] collects offers, plans frames with the policies of the simulator, judges what has arrived and keeps the
//! records; [`device::Device`] runs the slot loop. Both are driven from outside, by sockets and clocks or, in
//! [`virtual_clock`], by neither: there the same engines write the simulator's own records.
pub mod cell;
pub mod client;
pub mod device;
pub mod edge;
pub mod http;
pub mod ledger;
pub mod monitor;
pub mod network;
pub mod picture;
pub mod pki;
mod record;
pub mod serve;
pub mod transport;
pub mod virtual_clock;
