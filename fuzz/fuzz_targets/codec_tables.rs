//! Codec tables from a file: refused, or fit to run, and then every value they decode to is finite.
//!
//! Input: a kind (1 byte), then a file, or changes to one of three good files: records of offset (3 bytes), count (1 byte, up
//! to 8 bytes), bytes to put there.
#![no_main]

mod made_up;

use enachi_model::codec::{ChannelTransform, Codec, CodecSettings, SpatialTransform, Tables, file};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// Files with every kind of transform: over all samples of a map, per direction, on blocks.
fn files() -> &'static [Vec<u8>; 3] {
    static FILES: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    FILES.get_or_init(|| {
        let task = CodecSettings::default();
        let plain = CodecSettings {
            channels: ChannelTransform::Klt,
            spatial: SpatialTransform::Dct,
            ..task
        };
        [(task, 5, 4), (task, 3, 17), (plain, 4, 6)].map(|(settings, maps, side)| {
            let tables = made_up::tables(settings, maps, side);
            file::to_bytes("made up", vec![("cut", &tables)]).expect("tables that can be kept")
        })
    })
}

fn changed(good: &[u8], mut changes: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    while let [a, b, c, count, tail @ ..] = changes {
        let at = u32::from_le_bytes([*a, *b, *c, 0]) as usize % bytes.len();
        let (new, rest) = tail.split_at(tail.len().min(1 + usize::from(*count) % 8));
        for (old, new) in bytes[at..].iter_mut().zip(new) {
            *old = *new;
        }
        changes = rest;
    }
    bytes
}

fn run(tables: Tables) {
    let elements = tables.geometry.elements();
    if elements > 1 << 16 {
        return;
    }
    let codec = Codec::new(tables).expect("tables that were read have been validated");
    let chunks = codec.encode(&vec![1.0; elements], &mut Default::default());
    let mut honest = codec.decoder();
    let mut garbage = codec.decoder();
    for chunk in &chunks {
        honest.push(chunk.id, &chunk.payload).expect("own chunk");
        let payload = vec![0xa5 ^ chunk.id as u8; codec.payload_limit(chunk.id).min(64)];
        garbage.push(chunk.id, &payload).expect("short enough");
    }
    for mut decoder in [honest, garbage] {
        let mut out = vec![0.0; elements];
        decoder.reconstruct(&mut out);
        assert!(out.iter().all(|v| v.is_finite()));
        let (mut scratch, mut numbers) = (Vec::new(), Vec::new());
        decoder.statistics(&mut scratch, &mut numbers);
        assert!(numbers.iter().all(|v| v.is_finite()));
        if let Some(predictor) = &codec.tables().predictor {
            assert!(predictor.predict(&numbers).is_finite());
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let made;
    let bytes = match files().get(usize::from(kind % 4)) {
        Some(good) => {
            made = changed(good, rest);
            &made
        }
        None => rest,
    };
    if let Ok((_, cuts)) = file::from_bytes(bytes) {
        cuts.into_iter().for_each(|(_, tables)| run(tables));
    }
});
