//! What stopping early saves and loses: the predictors' reports of the streams shown, as tables, rows and a figure.

use std::fmt::Write;

use enachi_core::profile::{ALLOWED_LOSS, CutKind, PredictorReport, StopPoint, Stream};
use enachi_report::colour;
use enachi_report::plot::{Curve, CurveFigure};

use super::export::quoted;
use super::text::{clean, kilobits, rendered, significant, table};
use super::{CutView, View};

/// Losses that the figure shows \[points\].
const LOSS_RANGE: (f64, f64) = (-1.0, 5.0);

/// A stream with a report, and its cut.
struct Reported<'a> {
    cut: &'a CutView<'a>,
    stream: &'a Stream,
    report: &'a PredictorReport,
}

impl<'a> Reported<'a> {
    fn all(view: &'a View) -> Vec<Self> {
        let streams = view
            .cuts
            .iter()
            .flat_map(|cut| cut.streams.iter().map(move |stream| (cut, *stream)));
        streams
            .filter_map(|(cut, stream)| {
                let report = stream.predictor.as_ref()?;
                Some(Self {
                    cut,
                    stream,
                    report,
                })
            })
            .collect()
    }

    fn name(&self) -> [String; 3] {
        [
            self.cut.index.to_string(),
            clean(&self.cut.cut.name),
            clean(&self.stream.name),
        ]
    }

    fn title(&self) -> String {
        let [_, cut, stream] = self.name();
        match self.cut.cut.kind {
            CutKind::Input => format!("picture, {stream}"),
            _ => format!("{stream} at {cut}"),
        }
    }
}

fn points(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

fn percent(share: f64) -> String {
    format!("{:.0}", 100.0 * share)
}

/// The section of the page; empty if no stream shown has a predictor.
pub(super) fn section(view: &View, ladders: bool) -> String {
    let reported = Reported::all(view);
    if reported.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\nStopping early on the predictor's word (no image judged by a model that saw it; loss in points against \
         never stopping; bound: one-sided 95 %)\nH_th: largest threshold whose bound is \
         at most {} point, chosen on these images\n",
        100.0 * ALLOWED_LOSS
    );
    out.push_str(&operating_points(&reported));
    out.push_str("\nBits saved by each rule at its own such threshold, %\n");
    out.push_str(&comparison(&reported));
    if ladders {
        for of in &reported {
            // Writing to a string cannot fail.
            let _ = write!(out, "\nThresholds of {}\n", of.title());
            out.push_str(&ladder_table(of.report));
        }
    }
    out
}

fn operating_points(reported: &[Reported]) -> String {
    let mut table = table(
        &[
            "#",
            "cut",
            "stream",
            "H_th\nnat",
            "kbit",
            "bits\nsaved %",
            "loss",
            "bound",
            "rmse\nnat",
            "rank\ncorr.",
            "within a\ncheckpoint",
            "inputs ×\nhidden",
            "µs",
        ],
        3,
    );
    for of in reported {
        let report = of.report;
        let mut row = of.name().to_vec();
        match report.default_point() {
            Some(point) => row.extend([
                significant(point.threshold),
                kilobits(point.mean_bits),
                percent(point.bits_saved),
                points(point.loss),
                points(point.loss_upper),
            ]),
            None => row.extend(["never", "–", "0", "0", "–"].map(str::to_owned)),
        }
        row.extend([
            significant(report.rmse_nats),
            format!("{:.2}", report.rank_correlation),
            format!("{:.2}", report.rank_correlation_within),
            format!("{} × {}", report.inputs, report.hidden),
            report
                .evaluate_time
                .map_or("–".to_owned(), |t| significant(1e6 * t.median_s)),
        ]);
        table.add_row(row);
    }
    rendered(&table)
}

fn comparison(reported: &[Reported]) -> String {
    // Streams may differ in their rules.
    let mut names: Vec<&str> = Vec::new();
    for rule in reported.iter().flat_map(|of| &of.report.rules) {
        if !names.contains(&rule.name.as_str()) {
            names.push(&rule.name);
        }
    }
    let names: Vec<(&str, String)> = names
        .into_iter()
        .map(|name| (name, clean(name).replace('-', "\n")))
        .collect();
    let mut head = vec!["#", "cut", "stream", "predictor"];
    head.extend(names.iter().map(|(_, shown)| shown.as_str()));
    let mut table = table(&head, 3);
    for of in reported {
        let saved = |point: Option<&StopPoint>| point.map_or(0.0, |point| point.bits_saved);
        let mut row = of.name().to_vec();
        row.push(percent(saved(of.report.default_point())));
        row.extend(names.iter().map(|(name, _)| {
            let rule = of.report.rules.iter().find(|rule| rule.name == *name);
            rule.map_or("–".to_owned(), |rule| percent(saved(rule.best.as_ref())))
        }));
        table.add_row(row);
    }
    rendered(&table)
}

fn ladder_table(report: &PredictorReport) -> String {
    let head = ["", "nat", "kbit", "bits saved %", "loss", "bound"];
    let mut table = table(&head, 1);
    for point in &report.ladder {
        let chosen = point.threshold == report.default_threshold_nats;
        table.add_row([
            if chosen { "•" } else { "" }.to_owned(),
            significant(point.threshold),
            kilobits(point.mean_bits),
            percent(point.bits_saved),
            points(point.loss),
            points(point.loss_upper),
        ]);
    }
    let note = report
        .default_point()
        .map_or("", |_| "• the default threshold\n");
    rendered(&table) + note
}

/// One line per cut, stream, rule and threshold, with a head line.
pub(super) fn csv(view: &View) -> String {
    let mut out = String::from(
        "cut,cut_name,stream,images,rule,threshold,mean_bits,bits_saved,loss,loss_upper,chosen\n",
    );
    for of in Reported::all(view) {
        let report = of.report;
        let own = report.ladder.iter().map(|point| ("predictor", point));
        let chosen = report.default_point();
        let mut rows: Vec<(&str, &StopPoint, bool)> = own
            .map(|(name, point)| (name, point, chosen == Some(point)))
            .collect();
        for rule in &report.rules {
            let best = rule.best.as_ref();
            let ladder = rule.ladder.iter();
            rows.extend(ladder.map(|point| (rule.name.as_str(), point, best == Some(point))));
            if let Some(best) = best.filter(|best| !rule.ladder.contains(best)) {
                rows.push((&rule.name, best, true));
            }
        }
        for (rule, point, chosen) in rows {
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{},{},{},{},{chosen}",
                of.cut.index,
                quoted(&of.cut.cut.name),
                quoted(&of.stream.name),
                of.stream.samples.images,
                quoted(rule),
                point.threshold,
                point.mean_bits,
                point.bits_saved,
                point.loss,
                point.loss_upper,
            );
        }
    }
    out
}

/// Accuracy lost against bits saved: every rule of one stream, or the predictors of several. `None` if no stream shown has a
/// predictor.
pub(super) fn figure(view: &View) -> Option<CurveFigure> {
    let reported = Reported::all(view);
    let (title, curves) = match &reported[..] {
        [] => return None,
        [one] => (
            format!("{}, {}", view.profile.meta.model_name, one.title()),
            rules(one.report),
        ),
        several => (view.profile.meta.model_name.clone(), predictors(several)),
    };
    let images = reported.iter().map(|of| of.stream.samples.images).max()?;
    Some(CurveFigure {
        title: format!("{title}: what stopping early saves and loses"),
        subtitle: format!(
            "{images} images, cross-fitted; band: up to the one-sided 95 % bound; ring: largest threshold with a bound of \
             at most 1 point"
        ),
        x_label: "Bits saved against sending everything [%]".to_owned(),
        y_label: "Top-1 lost against sending everything [points]".to_owned(),
        log_x: false,
        y_range: LOSS_RANGE,
        reference: Some((100.0 * ALLOWED_LOSS, "1 point".to_owned())),
        curves,
    })
}

/// The predictor and its competitors at one stream.
fn rules(report: &PredictorReport) -> Vec<Curve> {
    let mut curves: Vec<Curve> = report
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let best = rule.best.as_ref();
            let alone = best.filter(|_| rule.ladder.is_empty()).into_iter();
            let colour = match rule.name.as_str() {
                "genie" => colour::INK,
                _ => colour::CATEGORIES[(index + 1) % colour::CATEGORIES.len()],
            };
            Curve {
                hollow: true,
                ..curve(&rule.name, rule.ladder.iter().chain(alone), best, colour)
            }
        })
        .collect();
    curves.push(with_band(
        curve(
            "predictor",
            report.ladder.iter(),
            report.default_point(),
            colour::CATEGORIES[0],
        ),
        &report.ladder,
    ));
    curves
}

/// The predictors of several streams.
fn predictors(reported: &[Reported]) -> Vec<Curve> {
    let count = reported.len();
    let curves = reported.iter().enumerate().map(|(index, of)| {
        let colour = colour::ordered(index, count);
        let (ladder, best) = (&of.report.ladder, of.report.default_point());
        curve(&of.title(), ladder.iter(), best, &colour)
    });
    curves.collect()
}

fn curve<'a>(
    label: &str,
    ladder: impl Iterator<Item = &'a StopPoint>,
    ring: Option<&StopPoint>,
    colour: &str,
) -> Curve {
    let place = |point: &StopPoint| (100.0 * point.bits_saved, 100.0 * point.loss);
    Curve {
        label: clean(label),
        points: on_the_page(ladder.map(place).collect()),
        band: Vec::new(),
        colour: colour.to_owned(),
        hollow: false,
        rings: ring.map(place).into_iter().collect(),
    }
}

/// The curve up to where it leaves the page, the last piece cut at its edge.
fn on_the_page(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let most = LOSS_RANGE.1;
    if let Some(at) = points.iter().position(|point| point.1 > most) {
        points.truncate(at + 1);
        let (x1, y1) = points[at];
        points[at] = match at.checked_sub(1).map(|before| points[before]) {
            Some((x0, y0)) => (x0 + (x1 - x0) * (most - y0) / (y1 - y0), most),
            None => (x1, most),
        };
    }
    points
}

fn with_band(curve: Curve, ladder: &[StopPoint]) -> Curve {
    // A point cut at the edge of the page has its bound beyond it.
    let bound = |at: usize| ladder.get(at).map_or(0.0, |point| 100.0 * point.loss_upper);
    let band = curve.points.iter().enumerate();
    Curve {
        band: band
            .map(|(at, point)| (point.1, bound(at).max(point.1)))
            .collect(),
        ..curve
    }
}
