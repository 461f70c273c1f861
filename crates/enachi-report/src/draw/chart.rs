//! Series over a pair of axes, each with its name beside it.

use super::ink::{Ink, Style};
use super::scale::{Scale, short, tick};
use super::{Drawing, Pen, Type, dots, fitted, plain, text_width};
use crate::labels::{self, Box2};
use kuva::plot::{LegendPosition, LinePlot};
use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, TextAnchor, render_multiple};
use kuva::render::theme::Theme;
use std::sync::Arc;

const NAME_SIZE: u32 = 13;
const TICK_SIZE: u32 = 12;
const LABEL_SIZE: u32 = 13;
const TITLE_SIZE: u32 = 14;
/// Distance of two names at the end of their series \[px\].
const NAME_GAP: f64 = 15.5;
/// Longest name beside a series \[px\].
const NAME_WIDTH: f64 = 190.0;
/// The same for names that stand among the points.
const BESIDE_WIDTH: f64 = 330.0;
/// Series that all show their bands, at most.
pub const BANDS: usize = 6;
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
    /// Colour and dashes: number of the category.
    pub category: usize,
    /// Drawn so.
    pub mark: Mark,
    /// Thicker than the others.
    pub strong: bool,
    /// Ascending in x.
    pub points: Vec<Point>,
}

/// A curve on the page, its name, and the series that it stands for.
type Named<'a> = (Vec<(f64, f64)>, String, &'a Series);

/// Where a name is written, how it is anchored, and the line that leads to its curve.
type NamePlace = (Box2, TextAnchor, Option<[(f64, f64); 2]>);

impl Series {
    fn ink(&self) -> Ink {
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
            .filter(|s| matches!(s.mark, Mark::Line | Mark::Path))
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
            widest + 26.0
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
    fn visible<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = &'a Point> {
        let fits = |value: f64, scale: Scale| value.is_finite() && (!scale.log || value > 0.0);
        series
            .points
            .iter()
            .filter(move |p| fits(p.x, self.x.scale) && fits(p.y, self.y.scale))
    }

    fn y_in_range(&self, y: f64) -> f64 {
        y.clamp(self.y.scale.low, self.y.scale.high)
    }

    fn draw_bands(&self, pen: &mut Pen<'_>, page: &ComputedLayout, series: &Series) {
        if series.mark != Mark::Line {
            return;
        }
        let ends: Vec<(f64, f64, f64)> = self
            .visible(series)
            .filter_map(|p| {
                let (low, high) = p.band?;
                let at = |y: f64| page.map_y(self.y_in_range(y));
                Some((page.map_x(p.x), at(low), at(high)))
            })
            .collect();
        if ends.len() < 2 {
            return;
        }
        let outline: Vec<(f64, f64)> = ends
            .iter()
            .map(|&(x, low, _)| (x, low))
            .chain(ends.iter().rev().map(|&(x, _, high)| (x, high)))
            .collect();
        pen.area(
            &outline,
            series.ink(),
            if series.strong { 0.22 } else { 0.12 },
        );
    }

    fn shown_rules(&self) -> impl Iterator<Item = &Rule> {
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

    /// Names of the rules, over everything else, on a ground that keeps them legible.
    fn name_rules(&self, pen: &mut Pen<'_>, page: &ComputedLayout) {
        let (left, top) = (page.margin_left, page.margin_top);
        for rule in self.shown_rules().filter(|rule| !rule.name.is_empty()) {
            let width = text_width(&rule.name, TICK_SIZE);
            let (x, y) = if rule.upright {
                let x = page.map_x(rule.at);
                let fits = x + width + 8.0 < page.width;
                (if fits { x + 5.0 } else { x - 5.0 - width }, top + 11.0)
            } else {
                let y = page.map_y(rule.at);
                let x = if rule.name_right {
                    page.width - page.margin_right - width - 6.0
                } else {
                    left + 6.0
                };
                (x, if y - top < 16.0 { y + 13.0 } else { y - 5.0 })
            };
            pen.ground((x - 2.0, y - 11.0), (width + 4.0, 14.0));
            pen.text(
                (x, y),
                &rule.name,
                Type::new(TICK_SIZE, TextAnchor::Start, Ink::Muted),
            );
        }
    }

    fn draw_points(&self, pen: &mut Pen<'_>, page: &ComputedLayout, series: &Series) {
        let points: Vec<&Point> = self.visible(series).collect();
        let stride = points.len().div_ceil(TARGETS).max(1);
        for (index, point) in points.iter().enumerate() {
            let (x, y) = (page.map_x(point.x), page.map_y(self.y_in_range(point.y)));
            let ink = series.ink();
            let draw = |pen: &mut Pen<'_>| match series.mark {
                Mark::Bars(width) => {
                    let half = (page.map_x(point.x + width) - x).abs() / 2.0;
                    let foot = page.map_y(self.y_in_range(point.base));
                    pen.rect((x - half + 0.5, y), (2.0 * half - 1.0, foot - y), ink);
                }
                Mark::Dots => {
                    if let Some((low, high)) = point.band {
                        let at = |v: f64| (x, page.map_y(self.y_in_range(v)));
                        pen.line(at(low), at(high), ink, 1.6, "");
                    }
                    if let Some((low, high)) = point.x_band {
                        let clamp = |v: f64| v.clamp(self.x.scale.low, self.x.scale.high);
                        let at = |v: f64| (page.map_x(clamp(v)), y);
                        pen.line(at(low), at(high), ink, 1.6, "");
                    }
                    pen.dot((x, y), if series.strong { 6.0 } else { 4.8 }, ink);
                }
                Mark::Line => pen.dot((x, y), if series.strong { 4.0 } else { 3.2 }, ink),
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

    fn name_at_end(&self, pen: &mut Pen<'_>, page: &ComputedLayout) {
        let right = page.width - page.margin_right;
        let mut names: Vec<(f64, &Series, (f64, f64))> = self
            .series
            .iter()
            .filter(|s| !s.name.is_empty())
            .filter_map(|s| {
                let last = self.visible(s).last()?;
                let end = (page.map_x(last.x), page.map_y(self.y_in_range(last.y)));
                Some((end.1, s, end))
            })
            .collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let top = page.margin_top + 2.0;
        let bottom = page.height - page.margin_bottom - 2.0;
        let mut heights: Vec<f64> = names.iter().map(|n| n.0).collect();
        spread(&mut heights, top, bottom, NAME_GAP);
        for ((_, series, end), y) in names.into_iter().zip(heights) {
            let start = right + 18.0;
            pen.path(
                &[(end.0 + 5.0, end.1), (right + 6.0, y), (start - 3.0, y)],
                series.ink(),
                0.9,
                "",
            );
            let mut kind = Type::new(NAME_SIZE, TextAnchor::Start, Ink::Name(series.category));
            kind.bold = series.strong;
            let name = fitted(&series.name, NAME_SIZE, NAME_WIDTH);
            pen.text((start, y + 4.5), &name, kind);
        }
    }

    fn name_beside(&self, pen: &mut Pen<'_>, page: &ComputedLayout) {
        let at = |p: &Point| (page.map_x(p.x), page.map_y(self.y_in_range(p.y)));
        // Series that are one dot in the same place share a name: nothing could tell theirs apart.
        let mut groups: Vec<Named<'_>> = Vec::new();
        for series in self.series.iter().filter(|s| !s.name.is_empty()) {
            let curve: Vec<(f64, f64)> = self.visible(series).map(at).collect();
            let near = |other: &[(f64, f64)]| match (curve.as_slice(), other) {
                ([a], [b]) => (a.0 - b.0).hypot(a.1 - b.1) < 5.0,
                _ => false,
            };
            match groups.iter_mut().find(|(other, ..)| near(other)) {
                Some((_, name, _)) => {
                    *name += ", ";
                    *name += &series.name;
                }
                None if curve.is_empty() => {}
                None => groups.push((curve, series.name.clone(), series)),
            }
        }
        let height = f64::from(NAME_SIZE) * 1.2;
        let curves: Vec<Vec<(f64, f64)>> = groups.iter().map(|g| g.0.clone()).collect();
        let sizes: Vec<(f64, f64)> = groups
            .iter()
            .map(|g| (text_width(&g.1, NAME_SIZE).min(BESIDE_WIDTH), height))
            .collect();
        let frame = Box2 {
            x: page.margin_left + 2.0,
            y: page.margin_top + 2.0,
            width: page.width - page.margin_left - page.margin_right + 12.0,
            height: page.height - page.margin_top - page.margin_bottom - 4.0,
        };
        let alone = curves.iter().all(|curve| curve.len() == 1);
        let places: Vec<NamePlace> = if alone {
            let dots: Vec<(f64, f64)> = curves.iter().map(|curve| curve[0]).collect();
            let spots = dots::place(&dots, &sizes, &self.intervals(page), frame);
            let place = |((x, y), spot): (&(f64, f64), dots::Spot)| {
                let name = spot.name;
                let nearest = (
                    x.clamp(name.x, name.x + name.width),
                    y.clamp(name.y, name.y + name.height),
                );
                let anchor = if name.x > *x {
                    TextAnchor::Start
                } else {
                    TextAnchor::End
                };
                (name, anchor, spot.far.then_some([(*x, *y), nearest]))
            };
            dots.iter().zip(spots).map(place).collect()
        } else {
            let place = |place: labels::Place| {
                let anchor = match place.ends_at_curve {
                    true => TextAnchor::End,
                    false => TextAnchor::Start,
                };
                (place.name, anchor, place.leader)
            };
            let places = labels::place(&curves, &sizes, frame);
            places.into_iter().map(place).collect()
        };
        for ((_, name, series), (spot, anchor, leader)) in groups.iter().zip(places) {
            if let Some([from, to]) = leader {
                pen.line(from, to, series.ink(), 0.9, "");
            }
            let x = match anchor {
                TextAnchor::End => spot.x + spot.width - 3.0,
                _ => spot.x + 3.0,
            };
            let mut kind = Type::new(NAME_SIZE, anchor, Ink::Name(series.category));
            kind.bold = series.strong;
            pen.ground((spot.x, spot.y), (spot.width, spot.height));
            let name = fitted(name, NAME_SIZE, BESIDE_WIDTH);
            pen.text((x, spot.y + height * 0.8), &name, kind);
        }
    }

    /// The intervals of all dots, as boxes.
    fn intervals(&self, page: &ComputedLayout) -> Vec<Box2> {
        let clamp = |v: f64, s: Scale| v.clamp(s.low, s.high);
        let boxed = |(x0, y0): (f64, f64), (x1, y1): (f64, f64)| Box2 {
            x: x0.min(x1) - 1.0,
            y: y0.min(y1) - 1.0,
            width: (x1 - x0).abs() + 2.0,
            height: (y1 - y0).abs() + 2.0,
        };
        let points = self.series.iter().flat_map(|s| self.visible(s));
        let boxes = points.flat_map(|p| {
            let x = |v: f64| page.map_x(clamp(v, self.x.scale));
            let y = |v: f64| page.map_y(clamp(v, self.y.scale));
            let upright = p
                .band
                .map(|(low, high)| boxed((x(p.x), y(low)), (x(p.x), y(high))));
            let level = p
                .x_band
                .map(|(low, high)| boxed((x(low), y(p.y)), (x(high), y(p.y))));
            [upright, level]
        });
        boxes.flatten().collect()
    }
}

/// Moves ascending `heights` so that they are `gap` apart and between `top` and `bottom`, as far as there is room, each group
/// of crowded ones around its own middle.
fn spread(heights: &mut [f64], top: f64, bottom: f64, gap: f64) {
    let count = heights.len();
    if count == 0 {
        return;
    }
    let gap = gap.min((bottom - top) / count as f64);
    // Blocks of neighbours: members and the mean of where their first member would like to be.
    let mut blocks: Vec<(usize, f64)> = Vec::new();
    for &wish in heights.iter() {
        let mut block = (1, wish);
        while let Some(&(members, start)) = blocks.last() {
            if start + members as f64 * gap <= block.1 {
                break;
            }
            let total = members + block.0;
            let later = block.1 - members as f64 * gap;
            let mean = (start * members as f64 + later * block.0 as f64) / total as f64;
            blocks.pop();
            block = (total, mean);
        }
        blocks.push(block);
    }
    let mut at = 0;
    let mut free = top;
    for (members, start) in blocks {
        let room = bottom - gap * (count - at - 1) as f64;
        let start = start.max(free).min(room);
        for member in 0..members {
            heights[at] = start + member as f64 * gap;
            at += 1;
        }
        free = start + members as f64 * gap;
    }
    // The last block may have been held back by those above it.
    for index in (0..count).rev() {
        let most = bottom - gap * (count - 1 - index) as f64;
        heights[index] = heights[index].min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spread_in_order_and_within_bounds() {
        for wishes in [
            vec![10.0, 10.0, 10.0, 200.0],
            vec![395.0, 398.0, 399.0, 400.0],
            vec![0.0, 100.0, 101.0, 102.0, 103.0, 400.0],
            (0..40).map(|i| f64::from(i) * 0.1 + 200.0).collect(),
        ] {
            let mut heights = wishes.clone();
            spread(&mut heights, 0.0, 400.0, 15.0);
            let gap = 15f64.min(400.0 / wishes.len() as f64);
            assert!(
                heights.windows(2).all(|p| p[1] - p[0] > gap - 1e-6),
                "{heights:?}"
            );
            assert!(
                heights[0] >= -1e-6 && heights[heights.len() - 1] <= 400.0 + 1e-6,
                "{heights:?}"
            );
        }
        let mut alone = [50.0, 150.0];
        spread(&mut alone, 0.0, 400.0, 15.0);
        assert_eq!(alone, [50.0, 150.0]);
    }

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
}
