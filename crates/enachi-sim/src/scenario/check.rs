//! Ranges of every value of a scenario. All problems are listed, not only the first.

mod world;

use super::{DeviceDefaults, Scenario};
use enachi_core::edge::BatchTime;

/// Most devices, frames and slots of one run: what 32-bit indices and memory bear.
const MAX_DEVICES: usize = 100_000;
const MAX_SLOTS: f64 = 1e6;

struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, key: &str, value: impl std::fmt::Display, allowed: &str) {
        self.0.push(format!("{key} = {value}: must be {allowed}"));
    }

    fn positive(&mut self, key: &str, value: f64) {
        if !(value.is_finite() && value > 0.0) {
            self.add(key, value, "finite and above 0");
        }
    }

    fn not_negative(&mut self, key: &str, value: f64) {
        if !(value.is_finite() && value >= 0.0) {
            self.add(key, value, "finite and at least 0");
        }
    }

    fn at_least_one(&mut self, key: &str, value: u32) {
        if value == 0 {
            self.add(key, value, "at least 1");
        }
    }
}

/// Everything that is out of range, as `key = value: must be ...`.
pub fn check(scenario: &Scenario) -> Vec<String> {
    let mut problems = Problems(Vec::new());
    general(scenario, &mut problems);
    channel(scenario, &mut problems);
    edge(scenario, &mut problems);
    devices(scenario, &mut problems);
    world::world(scenario, &mut problems);
    levels(scenario, &mut problems);
    curves(scenario, &mut problems);
    problems.0
}

fn general(s: &Scenario, problems: &mut Problems) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if s.name.is_empty() || !s.name.chars().all(plain) || s.name.starts_with('.') {
        let allowed = "letters, digits, `-`, `_` and `.`, as it names a folder";
        problems.add("name", format!("{:?}", s.name), allowed);
    }
    if i64::try_from(s.seed).is_err() {
        problems.add("seed", s.seed, "below 2^63");
    }
    problems.at_least_one("seeds", s.seeds);
    problems.at_least_one("frames", s.frames);
    if s.warmup_frames >= s.frames && s.frames > 0 && s.warmup_frames > 0 {
        problems.add(
            "warmup_frames",
            s.warmup_frames,
            &format!("below frames = {}", s.frames),
        );
    }
    if s.policies.is_empty() {
        problems.add("policies", "[]", "at least one policy");
    }
    problems.positive("frame.length_s", s.frame.length_s);
    problems.positive("frame.slot_s", s.frame.slot_s);
    if s.frame.slot_s > s.frame.length_s || s.frame.length_s / s.frame.slot_s > MAX_SLOTS {
        let allowed = format!(
            "between frame.length_s/1e6 and frame.length_s = {} s",
            s.frame.length_s
        );
        problems.add("frame.slot_s", s.frame.slot_s, &allowed);
    }
    if let Some(path) = &s.profile.path
        && s.profile.curves.is_some()
    {
        problems.add(
            "profile.path",
            format!("{path:?}"),
            "absent where profile.curves is given",
        );
    }
}

fn channel(s: &Scenario, problems: &mut Problems) {
    let c = &s.channel;
    problems.positive("channel.bandwidth_hz", c.bandwidth_hz);
    problems.positive("channel.noise_psd_w_per_hz", c.noise_psd_w_per_hz);
    problems.positive("channel.noise_power_w", c.noise_power_w);
    let cap = c.max_spectral_efficiency;
    if cap.is_nan() || cap <= 0.0 {
        problems.add("channel.max_spectral_efficiency", cap, "above 0, or inf");
    }
    problems.at_least_one("channel.coherence_slots", c.coherence_slots);
    if !(0.0..=30.0).contains(&c.shadowing_db) {
        problems.add("channel.shadowing_db", c.shadowing_db, "in 0..=30");
    }
    if !(0.0..=300.0).contains(&c.path_loss_1m_db) {
        problems.add("channel.path_loss_1m_db", c.path_loss_1m_db, "in 0..=300");
    }
    if !(0.0..=10.0).contains(&c.path_loss_exponent) {
        problems.add(
            "channel.path_loss_exponent",
            c.path_loss_exponent,
            "in 0..=10",
        );
    }
    problems.positive("edge.frequency_hz", s.edge.frequency_hz);
    problems.positive("edge.cycles_per_mac", s.edge.cycles_per_mac);
}

fn edge(s: &Scenario, problems: &mut Problems) {
    let e = &s.edge;
    if let Some(workers) = e.workers {
        problems.at_least_one("edge.workers", workers);
    } else if e.batch_overhead_s != 0.0 || e.batch_per_item != 1.0 || !e.batch_table.is_empty() {
        let allowed = "given where edge.batch_... is: without workers every tail runs alone";
        problems.add("edge.workers", "absent", allowed);
    }
    problems.at_least_one("edge.max_batch", e.max_batch);
    problems.not_negative("edge.batch_overhead_s", e.batch_overhead_s);
    if !(0.0..=1.0).contains(&e.batch_per_item) {
        problems.add("edge.batch_per_item", e.batch_per_item, "in 0..=1");
    }
    if !e.batch_table.is_empty()
        && let Err(error) = BatchTime::table(e.batch_overhead_s, &e.batch_table)
    {
        let value = format!("[{}, {}]", error.size, error.time);
        problems.add("edge.batch_table", value, error.allowed);
    }
}

fn devices(s: &Scenario, problems: &mut Problems) {
    one_device(s, "device", &s.device, problems);
    for (i, group) in s.devices.iter().enumerate() {
        let key = format!("devices.{i}");
        problems.at_least_one(&format!("{key}.count"), group.count);
        if group.profile.as_deref() == Some("") {
            problems.add(
                &format!("{key}.profile"),
                "\"\"",
                "a profile file, or absent",
            );
        }
        if let Some(gain) = group.mean_gain {
            if !(gain > 0.0 && gain <= 1.0) {
                problems.add(&format!("{key}.mean_gain"), gain, "above 0 and at most 1");
            }
            if group.distance_m.is_some() {
                let value = format!("{:?}", group.distance_m.unwrap_or_default());
                problems.add(
                    &format!("{key}.distance_m"),
                    value,
                    "absent where mean_gain is given",
                );
            }
        }
        let resolved = group.resolved(&s.device);
        if resolved != s.device {
            one_device(s, &key, &resolved, problems);
        }
    }
    let weighs = |group: &super::DeviceGroup| group.resolved(&s.device).weight > 0.0;
    if !s.devices.is_empty() && !s.devices.iter().any(weighs) {
        problems.add("device.weight", 0, "above 0 for some group of devices");
    }
    let count = s.device_count();
    if count == 0 || count > MAX_DEVICES {
        problems.add(
            "devices",
            format!("{count} devices"),
            &format!("between 1 and {MAX_DEVICES} devices in all"),
        );
    }
}

fn one_device(s: &Scenario, key: &str, d: &DeviceDefaults, problems: &mut Problems) {
    let name = |field: &str| format!("{key}.{field}");
    problems.positive(&name("frequency_hz"), d.frequency_hz);
    problems.positive(&name("cycles_per_mac"), d.cycles_per_mac);
    problems.not_negative(&name("capacitance_w_per_hz3"), d.capacitance_w_per_hz3);
    problems.not_negative(&name("idle_power_w"), d.idle_power_w);
    problems.positive(&name("power_max_w"), d.power_max_w);
    if !(d.amplifier_efficiency > 0.0 && d.amplifier_efficiency <= 1.0) {
        let value = d.amplifier_efficiency;
        problems.add(
            &name("amplifier_efficiency"),
            value,
            "above 0 and at most 1",
        );
    }
    problems.not_negative(&name("circuit_power_w"), d.circuit_power_w);
    problems.not_negative(&name("tail_power_w"), d.tail_power_w);
    problems.not_negative(&name("tail_time_s"), d.tail_time_s);
    problems.not_negative(&name("weight"), d.weight);
    let idle_j = d.idle_power_w * s.frame.length_s;
    if !(d.energy_budget_j.is_finite() && d.energy_budget_j > 0.0 && d.energy_budget_j > idle_j) {
        let allowed = format!("finite, above 0 and above the idle cost of a frame, {idle_j} J");
        problems.add(&name("energy_budget_j"), d.energy_budget_j, &allowed);
    }
    if !(d.deadline_s > 0.0 && d.deadline_s <= s.frame.length_s) {
        let allowed = format!(
            "above 0 and at most frame.length_s = {} s",
            s.frame.length_s
        );
        problems.add(&name("deadline_s"), d.deadline_s, &allowed);
    }
    world::device(s, key, d, problems);
}

fn levels(s: &Scenario, problems: &mut Problems) {
    problems.positive("task.v", s.task.v);
    problems.positive("packet.kappa_w2", s.packet.kappa_w2);
    problems.positive("packet.v", s.packet.v);
    problems.at_least_one("packet.bits_per_element", s.packet.bits_per_element);
    problems.not_negative(
        "packet.entropy_threshold_nats",
        s.packet.entropy_threshold_nats.unwrap_or(0.0),
    );
    if !(0.0..=1.0).contains(&s.packet.threshold_loss) {
        let loss = s.packet.threshold_loss;
        problems.add("packet.threshold_loss", loss, "in 0..=1");
    }
    problems.at_least_one("mux.period_slots", s.mux.period_slots);
    if s.mux.delay_slots >= s.mux.period_slots {
        problems.add(
            "mux.delay_slots",
            s.mux.delay_slots,
            "less than mux.period_slots",
        );
    }
    problems.positive("predictor.entropy_max_nats", s.predictor.entropy_max_nats);
    problems.not_negative("predictor.noise_nats", s.predictor.noise_nats);
    if let Err(error) = s.baselines.check() {
        let key = format!("baselines.{}", error.key);
        problems.add(&key, error.value, error.allowed);
    }
    if !(100..=100_000).contains(&s.output.bootstrap_replicates) {
        problems.add(
            "output.bootstrap_replicates",
            s.output.bootstrap_replicates,
            "in 100..=100000",
        );
    }
}

fn curves(s: &Scenario, problems: &mut Problems) {
    let Some(profile) = &s.profile.curves else {
        return;
    };
    let unit = |x: f64| x > 0.0 && x <= 1.0;
    if profile.classes < 2 {
        problems.add("profile.curves.classes", profile.classes, "at least 2");
    }
    if !unit(profile.top1) {
        problems.add("profile.curves.top1", profile.top1, "above 0 and at most 1");
    }
    if !(1..=64).contains(&profile.bits_per_element) {
        problems.add(
            "profile.curves.bits_per_element",
            profile.bits_per_element,
            "in 1..=64",
        );
    }
    if profile.input_shape.contains(&0) {
        let value = format!("{:?}", profile.input_shape);
        problems.add("profile.curves.input_shape", value, "at least 1 each");
    }
    if profile.cuts.is_empty() {
        problems.add("profile.curves.cuts", "[]", "at least one cut");
    }
    let mut before = 0;
    for (i, cut) in profile.cuts.iter().enumerate() {
        let key = |field: &str| format!("profile.curves.cuts.{i}.{field}");
        for (field, value) in [
            ("maps", cut.maps),
            ("height", cut.height),
            ("width", cut.width),
        ] {
            problems.at_least_one(&key(field), value);
        }
        if cut.head_macs < before || cut.head_macs > profile.total_macs {
            let allowed = format!(
                "between {before} (the cut before) and total_macs = {}",
                profile.total_macs
            );
            problems.add(&key("head_macs"), cut.head_macs, &allowed);
        }
        before = cut.head_macs;
        problems.positive(&key("a0"), cut.a0);
        if !(cut.a1.is_finite() && cut.a1 < cut.a0) {
            problems.add(&key("a1"), cut.a1, "finite and below a0");
        }
        if !unit(cut.a2) {
            problems.add(&key("a2"), cut.a2, "above 0 and at most 1");
        }
    }
}
