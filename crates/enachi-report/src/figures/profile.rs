//! What the policies plan with: measured accuracy of every cut beside ENACHI (14) fitted to it, the paper's Fig. 4.

use super::{Figure, axis};
use crate::draw::Sheet;
use crate::draw::chart::{Chart, Mark, Names, Point, Series};
use crate::draw::scale::{Scale, short};
use enachi_core::curve::AccuracyCurve;
use enachi_core::profile::{Profile, Surrogate};

/// Points of a fitted line.
const STEPS: u32 = 120;

/// What the dots of a panel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dots {
    /// Accuracies that the profile holds, measured at its checkpoints.
    Measured,
    /// Accuracies that policies achieved, at the mean of the bits that they sent.
    Achieved,
}

/// One cut.
pub struct FitPanel {
    /// Its name.
    pub cut: String,
    /// (14).
    pub surrogate: Surrogate,
    total_bits: f64,
    /// What [`FitPanel::dots`] are.
    pub kind: Dots,
    /// Bits, accuracy and its interval, ascending.
    pub dots: Vec<[f64; 4]>,
}

impl FitPanel {
    /// A panel without dots.
    pub fn new(cut: String, surrogate: Surrogate, total_bits: f64) -> Self {
        Self {
            cut,
            surrogate,
            total_bits,
            kind: Dots::Measured,
            dots: Vec::new(),
        }
    }

    /// With `dots`, ascending in bits.
    pub fn with(mut self, kind: Dots, dots: Vec<[f64; 4]>) -> Self {
        (self.kind, self.dots) = (kind, dots);
        self
    }

    /// Whether the profile holds measured accuracies of this cut.
    pub fn is_measured(&self) -> bool {
        self.kind == Dots::Measured && !self.dots.is_empty()
    }

    /// Largest distance of a dot to the line; `None` without any.
    pub fn worst(&self) -> Option<f64> {
        let curve = AccuracyCurve::fitted(&self.surrogate, self.total_bits).ok()?;
        let off = self
            .dots
            .iter()
            .map(|dot| (dot[1] - curve.accuracy(dot[0])).abs());
        off.reduce(f64::max)
    }

    fn chart(&self) -> Option<Chart> {
        let curve = AccuracyCurve::fitted(&self.surrogate, self.total_bits).ok()?;
        let measured = self.dots.iter().filter(|_| self.is_measured());
        let ends = || measured.clone().map(|dot| dot[0]);
        let end = ends().next_back().unwrap_or(self.total_bits);
        let least = self.dots.first().map_or(end * 1e-3, |dot| dot[0] / 4.0);
        let start = ends().find(|bits| *bits > 0.0).unwrap_or(least);
        if !(end > start && start > 0.0) {
            return None;
        }
        let line = (0..=STEPS).map(|i| {
            let bits = start * (end / start).powf(f64::from(i) / f64::from(STEPS));
            Point {
                x: bits / 1e3,
                y: 100.0 * curve.accuracy(bits),
                ..Point::default()
            }
        });
        let dots = self.dots.iter().map(|&[bits, accuracy, low, high]| Point {
            x: bits.max(start) / 1e3,
            y: 100.0 * accuracy,
            band: Some((100.0 * low, 100.0 * high)),
            tip: format!(
                "{}\n{} kbit: {:.1} % [{:.1}, {:.1}], fitted {:.1} %",
                self.cut,
                short(bits / 1e3),
                100.0 * accuracy,
                100.0 * low,
                100.0 * high,
                100.0 * curve.accuracy(bits)
            ),
            ..Point::default()
        });
        let series = |category, mark, points: Vec<Point>| Series {
            name: String::new(),
            category,
            mark,
            strong: false,
            points,
        };
        let title = match self.is_measured() {
            false => self.cut.clone(),
            true => format!(
                "{}: {} pt r.m.s.",
                self.cut,
                short(self.surrogate.rmse * 100.0)
            ),
        };
        Some(Chart {
            title,
            x: axis(
                "sent [kbit]",
                Scale::logarithmic([start / 1e3, end / 1e3].into_iter()),
            ),
            y: axis(
                "accuracy [%]",
                Scale {
                    high: 100.0,
                    step: 20.0,
                    ..Scale::over([0.0, 100.0].into_iter(), true)
                },
            ),
            series: vec![
                series(0, Mark::Dots, dots.collect()),
                series(1, Mark::Path, line.collect()),
            ],
            rules: Vec::new(),
            names: Names::Hidden,
            size: (300.0, 230.0),
        })
    }
}

/// Panels of a profile; `None` where there is nothing to draw.
pub fn fit_figure(id: &str, network: &str, panels: &[FitPanel]) -> Option<Figure> {
    let charts: Vec<Chart> = panels.iter().filter_map(FitPanel::chart).collect();
    if charts.is_empty() {
        return None;
    }
    let worst = panels
        .iter()
        .filter(|p| p.is_measured())
        .map(|p| p.surrogate.rmse)
        .reduce(f64::max);
    let caption = match worst {
        Some(worst) => format!(
            "{network}. Dots: top-1 accuracy measured at each checkpoint, with 95 % intervals over images. Line: (14), Â(β) = a2 − 1/(a0 β − a1), \
             fitted to them; at worst it is off by {} points r.m.s. (pt). Nothing sent stands at the left edge.",
            short(worst * 100.0)
        ),
        None => format!(
            "{network}: the profile consists of curves (14), Â(β) = a2 − 1/(a0 β − a1), alone (lines); no accuracy of this network was measured.{}",
            match panels.iter().any(|p| !p.dots.is_empty()) {
                true =>
                    " Dots: what policies achieved that keep to one cut and send to the end, with 95 % intervals, at the mean of their bits. As bits vary from \
                     task to task and the lines bend, dots lie below them, most where they are steep.",
                false => "",
            }
        ),
    };
    Some(Figure::new(
        id,
        "Accuracy curves and their fit",
        caption,
        Sheet {
            legend: Vec::new(),
            panels: charts.into_iter().map(|p| Box::new(p) as _).collect(),
            columns: 3,
        },
    ))
}

/// Fit of every cut whose first stream, the one that policies send, has one.
pub fn fit(profile: &Profile) -> Option<Figure> {
    let panels = profile.cuts.iter().filter_map(|cut| {
        let stream = cut.streams.first()?;
        let surrogate = stream.surrogate?;
        let panel = FitPanel::new(cut.name.clone(), surrogate, stream.total_bits);
        if let Some(m) = &stream.measured {
            let points =
                (0..m.bits.len()).map(|i| [m.bits[i], m.top1[i], m.top1_low[i], m.top1_high[i]]);
            return Some(panel.with(Dots::Measured, points.collect()));
        }
        Some(panel)
    });
    let panels: Vec<FitPanel> = panels.collect();
    fit_figure("fit", &profile.meta.model_name, &panels)
}
