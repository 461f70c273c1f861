//! Answers that come too late, at the edge and at the device. The edge's clock is the test's; no assertion rests on this machine's.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::scene::{CLASS, DEADLINE_S, Scene, answers, settings, verdict};
use common::{Lab, loopback, scenario};
use enachi_proto::message::{Answer, Choice, Failure, Grant, Welcome};
use enachi_proto::{EdgeEvent, EdgeSession, Progress};
use enachi_runtime::cell::Cell;
use enachi_runtime::edge::{Closed, Judge, Live, LiveOptions, Situation, TaskId, Verdict};
use enachi_runtime::pki;
use enachi_runtime::transport::{Input, Server, ServerOptions, inputs};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn a_verdict_in_time_is_an_answer_and_right() {
    let mut scene = Scene::new();
    scene.edge.tick(scene.batch_s());
    scene.release();
    scene.edge.tick(DEADLINE_S);
    let heard = scene.settle();
    let [answer] = answers(&heard)[..] else {
        panic!("{heard:?}");
    };
    assert_eq!((answer.failure, answer.top[0].class), (None, CLASS));
    let done = scene.report(true);
    assert!(done.in_time && done.known && done.record.correct);
}

#[test]
fn a_verdict_after_the_deadline_is_not_sent_and_the_task_is_missed() {
    let mut scene = Scene::new();
    scene.edge.tick(scene.batch_s());
    assert_eq!(scene.judge.submitted.lock().unwrap().len(), 1);
    // The verdict and the deadline's end are found in the same tick.
    scene.release();
    scene.edge.tick(DEADLINE_S + 1e-6);
    let heard = scene.settle();
    let [answer] = answers(&heard)[..] else {
        panic!("{heard:?}");
    };
    assert!(answer.top.is_empty());
    assert_eq!(answer.failure, Some(Failure::Tail));
    // The device's own answer came later still.
    let done = scene.report(false);
    assert!(!done.in_time && done.known && !done.record.correct);
    assert!(done.top.is_empty() && done.latency_s.is_none());
}

#[test]
fn verdicts_that_are_asked_for_outside_of_a_tick_are_held_to_the_deadline_too() {
    let mut scene = Scene::new();
    scene.edge.tick(scene.batch_s());
    scene.release();
    scene.edge.verdicts(DEADLINE_S + 1e-6);
    let heard = scene.settle();
    assert_eq!(answers(&heard)[0].failure, Some(Failure::Tail));
}

#[test]
fn an_edge_that_was_held_up_runs_no_tail_for_what_is_late() {
    let mut scene = Scene::new();
    scene.edge.tick(DEADLINE_S + 1e-6);
    assert!(scene.judge.submitted.lock().unwrap().is_empty());
    let heard = scene.settle();
    assert_eq!(answers(&heard)[0].failure, Some(Failure::Tail));
}

#[test]
fn an_answer_that_the_device_has_not_taken_is_missed_in_the_edge_s_records() {
    let mut scene = Scene::new();
    scene.edge.tick(scene.batch_s());
    scene.release();
    // In time by the edge's clock; on its way for too long.
    scene.edge.tick(DEADLINE_S);
    scene.settle();
    let done = scene.report(false);
    assert!(!done.in_time && done.known && !done.record.correct);
}

/// Jobs wait for workers that have not been started yet, so that the test decides what has passed when they do.
#[test]
fn tails_that_wait_for_too_long_or_behind_too_many_are_not_run() {
    let lab = Lab::new(0);
    let cell = Cell::new(scenario(1, &[]), lab.profile.clone()).unwrap();
    let setting = Arc::clone(&cell.deployment.setting);
    let now_ms = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&now_ms);
    let options = LiveOptions {
        workers: 1,
        waiting: 3,
        runs: 1,
        waker: Arc::new(|| {}),
        clock: Arc::new(move || clock.load(Ordering::Relaxed) as f64 / 1e3),
    };
    let (mut live, workers) = Live::new(&lab.network, [], &setting, options).unwrap();
    let candidates = &cell.offer.candidates;
    let candidate = candidates.iter().find(|c| c.stream.is_some()).unwrap();
    let grant = Default::default();
    let situation = |task| Situation {
        deployment: &cell.deployment,
        packet: &cell.variant.packet,
        candidate,
        grant: &grant,
        device: 0,
        task,
        energy_queue_j: 0.0,
        gain: 1e-10,
        upload_end_s: 0.3,
    };
    for (task, due_s) in [(0, 0.4), (1, 0.6), (2, 0.5), (3, 0.6), (4, 0.6)] {
        let closed = Closed {
            id: TaskId {
                connection: 0,
                task,
            },
            situation: situation(task),
            evidence: live.open(&situation(task)),
            progress: Progress::default(),
            due_s,
        };
        live.submit(vec![closed]);
    }
    let mut verdicts = BTreeMap::new();
    let mut take = |live: &mut Live<'_>| {
        while let Some((id, verdict)) = live.verdict() {
            assert!(verdicts.insert(id.task, verdict).is_none());
        }
        verdicts.clone()
    };
    // Three jobs wait; there is no room for more.
    let refused = take(&mut live);
    assert_eq!(refused.keys().collect::<Vec<_>>(), [&3, &4]);
    let why = |verdict: &Result<Verdict, String>| verdict.clone().unwrap_err();
    assert!(refused.values().all(|v| why(v).contains("too many")));
    // A worker comes at half a second: one deadline has passed, one passes now.
    now_ms.store(500, Ordering::Relaxed);
    live.close();
    workers.run();
    let all = take(&mut live);
    assert_eq!(all.len(), 5);
    for task in [0, 2] {
        assert!(why(&all[&task]).contains("no worker was free"));
    }
    assert!(!all[&1].as_ref().unwrap().top.is_empty());
}

/// The deadline is a microsecond, so the answer, which waits behind the grant in the device's queue while the head runs, is late whatever
/// the machine does.
#[test]
fn an_answer_that_waits_in_the_device_s_queue_past_the_deadline_is_not_taken() {
    const TASKS: u32 = 10;
    let lab = Lab::new(1);
    let mut scenario = scenario(1, &[]);
    scenario.device.deadline_s = 1e-6;
    let (sender, inputs) = inputs(4);
    let server = ServerOptions {
        address: loopback(),
        pki: lab.pki(),
        connections: 4,
        bytes_per_s: 1_000_000,
    };
    let credentials = pki::credentials(&lab.pki(), "edge").unwrap();
    let server = Server::listen(&server, credentials, sender).unwrap();
    let device = lab.device(0, server.address, &scenario, TASKS);
    let cell = Cell::new(scenario, lab.profile.clone()).unwrap();
    let welcome = Welcome {
        frame_s: 0.01,
        ..cell.welcome(0, 4, None)
    };
    let mut session = EdgeSession::new(settings(&lab));
    let mut reports = Vec::new();
    while let Ok(input) = inputs.recv_timeout(Duration::from_secs(20)) {
        let connection = match input {
            Input::Connected { connection, .. } => connection,
            Input::Control(connection, bytes, _) => {
                session.received(&bytes).unwrap();
                connection
            }
            Input::Gone(_) => break,
            _ => continue,
        };
        while let Some(event) = session.poll_event() {
            match event {
                EdgeEvent::Hello(_) => session.welcome(welcome).unwrap(),
                EdgeEvent::Offered(offer) => {
                    session.grant(grant(offer.task), 64).unwrap();
                    let answer = Answer {
                        task: offer.task,
                        top: verdict().top,
                        entropy_nats: 0.1,
                        chunks: 1,
                        bits: 8,
                        checkpoint: 0,
                        batch_s: 0.0,
                        tail_s: 0.0,
                        failure: None,
                    };
                    session.answer(answer).unwrap();
                }
                EdgeEvent::Reported(report) => reports.push(report),
                _ => {}
            }
        }
        while let Some(bytes) = session.poll_transmit() {
            // A device that has reported its last task may have left; what it did is checked below.
            let reached = server.lines.send(connection, bytes);
            assert!(reached || reports.len() == TASKS as usize);
        }
    }
    let done = device.join().unwrap().unwrap();
    let tasks = u64::from(TASKS);
    assert_eq!((done.tasks, done.by_edge, done.late), (tasks, 0, tasks));
    // Every picture has a label, and the device's own answers came too late to be right.
    assert_eq!((done.known, done.right), (tasks, 0));
    assert_eq!(reports.len(), TASKS as usize);
    assert!(reports.iter().all(|report| report.answered_s.is_none()));
    server.close();
}

fn grant(task: u32) -> Grant {
    Grant {
        task,
        frame: task,
        choice: Some(Choice {
            cut: 1,
            stream: Some(0),
            level: None,
        }),
        refused: None,
        bandwidth_hz: 1e5,
        reference_power_w: 0.1,
        bits_limit: f64::INFINITY,
        tracking: true,
        planned_bits: 0.0,
        planned_accuracy: 0.0,
        upload_end_s: 0.3,
    }
}
