//! When batches begin on a machine whose tails take longer than planned.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Lab, scenario};
use enachi_runtime::cell::Cell;

const DEADLINE_S: f64 = 0.4;
const GUARD_S: f64 = 4e-3;
const TAILS_S: [f64; 3] = [2e-3, 5e-3, 3e-3];

/// From the start of the batch to its last answer, ENACHI (9): the longest tail.
const PLANNED_S: f64 = 5e-3;

fn cell() -> Cell {
    let lab = Lab::new(0);
    let mut cell = Cell::new(scenario(1, &[]), lab.profile.clone()).unwrap();
    cell.set_live(2, GUARD_S, false);
    cell
}

/// One frame in which the tails take `overrun_s` longer than planned; returns what is left at the last answer.
fn frame(cell: &mut Cell, overrun_s: f64) -> f64 {
    let start_s = cell.batch_s(0, DEADLINE_S, TAILS_S.into_iter());
    let left_s = DEADLINE_S - start_s - PLANNED_S - overrun_s;
    cell.answered(left_s, DEADLINE_S);
    left_s
}

#[test]
fn batches_begin_earlier_where_tails_overrun_and_later_again_where_they_do_not() {
    let mut cell = cell();
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

/// Windows that are planned with, of device 0, in the order of its candidates.
fn windows_s(cell: &Cell) -> Vec<f64> {
    let sends = cell.candidates(0).iter().filter(|c| c.stream.is_some());
    sends.map(|c| c.transmit_time_s).collect()
}

#[test]
fn plans_count_on_no_slots_whose_bits_come_when_the_batch_has_begun() {
    let mut cell = cell();
    let whole_s = windows_s(&cell);
    assert!(whole_s.len() > 1);
    let shorter_s = |cell: &mut Cell| {
        cell.keep_slack();
        let lost: Vec<f64> = whole_s
            .iter()
            .zip(windows_s(cell))
            .map(|(before, after)| before - after)
            .collect();
        assert!(lost.iter().all(|s| (s - lost[0]).abs() < 1e-12), "{lost:?}");
        lost[0]
    };
    assert!((shorter_s(&mut cell) - GUARD_S).abs() < 1e-12);
    // The grant was read late, and the path takes time: after a few tasks the plan knows.
    for _ in 0..20 {
        cell.arrived_late(0, 30e-3);
    }
    let late_s = shorter_s(&mut cell) - GUARD_S;
    assert!((late_s / 30e-3 - 1.0).abs() < 0.01, "{late_s}");
    // Twice is once.
    assert!((shorter_s(&mut cell) - GUARD_S - late_s).abs() < 1e-12);
    // A better path is believed slowly, one that takes all of the deadline not at all.
    cell.arrived_late(0, 0.0);
    assert!(shorter_s(&mut cell) > GUARD_S + 0.9 * late_s);
    for _ in 0..200 {
        cell.arrived_late(0, 9.0);
    }
    assert!(shorter_s(&mut cell) <= 0.5 * DEADLINE_S + 1e-12);
}
