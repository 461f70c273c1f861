//! `enachi serve` and `enachi device` from outside: what is wrong is said by name, with an exit code, and nothing half-started.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

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
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(
        &serve(&["--listen", &address]),
        &["cannot listen", &address, "in use"],
    );
    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = page.local_addr().map(|at| (at.to_string(), page)).unwrap();
    fails(
        &serve(&["--listen", "127.0.0.1:0", "--page", &page.0]),
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
fn edge(folder: &Path) -> (Child, String) {
    let arguments = [
        "serve",
        "--pki",
        "lab",
        "--listen",
        "127.0.0.1:0",
        "--seconds",
        "60",
    ];
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
fn a_device_ends_with_its_pipe_and_reads_no_more_than_it_can() {
    let folder = lab();
    let (mut edge, address) = edge(folder.path());
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
