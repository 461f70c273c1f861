//! Colours that stay apart for colour-blind readers and in grey print.

/// Dark to light green-blue: the lower 70 % of *viridis*, whose lightness rises evenly, so that the order of
/// the colours is seen without seeing their hue. The rest of it is too light on white.
const ORDERED: [[u8; 3]; 6] = [
    [0x44, 0x01, 0x54],
    [0x46, 0x32, 0x7e],
    [0x36, 0x5c, 0x8d],
    [0x27, 0x7f, 0x8e],
    [0x1f, 0xa1, 0x87],
    [0x4a, 0xc1, 0x6d],
];

/// Categories without an order (Okabe and Ito 2008, without black and yellow).
pub const CATEGORIES: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00",
];

/// For what stands apart from an ordered set, such as a reference.
pub const INK: &str = "#222222";

/// Colour `index` of `count` ordered ones, as `#rrggbb`.
pub fn ordered(index: usize, count: usize) -> String {
    let steps = (ORDERED.len() - 1) as f64;
    let position = match count {
        0 | 1 => 0.4 * steps,
        _ => index as f64 / (count - 1) as f64 * steps,
    };
    let below = (position.floor() as usize).min(ORDERED.len() - 2);
    let share = (position - below as f64).clamp(0.0, 1.0);
    let mix = |channel: usize| {
        let (a, b) = (ORDERED[below][channel], ORDERED[below + 1][channel]);
        (f64::from(a) * (1.0 - share) + f64::from(b) * share).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::ink::luminance;

    #[test]
    fn ordered_colours_grow_lighter_and_stay_readable_on_white() {
        for count in 2..=12 {
            let lightness: Vec<f64> = (0..count).map(|i| luminance(&ordered(i, count))).collect();
            assert!(
                lightness.windows(2).all(|pair| pair[0] < pair[1]),
                "{lightness:?}"
            );
            let contrast = 1.05 / (lightness[count - 1] + 0.05);
            assert!(contrast > 2.2, "{contrast}");
        }
    }
}
