//! Chunks from a peer: whatever comes is refused or becomes a finite estimate, within the declared memory.
//!
//! Input: records of identifier (2 bytes), length (1 byte), payload.
#![no_main]

use enachi_model::codec::train::{Accumulator, PASSES};
use enachi_model::codec::{Codec, CodecSettings, Trainer};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

const MAPS: usize = 8;
const SIDE: usize = 9;

fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| {
        let settings = CodecSettings {
            snr_db: 20.0,
            chunk_bytes: 8.0,
            band_bytes: 40.0,
            ..CodecSettings::default()
        };
        let mut trainer = Trainer::new(settings, MAPS, SIDE, SIDE);
        for _ in 0..PASSES {
            let mut sums = Accumulator::default();
            for n in 0..6 {
                let feature: Vec<f32> = (0..MAPS * SIDE * SIDE)
                    .map(|i| (((i * (n + 3)) as f32).sin() * 3.0 + (i as f32 * 0.01).cos()).max(0.0))
                    .collect();
                sums.add(trainer.observe(&feature, &[]));
            }
            trainer.finish_pass(sums).expect("the features vary");
        }
        let mut tables = trainer.into_tables().expect("all passes were made");
        tables.restoration.exponents = vec![[0.1, 0.8], [0.9, 0.2]];
        Codec::new(tables).expect("trained tables")
    })
}

fuzz_target!(|data: &[u8]| {
    let codec = codec();
    let mut decoder = codec.decoder();
    let mut rest = data;
    while let [low, high, length, tail @ ..] = rest {
        let id = u16::from_le_bytes([*low, *high]) % (codec.chunk_count() as u16 + 2);
        let (payload, next) = tail.split_at(tail.len().min(usize::from(*length)));
        let known = usize::from(id) < codec.chunk_count();
        assert_eq!(decoder.push(id, payload).is_ok(), known && payload.len() <= codec.payload_limit(id));
        rest = next;
    }
    let mut out = vec![0.0; MAPS * SIDE * SIDE];
    decoder.reconstruct(&mut out);
    assert!(out.iter().all(|v| v.is_finite()));
    let (mut scratch, mut numbers) = (Vec::new(), Vec::new());
    decoder.statistics(&mut scratch, &mut numbers);
    assert!(numbers.iter().all(|v| v.is_finite()));
});
