//! Chunks on the air: datagrams that may be lost, doubled, reordered or made up.
//!
//! A datagram carries whole chunks of one task, a piece of one chunk that is too large for a datagram, or how much of the
//! way to its next checkpoint an upload has come, for those who plan within the frame. A whole chunk
//! takes identifier, length and payload, just the bytes that profiles count ([`chunk_bytes`]). Writing and reading take no
//! memory beside the caller's buffer.

use crate::varint;

/// Most bytes before the first chunk.
pub const MAX_PREFIX_BYTES: usize = 1 + 5 + 3 + 5;
/// Most bytes of a piece's own header.
pub const MAX_PIECE_HEADER_BYTES: usize = 3 + 5 + 5;

const WHOLE: u8 = 1;
const PIECE: u8 = 2;
const PROGRESS: u8 = 3;
const END_OF_SLOT: u8 = 0x80;
const END_OF_UPLOAD: u8 = 0x40;

/// What ends with a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Nothing: more may come in the same slot.
    #[default]
    Nothing,
    /// The slot.
    Slot,
    /// The slot, and with it all that the sender means to send of the task.
    Upload,
}

impl End {
    fn mark(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Slot => END_OF_SLOT,
            Self::Upload => END_OF_SLOT | END_OF_UPLOAD,
        }
    }

    fn of(mark: u8) -> Option<Self> {
        [Self::Nothing, Self::Slot, Self::Upload]
            .into_iter()
            .find(|end| end.mark() == mark & (END_OF_SLOT | END_OF_UPLOAD))
    }
}

/// Bytes on the air of a whole chunk: identifier and length as LEB128 integers, then the payload.
pub fn chunk_bytes(id: u16, payload: usize) -> usize {
    let length = u32::try_from(payload).unwrap_or(u32::MAX);
    varint::length(u32::from(id)) + varint::length(length) + payload
}

/// What all chunks of a datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Task.
    pub task: u32,
    /// Cut.
    pub cut: u16,
    /// Slot of the frame in which it was sent.
    pub slot: u32,
    /// What ends with it.
    pub end: End,
}

/// Writes datagrams into a buffer of the caller's.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
    start: usize,
}

impl<'a> Writer<'a> {
    /// Begin a datagram of whole chunks; `None` if the buffer is too small for its prefix.
    pub fn new(buffer: &'a mut [u8], prefix: Prefix) -> Option<Self> {
        let at = put_prefix(buffer, WHOLE, prefix)?;
        Some(Self {
            buffer,
            at,
            start: at,
        })
    }

    /// Append a chunk; false, with nothing written, if it does not fit.
    #[inline]
    pub fn push(&mut self, id: u16, payload: &[u8]) -> bool {
        self.try_push(id, payload).is_some()
    }

    fn try_push(&mut self, id: u16, payload: &[u8]) -> Option<()> {
        let length = u32::try_from(payload.len()).ok()?;
        let at = varint::put(self.buffer, self.at, u32::from(id))?;
        let at = varint::put(self.buffer, at, length)?;
        let end = at.checked_add(payload.len())?;
        self.buffer.get_mut(at..end)?.copy_from_slice(payload);
        self.at = end;
        Some(())
    }

    /// Whether no chunk has been written.
    pub fn is_empty(&self) -> bool {
        self.at == self.start
    }

    /// Say what ends with it, whatever the prefix said, and return the bytes of the datagram.
    pub fn finish(self, end: End) -> usize {
        self.buffer[0] = WHOLE | end.mark();
        self.at
    }
}

/// Write a datagram with the bytes of a chunk from `offset` on, as many as fit. Returns the datagram's length and the
/// bytes of the payload inside; `None` if none fit. What the prefix ends, ends with the chunk's last piece.
pub fn write_piece(
    buffer: &mut [u8],
    prefix: Prefix,
    id: u16,
    payload: &[u8],
    offset: usize,
) -> Option<(usize, usize)> {
    let total = u32::try_from(payload.len()).ok()?;
    let at = put_prefix(buffer, PIECE, prefix)?;
    let at = varint::put(buffer, at, u32::from(id))?;
    let at = varint::put(buffer, at, total)?;
    let at = varint::put(buffer, at, u32::try_from(offset).ok()?)?;
    let rest = payload.get(offset..)?;
    let take = rest.len().min(buffer.len() - at);
    if take == 0 {
        return None;
    }
    buffer[at..at + take].copy_from_slice(&rest[..take]);
    let last = offset + take == payload.len();
    buffer[0] = PIECE | if last { prefix.end.mark() } else { 0 };
    Some((at + take, take))
}

/// Write a datagram that says which share of the way from the last checkpoint to the next has been sent, 0..=1. Returns its
/// length; `None` if the buffer is too small.
pub fn write_progress(buffer: &mut [u8], prefix: Prefix, begun: f64) -> Option<usize> {
    let at = put_prefix(buffer, PROGRESS, prefix)?;
    let end = at + size_of::<f64>();
    let place = buffer.get_mut(at..end)?;
    place.copy_from_slice(&begun.to_le_bytes());
    Some(end)
}

fn put_prefix(buffer: &mut [u8], kind: u8, prefix: Prefix) -> Option<usize> {
    *buffer.first_mut()? = kind | prefix.end.mark();
    let at = varint::put(buffer, 1, prefix.task)?;
    let at = varint::put(buffer, at, u32::from(prefix.cut))?;
    varint::put(buffer, at, prefix.slot)
}

/// A datagram that cannot be read. Nothing of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a datagram cannot be read")]
pub struct BadDatagram;

/// A datagram, read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Datagram<'a> {
    /// What its chunks share.
    pub prefix: Prefix,
    body: Body<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Body<'a> {
    Whole(&'a [u8]),
    Piece(Part<'a>),
    Progress(f64),
}

/// A chunk or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Identifier of the chunk.
    pub id: u16,
    /// Bytes of the chunk's whole payload.
    pub total: u32,
    /// Place of these bytes in it.
    pub offset: u32,
    /// Bytes.
    pub bytes: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Check all of a datagram before anything of it is used.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadDatagram> {
        Self::parse_all(bytes).ok_or(BadDatagram)
    }

    fn parse_all(bytes: &'a [u8]) -> Option<Self> {
        let (first, mut rest) = bytes.split_first()?;
        let prefix = Prefix {
            task: varint::take(&mut rest)?,
            cut: u16::try_from(varint::take(&mut rest)?).ok()?,
            slot: varint::take(&mut rest)?,
            end: End::of(*first)?,
        };
        let body = match first & !(END_OF_SLOT | END_OF_UPLOAD) {
            WHOLE => {
                let mut check = rest;
                while !check.is_empty() {
                    next_chunk(&mut check)?;
                }
                Body::Whole(rest)
            }
            PIECE => {
                let id = u16::try_from(varint::take(&mut rest)?).ok()?;
                let (total, offset) = (varint::take(&mut rest)?, varint::take(&mut rest)?);
                let end = u64::from(offset) + rest.len() as u64;
                if rest.is_empty() || end > u64::from(total) {
                    return None;
                }
                Body::Piece(Part {
                    id,
                    total,
                    offset,
                    bytes: rest,
                })
            }
            PROGRESS => {
                let begun = f64::from_le_bytes(rest.try_into().ok()?);
                Body::Progress((0.0..=1.0).contains(&begun).then_some(begun)?)
            }
            _ => return None,
        };
        Some(Self { prefix, body })
    }

    /// Share of the way to the next checkpoint, if that is what it tells.
    pub fn progress(&self) -> Option<f64> {
        match self.body {
            Body::Progress(begun) => Some(begun),
            Body::Whole(_) | Body::Piece(_) => None,
        }
    }

    /// The chunks, or the piece, in it.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let (mut rest, mut piece) = match self.body {
            Body::Whole(rest) => (rest, None),
            Body::Piece(part) => (&[][..], Some(part)),
            Body::Progress(_) => (&[][..], None),
        };
        std::iter::from_fn(move || {
            if let Some(part) = piece.take() {
                return Some(part);
            }
            next_chunk(&mut rest)
        })
    }
}

#[inline]
fn next_chunk<'a>(rest: &mut &'a [u8]) -> Option<Part<'a>> {
    let id = u16::try_from(varint::take(rest)?).ok()?;
    let total = varint::take(rest)?;
    let bytes = rest.get(..total as usize)?;
    *rest = &rest[total as usize..];
    Some(Part {
        id,
        total,
        offset: 0,
        bytes,
    })
}
