//! What was left of the deadlines of a batch, at the edge and at the devices: later batches begin earlier or later.

/// Time left before a deadline, and that deadline \[s\].
type Left = (f64, f64);

/// The least that was left since it was last asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct LeftOver {
    /// When the last answer left the edge.
    given: Option<Left>,
    /// When devices read theirs: the two that had the least, the least first.
    told: [Option<(usize, Left)>; 2],
    /// The device that had the least before.
    before: Option<usize>,
}

impl LeftOver {
    /// An answer has left the edge.
    pub fn given(&mut self, left_s: f64, deadline_s: f64) {
        if self.given.is_none_or(|known| left_s < known.0) {
            self.given = Some((left_s, deadline_s));
        }
    }

    /// A device says when it has read its answer, by its own clock.
    pub fn told(&mut self, device: usize, left_s: f64, deadline_s: f64) {
        let new = Some((device, (left_s, deadline_s)));
        let less = |known: Option<(usize, Left)>| known.is_none_or(|(_, known)| left_s < known.0);
        let [least, second] = self.told;
        if less(least) {
            self.told = [new, least];
        } else if less(second) {
            self.told = [least, new];
        }
    }

    /// The least of the answers since the last call. A device that has the least twice in a row is slow by itself, or claims to be,
    /// and takes no time from the others: the next one counts, if there is one.
    pub fn take(&mut self) -> Option<Left> {
        let given = self.given.take();
        let [least, second] = std::mem::take(&mut self.told);
        let device = least.map(|(device, _)| device);
        let alone = device.is_some() && device == self.before;
        self.before = device;
        let told = if alone { second.or(least) } else { least };
        let told = told.map(|(_, left)| left);
        match (given, told) {
            (Some(given), Some(told)) => Some(if told.0 < given.0 { told } else { given }),
            (given, told) => given.or(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LeftOver;

    #[test]
    fn the_least_counts_and_no_single_device_takes_time_from_the_others() {
        let mut left = LeftOver::default();
        assert_eq!(left.take(), None);
        let mut frame = |told: &[(usize, f64)], given: Option<f64>| {
            for (device, left_s) in told {
                left.told(*device, *left_s, 0.1);
            }
            if let Some(given_s) = given {
                left.given(given_s, 0.1);
            }
            left.take().map(|(left_s, _)| left_s)
        };
        assert_eq!(frame(&[(0, 0.04), (1, 0.03), (2, 0.02)], None), Some(0.02));
        // Once more, and for as long as it goes on.
        assert_eq!(frame(&[(2, 0.01), (0, 0.04), (1, 0.03)], None), Some(0.03));
        assert_eq!(frame(&[(1, 0.03), (0, 0.04), (2, 0.0)], None), Some(0.03));
        // Another, and the first again.
        assert_eq!(frame(&[(1, 0.01), (0, 0.04), (2, 0.02)], None), Some(0.01));
        assert_eq!(frame(&[(2, 0.01), (1, 0.03)], None), Some(0.01));
        // The edge's own clock is always believed, and a device that is alone.
        assert_eq!(frame(&[(2, 0.01), (1, 0.03)], Some(0.02)), Some(0.02));
        assert_eq!(frame(&[(2, 0.01)], None), Some(0.01));
        assert_eq!(frame(&[], Some(0.05)), Some(0.05));
        assert_eq!(frame(&[], None), None);
    }
}
