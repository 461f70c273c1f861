//! Scenarios that do not fit: one clear error each.
#![allow(clippy::unwrap_used)]

mod common;

use common::{factory, profile, scenario};
use enachi_core::record::Outcome;
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::simulate::{Unwatched, simulate};
use std::sync::atomic::AtomicBool;

fn error(text: &str) -> String {
    let scenario = match enachi_sim::scenario::parse(text, "test.toml", &[]) {
        Ok(scenario) => scenario,
        Err(error) => return error.to_string(),
    };
    match Deployment::new(scenario, profile()) {
        Err(error) => error.to_string(),
        Ok(deployment) => simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
            .expect_err("must be refused")
            .to_string(),
    }
}

#[test]
fn unknown_names_are_suggested() {
    let message = error("[profile]\ncandidates = [\"blok2\"]");
    assert!(
        message.contains("profile.candidates = \"blok2\""),
        "{message}"
    );
    assert!(message.contains("did you mean `block2`?"), "{message}");
    let message = error("[profile]\npicture_stream = \"jpg\"");
    assert!(
        message.contains("profile.picture_stream = \"jpg\""),
        "{message}"
    );
    assert!(message.contains("did you mean `jpeg`?"), "{message}");
    let message = error("policies = [\"enaci\"]");
    assert!(message.contains("did you mean \"enachi\"?"), "{message}");
    let message = error("policies = [\"progressive-ftx@blok1\"]");
    assert!(message.contains("did you mean \"block1\"?"), "{message}");
    let message = error("[baselines.sc_cao]\naccuracy_target = 2").replace('\n', " ");
    assert!(
        message.contains("baselines.sc_cao.accuracy_target = 2"),
        "{message}"
    );
    let message = error("policies = [\"tracking+pritned\"]");
    assert!(message.contains("did you mean `printed`?"), "{message}");
    let message = error("policies = [\"tracking\", \"tracking\"]");
    assert!(message.contains("named twice"), "{message}");
}

#[test]
fn candidates_must_be_left() {
    let message = error("[profile]\ncandidates = [\"input\"]\nforbid_input = true");
    assert!(message.contains("no cut is left"), "{message}");
}

#[test]
fn a_profile_that_contradicts_itself_is_refused() {
    let mut broken = profile();
    broken.cuts[1].streams[0].samples.bits.pop();
    assert!(Deployment::new(scenario(""), broken).is_err());
    let mut bare = profile();
    bare.cuts[1].streams.clear();
    let message = Deployment::new(scenario(""), bare).unwrap_err().to_string();
    assert!(message.contains("block1"), "{message}");
}

const CURVES: &str = r#"
policies = ["tracking+stop-marginal"]
[profile.curves]
model = "toy"
classes = 1000
total_macs = 4089000000
top1 = 0.8038
bits_per_element = 32
input_shape = [3, 224, 224]
[[profile.curves.cuts]]
name = "L1"
maps = 64
height = 56
width = 56
head_macs = 118000000
a0 = 48.8
a1 = 0.185
a2 = 0.8244
"#;

#[test]
fn marginal_stops_need_samples() {
    let scenario = scenario(CURVES);
    let profile = curve_profile(scenario.profile.curves.as_ref().unwrap());
    let deployment = Deployment::new(scenario, profile).unwrap();
    let message = simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched)
        .unwrap_err()
        .to_string();
    assert!(message.contains("packet.stop"), "{message}");
}

#[test]
fn curve_values_are_checked() {
    let text = CURVES
        .replace("a0 = 48.8", "a0 = -1")
        .replace("top1 = 0.8038", "top1 = 80.38");
    let message = enachi_sim::scenario::parse(&text, "p.toml", &[])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("profile.curves.cuts.0.a0 = -1"),
        "{message}"
    );
    assert!(message.contains("profile.curves.top1 = 80.38"), "{message}");
}

#[test]
fn deadlines_shorter_than_every_cut_are_an_outcome() {
    // 5 ms: no upload can finish, and the tail alone takes 2.7 ms; the window is empty or too short.
    let text =
        "policies = [\"tracking\"]\nframes = 5\nwarmup_frames = 0\n[device]\ndeadline_s = 0.005";
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    let (_, records) =
        simulate(deployment, &factory(), &AtomicBool::new(false), &Unwatched).unwrap();
    assert!(
        records
            .frames
            .iter()
            .all(|r| r.outcome == Outcome::DeadlineCut && r.bits == 0.0)
    );
}
