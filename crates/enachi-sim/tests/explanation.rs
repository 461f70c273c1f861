//! Explanations agree with the run they explain, and with the optimality of the plan.
#![allow(clippy::unwrap_used)]

mod common;

use common::{factory, profile, scenario};
use enachi_sim::deployment::Deployment;
use enachi_sim::explain::{Explanation, Question, explain};
use enachi_sim::simulate::{Unwatched, simulate};
use std::sync::atomic::AtomicBool;

const SCENARIO: &str = r#"
frames = 40
warmup_frames = 0
policies = ["enachi"]
[channel]
bandwidth_hz = 5e5
shadowing_db = 4
[device]
distance_m = [100, 300]
energy_budget_j = 0.03
deadline_s = 0.1
[[devices]]
count = 6
"#;

fn ask(text: &str, frame: u32, device: u32) -> Result<Explanation, String> {
    let question = Question {
        policy: None,
        seed: None,
        frame,
        device,
    };
    let deployment = Deployment::new(scenario(text), profile()).unwrap();
    explain(deployment, &factory(), &question).map_err(|e| e.to_string())
}

#[test]
fn the_record_is_the_one_of_the_run() {
    let deployment = Deployment::new(scenario(SCENARIO), profile()).unwrap();
    let factory = factory();
    let (_, records) = simulate(deployment, &factory, &AtomicBool::new(false), &Unwatched).unwrap();
    for (frame, device) in [(0, 0), (17, 3), (39, 5)] {
        let answer = ask(SCENARIO, frame, device).unwrap();
        let row = (frame * 6 + device) as usize;
        assert_eq!(answer.record, records.frames[row]);
        assert_eq!(answer.slots.len(), answer.record.slots as usize);
    }
}

#[test]
fn the_chosen_candidate_is_the_best_at_the_price_of_the_band() {
    for frame in [5, 20, 39] {
        for device in 0..6 {
            let answer = ask(SCENARIO, frame, device).unwrap();
            let chosen = answer.choices.iter().find(|c| c.chosen).unwrap();
            for other in answer.choices.iter().filter(|c| c.feasible) {
                // The grid of bands finds the optimum to about a thousandth of the worth.
                assert!(
                    chosen.utility >= other.utility - 2e-3 * answer.worth,
                    "frame {frame} device {device}: {chosen:?} {other:?}"
                );
            }
            assert!(!answer.binding.is_empty());
        }
    }
}

#[test]
fn questions_out_of_range_are_refused() {
    assert!(
        ask(SCENARIO, 40, 0)
            .unwrap_err()
            .contains("--frame 40: must be in 0..=39")
    );
    assert!(
        ask(SCENARIO, 0, 6)
            .unwrap_err()
            .contains("--device 6: must be in 0..=5")
    );
}

#[test]
fn policies_without_a_price_are_explained_in_their_band() {
    let text = SCENARIO.replace("\"enachi\"", "\"tracking\"");
    let deployment = Deployment::new(scenario(&text), profile()).unwrap();
    let question = Question {
        policy: Some("tracking".into()),
        seed: Some(1),
        frame: 3,
        device: 2,
    };
    let answer = explain(deployment, &factory(), &question).unwrap();
    assert_eq!(answer.bandwidth_price, None);
    assert!(
        answer
            .choices
            .iter()
            .all(|c| c.bandwidth_hz == 0.0 || c.bandwidth_hz == answer.bandwidth_hz)
    );
}
