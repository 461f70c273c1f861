//! Records through every format, and what is not records.
#![allow(clippy::unwrap_used)]

use enachi_core::record::{FrameRecord, Names, Outcome, SlotRecord, StopReason, TaskQueue};
use enachi_data::records::{
    Format, append_frames, lines_to_parquet, read_frames, read_frames_bytes, write_frames,
    write_slots,
};

fn names() -> Names {
    Names {
        policies: vec!["enachi".into(), "best, \"static\"".into()],
        cuts: vec!["input".into(), "layer1".into()],
        streams: vec!["jpeg".into(), "klt-dct".into()],
    }
}

fn rows() -> Vec<FrameRecord> {
    (0..70_000_u32)
        .map(|i| FrameRecord {
            policy: (i % 2) as u16,
            seed: 7,
            frame: i / 10,
            device: i % 10,
            image: (i % 3 > 0).then_some(i % 600),
            cut: (i % 5 > 0).then_some(u16::from(i % 5 > 1)),
            stream: (i % 5 > 0).then_some(u16::from(i % 5 > 1)),
            level: (i % 5 == 1).then_some(4),
            bandwidth_hz: 1e6 / f64::from(i + 3),
            reference_power_w: 0.1 + f64::from(i).sqrt(),
            mean_power_w: 0.3,
            planned_gain: 1.5e-11,
            mean_gain: 1e-300,
            planned_bits: 1.0 / 3.0,
            planned_accuracy: 0.7,
            bits: f64::from(i) * 17.25,
            chunks: i,
            fraction: 0.25,
            outcome: Outcome::ALL[i as usize % 7],
            stop_reason: StopReason::ALL[i as usize % 5],
            correct: i % 7 < 5,
            entropy_nats: (i % 5 > 0).then_some(0.5),
            energy_local_j: 0.1,
            energy_codec_j: 0.02,
            energy_transmit_j: 0.003,
            energy_queue_j: 12.0,
            power_queue_w: 4.0,
            slots: 200,
            ready_time_s: 0.02,
            sent_time_s: 0.2,
            batch_time_s: 0.28,
            answer_time_s: 0.3,
            tasks: None,
        })
        .collect()
}

#[test]
fn parquet_round_trip_is_exact_and_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        folder.path().join("a.parquet"),
        folder.path().join("b.parquet"),
    );
    let rows = rows();
    write_frames(&a, Format::Parquet, &names(), &rows).unwrap();
    write_frames(&b, Format::Parquet, &names(), &rows).unwrap();
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    let (read_names, read) = read_frames(&a).unwrap();
    assert_eq!(read_names, names());
    assert_eq!(read, rows);
}

/// Appended in pieces of any size, of which only some have arrivals, they become the file that is written at once.
#[test]
fn lines_become_the_same_parquet_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for arrivals in [false, true] {
        let mut rows = rows();
        rows.truncate(9000);
        if arrivals {
            rows[6000].tasks = Some(TaskQueue::default());
        }
        write_frames(&path("a.parquet"), Format::Parquet, &names(), &rows).unwrap();
        let mut lines = std::fs::File::create(path("a.jsonl")).unwrap();
        for piece in rows.chunks(701) {
            append_frames(&mut lines, &names(), piece).unwrap();
        }
        let count = lines_to_parquet(&path("a.jsonl"), &path("b.parquet"), &names()).unwrap();
        assert_eq!(count, 9000);
        let [a, b] = ["a.parquet", "b.parquet"].map(|name| std::fs::read(path(name)).unwrap());
        assert!(a == b);
    }
    let cut = std::fs::read_to_string(path("a.jsonl")).unwrap();
    std::fs::write(path("a.jsonl"), &cut[..cut.len() - 10]).unwrap();
    let error = lines_to_parquet(&path("a.jsonl"), &path("c.parquet"), &names()).unwrap_err();
    assert!(error.to_string().contains("line 9000"), "{error}");
}

#[test]
fn arrivals_are_columns_only_where_there_are_any() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = rows()[..20].to_vec();
    let columns = |rows: &[FrameRecord]| {
        let csv = folder.path().join("a.csv");
        write_frames(&csv, Format::Csv, &names(), rows).unwrap();
        let text = std::fs::read_to_string(&csv).unwrap();
        text.lines().next().unwrap().to_string()
    };
    assert!(!columns(&rows).contains("arrived"));
    rows[3].tasks = Some(TaskQueue {
        arrived: 4,
        dropped: 2,
        waiting: 1,
        waited_frames: 7,
    });
    assert!(columns(&rows).ends_with("answer_time_s,arrived,dropped,waiting,waited_frames"));
    let parquet = folder.path().join("a.parquet");
    write_frames(&parquet, Format::Parquet, &names(), &rows).unwrap();
    assert_eq!(read_frames(&parquet).unwrap().1, rows);
}

#[test]
fn text_formats_have_one_line_per_row_and_quote() {
    let folder = tempfile::tempdir().unwrap();
    let rows = &rows()[..20];
    let csv = folder.path().join("a.csv");
    write_frames(&csv, Format::Csv, &names(), rows).unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 21);
    assert!(lines[0].starts_with("policy,seed,frame,device,image,cut"));
    assert!(lines[2].starts_with("\"best, \"\"static\"\"\",7,0,1,1,input"));
    assert!(lines[1].starts_with("enachi,7,0,0,,,"), "{}", lines[1]);

    let json = folder.path().join("a.jsonl");
    write_frames(&json, Format::JsonLines, &names(), rows).unwrap();
    for (line, row) in std::fs::read_to_string(&json).unwrap().lines().zip(rows) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["bandwidth_hz"].as_f64(), Some(row.bandwidth_hz));
        assert_eq!(value["correct"].as_bool(), Some(row.correct));
        assert_eq!(value["image"].as_u64(), row.image.map(u64::from));
    }
}

#[test]
fn slots_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slots.csv");
    let slot = SlotRecord {
        policy: 0,
        seed: 1,
        frame: 2,
        device: 3,
        slot: 4,
        gain: 1e-12,
        power_w: 0.5,
        bits: 1000.0,
        power_queue_w: 0.25,
        checkpoint: 6,
    };
    write_slots(&path, Format::Csv, &names(), &[slot]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().nth(1),
        Some("enachi,1,2,3,4,0.000000000001,0.5,1000,0.25,6")
    );
}

#[test]
fn damaged_or_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write_frames(&path, Format::Parquet, &names(), &rows()[..100]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 3, 100, bytes.len() / 2, bytes.len() - 1] {
        let cut = bytes::Bytes::copy_from_slice(&bytes[..length]);
        assert!(read_frames_bytes("cut.parquet", cut).is_err(), "{length}");
    }
    let slots = folder.path().join("slots.parquet");
    write_slots(&slots, Format::Parquet, &names(), &[]).unwrap();
    // No rows, no columns to miss: an empty table of another kind reads as no records.
    assert!(read_frames(&slots).unwrap().1.is_empty());
    assert!(read_frames(&folder.path().join("missing")).is_err());
}
