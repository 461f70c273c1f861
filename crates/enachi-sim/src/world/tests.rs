//! Gains of all block models, what devices know of them, and the exactness of what others rely on.

use super::*;
use crate::scenario::parse;

pub(super) fn setting(text: &str) -> Arc<Setting> {
    let scenario = parse(text, "test.toml", &[]).expect("a scenario");
    Arc::new(Setting::new(&scenario).expect("a setting"))
}

const RAYLEIGH: Local = Local {
    mean_gain: 2e-12,
    fading: Fading::Rayleigh,
};

/// Kolmogorov–Smirnov distance, and the 0.1 % level.
fn distance(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let far = values.iter().enumerate().map(|(i, x)| {
        let below = cdf(*x) - i as f64 / n;
        below.abs().max((below - 1.0 / n).abs())
    });
    (far.fold(0.0, f64::max), 1.95 / n.sqrt())
}

#[test]
fn gains_do_not_depend_on_where_one_starts() {
    let setting = setting("");
    let world = World::new(9, &setting);
    for fading in [Fading::Rayleigh, Fading::Rician { k: 3.0 }] {
        let local = Local { fading, ..RAYLEIGH };
        let mut all = world.gains(3, 17, local);
        let from_start: Vec<f64> = (0..50).map(|k| all.gain(k)).collect();
        for start in 0..50 {
            let mut late = world.gains(3, 17, local);
            for (k, expected) in from_start.iter().enumerate().skip(start) {
                assert_eq!(late.gain(k as u32), *expected);
            }
        }
        assert_ne!(world.gains(4, 17, local).gain(0), from_start[0]);
        assert_ne!(world.gains(3, 18, local).gain(0), from_start[0]);
    }
}

#[test]
fn rayleigh_gains_are_exponential() {
    let setting = setting("");
    let world = World::new(1, &setting);
    let mut values = Vec::new();
    for frame in 0..100 {
        let mut gains = world.gains(
            0,
            frame,
            Local {
                mean_gain: 1.0,
                ..RAYLEIGH
            },
        );
        values.extend((0..400).map(|k| gains.gain(k)));
    }
    let (distance, allowed) = distance(values, |x| 1.0 - (-x).exp());
    assert!(distance < allowed, "{distance}");
}

#[test]
fn rician_gains_have_their_distribution() {
    let setting = setting("");
    let world = World::new(1, &setting);
    for k in [0.5_f64, 4.0, 30.0] {
        let local = Local {
            mean_gain: 1.0,
            fading: Fading::Rician { k },
        };
        let mut values = Vec::new();
        for frame in 0..100 {
            let mut gains = world.gains(0, frame, local);
            values.extend((0..200).map(|slot| gains.gain(slot)));
        }
        // (1 + K)x is a Poisson(K) mixture of Gamma(j + 1).
        let cdf = |x: f64| {
            let y = (1.0 + k) * x;
            let (mut weight, mut term, mut above, mut sum) =
                ((-k).exp(), (-y).exp(), (-y).exp(), 0.0);
            for j in 1..300 {
                sum += weight * (1.0 - above);
                weight *= k / f64::from(j);
                term *= y / f64::from(j);
                above += term;
            }
            sum
        };
        let (distance, allowed) = distance(values, cdf);
        assert!(distance < allowed, "{k}: {distance}");
    }
}

#[test]
fn coherence_holds_the_gain() {
    let setting = setting("[channel]\ncoherence_slots = 5");
    let world = World::new(1, &setting);
    for fading in [Fading::Rayleigh, Fading::Rician { k: 3.0 }] {
        let mut gains = world.gains(0, 0, Local { fading, ..RAYLEIGH });
        let values: Vec<f64> = (0..20).map(|k| gains.gain(k)).collect();
        for k in 0..20 {
            assert!(values[k] == values[k / 5 * 5]);
        }
        assert_ne!(values[0], values[5]);
    }
}

#[test]
fn slot_knowledge_is_old_and_wrong_as_much_as_it_should_be() {
    let setting = setting("[channel.estimate]\nslot_delay_slots = 3\nslot_error_db = 2.0");
    let world = World::new(4, &setting);
    let truth: Vec<f64> = {
        let mut gains = world.gains(0, 0, RAYLEIGH);
        (0..300).map(|k| gains.gain(k)).collect()
    };
    // Slots may be left out, as planning again within a frame does.
    let mut gains = world.gains(0, 0, RAYLEIGH);
    let mut errors_db = Vec::new();
    for slot in (0..300_u32).filter(|slot| slot % 7 != 2) {
        let gain = gains.gain(slot);
        assert_eq!(gain, truth[slot as usize]);
        let known = gains.known(slot, gain);
        let old = truth[slot.saturating_sub(3) as usize];
        errors_db.push(10.0 * (known / old).log10());
    }
    let n = errors_db.len() as f64;
    let mean = errors_db.iter().sum::<f64>() / n;
    let spread = (errors_db.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
    assert!(
        mean.abs() < 0.5 && (spread - 2.0).abs() < 0.4,
        "{mean} {spread}"
    );
    // Nothing said: the gain itself.
    let exact = super::tests::setting("");
    let mut gains = World::new(4, &exact).gains(0, 0, RAYLEIGH);
    let gain = gains.gain(8);
    assert_eq!(gains.known(8, gain), gain);
}

#[test]
fn doppler_follows_speed_and_carrier() {
    // 3 km/h at 3.5 GHz: 9.7 Hz.
    assert!((doppler_hz(3.0 / 3.6, 3.5e9) - 9.722).abs() < 1e-3);
    let text = "[channel]\ncorrelation = \"doppler\"\n[device]\nspeed_m_per_s = 30.0\n[[devices]]\ncount = 400\n[[devices]]\ncount = 400\nspeed_m_per_s = 1.0";
    let setting = setting(text);
    let world = World::new(2, &setting);
    // Power gains 20 ms apart: J0² of 44.0 and of 1.47 radians, 0.006 and 0.29.
    let correlation = |devices: std::ops::Range<u32>| {
        let n = f64::from(devices.end - devices.start);
        let products = devices.map(|device| {
            let mut gains = world.gains(
                device,
                3,
                Local {
                    mean_gain: 1.0,
                    ..RAYLEIGH
                },
            );
            (gains.gain(10) - 1.0) * (gains.gain(30) - 1.0)
        });
        products.sum::<f64>() / n
    };
    let (fast, slow) = (correlation(0..400), correlation(400..800));
    assert!(fast.abs() < 0.15, "{fast}");
    assert!((slow - 0.29).abs() < 0.25 && slow > fast, "{slow}");
}
