//! The figures of a report: what is drawn from what. How it is drawn stands in [`crate::draw`].

pub mod fairness;
pub mod frame;
pub mod profile;
pub mod run;
pub mod sweep;
pub mod time;

use crate::draw::Drawing;
use crate::draw::chart::{Axis, Chart, Mark, Names, Point, Series};
use crate::draw::ink::Ink;
use crate::draw::scale::Scale;
use enachi_core::record::{Outcome, StopReason};

/// A figure with what belongs to it.
pub struct Figure {
    /// Name of its file and anchor in the page.
    pub id: String,
    /// What it shows, in a few words.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The drawing.
    pub drawing: Box<dyn Drawing>,
}

impl Figure {
    /// A figure.
    pub fn new(id: &str, title: &str, caption: String, drawing: impl Drawing + 'static) -> Self {
        Self::boxed(id, title, caption, Box::new(drawing))
    }

    /// The same of a drawing of a kind chosen at run time.
    pub fn boxed(id: &str, title: &str, caption: String, drawing: Box<dyn Drawing>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            caption,
            drawing,
        }
    }
}

/// Colours of outcomes, in the order of [`Outcome::ALL`].
pub fn outcome_part(outcome: Outcome) -> (&'static str, Ink, Ink) {
    let (name, category) = match outcome {
        Outcome::Delivered => ("all delivered", 0),
        Outcome::StoppedEarly => ("stopped early", 2),
        Outcome::DeadlineCut => ("cut by the deadline", 1),
        Outcome::SentNothing => ("sent nothing", 6),
        Outcome::Local => ("all on the device", 4),
        Outcome::Infeasible => ("not feasible", 3),
        Outcome::NoTask => ("no task", 5),
        Outcome::PolicyFailed => ("policy failed", 3),
        Outcome::Refused => ("refused by the edge", 6),
    };
    (name, Ink::Series(category), Ink::OnSeries(category))
}

/// Words and colour of a reason.
pub fn reason_part(reason: StopReason) -> (&'static str, Ink, Ink) {
    let (name, category) = match reason {
        StopReason::NotSending => ("not sending", 6),
        StopReason::AllSent => ("all sent", 0),
        StopReason::EntropyThreshold => ("certain enough", 2),
        StopReason::MarginalValue => ("not worth more", 5),
        StopReason::Deadline => ("deadline", 1),
        StopReason::EdgeFull => ("edge full", 3),
    };
    (name, Ink::Series(category), Ink::OnSeries(category))
}

/// Non-dominated points, by ascending energy: no other has at most their energy and more accuracy.
pub fn frontier(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut front: Vec<(f64, f64)> = Vec::new();
    for point in sorted {
        if front.last().is_none_or(|last| point.1 > last.1) {
            front.push(point);
        }
    }
    front
}

/// The frontier as the steps it stands for: up to the next point, nothing better is to be had than the last.
fn frontier_series(points: &[(f64, f64)]) -> Series {
    let front = frontier(points);
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for &(x, y) in &front {
        if let Some(&(_, before)) = steps.last() {
            steps.push((x, before));
        }
        steps.push((x, y));
    }
    let points = steps.into_iter().map(|(x, y)| Point {
        x,
        y,
        ..Point::default()
    });
    Series {
        name: String::new(),
        category: 6,
        mark: Mark::Path,
        strong: false,
        points: points.collect(),
    }
}

/// A chart of lines with their names at the end, as wide as the page.
pub(crate) fn wide(x: Axis, y: Axis, series: Vec<Series>) -> Chart {
    Chart {
        title: String::new(),
        x,
        y,
        series,
        rules: Vec::new(),
        names: Names::AtEnd,
        size: (900.0, 400.0),
    }
}

/// An axis over `values`.
pub(crate) fn axis(label: impl Into<String>, scale: Scale) -> Axis {
    Axis {
        label: label.into(),
        scale,
        categories: Vec::new(),
    }
}

/// Jain's index of fairness, (Σx)²/(n Σx²): 1 where all are equal, 1/n where one has everything. `None` without values or with
/// nothing but zeros.
pub fn jain(values: &[f64]) -> Option<f64> {
    let (sum, squares) = values
        .iter()
        .fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
    (squares > 0.0).then(|| sum * sum / (values.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_holds_what_nothing_dominates() {
        let points = [
            (3.0, 0.7),
            (1.0, 0.5),
            (2.0, 0.7),
            (2.5, 0.6),
            (4.0, 0.8),
            (2.0, 0.4),
        ];
        let front = frontier(&points);
        for point in &points {
            let dominated = points
                .iter()
                .any(|o| o.0 <= point.0 && o.1 >= point.1 && o != point);
            assert_eq!(!dominated, front.contains(point), "{point:?}");
        }
        assert!(frontier(&[]).is_empty());
    }

    #[test]
    fn jain_is_one_for_equals_and_one_nth_for_one() {
        assert_eq!(jain(&[2.0, 2.0, 2.0]), Some(1.0));
        assert_eq!(jain(&[5.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(jain(&[0.0, 0.0]), None);
        assert_eq!(jain(&[]), None);
    }
}
