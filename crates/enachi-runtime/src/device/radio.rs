//! How a device's bits reach the edge: over a channel model that only this program knows of, or over the network as it is.

use enachi_core::fading::Fading;
use enachi_core::packet::{ConstantPower, Link};
use enachi_proto::message::RadioKind;
use enachi_sim::deployment::Deployment;
use enachi_sim::knowledge::told_at;
use enachi_sim::scenario::Estimate;
use enachi_sim::upload::Law;
use enachi_sim::world::{Gains, Local, World};
use std::sync::Arc;
use std::time::Duration;

/// A frame's gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// The channel as it is.
    pub local: Local,
    /// The channel as it is told.
    pub told: Local,
    /// What planners know of it.
    pub known: f64,
}

/// What the line's transport knows of the path to the edge, from acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Round-trip time.
    pub rtt: Duration,
    /// Bytes that may be on their way at a time.
    pub window_bytes: u64,
}

/// A radio.
pub trait Radio {
    /// Which.
    fn kind(&self) -> RadioKind;

    /// The world of the device, and its place in it.
    fn world(&self) -> (&World, u32);

    /// The cell is another than was thought.
    fn join(&mut self, seed: u64, deployment: &Deployment);

    /// Average gain during a task.
    fn gain(&self, deployment: &Deployment, task: u32) -> Gain;

    /// Gains of the slots of a task.
    fn gains(&self, task: u32, local: Local) -> Gains {
        let (world, device) = self.world();
        world.gains(device, task, local)
    }

    /// What carries the bits of the next slot, where that is not the granted band at the granted power. `gain` is the task's.
    fn carrier(&self, _gain: f64, _slot_s: f64) -> Option<(Link, Law)> {
        None
    }

    /// What the transport says of the path now.
    fn observe(&mut self, _path: Path) {}
}

/// The emulated radio: a channel model turns power and band into bits per slot.
#[derive(Clone, Debug)]
pub struct Emulated {
    /// The world.
    pub world: World,
    /// Place of the device in it.
    pub device: u32,
}

impl Radio for Emulated {
    fn kind(&self) -> RadioKind {
        RadioKind::Emulated
    }

    fn world(&self) -> (&World, u32) {
        (&self.world, self.device)
    }

    fn join(&mut self, seed: u64, deployment: &Deployment) {
        self.world = World::new(seed, &deployment.setting);
    }

    fn gain(&self, deployment: &Deployment, task: u32) -> Gain {
        let kind = deployment.scenario.channel.known_gain;
        let (told, known) = told_at(&self.world, kind, self.device, task);
        Gain {
            local: self.world.local_at(self.device, task),
            told,
            known,
        }
    }
}

/// The network as it is: bits leave as fast as the transport's congestion control lets them. Power is not controlled; while it
/// sends, the device draws all that its description says (amplifier at its most, and circuit).
///
/// Planners think in gains. They are told the one at which the whole band at full power would carry the rate of the path.
#[derive(Clone, Debug)]
pub struct Host {
    world: World,
    power_w: f64,
    /// Mean over the last observations \[bit/s\].
    rate_bps: Option<f64>,
}

/// Weight of an observation in the mean.
const NEW: f64 = 1.0 / 16.0;
/// Rate before the path is known \[bit/s\].
const FIRST_BPS: f64 = 1e6;
/// Most spectral efficiency that a gain is made from; far above any that is planned with \[bit/s/Hz\].
const MOST_EFFICIENCY: f64 = 20.0;

impl Host {
    /// Of the first device of `deployment`.
    pub fn new(seed: u64, deployment: &Deployment) -> Self {
        Self {
            world: steady(seed, deployment),
            power_w: deployment.devices[0].drawn_power_max_w,
            rate_bps: None,
        }
    }

    /// Estimated rate of the path \[bit/s\].
    pub fn rate_bps(&self) -> f64 {
        self.rate_bps.unwrap_or(FIRST_BPS)
    }
}

/// A world whose gains are the same in every slot, and known.
fn steady(seed: u64, deployment: &Deployment) -> World {
    let mut setting = (*deployment.setting).clone();
    setting.trace = None;
    setting.estimate = Estimate::default();
    World::new(seed, &Arc::new(setting))
}

impl Radio for Host {
    fn kind(&self) -> RadioKind {
        RadioKind::Host
    }

    fn world(&self) -> (&World, u32) {
        (&self.world, 0)
    }

    fn join(&mut self, seed: u64, deployment: &Deployment) {
        self.world = steady(seed, deployment);
    }

    fn gain(&self, deployment: &Deployment, _task: u32) -> Gain {
        let band_hz = deployment.scenario.channel.bandwidth_hz;
        let noise_w = deployment.radio.noise_power_w(band_hz);
        let efficiency = (self.rate_bps() / band_hz).clamp(1e-6, MOST_EFFICIENCY);
        // (3) solved for the gain.
        let mean_gain = (efficiency.exp2() - 1.0) * noise_w / self.power_w;
        let local = Local {
            mean_gain: mean_gain.clamp(1e-30, 1.0),
            fading: Fading::None,
        };
        Gain {
            local,
            told: local,
            known: local.mean_gain,
        }
    }

    /// A band as wide as the rate is high, with an efficiency of one bit/s/Hz.
    fn carrier(&self, gain: f64, slot_s: f64) -> Option<(Link, Law)> {
        let power_w = self.power_w;
        let link = Link {
            bandwidth_hz: self.rate_bps(),
            noise_w: gain * power_w,
            max_efficiency: 1.0,
            slot_s,
        };
        Some((link, Law::Constant(ConstantPower { power_w })))
    }

    fn observe(&mut self, path: Path) {
        let rtt_s = path.rtt.as_secs_f64().max(1e-6);
        let now_bps = 8.0 * path.window_bytes as f64 / rtt_s;
        let before = self.rate_bps.unwrap_or(now_bps);
        self.rate_bps = Some(before + NEW * (now_bps - before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enachi_core::radio::{Noise, Radio as Model};

    #[test]
    fn a_slot_of_the_host_radio_carries_the_rate_and_nothing_else_counts() {
        let scenario = enachi_sim::scenario::parse("policies = [\"enachi\"]", "s.toml", &[]);
        let scenario = scenario.expect("all defaults");
        let profile = enachi_data::profile::embedded_default().expect("comes with the program");
        let deployment = Deployment::new(scenario, profile).expect("fits");
        let mut host = Host::new(1, &deployment);
        let path = Path {
            rtt: Duration::from_millis(20),
            window_bytes: 50_000,
        };
        host.observe(path);
        assert!((host.rate_bps() - 20e6).abs() < 1.0);
        let gain = host.gain(&deployment, 0);
        assert_eq!(gain.known, gain.local.mean_gain);
        // The planner's own formula finds the rate again.
        let band_hz = deployment.scenario.channel.bandwidth_hz;
        let model = Model {
            noise: Noise::Exact {
                psd_w_per_hz: deployment.scenario.channel.noise_psd_w_per_hz,
            },
            spectral_cap: f64::INFINITY,
        };
        let planned = model.rate_bps(band_hz, gain.known, host.power_w);
        assert!((planned / host.rate_bps() - 1.0).abs() < 1e-9, "{planned}");
        let (link, law) = host.carrier(gain.known, 1e-3).expect("always");
        let Law::Constant(law) = law else {
            panic!("no power control")
        };
        let bits = link.slot_bits(law.power_w, gain.known);
        assert!((bits - 20e3).abs() < 1e-3, "{bits}");
        // A path that gets worse is followed.
        for _ in 0..200 {
            host.observe(Path {
                window_bytes: 5_000,
                ..path
            });
        }
        assert!((host.rate_bps() / 2e6 - 1.0).abs() < 0.01);
    }
}
