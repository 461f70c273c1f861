//! Places the name of each curve beside it, where it covers neither another name nor a curve.

/// An axis-aligned box on the page \[px\], y downwards.
#[derive(Clone, Copy, Debug)]
pub struct Box2 {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Box2 {
    fn holds(&self, (x, y): (f64, f64)) -> bool {
        x >= self.x && x <= self.x + self.width && y >= self.y && y <= self.y + self.height
    }

    pub(crate) fn overlap(&self, other: &Box2) -> f64 {
        let extent = |a: f64, la: f64, b: f64, lb: f64| ((a + la).min(b + lb) - a.max(b)).max(0.0);
        extent(self.x, self.width, other.x, other.width)
            * extent(self.y, self.height, other.y, other.height)
    }
}

/// Steps between trial anchors and between the dots that stand for a curve \[px\].
const STEP: f64 = 4.0;
/// Trial gaps between a curve and its name \[px\]. All but the first are bridged by a leader line.
const GAPS: [f64; 6] = [6.0, 24.0, 48.0, 80.0, 120.0, 170.0];
/// Trial heights of a name that has a leader, against its anchor \[px\].
const SHIFTS: [f64; 9] = [0.0, -18.0, 18.0, -36.0, 36.0, -60.0, 60.0, -90.0, 90.0];
/// Anchors that are tried on a curve, at most.
const ANCHORS: usize = 24;
/// What is this close to a leader touches it \[px\].
const TOUCH: f64 = 2.0;

/// Costs, in steps of the anchor away from the best height.
mod cost {
    /// Per square pixel of another name, or of its leader, covered.
    pub const NAME: f64 = 50.0;
    /// Per dot of a curve covered by the name.
    pub const CURVE: f64 = 8.0;
    /// Per dot of a curve touched by the leader.
    pub const CROSSING: f64 = 3.0;
    /// Per pixel of leader.
    pub const LEADER: f64 = 0.06;
    /// For an anchor a whole curve away from the best height.
    pub const HEIGHT: f64 = 12.0;
}

/// Where a name goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub name: Box2,
    /// The name ends, rather than starts, at the curve.
    pub ends_at_curve: bool,
    /// From the curve to the name; `None` where the name touches the curve.
    pub leader: Option<[(f64, f64); 2]>,
}

impl Place {
    /// Points along the leader, [`STEP`] apart.
    fn leader_dots(&self) -> Vec<(f64, f64)> {
        self.leader.map_or(Vec::new(), |ends| walk(&ends))
    }
}

/// Distance of a point to a segment.
fn distance((x, y): (f64, f64), [(x0, y0), (x1, y1)]: [(f64, f64); 2]) -> f64 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let length = dx * dx + dy * dy;
    let along = match length > 0.0 {
        true => (((x - x0) * dx + (y - y0) * dy) / length).clamp(0.0, 1.0),
        false => 0.0,
    };
    (x - x0 - along * dx).hypot(y - y0 - along * dy)
}

/// One place per curve, in order, each inside `frame`. `curves` are polylines on the page, `sizes` the width and
/// height of their names. Greedy: every curve takes the place that is cheapest given the places taken before.
pub(crate) fn place(curves: &[Vec<(f64, f64)>], sizes: &[(f64, f64)], frame: Box2) -> Vec<Place> {
    let dots: Vec<Vec<(f64, f64)>> = curves.iter().map(|curve| walk(curve)).collect();
    let mut taken: Vec<Place> = Vec::new();
    for (own, &size) in sizes.iter().enumerate() {
        let best = candidates(&dots[own], size)
            .filter(|(_, place)| frame.overlap(&place.name) > size.0 * size.1 - 1e-6)
            .map(|(height, place)| (height + price(&place, own, &dots, &taken), place))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let corner = Place {
            name: Box2 {
                x: frame.x,
                y: frame.y,
                width: size.0,
                height: size.1,
            },
            ends_at_curve: false,
            leader: None,
        };
        taken.push(best.map_or(corner, |(_, place)| place));
    }
    taken
}

/// Trial places along a curve, on both sides of it, with the cost of their height.
fn candidates(
    anchors: &[(f64, f64)],
    (width, height): (f64, f64),
) -> impl Iterator<Item = (f64, Place)> {
    let count = anchors.len().max(2) as f64;
    let stride = anchors.len().div_ceil(ANCHORS).max(1);
    let some = anchors.iter().enumerate().step_by(stride);
    some.flat_map(move |(step, &(x, y))| {
        // Half-way up is where curves lie furthest apart.
        let off = cost::HEIGHT * (step as f64 / count - 0.45).abs();
        GAPS.into_iter().enumerate().flat_map(move |(index, gap)| {
            let shifts = match index {
                0 => &SHIFTS[..1],
                _ => &SHIFTS[..],
            };
            shifts.iter().flat_map(move |shift| {
                [(x + gap, x + gap), (x - gap - width, x - gap)].map(|(left, end)| {
                    let name = Box2 {
                        x: left,
                        y: y + shift - 0.5 * height,
                        width,
                        height,
                    };
                    let leader = (index > 0).then_some([(x, y), (end, y + shift)]);
                    let place = Place {
                        name,
                        ends_at_curve: left < x,
                        leader,
                    };
                    (off, place)
                })
            })
        })
    })
}

fn price(place: &Place, own: usize, dots: &[Vec<(f64, f64)>], taken: &[Place]) -> f64 {
    let mut total = 0.0;
    for (curve, dots) in dots.iter().enumerate() {
        let covered = dots.iter().filter(|&&dot| place.name.holds(dot)).count();
        let touched = place.leader.filter(|_| curve != own).map_or(0, |leader| {
            let near = dots.iter().filter(|&&dot| distance(dot, leader) < TOUCH);
            near.count()
        });
        total += cost::CURVE * covered as f64 + cost::CROSSING * touched as f64;
    }
    let leader = place.leader_dots();
    // A leader is a few pixels wide, so each of its dots stands for an area.
    let area = STEP * 2.0 * TOUCH;
    for other in taken {
        total += cost::NAME * place.name.overlap(&other.name);
        let under = leader.iter().filter(|&&dot| other.name.holds(dot)).count();
        let over = other.leader_dots();
        let over = over.iter().filter(|&&dot| place.name.holds(dot)).count();
        total += cost::NAME * area * (under + over) as f64;
    }
    let length = place
        .leader
        .map_or(0.0, |[(x0, y0), (x1, y1)]| (x1 - x0).hypot(y1 - y0));
    total + cost::LEADER * length
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
        for (i, place) in places.iter().enumerate() {
            let a = &place.name;
            assert!(
                frame.overlap(a) > 44.0 * 12.0 - 1e-6,
                "{a:?} leaves the frame"
            );
            for b in &places[..i] {
                assert_eq!(a.overlap(&b.name), 0.0, "{a:?} {b:?}");
            }
            // Where the leader starts, or else the middle of the name's side, lies on the curve.
            let (x, y) = place
                .leader
                .map_or((a.x - 6.0, a.y + 6.0), |leader| leader[0]);
            let right = place.leader.is_none().then_some((a.x + a.width + 6.0, y));
            let on_curve = |x: f64, y: f64| {
                walk(&curves[i])
                    .iter()
                    .any(|d| (d.0 - x).hypot(d.1 - y) < 1.0)
            };
            let near = on_curve(x, y) || right.is_some_and(|(x, y)| on_curve(x, y));
            assert!(near, "name {i} is away from its curve");
        }
    }
}
