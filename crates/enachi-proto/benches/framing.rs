//! How fast chunks are framed and read: bytes per second on one core, beside a plain copy of the same bytes.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use enachi_proto::datagram::{Datagram, End, Prefix, Writer};
use enachi_proto::{Assembly, Limits};
use std::hint::black_box;

fn framing(c: &mut Criterion) {
    // About what the codec makes: ten chunks of 100 bytes to a datagram.
    let payload = [7u8; 100];
    let prefix = Prefix {
        task: 1000,
        cut: 3,
        slot: 40,
        end: End::Nothing,
    };
    let mut buffer = [0u8; 1162];
    let mut group = c.benchmark_group("framing");
    group.throughput(Throughput::Bytes(1000));
    group.bench_function("write", |b| {
        b.iter(|| {
            let mut writer = Writer::new(&mut buffer, prefix).unwrap();
            for id in 0..10 {
                writer.push(id, black_box(&payload));
            }
            black_box(writer.finish(End::Slot))
        });
    });
    let mut writer = Writer::new(&mut buffer, prefix).unwrap();
    for id in 0..10 {
        writer.push(id, &payload);
    }
    let length = writer.finish(End::Slot);
    let datagram = buffer[..length].to_vec();
    group.bench_function("read", |b| {
        b.iter(|| {
            let datagram = Datagram::parse(black_box(&datagram)).unwrap();
            datagram.parts().map(|p| p.bytes.len()).sum::<usize>()
        });
    });
    let empty = Assembly::new(16, &Limits::default());
    group.bench_function("read and assemble", |b| {
        let mut assembly = empty.clone();
        b.iter(|| {
            assembly.clone_from(&empty);
            let datagram = Datagram::parse(black_box(&datagram)).unwrap();
            for part in datagram.parts() {
                assembly.push(part, |_, bytes| {
                    black_box(bytes);
                });
            }
            assembly.arrived()
        });
    });
    let mut copy = [0u8; 1000];
    let source = [1u8; 1000];
    group.bench_function("copy", |b| {
        b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&source)));
    });
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
