//! Gain traces through both formats, and what is not one.
#![allow(clippy::unwrap_used)]

use enachi_data::trace::{GainTrace, TraceRow, TraceStep, TraceWriter};
use std::path::PathBuf;

fn csv(text: &str) -> Result<GainTrace, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    GainTrace::read(&path).map_err(|error| error.to_string())
}

fn refused(text: &str, parts: &[&str]) {
    let message = csv(text).expect_err(text);
    for part in ["t.csv: "].iter().chain(parts) {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn both_formats_keep_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<TraceRow> = (0..2000)
        .map(|i| TraceRow {
            device: i % 3,
            slot: u64::from(i / 3),
            gain: 1e-9 / (1.0 + f64::from(i)).sqrt(),
            mean_gain: 1.0 / (3.0 + f64::from(i)),
        })
        .take(1998)
        .collect();
    let mut read = Vec::new();
    for name in ["t.csv", "t.parquet", "T.CSV"] {
        let path = folder.path().join(name);
        let mut writer = TraceWriter::create(&path).unwrap();
        for part in rows.chunks(700) {
            writer.write(part).unwrap();
        }
        writer.finish().unwrap();
        read.push(GainTrace::read(&path).unwrap());
    }
    assert_eq!((read[0].rows(), read[0].step), (666, TraceStep::Slots(1)));
    for row in &rows {
        let (device, slot) = (row.device as usize, row.slot as usize);
        assert_eq!(read[0].gains[device][slot], row.gain);
        assert_eq!(
            read[0].mean_gains.as_ref().unwrap()[device][slot],
            row.mean_gain
        );
    }
    assert!(read.iter().all(|trace| *trace == read[0]));
}

#[test]
fn decibels_seconds_and_other_columns() {
    let trace = csv(
        "time_s,who,device,gain_db\n0,a,0,-90\n0, b ,1,-100\n0.010,a,0,-80\n0.010,b,1,-110\n0.0201,a,0,-70\n0.0201,b,1,-120\n",
    );
    let trace = trace.unwrap();
    assert_eq!(trace.rows(), 3);
    let TraceStep::Seconds(step_s) = trace.step else {
        panic!("seconds");
    };
    assert!((step_s - 0.01005).abs() < 1e-9);
    assert!((trace.gains[0][1] / 1e-8 - 1.0).abs() < 1e-12);
    assert!((trace.gains[1][2] / 1e-12 - 1.0).abs() < 1e-12);
    assert!(trace.mean_gains.is_none());
    let coarse = csv("device,slot,gain\n0,0,0.1\n0,10,0.2\n0,20,0.3\n").unwrap();
    assert_eq!(coarse.step, TraceStep::Slots(10));
}

#[test]
fn bad_traces_name_row_value_and_what_is_allowed() {
    let head = "device,slot,gain\n";
    let bad = |rows: &str, parts: &[&str]| refused(&format!("{head}{rows}"), parts);
    bad(
        "0,0,0.1\n0,1,0\n",
        &["row 3: gain = 0: must be above 0 and at most 1"],
    );
    bad("0,0,0.1\n0,1,-80\n", &["row 3: gain = -80", "above 0"]);
    bad("0,0,0.1\n0,1,nan\n", &["row 3: gain = NaN"]);
    bad("0,0,0.1\n0,1,inf\n", &["gain = inf"]);
    bad("0,0,0.1\n0,1,\n", &["row 3: gain = \"\": must be a number"]);
    bad(
        "0,0,0.1\n0,x,0.1\n",
        &["row 3: slot = \"x\": must be a number"],
    );
    bad(
        "0,0,0.1\n0,1,0.1\n0,3,0.1\n",
        &["row 4: slot = 3: must be 2", "without gaps"],
    );
    bad(
        "0,0,0.1\n0,2,0.1\n0,1,0.1\n",
        &["row 4: slot = 1: must be 4", "in order of time"],
    );
    bad("0,0,0.1\n0,0,0.1\n", &["row 3: slot = 0: must be above 0"]);
    bad(
        "0,1,0.1\n0,2,0.1\n",
        &["row 2: slot = 1: must be 0 in the first row of device 0"],
    );
    bad("0,0,0.1\n0,-1,0.1\n", &["row 3: slot = -1"]);
    bad(
        "0,0,0.1\n0,1.5,0.1\n",
        &["row 3: slot = 1.5: must be a whole number"],
    );
    bad(
        "0,0,0.1\n2,0,0.1\n",
        &["row 3: device = 2: must be a whole number in 0..=1"],
    );
    bad("0.5,0,0.1\n", &["row 2: device = 0.5"]);
    bad(
        "0,0,0.1\n0,1,0.1\n1,0,0.1\n",
        &["device 1 has 1 rows: must be 2"],
    );
    bad("0,0,0.1\n", &["must be at least two rows"]);
    bad("", &["0 rows"]);
    bad("0,0\n", &["not a readable CSV file"]);
    refused(
        "device,slot\n0,0\n",
        &["column `gain` or `gain_db`: is missing; there are device, slot"],
    );
    refused("slot,gain\n0,0.1\n", &["column `device`: is missing"]);
    refused(
        "device,slot,gain,gain_db\n",
        &["column `gain`, `gain_db`: must be one of the two"],
    );
    refused(
        "device,slot,gain_db\n0,0,90\n",
        &["gain_db = 90", "a path loss of 90 dB is a gain of -90"],
    );
    refused(
        "device,slot,gain,mean_gain\n0,0,0.1,0\n",
        &["row 2: mean_gain = 0"],
    );
    refused(
        "device,time_s,gain\n0,0,0.1\n0,0.1,0.1\n0,0.3,0.1\n",
        &["row 4: time_s = 0.3: must be 0.2"],
    );
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, bytes: Option<&[u8]>| {
        let path: PathBuf = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        GainTrace::read(&path).unwrap_err().to_string()
    };
    assert!(read("none.csv", None).contains("none.csv: "));
    assert!(read("gains.txt", Some(b"")).contains("must end in .csv or .parquet"));
    assert!(read("x.parquet", Some(b"PAR1 nonsense")).contains("not a readable Parquet file"));
    assert!(read("x.csv", Some(b"\xff\xfe\x00\n\xff,\n")).contains("x.csv: "));
    assert!(TraceWriter::create(&folder.path().join("gains.txt")).is_err());
}
