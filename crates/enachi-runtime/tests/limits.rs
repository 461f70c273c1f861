//! What one device may not do to the others, to the plans, or to its own account. No assertion rests on this machine's speed.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::scene::{Scene, report, settings};
use common::{Lab, hello, loopback, scenario};
use enachi_core::task::{FrameView, PlanFailure, StreamUse, TaskGrant, TaskPolicy};
use enachi_proto::message::{Account, Energy, Fading, Idle, RefuseReason, Report};
use enachi_proto::{DeviceEvent, EdgeEvent, EdgeSession};
use enachi_runtime::cell::{self, Cell};
use enachi_runtime::device::{Device, DeviceOptions, Emulated, ReplayedWork, Signal};
use enachi_runtime::edge::{EdgeOptions, Happening};
use enachi_runtime::monitor::Monitor;
use enachi_runtime::pki;
use enachi_runtime::serve::{ServeOptions, serve};
use enachi_runtime::transport::{
    Input, Lines, MOST_WAITING, Server, ServerOptions, connect, inputs,
};
use enachi_sim::world::World;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn account(queue_j: f64, spent_j: f64, frames: u64) -> Account {
    Account {
        queue_j,
        spent_j,
        frames,
    }
}

/// Accounts of an earlier run, of the only device.
fn earlier(account: Account) -> BTreeMap<String, Account> {
    BTreeMap::from([(Lab::name(0), account)])
}

/// Why the device was sent away.
fn refused(heard: &[DeviceEvent]) -> Option<RefuseReason> {
    heard.iter().find_map(|event| match event {
        DeviceEvent::Refused(refuse) => Some(refuse.reason),
        _ => None,
    })
}

#[test]
fn an_account_that_goes_back_is_not_taken_and_said_once() {
    let known = account(0.03, 0.5, 40);
    let mut scene = Scene::joined(|_| {}, earlier(known));
    scene.happened();
    let mut backward = Vec::new();
    // A device that has forgotten its past, then one that goes on as it should.
    for (task, told) in [(0, account(0.0, 0.01, 1)), (1, account(0.04, 0.51, 39))] {
        scene.offer(task, 0.0);
        let told = Report {
            task,
            account: told,
            ..report()
        };
        scene.device.report(told).unwrap();
        scene.settle();
        let happened = scene.happened();
        backward.extend(happened.into_iter().filter_map(|h| match h {
            Happening::AccountBack { known, .. } => Some(known),
            _ => None,
        }));
    }
    assert_eq!(backward, [known]);
    let kept = scene.edge.changed_accounts();
    let (_, kept) = kept.last().unwrap();
    assert_eq!(*kept, account(0.04, 0.51, 40));
    scene.offer(2, 0.0);
    let further = account(0.01, 0.6, 41);
    let told = Report {
        task: 2,
        account: further,
        ..report()
    };
    scene.device.report(told).unwrap();
    scene.settle();
    assert_eq!(scene.edge.changed_accounts().last().unwrap().1, further);
}

#[test]
fn energies_that_a_device_cannot_have_spent_end_its_session() {
    // Of the description: what the radio draws at its most, and the processor at full load, for a frame and a deadline of 0.4 s.
    let energy = {
        let lab = Lab::new(0);
        hello(&lab, &scenario(1, &[]), 0).energy
    };
    let Energy {
        frequency_hz: f,
        capacitance_w_per_hz3: capacitance,
        ..
    } = energy;
    let busy_w = energy.power_max_w + energy.circuit_power_w + energy.idle_power_w;
    let most_j = (busy_w + capacitance * f * f * f) * 2.0 * 0.4;
    let told = |energy_transmit_j| {
        let mut scene = Scene::new();
        let report = Report {
            energy_transmit_j,
            account: account(0.0, energy_transmit_j, 1),
            ..report()
        };
        scene.device.report(report).unwrap();
        (refused(&scene.settle()), scene.edge.changed_accounts())
    };
    // A radio at its most for as long as there is.
    let (honest, kept) = told(energy.power_max_w * 0.4);
    assert_eq!((honest, kept.len()), (None, 1));
    let (claimed, kept) = told(3.0 * most_j + 1.0);
    assert_eq!(claimed, Some(RefuseReason::Misbehaviour));
    assert!(kept.is_empty());
    // Queues and idle frames are held to the same.
    let mut scene = Scene::joined(|_| {}, BTreeMap::new());
    let heard = scene.offer(0, 1e12);
    assert_eq!(refused(&heard), Some(RefuseReason::Misbehaviour));
    let mut scene = Scene::joined(|_| {}, BTreeMap::new());
    let idle = Idle {
        frames: 2,
        gain: 1e-10,
        fading: Fading::None,
        mean_gain: 1e-10,
        energy_queue_j: 0.0,
        energy_j: 2.0 * (3.0 * most_j + 1.0),
        account: Account::default(),
        tasks: None,
    };
    scene.device.idle(idle).unwrap();
    assert_eq!(refused(&scene.settle()), Some(RefuseReason::Misbehaviour));
}

/// Whatever the energies of a task or of idle frames are, the account told with them must have come from the last one in frames that can
/// have cost it; the largest numbers would be kept for good.
#[test]
fn an_account_that_frames_cannot_have_cost_is_not_taken() {
    let known = account(0.03, 0.5, 40);
    let sent_away = Some(RefuseReason::Misbehaviour);
    let reported = |told: Account| {
        let mut scene = Scene::joined(|_| {}, earlier(known));
        scene.offer(0, 0.0);
        let report = Report {
            account: told,
            ..report()
        };
        scene.device.report(report).unwrap();
        (refused(&scene.settle()), scene.edge.changed_accounts())
    };
    let idle = |told: Account| {
        let mut scene = Scene::joined(|_| {}, earlier(known));
        let idle = Idle {
            frames: 1,
            gain: 1e-10,
            fading: Fading::None,
            mean_gain: 1e-10,
            energy_queue_j: 0.0,
            energy_j: 0.0,
            account: told,
            tasks: None,
        };
        scene.device.idle(idle).unwrap();
        (refused(&scene.settle()), scene.edge.changed_accounts())
    };
    // Far more than one frame costs, or a thousand, more frames than there can have been, and a queue as long.
    for told in [
        account(0.0, 1e12, 41),
        account(0.0, 1e6, 1040),
        account(0.0, 1e12, 1 << 53),
        account(0.0, 0.5, 1 << 53),
        account(1e12, 0.5, 41),
    ] {
        assert_eq!(reported(told), (sent_away, vec![]), "{told:?}");
        assert_eq!(idle(told), (sent_away, vec![]), "{told:?}");
    }
    // A frame, and a thousand that the device was alone.
    for told in [account(0.01, 0.501, 41), account(0.02, 1.5, 1040)] {
        let kept = vec![(Lab::name(0), told)];
        assert_eq!(reported(told), (None, kept.clone()), "{told:?}");
        assert_eq!(idle(told), (None, kept), "{told:?}");
    }
}

#[test]
fn a_device_is_granted_only_cuts_that_it_has() {
    let cut = |scene: &Scene| scene.grant.and_then(|grant| grant.choice).map(|c| c.cut);
    let mut scene = Scene::joined(|_| {}, BTreeMap::new());
    scene.offer(0, 0.0);
    let mut lacking: Vec<u16> = vec![cut(&scene).unwrap()];
    // Take away whatever it would be granted until nothing is left.
    loop {
        let without = lacking.clone();
        let mut scene = Scene::joined(
            move |hello| hello.cuts.retain(|cut| !without.contains(cut)),
            BTreeMap::new(),
        );
        scene.offer(0, 0.0);
        let Some(next) = cut(&scene) else {
            break;
        };
        assert!(!lacking.contains(&next), "{next} of {lacking:?}");
        lacking.push(next);
    }
    assert!(lacking.len() >= 3, "{lacking:?}");
}

/// A policy that remembers what it was told to forget.
#[derive(Default)]
struct Memory(Arc<Mutex<Vec<Option<usize>>>>);

impl TaskPolicy for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }
    fn plan(&mut self, _: &FrameView<'_>, _: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        Ok(())
    }
    fn forget(&mut self, n: usize) {
        self.0.lock().unwrap().push(Some(n));
    }
    fn reset(&mut self) {
        self.0.lock().unwrap().push(None);
    }
}

#[test]
fn a_device_that_changes_takes_nothing_from_the_others() {
    let lab = Lab::new(0);
    let mut cell = Cell::new(scenario(3, &[]), lab.profile.clone()).unwrap();
    let memory = Memory::default();
    let forgotten = Arc::clone(&memory.0);
    cell.policy = Box::new(memory);
    let before: Vec<_> = [0, 2].map(|n| cell.candidates(n).to_vec()).into();
    let ranges = cell.offer.device_candidates.clone();
    let now = &cell.deployment.devices[1];
    let faster = Energy {
        frequency_hz: 2.0 * cell::energy(now).frequency_hz,
        ..cell::energy(now)
    };
    let own = cell.candidates(1).to_vec();
    let cuts: Vec<u16> = own.iter().map(|c| c.cut as u16).skip(1).collect();
    cell.replace_device(1, cell::device(&faster, now), &cuts);
    assert_eq!(*forgotten.lock().unwrap(), [Some(1)]);
    let after: Vec<_> = [0, 2].map(|n| cell.candidates(n).to_vec()).into();
    assert_eq!(before, after);
    let others = |ranges: &[std::ops::Range<u32>]| [ranges[0].clone(), ranges[2].clone()];
    assert_eq!(others(&ranges), others(&cell.offer.device_candidates));
    // Its own are those of a processor twice as fast, without the cut that it lacks.
    let range = cell.offer.device_candidates[1].clone();
    assert_eq!(range.len(), own.len() - 1);
    for (index, old) in range.zip(&own[1..]) {
        let new = &cell.offer.candidates[index as usize];
        assert_eq!(new.cut, old.cut);
        assert!((new.head_time_s - 0.5 * old.head_time_s).abs() < 1e-12);
    }
    assert!(cell.has_cuts(1, &cuts) && !cell.has_cuts(1, &cuts[1..]));
}

#[test]
fn an_account_of_a_larger_budget_goes_on_whole_and_is_told() {
    let lab = Lab::new(0);
    let scenario = scenario(1, &[]);
    let cell = Cell::new(scenario.clone(), lab.profile.clone()).unwrap();
    let deployment = Arc::new(cell.deployment.clone());
    let budget_j = deployment.devices[0].values.energy_budget_j;
    let world = World::new(1, &deployment.setting);
    let work = ReplayedWork {
        deployment: &deployment,
        world: world.clone(),
        device: 0,
    };
    let mut device = Device::new(
        Arc::clone(&deployment),
        scenario.packet.clone(),
        DeviceOptions {
            datagram_bytes: 1162,
            deadline_s: 0.4,
        },
        hello(&lab, &scenario, 0),
        Emulated { world, device: 0 },
        work,
    )
    .unwrap();
    // Ten frames that were allowed three times as much, and spent it.
    let kept = account(0.0, 30.0 * budget_j, 10);
    let mut edge = EdgeSession::new(settings(&lab));
    while let Some(bytes) = device.poll_transmit() {
        edge.received(&bytes).unwrap();
    }
    assert!(matches!(edge.poll_event(), Some(EdgeEvent::Hello(_))));
    edge.welcome(cell.welcome(0, 4, Some(kept))).unwrap();
    while let Some(bytes) = edge.poll_transmit() {
        device.control(&bytes).unwrap();
    }
    let told = device.take_signals().into_iter().find_map(|s| match s {
        Signal::AccountRaised { kept, queue_j } => Some((kept, queue_j)),
        _ => None,
    });
    let (said, queue_j) = told.unwrap();
    assert_eq!(said, kept);
    assert!((queue_j - 20.0 * budget_j).abs() < 1e-9 * queue_j);
    assert_eq!(device.account(), account(queue_j, kept.spent_j, 10));
    // A later copy that is behind takes nothing back.
    assert!(device.resume(&account(0.0, 0.5 * budget_j, 3)));
    assert_eq!(device.account(), account(queue_j, kept.spent_j, 10));
}

#[test]
fn a_flood_leaves_the_others_their_room_in_the_queue() {
    const GOOD: usize = 20;
    let lab = Lab::new(2);
    // Nobody takes anything out of the queue until all is sent, which has room for two connections.
    let (sender, queue) = inputs(2);
    let options = ServerOptions {
        address: loopback(),
        pki: lab.pki(),
        connections: 4,
        bytes_per_s: 1_000_000_000,
    };
    let credentials = pki::credentials(&lab.pki(), "edge").unwrap();
    let server = Server::listen(&options, credentials, sender).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let line = |index| {
        let credentials = pki::credentials(&lab.pki(), &Lab::name(index)).unwrap();
        let line = connect(runtime.handle(), server.address, &credentials, PATIENCE).unwrap();
        line.control(b"hello".to_vec());
        line
    };
    let mut flood = line(0);
    for _ in 0..200 {
        for _ in 0..40 {
            flood.datagram(&[7; 60]);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut good = line(1);
    for _ in 0..GOOD {
        good.datagram(&[1; 60]);
    }
    std::thread::sleep(Duration::from_millis(700));
    let mut waiting = 0;
    let mut heard = [0; 2];
    let mut names = BTreeMap::new();
    // What waits now was put there before anything was taken: no place is given back while `held` lives.
    let mut held = Vec::new();
    loop {
        match queue.recv_timeout(Duration::from_millis(500)) {
            Ok(Input::Connected { connection, name }) => drop(names.insert(connection, name)),
            Ok(Input::Datagram(connection, bytes, place)) => {
                let good = names[&connection] == Lab::name(1);
                assert_eq!(bytes[0], if good { 1 } else { 7 });
                heard[usize::from(good)] += 1;
                held.push(place);
            }
            Ok(Input::Control(_, _, place)) => {
                waiting += 1;
                held.push(place);
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => break,
            Err(end) => panic!("{end}"),
        }
    }
    // Its share, less the place of its control bytes; of 8000.
    assert!(
        heard[0] < MOST_WAITING && heard[0] > MOST_WAITING / 2,
        "{heard:?}"
    );
    assert_eq!((heard[1], waiting), (GOOD, 2));
    drop(held);
    server.close();
}

#[test]
fn an_edge_ends_when_it_is_told_however_full_its_queue_is() {
    let lab = Lab::new(0);
    let cell = Cell::new(scenario(1, &[]), lab.profile.clone()).unwrap();
    let (sender, queue) = sync_channel(8);
    while sender.try_send(Input::Wake).is_ok() {}
    let options = ServeOptions {
        edge: EdgeOptions {
            settings: settings(&lab),
            barrier: true,
            seed: 1,
        },
        workers: 1,
        ledger: None,
        keep_records: false,
        sink: None,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let stop = Arc::clone(&options.stop);
    let (done, ended) = channel();
    let network = Arc::clone(&lab.network);
    let filler = sender.clone();
    std::thread::spawn(move || {
        let monitor = Arc::new(Mutex::new(Monitor::default()));
        let lines = Lines::default();
        let outcome = serve(cell, &network, options, sender, &queue, &lines, &monitor);
        done.send(outcome.is_ok()).unwrap();
    });
    // Never an empty queue, and then the word.
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        let _ = filler.try_send(Input::Wake);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    while filler.send(Input::Wake).is_ok() {}
    assert!(ended.recv_timeout(PATIENCE).unwrap());
}
