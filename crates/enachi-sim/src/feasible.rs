//! Whether a scenario can work at all: devices that no policy of it can ever serve are an error, not a run of zeros.
//!
//! Never is: in no frame, on no channel. A candidate that needs a good channel, a free edge or an empty queue may work in some
//! frames, and what comes of that is an outcome of the run. Sweeps, whose axes may lead there on purpose, do not ask.

use crate::deployment::{Deployment, Device};
use crate::edge::server;
use crate::policies::PolicyFactory;
use crate::simulate::SimulateError;
use crate::variant::Variant;
use enachi_core::edge::Tail;
use enachi_core::profile::{CutKind, LadderKind, Stream};
use enachi_core::task::Candidate;

/// Slack of comparisons between times that are sums of slots \[slot\].
const SLACK: f64 = 1e-9;

/// An error that lists every group of devices for which some policy of the scenario has nothing to choose, or nothing that can
/// end by the deadline.
///
/// # Errors
/// Besides that, those of policies that cannot be made.
pub fn check(deployment: &Deployment, factory: &PolicyFactory) -> Result<(), SimulateError> {
    let scenario = &deployment.scenario;
    let mut problems: Vec<(String, Vec<&str>)> = Vec::new();
    for label in &scenario.policies {
        let variant = Variant::parse(label, &scenario.packet, &scenario.task)?;
        let policy = factory.make(&variant.policy)?;
        let offered = factory.offered(&variant.policy);
        let offer = deployment.offer(policy.stream_use(), offered, variant.curve, None)?;
        for group in 0..scenario.devices.len() {
            let mut devices = deployment.devices.iter().zip(&offer.device_candidates);
            let Some((device, range)) = devices.find(|(device, _)| device.group == group) else {
                continue;
            };
            let own = &offer.candidates[range.start as usize..range.end as usize];
            if let Some(problem) = problem(deployment, device, own) {
                match problems.iter_mut().find(|(known, _)| *known == problem) {
                    Some((_, policies)) => policies.push(label),
                    None => problems.push((problem, vec![label])),
                }
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let named = |(problem, policies): (String, Vec<&str>)| {
        let names: Vec<String> = policies.iter().map(|name| format!("{name:?}")).collect();
        format!("policies = {}: {problem}", names.join(", "))
    };
    let problems = problems.into_iter().map(named).collect();
    Err(SimulateError::Infeasible { problems })
}

/// Why a device can do nothing with `candidates`.
fn problem(deployment: &Deployment, device: &Device, candidates: &[Candidate]) -> Option<String> {
    let (group, scenario) = (device.group, &deployment.scenario);
    let network = &deployment.networks[device.network].name;
    let fastest = candidates
        .iter()
        .map(|candidate| (least_deadline_s(deployment, device, candidate), candidate));
    let Some((needed_s, fastest)) = fastest.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Some(format!(
            "must be others in a cell with devices.{group}, as {network} has no cut for them"
        ));
    };
    let deadline_s = device.values.deadline_s;
    if needed_s <= deadline_s + SLACK * scenario.frame.slot_s {
        return None;
    }
    let key = match scenario.devices[group].deadline_s {
        Some(_) => format!("devices.{group}.deadline_s"),
        None => "device.deadline_s".into(),
    };
    let cut = &deployment.cut(fastest.cut).name;
    let does = match fastest.kind {
        CutKind::Local => format!("{network} on the device alone takes that long"),
        _ => format!(
            "head, encoder, sending and tail of cut {cut:?} of {network}, which is done first, take that long"
        ),
    };
    let frame_s = scenario.frame.length_s;
    let longer = match needed_s > frame_s {
        true => format!(", and frame.length_s = {frame_s} no less"),
        false => String::new(),
    };
    Some(format!(
        "{key} = {deadline_s}: must be at least {needed_s:.6}{longer} for devices.{group}, as {does}"
    ))
}

/// Shortest deadline by which `candidate` can be answered, in whole slots of sending: with the cell and the edge to itself, at the
/// cap of the spectral efficiency where there is one, for the easiest task \[s\].
fn least_deadline_s(deployment: &Deployment, device: &Device, candidate: &Candidate) -> f64 {
    let scenario = &deployment.scenario;
    let Some(stream) = candidate
        .stream
        .filter(|_| candidate.kind != CutKind::Local)
    else {
        return candidate.head_time_s;
    };
    let sent = &deployment.cut(candidate.cut).streams[stream as usize];
    let edge_s = match server(scenario) {
        None => candidate.edge_time_s(),
        Some(edge) => edge.alone_s(&Tail {
            kind: 0,
            deadline: device.batch,
            tail_s: candidate.tail_time_s,
            decode_s: candidate.decode_time_s,
        }),
    };
    let slot_s = scenario.frame.slot_s;
    let slot_bits = scenario.channel.bandwidth_hz * slot_s * deployment.radio.spectral_cap;
    let sending = (least_bits(sent) / slot_bits - SLACK).ceil().max(1.0);
    let ready = (candidate.head_time_s + candidate.encode_time_s) / slot_s;
    ((ready - SLACK).ceil() + sending) * slot_s + edge_s
}

/// Fewest bits that change an answer: up to the first checkpoint, or of the smallest level, of the smallest image.
fn least_bits(stream: &Stream) -> f64 {
    let samples = &stream.samples;
    if samples.images == 0 {
        let parts = match stream.ladder {
            LadderKind::Embedded => f64::from(stream.total_chunks),
            LadderKind::Alternatives => 1.0,
        };
        return stream.total_bits / parts;
    }
    let checkpoints = match stream.ladder {
        LadderKind::Embedded => 1..2,
        LadderKind::Alternatives => 1..samples.checkpoints,
    };
    let bits = |image| {
        let of = checkpoints.clone();
        of.map(move |checkpoint| f64::from(samples.bits[samples.at(image, checkpoint)]))
    };
    let all = (0..samples.images).flat_map(bits);
    all.fold(f64::INFINITY, f64::min)
}
