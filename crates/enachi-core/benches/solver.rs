//! How fast is a plan? Cold, re-planned from the last price, and for a thousand devices.
#[path = "../tests/common/mod.rs"]
mod common;

use common::{Owned, Rng};
use criterion::{Criterion, criterion_group, criterion_main};
use enachi_core::curve::AccuracyCurve;
use enachi_core::radio::{Noise, Radio};
use enachi_core::task::{CutOption, DeviceProblem, Plan, Solver};
use std::hint::black_box;

/// `n` devices × 5 cuts × 33 points: measured-looking curves that saturate, wobble included, shared by all devices.
pub fn typical(n: usize, seed: u64) -> Owned {
    let mut rng = Rng(seed);
    let (mut curves, mut options, mut devices) = (Vec::new(), Vec::new(), Vec::new());
    let cuts = [
        (1.6e6, 0.06, 0.26, 0.01),
        (0.6e6, 0.05, 0.24, 0.03),
        (0.3e6, 0.05, 0.22, 0.05),
        (0.16e6, 0.05, 0.15, 0.10),
        (0.13e6, 0.04, 0.08, 0.19),
    ];
    for (total, knee, ..) in cuts {
        let bits: Vec<f64> = (0..33)
            .map(|i| total * (f64::from(i) / 32.0).powi(2))
            .collect();
        let accuracy: Vec<f64> = bits
            .iter()
            .map(|&b| {
                let wobble = if b > 0.0 {
                    rng.range(-0.004, 0.004)
                } else {
                    0.0
                };
                (0.8 - 0.799 * (-b / (knee * total)).exp() + wobble).clamp(0.0, 1.0)
            })
            .collect();
        curves.push(AccuracyCurve::measured(&bits, &accuracy).expect("valid"));
    }
    for _ in 0..n {
        let start = options.len() as u32;
        let speed = rng.range(0.8, 1.25);
        for (curve, &(_, _, time_s, energy_j)) in cuts.iter().enumerate() {
            options.push(CutOption {
                curve: curve as u32,
                transmit_time_s: time_s * speed,
                local_energy_j: energy_j * speed,
                charge: 0.0,
            });
        }
        devices.push(DeviceProblem {
            energy_queue_j: rng.decade(-0.5, 2.0),
            gain: rng.decade(-12.3, -10.3),
            power_max_w: 2.0,
            weight: 1.0,
            options: start..options.len() as u32,
        });
    }
    Owned {
        bandwidth_hz: 20e6 / 25.0 * n as f64,
        radio: Radio {
            noise: Noise::Exact {
                psd_w_per_hz: 1e-13 / 3e6,
            },
            spectral_cap: f64::INFINITY,
        },
        v: 50.0,
        curves,
        options,
        devices,
    }
}

/// The next frame: gains and queues have moved a little.
fn drift(problem: &mut Owned, mean_gain: &[f64], rng: &mut Rng) {
    for (device, mean) in problem.devices.iter_mut().zip(mean_gain) {
        // Half-way back to the mean, and a new draw: a few per cent from frame to frame.
        device.gain = (device.gain * mean).sqrt() * rng.range(0.95, 1.05);
        device.energy_queue_j *= rng.range(0.99, 1.01);
    }
}

fn solver(criterion: &mut Criterion) {
    let mut plan = Plan::default();
    for n in [1, 10, 25, 100, 1000] {
        let problems: Vec<Owned> = (0..if n > 100 { 4 } else { 32 })
            .map(|seed| typical(n, seed))
            .collect();
        let mut solver = Solver::default();
        let mut i = 0;
        criterion.bench_function(
            &format!("how long does a cold plan take, {n} devices x 5 cuts x 33 points"),
            |b| {
                b.iter(|| {
                    i = (i + 1) % problems.len();
                    solver.cold();
                    solver.solve(&problems[i].view(), &mut plan);
                    black_box(plan.objective)
                })
            },
        );
    }
    for n in [1, 25] {
        let mut rng = Rng(7);
        let mut problem = typical(n, 3);
        let means: Vec<f64> = problem.devices.iter().map(|d| d.gain).collect();
        let frames: Vec<Vec<DeviceProblem>> = (0..64)
            .map(|_| {
                drift(&mut problem, &means, &mut rng);
                problem.devices.clone()
            })
            .collect();
        let mut solver = Solver::default();
        let mut i = 0;
        criterion.bench_function(
            &format!("how long does the next frame's plan take, {n} devices"),
            |b| {
                b.iter(|| {
                    i = (i + 1) % frames.len();
                    let mut view = problem.view();
                    view.devices = &frames[i];
                    solver.solve(&view, &mut plan);
                    black_box(plan.objective)
                })
            },
        );
    }
}

criterion_group!(benches, solver);
criterion_main!(benches);
