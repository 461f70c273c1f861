//! The object of a picture, as signed distances in its own coordinates (radius about 1).

use std::f32::consts::{FRAC_1_SQRT_2, PI, TAU};

use crate::random::Random;

/// A point in the object's coordinates.
pub(crate) type Point = (f32, f32);

/// What the object is. The discriminant is the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Disc,
    Ring,
    Triangle,
    Square,
    Star,
    Cross,
    Crescent,
    Spiral,
    Arrow,
    Heart,
    Striped,
    Checked,
}

impl Class {
    pub const ALL: [Self; 12] = [
        Self::Disc,
        Self::Ring,
        Self::Triangle,
        Self::Square,
        Self::Star,
        Self::Cross,
        Self::Crescent,
        Self::Spiral,
        Self::Arrow,
        Self::Heart,
        Self::Striped,
        Self::Checked,
    ];
}

/// An object of a class with its own proportions.
pub(crate) struct Shape {
    class: Class,
    /// Outline of a patterned object.
    body: Class,
    /// Thickness of an outlined figure, 0 for a filled one.
    outline: f32,
    /// A proportion that varies within the class, 0..1.
    detail: f32,
    /// Period and phases of a pattern.
    period: f32,
    phase: (f32, f32),
    /// Direction of a pattern.
    along: (f32, f32),
    /// +1 or −1: which way a spiral turns.
    hand: f32,
}

impl Shape {
    pub fn draw(class: Class, random: &mut Random) -> Self {
        let outlined = random.chance(0.35);
        let thickness = random.between(0.15, 0.24);
        let may_be_outlined = matches!(
            class,
            Class::Triangle | Class::Square | Class::Star | Class::Heart
        );
        let bodies = [Class::Disc, Class::Square, Class::Triangle, Class::Heart];
        Self {
            class,
            body: bodies[random.below(4) as usize],
            outline: if outlined && may_be_outlined {
                thickness
            } else {
                0.0
            },
            detail: random.unit(),
            period: random.between(0.4, 0.62),
            phase: (random.unit(), random.unit()),
            along: random.direction(),
            hand: if random.chance(0.5) { 1.0 } else { -1.0 },
        }
    }

    /// Distance to the edge, negative inside; exact or a lower bound, close near the edge.
    pub fn distance(&self, p: Point) -> f32 {
        let class = match self.class {
            Class::Striped | Class::Checked => self.body,
            other => other,
        };
        let filled = self.filled(class, p);
        if self.outline > 0.0 {
            filled.max(-filled - self.outline)
        } else {
            filled
        }
    }

    /// Signed distance to the change of colours of a pattern (positive: second colour); `None` for plain objects.
    pub fn pattern(&self, p: Point) -> Option<f32> {
        let (c, s) = self.along;
        // Distance to the nearest edge of bands of half a period, with alternating sign.
        let bands = |x: f32, phase: f32| {
            let cycle = x / self.period + phase;
            ((cycle - cycle.floor() - 0.5).abs() - 0.25) * self.period
        };
        let u = bands(c * p.0 + s * p.1, self.phase.0);
        match self.class {
            Class::Striped => Some(u),
            Class::Checked => {
                let v = bands(c * p.1 - s * p.0, self.phase.1);
                let nearest = u.abs().min(v.abs());
                Some(if (u > 0.0) == (v > 0.0) {
                    nearest
                } else {
                    -nearest
                })
            }
            _ => None,
        }
    }

    fn filled(&self, class: Class, (x, y): Point) -> f32 {
        let radius = (x * x + y * y).sqrt();
        match class {
            Class::Disc | Class::Striped | Class::Checked => radius - 0.85,
            Class::Ring => (radius - 0.74).abs() - 0.09 - 0.1 * self.detail,
            Class::Triangle => polygon(3, 0.5, (x, y)),
            Class::Square => x.abs().max(y.abs()) - 0.75,
            Class::Star => star(0.36 + 0.12 * self.detail, (x, y)),
            Class::Cross => {
                let arm = 0.17 + 0.1 * self.detail;
                let bar = |a: f32, b: f32| (a.abs() - 0.92).max(b.abs() - arm);
                bar(x, y).min(bar(y, x))
            }
            Class::Crescent => {
                let shift = 0.4 + 0.15 * self.detail;
                let bite = ((x - shift) * (x - shift) + y * y).sqrt();
                (radius - 0.9).max(0.7 - bite)
            }
            Class::Spiral => {
                let gap = 0.4 + 0.1 * self.detail;
                let turns = radius / gap - self.hand * libm::atan2f(y, x) / TAU;
                let thread = (turns - libm::rintf(turns)).abs() * gap - 0.26 * gap;
                thread.max(radius - 1.0)
            }
            Class::Arrow => {
                let shaft = ((x + 0.4).abs() - 0.55).max(y.abs() - 0.14 - 0.08 * self.detail);
                // The edge of the head from its tip (0.95, 0) to (0.1, 0.65).
                let edge = ((x - 0.95) * 0.65 + y.abs() * 0.85) / 1.070;
                shaft.min(edge.max(0.1 - x))
            }
            Class::Heart => {
                // A square on its corner and two discs on its upper sides.
                let (x, y, s) = (x.abs(), y + 0.1, 0.78);
                let square = (x + y.abs() - s) * FRAC_1_SQRT_2;
                let (dx, dy) = (x - s / 2.0, y - s / 2.0);
                square.min((dx * dx + dy * dy).sqrt() - s * FRAC_1_SQRT_2)
            }
        }
    }
}

/// A regular polygon by its inner radius.
fn polygon(corners: u32, inner: f32, (x, y): Point) -> f32 {
    (0..corners)
        .map(|k| {
            let (s, c) = libm::sincosf(TAU * k as f32 / corners as f32);
            c * x + s * y
        })
        .fold(f32::MIN, f32::max)
        - inner
}

/// A star of five points on the unit circle with its notches at radius `notch`.
fn star(notch: f32, (x, y): Point) -> f32 {
    let radius = (x * x + y * y).sqrt();
    let sector = TAU / 5.0;
    let angle = libm::atan2f(y, x);
    // Mirror everything into the half sector beside the point at angle 0.
    let folded = (angle - sector * libm::rintf(angle / sector)).abs();
    let (s, c) = libm::sincosf(folded);
    let (px, py) = (radius * c, radius * s);
    let (ns, nc) = libm::sincosf(PI / 5.0);
    // The edge from the point (1, 0) to the notch.
    let (ex, ey) = (notch * nc - 1.0, notch * ns);
    (ey * (px - 1.0) - ex * py) / (ex * ex + ey * ey).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The area where the distance is negative.
    fn area(shape: &Shape) -> f64 {
        let n = 400;
        let inside = (0..n * n)
            .filter(|i| {
                let at = |k: i32| (k as f32 + 0.5) / n as f32 * 2.4 - 1.2;
                shape.distance((at(i % n), at(i / n))) < 0.0
            })
            .count();
        inside as f64 * (2.4 / f64::from(n)).powi(2)
    }

    fn plain(class: Class, detail: f32) -> Shape {
        let mut shape = Shape::draw(class, &mut Random::new(9, 9));
        (shape.outline, shape.detail) = (0.0, detail);
        shape
    }

    #[test]
    fn areas_are_those_of_geometry() {
        let pi = std::f64::consts::PI;
        let triangle = 3.0 * 3f64.sqrt() * 0.25;
        // Ten triangles with sides 1 and `notch` around the centre, angle 36°.
        let star = 5.0 * 0.42 * (pi / 5.0).sin();
        let heart = 2.0 * 0.78f64.powi(2) + pi * 0.78f64.powi(2) / 2.0;
        let ring = pi * (0.88f64.powi(2) - 0.6f64.powi(2));
        let cross = 4.0 * 0.92 * (2.0 * 0.22) - (2.0f64 * 0.22).powi(2);
        for (class, expected) in [
            (Class::Disc, pi * 0.85f64.powi(2)),
            (Class::Ring, ring),
            (Class::Triangle, triangle),
            (Class::Square, 2.25),
            (Class::Star, star),
            (Class::Cross, cross),
            (Class::Heart, heart),
        ] {
            let found = area(&plain(class, 0.5));
            assert!(
                (found / expected - 1.0).abs() < 0.01,
                "{class:?}: {found} {expected}"
            );
        }
    }

    #[test]
    fn an_outline_is_the_border_of_the_figure() {
        let mut square = plain(Class::Square, 0.5);
        square.outline = 0.2;
        assert!((area(&square) - (2.25 - 1.1f64.powi(2))).abs() < 0.02);
    }

    #[test]
    fn patterns_have_half_of_each_colour_and_the_stated_period() {
        for class in [Class::Striped, Class::Checked] {
            let shape = plain(class, 0.5);
            let n = 300;
            // A square of whole periods along the pattern's own axes.
            let (c, s) = shape.along;
            let at = |i: i32, j: i32| {
                let (u, v) = (
                    4.0 * shape.period / n as f32 * i as f32,
                    4.0 * shape.period / n as f32 * j as f32,
                );
                (c * u - s * v, s * u + c * v)
            };
            let second = (0..n * n)
                .filter(|k| shape.pattern(at(k % n, k / n)).expect("patterned") > 0.0)
                .count();
            let share = second as f64 / f64::from(n * n);
            assert!((share - 0.5).abs() < 0.02, "{class:?}: {share}");
            let here = shape.pattern((0.3, 0.2)).expect("patterned");
            let there = (0.3 + c * shape.period, 0.2 + s * shape.period);
            assert!((here - shape.pattern(there).expect("patterned")).abs() < 1e-4);
        }
        assert!(plain(Class::Disc, 0.5).pattern((0.0, 0.0)).is_none());
    }
}
