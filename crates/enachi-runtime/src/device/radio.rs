//! The emulated radio: a channel model turns power and band into bits per slot.

use enachi_sim::deployment::Deployment;
use enachi_sim::gain::{base_gain, known_gain};
use enachi_sim::world::{Gains, World};

/// A frame's gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// Its mean.
    pub mean: f64,
    /// What planners know of it.
    pub known: f64,
}

/// A device's channel in the world of a seed.
#[derive(Clone, Copy, Debug)]
pub struct Emulated {
    /// The world.
    pub world: World,
    /// Place of the device in it.
    pub device: u32,
}

impl Emulated {
    /// Average gain during a task.
    pub fn gain(&self, deployment: &Deployment, task: u32) -> Gain {
        let base = base_gain(deployment, &self.world, self.device as usize);
        let mean = base * self.world.shadowing(self.device, task);
        Gain {
            mean,
            known: known_gain(deployment, &self.world, self.device, task, mean),
        }
    }

    /// Gains of the slots of a task.
    pub fn gains(&self, task: u32, mean: f64) -> Gains {
        self.world.gains(self.device, task, mean)
    }
}
