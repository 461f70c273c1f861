//! Which chunks of a task have arrived, and the chunks of which only pieces have.

use crate::datagram::Part;
use crate::limits::Limits;

/// Assembles the chunks of one upload. Memory stays within [`Limits`], whatever comes.
#[derive(Clone, Debug)]
pub struct Assembly {
    have: Vec<u64>,
    chunks: u32,
    chunk_bytes: u32,
    partial: Vec<Partial>,
    most_partial: usize,
    arrived: u32,
    bits: u64,
    beyond: u32,
}

#[derive(Clone, Debug)]
struct Partial {
    id: u16,
    bytes: Vec<u8>,
    /// A bit per byte: pieces may overlap.
    filled: Vec<u64>,
    missing: u32,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A chunk is complete and was handed on.
    Chunk,
    /// A piece was kept, or the chunk is there already.
    Nothing,
    /// No such chunk, or longer than one may be.
    Refused,
}

impl Assembly {
    /// For a stream of `chunks` chunks.
    pub fn new(chunks: u32, limits: &Limits) -> Self {
        let chunks = chunks.min(limits.chunks);
        Self {
            have: vec![0; (chunks as usize).div_ceil(64)],
            chunks,
            chunk_bytes: limits.chunk_bytes,
            partial: Vec::new(),
            most_partial: limits.partial_chunks as usize,
            arrived: 0,
            bits: 0,
            beyond: 0,
        }
    }

    /// Take in a part; a chunk that it completes goes to `each` with its identifier and payload, once.
    pub fn push(&mut self, part: Part<'_>, each: impl FnOnce(u16, &[u8])) -> Taken {
        if u32::from(part.id) >= self.chunks || part.total > self.chunk_bytes {
            return Taken::Refused;
        }
        if self.has(part.id) {
            return Taken::Nothing;
        }
        if part.bytes.len() == part.total as usize {
            self.partial.retain(|partial| partial.id != part.id);
            self.arrive(part.id, part.bytes.len());
            each(part.id, part.bytes);
            return Taken::Chunk;
        }
        let Some(index) = self.partial_of(part) else {
            return Taken::Refused;
        };
        let partial = &mut self.partial[index];
        let from = part.offset as usize;
        let Some(place) = partial.bytes.get_mut(from..from + part.bytes.len()) else {
            return Taken::Refused;
        };
        place.copy_from_slice(part.bytes);
        for at in from..from + part.bytes.len() {
            let bit = 1u64 << (at % 64);
            if partial.filled[at / 64] & bit == 0 {
                partial.filled[at / 64] |= bit;
                partial.missing -= 1;
            }
        }
        if partial.missing > 0 {
            return Taken::Nothing;
        }
        let whole = self.partial.swap_remove(index);
        self.arrive(whole.id, whole.bytes.len());
        each(whole.id, &whole.bytes);
        Taken::Chunk
    }

    /// Place of the unfinished chunk that `part` belongs to; the oldest gives way if there are too many.
    fn partial_of(&mut self, part: Part<'_>) -> Option<usize> {
        let known = self.partial.iter().position(|p| p.id == part.id);
        if let Some(index) = known {
            let same = self.partial[index].bytes.len() == part.total as usize;
            return same.then_some(index);
        }
        if self.most_partial == 0 {
            return None;
        }
        if self.partial.len() >= self.most_partial {
            self.partial.remove(0);
        }
        let total = part.total as usize;
        self.partial.push(Partial {
            id: part.id,
            bytes: vec![0; total],
            filled: vec![0; total.div_ceil(64)],
            missing: part.total,
        });
        Some(self.partial.len() - 1)
    }

    fn arrive(&mut self, id: u16, payload: usize) {
        self.have[usize::from(id) / 64] |= 1 << (id % 64);
        self.arrived += 1;
        self.beyond = self.beyond.max(u32::from(id) + 1);
        self.bits += 8 * crate::datagram::chunk_bytes(id, payload) as u64;
    }

    /// Whether chunk `id` has arrived.
    pub fn has(&self, id: u16) -> bool {
        let word = self.have.get(usize::from(id) / 64).copied().unwrap_or(0);
        word & (1 << (id % 64)) != 0
    }

    /// Chunks that have arrived.
    pub fn arrived(&self) -> u32 {
        self.arrived
    }

    /// One past the highest chunk that has arrived: how far the sender has come, as it sends in order.
    pub fn reached(&self) -> u32 {
        self.beyond
    }

    /// Bits of what has arrived, with chunk headers.
    pub fn bits(&self) -> u64 {
        self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(id: u16, bytes: &[u8]) -> Part<'_> {
        Part {
            id,
            total: bytes.len() as u32,
            offset: 0,
            bytes,
        }
    }

    #[test]
    fn overlapping_pieces_make_one_chunk_once() {
        let mut assembly = Assembly::new(8, &Limits::default());
        let payload: Vec<u8> = (0..200).collect();
        let piece = |from: usize, to: usize| Part {
            id: 3,
            total: 200,
            offset: from as u32,
            bytes: &payload[from..to],
        };
        let mut got = Vec::new();
        for (from, to) in [(100, 200), (0, 40), (30, 101), (0, 40), (50, 60)] {
            assembly.push(piece(from, to), |id, bytes| got.push((id, bytes.to_vec())));
        }
        assert_eq!(got, [(3, payload.clone())]);
        assert_eq!((assembly.arrived(), assembly.reached()), (1, 4));
        // Identifier 3 and length 200 take one and two bytes.
        assert_eq!(assembly.bits(), 8 * 203);
        assert_eq!(
            assembly.push(whole(3, &payload), |_, _| unreachable!()),
            Taken::Nothing
        );
    }

    #[test]
    fn memory_is_bounded_by_the_limits() {
        let limits = Limits {
            partial_chunks: 2,
            chunk_bytes: 1000,
            ..Limits::default()
        };
        let mut assembly = Assembly::new(u32::MAX, &limits);
        assert_eq!(assembly.have.len(), limits.chunks as usize / 64);
        for id in 0..50 {
            let part = Part {
                id,
                total: 1000,
                offset: 5,
                bytes: &[1],
            };
            assembly.push(part, |_, _| unreachable!());
            assert!(assembly.partial.len() <= 2);
        }
        let long = Part {
            id: 0,
            total: 1001,
            offset: 0,
            bytes: &[1],
        };
        assert_eq!(assembly.push(long, |_, _| unreachable!()), Taken::Refused);
        let unequal = Part {
            id: 49,
            total: 999,
            offset: 0,
            bytes: &[1],
        };
        assert_eq!(
            assembly.push(unequal, |_, _| unreachable!()),
            Taken::Refused
        );
    }
}
