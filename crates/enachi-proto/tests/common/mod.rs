//! A device and an edge on a line that loses, doubles, delays and reorders, under a clock that only the test turns.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use enachi_proto::datagram::{End, Prefix, Writer, write_piece, write_progress};
use enachi_proto::message::{
    Account, Answer, Choice, Ending, Energy, Fading, Grant, Hello, Idle, Offer, PowerLaw,
    RadioKind, Regrant, Report, Scored, StopReason, Waiting, Welcome,
};
use enachi_proto::{
    Arrival, DeviceEvent, DeviceSession, EdgeEvent, EdgeSession, EdgeSettings, Limits,
};
use std::collections::{BTreeMap, BTreeSet};

pub const CHUNKS: u32 = 24;
pub const CUT: u16 = 2;
/// From the start of a task: when the batch begins, and when the device gives up. All times are ticks.
pub const BATCH: u64 = 40;
pub const DEADLINE: u64 = 60;
/// Ticks from one re-grant of a task to the next.
pub const REPLAN: u64 = 3;
/// Most bytes of a datagram here; some chunks are longer.
pub const DATAGRAM: usize = 120;

pub fn hello() -> Hello {
    Hello {
        name: "d1".into(),
        model_sha256: [1; 32],
        tables_sha256: [2; 32],
        cuts: vec![0, 1, CUT],
        energy: Energy {
            frequency_hz: 1e9,
            cycles_per_mac: 0.1,
            capacitance_w_per_hz3: 1e-28,
            idle_power_w: 0.0,
            power_max_w: 2.0,
            circuit_power_w: 0.0,
            tail_power_w: 0.0,
            tail_time_s: 0.0,
            budget_j: 0.1,
            weight: 1.0,
        },
        radio: RadioKind::Emulated,
    }
}

pub fn settings() -> EdgeSettings {
    EdgeSettings {
        model_sha256: [1; 32],
        tables_sha256: [2; 32],
        cuts: 5,
        limits: Limits::default(),
    }
}

pub fn welcome() -> Welcome {
    Welcome {
        device: 0,
        frame_s: 0.1,
        slot_s: 1e-3,
        noise_psd_w_per_hz: 2e-20,
        noise_w: 0.0,
        spectral_cap: f64::INFINITY,
        law: PowerLaw::Tracking(1.0),
        outstanding_tasks: 4,
        replan_slots: REPLAN as u32,
        account: None,
    }
}

pub fn offer(task: u32) -> Offer {
    Offer {
        task,
        gain: 1e-11,
        fading: Fading::Rician(4.0),
        energy_queue_j: 0.3,
        deadline_s: 0.1,
    }
}

pub fn grant(task: u32) -> Grant {
    Grant {
        task,
        frame: task,
        choice: Some(Choice {
            cut: CUT,
            stream: Some(0),
            level: None,
        }),
        refused: None,
        bandwidth_hz: 1e6,
        reference_power_w: 0.5,
        bits_limit: f64::INFINITY,
        tracking: true,
        planned_bits: 1e4,
        planned_accuracy: 0.9,
        upload_end_s: 0.08,
    }
}

pub fn regrant(task: u32, revision: u32) -> Regrant {
    Regrant {
        task,
        revision,
        slot: 5 * revision,
        bandwidth_hz: 2e6,
        reference_power_w: 0.0,
    }
}

/// What a device says of its way to the next checkpoint.
pub fn begun(task: u32, slot: u32) -> f64 {
    f64::from((task * 37 + slot) % 100) / 99.0
}

pub fn report(task: u32) -> Report {
    Report {
        task,
        energy_local_j: 0.01,
        energy_codec_j: 0.0,
        energy_transmit_j: 0.02,
        account: Account::default(),
        slots: 7,
        bits: 900.0,
        total_bits: 1200.0,
        mean_power_w: 0.4,
        mean_gain: 1e-11,
        power_queue_w: 0.1,
        ending: Ending::Stopped,
        ready_s: 0.01,
        sent_s: 0.02,
        level: None,
        image: None,
        label: Some(3),
        local: None,
        answered_s: Some(0.08),
        tasks: None,
    }
}

pub fn idle() -> Idle {
    Idle {
        frames: 3,
        gain: 1e-11,
        fading: Fading::Rayleigh,
        mean_gain: 2e-11,
        energy_queue_j: 0.2,
        energy_j: 0.01,
        account: Account::default(),
        tasks: Some(Waiting {
            arrived: 2,
            dropped: 1,
            waiting: 1,
            waited_frames: 4,
        }),
    }
}

/// Payload of a chunk: every fourth is longer than a datagram, some are empty.
pub fn payload(task: u32, id: u16) -> Vec<u8> {
    let length = match id % 4 {
        0 => 300,
        1 => 0,
        _ => 20 + usize::from(id),
    };
    (0..length)
        .map(|i| (i as u32 ^ task.wrapping_mul(31) ^ u32::from(id)) as u8)
        .collect()
}

/// Numbers that look random (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the line does.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Datagrams lost, doubled, in percent.
    pub loss: u64,
    pub doubled: u64,
    /// Delay of everything, and most that a datagram is delayed beyond it.
    pub delay: u64,
    pub jitter: u64,
    /// Datagrams with bytes changed, in percent.
    pub mangled: u64,
    /// Cut after so many deliveries.
    pub cut_after: Option<u64>,
    /// Stop once so many chunks were reached.
    pub stop_at: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            loss: 0,
            doubled: 0,
            delay: 0,
            jitter: 0,
            mangled: 0,
            cut_after: None,
            stop_at: 16,
        }
    }
}

enum Packet {
    ToDevice(Vec<u8>),
    ToEdge(Vec<u8>),
    Datagram(Vec<u8>),
}

struct Upload {
    task: u32,
    next: u16,
}

/// How a task ended at the device.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Answered { chunks: u32 },
    Lost,
    GivenUp,
}

pub struct Pair {
    pub line: Line,
    pub random: Random,
    pub now: u64,
    pub deliveries: u64,
    offers_until: u64,
    device: DeviceSession,
    edge: EdgeSession,
    wire: BTreeMap<(u64, u64), Packet>,
    sequence: u64,
    control_at: [u64; 2],
    uploads: Vec<Upload>,
    started: BTreeMap<u32, u64>,
    pub offered: BTreeSet<u32>,
    pub ends: BTreeMap<u32, Vec<Fate>>,
    pub edge_offered: BTreeSet<u32>,
    pub reported: BTreeMap<u32, u32>,
    pub unreported: BTreeSet<u32>,
    /// Chunks that the edge was handed, by task.
    pub chunks: BTreeMap<u32, BTreeSet<u16>>,
    /// Slots in which the device sent chunks after it knew of the stop.
    pub sent_after_stop: u32,
    /// Last revision that the edge has sent and the device has heard of, by task.
    revisions: BTreeMap<u32, u32>,
    pub heard: BTreeMap<u32, u32>,
    /// Reports of progress that the edge was handed.
    pub progress: u32,
    pub idle: [u32; 2],
    pub bad: u32,
    pub cut: bool,
    batches: BTreeMap<u32, u64>,
    answered_with: BTreeMap<u32, u32>,
}

impl Pair {
    pub fn new(line: Line, seed: u64) -> Self {
        Self {
            line,
            random: Random(seed),
            now: 0,
            deliveries: 0,
            offers_until: 0,
            device: DeviceSession::new(hello()).unwrap(),
            edge: EdgeSession::new(settings()),
            wire: BTreeMap::new(),
            sequence: 0,
            control_at: [0; 2],
            uploads: Vec::new(),
            started: BTreeMap::new(),
            offered: BTreeSet::new(),
            ends: BTreeMap::new(),
            edge_offered: BTreeSet::new(),
            reported: BTreeMap::new(),
            unreported: BTreeSet::new(),
            chunks: BTreeMap::new(),
            sent_after_stop: 0,
            revisions: BTreeMap::new(),
            heard: BTreeMap::new(),
            progress: 0,
            idle: [0; 2],
            bad: 0,
            cut: false,
            batches: BTreeMap::new(),
            answered_with: BTreeMap::new(),
        }
    }

    /// Offer a task every `period` for `ticks`, and see them to their ends.
    pub fn run(&mut self, ticks: u64, period: u64) {
        self.offers_until = ticks;
        for _ in 0..ticks + DEADLINE + 2 * self.line.delay + 20 {
            self.tick(period);
        }
    }

    fn put(&mut self, at: u64, packet: Packet) {
        self.sequence += 1;
        self.wire.insert((at, self.sequence), packet);
    }

    /// Control bytes keep their order; they come in pieces.
    fn put_control(&mut self, to_device: bool, bytes: &[u8]) {
        let direction = usize::from(to_device);
        let mut rest = bytes;
        while !rest.is_empty() {
            let take = 1 + self.random.below(rest.len() as u64) as usize;
            let at = (self.now + self.line.delay).max(self.control_at[direction]);
            self.control_at[direction] = at;
            let piece = rest[..take].to_vec();
            self.put(
                at,
                if to_device {
                    Packet::ToDevice(piece)
                } else {
                    Packet::ToEdge(piece)
                },
            );
            rest = &rest[take..];
        }
    }

    fn put_datagram(&mut self, mut bytes: Vec<u8>) {
        if self.random.chance(self.line.loss) {
            return;
        }
        if self.random.chance(self.line.mangled) {
            for _ in 0..1 + self.random.below(4) {
                let at = self.random.below(bytes.len() as u64) as usize;
                bytes[at] ^= self.random.next() as u8;
            }
        }
        let copies = 1 + u64::from(self.random.chance(self.line.doubled));
        for _ in 0..copies {
            let at = self.now + self.line.delay + self.random.below(self.line.jitter + 1);
            self.put(at, Packet::Datagram(bytes.clone()));
        }
    }

    fn break_line(&mut self) {
        self.cut = true;
        self.wire.clear();
        self.device.disconnected();
        self.edge.disconnected();
        self.device_events();
        self.edge_events();
    }

    fn tick(&mut self, period: u64) {
        self.flush();
        while let Some(entry) = self.wire.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let packet = entry.remove();
            if self.line.cut_after == Some(self.deliveries) {
                self.break_line();
                break;
            }
            self.deliveries += 1;
            self.deliver(packet);
            self.flush();
        }
        if !self.cut {
            self.edge_time();
            self.device_time(period);
            self.flush();
        }
        self.now += 1;
    }

    fn flush(&mut self) {
        while let Some(bytes) = self.device.poll_transmit() {
            self.put_control(false, &bytes);
        }
        while let Some(bytes) = self.edge.poll_transmit() {
            self.put_control(true, &bytes);
        }
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::ToDevice(bytes) => {
                self.device.received(&bytes).unwrap();
                self.device_events();
            }
            Packet::ToEdge(bytes) => {
                self.edge.received(&bytes).unwrap();
                self.edge_events();
            }
            Packet::Datagram(bytes) => {
                let mangled = self.line.mangled > 0;
                let chunks = &mut self.chunks;
                let arrival = self.edge.datagram(&bytes, |task, id, bytes| {
                    assert!(
                        mangled || bytes == payload(task, id),
                        "task {task} chunk {id}"
                    );
                    assert!(
                        chunks.entry(task).or_default().insert(id),
                        "chunk {id} twice"
                    );
                });
                match arrival {
                    Arrival::Upload(prefix) if prefix.end != End::Nothing => {
                        let progress = self.edge.progress(prefix.task).unwrap();
                        if progress.reached >= self.line.stop_at {
                            self.edge.stop(prefix.task, StopReason::Certain).unwrap();
                        }
                    }
                    Arrival::Progress(prefix, share) => {
                        assert!(mangled || share == begun(prefix.task, prefix.slot));
                        self.progress += 1;
                    }
                    Arrival::Bad => self.bad += 1,
                    _ => {}
                }
            }
        }
    }

    fn edge_events(&mut self) {
        while let Some(event) = self.edge.poll_event() {
            match event {
                EdgeEvent::Hello(greeting) => {
                    assert_eq!(greeting, hello());
                    self.edge.welcome(welcome()).unwrap();
                }
                EdgeEvent::Offered(offer) => {
                    assert!(self.edge_offered.insert(offer.task));
                    self.edge.grant(grant(offer.task), CHUNKS).unwrap();
                    self.batches.insert(offer.task, self.now + BATCH);
                }
                EdgeEvent::Reported(report) => *self.reported.entry(report.task).or_default() += 1,
                EdgeEvent::Idle(told) => {
                    assert_eq!(told, idle());
                    self.idle[1] += 1;
                }
                EdgeEvent::Unreported { task } => assert!(self.unreported.insert(task)),
                EdgeEvent::Left => {}
            }
        }
    }

    fn edge_time(&mut self) {
        if self.now.is_multiple_of(REPLAN) {
            for task in self.batches.keys() {
                let revision = self.revisions.get(task).copied().unwrap_or(0) + 1;
                // Not to a device that was stopped.
                if self.edge.regrant(regrant(*task, revision)).is_ok() {
                    self.revisions.insert(*task, revision);
                }
            }
        }
        let due = |(task, at): (&u32, &u64)| (*at <= self.now).then_some(*task);
        let due: Vec<u32> = self.batches.iter().filter_map(due).collect();
        for task in due {
            self.batches.remove(&task);
            let progress = self.edge.close_upload(task).unwrap();
            let handed = self.chunks.get(&task).map_or(0, |c| c.len() as u32);
            assert_eq!(progress.chunks, handed);
            self.answered_with.insert(task, handed);
            let answer = Answer {
                task,
                top: vec![Scored {
                    class: 3,
                    probability: 0.5,
                }],
                entropy_nats: 0.1,
                chunks: progress.chunks,
                bits: progress.bits,
                checkpoint: 1,
                batch_s: 0.08,
                tail_s: 0.001,
                failure: None,
            };
            self.edge.answer(answer).unwrap();
        }
    }

    fn device_events(&mut self) {
        while let Some(event) = self.device.poll_event() {
            match event {
                DeviceEvent::Welcome(received) => assert_eq!(received, welcome()),
                DeviceEvent::Refused(refuse) => panic!("{refuse:?}"),
                DeviceEvent::Granted(grant) => self.uploads.push(Upload {
                    task: grant.task,
                    next: 0,
                }),
                DeviceEvent::Regranted(again) => {
                    assert!(self.device.may_send(again.task));
                    let before = self.heard.insert(again.task, again.revision);
                    assert_eq!(again.revision, before.unwrap_or(0) + 1);
                    assert_eq!(again, regrant(again.task, again.revision));
                }
                DeviceEvent::Stopped(stop) => {
                    assert!(!self.device.may_send(stop.task));
                }
                DeviceEvent::Answered(answer) => {
                    let end = Fate::Answered {
                        chunks: answer.chunks,
                    };
                    assert_eq!(self.answered_with.get(&answer.task), Some(&answer.chunks));
                    self.end(answer.task, end);
                }
                DeviceEvent::Lost { task } => self.end(task, Fate::Lost),
            }
        }
    }

    fn end(&mut self, task: u32, end: Fate) {
        let lost = end == Fate::Lost;
        self.ends.entry(task).or_default().push(end);
        self.uploads.retain(|u| u.task != task);
        if !lost {
            self.device.report(report(task)).unwrap();
        }
    }

    fn device_time(&mut self, period: u64) {
        if self.now < self.offers_until && self.now.is_multiple_of(period) {
            let task = (self.now / period) as u32;
            if self.device.offer(offer(task)).is_ok() {
                self.offered.insert(task);
                self.device.idle(idle()).unwrap();
                self.idle[0] += 1;
                self.started.insert(task, self.now);
            }
        }
        let late = |(task, at): (&u32, &u64)| (*at + DEADLINE <= self.now).then_some(*task);
        let late: Vec<u32> = self.started.iter().filter_map(late).collect();
        for task in late {
            self.started.remove(&task);
            if self.device.give_up(task) {
                self.end(task, Fate::GivenUp);
            }
        }
        for index in 0..self.uploads.len() {
            let Upload { task, next } = self.uploads[index];
            if !self.device.may_send(task) || u32::from(next) >= CHUNKS {
                continue;
            }
            // Two chunks a slot.
            let slot = (u32::from(next)) / 2;
            let ids = next..(next + 2).min(CHUNKS as u16);
            self.uploads[index].next = ids.end;
            for datagram in datagrams(task, slot, ids) {
                self.put_datagram(datagram);
            }
            let prefix = Prefix {
                task,
                cut: CUT,
                slot,
                end: End::Slot,
            };
            let mut buffer = [0; DATAGRAM];
            let length = write_progress(&mut buffer, prefix, begun(task, slot)).unwrap();
            self.put_datagram(buffer[..length].to_vec());
        }
    }
}

/// The datagrams of some chunks sent in one slot.
pub fn datagrams(task: u32, slot: u32, ids: std::ops::Range<u16>) -> Vec<Vec<u8>> {
    let prefix = Prefix {
        task,
        cut: CUT,
        slot,
        end: End::Nothing,
    };
    let mut out = Vec::new();
    let last = ids.end - 1;
    for id in ids {
        let payload = payload(task, id);
        let mut buffer = [0u8; DATAGRAM];
        let mut writer = Writer::new(&mut buffer, prefix).unwrap();
        if writer.push(id, &payload) {
            let length = writer.finish(if id == last { End::Slot } else { End::Nothing });
            out.push(buffer[..length].to_vec());
            continue;
        }
        let mut offset = 0;
        while offset < payload.len() {
            let prefix = Prefix {
                end: if id == last { End::Slot } else { End::Nothing },
                ..prefix
            };
            let (length, taken) = write_piece(&mut buffer, prefix, id, &payload, offset).unwrap();
            out.push(buffer[..length].to_vec());
            offset += taken;
        }
    }
    out
}
