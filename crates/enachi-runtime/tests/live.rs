//! Edge and devices over QUIC on loopback, with the small network. No assertion is about how fast this machine is: a task that
//! is late is counted, not failed.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Lab, check_records, check_served, loopback, scenario};
use enachi_proto::message::{RadioKind, RefuseReason};
use enachi_proto::stream::preamble;
use enachi_runtime::client::ClientError;
use enachi_runtime::ledger::Ledger;
use enachi_runtime::pki::{self, Credentials};
use enachi_runtime::transport::{FromEdge, connect};
use std::time::{Duration, Instant};

#[test]
fn every_task_ends_and_the_books_agree() {
    let lab = Lab::new(3);
    let scenario = scenario(3, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let done = lab.devices(3, edge.address, &scenario, 8);
    let (records, monitor) = edge.stop();
    for device in &done {
        check_served(device, 8);
    }
    assert_eq!((records.len(), monitor.unreported), (24, 0), "{done:?}");
    check_records(&records, &done);
    let spent: f64 = done.iter().map(|d| d.account.spent_j).sum();
    let recorded: f64 = records
        .iter()
        .map(enachi_core::record::FrameRecord::energy_j)
        .sum();
    assert!(
        (spent - recorded).abs() < 1e-9 * spent,
        "{spent} {recorded}"
    );
    assert_eq!(monitor.bad_datagrams, 0);
    // The energy queues are on disk.
    let ledger = Ledger::open(&lab.folder.path().join("queues.txt")).unwrap();
    for (index, device) in (0..).zip(&done) {
        assert_eq!(ledger.accounts()[&Lab::name(index)], device.account);
    }
}

#[test]
fn without_a_barrier_tasks_are_answered_as_they_end() {
    let lab = Lab::new(1);
    let scenario = scenario(1, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), false);
    let done = lab
        .device(0, edge.address, &scenario, 6)
        .join()
        .unwrap()
        .unwrap();
    let (records, monitor) = edge.stop();
    check_served(&done, 6);
    assert_eq!((records.len(), monitor.unreported), (6, 0), "{done:?}");
    check_records(&records, &[done]);
    assert_eq!(monitor.bad_datagrams, 0);
}

#[test]
fn a_device_goes_on_alone_while_the_edge_is_away_and_finds_its_account_again() {
    let lab = Lab::new(1);
    let scenario = scenario(1, &[]);
    let first = lab.edge(scenario.clone(), loopback(), true);
    let address = first.address;
    let device = lab.device(0, address, &scenario, 20);
    std::thread::sleep(Duration::from_millis(1500));
    let (before, _) = first.stop();
    std::thread::sleep(Duration::from_millis(700));
    let second = lab.edge(scenario, address, true);
    let done = device.join().unwrap().unwrap();
    let (after, _) = second.stop();
    check_served(&done, 20);
    assert!(done.connections >= 2 && done.by_device > 0, "{done:?}");
    assert!(!before.is_empty() && !after.is_empty());
    assert_eq!(done.account.frames, 20);
    let ledger = Ledger::open(&lab.folder.path().join("queues.txt")).unwrap();
    assert_eq!(ledger.accounts()[&Lab::name(0)], done.account);
}

#[test]
fn strangers_and_the_revoked_are_turned_away() {
    let lab = Lab::new(2);
    let scenario = scenario(2, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    pki::revoke(&lab.pki(), &Lab::name(1)).unwrap();
    let revoked = lab.device(1, edge.address, &scenario, 3).join().unwrap();
    let error = revoked.unwrap_err().to_string();
    assert!(error.contains("revoked"), "{error}");
    let admitted = lab
        .device(0, edge.address, &scenario, 2)
        .join()
        .unwrap()
        .unwrap();
    assert!(admitted.by_edge + admitted.by_device == 2 && admitted.connections == 1);
    // Another authority's device.
    let other = Lab::new(1);
    let stranger = other.device(0, edge.address, &scenario, 1).join().unwrap();
    assert!(matches!(stranger, Err(ClientError::Transport(_))));
    // The same with the edge's own authority, so that it is the edge that has to notice.
    let forged = Credentials {
        authority: pki::credentials(&lab.pki(), "edge").unwrap().authority,
        ..pki::credentials(&other.pki(), &Lab::name(0)).unwrap()
    };
    let stranger = lab.device_with(0, edge.address, &scenario, 1, forged);
    let error = stranger.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("authority"), "{error}");
    // A certificate for one name does not serve another.
    std::fs::copy(
        lab.pki().join("device-0.pem"),
        lab.pki().join("device-9.pem"),
    )
    .unwrap();
    std::fs::copy(
        lab.pki().join("device-0.key"),
        lab.pki().join("device-9.key"),
    )
    .unwrap();
    let mut many = scenario.clone();
    many.devices = vec![scenario.devices[0].clone(); 10];
    let Err(ClientError::Refused(refuse)) = lab.device(9, edge.address, &many, 1).join().unwrap()
    else {
        panic!("not refused");
    };
    assert_eq!(refuse.reason, RefuseReason::Identity);
    let (_, monitor) = edge.stop();
    assert!(monitor.refused >= 2);
}

#[test]
fn plans_within_the_frame_reach_the_devices() {
    let lab = Lab::new(3);
    let scenario = scenario(3, &["policies=[\"enachi-max\"]"]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let done = lab.devices(3, edge.address, &scenario, 6);
    let (_, monitor) = edge.stop();
    for device in &done {
        check_served(device, 6);
    }
    assert!(done.iter().any(|d| d.regrants > 0), "{done:?}");
    assert_eq!(monitor.bad_datagrams, 0);
}

#[test]
fn pictures_are_sent_and_read() {
    for stream in ["jpeg", "webp-ladder"] {
        let lab = Lab::new(2);
        let named = format!("profile.picture_stream=\"{stream}\"");
        let scenario = scenario(
            2,
            &[
                "policies=[\"jpeg-equal-share\"]",
                "profile.forbid_input=false",
                "channel.bandwidth_hz=4e6",
                &named,
            ],
        );
        let edge = lab.edge(scenario.clone(), loopback(), true);
        let devices: Vec<_> = (0..2)
            .map(|index| lab.device(index, edge.address, &scenario, 6))
            .collect();
        let done: Vec<_> = devices
            .into_iter()
            .map(|d| d.join().unwrap().unwrap())
            .collect();
        let (records, monitor) = edge.stop();
        assert_eq!(monitor.bad_datagrams, 0);
        let whole: Vec<_> = records.iter().filter(|r| r.chunks == 1).collect();
        // How many come in time is this machine's affair.
        assert!(!whole.is_empty(), "{stream}: {records:?}");
        assert!(whole.iter().all(|r| r.cut == Some(0) && r.level.is_some()));
        assert!(whole.iter().all(|r| r.fraction == 1.0 && r.bits > 800.0));
        // The network is right in 97.8 % of the tasks, and levels are chosen so that little of that is lost.
        let right = whole.iter().filter(|r| r.correct).count();
        assert!(
            2 * right >= whole.len(),
            "{stream}: {right} of {}",
            whole.len()
        );
        assert!(done.iter().all(|d| d.tasks == 6 && d.late_datagrams == 0));
    }
}

#[test]
fn the_host_radio_sends_as_the_network_lets_it_and_at_full_power() {
    let lab = Lab {
        radio: RadioKind::Host,
        ..Lab::new(2)
    };
    let scenario = scenario(2, &["packet.stop=\"never\""]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let devices: Vec<_> = (0..2)
        .map(|index| lab.device(index, edge.address, &scenario, 6))
        .collect();
    for device in devices {
        let done = device.join().unwrap().unwrap();
        check_served(&done, 6);
    }
    let (records, _) = edge.stop();
    let sent: Vec<_> = records.iter().filter(|r| r.slots > 0).collect();
    assert!(!sent.is_empty());
    let power_w = scenario.device.power_max_w / scenario.device.amplifier_efficiency;
    for record in sent {
        assert!((record.mean_power_w - power_w).abs() < 1e-9, "{record:?}");
        // Nothing is tracked, whatever was granted.
        let spent_j = f64::from(record.slots) * scenario.frame.slot_s * power_w;
        assert!(
            (record.energy_transmit_j - spent_j).abs() < 1e-9,
            "{record:?}"
        );
    }
}

/// Bytes that look random (SplitMix64).
fn noise(seed: &mut u64, length: usize) -> Vec<u8> {
    let mut next = || {
        *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 27)) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn garbage_and_floods_cost_the_sender_its_line_and_others_nothing() {
    let lab = Lab::new(2);
    let scenario = scenario(2, &[]);
    let edge = lab.edge(scenario.clone(), loopback(), true);
    let good = lab.device(0, edge.address, &scenario, 8);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let credentials = pki::credentials(&lab.pki(), &Lab::name(1)).unwrap();
    let mut seed = 7;
    for attack in 0..6 {
        let patience = Duration::from_secs(10);
        let mut line = connect(runtime.handle(), edge.address, &credentials, patience).unwrap();
        match attack % 3 {
            // Another protocol, from the first byte.
            0 => line.control(noise(&mut seed, 3000)),
            // Our own greeting, and nonsense behind it.
            1 => {
                line.control(preamble().to_vec());
                line.control(noise(&mut seed, 3000));
            }
            // More datagrams than a device may send.
            _ => {
                line.control(preamble().to_vec());
                let bytes = noise(&mut seed, 1000);
                let until = Instant::now() + 3 * patience;
                let gone = loop {
                    for _ in 0..200 {
                        line.datagram(&bytes);
                    }
                    // The edge's own greeting may come first.
                    match line.inputs.recv_timeout(Duration::from_millis(5)) {
                        Ok(FromEdge::Gone(_)) => break true,
                        _ if Instant::now() > until => break false,
                        _ => {}
                    }
                };
                assert!(gone, "attack {attack} was suffered");
            }
        }
        if attack % 3 < 2 {
            let gone = std::iter::from_fn(|| line.inputs.recv_timeout(patience).ok())
                .any(|heard| matches!(heard, FromEdge::Gone(_)));
            assert!(gone, "attack {attack} was suffered");
        }
        line.close();
    }
    let done = good.join().unwrap().unwrap();
    check_served(&done, 8);
    assert_eq!(done.connections, 1);
    let (records, monitor) = edge.stop();
    assert!(monitor.refused >= 4, "{}", monitor.refused);
    assert!(records.iter().all(|record| record.device == 0));
}
