//! What a peer may send to either side, and what honest sides do meanwhile: control bytes in pieces, datagrams, offers, grants, re-grants,
//! stops, answers, reports, and pictures.
//!
//! Input: records of kind (1 byte), length (1 byte), bytes. Unless the first byte is below 128, the device's own greeting opens the edge.
#![no_main]

use enachi_proto::datagram::{End, Prefix, Writer, write_piece, write_progress};
use enachi_proto::message::{
    Account, Answer, Choice, Ending, Energy, Fading, Grant, Hello, Idle, Offer, PowerLaw, RadioKind, Regrant, Report, Scored,
    StopReason, Welcome,
};
use enachi_proto::{Arrival, DeviceEvent, DeviceSession, EdgeEvent, EdgeSession, EdgeSettings, Limits};
use enachi_runtime::picture::{Arriving, MOST_PARTS, PART_BYTES, Pictures};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

const CHUNKS: u32 = 64;
const CHUNK_BYTES: u32 = 4096;
const OUTSTANDING: u32 = 2;

/// The pictures of the small network: a JPEG and a WebP stream, each in its levels, and others.
fn pictures() -> &'static (Pictures, usize) {
    static PICTURES: OnceLock<(Pictures, usize)> = OnceLock::new();
    PICTURES.get_or_init(|| {
        let bytes = include_bytes!("../../profiles/tiny.parquet");
        let profile = enachi_data::profile::read_bytes("tiny", bytes).expect("a good profile");
        let pictures = Pictures::of(&profile).expect("its input is a picture");
        (pictures, profile.cuts[0].streams.len())
    })
}

fn hello() -> Hello {
    Hello {
        name: "d".into(),
        model_sha256: [1; 32],
        tables_sha256: [2; 32],
        cuts: vec![0, 1],
        energy: Energy {
            frequency_hz: 1e9,
            cycles_per_mac: 0.1,
            capacitance_w_per_hz3: 0.0,
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

fn welcome() -> Welcome {
    Welcome {
        device: 0,
        frame_s: 0.1,
        slot_s: 1e-3,
        noise_psd_w_per_hz: 1e-20,
        noise_w: 0.0,
        spectral_cap: 7.4,
        law: PowerLaw::Constant,
        outstanding_tasks: OUTSTANDING,
        replan_slots: 5,
        account: None,
    }
}

/// Numbers out of the input; zeros where it ends.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, &[][..]), |(b, rest)| (*b, rest));
        self.0 = rest;
        first
    }
    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }
    /// Any number there is, also those that are none.
    fn real(&mut self) -> f64 {
        let [low, high] = [self.word(), self.word()];
        f64::from_bits(u64::from(high) << 32 | u64::from(low))
    }
}

fn grant(task: u32, n: &mut Numbers<'_>) -> Grant {
    let kind = n.byte();
    Grant {
        task,
        frame: task,
        choice: (kind & 1 == 0).then(|| Choice {
            cut: u16::from(kind >> 1 & 3),
            stream: (kind & 8 == 0).then_some(0),
            level: None,
        }),
        refused: None,
        bandwidth_hz: if kind & 16 == 0 { 1e6 } else { n.real() },
        reference_power_w: 0.1,
        bits_limit: f64::INFINITY,
        tracking: true,
        planned_bits: 0.0,
        planned_accuracy: 0.0,
        upload_end_s: 0.1,
    }
}

fn report(task: u32, n: &mut Numbers<'_>) -> Report {
    let odd = n.byte();
    let real = |at: u8, n: &mut Numbers<'_>| if odd >> at & 1 == 1 { n.real() } else { 0.01 };
    Report {
        task,
        energy_local_j: real(0, n),
        energy_codec_j: real(1, n),
        energy_transmit_j: real(2, n),
        account: Account { queue_j: real(3, n), spent_j: real(4, n), frames: u64::from(n.word()) },
        slots: 7,
        bits: real(5, n),
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
        answered_s: (odd & 128 == 0).then_some(0.05),
        tasks: None,
    }
}

struct Pair {
    edge: EdgeSession,
    device: DeviceSession,
    picture: Arriving,
    task: u32,
}

impl Pair {
    /// Carry what both sides say, and look at what they make of it.
    fn settle(&mut self, n: &mut Numbers<'_>) {
        // A round makes at most a grant out of an offer; strangers' bytes may end either side.
        loop {
            let mut quiet = true;
            while let Some(bytes) = self.device.poll_transmit() {
                quiet = false;
                let _ = self.edge.received(&bytes);
            }
            self.edge_events(n);
            while let Some(bytes) = self.edge.poll_transmit() {
                quiet = false;
                let _ = self.device.received(&bytes);
            }
            self.device_events();
            if quiet {
                return;
            }
        }
    }

    fn edge_events(&mut self, n: &mut Numbers<'_>) {
        while let Some(event) = self.edge.poll_event() {
            match event {
                // What came behind it may have ended the session already.
                EdgeEvent::Hello(_) => assert!(self.edge.welcome(welcome()).is_ok() || self.edge.is_closed()),
                EdgeEvent::Offered(offer) => {
                    assert!((1e-30..=1.0).contains(&offer.gain) && offer.energy_queue_j.is_finite());
                    let _ = self.edge.grant(grant(offer.task, n), CHUNKS);
                }
                EdgeEvent::Reported(report) => {
                    let spent = report.energy_local_j + report.energy_codec_j + report.energy_transmit_j;
                    assert!(spent >= 0.0 && report.account.spent_j <= 1e12 && report.account.queue_j <= 1e12);
                    let _ = self.edge.stop(report.task, StopReason::Certain);
                    let _ = self.edge.close_upload(report.task);
                }
                EdgeEvent::Idle(idle) => assert!(idle.energy_j >= 0.0 && idle.energy_j.is_finite()),
                EdgeEvent::Unreported { .. } | EdgeEvent::Left => {}
            }
        }
    }

    fn device_events(&mut self) {
        while let Some(event) = self.device.poll_event() {
            match event {
                DeviceEvent::Granted(grant) => {
                    // What came behind it may have stopped or ended it.
                    assert!(grant.bandwidth_hz >= 0.0 && grant.upload_end_s.is_finite());
                }
                DeviceEvent::Regranted(regrant) => assert!(regrant.revision > 0 && regrant.bandwidth_hz >= 0.0),
                DeviceEvent::Answered(answer) => assert!(answer.top.iter().all(|s| s.probability <= 1.0)),
                _ => {}
            }
        }
        assert!(self.device.open_tasks() <= 256);
    }

    fn datagram(&mut self, bytes: &[u8]) {
        let mut handed = 0;
        let arrival = self.edge.datagram(bytes, |_, id, payload| {
            assert!(u32::from(id) < CHUNKS && payload.len() <= CHUNK_BYTES as usize);
            handed += 1;
        });
        assert!(handed == 0 || arrival != Arrival::Stray);
        if let Arrival::Progress(_, begun) = arrival {
            assert!((0.0..=1.0).contains(&begun));
        }
    }

    /// One of our own datagrams, with numbers of the input's.
    fn own_datagram(&mut self, n: &mut Numbers<'_>) {
        let kind = n.byte();
        let end = [End::Nothing, End::Slot, End::Upload][usize::from(kind >> 2) % 3];
        let prefix = Prefix { task: u32::from(n.byte()), cut: u16::from(n.byte() & 3), slot: n.word() >> 24, end };
        let (id, mut buffer) = (u16::from(n.byte() & 63), [0u8; 1500]);
        let length = match kind & 3 {
            0 => {
                let mut writer = Writer::new(&mut buffer, prefix).expect("room");
                while !n.0.is_empty() {
                    let take = usize::from(n.byte()).min(n.0.len());
                    let (payload, rest) = n.0.split_at(take);
                    if !writer.push(id, payload) {
                        break;
                    }
                    n.0 = rest;
                }
                writer.finish(end)
            }
            1 => {
                let offset = usize::from(n.byte());
                let rest = n.0;
                write_piece(&mut buffer[..64], prefix, id, rest, offset).map_or(0, |(length, _)| length)
            }
            _ => write_progress(&mut buffer, prefix, n.real()).unwrap_or(0),
        };
        self.datagram(&buffer[..length]);
    }

    fn picture(&mut self, bytes: &[u8]) {
        let [id, payload @ ..] = bytes else { return };
        self.picture.push(u16::from(*id), payload);
        assert!(self.picture.length_bytes() <= MOST_PARTS as usize * PART_BYTES);
        let whole = self.picture.whole();
        assert_eq!(whole.is_some(), self.picture.is_whole());
        let (pictures, streams) = pictures();
        for stream in 0..=*streams {
            if let Some(Ok(values)) = whole.as_ref().map(|whole| pictures.decode(stream, whole)) {
                assert_eq!(values.len(), pictures.values());
                assert!(values.iter().all(|v| v.is_finite()));
            }
        }
    }

    fn act(&mut self, kind: u8, bytes: &[u8]) {
        let n = &mut Numbers(bytes);
        match kind % 12 {
            0 => drop(self.edge.received(bytes)),
            1 => self.datagram(bytes),
            2 => drop(self.device.received(bytes)),
            3 => {
                let odd = n.byte();
                let offer = Offer {
                    task: self.task,
                    gain: if odd & 1 == 0 { 1e-11 } else { n.real() },
                    fading: if odd & 2 == 0 { Fading::Rayleigh } else { Fading::Rician(n.real()) },
                    energy_queue_j: if odd & 4 == 0 { 0.0 } else { n.real() },
                    deadline_s: if odd & 8 == 0 { 0.1 } else { n.real() },
                };
                if self.device.offer(offer).is_ok() {
                    self.task += 1;
                }
            }
            4 => {
                let regrant = Regrant {
                    task: u32::from(n.byte()),
                    revision: u32::from(n.byte()),
                    slot: n.word(),
                    bandwidth_hz: n.real(),
                    reference_power_w: 0.1,
                };
                let _ = self.edge.regrant(regrant);
            }
            5 => {
                let _ = self.edge.stop(u32::from(n.byte()), StopReason::NotWorth);
            }
            6 => {
                let answer = Answer {
                    task: u32::from(n.byte()),
                    top: (0..n.byte() % 20).map(|class| Scored { class: class.into(), probability: 0.05 }).collect(),
                    entropy_nats: f32::from_bits(n.word()),
                    chunks: 3,
                    bits: 99,
                    checkpoint: 1,
                    batch_s: 0.05,
                    tail_s: 0.001,
                    failure: None,
                };
                let _ = self.edge.close_upload(answer.task);
                let _ = self.edge.answer(answer);
            }
            7 => {
                let task = u32::from(n.byte());
                let _ = self.device.report(report(task, n));
            }
            8 => {
                let idle = Idle {
                    frames: n.word(),
                    gain: 1e-11,
                    fading: Fading::None,
                    mean_gain: n.real(),
                    energy_queue_j: n.real(),
                    energy_j: n.real(),
                    account: Account { queue_j: n.real(), spent_j: 0.0, frames: 3 },
                    tasks: None,
                };
                let _ = self.device.idle(idle);
            }
            9 => drop(self.device.give_up(u32::from(n.byte()))),
            10 => self.own_datagram(n),
            _ => self.picture(bytes),
        }
        self.settle(n);
    }
}

fuzz_target!(|data: &[u8]| {
    let limits = Limits { outstanding_tasks: OUTSTANDING, chunks: CHUNKS, chunk_bytes: CHUNK_BYTES, ..Limits::default() };
    let settings = EdgeSettings { model_sha256: [1; 32], tables_sha256: [2; 32], cuts: 3, limits };
    let mut pair = Pair {
        edge: EdgeSession::new(settings),
        device: DeviceSession::new(hello()).expect("a good hello"),
        picture: Arriving::default(),
        task: 0,
    };
    if data.first().is_some_and(|b| b & 0x80 != 0) {
        pair.settle(&mut Numbers(&[]));
    } else {
        while pair.device.poll_transmit().is_some() {}
    }
    let mut rest = data;
    while let [kind, length, tail @ ..] = rest {
        let (bytes, next) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = next;
        pair.act(kind & 0x7f, bytes);
    }
});
