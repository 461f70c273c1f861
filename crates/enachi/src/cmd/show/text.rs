//! Tables and a chart for people.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};
use enachi_core::profile::{CutKind, LadderKind, Profile, Stream, Timing};
use enachi_report::text_chart::{self, TextCurve};

use super::{CutView, LOSSES, View, bits_for_loss, cheapest, mean_curve, stop, take_off};

/// Rows of the chart.
const CHART_ROWS: usize = 21;
/// Column from which the values of the head lines start.
const HEAD_COLUMN: usize = 11;

pub(super) fn page(view: &View, points: bool, stops: bool, columns: usize) -> String {
    let mut out = head(view.profile, columns);
    out.push_str("\nCuts (default stream of each; kbit per image for a top-1 loss of at most so many points)\n");
    let cuts = cut_table(view);
    out.push_str(&cuts);
    if cuts.contains('*') {
        out.push_str("* the picture needs fewer bits for this loss\n");
    }
    out.push('\n');
    out.push_str(&advice(view));
    if view.cuts.iter().any(|cut| cut.cut.head_time.is_some()) {
        let _ = write!(
            out,
            "\nTimes (ms, median and quartiles; beside them ρ·MACs/f with ρ = {RHO_CYCLES_PER_MAC} cycles per MAC, {:.0} GHz \
             device, {:.0} GHz edge)\n",
            DEVICE_HZ / 1e9,
            EDGE_HZ / 1e9
        );
        out.push_str(&time_table(view));
    }
    out.push_str("\nStreams\n");
    out.push_str(&stream_table(view));
    if view
        .cuts
        .iter()
        .flat_map(|cut| &cut.streams)
        .any(|s| (1..view.profile.images.len()).contains(&s.samples.images))
    {
        out.push_str(
            "Streams measured on fewer images have another level of accuracy; compare their losses, which are paired.\n",
        );
    }
    if points {
        for cut in &view.cuts {
            for stream in &cut.streams {
                // Writing to a string cannot fail, here and below.
                let _ = write!(
                    out,
                    "\n{} at {}\n",
                    clean(&stream.name),
                    clean(&cut.cut.name)
                );
                out.push_str(&point_table(stream));
            }
        }
    }
    out.push_str(&stop::section(view, stops));
    out.push_str(&chart(view, columns));
    out
}

/// Text from a file without what could steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn head(profile: &Profile, columns: usize) -> String {
    let meta = &profile.meta;
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        let value = clean(value);
        if !value.is_empty() {
            let width = columns.saturating_sub(HEAD_COLUMN).max(30);
            let wrapped = wrap(&value, width).join(&format!("\n{:HEAD_COLUMN$}", ""));
            let _ = writeln!(out, "{key:<HEAD_COLUMN$}{wrapped}");
        }
    };
    line(
        "Model",
        &format!("{}, {} classes", meta.model_name, meta.classes),
    );
    line("SHA-256", &meta.model_sha256);
    line("LICENCE", &meta.licence_note);
    line("Data", &meta.data_source);
    line(
        "Images",
        &match (profile.images.len(), meta.calibration_images.len()) {
            (0, _) => "none: the curves were given, not measured".to_owned(),
            (n, c) => format!("{n} measured, calibrated on {c} others"),
        },
    );
    let whole = format!("{:.1} % with nothing lost", 100.0 * meta.top1_uncompressed);
    line("Top-1", &whole);
    line("Timed on", &meta.machine);
    let made = [&meta.engine, &meta.enachi_version];
    if made.iter().any(|text| !text.is_empty()) {
        line(
            "Made by",
            &format!("enachi {}, engine {}", meta.enachi_version, meta.engine),
        );
    }
    line("Command", &meta.command_line);
    let settings: Vec<String> = meta
        .settings
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    line("Settings", &settings.join(" "));
    out
}

/// Lines of at most `width` characters, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("starts with one line");
        let used = last.chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if used > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// A table whose first `left` columns are text and whose others are numbers.
pub(super) fn table(head: &[&str], left: usize) -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_header(head.iter().enumerate().map(|(column, name)| {
        Cell::new(name).set_alignment(if column < left {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        })
    }));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

pub(super) fn rendered(table: &Table) -> String {
    table.trim_fmt() + "\n"
}

fn cut_table(view: &View) -> String {
    let mut table = table(
        &[
            "#",
            "cut",
            "maps",
            "head\nGMAC",
            "tail\nGMAC",
            "head\nms",
            "tail\nms",
            "codec ms\nenc/dec",
            "top-1\n%",
            "kbit\nloss ≤ 1",
            "kbit\nloss ≤ 3",
            "kbit\nloss ≤ 6",
        ],
        3,
    );
    for cut in &view.cuts {
        let c = cut.cut;
        let stream = cut.streams.first().copied();
        let codec = stream.map_or("–".to_owned(), |s| {
            format!(
                "{}/{}",
                milliseconds(s.encode_time),
                milliseconds(s.decode_time)
            )
        });
        let mut row = vec![
            cut.index.to_string(),
            clean(&c.name),
            format!("{}×{}×{}", c.maps, c.height, c.width),
            giga(c.head_macs),
            giga(c.tail_macs),
            milliseconds(c.head_time),
            milliseconds(c.tail_time),
            codec,
            format!("{:.1}", 100.0 * c.top1_uncompressed),
        ];
        row.extend(LOSSES.map(|points| match (c.kind, stream) {
            (CutKind::Local, _) => "0".to_owned(),
            (_, None) => "–".to_owned(),
            (kind, Some(stream)) => {
                let picture = cheapest(view, CutKind::Input, points).map(|offer| offer.bits);
                match (bits_for_loss(c, stream, points), picture) {
                    (None, _) => "–".to_owned(),
                    (Some(bits), Some(other)) if kind == CutKind::Feature && other < bits => {
                        format!("{}*", kilobits(bits))
                    }
                    (Some(bits), _) => kilobits(bits),
                }
            }
        }));
        table.add_row(row);
    }
    rendered(&table)
}

/// Cycles per MAC, device and edge clock of the paper's evaluation: what its model would make of the MACs.
const RHO_CYCLES_PER_MAC: f64 = 0.1345;
const DEVICE_HZ: f64 = 2e9;
const EDGE_HZ: f64 = 20e9;

fn time_table(view: &View) -> String {
    let mut table = table(
        &[
            "#",
            "cut",
            "head",
            "quartiles",
            "model",
            "encode",
            "quartiles",
            "model",
            "decode",
            "quartiles",
            "model",
            "tail",
            "quartiles",
            "model",
            "runs × threads",
        ],
        2,
    );
    for cut in &view.cuts {
        let c = cut.cut;
        let stream = cut.streams.first();
        let mut row = vec![cut.index.to_string(), clean(&c.name)];
        for (time, macs, frequency_hz) in [
            (c.head_time, c.head_macs, DEVICE_HZ),
            (
                stream.and_then(|s| s.encode_time),
                stream.map_or(0, |s| s.encode_macs),
                DEVICE_HZ,
            ),
            (
                stream.and_then(|s| s.decode_time),
                stream.map_or(0, |s| s.decode_macs),
                EDGE_HZ,
            ),
            (c.tail_time, c.tail_macs, EDGE_HZ),
        ] {
            let ms = |seconds: f64| significant(1e3 * seconds);
            row.push(milliseconds(time));
            row.push(time.map_or("–".to_owned(), |t| {
                format!("{} to {}", ms(t.p25_s), ms(t.p75_s))
            }));
            row.push(ms(RHO_CYCLES_PER_MAC * macs as f64 / frequency_hz));
        }
        row.push(
            c.head_time
                .map_or("–".to_owned(), |t| format!("{} × {}", t.runs, t.threads)),
        );
        table.add_row(row);
    }
    rendered(&table)
}

fn stream_table(view: &View) -> String {
    let mut table = table(
        &[
            "#",
            "cut",
            "stream",
            "images",
            "ladder",
            "chunks",
            "kbit\nin all",
            "codec MMAC\nenc/dec",
            "a0",
            "a1",
            "a2",
            "fit rmse\npoints",
            "kbit\nloss ≤ 1",
            "kbit\nloss ≤ 3",
            "kbit\nloss ≤ 6",
        ],
        3,
    );
    for cut in &view.cuts {
        for stream in &cut.streams {
            let mut row = vec![
                cut.index.to_string(),
                clean(&cut.cut.name),
                clean(&stream.name),
                match stream.samples.images {
                    0 => "–".to_owned(),
                    images => images.to_string(),
                },
                match stream.ladder {
                    LadderKind::Embedded => "prefix".to_owned(),
                    LadderKind::Alternatives => "one of".to_owned(),
                },
                stream.total_chunks.to_string(),
                kilobits(stream.total_bits),
                format!("{}/{}", mega(stream.encode_macs), mega(stream.decode_macs)),
            ];
            match &stream.surrogate {
                Some(s) => row.extend([
                    significant(s.a0),
                    significant(s.a1),
                    format!("{:.3}", s.a2),
                    format!("{:.1}", 100.0 * s.rmse),
                ]),
                None => row.extend(["–"; 4].map(str::to_owned)),
            }
            row.extend(LOSSES.map(|points| {
                bits_for_loss(cut.cut, stream, points).map_or("–".to_owned(), kilobits)
            }));
            table.add_row(row);
        }
    }
    rendered(&table)
}

fn point_table(stream: &Stream) -> String {
    let Some(m) = &stream.measured else {
        return "no measured curve\n".to_owned();
    };
    let mut table = table(
        &[
            "",
            "chunks",
            "kbit",
            "top-1 %",
            "95 %",
            "loss, points",
            "95 %",
        ],
        1,
    );
    for (c, chunks) in stream.checkpoint_chunks.iter().enumerate() {
        let range = |low: f64, high: f64| format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high);
        let on_envelope = m.envelope.iter().any(|&e| e as usize == c);
        table.add_row([
            if on_envelope { "•" } else { "" }.to_owned(),
            chunks.to_string(),
            kilobits(m.bits[c]),
            format!("{:.1}", 100.0 * m.top1[c]),
            range(m.top1_low[c], m.top1_high[c]),
            format!("{:.1}", 100.0 * m.loss[c]),
            range(m.loss_low[c], m.loss_high[c]),
        ]);
    }
    rendered(&table) + "• on the upper concave envelope\n"
}

/// Says for each loss whether to send the picture or a feature.
fn advice(view: &View) -> String {
    let mut out = String::new();
    for points in LOSSES {
        let picture = cheapest(view, CutKind::Input, points);
        let feature = cheapest(view, CutKind::Feature, points);
        let lead = format!(
            "At most {points:.0} point{} lost:",
            if points == 1.0 { "" } else { "s" }
        );
        let name = |offer: &super::Offer| {
            format!(
                "{} at {}",
                clean(&offer.stream.name),
                clean(&offer.cut.name)
            )
        };
        let line = match (&picture, &feature) {
            (None, None) => "no stream shown reaches it".to_owned(),
            (Some(p), None) => format!(
                "SEND THE PICTURE ({}, {} kbit); no feature cut shown reaches it",
                clean(&p.stream.name),
                kilobits(p.bits)
            ),
            (None, Some(f)) => format!("{} needs {} kbit", name(f), kilobits(f.bits)),
            (Some(p), Some(f)) if p.bits < f.bits => format!(
                "SEND THE PICTURE ({}, {} kbit); the best feature cut, {}, needs {} kbit",
                clean(&p.stream.name),
                kilobits(p.bits),
                name(f),
                kilobits(f.bits)
            ),
            (Some(p), Some(f)) => format!(
                "{} needs {} kbit, {:.0} % of the picture ({}, {} kbit)",
                name(f),
                kilobits(f.bits),
                100.0 * f.bits / p.bits,
                clean(&p.stream.name),
                kilobits(p.bits)
            ),
        };
        let _ = writeln!(out, "{lead} {line}.");
    }
    out
}

fn chart(view: &View, columns: usize) -> String {
    let drawn = view.drawn();
    // The digit of a curve is its cut's index where that is enough to tell curves apart.
    let mark_of = |position: usize, cut: &CutView| {
        text_chart::mark(if view.streams_named {
            position
        } else {
            cut.index
        })
    };
    let curves: Vec<TextCurve> = drawn
        .iter()
        .enumerate()
        .map(|(position, (cut, stream))| TextCurve {
            mark: mark_of(position, cut),
            points: {
                let curve = mean_curve(stream);
                let drawn = curve[take_off(&curve)..].iter();
                drawn.map(|&(bits, top1)| (bits / 1e3, top1)).collect()
            },
        })
        .collect();
    let highest = curves
        .iter()
        .flat_map(|c| c.points.iter().map(|p| p.1))
        .fold(view.profile.meta.top1_uncompressed, f64::max);
    let y_max = ((highest * 10.0).ceil() / 10.0).clamp(0.1, 1.0);
    let body = text_chart::draw(&curves, y_max, "kbit per image", columns, CHART_ROWS);
    if body.is_empty() {
        return String::new();
    }
    let mut out = format!("\nTop-1 against bits sent\n{body}");
    for (position, (cut, stream)) in drawn.iter().enumerate() {
        let (mark, stream, cut_name) = (
            mark_of(position, cut),
            clean(&stream.name),
            clean(&cut.cut.name),
        );
        let _ = writeln!(out, "       {mark}  {stream} at {cut_name}");
    }
    out
}

pub(super) fn kilobits(bits: f64) -> String {
    significant(bits / 1e3)
}

/// Three significant digits without an exponent.
pub(super) fn significant(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn giga(macs: u64) -> String {
    format!("{:.3}", macs as f64 / 1e9)
}

fn mega(macs: u64) -> String {
    significant(macs as f64 / 1e6)
}

fn milliseconds(timing: Option<Timing>) -> String {
    timing.map_or("–".to_owned(), |t| significant(t.median_s * 1e3))
}
