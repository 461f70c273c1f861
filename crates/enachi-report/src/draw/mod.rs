//! Drawings of a report. Shapes, axes, SVG and PNG are the plotting crate's; this module says what goes where.

pub mod chart;
mod dots;
pub mod ink;
pub mod lanes;
mod names;
pub mod rows;
pub mod scale;
pub mod strips;

use crate::plot::PlotError;
use ink::{Ink, Style};
use kuva::render::color::Color;
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};

/// Pixels of a PNG per pixel of a drawing.
const PNG_SCALE: f32 = 2.5;
/// Width of an average character of the sans-serif faces, per pixel of their size.
const CHARACTER_WIDTH: f64 = 0.57;
/// Faces of a drawing in a file of its own.
const FACES: &str = "DejaVu Sans, Helvetica, Arial, sans-serif";

/// Something that can be drawn.
pub trait Drawing {
    /// The drawing as shapes.
    fn scene(&self, style: Style) -> Scene;
}

/// An SVG document of its own.
pub fn svg_file(drawing: &dyn Drawing) -> String {
    let mut scene = drawing.scene(Style::Paper);
    scene.font_family = Some(FACES.into());
    with_view_box(&crate::plot::renumbered(&render(&scene), "figure"), &scene)
}

/// A PNG image.
///
/// # Errors
/// When the rasteriser fails.
pub fn png_file(drawing: &dyn Drawing) -> Result<Vec<u8>, PlotError> {
    kuva::RasterBackend::new()
        .with_scale(PNG_SCALE)
        .render_scene(&drawing.scene(Style::Paper))
        .map_err(PlotError::Render)
}

/// An SVG element for the page; `id` makes its inner identifiers its own.
pub fn svg_inline(drawing: &dyn Drawing, id: &str) -> String {
    let mut scene = drawing.scene(Style::Page);
    scene.background_color = None;
    scene.font_family = None;
    let svg = with_view_box(&crate::plot::renumbered(&render(&scene), id), &scene);
    // The page's style sheet has these rules.
    svg.replace(
        "<style>g.tt{cursor:pointer;}g.tt:hover>*{opacity:0.75;}</style>",
        "",
    )
}

fn render(scene: &Scene) -> String {
    kuva::backend::svg::SvgBackend::new().render_scene(scene)
}

/// The plotting crate gives a drawing a size, which keeps it from following the width of the page.
fn with_view_box(svg: &str, scene: &Scene) -> String {
    let view = format!(
        "<svg viewBox=\"0 0 {} {}\" ",
        scene.width.round(),
        scene.height.round()
    );
    svg.replacen("<svg ", &view, 1)
}

/// Shapes in the colours of a style.
pub(crate) struct Pen<'a> {
    pub scene: &'a mut Scene,
    pub style: Style,
}

/// How a text stands.
#[derive(Clone, Copy)]
pub(crate) struct Type {
    pub size: u32,
    pub anchor: TextAnchor,
    pub ink: Ink,
    pub bold: bool,
}

impl Type {
    pub fn new(size: u32, anchor: TextAnchor, ink: Ink) -> Self {
        Self {
            size,
            anchor,
            ink,
            bold: false,
        }
    }
}

impl Pen<'_> {
    pub fn colour(&self, ink: Ink) -> Color {
        Color::from(ink.css(self.style))
    }

    pub fn text(&mut self, (x, y): (f64, f64), content: &str, kind: Type) {
        let color = Some(self.colour(kind.ink));
        self.scene.add(Primitive::Text {
            x,
            y,
            content: plain(content),
            size: kind.size,
            anchor: kind.anchor,
            rotate: None,
            bold: kind.bold,
            color,
        });
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink, width: f64, dash: &str) {
        let stroke = self.colour(ink);
        self.scene.add(Primitive::Line {
            x1: from.0,
            y1: from.1,
            x2: to.0,
            y2: to.1,
            stroke,
            stroke_width: width,
            stroke_dasharray: (!dash.is_empty()).then(|| dash.to_owned()),
        });
    }

    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), ink: Ink) {
        let fill = self.colour(ink);
        self.scene.add(Primitive::Rect {
            x,
            y,
            width: width.max(0.0),
            height,
            fill,
            stroke: None,
            stroke_width: None,
            opacity: None,
        });
    }

    pub fn dot(&mut self, (cx, cy): (f64, f64), r: f64, ink: Ink) {
        let (fill, stroke) = (self.colour(ink), self.colour(Ink::Back));
        self.scene.add(Primitive::Circle {
            cx,
            cy,
            r,
            fill,
            fill_opacity: None,
            stroke: Some(stroke),
            stroke_width: Some(1.0),
        });
    }

    /// The dot of a category: shapes repeat after four and colours after seven, so twenty-eight can be told apart.
    pub fn mark(&mut self, (x, y): (f64, f64), r: f64, category: usize) {
        let ink = Ink::Series(category);
        // As large to the eye as the circle.
        let corners: &[(f64, f64)] = match category % 4 {
            0 => return self.dot((x, y), r, ink),
            1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            2 => &[(0.0, -1.25), (1.15, 0.8), (-1.15, 0.8)],
            _ => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        };
        let outline: Vec<(f64, f64)> = corners
            .iter()
            .map(|(dx, dy)| (x + r * dx, y + r * dy))
            .collect();
        let (fill, stroke) = (self.colour(ink), self.colour(Ink::Back));
        self.scene.add(Primitive::Path(Box::new(PathData {
            d: kuva::render::render::build_path(&outline) + "Z",
            fill: Some(fill),
            stroke,
            stroke_width: 1.0,
            opacity: None,
            stroke_dasharray: None,
        })));
    }

    /// A hollow arrow at the edge of the axes at `(x, y)`, for what lies beyond: up where `way` is positive, else down.
    pub fn arrow(&mut self, (x, y): (f64, f64), way: f64, ink: Ink) {
        let (tip, foot) = (y - way * 1.0, y + way * 8.0);
        let outline = [(x, tip), (x - 4.5, foot), (x + 4.5, foot)];
        let (fill, stroke) = (self.colour(Ink::Back), self.colour(ink));
        self.scene.add(Primitive::Path(Box::new(PathData {
            d: kuva::render::render::build_path(&outline) + "Z",
            fill: Some(fill),
            stroke,
            stroke_width: 1.4,
            opacity: None,
            stroke_dasharray: None,
        })));
    }

    /// An invisible place that shows the tip of the group it is in.
    pub fn target(&mut self, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let fill = self.colour(Ink::Back);
        self.scene.add(Primitive::Rect {
            x,
            y,
            width,
            height,
            fill,
            stroke: None,
            stroke_width: None,
            opacity: Some(0.0),
        });
    }

    /// Dims what lies below a text.
    pub fn ground(&mut self, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let fill = self.colour(Ink::Back);
        self.scene.add(Primitive::Rect {
            x,
            y,
            width,
            height,
            fill,
            stroke: None,
            stroke_width: None,
            opacity: Some(0.8),
        });
    }

    pub fn path(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: &str) {
        let stroke = self.colour(ink);
        self.scene.add(Primitive::PolyLine {
            points: points.to_vec(),
            stroke,
            stroke_width: width,
            stroke_dasharray: (!dash.is_empty()).then(|| dash.to_owned()),
        });
    }

    pub fn area(&mut self, outline: &[(f64, f64)], ink: Ink, opacity: f64) {
        let fill = self.colour(ink);
        let d = kuva::render::render::build_path(outline) + "Z";
        self.scene.add(Primitive::Path(Box::new(PathData {
            d,
            fill: Some(fill),
            stroke: Color::None,
            stroke_width: 0.0,
            opacity: Some(opacity),
            stroke_dasharray: None,
        })));
    }

    /// What `draw` draws shows `tip` under the pointer.
    pub fn tip(&mut self, tip: &str, draw: impl FnOnce(&mut Pen<'_>)) {
        self.scene.add(Primitive::GroupStart {
            transform: None,
            title: Some(plain(tip)),
            extra_attrs: None,
        });
        draw(self);
        self.scene.add(Primitive::GroupEnd);
    }
}

/// Text as the plotting crate is to show it: control characters are not allowed in XML, and it takes `$` for mathematics.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '$' => '＄',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

/// Approximate width of `text` \[px\].
pub(crate) fn text_width(text: &str, size: u32) -> f64 {
    text.chars().count() as f64 * CHARACTER_WIDTH * f64::from(size)
}

/// `text` cut to `width` \[px\], with an ellipsis.
pub(crate) fn fitted(text: &str, size: u32, width: f64) -> String {
    let most = (width / (CHARACTER_WIDTH * f64::from(size)))
        .floor()
        .max(1.0) as usize;
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Several drawings on one sheet, in rows of `columns`.
pub struct Sheet {
    /// Colours and what they stand for, above the drawings; may be empty.
    pub legend: Vec<(Ink, String)>,
    /// The drawings, all of one size.
    pub panels: Vec<Box<dyn Drawing>>,
    /// Drawings side by side.
    pub columns: usize,
}

impl Drawing for Sheet {
    fn scene(&self, style: Style) -> Scene {
        let scenes: Vec<Scene> = self.panels.iter().map(|p| p.scene(style)).collect();
        let columns = self.columns.max(1);
        let top = if self.legend.is_empty() { 0.0 } else { 28.0 };
        let width = scenes.iter().map(|s| s.width).fold(0.0, f64::max);
        let heights: Vec<f64> = scenes
            .chunks(columns)
            .map(|row| row.iter().map(|s| s.height).fold(0.0, f64::max))
            .collect();
        let total = top + heights.iter().sum::<f64>();
        let across = columns.min(scenes.len().max(1)) as f64;
        let mut sheet = Scene::new((width * across).max(100.0), total.max(40.0));
        // Texts of the plotting crate take the colour of the whole.
        sheet.text_color = scenes.first().and_then(|scene| scene.text_color.clone());
        let mut pen = Pen {
            scene: &mut sheet,
            style,
        };
        let mut x = 16.0;
        for (ink, name) in &self.legend {
            pen.rect((x, 8.0), (11.0, 11.0), *ink);
            let kind = Type::new(12, TextAnchor::Start, Ink::Text);
            pen.text((x + 16.0, 18.0), name, kind);
            x += 36.0 + text_width(name, 12);
        }
        let mut y = top;
        let mut scenes = scenes.into_iter();
        for height in heights {
            for (column, scene) in scenes.by_ref().take(columns).enumerate() {
                sheet.has_tooltips |= scene.has_tooltips;
                sheet.defs.extend(scene.defs);
                sheet.elements.push(Primitive::GroupStart {
                    transform: Some(format!("translate({},{y})", column as f64 * width)),
                    title: None,
                    extra_attrs: None,
                });
                sheet.elements.extend(scene.elements);
                sheet.elements.push(Primitive::GroupEnd);
            }
            y += height;
        }
        sheet
    }
}
