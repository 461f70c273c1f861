//! `enachi cuts` from outside.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use enachi_model::fixtures::{NetBuilder, residual_net, value_info};

/// Write the network to a file, run `enachi cuts` on it with `options`, remove the file.
fn cuts(name: &str, net: &NetBuilder, options: &[&str]) -> Output {
    let path = std::env::temp_dir().join(format!("enachi-cuts-{name}-{}.onnx", std::process::id()));
    std::fs::write(&path, net.bytes()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_enachi"))
        .arg("cuts")
        .arg(&path)
        .args(options)
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    output
}

#[test]
fn the_json_listing_has_the_promised_fields() {
    let output = cuts("json", &residual_net(8), &["--format", "json"]);
    assert!(output.status.success());
    let listing: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cuts = listing["cuts"].as_array().unwrap();
    assert_eq!(cuts.len(), 11);
    let dw = cuts.iter().find(|cut| cut["name"] == "dw").unwrap();
    assert_eq!(
        (&dw["maps"], &dw["height"], &dw["width"]),
        (&8.into(), &4.into(), &4.into())
    );
    let total = listing["total_macs"].as_u64().unwrap();
    for cut in cuts {
        let macs = |key: &str| cut[key].as_u64().unwrap();
        assert_eq!(macs("head_macs") + macs("tail_macs"), total);
    }
    assert_eq!(
        (&cuts[0]["kind"], &cuts[10]["kind"]),
        (&"input".into(), &"local".into())
    );
}

#[test]
fn table_and_csv_list_the_same_cuts() {
    let table = cuts("table", &residual_net(8), &["--blocks"]);
    let table = String::from_utf8(table.stdout).unwrap();
    let csv = cuts("csv", &residual_net(8), &["--blocks", "--format", "csv"]);
    let csv = String::from_utf8(csv.stdout).unwrap();
    let names: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap())
        .collect();
    assert_eq!(names, ["input", "block", "dw", "logits"]);
    assert!(names.iter().all(|name| table.contains(name)));
    assert!(!table.contains("stem.relu"));
}

#[test]
fn errors_name_the_file_and_the_mend() {
    let mut open = residual_net(8);
    open.graph.input = vec![value_info("input", &[None, Some(3), None, None])];
    let output = cuts("open", &open, &[]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("enachi-cuts-open") && text.contains("--input-shape"),
        "{text}"
    );
    let output = cuts(
        "given",
        &open,
        &["--input-shape", "1,3,16,16", "--format", "csv"],
    );
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains(",1x8x16x16,")
    );
}
