//! When batches begin on a machine whose tails take longer than planned.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Lab, scenario};
use enachi_core::fading::Fading;
use enachi_core::task::{DeviceView, TaskGrant};
use enachi_proto::message::Energy;
use enachi_runtime::cell::{Cell, device, energy};
use enachi_sim::deployment::Device;
use std::ops::Range;

const DEADLINE_S: f64 = 0.4;
const GUARD_S: f64 = 4e-3;
const TAILS_S: [f64; 3] = [2e-3, 5e-3, 3e-3];

/// From the start of the batch to its last answer, ENACHI (9): the longest tail.
const PLANNED_S: f64 = 5e-3;

fn cell_of(devices: u32, barrier: bool) -> Cell {
    let lab = Lab::new(0);
    let mut cell = Cell::new(scenario(devices, &[]), lab.profile.clone()).unwrap();
    cell.set_live(2, GUARD_S, barrier);
    cell
}

/// One frame in which the tails take `overrun_s` longer than planned; returns what is left at the last answer.
fn frame(cell: &mut Cell, overrun_s: f64) -> f64 {
    let start_s = cell.batch_s(0, DEADLINE_S, TAILS_S.into_iter());
    let left_s = DEADLINE_S - start_s - PLANNED_S - overrun_s;
    cell.answered(0, left_s, DEADLINE_S);
    cell.keep_slack();
    left_s
}

#[test]
fn batches_begin_earlier_where_tails_overrun_and_later_again_where_they_do_not() {
    let mut cell = cell_of(1, false);
    let quiet_s = cell.batch_s(0, DEADLINE_S, TAILS_S.into_iter());
    assert!((quiet_s - (DEADLINE_S - PLANNED_S - GUARD_S)).abs() < 1e-12);
    // 30 ms too long: the first frames are late, then none is, with the guard to spare.
    let left: Vec<f64> = (0..30).map(|_| frame(&mut cell, 30e-3)).collect();
    assert!(left[0] < 0.0);
    assert!(left[5..].iter().all(|left_s| *left_s > 0.0), "{left:?}");
    assert!((left[29] - GUARD_S).abs() < 1e-6);
    // Good times come back slowly, and never to less than the guard.
    let first_s = frame(&mut cell, 0.0);
    let left: Vec<f64> = (0..400).map(|_| frame(&mut cell, 0.0)).collect();
    assert!(left[0] > 0.9 * first_s);
    assert!(left.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
    assert!((left[399] - GUARD_S).abs() < 1e-3);
    // A machine that stands still does not eat the uploads.
    for _ in 0..50 {
        frame(&mut cell, 10.0);
    }
    let starved_s = cell.batch_s(0, DEADLINE_S, TAILS_S.into_iter());
    assert!((quiet_s - starved_s - 0.2 * DEADLINE_S).abs() < 1e-9);
}

/// Windows of `device` that a frame is planned with, in the order of its candidates \[s\].
fn windows_s(cell: &mut Cell, device: usize) -> Vec<f64> {
    cell.keep_slack();
    if let Some(capacity) = &mut cell.capacity {
        let view = |(device, candidates): (&Device, &Range<u32>)| DeviceView {
            energy_queue_j: 0.0,
            energy_budget_j: device.values.energy_budget_j,
            gain: 1e-11,
            fading: Fading::Rayleigh,
            power_max_w: device.drawn_power_max_w,
            deadline_s: device.values.deadline_s,
            weight: device.values.weight,
            edge_price_per_s: 0.0,
            candidates: candidates.clone(),
        };
        let devices = cell.deployment.devices.iter();
        let mut views: Vec<_> = devices
            .zip(&cell.offer.device_candidates)
            .map(view)
            .collect();
        let mut grants = vec![TaskGrant::default(); views.len()];
        let policy = cell.policy.as_mut();
        let planned = capacity.plan(
            &cell.deployment,
            policy,
            &mut cell.offer,
            &mut views,
            0,
            &mut grants,
        );
        assert!(planned.is_ok() && grants.iter().any(|grant| grant.bits > 0.0));
    }
    let sends = cell.candidates(device).iter();
    let sends = sends.filter(|c| c.stream.is_some());
    sends.map(|c| c.transmit_time_s).collect()
}

/// By how much all of `before` are longer than `after`.
fn shorter_s(before: &[f64], after: &[f64]) -> f64 {
    assert!(before.len() > 1);
    let lost: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
    assert!(lost.iter().all(|s| (s - lost[0]).abs() < 1e-9), "{lost:?}");
    lost[0]
}

#[test]
fn plans_count_on_no_slots_whose_bits_come_when_the_batch_has_begun() {
    for barrier in [false, true] {
        let mut cell = cell_of(2, barrier);
        let whole_s: Vec<f64> = cell
            .candidates(0)
            .iter()
            .map(|c| c.transmit_time_s)
            .collect();
        let first_s = windows_s(&mut cell, 0);
        if !barrier {
            assert!((shorter_s(&whole_s[..first_s.len()], &first_s) - GUARD_S).abs() < 1e-12);
        }
        // The grant was read late, and the path takes time: after a few tasks the plan knows.
        for _ in 0..20 {
            cell.arrived_late(0, 30e-3);
        }
        let late_s = shorter_s(&first_s, &windows_s(&mut cell, 0));
        assert!((late_s / 30e-3 - 1.0).abs() < 0.01, "{late_s}");
        // Twice is once, and another device has nothing to do with it.
        assert!((shorter_s(&first_s, &windows_s(&mut cell, 0)) - late_s).abs() < 1e-12);
        assert!(shorter_s(&first_s, &windows_s(&mut cell, 1)).abs() < 1e-12);
        // A better path is believed slowly, one that takes all of the deadline not at all.
        cell.arrived_late(0, 0.0);
        assert!(shorter_s(&first_s, &windows_s(&mut cell, 0)) > 0.9 * late_s);
        for _ in 0..200 {
            cell.arrived_late(0, 9.0);
        }
        assert!(shorter_s(&first_s, &windows_s(&mut cell, 0)) <= 0.5 * DEADLINE_S + 1e-12);
    }
}

/// Devices that come with other descriptions again and again.
#[test]
fn a_device_that_changes_does_not_shorten_the_windows_of_the_others() {
    for barrier in [false, true] {
        let mut cell = cell_of(2, barrier);
        cell.arrived_late(0, 20e-3);
        let before_s = windows_s(&mut cell, 0);
        for round in 0..5 {
            let now = &cell.deployment.devices[1];
            let changed = Energy {
                frequency_hz: (1.0 + 0.1 * f64::from(round)) * energy(now).frequency_hz,
                ..energy(now)
            };
            let changed = device(&changed, now);
            let cuts: Vec<u16> = cell.candidates(1).iter().map(|c| c.cut as u16).collect();
            cell.replace_device(1, changed, &cuts);
            assert!(shorter_s(&before_s, &windows_s(&mut cell, 0)).abs() < 1e-9);
        }
    }
}
