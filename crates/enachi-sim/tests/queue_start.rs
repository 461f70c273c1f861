//! Energy queues that start where they settle.
#![allow(clippy::unwrap_used)]

mod common;

use common::{factory, profile, scenario};
use enachi_core::record::FrameRecord;
use enachi_sim::deployment::Deployment;
use enachi_sim::simulate::{Records, Unwatched, simulate};
use std::sync::atomic::AtomicBool;

const DEVICES: usize = 3;
const BUDGET_J: f64 = 0.028;

fn run(policies: &str, frames: u32, start: &str) -> Records {
    let text = format!(
        "policies = [{policies}]\nframes = {frames}\nwarmup_frames = 0\nseeds = 1\n\
         [profile]\nforbid_local = true\nforbid_input = true\n[channel]\nbandwidth_hz = 1e5\n\
         [task]\nv = 0.05\nqueue_start = \"{start}\"\n[device]\ndistance_m = [60, 160]\nenergy_budget_j = {BUDGET_J}\n\
         [[devices]]\ncount = {DEVICES}\n"
    );
    let deployment = Deployment::new(scenario(&text), profile()).unwrap();
    simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
        .unwrap()
        .1
}

fn mean(records: &Records, device: usize, of: impl Fn(&FrameRecord) -> f64) -> f64 {
    let mine = records
        .frames
        .iter()
        .filter(|r| r.device as usize == device);
    let all: Vec<f64> = mine.map(of).collect();
    all.iter().sum::<f64>() / all.len() as f64
}

#[test]
fn a_settled_start_is_the_level_of_a_long_run_and_overspends_nothing() {
    let long = run("\"enachi+stop-never\"", 1500, "empty");
    let (short, empty) = (
        run("\"enachi+stop-never\"", 200, "settled"),
        run("\"enachi+stop-never\"", 200, "empty"),
    );
    let mut bound = 0;
    for device in 0..DEVICES {
        let mine = long.frames.iter().filter(|r| r.device as usize == device);
        let late: Vec<f64> = mine.skip(900).map(|r| r.energy_queue_j).collect();
        let settled_j = late.iter().sum::<f64>() / late.len() as f64;
        let start_j = short.frames[device].energy_queue_j;
        assert_eq!(empty.frames[device].energy_queue_j, 0.0);
        // A queue that does not bind wanders near 0.
        if settled_j < 20.0 * BUDGET_J {
            assert!(start_j < 40.0 * BUDGET_J, "{device}: {start_j}");
            continue;
        }
        bound += 1;
        assert!(
            (start_j / settled_j - 1.0).abs() < 0.15,
            "{device}: {start_j} {settled_j}"
        );
        let spent = |records| mean(records, device, FrameRecord::energy_j);
        assert!(
            spent(&short) < 1.02 * BUDGET_J,
            "{device}: {}",
            spent(&short)
        );
        assert!(
            spent(&empty) > 1.1 * BUDGET_J,
            "{device}: {}",
            spent(&empty)
        );
    }
    assert!(bound > 0);
}

#[test]
fn policies_without_a_price_of_energy_take_no_notice() {
    let policies = "\"best-static-cut\", \"jpeg-equal-share\", \"effect-dnn\", \"tracking\"";
    let (settled, empty) = (run(policies, 12, "settled"), run(policies, 12, "empty"));
    assert_eq!(settled.frames, empty.frames);
}

#[test]
fn a_rehearsal_is_the_same_on_any_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let policies = "\"enachi\", \"enachi-mux\", \"enachi-max\"";
        let frames = || run(policies, 15, "settled").frames;
        pool.build().unwrap().install(frames)
    };
    assert_eq!(on(1), on(3));
}
