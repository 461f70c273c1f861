//! What a clock that runs takes from deadlines and windows, learnt as tasks end: tails overrun, answers are read late, datagrams come
//! late.

use std::collections::{BTreeMap, VecDeque};

/// Shares of a new need that a larger and a smaller one are taken with: late answers count at once, good times slowly.
const LAG_SHARES: [f64; 2] = [0.5, 0.01];
/// Most lag that is planned for, as a share of the deadline: on a machine that is starved, uploads cut short cost more right answers than
/// late tails do.
const MOST_LAG: f64 = 0.2;
/// Frames for which a need counts for all devices.
const RECENT: u64 = 5;
/// Shares of a new lateness of datagrams that a larger and a smaller one are taken with.
const LATE_SHARES: [f64; 2] = [0.25, 0.05];
/// Most lateness that is planned for, as a share of the deadline.
const MOST_LATE: f64 = 0.4;

fn follow(known_s: &mut f64, new_s: f64, shares: [f64; 2]) {
    *known_s += shares[usize::from(new_s < *known_s)] * (new_s - *known_s);
}

/// Slack before deadlines, and lateness of datagrams.
#[derive(Clone, Debug)]
pub(super) struct Slack {
    /// Whatever happens \[s\].
    guard_s: f64,
    /// Beyond that, of all batches \[s\].
    lag_s: f64,
    /// By device: beyond the guard, of its own batches \[s\].
    own_s: Vec<f64>,
    /// By device: how much later than their slots its datagrams come \[s\].
    late_s: Vec<f64>,
    frame: u64,
    /// Needs of the frame, by device \[s\].
    needs: BTreeMap<usize, f64>,
    /// The two largest needs of each of the last frames.
    recent: VecDeque<(u64, usize, f64)>,
}

impl Slack {
    pub(super) fn new(devices: usize, guard_s: f64) -> Self {
        Self {
            guard_s,
            lag_s: 0.0,
            own_s: vec![0.0; devices],
            late_s: vec![0.0; devices],
            frame: 0,
            needs: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    /// Another device is in place `device`.
    pub(super) fn forget(&mut self, device: usize) {
        (self.own_s[device], self.late_s[device]) = (0.0, 0.0);
        self.needs.remove(&device);
    }

    /// Before deadlines of `deadline_s`, in batches of several devices \[s\].
    pub(super) fn shared_s(&self, deadline_s: f64) -> f64 {
        self.guard_s + self.lag_s.min(MOST_LAG * deadline_s)
    }

    /// Before the deadlines of a device \[s\].
    pub(super) fn before_s(&self, device: usize, deadline_s: f64) -> f64 {
        let lag_s = self.lag_s.max(self.own_s[device]);
        self.guard_s + lag_s.min(MOST_LAG * deadline_s)
    }

    /// How much later than their slots a device's datagrams come \[s\].
    pub(super) fn late_s(&self, device: usize) -> f64 {
        self.late_s[device]
    }

    /// A device had its answer `left_s` before its deadline \[s\].
    pub(super) fn answered(&mut self, device: usize, left_s: f64, deadline_s: f64) {
        // With so much more than the guard, the guard would have been left.
        let need_s = self.before_s(device, deadline_s) - left_s;
        let known_s = self.needs.entry(device).or_insert(need_s);
        *known_s = known_s.max(need_s);
        follow(&mut self.own_s[device], need_s, LAG_SHARES);
        self.own_s[device] = self.own_s[device].clamp(0.0, MOST_LAG * deadline_s);
    }

    /// A frame begins: what all batches need is what two devices have needed of late. What only one has, or says that it has, it gets
    /// alone.
    pub(super) fn begin_frame(&mut self, most_deadline_s: f64) {
        self.frame += 1;
        let mut needs: Vec<(usize, f64)> = std::mem::take(&mut self.needs).into_iter().collect();
        needs.sort_by(|a, b| b.1.total_cmp(&a.1));
        let any = !needs.is_empty();
        let new = needs.into_iter().take(2);
        self.recent
            .extend(new.map(|(device, need_s)| (self.frame, device, need_s)));
        while self
            .recent
            .front()
            .is_some_and(|r| r.0 + RECENT <= self.frame)
        {
            self.recent.pop_front();
        }
        let mut most: BTreeMap<usize, f64> = BTreeMap::new();
        for (_, device, need_s) in &self.recent {
            let known_s = most.entry(*device).or_insert(*need_s);
            *known_s = known_s.max(*need_s);
        }
        let mut most: Vec<f64> = most.into_values().collect();
        most.sort_by(|a, b| b.total_cmp(a));
        if any {
            follow(
                &mut self.lag_s,
                most.get(1).copied().unwrap_or(0.0),
                LAG_SHARES,
            );
            self.lag_s = self.lag_s.clamp(0.0, MOST_LAG * most_deadline_s);
        }
    }

    /// A device's datagrams came `late_s` after their slots.
    pub(super) fn arrived_late(&mut self, device: usize, late_s: f64, deadline_s: f64) {
        follow(&mut self.late_s[device], late_s, LATE_SHARES);
        self.late_s[device] = self.late_s[device].clamp(0.0, MOST_LATE * deadline_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: f64 = 0.1;
    const GUARD_S: f64 = 0.004;

    /// `frames` frames in which devices need what `need_s` says, by frame and device.
    fn run(slack: &mut Slack, frames: u64, need_s: impl Fn(u64, usize) -> f64) {
        for frame in 0..frames {
            for device in 0..slack.own_s.len() {
                let left_s = slack.before_s(device, T) - need_s(frame, device);
                slack.answered(device, left_s, T);
            }
            slack.begin_frame(T);
        }
    }

    #[test]
    fn all_have_the_slack_that_two_need_and_one_that_is_slow_has_it_alone() {
        let mut slack = Slack::new(8, GUARD_S);
        // Any two, in turns.
        run(&mut slack, 40, |frame, device| {
            if (frame as usize + device).is_multiple_of(4) {
                0.01
            } else {
                0.0
            }
        });
        let shared_s = slack.shared_s(T) - GUARD_S;
        assert!((shared_s - 0.01).abs() < 5e-4, "{shared_s}");
        // One alone, whether in every frame or in every second one, with whatever it claims.
        for every in [1, 2, 3] {
            let mut slack = Slack::new(8, GUARD_S);
            run(&mut slack, 200, |frame, device| {
                if device == 3 && frame % every == 0 {
                    9.0
                } else {
                    0.0
                }
            });
            assert!(slack.shared_s(T) - GUARD_S < 1e-9);
            let own_s = slack.before_s(3, T) - GUARD_S;
            assert!(own_s > 0.9 * MOST_LAG * T, "{own_s}");
            assert!((slack.before_s(2, T) - GUARD_S) < 1e-9);
        }
    }

    #[test]
    fn a_short_deadline_changes_nothing_for_long_ones() {
        let mut slack = Slack::new(3, GUARD_S);
        run(&mut slack, 40, |_, _| 0.015);
        let before_s = slack.shared_s(T);
        slack.answered(0, 0.0, 1e-6);
        slack.begin_frame(T);
        assert!((slack.shared_s(T) - before_s).abs() < 1e-3);
        assert!(slack.before_s(0, 1e-6) <= GUARD_S + 1e-6);
    }

    #[test]
    fn lateness_is_forgotten_where_nothing_is_late() {
        let mut slack = Slack::new(1, GUARD_S);
        (0..20).for_each(|_| slack.arrived_late(0, 0.5, T));
        assert!(slack.late_s(0) <= MOST_LATE * T);
        (0..100).for_each(|_| slack.arrived_late(0, 0.0, T));
        assert!(slack.late_s(0) < 1e-3);
    }
}
