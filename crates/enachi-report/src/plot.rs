//! Figures for print, as SVG or PNG: curves here, bars in [`bars`].

pub mod bars;

use std::path::Path;
use std::sync::Arc;

use kuva::plot::{LegendPosition, LinePlot};
use kuva::render::color::Color;
use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, TextAnchor, render_multiple};

use crate::labels::{self, Box2};

/// Plot area and margins \[px\]; a page of 900 × 560 fits the width of a page of A4 at 5.6 px per mm.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const MARGIN_LEFT: f64 = 78.0;
const MARGIN_RIGHT: f64 = 24.0;
const MARGIN_TOP: f64 = 64.0;
const MARGIN_BOTTOM: f64 = 64.0;
/// Pixels of a PNG per pixel of the page: 2700 × 1680.
const PNG_SCALE: f32 = 3.0;
const LABEL_SIZE: u32 = 13;
/// Width of an average character of the bundled sans-serif face, per pixel of its size.
const CHARACTER_WIDTH: f64 = 0.56;
const MARKER_RADIUS: f64 = 2.6;
const RING_RADIUS: f64 = 6.5;

/// A figure that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The file name says neither SVG nor PNG.
    #[error("{0}: the name of a figure must end in .svg or .png")]
    Format(String),
    /// The operating system refused.
    #[error("{file}: {error}")]
    Io {
        /// File to be written.
        file: String,
        /// Why it was not.
        error: std::io::Error,
    },
    /// The rasteriser failed.
    #[error("drawing failed: {0}")]
    Render(String),
}

/// One curve with its interval.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Name, written beside the curve.
    pub label: String,
    /// Points in the units of the axes, ascending in x. Points at x ≤ 0 are left out on a logarithmic axis.
    pub points: Vec<(f64, f64)>,
    /// Lower and upper end of the interval at each point; empty for none.
    pub band: Vec<(f64, f64)>,
    /// `#rrggbb`, see [`crate::colour`].
    pub colour: String,
    /// Hollow markers instead of filled ones.
    pub hollow: bool,
    /// Points to stand out, each with a ring around it.
    pub rings: Vec<(f64, f64)>,
}

/// A figure of curves over one pair of axes.
#[derive(Clone, Debug, Default)]
pub struct CurveFigure {
    /// First line above the axes.
    pub title: String,
    /// Second line, smaller; may be empty.
    pub subtitle: String,
    /// With its unit.
    pub x_label: String,
    /// With its unit.
    pub y_label: String,
    /// Decades instead of steps on the x axis.
    pub log_x: bool,
    /// Lowest and highest y.
    pub y_range: (f64, f64),
    /// A horizontal line to compare with, and its name.
    pub reference: Option<(f64, String)>,
    /// Drawn in order, the last on top.
    pub curves: Vec<Curve>,
}

impl CurveFigure {
    /// The figure as an SVG document. Text stays text and names the usual sans-serif faces.
    pub fn svg(&self) -> String {
        svg_of(&self.scene())
    }

    /// The figure as a PNG image.
    ///
    /// # Errors
    /// When the rasteriser fails.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        png_of(&self.scene())
    }

    /// Writes the figure in the format that the name of the file asks for.
    ///
    /// # Errors
    /// When the name ends in neither `.svg` nor `.png`, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PlotError> {
        save(&self.scene(), path)
    }

    fn scene(&self) -> Scene {
        let curves: Vec<Curve> = self.curves.iter().map(|c| self.drawable(c)).collect();
        let (x_min, x_max) = self.x_range(&curves);
        let mut plots: Vec<Plot> = Vec::new();
        // Bands below all lines, so that no band dims a line.
        for curve in curves.iter().filter(|c| !c.band.is_empty()) {
            let x: Vec<f64> = curve.points.iter().map(|p| p.0).collect();
            let (low, high): (Vec<f64>, Vec<f64>) = curve.band.iter().copied().unzip();
            let band = kuva::plot::BandPlot::new(x, low, high)
                .with_color(curve.colour.clone())
                .with_opacity(0.13);
            plots.push(Plot::Band(band));
        }
        for curve in &curves {
            let line = LinePlot::new()
                .with_data(curve.points.iter().copied())
                .with_color(curve.colour.clone())
                .with_stroke_width(2.0);
            plots.push(Plot::Line(line));
        }
        let mut layout = Layout::new((x_min, x_max), self.y_range)
            .with_width(WIDTH)
            .with_height(HEIGHT)
            .with_force_margins(MARGIN_LEFT, MARGIN_RIGHT)
            .with_force_margins_y(MARGIN_TOP, MARGIN_BOTTOM)
            .with_legend_position(LegendPosition::InsideTopLeft)
            .with_title(self.title.clone())
            .with_title_size(17)
            .with_x_label(self.x_label.clone())
            .with_y_label(self.y_label.clone())
            .with_label_size(14)
            .with_tick_size(12)
            .with_x_axis_min(x_min)
            .with_x_axis_max(x_max)
            .with_y_axis_min(self.y_range.0)
            .with_y_axis_max(self.y_range.1)
            .with_x_tick_format(TickFormat::Custom(Arc::new(tick)))
            .with_show_grid(true);
        if !self.subtitle.is_empty() {
            layout = layout
                .with_subtitle(self.subtitle.clone())
                .with_subtitle_size(12);
        }
        if self.log_x {
            layout = layout.with_log_x();
        }
        let page = ComputedLayout::from_layout(&layout);
        let mut scene = render_multiple(plots, layout);
        self.draw_markers(&mut scene, &page, &curves);
        self.draw_reference(&mut scene, &page);
        draw_labels(&mut scene, &page, &curves);
        scene
    }

    /// The curve without what the axis cannot show.
    fn drawable(&self, curve: &Curve) -> Curve {
        let fits = |x: f64| x.is_finite() && (!self.log_x || x > 0.0);
        let clamp = |y: f64| y.clamp(self.y_range.0, self.y_range.1);
        let mut out = Curve {
            points: Vec::new(),
            band: Vec::new(),
            ..curve.clone()
        };
        for (at, &(x, y)) in curve.points.iter().enumerate() {
            if fits(x) && y.is_finite() {
                out.points.push((x, clamp(y)));
                if let Some(&(low, high)) = curve.band.get(at) {
                    out.band.push((clamp(low), clamp(high)));
                }
            }
        }
        if out.band.len() != out.points.len() {
            out.band.clear();
        }
        out
    }

    /// Whether a point lies on the page.
    fn shows(&self, (x, y): (f64, f64)) -> bool {
        x.is_finite() && (!self.log_x || x > 0.0) && y >= self.y_range.0 && y <= self.y_range.1
    }

    /// Range of x over all points, a little wider; on a logarithmic axis to the next 1, 2 or 5.
    fn x_range(&self, curves: &[Curve]) -> (f64, f64) {
        let all = || curves.iter().flat_map(|c| c.points.iter().map(|p| p.0));
        let low = all().fold(f64::INFINITY, f64::min);
        let high = all().fold(f64::NEG_INFINITY, f64::max);
        if !(low.is_finite() && high.is_finite()) {
            return (1.0, 10.0);
        }
        if !self.log_x {
            let pad = ((high - low) * 0.02).max(1e-9);
            return (low - pad, high + pad);
        }
        let steps = |x: f64| {
            let decade = 10f64.powf(x.log10().floor());
            [1.0, 2.0, 5.0, 10.0].map(|m| m * decade)
        };
        let below = steps(low).into_iter().rev().find(|&s| s <= low * 1.001);
        let above = steps(high).into_iter().find(|&s| s >= high * 0.999);
        (below.unwrap_or(low), above.unwrap_or(high * 2.0))
    }

    fn draw_markers(&self, scene: &mut Scene, page: &ComputedLayout, curves: &[Curve]) {
        for curve in curves {
            for &(x, y) in &curve.points {
                scene.add(Primitive::Circle {
                    cx: page.map_x(x),
                    cy: page.map_y(y),
                    r: MARKER_RADIUS,
                    fill: Color::from(if curve.hollow {
                        "#ffffff"
                    } else {
                        &curve.colour
                    }),
                    fill_opacity: None,
                    stroke: Some(Color::from(&curve.colour)),
                    stroke_width: Some(1.4),
                });
            }
            for &(x, y) in curve.rings.iter().filter(|ring| self.shows(**ring)) {
                scene.add(Primitive::Circle {
                    cx: page.map_x(x),
                    cy: page.map_y(y),
                    r: RING_RADIUS,
                    fill: Color::from("#ffffff"),
                    fill_opacity: Some(0.0),
                    stroke: Some(Color::from(&curve.colour)),
                    stroke_width: Some(2.0),
                });
            }
        }
    }

    fn draw_reference(&self, scene: &mut Scene, page: &ComputedLayout) {
        let Some((level, name)) = &self.reference else {
            return;
        };
        let y = page.map_y(*level);
        scene.add(Primitive::Line {
            x1: MARGIN_LEFT,
            y1: y,
            x2: WIDTH - MARGIN_RIGHT,
            y2: y,
            stroke: Color::from("#555555"),
            stroke_width: 1.0,
            stroke_dasharray: Some("2 3".to_owned()),
        });
        let place = (MARGIN_LEFT + 6.0, y - 5.0);
        scene.add(text(
            place,
            TextAnchor::Start,
            name,
            LABEL_SIZE - 1,
            "#555555",
        ));
    }
}

fn svg_of(scene: &Scene) -> String {
    renumbered(&kuva::backend::svg::SvgBackend.render_scene(scene), "kuva")
}

fn png_of(scene: &Scene) -> Result<Vec<u8>, PlotError> {
    kuva::RasterBackend::new()
        .with_scale(PNG_SCALE)
        .render_scene(scene)
        .map_err(PlotError::Render)
}

fn save(scene: &Scene, path: &Path) -> Result<(), PlotError> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    let bytes = match ending.to_ascii_lowercase().as_str() {
        "svg" => svg_of(scene).into_bytes(),
        "png" => png_of(scene)?,
        _ => return Err(PlotError::Format(path.display().to_string())),
    };
    std::fs::write(path, bytes).map_err(|error| PlotError::Io {
        file: path.display().to_string(),
        error,
    })
}

/// The document with its clip paths numbered from 0 behind `name`: the plotting crate counts them over the life of the
/// process, and the same figure must give the same bytes.
pub(crate) fn renumbered(svg: &str, name: &str) -> String {
    const ID: &str = "kuva-clip-";
    let mut seen: Vec<&str> = Vec::new();
    let mut out = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some(at) = rest.find(ID) {
        let (before, after) = (&rest[..at], &rest[at + ID.len()..]);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = after.split_at(digits);
        let index = seen.iter().position(|&n| n == number).unwrap_or(seen.len());
        if index == seen.len() {
            seen.push(number);
        }
        out.push_str(before);
        out.push_str(&format!("{name}-clip-{index}"));
        rest = after;
    }
    out + rest
}

/// A tick value without needless digits.
fn tick(value: f64) -> String {
    let digits = (-value.abs().log10()).ceil().clamp(0.0, 9.0) as usize;
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.digits$}")
    }
}

fn text(
    (x, y): (f64, f64),
    anchor: TextAnchor,
    content: &str,
    size: u32,
    colour: &str,
) -> Primitive {
    Primitive::Text {
        x,
        y,
        content: content.to_owned(),
        size,
        anchor,
        rotate: None,
        bold: false,
        color: Some(Color::from(colour)),
    }
}

fn draw_labels(scene: &mut Scene, page: &ComputedLayout, curves: &[Curve]) {
    let lines: Vec<Vec<(f64, f64)>> = curves
        .iter()
        .map(|c| {
            c.points
                .iter()
                .map(|&(x, y)| (page.map_x(x), page.map_y(y)))
                .collect()
        })
        .collect();
    let height = f64::from(LABEL_SIZE) * 1.15;
    let sizes: Vec<(f64, f64)> = curves
        .iter()
        .map(|c| {
            let characters = c.label.chars().count() as f64;
            (characters * CHARACTER_WIDTH * f64::from(LABEL_SIZE), height)
        })
        .collect();
    let frame = Box2 {
        x: MARGIN_LEFT + 2.0,
        y: MARGIN_TOP + 2.0,
        width: WIDTH - MARGIN_LEFT - MARGIN_RIGHT - 4.0,
        height: HEIGHT - MARGIN_TOP - MARGIN_BOTTOM - 4.0,
    };
    let places = labels::place(&lines, &sizes, frame);
    let named = || {
        curves
            .iter()
            .zip(&places)
            .filter(|(c, _)| !c.points.is_empty())
    };
    for (curve, place) in named() {
        if let Some([(x1, y1), (x2, y2)]) = place.leader {
            scene.add(Primitive::Line {
                x1,
                y1,
                x2,
                y2,
                stroke: Color::from(&curve.colour),
                stroke_width: 0.8,
                stroke_dasharray: None,
            });
        }
        scene.add(Primitive::Rect {
            x: place.name.x - 1.0,
            y: place.name.y,
            width: place.name.width + 2.0,
            height: place.name.height,
            fill: Color::from("#ffffff"),
            stroke: None,
            stroke_width: None,
            opacity: Some(0.8),
        });
    }
    for (curve, place) in named() {
        let baseline = place.name.y + height * 0.8;
        let (x, anchor) = if place.ends_at_curve {
            (place.name.x + place.name.width, TextAnchor::End)
        } else {
            (place.name.x, TextAnchor::Start)
        };
        let label = text(
            (x, baseline),
            anchor,
            &curve.label,
            LABEL_SIZE,
            &curve.colour,
        );
        scene.add(label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> CurveFigure {
        CurveFigure {
            title: "A <b> & c".to_owned(),
            x_label: "Sent [kbit]".to_owned(),
            y_label: "Top-1 accuracy [%]".to_owned(),
            log_x: true,
            y_range: (0.0, 80.0),
            reference: Some((70.0, "all".to_owned())),
            curves: vec![Curve {
                label: "layer1".to_owned(),
                points: vec![(0.0, 0.0), (1.0, 20.0), (10.0, 60.0), (100.0, 70.0)],
                band: vec![(0.0, 0.0), (18.0, 22.0), (58.0, 62.0), (69.0, 90.0)],
                colour: crate::colour::ordered(0, 1),
                hollow: false,
                rings: Vec::new(),
            }],
            ..CurveFigure::default()
        }
    }

    #[test]
    fn an_svg_has_the_names_and_units_and_the_same_bytes_each_time() {
        let svg = figure().svg();
        for part in [
            "layer1",
            "Sent [kbit]",
            "Top-1 accuracy [%]",
            "A &lt;b&gt; &amp; c",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(figure().svg(), svg);
    }

    #[test]
    fn a_logarithmic_axis_leaves_out_zero_and_keeps_the_band_in_range() {
        let figure = figure();
        let drawn = figure.drawable(&figure.curves[0]);
        assert_eq!(drawn.points[0], (1.0, 20.0));
        assert_eq!(drawn.band, [(18.0, 22.0), (58.0, 62.0), (69.0, 80.0)]);
        assert_eq!(figure.x_range(&[drawn]), (1.0, 100.0));
    }

    #[test]
    fn rings_are_drawn_where_the_page_shows_them() {
        let circles = |figure: &CurveFigure| figure.svg().matches("<circle").count();
        let mut figure = figure();
        let before = circles(&figure);
        figure.curves[0].rings = vec![(10.0, 60.0), (0.0, 5.0), (10.0, 90.0), (f64::NAN, 5.0)];
        assert_eq!(circles(&figure), before + 1);
    }

    #[test]
    fn a_png_is_three_times_the_page() {
        let png = figure().png().expect("drawn");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let side = |at: usize| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]);
        assert_eq!((side(16), side(20)), (2700, 1680));
    }

    #[test]
    fn only_svg_and_png_are_written() {
        let error = figure()
            .save(Path::new("figure.gif"))
            .expect_err("no such format");
        assert_eq!(
            error.to_string(),
            "figure.gif: the name of a figure must end in .svg or .png"
        );
    }

    #[test]
    fn an_empty_figure_is_drawn_too() {
        let empty = CurveFigure {
            log_x: true,
            y_range: (0.0, 100.0),
            ..CurveFigure::default()
        };
        assert!(empty.svg().contains("<svg"));
    }
}
