//! A policy of one's own in a sweep: `cargo run --release -p enachi-sweep --example my_policy`.
//!
//! It is compared with the others in the same worlds; the folder holds a dataset like any other.

use enachi_core::task::{FrameView, PlanFailure, PowerMode, StreamUse, TaskGrant, TaskPolicy};
use enachi_data::sweep::Dataset;
use enachi_sweep::{RunOptions, Sweep, Unwatched, merge};
use std::path::Path;

/// Far devices get more band; each takes the cut that promises most at the power its allowance pays for.
#[derive(Clone, Default)]
pub struct FarFirst;

impl TaskPolicy for FarFirst {
    fn name(&self) -> &str {
        "far-first"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        let need = |gain: f64| gain.powf(-0.25);
        let sum: f64 = frame.devices.iter().map(|device| need(device.gain)).sum();
        for (device, grant) in frame.devices.iter().zip(grants) {
            let bandwidth_hz = frame.bandwidth_hz * need(device.gain) / sum;
            for index in device.candidates.clone() {
                let cut = &frame.candidates[index as usize];
                let radio_j = device.energy_budget_j - cut.local_energy_j;
                if cut.stream.is_none() || !cut.feasible() || radio_j <= 0.0 {
                    continue;
                }
                let time_s = cut.transmit_time_s;
                let power_w = (radio_j / time_s).min(device.power_max_w);
                let bits = frame.radio.bits(bandwidth_hz, device.gain, power_w, time_s);
                let bits = bits.min(cut.total_bits);
                let accuracy = frame.curves[cut.curve as usize].accuracy(bits);
                if accuracy > grant.accuracy {
                    *grant = TaskGrant {
                        candidate: Some(index),
                        bandwidth_hz,
                        reference_power_w: power_w,
                        bits_limit: f64::INFINITY,
                        power: PowerMode::Tracking,
                        stop: true,
                        bits,
                        accuracy,
                        level: None,
                    };
                }
            }
        }
        Ok(())
    }
}

const SWEEP: &str = r#"
name = "my-policy"
policies = ["far-first", "enachi", "best-static-cut"]
set.profile.forbid_input = true # features only

[quick]
points = 2
set.frames = 40
set.warmup_frames = 10

[[sweep]]
name = "band"
[[sweep.axis]]
key = "channel.bandwidth_hz"
from = 2e5
to = 1e6
points = 5
"#;

/// Run the sweep in `folder` and read its dataset.
pub fn sweep(folder: &Path, quick: bool) -> Result<Dataset, Box<dyn std::error::Error>> {
    let sweep = Sweep::parse(SWEEP, "my_policy.toml".as_ref())?.quick(quick);
    let sweep = sweep.with_policy("far-first", FarFirst::default);
    // What an earlier state of the policy gave is dropped.
    let options = RunOptions {
        force: true,
        ..RunOptions::default()
    };
    sweep.run(folder, &options, &Unwatched)?;
    merge(folder, &[])?;
    Ok(Dataset::read(folder)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for row in sweep("runs/my-policy".as_ref(), false)?.points {
        let (accuracy, energy_mj) = (row.accuracy * 100.0, row.energy_settled_j * 1e3);
        println!(
            "point {} {:16} {accuracy:.1} % {energy_mj:.0} mJ",
            row.point, row.policy
        );
    }
    Ok(())
}
