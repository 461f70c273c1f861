use super::*;
use crate::world::Setting;
use crate::world::tests::setting;
use std::sync::Arc;

fn distances(setting: &Arc<Setting>, frames: u32) -> Vec<Vec<f64>> {
    let mut places = Places::new(World::new(5, setting));
    (0..frames)
        .map(|frame| {
            places.advance_to(frame);
            let devices = 0..setting.sites.len() as u32;
            devices.map(|device| places.distance_m(device)).collect()
        })
        .collect()
}

#[test]
fn distances_are_uniform_over_the_ring() {
    let setting = setting("[device]\ndistance_m = [10, 100]\n[[devices]]\ncount = 20000");
    let places = &distances(&setting, 1)[0];
    let inner = places.iter().filter(|d| **d < 50.0).count() as f64 / 20_000.0;
    let expected = (2500.0 - 100.0) / (10_000.0 - 100.0);
    assert!((inner - expected).abs() < 0.015, "{inner} {expected}");
}

#[test]
fn given_places_are_kept() {
    let setting = setting("[[devices]]\ncount = 2\npositions_m = [[30, 40], [0, -200]]");
    assert_eq!(distances(&setting, 2), vec![vec![50.0, 200.0]; 2]);
}

#[test]
fn shadowing_is_drawn_in_every_frame_or_belongs_to_the_place() {
    let normal = |text: &str| -> Vec<f64> {
        let setting = setting(text);
        let mut places = Places::new(World::new(5, &setting));
        let clear = places.local(0).mean_gain;
        let plain = LogDistance {
            at_1m_db: 38.5,
            exponent: 3.5,
        }
        .loss_db(100.0);
        assert!(clear > 0.0);
        (0..20_000)
            .map(|frame| {
                places.advance_to(frame);
                10.0 * places.local(0).mean_gain.log10() + plain
            })
            .collect()
    };
    use crate::world::path_loss::LogDistance;
    let db = normal("[channel]\nshadowing_db = 4.0");
    let mean = db.iter().sum::<f64>() / 20_000.0;
    let spread = (db.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0).sqrt();
    assert!(mean.abs() < 0.15 && (spread - 4.0).abs() < 0.1);
    // Standing still, the place keeps its shadow.
    let db = normal("[channel]\nshadowing_db = 4.0\nshadowing_distance_m = 20.0");
    assert!(db.iter().all(|x| *x == db[0]));
}

#[test]
fn shadowing_decorrelates_as_gudmundson_has_it() {
    // 2 m/s and 0.3 s: 0.6 m a frame, nearly straight on; the shadow of a place forgets within 20 m.
    let text = "[channel]\nshadowing_db = 6.0\nshadowing_distance_m = 20.0\npath_loss_exponent = 0.0\n\
        [mobility]\nmodel = \"random-waypoint\"\n[device]\nspeed_m_per_s = 2.0\ndistance_m = [50, 4000]\n\
        [[devices]]\ncount = 400";
    let setting = setting(text);
    let mut places = Places::new(World::new(3, &setting));
    let frames = 120;
    let mut db = vec![Vec::new(); 400];
    for frame in 0..frames {
        places.advance_to(frame);
        for (device, db) in db.iter_mut().enumerate() {
            db.push((10.0 * places.local(device as u32).mean_gain.log10() + 38.5) / 6.0);
        }
    }
    for lag in [0_u32, 10, 33, 66] {
        let (mut sum, mut n) = (0.0, 0.0);
        for values in &db {
            for start in (0..frames - lag).step_by(40) {
                sum += values[start as usize] * values[(start + lag) as usize];
                n += 1.0;
            }
        }
        let expected = (-0.6 * f64::from(lag) / 20.0).exp();
        assert!(
            (sum / n - expected).abs() < 0.12,
            "{lag}: {} {expected}",
            sum / n
        );
    }
}

#[test]
fn devices_move_at_their_speed_and_stay_in_their_ring() {
    for model in ["random-waypoint", "gauss-markov"] {
        let text = format!(
            "[mobility]\nmodel = \"{model}\"\nmemory_s = 5.0\n[device]\nspeed_m_per_s = 10.0\ndistance_m = [20, 80]\n\
            [[devices]]\ncount = 50\n[[devices]]\ncount = 1\nspeed_m_per_s = 0.0\n[[devices]]\ncount = 1\nmean_gain = 1e-9"
        );
        let setting = setting(&text);
        let mut places = Places::new(World::new(5, &setting));
        let still = [places.local(50), places.local(51)];
        let mut square = 0.0;
        let mut last: Vec<[f64; 2]> = places.bodies.iter().map(|b| b.position_m).collect();
        let frames = 800;
        for frame in 1..frames {
            places.advance_to(frame);
            for (device, body) in places.bodies.iter().take(50).enumerate() {
                let [x, y] = body.position_m;
                let moved = (x - last[device][0]).hypot(y - last[device][1]);
                if model == "random-waypoint" {
                    assert!(moved <= 3.0 + 1e-9, "{moved}");
                } else {
                    assert!((20.0 - 1e-9..=80.0 + 1e-9).contains(&x.hypot(y)));
                }
                square += moved * moved;
                last[device] = [x, y];
            }
            assert!((0..50).all(|d| (20.0..=80.0).contains(&places.distance_m(d))));
            assert_eq!(still, [places.local(50), places.local(51)]);
        }
        let speed = (square / f64::from(50 * (frames - 1))).sqrt() / 0.3;
        assert!((9.0..=10.2).contains(&speed), "{model}: {speed}");
    }
}

#[test]
fn a_pause_is_kept() {
    let text = "[mobility]\nmodel = \"random-waypoint\"\npause_s = 3.0\n[device]\nspeed_m_per_s = 20.0\ndistance_m = [20, 60]";
    let setting = setting(text);
    let mut places = Places::new(World::new(5, &setting));
    let (mut last, mut rests, mut still) = ([0.0; 2], Vec::new(), 0);
    for frame in 0..2000 {
        places.advance_to(frame);
        if places.bodies[0].position_m == last {
            still += 1;
        } else if still > 0 {
            rests.push(still);
            still = 0;
        }
        last = places.bodies[0].position_m;
    }
    // 3 s are ten frames, of which the first and the last are shared with a trip.
    assert!(
        rests.len() > 50 && rests.iter().all(|rest| (9..=10).contains(rest)),
        "{rests:?}"
    );
}

#[test]
fn line_of_sight_is_as_likely_as_the_standard_says_and_sets_the_fading() {
    let text = "[channel]\npath_loss = \"umi\"\nfading = \"rician\"\n[device]\ndistance_m = [100, 100]\n[[devices]]\ncount = 20000";
    let setting = setting(text);
    let places = Places::new(World::new(5, &setting));
    let mut seen = Vec::new();
    let mut hidden = Vec::new();
    for device in 0..20_000 {
        let local = places.local(device);
        let db = -10.0 * local.mean_gain.log10();
        match local.fading {
            Fading::Rician { k } => {
                assert!((k - 7.943).abs() < 1e-3);
                seen.push(db);
            }
            _ => hidden.push(db),
        }
    }
    let share = seen.len() as f64 / 20_000.0;
    assert!((share - 0.230_985).abs() < 0.012, "{share}");
    // Path loss of Table 7.4.1-1 at 100 m and 3.5 GHz, deviations of the same table.
    for (values, loss_db, spread_db) in [(seen, 85.3144, 4.0), (hidden, 104.6438, 7.82)] {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!(
            (mean - loss_db).abs() < 4.0 * spread_db / n.sqrt(),
            "{mean}"
        );
        assert!((spread / spread_db - 1.0).abs() < 0.04, "{spread}");
    }
}

#[test]
fn normal_distribution_function_matches_tables() {
    for (x, value) in [
        (0.0, 0.5),
        (1.0, 0.841_344_75),
        (-2.0, 0.022_750_13),
        (3.0, 0.998_650_1),
    ] {
        assert!((normal_cdf(x) - value).abs() < 1e-7, "{x}");
    }
}
