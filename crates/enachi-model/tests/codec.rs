//! The codec against its promises, on features that the tests make up.

use enachi_model::codec::{
    ChannelTransform, ChunkSpec, Codec, CodecSettings, EncoderScratch, SpatialTransform, Tables,
    Trainer,
    train::{Accumulator, GRADIENT_PASS, PASSES},
};
use proptest::prelude::*;

/// A feature with correlated channels and smooth maps, and now and then a large outlier.
fn feature(seed: u64, maps: usize, height: usize, width: usize) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    };
    let waves: Vec<[f32; 5]> = (0..6)
        .map(|_| std::array::from_fn(|_| uniform() * 2.0 - 1.0))
        .collect();
    let mut out = Vec::new();
    for map in 0..maps {
        for y in 0..height {
            for x in 0..width {
                let mut v = 0.3 * (map as f32).cos();
                for (i, w) in waves.iter().enumerate() {
                    let phase = w[0] * y as f32 + w[1] * x as f32 + 3.0 * w[2];
                    v += w[3] * phase.sin() * ((i + 1) as f32 * map as f32 * 0.7).cos();
                }
                v += 0.05 * (uniform() - 0.5);
                if uniform() > 0.999 {
                    v += 8.0;
                }
                out.push(v.max(0.0));
            }
        }
    }
    out
}

fn train(settings: CodecSettings, maps: usize, height: usize, width: usize) -> Tables {
    train_with(settings, maps, height, width, &[])
}

/// Tables for an answer that is sensitive along `gradients`, whatever the feature.
fn train_with(
    settings: CodecSettings,
    maps: usize,
    height: usize,
    width: usize,
    gradients: &[&[f32]],
) -> Tables {
    let mut trainer = Trainer::new(settings, maps, height, width);
    for pass in 0..PASSES {
        let mut sums = Accumulator::default();
        for seed in 0..12 {
            let gradients = if pass == GRADIENT_PASS {
                gradients
            } else {
                &[]
            };
            sums.add(trainer.observe(&feature(seed, maps, height, width), gradients));
        }
        trainer
            .finish_pass(sums)
            .expect("calibration features vary");
    }
    trainer.into_tables().expect("all passes were made")
}

fn small() -> CodecSettings {
    CodecSettings {
        snr_db: 25.0,
        chunk_bytes: 12.0,
        band_bytes: 60.0,
        ..CodecSettings::default()
    }
}

fn error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum()
}

#[test]
fn whole_stream_restores_every_quantised_level_for_every_transform() {
    for channels in [
        ChannelTransform::None,
        ChannelTransform::Klt,
        ChannelTransform::Task,
    ] {
        for spatial in [
            SpatialTransform::None,
            SpatialTransform::Dct,
            SpatialTransform::Task,
        ] {
            for (maps, h, w) in [
                (12, 14, 14),
                (5, 9, 13),
                (24, 1, 1),
                (3, 17, 20),
                (2, 3, 65),
            ] {
                let settings = CodecSettings {
                    channels,
                    spatial,
                    ..small()
                };
                let codec = Codec::new(train(settings, maps, h, w)).expect("valid");
                let mut scratch = EncoderScratch::default();
                for seed in 100..110 {
                    let x = feature(seed, maps, h, w);
                    let chunks = codec.encode(&x, &mut scratch);
                    let mut decoder = codec.decoder();
                    for chunk in &chunks {
                        decoder.push(chunk.id, &chunk.payload).expect("own chunk");
                    }
                    let (levels, reached) = decoder.levels();
                    assert!(reached.iter().all(|&p| p == Some(0)));
                    let levels = levels.to_vec();
                    let truth = codec.quantise(&x, &mut scratch);
                    for (i, (&got, &want)) in levels.iter().zip(truth).enumerate() {
                        let zero = !codec.is_sent(i) || want & 0x7FFF == 0;
                        assert_eq!(got, if zero { 0 } else { want }, "coefficient {i}");
                    }
                }
            }
        }
    }
}

/// Tables made before planes had passes hold one pass of each.
#[test]
fn one_pass_of_a_plane_restores_every_quantised_level_too() {
    let mut tables = train(small(), 12, 14, 14);
    let energy = &tables.restoration.energy;
    // Pass 0 of a plane, in which the last of its coefficients are visited, leaves behind what the whole plane does.
    tables.restoration.energy = energy.iter().step_by(3).copied().collect();
    tables.plane_passes = 1;
    tables.chunks = (0..tables.bands.len())
        .flat_map(|band| (0..tables.passes(band)).rev().map(move |pass| (band, pass)))
        .map(|(band, pass)| ChunkSpec {
            band: band as u16,
            high: pass,
            low: pass,
        })
        .collect();
    tables.chunk_bytes = vec![1.0; tables.chunks.len()];
    let codec = Codec::new(tables).expect("valid");
    let mut scratch = EncoderScratch::default();
    let x = feature(100, 12, 14, 14);
    let mut decoder = codec.decoder();
    for chunk in codec.encode(&x, &mut scratch) {
        decoder.push(chunk.id, &chunk.payload).expect("own chunk");
    }
    let levels = decoder.levels().0.to_vec();
    for (i, (&got, &want)) in levels
        .iter()
        .zip(codec.quantise(&x, &mut scratch))
        .enumerate()
    {
        let zero = !codec.is_sent(i) || want & 0x7FFF == 0;
        assert_eq!(got, if zero { 0 } else { want }, "coefficient {i}");
    }
}

#[test]
fn every_prefix_helps_and_reaches_the_asked_quality() {
    let codec = Codec::new(train(small(), 12, 14, 14)).expect("valid");
    let mut scratch = EncoderScratch::default();
    let (mut first, mut last, mut energy) = (0.0, 0.0, 0.0);
    let mut previous_total = f64::INFINITY;
    let seeds = 100..116;
    for fraction in 0..=8 {
        let mut total = 0.0;
        for seed in seeds.clone() {
            let x = feature(seed, 12, 14, 14);
            let chunks = codec.encode(&x, &mut scratch);
            let mut decoder = codec.decoder();
            for chunk in &chunks[..chunks.len() * fraction / 8] {
                decoder.push(chunk.id, &chunk.payload).expect("own chunk");
            }
            let mut out = vec![0.0; x.len()];
            decoder.reconstruct(&mut out);
            total += error(&x, &out);
            if fraction == 0 {
                let means: Vec<f32> = codec
                    .tables()
                    .mean
                    .iter()
                    .flat_map(|&m| std::iter::repeat_n(m, 14 * 14))
                    .collect();
                assert_eq!(out, means, "nothing sent is filled with the mean");
                energy += error(&x, &means);
            }
        }
        assert!(total < previous_total, "more chunks, less error");
        previous_total = total;
        if fraction == 1 {
            first = total;
        }
        last = total;
    }
    assert!(
        first < 0.7 * energy,
        "the first eighth leaves {first} of {energy}"
    );
    let snr_db = 10.0 * (energy / last).log10();
    assert!(
        snr_db > 18.0,
        "asked for 25 dB on calibration, got {snr_db}"
    );
}

/// Mean squared change of the answers `g · x` over unseen features, at each of a few budgets of bytes.
fn answer_errors(codec: &Codec, gradients: &[Vec<f32>], budgets: &[usize]) -> Vec<f64> {
    let mut scratch = EncoderScratch::default();
    let mut errors = vec![0.0; budgets.len()];
    for seed in 200..216 {
        let x = feature(seed, 12, 14, 14);
        let chunks = codec.encode(&x, &mut scratch);
        for (error, &budget) in errors.iter_mut().zip(budgets) {
            let mut decoder = codec.decoder();
            let mut sent = 0;
            for chunk in &chunks {
                sent += chunk.air_bytes();
                if sent > budget {
                    break;
                }
                decoder.push(chunk.id, &chunk.payload).expect("own chunk");
            }
            let mut out = vec![0.0; x.len()];
            decoder.reconstruct_plain(&mut out);
            for g in gradients {
                let change: f64 = (g.iter().zip(&x).zip(&out))
                    .map(|((g, a), b)| f64::from(g * (a - b)))
                    .sum();
                *error += change * change;
            }
        }
    }
    errors
}

#[test]
fn bits_go_where_the_answer_is_sensitive() {
    // The answers look at two mixtures of the channels, and only at the upper half of the maps.
    let gradients: Vec<Vec<f32>> = (0..8)
        .map(|n| {
            (0..12 * 196)
                .map(|i| {
                    let (map, row, column) = (i / 196, i % 196 / 14, i % 14);
                    let mixture = if n % 2 == 0 { 0.9f32 } else { 2.3 };
                    let there = ((n * 3 + column * 2 + row) as f32 * 0.8).sin();
                    f32::from(row < 7) * (mixture * map as f32).cos() * there
                })
                .collect()
        })
        .collect();
    let views: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
    let weighted = Codec::new(train_with(small(), 12, 14, 14, &views)).expect("valid");
    let plain = Codec::new(train(small(), 12, 14, 14)).expect("valid");
    let budgets = [60, 120, 240];
    let with = answer_errors(&weighted, &gradients, &budgets);
    let without = answer_errors(&plain, &gradients, &budgets);
    for ((with, without), budget) in with.iter().zip(&without).zip(budgets) {
        assert!(
            *with < 0.5 * without,
            "{budget} bytes: {with} against {without}"
        );
    }
}

#[test]
fn restoration_stretches_by_what_is_missing_whatever_the_order() {
    let mut tables = train(small(), 12, 14, 14);
    tables.restoration.exponents = vec![[0.1, 0.9], [0.9, 0.5]];
    let codec = Codec::new(tables.clone()).expect("valid");
    let x = feature(300, 12, 14, 14);
    let chunks = codec.encode(&x, &mut EncoderScratch::default());
    let some: Vec<_> = chunks.iter().filter(|c| c.id % 3 != 1).collect();
    let estimate = |reverse: bool| {
        let mut decoder = codec.decoder();
        let mut push = |c: &enachi_model::codec::Chunk| {
            decoder.push(c.id, &c.payload).expect("own chunk");
        };
        if reverse {
            some.iter().rev().for_each(|c| push(c));
        } else {
            some.iter().for_each(|c| push(c));
        }
        let mut out = vec![0.0; x.len()];
        decoder.reconstruct(&mut out);
        let mut plain = out.clone();
        decoder.reconstruct_plain(&mut plain);
        (out, plain, decoder.carried(), decoder.carried_share())
    };
    let (out, plain, carried, share) = estimate(false);
    assert_eq!((&out, &plain), (&estimate(true).0, &estimate(true).1));
    // The definition, channel by channel.
    assert!(share > 0.1 && share < 0.9, "{share}");
    let exponent = 0.9 + (0.5 - 0.9) * (share - 0.1) / 0.8;
    for (channel, &mean) in tables.mean.iter().enumerate() {
        let ratio = tables.restoration.variance[channel] / carried[channel];
        let stretch = ratio.clamp(1.0, 16.0).powf(exponent / 2.0);
        for i in channel * 196..(channel + 1) * 196 {
            assert!((out[i] - mean - (plain[i] - mean) * stretch).abs() < 1e-4);
        }
    }
    // By calibration the carried variance is that of the estimates themselves.
    let (mut real, mut said) = (0.0, 0.0);
    for seed in 0..12 {
        let chunks = codec.encode(&feature(seed, 12, 14, 14), &mut EncoderScratch::default());
        let mut decoder = codec.decoder();
        for chunk in &chunks[..chunks.len() / 2] {
            decoder.push(chunk.id, &chunk.payload).expect("own chunk");
        }
        let mut out = vec![0.0; x.len()];
        decoder.reconstruct_plain(&mut out);
        for (map, mean) in out.chunks(196).zip(&tables.mean) {
            real += map.iter().map(|v| f64::from(v - mean).powi(2)).sum::<f64>() / 196.0;
        }
        said += decoder.carried().iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    assert!((real / said - 1.0).abs() < 0.1, "{real} {said}");
}

fn shared_codec() -> &'static Codec {
    static CODEC: std::sync::OnceLock<Codec> = std::sync::OnceLock::new();
    CODEC.get_or_init(|| Codec::new(train(small(), 12, 14, 14)).expect("valid"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any subset in any order gives the same estimate as the same subset in order, and a lost chunk changes nothing
    /// outside its band.
    #[test]
    fn subsets_decode_in_any_order(
        seed in 0u64..50,
        keys in prop::collection::vec((any::<u32>(), 0u8..4), 300),
    ) {
        let codec = shared_codec();
        let x = feature(1000 + seed, 12, 14, 14);
        let chunks = codec.encode(&x, &mut EncoderScratch::default());
        let mut kept: Vec<usize> =
            (0..chunks.len()).filter(|&i| keys[i % keys.len()].1 != 0).collect();
        let mut in_order = codec.decoder();
        for &i in &kept {
            in_order.push(chunks[i].id, &chunks[i].payload).expect("own chunk");
        }
        kept.sort_by_key(|&i| keys[i % keys.len()].0);
        let mut shuffled = codec.decoder();
        for &i in &kept {
            shuffled.push(chunks[i].id, &chunks[i].payload).expect("own chunk");
            shuffled.push(chunks[i].id, &[1, 2, 3]).expect("a duplicate is ignored");
        }
        prop_assert_eq!(in_order.levels(), shuffled.levels());
        let mut whole = codec.decoder();
        for chunk in &chunks {
            whole.push(chunk.id, &chunk.payload).expect("own chunk");
        }
        let tables = codec.tables();
        let (all, part) = (whole.levels(), shuffled.levels());
        let per_map = tables.geometry.coefficients();
        for (b, band) in tables.bands.iter().enumerate() {
            let hit = tables
                .chunks
                .iter()
                .enumerate()
                .any(|(i, c)| usize::from(c.band) == b && !kept.contains(&i));
            if !hit {
                let first = band.first as usize * per_map;
                let range = first..first + band.count as usize * per_map;
                prop_assert_eq!(&all.0[range.clone()], &part.0[range]);
                prop_assert_eq!(all.1[b], part.1[b]);
            }
        }
    }

    /// No feature, however far from calibration, makes a chunk that the decoder refuses.
    #[test]
    fn wild_features_stay_within_the_payload_limit(seed in any::<u64>(), scale in 0.0f32..1e9) {
        let codec = shared_codec();
        let x: Vec<f32> = feature(seed, 12, 14, 14).iter().map(|v| (v - 1.0) * scale).collect();
        let mut decoder = codec.decoder();
        for chunk in codec.encode(&x, &mut EncoderScratch::default()) {
            prop_assert!(decoder.push(chunk.id, &chunk.payload).is_ok());
        }
        let too_long = vec![0; codec.payload_limit(0) + 1];
        prop_assert!(codec.decoder().push(0, &too_long).is_err());
    }

    /// Garbage is an error or a finite estimate.
    #[test]
    fn garbage_never_panics(
        chunks in prop::collection::vec(
            (any::<u16>(), prop::collection::vec(any::<u8>(), 0..80)), 0..40),
    ) {
        let codec = shared_codec();
        let n = codec.chunk_count() as u16;
        let mut decoder = codec.decoder();
        for (id, payload) in chunks {
            let id = if id % 7 == 0 { id } else { id % n };
            prop_assert_eq!(decoder.push(id, &payload).is_ok(), id < n);
        }
        let mut out = vec![0.0; 12 * 196];
        decoder.reconstruct(&mut out);
        prop_assert!(out.iter().all(|v| v.is_finite()));
    }
}

#[test]
fn tables_that_could_not_be_run_are_refused() {
    let good = train(small(), 12, 14, 14);
    good.validate().expect("as trained");
    let refused = |change: &dyn Fn(&mut Tables)| {
        let mut tables = good.clone();
        change(&mut tables);
        assert!(tables.validate().is_err());
        assert!(Codec::new(tables).is_err());
    };
    refused(&|t| {
        t.chunks.push(ChunkSpec {
            band: 0,
            high: 255,
            low: 0,
        })
    });
    refused(&|t| t.plane_passes = 0);
    refused(&|t| t.plane_passes = 4);
    refused(&|t| t.chunks[0].band = 999);
    refused(&|t| t.chunks.reverse());
    refused(&|t| {
        t.chunks.pop();
    });
    refused(&|t| t.models[3] = 0);
    refused(&|t| t.models[3] = 32767);
    refused(&|t| t.step = f32::NAN);
    refused(&|t| t.analysis[5] = f32::INFINITY);
    refused(&|t| t.points[0] = 1.5);
    // Finite, but not what comes out of it.
    refused(&|t| t.step = 1e37);
    refused(&|t| t.synthesis.as_mut().unwrap_or(&mut t.analysis)[5] = 1e35);
    refused(&|t| t.mean[0] = 3e38);
    refused(&|t| t.restoration.energy[0] = 1e38);
    refused(&|t| t.restoration.variance.fill(0.0));
    refused(&|t| t.chunk_bytes[0] = 3e38);
    refused(&|t| t.kept += 1);
    refused(&|t| t.geometry.block_width = 0);
    refused(&|t| t.restoration.energy[0] = -1.0);
    refused(&|t| t.restoration.exponents = vec![[0.5, 0.1], [0.5, 0.2]]);
    refused(&|t| t.restoration.exponents = vec![[0.5, 9.0]]);
    refused(&|t| t.chunk_bytes[0] = f32::NAN);
    refused(&|t| t.probe.inputs = 1 << 40);
    refused(&|t| t.geometry.block_height = 7);
    // What planes carry is kept per chunk and channel: not for any number of them.
    let mut many = good.clone();
    many.geometry.maps = 1 << 16;
    many.chunks = vec![good.chunks[0]; 300];
    let reason = many.validate().expect_err("20 million").to_string();
    assert!(reason.contains("300 chunks of 65536 maps"), "{reason}");
    refused(&|t| t.bands[0].count += 1);
    refused(&|t| {
        t.scale.pop();
    });
}
