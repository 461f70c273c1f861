//! `jpeg-equal-share`: what an engineer would do first. The picture, coded at the best quality that an equal share of
//! the band carries at the power that the energy budget allows; constant power, no split, no stop. The caller offers
//! the image codec: JPEG at full resolution, or what a scenario names (`profile.picture_stream`), for this policy and
//! for all that send the picture.

use super::shared::{
    EqualShareParams, budget_power_w, constant_grant, equal_share_hz, equal_slice,
};
use crate::profile::CutKind;
use crate::task::PlanFailure;
use crate::task::policy::{FrameView, Level, StreamUse, TaskGrant, TaskPolicy};

/// The best picture that fits.
#[derive(Clone, Copy, Debug)]
pub struct JpegEqualShare {
    params: EqualShareParams,
}

impl JpegEqualShare {
    /// With parameters that [`PolicyParams::check`](super::PolicyParams::check) accepts.
    pub fn new(params: EqualShareParams) -> Self {
        Self { params }
    }
}

impl TaskPolicy for JpegEqualShare {
    fn name(&self) -> &str {
        "jpeg-equal-share"
    }

    fn stream_use(&self) -> StreamUse {
        StreamUse::ImageCodec
    }

    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        let (share_hz, margin) = (equal_share_hz(frame), self.params.gain_margin);
        for (device, grant) in frame.devices.iter().zip(grants) {
            *grant = TaskGrant::default();
            let mut best = f64::NEG_INFINITY;
            for index in device.candidates.clone() {
                let candidate = &frame.candidates[index as usize];
                if candidate.kind != CutKind::Input || !candidate.feasible() {
                    continue;
                }
                let slice = equal_slice(frame, share_hz, device, candidate, margin);
                let power_w = budget_power_w(device, candidate, self.params.budget_fraction);
                let capacity =
                    frame
                        .radio
                        .bits(slice.bandwidth_hz, slice.gain, power_w, slice.time_s);
                let curve = &frame.curves[candidate.curve as usize];
                let levels =
                    &frame.levels[candidate.levels.start as usize..candidate.levels.end as usize];
                // Most accurate level that fits; the smallest if none does.
                let fits = levels
                    .iter()
                    .enumerate()
                    .filter(|(_, level)| level.bits <= capacity);
                let level = fits.max_by(|a, b| a.1.accuracy.total_cmp(&b.1.accuracy));
                let first = levels
                    .iter()
                    .enumerate()
                    .find(|(_, level)| level.bits > 0.0);
                let (level, bits) = match level.filter(|(_, level)| level.bits > 0.0).or(first) {
                    Some((level, Level { bits, .. })) => (Some(level as u32), *bits),
                    // An embedded image codec: as much of it as there is room for.
                    None => (None, candidate.total_bits),
                };
                let planned = curve.accuracy(bits.min(capacity));
                if planned > best {
                    best = planned;
                    *grant = TaskGrant {
                        level,
                        bits_limit: bits,
                        ..constant_grant(index, &slice, power_w, bits.min(capacity), curve)
                    };
                }
            }
        }
        Ok(())
    }
}
