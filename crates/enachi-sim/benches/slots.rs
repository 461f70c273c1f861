//! How many device-slots per second and core, with fading, replay, power control and stop rule?
//!
//! `cargo bench -p enachi-sim`. Elements are used slots.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{factory, profile, scenario};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use enachi_core::record::{FrameRecord, SlotRecord};
use enachi_sim::deployment::Deployment;
use enachi_sim::runner::{Runner, Sink};
use enachi_sim::scenario::UncertaintyKind;
use enachi_sim::variant::Variant;
use std::hint::black_box;

/// Counts slots and forgets the rest.
#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn frame(&mut self, record: FrameRecord) {
        self.0 += u64::from(record.slots);
        black_box(record);
    }
    fn slot(&mut self, _record: SlotRecord) {}
}

fn slots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slots per second on one core");
    group.sample_size(20);
    for label in [
        "tracking",
        "tracking+constant",
        "tracking+water-filling",
        "tracking+stop-never",
        "tracking+stop-marginal",
    ] {
        for devices in [8, 64] {
            // The band grows with the devices, so that every device does the same.
            let text = format!(
                "[channel]\nbandwidth_hz = {}\n[device]\ndistance_m = [200, 200]\n[[devices]]\ncount = {devices}",
                50_000 * devices
            );
            let mut deployment = Deployment::new(scenario(&text), profile()).expect("valid");
            deployment
                .fit_continuation(UncertaintyKind::Predictor)
                .expect("measured");
            let task = &deployment.scenario.task;
            let variant = Variant::parse(label, &deployment.scenario.packet, task).expect("known");
            let run = |frames: u32| {
                let mut runner =
                    Runner::new(&deployment, &factory(), variant.clone(), 0, 1).expect("valid");
                let mut sink = Count::default();
                for _ in 0..frames {
                    runner.plan();
                    runner.execute(&mut sink);
                }
                sink.0
            };
            const FRAMES: u32 = 50;
            group.throughput(Throughput::Elements(run(FRAMES)));
            group.bench_function(format!("{label}, {devices} devices"), |bench| {
                bench.iter(|| black_box(run(FRAMES)));
            });
        }
    }
    group.finish();
}

/// The slot loop on every model of the channel, `rayleigh` in blocks being what the others are to be held against.
fn channels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slots per second by channel");
    group.sample_size(20);
    for (name, channel, more) in [
        ("none", "fading = \"none\"", ""),
        ("rayleigh", "fading = \"rayleigh\"", ""),
        ("rician", "fading = \"rician\"", ""),
        (
            "rayleigh with Doppler",
            "fading = \"rayleigh\"\ncorrelation = \"doppler\"",
            "",
        ),
        (
            "street canyon, walking, stale gains",
            "path_loss = \"umi\"\nfading = \"rician\"\ncorrelation = \"doppler\"",
            "[mobility]\nmodel = \"random-waypoint\"\n[channel.estimate]\nslot_delay_slots = 1\nslot_error_db = 1.0",
        ),
    ] {
        let text = format!(
            "[channel]\nbandwidth_hz = 400_000\n{channel}\n{more}\n[device]\ndistance_m = [200, 200]\n[[devices]]\ncount = 8"
        );
        let deployment = Deployment::new(scenario(&text), profile()).expect("valid");
        let (packet, task) = (&deployment.scenario.packet, &deployment.scenario.task);
        let variant = Variant::parse("never", packet, task).expect("known");
        let run = |frames: u32| {
            let mut runner =
                Runner::new(&deployment, &factory(), variant.clone(), 0, 1).expect("valid");
            let mut sink = Count::default();
            for _ in 0..frames {
                runner.plan();
                runner.execute(&mut sink);
            }
            sink.0
        };
        const FRAMES: u32 = 50;
        group.throughput(Throughput::Elements(run(FRAMES)));
        group.bench_function(name, |bench| bench.iter(|| black_box(run(FRAMES))));
    }
    group.finish();
}

criterion_group!(benches, slots, channels);
criterion_main!(benches);
