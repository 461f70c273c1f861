//! What a device can have spent, by its own description: plans for all rest on what each says, so one that claims more is sent away.

use super::engine::{Edge, Happening};
use super::judge::Judge;
use enachi_proto::message::{Account, Idle, RefuseReason, Report};

/// Times the most that a frame can cost that a claim may be: clocks and rounding differ a little.
const MARGIN: f64 = 2.0;
/// Frames of the highest expense, without allowance, that a queue may stand for: a day of ten a second.
const MOST_FRAMES: f64 = 1e6;
/// Frames that a device can have had since the edge last heard of its account: thirty years of ten a second, for one that has been alone.
const MOST_NEW_FRAMES: u64 = 10_000_000_000;
/// Energies below this need no explanation \[J\].
const NOTHING_J: f64 = 1e-9;

impl<J: Judge> Edge<J> {
    /// The most that a frame can cost a device \[J\]: idling, the dearest head and encoder, the whole network after all, and the
    /// radio at its most for a frame and a deadline.
    fn most_frame_j(&self, device: usize) -> f64 {
        let deployment = &self.cell.deployment;
        let described = &deployment.devices[device];
        let frame_s = deployment.scenario.frame.length_s;
        let of_cut = |c: &enachi_core::task::Candidate| {
            let compute = &described.compute;
            compute.energy_j(c.head_macs) + compute.energy_j(c.encode_macs)
        };
        let dearest_j = self.cell.candidates(device).iter().map(of_cut);
        let profile = &deployment.networks[0].profile;
        let whole = profile.cuts.first();
        let whole = whole.map_or(0, |cut| cut.head_macs + cut.tail_macs);
        let values = &described.values;
        let radio_w = described.drawn_power_max_w + described.radio.circuit_power_w;
        values.idle_power_w * frame_s
            + dearest_j.fold(0.0, f64::max)
            + described.compute.energy_j(whole)
            + radio_w * (frame_s + values.deadline_s)
            + described.radio.tail_power_w * described.radio.tail_time_s
    }

    /// Whether a device can have spent `spent_j` in `frames` frames \[J\].
    fn can_have_spent(&self, device: usize, spent_j: f64, frames: f64) -> Result<(), String> {
        let most_j = MARGIN * frames * self.most_frame_j(device) + NOTHING_J;
        if spent_j <= most_j {
            return Ok(());
        }
        Err(format!(
            "{spent_j} J in {frames} frames: by its own description the device can spend {most_j} J at most"
        ))
    }

    /// Whether a queue can have become so long.
    pub(super) fn credible_queue(&self, device: usize, queue_j: f64) -> Result<(), String> {
        let outcome = self.can_have_spent(device, queue_j, MOST_FRAMES);
        outcome.map_err(|why| format!("an energy queue of {why}"))
    }

    /// Whether a task can have cost what is reported.
    pub(super) fn credible_report(&self, device: usize, report: &Report) -> Result<(), String> {
        let spent_j = report.energy_local_j + report.energy_codec_j + report.energy_transmit_j;
        let outcome = self.can_have_spent(device, spent_j, 1.0);
        outcome.map_err(|why| format!("report of task {}: {why}", report.task))?;
        self.credible_account(device, &report.account)
    }

    /// Whether an account can be the present one of a device: what it has spent since the last one that was taken is no more than the
    /// frames since then can have cost.
    pub(super) fn credible_account(&self, device: usize, told: &Account) -> Result<(), String> {
        let known = self.accounts.get(&self.names[device]);
        let known = known.copied().unwrap_or_default();
        let account = |why: String| format!("an energy account of {why}");
        let frames = told.frames.saturating_sub(known.frames);
        if frames > MOST_NEW_FRAMES {
            return Err(account(format!(
                "{frames} frames more than before: at most {MOST_NEW_FRAMES}"
            )));
        }
        self.credible_queue(device, told.queue_j)?;
        // An account that has gone back in frames still tells of the one that has just passed.
        let new_j = told.spent_j - known.spent_j;
        let outcome = self.can_have_spent(device, new_j, frames.max(1) as f64);
        outcome.map_err(|why| account(format!("another {why}")))
    }

    /// Whether frames without a task can have cost what is reported.
    pub(super) fn credible_idle(&self, device: usize, idle: &Idle) -> Result<(), String> {
        self.credible_queue(device, idle.energy_queue_j)?;
        self.can_have_spent(device, idle.energy_j, f64::from(idle.frames))?;
        self.credible_account(device, &idle.account)
    }

    /// End the session of a device that claims what cannot be.
    pub(super) fn disbelieve(&mut self, connection: u64, detail: String) {
        if let Some(connected) = self.connections.get_mut(&connection) {
            let reason = RefuseReason::Misbehaviour;
            connected.session.refuse(reason, &detail);
        }
        self.happenings.push_back(Happening::Refused { detail });
    }

    /// What a device says of its energy queue. Frames and energy are never taken back: where it says less than it has before, the
    /// larger numbers are kept.
    pub(super) fn account(&mut self, connection: u64, device: usize, told: Account) {
        let name = self.names[device].clone();
        let known = self.accounts.get(&name).copied().unwrap_or_default();
        let mut account = told;
        if told.frames < known.frames || told.spent_j < known.spent_j {
            account = Account {
                queue_j: told.queue_j.max(known.queue_j),
                spent_j: told.spent_j.max(known.spent_j),
                frames: told.frames.max(known.frames),
            };
            let connected = self.connections.get_mut(&connection);
            let warned = connected.is_some_and(|c| std::mem::replace(&mut c.warned, true));
            if !warned {
                self.happenings.push_back(Happening::AccountBack {
                    name: name.clone(),
                    known,
                    told,
                });
            }
        }
        self.accounts.insert(name.clone(), account);
        self.changed.push(name);
    }
}
