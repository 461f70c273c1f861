//! The device: offers a task, sends what it was granted slot by slot, reacts to stops at once, accounts for its energy. No
//! sockets and no clock: whoever drives it says which slot begins.

mod account;
mod engine;
mod live;
mod outgoing;
mod radio;
mod replay;
mod sending;

pub use engine::{Device, DeviceOptions, Finished, Signal};
pub use live::{Coming, Input, Inputs, LiveWork};
pub use outgoing::Outgoing;
pub use radio::{Emulated, Gain, Host, Path, Radio};
pub use replay::ReplayedWork;

use enachi_core::task::Candidate;
use enachi_proto::message::Scored;
use enachi_sim::upload::Upload;

/// What a device has to work on: the network and its input, or a profile that remembers.
pub trait Work {
    /// Head and encoder: what is to be sent of a task.
    fn head(&mut self, upload: &Upload<'_>) -> Result<Outgoing, String>;

    /// The whole network: the device's own answer; `None` if it cannot make one.
    fn whole(&mut self, task: u32) -> Option<Scored>;

    /// True class of a task, where it is known.
    fn label(&self, task: u32) -> Option<u16>;

    /// The world's draw for a task and the row of the profile's images that it picks.
    fn draw(&self, task: u32, candidate: Option<&Candidate>) -> (f64, Option<usize>);

    /// Whether the device should answer by itself where the edge leaves it alone or does not answer.
    fn falls_back(&self) -> bool {
        true
    }
}
