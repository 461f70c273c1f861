//! An edge server of finite capacity: when the tails of a frame must start so that all are done by their deadlines, and which
//! tasks to refuse where they do not fit.
//!
//! The paper gives every tail the server to itself (ENACHI (8), (9)). Here [`Edge::workers`] workers run one batch each at
//! a time; a batch is made of tails of the same kind (network, cut and stream) and deadline, and takes the time that
//! [`BatchTime`] says. See `docs/edge.md`.

mod admission;
mod batch;
mod schedule;

pub use admission::Admission;
pub use batch::{BatchTime, BatchTimeError};
pub use schedule::{Edge, Schedule, Scheduler, Tail};
