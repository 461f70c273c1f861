//! Axes: ranges, steps and the words for values.

/// A linear or logarithmic axis over values, with round steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Least value shown.
    pub low: f64,
    /// Greatest value shown.
    pub high: f64,
    /// Distance of ticks; unused on a logarithmic axis.
    pub step: f64,
    /// Whether equal ratios are equally long.
    pub log: bool,
}

impl Scale {
    /// Over `values`, widened to whole steps; with `zero`, from 0.
    pub fn over(values: impl Iterator<Item = f64>, zero: bool) -> Self {
        let (mut low, mut high) = bounds(values);
        if zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low < 1e-12 * high.abs().max(1e-300) {
            // All values alike.
            let pad = if high == 0.0 { 1.0 } else { 0.1 * high.abs() };
            high += pad;
            if !zero {
                low -= pad;
            }
        }
        let step = step(high - low);
        Self {
            low: (low / step + 1e-9).floor() * step,
            high: (high / step - 1e-9).ceil() * step,
            step,
            log: false,
        }
    }

    /// From the least to the greatest of `values`, without widening.
    pub fn tight(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = bounds(values);
        let (low, high) = if high > low {
            (low, high)
        } else {
            let pad = if high == 0.0 { 1.0 } else { 0.1 * high.abs() };
            (low - pad, high + pad)
        };
        Self {
            low,
            high,
            step: step(high - low),
            log: false,
        }
    }

    /// Logarithmic over the positive ones of `values`, widened to the next 1, 2 or 5.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = match bounds(values.filter(|v| *v > 0.0)) {
            (low, high) if low > 0.0 => (low, high),
            // None is positive.
            _ => (1.0, 10.0),
        };
        let steps = |x: f64| {
            let decade = 10f64.powf(x.log10().floor());
            [1.0, 2.0, 5.0, 10.0].map(|m| m * decade)
        };
        let below = steps(low).into_iter().rev().find(|&s| s <= low * 1.001);
        let above = steps(high).into_iter().find(|&s| s >= high * 0.999);
        let (low, high) = (below.unwrap_or(low), above.unwrap_or(high));
        Self {
            low,
            high: if high > low { high } else { low * 10.0 },
            step: 1.0,
            log: true,
        }
    }
}

/// The part of `values` (at least 0) that one axis can show: what lies below half of the greatest would press all the rest
/// together, and is left out if most values lie above.
pub fn upper_part(values: &[f64]) -> Vec<f64> {
    let most = values.iter().copied().fold(0.0, f64::max);
    let upper: Vec<f64> = values
        .iter()
        .copied()
        .filter(|v| *v >= most / 2.0)
        .collect();
    if upper.len() * 2 > values.len() {
        upper
    } else {
        values.to_vec()
    }
}

/// Least and greatest finite value; 0 and 1 without any.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// 1, 2 or 5 times a power of ten that cuts `span` into four to ten.
pub fn step(span: f64) -> f64 {
    if !(span.is_finite() && span > 0.0) {
        return 1.0;
    }
    let raw = span / 5.0;
    let decade = 10f64.powf(raw.log10().floor());
    let lead = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|m| m * decade >= raw * 0.999);
    lead.unwrap_or(10.0) * decade
}

/// `value` with as many digits as ticks `step` apart need.
pub fn tick(value: f64, step: f64) -> String {
    let digits = (-(step * 1.001).log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text
        .trim_start_matches('-')
        .chars()
        .all(|c| c == '0' || c == '.')
    {
        "0".into()
    } else {
        text.replace('-', "−")
    }
}

/// `value` to three digits, without needless ones.
pub fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 {
            "0".into()
        } else {
            "–".into()
        };
    }
    if value.abs() < 1e-4 {
        return format!("{value:.1e}").replace('-', "−");
    }
    let digits = (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_values_between_whole_steps() {
        let scale = Scale::over([71.2, 83.9].into_iter(), false);
        assert_eq!((scale.low, scale.high, scale.step), (70.0, 85.0, 5.0));
        let scale = Scale::over([0.07, 0.151].into_iter(), true);
        assert!(
            (scale.high - 0.2).abs() < 1e-12 && scale.low == 0.0,
            "{scale:?}"
        );
        let same = Scale::over([3.0, 3.0].into_iter(), false);
        assert!(same.low < 3.0 && same.high > 3.0);
        let none = Scale::over(std::iter::empty(), false);
        assert!(none.low < none.high);
        let nothing = Scale::logarithmic([0.0, -1.0].into_iter());
        assert_eq!((nothing.low, nothing.high), (1.0, 10.0));
        let log = Scale::logarithmic([0.0, 0.3, 900.0].into_iter());
        assert!((log.low - 0.2).abs() < 1e-12 && (log.high - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn a_lone_low_value_does_not_press_the_rest_together() {
        assert_eq!(upper_part(&[80.0, 0.0, 79.0, 81.0]), [80.0, 79.0, 81.0]);
        assert_eq!(upper_part(&[80.0, 0.0, 1.0]), [80.0, 0.0, 1.0]);
    }

    #[test]
    fn values_have_the_digits_they_need() {
        for (value, text) in [
            (0.25, "0.25"),
            (72.51, "72.5"),
            (-183.4, "−183"),
            (5.0, "5"),
            (1.5e-7, "1.5e−7"),
        ] {
            assert_eq!(short(value), text);
        }
        for (value, step, text) in [
            (0.1, 0.05, "0.10"),
            (20.0, 5.0, "20"),
            (-1e-17, 0.2, "0"),
            (0.3, 0.1, "0.3"),
        ] {
            assert_eq!(tick(value, step), text);
        }
    }
}
