//! Codec tables from a file: refused, or fit to run.
#![no_main]

use enachi_model::codec::{Codec, file};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok((_, cuts)) = file::from_bytes(data) else {
        return;
    };
    for (_, tables) in cuts {
        if tables.geometry.elements() > 1 << 16 {
            continue;
        }
        let elements = tables.geometry.elements();
        let codec = Codec::new(tables).expect("tables that were read have been validated");
        let chunks = codec.encode(&vec![1.0; elements], &mut Default::default());
        let mut decoder = codec.decoder();
        for chunk in &chunks {
            decoder.push(chunk.id, &chunk.payload).expect("own chunk");
        }
        decoder.reconstruct(&mut vec![0.0; elements]);
    }
});
