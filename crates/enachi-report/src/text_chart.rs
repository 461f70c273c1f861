//! A chart in plain characters, for a terminal or a pipe.

use std::cmp::Ordering;

/// One curve, drawn with one character.
#[derive(Clone, Debug)]
pub struct TextCurve {
    /// The character that draws it.
    pub mark: char,
    /// Points with x > 0, ascending in x.
    pub points: Vec<(f64, f64)>,
}

/// Character of curve `index`: 0-9, then a-z, then A-Z, then `+`.
pub fn mark(index: usize) -> char {
    const MARKS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    MARKS.get(index).map_or('+', |&byte| char::from(byte))
}

/// Columns taken by the y axis and its labels.
const AXIS_COLUMNS: usize = 7;

/// Draws `curves` over a logarithmic x axis and a y axis from 0 to `y_max`, `width` columns wide in all and `height`
/// rows high without the axis. Where curves meet, the first one is seen. Returns lines that end in `\n`.
pub fn draw(
    curves: &[TextCurve],
    y_max: f64,
    x_label: &str,
    width: usize,
    height: usize,
) -> String {
    let columns = width.saturating_sub(AXIS_COLUMNS).max(20);
    let rows = height.max(5);
    let all = || curves.iter().flat_map(|c| c.points.iter().map(|p| p.0));
    let (low, high) = (
        all().fold(f64::INFINITY, f64::min).ln(),
        all().fold(f64::NEG_INFINITY, f64::max).ln(),
    );
    if !(low.is_finite() && high.is_finite()) {
        return String::new();
    }
    let span = (high - low).max(1e-9);
    let column_x = |column: usize| low + span * column as f64 / (columns - 1) as f64;
    let mut grid = vec![vec![' '; columns]; rows];
    for curve in curves.iter().rev() {
        let mut before: Option<usize> = None;
        for column in 0..columns {
            let half = 0.5 * span / (columns - 1) as f64;
            let row = height_at(&curve.points, column_x(column), half).map(|y| {
                let level = (y / y_max).clamp(0.0, 1.0) * (rows - 1) as f64;
                rows - 1 - level.round() as usize
            });
            if let Some(row) = row {
                // A steep piece is drawn as a column, so that no gap breaks the curve.
                let from = before.map_or(row, |before| match before.cmp(&row) {
                    Ordering::Less => before + 1,
                    Ordering::Equal => row,
                    Ordering::Greater => before - 1,
                });
                for line in &mut grid[from.min(row)..=from.max(row)] {
                    line[column] = curve.mark;
                }
            }
            before = row;
        }
    }
    let mut out = String::new();
    for (row, line) in grid.iter().enumerate() {
        let level = y_max * (rows - 1 - row) as f64 / (rows - 1) as f64;
        let label = if row % 4 == 0 || row == rows - 1 {
            format!("{:>4.0}% ", 100.0 * level)
        } else {
            " ".repeat(AXIS_COLUMNS - 1)
        };
        let line: String = line.iter().collect();
        out.push_str(format!("{label}|{}", line.trim_end()).trim_end());
        out.push('\n');
    }
    out.push_str(&axis(low, span, columns, x_label));
    out
}

/// Height of the polyline at ln x, `None` outside it. A lone point is `half` a column wide on both sides.
fn height_at(points: &[(f64, f64)], at: f64, half: f64) -> Option<f64> {
    let near = |p: &(f64, f64)| (p.0.ln() - at).abs() <= half;
    if let Some(point) = points.iter().find(|p| near(p)) {
        return Some(point.1);
    }
    points.windows(2).find_map(|pair| {
        let (x0, x1) = (pair[0].0.ln(), pair[1].0.ln());
        let inside = x0 <= at && at <= x1 && x0 < x1;
        inside.then(|| pair[0].1 + (pair[1].1 - pair[0].1) * (at - x0) / (x1 - x0))
    })
}

/// The x axis: a rule with the powers of ten, and with 2 and 5 of each decade where they have room.
fn axis(low: f64, span: f64, columns: usize, label: &str) -> String {
    let mut rule = vec!['-'; columns];
    // A name may stand out on the right by half its length.
    let mut text = vec![' '; columns + 4];
    let first = (low / std::f64::consts::LN_10).floor() as i32;
    let last = ((low + span) / std::f64::consts::LN_10).ceil() as i32;
    for step in [1.0, 2.0, 5.0] {
        for decade in first..=last {
            let value = step * 10f64.powi(decade);
            let position = (value.ln() - low) / span * (columns - 1) as f64;
            if !(-0.5..columns as f64 - 0.5).contains(&position) {
                continue;
            }
            let column = position.round().max(0.0) as usize;
            let name = number(value);
            let start = column.saturating_sub(name.len() / 2);
            let around = start.saturating_sub(1)..(start + name.len() + 1).min(text.len());
            if start + name.len() > text.len() || text[around].iter().any(|&c| c != ' ') {
                continue;
            }
            rule[column] = '+';
            text.splice(start..start + name.len(), name.chars());
        }
    }
    let pad = " ".repeat(AXIS_COLUMNS - 1);
    let rule: String = rule.into_iter().collect();
    let text: String = text.into_iter().collect();
    format!("{pad}+{rule}\n{pad} {}\n{pad} {label}\n", text.trim_end())
}

/// A tick value without needless digits.
fn number(value: f64) -> String {
    if value >= 1.0 {
        format!("{value:.0}")
    } else {
        let digits = (-value.log10()).ceil().max(0.0) as usize;
        format!("{value:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_curves_by_hand() {
        let curves = [
            TextCurve {
                mark: mark(0),
                points: vec![(1.0, 0.0), (10.0, 0.4)],
            },
            TextCurve {
                mark: mark(1),
                points: vec![(1.0, 0.8), (100.0, 0.8)],
            },
        ];
        // 21 columns for two decades: ten per decade.
        let chart = draw(&curves, 0.8, "kbit", AXIS_COLUMNS + 21, 5);
        let expected = "  80% |111111111111111111111
      |
      |        000
      |   00000
   0% |000
      ++--+---+--+--+---+--+
       1  2   5 10 20  50 100
       kbit
";
        assert_eq!(chart, expected);
    }

    #[test]
    fn nothing_to_draw_is_no_chart() {
        assert_eq!(draw(&[], 1.0, "kbit", 80, 10), "");
        let empty = TextCurve {
            mark: '0',
            points: vec![],
        };
        assert_eq!(draw(&[empty], 1.0, "kbit", 80, 10), "");
    }
}
