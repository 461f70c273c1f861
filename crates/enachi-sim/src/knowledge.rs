//! What planners and devices are told of the channel when a frame begins: perhaps old, perhaps wrong.

use crate::scenario::KnownGain;
use crate::world::{Local, Places, World};
use enachi_core::fading::Fading;

/// Channels as they are told, from frame to frame.
#[derive(Clone, Debug)]
pub struct Knowledge {
    kind: KnownGain,
    delay_frames: u32,
    /// Channels of the last `delay_frames + 1` frames, by frame modulo their number.
    past: Vec<Vec<Local>>,
    /// Frame whose channels are told, and what they are told to be.
    told_frame: u32,
    told: Vec<Local>,
}

impl Knowledge {
    /// Before frame 0.
    pub fn new(world: &World, kind: KnownGain) -> Self {
        let nothing = Local {
            mean_gain: 0.0,
            fading: Fading::None,
        };
        let row = vec![nothing; world.setting().sites.len()];
        let delay_frames = world.setting().estimate.delay_frames;
        Self {
            kind,
            delay_frames,
            past: vec![row.clone(); delay_frames as usize + 1],
            told_frame: 0,
            told: row,
        }
    }

    /// Take note of the channels of `frame`; frames must be taken in order.
    pub fn begin(&mut self, world: &World, places: &Places, frame: u32) {
        let frames = self.past.len();
        for (device, local) in self.past[frame as usize % frames].iter_mut().enumerate() {
            *local = places.local(device as u32);
        }
        self.told_frame = frame.saturating_sub(self.delay_frames);
        let past = &self.past[self.told_frame as usize % frames];
        for (device, (told, past)) in self.told.iter_mut().zip(past).enumerate() {
            *told = Local {
                mean_gain: past.mean_gain * world.frame_estimate_error(device as u32, frame),
                ..*past
            };
        }
    }

    /// The channel of the frame that was begun, as it is.
    pub fn truth(&self, device: usize, frame: u32) -> Local {
        self.past[frame as usize % self.past.len()][device]
    }

    /// The channel as it is told: mean gain and fading.
    pub fn told(&self, device: usize) -> Local {
        self.told[device]
    }

    /// The gain that a planner is given.
    pub fn planned_gain(&self, world: &World, device: usize) -> f64 {
        let past = self.past[self.told_frame as usize % self.past.len()][device];
        let told = self.told[device];
        planned(world, self.kind, device as u32, self.told_frame, past, told)
    }
}

/// What is told of one device in any frame: its channel, and the gain that planners are given. Where devices move, all
/// frames before are walked through: whoever goes through a run keeps a [`Knowledge`] instead.
pub fn told_at(world: &World, kind: KnownGain, device: u32, frame: u32) -> (Local, f64) {
    let told_frame = frame.saturating_sub(world.setting().estimate.delay_frames);
    let past = world.local_at(device, told_frame);
    let told = Local {
        mean_gain: past.mean_gain * world.frame_estimate_error(device, frame),
        ..past
    };
    (told, planned(world, kind, device, told_frame, past, told))
}

fn planned(
    world: &World,
    kind: KnownGain,
    device: u32,
    told_frame: u32,
    past: Local,
    told: Local,
) -> f64 {
    match kind {
        KnownGain::Mean => told.mean_gain,
        KnownGain::GeometricMean => told.mean_gain * told.fading.geometric_share(),
        KnownGain::FrameAverage => {
            let average = world.frame_average_gain(device, told_frame, past);
            // Off by as much as the mean is.
            average * (told.mean_gain / past.mean_gain)
        }
    }
}
