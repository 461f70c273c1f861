//! `enachi serve` and `enachi device` from outside: what is wrong is said by name, with an exit code, and nothing half-started.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn enachi(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enachi"));
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lab() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["pki", "init", "lab"][..],
        &["pki", "admit", "lab", "camera"],
    ] {
        assert!(enachi(folder.path(), arguments).status().unwrap().success());
    }
    folder
}

fn fails(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(
        !text.contains("panicked") && !text.contains("listening on"),
        "{text}"
    );
}

#[test]
fn an_edge_that_cannot_start_says_why_and_leaves_nothing_behind() {
    let folder = lab();
    let serve = |more: &[&str]| {
        let mut all = vec!["serve", "--pki", "lab", "--seconds", "1"];
        all.extend_from_slice(more);
        enachi(folder.path(), &all).output().unwrap()
    };
    let files = ["--queues", "queues.txt", "--records", "r.parquet"];
    let serve_with_files = |more: &[&str]| {
        let output = serve(&[&files[..], more].concat());
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["lab"]);
        output
    };
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(
        &serve_with_files(&["--listen", &address]),
        &["cannot listen", &address, "in use"],
    );
    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = page.local_addr().map(|at| (at.to_string(), page)).unwrap();
    fails(
        &serve_with_files(&["--listen", "127.0.0.1:0", "--page", &page.0]),
        &["--page", &page.0, "in use"],
    );
    let files = ["--profile", "no.parquet", "--tables", "no.safetensors"];
    let model = [
        &["--listen", "127.0.0.1:0", "--model", "no.onnx"],
        &files[..],
    ]
    .concat();
    fails(&serve(&model), &["no.parquet"]);
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles/");
    let (profile, tables) = (
        format!("{here}tiny.parquet"),
        format!("{here}tiny.tables.safetensors"),
    );
    let missing = [
        "--model",
        "no.onnx",
        "--profile",
        &profile,
        "--tables",
        &tables,
    ];
    fails(&serve(&missing), &["cannot read no.onnx"]);
    // A model that is another one than the profile's.
    let wrong = [
        "--model",
        &tables,
        "--profile",
        &profile,
        "--tables",
        &tables,
    ];
    fails(&serve(&wrong), &["is not the one that the profile of"]);
    std::fs::write(folder.path().join("queues.txt"), "something else\n").unwrap();
    fails(
        &serve(&["--listen", "127.0.0.1:0", "--queues", "queues.txt"]),
        &["queues.txt", "must begin with"],
    );
    fails(
        &serve(&["--listen", "127.0.0.1:0", "--queues", "nowhere/q.txt"]),
        &["nowhere/q.txt"],
    );
    fails(
        &serve(&["--listen", "127.0.0.1:0", "--records", "nowhere/r.parquet"]),
        &["nowhere/r.parquet"],
    );
    let certificate = std::fs::read(folder.path().join("lab/camera.pem")).unwrap();
    std::fs::write(folder.path().join("lab/edge.pem"), certificate).unwrap();
    fails(
        &serve(&["--listen", "127.0.0.1:0"]),
        &["edge.pem", "certificate"],
    );
}

#[test]
fn a_device_that_cannot_start_says_why() {
    let folder = lab();
    let device = |more: &[&str]| {
        let mut all = vec!["device", "camera", "--pki", "lab", "--edge", "127.0.0.1:9"];
        all.extend_from_slice(more);
        enachi(folder.path(), &all).output().unwrap()
    };
    fails(
        &device(&["--must-connect"]),
        &["no connection to 127.0.0.1:9"],
    );
    fails(&device(&["--list", "no.csv"]), &["--list no.csv"]);
    fails(&device(&["--queue", "nowhere/q.txt"]), &["nowhere/q.txt"]);
    enachi_runtime::pki::admit(&folder.path().join("lab"), "old", 0).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let old = enachi(folder.path(), &["device", "old", "--pki", "lab"])
        .output()
        .unwrap();
    fails(&old, &["old.pem", "expired"]);
}

/// An edge on a free port.
fn edge(folder: &Path, more: &[&str]) -> (Child, String) {
    let mut arguments = vec!["serve", "--pki", "lab", "--listen", "127.0.0.1:0"];
    arguments.extend_from_slice(more);
    let mut child = enachi(folder, &arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find_map(|line| {
        line.unwrap()
            .strip_prefix("listening on ")
            .map(str::to_owned)
    });
    std::thread::spawn(move || lines.for_each(drop));
    (child, line.unwrap().trim_end_matches(" (UDP)").to_owned())
}

#[test]
fn two_edges_do_not_share_a_file_of_queues() {
    let folder = lab();
    let queues = ["--queues", "queues.txt", "--seconds", "60"];
    let (mut first, _) = edge(folder.path(), &queues);
    let all = [
        &["serve", "--pki", "lab", "--listen", "127.0.0.1:0"],
        &queues[..],
    ]
    .concat();
    fails(
        &enachi(folder.path(), &all).output().unwrap(),
        &["queues.txt", "in use"],
    );
    first.kill().unwrap();
    first.wait().unwrap();
    // A killed edge leaves no lock.
    let (mut next, _) = edge(folder.path(), &queues);
    next.kill().unwrap();
    next.wait().unwrap();
}

#[test]
fn a_device_ends_with_its_pipe_and_reads_no_more_than_it_can() {
    let folder = lab();
    let (mut edge, address) = edge(folder.path(), &["--seconds", "60"]);
    let device = |list: &str| {
        let arguments = [
            "device", "camera", "--pki", "lab", "--edge", &address, "--list", "-",
        ];
        let mut child = enachi(folder.path(), &arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(list.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    // The pipe ends at once.
    let none = device("");
    let text = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.success() && text.contains("0 tasks"), "{text}");
    // It names something that is no picture.
    std::fs::write(folder.path().join("not.png"), "no picture").unwrap();
    let output = device("not.png,3\n");
    fails(&output, &["not.png"]);
    edge.kill().unwrap();
    edge.wait().unwrap();
}

/// Frames long enough for a busy machine.
const SLOW: [&str; 4] = [
    "--set",
    "frame.length_s=0.4",
    "--set",
    "device.deadline_s=0.4",
];

/// Let the device do `tasks` tasks; returns what it says at the end.
fn tasks(folder: &Path, address: &str, tasks: &str) -> String {
    let own = ["--edge", address, "--tasks", tasks, "--must-connect"];
    let arguments = [&["device", "camera", "--pki", "lab"], &own[..], &SLOW].concat();
    let output = enachi(folder, &arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Attempts to connect go on beside the frames. If they stood in their way, 20 frames of 20 ms would take three attempts of 2 s, with 0.1, 0.2
/// and 0.4 s for frames behind them.
#[test]
fn a_device_without_an_edge_does_a_task_a_frame_while_it_looks_for_one() {
    let folder = lab();
    // Takes datagrams and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let frames = [
        "--set",
        "frame.length_s=0.02",
        "--set",
        "device.deadline_s=0.02",
    ];
    let own = ["--pki", "lab", "--edge", &address, "--tasks", "20"];
    let arguments = [&["device", "camera"], &own[..], &frames].concat();
    let output = enachi(folder.path(), &arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let all = "20 tasks: 0 answered by the edge, 20 by the device, 0 not";
    assert!(text.contains(all), "{text}");
    assert!(text.matches("no edge").count() < 3, "{text}");
}

#[test]
fn records_survive_an_edge_that_is_killed_and_nothing_is_written_over_them() {
    let folder = lab();
    let partial = folder.path().join("r.partial.jsonl");
    let records = ["--records", "r.parquet"];
    let with = [&records[..], &SLOW].concat();
    let (mut killed, address) = edge(folder.path(), &with);
    let text = tasks(folder.path(), &address, "4");
    assert!(text.contains("4 tasks: "), "{text}");
    // All four have ended; they are written within a quarter of a second of the machine's time.
    let until = Instant::now() + Duration::from_secs(60);
    let lines = || std::fs::read_to_string(&partial).map_or(0, |text| text.lines().count());
    while lines() < 4 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!folder.path().join("r.parquet").exists());
    let left = std::fs::read_to_string(&partial).unwrap();
    let rows: Vec<serde_json::Value> = left
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 4);
    let frames: Vec<u64> = rows.iter().map(|r| r["frame"].as_u64().unwrap()).collect();
    assert!(
        frames.windows(2).all(|pair| pair[0] < pair[1]),
        "{frames:?}"
    );
    let energy = |row: &serde_json::Value| row["energy_local_j"].as_f64().unwrap();
    assert!(rows.iter().all(|row| energy(row) > 0.0), "{left}");
    // The next edge does not write over them.
    let mut again = vec!["serve", "--pki", "lab", "--listen", "127.0.0.1:0"];
    again.extend(records);
    fails(
        &enachi(folder.path(), &again).output().unwrap(),
        &["r.partial.jsonl", "killed"],
    );
    assert_eq!(std::fs::read_to_string(&partial).unwrap(), left);
    // An edge that ends as it should leaves the one file.
    std::fs::remove_file(&partial).unwrap();
    let (mut stopped, address) = edge(folder.path(), &with);
    tasks(folder.path(), &address, "3");
    let pid = stopped.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(stopped.wait().unwrap().success());
    let rows = enachi_data::records::read_frames(&folder.path().join("r.parquet")).unwrap();
    assert_eq!(rows.1.len(), 3);
    assert!(!partial.exists());
}

#[test]
fn the_demonstration_runs_says_what_it_did_and_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["demo", "--devices", "2", "--seconds", "4"];
    let output = enachi(folder.path(), &[&arguments[..], &SLOW].concat())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(text.contains("live page: http://127.0.0.1:"), "{text}");
    // Name, tasks, right, stopped, missed, kbit, saved, mJ, budget, cuts.
    let row = |name: &str| -> Vec<String> {
        let is = |line: &&str| line.split_whitespace().next() == Some(name);
        let line = text.lines().find(is);
        let words = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        words.split_whitespace().map(str::to_owned).collect()
    };
    let count = |name: &str| row(name)[1].parse::<u64>().unwrap();
    let (first, second, all) = (count("device-01"), count("device-02"), count("all"));
    assert!(first > 0 && second > 0, "{text}");
    assert_eq!(first + second, all);
    // At most a task a frame of 0.4 s, and the one that is under way at the end.
    assert!(all <= 2 * 12, "{text}");
    let right: f64 = row("all")[2].parse().unwrap();
    assert!((0.0..=100.0).contains(&right) && row("all")[3] == "%");
    assert!(text.contains("answers after ") && text.contains("deadline 400 ms"));
}
