//! What can be wrong: with bytes, with a peer, with a caller.

/// Bytes that no honest peer sends. The session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The stream does not begin with `ENCH`.
    #[error("the peer does not speak this protocol")]
    NotOurs,
    /// Another version.
    #[error(
        "the peer speaks version {peer} of the protocol, this build version {}",
        crate::VERSION
    )]
    Version {
        /// Its version.
        peer: u16,
    },
    /// A message that is longer than any may be.
    #[error(
        "a message of {bytes} bytes, at most {} are allowed",
        crate::MAX_MESSAGE_BYTES
    )]
    TooLong {
        /// Announced length.
        bytes: usize,
    },
    /// A message that cannot be read.
    #[error("a message cannot be read: {0}")]
    Malformed(String),
    /// A field out of range.
    #[error("{field} = {value}: must be {allowed}")]
    Value {
        /// Field.
        field: &'static str,
        /// What came.
        value: String,
        /// What may.
        allowed: &'static str,
    },
    /// A message that may not come now.
    #[error("{message} while {state}")]
    Unexpected {
        /// Kind of the message.
        message: &'static str,
        /// State of the session.
        state: &'static str,
    },
    /// More tasks than allowed at a time.
    #[error("offer of task {task}: {limit} tasks are outstanding already")]
    TooManyTasks {
        /// Which.
        task: u32,
        /// [`Limits::outstanding_tasks`](crate::Limits).
        limit: u32,
    },
    /// Task numbers must ascend.
    #[error("offer of task {task} after task {last}")]
    TaskOrder {
        /// Which.
        task: u32,
        /// Highest so far.
        last: u32,
    },
}

/// A call that the state of the session does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Before the welcome, or after the end.
    #[error("the session is {0}")]
    NotReady(&'static str),
    /// No such task, or it is past that step.
    #[error("task {0} is not open for this")]
    UnknownTask(u32),
    /// More tasks than allowed at a time.
    #[error("{0} tasks are outstanding already")]
    TooManyTasks(u32),
    /// Task numbers must ascend.
    #[error("task {task} after task {last}")]
    TaskOrder {
        /// Which.
        task: u32,
        /// Highest so far.
        last: u32,
    },
    /// A field that the peer would refuse.
    #[error(transparent)]
    Value(#[from] ProtocolError),
}
