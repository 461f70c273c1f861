//! Series over a pair of axes, each with its name beside it.

use super::ink::{Ink, Style};
use super::scale::{Scale, short, tick};
use super::{Drawing, Pen, fitted, plain, text_width};
use kuva::plot::{LegendPosition, LinePlot};
use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};
use kuva::render::theme::Theme;
use std::sync::Arc;

pub(super) const NAME_SIZE: u32 = 13;
pub(super) const TICK_SIZE: u32 = 12;
const LABEL_SIZE: u32 = 13;
const TITLE_SIZE: u32 = 14;
/// Longest name beside a series \[px\].
pub(super) const NAME_WIDTH: f64 = 190.0;
/// Series that all show their bands, at most.
pub const BANDS: usize = 6;
/// Dots of a series beyond which they are small.
const CROWD: usize = 8;
/// Points of a [`Mark::Path`] that answer to the pointer at most.
const TARGETS: usize = 60;

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// Range and steps.
    pub scale: Scale,
    /// Names of 0, 1, 2, ... where values are words; empty for numbers.
    pub categories: Vec<String>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    /// A line through its points, with a dot at each and a band.
    Line,
    /// The same with the intervals of the dots, if drawn, in place of the band.
    Crosses {
        /// Whether they are.
        drawn: bool,
    },
    /// A line through its points.
    Path,
    /// Dots with their intervals.
    Dots,
    /// Bars of this width in units of the x axis, from [`Point::base`].
    Bars(f64),
}

/// One point.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// x.
    pub x: f64,
    /// y.
    pub y: f64,
    /// Interval of y.
    pub band: Option<(f64, f64)>,
    /// Interval of x.
    pub x_band: Option<(f64, f64)>,
    /// Foot of a bar.
    pub base: f64,
    /// What the pointer shows; empty for nothing.
    pub tip: String,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name, written beside it; empty for none.
    pub name: String,
    /// Colour, shape of the dots and dashes: number of the category.
    pub category: usize,
    /// Drawn so.
    pub mark: Mark,
    /// Thicker than the others.
    pub strong: bool,
    /// Ascending in x.
    pub points: Vec<Point>,
}

impl Series {
    pub(super) fn ink(&self) -> Ink {
        Ink::Series(self.category)
    }

    /// Beyond the colours there are, dashes tell apart.
    fn dash(&self) -> &'static str {
        ["", "6 3", "2 3"][self.category / super::ink::CATEGORIES % 3]
    }
}

/// A line to compare with.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it crosses its axis.
    pub at: f64,
    /// Across the x axis.
    pub upright: bool,
    /// Written beside it; empty for none.
    pub name: String,
    /// Whether the name of a level line stands at its right end.
    pub name_right: bool,
}

/// Where names of series stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// In the right margin, at the height of the last point.
    AtEnd,
    /// Beside the points.
    Beside,
    /// Nowhere.
    Hidden,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above the axes; may be empty.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Strong ones are drawn on top.
    pub series: Vec<Series>,
    /// Lines to compare with.
    pub rules: Vec<Rule>,
    /// Names.
    pub names: Names,
    /// Size \[px\].
    pub size: (f64, f64),
}

impl Drawing for Chart {
    fn scene(&self, style: Style) -> Scene {
        let (layout, mut plots) = (self.layout(style), Vec::new());
        let page = ComputedLayout::from_layout(&layout);
        for series in self
            .by_weight()
            .filter(|s| matches!(s.mark, Mark::Line | Mark::Path | Mark::Crosses { .. }))
        {
            let width = if series.strong { 2.6 } else { 1.8 };
            let line = LinePlot::new()
                .with_data(self.visible(series).map(|p| (p.x, p.y)))
                .with_color(series.ink().css(style))
                .with_stroke_width(width);
            plots.push(Plot::Line(match series.dash() {
                "" => line,
                "6 3" => line.with_dashed(),
                _ => line.with_dotted(),
            }));
        }
        if plots.is_empty() {
            // The plotting crate draws no axes without a plot.
            plots.push(Plot::Line(LinePlot::new()));
        }
        let mut scene = render_multiple(plots, layout);
        let mut pen = Pen {
            scene: &mut scene,
            style,
        };
        // Bands that cover each other say nothing.
        let many = self.series.len() > BANDS;
        for series in self.by_weight().filter(|s| s.strong || !many) {
            self.draw_bands(&mut pen, &page, series);
        }
        self.draw_rules(&mut pen, &page);
        for series in self.by_weight() {
            self.draw_points(&mut pen, &page, series);
        }
        self.name_rules(&mut pen, &page);
        match self.names {
            Names::AtEnd => self.name_at_end(&mut pen, &page),
            Names::Beside => self.name_beside(&mut pen, &page),
            Names::Hidden => {}
        }
        scene
    }
}

impl Chart {
    /// Series, strong ones last, on top.
    fn by_weight(&self) -> impl Iterator<Item = &Series> {
        let of = |strong: bool| self.series.iter().filter(move |s| s.strong == strong);
        of(false).chain(of(true))
    }

    fn margins(&self) -> [f64; 4] {
        let widest = self
            .series
            .iter()
            .map(|s| text_width(&s.name, NAME_SIZE).min(NAME_WIDTH))
            .fold(0.0, f64::max);
        let right = if self.names == Names::AtEnd && widest > 0.0 {
            widest + 34.0
        } else {
            22.0
        };
        let top = if self.title.is_empty() { 16.0 } else { 36.0 };
        let bottom = if self.x.label.is_empty() { 26.0 } else { 50.0 };
        [66.0, right, top, bottom]
    }

    fn layout(&self, style: Style) -> Layout {
        let [left, right, top, bottom] = self.margins();
        let css = |ink: Ink| ink.css(style);
        let theme = Theme {
            background: css(Ink::Back),
            axis_color: css(Ink::Axis),
            grid_color: css(Ink::Grid),
            tick_color: css(Ink::Axis),
            text_color: css(Ink::Text),
            ..Theme::light()
        };
        let (x, y) = (self.x.scale, self.y.scale);
        let format = |axis: &Axis| {
            let (scale, names) = (axis.scale, axis.categories.clone());
            TickFormat::Custom(Arc::new(move |value: f64| {
                if !names.is_empty() {
                    let index = value.round();
                    let at = names.get(index.max(0.0) as usize);
                    let exact = (value - index).abs() < 1e-6 && index >= 0.0;
                    at.filter(|_| exact).cloned().unwrap_or_default()
                } else if scale.log {
                    short(value)
                } else {
                    tick(value, scale.step)
                }
            }))
        };
        let mut layout = Layout::new((x.low, x.high), (y.low, y.high))
            .with_width(self.size.0)
            .with_height(self.size.1)
            .with_force_margins(left, right)
            .with_force_margins_y(top, bottom)
            .with_legend_position(LegendPosition::InsideTopLeft)
            .with_theme(theme)
            .with_x_label(plain(&self.x.label))
            .with_y_label(plain(&self.y.label))
            .with_label_size(LABEL_SIZE)
            .with_tick_size(TICK_SIZE)
            .with_x_axis_min(x.low)
            .with_x_axis_max(x.high)
            .with_y_axis_min(y.low)
            .with_y_axis_max(y.high)
            .with_x_tick_format(format(&self.x))
            .with_y_tick_format(format(&self.y))
            .with_show_grid(true);
        if x.log {
            layout = layout.with_log_x();
        } else {
            layout = layout.with_x_tick_step(x.step);
        }
        if y.log {
            layout = layout.with_log_y();
        } else {
            layout = layout.with_y_tick_step(y.step);
        }
        if !self.title.is_empty() {
            let room = self.size.0 - 20.0;
            layout = layout
                .with_title(plain(&fitted(&self.title, TITLE_SIZE, room)))
                .with_title_size(TITLE_SIZE);
        }
        layout
    }

    /// The points of `series` that the axes can show.
    pub(super) fn visible<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = &'a Point> {
        let fits = |value: f64, scale: Scale| value.is_finite() && (!scale.log || value > 0.0);
        series
            .points
            .iter()
            .filter(move |p| fits(p.x, self.x.scale) && fits(p.y, self.y.scale))
    }

    pub(super) fn y_in_range(&self, y: f64) -> f64 {
        y.clamp(self.y.scale.low, self.y.scale.high)
    }

    /// 1 for a value above the axis, -1 for one below, 0 for one on it.
    pub(super) fn outside(&self, y: f64) -> f64 {
        let scale = self.y.scale;
        let slack = 1e-9 * (scale.high - scale.low);
        f64::from(i8::from(y > scale.high + slack) - i8::from(y < scale.low - slack))
    }

    fn draw_bands(&self, pen: &mut Pen<'_>, page: &ComputedLayout, series: &Series) {
        if series.mark != Mark::Line {
            return;
        }
        let points: Vec<&Point> = self.visible(series).collect();
        // Towards a point off the axis a band would be a fiction.
        for run in points.chunk_by(|a, b| self.outside(a.y) == 0.0 && self.outside(b.y) == 0.0) {
            let ends = run.iter().filter_map(|p| {
                let (low, high) = p.band?;
                let at = |y: f64| page.map_y(self.y_in_range(y));
                Some((page.map_x(p.x), at(low), at(high)))
            });
            let ends: Vec<(f64, f64, f64)> = ends.collect();
            if ends.len() < 2 {
                continue;
            }
            let outline: Vec<(f64, f64)> = ends
                .iter()
                .map(|&(x, low, _)| (x, low))
                .chain(ends.iter().rev().map(|&(x, _, high)| (x, high)))
                .collect();
            let opacity = if series.strong { 0.22 } else { 0.12 };
            pen.area(&outline, series.ink(), opacity);
        }
    }

    pub(super) fn shown_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| {
            let scale = if rule.upright {
                self.x.scale
            } else {
                self.y.scale
            };
            (scale.low..=scale.high).contains(&rule.at)
        })
    }

    fn draw_rules(&self, pen: &mut Pen<'_>, page: &ComputedLayout) {
        let (left, right) = (page.margin_left, page.width - page.margin_right);
        let (top, bottom) = (page.margin_top, page.height - page.margin_bottom);
        for rule in self.shown_rules() {
            if rule.upright {
                let x = page.map_x(rule.at);
                pen.line((x, top), (x, bottom), Ink::Muted, 1.3, "5 3");
            } else {
                let y = page.map_y(rule.at);
                pen.line((left, y), (right, y), Ink::Muted, 1.3, "5 3");
            }
        }
    }

    /// Both intervals of a point.
    fn draw_cross(&self, pen: &mut Pen<'_>, page: &ComputedLayout, point: &Point, ink: Ink) {
        let (x, y) = (page.map_x(point.x), page.map_y(self.y_in_range(point.y)));
        if let Some((low, high)) = point.band {
            let at = |v: f64| (x, page.map_y(self.y_in_range(v)));
            pen.line(at(low), at(high), ink, 1.6, "");
        }
        if let Some((low, high)) = point.x_band {
            let clamp = |v: f64| v.clamp(self.x.scale.low, self.x.scale.high);
            let at = |v: f64| (page.map_x(clamp(v)), y);
            pen.line(at(low), at(high), ink, 1.6, "");
        }
    }

    fn draw_points(&self, pen: &mut Pen<'_>, page: &ComputedLayout, series: &Series) {
        let points: Vec<&Point> = self.visible(series).collect();
        let stride = points.len().div_ceil(TARGETS).max(1);
        for (index, point) in points.iter().enumerate() {
            let (x, y) = (page.map_x(point.x), page.map_y(self.y_in_range(point.y)));
            let ink = series.ink();
            let outside = self.outside(point.y);
            let draw = |pen: &mut Pen<'_>| match series.mark {
                Mark::Dots | Mark::Line | Mark::Crosses { .. } if outside != 0.0 => {
                    pen.arrow((x, y), outside, ink)
                }
                Mark::Bars(width) => {
                    let half = (page.map_x(point.x + width) - x).abs() / 2.0;
                    let foot = page.map_y(self.y_in_range(point.base));
                    pen.rect((x - half + 0.5, y), (2.0 * half - 1.0, foot - y), ink);
                }
                Mark::Crosses { drawn } => {
                    if drawn {
                        self.draw_cross(pen, page, point, ink);
                    }
                    let size = if series.strong { 4.0 } else { 3.2 };
                    pen.mark((x, y), size, series.category);
                }
                Mark::Dots => {
                    self.draw_cross(pen, page, point, ink);
                    pen.mark(
                        (x, y),
                        match (series.strong, series.points.len() > CROWD) {
                            (true, _) => 6.0,
                            (false, false) => 4.8,
                            (false, true) => 3.0,
                        },
                        series.category,
                    );
                }
                Mark::Line => pen.mark(
                    (x, y),
                    if series.strong { 4.0 } else { 3.2 },
                    series.category,
                ),
                Mark::Path => pen.target((x - 4.0, y - 4.0), (8.0, 8.0)),
            };
            let thinned = series.mark == Mark::Path && index % stride != 0;
            if !point.tip.is_empty() && !thinned {
                pen.tip(&point.tip, draw);
            } else if series.mark != Mark::Path {
                draw(pen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_its_names_units_and_tips_in_every_style() {
        let chart = Chart {
            title: "A <b> & $c$".into(),
            x: Axis {
                categories: Vec::new(),
                label: "band [MHz]".into(),
                scale: Scale::over([1.0, 6.0].into_iter(), false),
            },
            y: Axis {
                categories: Vec::new(),
                label: "accuracy [%]".into(),
                scale: Scale::over([70.0, 80.0].into_iter(), false),
            },
            series: vec![Series {
                name: "first".into(),
                category: 8,
                mark: Mark::Line,
                strong: true,
                points: [(1.0, 71.0), (f64::NAN, 3.0), (6.0, 79.0)]
                    .map(|(x, y)| Point {
                        x,
                        y,
                        band: Some((y - 1.0, y + 9.0)),
                        tip: format!("{y} %"),
                        ..Point::default()
                    })
                    .to_vec(),
            }],
            rules: vec![Rule {
                at: 75.0,
                upright: false,
                name: "limit".into(),
                name_right: false,
            }],
            names: Names::AtEnd,
            size: (800.0, 400.0),
        };
        let page = super::super::svg_inline(&chart, "fig");
        for part in [
            "band [MHz]",
            "accuracy [%]",
            "first",
            "limit",
            "<title>71 %</title>",
            "var(--s1)",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        assert!(!page.contains("NaN") && !page.contains("<b>"));
        let file = super::super::svg_file(&chart);
        assert!(file.contains("#d55e00") && !file.contains("var("));
    }

    #[test]
    fn what_lies_off_the_axis_is_marked_so() {
        let at = |x: f64, y: f64| Point {
            x,
            y,
            band: Some((y - 1.0, y + 1.0)),
            tip: format!("{y} %"),
            ..Point::default()
        };
        let chart = |points: Vec<Point>| Chart {
            title: String::new(),
            x: Axis {
                categories: Vec::new(),
                label: "x".into(),
                scale: Scale::over([0.0, 4.0].into_iter(), false),
            },
            y: Axis {
                categories: Vec::new(),
                label: "y".into(),
                scale: Scale::over([70.0, 80.0].into_iter(), false),
            },
            series: vec![Series {
                name: String::new(),
                category: 0,
                mark: Mark::Line,
                strong: true,
                points,
            }],
            rules: Vec::new(),
            names: Names::Hidden,
            size: (300.0, 200.0),
        };
        let count = |svg: &str, what: &str| svg.matches(what).count();
        let inside = super::super::svg_inline(
            &chart(vec![at(0.0, 72.0), at(2.0, 74.0), at(4.0, 75.0)]),
            "a",
        );
        let bands =
            |svg: &str| count(svg, " opacity=\"0.22\"") + count(svg, " fill-opacity=\"0.22\"");
        assert_eq!(count(&inside, "<circle"), 3);
        assert!(bands(&inside) > 0, "{inside}");
        let below =
            super::super::svg_inline(&chart(vec![at(0.0, 1.0), at(2.0, 74.0), at(4.0, 1.0)]), "b");
        // One dot, two hollow arrows with their true values, and no band on the way to them.
        assert_eq!(count(&below, "<circle"), 1, "{below}");
        assert_eq!(count(&below, "<title>1 %</title>"), 2);
        assert_eq!(bands(&below), 0);
    }
}
