//! Figures of a sweep at one point of an axis: when sending ends, queues and energy over time, one device-frame.

use crate::draw::scale::short;
use crate::figures::Figure;
use crate::figures::frame::{SLOTS_CAPTION, Trace, slot_sheet};
use crate::figures::run::{StopPanel, stop_sheet};
use crate::figures::time::{Path, QUEUE_CAPTION, cumulative_chart, queue_chart};
use crate::sweep::{Sweep, View};
use enachi_core::record::StopReason;
use enachi_data::sweep::{HistogramRow, of_point};

/// The point of a view that is shown in detail: the middle one.
pub fn detail(view: &View) -> usize {
    view.points.len() / 2
}

/// When sending ends at the point shown in detail, by policy.
pub fn stops(sweep: &Sweep, view: &View) -> Option<Figure> {
    let at = detail(view);
    let point = view.points[at];
    let examples = of_point(&sweep.data.examples, point, |e| e.point);
    let slot_ms = examples.first().map(|e| e.slot_s * 1e3)?;
    let histograms = of_point(&sweep.data.histograms, point, |r| r.point);
    let panels = sweep.info(view).policies.iter().filter_map(|policy| {
        let total = sweep.row(point, policy)?.device_frames as f64;
        let mine = |r: &&HistogramRow| r.policy == *policy && r.quantity == "stop_slot";
        let bins = histograms.iter().filter(mine).filter_map(|r| {
            let reason = StopReason::from_name(&r.category)?;
            let share = 100.0 * r.count as f64 / total;
            Some((reason, r.bin_low * slot_ms, r.bin_high * slot_ms, share))
        });
        let bins: Vec<_> = bins.collect();
        (!bins.is_empty()).then(|| StopPanel {
            title: policy.clone(),
            bins,
        })
    });
    let (sheet, width) = stop_sheet(panels.collect())?;
    Some(Figure::new(
        &format!("{}-stops", view.id),
        "When sending ends, and why",
        format!(
            "At {}: share of all tasks whose last slot lies in a stretch of {} ms of the frame, by reason; policies that send. Each panel has its own \
             height.",
            view.axis.place(at),
            short(width)
        ),
        sheet,
    ))
}

/// Queues and cumulative energy at the point shown in detail.
pub fn over_time(sweep: &Sweep, view: &View) -> Vec<Figure> {
    let at = detail(view);
    let point = view.points[at];
    let policies = &sweep.info(view).policies;
    let trajectories = of_point(&sweep.data.trajectories, point, |r| r.point);
    let rows = |policy: &str| {
        let policy = policy.to_owned();
        trajectories.iter().filter(move |r| r.policy == policy)
    };
    let path =
        |policy: &String, of: &dyn Fn(&enachi_data::sweep::TrajectoryRow) -> (f64, f64)| Path {
            name: policy.clone(),
            points: rows(policy).map(of).collect(),
        };
    let queues: Vec<Path> = policies
        .iter()
        .map(|p| {
            path(p, &|r| {
                ((r.first_frame + r.end_frame) as f64 / 2.0, r.energy_queue_j)
            })
        })
        .collect();
    let spent: Vec<Path> = policies
        .iter()
        .map(|p| path(p, &|r| (r.end_frame as f64, r.cumulative_energy_j)))
        .collect();
    let Some(first) = policies.iter().find(|p| rows(p).next().is_some()) else {
        return Vec::new();
    };
    let budget = path(first, &|r| (r.end_frame as f64, r.cumulative_budget_j)).points;
    let frames = budget.last().map_or(1.0, |b| b.0);
    let place = format!("At {}.", view.axis.place(at));
    vec![
        Figure::new(
            &format!("{}-queues", view.id),
            "Energy queues",
            format!("{place} Q of (12), mean over devices and seeds. {QUEUE_CAPTION}"),
            queue_chart(queues, frames),
        ),
        Figure::new(
            &format!("{}-cumulative", view.id),
            "Energy against the budget line",
            format!(
                "{place} Energy of a device from the first frame on, mean over devices and seeds."
            ),
            cumulative_chart(spent, budget, frames),
        ),
    ]
}

/// One device-frame of the first policy at the point shown in detail.
pub fn slots(sweep: &Sweep, view: &View) -> Option<Figure> {
    let at = detail(view);
    let point = view.points[at];
    let policy = sweep.info(view).policies.first()?;
    let example = of_point(&sweep.data.examples, point, |e| e.point)
        .iter()
        .find(|e| e.policy == *policy)?;
    let slots = of_point(&sweep.data.slots, point, |s| s.point)
        .iter()
        .filter(|s| s.policy == *policy)
        .map(|s| [s.slot as f64, s.gain, s.power_w, s.power_queue_w, s.bits]);
    let trace = Trace {
        slot_s: example.slot_s,
        ready_s: example.ready_time_s,
        sent_s: example.sent_time_s,
        batch_s: example.batch_time_s,
        reference_power_w: example.reference_power_w,
        planned_bits: example.planned_bits,
        stop: StopReason::from_name(&example.stop_reason)?,
        slots: slots.collect(),
    };
    let sheet = slot_sheet(&trace)?;
    Some(Figure::new(
        &format!("{}-slots", view.id),
        "One device-frame, slot by slot",
        format!(
            "{policy} at {}: device {}, frame {}, seed {}, cut {}. {SLOTS_CAPTION}",
            view.axis.place(at),
            example.device,
            example.frame,
            example.seed,
            example.cut.as_deref().unwrap_or("none"),
        ),
        sheet,
    ))
}
