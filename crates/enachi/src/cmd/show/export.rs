//! The profile's curves for other programs.

use std::fmt::Write;

use enachi_core::profile::{CutKind, LadderKind, Stream};
use serde_json::{Value, json};

use super::{CutView, View, mean_curve};

/// `{"cuts": [{"name", "maps", "head_macs", "tail_macs", "top1_uncompressed", "curve": [{"bits", "top1"}], ...}]}`;
/// `curve` is that of the first stream shown.
pub(super) fn json(view: &View) -> anyhow::Result<String> {
    let cuts: Vec<Value> = view.cuts.iter().map(cut).collect();
    let meta = &view.profile.meta;
    let document = json!({
        "model": meta.model_name,
        "model_sha256": meta.model_sha256,
        "licence_note": meta.licence_note,
        "cuts": cuts,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn cut(view: &CutView) -> Value {
    let cut = view.cut;
    let curve: Vec<(f64, f64)> = match view.streams.first() {
        Some(stream) => mean_curve(stream),
        // All local: no bits, nothing lost.
        None if cut.kind == CutKind::Local => vec![(0.0, cut.top1_uncompressed)],
        None => Vec::new(),
    };
    let curve: Vec<Value> = curve
        .into_iter()
        .map(|(bits, top1)| json!({"bits": bits, "top1": top1}))
        .collect();
    json!({
        "index": view.index,
        "name": cut.name,
        "kind": cut.kind,
        "maps": cut.maps,
        "height": cut.height,
        "width": cut.width,
        "head_macs": cut.head_macs,
        "tail_macs": cut.tail_macs,
        "head_time_s": cut.head_time.map(|t| t.median_s),
        "tail_time_s": cut.tail_time.map(|t| t.median_s),
        "top1_uncompressed": cut.top1_uncompressed,
        "curve": curve,
        "streams": view.streams.iter().map(|s| stream(s)).collect::<Vec<_>>(),
    })
}

fn stream(stream: &Stream) -> Value {
    json!({
        "name": stream.name,
        "images": stream.samples.images,
        "ladder": stream.ladder,
        "total_bits": stream.total_bits,
        "total_chunks": stream.total_chunks,
        "encode_macs": stream.encode_macs,
        "decode_macs": stream.decode_macs,
        "encode_time_s": stream.encode_time.map(|t| t.median_s),
        "decode_time_s": stream.decode_time.map(|t| t.median_s),
        "checkpoint_chunks": stream.checkpoint_chunks,
        "surrogate": stream.surrogate,
        "measured": stream.measured,
        "predictor": stream.predictor,
    })
}

/// One line per cut, stream and checkpoint of the measured curves, with a head line.
pub(super) fn csv(view: &View) -> String {
    let mut out = String::from(
        "cut,cut_name,stream,images,ladder,checkpoint,chunks,bits,top1,top1_low,top1_high,loss,loss_low,loss_high\n",
    );
    for cut in &view.cuts {
        for stream in &cut.streams {
            let Some(m) = &stream.measured else { continue };
            let ladder = match stream.ladder {
                LadderKind::Embedded => "embedded",
                LadderKind::Alternatives => "alternatives",
            };
            for (c, chunks) in stream.checkpoint_chunks.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    out,
                    "{},{},{},{},{ladder},{c},{chunks},{},{},{},{},{},{},{}",
                    cut.index,
                    quoted(&cut.cut.name),
                    quoted(&stream.name),
                    stream.samples.images,
                    m.bits[c],
                    m.top1[c],
                    m.top1_low[c],
                    m.top1_high[c],
                    m.loss[c],
                    m.loss_low[c],
                    m.loss_high[c],
                );
            }
        }
    }
    out
}

/// A CSV field after RFC 4180.
pub(super) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
