//! What a peer may send to either side: control bytes in pieces and datagrams, from before the greeting on.
//!
//! Input: records of kind (1 byte: control to the edge, datagram to the edge, control to the device), length (1 byte), bytes.
//! The edge answers what it is offered, so that uploads open.
#![no_main]

use enachi_proto::message::{Choice, Grant, PowerLaw, StopReason, Welcome};
use enachi_proto::{Arrival, DeviceEvent, DeviceSession, EdgeEvent, EdgeSession, EdgeSettings, Limits};
use enachi_proto::message::{Energy, Hello, RadioKind};
use libfuzzer_sys::fuzz_target;

fn hello() -> Hello {
    Hello {
        name: "d".into(),
        model_sha256: [1; 32],
        tables_sha256: [2; 32],
        cuts: vec![0, 1],
        energy: Energy {
            frequency_hz: 1e9,
            cycles_per_mac: 0.1,
            capacitance_w_per_hz3: 0.0,
            idle_power_w: 0.0,
            power_max_w: 2.0,
            circuit_power_w: 0.0,
            tail_power_w: 0.0,
            tail_time_s: 0.0,
            budget_j: 0.1,
            weight: 1.0,
        },
        radio: RadioKind::Emulated,
    }
}

fn welcome() -> Welcome {
    Welcome {
        device: 0,
        frame_s: 0.1,
        slot_s: 1e-3,
        noise_psd_w_per_hz: 1e-20,
        noise_w: 0.0,
        spectral_cap: 7.4,
        law: PowerLaw::Constant,
        outstanding_tasks: 2,
        replan_slots: 5,
        account: None,
    }
}

fn grant(task: u32) -> Grant {
    Grant {
        task,
        frame: task,
        choice: Some(Choice { cut: 1, stream: Some(0), level: None }),
        refused: None,
        bandwidth_hz: 1e6,
        reference_power_w: 0.1,
        bits_limit: f64::INFINITY,
        tracking: true,
        planned_bits: 0.0,
        planned_accuracy: 0.0,
        upload_end_s: 0.1,
    }
}

fuzz_target!(|data: &[u8]| {
    let limits = Limits { outstanding_tasks: 2, chunks: 64, chunk_bytes: 4096, ..Limits::default() };
    let settings = EdgeSettings { model_sha256: [1; 32], tables_sha256: [2; 32], cuts: 3, limits };
    let mut edge = EdgeSession::new(settings);
    let mut device = DeviceSession::new(hello()).expect("a good hello");
    // The device's own greeting opens the edge, unless the input begins with its own.
    if data.first().is_some_and(|b| b & 0x80 != 0) {
        while let Some(bytes) = device.poll_transmit() {
            edge.received(&bytes).expect("our own greeting");
        }
    }
    let mut rest = data;
    while let [kind, length, tail @ ..] = rest {
        let (bytes, next) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = next;
        match kind % 3 {
            0 => drop(edge.received(bytes)),
            1 => {
                let mut handed = 0;
                let arrival = edge.datagram(bytes, |_, id, payload| {
                    assert!(id < 64 && payload.len() <= 4096);
                    handed += 1;
                });
                assert!(handed == 0 || arrival != Arrival::Stray);
            }
            _ => drop(device.received(bytes)),
        }
        while let Some(event) = edge.poll_event() {
            match event {
                // What came behind it may have ended the session already.
                EdgeEvent::Hello(_) => assert!(edge.welcome(welcome()).is_ok() || edge.is_closed()),
                EdgeEvent::Offered(offer) => assert!(edge.grant(grant(offer.task), 64).is_ok() || edge.is_closed()),
                EdgeEvent::Reported(report) => {
                    let _ = edge.stop(report.task, StopReason::Certain);
                    let _ = edge.close_upload(report.task);
                }
                EdgeEvent::Idle(_) | EdgeEvent::Unreported { .. } | EdgeEvent::Left => {}
            }
        }
        while let Some(event) = device.poll_event() {
            if let DeviceEvent::Granted(grant) = event {
                assert!(device.may_send(grant.task));
            }
        }
        while edge.poll_transmit().is_some() {}
    }
});
