//! The committed network, run by the project's own engine.

use enachi_model::codec::{Codec, EncoderScratch};
use enachi_model::engine::{Engine, RtenEngine};
use enachi_model::graph::{Graph, LoadOptions};
use enachi_model::tensor::Tensor;
use enachi_tiny::{CLASSES, MODEL, MODEL_SHA256, Picture, SIDE, Split, image};
use sha2::{Digest, Sha256};
use std::path::Path;

fn engine() -> RtenEngine {
    RtenEngine::from_bytes(MODEL, &LoadOptions::default()).expect("the network loads")
}

fn batch(pictures: &[Picture]) -> Tensor {
    let side = SIDE as usize;
    Tensor {
        shape: vec![pictures.len(), 3, side, side],
        data: pictures.iter().flat_map(Picture::input).collect(),
    }
}

fn right(logits: &Tensor, pictures: &[Picture]) -> Vec<bool> {
    logits
        .data
        .chunks(CLASSES)
        .zip(pictures)
        .map(|(row, picture)| {
            let own = row[usize::from(picture.label)];
            row.iter().filter(|&&other| other >= own).count() == 1
        })
        .collect()
}

#[test]
fn hash_is_that_of_the_embedded_file() {
    let hash: String = Sha256::digest(MODEL)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(hash, MODEL_SHA256);
    assert!(MODEL.len() < 500_000, "{} bytes", MODEL.len());
}

#[test]
fn stages_are_legal_cuts() {
    let graph = Graph::from_bytes(MODEL, &LoadOptions::default()).expect("a legal network");
    let side = SIDE as usize;
    assert_eq!(graph.input_shape(), [1, 3, side, side]);
    assert_eq!(graph.classes(), CLASSES);
    let mut before = 0;
    for (name, channels, halvings) in [
        ("stem", 16, 1),
        ("stage1", 24, 2),
        ("stage2", 48, 3),
        ("stage3", 64, 4),
    ] {
        let cut = graph
            .cut(name)
            .unwrap_or_else(|| panic!("no cut at {name}"));
        assert!(cut.splittable);
        assert_eq!(cut.shape, [1, channels, side >> halvings, side >> halvings]);
        assert!(cut.head_macs > before && cut.tail_macs > 0);
        before = cut.head_macs;
    }
    let stages: Vec<&str> = graph
        .stage_cuts()
        .iter()
        .map(|cut| cut.name.as_str())
        .collect();
    assert!(
        stages.ends_with(&["stage1", "stage2", "stage3"]),
        "{stages:?}"
    );
}

#[test]
fn more_than_95_percent_right_and_the_hard_pictures_are_harder() {
    let engine = engine();
    let pictures: Vec<Picture> = (0..600).map(|index| image(Split::Test, index)).collect();
    let right: Vec<bool> = pictures
        .chunks(100)
        .flat_map(|some| {
            let logits = engine.run("input", &batch(some), "logits").expect("runs");
            right(&logits, some)
        })
        .collect();
    let share = |keep: &dyn Fn(&Picture) -> bool| {
        let kept: Vec<bool> = pictures
            .iter()
            .zip(&right)
            .filter(|(p, _)| keep(p))
            .map(|(_, r)| *r)
            .collect();
        kept.iter().filter(|r| **r).count() as f64 / kept.len() as f64
    };
    let (all, easy, hard) = (
        share(&|_| true),
        share(&|p| p.hardness < 0.1),
        share(&|p| p.hardness > 0.4),
    );
    assert!(all >= 0.95, "{all}");
    assert!(easy > hard, "easy {easy}, hard {hard}");
}

#[test]
fn the_network_split_at_a_stage_answers_as_the_whole_one() {
    let engine = engine();
    let pictures: Vec<Picture> = (0..4).map(|index| image(Split::Test, index)).collect();
    let input = batch(&pictures);
    let whole = engine.run("input", &input, "logits").expect("runs");
    for cut in ["stem", "stage1", "stage2", "stage3"] {
        let feature = engine.run("input", &input, cut).expect("head");
        let logits = engine.run(cut, &feature, "logits").expect("tail");
        for (a, b) in whole.data.iter().zip(&logits.data) {
            assert!((a - b).abs() < 1e-3, "{cut}: {a} {b}");
        }
    }
}

#[test]
fn the_committed_profile_and_codec_tables_are_of_this_network() {
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
    let profile = enachi_data::profile::read(&profiles.join("tiny.parquet")).expect("a profile");
    assert_eq!(profile.meta.model_sha256, MODEL_SHA256);
    let tables = std::fs::read(profiles.join("tiny.tables.safetensors")).expect("tables");
    let tables = enachi_model::codec::file::for_profile(&profile, &tables).expect("its tables");
    // A stream of today's encoder has the chunks that the profile counted, and a decoder reads them all.
    let picture = image(Split::Test, 0);
    let input = batch(std::slice::from_ref(&picture));
    for (name, tables) in tables {
        let feature = engine().run("input", &input, &name).expect("head");
        let codec = Codec::new(tables).expect("valid tables");
        let mut decoder = codec.decoder();
        let chunks = codec.encode(&feature.data, &mut EncoderScratch::default());
        let cut = profile.cuts.iter().find(|cut| cut.name == name);
        let stream = &cut.expect("a cut of the profile").streams[0];
        assert_eq!(chunks.len(), stream.total_chunks as usize, "{name}");
        for chunk in &chunks {
            decoder
                .push(chunk.id, &chunk.payload)
                .expect("its own chunk");
        }
        let mut decoded = feature.clone();
        decoder.reconstruct(&mut decoded.data);
        let logits = engine().run(&name, &decoded, "logits").expect("tail");
        assert!(right(&logits, std::slice::from_ref(&picture))[0], "{name}");
    }
}

/// The profile's bits were counted when it was measured; today's encoder must write the same streams from its tables.
#[test]
fn the_committed_tables_give_the_streams_that_the_profile_counted() {
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
    let profile = enachi_data::profile::read(&profiles.join("tiny.parquet")).expect("a profile");
    let tables = std::fs::read(profiles.join("tiny.tables.safetensors")).expect("tables");
    let tables = enachi_model::codec::file::for_profile(&profile, &tables).expect("its tables");
    let list = std::fs::read_to_string(profiles.join("tiny.images.csv")).expect("the list");
    let pictures: Vec<Picture> = list
        .lines()
        .filter_map(|line| line.strip_prefix("measured,"))
        .take(6)
        .map(|line| {
            let number = line
                .strip_prefix("calibration-")
                .and_then(|rest| rest.split_once(".png"));
            let index = number.expect("a picture of the calibration split").0;
            image(Split::Calibration, index.parse().expect("a number"))
        })
        .collect();
    let input = batch(&pictures);
    for (name, tables) in tables {
        let features = engine().run("input", &input, &name).expect("head");
        let codec = Codec::new(tables).expect("valid tables");
        let cut = profile.cuts.iter().find(|cut| cut.name == name);
        let samples = &cut.expect("a cut of the profile").streams[0].samples;
        let each = features.data.len() / pictures.len();
        for (i, feature) in features.data.chunks_exact(each).enumerate() {
            let chunks = codec.encode(feature, &mut EncoderScratch::default());
            let bits = 8 * chunks.iter().map(|c| c.air_bytes()).sum::<usize>() as i64;
            let counted = i64::from(samples.bits[samples.at(i, samples.checkpoints - 1)]);
            // Sums in another order round differently and may move a coefficient across a threshold.
            assert!(
                (bits - counted).abs() <= 16 + counted / 500,
                "{name}, picture {i}: {bits} bits, {counted} in the profile"
            );
        }
    }
}
