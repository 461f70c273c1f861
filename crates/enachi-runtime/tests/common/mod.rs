//! A laboratory in this process: an edge and devices as threads, over QUIC on loopback, with the small network.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod scene;

use enachi_core::profile::Profile;
use enachi_core::record::FrameRecord;
use enachi_proto::message::{Hello, RadioKind};
use enachi_proto::{EdgeSettings, Limits};
use enachi_runtime::cell::Cell;
use enachi_runtime::client::{ClientError, ClientOptions, Done, run as run_device};
use enachi_runtime::device::{Input as Picture, Inputs, LiveWork};
use enachi_runtime::edge::EdgeOptions;
use enachi_runtime::ledger::Ledger;
use enachi_runtime::monitor::Monitor;
use enachi_runtime::network::Network;
use enachi_runtime::pki::{self, Credentials};
use enachi_runtime::serve::{ServeError, ServeOptions, serve};
use enachi_runtime::transport::{Server, ServerOptions, inputs};
use enachi_sim::deployment::Deployment;
use enachi_sim::scenario::{DeviceGroup, Scenario, parse};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub struct Drawn {
    pub next: u32,
}

impl Inputs for Drawn {
    fn next(&mut self) -> Option<Result<Picture, String>> {
        let picture = enachi_tiny::image(enachi_tiny::Split::Test, self.next);
        self.next += 1;
        Some(Ok(Picture {
            values: picture.input(),
            label: Some(picture.label),
        }))
    }
}

/// The demonstration's cell, with frames long enough for a busy machine.
pub fn scenario(devices: u32, overrides: &[&str]) -> Scenario {
    let text = include_str!("../../../../scenarios/demo.toml");
    let mut all = vec![
        "frame.length_s=0.4".to_owned(),
        "device.deadline_s=0.4".into(),
    ];
    all.extend(overrides.iter().map(|o| (*o).to_owned()));
    let mut scenario = parse(text, "demo.toml", &all).unwrap();
    scenario.devices = (0..devices)
        .map(|index| DeviceGroup {
            count: 1,
            distance_m: Some([60.0 + 20.0 * f64::from(index); 2]),
            ..DeviceGroup::default()
        })
        .collect();
    scenario
}

pub struct Lab {
    pub folder: tempfile::TempDir,
    pub profile: Profile,
    pub network: Arc<Network>,
    /// Of its devices.
    pub radio: RadioKind,
}

impl Lab {
    /// With certificates of `devices` devices.
    pub fn new(devices: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        pki::init(&pki, &[], 1).unwrap();
        for index in 0..devices {
            pki::admit(&pki, &Self::name(index), 1).unwrap();
        }
        let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
        let profile = enachi_data::profile::read(&profiles.join("tiny.parquet")).unwrap();
        let tables = std::fs::read(profiles.join("tiny.tables.safetensors")).unwrap();
        let network = Arc::new(Network::new(&profile, enachi_tiny::MODEL, &tables).unwrap());
        Self {
            folder,
            profile,
            network,
            radio: RadioKind::Emulated,
        }
    }

    pub fn name(index: u32) -> String {
        format!("device-{index}")
    }

    pub fn pki(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    /// Start an edge.
    pub fn edge(&self, scenario: Scenario, address: SocketAddr, barrier: bool) -> RunningEdge {
        let cell = Cell::new(scenario.clone(), self.profile.clone()).unwrap();
        let (sender, inputs) = inputs(32);
        let stop = Arc::new(AtomicBool::new(false));
        let server = Server::listen(
            &ServerOptions {
                address,
                pki: self.pki(),
                connections: 32,
                bytes_per_s: 2_000_000,
            },
            pki::credentials(&self.pki(), "edge").unwrap(),
            sender.clone(),
        )
        .unwrap();
        let monitor = Arc::new(Mutex::new(Monitor::default()));
        let options = ServeOptions {
            edge: EdgeOptions {
                settings: EdgeSettings {
                    model_sha256: self.network.model_sha256,
                    tables_sha256: self.network.tables_sha256,
                    cuts: self.profile.cuts.len() as u16,
                    limits: Limits::default(),
                },
                barrier,
                seed: 1,
            },
            workers: 2,
            ledger: Some(Ledger::open_to_write(&self.folder.path().join("queues.txt")).unwrap()),
            keep_records: true,
            sink: None,
            stop: Arc::clone(&stop),
        };
        let (lines, network, seen) = (
            server.lines.clone(),
            Arc::clone(&self.network),
            Arc::clone(&monitor),
        );
        let address = server.address;
        let thread = std::thread::spawn(move || {
            let records = serve(cell, &network, options, sender, &inputs, &lines, &seen);
            server.close();
            records.map(|served| {
                served.ledger.unwrap();
                served.records
            })
        });
        RunningEdge {
            address,
            stop,
            monitor,
            thread,
        }
    }

    /// Start a device.
    pub fn device(
        &self,
        index: u32,
        edge: SocketAddr,
        scenario: &Scenario,
        tasks: u32,
    ) -> JoinHandle<Result<Done, ClientError>> {
        let credentials = pki::credentials(&self.pki(), &Self::name(index)).unwrap();
        self.device_with(index, edge, scenario, tasks, credentials)
    }

    /// Run the first `count` devices to their ends.
    pub fn devices(
        &self,
        count: u32,
        edge: SocketAddr,
        scenario: &Scenario,
        tasks: u32,
    ) -> Vec<Done> {
        let started: Vec<_> = (0..count)
            .map(|index| self.device(index, edge, scenario, tasks))
            .collect();
        let ended = started.into_iter();
        ended
            .map(|device| device.join().unwrap().unwrap())
            .collect()
    }

    /// Start a device that shows `credentials`.
    pub fn device_with(
        &self,
        index: u32,
        edge: SocketAddr,
        scenario: &Scenario,
        tasks: u32,
        credentials: Credentials,
    ) -> JoinHandle<Result<Done, ClientError>> {
        let network = Arc::clone(&self.network);
        self.device_on(index, edge, scenario, tasks, credentials, network)
    }

    /// Start a device that holds `network`.
    pub fn device_on(
        &self,
        index: u32,
        edge: SocketAddr,
        scenario: &Scenario,
        tasks: u32,
        credentials: Credentials,
        network: Arc<Network>,
    ) -> JoinHandle<Result<Done, ClientError>> {
        let own = Scenario {
            devices: vec![scenario.devices[index as usize].clone()],
            ..scenario.clone()
        };
        let options = ClientOptions {
            edge,
            name: Self::name(index),
            seed: 100 + u64::from(index),
            radio: self.radio,
            tasks: Some(tasks),
            must_connect: true,
            ledger: None,
        };
        let profile = self.profile.clone();
        std::thread::spawn(move || {
            let drawn = Drawn { next: 50 * index };
            let work = LiveWork::new(&network, Box::new(drawn));
            let cancel = AtomicBool::new(false);
            run_device(
                &options,
                own,
                &profile,
                &network,
                work,
                &credentials,
                &cancel,
                |_| {},
            )
        })
    }
}

/// What a device of this laboratory says first.
pub fn hello(lab: &Lab, scenario: &Scenario, index: u32) -> Hello {
    let deployment = Deployment::new(scenario.clone(), lab.profile.clone()).unwrap();
    Hello {
        name: Lab::name(index),
        model_sha256: lab.network.model_sha256,
        tables_sha256: lab.network.tables_sha256,
        cuts: vec![1],
        energy: enachi_runtime::cell::energy(&deployment.devices[index as usize]),
        radio: RadioKind::Emulated,
    }
}

pub struct RunningEdge {
    pub address: SocketAddr,
    pub monitor: Arc<Mutex<Monitor>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<FrameRecord>, ServeError>>,
}

impl RunningEdge {
    pub fn stop(self) -> (Vec<FrameRecord>, Monitor) {
        self.stop.store(true, Ordering::Relaxed);
        let records = self.thread.join().unwrap().unwrap();
        let monitor = self.monitor.lock().unwrap().clone();
        (records, monitor)
    }
}

/// All of `tasks` tasks ended, half of those in time at the edge or more, and half of them right. The network is right in 97.8 % of the
/// tasks, in one of twelve by chance; a busy machine cuts uploads short.
pub fn check_served(done: &Done, tasks: u64) {
    assert_eq!(done.tasks, tasks, "{done:?}");
    assert_eq!(done.by_edge + done.by_device, tasks, "{done:?}");
    let in_time = tasks - done.late;
    assert!(done.by_edge > 0 && 2 * done.by_edge >= in_time, "{done:?}");
    assert_eq!(
        (done.known, done.account.frames),
        (tasks, tasks),
        "{done:?}"
    );
    assert!(2 * done.right >= in_time, "{done:?}");
    // Not one datagram left after the message that stops it had come.
    assert_eq!(done.late_datagrams, 0, "{done:?}");
}

/// What the edge has written down is what the devices have taken: an answer each, and right as often.
pub fn check_records(records: &[FrameRecord], done: &[Done]) {
    let answered = records.iter().filter(|r| r.entropy_nats.is_some()).count();
    let sum = |of: fn(&Done) -> u64| done.iter().map(of).sum::<u64>();
    assert_eq!(answered as u64, sum(|d| d.by_edge), "{done:?}");
    if sum(|d| d.late) == 0 {
        let right = records.iter().filter(|r| r.correct).count();
        assert_eq!(right as u64, sum(|d| d.right), "{done:?}");
    }
}

/// Any free port of this machine.
pub fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}
