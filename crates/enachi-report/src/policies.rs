//! The figure of a run: accuracy with its interval and energy by part, one row per policy.

use crate::draw::ink::{Ink, Style};
use crate::draw::scale::{Scale, short, tick, upper_part};
use crate::draw::{Drawing, Pen, Type, fitted, png_file, svg_file, text_width};
use crate::plot::PlotError;
use kuva::render::render::{Scene, TextAnchor};
use std::path::Path;

/// One policy.
#[derive(Clone, Debug, Default)]
pub struct PolicyRow {
    /// Name.
    pub name: String,
    /// Share of right answers with its 95 % interval: mean, lower, upper end.
    pub accuracy: [f64; 3],
    /// Mean energy per frame of head, encoder and radio \[J\].
    pub energy_j: [f64; 3],
    /// Mean allowance \[J\].
    pub budget_j: f64,
}

/// Accuracy and energy of several policies.
#[derive(Clone, Debug, Default)]
pub struct PolicyFigure {
    /// First line; may be empty.
    pub title: String,
    /// Second line.
    pub subtitle: String,
    /// Top to bottom.
    pub rows: Vec<PolicyRow>,
}

/// Page \[px\], as wide as the other figures.
const WIDTH: f64 = 900.0;
const TITLE: f64 = 54.0;
const LEGEND: f64 = 36.0;
const BOTTOM: f64 = 58.0;
const ROW: f64 = 32.0;
const GAP: f64 = 44.0;
const RIGHT: f64 = 60.0;
const NAME_SIZE: u32 = 13;
/// Names of policies are cut to this \[px\].
const NAME_WIDTH: f64 = 250.0;
/// Parts of the energy, in the order of [`PolicyRow::energy_j`].
const PARTS: [(&str, Ink); 3] = [
    ("head", Ink::Series(0)),
    ("encoder", Ink::Series(5)),
    ("radio", Ink::Series(1)),
];

impl PolicyFigure {
    /// The figure as an SVG document.
    pub fn svg(&self) -> String {
        svg_file(self)
    }

    /// Write `path` with the endings `.svg` and `.png`.
    ///
    /// # Errors
    /// When drawing or writing fails.
    pub fn save_both(&self, path: &Path) -> Result<(), PlotError> {
        let files = [
            (path.with_extension("svg"), self.svg().into_bytes()),
            (path.with_extension("png"), png_file(self)?),
        ];
        for (file, bytes) in files {
            std::fs::write(&file, bytes).map_err(|error| PlotError::Io {
                file: file.display().to_string(),
                error,
            })?;
        }
        Ok(())
    }
}

impl Drawing for PolicyFigure {
    fn scene(&self, style: Style) -> Scene {
        let title = if self.title.is_empty() { 0.0 } else { TITLE };
        let top = title + LEGEND;
        let bottom = top + ROW * self.rows.len().max(1) as f64;
        let mut scene = Scene::new(WIDTH, bottom + BOTTOM);
        let mut pen = Pen {
            scene: &mut scene,
            style,
        };
        let names = self.rows.iter().map(|r| text_width(&r.name, NAME_SIZE));
        let left = names.fold(60.0, f64::max).min(NAME_WIDTH) + 30.0;
        let width = (WIDTH - left - GAP - RIGHT) / 2.0;
        if !self.title.is_empty() {
            let mut kind = Type::new(17, TextAnchor::Start, Ink::Text);
            kind.bold = true;
            pen.text((left, 26.0), &self.title, kind);
            let kind = Type::new(12, TextAnchor::Start, Ink::Muted);
            pen.text((left, 46.0), &self.subtitle, kind);
        }
        let means: Vec<f64> = self.rows.iter().map(|r| r.accuracy[0] * 100.0).collect();
        let least = upper_part(&means).into_iter().fold(f64::INFINITY, f64::min);
        let shown = self.rows.iter().filter(|r| r.accuracy[0] * 100.0 >= least);
        let ends = shown.flat_map(|r| r.accuracy.map(|a| a * 100.0));
        let accuracy = Across {
            scale: Scale::over(ends, false),
            left,
            width,
        };
        let most = self
            .rows
            .iter()
            .map(|r| r.energy_j.iter().sum::<f64>().max(r.budget_j) * 1000.0);
        let energy = Across {
            scale: Scale::over(most, true),
            left: left + width + GAP,
            width,
        };
        for index in (1..self.rows.len()).step_by(2) {
            let y = top + ROW * index as f64;
            pen.rect((14.0, y), (WIDTH - 28.0, ROW), Ink::Stripe);
        }
        accuracy.draw(&mut pen, (top, bottom), "accuracy [%], with 95 % interval");
        energy.draw(
            &mut pen,
            (top, bottom),
            "mean energy per device and frame [mJ]",
        );
        for (index, row) in self.rows.iter().enumerate() {
            let y = top + ROW * (index as f64 + 0.5);
            let mut kind = Type::new(NAME_SIZE, TextAnchor::End, Ink::Text);
            kind.bold = index == 0;
            let name = fitted(&row.name, NAME_SIZE, NAME_WIDTH);
            pen.text((left - 14.0, y + 4.5), &name, kind);
            draw_accuracy(&mut pen, &accuracy, row, y);
            draw_energy(&mut pen, &energy, row, y);
        }
        let budget = self.rows.iter().any(|r| r.budget_j > 0.0);
        draw_legend(&mut pen, (energy.left, top - 14.0), budget);
        scene
    }
}

fn draw_accuracy(pen: &mut Pen<'_>, axis: &Across, row: &PolicyRow, y: f64) {
    let [mean, low, high] = row.accuracy.map(|a| a * 100.0);
    let tip = format!("{}\n{mean:.2} % [{low:.2}, {high:.2}]", row.name);
    if mean < axis.scale.low {
        let kind = Type::new(12, TextAnchor::Start, Ink::Muted);
        pen.text((axis.left + 4.0, y + 4.0), &format!("◂ {mean:.1} %"), kind);
        return;
    }
    pen.tip(&tip, |pen| {
        let [mean, low, high] = [mean, low, high].map(|a| axis.at(a));
        pen.line((low, y), (high, y), Ink::Series(0), 2.0, "");
        for x in [low, high] {
            pen.line((x, y - 4.5), (x, y + 4.5), Ink::Series(0), 2.0, "");
        }
        pen.dot((mean, y), 4.6, Ink::Series(0));
    });
}

fn draw_energy(pen: &mut Pen<'_>, axis: &Across, row: &PolicyRow, y: f64) {
    let mut from = 0.0;
    for (part, (name, ink)) in row.energy_j.iter().zip(PARTS) {
        let to = from + part * 1000.0;
        let (x, end) = (axis.at(from), axis.at(to));
        let tip = format!("{}\n{name}: {:.2} mJ", row.name, part * 1000.0);
        pen.tip(&tip, |pen| pen.rect((x, y - 8.5), (end - x, 17.0), ink));
        from = to;
    }
    let allowance = axis.at(row.budget_j * 1000.0);
    if row.budget_j > 0.0 {
        let ends = ((allowance, y - ROW / 2.0), (allowance, y + ROW / 2.0));
        pen.line(ends.0, ends.1, Ink::Text, 1.4, "4 3");
    }
    let figure = short(from);
    // A figure that the allowance's line would cross goes behind the line.
    let gap = 5.0;
    let start = axis.at(from) + gap;
    let width = 7.0 * figure.chars().count() as f64;
    let crossed = row.budget_j > 0.0 && (start - gap..start + width).contains(&allowance);
    let start = if crossed { allowance + gap } else { start };
    let kind = Type::new(11, TextAnchor::Start, Ink::Text);
    pen.text((start, y + 4.0), &figure, kind);
}

fn draw_legend(pen: &mut Pen<'_>, (mut x, y): (f64, f64), budget: bool) {
    let kind = Type::new(12, TextAnchor::Start, Ink::Text);
    for (name, ink) in PARTS {
        pen.rect((x, y - 9.0), (11.0, 11.0), ink);
        pen.text((x + 16.0, y), name, kind);
        x += 16.0 + text_width(name, 12) + 18.0;
    }
    if budget {
        let at = x + 4.0;
        pen.line((at, y - 11.0), (at, y + 3.0), Ink::Text, 1.4, "4 3");
        pen.text((x + 12.0, y), "allowance", kind);
    }
}

/// A horizontal axis over part of the page.
struct Across {
    scale: Scale,
    left: f64,
    width: f64,
}

impl Across {
    fn at(&self, value: f64) -> f64 {
        let Scale { low, high, .. } = self.scale;
        self.left + self.width * (value - low) / (high - low)
    }

    fn draw(&self, pen: &mut Pen<'_>, (top, bottom): (f64, f64), name: &str) {
        let Scale {
            low, high, step, ..
        } = self.scale;
        let ticks = ((high - low) / step).round() as u32;
        for index in 0..=ticks {
            let value = low + step * f64::from(index);
            let x = self.at(value);
            pen.line((x, top), (x, bottom), Ink::Grid, 1.0, "");
            let kind = Type::new(12, TextAnchor::Middle, Ink::Text);
            pen.text((x, bottom + 17.0), &tick(value, step), kind);
        }
        let ends = ((self.left, bottom), (self.left + self.width, bottom));
        pen.line(ends.0, ends.1, Ink::Axis, 1.2, "");
        let middle = (self.left + self.width / 2.0, bottom + 40.0);
        pen.text(middle, name, Type::new(13, TextAnchor::Middle, Ink::Text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_drawn_with_its_figures() {
        let row = |name: &str, accuracy: f64| PolicyRow {
            name: name.into(),
            accuracy: [accuracy, accuracy - 0.02, accuracy + 0.02],
            energy_j: [0.05, 0.01, 0.123],
            budget_j: 0.25,
        };
        let figure = PolicyFigure {
            title: "default".into(),
            subtitle: "8 devices".into(),
            rows: vec![row("enachi", 0.72), row("device <only>", 0.65)],
        };
        let svg = figure.svg();
        assert!(svg.contains("enachi") && svg.contains("device &lt;only&gt;"));
        // 50 + 10 + 123 mJ.
        assert_eq!(svg.matches(">183<").count(), 2, "{svg}");
    }

    #[test]
    fn an_empty_figure_still_draws() {
        assert!(PolicyFigure::default().svg().contains("<svg"));
    }
}
