//! How long a batch of tails takes.

/// Time of a batch against its size. The tails of a batch take `growth(size)` times the time of one of them, its decoders
/// (which do not batch) `size` times the time of one.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchTime {
    overhead_s: f64,
    /// (size, growth), ascending from (1, 1).
    growth: Vec<(f64, f64)>,
}

/// A table that is no batch time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{size}, {time}]: must be {allowed}")]
pub struct BatchTimeError {
    /// Size of the entry at fault.
    pub size: String,
    /// Its time.
    pub time: String,
    /// What it must be.
    pub allowed: &'static str,
}

impl BatchTime {
    /// Every tail after the first adds `per_item` times the time of a tail alone (1: batching saves nothing but overhead; 0: a
    /// batch takes as long as one tail); every batch takes `overhead_s` beside.
    pub fn linear(overhead_s: f64, per_item: f64) -> Self {
        Self {
            overhead_s,
            growth: vec![(1.0, 1.0), (2.0, 1.0 + per_item)],
        }
    }

    /// From measured (batch size, time) pairs in ascending order, the first of size 1, times in any unit; linear between
    /// the pairs, and on beyond the last with the slope before it.
    pub fn table(overhead_s: f64, table: &[(u32, f64)]) -> Result<Self, BatchTimeError> {
        let fail = |(size, time): (u32, f64), allowed| {
            Err(BatchTimeError {
                size: size.to_string(),
                time: time.to_string(),
                allowed,
            })
        };
        let Some(&(first, alone)) = table.first() else {
            return fail((0, 0.0), "there: a table needs an entry of size 1");
        };
        if first != 1 || !(alone > 0.0 && alone.is_finite()) {
            return fail((first, alone), "of size 1 and of a finite time above 0");
        }
        for pair in table.windows(2) {
            if pair[1].0 <= pair[0].0 {
                return fail(pair[1], "of a larger size than the entry before");
            }
            if !(pair[1].1 >= pair[0].1 && pair[1].1.is_finite()) {
                return fail(pair[1], "finite and of no less time than the entry before");
            }
        }
        let growth = table
            .iter()
            .map(|(size, time)| (f64::from(*size), time / alone));
        let mut growth: Vec<(f64, f64)> = growth.collect();
        if growth.len() == 1 {
            growth.push((2.0, 2.0));
        }
        Ok(Self { overhead_s, growth })
    }

    /// Time of the tails of a batch of `size` over that of one.
    pub fn growth(&self, size: usize) -> f64 {
        let size = size as f64;
        let after = self.growth.partition_point(|(at, _)| *at <= size);
        let right = after.clamp(1, self.growth.len() - 1);
        let ((s0, g0), (s1, g1)) = (self.growth[right - 1], self.growth[right]);
        g0 + (size - s0) * (g1 - g0) / (s1 - s0)
    }

    /// Time of a batch of `size` tails that take `tail_s` and `decode_s` each alone \[s\].
    pub fn time_s(&self, tail_s: f64, decode_s: f64, size: usize) -> f64 {
        self.overhead_s + (tail_s * self.growth(size) + decode_s * size as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_one_is_a_tail() {
        for time in [
            BatchTime::linear(0.0, 0.3),
            BatchTime::table(0.0, &[(1, 7.0), (4, 9.0)]).expect("sound"),
            BatchTime::table(0.0, &[(1, 7.0)]).expect("sound"),
        ] {
            assert_eq!(time.time_s(0.0275, 0.0013, 1), 0.0275 + 0.0013);
        }
    }

    #[test]
    fn tables_are_met_and_go_on() {
        let time = BatchTime::table(0.5, &[(1, 2.0), (4, 5.0), (8, 6.0)]).expect("sound");
        for (size, growth) in [(1, 1.0), (2, 1.5), (4, 2.5), (6, 2.75), (8, 3.0), (12, 3.5)] {
            assert!((time.growth(size) - growth).abs() < 1e-12, "{size}");
            let expected = 0.5 + 3.0 * growth + size as f64;
            assert!((time.time_s(3.0, 1.0, size) - expected).abs() < 1e-12);
        }
        let linear = BatchTime::linear(0.0, 0.25);
        assert!((linear.growth(9) - 3.0).abs() < 1e-12);
        // A single entry says nothing about batches: they save nothing.
        let alone = BatchTime::table(0.0, &[(1, 2.0)]).expect("sound");
        assert_eq!(alone.growth(5), 5.0);
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        let text = |table: &[(u32, f64)]| {
            let error = BatchTime::table(0.0, table).expect_err("refused");
            error.to_string()
        };
        assert!(text(&[]).contains("size 1"));
        assert!(text(&[(2, 1.0)]).contains("[2, 1]: must be of size 1"));
        assert!(text(&[(1, 0.0)]).contains("above 0"));
        assert!(text(&[(1, 1.0), (1, 2.0)]).contains("larger size"));
        assert!(text(&[(1, 1.0), (2, 0.5)]).contains("no less time"));
        assert!(text(&[(1, 1.0), (2, f64::NAN)]).contains("finite"));
    }
}
