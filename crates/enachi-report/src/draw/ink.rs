//! Colours by what they are for. On a page they are CSS variables, so that one drawing serves light, dark and print; in a
//! file of its own a drawing has the light colours.

use std::fmt::Write;

/// Where a drawing is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Inside the page, whose style sheet sets the colours.
    Page,
    /// In a file of its own, on white.
    Paper,
}

/// What a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Text.
    Text,
    /// Text that matters less.
    Muted,
    /// Lines of the axes.
    Axis,
    /// Grid lines.
    Grid,
    /// Every other row of a table-like chart.
    Stripe,
    /// What is behind everything.
    Back,
    /// Category, without an order.
    Series(usize),
    /// Text in the colour of a category.
    Name(usize),
    /// Text on the colour of a category.
    OnSeries(usize),
    /// Step of an ordered set, in 0..[`STEPS`].
    Ordered(usize),
    /// Text on such a step.
    OnOrdered(usize),
}

/// Colours of categories: Okabe and Ito 2008 without black and yellow, and grey.
pub const CATEGORIES: usize = 7;
/// Steps of an ordered set.
pub const STEPS: usize = 12;

const LIGHT: [&str; CATEGORIES] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#777777",
];
/// The same hues, dark enough to be read on white (contrast of 4 and more).
const LIGHT_NAMES: [&str; CATEGORIES] = [
    "#0069a4", "#b54f00", "#007a59", "#a8507f", "#1f7cb4", "#966700", "#666666",
];
/// The same hues for a dark background.
const DARK: [&str; CATEGORIES] = [
    "#4aa8e0", "#f0823c", "#2fc095", "#dd95bd", "#8fd0f5", "#f0b93a", "#a8a8a8",
];
/// Ends and middle of the ordered scale, dark to light on white, light to dark on dark: *viridis*, of which the
/// part that vanishes against the background is left out.
const LIGHT_SCALE: [[u8; 3]; 6] = [
    [0x44, 0x01, 0x54],
    [0x46, 0x32, 0x7e],
    [0x36, 0x5c, 0x8d],
    [0x27, 0x7f, 0x8e],
    [0x1f, 0xa1, 0x87],
    [0x7a, 0xd1, 0x51],
];
const DARK_SCALE: [[u8; 3]; 6] = [
    [0x5b, 0x4a, 0xa0],
    [0x44, 0x6f, 0xa8],
    [0x2f, 0x90, 0x9f],
    [0x2b, 0xb0, 0x8b],
    [0x7a, 0xd1, 0x51],
    [0xe3, 0xe4, 0x5a],
];

/// Step of [`Ink::Ordered`] for item `index` of `count`.
pub fn step_of(index: usize, count: usize) -> usize {
    match count {
        0 | 1 => STEPS / 3,
        _ => (index * (STEPS - 1) + (count - 1) / 2) / (count - 1),
    }
}

fn scale(stops: &[[u8; 3]; 6], step: usize) -> String {
    let position = step as f64 / (STEPS - 1) as f64 * (stops.len() - 1) as f64;
    let below = (position.floor() as usize).min(stops.len() - 2);
    let share = position - below as f64;
    let mix = |channel: usize| {
        let (a, b) = (stops[below][channel], stops[below + 1][channel]);
        (f64::from(a) * (1.0 - share) + f64::from(b) * share).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

/// Relative luminance of `#rrggbb`, WCAG 2.
pub fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let byte = colour
            .get(at..at + 2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .unwrap_or(0);
        let value = f64::from(byte) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

/// Black or white, whichever is easier to read on `colour`.
fn on(colour: &str) -> &'static str {
    if luminance(colour) > 0.179 {
        "#111111"
    } else {
        "#ffffff"
    }
}

impl Ink {
    fn light(self) -> String {
        match self {
            Self::Text => "#222222".into(),
            Self::Muted => "#666666".into(),
            Self::Axis => "#444444".into(),
            Self::Grid => "#e2e2e2".into(),
            Self::Stripe => "#f5f5f5".into(),
            Self::Back => "#ffffff".into(),
            Self::Series(i) => LIGHT[i % CATEGORIES].into(),
            Self::Name(i) => LIGHT_NAMES[i % CATEGORIES].into(),
            Self::OnSeries(i) => on(LIGHT[i % CATEGORIES]).into(),
            Self::Ordered(i) => scale(&LIGHT_SCALE, i % STEPS),
            Self::OnOrdered(i) => on(&scale(&LIGHT_SCALE, i % STEPS)).into(),
        }
    }

    fn dark(self) -> String {
        match self {
            Self::Text => "#e6e6e6".into(),
            Self::Muted => "#a6a6a6".into(),
            Self::Axis => "#bdbdbd".into(),
            Self::Grid => "#353a40".into(),
            Self::Stripe => "#1e2227".into(),
            Self::Back => "#15181c".into(),
            Self::Series(i) | Self::Name(i) => DARK[i % CATEGORIES].into(),
            Self::OnSeries(i) => on(DARK[i % CATEGORIES]).into(),
            Self::Ordered(i) => scale(&DARK_SCALE, i % STEPS),
            Self::OnOrdered(i) => on(&scale(&DARK_SCALE, i % STEPS)).into(),
        }
    }

    fn variable(self) -> String {
        match self {
            Self::Text => "--text".into(),
            Self::Muted => "--muted".into(),
            Self::Axis => "--axis".into(),
            Self::Grid => "--grid".into(),
            Self::Stripe => "--stripe".into(),
            Self::Back => "--back".into(),
            Self::Series(i) => format!("--s{}", i % CATEGORIES),
            Self::Name(i) => format!("--n{}", i % CATEGORIES),
            Self::OnSeries(i) => format!("--t{}", i % CATEGORIES),
            Self::Ordered(i) => format!("--o{}", i % STEPS),
            Self::OnOrdered(i) => format!("--p{}", i % STEPS),
        }
    }

    /// The colour as CSS for `style`.
    pub fn css(self, style: Style) -> String {
        match style {
            Style::Page => format!("var({})", self.variable()),
            Style::Paper => self.light(),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let plain = [
            Self::Text,
            Self::Muted,
            Self::Axis,
            Self::Grid,
            Self::Stripe,
            Self::Back,
        ];
        plain
            .into_iter()
            .chain(
                (0..CATEGORIES).flat_map(|i| [Self::Series(i), Self::Name(i), Self::OnSeries(i)]),
            )
            .chain((0..STEPS).flat_map(|i| [Self::Ordered(i), Self::OnOrdered(i)]))
    }
}

/// Style rules that set all variables, for light, dark and print.
pub fn variables() -> String {
    let list = |of: fn(Ink) -> String| {
        Ink::all().fold(String::new(), |mut text, ink| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}:{};", ink.variable(), of(ink));
            text
        })
    };
    let (light, dark) = (list(Ink::light), list(Ink::dark));
    format!(
        ":root{{color-scheme:light dark;{light}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_can_be_read_in_light_and_dark() {
        for of in [Ink::light as fn(Ink) -> String, Ink::dark] {
            let back = of(Ink::Back);
            for ink in [Ink::Text, Ink::Muted]
                .into_iter()
                .chain((0..CATEGORIES).map(Ink::Name))
            {
                let ratio = contrast(&of(ink), &back);
                assert!(ratio > 4.0, "{ink:?} on {back}: {ratio}");
            }
            for i in 0..CATEGORIES {
                let ratio = contrast(&of(Ink::OnSeries(i)), &of(Ink::Series(i)));
                assert!(ratio > 4.0, "on category {i}: {ratio}");
            }
            for i in 0..STEPS {
                let ratio = contrast(&of(Ink::OnOrdered(i)), &of(Ink::Ordered(i)));
                assert!(ratio > 4.0, "on step {i}: {ratio}");
            }
        }
    }

    #[test]
    fn ordered_steps_grow_lighter() {
        for of in [Ink::light as fn(Ink) -> String, Ink::dark] {
            let steps: Vec<f64> = (0..STEPS)
                .map(|i| luminance(&of(Ink::Ordered(i))))
                .collect();
            assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{steps:?}");
        }
        assert_eq!((step_of(0, 5), step_of(4, 5)), (0, STEPS - 1));
    }
}
