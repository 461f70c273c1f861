//! What can never work is refused, by the number from which on it works: checked by running it on both sides of that number.
#![allow(clippy::unwrap_used)]

mod common;

use common::{factory, profile, scenario};
use enachi_core::profile::CutKind;
use enachi_core::record::FrameRecord;
use enachi_sim::deployment::Deployment;
use enachi_sim::feasible;
use enachi_sim::simulate::{Unwatched, simulate};
use std::sync::atomic::AtomicBool;

/// A device beside the antenna: what its window lets through comes through.
fn text(policy: &str, deadline_s: f64, more: &str) -> String {
    format!(
        "policies = [\"{policy}\"]\nframes = 60\nwarmup_frames = 0\nseeds = 1\n{more}\n[packet]\nstop = \"never\"\n\
         [frame]\nlength_s = 0.6\n[device]\ndeadline_s = {deadline_s:.9}\n[[devices]]\ncount = 1\nmean_gain = 1e-4"
    )
}

fn check(text: &str) -> Result<(), String> {
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    feasible::check(&deployment, &factory()).map_err(|error| error.to_string())
}

/// Frames in which something came of the task.
fn works(text: &str) -> usize {
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    let cancel = AtomicBool::new(false);
    let (_, records) = simulate(deployment, &factory(), &cancel, &Unwatched).unwrap();
    let something = |r: &&FrameRecord| r.correct || r.chunks > 0;
    records.frames.iter().filter(something).count()
}

#[test]
fn the_shortest_deadline_is_where_it_begins_to_work() {
    let capped = "[channel]\nbandwidth_hz = 5e4\nmax_spectral_efficiency = 2.0";
    let narrow = "[channel]\nbandwidth_hz = 1e6";
    let busy = "[edge]\nworkers = 1\nbatch_overhead_s = 0.03\nbatch_per_item = 0.5";
    let no_picture = "[profile]\nforbid_input = true\nforbid_local = true";
    for policy in [
        "enachi",
        "jpeg-equal-share",
        "device-only",
        "best-static-cut@block2",
    ] {
        for more in [narrow, capped, busy, no_picture] {
            let of = |deadline_s: f64| text(policy, deadline_s, more);
            let message = check(&of(1e-4)).unwrap_err();
            let start =
                format!("policies = \"{policy}\": device.deadline_s = 0.0001: must be at least ");
            let rest = message.strip_prefix(&start).expect(&message);
            let least_s: f64 = rest.split(' ').next().unwrap().parse().unwrap();
            // Printed to a microsecond.
            let (above, below) = (of(least_s + 1e-6), of(least_s - 2e-6));
            assert_eq!(check(&above), Ok(()), "{policy} {more}");
            assert!(check(&below).is_err(), "{policy} {more}");
            assert!(works(&above) > 0, "{policy} {more}: {least_s}");
            assert_eq!(works(&below), 0, "{policy} {more}: {least_s}");
        }
    }
}

#[test]
fn every_policy_and_group_is_named_once() {
    let text = text("enachi", 0.02, "").replace(
        "[\"enachi\"]",
        "[\"enachi\", \"enachi-mux\", \"device-only\", \"jpeg-equal-share\"]",
    );
    let text = format!("{text}\n[[devices]]\ncount = 2\ndeadline_s = 0.002");
    let message = check(&text).unwrap_err();
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 3, "{message}");
    let starts = [
        "policies = \"enachi\", \"enachi-mux\", \"jpeg-equal-share\": devices.1.deadline_s = 0.002: must be at least ",
        "policies = \"device-only\": device.deadline_s = 0.02: must be at least 0.02",
        "policies = \"device-only\": devices.1.deadline_s = 0.002: must be at least 0.02",
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_policy_without_a_cut_is_named() {
    let mut bare = profile();
    bare.cuts.retain(|cut| cut.kind != CutKind::Local);
    let text = text("device-only", 0.2, "");
    let deployment = Deployment::new(scenario(&text), bare).unwrap();
    let error = feasible::check(&deployment, &factory()).unwrap_err();
    let expected = "policies = \"device-only\": must be others in a cell with devices.0, as toy has no cut for them";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn weights_that_leave_nothing_to_count_are_refused() {
    let text = "[device]\nweight = 0\n[[devices]]\ncount = 2";
    let error = enachi_sim::scenario::parse(text, "w.toml", &[]).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("w.toml: device.weight = 0: must be above 0"),
        "{message}"
    );
    let some = format!("{text}\n[[devices]]\ncount = 1\nweight = 1");
    enachi_sim::scenario::parse(&some, "w.toml", &[]).unwrap();
}
