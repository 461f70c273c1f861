//! Ranges of what makes the world: channel, places, mobility, arrivals.

use super::Problems;
use crate::scenario::{
    ArrivalKind, CorrelationKind, DeviceDefaults, FadingKind, MobilityKind, Scenario,
};
use crate::world::doppler_hz;
use crate::world::path_loss::{URBAN_CARRIER_HZ, URBAN_DISTANCE_M, URBAN_HEIGHT_M};

/// Largest Doppler shift times slot: half a turn per slot is the end of "constant within a slot".
const MAX_TURNS_PER_SLOT: f64 = 0.5;

pub fn world(s: &Scenario, problems: &mut Problems) {
    channel(s, problems);
    estimate(s, problems);
    mobility(s, problems);
    arrivals(s, problems);
    for (i, group) in s.devices.iter().enumerate() {
        places(s, i, group, problems);
    }
}

fn within(problems: &mut Problems, key: &str, value: f64, [low, high]: [f64; 2]) {
    if !(low..=high).contains(&value) {
        problems.add(key, value, &format!("in {low}..={high}"));
    }
}

fn channel(s: &Scenario, problems: &mut Problems) {
    let c = &s.channel;
    problems.positive("channel.carrier_hz", c.carrier_hz);
    within(
        problems,
        "channel.rician_k_db",
        c.rician_k_db,
        [-20.0, 40.0],
    );
    problems.not_negative("channel.shadowing_distance_m", c.shadowing_distance_m);
    if c.path_loss.urban().is_some() {
        within(
            problems,
            "channel.carrier_hz",
            c.carrier_hz,
            URBAN_CARRIER_HZ,
        );
        let height = c.urban.device_height_m;
        within(
            problems,
            "channel.urban.device_height_m",
            height,
            URBAN_HEIGHT_M,
        );
        // Above every height that the standard gives a device, so that the breakpoint distance means something.
        within(
            problems,
            "channel.urban.base_height_m",
            c.base_height_m(),
            [3.0, 150.0],
        );
        if c.shadowing_db != 0.0 {
            let allowed = "0 where path_loss is umi or uma, which have the standard's own (channel.urban.shadowing)";
            problems.add("channel.shadowing_db", c.shadowing_db, allowed);
        }
        within(
            problems,
            "channel.cell_radius_m",
            c.cell_radius_m,
            URBAN_DISTANCE_M,
        );
    } else if !(c.cell_radius_m >= 1.0 && c.cell_radius_m.is_finite()) {
        problems.add(
            "channel.cell_radius_m",
            c.cell_radius_m,
            "finite and at least 1",
        );
    }
    if let Some(trace) = &c.trace {
        if trace.path.is_empty() {
            problems.add(
                "channel.trace.path",
                "\"\"",
                "the name of a CSV or Parquet file",
            );
        }
        if s.mobility.model != MobilityKind::None {
            let allowed = "\"none\" where channel.trace gives the gains";
            let name = match s.mobility.model {
                MobilityKind::None => "none",
                MobilityKind::RandomWaypoint => "random-waypoint",
                MobilityKind::GaussMarkov => "gauss-markov",
            };
            problems.add("mobility.model", format!("{name:?}"), allowed);
        }
    }
}

fn estimate(s: &Scenario, problems: &mut Problems) {
    let e = &s.channel.estimate;
    within(
        problems,
        "channel.estimate.error_db",
        e.error_db,
        [0.0, 30.0],
    );
    within(
        problems,
        "channel.estimate.slot_error_db",
        e.slot_error_db,
        [0.0, 30.0],
    );
    if e.delay_frames > 1000 {
        problems.add(
            "channel.estimate.delay_frames",
            e.delay_frames,
            "in 0..=1000",
        );
    }
}

fn mobility(s: &Scenario, problems: &mut Problems) {
    problems.not_negative("mobility.pause_s", s.mobility.pause_s);
    problems.positive("mobility.memory_s", s.mobility.memory_s);
}

fn arrivals(s: &Scenario, problems: &mut Problems) {
    let a = &s.arrivals;
    let most = match a.process {
        ArrivalKind::EachFrame => {
            if a.tasks_per_frame != 1.0 {
                let allowed = "1 where arrivals.process is \"each-frame\"";
                problems.add("arrivals.tasks_per_frame", a.tasks_per_frame, allowed);
            }
            return;
        }
        ArrivalKind::Bernoulli => 1.0,
        ArrivalKind::Poisson => 50.0,
    };
    if !(a.tasks_per_frame > 0.0 && a.tasks_per_frame <= most) {
        let allowed = format!("above 0 and at most {most}");
        problems.add("arrivals.tasks_per_frame", a.tasks_per_frame, &allowed);
    }
    if a.waiting_max > 1000 {
        problems.add("arrivals.waiting_max", a.waiting_max, "in 0..=1000");
    }
}

/// Places of one group.
fn places(s: &Scenario, i: usize, group: &crate::scenario::DeviceGroup, problems: &mut Problems) {
    let (near_m, far_m) = (s.channel.nearest_m(), s.channel.cell_radius_m);
    let key = |field: &str| format!("devices.{i}.{field}");
    if !group.positions_m.is_empty() {
        let count = group.positions_m.len();
        if count != group.count as usize {
            let allowed = format!("one [x, y] for each of count = {} devices", group.count);
            problems.add(&key("positions_m"), format!("{count} places"), &allowed);
        }
        if group.distance_m.is_some() || group.mean_gain.is_some() {
            let allowed = "absent where distance_m or mean_gain is given";
            problems.add(&key("positions_m"), format!("{count} places"), allowed);
        }
        for (index, [x, y]) in group.positions_m.iter().enumerate() {
            if !(near_m..=far_m).contains(&x.hypot(*y)) {
                let allowed =
                    format!("within the cell, {near_m}..={far_m} m from the base station");
                let key = key(&format!("positions_m.{index}"));
                problems.add(&key, format!("[{x}, {y}]"), &allowed);
            }
        }
    }
}

/// Ring and speed of a device, under the name of its table.
pub fn device(s: &Scenario, key: &str, d: &DeviceDefaults, problems: &mut Problems) {
    let [near, far] = d.distance_m;
    let (near_m, far_m) = (s.channel.nearest_m(), s.channel.cell_radius_m);
    if !(near >= near_m && far >= near && far <= far_m) {
        let allowed = format!(
            "[nearest, farthest] with {near_m} <= nearest <= farthest <= channel.cell_radius_m = {far_m}"
        );
        let key = format!("{key}.distance_m");
        problems.add(&key, format!("[{near}, {far}]"), &allowed);
    }
    let key = format!("{key}.speed_m_per_s");
    within(problems, &key, d.speed_m_per_s, [0.0, 200.0]);
    let fades = s.channel.fading != FadingKind::None;
    if fades && s.channel.correlation == CorrelationKind::Doppler {
        let turns = doppler_hz(d.speed_m_per_s, s.channel.carrier_hz) * s.frame.slot_s;
        if turns > MAX_TURNS_PER_SLOT {
            let most = d.speed_m_per_s * MAX_TURNS_PER_SLOT / turns;
            let allowed = format!(
                "at most {most:.4} with channel.correlation = \"doppler\": beyond half a turn per slot (Doppler shift times frame.slot_s) no gain is constant in a slot; shorten frame.slot_s"
            );
            problems.add(&key, d.speed_m_per_s, &allowed);
        }
    }
}
