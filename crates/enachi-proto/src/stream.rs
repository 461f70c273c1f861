//! Control messages on a byte stream: a preamble once, then messages behind their lengths.

use crate::VERSION;
use crate::error::ProtocolError;
use crate::message::{ToDevice, ToEdge};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// First bytes of a stream in both directions, before the version.
pub const MAGIC: [u8; 4] = *b"ENCH";
/// Bytes of magic and version.
pub const PREAMBLE_BYTES: usize = 6;
/// Longest message.
pub const MAX_MESSAGE_BYTES: usize = 2048;

/// What a stream carries.
pub trait Message: Serialize + DeserializeOwned {
    /// Whether every value is in its range.
    fn check(&self) -> Result<(), ProtocolError>;
}

impl Message for ToEdge {
    fn check(&self) -> Result<(), ProtocolError> {
        self.check()
    }
}

impl Message for ToDevice {
    fn check(&self) -> Result<(), ProtocolError> {
        self.check()
    }
}

/// The bytes that open a stream.
pub fn preamble() -> [u8; PREAMBLE_BYTES] {
    let [low, high] = VERSION.to_le_bytes();
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, low, high]
}

/// A message behind its length.
///
/// # Errors
/// If a value is out of range or a list too long: the peer would refuse it.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, ProtocolError> {
    message.check()?;
    let bytes = postcard::to_extend(message, vec![0u8; 2])
        .map_err(|e| ProtocolError::Malformed(e.to_string()))?;
    let length = bytes.len() - 2;
    if length > MAX_MESSAGE_BYTES {
        return Err(ProtocolError::TooLong { bytes: length });
    }
    let mut bytes = bytes;
    bytes[..2].copy_from_slice(&(length as u16).to_le_bytes());
    Ok(bytes)
}

/// Read one message without its length. All of `bytes` must belong to it.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, ProtocolError> {
    let (message, rest) = postcard::take_from_bytes::<M>(bytes)
        .map_err(|e| ProtocolError::Malformed(e.to_string()))?;
    if !rest.is_empty() {
        return Err(ProtocolError::Malformed(format!(
            "{} bytes too many",
            rest.len()
        )));
    }
    message.check()?;
    Ok(message)
}

/// Turns a stream, in pieces of any size, into messages. Holds at most one message's bytes beside the piece it is given.
#[derive(Debug)]
pub struct Reader<M> {
    pending: Vec<u8>,
    opened: bool,
    message: PhantomData<fn() -> M>,
}

impl<M> Default for Reader<M> {
    fn default() -> Self {
        Self {
            pending: Vec::new(),
            opened: false,
            message: PhantomData,
        }
    }
}

impl<M: Message> Reader<M> {
    /// Take in `bytes` and hand every complete message to `each`, which may end it with an error of its own.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(M) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        loop {
            let wanted = self.wanted()?;
            if self.pending.len() < wanted {
                let take = (wanted - self.pending.len()).min(bytes.len());
                let (head, rest) = bytes.split_at(take);
                self.pending.extend_from_slice(head);
                bytes = rest;
                if self.pending.len() < wanted {
                    return Ok(());
                }
                // The length itself may just have become known.
                continue;
            }
            if self.opened {
                let message = decode(&self.pending[2..])?;
                self.pending.clear();
                each(message)?;
            } else {
                self.opened = true;
                self.pending.clear();
            }
        }
    }

    /// Bytes that make the next step possible. Announced lengths are checked before anything is kept for them.
    fn wanted(&self) -> Result<usize, ProtocolError> {
        let pending = self.pending.as_slice();
        if !self.opened {
            let known = pending.len().min(MAGIC.len());
            if pending[..known] != MAGIC[..known] {
                return Err(ProtocolError::NotOurs);
            }
            if let [_, _, _, _, low, high] = pending {
                let peer = u16::from_le_bytes([*low, *high]);
                if peer != VERSION {
                    return Err(ProtocolError::Version { peer });
                }
            }
            return Ok(PREAMBLE_BYTES);
        }
        let [low, high, ..] = pending else {
            return Ok(2);
        };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        if length > MAX_MESSAGE_BYTES {
            return Err(ProtocolError::TooLong { bytes: length });
        }
        if length == 0 {
            return Err(ProtocolError::Malformed("an empty message".into()));
        }
        Ok(2 + length)
    }
}
