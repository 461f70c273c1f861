//! Chunks from a peer: whatever comes is refused or becomes a finite estimate, within the declared memory.
//!
//! Input: records of identifier (2 bytes), length (1 byte), repeats (1 byte), bytes. The payload is those bytes, that many times over
//! and once: so a short input makes payloads longer than any that a band can have.
#![no_main]

mod made_up;

use enachi_model::codec::{ChunkError, Codec, CodecSettings};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

const MAPS: usize = 8;
const SIDE: usize = 9;

fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| {
        Codec::new(made_up::tables(CodecSettings::default(), MAPS, SIDE)).expect("trained tables")
    })
}

fuzz_target!(|data: &[u8]| {
    let codec = codec();
    let mut decoder = codec.decoder();
    let mut rest = data;
    while let [low, high, length, repeats, tail @ ..] = rest {
        let id = u16::from_le_bytes([*low, *high]) % (codec.chunk_count() as u16 + 2);
        let (bytes, next) = tail.split_at(tail.len().min(usize::from(*length)));
        let payload = bytes.repeat(1 + usize::from(*repeats));
        let known = usize::from(id) < codec.chunk_count();
        let limit = codec.payload_limit(id);
        match decoder.push(id, &payload) {
            Ok(()) => assert!(known && payload.len() <= limit),
            Err(ChunkError::UnknownId { .. }) => assert!(!known),
            Err(ChunkError::TooLong { .. }) => assert!(known && payload.len() > limit),
        }
        rest = next;
    }
    let mut out = vec![0.0; MAPS * SIDE * SIDE];
    decoder.reconstruct(&mut out);
    assert!(out.iter().all(|v| v.is_finite()));
    let (mut scratch, mut numbers) = (Vec::new(), Vec::new());
    decoder.statistics(&mut scratch, &mut numbers);
    assert!(numbers.iter().all(|v| v.is_finite()));
});
