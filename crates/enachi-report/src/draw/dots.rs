//! Places the name of each dot near it, where it covers neither another name nor a dot nor a line.

use crate::labels::Box2;

/// Distances from a dot to its name \[px\].
const GAPS: [f64; 5] = [9.0, 18.0, 34.0, 56.0, 84.0];

/// Where a name goes.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Its box.
    pub name: Box2,
    /// Whether it is so far away that a line must lead to it.
    pub far: bool,
}

/// One spot per dot, in order, inside `frame`. `sizes` are those of the names, `lines` what names should not cover. Greedy: each
/// takes the cheapest spot given those taken before.
pub fn place(dots: &[(f64, f64)], sizes: &[(f64, f64)], lines: &[Box2], frame: Box2) -> Vec<Spot> {
    let around = |&(x, y): &(f64, f64)| Box2 {
        x: x - 6.0,
        y: y - 6.0,
        width: 12.0,
        height: 12.0,
    };
    let marks: Vec<Box2> = dots.iter().map(around).collect();
    let mut taken: Vec<Spot> = Vec::new();
    for (dot, &(width, height)) in dots.iter().zip(sizes) {
        let price = |spot: &Spot, step: usize| {
            let over =
                |boxes: &[Box2]| -> f64 { boxes.iter().map(|b| b.overlap(&spot.name)).sum() };
            let names: f64 = taken.iter().map(|t| t.name.overlap(&spot.name)).sum();
            let outside = width * height - frame.overlap(&spot.name);
            50.0 * names
                + 20.0 * over(&marks)
                + 2.0 * over(lines)
                + 100.0 * outside
                + 30.0 * step as f64
        };
        let best = candidates(*dot, (width, height))
            .map(|(step, spot)| (price(&spot, step), spot))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        taken.extend(best.map(|(_, spot)| spot));
    }
    taken
}

/// Right, left, above, below and the corners, at every distance.
fn candidates(
    (x, y): (f64, f64),
    (width, height): (f64, f64),
) -> impl Iterator<Item = (usize, Spot)> {
    let sides = [
        (1.0, 0.0),
        (-1.0, 0.0),
        (1.0, -1.0),
        (1.0, 1.0),
        (-1.0, -1.0),
        (-1.0, 1.0),
        (0.0, -1.0),
        (0.0, 1.0),
    ];
    GAPS.into_iter().enumerate().flat_map(move |(step, gap)| {
        sides.map(move |(right, down): (f64, f64)| {
            // Corners are near in both directions.
            let gap = if right != 0.0 && down != 0.0 {
                0.7 * gap
            } else {
                gap
            };
            let name = Box2 {
                x: x + right * gap + (right - 1.0) / 2.0 * width,
                y: y + down * gap + (down - 1.0) / 2.0 * height,
                width,
                height,
            };
            (
                step,
                Spot {
                    name,
                    far: step > 0,
                },
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowded_dots_get_names_apart_from_each_other() {
        let frame = Box2 {
            x: 0.0,
            y: 0.0,
            width: 600.0,
            height: 300.0,
        };
        let dots: Vec<(f64, f64)> = (0..7)
            .map(|i| (300.0 + 4.0 * f64::from(i), 150.0))
            .collect();
        let sizes = vec![(90.0, 15.0); dots.len()];
        let spots = place(&dots, &sizes, &[], frame);
        assert_eq!(spots.len(), dots.len());
        for (i, spot) in spots.iter().enumerate() {
            assert!(frame.overlap(&spot.name) > 90.0 * 15.0 - 1e-6, "{spot:?}");
            for other in &spots[..i] {
                assert_eq!(spot.name.overlap(&other.name), 0.0, "{spot:?} {other:?}");
            }
        }
    }
}
