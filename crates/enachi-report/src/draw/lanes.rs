//! A frame of all devices: who computes, sends and waits when.

use super::ink::{Ink, Style};
use super::scale::{Scale, tick};
use super::{Drawing, Pen, Type, fitted, text_width};
use kuva::render::render::{Scene, TextAnchor};

const WIDTH: f64 = 900.0;
const ROW: f64 = 24.0;
const LEFT: f64 = 86.0;
/// For what is said at the end of a row.
const RIGHT: f64 = 330.0;
const TOP: f64 = 44.0;
const SIZE: u32 = 12;

/// What happens in a stretch of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The head and the encoder run on the device.
    Device,
    /// The device sends.
    Send,
    /// Nothing: the edge waits for the batch.
    Wait,
    /// The tail runs on the edge.
    Edge,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Device, Self::Send, Self::Wait, Self::Edge];

    fn name(self) -> &'static str {
        match self {
            Self::Device => "on the device",
            Self::Send => "sending",
            Self::Wait => "waiting for the batch",
            Self::Edge => "on the edge",
        }
    }

    fn ink(self) -> Ink {
        match self {
            Self::Device => Ink::Series(0),
            Self::Send => Ink::Series(1),
            Self::Wait => Ink::Grid,
            Self::Edge => Ink::Series(2),
        }
    }
}

/// One device.
#[derive(Clone, Debug)]
pub struct LaneRow {
    /// Name.
    pub name: String,
    /// Phases with their ends \[ms\], one after the other from 0.
    pub phases: Vec<(Phase, f64)>,
    /// Said at the end.
    pub note: String,
    /// Whether it is the one shown slot by slot.
    pub strong: bool,
}

/// A frame.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// Top to bottom.
    pub rows: Vec<LaneRow>,
    /// Length of the frame \[ms\].
    pub length_ms: f64,
    /// Deadlines that some device has \[ms\].
    pub deadlines_ms: Vec<f64>,
}

impl Drawing for Lanes {
    fn scene(&self, style: Style) -> Scene {
        let bottom = TOP + ROW * self.rows.len().max(1) as f64;
        let mut scene = Scene::new(WIDTH, bottom + 46.0);
        let mut pen = Pen {
            scene: &mut scene,
            style,
        };
        let ends = self
            .rows
            .iter()
            .flat_map(|r| r.phases.iter().map(|p| p.1))
            .chain([self.length_ms])
            .chain(self.deadlines_ms.iter().copied());
        let most = ends.fold(1.0, f64::max);
        let scale = Scale::over([0.0, most].into_iter(), true);
        let at = |ms: f64| LEFT + (WIDTH - LEFT - RIGHT) * ms / most;
        let mut x = LEFT;
        for phase in Phase::ALL {
            pen.rect((x, 7.0), (11.0, 11.0), phase.ink());
            let kind = Type::new(SIZE, TextAnchor::Start, Ink::Text);
            pen.text((x + 16.0, 17.0), phase.name(), kind);
            x += 34.0 + text_width(phase.name(), SIZE);
        }
        let ticks = (most / scale.step + 1e-9).floor() as u32;
        for index in 0..=ticks {
            let value = scale.step * f64::from(index);
            pen.line((at(value), TOP), (at(value), bottom), Ink::Grid, 1.0, "");
            let kind = Type::new(SIZE, TextAnchor::Middle, Ink::Text);
            pen.text((at(value), bottom + 16.0), &tick(value, scale.step), kind);
        }
        let kind = Type::new(13, TextAnchor::Middle, Ink::Text);
        let label = "time from the start of the frame [ms]";
        pen.text((at(most / 2.0), bottom + 36.0), label, kind);
        for (index, row) in self.rows.iter().enumerate() {
            draw_row(&mut pen, row, &at, TOP + ROW * (index as f64 + 0.5));
        }
        for &deadline in &self.deadlines_ms {
            let x = at(deadline);
            pen.line((x, TOP - 6.0), (x, bottom), Ink::Text, 1.3, "5 3");
            let kind = Type::new(SIZE, TextAnchor::End, Ink::Muted);
            pen.text((x - 4.0, TOP - 4.0), "deadline", kind);
        }
        scene
    }
}

fn draw_row(pen: &mut Pen<'_>, row: &LaneRow, at: &impl Fn(f64) -> f64, y: f64) {
    let mut kind = Type::new(SIZE, TextAnchor::End, Ink::Text);
    kind.bold = row.strong;
    pen.text((LEFT - 10.0, y + 4.0), &row.name, kind);
    let (mut from, mut last) = (0.0, at(0.0));
    for &(phase, end) in &row.phases {
        if end <= from {
            continue;
        }
        let (x, right) = (at(from), at(end));
        let tip = format!("{}\n{}: {from:.1} to {end:.1} ms", row.name, phase.name());
        pen.tip(&tip, |pen| {
            pen.rect((x, y - 8.0), (right - x, 16.0), phase.ink());
        });
        (from, last) = (end, right);
    }
    let room = WIDTH - last - 14.0;
    let kind = Type::new(SIZE, TextAnchor::Start, Ink::Muted);
    pen.text((last + 9.0, y + 4.0), &fitted(&row.note, SIZE, room), kind);
}
