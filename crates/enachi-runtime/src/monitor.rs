//! What has happened at an edge, in numbers: for the live page, for Prometheus, and for the summary at the end.

use crate::cell::Cell;
use crate::edge::{Done, Happening, Seen};
use enachi_core::record::Outcome;
use enachi_proto::message::RadioKind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Upper ends of the latency histogram's bins, as shares of the deadline; the last is open.
pub const LATENCY_BINS: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.5];
/// Tasks that "recent" figures cover.
const RECENT: usize = 50;

/// One device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DeviceFigures {
    /// Name.
    pub name: String,
    /// Whether it is connected.
    pub connected: bool,
    /// How its bits reach the edge: `emulated`, or `host`, which keeps to no granted power.
    pub radio: &'static str,
    /// Tasks that have ended.
    pub tasks: u64,
    /// Tasks whose truth is known, and those of them that were right.
    pub known: u64,
    /// Right answers.
    pub right: u64,
    /// Tasks that the edge stopped early.
    pub stopped: u64,
    /// Tasks that the edge owed an answer and did not answer in time.
    pub missed: u64,
    /// Energy spent \[J\].
    pub energy_j: f64,
    /// Mean energy allowed per frame \[J\].
    pub budget_j: f64,
    /// Q before the last task \[J\].
    pub queue_j: f64,
    /// Bits that arrived.
    pub bits: f64,
    /// Bits that were saved by stops.
    pub bits_saved: f64,
    /// Mean gain of the last task \[dB\].
    pub gain_db: f64,
    /// Tasks by cut.
    pub cuts: BTreeMap<String, u64>,
    /// Cut of the last task.
    pub cut: String,
    /// How the last task ended.
    pub outcome: String,
    /// Cuts of the last tasks, oldest first, as indices into [`Monitor::cuts`].
    pub recent_cuts: Vec<u16>,
}

/// The latest frame's packets of one device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// Device.
    pub name: String,
    /// Frame.
    pub frame: u32,
    /// Cut.
    pub cut: String,
    /// When head and encoder were done \[s\].
    pub ready_s: f64,
    /// When the batch began \[s\].
    pub batch_s: f64,
    /// When the answer was there \[s\].
    pub answer_s: f64,
    /// T \[s\].
    pub deadline_s: f64,
    /// How it ended.
    pub outcome: String,
    /// Slot and chunks so far.
    pub seen: Vec<(u32, u32)>,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Monitor {
    /// Policy.
    pub policy: String,
    /// Network.
    pub network: String,
    /// Cuts of the profile.
    pub cuts: Vec<String>,
    /// Length of a slot \[s\].
    pub slot_s: f64,
    /// Frames planned.
    pub frames: u64,
    /// Devices by number.
    pub devices: Vec<DeviceFigures>,
    /// Tasks by latency, in bins of [`LATENCY_BINS`] and one more.
    pub latency: Vec<u64>,
    /// Sum of all latencies \[s\].
    pub latency_sum_s: f64,
    /// Sum of all latencies, each as a share of its deadline.
    pub latency_sum_deadlines: f64,
    /// Answers.
    pub answers: u64,
    /// Longest latency \[s\].
    pub latency_max_s: f64,
    /// Stops, and from sending one to the last datagram that came after it: sum and longest \[s\].
    pub stops: u64,
    /// Sum of those times \[s\].
    pub silence_sum_s: f64,
    /// Longest of them \[s\].
    pub silence_max_s: f64,
    /// Datagrams and their bytes.
    pub datagrams: u64,
    /// Bytes of datagrams.
    pub datagram_bytes: u64,
    /// Datagrams that cannot be read.
    pub bad_datagrams: u64,
    /// Peers turned away.
    pub refused: u64,
    /// Tasks that the edge failed.
    pub failed: u64,
    /// Tasks whose costs were not reported.
    pub unreported: u64,
    /// Packets of the latest frame of every device.
    pub timelines: BTreeMap<String, Timeline>,
}

impl Monitor {
    /// Note what cell it is.
    pub fn describe(&mut self, cell: &Cell) {
        let profile = &cell.deployment.networks[0].profile;
        self.policy = cell.variant.label.clone();
        self.network = profile.meta.model_name.clone();
        self.cuts = profile.cuts.iter().map(|cut| cut.name.clone()).collect();
        self.slot_s = cell.deployment.scenario.frame.slot_s;
        self.latency = vec![0; LATENCY_BINS.len() + 1];
    }

    /// A datagram has come.
    pub fn datagram(&mut self, bytes: usize) {
        self.datagrams += 1;
        self.datagram_bytes += bytes as u64;
    }

    /// A peer was turned away by the transport.
    pub fn refused(&mut self) {
        self.refused += 1;
    }

    /// Count what happened.
    pub fn happened(&mut self, happening: &Happening) {
        match happening {
            Happening::Joined {
                device,
                name,
                radio,
            } => {
                let figures = self.device(*device);
                figures.name.clone_from(name);
                figures.connected = true;
                figures.radio = match radio {
                    RadioKind::Emulated => "emulated",
                    RadioKind::Host => "host",
                };
            }
            Happening::AccountBack { .. } => {}
            Happening::Left { device, .. } => self.device(*device).connected = false,
            Happening::Refused { .. } => self.refused += 1,
            Happening::Planned { .. } => self.frames += 1,
            Happening::Stopped { device } => self.device(*device).stopped += 1,
            Happening::BadDatagram => self.bad_datagrams += 1,
            Happening::Failed { .. } => self.failed += 1,
            Happening::Idle(_) => {}
            Happening::Unreported { .. } => self.unreported += 1,
            Happening::Answered { .. } => {}
            Happening::Done(done) => self.done(done),
        }
    }

    fn device(&mut self, index: usize) -> &mut DeviceFigures {
        if self.devices.len() <= index {
            self.devices.resize(index + 1, DeviceFigures::default());
        }
        &mut self.devices[index]
    }

    fn done(&mut self, done: &Done) {
        let record = &done.record;
        let cut = record
            .cut
            .and_then(|cut| self.cuts.get(usize::from(cut)))
            .map_or("-", String::as_str)
            .to_owned();
        let cuts = self.cuts.len() as u16;
        let figures = self.device(record.device as usize);
        figures.tasks += 1;
        figures.known += u64::from(done.known);
        figures.right += u64::from(done.known && record.correct);
        figures.missed += u64::from(!done.in_time);
        figures.energy_j += record.energy_j();
        figures.queue_j = record.energy_queue_j;
        figures.bits += record.bits;
        if record.outcome == Outcome::StoppedEarly && record.fraction > 0.0 {
            figures.bits_saved += record.bits / record.fraction - record.bits;
        }
        figures.gain_db = 10.0 * record.mean_gain.max(1e-30).log10();
        *figures.cuts.entry(cut.clone()).or_default() += 1;
        figures.cut.clone_from(&cut);
        figures.outcome = record.outcome.name().into();
        if figures.recent_cuts.len() >= RECENT {
            figures.recent_cuts.remove(0);
        }
        figures.recent_cuts.push(record.cut.unwrap_or(cuts));
        let deadline_s = done.deadline_s;
        if let Some(latency_s) = done.latency_s {
            let share = latency_s / deadline_s;
            let bin = LATENCY_BINS.partition_point(|end| *end < share);
            if let Some(count) = self.latency.get_mut(bin) {
                *count += 1;
            }
            self.answers += 1;
            self.latency_sum_s += latency_s;
            self.latency_sum_deadlines += share;
            self.latency_max_s = self.latency_max_s.max(latency_s);
        }
        if let Some(silence_s) = done.silence_s {
            self.stops += 1;
            self.silence_sum_s += silence_s;
            self.silence_max_s = self.silence_max_s.max(silence_s);
        }
        let timeline = Timeline {
            name: done.name.clone(),
            frame: record.frame,
            cut,
            ready_s: record.ready_time_s,
            batch_s: record.batch_time_s,
            answer_s: record.answer_time_s,
            deadline_s,
            outcome: record.outcome.name().into(),
            seen: done
                .timeline
                .iter()
                .map(|Seen { slot, chunks, .. }| (*slot, *chunks))
                .collect(),
        };
        self.timelines.insert(done.name.clone(), timeline);
    }

    /// Note what a device may spend per frame \[J\], which the records do not hold.
    pub fn budget(&mut self, device: usize, budget_j: f64) {
        self.device(device).budget_j = budget_j;
    }

    /// Tasks ended, right, known, stopped, missed.
    pub fn totals(&self) -> DeviceFigures {
        let mut total = DeviceFigures::default();
        for device in &self.devices {
            total.tasks += device.tasks;
            total.known += device.known;
            total.right += device.right;
            total.stopped += device.stopped;
            total.missed += device.missed;
            total.energy_j += device.energy_j;
            total.bits += device.bits;
            total.bits_saved += device.bits_saved;
            for (cut, count) in &device.cuts {
                *total.cuts.entry(cut.clone()).or_default() += count;
            }
        }
        total
    }

    /// The text that Prometheus reads.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(
                out,
                "# HELP enachi_{name} {help}\n# TYPE enachi_{name} {kind}\nenachi_{name} {value}"
            );
        };
        one(
            "frames_total",
            "counter",
            "Frames planned.",
            self.frames as f64,
        );
        one(
            "datagrams_total",
            "counter",
            "Datagrams received.",
            self.datagrams as f64,
        );
        one(
            "datagram_bytes_total",
            "counter",
            "Bytes of datagrams received.",
            self.datagram_bytes as f64,
        );
        one(
            "bad_datagrams_total",
            "counter",
            "Datagrams that cannot be read.",
            self.bad_datagrams as f64,
        );
        one(
            "refused_total",
            "counter",
            "Peers turned away.",
            self.refused as f64,
        );
        one(
            "failed_total",
            "counter",
            "Tasks that the edge failed.",
            self.failed as f64,
        );
        one(
            "unreported_total",
            "counter",
            "Tasks whose costs were not reported.",
            self.unreported as f64,
        );
        one(
            "stop_to_silence_seconds_max",
            "gauge",
            "Longest time from a stop to the last datagram after it.",
            self.silence_max_s,
        );
        let connected = self.devices.iter().filter(|d| d.connected).count();
        one(
            "devices_connected",
            "gauge",
            "Devices connected.",
            connected as f64,
        );
        let _ = writeln!(
            out,
            "# HELP enachi_latency_deadlines Start of a task to its answer, in deadlines.\n# TYPE enachi_latency_deadlines histogram"
        );
        let mut below = 0;
        for (count, end) in self.latency.iter().zip(LATENCY_BINS) {
            below += count;
            let _ = writeln!(
                out,
                "enachi_latency_deadlines_bucket{{le=\"{end}\"}} {below}"
            );
        }
        let _ = writeln!(
            out,
            "enachi_latency_deadlines_bucket{{le=\"+Inf\"}} {0}\nenachi_latency_deadlines_sum {1}\nenachi_latency_deadlines_count {0}",
            self.answers, self.latency_sum_deadlines
        );
        let _ = writeln!(
            out,
            "# HELP enachi_latency_seconds Start of a task to its answer.\n# TYPE enachi_latency_seconds summary\nenachi_latency_seconds_sum {}\nenachi_latency_seconds_count {}",
            self.latency_sum_s, self.answers
        );
        type Figure = fn(&DeviceFigures) -> f64;
        let per_device: [(&str, &str, &str, Figure); 9] = [
            ("tasks_total", "counter", "Tasks ended.", |d| d.tasks as f64),
            (
                "tasks_known_total",
                "counter",
                "Tasks whose truth is known.",
                |d| d.known as f64,
            ),
            ("tasks_right_total", "counter", "Right answers.", |d| {
                d.right as f64
            }),
            ("stops_total", "counter", "Early stops.", |d| {
                d.stopped as f64
            }),
            (
                "missed_total",
                "counter",
                "Answers owed and not given in time.",
                |d| d.missed as f64,
            ),
            ("energy_joules_total", "counter", "Energy spent.", |d| {
                d.energy_j
            }),
            ("energy_queue_joules", "gauge", "Energy queue Q.", |d| {
                d.queue_j
            }),
            ("bits_total", "counter", "Bits that arrived.", |d| d.bits),
            (
                "bits_saved_total",
                "counter",
                "Bits that stops have saved.",
                |d| d.bits_saved,
            ),
        ];
        for (name, kind, help, figure) in per_device {
            let _ = writeln!(
                out,
                "# HELP enachi_{name} {help}\n# TYPE enachi_{name} {kind}"
            );
            for device in &self.devices {
                // Names come from certificates: letters, digits, and `-_.` alone.
                let _ = writeln!(
                    out,
                    "enachi_{name}{{device=\"{}\"}} {}",
                    device.name,
                    figure(device)
                );
            }
        }
        let _ = writeln!(
            out,
            "# HELP enachi_cut_total Tasks by cut.\n# TYPE enachi_cut_total counter"
        );
        for device in &self.devices {
            for (cut, count) in &device.cuts {
                let _ = writeln!(
                    out,
                    "enachi_cut_total{{device=\"{}\",cut=\"{}\"}} {count}",
                    device.name,
                    cut.replace(['"', '\\', '\n'], "_")
                );
            }
        }
        out
    }
}
