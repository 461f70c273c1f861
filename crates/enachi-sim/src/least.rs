//! The least of something that still does: bisection on a logarithmic scale.

/// Where the least value lies.
#[derive(Clone, Debug, PartialEq)]
pub enum Least<T> {
    /// At `value`, within the tolerance; what was found there.
    At {
        /// Least value that was seen to do.
        value: f64,
        /// What the probe found.
        found: T,
    },
    /// The low end of the range does already.
    BelowRange(T),
    /// Not even the high end does.
    AboveRange(T),
}

/// Probes that [`search`] makes at most.
pub fn most_probes(low: f64, high: f64, tolerance: f64) -> u32 {
    let steps = ((high / low).ln() / tolerance.ln_1p())
        .max(1.0)
        .log2()
        .ceil();
    2 + steps as u32
}

/// The least value in `low..=high` (both above 0) for which `probe` says yes, within the factor 1 + `tolerance`, given that it says
/// yes for every larger one too.
///
/// # Errors
/// The first of `probe`.
pub fn search<T, E>(
    low: f64,
    high: f64,
    tolerance: f64,
    mut probe: impl FnMut(f64) -> Result<(bool, T), E>,
) -> Result<Least<T>, E> {
    let (does, found) = probe(high)?;
    if !does {
        return Ok(Least::AboveRange(found));
    }
    let mut best = (high, found);
    let (does, found) = probe(low)?;
    if does {
        return Ok(Least::BelowRange(found));
    }
    let mut short = low;
    while best.0 / short > 1.0 + tolerance {
        let middle = (short * best.0).sqrt();
        let (does, found) = probe(middle)?;
        if does {
            best = (middle, found);
        } else {
            short = middle;
        }
    }
    let (value, found) = best;
    Ok(Least::At { value, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_threshold_in_few_probes() {
        for threshold in [1.01, 3.0, 250.0, 999.0] {
            let mut probes = 0;
            let found: Result<_, ()> = search(1.0, 1000.0, 0.05, |x| {
                probes += 1;
                Ok((x >= threshold, x))
            });
            let Ok(Least::At { value, found }) = found else {
                panic!("{found:?}");
            };
            assert_eq!(value, found);
            assert!(value >= threshold && value <= threshold * 1.05, "{value}");
            assert!(probes <= most_probes(1.0, 1000.0, 0.05), "{probes}");
        }
    }

    #[test]
    fn says_when_it_lies_outside() {
        let at = |threshold: f64| {
            search(1.0, 10.0, 0.1, |x| Ok::<_, ()>((x >= threshold, ()))).expect("no errors")
        };
        assert_eq!(at(0.5), Least::BelowRange(()));
        assert_eq!(at(11.0), Least::AboveRange(()));
    }

    #[test]
    fn stops_at_the_first_error() {
        assert_eq!(
            search(1.0, 2.0, 0.1, |_| Err::<(bool, ()), _>("no")),
            Err("no")
        );
    }
}
