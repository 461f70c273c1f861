//! Figures over the frames of a run: queues, and energy against the budget line.

use super::{Figure, axis, wide};
use crate::draw::chart::{Axis, Chart, Mark, Point, Series};
use crate::draw::ink::CATEGORIES;
use crate::draw::scale::{Scale, short};
use crate::run::Run;

/// Where most queues are smaller than the largest by this factor, the axis is logarithmic.
const CROWDED: f64 = 15.0;

/// How a caption says what a queue shows, on either axis.
pub const QUEUE_CAPTION: &str = "A queue that levels off keeps the allowance, one that goes on rising exceeds it. Where queues are of very \
     different size, the axis is logarithmic and leaves out the smallest.";

/// A quantity over the frames, of one policy.
pub struct Path {
    /// Policy.
    pub name: String,
    /// Frame and value.
    pub points: Vec<(f64, f64)>,
}

impl Path {
    fn series(self, category: usize) -> Series {
        let name = self.name.clone();
        let points = self.points.into_iter().map(|(x, y)| Point {
            x,
            y,
            tip: format!("{name}\nframe {x:.0}: {} J", short(y)),
            ..Point::default()
        });
        Series {
            name: self.name,
            category,
            mark: Mark::Path,
            strong: category == 0,
            points: points.collect(),
        }
    }
}

fn frames_axis(frames: f64) -> Axis {
    let scale = Scale {
        high: frames.max(1.0),
        ..Scale::over([0.0, frames].into_iter(), true)
    };
    axis("frame", scale)
}

fn chart(label: &str, series: Vec<Series>, frames: f64) -> Chart {
    let ys = series.iter().flat_map(|s| s.points.iter().map(|p| p.y));
    let y = axis(label, Scale::over(ys, true));
    wide(frames_axis(frames), y, series)
}

/// Energy queues over the frames.
pub fn queue_chart(paths: Vec<Path>, frames: f64) -> Chart {
    let series = paths.into_iter().enumerate().map(|(i, p)| p.series(i));
    let series: Vec<Series> = series.collect();
    let label = "energy queue Q, mean of devices [J]";
    let all = || series.iter().flat_map(|s| s.points.iter().map(|p| p.y));
    let most = all().fold(0.0, f64::max);
    let crowded = all().filter(|q| *q < most / CROWDED).count() * 2 > all().count();
    if !crowded {
        return chart(label, series, frames);
    }
    // Queues of policies that do not look at them grow without end and would press the others together.
    let shown = all().filter(|q| *q > most * 1e-4);
    let y = axis(label, Scale::logarithmic(shown));
    wide(frames_axis(frames), y, series)
}

/// Energy so far against `budget`, the allowance so far.
pub fn cumulative_chart(paths: Vec<Path>, budget: Vec<(f64, f64)>, frames: f64) -> Chart {
    let with_start = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        std::iter::once((0.0, 0.0)).chain(points).collect()
    };
    let mut series: Vec<Series> = paths
        .into_iter()
        .map(|path| Path {
            points: with_start(path.points),
            ..path
        })
        .enumerate()
        .map(|(i, p)| p.series(i))
        .collect();
    let allowance = Path {
        name: "allowance".into(),
        points: with_start(budget),
    };
    // Grey, dashed.
    series.push(allowance.series(CATEGORIES - 1 + CATEGORIES));
    chart("energy so far, per device [J]", series, frames)
}

/// The energy queue over the frames of a run.
pub fn queues(run: &Run) -> Figure {
    let size = run.extent.frames_per_bin() as f64;
    let frames = f64::from(run.extent.frames);
    let paths = run.tally.policies.iter().enumerate().map(|(index, tally)| {
        let points = tally.by_frame.iter().enumerate().map(|(bin, sums)| {
            let first = bin as f64 * size;
            let middle = (first + (first + size).min(frames) - 1.0) / 2.0;
            (middle, sums.per_frame(sums.queue_j))
        });
        Path {
            name: run.policy(index).into(),
            points: points.collect(),
        }
    });
    Figure::new(
        "queues",
        "Energy queues",
        format!(
            "Q of (12), before each frame, mean over devices and seeds. It is kept for every policy, whether or not the policy looks at it. \
             {QUEUE_CAPTION}{}",
            bins_sentence(run)
        ),
        queue_chart(paths.collect(), frames),
    )
}

fn bins_sentence(run: &Run) -> String {
    match run.extent.frames_per_bin() {
        1 => String::new(),
        n => format!(" Points are means over {n} frames."),
    }
}

/// Energy spent so far, per device, against the allowance so far.
pub fn cumulative(run: &Run) -> Figure {
    let size = run.extent.frames_per_bin() as f64;
    let frames = f64::from(run.extent.frames);
    let end = |bin: usize| ((bin + 1) as f64 * size).min(frames);
    let paths = run.tally.policies.iter().enumerate().map(|(index, tally)| {
        let mut spent = 0.0;
        let points = tally.by_frame.iter().enumerate().map(|(bin, sums)| {
            spent += sums.energy_j() * (end(bin) - bin as f64 * size);
            (end(bin), spent)
        });
        Path {
            name: run.policy(index).into(),
            points: points.collect(),
        }
    });
    let paths: Vec<Path> = paths.collect();
    let budget = (1..=100).map(|i| {
        let frame = frames * f64::from(i) / 100.0;
        (frame, frame * run.budget_j())
    });
    Figure::new(
        "cumulative",
        "Energy against the budget line",
        "Energy of a device from the first frame on, mean over devices and seeds. By the identity of the queue, spending exceeds the \
         allowance so far by at most Q."
            .into(),
        cumulative_chart(paths, budget.collect(), frames),
    )
}
