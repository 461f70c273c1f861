//! Rows of stacked bars: shares of a whole, or parts of an amount.

use super::ink::{Ink, Style};
use super::scale::{Scale, tick};
use super::{Drawing, Pen, Type, fitted, text_width};
use kuva::render::render::{Scene, TextAnchor};

const WIDTH: f64 = 900.0;
const ROW: f64 = 30.0;
const BAR: f64 = 20.0;
const RIGHT: f64 = 24.0;
const NAME_SIZE: u32 = 13;
const TICK_SIZE: u32 = 12;
/// Names of rows are cut to this \[px\].
const NAME_WIDTH: f64 = 240.0;

/// A part that rows are made of.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name.
    pub name: String,
    /// Colour.
    pub ink: Ink,
    /// Colour of a text on it.
    pub on: Ink,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name.
    pub name: String,
    /// One value per part, in the unit of the axis.
    pub values: Vec<f64>,
    /// A mark on the axis, such as an allowance.
    pub limit: Option<f64>,
}

/// Rows of stacked bars.
#[derive(Clone, Debug)]
pub struct Rows {
    /// What rows are, above their names; may be empty.
    pub rows_label: String,
    /// What the axis shows, with its unit.
    pub label: String,
    /// Unit behind a value under the pointer.
    pub unit: String,
    /// Parts, left to right.
    pub parts: Vec<Part>,
    /// Top to bottom.
    pub rows: Vec<Row>,
    /// End of the axis; without it the longest row.
    pub most: Option<f64>,
    /// What [`Row::limit`] is, for the legend.
    pub limit_name: String,
}

impl Drawing for Rows {
    fn scene(&self, style: Style) -> Scene {
        let names = self
            .rows
            .iter()
            .map(|r| &r.name)
            .chain([&self.rows_label])
            .map(|name| text_width(name, NAME_SIZE))
            .fold(0.0, f64::max)
            .min(NAME_WIDTH);
        let left = names + 26.0;
        let width = WIDTH - left - RIGHT;
        let legend = self.legend(left);
        let top = legend.last().map_or(12.0, |&(_, _, y)| y + 14.0);
        let bottom = top + ROW * self.rows.len().max(1) as f64;
        let mut scene = Scene::new(WIDTH, bottom + 48.0);
        let mut pen = Pen {
            scene: &mut scene,
            style,
        };
        let longest = self.rows.iter().flat_map(|r| {
            let sum: f64 = r.values.iter().filter(|v| v.is_finite()).sum();
            [sum, r.limit.unwrap_or(0.0)]
        });
        let mut scale = Scale::over(longest, true);
        if let Some(most) = self.most {
            scale = Scale {
                high: most,
                ..Scale::over([0.0, most].into_iter(), true)
            };
        }
        let at = |value: f64| left + width * (value / scale.high).clamp(0.0, 1.0);
        self.draw_axis(&mut pen, scale, &at, (top, bottom));
        self.draw_legend(&mut pen, &legend);
        let label = fitted(&self.rows_label, NAME_SIZE, NAME_WIDTH);
        let kind = Type::new(NAME_SIZE, TextAnchor::End, Ink::Muted);
        pen.text((left - 10.0, top - 14.0), &label, kind);
        for (index, row) in self.rows.iter().enumerate() {
            let middle = top + ROW * (index as f64 + 0.5);
            self.draw_row(&mut pen, row, &at, (left, middle));
        }
        scene
    }
}

impl Rows {
    /// Places of the legend's entries: part (or the limit behind the last), x, baseline.
    fn legend(&self, left: f64) -> Vec<(usize, f64, f64)> {
        let (mut x, mut y) = (left, 16.0);
        let mut places = Vec::new();
        let limit = self.rows.iter().any(|r| r.limit.is_some());
        for index in 0..self.parts.len() + usize::from(limit) {
            let name = self.parts.get(index).map_or(&self.limit_name, |p| &p.name);
            let width = 16.0 + text_width(name, TICK_SIZE) + 16.0;
            if x + width > WIDTH - 6.0 && x > left {
                (x, y) = (left, y + 18.0);
            }
            places.push((index, x, y));
            x += width;
        }
        places
    }

    fn draw_legend(&self, pen: &mut Pen<'_>, places: &[(usize, f64, f64)]) {
        for &(index, x, y) in places {
            let name = match self.parts.get(index) {
                Some(part) => {
                    pen.rect((x, y - 10.0), (11.0, 11.0), part.ink);
                    &part.name
                }
                None => {
                    pen.line(
                        (x + 5.0, y - 11.0),
                        (x + 5.0, y + 2.0),
                        Ink::Text,
                        1.5,
                        "4 3",
                    );
                    &self.limit_name
                }
            };
            let kind = Type::new(TICK_SIZE, TextAnchor::Start, Ink::Text);
            pen.text((x + 16.0, y), name, kind);
        }
    }

    fn draw_axis(
        &self,
        pen: &mut Pen<'_>,
        scale: Scale,
        at: &impl Fn(f64) -> f64,
        (top, bottom): (f64, f64),
    ) {
        let ticks = ((scale.high - scale.low) / scale.step + 1e-9).floor() as u32;
        for index in 0..=ticks {
            let value = scale.low + scale.step * f64::from(index);
            let x = at(value);
            pen.line((x, top), (x, bottom), Ink::Grid, 1.0, "");
            let kind = Type::new(TICK_SIZE, TextAnchor::Middle, Ink::Text);
            pen.text((x, bottom + 16.0), &tick(value, scale.step), kind);
        }
        let (from, to) = (at(scale.low), at(scale.high));
        pen.line((from, bottom), (to, bottom), Ink::Axis, 1.0, "");
        let kind = Type::new(13, TextAnchor::Middle, Ink::Text);
        pen.text(((from + to) / 2.0, bottom + 37.0), &self.label, kind);
    }

    fn draw_row(
        &self,
        pen: &mut Pen<'_>,
        row: &Row,
        at: &impl Fn(f64) -> f64,
        (left, middle): (f64, f64),
    ) {
        let name = fitted(&row.name, NAME_SIZE, NAME_WIDTH);
        let kind = Type::new(NAME_SIZE, TextAnchor::End, Ink::Text);
        pen.text((left - 10.0, middle + 4.5), &name, kind);
        let mut from = 0.0;
        for (part, &value) in self.parts.iter().zip(&row.values) {
            if value.is_nan() || value <= 0.0 {
                continue;
            }
            let (x, end) = (at(from), at(from + value));
            from += value;
            let digits = if value < 10.0 { 1 } else { 0 };
            let tip = format!("{}\n{}: {value:.1} {}", row.name, part.name, self.unit);
            pen.tip(&tip, |pen| {
                pen.rect((x, middle - BAR / 2.0), (end - x, BAR), part.ink);
                let number = format!("{value:.digits$}");
                let both = format!("{} {number}", part.name);
                let room = end - x - 8.0;
                let inside = [both, number]
                    .into_iter()
                    .find(|text| text_width(text, 11) <= room);
                if let Some(text) = inside {
                    let kind = Type::new(11, TextAnchor::Middle, part.on);
                    pen.text(((x + end) / 2.0, middle + 4.0), &text, kind);
                }
            });
        }
        if let Some(limit) = row.limit {
            let x = at(limit);
            let ends = ((x, middle - ROW / 2.0), (x, middle + ROW / 2.0));
            pen.line(ends.0, ends.1, Ink::Text, 1.5, "4 3");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_drawn_with_their_shares() {
        let rows = Rows {
            rows_label: "users".into(),
            label: "share [%]".into(),
            unit: "%".into(),
            parts: ["deep", "<shallow>"]
                .iter()
                .enumerate()
                .map(|(i, name)| Part {
                    name: (*name).into(),
                    ink: Ink::Ordered(i),
                    on: Ink::OnOrdered(i),
                })
                .collect(),
            rows: vec![Row {
                name: "enachi".into(),
                values: vec![75.0, 25.0],
                limit: None,
            }],
            most: Some(100.0),
            limit_name: String::new(),
        };
        let svg = super::super::svg_file(&rows);
        for part in [
            "deep 75",
            "&lt;shallow&gt; 25",
            "enachi",
            "users",
            "share [%]",
            ">100<",
        ] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
    }
}
