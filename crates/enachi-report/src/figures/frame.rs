//! One frame: all devices at a glance, and one of them slot by slot.

use super::{Figure, axis, outcome_part, reason_part};
use crate::draw::Sheet;
use crate::draw::chart::{Chart, Mark, Names, Point, Rule, Series};
use crate::draw::lanes::{LaneRow, Lanes, Phase};
use crate::draw::scale::{Scale, short};
use crate::run::Run;
use crate::run::replay::FrameDetail;
use crate::run::tally::Lane;
use enachi_core::record::{Outcome, StopReason};

/// Devices drawn at most.
const DEVICES: usize = 40;

/// All devices of the frame that is shown.
pub fn lanes(run: &Run) -> Option<Figure> {
    if run.tally.lanes.is_empty() {
        return None;
    }
    let (policy, seed, frame) = run.extent.shown;
    let shown = run.detail.as_ref().ok().map(|d| d.lane.device);
    let rows = run.tally.lanes.iter().take(DEVICES).map(|lane| LaneRow {
        name: format!("device {}", lane.device),
        phases: phases(lane),
        note: note(lane),
        strong: Some(lane.device) == shown,
    });
    let rows: Vec<LaneRow> = rows.collect();
    let mut deadlines: Vec<f64> = Vec::new();
    for group in &run.scenario.devices {
        let deadline = group.resolved(&run.scenario.device).deadline_s * 1e3;
        if !deadlines.contains(&deadline) {
            deadlines.push(deadline);
        }
    }
    let more = run.tally.lanes.len().saturating_sub(DEVICES);
    let more = match more {
        0 => String::new(),
        n => format!(" {n} more devices are not drawn."),
    };
    Some(Figure::new(
        "frame",
        "One frame, all devices",
        format!(
            "Frame {frame} of {}, seed {seed}. What still sends when the batch starts is cut and answered from what arrived.{more}",
            run.policy(policy)
        ),
        Lanes {
            rows,
            length_ms: run.extent.length_s * 1e3,
            deadlines_ms: deadlines,
        },
    ))
}

fn phases(lane: &Lane) -> Vec<(Phase, f64)> {
    let ms = |s: f64| s * 1e3;
    match lane.outcome {
        Outcome::Local => vec![(Phase::Device, ms(lane.answer_s))],
        Outcome::Infeasible | Outcome::NoTask | Outcome::PolicyFailed | Outcome::Refused => {
            Vec::new()
        }
        _ => vec![
            (Phase::Device, ms(lane.ready_s)),
            (Phase::Send, ms(lane.sent_s)),
            (Phase::Wait, ms(lane.batch_s)),
            (Phase::Edge, ms(lane.answer_s)),
        ],
    }
}

fn note(lane: &Lane) -> String {
    let cut = lane.cut.as_deref().unwrap_or("no cut");
    let answer = if lane.correct { "right" } else { "wrong" };
    let sent = match lane.outcome {
        Outcome::Delivered | Outcome::StoppedEarly | Outcome::DeadlineCut => {
            format!("{} kbit, ", short(lane.bits / 1e3))
        }
        _ => String::new(),
    };
    format!("{cut}: {sent}{}, {answer}", outcome_part(lane.outcome).0)
}

/// A device-frame slot by slot.
pub struct Trace {
    /// Length of a slot \[s\].
    pub slot_s: f64,
    /// When sending could begin \[s\].
    pub ready_s: f64,
    /// When the last used slot ended \[s\].
    pub sent_s: f64,
    /// When the batch started \[s\].
    pub batch_s: f64,
    /// p̃ \[W\].
    pub reference_power_w: f64,
    /// Bits that the plan counted on.
    pub planned_bits: f64,
    /// Why sending ended.
    pub stop: StopReason,
    /// Slot, gain, power \[W\], power queue \[W\] and bits of each used slot.
    pub slots: Vec<[f64; 5]>,
}

impl Trace {
    /// One quantity over the slots: points at `at`, in bars or joined.
    fn panel(
        &self,
        label: &str,
        category: usize,
        values: Vec<(f64, f64)>,
        mark: Mark,
        unit: &str,
    ) -> Chart {
        let slot_ms = self.slot_s * 1e3;
        let (from, to) = (self.ready_s * 1e3, self.batch_s.max(self.sent_s) * 1e3);
        let time = Scale::tight([from.floor(), (to * 1.02).ceil()].into_iter());
        let zero = label != GAIN;
        let scale = Scale::over(values.iter().map(|v| v.1), zero);
        let points = values.into_iter().map(|(x, y)| Point {
            x,
            y,
            tip: format!(
                "slot {:.0}, {x:.1} ms\n{} {unit}",
                (x / slot_ms - 1e-6).floor(),
                short(y)
            ),
            ..Point::default()
        });
        Chart {
            title: String::new(),
            x: axis("time from the start of the frame [ms]", time),
            y: axis(label, scale),
            series: vec![Series {
                name: String::new(),
                category,
                mark,
                strong: false,
                points: points.collect(),
            }],
            rules: Vec::new(),
            names: Names::Hidden,
            size: (900.0, 180.0),
        }
    }
}

const GAIN: &str = "gain [dB]";
/// The panel that has the time axis.
const LAST: usize = 3;

/// Gain, power, power queue and bits of a device-frame, one below the other; `None` where no slot was used.
pub fn slot_sheet(trace: &Trace) -> Option<Sheet> {
    if trace.slots.is_empty() {
        return None;
    }
    let slot_ms = trace.slot_s * 1e3;
    let over = |of: &dyn Fn(&[f64; 5]) -> f64| -> Vec<(f64, f64)> {
        let slots = trace.slots.iter();
        slots.map(|s| ((s[0] + 0.5) * slot_ms, of(s))).collect()
    };
    let gain = over(&|s| 10.0 * s[1].max(1e-300).log10());
    let gain = trace.panel(GAIN, 3, gain, Mark::Path, "dB");
    let power = over(&|s| s[2] * 1e3);
    let mut power = trace.panel("power [mW]", 1, power, Mark::Bars(slot_ms), "mW");
    let reference = trace.reference_power_w * 1e3;
    let highest = trace.slots.iter().map(|s| s[2] * 1e3).chain([reference]);
    power.y.scale = Scale::over(highest, true);
    power.rules.push(Rule {
        at: reference,
        upright: false,
        name: format!("reference p̃ = {} mW", short(reference)),
        name_right: true,
    });
    let queue = trace.panel("queue q [W]", 4, over(&|s| s[3]), Mark::Path, "W");
    let mut total = 0.0;
    let sent = trace.slots.iter().map(|s| {
        total += s[4] / 1e3;
        ((s[0] + 1.0) * slot_ms, total)
    });
    let sent = sent.collect();
    let mut bits = trace.panel("bits [kbit]", 0, sent, Mark::Path, "kbit");
    let planned = trace.planned_bits / 1e3;
    bits.y.scale = Scale::over([0.0, planned, total].into_iter(), true);
    bits.rules.push(Rule {
        at: planned,
        upright: false,
        name: format!("planned: {} kbit", short(planned)),
        name_right: false,
    });
    let mut panels = [gain, power, queue, bits];
    for (index, panel) in panels.iter_mut().enumerate() {
        panel.rules.push(Rule {
            at: trace.sent_s * 1e3,
            upright: true,
            name: if index == 0 {
                format!("ends: {}", reason_part(trace.stop).0)
            } else {
                String::new()
            },
            name_right: false,
        });
        // One time axis for all four.
        if index < LAST {
            panel.x.label = String::new();
            panel.size.1 -= 16.0;
        }
    }
    Some(Sheet {
        legend: Vec::new(),
        panels: panels.into_iter().map(|p| Box::new(p) as _).collect(),
        columns: 1,
    })
}

/// One device of a run slot by slot.
pub fn slots(run: &Run, detail: &FrameDetail) -> Option<Figure> {
    let lane = &detail.lane;
    let slots = detail.explanation.slots.iter();
    let trace = Trace {
        slot_s: run.scenario.frame.slot_s,
        ready_s: lane.ready_s,
        sent_s: lane.sent_s,
        batch_s: lane.batch_s,
        reference_power_w: lane.reference_power_w,
        planned_bits: detail.explanation.record.planned_bits,
        stop: lane.stop,
        slots: slots
            .map(|s| {
                [
                    f64::from(s.slot),
                    s.gain,
                    s.power_w,
                    s.power_queue_w,
                    s.bits,
                ]
            })
            .collect(),
    };
    let (policy, seed, frame) = run.extent.shown;
    let sheet = slot_sheet(&trace)?;
    Some(Figure::new(
        "slots",
        "One device, slot by slot",
        format!(
            "Device {} in frame {frame} of {}, seed {seed}: {}. {SLOTS_CAPTION} The head runs until {} ms.",
            lane.device,
            run.policy(policy),
            note(lane),
            short(lane.ready_s * 1e3),
        ),
        sheet,
    ))
}

/// What the inner loop does.
pub const SLOTS_CAPTION: &str = "After each slot the power queue q grows by what the slot spent beyond the reference p̃ and falls by what it \
     saved (23); the power of the next is set from q and the gain, (25) corrected.";
