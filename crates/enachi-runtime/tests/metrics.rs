//! `/metrics` and `/state` as a reader finds them: names, kinds and sums of the text format of Prometheus (version 0.0.4).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::scene::{DEADLINE_S, Scene};
use common::{Lab, loopback, scenario};
use enachi_runtime::cell::Cell;
use enachi_runtime::edge::Happening;
use enachi_runtime::http;
use enachi_runtime::monitor::Monitor;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

/// A family of samples: its kind, and its samples in order, with what stands in braces.
#[derive(Debug)]
struct Family {
    kind: String,
    samples: Vec<(String, String, f64)>,
}

/// Families by name. Every sample must belong to the family that was declared last, and every family must be declared once.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut now = String::new();
    let mut helped = None;
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, about) = help.split_once(' ').unwrap();
            assert!(!about.is_empty(), "{line}");
            helped = Some(name.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(helped.take().as_deref(), Some(name), "{line}");
            now = name.to_owned();
            let family = Family {
                kind: kind.to_owned(),
                samples: Vec::new(),
            };
            assert!(families.insert(now.clone(), family).is_none(), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match name.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
                None => (name, ""),
            };
            let family = families.get_mut(&now).unwrap();
            let endings: &[&str] = match &*family.kind {
                "counter" | "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" => &["_sum", "_count"],
                other => panic!("{other}"),
            };
            let ending = name.strip_prefix(&*now).unwrap_or_else(|| panic!("{line}"));
            assert!(endings.contains(&ending), "{line}");
            let value = value.parse().unwrap();
            family
                .samples
                .push((ending.to_owned(), labels.to_owned(), value));
        }
    }
    families
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: edge\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    body.to_owned()
}

#[test]
fn what_prometheus_reads_is_consistent_and_counts_what_happened() {
    // Answers after these shares of the deadline; the last is a task without one.
    let shares = [0.05, 0.15, 0.55, 0.55, 0.97, 1.2, 7.0];
    let mut scene = Scene::new();
    scene.edge.tick(scene.batch_s());
    scene.release();
    scene.edge.tick(DEADLINE_S);
    scene.settle();
    let mut monitor = Monitor::default();
    let lab = Lab::new(0);
    monitor.describe(&Cell::new(scenario(1, &[]), lab.profile.clone()).unwrap());
    scene.happened().iter().for_each(|h| monitor.happened(h));
    let done = scene.report(true);
    for latency_s in shares
        .map(|share| Some(share * DEADLINE_S))
        .into_iter()
        .chain([None])
    {
        let mut done = done.clone();
        done.latency_s = latency_s;
        monitor.happened(&Happening::Done(Box::new(done)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let address = runtime
        .block_on(http::serve(loopback(), Arc::new(Mutex::new(monitor))))
        .unwrap();
    let families = parse(&get(address, "/metrics"));
    for (name, family) in &families {
        let of = |ending: &str| -> Vec<f64> {
            let samples = family.samples.iter();
            let found = samples.filter(|(e, ..)| e == ending);
            found.map(|(.., value)| *value).collect()
        };
        match &*family.kind {
            "counter" => assert!(name.ends_with("_total"), "{name}"),
            "gauge" => {}
            _ => assert_eq!((of("_sum").len(), of("_count").len()), (1, 1), "{name}"),
        }
        let mut labels: Vec<_> = family.samples.iter().map(|(e, l, _)| (e, l)).collect();
        let all = labels.len();
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), all, "{name}");
        if family.kind != "histogram" {
            continue;
        }
        let samples = family.samples.iter().filter(|(e, ..)| e == "_bucket");
        let buckets: Vec<(f64, f64)> = samples
            .map(|(_, label, below)| {
                let end = label.strip_prefix("le=\"").unwrap();
                (end.strip_suffix('"').unwrap().parse().unwrap(), *below)
            })
            .collect();
        assert!(
            buckets
                .windows(2)
                .all(|b| b[0].0 < b[1].0 && b[0].1 <= b[1].1)
        );
        assert_eq!(*buckets.last().unwrap(), (f64::INFINITY, of("_count")[0]));
    }
    // The figures themselves, counted here.
    let histogram = &families["enachi_latency_deadlines"];
    for (ending, label, value) in &histogram.samples {
        let expected = match &**ending {
            "_sum" => shares.iter().sum(),
            "_count" => shares.len() as f64,
            _ => {
                let end: f64 = label[4..label.len() - 1].parse().unwrap();
                let below = shares.iter().filter(|share| **share <= end);
                below.count() as f64
            }
        };
        assert!(
            (value - expected).abs() < 1e-9,
            "{ending} {label}: {value}, not {expected}"
        );
    }
    let seconds = &families["enachi_latency_seconds"].samples;
    assert!((seconds[0].2 - shares.iter().sum::<f64>() * DEADLINE_S).abs() < 1e-9);
    assert_eq!(seconds[1].2, shares.len() as f64);
    let tasks = &families["enachi_tasks_total"].samples;
    let device = format!("device=\"{}\"", Lab::name(0));
    assert_eq!(*tasks, [(String::new(), device, shares.len() as f64 + 1.0)]);
    // The page's figures are the same ones.
    let state: serde_json::Value = serde_json::from_str(&get(address, "/state")).unwrap();
    assert_eq!(state["answers"], shares.len());
    assert_eq!(state["devices"][0]["tasks"], shares.len() + 1);
}
