//! One device-frame slot by slot: the run is simulated again up to that frame.

use super::tally::{Extent, Lane};
use enachi_core::profile::Profile;
use enachi_sim::deployment::Deployment;
use enachi_sim::explain::{Explanation, Question, explain};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::Scenario;

/// A device-frame slot by slot.
#[derive(Clone, Debug)]
pub struct FrameDetail {
    /// The record.
    pub lane: Lane,
    /// Candidates, grant and slots.
    pub explanation: Explanation,
}

/// Simulate again up to the frame of `extent.shown` and take `lane` apart.
///
/// # Errors
/// In words, when that is not possible or gives something else than the record.
pub fn replay(
    scenario: &Scenario,
    profile: Option<&Profile>,
    extent: &Extent,
    lane: &Lane,
) -> Result<FrameDetail, String> {
    let profile = profile.ok_or("the folder has no copy of the profile to simulate it again")?;
    let (policy, seed, frame) = extent.shown;
    let factory = PolicyFactory::new(profile, scenario.baselines);
    let question = Question {
        policy: Some(extent.policies[policy].clone()),
        seed: Some(seed),
        frame,
        device: lane.device,
    };
    let deployment =
        Deployment::new(scenario.clone(), profile.clone()).map_err(|e| e.to_string())?;
    let explanation = explain(deployment, &factory, &question).map_err(|e| e.to_string())?;
    let record = &explanation.record;
    if record.bits != lane.bits || record.energy_j() != lane.energy_j {
        return Err(format!(
            "simulated again, the frame gives {:.0} bits and {:.6} J instead of the recorded {:.0} and {:.6}: another version \
             of the software",
            record.bits,
            record.energy_j(),
            lane.bits,
            lane.energy_j
        ));
    }
    Ok(FrameDetail {
        lane: lane.clone(),
        explanation,
    })
}
