//! Whole simulations on a small profile: identities, determinism, and what each kind of grant does.
#![allow(clippy::unwrap_used)]

mod common;

use common::{difficulty, factory, profile, scenario};
use enachi_core::profile::Profile;
use enachi_core::record::{FrameRecord, Outcome, StopReason};
use enachi_sim::deployment::Deployment;
use enachi_sim::simulate::{Records, Unwatched, policy_warnings, simulate};
use enachi_sim::summary::summarise;
use std::sync::atomic::AtomicBool;

const BASE: &str = r#"
frames = 60
warmup_frames = 10
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

fn run(text: &str) -> Records {
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
        .unwrap()
        .1
}

fn policies(list: &str) -> String {
    format!("policies = [{list}]\n{BASE}")
}

#[test]
fn same_bytes_on_any_number_of_threads() {
    let text = policies(r#""tracking", "constant", "never", "level", "half", "local""#);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&text)).frames
    };
    let one = on(1);
    assert_eq!(one.len(), 6 * 2 * 60 * 5);
    assert_eq!(one, on(2));
    assert_eq!(one, on(7));
}

#[test]
fn all_policies_meet_the_same_world() {
    let records = run(&policies(r#""tracking", "never", "level""#));
    let of = |policy: u16| records.frames.iter().filter(move |r| r.policy == policy);
    for other in [1, 2] {
        for (a, b) in of(0).zip(of(other)) {
            assert_eq!((a.seed, a.frame, a.device), (b.seed, b.frame, b.device));
            assert_eq!(a.image, b.image);
            assert_eq!(a.planned_gain, b.planned_gain);
        }
    }
    // ... and seeds differ.
    let images = |seed: u64| of(0).filter(move |r| r.seed == seed).map(|r| r.image);
    assert!(images(1).ne(images(2)));
}

#[test]
fn energy_queue_obeys_its_identity_on_every_path() {
    let records = run(&policies(r#""tracking", "constant", "local""#));
    for policy in 0..3 {
        for seed in 1..=2 {
            for device in 0..5 {
                let rows: Vec<&FrameRecord> = records
                    .frames
                    .iter()
                    .filter(|r| (r.policy, r.seed, r.device) == (policy, seed, device))
                    .collect();
                let budget = if device < 3 { 0.08 } else { 0.05 };
                let (mut queue, mut spent) = (0.0_f64, 0.0);
                for (m, row) in rows.iter().enumerate() {
                    assert!((row.energy_queue_j - queue).abs() < 1e-9);
                    spent += row.energy_j();
                    queue = (queue + row.energy_j() - budget).max(0.0);
                    assert!(spent <= (m + 1) as f64 * budget + queue + 1e-9);
                }
            }
        }
    }
}

#[test]
fn records_add_up() {
    let records = run(&policies(
        r#""tracking", "constant", "never", "level", "half""#,
    ));
    for r in &records.frames {
        assert!(r.sent_time_s <= r.batch_time_s + 1e-9 || r.slots == 0);
        assert!(r.answer_time_s <= if r.device < 3 { 0.3 } else { 0.2 } + 1e-9);
        assert!((0.0..=1.0 + 1e-9).contains(&r.fraction));
        assert!(r.mean_power_w <= 2.0);
        let radiated = r.mean_power_w * f64::from(r.slots) * 1e-3;
        assert!((r.energy_transmit_j - radiated).abs() < 1e-12);
        // Head at 2 GHz and 1e-28 W/Hz³: 0.8 W.
        let compute_s = (r.energy_local_j + r.energy_codec_j) / 0.8;
        assert!((compute_s - r.ready_time_s).abs() < 1e-12);
        // What arrived decides, and only that.
        let share = match r.outcome {
            Outcome::Delivered if r.policy == 4 => 0.1,
            Outcome::Delivered => 1.0,
            _ => r.fraction,
        };
        if r.policy < 3 && r.correct {
            assert!(share + 0.01 >= difficulty(r.image.unwrap() as usize));
        }
    }
}

#[test]
fn outcomes_follow_the_grant() {
    let records = run(&policies(
        r#""tracking", "never", "level", "half", "local""#,
    ));
    let count = |policy: u16, outcome: Outcome| {
        records
            .frames
            .iter()
            .filter(|r| r.policy == policy && r.outcome == outcome)
            .count()
    };
    assert!(count(0, Outcome::StoppedEarly) > 300);
    assert_eq!(count(1, Outcome::StoppedEarly), 0);
    assert!(count(1, Outcome::Delivered) > 0);
    assert!(
        count(1, Outcome::DeadlineCut) > 0,
        "the band is too narrow for all"
    );
    assert!(count(2, Outcome::Delivered) > 0);
    assert_eq!(count(4, Outcome::Local), 600);
    for r in &records.frames {
        match r.policy {
            2 => assert!(r.level <= Some(3) && r.level >= Some(1) && r.stream == Some(0)),
            // 29 kbit of the mean curve end at its checkpoint at a tenth, whatever the image makes of it.
            3 if r.outcome == Outcome::Delivered => {
                assert_eq!((r.chunks, r.stop_reason), (10, StopReason::AllSent));
            }
            4 => {
                assert!(r.slots == 0 && r.correct == (difficulty(r.image.unwrap() as usize) <= 1.0))
            }
            _ => {}
        }
    }
}

#[test]
fn stopping_saves_energy_at_the_same_answers() {
    let records = run(&policies(r#""tracking", "never""#));
    let deployment = Deployment::new(scenario(BASE), profile()).unwrap();
    let summary = summarise(&deployment.scenario, &records);
    let [stop, never] = &summary.policies[..] else {
        panic!("two policies");
    };
    // Entropy 0.3 nat is 0.13 short of the image's need: answers differ little, energy much.
    assert!(stop.energy_transmit_j < 0.8 * never.energy_transmit_j);
    assert!(never.accuracy_difference_low <= never.accuracy_difference);
    assert!(never.accuracy_difference <= never.accuracy_difference_high);
    assert!(stop.accuracy_low < stop.accuracy && stop.accuracy < stop.accuracy_high);
    assert_eq!(stop.accuracy_difference, 0.0);
    assert_eq!(
        (stop.accuracy_difference_low, stop.accuracy_difference_high),
        (0.0, 0.0)
    );
}

#[test]
fn variants_change_the_packet_level_only() {
    let records = run(&policies(
        r#""tracking", "tracking+constant", "tracking+water-filling", "tracking+printed", "tracking+stop-never", "tracking+stop-marginal""#,
    ));
    let deployment = Deployment::new(scenario(BASE), profile()).unwrap();
    let summary = summarise(&deployment.scenario, &records);
    let by = |name: &str| summary.policies.iter().find(|p| p.policy == name).unwrap();
    assert_eq!(by("tracking+stop-never").stop_rate, 0.0);
    assert!(by("tracking").stop_rate > 0.3);
    assert!(by("tracking+stop-marginal").stop_rate > 0.0);
    // The printed law overshoots its reference.
    let per_slot = |name: &str| by(name).energy_transmit_j / by(name).mean_slots;
    assert!(per_slot("tracking+printed") > 1.5 * per_slot("tracking+constant"));
    let marginal = records
        .frames
        .iter()
        .any(|r| r.stop_reason == StopReason::MarginalValue);
    assert!(marginal);
}

#[test]
fn the_stop_rule_sees_the_predictor_unless_told_otherwise() {
    let mut profile = profile();
    let predict = |profile: &mut Profile| {
        for stream in profile.cuts.iter_mut().flat_map(|cut| &mut cut.streams) {
            // A predictor that is never quite certain.
            let predicted = stream
                .samples
                .entropy_nats
                .iter()
                .map(|h| 0.9 * h + 0.2)
                .collect();
            stream.samples.predicted_nats = predicted;
        }
    };
    let names = r#""tracking", "tracking+tail", "tracking+predictor", "tracking+stop-marginal", "tracking+stop-marginal+tail""#;
    let run = |profile: Profile, threshold: &str| {
        let text = format!("{}[packet]\n{threshold}\n", policies(names));
        let deployment = Deployment::new(scenario(&text), profile).unwrap();
        let (_, records) =
            simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched).unwrap();
        let of = |policy: u16| -> Vec<(u32, f64, Option<f64>)> {
            let frames = records.frames.iter().filter(|r| r.policy == policy);
            frames.map(|r| (r.chunks, r.bits, r.entropy_nats)).collect()
        };
        [of(0), of(1), of(2), of(3), of(4)]
    };
    // Without a predictor there is only one uncertainty to see.
    let [default, tail, predictor, marginal, marginal_tail] =
        run(profile.clone(), "entropy_threshold_nats = 0.3");
    assert!(default == tail && tail == predictor && marginal == marginal_tail);
    predict(&mut profile);
    let [default, with_tail, predictor, ..] = run(profile.clone(), "entropy_threshold_nats = 0.3");
    assert_eq!(default, predictor);
    assert_eq!(with_tail, tail);
    let sent =
        |frames: &[(u32, f64, Option<f64>)]| frames.iter().map(|f| f64::from(f.0)).sum::<f64>();
    assert!(
        sent(&predictor) > sent(&tail),
        "less certain, so it sends more"
    );
    assert!(predictor.iter().flat_map(|f| f.2).fold(9.0, f64::min) >= 0.2 - 1e-6);
    // Fitted: 60 images promise nothing within a point, so the predictor never stops; the tail's mean loss may.
    let [default, with_tail, ..] = run(profile, "threshold_loss = 0.01");
    assert!(sent(&default) > sent(&with_tail));
}

#[test]
fn cancelling_keeps_what_is_finished() {
    let deployment = Deployment::new(scenario(&policies(r#""tracking""#)), profile()).unwrap();
    let cancel = AtomicBool::new(true);
    let (_, records) = simulate(deployment, &factory(), &cancel, &Unwatched).unwrap();
    assert!(records.interrupted && records.frames.is_empty());
    let summary = summarise(&scenario(BASE), &records);
    assert_eq!(summary.policies[0].device_frames, 0);
}

#[test]
fn slots_are_recorded_on_request() {
    let text = format!("{}[output]\nslots = true\n", policies(r#""tracking""#));
    let records = run(&text);
    let slots: u32 = records.frames.iter().map(|r| r.slots).sum();
    assert_eq!(records.slots.len(), slots as usize);
    let without = run(&policies(r#""tracking""#));
    assert_eq!(records.frames, without.frames);
    let energy: f64 = records.slots.iter().map(|s| s.power_w * 1e-3).sum();
    let total: f64 = records.frames.iter().map(|r| r.energy_transmit_j).sum();
    assert!((energy - total).abs() < 1e-9 * total);
}

#[test]
fn a_stream_measured_on_few_images_does_not_shrink_the_draw() {
    let mut profile = profile();
    let short = profile
        .cuts
        .iter_mut()
        .flat_map(|cut| &mut cut.streams)
        .filter(|stream| stream.name == "raw8-random");
    for stream in short {
        let samples = &mut stream.samples;
        let kept = 5 * samples.checkpoints;
        samples.images = 5;
        samples.bits.truncate(kept);
        samples.top1.truncate(kept);
        samples.correct.truncate(kept);
        samples.entropy_nats.truncate(kept);
    }
    let scenario = scenario(&policies(r#""tracking""#));
    let deployment = Deployment::new(scenario, profile).unwrap();
    let records = simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
        .unwrap()
        .1;
    let mut seen: Vec<u32> = records.frames.iter().filter_map(|r| r.image).collect();
    seen.sort_unstable();
    seen.dedup();
    // 600 draws from 60 images.
    assert_eq!(seen.len(), common::IMAGES);
}

/// An amplifier that radiates half of what it draws is a channel of half the gain behind an amplifier of twice the power:
/// the same run to the last bit.
#[test]
fn an_amplifier_is_the_first_part_of_the_channel() {
    let head = "policies = [\"enachi\", \"tracking\", \"jpeg-equal-share\", \"enachi+water-filling\"]\n\
        frames = 40\nwarmup_frames = 0\n[channel]\nbandwidth_hz = 6e5\n[device]\nenergy_budget_j = 0.03\n";
    let lossy = run(&format!(
        "{head}power_max_w = 0.2\namplifier_efficiency = 0.5\n[[devices]]\ncount = 3\nmean_gain = 4e-13\n"
    ));
    let ideal = run(&format!(
        "{head}power_max_w = 0.4\n[[devices]]\ncount = 3\nmean_gain = 2e-13\n"
    ));
    assert_eq!(lossy.frames, ideal.frames);
    let radiating = run(&format!(
        "{head}power_max_w = 0.2\n[[devices]]\ncount = 3\nmean_gain = 4e-13\n"
    ));
    assert_ne!(lossy.frames, radiating.frames);
}

#[test]
fn the_picture_goes_out_in_the_stream_that_the_scenario_names() {
    let mut profile = profile();
    // A better codec behind JPEG, and raw pixels behind both.
    let input = &mut profile.cuts[0].streams;
    let mut better = input[0].clone();
    better.name = "webp-ladder".into();
    better.samples.bits.iter_mut().for_each(|bits| *bits /= 2);
    let curve = better.measured.as_mut().unwrap();
    curve.bits.iter_mut().for_each(|bits| *bits /= 2.0);
    better.total_bits /= 2.0;
    let mut pixels = input[0].clone();
    pixels.name = "pixels".into();
    input.extend([better, pixels]);
    let run = |named: &str| {
        let text = format!(
            "policies = [\"jpeg-equal-share\", \"progressive-ftx@input\", \"edge-only\"]\n[profile]\n{named}\n{BASE}"
        );
        let text = text.replacen(
            "[profile]",
            "frames = 20\nwarmup_frames = 0\nseeds = 1\n[profile]",
            1,
        );
        let text = text.replace("\nframes = 60\nwarmup_frames = 10\nseeds = 2\n", "\n");
        let deployment = Deployment::new(scenario(&text), profile.clone()).unwrap();
        let (deployment, records) =
            simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched).unwrap();
        let names = deployment.names(records.names.policies.clone()).streams;
        let mut used: Vec<Vec<String>> = vec![Vec::new(); 3];
        for frame in &records.frames {
            if let Some(stream) = frame.stream {
                used[frame.policy as usize].push(names[stream as usize].clone());
            }
        }
        for streams in &mut used {
            streams.sort();
            streams.dedup();
        }
        used
    };
    assert_eq!(run(""), [["jpeg"], ["jpeg"], ["pixels"]]);
    assert_eq!(
        run("picture_stream = \"webp-ladder\""),
        [["webp-ladder"], ["webp-ladder"], ["pixels"]]
    );
}

/// Policies that are about the picture send it although planners must not, and it is said of each.
#[test]
fn policies_that_send_a_forbidden_picture_are_named() {
    let names =
        r#""enachi", "jpeg-equal-share", "progressive-ftx@input", "progressive-ftx@block1""#;
    let named = |forbid: bool| {
        let text = format!("{}\n[profile]\nforbid_input = {forbid}", policies(names));
        let deployment = Deployment::new(scenario(&text), profile()).unwrap();
        policy_warnings(&deployment, &factory()).unwrap()
    };
    assert!(named(false).is_empty());
    let named = named(true);
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named[0].contains("jpeg-equal-share") && named[1].contains("progressive-ftx@input"));
}
