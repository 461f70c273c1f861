//! `device-only`: the whole network on the device. Infeasible where it takes longer than the deadline.

use crate::profile::CutKind;
use crate::task::PlanFailure;
use crate::task::policy::{FrameView, StreamUse, TaskGrant, TaskPolicy};

/// All local for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOnly;

impl TaskPolicy for DeviceOnly {
    fn name(&self) -> &str {
        "device-only"
    }

    /// It sends none; of the candidates it is offered it takes the local one.
    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        for (device, grant) in frame.devices.iter().zip(grants) {
            let mut candidates = device.candidates.clone();
            let local = candidates.find(|&index| {
                let candidate = &frame.candidates[index as usize];
                candidate.kind == CutKind::Local && candidate.feasible()
            });
            let accuracy = local.map_or(0.0, |index| {
                frame.curves[frame.candidates[index as usize].curve as usize].nothing_sent()
            });
            *grant = TaskGrant {
                candidate: local,
                accuracy,
                ..TaskGrant::default()
            };
        }
        Ok(())
    }
}
