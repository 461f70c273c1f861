//! Rows of values along one axis: the spread of a quantity, or a dot per device.

use super::ink::{Ink, Style};
use super::scale::{Scale, short, tick};
use super::{Drawing, Pen, Type, fitted, text_width};
use kuva::render::render::{Scene, TextAnchor};

const ROW: f64 = 28.0;
const NAME_SIZE: u32 = 13;
const TICK_SIZE: u32 = 12;
const NAME_WIDTH: f64 = 210.0;

/// One row.
#[derive(Clone, Debug, Default)]
pub struct Strip {
    /// Name.
    pub name: String,
    /// Number of the category, for its colour.
    pub category: usize,
    /// Thin line.
    pub range: Option<(f64, f64)>,
    /// Thick line.
    pub middle: Option<(f64, f64)>,
    /// Dots, each with what the pointer shows.
    pub dots: Vec<(f64, String)>,
    /// What the pointer shows on the lines.
    pub tip: String,
    /// Said in place of values that the axis cannot show; may be empty.
    pub note: String,
}

/// Rows along one axis.
#[derive(Clone, Debug)]
pub struct Strips {
    /// Above the rows; may be empty.
    pub title: String,
    /// What the axis shows, with its unit.
    pub label: String,
    /// The axis.
    pub scale: Scale,
    /// Top to bottom.
    pub rows: Vec<Strip>,
    /// A line to compare with, and its name.
    pub rule: Option<(f64, String)>,
    /// Whether names stand at the left.
    pub named: bool,
    /// Width \[px\].
    pub width: f64,
}

impl Drawing for Strips {
    fn scene(&self, style: Style) -> Scene {
        let names = self
            .rows
            .iter()
            .map(|r| text_width(&r.name, NAME_SIZE))
            .fold(0.0, f64::max)
            .min(NAME_WIDTH);
        let left = if self.named { names + 28.0 } else { 22.0 };
        let span = self.width - left - 30.0;
        let top = if self.title.is_empty() { 22.0 } else { 44.0 };
        let bottom = top + ROW * self.rows.len().max(1) as f64;
        let mut scene = Scene::new(self.width, bottom + 46.0);
        let mut pen = Pen {
            scene: &mut scene,
            style,
        };
        let place = |value: f64| {
            let s = self.scale;
            let share = if s.log {
                (value.max(s.low) / s.low).ln() / (s.high / s.low).ln()
            } else {
                (value - s.low) / (s.high - s.low)
            };
            left + span * share.clamp(0.0, 1.0)
        };
        if !self.title.is_empty() {
            let mut kind = Type::new(14, TextAnchor::Start, Ink::Text);
            kind.bold = true;
            pen.text((left, 20.0), &self.title, kind);
        }
        for index in (1..self.rows.len()).step_by(2) {
            let y = top + ROW * index as f64;
            pen.rect((left, y), (span, ROW), Ink::Stripe);
        }
        self.axis(&mut pen, &place, (top, bottom));
        if let Some((at, name)) = &self.rule {
            let x = place(*at);
            pen.line((x, top - 4.0), (x, bottom), Ink::Muted, 1.3, "5 3");
            let kind = Type::new(TICK_SIZE, TextAnchor::Middle, Ink::Muted);
            let half = text_width(name, TICK_SIZE) / 2.0;
            let x = x.clamp(half + 4.0, (self.width - half - 4.0).max(half + 4.0));
            pen.text((x, top - 8.0), name, kind);
        }
        for (index, row) in self.rows.iter().enumerate() {
            let y = top + ROW * (index as f64 + 0.5);
            if self.named {
                let name = fitted(&row.name, NAME_SIZE, NAME_WIDTH);
                let kind = Type::new(NAME_SIZE, TextAnchor::End, Ink::Text);
                pen.text((left - 12.0, y + 4.5), &name, kind);
            }
            self.row(&mut pen, row, &place, y);
        }
        scene
    }
}

impl Strips {
    fn axis(&self, pen: &mut Pen<'_>, place: &impl Fn(f64) -> f64, (top, bottom): (f64, f64)) {
        let scale = self.scale;
        let ticks: Vec<f64> = if scale.log {
            decades(scale.low, scale.high)
        } else {
            let count = ((scale.high - scale.low) / scale.step + 1e-9).floor() as u32;
            (0..=count)
                .map(|i| scale.low + scale.step * f64::from(i))
                .collect()
        };
        let mut last = f64::NEG_INFINITY;
        for value in ticks {
            let x = place(value);
            pen.line((x, top), (x, bottom), Ink::Grid, 1.0, "");
            let text = if scale.log {
                short(value)
            } else {
                tick(value, scale.step)
            };
            let half = text_width(&text, TICK_SIZE) / 2.0;
            if x - half < last + 4.0 {
                continue;
            }
            last = x + half;
            let kind = Type::new(TICK_SIZE, TextAnchor::Middle, Ink::Text);
            pen.text((x, bottom + 16.0), &text, kind);
        }
        let (from, to) = (place(scale.low), place(scale.high));
        pen.line((from, bottom), (to, bottom), Ink::Axis, 1.0, "");
        let kind = Type::new(13, TextAnchor::Middle, Ink::Text);
        pen.text(((from + to) / 2.0, bottom + 36.0), &self.label, kind);
    }

    fn row(&self, pen: &mut Pen<'_>, row: &Strip, place: &impl Fn(f64) -> f64, y: f64) {
        let ink = Ink::Series(row.category);
        if !row.note.is_empty() {
            let kind = Type::new(TICK_SIZE, TextAnchor::Start, Ink::Muted);
            pen.text((place(self.scale.low) + 8.0, y + 4.0), &row.note, kind);
        }
        let lines = |pen: &mut Pen<'_>| {
            for (ends, width) in [(row.range, 2.0), (row.middle, 8.0)] {
                if let Some((low, high)) = ends {
                    // Ends that coincide still leave a mark.
                    let (x, end) = (place(low), place(high).max(place(low) + 1.0));
                    pen.rect((x, y - width / 2.0), (end - x, width), ink);
                }
            }
        };
        if row.tip.is_empty() {
            lines(pen);
        } else {
            pen.tip(&row.tip, lines);
        }
        for (value, tip) in &row.dots {
            let draw = |pen: &mut Pen<'_>| pen.dot((place(*value), y), 4.6, ink);
            if tip.is_empty() {
                draw(pen);
            } else {
                pen.tip(tip, draw);
            }
        }
    }
}

/// 1, 2 and 5 times powers of ten from `low` to `high`.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    (first..=last)
        .flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e)))
        .filter(|v| *v >= low * 0.999 && *v <= high * 1.001)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_show_spreads_and_dots() {
        let strips = Strips {
            title: "bits".into(),
            label: "bits [kbit]".into(),
            scale: Scale::logarithmic([0.5, 90.0].into_iter()),
            rows: vec![Strip {
                name: "enachi".into(),
                range: Some((0.5, 90.0)),
                middle: Some((2.0, 2.0)),
                dots: vec![(10.0, "median 10 kbit".into())],
                ..Strip::default()
            }],
            rule: Some((50.0, "limit".into())),
            named: true,
            width: 900.0,
        };
        let svg = super::super::svg_file(&strips);
        for part in [
            "bits [kbit]",
            "enachi",
            "median 10 kbit",
            "limit",
            ">0.5<",
            ">100<",
        ] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
    }
}
