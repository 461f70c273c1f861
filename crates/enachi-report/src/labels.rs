//! Places the name of each curve beside it, where it covers neither another name nor a curve.

/// An axis-aligned box on the page \[px\], y downwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Box2 {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Box2 {
    fn holds(&self, (x, y): (f64, f64)) -> bool {
        x >= self.x && x <= self.x + self.width && y >= self.y && y <= self.y + self.height
    }

    fn overlap(&self, other: &Box2) -> f64 {
        let extent = |a: f64, la: f64, b: f64, lb: f64| ((a + la).min(b + lb) - a.max(b)).max(0.0);
        extent(self.x, self.width, other.x, other.width)
            * extent(self.y, self.height, other.y, other.height)
    }
}

/// Steps between trial anchors and between the dots that stand for a curve \[px\].
const STEP: f64 = 4.0;
/// Gap between a curve and its name \[px\].
const GAP: f64 = 5.0;

/// One box per curve, in order, each inside `frame`. `curves` are polylines on the page, `sizes` the width and height
/// of their names. Greedy: every curve takes the place that is cheapest given the places taken before.
pub(crate) fn place(curves: &[Vec<(f64, f64)>], sizes: &[(f64, f64)], frame: Box2) -> Vec<Box2> {
    let dots: Vec<Vec<(f64, f64)>> = curves.iter().map(|curve| walk(curve)).collect();
    let mut taken: Vec<Box2> = Vec::new();
    for (own, &(width, height)) in sizes.iter().enumerate() {
        let anchors = &dots[own];
        let mut best: Option<(f64, Box2)> = None;
        for (step, &(x, y)) in anchors.iter().enumerate() {
            let sides = [
                (x + GAP, y + GAP * 0.4),
                (x - GAP - width, y - GAP * 0.4 - height),
                (x + GAP, y - 0.5 * height),
                (x - GAP - width, y - 0.5 * height),
            ];
            for (side, (x, y)) in sides.into_iter().enumerate() {
                let place = Box2 {
                    x,
                    y,
                    width,
                    height,
                };
                if frame.overlap(&place) < width * height - 1e-6 {
                    continue;
                }
                let covered: usize = dots
                    .iter()
                    .map(|dots| dots.iter().filter(|&&dot| place.holds(dot)).count())
                    .sum();
                let crossed: f64 = taken.iter().map(|other| place.overlap(other)).sum();
                // Half-way up is where curves lie furthest apart; a tie goes to the first side.
                let middle = (step as f64 / anchors.len().max(2) as f64 - 0.4).abs();
                let cost = 100.0 * crossed + 10.0 * covered as f64 + 4.0 * middle + side as f64;
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, place));
                }
            }
        }
        taken.push(best.map_or(
            Box2 {
                x: frame.x,
                y: frame.y,
                width,
                height,
            },
            |(_, place)| place,
        ));
    }
    taken
}

/// Points along a polyline, [`STEP`] apart.
fn walk(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = curve.first().copied().into_iter().collect();
    for pair in curve.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let pieces = ((x1 - x0).hypot(y1 - y0) / STEP).ceil().max(1.0) as usize;
        points.extend((1..=pieces).map(|i| {
            let share = i as f64 / pieces as f64;
            (x0 + share * (x1 - x0), y0 + share * (y1 - y0))
        }));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cover_neither_curves_nor_each_other() {
        let frame = Box2 {
            x: 0.0,
            y: 0.0,
            width: 600.0,
            height: 400.0,
        };
        // Eight rising curves, side by side, that end at the same height.
        let curves: Vec<Vec<(f64, f64)>> = (0..8)
            .map(|i| {
                let start = 20.0 + 50.0 * f64::from(i);
                (0..=20)
                    .map(|k| {
                        let t = f64::from(k) / 20.0;
                        (start + 150.0 * t, 390.0 - 350.0 * (1.0 - (-4.0 * t).exp()))
                    })
                    .collect()
            })
            .collect();
        let sizes = vec![(44.0, 12.0); 8];
        let places = place(&curves, &sizes, frame);
        for (i, a) in places.iter().enumerate() {
            assert!(
                frame.overlap(a) > 44.0 * 12.0 - 1e-6,
                "{a:?} leaves the frame"
            );
            for b in &places[..i] {
                assert_eq!(a.overlap(b), 0.0, "{a:?} {b:?}");
            }
            let near = walk(&curves[i])
                .iter()
                .any(|&(x, y)| x > a.x - 8.0 && x < a.x + 52.0 && y > a.y - 8.0 && y < a.y + 20.0);
            assert!(near, "name {i} is away from its curve");
        }
    }
}
