//! `enachi show`.

mod export;
mod figure;
mod stop;
mod text;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use enachi_core::curve::AccuracyCurve;
use enachi_core::profile::{CutKind, CutProfile, Profile, Stream};

/// Paired losses that the tables answer for \[points of top-1\].
const LOSSES: [f64; 3] = [1.0, 3.0, 6.0];
/// Columns of text when the output is not a terminal.
const PIPE_COLUMNS: usize = 100;

/// Arguments of `enachi show`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  enachi show
  enachi show resnet50.parquet
  enachi show resnet50.parquet --plot accuracy.svg
  enachi show resnet50.parquet --cut layer3.5 --points
  enachi show resnet50.parquet --cut layer3.5 --stops --stop-plot stops.svg
  enachi show resnet50.parquet --cut layer3.5 --stream task-klt --stream raw8-taylor
  enachi show resnet50.parquet --format json | jq '.cuts[].name'
  enachi show resnet50.parquet --format csv > curves.csv")]
pub struct Args {
    /// Profile file (Parquet, as written by `enachi profile`); without it, the embedded MobileNetV2.
    profile: Option<PathBuf>,
    /// Only this cut, by name or index; may be repeated.
    #[arg(long, value_name = "NAME|INDEX")]
    cut: Vec<String>,
    /// Only streams of this name; may be repeated. Charts draw them instead of each cut's default stream.
    #[arg(long, value_name = "NAME")]
    stream: Vec<String>,
    /// List every checkpoint of the streams shown, with 95 % intervals.
    #[arg(long)]
    points: bool,
    /// Draw accuracy against bits to a file that ends in .svg or .png.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// List every threshold of the stop rules of the streams shown; with --format csv, in place of the curves.
    #[arg(long)]
    stops: bool,
    /// Draw what stopping early saves and loses to a file that ends in .svg or .png: all rules of one stream, or the predictors
    /// of several.
    #[arg(long, value_name = "FILE")]
    stop_plot: Option<PathBuf>,
    /// Form of the output.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Form of the output.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Tables and a chart.
    Text,
    /// One JSON document.
    Json,
    /// One line per cut, stream and checkpoint, or, with --stops, per cut, stream, rule and threshold.
    Csv,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let profile = match &args.profile {
        Some(path) => enachi_data::profile::read(path)?,
        None => enachi_data::profile::embedded_default()?,
    };
    let view = View::new(&profile, &args)?;
    if let Some(path) = &args.plot {
        figure::figure(&view)
            .save(path)
            .context("cannot draw the figure")?;
    }
    if let Some(path) = &args.stop_plot {
        let figure = stop::figure(&view)
            .context("--stop-plot: none of the streams shown has a predictor in this profile")?;
        figure.save(path).context("cannot draw the figure")?;
    }
    let output = match args.format {
        Format::Text => text::page(&view, args.points, args.stops, text_columns()),
        Format::Json => export::json(&view)?,
        Format::Csv if args.stops => stop::csv(&view),
        Format::Csv => export::csv(&view),
    };
    print(&output)
}

/// Writes to standard output; a reader that has seen enough is no error.
fn print(output: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(output.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write the output"),
    }
}

fn text_columns() -> usize {
    if !std::io::stdout().is_terminal() {
        return PIPE_COLUMNS;
    }
    let width = comfy_table::Table::new().width();
    width.map_or(PIPE_COLUMNS, usize::from).clamp(60, 160)
}

/// The part of a profile that was asked for.
struct View<'a> {
    profile: &'a Profile,
    cuts: Vec<CutView<'a>>,
    /// Streams were named, so that not the default ones are meant.
    streams_named: bool,
}

/// A cut and those of its streams that were asked for.
struct CutView<'a> {
    index: usize,
    cut: &'a CutProfile,
    streams: Vec<&'a Stream>,
}

impl<'a> View<'a> {
    fn new(profile: &'a Profile, args: &Args) -> anyhow::Result<Self> {
        let wanted = |index: usize, cut: &CutProfile| {
            let index = index.to_string();
            args.cut.is_empty() || args.cut.iter().any(|c| *c == cut.name || *c == index)
        };
        for name in &args.cut {
            let known = |(index, cut): (usize, &CutProfile)| {
                *name == cut.name || *name == index.to_string()
            };
            if !profile.cuts.iter().enumerate().any(known) {
                let names: Vec<&str> = profile.cuts.iter().map(|c| c.name.as_str()).collect();
                bail!("no cut `{name}`; the profile has {}", names.join(", "));
            }
        }
        let cuts: Vec<CutView> = profile
            .cuts
            .iter()
            .enumerate()
            .filter(|(index, cut)| wanted(*index, cut))
            .map(|(index, cut)| CutView {
                index,
                cut,
                streams: cut
                    .streams
                    .iter()
                    .filter(|s| args.stream.is_empty() || args.stream.contains(&s.name))
                    .collect(),
            })
            .collect();
        for name in &args.stream {
            if !cuts
                .iter()
                .any(|c| c.streams.iter().any(|s| s.name == *name))
            {
                let mut names: Vec<&str> = cuts
                    .iter()
                    .flat_map(|c| c.cut.streams.iter().map(|s| s.name.as_str()))
                    .collect();
                names.sort_unstable();
                names.dedup();
                bail!(
                    "no stream `{name}` at these cuts; there are {}",
                    names.join(", ")
                );
            }
        }
        Ok(View {
            profile,
            cuts,
            streams_named: !args.stream.is_empty(),
        })
    }

    /// The streams to draw, each with its cut: the default one of each cut and the picture as WebP too, or those that
    /// were named.
    fn drawn(&self) -> Vec<(&CutView<'a>, &'a Stream)> {
        let is_drawn = |cut: &CutView, nth: usize, stream: &Stream| {
            let picture = cut.cut.kind == CutKind::Input && stream.name == "webp";
            self.streams_named || nth == 0 || picture
        };
        self.cuts
            .iter()
            .flat_map(|cut| {
                cut.streams
                    .iter()
                    .enumerate()
                    .filter(move |(nth, stream)| is_drawn(cut, *nth, stream))
                    .map(move |(_, stream)| (cut, *stream))
            })
            .collect()
    }
}

/// Steps in which the surrogate stands in for a measured curve.
const SURROGATE_STEPS: u32 = 32;

/// The mean curve (bits, top-1): as measured, or ENACHI (14) where only that is known.
fn mean_curve(stream: &Stream) -> Vec<(f64, f64)> {
    if let Some(measured) = &stream.measured {
        return measured
            .bits
            .iter()
            .copied()
            .zip(measured.top1.iter().copied())
            .collect();
    }
    let fitted = stream
        .surrogate
        .as_ref()
        .and_then(|surrogate| AccuracyCurve::fitted(surrogate, stream.total_bits).ok());
    let Some(curve) = fitted else {
        return Vec::new();
    };
    (0..=SURROGATE_STEPS)
        .map(|step| {
            // Quadratic, since (14) bends at the start.
            let beta = (f64::from(step) / f64::from(SURROGATE_STEPS)).powi(2);
            let bits = beta * stream.total_bits;
            (bits, curve.accuracy(bits))
        })
        .collect()
}

/// Index from which a curve is worth drawing: on a logarithmic axis the long foot before it, where nothing is right
/// yet, would take most of the room. The point before the rise stays.
fn take_off(curve: &[(f64, f64)]) -> usize {
    let highest = curve
        .iter()
        .fold(0.0, |most: f64, &(_, top1)| most.max(top1));
    let rise = curve.iter().position(|&(_, top1)| top1 > 0.04 * highest);
    let first_sent = curve.iter().position(|&(bits, _)| bits > 0.0).unwrap_or(0);
    rise.map_or(0, |at| at.saturating_sub(1)).max(first_sent)
}

/// Bits of the first point of the mean curve that loses at most `points` of top-1 against the uncompressed network.
/// Measured losses are paired by image.
fn bits_for_loss(cut: &CutProfile, stream: &Stream, points: f64) -> Option<f64> {
    // Means of right and wrong answers differ from their decimal form in the last digit.
    let allowed = points / 100.0 + 1e-9;
    match &stream.measured {
        Some(measured) => {
            let at = measured.loss.iter().position(|&loss| loss <= allowed)?;
            Some(measured.bits[at])
        }
        None => mean_curve(stream)
            .into_iter()
            .find(|&(_, top1)| cut.top1_uncompressed - top1 <= allowed)
            .map(|(bits, _)| bits),
    }
}

/// The cheapest of several ways to send, by bits.
struct Offer<'a> {
    cut: &'a CutProfile,
    stream: &'a Stream,
    bits: f64,
}

/// The cheapest default stream of a feature cut, or the cheapest stream of the picture, within a loss.
fn cheapest<'a>(view: &View<'a>, kind: CutKind, points: f64) -> Option<Offer<'a>> {
    let streams = view
        .cuts
        .iter()
        .filter(|c| c.cut.kind == kind)
        .flat_map(|c| {
            let count = if kind == CutKind::Input || view.streams_named {
                usize::MAX
            } else {
                1
            };
            c.streams.iter().take(count).map(move |s| (c.cut, *s))
        });
    streams
        .filter_map(|(cut, stream)| {
            let bits = bits_for_loss(cut, stream, points)?;
            Some(Offer { cut, stream, bits })
        })
        .min_by(|a, b| a.bits.total_cmp(&b.bits))
}
