//! A slot at the device, and its datagrams at the edge, allocate nothing.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../enachi-proto/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use enachi_proto::message::{Hello, RadioKind};
use enachi_proto::{EdgeSettings, Limits};
use enachi_runtime::cell::{Cell, energy};
use enachi_runtime::device::{Device, DeviceOptions, Emulated, ReplayedWork};
use enachi_runtime::edge::{Edge, EdgeOptions, Replay};
use enachi_sim::scenario::parse;
use enachi_sim::world::World;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const SCENARIO: &str = r#"
policies = ["enachi+stop-never"]
frames = 1
warmup_frames = 0
[frame]
length_s = 0.1
[channel]
bandwidth_hz = 30e3
[device]
deadline_s = 0.1
energy_budget_j = 0.01
[[devices]]
count = 1
"#;

#[test]
fn slots_and_their_datagrams_cost_no_allocation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles/tiny.parquet");
    let profile = enachi_data::profile::read(&path).unwrap();
    let scenario = parse(SCENARIO, "test.toml", &[]).unwrap();
    let cuts = profile.cuts.len() as u16;
    let cell = Cell::new(scenario.clone(), profile.clone()).unwrap();
    let deployment = Arc::new(Cell::new(scenario, profile).unwrap().deployment);
    let world = World::new(1, &deployment.setting);
    let packet = cell.variant.packet.clone();
    let hello = Hello {
        name: "one".into(),
        model_sha256: [0; 32],
        tables_sha256: [0; 32],
        cuts: (0..cuts).collect(),
        energy: energy(&deployment.devices[0]),
        radio: RadioKind::Emulated,
    };
    let settings = EdgeSettings {
        model_sha256: [0; 32],
        tables_sha256: [0; 32],
        cuts,
        limits: Limits::default(),
    };
    let options = EdgeOptions {
        settings,
        barrier: true,
        seed: 1,
    };
    let mut edge = Edge::new(cell, options, Replay::new(world.clone()), BTreeMap::new());
    let options = DeviceOptions {
        datagram_bytes: 1162,
        deadline_s: 0.1,
    };
    let work = ReplayedWork {
        deployment: &deployment,
        world: world.clone(),
        device: 0,
    };
    let radio = Emulated { world, device: 0 };
    let device = Device::new(Arc::clone(&deployment), packet, options, hello, radio, work);
    let mut device = device.unwrap();
    edge.connect(0);
    let settle = |edge: &mut Edge<Replay>, device: &mut Device<_, _>| {
        loop {
            let mut quiet = true;
            while let Some(bytes) = device.poll_transmit() {
                quiet = false;
                edge.control(0, &bytes, None).unwrap();
            }
            while let Some((_, bytes)) = edge.poll_transmit() {
                quiet = false;
                device.control(&bytes).unwrap();
            }
            if quiet {
                return;
            }
        }
    };
    settle(&mut edge, &mut device);
    device.offer(0, None).unwrap();
    settle(&mut edge, &mut device);
    edge.begin_frame(0.0);
    settle(&mut edge, &mut device);
    assert!(device.is_sending());
    let mut datagrams = 0;
    let before = allocations();
    for slot in 0..90u32 {
        device.slot(slot, |bytes| {
            datagrams += 1;
            edge.datagram(0, bytes, f64::from(slot + 1) * 1e-3);
        });
    }
    assert_eq!(allocations(), before);
    assert!(datagrams > 5, "{datagrams} datagrams");
}
