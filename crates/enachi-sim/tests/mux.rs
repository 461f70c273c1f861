//! Planning again within a frame: what must hold on every path, and that it is worth it where tasks stop.
#![allow(clippy::unwrap_used)]

mod common;

use common::{factory, profile, scenario};
use enachi_core::record::{FrameRecord, Outcome, SlotRecord};
use enachi_sim::deployment::{Deployment, Profiles, curve_profile};
use enachi_sim::scenario::parse;
use enachi_sim::simulate::{Records, Unwatched, simulate};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;

const CELL_HZ: f64 = 0.8e6;

fn measured(policies: &str, more: &str) -> Records {
    let text = format!(
        "policies = [{policies}]\nframes = 40\nwarmup_frames = 5\nseeds = 2\n{more}\n\
         [profile]\nforbid_local = true\nforbid_input = true\n[channel]\nbandwidth_hz = {CELL_HZ:e}\n[device]\ndistance_m = [50, 150]\n\
         energy_budget_j = 0.08\n[[devices]]\ncount = 4\n[[devices]]\ncount = 2\ndeadline_s = 0.2\n\
         [output]\nslots = true"
    );
    let deployment = Deployment::new(scenario(&text), profile()).unwrap();
    simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
        .unwrap()
        .1
}

/// 25 users on 20 MHz of the paper's raw maps, where the edge knows when an answer is right.
fn paper(policies: &str) -> Records {
    let overrides = [
        "channel.bandwidth_hz=20e6",
        "devices=[{count=25,mean_gain=1.5e-11}]",
        "frames=40",
        "warmup_frames=10",
        "seeds=1",
        "predictor.noise_nats=0",
        "packet.stop=\"entropy\"",
        "packet.entropy_threshold_nats=1e-9",
        policies,
    ]
    .map(String::from);
    let text = include_str!("../../../scenarios/paper.toml");
    let scenario = parse(text, "paper.toml", &overrides).unwrap();
    let profile = curve_profile(scenario.profile.curves.as_ref().unwrap());
    let deployment = Deployment::new(scenario, profile).unwrap();
    simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
        .unwrap()
        .1
}

#[test]
fn the_cell_is_never_oversubscribed() {
    for policy in ["enachi-mux", "enachi-max"] {
        let used = band_by_slot(&measured(&format!("\"{policy}\""), ""));
        check_band(&used, policy);
        // ... and is used whole where anybody sends.
        let whole = used.values().filter(|hz| **hz > 0.999 * CELL_HZ).count();
        let all = used.len();
        assert!(whole as f64 > 0.8 * all as f64, "{whole} of {all}");
    }
}

/// A device goes on until its stop has reached it: that band is nobody else's. Pictures beside it too.
#[test]
fn nor_is_it_where_stops_take_long() {
    let mut late = 0;
    for policy in ["enachi-mux", "enachi-max"] {
        for slots in [1, 3, 7, 20, 60] {
            for more in [
                "[mux]\nperiod_slots = 5\ndelay_slots = 1",
                "[mux]\nperiod_slots = 1\ndelay_slots = 0",
                "[mux]\nperiod_slots = 8\ndelay_slots = 6",
            ] {
                let packet = format!("[packet]\nfeedback_slots = {slots}");
                let records = measured(&format!("\"{policy}\""), &format!("{packet}\n{more}"));
                check_band(&band_by_slot(&records), &format!("{policy} {slots} {more}"));
                late += stopped(&records);
            }
            let pictures = pictures(policy, slots);
            check_band(
                &band_by_slot(&pictures),
                &format!("{policy} {slots} pictures"),
            );
        }
    }
    assert!(late > 1000, "{late}");
}

fn stopped(records: &Records) -> usize {
    let stopped = |r: &&FrameRecord| r.outcome == Outcome::StoppedEarly;
    records.frames.iter().filter(stopped).count()
}

/// Devices too slow for anything but sending their picture beside such that send features.
fn pictures(policy: &str, feedback_slots: u32) -> Records {
    let text = format!(
        "policies = [\"{policy}\"]\nframes = 20\nwarmup_frames = 5\nseeds = 2\n[packet]\nfeedback_slots = {feedback_slots}\n\
         [profile]\ncandidates = [\"toy/block1\", \"toy/block2\"]\nforbid_local = true\n[channel]\nbandwidth_hz = {CELL_HZ:e}\n[device]\ndistance_m = [50, 150]\n\
         energy_budget_j = 0.08\n[[devices]]\ncount = 4\n[[devices]]\ncount = 2\nprofile = \"b\"\nfrequency_hz = 5e7\n\
         deadline_s = 0.1\n\
         [output]\nslots = true"
    );
    let mut slow = profile();
    slow.meta.model_name = "slow".into();
    let profiles = Profiles {
        default: Some(profile()),
        named: vec![("b".into(), slow)],
    };
    let deployment = Deployment::new(scenario(&text), profiles).unwrap();
    let records = simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched);
    let records = records.unwrap().1;
    let of_cut = |input: bool| {
        // The second network's cuts are numbered behind the four of the first.
        let sent = |r: &&FrameRecord| r.slots > 0 && (r.cut == Some(4)) == input;
        records.frames.iter().filter(sent).count()
    };
    let (pictures, features) = (of_cut(true), of_cut(false));
    assert!(pictures > 10 && features > 10, "{pictures} {features}");
    records
}

/// Band in use by seed, frame and slot. It follows from the bits of a slot: b = ω t log2(1 + h p/(N0 ω)), which grows with ω.
fn band_by_slot(records: &Records) -> HashMap<(u64, u32, u32), f64> {
    let band = |slot: &SlotRecord| {
        let bits = |hz: f64| {
            let efficiency = (1.0 + slot.gain * slot.power_w / (2e-20 * hz)).log2();
            hz * 1e-3 * efficiency.min(7.4)
        };
        let (mut low, mut high) = (0.0, 2.0 * CELL_HZ);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if bits(middle) < slot.bits {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    };
    let mut used: HashMap<(u64, u32, u32), f64> = HashMap::new();
    for slot in records.slots.iter().filter(|slot| slot.power_w > 0.0) {
        *used.entry((slot.seed, slot.frame, slot.slot)).or_default() += band(slot);
    }
    used
}

fn check_band(used: &HashMap<(u64, u32, u32), f64>, what: &str) {
    let most = used.values().copied().fold(0.0, f64::max);
    assert!(
        most > 0.0 && most <= CELL_HZ * (1.0 + 1e-6),
        "{what}: {most}"
    );
}

#[test]
fn records_add_up_and_meet_the_same_world() {
    let records = measured("\"enachi\", \"enachi-mux\"", "");
    let of = |policy: u16| records.frames.iter().filter(move |r| r.policy == policy);
    for (a, b) in of(0).zip(of(1)) {
        assert_eq!((a.seed, a.frame, a.device), (b.seed, b.frame, b.device));
        assert_eq!(a.planned_gain, b.planned_gain);
        // The task level is the same; queues part after the first frame.
        if a.frame == 0 {
            assert_eq!((a.cut, a.planned_bits), (b.cut, b.planned_bits));
        }
    }
    let slots = |r: &FrameRecord| {
        let r = r.clone();
        records.slots.iter().filter(move |s| {
            (s.policy, s.seed, s.frame, s.device) == (r.policy, r.seed, r.frame, r.device)
        })
    };
    assert!(of(1).filter(|r| r.slots > 0).count() > 100);
    for r in of(1).filter(|r| r.frame < 10) {
        assert!(r.sent_time_s <= r.batch_time_s + 1e-9 || r.slots == 0);
        let power: f64 = slots(r).map(|s| s.power_w).sum();
        assert_eq!(slots(r).count(), r.slots as usize);
        assert!((r.energy_transmit_j - power * 1e-3).abs() < 1e-12);
        let bits: f64 = slots(r).map(|s| s.bits).sum();
        assert!(r.bits <= bits + 1e-6);
    }
}

#[test]
fn same_records_on_any_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        let policies = "\"enachi-mux\", \"enachi-max\"";
        pool.install(|| measured(policies, "[mux]\nperiod_slots = 3").frames)
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn bands_of_stopped_devices_are_worth_points() {
    let records = paper("policies=[\"enachi\",\"enachi-mux\"]");
    let rows = |policy: u16| records.frames.iter().filter(move |r| r.policy == policy);
    let right = |policy: u16| rows(policy).filter(|r| r.correct).count() as f64;
    let spent = |policy: u16| rows(policy).map(FrameRecord::energy_j).sum::<f64>();
    let frames = rows(0).count() as f64;
    // 5 points over a long run (docs/policies.md).
    assert!((right(1) - right(0)) / frames > 0.025);
    assert!(spent(1) < spent(0));
    let stopped = |policy: u16| {
        rows(policy)
            .filter(|r| r.outcome == Outcome::StoppedEarly)
            .count()
    };
    assert!(stopped(1) > stopped(0));
}

/// Counting bits by those who get to send them saves the energy that was planned for tasks which stop.
#[test]
fn counting_stops_saves_energy_at_equal_accuracy() {
    let records = paper("policies=[\"enachi-mux\",\"enachi-max\"]");
    let rows = |policy: u16| records.frames.iter().filter(move |r| r.policy == policy);
    let right = |policy: u16| rows(policy).filter(|r| r.correct).count() as f64;
    let sent_j = |policy: u16| rows(policy).map(|r| r.energy_transmit_j).sum::<f64>();
    let frames = rows(0).count() as f64;
    assert!((right(1) - right(0)) / frames > -0.01);
    assert!(sent_j(1) < 0.95 * sent_j(0), "{} {}", sent_j(1), sent_j(0));
}

/// What one policy does in a scarce cell.
fn scarce(policy: &str, more: &[&str]) -> Records {
    let fixed = [
        "channel.bandwidth_hz=1e6",
        "devices=[{count=16,mean_gain=1.5e-11}]",
        "frames=12",
        "warmup_frames=2",
        "seeds=1",
        "task.v=5",
        "output.slots=true",
    ];
    let policies = format!("policies=[\"{policy}\"]");
    let overrides = (fixed.iter().chain(more).copied()).chain([policies.as_str()]);
    let overrides: Vec<String> = overrides.map(String::from).collect();
    let text = include_str!("../../../scenarios/paper.toml");
    let scenario = parse(text, "paper.toml", &overrides).unwrap();
    let profile = curve_profile(scenario.profile.curves.as_ref().unwrap());
    let deployment = Deployment::new(scenario, profile).unwrap();
    let never = AtomicBool::new(false);
    simulate(deployment, &factory(), &never, &Unwatched)
        .unwrap()
        .1
}

/// Slots before which a device went silent to send again later.
fn pauses(records: &Records) -> Vec<(u32, u32)> {
    let mut slots: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for slot in &records.slots {
        slots
            .entry((slot.frame, slot.device))
            .or_default()
            .push(slot.slot);
    }
    let pairs = slots.values().flat_map(|slots| slots.windows(2));
    let apart = pairs.filter(|pair| pair[1] > pair[0] + 1);
    apart.map(|pair| (pair[0] + 1, pair[1])).collect()
}

/// A plan takes `delay_slots` to reach a device: one that it drops goes on until then, as it does with all it is told.
#[test]
fn a_dropped_device_sends_until_it_is_told() {
    let sent = scarce("enachi-mux", &["mux.period_slots=7", "mux.delay_slots=3"]);
    let pauses = pauses(&sent);
    assert!(!pauses.is_empty());
    for (silent, again) in pauses {
        assert_eq!((silent % 7, again % 7), (3, 3), "{silent} {again}");
    }
}

/// A device that a plan leaves out is planned at the rates that it would have the next time, not at better ones: plans that
/// overrate whoever is silent would drop and take back devices in turn, some 1500 times in these twelve frames.
#[test]
fn plans_do_not_take_turns_dropping_devices() {
    let (bits, aware) = (scarce("enachi-mux", &[]), scarce("enachi-max", &[]));
    let (bits, aware) = (pauses(&bits).len(), pauses(&aware).len());
    assert!(bits < 50 && aware < 50, "{bits} {aware}");
}

/// Four devices and a band for two. Whoever has begun is nearer to its answer than whoever has not: nobody gives up its first map for
/// another's, as plans do, in a fifth of these tasks, that judge silent devices at another share of the band than senders.
#[test]
fn plans_do_not_start_one_device_after_another() {
    let cell = [
        "devices=[{count=4,mean_gain=1.5e-11}]",
        "device.deadline_s=0.1",
        "frames=60",
        "task.v=50",
        "predictor.noise_nats=0",
        "packet.stop=\"entropy\"",
        "packet.entropy_threshold_nats=1e-9",
    ];
    let records = scarce("enachi-max", &cell);
    // What a stopped device leaves is often too little for a map: such tasks begin late. Those here began with the first.
    let first = |r: &FrameRecord| {
        let slots = records.slots.iter();
        let mut own = slots.filter(|s| (s.frame, s.device) == (r.frame, r.device));
        own.next().is_some_and(|s| s.slot < 20)
    };
    let given_up = |r: &&FrameRecord| r.bits > 0.0 && r.chunks == 0 && first(r);
    let (given_up, all) = (records.frames.iter().filter(given_up).count(), 4 * 60);
    assert_eq!(records.frames.len(), all);
    assert!(given_up < all / 50, "{given_up} of {all}");
}

#[test]
fn periods_that_make_no_sense_are_refused() {
    let message = |text: &str| parse(text, "s.toml", &[]).unwrap_err().to_string();
    assert!(message("[mux]\nperiod_slots = 0").contains("mux.period_slots = 0"));
    let late = message("[mux]\nperiod_slots = 2\ndelay_slots = 2");
    assert!(late.contains("mux.delay_slots = 2: must be less than mux.period_slots"));
}
