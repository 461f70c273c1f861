//! Accuracy against bits, for print.

use enachi_core::profile::{CutKind, Stream};
use enachi_report::colour;
use enachi_report::plot::{Curve, CurveFigure};

use super::{CutView, View, mean_curve, take_off};

/// From here on a figure counts in Mbit.
const MEGABIT_FROM_BITS: f64 = 2e7;
/// Longest second line.
const SUBTITLE_CHARACTERS: usize = 110;

pub(super) fn figure(view: &View) -> CurveFigure {
    let drawn = view.drawn();
    let most_bits = drawn
        .iter()
        .flat_map(|(_, stream)| mean_curve(stream))
        .fold(0.0, |most: f64, (bits, _)| most.max(bits));
    let (unit, bits_per_unit) = if most_bits > MEGABIT_FROM_BITS {
        ("Mbit", 1e6)
    } else {
        ("kbit", 1e3)
    };
    let pictures = drawn
        .iter()
        .filter(|(c, _)| c.cut.kind == CutKind::Input)
        .count();
    let features = drawn.len() - pictures;
    let mut feature = 0;
    let mut picture = 0;
    let curves: Vec<Curve> = drawn
        .iter()
        .map(|&(cut, stream)| {
            let is_picture = cut.cut.kind == CutKind::Input;
            // Cuts have an order and so have their colours; the picture stands apart.
            let colour = if is_picture {
                picture += 1;
                match picture {
                    1 => colour::INK.to_owned(),
                    n => colour::CATEGORIES[n % colour::CATEGORIES.len()].to_owned(),
                }
            } else {
                feature += 1;
                colour::ordered(feature - 1, features)
            };
            let (points, band) = points_and_band(stream, bits_per_unit);
            Curve {
                label: label(view, cut, stream),
                points,
                band,
                colour,
                hollow: is_picture,
                rings: Vec::new(),
            }
        })
        .collect();
    let whole = view.profile.meta.top1_uncompressed;
    let highest = curves
        .iter()
        .flat_map(|c| {
            c.points
                .iter()
                .map(|p| p.1)
                .chain(c.band.iter().map(|b| b.1))
        })
        .fold(100.0 * whole, f64::max);
    CurveFigure {
        title: format!(
            "{}: accuracy against bits sent",
            view.profile.meta.model_name
        ),
        subtitle: subtitle(view, &curves),
        x_label: format!("Sent per image [{unit}]"),
        y_label: "Top-1 accuracy [%]".to_owned(),
        log_x: true,
        y_range: (0.0, ((highest + 0.5) / 10.0).ceil().min(10.0) * 10.0),
        reference: Some((
            100.0 * whole,
            format!("whole network, nothing lost: {:.1} %", 100.0 * whole),
        )),
        curves,
    }
}

/// Name of a curve: the cut, and the stream where the cut alone does not say it.
fn label(view: &View, cut: &CutView, stream: &Stream) -> String {
    match cut.cut.kind {
        CutKind::Input => format!("picture, {}", stream.name),
        _ if view.streams_named => format!("{}, {}", cut.cut.name, stream.name),
        _ => cut.cut.name.clone(),
    }
}

type Pairs = Vec<(f64, f64)>;

/// What there is to draw of a stream: (sent, accuracy in percent), and the interval of each.
fn points_and_band(stream: &Stream, bits_per_unit: f64) -> (Pairs, Pairs) {
    let curve = mean_curve(stream);
    let start = take_off(&curve);
    let points = curve[start..]
        .iter()
        .map(|&(bits, top1)| (bits / bits_per_unit, 100.0 * top1))
        .collect();
    let Some(m) = &stream.measured else {
        return (points, Vec::new());
    };
    let ends = m.top1_low[start..].iter().zip(&m.top1_high[start..]);
    (
        points,
        ends.map(|(low, high)| (100.0 * low, 100.0 * high))
            .collect(),
    )
}

fn subtitle(view: &View, curves: &[Curve]) -> String {
    let images = view.profile.images.len();
    if images == 0 {
        return "curves as given, not measured here".to_owned();
    }
    let bands = if curves.iter().any(|c| !c.band.is_empty()) {
        "; bands: 95 % bootstrap over images"
    } else {
        ""
    };
    let text = format!("{images} images, real bytes with all headers{bands}");
    text.chars().take(SUBTITLE_CHARACTERS).collect()
}
