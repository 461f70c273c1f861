//! Names of a chart's series and rules: in the margin, or beside the points.

use super::chart::{Chart, Mark, NAME_SIZE, NAME_WIDTH, Point, Series, TICK_SIZE};
use super::ink::Ink;
use super::scale::Scale;
use super::{Pen, Type, dots, fitted, text_width};
use crate::labels::{self, Box2};
use kuva::render::layout::ComputedLayout;
use kuva::render::render::TextAnchor;

/// Distance of two names at the end of their series \[px\].
const NAME_GAP: f64 = 15.5;
/// The same for names that stand among the points.
const BESIDE_WIDTH: f64 = 330.0;

/// A curve on the page, its name, and the colour of that: the series' own, unless it stands for several.
type Named<'a> = (Vec<(f64, f64)>, String, Ink, &'a Series);

/// Where a name is written, how it is anchored, and the line that leads to its curve.
type NamePlace = (Box2, TextAnchor, Option<[(f64, f64); 2]>);

impl Chart {
    /// Names of the rules, over everything else, on a ground that keeps them legible, where they cover least of the curves.
    pub(super) fn name_rules(&self, pen: &mut Pen<'_>, page: &ComputedLayout) {
        let (left, top) = (page.margin_left, page.margin_top);
        let right = page.width - page.margin_right;
        let drawn = self.dotted(page);
        let covered = |x: f64, y: f64, width: f64| {
            let (wide, high) = ((x - 2.0, x + width + 2.0), (y - 12.0, y + 4.0));
            let inside = |&&(px, py): &&(f64, f64)| {
                (wide.0..=wide.1).contains(&px) && (high.0..=high.1).contains(&py)
            };
            drawn.iter().filter(inside).count()
        };
        for rule in self.shown_rules().filter(|rule| !rule.name.is_empty()) {
            let width = text_width(&rule.name, TICK_SIZE);
            let places: Vec<(f64, f64)> = if rule.upright {
                let x = page.map_x(rule.at);
                let fits = x + width + 8.0 < page.width;
                vec![(if fits { x + 5.0 } else { x - 5.0 - width }, top + 11.0)]
            } else {
                let y = page.map_y(rule.at);
                let (first, last) = (left + 6.0, right - width - 6.0);
                let mut across: Vec<f64> = (0..=8)
                    .map(|i| first + (last - first) * f64::from(i) / 8.0)
                    .collect();
                if rule.name_right {
                    across.reverse();
                }
                let heights = [y - 5.0, y + 13.0].into_iter().filter(|y| y - top > 10.0);
                let heights: Vec<f64> = heights.collect();
                across
                    .iter()
                    .flat_map(|&x| heights.iter().map(move |&y| (x, y)))
                    .collect()
            };
            let best = places
                .into_iter()
                .min_by_key(|&(x, y)| covered(x, y, width));
            let Some((x, y)) = best else { continue };
            pen.ground((x - 2.0, y - 11.0), (width + 4.0, 14.0));
            pen.text(
                (x, y),
                &rule.name,
                Type::new(TICK_SIZE, TextAnchor::Start, Ink::Muted),
            );
        }
    }

    /// All lines as dots a few pixels apart.
    fn dotted(&self, page: &ComputedLayout) -> Vec<(f64, f64)> {
        const APART: f64 = 4.0;
        let mut dots = Vec::new();
        for series in &self.series {
            let at = |p: &Point| (page.map_x(p.x), page.map_y(self.y_in_range(p.y)));
            let points: Vec<(f64, f64)> = self.visible(series).map(at).collect();
            dots.extend(points.first());
            for pair in points.windows(2) {
                let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
                let steps = ((x1 - x0).hypot(y1 - y0) / APART).ceil().max(1.0) as u32;
                dots.extend((1..=steps).map(|i| {
                    let share = f64::from(i) / f64::from(steps);
                    (x0 + share * (x1 - x0), y0 + share * (y1 - y0))
                }));
            }
        }
        dots
    }

    pub(super) fn name_at_end(&self, pen: &mut Pen<'_>, page: &ComputedLayout) {
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
            // The shape of its dots, once more, or that it ends beyond the axis.
            if series.mark == Mark::Line {
                match self
                    .visible(series)
                    .last()
                    .map_or(0.0, |p| self.outside(p.y))
                {
                    0.0 => pen.mark((start, y), 3.2, series.category),
                    way => pen.arrow((start, y - 4.0 * way), way, series.ink()),
                }
            }
            pen.text((start + 8.0, y + 4.5), &name, kind);
        }
    }

    pub(super) fn name_beside(&self, pen: &mut Pen<'_>, page: &ComputedLayout) {
        let at = |p: &Point| (page.map_x(p.x), page.map_y(p.y));
        // Series that are one dot in the same place share a name: nothing could tell theirs apart.
        let mut groups: Vec<Named<'_>> = Vec::new();
        for series in self.series.iter().filter(|s| !s.name.is_empty()) {
            let curve = clipped(self.visible(series).map(at).collect(), page);
            let near = |other: &[(f64, f64)]| match (curve.as_slice(), other) {
                ([a], [b]) => (a.0 - b.0).hypot(a.1 - b.1) < 5.0,
                _ => false,
            };
            match groups.iter_mut().find(|(other, ..)| near(other)) {
                Some((_, name, ink, _)) => {
                    *name += ", ";
                    *name += &series.name;
                    *ink = Ink::Text;
                }
                None if curve.is_empty() => {}
                None => {
                    let ink = Ink::Name(series.category);
                    groups.push((curve, series.name.clone(), ink, series));
                }
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
        for ((_, name, ink, series), (spot, anchor, leader)) in groups.iter().zip(places) {
            if let Some([from, to]) = leader {
                let ink = if *ink == Ink::Text {
                    Ink::Muted
                } else {
                    series.ink()
                };
                pen.line(from, to, ink, 0.9, "");
            }
            let x = match anchor {
                TextAnchor::End => spot.x + spot.width - 3.0,
                _ => spot.x + 3.0,
            };
            let mut kind = Type::new(NAME_SIZE, anchor, *ink);
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

/// What is seen of a curve that leaves the page above or below: names belong to that. A lone dot stands at the edge.
fn clipped(curve: Vec<(f64, f64)>, page: &ComputedLayout) -> Vec<(f64, f64)> {
    let (top, bottom) = (page.margin_top, page.height - page.margin_bottom);
    if let [(x, y)] = curve[..] {
        return vec![(x, y.clamp(top, bottom))];
    }
    let mut seen: Vec<(f64, f64)> = Vec::new();
    for pair in curve.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        if y0.max(y1) < top || y0.min(y1) > bottom {
            continue;
        }
        let at = |y: f64| match y1 - y0 {
            0.0 => x0,
            rise => x0 + (y - y0) / rise * (x1 - x0),
        };
        let end = |(x, y): (f64, f64)| {
            let inside = y.clamp(top, bottom);
            if inside == y {
                (x, y)
            } else {
                (at(inside), inside)
            }
        };
        for end in [end((x0, y0)), end((x1, y1))] {
            if seen.last() != Some(&end) {
                seen.push(end);
            }
        }
    }
    seen
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
}
