//! How fast is the feature codec on one core, and what does its range coder cost beside `constriction`'s?
//!
//! Features are synthetic, of the size of ResNet-50's `layer2.0` (512×28×28): sparse, correlated channels, smooth maps.
//! Throughput counts raw `f32` bytes; "transform and quantise only" is the part of encoding that is matrix products.

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::queue::{SmallRangeDecoder, SmallRangeEncoder};
use constriction::stream::{Decode, Encode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use enachi_model::codec::range::{RangeDecoder, RangeEncoder};
use enachi_model::codec::train::{Accumulator, PASSES};
use enachi_model::codec::{Codec, CodecSettings, EncoderScratch, Trainer};
use std::hint::black_box;

const MAPS: usize = 512;
const SIDE: usize = 28;

struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }
}

/// Mixtures of smooth source maps with falling weights, rectified.
fn feature(seed: u64) -> Vec<f32> {
    let mut uniform = Uniform(seed);
    let sources: Vec<Vec<f32>> = (0..60)
        .map(|s| {
            let weight = 2.0 / (1.0 + s as f32).sqrt();
            let (u, v, phase) = (
                uniform.next() * 2.5,
                uniform.next() * 2.5,
                uniform.next() * 6.3,
            );
            (0..SIDE * SIDE)
                .map(|p| {
                    let (y, x) = ((p / SIDE) as f32, (p % SIDE) as f32);
                    weight * ((u * y + v * x + phase).sin() + 0.1 * (uniform.next() - 0.5))
                })
                .collect()
        })
        .collect();
    // The mixing matrix is the network's: the same for every image.
    let mut mixing = Uniform(7);
    let mut out = Vec::with_capacity(MAPS * SIDE * SIDE);
    for _ in 0..MAPS {
        let row: Vec<f32> = sources.iter().map(|_| mixing.next() - 0.5).collect();
        for p in 0..SIDE * SIDE {
            let v: f32 = row.iter().zip(&sources).map(|(w, s)| w * s[p]).sum();
            out.push((v - 0.5).max(0.0));
        }
    }
    out
}

fn codec() -> Codec {
    // 10 dB is what profiling chooses for layer2.0 itself.
    let settings = CodecSettings {
        snr_db: 10.0,
        ..CodecSettings::default()
    };
    let mut trainer = Trainer::new(settings, MAPS, SIDE, SIDE);
    let features: Vec<_> = (0..12).map(feature).collect();
    for _ in 0..PASSES {
        let mut sums = Accumulator::default();
        for f in &features {
            sums.add(trainer.observe(f, &[]));
        }
        trainer.finish_pass(sums).expect("the features vary");
    }
    Codec::new(trainer.into_tables().expect("all passes were made")).expect("trained tables")
}

fn throughput(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .expect("first use of the global pool");
    let codec = codec();
    let x = feature(99);
    let mut scratch = EncoderScratch::default();
    let chunks = codec.encode(&x, &mut scratch);
    let payload: usize = chunks.iter().map(|chunk| chunk.payload.len()).sum();
    let tables = codec.tables();
    println!(
        "{} of {MAPS} maps kept, {} chunks, {payload} bytes",
        tables.kept,
        chunks.len()
    );
    let mut group = c.benchmark_group("512x28x28 on one core");
    group.throughput(Throughput::Bytes((x.len() * 4) as u64));
    group.sample_size(20);
    group.bench_function("encode", |b| {
        b.iter(|| codec.encode(black_box(&x), &mut scratch).len());
    });
    group.bench_function("transform and quantise only", |b| {
        b.iter(|| codec.quantise(black_box(&x), &mut scratch).len());
    });
    let mut out = vec![0.0; x.len()];
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut decoder = codec.decoder();
            for chunk in &chunks {
                decoder.push(chunk.id, &chunk.payload).expect("own chunk");
            }
            decoder.reconstruct(&mut out);
            out[0]
        });
    });
    group.finish();
}

/// A binary model for `constriction`, `p` / 2^12 for `false`: its `u16` words allow no finer probabilities with
/// this state size.
#[derive(Clone, Copy)]
struct Bit(u16);

impl EntropyModel<12> for Bit {
    type Symbol = bool;
    type Probability = u16;
}

impl EncoderModel<12> for Bit {
    fn left_cumulative_and_probability(
        &self,
        symbol: impl std::borrow::Borrow<bool>,
    ) -> Option<(u16, std::num::NonZeroU16)> {
        let (left, p) = if *symbol.borrow() {
            (self.0, 4096 - self.0)
        } else {
            (0, self.0)
        };
        std::num::NonZeroU16::new(p).map(|p| (left, p))
    }
}

impl DecoderModel<12> for Bit {
    fn quantile_function(&self, quantile: u16) -> (bool, u16, std::num::NonZeroU16) {
        let symbol = quantile >= self.0;
        let (left, p) = if symbol {
            (self.0, 4096 - self.0)
        } else {
            (0, self.0)
        };
        (
            symbol,
            left,
            std::num::NonZeroU16::new(p).expect("0 < p < 4096"),
        )
    }
}

/// 200 chunks of 2000 skewed binary decisions, as the plane coder makes them.
fn range_coder(c: &mut Criterion) {
    let mut uniform = Uniform(5);
    let chunks: Vec<Vec<(u16, bool)>> = (0..200)
        .map(|_| {
            (0..2000)
                .map(|_| {
                    let p = 0.5 + 0.48 * uniform.next();
                    let quantised = (p * 4096.0) as u16;
                    (quantised, uniform.next() > p)
                })
                .collect()
        })
        .collect();
    let ours = |chunk: &[(u16, bool)]| {
        let mut encoder = RangeEncoder::default();
        for &(p, bit) in chunk {
            encoder.bit(p << 3, bit);
        }
        encoder.finish()
    };
    let theirs = |chunk: &[(u16, bool)]| {
        let mut encoder = SmallRangeEncoder::new();
        for &(p, bit) in chunk {
            encoder.encode_symbol(bit, Bit(p)).expect("p is inside");
        }
        encoder.into_compressed().expect("a vector cannot be full")
    };
    let our_bytes: Vec<_> = chunks.iter().map(|c| ours(c)).collect();
    let their_words: Vec<_> = chunks.iter().map(|c| theirs(c)).collect();
    println!(
        "range coder: {} bytes, constriction {} bytes for 200 chunks",
        our_bytes.iter().map(Vec::len).sum::<usize>(),
        their_words.iter().map(|w| 2 * w.len()).sum::<usize>()
    );
    let mut group = c.benchmark_group("400k binary decisions in 200 chunks");
    group.throughput(Throughput::Elements(400_000));
    group.sample_size(20);
    group.bench_function("encode", |b| {
        b.iter(|| chunks.iter().map(|c| ours(c).len()).sum::<usize>());
    });
    group.bench_function("encode with constriction", |b| {
        b.iter(|| chunks.iter().map(|c| theirs(c).len()).sum::<usize>());
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut ones = 0;
            for (chunk, bytes) in chunks.iter().zip(&our_bytes) {
                let mut decoder = RangeDecoder::new(bytes);
                ones += chunk.iter().filter(|(p, _)| decoder.bit(p << 3)).count();
            }
            ones
        });
    });
    group.bench_function("decode with constriction", |b| {
        b.iter(|| {
            let mut ones = 0;
            for (chunk, words) in chunks.iter().zip(&their_words) {
                let mut decoder =
                    SmallRangeDecoder::from_compressed(words.as_slice()).expect("a slice reads");
                ones += chunk
                    .iter()
                    .filter(|(p, _)| decoder.decode_symbol(Bit(*p)).expect("own words"))
                    .count();
            }
            ones
        });
    });
    group.finish();
}

criterion_group!(benches, throughput, range_coder);
criterion_main!(benches);
