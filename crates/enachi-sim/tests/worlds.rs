//! Whole simulations in other worlds than the default: the same for all policies and threads, traces that replay, frames
//! without tasks, gains that are old or wrong; and worlds that cannot be.
#![allow(clippy::unwrap_used)]

mod common;

use common::{factory, profile, scenario};
use enachi_core::record::{FrameRecord, Outcome};
use enachi_data::trace::TraceWriter;
use enachi_sim::deployment::Deployment;
use enachi_sim::oracle::oracle_shares;
use enachi_sim::scenario::load;
use enachi_sim::simulate::{Records, Unwatched, simulate};
use enachi_sim::summary::summarise;
use enachi_sim::world::{Setting, trace};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Everything at once.
const URBAN: &str = r#"
policies = ["enachi", "enachi-mux", "tracking", "jpeg-equal-share", "tracking+water-filling", "enachi-max"]
frames = 25
warmup_frames = 5
seeds = 2
[channel]
bandwidth_hz = 1.5e6
path_loss = "umi"
fading = "rician"
correlation = "doppler"
known_gain = "geometric-mean"
[channel.estimate]
error_db = 1.0
delay_frames = 1
slot_error_db = 0.5
slot_delay_slots = 1
[mobility]
model = "random-waypoint"
[arrivals]
process = "poisson"
tasks_per_frame = 0.8
waiting_max = 1
[device]
distance_m = [20, 200]
energy_budget_j = 0.08
[[devices]]
count = 4
[[devices]]
count = 2
positions_m = [[30, 40], [-100, 5]]
speed_m_per_s = 12.0
"#;

fn run(text: &str) -> Records {
    run_scenario(scenario(text))
}

fn run_scenario(scenario: enachi_sim::scenario::Scenario) -> Records {
    let deployment = Deployment::new(scenario, profile()).unwrap();
    simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
        .unwrap()
        .1
}

#[test]
fn same_records_on_any_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| run(URBAN)).frames
    };
    let one = on(1);
    assert_eq!(one.len(), 6 * 2 * 25 * 6);
    assert_eq!(one, on(4));
    assert!(one.iter().any(|r| r.correct) && one.iter().any(|r| r.outcome == Outcome::NoTask));
}

#[test]
fn all_policies_meet_the_same_world() {
    let records = run(URBAN);
    let of = |policy: u16| records.frames.iter().filter(move |r| r.policy == policy);
    for other in 1..6 {
        for (a, b) in of(0).zip(of(other)) {
            assert_eq!((a.seed, a.frame, a.device), (b.seed, b.frame, b.device));
            assert_eq!((a.planned_gain, a.tasks), (b.planned_gain, b.tasks));
            assert_eq!(a.outcome == Outcome::NoTask, b.outcome == Outcome::NoTask);
        }
    }
}

/// A fresh folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("worlds-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_bound_holds_where_devices_move_and_tasks_are_rare() {
    for tasks_per_frame in ["0.25", "0.8"] {
        let text = URBAN
            .replace(
                "tasks_per_frame = 0.8",
                &format!("tasks_per_frame = {tasks_per_frame}"),
            )
            .replace("bandwidth_hz = 1.5e6", "bandwidth_hz = 2e5")
            .replace("energy_budget_j = 0.08", "energy_budget_j = 0.03");
        let off = AtomicBool::new(false);
        let deployment = Deployment::new(scenario(&text), profile()).unwrap();
        let (deployment, records) = simulate(deployment, &factory(), &off, &Unwatched).unwrap();
        let shares = oracle_shares(&deployment, &factory(), &records, &off, &Unwatched).unwrap();
        for (policy, share) in shares.iter().enumerate() {
            let mine = records
                .frames
                .iter()
                .filter(|r| usize::from(r.policy) == policy);
            let tasks: Vec<_> = mine.filter(|r| r.outcome != Outcome::NoTask).collect();
            let right = tasks.iter().filter(|r| r.correct).count();
            assert!((share.accuracy - right as f64 / tasks.len() as f64).abs() < 1e-12);
            assert!(share.accuracy <= share.bound + 1e-9, "{share:?}");
            assert!(
                share.kept <= share.bound + 1e-9 && share.kept > 0.0,
                "{share:?}"
            );
        }
    }
}

fn export(scenario_file: &Path, out: &Path, seed: u64) {
    let scenario = load(scenario_file, &[]).unwrap();
    let mut writer = TraceWriter::create(out).unwrap();
    let setting = Arc::new(Setting::new(&scenario).unwrap());
    trace::export(&setting, seed, scenario.frames, &mut writer, || {}).unwrap();
    writer.finish().unwrap();
}

#[test]
fn an_exported_trace_gives_the_same_records() {
    // Power laws and levels are told the same law of fading here and there; mobility is in the trace.
    let world = URBAN
        .replace("seeds = 2", "seeds = 1")
        .replace("fading = \"rician\"", "fading = \"rayleigh\"");
    let replay = world
        .replace("path_loss = \"umi\"\n", "")
        .replace("correlation = \"doppler\"\n", "")
        .replace("model = \"random-waypoint\"", "model = \"none\"");
    let expected = run(&world);
    let folder = folder("replay");
    let file = folder.join("world.toml");
    std::fs::write(&file, &world).unwrap();
    for name in ["t.parquet", "t.csv"] {
        export(&file, &folder.join(name), 1);
        let text = format!("{replay}\n[channel.trace]\npath = \"{name}\"\n");
        let file = folder.join("replay.toml");
        std::fs::write(&file, text).unwrap();
        let replayed = run_scenario(load(&file, &[]).unwrap());
        assert_eq!(replayed.frames, expected.frames, "{name}");
    }
    // ... and is another world than that of another seed.
    export(&file, &folder.join("t.csv"), 2);
    let other = run_scenario(load(&folder.join("replay.toml"), &[]).unwrap());
    assert_ne!(other.frames, expected.frames);
}

const PLAIN: &str = "policies = [\"tracking\", \"jpeg-equal-share\"]\nframes = 200\nwarmup_frames = 0\n\
    [channel]\nbandwidth_hz = 1.2e6\nshadowing_db = 3\n[device]\ndistance_m = [50, 150]\nenergy_budget_j = 0.08\n\
    idle_power_w = 0.01\n[[devices]]\ncount = 5\n";

#[test]
fn a_repeated_trace_starts_over_and_one_without_means_tells_averages() {
    let folder = folder("repeat");
    // Two devices, one row per 50 slots, six rows: one frame.
    let mut text = String::from("device,slot,gain\n");
    for device in 0..2 {
        for row in 0..6 {
            let gain = 1e-9 * f64::from(row + 1) / f64::from(device + 1);
            text += &format!("{device},{},{gain:e}\n", row * 50);
        }
    }
    std::fs::write(folder.join("t.csv"), text).unwrap();
    let file = folder.join("s.toml");
    let text = "policies = [\"tracking\"]\nframes = 4\nwarmup_frames = 0\noutput.slots = true\n\
        [channel.trace]\npath = \"t.csv\"\nrepeat = true\n[[devices]]\ncount = 2\n";
    std::fs::write(&file, text).unwrap();
    let records = run_scenario(load(&file, &[]).unwrap());
    for r in &records.frames {
        let expected = 3.5e-9 / f64::from(r.device + 1);
        assert!((r.planned_gain / expected - 1.0).abs() < 1e-12);
    }
    assert!(records.slots.len() > 100);
    for slot in &records.slots {
        let expected = 1e-9 * f64::from(slot.slot / 50 + 1) / f64::from(slot.device + 1);
        assert!((slot.gain / expected - 1.0).abs() < 1e-12, "{slot:?}");
    }
}

#[test]
fn frames_without_a_task_cost_idle_energy_and_answer_nothing() {
    let text = format!("{PLAIN}[arrivals]\nprocess = \"bernoulli\"\ntasks_per_frame = 0.4\n");
    let records = run(&text);
    let (idle, busy): (Vec<&FrameRecord>, Vec<&FrameRecord>) = records
        .frames
        .iter()
        .partition(|r| r.outcome == Outcome::NoTask);
    assert!((idle.len() as f64 / records.frames.len() as f64 - 0.6).abs() < 0.05);
    for r in &idle {
        assert_eq!(
            (r.bandwidth_hz, r.bits, r.slots, r.correct),
            (0.0, 0.0, 0, false)
        );
        assert_eq!((r.cut, r.image, r.entropy_nats), (None, None, None));
        assert!((r.energy_j() - 0.01 * 0.3).abs() < 1e-12);
        assert_eq!(r.tasks.unwrap().arrived, 0);
    }
    assert!(busy.iter().all(|r| r.tasks.unwrap().arrived == 1));
    let deployment = Deployment::new(scenario(&text), profile()).unwrap();
    let summary = summarise(&deployment.scenario, &records);
    for (policy, summary) in summary.policies.iter().enumerate() {
        let mine = |r: &&&FrameRecord| usize::from(r.policy) == policy;
        let tasks = busy.iter().filter(mine).count();
        let right = busy.iter().filter(mine).filter(|r| r.correct).count();
        assert_eq!(summary.tasks as usize, tasks);
        assert!((summary.accuracy - right as f64 / tasks as f64).abs() < 1e-12);
        assert!(
            summary.accuracy_low <= summary.accuracy && summary.accuracy <= summary.accuracy_high
        );
        assert_eq!((summary.dropped_rate, summary.mean_waiting_s), (0.0, 0.0));
        let energy: f64 = records
            .frames
            .iter()
            .filter(|r| usize::from(r.policy) == policy)
            .map(FrameRecord::energy_j)
            .sum();
        assert!((summary.energy_j - energy / summary.device_frames as f64).abs() < 1e-12);
    }
    // Equal shares are those of the devices that have a task.
    for frame in 0..200 {
        let of = || {
            records
                .frames
                .iter()
                .filter(|r| (r.policy, r.frame) == (1, frame))
        };
        let tasks = of().filter(|r| r.outcome != Outcome::NoTask).count();
        for r in of().filter(|r| r.bandwidth_hz > 0.0) {
            assert!((r.bandwidth_hz * tasks as f64 / 1.2e6 - 1.0).abs() < 1e-12);
        }
        assert_eq!(of().filter(|r| r.bandwidth_hz > 0.0).count(), tasks);
    }
}

#[test]
fn a_crowd_of_tasks_waits_and_drops_out() {
    let text = format!(
        "{PLAIN}[arrivals]\nprocess = \"poisson\"\ntasks_per_frame = 2.0\nwaiting_max = 3\n"
    );
    let records = run(&text);
    let deployment = Deployment::new(scenario(&text), profile()).unwrap();
    let summary = &summarise(&deployment.scenario, &records).policies[0];
    // Two arrive, one is taken: half of them drop out, and all wait about their full three frames.
    assert!(
        (summary.dropped_rate - 0.5).abs() < 0.03,
        "{}",
        summary.dropped_rate
    );
    assert!(
        (0.6..=0.9).contains(&summary.mean_waiting_s),
        "{}",
        summary.mean_waiting_s
    );
}

#[test]
fn planners_are_told_old_and_wrong_gains() {
    let told = |estimate: &str| -> Vec<f64> {
        let records = run(&format!("{PLAIN}[channel.estimate]\n{estimate}\n"));
        let mine = records.frames.iter().filter(|r| r.policy == 0);
        mine.map(|r| r.planned_gain).collect()
    };
    let truth = told("");
    let old = told("delay_frames = 3");
    for (index, gain) in old.iter().enumerate() {
        let (frame, device) = (index / 5, index % 5);
        assert_eq!(*gain, truth[frame.saturating_sub(3) * 5 + device]);
    }
    let wrong = told("error_db = 2.5");
    let errors: Vec<f64> = wrong
        .iter()
        .zip(&truth)
        .map(|(w, t)| 10.0 * (w / t).log10())
        .collect();
    let n = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / n;
    let spread = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
    assert!(
        mean.abs() < 0.35 && (spread - 2.5).abs() < 0.25,
        "{mean} {spread}"
    );
}

#[test]
fn a_device_that_sees_old_gains_sends_less_for_its_energy() {
    // Water-filling lives on knowing the gain of the slot: on a channel that changes from slot to slot a delay leaves it none
    // of that, and the bits follow the true gain.
    let per_joule = |estimate: &str| {
        let text = format!(
            "policies = [\"never+water-filling\"]\nframes = 150\nwarmup_frames = 0\n[channel]\nbandwidth_hz = 3e5\n\
            [channel.estimate]\n{estimate}\n[device]\ndistance_m = [700, 700]\n[[devices]]\ncount = 2\n"
        );
        let records = run(&text);
        let bits: f64 = records.frames.iter().map(|r| r.bits).sum();
        bits / records
            .frames
            .iter()
            .map(|r| r.energy_transmit_j)
            .sum::<f64>()
    };
    let (now, late) = (per_joule(""), per_joule("slot_delay_slots = 1"));
    assert!(late < 0.9 * now, "{late} {now}");
}

fn error(text: &str) -> String {
    let scenario = match enachi_sim::scenario::parse(text, "test.toml", &[]) {
        Ok(scenario) => scenario,
        Err(error) => return error.to_string(),
    };
    Deployment::new(scenario, profile())
        .expect_err(text)
        .to_string()
}

#[test]
fn worlds_that_cannot_be_are_refused() {
    for (text, parts) in [
        (
            "[channel]\npath_loss = \"umii\"",
            &["did you mean `umi`?"][..],
        ),
        (
            "[channel]\npath_los = \"umi\"",
            &["did you mean `path_loss`?"],
        ),
        (
            "[channel.urban]\nbase_heigth_m = 3",
            &["did you mean `base_height_m`?"],
        ),
        (
            "[mobility]\nmodel = \"random-waypiont\"",
            &["did you mean `random-waypoint`?"],
        ),
        ("[arrivals]\nrate = 1", &["unknown field `rate`"]),
        (
            "[channel]\npath_loss = \"umi\"\n[device]\ndistance_m = [5, 100]",
            &["device.distance_m = [5, 100]", "10 <= nearest"],
        ),
        (
            "[device]\ndistance_m = [10, 9000]",
            &["device.distance_m = [10, 9000]", "cell_radius_m = 5000"],
        ),
        (
            "[channel]\ncell_radius_m = 80",
            &["device.distance_m = [100, 100]", "cell_radius_m = 80"],
        ),
        (
            "[channel]\ncell_radius_m = nan",
            &["channel.cell_radius_m = NaN"],
        ),
        (
            "[[devices]]\ncount = 1\npositions_m = [[0, 6000]]",
            &["devices.0.positions_m.0 = [0, 6000]: must be within the cell, 1..=5000 m"],
        ),
        (
            "[[devices]]\ncount = 1\npositions_m = [[0, nan]]",
            &["devices.0.positions_m.0 = [0, NaN]"],
        ),
        (
            "[[devices]]\ncount = 3\npositions_m = [[0, 60]]",
            &["devices.0.positions_m = 1 places: must be one [x, y] for each of count = 3"],
        ),
        (
            "[[devices]]\ncount = 1\npositions_m = [[0, 60]]\nmean_gain = 1e-9",
            &["absent where"],
        ),
        (
            "[channel]\npath_loss = \"uma\"\ncarrier_hz = 1e8",
            &["channel.carrier_hz = 100000000: must be in 500000000..="],
        ),
        (
            "[channel]\npath_loss = \"uma\"\nshadowing_db = 4",
            &["channel.shadowing_db = 4", "channel.urban.shadowing"],
        ),
        (
            "[channel]\npath_loss = \"uma\"\n[channel.urban]\ndevice_height_m = 40",
            &["channel.urban.device_height_m = 40: must be in 1.5..=22.5"],
        ),
        (
            "[channel]\npath_loss = \"uma\"\n[channel.urban]\nbase_height_m = 1",
            &["channel.urban.base_height_m = 1"],
        ),
        (
            "[channel]\nrician_k_db = 90",
            &["channel.rician_k_db = 90: must be in -20..=40"],
        ),
        (
            "[channel]\nshadowing_distance_m = -1",
            &["channel.shadowing_distance_m = -1"],
        ),
        (
            "[channel]\ncorrelation = \"doppler\"\n[device]\nspeed_m_per_s = 100",
            &[
                "device.speed_m_per_s = 100: must be at most 42.857",
                "shorten frame.slot_s",
            ],
        ),
        (
            "[device]\nspeed_m_per_s = -1",
            &["device.speed_m_per_s = -1"],
        ),
        (
            "[[devices]]\ncount = 1\nspeed_m_per_s = inf",
            &["devices.0.speed_m_per_s = inf"],
        ),
        ("[mobility]\nmemory_s = 0", &["mobility.memory_s = 0"]),
        ("[mobility]\npause_s = -1", &["mobility.pause_s = -1"]),
        (
            "[arrivals]\ntasks_per_frame = 0.5",
            &["arrivals.tasks_per_frame = 0.5: must be 1 where arrivals.process is \"each-frame\""],
        ),
        (
            "[arrivals]\nprocess = \"bernoulli\"\ntasks_per_frame = 1.5",
            &["arrivals.tasks_per_frame = 1.5: must be above 0 and at most 1"],
        ),
        (
            "[arrivals]\nprocess = \"poisson\"\ntasks_per_frame = nan",
            &["arrivals.tasks_per_frame = NaN"],
        ),
        (
            "[arrivals]\nprocess = \"poisson\"\nwaiting_max = 100000",
            &["arrivals.waiting_max = 100000"],
        ),
        (
            "[channel.estimate]\nerror_db = -1",
            &["channel.estimate.error_db = -1"],
        ),
        (
            "[channel.estimate]\ndelay_frames = 100000",
            &["channel.estimate.delay_frames = 100000"],
        ),
        (
            "[channel.trace]\npath = \"\"",
            &["channel.trace.path = \"\""],
        ),
        (
            "[channel.trace]\nlooped = true\npath = \"x.csv\"",
            &["unknown field `looped`"],
        ),
        (
            "[channel.trace]\npath = \"x.csv\"\n[mobility]\nmodel = \"gauss-markov\"",
            &["mobility.model", "channel.trace gives the gains"],
        ),
        (
            "[channel.trace]\npath = \"no-such-file.csv\"",
            &["channel.trace.path: no-such-file.csv: "],
        ),
    ] {
        let message = error(text);
        for part in parts {
            assert!(
                message.contains(part),
                "{text}\n{part:?} is not in: {message}"
            );
        }
    }
}

#[test]
fn traces_that_do_not_fit_their_scenario_are_refused() {
    let folder = folder("unfit");
    let refused = |rows: &str, head: &str, parts: &[&str]| {
        std::fs::write(folder.join("t.csv"), rows).unwrap();
        let file = folder.join("s.toml");
        std::fs::write(
            &file,
            format!("{head}\n[channel.trace]\npath = \"t.csv\"\n"),
        )
        .unwrap();
        let scenario = load(&file, &[]).unwrap();
        let message = Deployment::new(scenario, profile())
            .unwrap_err()
            .to_string();
        for part in ["channel.trace.path: ", "t.csv: "].iter().chain(parts) {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    };
    let frames = "frames = 3\nwarmup_frames = 0";
    // 100 slots a row; a frame has 300.
    let rows = |count: u32| {
        let rows = (0..count).map(|row| format!("0,{},1e-9\n", row * 100));
        format!("device,slot,gain\n{}", rows.collect::<String>())
    };
    refused(
        &rows(8),
        frames,
        &[
            "8 rows per device end after frame 1: must cover all 3 frames",
            "repeat = true",
        ],
    );
    refused(&rows(2), frames, &["end after frame none"]);
    refused(
        &rows(9),
        &format!("{frames}\n[[devices]]\ncount = 2"),
        &["1 devices: must be 2"],
    );
    let fine = "device,time_s,gain\n0,0,1e-9\n0,0.0005,1e-9\n";
    refused(
        fine,
        frames,
        &["step = 0.0005 s: must be at least frame.slot_s = 0.001 s"],
    );
    // Nine rows are just enough.
    std::fs::write(folder.join("t.csv"), rows(9)).unwrap();
    let scenario = load(&folder.join("s.toml"), &[]).unwrap();
    let mut one = scenario;
    one.devices.truncate(1);
    one.devices[0].count = 1;
    assert!(Deployment::new(one, profile()).is_ok());
}
