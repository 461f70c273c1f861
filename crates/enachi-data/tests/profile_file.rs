//! The profile file: what is written comes back, and whatever else is found in a file ends in one clear error.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use enachi_core::profile::{
    LadderKind, PredictorReport, Profile, RuleReport, Samples, StopPoint, round_prediction,
};
use enachi_data::profile::{self as file, KEY_FORMAT, KEY_JSON, KEY_SHA256, KEY_VERSION};
use parquet::column::writer::ColumnWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::RowAccessor;
use sha2::{Digest, Sha256};

fn small() -> Profile {
    common::profile(&common::SMALL)
}

fn bytes_of(profile: &Profile) -> Vec<u8> {
    file::to_bytes(profile).expect("a valid profile")
}

/// The message for bytes that must not be accepted.
fn refusal(bytes: &[u8]) -> String {
    let error = file::read_bytes("p.parquet", bytes).expect_err("must be refused");
    let message = error.to_string();
    assert!(message.starts_with("profile p.parquet: "), "{message}");
    message
}

fn assert_refused(bytes: &[u8], part: &str) {
    let message = refusal(bytes);
    assert!(message.contains(part), "`{message}` lacks `{part}`");
}

#[test]
fn comes_back_as_it_was_and_in_the_same_bytes() {
    let mut profile = small();
    // A stream that was measured on fewer images than the others.
    let fewer = &mut profile.cuts[1].streams[1].samples;
    fewer.images = 13;
    let cells = 13 * fewer.checkpoints;
    fewer.bits.truncate(cells);
    fewer.top1.truncate(cells);
    fewer.correct.truncate(cells);
    fewer.entropy_nats.truncate(cells);
    // Numbers without a short decimal form.
    profile.meta.top1_uncompressed = 1.0 / 3.0;
    profile.cuts[1].streams[0].total_bits = 1e5 + 0.1 + 0.2;
    let bytes = bytes_of(&profile);
    let back = file::read_bytes("p.parquet", &bytes).expect("a valid file");
    assert_eq!(back, profile);
    assert_eq!(bytes_of(&back), bytes);
}

#[test]
fn entropy_is_rounded_to_a_thousandth_of_a_nat() {
    let mut profile = small();
    profile.cuts[1].streams[0].samples.entropy_nats[7] = 0.123_456;
    let back = file::read_bytes("p", &bytes_of(&profile)).expect("a valid file");
    let stored = back.cuts[1].streams[0].samples.entropy_nats[7];
    assert_eq!(stored, 126.0 / 1024.0);
}

/// The small profile with predictions and a report on the second cut's first stream.
fn predicted() -> Profile {
    let mut profile = small();
    let stream = &mut profile.cuts[1].streams[0];
    let samples = &mut stream.samples;
    samples.predicted_nats = samples
        .entropy_nats
        .iter()
        .map(|nats| round_prediction(0.9 * nats + 0.003))
        .collect();
    let point = |threshold: f64| StopPoint {
        threshold,
        mean_bits: 1000.0 / 3.0,
        bits_saved: 0.25,
        loss: -0.01,
        loss_upper: 0.004,
    };
    stream.predictor = Some(PredictorReport {
        inputs: 40,
        hidden: 32,
        folds: 5,
        rmse_nats: 0.1 + 0.2,
        mae_nats: 0.1,
        rank_correlation: 0.9,
        rank_correlation_within: 0.8,
        ladder: vec![point(0.1), point(0.2)],
        default_threshold_nats: 0.2,
        rules: vec![RuleReport {
            name: "genie".to_owned(),
            best: Some(point(0.0)),
            ladder: Vec::new(),
        }],
        evaluate_time: None,
    });
    profile
}

#[test]
fn predictions_and_their_report_come_back() {
    let profile = predicted();
    let bytes = bytes_of(&profile);
    let back = file::read_bytes("p", &bytes).expect("a valid file");
    assert_eq!(back, profile);
    assert_eq!(bytes_of(&back), bytes);
    assert!(json_of(&bytes).contains("\"rank_correlation_within\""));
    // Without any predictor neither the column nor the field is written: the file is that of older versions.
    let plain = bytes_of(&small());
    assert!(!json_of(&plain).contains("\"predictor\""));
    assert_eq!(find_all(&plain, b"predicted_nats"), 0);
    assert!(find_all(&bytes, b"predicted_nats") > 0);
}

#[test]
fn odd_predictions_are_placed() {
    let profile = predicted();
    let parts = Parts::of(&profile);
    assert_eq!(parts.columns.len(), 10);
    // Row 240 is the first of cut 1 (40 images × 6 checkpoints of cut 0 before it), row 480 the first without a predictor.
    let forged = |row: usize, value: f32| {
        let mut forged = parts.clone();
        if let Values::Float(values) = &mut forged.column("predicted_nats").1 {
            values[row] = value;
        }
        forged.bytes()
    };
    for bad in [f32::NAN, -0.1, 2.4, f32::INFINITY] {
        assert_refused(
            &forged(249, bad),
            "image 1 (image_00001.jpg), checkpoint 3]: predicted uncertainty",
        );
    }
    assert_refused(&forged(481, 0.5), "streams[1] (raw8-1).samples");
    let mut moved = parts.clone();
    moved.columns.swap(8, 9);
    assert_refused(&moved.bytes(), "must be column");
    let mut report = parts.clone();
    report.replace_json("\"bits_saved\":0.25", "\"bits_saved\":1.25");
    assert_refused(
        &report.bytes(),
        "predictor.ladder[0].bits_saved: 1.25 is not in 0..=1",
    );
    let mut report = parts;
    report.replace_json("\"threshold\":0.2", "\"threshold\":0.1");
    assert_refused(&report.bytes(), "must ascend");
}

fn find_all(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).filter(|w| *w == needle).count()
}

#[test]
fn a_profile_of_curves_alone_has_no_rows() {
    let mut profile = small();
    profile.images.clear();
    for stream in profile.cuts.iter_mut().flat_map(|cut| &mut cut.streams) {
        stream.samples = Samples::default();
        stream.checkpoint_chunks.clear();
        stream.measured = None;
    }
    let back = file::read_bytes("p", &bytes_of(&profile)).expect("a valid file");
    assert_eq!(back, profile);
}

#[test]
fn a_file_is_replaced_only_on_request_and_never_left_half_written() {
    let folder = std::env::temp_dir().join(format!("enachi-profile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("small.parquet");
    let mut profile = small();
    file::write(&path, &profile, false).expect("the first write");
    let first = std::fs::read(&path).unwrap();
    assert_eq!(first, bytes_of(&profile));

    profile.meta.model_name = "another".to_owned();
    let error = file::write(&path, &profile, false).expect_err("must not replace");
    assert!(matches!(error.problem, file::Problem::Exists), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), first);
    file::write(&path, &profile, true).expect("asked to replace");
    assert_eq!(file::read(&path).unwrap(), profile);

    profile.meta.classes = 1;
    let error = file::write(&path, &profile, true).expect_err("an invalid profile");
    assert!(error.to_string().contains("meta.classes"), "{error}");
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        1,
        "no temporary file is left"
    );
    std::fs::remove_dir_all(&folder).unwrap();

    let error = file::read(&path).expect_err("the file is gone");
    assert!(error.to_string().contains("small.parquet"), "{error}");
}

#[test]
fn every_truncation_is_refused() {
    let bytes = bytes_of(&small());
    for end in 0..bytes.len() {
        assert_refused(&bytes[..end], "not a complete Parquet file");
    }
}

#[test]
fn any_single_changed_bit_of_the_data_is_noticed() {
    let bytes = bytes_of(&small());
    let footer = footer_start(&bytes);
    let mut changed = bytes.clone();
    for at in 4..footer {
        changed[at] ^= 0x10;
        assert_refused(&changed, "do not match their checksum");
        changed[at] = bytes[at];
    }
}

fn footer_start(bytes: &[u8]) -> usize {
    let trailer = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[trailer..trailer + 4].try_into().unwrap());
    trailer - length as usize
}

/// Damage anywhere, with the checksum made right again afterwards, as a forger would: any answer but a panic or a
/// profile that breaks its own rules.
#[test]
fn random_damage_never_panics() {
    let whole = bytes_of(&small());
    let footer = footer_start(&whole);
    let rounds = std::env::var("ENACHI_DAMAGE_ROUNDS").map_or(4000, |n| n.parse().unwrap());
    let mut random = common::Random(rounds);
    let mut accepted = 0;
    for round in 0..rounds {
        let mut bytes = whole.clone();
        // Half of the rounds hit the footer without its long JSON document, where the structure is.
        let json = find(&bytes, b"{\"profile\"");
        let structure: Vec<usize> = (footer..json)
            .chain(bytes.len() - 160..bytes.len())
            .collect();
        for _ in 0..1 + random.next() % 3 {
            let at = match round % 4 {
                0 => random.next() as usize % bytes.len(),
                1 => 4 + random.next() as usize % (footer - 4),
                _ => structure[random.next() as usize % structure.len()],
            };
            bytes[at] = match random.next() % 3 {
                0 => random.next() as u8,
                1 => bytes[at] ^ (1 << (random.next() % 8)),
                _ => bytes[at].wrapping_add(1),
            };
        }
        mend_checksum(&whole, &mut bytes);
        if let Ok(profile) = file::read_bytes("p", &bytes) {
            profile.validate().expect("what is handed out is valid");
            accepted += 1;
        }
    }
    assert!(accepted < rounds / 2, "{accepted} of {rounds} accepted");
}

fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes
        .windows(needle.len())
        .position(|w| w == needle)
        .expect("present")
}

fn json_of(bytes: &[u8]) -> String {
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
    let pairs = reader
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap();
    let pair = pairs.iter().find(|pair| pair.key == KEY_JSON).unwrap();
    pair.value.clone().unwrap()
}

fn sha256(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Recomputes the checksum in place where the damaged file still has its layout.
fn mend_checksum(whole: &[u8], damaged: &mut [u8]) {
    let footer = footer_start(whole);
    let json = json_of(whole);
    let at = find(whole, json.as_bytes());
    let old = sha256(&[&whole[..footer], json.as_bytes()]);
    let slot = find(whole, old.as_bytes());
    let new = sha256(&[&damaged[..footer], &damaged[at..at + json.len()]]);
    damaged[slot..slot + 64].copy_from_slice(new.as_bytes());
}

/// One column of a forged file.
#[derive(Clone)]
enum Values {
    Int(Vec<i32>),
    Bool(Vec<bool>),
    Float(Vec<f32>),
}

/// The parts of a profile file, to be put together wrongly.
#[derive(Clone)]
struct Parts {
    columns: Vec<(String, Values)>,
    pairs: Vec<(&'static str, String)>,
    json: String,
}

impl Parts {
    fn of(profile: &Profile) -> Parts {
        let bytes = bytes_of(profile);
        let json = json_of(&bytes);
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let names = [
            "cut",
            "stream",
            "image",
            "checkpoint",
            "chunks",
            "bits",
            "top1",
        ];
        let rows: Vec<_> = reader
            .get_row_iter(None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut columns: Vec<(String, Values)> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let cell = |row: &parquet::record::Row| {
                    row.get_uint(i)
                        .unwrap_or_else(|_| row.get_ushort(i).unwrap().into())
                        as i32
                };
                (
                    (*name).to_owned(),
                    Values::Int(rows.iter().map(cell).collect()),
                )
            })
            .collect();
        let correct = rows.iter().map(|row| row.get_bool(7).unwrap()).collect();
        columns.push(("correct".to_owned(), Values::Bool(correct)));
        let entropy = rows.iter().map(|row| row.get_float(8).unwrap()).collect();
        columns.push(("entropy_nats".to_owned(), Values::Float(entropy)));
        if rows.first().is_some_and(|row| row.len() > 9) {
            let predicted = rows.iter().map(|row| row.get_float(9).unwrap()).collect();
            columns.push(("predicted_nats".to_owned(), Values::Float(predicted)));
        }
        let pairs = vec![
            (KEY_FORMAT, file::FORMAT.to_owned()),
            (KEY_VERSION, file::VERSION.to_string()),
        ];
        Parts {
            columns,
            pairs,
            json,
        }
    }

    fn ints(&mut self, name: &str) -> &mut Vec<i32> {
        match &mut self.column(name).1 {
            Values::Int(values) => values,
            _ => panic!("{name} is not an integer column"),
        }
    }

    fn column(&mut self, name: &str) -> &mut (String, Values) {
        self.columns.iter_mut().find(|c| c.0 == name).unwrap()
    }

    fn replace_json(&mut self, old: &str, new: &str) {
        assert!(self.json.contains(old), "{old}");
        self.json = self.json.replacen(old, new, 1);
    }

    /// A file with a right checksum and whatever else the parts say.
    fn bytes(&self) -> Vec<u8> {
        let fields: String = self
            .columns
            .iter()
            .map(|(name, values)| match values {
                Values::Int(_) => format!("REQUIRED INT32 {name};"),
                Values::Bool(_) => format!("REQUIRED BOOLEAN {name};"),
                Values::Float(_) => format!("REQUIRED FLOAT {name};"),
            })
            .collect();
        let schema = format!("message m {{ {fields} }}");
        let schema = Arc::new(parquet::schema::parser::parse_message_type(&schema).unwrap());
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_offset_index_disabled(true)
            .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
            .build();
        let mut writer =
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for (_, values) in &self.columns {
            let mut slot = group.next_column().unwrap().unwrap();
            match (slot.untyped(), values) {
                (ColumnWriter::Int32ColumnWriter(out), Values::Int(v)) => {
                    out.write_batch(v, None, None)
                }
                (ColumnWriter::BoolColumnWriter(out), Values::Bool(v)) => {
                    out.write_batch(v, None, None)
                }
                (ColumnWriter::FloatColumnWriter(out), Values::Float(v)) => {
                    out.write_batch(v, None, None)
                }
                _ => unreachable!(),
            }
            .unwrap();
            slot.close().unwrap();
        }
        group.close().unwrap();
        writer.flush().unwrap();
        let checksum = sha256(&[writer.inner(), self.json.as_bytes()]);
        let mut pairs = self.pairs.clone();
        pairs.extend([(KEY_SHA256, checksum), (KEY_JSON, self.json.clone())]);
        for (key, value) in pairs {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        writer.into_inner().unwrap()
    }
}

#[test]
fn files_of_another_kind_or_version_are_named_as_such() {
    assert_refused(b"", "not a complete Parquet file");
    assert_refused(&[0x89; 4096], "does not start with `PAR1`");
    let parts = Parts::of(&small());
    assert_eq!(
        file::read_bytes("p", &parts.bytes()).expect("forged but right"),
        small()
    );

    let mut other = parts.clone();
    other.pairs[0].1 = "taxi-rides".to_owned();
    assert_refused(
        &other.bytes(),
        "`enachi.format` is `taxi-rides`, expected `enachi-profile`",
    );
    other.pairs.remove(0);
    assert_refused(&other.bytes(), "`enachi.format` is missing");

    let mut newer = parts.clone();
    newer.pairs[1].1 = "2".to_owned();
    assert_refused(
        &newer.bytes(),
        "format version 2; this build reads version 1",
    );
}

#[test]
fn columns_that_are_missing_or_of_another_type_are_named() {
    let parts = Parts::of(&small());
    for index in 0..parts.columns.len() {
        let mut fewer = parts.clone();
        let (name, _) = fewer.columns.remove(index);
        assert_refused(&fewer.bytes(), &format!("column `{name}` is missing"));
    }
    let mut retyped = parts.clone();
    let values = retyped.ints("bits").iter().map(|&b| b as f32).collect();
    retyped.column("bits").1 = Values::Float(values);
    assert_refused(&retyped.bytes(), "column `bits` must be a required INT32");
    let mut swapped = parts.clone();
    swapped.columns.swap(5, 6);
    assert_refused(&swapped.bytes(), "column `bits` must be column 5");
}

#[test]
fn values_out_of_range_are_placed() {
    let parts = Parts::of(&small());
    let row = 9;
    let forged = |edit: &dyn Fn(&mut Parts)| {
        let mut forged = parts.clone();
        edit(&mut forged);
        forged.bytes()
    };
    let top1 = forged(&|p| p.ints("top1")[row] = 10);
    assert_refused(&top1, "checkpoint 3]: top1 10 must be below 10 classes");
    let top1 = forged(&|p| p.ints("top1")[row] = 70_000);
    assert_refused(&top1, "column `top1` is 70000 in row 9");
    let bits = forged(&|p| p.ints("bits")[0] = 8);
    assert_refused(&bits, "8 bits before anything is sent");
    let bits = forged(&|p| p.ints("bits")[40 * 6 + 5] = 1);
    assert_refused(&bits, "cumulative bits must not fall");
    let image = forged(&|p| p.ints("image")[row] = -1);
    assert_refused(&image, "column `image` is 4294967295 in row 9");
    let chunks = forged(&|p| p.ints("chunks")[row] += 1);
    assert_refused(&chunks, "column `chunks`");
    let correct = forged(&|p| {
        if let Values::Bool(values) = &mut p.column("correct").1 {
            values[row] = !values[row];
        }
    });
    assert_refused(&correct, "but top1 is");
    for bad in [-0.5, f32::NAN, f32::INFINITY, 2.4] {
        let entropy = forged(&|p| {
            if let Values::Float(values) = &mut p.column("entropy_nats").1 {
                values[row] = bad;
            }
        });
        assert_refused(&entropy, "nat is outside 0..=ln(10)");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused_before_memory_is_taken() {
    let profile = small();
    let parts = Parts::of(&profile);
    let forged = |old: &str, new: &str| {
        let mut forged = parts.clone();
        forged.replace_json(old, new);
        forged.bytes()
    };
    let sampled = "\"sampled_images\":[[40],[40,40],[40,40],[]]";
    assert_refused(
        &forged(
            sampled,
            "\"sampled_images\":[[4000000000000],[40,40],[40,40],[]]",
        ),
        "4000000000000 images of 40 at cut input, stream jpeg",
    );
    assert_refused(
        &forged(sampled, "\"sampled_images\":[[40],[40,40],[40],[]]"),
        "lists 1 streams of 2 at cut stage2",
    );
    assert_refused(
        &forged(sampled, "\"sampled_images\":[[40]]"),
        "lists 1 cuts of 4",
    );
    assert_refused(
        &forged(sampled, "\"sampled_images\":[[39],[40,40],[40,40],[]]"),
        "1200 in 1 row groups, expected 1194",
    );
    let mut longer = parts.clone();
    for (_, values) in &mut longer.columns {
        match values {
            Values::Int(v) => v.push(0),
            Values::Bool(v) => v.push(false),
            Values::Float(v) => v.push(0.0),
        }
    }
    assert_refused(&longer.bytes(), "1201 in 1 row groups, expected 1200");
}

#[test]
fn a_page_that_claims_to_unpack_to_megabytes_is_not_unpacked() {
    let whole = bytes_of(&common::profile(&common::Size {
        images: 400,
        ..common::SMALL
    }));
    // The first page header: type 0, then the uncompressed size, 12000 rows x 4 bytes, as a zigzag varint.
    let size = [0x80, 0xee, 0x05];
    assert_eq!(&whole[4..10], [&[0x15, 0x00, 0x15][..], &size].concat());
    let mut bomb = whole.clone();
    bomb[7..10].copy_from_slice(&[0xfe, 0xff, 0x7f]);
    mend_checksum(&whole, &mut bomb);
    assert_refused(
        &bomb,
        "column `cut`: 1048575 bytes uncompressed, 12000 rows need at most",
    );
}

#[test]
fn json_that_is_not_a_profile_is_refused() {
    let parts = Parts::of(&small());
    let with = |json: &str| {
        let mut forged = parts.clone();
        forged.json = json.to_owned();
        forged.bytes()
    };
    assert_refused(&with(""), "metadata key `enachi.profile`");
    assert_refused(&with("{}"), "missing field `profile`");
    assert_refused(&with(&"[".repeat(100_000)), "metadata key `enachi.profile`");
    let mut null = parts.clone();
    null.replace_json("\"classes\":10", "\"classes\":null");
    assert_refused(
        &null.bytes(),
        "metadata key `enachi.profile`: invalid type: null",
    );
}

#[test]
fn a_profile_that_contradicts_itself_is_not_written() {
    type Edit = fn(&mut Profile);
    let cases: [(&str, Edit); 14] = [
        ("cuts: 0 cuts", |p| p.cuts.clear()),
        ("only the last cut may be all local", |p| p.cuts.swap(2, 3)),
        ("only the first cut may be the input", |p| p.cuts.swap(0, 1)),
        ("the name appears twice", |p| {
            p.cuts[2].name = "stage1".to_owned()
        }),
        ("cuts[1] (stage1).streams[0] (klt-dct).total_bits: 0", |p| {
            p.cuts[1].streams[0].total_bits = 0.0;
        }),
        ("must start at 0", |p| {
            p.cuts[1].streams[0].checkpoint_chunks[0] = 1
        }),
        ("must ascend", |p| {
            p.cuts[1].streams[0].checkpoint_chunks[2] = 4
        }),
        ("above total_chunks", |p| {
            p.cuts[1].streams[0].total_chunks = 3
        }),
        ("surrogate.a0: -1", |p| {
            p.cuts[1].streams[0].surrogate.as_mut().unwrap().a0 = -1.0;
        }),
        ("measured.top1: 5 entries for 6", |p| {
            p.cuts[1].streams[0].measured.as_mut().unwrap().top1.pop();
        }),
        ("measured.loss_low: entry 2 is NaN", |p| {
            p.cuts[1].streams[0].measured.as_mut().unwrap().loss_low[2] = f64::NAN;
        }),
        ("measured.envelope: must be ascending", |p| {
            p.cuts[1].streams[0]
                .measured
                .as_mut()
                .unwrap()
                .envelope
                .push(99);
        }),
        ("samples: 40 images, the profile has 39", |p| {
            p.images.pop();
        }),
        ("head_time.median_s: -1 s", |p| {
            p.cuts[1].head_time.as_mut().unwrap().median_s = -1.0;
        }),
    ];
    for (part, edit) in cases {
        let mut profile = small();
        edit(&mut profile);
        let message = file::to_bytes(&profile).expect_err(part).to_string();
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
}

#[test]
fn a_ladder_of_alternatives_may_shrink_for_one_image() {
    let mut profile = small();
    let stream = &mut profile.cuts[0].streams[0];
    assert_eq!(stream.ladder, LadderKind::Alternatives);
    stream.samples.bits[3] = 1;
    assert!(file::to_bytes(&profile).is_ok());
}
