//! Channel gains of one device-frame, slot by slot, and what the device knows of them.

use super::Setting;
use super::doppler::Doppler;
use super::trace::{Trace, row};
use crate::rng::{Draws, Purpose, open_unit};
use enachi_core::packet::GainSource;
use std::f64::consts::TAU;
use std::sync::Arc;

/// Rayleigh block fading. One Philox block serves four fading blocks.
#[derive(Clone, Copy, Debug)]
pub struct RayleighBlocks {
    pub(super) draws: Draws,
    pub(super) coherence_slots: u32,
    pub(super) device: u32,
    pub(super) frame: u32,
    pub(super) mean_gain: f64,
    pub(super) block: [f64; 4],
    pub(super) block_index: u32,
}

impl RayleighBlocks {
    #[inline]
    fn gain(&mut self, slot: u32) -> f64 {
        let fade = if self.coherence_slots == 1 {
            slot
        } else {
            slot / self.coherence_slots
        };
        if fade / 4 != self.block_index {
            self.block_index = fade / 4;
            let words =
                self.draws
                    .block(Purpose::Fading, self.device, self.frame, self.block_index);
            self.block = words.map(|word| -self.mean_gain * open_unit(word).ln());
        }
        self.block[(fade % 4) as usize]
    }
}

/// Rician block fading: a steady wave and a scattered one that is drawn afresh in every block.
#[derive(Clone, Copy, Debug)]
pub(super) struct RicianBlocks {
    pub draws: Draws,
    pub coherence_slots: u32,
    pub device: u32,
    pub frame: u32,
    pub k: f64,
    pub mean_gain: f64,
    pub block: [f64; 2],
    pub block_index: u32,
}

impl RicianBlocks {
    #[inline]
    fn gain(&mut self, slot: u32) -> f64 {
        let fade = slot / self.coherence_slots;
        if fade / 2 != self.block_index {
            self.block_index = fade / 2;
            let [a, b, c, d] =
                self.draws
                    .block(Purpose::Fading, self.device, self.frame, self.block_index);
            // The scattered wave is complex Gaussian of power 1 (Box–Muller); the steady one, at power K, sets the phase.
            let power = |size: u32, phase: u32| {
                let size = (-open_unit(size).ln()).sqrt();
                let (sin, cos) = (TAU * open_unit(phase)).sin_cos();
                let (re, im) = (self.k.sqrt() + size * cos, size * sin);
                self.mean_gain * (re * re + im * im) / (1.0 + self.k)
            };
            self.block = [power(a, b), power(c, d)];
        }
        self.block[(fade % 2) as usize]
    }
}

/// A device's part of a trace, from the start of a frame on.
#[derive(Clone, Debug)]
pub(super) struct TraceSlots {
    trace: Arc<Trace>,
    device: u32,
    /// Rows from the start of the run to the start of the frame, and per slot.
    start_rows: f64,
    rows_per_slot: f64,
    /// Share that is radiated.
    efficiency: f64,
}

impl TraceSlots {
    pub fn new(
        trace: &Arc<Trace>,
        device: u32,
        frame: u32,
        setting: &Setting,
        efficiency: f64,
    ) -> Self {
        let (start_rows, rows_per_slot) = trace.rows_of(frame, setting);
        Self {
            trace: Arc::clone(trace),
            device,
            start_rows,
            rows_per_slot,
            efficiency,
        }
    }

    #[inline]
    fn gain(&self, slot: u32) -> f64 {
        let row = row(self.start_rows, self.rows_per_slot, slot);
        self.trace.gain(self.device, row) * self.efficiency
    }
}

/// Where gains come from. Matched in every slot: the branch is the same one all along.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives per upload, on the stack; the slot loop does not allocate"
)]
pub(super) enum Source {
    Constant(f64),
    Rayleigh(RayleighBlocks),
    Rician(RicianBlocks),
    Doppler(Doppler),
    Trace(TraceSlots),
}

impl Source {
    #[inline]
    pub fn gain(&mut self, slot: u32) -> f64 {
        match self {
            Self::Constant(gain) => *gain,
            Self::Rayleigh(blocks) => blocks.gain(slot),
            Self::Rician(blocks) => blocks.gain(slot),
            Self::Doppler(doppler) => doppler.gain(slot),
            Self::Trace(trace) => trace.gain(slot),
        }
    }
}

/// Error and age of what a device knows of its gain in a slot.
#[derive(Clone, Debug)]
pub(super) struct SlotKnowledge {
    pub draws: Draws,
    pub device: u32,
    pub frame: u32,
    /// Standard deviation of the log-normal error \[dB\].
    pub error_db: f64,
    /// Age \[slots\].
    pub delay_slots: u32,
    /// The same gains once more, read `delay_slots` behind.
    pub behind: Source,
}

impl SlotKnowledge {
    fn known(&mut self, slot: u32, gain: f64) -> f64 {
        // At the start of a frame the oldest gain to be had is that of its first slot.
        let gain = if self.delay_slots > 0 {
            self.behind.gain(slot.saturating_sub(self.delay_slots))
        } else {
            gain
        };
        if self.error_db == 0.0 {
            return gain;
        }
        let normal = self
            .draws
            .normal(Purpose::SlotEstimate, self.device, self.frame, slot);
        gain * 10f64.powf(self.error_db * normal / 10.0)
    }
}

/// Gains of one device-frame: the plain channel, whose slot loop is compiled by itself, or any other.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives per upload, on the stack; the slot loop does not allocate"
)]
pub enum Gains {
    /// Rayleigh fading in blocks, which the device knows.
    Plain(RayleighBlocks),
    /// Any channel.
    Other(OtherGains),
}

impl GainSource for RayleighBlocks {
    #[inline]
    fn gain(&mut self, slot: u32) -> f64 {
        self.gain(slot)
    }
}

/// Gains of any channel, with what the device knows of them.
#[derive(Clone, Debug)]
pub struct OtherGains {
    pub(super) source: Source,
    /// `None`: the device knows the gain itself.
    pub(super) knowledge: Option<SlotKnowledge>,
}

impl GainSource for OtherGains {
    #[inline]
    fn gain(&mut self, slot: u32) -> f64 {
        self.source.gain(slot)
    }

    #[inline]
    fn known(&mut self, slot: u32, gain: f64) -> f64 {
        match &mut self.knowledge {
            None => gain,
            Some(knowledge) => knowledge.known(slot, gain),
        }
    }
}

impl GainSource for Gains {
    #[inline]
    fn gain(&mut self, slot: u32) -> f64 {
        match self {
            Self::Plain(gains) => gains.gain(slot),
            Self::Other(gains) => gains.gain(slot),
        }
    }

    #[inline]
    fn known(&mut self, slot: u32, gain: f64) -> f64 {
        match self {
            Self::Plain(_) => gain,
            Self::Other(gains) => gains.known(slot, gain),
        }
    }
}
