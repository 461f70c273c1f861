//! Energy queues that start where they settle (`task.queue_start = "settled"`).
//!
//! A queue (12) that starts empty lets its device overspend until the queue has reached the level at which what the policy
//! spends meets the allowance: by that level in all, over some hundred frames at V = 50. The level is found in a
//! *rehearsal*: the policy runs the first frames of its own world, and after each the level of device n moves by
//!
//! ```text
//!     ln Q_n ← ln Q_n + a_m (E_n − Ē_n)/Ē_n,      a_m = 1/(1 + m/8),
//! ```
//!
//! the stochastic approximation of Robbins and Monro in logarithms, so that no scale has to be known; the mean of ln Q over
//! the later half is the level (Polyak and Ruppert). Spent bits, stops, plans within the frame and fading all count, as
//! they are those of the run itself. What a rehearsal tells the run of the frames to come is one number per device.

use crate::runner::{FailedFrame, Runner, Sink};
use enachi_core::record::FrameRecord;

/// Frames of a rehearsal, or all where there are fewer.
const FRAMES: u32 = 200;
/// Frames after which steps are half as long.
const HALVING_FRAMES: f64 = 8.0;
/// Least and most level, and where it starts, in units of V·w/Ē: the price of a joule at which the whole allowance costs as
/// much as a right answer is worth.
const LEAST: f64 = 1e-4;
const MOST: f64 = 10.0;
const FIRST: f64 = 0.01;
/// A frame counts for no more than this many allowances above its own.
const MOST_EXCESS: f64 = 3.0;

/// Forgets everything.
struct Nobody;

impl Sink for Nobody {
    fn frame(&mut self, _record: FrameRecord) {}
    fn failure(&mut self, _failure: FailedFrame) {}
}

/// Levels at which the queues of a runner that has not started settle \[J\]; `runner` is of no use after. All 0 for a policy
/// without a price of energy, and for a device whose queue stays (nearly) empty or that has no allowance.
pub fn settled_levels(mut runner: Runner<'_>, frames: u32) -> Vec<f64> {
    let units: Vec<f64> = runner.energy_units().collect();
    let mut logs: Vec<f64> = units.iter().map(|unit| (FIRST * unit).ln()).collect();
    let mut means = vec![0.0; units.len()];
    let frames = frames.min(FRAMES);
    let later = frames / 2;
    for frame in 0..frames {
        runner.set_levels(logs.iter().map(|log| log.exp()));
        runner.plan();
        if runner.last_plan().is_none() && runner.failure().is_none() {
            return vec![0.0; units.len()];
        }
        runner.execute(&mut Nobody);
        let step = 1.0 / (1.0 + f64::from(frame) / HALVING_FRAMES);
        let queues = runner.queues().iter();
        for (((log, unit), mean), queue) in logs.iter_mut().zip(&units).zip(&mut means).zip(queues)
        {
            let excess = (queue.spent_j() / queue.budget_j() - 1.0).min(MOST_EXCESS);
            *log = (*log + step * excess).clamp((LEAST * unit).ln(), (MOST * unit).ln());
            if frame >= later {
                *mean += *log / f64::from(frames - later);
            }
        }
    }
    let level = |(mean, unit): (&f64, &f64)| {
        let level_j = mean.exp();
        // As low as it gets: the allowance does not bind.
        let binds = level_j.is_finite() && level_j > 2.0 * LEAST * unit;
        if binds { level_j } else { 0.0 }
    };
    means.iter().zip(&units).map(level).collect()
}
