//! Peers that should not get in, stay or disturb: over QUIC on loopback, with a good device beside them that must not notice.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Lab, RunningEdge, check_served, hello, loopback, scenario};
use enachi_proto::message::{Account, Ending, Fading, Hello, Offer, RefuseReason, Report, ToEdge};
use enachi_proto::stream::encode;
use enachi_proto::{DeviceEvent, DeviceSession, VERSION};
use enachi_runtime::client::ClientError;
use enachi_runtime::network::Network;
use enachi_runtime::pki::{self, Credentials};
use enachi_runtime::transport::{FromEdge, Input, Line, Server, ServerOptions, connect};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A peer that writes what it likes.
struct Peer {
    runtime: tokio::runtime::Runtime,
    credentials: Credentials,
}

impl Peer {
    fn new(lab: &Lab, index: u32) -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            credentials: pki::credentials(&lab.pki(), &Lab::name(index)).unwrap(),
        }
    }

    /// A line, as soon as the edge has a place for it.
    fn line(&self, edge: &RunningEdge) -> Line {
        let until = Instant::now() + PATIENCE;
        loop {
            let handle = self.runtime.handle();
            match connect(handle, edge.address, &self.credentials, PATIENCE) {
                Ok(line) => return line,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A line on which the edge has said welcome.
    fn admitted(&self, edge: &RunningEdge, hello: Hello) -> (Line, DeviceSession) {
        let line = self.line(edge);
        let mut session = DeviceSession::new(hello).unwrap();
        while let Some(bytes) = session.poll_transmit() {
            line.control(bytes);
        }
        while let Ok(FromEdge::Control(bytes)) = line.inputs.recv_timeout(PATIENCE) {
            session.received(&bytes).unwrap();
            if let Some(DeviceEvent::Welcome(_)) = session.poll_event() {
                return (line, session);
            }
        }
        panic!("no welcome");
    }
}

/// Whether the edge hangs up.
fn hung_up(line: &Line) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        match line
            .inputs
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            Ok(FromEdge::Control(_)) => {}
            Ok(FromEdge::Gone(_) | FromEdge::TurnedAway(_)) => return true,
            Err(end) => return end == RecvTimeoutError::Disconnected,
        }
    }
}

fn report(task: u32) -> Report {
    Report {
        task,
        energy_local_j: 0.0,
        energy_codec_j: 0.0,
        energy_transmit_j: 0.0,
        account: Account::default(),
        slots: 0,
        bits: 0.0,
        total_bits: 0.0,
        mean_power_w: 0.0,
        mean_gain: 1e-12,
        power_queue_w: 0.0,
        ending: Ending::NotSending,
        ready_s: 0.0,
        sent_s: 0.0,
        level: None,
        image: None,
        label: None,
        local: None,
        answered_s: None,
        tasks: None,
    }
}

#[test]
fn a_device_that_was_killed_takes_its_place_again_at_once() {
    let lab = Lab::new(1);
    let scenario = scenario(1, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let killed = Peer::new(&lab, 0);
    // It never says goodbye, and its line stays open.
    let (line, mut session) = killed.admitted(&edge, hello(&lab, &scenario, 0));
    let again = lab.device(0, edge.address, &scenario, 3).join().unwrap();
    let again = again.unwrap();
    assert_eq!((again.tasks, again.connections), (3, 1));
    // The old line hears who has taken its place.
    let mut heard = None;
    while let Ok(FromEdge::Control(bytes)) = line.inputs.recv_timeout(PATIENCE) {
        session.received(&bytes).unwrap();
        while let Some(event) = session.poll_event() {
            if let DeviceEvent::Refused(refuse) = event {
                heard = Some(refuse);
            }
        }
    }
    let heard = heard.unwrap();
    assert_eq!(heard.reason, RefuseReason::Identity);
    assert!(heard.detail.contains("takes its place"), "{}", heard.detail);
    let (records, _) = edge.stop();
    assert_eq!(records.len(), 3);
}

#[test]
fn peers_that_dribble_are_hung_up_on_and_one_certificate_does_not_take_all_places() {
    let lab = Lab::new(2);
    let scenario = scenario(2, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let slow = Peer::new(&lab, 1);
    // Twice as many lines as the edge has places, each with the beginning of a greeting.
    let lines: Vec<Line> = (0..64)
        .map(|_| {
            let line = slow.line(&edge);
            line.control(b"ENCH".to_vec());
            line
        })
        .collect();
    let good = lab.device(0, edge.address, &scenario, 8);
    let greeting = [
        enachi_proto::stream::preamble().to_vec(),
        encode(&ToEdge::Hello(hello(&lab, &scenario, 1))).unwrap(),
    ];
    // One goes on, a byte at a time, and would take half a minute for its greeting.
    let last = lines.last().unwrap();
    for byte in &greeting.concat()[4..] {
        last.control(vec![*byte]);
        match last.inputs.recv_timeout(Duration::from_millis(200)) {
            Err(RecvTimeoutError::Timeout) | Ok(FromEdge::Control(_)) => {}
            _ => break,
        }
    }
    for line in &lines {
        assert!(hung_up(line));
    }
    let done = good.join().unwrap().unwrap();
    check_served(&done, 8);
    assert_eq!(done.connections, 1);
    let (_, monitor) = edge.stop();
    assert!(monitor.refused >= 64, "{}", monitor.refused);
}

fn offer(task: u32) -> Offer {
    Offer {
        task,
        gain: 1e-12,
        fading: Fading::Rayleigh,
        energy_queue_j: 0.0,
        deadline_s: 0.4,
    }
}

#[test]
fn floods_of_messages_end_the_session_and_nobody_else_s() {
    let lab = Lab::new(2);
    let scenario = scenario(2, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let good = lab.device(0, edge.address, &scenario, 8);
    let peer = Peer::new(&lab, 1);
    // More offers than may be outstanding, ...
    let (line, _) = peer.admitted(&edge, hello(&lab, &scenario, 1));
    for task in 0..100 {
        line.control(encode(&ToEdge::Offer(offer(task))).unwrap());
    }
    assert!(hung_up(&line));
    // ... task numbers that go back, ...
    let (line, _) = peer.admitted(&edge, hello(&lab, &scenario, 1));
    for task in [7, 3] {
        line.control(encode(&ToEdge::Offer(offer(task))).unwrap());
    }
    assert!(hung_up(&line));
    // ... and more bytes of harmless messages than a device may send.
    let (line, _) = peer.admitted(&edge, hello(&lab, &scenario, 1));
    let many = encode(&ToEdge::Report(report(1))).unwrap().repeat(1000);
    for _ in 0..100 {
        line.control(many.clone());
    }
    assert!(hung_up(&line));
    let done = good.join().unwrap().unwrap();
    check_served(&done, 8);
    assert_eq!(done.connections, 1);
    let (records, _) = edge.stop();
    assert_eq!(records.len(), 8);
}

#[test]
fn an_expired_certificate_is_named_before_and_after_connecting() {
    let lab = Lab::new(1);
    let scenario = scenario(2, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    pki::admit(&lab.pki(), &Lab::name(1), 0).unwrap();
    // Validity counts in seconds.
    std::thread::sleep(Duration::from_millis(2100));
    let error = pki::credentials(&lab.pki(), &Lab::name(1)).err().unwrap();
    let error = error.to_string();
    assert!(
        error.contains("device-1.pem") && error.contains("expired"),
        "{error}"
    );
    // A device whose clock is wrong does not notice; the edge does.
    let read = |file: &str| std::fs::read(lab.pki().join(file)).unwrap();
    use rustls_pki_types::pem::PemObject;
    let shown = Credentials {
        authority: rustls_pki_types::CertificateDer::from_pem_slice(&read("ca.pem")).unwrap(),
        certificate: rustls_pki_types::CertificateDer::from_pem_slice(&read("device-1.pem"))
            .unwrap(),
        key: rustls_pki_types::PrivateKeyDer::from_pem_slice(&read("device-1.key")).unwrap(),
    };
    // The edge's word about a certificate is one packet, sent once: where it is lost, or a busy machine lets the device's patience run
    // out first, there is only silence. Whatever is heard, the device is never served.
    let why = (0..10).find_map(|_| {
        let shown = Credentials {
            authority: shown.authority.clone(),
            certificate: shown.certificate.clone(),
            key: shown.key.clone_key(),
        };
        let device = lab.device_with(1, edge.address, &scenario, 1, shown);
        match device.join().unwrap() {
            Err(ClientError::TurnedAway(why)) => Some(why),
            Err(ClientError::Transport(_)) => None,
            Err(other) => panic!("{other}"),
            Ok(done) => {
                assert_eq!(done.by_edge, 0);
                None
            }
        }
    });
    let why = why.unwrap();
    assert!(why.contains("expired"), "{why}");
    let good = lab.device(0, edge.address, &scenario, 2).join().unwrap();
    assert_eq!(good.unwrap().connections, 1);
    let (_, monitor) = edge.stop();
    assert!(monitor.refused >= 1);
}

#[test]
fn another_network_or_other_tables_are_refused_by_name() {
    let lab = Lab::new(1);
    let scenario = scenario(1, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let profiles = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
    let tables = std::fs::read(profiles.join("tiny.tables.safetensors")).unwrap();
    for (change, reason) in [(0, RefuseReason::Model), (1, RefuseReason::Tables)] {
        let mut other = Network::new(&lab.profile, enachi_tiny::MODEL, &tables).unwrap();
        match change {
            0 => other.model_sha256[5] ^= 1,
            _ => other.tables_sha256[5] ^= 1,
        }
        let credentials = pki::credentials(&lab.pki(), &Lab::name(0)).unwrap();
        let other = Arc::new(other);
        let refused = lab.device_on(0, edge.address, &scenario, 1, credentials, other);
        let Err(ClientError::Refused(refuse)) = refused.join().unwrap() else {
            panic!("not refused");
        };
        assert_eq!(refuse.reason, reason);
    }
    edge.stop();
}

#[test]
fn other_versions_are_told_apart_on_both_sides() {
    let lab = Lab::new(1);
    let scenario = scenario(1, &[]);
    let [low, high] = (VERSION + 1).to_le_bytes();
    let other = [b'E', b'N', b'C', b'H', low, high];
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let peer = Peer::new(&lab, 0);
    let line = peer.line(&edge);
    line.control(other.to_vec());
    assert!(hung_up(&line));
    let (_, monitor) = edge.stop();
    assert!(monitor.refused >= 1);
    // An edge of the next version.
    let (sender, inputs) = sync_channel(64);
    let options = ServerOptions {
        address: loopback(),
        pki: lab.pki(),
        connections: 4,
        bytes_per_s: 1_000_000,
    };
    let credentials = pki::credentials(&lab.pki(), "edge").unwrap();
    let server = Server::listen(&options, credentials, sender).unwrap();
    let device = lab.device(0, server.address, &scenario, 1);
    while let Ok(input) = inputs.recv_timeout(PATIENCE) {
        if let Input::Connected { connection, .. } = input {
            assert!(server.lines.send(connection, other.to_vec()));
            break;
        }
    }
    let error = device.join().unwrap().unwrap_err().to_string();
    assert!(
        error.contains(&format!("version {}", VERSION + 1)),
        "{error}"
    );
    server.close();
}
