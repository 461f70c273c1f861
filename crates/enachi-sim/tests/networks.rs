//! Several networks and deadlines in one cell.
#![allow(clippy::unwrap_used)]

mod common;

use common::{EQUAL, IMAGES, difficulty, profile, scenario};
use enachi_core::profile::{CutKind, Profile};
use enachi_core::record::{FrameRecord, Outcome};
use enachi_core::task::policies::PolicyParams;
use enachi_sim::deployment::{Deployment, Profiles};
use enachi_sim::feasible;
use enachi_sim::policies::PolicyFactory;
use enachi_sim::simulate::{Records, Unwatched, simulate};
use enachi_sim::summary::summarise;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

const POLICIES: &str = r#"policies = ["enachi", "enachi-mux", "sc-cao", "jpeg-equal-share", "best-static-cut", "device-only", "enachi-max"]"#;

const CELL: &str = r#"
frames = 30
warmup_frames = 5
seeds = 2
[channel]
bandwidth_hz = 1.2e6
shadowing_db = 3
[device]
distance_m = [50, 150]
energy_budget_j = 0.08
[[devices]]
count = 3
[[devices]]
count = 2
deadline_s = 0.2
energy_budget_j = 0.05
"#;

/// The toy with the last block gone, twenty classes and two thirds of the images.
fn other() -> Profile {
    let mut other = profile();
    other.meta.model_name = "small".into();
    other.meta.classes = 20;
    other.cuts.remove(2);
    let images = 2 * IMAGES / 3;
    other.images.truncate(images);
    for stream in other.cuts.iter_mut().flat_map(|cut| &mut cut.streams) {
        let samples = &mut stream.samples;
        let cells = images * samples.checkpoints;
        samples.images = images;
        samples.bits.truncate(cells);
        samples.correct.truncate(cells);
        samples.top1.truncate(cells);
        samples.entropy_nats.truncate(cells);
    }
    other
}

fn deploy(text: &str, named: Profile) -> Result<Deployment, String> {
    let profiles = Profiles {
        default: Some(profile()),
        named: vec![("b.parquet".into(), named)],
    };
    Deployment::new(scenario(text), profiles).map_err(|error| error.to_string())
}

fn run(deployment: Deployment) -> (Deployment, Records) {
    let factory = PolicyFactory::on(&deployment).with("tracking", || EQUAL);
    let cancel = AtomicBool::new(false);
    simulate(deployment, &factory, &cancel, &Unwatched).unwrap()
}

/// The second group runs `b.parquet`.
fn mixed(policies: &str) -> String {
    let text = CELL.replace("count = 2", "count = 2\nprofile = \"b.parquet\"");
    format!("{policies}\n{text}")
}

#[test]
fn the_same_network_twice_is_one_network() {
    let one = Deployment::new(scenario(&format!("{POLICIES}\n{CELL}")), profile()).unwrap();
    let (one_deployment, one) = run(one);
    let (two_deployment, two) = run(deploy(&mixed(POLICIES), profile()).unwrap());
    let cuts = one.names.cuts.len();
    assert_eq!(one.names.cuts, ["input", "block1", "block2", "output"]);
    let expected = ["toy/input", "toy/block1", "toy/block2", "toy/output"];
    assert_eq!(two.names.cuts[..cuts], expected);
    assert_eq!(two.names.cuts[cuts], "toy-2/input");
    let streams = one.names.streams.len() as u16;
    assert_eq!(one.frames.len(), two.frames.len());
    for (a, b) in one.frames.iter().zip(&two.frames) {
        let second = b.device >= 3;
        let shifted = FrameRecord {
            cut: a.cut.map(|cut| cut + u16::from(second) * cuts as u16),
            stream: a.stream.map(|stream| stream + u16::from(second) * streams),
            ..a.clone()
        };
        assert_eq!(shifted, *b);
    }
    let one = summarise(&one_deployment.scenario, &one);
    let two = summarise(&two_deployment.scenario, &two);
    for (a, b) in one.policies.iter().zip(&two.policies) {
        assert_eq!((a.accuracy, a.energy_j), (b.accuracy, b.energy_j));
        // Two networks have images of their own, so intervals of both together are narrower, not means.
        for (a, b) in a.groups.iter().zip(&b.groups) {
            assert_eq!(a.figures.accuracy, b.figures.accuracy);
            assert_eq!(a.figures.energy_j, b.figures.energy_j);
        }
    }
}

#[test]
fn every_group_runs_its_own_network() {
    let (deployment, records) = run(deploy(&mixed(POLICIES), other()).unwrap());
    let network = |r: &FrameRecord| usize::from(r.device >= 3);
    let mut cuts = [Vec::new(), Vec::new()];
    for r in &records.frames {
        let own = &deployment.networks[network(r)];
        assert!((r.image.unwrap() as usize) < own.images);
        if let Some(cut) = r.cut {
            assert!(own.cuts().contains(&u32::from(cut)), "{r:?}");
            cuts[network(r)].push(records.names.cuts[usize::from(cut)].clone());
        }
        if r.outcome == Outcome::Local {
            let easy = difficulty(r.image.unwrap() as usize) <= 1.0;
            assert_eq!(r.correct, easy);
        }
        if let (Some(cut), Some(stream)) = (r.cut, r.stream) {
            let cut = deployment.cut(cut.into());
            let name = &records.names.streams[usize::from(stream)];
            assert!(cut.streams.iter().any(|s| s.name == *name));
            assert_ne!(cut.kind, CutKind::Local);
        }
        let deadline_s = if network(r) == 0 { 0.3 } else { 0.2 };
        assert!(r.answer_time_s <= deadline_s + 1e-9);
    }
    assert!(cuts[0].iter().all(|name| name.starts_with("toy/")));
    assert!(cuts[1].iter().all(|name| name.starts_with("small/")));
    assert_eq!(deployment.floor(0), 1.0 / 11.0);
    assert_eq!(deployment.floor(4), 0.05);
}

#[test]
fn groups_are_summed_up_by_themselves() {
    let (deployment, records) = run(deploy(&mixed(POLICIES), other()).unwrap());
    let summary = summarise(&deployment.scenario, &records);
    for (policy, of_policy) in summary.policies.iter().enumerate() {
        assert_eq!(of_policy.groups.len(), 2);
        let mut weighted = 0.0;
        for group in &of_policy.groups {
            let rows: Vec<&FrameRecord> = records
                .frames
                .iter()
                .filter(|r| usize::from(r.policy) == policy)
                .filter(|r| usize::from(r.device >= 3) == group.group)
                .collect();
            let mean = |value: &dyn Fn(&FrameRecord) -> f64| {
                rows.iter().map(|r| value(r)).sum::<f64>() / rows.len() as f64
            };
            let accuracy = mean(&|r| f64::from(u8::from(r.correct)));
            assert_eq!(group.figures.accuracy, accuracy);
            assert_eq!(group.figures.energy_j, mean(&FrameRecord::energy_j));
            let budget = [0.08, 0.05][group.group];
            assert_eq!(group.figures.energy_budget_j, budget);
            assert_eq!(group.deadline_s, [0.3, 0.2][group.group]);
            assert!(group.figures.accuracy_low <= accuracy);
            assert!(group.figures.accuracy_high >= accuracy);
            weighted += accuracy * f64::from(group.devices) / 5.0;
        }
        assert!((of_policy.accuracy - weighted).abs() < 1e-12);
    }
    let json = serde_json::to_string(&summary).unwrap();
    assert!(json.contains("\"groups\"") && json.contains("\"profile\":\"b.parquet\""));
}

#[test]
fn same_records_on_any_number_of_threads() {
    let text = format!(
        "{}\n[edge]\nworkers = 1\nfrequency_hz = 4e8",
        mixed(POLICIES)
    );
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        pool.install(|| run(deploy(&text, other()).unwrap()).1.frames)
    };
    let one = on(1);
    assert!(one.iter().any(|r| r.outcome != Outcome::Local));
    assert_eq!(one, on(4));
}

#[test]
fn batches_hold_one_network_and_cut() {
    // A batch takes as long as one tail (and a decoder each), but networks do not share one: their times add up.
    let edge = "[edge]\nworkers = 1\nfrequency_hz = 1e9\nbatch_per_item = 0";
    let open = "[profile]\nforbid_local = true\nforbid_input = true";
    let text = format!(
        "{}\n{edge}\n{open}",
        mixed("policies = [\"best-static-cut\"]")
    );
    let text = text.replace("deadline_s = 0.2", "deadline_s = 0.3");
    let alone_s = |macs: u64| macs as f64 * 0.1345 / 1e9;
    let (deployment, records) = run(deploy(&text, other()).unwrap());
    for frame in records.frames.chunks(5) {
        let mut batches: BTreeMap<u16, f64> = BTreeMap::new();
        for cut in frame.iter().map(|r| r.cut.unwrap()) {
            let tail_s = alone_s(deployment.cut(cut.into()).tail_macs);
            *batches.entry(cut).or_insert(tail_s) += alone_s(1_000_000);
        }
        assert!(batches.len() > 1);
        let expected = 0.3 - batches.values().sum::<f64>();
        for r in frame {
            assert!((r.batch_time_s - expected).abs() < 1e-9, "{r:?} {expected}");
        }
    }
}

#[test]
fn names_that_do_not_fit_are_refused() {
    let refused = |text: &str| deploy(text, other()).unwrap_err();
    let candidates = |list: &str| {
        format!(
            "{}\n[profile]\ncandidates = [{list}]",
            mixed("policies = [\"enachi\"]")
        )
    };
    let message = refused(&candidates("\"small/blok1\""));
    assert!(
        message.contains("did you mean `small/block1`?"),
        "{message}"
    );
    // Qualified, it is about one network; the other keeps all of its cuts.
    let deployment = deploy(&candidates("\"small/block1\""), other()).unwrap();
    let (_, records) = run(deployment);
    let cut = |r: &FrameRecord| {
        r.cut
            .map(|cut| records.names.cuts[usize::from(cut)].as_str())
    };
    let of = |second: bool| {
        records
            .frames
            .iter()
            .filter(move |r| (r.device >= 3) == second)
    };
    assert!(of(true).all(|r| cut(r) == Some("small/block1")));
    assert!(of(false).any(|r| cut(r) != Some("toy/block1")));
    // Not qualified, it is about both.
    let deployment = deploy(&candidates("\"block1\""), other()).unwrap();
    let (_, records) = run(deployment);
    let both = ["toy/block1", "small/block1"];
    let names = &records.names.cuts;
    assert!(
        records
            .frames
            .iter()
            .all(|r| both.contains(&names[usize::from(r.cut.unwrap())].as_str()))
    );
    let message = refused(&format!(
        "{}\n[profile]\nforbid_local = true\nforbid_input = true\ncandidates = [\"small/output\"]",
        mixed("")
    ));
    assert!(
        message.contains("no cut is left") && message.contains("small/block1"),
        "{message}"
    );
    let message = refused(&mixed("").replace("b.parquet", "c.parquet"));
    assert!(
        message.contains("devices.1.profile = \"c.parquet\""),
        "{message}"
    );
    let mut broken = other();
    broken.cuts[1].streams[0].samples.bits.pop();
    let message = deploy(&mixed(""), broken).unwrap_err();
    assert!(
        message.starts_with("devices.1.profile = \"b.parquet\": "),
        "{message}"
    );
    let empty = mixed("").replace("b.parquet", "");
    let message = enachi_sim::scenario::parse(&empty, "s.toml", &[])
        .unwrap_err()
        .to_string();
    assert!(message.contains("devices.1.profile"), "{message}");
}

#[test]
fn a_policy_about_one_cut_needs_one_network() {
    let error = |policy: &str| {
        let deployment = deploy(&mixed(&format!("policies = [\"{policy}\"]")), other()).unwrap();
        let factory = PolicyFactory::on(&deployment);
        let cancel = AtomicBool::new(false);
        simulate(deployment, &factory, &cancel, &Unwatched)
            .unwrap_err()
            .to_string()
    };
    let message = error("progressive-ftx@toy/block1");
    assert!(
        message.contains("\"toy/block1\"") && message.contains("devices.1"),
        "{message}"
    );
    assert!(message.contains("small"), "{message}");
    let message = error("progressive-ftx@block1");
    assert!(message.contains("block1"), "{message}");
    let known = PolicyFactory::new(&profile(), PolicyParams::default());
    assert!(known.make("progressive-ftx@block1").is_ok());
}

#[test]
fn a_group_that_cannot_answer_is_named() {
    let late = mixed("policies = [\"enachi\"]").replace("deadline_s = 0.2", "deadline_s = 0.0005");
    let deployment = deploy(&late, other()).unwrap();
    let factory = PolicyFactory::on(&deployment);
    let message = feasible::check(&deployment, &factory)
        .unwrap_err()
        .to_string();
    let expected = "policies = \"enachi\": devices.1.deadline_s = 0.0005: must be at least 0.0";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("small"), "{message}");
    // The engine runs it all the same, as a sweep wants.
    let (_, records) = run(deployment);
    let of = |second: bool| {
        records
            .frames
            .iter()
            .filter(move |r| (r.device >= 3) == second)
    };
    assert!(of(true).all(|r| r.outcome == Outcome::Infeasible && !r.correct));
    assert!(of(false).any(|r| r.correct));
    let fits = deploy(&mixed(POLICIES), other()).unwrap();
    feasible::check(&fits, &PolicyFactory::on(&fits)).unwrap();
}
