//! An edge whose clock is the test's, one device, and a judge that has its verdicts when the test says so.

use super::{Lab, hello, scenario};
use enachi_proto::message::{Account, Answer, Ending, Fading, Grant, Hello, Offer, Report, Scored};
use enachi_proto::{DeviceEvent, DeviceSession, EdgeSettings, Limits};
use enachi_runtime::cell::Cell;
use enachi_runtime::edge::{
    Closed, Done, Edge, EdgeOptions, Happening, Judge, Situation, TaskId, Verdict,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

pub const DEADLINE_S: f64 = 0.4;
pub const CLASS: u16 = 3;

pub fn settings(lab: &Lab) -> EdgeSettings {
    EdgeSettings {
        model_sha256: lab.network.model_sha256,
        tables_sha256: lab.network.tables_sha256,
        cuts: lab.profile.cuts.len() as u16,
        limits: Limits::default(),
    }
}

pub fn verdict() -> Verdict {
    Verdict {
        top: vec![Scored {
            class: CLASS,
            probability: 1.0,
        }],
        entropy_nats: 0.1,
        chunks: 1,
        checkpoint: 0,
        correct: None,
        tail_s: 1e-3,
    }
}

/// A judge that has its verdicts when the test says so.
#[derive(Clone, Default)]
pub struct Slow {
    pub submitted: Arc<Mutex<Vec<TaskId>>>,
    pub ready: Arc<Mutex<VecDeque<TaskId>>>,
}

impl Judge for Slow {
    type Evidence = ();
    fn chunks(&self, _: &Situation<'_>) -> u32 {
        8
    }
    fn open(&mut self, _: &Situation<'_>) {}
    fn chunk(&mut self, (): &mut (), _: u16, _: &[u8]) {}
    fn checkpoint(&self, _: &Situation<'_>, (): &(), _: u32) -> (usize, usize) {
        (0, 1)
    }
    fn stop(&mut self, _: &Situation<'_>, (): &mut (), _: usize) -> bool {
        false
    }
    fn submit(&mut self, batch: Vec<Closed<'_, ()>>) {
        let mut submitted = self.submitted.lock().unwrap();
        submitted.extend(batch.iter().map(|closed| closed.id));
    }
    fn verdict(&mut self) -> Option<(TaskId, Result<Verdict, String>)> {
        let id = self.ready.lock().unwrap().pop_front()?;
        Some((id, Ok(verdict())))
    }
    fn local(&self, _: &Situation<'_>) -> Option<bool> {
        None
    }
}

/// An edge with one device that has a task, whose frame began at 0.
pub struct Scene {
    pub edge: Edge<Slow>,
    pub device: DeviceSession,
    pub judge: Slow,
    pub grant: Option<Grant>,
}

impl Scene {
    /// Whose task was granted, to be sent.
    pub fn new() -> Self {
        let mut scene = Self::joined(|_| {}, BTreeMap::new());
        scene.offer(0, 0.0);
        let grant = scene.grant.unwrap();
        assert!(
            grant.choice.is_some_and(|c| c.stream.is_some()),
            "{grant:?}"
        );
        scene
    }

    pub fn batch_s(&self) -> f64 {
        self.grant.unwrap().upload_end_s
    }

    /// Whose device has greeted with what `change` makes of its hello; `accounts` are of an earlier run.
    pub fn joined(change: impl Fn(&mut Hello), accounts: BTreeMap<String, Account>) -> Self {
        let lab = Lab::new(0);
        let scenario = scenario(1, &[]);
        let mut hello = hello(&lab, &scenario, 0);
        hello.cuts = (0..lab.profile.cuts.len() as u16).collect();
        change(&mut hello);
        let options = EdgeOptions {
            settings: settings(&lab),
            barrier: true,
            seed: 1,
        };
        let judge = Slow::default();
        let cell = Cell::new(scenario.clone(), lab.profile.clone()).unwrap();
        let mut scene = Self {
            edge: Edge::new(cell, options, judge.clone(), accounts),
            device: DeviceSession::new(hello).unwrap(),
            judge,
            grant: None,
        };
        scene.edge.connect(0);
        assert_eq!(scene.settle().len(), 1);
        scene
    }

    /// Offer a task and have the frame planned, which begins at 0.
    pub fn offer(&mut self, task: u32, energy_queue_j: f64) -> Vec<DeviceEvent> {
        let offer = Offer {
            task,
            gain: 1e-10,
            fading: Fading::Rayleigh,
            energy_queue_j,
            deadline_s: DEADLINE_S,
        };
        self.device.offer(offer).unwrap();
        let mut heard = self.settle();
        self.edge.begin_frame(0.0);
        heard.extend(self.settle());
        self.grant = heard.iter().find_map(|event| match event {
            DeviceEvent::Granted(grant) => Some(*grant),
            _ => None,
        });
        heard
    }

    /// Carry what both sides say; returns what the device has heard.
    pub fn settle(&mut self) -> Vec<DeviceEvent> {
        while let Some(bytes) = self.device.poll_transmit() {
            // A session that the edge has ended takes no more.
            let _ = self.edge.control(0, &bytes, None);
        }
        while let Some((_, bytes)) = self.edge.poll_transmit() {
            self.device.received(&bytes).unwrap();
        }
        std::iter::from_fn(|| self.device.poll_event()).collect()
    }

    /// What the edge has to say since the last call.
    pub fn happened(&mut self) -> Vec<Happening> {
        std::iter::from_fn(|| self.edge.poll_happening()).collect()
    }

    pub fn release(&self) {
        let submitted = self.judge.submitted.lock().unwrap();
        self.judge.ready.lock().unwrap().extend(&*submitted);
    }

    /// The device reports; returns what the edge writes down.
    pub fn report(&mut self, answered: bool) -> Done {
        let report = Report {
            answered_s: answered.then_some(0.09),
            label: Some(CLASS),
            // It finds the right class by itself, too late.
            local: (!answered).then_some(Scored {
                class: CLASS,
                probability: 1.0,
            }),
            ..report()
        };
        self.device.report(report).unwrap();
        self.settle();
        let done = self
            .happened()
            .into_iter()
            .filter_map(|happening| match happening {
                Happening::Done(done) => Some(*done),
                _ => None,
            });
        let done: Vec<_> = done.collect();
        assert_eq!(done.len(), 1);
        done.into_iter().next().unwrap()
    }
}

pub fn report() -> Report {
    Report {
        task: 0,
        energy_local_j: 0.0,
        energy_codec_j: 0.0,
        energy_transmit_j: 0.0,
        account: Default::default(),
        slots: 3,
        bits: 100.0,
        total_bits: 100.0,
        mean_power_w: 0.1,
        mean_gain: 1e-10,
        power_queue_w: 0.0,
        ending: Ending::AllSent,
        ready_s: 0.0,
        sent_s: 3e-3,
        level: None,
        image: None,
        label: None,
        local: None,
        answered_s: None,
        tasks: None,
    }
}

pub fn answers(heard: &[DeviceEvent]) -> Vec<&Answer> {
    let answer = |event: &'_ DeviceEvent| matches!(event, DeviceEvent::Answered(_));
    let heard = heard.iter().filter(|event| answer(event));
    heard
        .map(|event| match event {
            DeviceEvent::Answered(answer) => answer,
            _ => unreachable!(),
        })
        .collect()
}
