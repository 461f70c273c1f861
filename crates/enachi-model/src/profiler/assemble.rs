//! From the journal to a [`Profile`].

use super::Job;
use super::journal::Row;
use super::streams::{Coder, StreamPlan};
use super::timing::Timings;
use crate::predictor::Fitted;
use enachi_core::fit;
use enachi_core::profile::{
    CutKind, CutProfile, Image, Meta, PredictorReport, Profile, Samples, Stream,
};

/// Everything but the provenance that only the caller knows.
pub fn profile(
    job: &Job,
    plan: &[StreamPlan],
    rows: &[Row],
    samples: Vec<Samples>,
    predictors: &[Option<Fitted>],
    timings: &Timings,
) -> Profile {
    let labels: Vec<u16> = job.measured.iter().map(|item| job.class(item)).collect();
    let images: Vec<Image> = job
        .measured
        .iter()
        .zip(&labels)
        .zip(rows)
        .map(|((item, &label), row)| Image {
            name: item.name.clone(),
            label,
            top1: row.top1,
        })
        .collect();
    let correct: Vec<bool> = images.iter().map(|i| i.label == i.top1).collect();
    let top1_uncompressed = correct.iter().filter(|&&c| c).count() as f64 / correct.len() as f64;
    let classes = job.graph.classes() as u32;
    let floor = 1.0 / f64::from(classes);
    let mut samples: Vec<Option<Samples>> = samples.into_iter().map(Some).collect();
    let mut stream = |s: usize| {
        let plan = &plan[s];
        let mut samples = samples[s].take().unwrap_or_default();
        let predictor = predictors[s].as_ref().map(|fitted| {
            samples.predicted_nats = fitted.predictions.clone();
            PredictorReport {
                evaluate_time: timings.predictors[s],
                ..fitted.report.clone()
            }
        });
        let measured = fit::measure(&samples, &correct[..plan.images], job.settings.seed);
        let total_bits = measured.bits.last().copied().unwrap_or(0.0);
        let (encode_macs, decode_macs) = plan.macs();
        let times = timings.streams[s];
        Stream {
            name: plan.name.clone(),
            ladder: plan.ladder(),
            encode_macs,
            decode_macs,
            encode_time: times.map(|t| t.0),
            decode_time: times.map(|t| t.1),
            total_bits,
            total_chunks: plan.total_chunks,
            checkpoint_chunks: plan.checkpoints.clone(),
            surrogate: fit::fit_surrogate(&measured.bits, &measured.top1, total_bits, floor),
            measured: Some(measured),
            predictor,
            samples,
        }
    };
    let cut = |(index, cut): (usize, &crate::graph::Cut)| CutProfile {
        name: cut.name.clone(),
        kind: cut.kind,
        maps: cut.maps as u32,
        height: cut.height as u32,
        width: cut.width as u32,
        head_macs: cut.head_macs,
        tail_macs: cut.tail_macs,
        head_time: Some(timings.cuts[index].0),
        tail_time: Some(timings.cuts[index].1),
        streams: if cut.kind == CutKind::Local {
            Vec::new()
        } else {
            (0..plan.len())
                .filter(|&s| plan[s].cut == index)
                .map(&mut stream)
                .collect()
        },
        top1_uncompressed,
    };
    let all = job.graph.cuts();
    let ends = (all.first(), all.last());
    let cuts = ends
        .0
        .into_iter()
        .chain(&job.cuts)
        .chain(ends.1)
        .enumerate()
        .map(cut)
        .collect();
    Profile {
        meta: Meta {
            model_sha256: job.graph.sha256().to_string(),
            classes,
            top1_uncompressed,
            engine: match (job.engine.name(), job.timing_engine.name()) {
                (answers, times) if answers == times => answers,
                (answers, times) => format!("answers by {answers}, times of {times}"),
            },
            settings: settings(job, plan),
            calibration_images: job.calibration.iter().map(|i| i.name.clone()).collect(),
            ..Meta::default()
        },
        cuts,
        images,
    }
}

/// What was measured, per stream of the plan. `nothing` is the answer per cut when nothing was sent.
pub fn samples(
    job: &Job,
    plan: &[StreamPlan],
    rows: &[Row],
    nothing: &[(u16, f32)],
) -> Vec<Samples> {
    let stream = |(s, stream): (usize, &StreamPlan)| {
        let mut samples = Samples {
            images: stream.images,
            checkpoints: stream.checkpoints.len(),
            ..Samples::default()
        };
        let nothing = (0, nothing[stream.cut].0, nothing[stream.cut].1);
        for (row, item) in rows[..stream.images].iter().zip(&job.measured) {
            let outcomes = row.streams[s].iter().flatten().copied();
            for (bits, top1, entropy) in std::iter::once(nothing).chain(outcomes) {
                samples.bits.push(bits);
                samples.top1.push(top1);
                samples.correct.push(top1 == job.class(item));
                samples.entropy_nats.push(entropy);
            }
        }
        samples
    };
    plan.iter().enumerate().map(stream).collect()
}

/// Every setting as text.
fn settings(job: &Job, plan: &[StreamPlan]) -> std::collections::BTreeMap<String, String> {
    let mut map = std::collections::BTreeMap::new();
    let s = &job.settings;
    let mut set = |key: &str, value: String| map.insert(key.to_string(), value);
    set("seed", s.seed.to_string());
    set("checkpoints", s.checkpoints.to_string());
    set(
        "codec.channels",
        format!("{:?}", s.codec.channels).to_lowercase(),
    );
    set(
        "codec.spatial",
        format!("{:?}", s.codec.spatial).to_lowercase(),
    );
    set(
        "codec.block",
        s.codec.block.map_or("auto".into(), |b| b.to_string()),
    );
    set("codec.chunk_bytes", s.codec.chunk_bytes.to_string());
    set("codec.band_bytes", s.codec.band_bytes.to_string());
    match s.max_divergence_nats {
        Some(limit) => set("codec.max_divergence_nats", limit.to_string()),
        None => set("codec.snr_db", s.codec.snr_db.to_string()),
    };
    set(
        "codec.keep",
        s.codec.keep.map_or("all".into(), |k| k.to_string()),
    );
    set("jpeg.qualities", format!("{:?}", s.jpeg_qualities));
    set(
        "jpeg.mode",
        "progressive, 4:2:0, optimised Huffman tables".into(),
    );
    set("webp.qualities", format!("{:?}", s.webp_qualities));
    set("webp.mode", "libwebp, method 6".into());
    set("picture_sides", format!("{:?}", s.picture_sides));
    set("raw_images", s.raw_images.to_string());
    set("label_offset", s.label_offset.to_string());
    set("preprocess", format!("{:?}", job.preprocess));
    for stream in plan {
        if let Coder::Picture(rungs) = &stream.coder {
            let names: Vec<String> = rungs.iter().map(|rung| rung.to_string()).collect();
            set(&format!("{}.rungs", stream.name), names.join(", "));
        }
        if let Coder::Feature { codec, .. } = &stream.coder {
            let t = codec.tables();
            let g = t.geometry;
            set(
                &format!("cut.{}", job.cuts[stream.cut - 1].name),
                format!(
                    "{} of {} maps kept, {}x{} blocks, step {}, {} bands, {} chunks",
                    t.kept,
                    g.maps,
                    g.block_height,
                    g.block_width,
                    t.step,
                    t.bands.len(),
                    t.chunks.len()
                ),
            );
        }
    }
    map
}
