//! Small codec tables, trained on made-up features.

use enachi_model::codec::train::{Accumulator, GRADIENT_PASS, PASSES};
use enachi_model::codec::{CodecSettings, Tables, Trainer};

/// Tables of `maps` maps of `side` times `side` samples; `settings` choose the transforms.
pub fn tables(settings: CodecSettings, maps: usize, side: usize) -> Tables {
    let settings = CodecSettings {
        snr_db: 20.0,
        chunk_bytes: 8.0,
        band_bytes: 40.0,
        ..settings
    };
    let wave = |n: usize, i: usize| ((i * (n + 3)) as f32).sin() * 3.0 + (i as f32 * 0.01).cos();
    let values = maps * side * side;
    let mut trainer = Trainer::new(settings, maps, side, side);
    for pass in 0..PASSES {
        let mut sums = Accumulator::default();
        for n in 0..6 {
            let feature: Vec<f32> = (0..values).map(|i| wave(n, i).max(0.0)).collect();
            let gradient: Vec<f32> = (0..values).map(|i| 0.1 * wave(n + 6, i)).collect();
            let gradients: &[&[f32]] = if pass == GRADIENT_PASS {
                &[&gradient]
            } else {
                &[]
            };
            sums.add(trainer.observe(&feature, gradients));
        }
        trainer.finish_pass(sums).expect("the features vary");
    }
    let mut tables = trainer.into_tables().expect("all passes were made");
    tables.restoration.exponents = vec![[0.1, 0.8], [0.9, 0.2]];
    tables
}
