//! Average gains of devices: what the world gives, and what planners are told of it.

use crate::deployment::Deployment;
use crate::scenario::KnownGain;
use crate::world::World;

/// Mean gain of device `index` from placement alone. What the amplifier draws counts, so the channel begins before it.
pub fn base_gain(deployment: &Deployment, world: &World, index: usize) -> f64 {
    let (device, channel) = (&deployment.devices[index], &deployment.scenario.channel);
    let gain = device.mean_gain.unwrap_or_else(|| {
        let [near_m, far_m] = device.values.distance_m;
        let distance_m = world.distance_m(index as u32, near_m, far_m);
        let loss_db =
            channel.path_loss_1m_db + 10.0 * channel.path_loss_exponent * distance_m.log10();
        10f64.powf(-loss_db / 10.0)
    });
    gain * device.values.amplifier_efficiency
}

/// What planners know of a frame whose mean gain is `gain`.
pub fn known_gain(
    deployment: &Deployment,
    world: &World,
    device: u32,
    frame: u32,
    gain: f64,
) -> f64 {
    let timing = &deployment.scenario.frame;
    match deployment.scenario.channel.known_gain {
        KnownGain::Mean => gain,
        KnownGain::GeometricMean => gain * deployment.fading_view().geometric_share(),
        KnownGain::FrameAverage => {
            let slots = (timing.length_s / timing.slot_s).round() as u32;
            world.frame_average_gain(device, frame, gain, slots)
        }
    }
}
