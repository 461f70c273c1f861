//! From a picture to its answer on loopback, one device, one task after another, without the barrier: what the runtime adds to head,
//! codec, air time and tail. Beside it the whole network on one core, and the same chunks framed over plain TCP. Then, with the barrier,
//! how long datagrams come after a stop. The table is in docs/runtime.md.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Drawn, Lab, loopback, scenario};
use enachi_model::codec::EncoderScratch;
use enachi_model::tensor::Tensor;
use enachi_runtime::client::{ClientOptions, run as run_device};
use enachi_runtime::device::{Finished, LiveWork};
use enachi_runtime::network::Network;
use enachi_runtime::pki;
use enachi_sim::scenario::Scenario;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

const TASKS: u32 = 300;
/// The cell's band is narrow; a wide one makes air time short and what the runtime adds visible.
const BANDS_HZ: [f64; 2] = [60e3, 2e6];

fn main() {
    // `cargo test --benches` runs this too: nothing to measure in a debug build.
    if cfg!(debug_assertions) {
        return;
    }
    println!("times in ms: median (95 % below)");
    for band_hz in BANDS_HZ {
        live(band_hz);
    }
    plain();
    silence();
}

/// Median and 95th percentile, as text.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * values[((values.len() - 1) as f64 * share) as usize];
    format!("{:.2} ({:.2})", at(0.5), at(0.95))
}

fn device(lab: &Lab, scenario: &Scenario, address: std::net::SocketAddr) -> Vec<Finished> {
    let options = ClientOptions {
        edge: address,
        name: Lab::name(0),
        seed: 1,
        radio: enachi_proto::message::RadioKind::Emulated,
        tasks: Some(TASKS),
        must_connect: true,
        ledger: None,
    };
    let mut all = Vec::new();
    let work = LiveWork::new(&lab.network, Box::new(Drawn { next: 0 }));
    let credentials = pki::credentials(&lab.pki(), &options.name).unwrap();
    run_device(
        &options,
        scenario.clone(),
        &lab.profile,
        &lab.network,
        work,
        &credentials,
        &AtomicBool::new(false),
        |finished| all.push(finished.clone()),
    )
    .unwrap();
    all
}

fn live(band_hz: f64) {
    let lab = Lab::new(1);
    // The modelled device is slow; here its head takes no longer than the real one, which the slots then wait for.
    let band = format!("channel.bandwidth_hz={band_hz}");
    let scenario = scenario(
        1,
        &[
            "device.frequency_hz=20e9",
            "device.capacitance_w_per_hz3=1e-33",
            &band,
        ],
    );
    let edge = lab.edge(scenario.clone(), loopback(), false);
    let done = device(&lab, &scenario, edge.address);
    edge.stop();
    let answered: Vec<_> = done
        .iter()
        .filter_map(|f| Some((f, f.answer.as_ref().filter(|a| !a.top.is_empty())?)))
        .collect();
    // Head, codec and air: the end of the last used slot, counted from the grant. Decoder and tail: as the edge has timed them.
    let known: Vec<f64> = answered
        .iter()
        .map(|(f, a)| f.report.sent_s + a.tail_s)
        .collect();
    let total: Vec<f64> = answered.iter().map(|(f, _)| f.elapsed_s).collect();
    let over: Vec<f64> = total.iter().zip(&known).map(|(t, k)| t - k).collect();
    let within = total
        .iter()
        .zip(&known)
        .filter(|(t, k)| **t <= 1.05 * **k + 2e-3)
        .count();
    println!(
        "live, {:.2} MHz: {} of {TASKS} answered by the edge, picture to answer {}, head + codec + air + tail {}, added {}; {:.1} % within 5 % + 2 ms",
        band_hz / 1e6,
        answered.len(),
        spread(total),
        spread(known),
        spread(over),
        100.0 * within as f64 / answered.len().max(1) as f64,
    );
}

/// A picture as the network takes it.
fn picture(network: &Network, index: u32) -> Tensor {
    Tensor {
        shape: network.input_shape().to_vec(),
        data: enachi_tiny::image(enachi_tiny::Split::Test, index).input(),
    }
}

/// The whole network, and a split one whose chunks go over TCP with a length before each.
fn plain() {
    let lab = Lab::new(1);
    let network = &lab.network;
    let whole = (0..TASKS)
        .map(|index| {
            let picture = picture(network, index);
            let start = Instant::now();
            network.whole(&picture).unwrap();
            start.elapsed().as_secs_f64()
        })
        .collect();
    println!("the whole network on one core: {}", spread(whole));
    let cut = (1..lab.profile.cuts.len())
        .find(|cut| network.sends(*cut, 0))
        .unwrap();
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| answer(listener.accept().unwrap().0, network, cut));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut scratch = EncoderScratch::default();
        let (mut total, mut head, mut bytes) = (Vec::new(), Vec::new(), 0);
        for index in 0..TASKS {
            let picture = picture(network, index);
            let start = Instant::now();
            let feature = network.head(&picture, cut).unwrap();
            let chunks = network
                .codec(cut)
                .unwrap()
                .encode(&feature.data, &mut scratch);
            head.push(start.elapsed().as_secs_f64());
            let mut message = (chunks.len() as u32).to_le_bytes().to_vec();
            for chunk in chunks {
                message.extend((chunk.payload.len() as u32).to_le_bytes());
                message.extend(&chunk.payload);
            }
            bytes += message.len();
            stream.write_all(&message).unwrap();
            let mut class = [0; 2];
            stream.read_exact(&mut class).unwrap();
            total.push(start.elapsed().as_secs_f64());
        }
        println!(
            "plain TCP, all chunks of {} ({} bytes), no radio: picture to answer {}, of it head + codec {}",
            lab.profile.cuts[cut].name,
            bytes / TASKS as usize,
            spread(total),
            spread(head),
        );
    });
}

fn answer(mut stream: TcpStream, network: &Network, cut: usize) {
    let mut word = [0; 4];
    while stream.read_exact(&mut word).is_ok() {
        let mut decoder = network.codec(cut).unwrap().decoder();
        for id in 0..u32::from_le_bytes(word) {
            stream.read_exact(&mut word).unwrap();
            let mut payload = vec![0; u32::from_le_bytes(word) as usize];
            stream.read_exact(&mut payload).unwrap();
            let _ = decoder.push(id as u16, &payload);
        }
        let mut feature = vec![0.0; network.elements(cut)];
        decoder.reconstruct(&mut feature);
        let answers = network.tails(cut, feature, 1).unwrap();
        let class = answers[0].as_ref().map_or(0, |(top, _)| top[0].class);
        stream.write_all(&class.to_le_bytes()).unwrap();
    }
}

/// Datagrams after a stop.
fn silence() {
    let lab = Lab::new(1);
    let scenario = scenario(1, &["frame.length_s=0.1", "device.deadline_s=0.1"]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let done = device(&lab, &scenario, edge.address);
    let (_, monitor) = edge.stop();
    println!(
        "stop to silence, at the edge, {} stops in {} tasks: {:.2} ms on average, {:.2} ms at most; a slot is {:.1} ms",
        monitor.stops,
        done.len(),
        1e3 * monitor.silence_sum_s / monitor.stops.max(1) as f64,
        1e3 * monitor.silence_max_s,
        1e3 * scenario.frame.slot_s,
    );
}
