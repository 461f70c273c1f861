//! What device and edge say to each other, as state machines without sockets, threads or clocks.
//!
//! [`message`] holds the control messages, which travel on one reliable ordered stream ([`stream`] frames them);
//! [`datagram`] holds the chunks, which may be lost, doubled and reordered. [`DeviceSession`] and [`EdgeSession`] turn
//! bytes into events and calls into bytes, and refuse what the protocol does not allow. Whoever drives them owns time: a
//! deadline is a call ([`DeviceSession::give_up`], [`EdgeSession::close_upload`]), a broken line another
//! ([`DeviceSession::disconnected`]).
//!
//! The wire format is described in `docs/protocol.md`. A peer's bytes never panic, and never take more memory than
//! [`Limits`] and [`MAX_MESSAGE_BYTES`] say.
mod assembly;
pub mod datagram;
mod device;
mod edge;
mod error;
mod limits;
pub mod message;
pub mod stream;
mod varint;

pub use assembly::{Assembly, Taken};
pub use device::{DeviceEvent, DeviceSession};
pub use edge::{Arrival, EdgeEvent, EdgeSession, EdgeSettings, Progress};
pub use error::{ProtocolError, SessionError};
pub use limits::Limits;
pub use stream::MAX_MESSAGE_BYTES;

/// Version of the wire format. Both sides send it before anything else, in a form that never changes.
pub const VERSION: u16 = 4;
