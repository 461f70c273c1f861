//! One evaluation of the uncertainty predictor as profiles hold it, inputs given, and its training.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use enachi_model::codec::statistics::{CARRIED_SHARE, STATISTICS};
use enachi_model::predictor::{PredictorData, PredictorSettings, fit};
use std::hint::black_box;

/// Made-up statistics of `images` images at 16 checkpoints: one tells how far the stream has come, one how far it is off.
fn data(images: usize) -> PredictorData {
    let (checkpoints, n_inputs) = (16, STATISTICS);
    let mut state = 1u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let mut data = PredictorData {
        images,
        checkpoints,
        n_inputs,
        progress: Some(CARRIED_SHARE),
        classes: 1000,
        ..PredictorData::default()
    };
    for _ in 0..images {
        let settles = (16.0 * random()) as usize;
        for c in 0..checkpoints {
            let mut row: Vec<f32> = (0..n_inputs).map(|_| random()).collect();
            row[0] += settles as f32 - c as f32;
            row[CARRIED_SHARE] = c as f32;
            data.inputs.extend(row);
            data.bits.push(1000 * c as u32);
            data.top1.push(u16::from(c >= settles));
            data.correct.push(c >= settles);
            data.entropy_nats.push(random());
        }
    }
    data
}

fn predictor(c: &mut Criterion) {
    let mut group = c.benchmark_group("predictor");
    let small = data(60);
    let settings = PredictorSettings::default();
    let model = fit(&small, &settings).expect("valid data").model;
    let rows: Vec<&[f32]> = small.inputs.chunks_exact(STATISTICS).collect();
    let mut next = 0;
    // Both networks side by side: what tells images apart is worth listening to here.
    let name = format!("evaluate {}-{}-1", model.inputs(), model.hidden());
    group.bench_function(name, |b| {
        b.iter(|| {
            next = (next + 1) % rows.len();
            model.predict(black_box(rows[next]))
        });
    });
    group.sample_size(10);
    let large = data(600);
    group.bench_function("fit 600 images x 16 checkpoints", |b| {
        b.iter(|| fit(black_box(&large), &settings).expect("valid data"));
    });
    group.finish();
}

criterion_group!(benches, predictor);
criterion_main!(benches);
