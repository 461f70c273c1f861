//! The chunks of a task, in the order in which they are sent, and the datagrams of a slot.

use enachi_core::packet::{Arrivals, Sender};
use enachi_proto::datagram::{End, Prefix, Writer, chunk_bytes, write_piece};

/// Chunks in order, each with the bits on the air after which it has arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outgoing {
    /// Bits after each chunk.
    ends_bits: Vec<f64>,
    /// End of each payload in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
    total_bits: f64,
    /// Chunks at each checkpoint of the profile, from 0 on; empty where every chunk is one.
    checkpoints: Vec<u32>,
    /// Level, of a stream of alternatives.
    pub level: Option<u16>,
}

impl Outgoing {
    /// Append a chunk whose bits on the air are those of its identifier, length and payload.
    pub fn push(&mut self, payload: &[u8]) {
        let id = self.ends.len() as u16;
        let bits = 8 * chunk_bytes(id, payload.len());
        let before = self.ends_bits.last().copied().unwrap_or(0.0);
        self.push_at(payload, before + bits as f64);
    }

    /// Append a chunk that has arrived once `end_bits` bits have, whatever its length.
    pub fn push_at(&mut self, payload: &[u8], end_bits: f64) {
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
        self.ends_bits.push(end_bits);
        self.total_bits = self.total_bits.max(end_bits);
    }

    /// Send only the first `chunks`.
    pub fn truncate(&mut self, chunks: usize) {
        self.ends.truncate(chunks);
        self.ends_bits.truncate(chunks);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Bits of the whole stream, with what is not sent.
    pub fn total_bits(&self) -> f64 {
        self.total_bits
    }

    /// Say how long the whole stream is.
    pub fn set_total_bits(&mut self, total_bits: f64) {
        self.total_bits = total_bits;
    }

    /// Say at which numbers of chunks the profile has checkpoints, from 0 on.
    pub fn set_checkpoints(&mut self, chunks: &[u32]) {
        self.checkpoints = chunks.to_vec();
    }

    /// Share of the bits from the last checkpoint to the next that `sender` has sent, 0..=1.
    pub fn begun(&self, sender: &Sender) -> f64 {
        let sent = sender.checkpoint();
        let after = self.checkpoints.partition_point(|c| *c as usize <= sent);
        if after == 0 {
            return sender.begun(self);
        }
        let to = self.checkpoints.get(after).map_or(sent, |c| *c as usize);
        let from = self.checkpoints[after - 1] as usize;
        let last = self.len();
        sender.begun_between(self.bits(from.min(last)), self.bits(to.min(last)))
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn payload(&self, chunk: usize) -> &[u8] {
        let start = if chunk == 0 { 0 } else { self.ends[chunk - 1] };
        &self.bytes[start..self.ends[chunk]]
    }

    /// Hand the datagrams of one slot, which carry `chunks`, to `send`. `buffer` is as long as a datagram may be.
    pub fn datagrams(
        &self,
        chunks: std::ops::Range<usize>,
        prefix: Prefix,
        buffer: &mut [u8],
        mut send: impl FnMut(&[u8]),
    ) {
        let end = if chunks.end == self.len() {
            End::Upload
        } else {
            End::Slot
        };
        let mut next = chunks.start;
        while next < chunks.end {
            let Some(mut writer) = Writer::new(buffer, prefix) else {
                return;
            };
            while next < chunks.end && writer.push(next as u16, self.payload(next)) {
                next += 1;
            }
            let mark = if next == chunks.end {
                end
            } else {
                End::Nothing
            };
            if !writer.is_empty() {
                let length = writer.finish(mark);
                send(&buffer[..length]);
                continue;
            }
            // Too large for a datagram of its own.
            let payload = self.payload(next);
            let mark = if next + 1 == chunks.end {
                end
            } else {
                End::Nothing
            };
            let prefix = Prefix {
                end: mark,
                ..prefix
            };
            let mut offset = 0;
            while offset < payload.len() {
                let piece = write_piece(buffer, prefix, next as u16, payload, offset);
                let Some((length, taken)) = piece else {
                    return;
                };
                send(&buffer[..length]);
                offset += taken;
            }
            next += 1;
        }
    }
}

impl Arrivals for Outgoing {
    #[inline]
    fn last(&self) -> usize {
        self.ends_bits.len()
    }

    #[inline]
    fn bits(&self, checkpoint: usize) -> f64 {
        if checkpoint == 0 {
            0.0
        } else {
            self.ends_bits[checkpoint - 1]
        }
    }

    /// The edge judges; the device knows nothing.
    fn entropy_nats(&self, _checkpoint: usize) -> f64 {
        f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enachi_proto::datagram::Datagram;

    #[test]
    fn a_slot_s_datagrams_carry_its_chunks_and_mark_its_end() {
        let mut outgoing = Outgoing::default();
        for length in [10, 0, 400, 30, 90] {
            outgoing.push(&vec![length as u8; length]);
        }
        // One byte of identifier, one or two of length.
        assert_eq!(outgoing.bits(3), 8.0 * (12.0 + 2.0 + 403.0));
        let prefix = Prefix {
            task: 9,
            cut: 1,
            slot: 3,
            end: End::Nothing,
        };
        for range in [0..5, 0..3, 2..4, 4..5] {
            let (mut buffer, mut ids, mut ends) = ([0u8; 100], Vec::new(), Vec::new());
            outgoing.datagrams(range.clone(), prefix, &mut buffer, |bytes| {
                let datagram = Datagram::parse(bytes).expect("our own");
                ids.extend(datagram.parts().map(|p| usize::from(p.id)));
                ends.push(datagram.prefix.end);
            });
            ids.dedup();
            assert_eq!(ids, range.clone().collect::<Vec<_>>());
            let last = ends.pop();
            let whole = range.end == 5;
            assert_eq!(last, Some(if whole { End::Upload } else { End::Slot }));
            assert!(ends.iter().all(|end| *end == End::Nothing));
        }
    }
}
