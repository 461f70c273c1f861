//! The emulated radio: a channel model turns power and band into bits per slot.

use enachi_sim::deployment::Deployment;
use enachi_sim::knowledge::told_at;
use enachi_sim::world::{Gains, Local, World};

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

/// A device's channel in the world of a seed.
#[derive(Clone, Debug)]
pub struct Emulated {
    /// The world.
    pub world: World,
    /// Place of the device in it.
    pub device: u32,
}

impl Emulated {
    /// Average gain during a task.
    pub fn gain(&self, deployment: &Deployment, task: u32) -> Gain {
        let kind = deployment.scenario.channel.known_gain;
        let (told, known) = told_at(&self.world, kind, self.device, task);
        Gain {
            local: self.world.local_at(self.device, task),
            told,
            known,
        }
    }

    /// Gains of the slots of a task.
    pub fn gains(&self, task: u32, local: Local) -> Gains {
        self.world.gains(self.device, task, local)
    }
}
