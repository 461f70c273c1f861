//! The edge: offers in, grants, stops and answers out, one record per task. No sockets and no clock: whoever drives it says
//! what has come and what time it is.

mod admission;
mod answers;
mod credible;
mod engine;
mod frame;
mod judge;
mod live;
mod plan;
mod replan;
mod replay;
mod task;

pub use engine::{Edge, EdgeOptions, Happening};
pub use judge::{Closed, Judge, Situation, TaskId, Verdict};
pub use live::{Clock, Live, LiveOptions, Waker, Workers};
pub use replay::Replay;
pub use task::{Done, Seen};
