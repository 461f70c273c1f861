//! The two virtual queues: energy per frame, ENACHI (12), and power per slot, ENACHI (23).
//!
//! Both obey a pathwise identity that needs no assumption on the channel: what was spent is never more than the
//! allowance plus what still stands in the queue. It is asserted after every update in debug builds.

/// Slack for rounding when a sum of `n` non-negative terms is compared with its bound.
#[cfg(debug_assertions)]
fn rounding(total: f64, n: u64) -> f64 {
    4.0 * f64::EPSILON * (n as f64 + 4.0) * total.abs().max(1e-300)
}

/// Energy queue of one device, ENACHI (12): Q ← \[Q + E − Ē\]⁺ with the energy really spent, Q₁ = 0.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyQueue {
    level_j: f64,
    budget_j: f64,
    spent_j: f64,
    frames: u64,
}

impl EnergyQueue {
    /// An empty queue with an allowance of `budget_j` per frame \[J\].
    pub fn new(budget_j: f64) -> Self {
        Self {
            level_j: 0.0,
            budget_j,
            spent_j: 0.0,
            frames: 0,
        }
    }

    /// A queue that begins at Q₁ = `level_j` \[J\]: at most M·Ē + Q_{M+1} − Q₁ is spent in M frames.
    pub fn starting_at(budget_j: f64, level_j: f64) -> Self {
        Self {
            level_j: level_j.max(0.0),
            ..Self::new(budget_j)
        }
    }

    /// A queue as it stood after `frames` frames: Q = `level_j`, `spent_j` spent in all \[J\]. `None` if no run ends so: the
    /// pathwise bound would be broken.
    pub fn resumed(budget_j: f64, level_j: f64, spent_j: f64, frames: u64) -> Option<Self> {
        let allowed = frames as f64 * budget_j + level_j;
        let fits = level_j >= 0.0 && spent_j >= 0.0 && spent_j <= allowed * (1.0 + 1e-9);
        fits.then_some(Self {
            level_j,
            budget_j,
            spent_j,
            frames,
        })
    }

    /// [`EnergyQueue::resumed`] of an account that may have been kept at a larger allowance: where it breaks the pathwise bound,
    /// Q = S − n·Ē, the least that the bound asks for, so that nothing spent is forgotten. `None` for numbers that are no account.
    pub fn carried_over(budget_j: f64, level_j: f64, spent_j: f64, frames: u64) -> Option<Self> {
        let account = [level_j, spent_j]
            .iter()
            .all(|j| j.is_finite() && *j >= 0.0);
        let least_j = spent_j - frames as f64 * budget_j;
        account.then_some(Self {
            level_j: level_j.max(least_j),
            budget_j,
            spent_j,
            frames,
        })
    }

    /// The one of two copies of one queue that is further. Where each is further in one respect, the larger of each number: the
    /// pathwise bound of both holds for it too.
    pub fn or_further(&self, other: &Self) -> Self {
        let behind = |a: &Self, b: &Self| a.frames <= b.frames && a.spent_j <= b.spent_j;
        match (behind(other, self), behind(self, other)) {
            (true, _) => self.clone(),
            (false, true) => other.clone(),
            (false, false) => Self {
                level_j: self.level_j.max(other.level_j),
                budget_j: self.budget_j,
                spent_j: self.spent_j.max(other.spent_j),
                frames: self.frames.max(other.frames),
            },
        }
    }

    /// This queue as it would stand had its frames followed those of `earlier`, of the same allowance: with W = Σ(E − Ē) over
    /// its own frames, the larger of Q₀ + W and its own level (Lindley's recursion).
    pub fn following(&self, earlier: &Self) -> Self {
        let walk_j = self.spent_j - self.frames as f64 * self.budget_j;
        Self {
            level_j: self.level_j.max(earlier.level_j + walk_j),
            budget_j: self.budget_j,
            spent_j: earlier.spent_j + self.spent_j,
            frames: earlier.frames + self.frames,
        }
    }

    /// Q \[J\].
    #[inline]
    pub fn level_j(&self) -> f64 {
        self.level_j
    }

    /// Ē \[J per frame\].
    #[inline]
    pub fn budget_j(&self) -> f64 {
        self.budget_j
    }

    /// Energy spent over all frames so far \[J\].
    #[inline]
    pub fn spent_j(&self) -> f64 {
        self.spent_j
    }

    /// Frames accounted so far.
    #[inline]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// ENACHI (12) after a frame that spent `energy_j` \[J\].
    #[inline]
    pub fn update(&mut self, energy_j: f64) {
        self.level_j = (self.level_j + energy_j - self.budget_j).max(0.0);
        self.spent_j += energy_j;
        self.frames += 1;
        #[cfg(debug_assertions)]
        {
            let allowed = self.frames as f64 * self.budget_j + self.level_j;
            assert!(
                self.spent_j <= allowed + rounding(allowed, self.frames),
                "sum of energy {} above M * budget + queue {allowed}",
                self.spent_j
            );
        }
    }
}

/// Power queue of one device within one frame, ENACHI (23): q ← \[q + p − p̃\]⁺, q₁ = 0.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerQueue {
    level_w: f64,
    reference_w: f64,
    sum_w: f64,
    slots: u32,
    /// Sum of the references of all slots so far.
    #[cfg(debug_assertions)]
    allowed_w: f64,
}

impl PowerQueue {
    /// An empty queue that tracks the reference power `reference_w` \[W\].
    pub fn new(reference_w: f64) -> Self {
        Self {
            level_w: 0.0,
            reference_w,
            sum_w: 0.0,
            slots: 0,
            #[cfg(debug_assertions)]
            allowed_w: 0.0,
        }
    }

    /// Track `reference_w` \[W\] from the next slot on; q stays.
    pub fn set_reference_w(&mut self, reference_w: f64) {
        self.reference_w = reference_w;
    }

    /// q \[W\].
    #[inline]
    pub fn level_w(&self) -> f64 {
        self.level_w
    }

    /// p̃ \[W\].
    #[inline]
    pub fn reference_w(&self) -> f64 {
        self.reference_w
    }

    /// Sum of the powers of all slots so far \[W\]; times the slot length it is the energy radiated.
    #[inline]
    pub fn sum_w(&self) -> f64 {
        self.sum_w
    }

    /// Slots accounted so far.
    #[inline]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// ENACHI (23) after a slot at power `power_w` \[W\].
    #[inline]
    pub fn update(&mut self, power_w: f64) {
        self.level_w = (self.level_w + power_w - self.reference_w).max(0.0);
        self.sum_w += power_w;
        self.slots += 1;
        #[cfg(debug_assertions)]
        {
            self.allowed_w += self.reference_w;
            let allowed = self.allowed_w + self.level_w;
            assert!(
                self.sum_w <= allowed + rounding(allowed, u64::from(self.slots)),
                "sum of power {} above the references' and the queue {allowed}",
                self.sum_w
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed, rough sequence in 0..1 that needs no random number crate.
    fn noise(i: u64) -> f64 {
        let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((x ^ (x >> 29)) >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn two_parts_of_a_walk_make_the_whole() {
        for (first, second) in [(0, 40), (40, 0), (30, 200), (200, 3)] {
            let energy = |i: u64| 0.5 * noise(i);
            let walk = |frames: std::ops::Range<u64>| {
                let mut queue = EnergyQueue::new(0.25);
                frames.for_each(|i| queue.update(energy(i)));
                queue
            };
            let whole = walk(0..first + second);
            let joined = walk(first..first + second).following(&walk(0..first));
            assert!((joined.level_j() - whole.level_j()).abs() < 1e-12);
            assert!((joined.spent_j() - whole.spent_j()).abs() < 1e-12);
            assert_eq!(joined.frames(), whole.frames());
        }
    }

    #[test]
    fn energy_queue_equals_the_running_maximum_form() {
        // Independent computation: Q_{M+1} = S_M − min_{m ≤ M} S_m with S the random walk of E − Ē, S_0 = 0.
        let mut queue = EnergyQueue::new(0.25);
        let (mut walk, mut lowest, mut spent) = (0.0_f64, 0.0_f64, 0.0_f64);
        for i in 0..10_000 {
            let energy = 0.6 * noise(i);
            queue.update(energy);
            walk += energy - 0.25;
            lowest = lowest.min(walk);
            spent += energy;
            assert!((queue.level_j() - (walk - lowest)).abs() < 1e-9);
            assert!(spent <= (i + 1) as f64 * 0.25 + queue.level_j() + 1e-9);
        }
        assert_eq!(queue.frames(), 10_000);
        assert!((queue.spent_j() - spent).abs() < 1e-9);
    }

    #[test]
    fn what_a_queue_starts_with_is_not_spent() {
        let mut queue = EnergyQueue::starting_at(0.25, 3.0);
        let mut spent = 0.0;
        for i in 0..400 {
            let energy = 0.6 * noise(i);
            queue.update(energy);
            spent += energy;
            assert!(spent <= (i + 1) as f64 * 0.25 + queue.level_j() - 3.0 + 1e-9);
        }
    }

    #[test]
    fn a_resumed_queue_goes_on_as_if_nothing_had_happened() {
        let mut whole = EnergyQueue::new(0.25);
        for i in 0..50 {
            whole.update(0.6 * noise(i));
        }
        let (level, spent) = (whole.level_j(), whole.spent_j());
        let mut resumed = EnergyQueue::resumed(0.25, level, spent, 50).expect("a real account");
        for i in 50..90 {
            whole.update(0.6 * noise(i));
            resumed.update(0.6 * noise(i));
        }
        assert_eq!(resumed, whole);
        // More spent than allowance and queue explain.
        assert_eq!(EnergyQueue::resumed(0.25, 0.1, 1.0, 3), None);
        assert_eq!(EnergyQueue::resumed(0.25, f64::NAN, 1.0, 30), None);
    }

    #[test]
    fn an_account_of_a_larger_allowance_is_carried_over_whole() {
        let mut generous = EnergyQueue::new(0.5);
        for i in 0..50 {
            generous.update(0.6 * noise(i));
        }
        let (level, spent) = (generous.level_j(), generous.spent_j());
        assert_eq!(EnergyQueue::resumed(0.1, level, spent, 50), None);
        let carried = EnergyQueue::carried_over(0.1, level, spent, 50).expect("an account");
        assert_eq!((carried.spent_j(), carried.frames()), (spent, 50));
        // What the same frames would have left at the smaller allowance is at least this.
        let mut strict = EnergyQueue::new(0.1);
        for i in 0..50 {
            strict.update(0.6 * noise(i));
        }
        assert!(carried.level_j() > level && carried.level_j() <= strict.level_j() + 1e-12);
        assert!(spent <= 50.0 * 0.1 + carried.level_j() + 1e-12);
        // An account that fits is what it was.
        let same = EnergyQueue::carried_over(0.5, level, spent, 50).expect("an account");
        assert_eq!(same, generous);
        for (level, spent) in [
            (f64::NAN, 1.0),
            (1.0, f64::INFINITY),
            (-1.0, 1.0),
            (1.0, -1.0),
        ] {
            assert_eq!(EnergyQueue::carried_over(0.5, level, spent, 3), None);
        }
    }

    #[test]
    fn of_two_copies_nothing_is_taken_back() {
        let of = |level, spent, frames| {
            EnergyQueue::carried_over(0.25, level, spent, frames).expect("an account")
        };
        let (old, new) = (of(3.0, 1.0, 4), of(2.9, 1.5, 6));
        assert_eq!(old.or_further(&new), new);
        assert_eq!(new.or_further(&old), new);
        assert_eq!(new.or_further(&new), new);
        // Further in frames, behind in energy.
        let odd = of(0.5, 0.2, 9);
        let joined = new.or_further(&odd);
        assert_eq!((joined.spent_j(), joined.frames()), (1.5, 9));
        assert_eq!(joined.level_j(), 2.9);
        assert_eq!(odd.or_further(&new), joined);
    }

    #[test]
    fn power_queue_bounds_the_sum_of_powers_on_every_path() {
        for reference_w in [0.0, 0.05, 0.5, 2.0] {
            let mut queue = PowerQueue::new(reference_w);
            let mut sum = 0.0;
            for k in 0..300 {
                let power = 2.0 * noise(k * 7 + 3);
                queue.update(power);
                sum += power;
                assert!(sum <= (k + 1) as f64 * reference_w + queue.level_w() + 1e-9);
            }
        }
    }
}
