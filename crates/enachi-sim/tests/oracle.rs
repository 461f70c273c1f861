//! The upper bound against every policy, against what is obvious, and against itself on other threads.
#![allow(clippy::unwrap_used)]

mod common;

use common::{IMAGES, difficulty, factory, profile, scenario};
use enachi_core::record::FrameRecord;
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::oracle::{OracleShare, oracle_shares};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::parse;
use enachi_sim::simulate::{Records, Unwatched, simulate};
use std::sync::atomic::AtomicBool;

fn run(deployment: Deployment, factory: &PolicyFactory) -> (Deployment, Records, Vec<OracleShare>) {
    let off = AtomicBool::new(false);
    let (deployment, records) = simulate(deployment, factory, &off, &Unwatched).unwrap();
    let shares = oracle_shares(&deployment, factory, &records, &off, &Unwatched).unwrap();
    (deployment, records, shares)
}

fn accuracy<'a>(records: impl Iterator<Item = &'a FrameRecord>) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for record in records {
        right += f64::from(u8::from(record.correct));
        all += 1.0;
    }
    right / all
}

/// A fixed, rough sequence in 0..1.
fn rough(seed: u64, i: u64) -> f64 {
    let mut x = (seed * 1000 + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((x ^ (x >> 27)) >> 11) as f64 / (1u64 << 53) as f64
}

const POLICIES: &str = "\"enachi\", \"enachi+stop-never\", \"enachi+stop-marginal\", \"enachi+tail\", \"enachi+printed\", \
    \"enachi+water-filling\", \"enachi-sequential\", \"enachi-mux\", \"enachi-mux+tail\", \"progressive-ftx@1\", \"effect-dnn\", \
    \"sc-cao\", \"edge-only\", \"device-only\", \"min-energy-split\", \"jpeg-equal-share\", \"best-static-cut\", \
    \"tracking\", \"never\", \"half\", \"level\", \"enachi-max\"";

#[test]
fn no_policy_beats_the_bound() {
    let mut closest = 0.0f64;
    for case in 0..12 {
        let u = |i| rough(case, i);
        let pick = |i: u64, values: &[f64]| values[(u(i) * values.len() as f64) as usize];
        let log = |i, low: f64, high: f64| low * (high / low).powf(u(i));
        let noise = ["exact", "constant"][(u(1) * 1.3) as usize];
        let text = format!(
            "policies = [{POLICIES}]\nframes = 12\nwarmup_frames = 2\nseed = {case}\nseeds = 2\n\
             [profile]\nforbid_local = {}\nforbid_input = {}\n\
             [channel]\nbandwidth_hz = {:e}\nnoise = \"{noise}\"\nnoise_power_w = 2e-14\nmax_spectral_efficiency = {:?}\n\
             coherence_slots = {}\nshadowing_db = {}\n\
             [mux]\nperiod_slots = {}\n\
             [device]\ndistance_m = [50, {}]\nenergy_budget_j = {}\ncircuit_power_w = {}\ntail_power_w = {}\n\
             tail_time_s = 0.005\nidle_power_w = {}\namplifier_efficiency = {}\npower_max_w = {}\n\
             [[devices]]\ncount = {}\n[[devices]]\ncount = 2\ndeadline_s = 0.2\nenergy_budget_j = {}\n",
            u(2) < 0.6,
            u(3) < 0.4,
            log(4, 5e4, 3e6),
            pick(5, &[f64::INFINITY, 7.4, 2.0]),
            pick(6, &[1.0, 10.0]) as u32,
            pick(7, &[0.0, 4.0]),
            pick(8, &[2.0, 5.0, 20.0]) as u32,
            log(9, 60.0, 300.0),
            log(10, 0.005, 0.3),
            pick(11, &[0.0, 0.1]),
            pick(12, &[0.0, 0.2]),
            pick(13, &[0.0, 0.01]),
            pick(14, &[1.0, 0.3]),
            log(15, 0.05, 2.0),
            1 + (u(16) * 4.0) as u32,
            log(17, 0.005, 0.3),
        );
        let deployment = Deployment::new(scenario(&text), profile()).unwrap();
        let (_, records, shares) = run(deployment, &factory());
        for (policy, share) in shares.iter().enumerate() {
            let rows = records
                .frames
                .iter()
                .filter(|r| usize::from(r.policy) == policy);
            // All weights are 1.
            assert!((accuracy(rows) - share.accuracy).abs() < 1e-12);
            assert!(
                share.accuracy <= share.bound + 1e-9 && share.bound <= 1.0,
                "{}: {share:?} in\n{text}",
                records.names.policies[policy]
            );
            closest = closest.max(share.share);
        }
    }
    assert!(closest > 0.95, "the bound is never within reach: {closest}");
}

#[test]
fn no_policy_beats_the_bound_on_curves() {
    for (band, users, budget) in [("1e6", 3, 0.05), ("20e6", 25, 0.25), ("3e6", 1, 0.02)] {
        let overrides = [
            format!("channel.bandwidth_hz={band}"),
            format!("devices=[{{count={users},mean_gain=1.5e-11}}]"),
            format!("device.energy_budget_j={budget}"),
            "frames=12".into(),
            "warmup_frames=2".into(),
            "seeds=2".into(),
            "packet.stop=\"entropy\"".into(),
            "predictor.noise_nats=0".into(),
            "policies=[\"enachi\",\"enachi-mux\",\"edge-only\",\"device-only\",\"effect-dnn\",\"sc-cao\",\"best-static-cut\",\"enachi-max\"]".into(),
        ];
        let text = include_str!("../../../scenarios/paper.toml");
        let scenario = parse(text, "paper.toml", &overrides).unwrap();
        let profile = curve_profile(scenario.profile.curves.as_ref().unwrap());
        let factory = PolicyFactory::new(&profile, Default::default());
        let deployment = Deployment::new(scenario, profile).unwrap();
        let (_, records, shares) = run(deployment, &factory);
        for (name, share) in records.names.policies.iter().zip(&shares) {
            assert!(share.accuracy <= share.bound + 1e-9, "{name}: {share:?}");
        }
    }
}

#[test]
fn with_everything_in_plenty_the_bound_is_the_network() {
    // An image of the test profile is right at the last checkpoint, or locally, or never.
    let text = "policies = [\"device-only\"]\nframes = 60\nwarmup_frames = 2\nseeds = 3\n\
        [channel]\nbandwidth_hz = 1e8\nfading = \"none\"\n[device]\nenergy_budget_j = 1e3\ndistance_m = [20, 30]\n[[devices]]\ncount = 2";
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    let (_, _, shares) = run(deployment, &factory());
    assert!(
        (shares[0].bound - shares[0].accuracy).abs() < 1e-4,
        "{shares:?}"
    );
}

#[test]
fn alone_without_fading_a_task_is_right_if_its_bits_fit() {
    // One device, one cut, energy in plenty: the whole band at p_max in every slot of the window.
    let text = "policies = [\"enachi\"]\nframes = 200\nwarmup_frames = 2\nseeds = 2\n\
        [profile]\ncandidates = [\"block1\"]\n[task]\ncodec_work = false\n\
        [channel]\nbandwidth_hz = 1.5e5\nfading = \"none\"\nmax_spectral_efficiency = inf\n\
        [device]\nenergy_budget_j = 1e3\n[[devices]]\ncount = 1\nmean_gain = 1e-13";
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    let (deployment, records, shares) = run(deployment, &factory());
    let cut = deployment.cut(1);
    let samples = &cut.streams[0].samples;
    let slot_bits = 1.5e5 * 1e-3 * (1.0 + 1e-13 * 2.0 / (2e-20 * 1.5e5f64)).log2();
    // 60 MMAC at 0.1345 cycles and 2 GHz are done in the fifth slot, 340 MMAC at 20 GHz take 2.3 ms.
    let slots = 300.0 - 5.0 - 3.0;
    let (mut right, mut undecided) = (0.0, 0.0);
    for record in &records.frames {
        let image = record.image.unwrap() as usize;
        assert!(image < IMAGES);
        let needed = (0..samples.checkpoints)
            .filter(|c| samples.correct[samples.at(image, *c)])
            .map(|c| f64::from(samples.bits[samples.at(image, c)]))
            .fold(f64::INFINITY, f64::min);
        assert_eq!(needed.is_finite(), difficulty(image) <= 1.0);
        right += f64::from(u8::from(needed <= slots * slot_bits));
        undecided += f64::from(u8::from((needed / (slots * slot_bits) - 1.0).abs() < 1e-5));
    }
    let expected = right / records.frames.len() as f64;
    assert!(
        undecided == 0.0 && expected > 0.3 && expected < 0.85,
        "{expected}"
    );
    assert!(
        (shares[0].bound - expected).abs() < 1e-4,
        "{shares:?} {expected}"
    );
}

#[test]
fn the_bound_is_the_same_on_any_number_of_threads() {
    let text = "policies = [\"enachi\", \"jpeg-equal-share\"]\nframes = 20\nwarmup_frames = 2\nseeds = 2\n\
        [channel]\nbandwidth_hz = 3e5\n[device]\nenergy_budget_j = 0.03\ndistance_m = [50, 150]\n[[devices]]\ncount = 4";
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let deployment = Deployment::new(scenario(text), profile()).unwrap();
            run(deployment, &factory()).2
        })
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn blind_on_a_curve_is_the_curve_at_what_the_band_carries() {
    // One cut, one user, no fading, energy in plenty.
    let overrides = [
        "profile.candidates=[\"L2\"]",
        "channel.fading=\"none\"",
        "channel.bandwidth_hz=5e5",
        "device.energy_budget_j=1e3",
        "frames=4",
        "warmup_frames=1",
        "seeds=1",
    ]
    .map(String::from);
    let text = include_str!("../../../scenarios/paper.toml");
    let scenario = parse(text, "paper.toml", &overrides).unwrap();
    let profile = curve_profile(scenario.profile.curves.as_ref().unwrap());
    let factory = PolicyFactory::new(&profile, Default::default());
    let (_, _, shares) = run(Deployment::new(scenario, profile).unwrap(), &factory);
    // 349 MMAC at 0.1345 cycles take 23.47 ms at 2 GHz, the other 3740 take 25.15 ms at 20 GHz: slots 24 to 273.
    let rate = 5e5 * (1.0 + 1.5e-11 * 2.0 / (1e-13 / 3e6 * 5e5f64)).log2();
    let map_bits = 56.0 * 56.0 * 32.0;
    let maps = ((274.0 - 24.0) * 1e-3 * rate / map_bits).floor();
    let curve = |maps: f64| 0.8139 - 1.0 / (99.29 * maps / 256.0 - 0.289);
    assert!(maps > 10.0 && maps < 200.0);
    let found = shares[0].uncertain_bound;
    // Bits are rounded down to 56 levels between one map and 256.
    let rounded = (maps * 256f64.powf(1.0 / 55.0)).floor();
    assert!(
        found >= curve(maps) - 1e-4 && found <= curve(rounded + 1.0) + 4e-3,
        "{found} {maps}"
    );
}

/// Every task is right at one checkpoint only, which the tail's entropy gives away and the predictor does not.
#[test]
fn the_blind_bound_knows_what_the_stop_rule_sees() {
    let mut profile = profile();
    let stream = &mut profile.cuts[1].streams[0];
    let samples = &mut stream.samples;
    for image in 0..IMAGES {
        // Two thirds of the images at checkpoint 3, the others at 7.
        let at = if image % 3 == 0 { 7 } else { 3 };
        for checkpoint in 0..samples.checkpoints {
            let row = samples.at(image, checkpoint);
            let right = checkpoint == at;
            samples.correct[row] = right;
            samples.entropy_nats[row] = if right { 0.1 } else { 2.0 };
            samples.top1[row] = if right { image as u16 % 10 } else { 10 };
        }
    }
    samples.predicted_nats = vec![1.0; samples.entropy_nats.len()];
    let text = "policies = [\"enachi\", \"enachi+tail\"]\nframes = 20\nwarmup_frames = 2\nseeds = 2\n\
        [profile]\ncandidates = [\"block1\"]\n[channel]\nbandwidth_hz = 1e7\nfading = \"none\"\n\
        [device]\nenergy_budget_j = 1e3\n[[devices]]\ncount = 1\nmean_gain = 1e-8";
    let (_, _, shares) = run(
        Deployment::new(scenario(text), profile).unwrap(),
        &factory(),
    );
    let [predictor, tail] = [0, 1].map(|policy| shares[policy].uncertain_bound);
    // Checkpoint 3 for everybody. By entropy: the fifty that look best there, of whom forty are right, and for the ten others
    // checkpoint 7, where they are among fifty of whom twenty are.
    assert!((predictor - 2.0 / 3.0).abs() < 1e-4, "{predictor}");
    assert!(
        (tail - (50.0 * 0.8 + 10.0 * 0.4) / 60.0).abs() < 1e-4,
        "{tail}"
    );
    assert_eq!(shares[0].bound, shares[1].bound);
}

#[test]
fn policies_that_go_by_uncertainty_stay_below_the_blind_bound() {
    let text = "policies = [\"enachi\", \"enachi-mux\", \"enachi+tail\", \"jpeg-equal-share\", \"best-static-cut\", \"device-only\", \"enachi-max\"]\n\
        frames = 100\nwarmup_frames = 5\nseeds = 4\n[channel]\nbandwidth_hz = 3e5\n\
        [device]\nenergy_budget_j = 0.02\ndistance_m = [50, 150]\n[[devices]]\ncount = 4";
    let (_, records, shares) = run(
        Deployment::new(scenario(text), profile()).unwrap(),
        &factory(),
    );
    for (name, share) in records.names.policies.iter().zip(&shares) {
        // 1600 tasks: three standard errors are 3.5 points.
        assert!(
            share.accuracy <= share.uncertain_bound + 0.035,
            "{name}: {share:?}"
        );
        assert!(share.uncertain_bound <= 1.0 && share.kept <= share.bound + 1e-9);
    }
}
