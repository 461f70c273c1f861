//! Gains that were recorded or computed elsewhere, replayed slot by slot.

use super::{Places, Setting, World};
use crate::scenario::{Scenario, TraceSource};
use enachi_core::packet::GainSource;
use enachi_data::trace::{GainTrace, TraceFileError, TraceRow, TraceStep, TraceWriter};
use std::sync::Arc;

/// A trace that cannot be replayed in its scenario.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file itself.
    #[error("channel.trace.path: {0}")]
    File(#[from] TraceFileError),
    /// It is for other devices.
    #[error(
        "channel.trace.path: {file}: {found} devices: must be {wanted}, the devices of the scenario"
    )]
    Devices {
        /// File.
        file: String,
        /// Devices of the trace.
        found: usize,
        /// Devices of the scenario.
        wanted: usize,
    },
    /// It is finer than slots are.
    #[error(
        "channel.trace.path: {file}: step = {step_s} s: must be at least frame.slot_s = {slot_s} s; average it over slots first"
    )]
    Fine {
        /// File.
        file: String,
        /// Step of the trace.
        step_s: f64,
        /// Slot of the scenario.
        slot_s: f64,
    },
    /// It is shorter than the run.
    #[error(
        "channel.trace.path: {file}: {rows} rows per device end after frame {last}: must cover all {frames} frames; set frames lower, or channel.trace.repeat = true to start over"
    )]
    Short {
        /// File.
        file: String,
        /// Rows per device.
        rows: usize,
        /// Last frame that is covered, as a number from 0, or "none".
        last: String,
        /// Frames of the scenario.
        frames: u32,
    },
}

/// A trace that covers a run.
#[derive(Clone, Debug)]
pub struct Trace {
    gains: GainTrace,
}

impl Trace {
    /// Read the trace of a scenario and check that it fits.
    pub(super) fn read(
        source: &TraceSource,
        scenario: &Scenario,
        slots: u32,
    ) -> Result<Self, TraceError> {
        let path = source.file();
        let file = path.display().to_string();
        let gains = GainTrace::read(&path)?;
        let wanted = scenario.device_count();
        if gains.gains.len() != wanted {
            return Err(TraceError::Devices {
                file,
                found: gains.gains.len(),
                wanted,
            });
        }
        let slot_s = scenario.frame.slot_s;
        if let TraceStep::Seconds(step_s) = gains.step
            && step_s < slot_s * (1.0 - 1e-6)
        {
            return Err(TraceError::Fine {
                file,
                step_s,
                slot_s,
            });
        }
        let trace = Self { gains };
        let rows = trace.gains.rows();
        let last_row = |frame: u32| {
            let (start, per_slot) = trace.rows_from(frame, scenario.frame.length_s, slot_s, slots);
            row(start, per_slot, slots.saturating_sub(1))
        };
        if !source.repeat && last_row(scenario.frames - 1) >= rows {
            let covered = (0..scenario.frames).take_while(|frame| last_row(*frame) < rows);
            return Err(TraceError::Short {
                file,
                rows,
                last: covered
                    .last()
                    .map_or("none".into(), |frame| frame.to_string()),
                frames: scenario.frames,
            });
        }
        Ok(trace)
    }

    fn rows_from(&self, frame: u32, frame_s: f64, slot_s: f64, slots: u32) -> (f64, f64) {
        match self.gains.step {
            TraceStep::Slots(step) => {
                let step = f64::from(step);
                (f64::from(frame) * f64::from(slots) / step, 1.0 / step)
            }
            TraceStep::Seconds(step_s) => (f64::from(frame) * frame_s / step_s, slot_s / step_s),
        }
    }

    /// Rows from the start of the run to the start of a frame, and per slot.
    pub(super) fn rows_of(&self, frame: u32, setting: &Setting) -> (f64, f64) {
        self.rows_from(frame, setting.frame_s, setting.slot_s, setting.slots)
    }

    /// Gain of a row; rows beyond the last start over. A trace that may not repeat has been checked to be long enough.
    #[inline]
    pub(super) fn gain(&self, device: u32, row: usize) -> f64 {
        let gains = &self.gains.gains[device as usize];
        gains[row % gains.len()]
    }

    /// Mean gain of a device in a frame: as the trace says at the frame's start, or else the average over its slots.
    pub(super) fn mean_gain(&self, device: u32, frame: u32, setting: &Setting) -> f64 {
        let (start, per_slot) = self.rows_of(frame, setting);
        if let Some(means) = &self.gains.mean_gains {
            let means = &means[device as usize];
            return means[row(start, per_slot, 0) % means.len()];
        }
        let count = setting.slots.max(1);
        let gain = |slot| self.gain(device, row(start, per_slot, slot));
        (0..count).map(gain).sum::<f64>() / f64::from(count)
    }
}

/// Row that holds in a slot. A hair of slack keeps 300 ms / 1 ms at row 300.
#[inline]
pub(super) fn row(start_rows: f64, rows_per_slot: f64, slot: u32) -> usize {
    (start_rows + f64::from(slot) * rows_per_slot + 1e-6) as usize
}

/// Write the gains of `seed`'s world over the first `frames` frames; `done` is called after every frame.
///
/// Gains are those of the channel alone: an amplifier's efficiency, which the simulator counts from, is taken out.
pub fn export(
    setting: &Arc<Setting>,
    seed: u64,
    frames: u32,
    out: &mut TraceWriter,
    mut done: impl FnMut(),
) -> Result<(), TraceFileError> {
    let world = World::new(seed, setting);
    let mut places = Places::new(world.clone());
    let mut rows = Vec::with_capacity(setting.slots as usize);
    for frame in 0..frames {
        places.advance_to(frame);
        for (device, site) in setting.sites.iter().enumerate() {
            let device = device as u32;
            let local = places.local(device);
            let mut gains = world.gains(device, frame, local);
            rows.clear();
            rows.extend((0..setting.slots).map(|slot| TraceRow {
                device,
                slot: u64::from(frame) * u64::from(setting.slots) + u64::from(slot),
                gain: gains.gain(slot) / site.amplifier_efficiency,
                mean_gain: local.mean_gain / site.amplifier_efficiency,
            }));
            out.write(&rows)?;
        }
        done();
    }
    Ok(())
}
