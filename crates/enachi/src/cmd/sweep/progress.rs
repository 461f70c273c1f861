//! Progress of a sweep on the terminal.

use enachi_sweep::{Monitor, Start};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A bar over device-frames, with an estimate, points finished and failures; nothing on anything but a terminal, and
/// nothing in the first two seconds.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    quiet: bool,
    points: AtomicUsize,
    failed: AtomicUsize,
}

impl Progress {
    pub fn new(quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            bar,
            started: Instant::now(),
            quiet,
            points: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Monitor for Progress {
    fn started(&self, start: &Start) {
        self.bar.set_length(start.device_frames);
        self.bar
            .set_position(start.device_frames - start.device_frames_left);
        // What was there before says nothing about the speed.
        self.bar.reset_eta();
    }

    fn finished(&self, device_frames: u64, failed: bool, point: bool) {
        let points =
            self.points.fetch_add(usize::from(point), Ordering::Relaxed) + usize::from(point);
        let failures = self
            .failed
            .fetch_add(usize::from(failed), Ordering::Relaxed)
            + usize::from(failed);
        let late = self.started.elapsed() > Duration::from_secs(2);
        if late && !self.quiet && self.bar.is_hidden() && std::io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let plural = if points == 1 { "" } else { "s" };
        self.bar.set_message(format!(
            "{points} point{plural} finished, {failures} failed runs"
        ));
        self.bar.inc(device_frames);
    }
}
