//! `enachi plan` from outside: the example of its help, its answer checked from the grants, and its errors.

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn plan(input: &str, extra: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_enachi"))
        .args(["plan", "--input", "-"])
        .args(extra)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes())
        .expect("it reads all of it");
    child.wait_with_output().expect("it ends")
}

fn problem() -> Value {
    let sent = json!({"name": "layer2.0", "transmit_time_s": 0.2, "local_energy_j": 0.06,
        "bits": [0, 2e4, 5e4, 2e5], "accuracy": [0.001, 0.6, 0.72, 0.79]});
    let local = json!({"name": "local", "transmit_time_s": 0, "local_energy_j": 0.25, "bits": [0], "accuracy": [0.8]});
    json!({
        "bandwidth_hz": 2e5, "noise_psd_w_per_hz": 3.3e-20, "v": 50, "power_max_w": 2,
        "devices": [
            {"energy_queue_j": 20, "gain": 1.5e-11, "cuts": [sent, local]},
            {"energy_queue_j": 300, "gain": 5e-12, "cuts": [sent, local]},
            {"energy_queue_j": 0, "gain": 5e-12, "cuts": [sent]},
            {"energy_queue_j": 1, "gain": 5e-12, "cuts": []}
        ]
    })
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn answer_is_feasible_and_adds_up() {
    for variant in ["joint", "sequential"] {
        let mut input = problem();
        input["variant"] = json!(variant);
        let output = plan(&input.to_string(), &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let keys: Vec<&str> = answer
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys.len(), 5, "{keys:?}");
        let (mut objective, mut band) = (0.0, 0.0);
        let devices = input["devices"].as_array().expect("an array");
        let grants = answer["grants"].as_array().expect("an array");
        assert_eq!(grants.len(), devices.len());
        for (device, grant) in devices.iter().zip(grants) {
            let cuts = device["cuts"].as_array().expect("an array");
            let Some(cut) = cuts.iter().find(|cut| cut["name"] == grant["cut"]) else {
                assert_eq!((&grant["cut"], cuts.len()), (&Value::Null, 0));
                continue;
            };
            let (width, power, bits) = (
                number(&grant["bandwidth_hz"]),
                number(&grant["power_w"]),
                number(&grant["bits"]),
            );
            let time = number(&cut["transmit_time_s"]);
            let snr = number(&device["gain"]) * power / (3.3e-20 * width.max(1e-300));
            assert!(power <= 2.0);
            assert!(bits <= width * time * (1.0 + snr).log2() * (1.0 + 1e-9));
            let queue = number(&device["energy_queue_j"]);
            objective += 50.0 * number(&grant["accuracy"])
                - queue * (number(&cut["local_energy_j"]) + power * time);
            band += width;
        }
        assert!(band <= 2e5 * (1.0 + 1e-9));
        assert!((objective - number(&answer["objective"])).abs() < 1e-9 * objective.abs());
        let (bound, gap) = (number(&answer["upper_bound"]), number(&answer["gap"]));
        assert!(bound >= number(&answer["objective"]));
        assert!(((bound - objective) / bound.abs() - gap).abs() < 1e-12);
        assert!(variant == "sequential" || gap < 1e-6, "{gap}");
    }
}

#[test]
fn table_names_every_device() {
    let output = plan(&problem().to_string(), &["--format", "table"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(
        text.contains("layer2.0") && text.contains("upper bound"),
        "{text}"
    );
}

#[test]
fn mistakes_are_named_with_key_value_and_range() {
    let cases: [(&str, Value, &str); 12] = [
        (
            "/bandwidth_hz",
            json!(0),
            "bandwidth_hz is 0, must be above 0",
        ),
        (
            "/v",
            json!("x"),
            "v is the string \"x\", must be a number at least 0",
        ),
        (
            "/power_max_w",
            json!(-1),
            "power_max_w is -1, must be at least 0",
        ),
        (
            "/noise_psd_w_per_hz",
            json!(null),
            "noise_psd_w_per_hz is null",
        ),
        ("/devices", json!(3), "devices is 3, must be an array"),
        ("/devices/0/gain", json!(-1e-9), "devices[0].gain is"),
        (
            "/devices/1/energy_queue_j",
            json!(-2),
            "devices[1].energy_queue_j is -2, must be at least 0",
        ),
        (
            "/devices/0/cuts/0/bits/0",
            json!(5),
            "devices[0].cuts[0]: bits[0] is 5, must be 0",
        ),
        (
            "/devices/0/cuts/0/bits/2",
            json!(1e4),
            "bits[2] is 10000, must be finite and above bits[1] = 20000",
        ),
        (
            "/devices/0/cuts/0/accuracy/1",
            json!(1.5),
            "accuracy[1] is 1.5, must be in 0..=1",
        ),
        (
            "/devices/0/cuts/0/accuracy",
            json!([0.1]),
            "bits has 4 entries, accuracy has 1",
        ),
        (
            "/devices/0/cuts/1/name",
            json!("layer2.0"),
            "must differ from the device's other cuts",
        ),
    ];
    for (place, value, message) in cases {
        let mut input = problem();
        *input.pointer_mut(place).expect("it is there") = value;
        let output = plan(&input.to_string(), &[]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{place}"
        );
        assert!(
            error.contains("standard input") && error.contains(message),
            "{place}: {error}"
        );
    }
    let mut input = problem();
    input["devices"][0]["gian"] = json!(1);
    let error = String::from_utf8_lossy(&plan(&input.to_string(), &[]).stderr).into_owned();
    assert!(
        error.contains("unknown key devices[0].gian: did you mean gain?"),
        "{error}"
    );
    assert!(!plan("{", &[]).status.success());
}
