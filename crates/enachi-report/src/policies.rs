//! The figure of a run: accuracy with its interval and energy by part, one row per policy.

use crate::colour;
use crate::plot::PlotError;
use kuva::render::color::Color;
use kuva::render::render::{Primitive, Scene, TextAnchor};
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
    /// First line.
    pub title: String,
    /// Second line.
    pub subtitle: String,
    /// Top to bottom.
    pub rows: Vec<PolicyRow>,
}

/// Page \[px\], as wide as the other figures.
const WIDTH: f64 = 900.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 62.0;
const ROW: f64 = 34.0;
const GAP: f64 = 44.0;
const RIGHT: f64 = 64.0;
/// Pixels of a PNG per pixel of the page.
const PNG_SCALE: f32 = 3.0;
/// Width of an average character of the bundled sans-serif face, per pixel of its size.
const CHARACTER_WIDTH: f64 = 0.56;
const NAME_SIZE: u32 = 13;
const GREY: &str = "#777777";
const GRID: &str = "#e4e4e4";
/// Parts of the energy, in the order of [`PolicyRow::energy_j`].
const PARTS: [(&str, &str); 3] = [
    ("head", colour::CATEGORIES[0]),
    ("encoder", colour::CATEGORIES[5]),
    ("radio", colour::CATEGORIES[1]),
];

impl PolicyFigure {
    /// The figure as an SVG document.
    pub fn svg(&self) -> String {
        kuva::backend::svg::SvgBackend.render_scene(&self.scene())
    }

    /// The figure as a PNG image.
    ///
    /// # Errors
    /// When the rasteriser fails.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        kuva::RasterBackend::new()
            .with_scale(PNG_SCALE)
            .render_scene(&self.scene())
            .map_err(PlotError::Render)
    }

    /// Write both: `path` with the endings `.svg` and `.png`.
    ///
    /// # Errors
    /// When drawing or writing fails.
    pub fn save_both(&self, path: &Path) -> Result<(), PlotError> {
        let files = [
            (path.with_extension("svg"), self.svg().into_bytes()),
            (path.with_extension("png"), self.png()?),
        ];
        for (file, bytes) in files {
            std::fs::write(&file, bytes).map_err(|error| PlotError::Io {
                file: file.display().to_string(),
                error,
            })?;
        }
        Ok(())
    }

    fn scene(&self) -> Scene {
        let bottom = TOP + ROW * self.rows.len().max(1) as f64;
        let mut scene = Scene::new(WIDTH, bottom + BOTTOM);
        scene.font_family = Some("DejaVu Sans, Helvetica, Arial, sans-serif".into());
        let longest = self.rows.iter().map(|r| r.name.chars().count()).max();
        let names = longest.unwrap_or(0) as f64 * CHARACTER_WIDTH * f64::from(NAME_SIZE);
        let left = (names + 34.0).clamp(90.0, 330.0);
        let width = (WIDTH - left - GAP - RIGHT) / 2.0;
        label(
            &mut scene,
            (left, 26.0),
            TextAnchor::Start,
            &self.title,
            17,
            colour::INK,
            true,
        );
        label(
            &mut scene,
            (left, 46.0),
            TextAnchor::Start,
            &self.subtitle,
            12,
            GREY,
            false,
        );
        let accuracy = Axis::around(
            self.rows
                .iter()
                .flat_map(|r| [r.accuracy[1] * 100.0, r.accuracy[2] * 100.0]),
            left,
            width,
        );
        let most = self
            .rows
            .iter()
            .map(|r| r.energy_j.iter().sum::<f64>().max(r.budget_j));
        let energy = Axis::from_zero(most.fold(0.0, f64::max) * 1000.0, left + width + GAP, width);
        for index in (1..self.rows.len()).step_by(2) {
            let y = TOP + ROW * (index as f64 + 0.5);
            scene.add(rect(14.0, y - ROW / 2.0, WIDTH - 28.0, ROW, "#f6f6f6"));
        }
        accuracy.draw(
            &mut scene,
            bottom,
            "accuracy of answers in %, with 95 % interval",
        );
        energy.draw(&mut scene, bottom, "mean energy per task and device in mJ");
        for (index, row) in self.rows.iter().enumerate() {
            let y = TOP + ROW * (index as f64 + 0.5);
            let name = (left - 14.0, y + 4.5);
            label(
                &mut scene,
                name,
                TextAnchor::End,
                &row.name,
                NAME_SIZE,
                colour::INK,
                index == 0,
            );
            draw_accuracy(&mut scene, &accuracy, row, y);
            draw_energy(&mut scene, &energy, row, y);
        }
        draw_legend(
            &mut scene,
            energy.left,
            self.rows.iter().any(|r| r.budget_j > 0.0),
        );
        scene
    }
}

fn draw_accuracy(scene: &mut Scene, axis: &Axis, row: &PolicyRow, y: f64) {
    let [mean, low, high] = row.accuracy.map(|a| axis.at(a * 100.0));
    let ink = colour::CATEGORIES[0];
    scene.add(line((low, y), (high, y), ink, 2.0, None));
    for x in [low, high] {
        scene.add(line((x, y - 4.5), (x, y + 4.5), ink, 2.0, None));
    }
    scene.add(Primitive::Circle {
        cx: mean,
        cy: y,
        r: 4.6,
        fill: Color::from(ink),
        fill_opacity: None,
        stroke: Some(Color::from("#ffffff")),
        stroke_width: Some(1.0),
    });
}

fn draw_energy(scene: &mut Scene, axis: &Axis, row: &PolicyRow, y: f64) {
    let mut from = 0.0;
    for (part, (_, ink)) in row.energy_j.iter().zip(PARTS) {
        let to = from + part * 1000.0;
        let (x, end) = (axis.at(from), axis.at(to));
        scene.add(rect(x, y - 8.5, end - x, 17.0, ink));
        from = to;
    }
    if row.budget_j > 0.0 {
        let x = axis.at(row.budget_j * 1000.0);
        scene.add(line(
            (x, y - ROW / 2.0),
            (x, y + ROW / 2.0),
            colour::INK,
            1.4,
            Some("4 3"),
        ));
    }
    let figure = short(from);
    // A figure that the allowance's line would cross goes behind the line.
    let gap = 5.0;
    let start = axis.at(from) + gap;
    let allowance = axis.at(row.budget_j * 1000.0);
    let width = 7.0 * figure.len() as f64;
    let crossed = row.budget_j > 0.0 && (start - gap..start + width).contains(&allowance);
    let start = if crossed { allowance + gap } else { start };
    label(
        scene,
        (start, y + 4.0),
        TextAnchor::Start,
        &figure,
        11,
        colour::INK,
        false,
    );
}

fn draw_legend(scene: &mut Scene, left: f64, budget: bool) {
    let (mut x, y) = (left, TOP - 16.0);
    for (name, ink) in PARTS {
        scene.add(rect(x, y - 9.0, 11.0, 11.0, ink));
        label(
            scene,
            (x + 16.0, y),
            TextAnchor::Start,
            name,
            12,
            colour::INK,
            false,
        );
        x += 16.0 + 7.0 * name.len() as f64 + 18.0;
    }
    if budget {
        scene.add(line(
            (x + 4.0, y - 11.0),
            (x + 4.0, y + 3.0),
            colour::INK,
            1.4,
            Some("4 3"),
        ));
        label(
            scene,
            (x + 12.0, y),
            TextAnchor::Start,
            "allowance",
            12,
            colour::INK,
            false,
        );
    }
}

/// A horizontal axis over part of the page.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
    left: f64,
    width: f64,
}

impl Axis {
    /// Over `values`, widened to whole steps.
    fn around(values: impl Iterator<Item = f64>, left: f64, width: f64) -> Self {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        let (low, high) = if low <= high {
            (low, high)
        } else {
            (0.0, 100.0)
        };
        let step = step((high - low).max(1.0));
        Self {
            low: (low / step).floor() * step,
            high: (high / step + 1e-9).ceil().max((low / step).floor() + 1.0) * step,
            step,
            left,
            width,
        }
    }

    fn from_zero(high: f64, left: f64, width: f64) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = step(high);
        Self {
            low: 0.0,
            high: (high / step).ceil() * step,
            step,
            left,
            width,
        }
    }

    fn at(&self, value: f64) -> f64 {
        self.left + self.width * (value - self.low) / (self.high - self.low)
    }

    fn draw(&self, scene: &mut Scene, bottom: f64, name: &str) {
        let ticks = ((self.high - self.low) / self.step).round() as u32;
        for tick in 0..=ticks {
            let value = self.low + self.step * f64::from(tick);
            let x = self.at(value);
            scene.add(line((x, TOP), (x, bottom), GRID, 1.0, None));
            let digits = (-self.step.log10().floor()).max(0.0) as usize;
            let text = format!("{value:.digits$}");
            label(
                scene,
                (x, bottom + 18.0),
                TextAnchor::Middle,
                &text,
                12,
                colour::INK,
                false,
            );
        }
        let (from, to) = ((self.left, bottom), (self.left + self.width, bottom));
        scene.add(line(from, to, colour::INK, 1.2, None));
        let middle = (self.left + self.width / 2.0, bottom + 42.0);
        label(
            scene,
            middle,
            TextAnchor::Middle,
            name,
            13,
            colour::INK,
            false,
        );
    }
}

/// 1, 2 or 5 times a power of ten that cuts `span` into four to ten.
fn step(span: f64) -> f64 {
    let raw = span / 5.0;
    let decade = 10f64.powf(raw.log10().floor());
    let lead = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|m| m * decade >= raw * 0.999);
    lead.unwrap_or(10.0) * decade
}

/// A value without needless digits.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

fn rect(x: f64, y: f64, width: f64, height: f64, fill: &str) -> Primitive {
    Primitive::Rect {
        x,
        y,
        width,
        height,
        fill: Color::from(fill),
        stroke: None,
        stroke_width: None,
        opacity: None,
    }
}

fn line(from: (f64, f64), to: (f64, f64), ink: &str, width: f64, dash: Option<&str>) -> Primitive {
    Primitive::Line {
        x1: from.0,
        y1: from.1,
        x2: to.0,
        y2: to.1,
        stroke: Color::from(ink),
        stroke_width: width,
        stroke_dasharray: dash.map(Into::into),
    }
}

fn label(
    scene: &mut Scene,
    (x, y): (f64, f64),
    anchor: TextAnchor,
    content: &str,
    size: u32,
    ink: &str,
    bold: bool,
) {
    scene.add(Primitive::Text {
        x,
        y,
        content: content.into(),
        size,
        anchor,
        rotate: None,
        bold,
        color: Some(Color::from(ink)),
    });
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

    #[test]
    fn steps_are_round() {
        for (span, expected) in [
            (10.0, 2.0),
            (3.0, 1.0),
            (0.9, 0.2),
            (250.0, 50.0),
            (26.0, 10.0),
        ] {
            assert!((step(span) - expected).abs() < 1e-12, "{span}");
        }
        for (value, text) in [(0.25, "0.25"), (72.51, "72.5"), (183.4, "183"), (5.0, "5")] {
            assert_eq!(short(value), text);
        }
    }
}
