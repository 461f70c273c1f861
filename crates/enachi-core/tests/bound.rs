//! The upper bound against exhaustive search, closed forms, and what must hold at any prices.

use enachi_core::bound::{
    BlindCut, BlindDevice, Cell, Device, EnergyPrices, FrameBound, FrameDual, MAX_BLOCKS, Prices,
    Prospects, Respond, SlotTable, Transmitter, Way, margin_snr,
};
use enachi_core::radio::{Noise, Radio};

/// A fixed, rough sequence in 0..1.
struct Rough(u64);

impl Rough {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.next())
    }
    fn index(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }
    fn fading(&mut self, mean: f64, n: usize) -> Vec<f64> {
        (0..n).map(|_| -mean * (1.0 - self.next()).ln()).collect()
    }
}

const BAND_HZ: f64 = 1e6;
const SLOT_S: f64 = 1e-3;
const MEAN_GAIN: f64 = 1e-12;

fn cell(rough: &mut Rough) -> Cell {
    let noise = match rough.index(3) {
        0 => Noise::Constant { power_w: 2e-14 },
        _ => Noise::Exact {
            psd_w_per_hz: 2e-20,
        },
    };
    Cell {
        radio: Radio {
            noise,
            spectral_cap: [f64::INFINITY, 7.4, 3.0][rough.index(3)],
        },
        bandwidth_hz: BAND_HZ,
        slot_s: SLOT_S,
    }
}

fn transmitter(rough: &mut Rough) -> Transmitter {
    Transmitter {
        power_max_w: rough.between(0.02, 2.0),
        circuit_power_w: [0.0, 0.0, 0.05][rough.index(3)],
        tail_energy_j: 0.0,
    }
}

/// Bits of a slot, computed from scratch.
fn bits(cell: &Cell, gain: f64, share: f64, power_w: f64) -> f64 {
    let hz = share * cell.bandwidth_hz;
    if hz <= 0.0 || power_w <= 0.0 {
        return 0.0;
    }
    let noise_w = match cell.radio.noise {
        Noise::Exact { psd_w_per_hz } => psd_w_per_hz * hz,
        Noise::Constant { power_w } => power_w,
    };
    let efficiency = (1.0 + gain * power_w / noise_w).log2();
    SLOT_S * hz * efficiency.min(cell.radio.spectral_cap)
}

#[test]
fn a_sorted_query_is_the_sum_of_the_best_slots() {
    let mut rough = Rough(1);
    let mut table = SlotTable::default();
    for _ in 0..400 {
        let cell = cell(&mut rough);
        let transmitter = transmitter(&mut rough);
        let gains = rough.fading(MEAN_GAIN, 6);
        table.fill(
            &cell,
            &transmitter,
            0,
            &gains,
            std::slice::from_ref(&(1..6)),
        );
        let prices = Prices {
            bits: rough.between(1e-3, 1.0),
            band: [0.0, rough.between(1e-3, 3.0)][rough.index(2)],
            power: [0.0, rough.between(1e-2, 1e2)][rough.index(2)],
        };
        let flow = table.flow(0, &prices, margin_snr(prices.bits, prices.band));
        let unit = cell.slot_unit_bits();
        let mut grid = 0.0;
        const STEPS: u32 = 120;
        for gain in &gains[1..] {
            let mut best = 0.0f64;
            // Squares, so that small shares and powers are tried as well.
            for a in 0..=STEPS {
                let share = (f64::from(a) / f64::from(STEPS)).powi(2);
                for b in 0..=STEPS {
                    let power_w =
                        transmitter.power_max_w * (f64::from(b) / f64::from(STEPS)).powi(2);
                    let value = prices.bits * bits(&cell, *gain, share, power_w) / unit
                        - prices.band * share
                        - prices.power * (power_w + transmitter.circuit_power_w);
                    best = best.max(value);
                }
            }
            grid += best;
        }
        assert!(
            flow.surplus >= grid - 1e-9 && flow.surplus <= 1.01 * grid + 1e-3 * prices.bits,
            "{flow:?} {grid} {prices:?} {cell:?} {transmitter:?}"
        );
        let sum =
            prices.bits * flow.efficiency - prices.band * flow.share - prices.power * flow.power_w;
        assert!(
            (sum - flow.surplus).abs() <= 1e-9 * prices.bits.max(1.0),
            "{sum} {flow:?} {prices:?} {cell:?} {transmitter:?}"
        );
        assert!(flow.share <= 5.0 + 1e-9);
    }
}

#[test]
fn alone_at_full_power_the_band_is_what_the_bits_take() {
    // No fading, free energy: p_max in every slot, the same slice in each of them.
    let mut rough = Rough(2);
    for _ in 0..50 {
        let cell = Cell {
            radio: Radio {
                noise: Noise::Exact {
                    psd_w_per_hz: 2e-20,
                },
                spectral_cap: f64::INFINITY,
            },
            bandwidth_hz: BAND_HZ,
            slot_s: SLOT_S,
        };
        let transmitter = Transmitter {
            power_max_w: 0.5,
            circuit_power_w: 0.0,
            tail_energy_j: 0.0,
        };
        let slots = 20;
        let gains = vec![MEAN_GAIN; slots];
        let share = rough.between(1e-3, 0.9);
        let needed = slots as f64 * bits(&cell, MEAN_GAIN, share, 0.5);
        let way = Way {
            right: 1.0,
            fixed_energy_j: 0.0,
            bits: needed,
            window: 0..slots as u32,
        };
        let mut device = Device::new(1.0, transmitter);
        device.prepare(&cell, &[way], 0, &gains, &[]);
        let price = 0.02;
        let response = device.respond(&[price; MAX_BLOCKS], 0.0, 1e-9);
        let expected = 1.0 - price * share * slots as f64;
        assert!(
            (response.value - expected).abs() < 1e-6,
            "{response:?} {expected}"
        );
        // One bit more than the whole window carries is no way at all.
        let most = slots as f64 * bits(&cell, MEAN_GAIN, 1.0, 0.5);
        for (bits, ways) in [(most * (1.0 - 1e-6), 1), (most * (1.0 + 1e-6), 0)] {
            let way = Way {
                right: 1.0,
                fixed_energy_j: 0.0,
                bits,
                window: 0..slots as u32,
            };
            device.prepare(&cell, &[way], 0, &gains, &[]);
            assert_eq!(device.ways().len(), ways);
        }
    }
}

/// Every schedule on a coarse grid: the least price at which `needed` bits arrive.
fn cheapest_on_grid(
    cell: &Cell,
    transmitter: &Transmitter,
    gains: &[f64],
    needed: f64,
    band: f64,
    power: f64,
) -> f64 {
    const SHARES: [f64; 6] = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0];
    const POWERS: [f64; 9] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0];
    let mut slots: Vec<Vec<(f64, f64)>> = Vec::new();
    for gain in gains {
        let mut points = vec![(0.0, 0.0)];
        for share in SHARES {
            for level in POWERS {
                let power_w = level * transmitter.power_max_w;
                let carried = bits(cell, *gain, share, power_w);
                if carried > 0.0 {
                    let cost = band * share + power * (power_w + transmitter.circuit_power_w);
                    points.push((carried, cost));
                }
            }
        }
        // Only the cheapest for their bits.
        points.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut kept: Vec<(f64, f64)> = Vec::new();
        for point in points {
            if kept.last().is_none_or(|last| point.1 < last.1) {
                kept.push(point);
            }
        }
        slots.push(kept);
    }
    fn search(slots: &[Vec<(f64, f64)>], needed: f64, cost: f64, best: &mut f64) {
        if cost >= *best {
            return;
        }
        if needed <= 0.0 {
            *best = cost;
            return;
        }
        let Some((first, rest)) = slots.split_first() else {
            return;
        };
        for (carried, price) in first.iter().rev() {
            search(rest, needed - carried, cost + price, best);
        }
    }
    let mut best = f64::INFINITY;
    search(&slots, needed, 0.0, &mut best);
    best
}

#[test]
fn no_schedule_is_cheaper_than_the_bound() {
    let mut rough = Rough(3);
    let mut ratios = Vec::new();
    for _ in 0..150 {
        let cell = cell(&mut rough);
        let transmitter = transmitter(&mut rough);
        let gains = rough.fading(MEAN_GAIN, 3);
        let most: f64 = gains
            .iter()
            .map(|g| bits(&cell, *g, 1.0, transmitter.power_max_w))
            .sum();
        let needed = most * rough.between(0.05, 0.8);
        let band = [0.0, rough.between(1e-2, 0.3)][rough.index(2)];
        let energy_price = rough.between(1.0, 1e3);
        let power = energy_price * SLOT_S;
        let exhaustive = cheapest_on_grid(&cell, &transmitter, &gains, needed, band, power);
        let mut device = Device::new(1e3, transmitter);
        let way = Way {
            right: 1.0,
            fixed_energy_j: 0.0,
            bits: needed,
            window: 0..3,
        };
        device.prepare(&cell, &[way], 0, &gains, &[]);
        let response = device.respond(&[band; MAX_BLOCKS], energy_price, 1e-9);
        let cost = 1e3 - response.value;
        assert!(cost <= exhaustive * (1.0 + 1e-9), "{cost} {exhaustive}");
        let exact = matches!(cell.radio.noise, Noise::Exact { .. });
        if exhaustive > 0.0 && transmitter.circuit_power_w == 0.0 && exact {
            ratios.push(cost / exhaustive);
        }
    }
    // And it is not far below: the grid is coarse.
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    assert!(mean > 0.8, "{mean}");
}

/// A device's choice in a frame: band of each slot, power of each slot, and whether it is then right.
#[derive(Clone, Copy)]
struct Choice {
    shares: [f64; 2],
    energy_j: f64,
    right: f64,
}

/// Two devices, two slots, two frames, every combination on a grid, true limits in every slot.
#[test]
fn exhaustive_policies_stay_below_the_dual_and_come_near() {
    const SHARES: [f64; 4] = [0.0, 0.3, 0.7, 1.0];
    const POWERS: [f64; 5] = [0.0, 0.1, 0.3, 0.6, 1.0];
    let mut rough = Rough(4);
    let mut gaps = Vec::new();
    for case in 0..25 {
        let cell = cell(&mut rough);
        let transmitter = Transmitter {
            tail_energy_j: [0.0, 2e-5][case % 2],
            ..transmitter(&mut rough)
        };
        let budget_j = transmitter.power_max_w * SLOT_S * rough.between(0.2, 3.0);
        let weights = [1.0, rough.between(0.5, 2.0)];
        let mut gains = Vec::new();
        let mut ways: Vec<Vec<Way>> = Vec::new();
        for _ in 0..4 {
            let g = rough.fading(MEAN_GAIN, 2);
            let whole = |window: std::ops::Range<usize>| -> f64 {
                g[window]
                    .iter()
                    .map(|g| bits(&cell, *g, 1.0, transmitter.power_max_w))
                    .sum()
            };
            ways.push(vec![
                Way {
                    right: 1.0,
                    fixed_energy_j: 0.0,
                    bits: whole(0..2) * rough.between(0.1, 0.9),
                    window: 0..2,
                },
                Way {
                    right: 1.0,
                    fixed_energy_j: budget_j * rough.between(0.05, 0.5),
                    bits: whole(1..2) * rough.between(0.05, 0.5),
                    window: 1..2,
                },
            ]);
            gains.push(g);
        }
        // All that a device may do in a frame.
        let choices: Vec<Vec<Choice>> = (0..4)
            .map(|at| {
                let mut all = vec![Choice {
                    shares: [0.0; 2],
                    energy_j: 0.0,
                    right: 0.0,
                }];
                for way in &ways[at] {
                    for a in 0..SHARES.len() * POWERS.len() {
                        for b in 0..SHARES.len() * POWERS.len() {
                            let slots = [a, b].map(|i| (SHARES[i % 4], POWERS[i / 4]));
                            let mut carried = 0.0;
                            let mut energy_j = way.fixed_energy_j + transmitter.tail_energy_j;
                            for (k, (share, level)) in slots.iter().enumerate() {
                                let power_w = level * transmitter.power_max_w;
                                if *share > 0.0 && power_w > 0.0 && way.window.contains(&(k as u32))
                                {
                                    carried += bits(&cell, gains[at][k], *share, power_w);
                                    energy_j += SLOT_S * (power_w + transmitter.circuit_power_w);
                                }
                            }
                            if carried >= way.bits && energy_j <= 2.0 * budget_j {
                                all.push(Choice {
                                    shares: slots.map(|(share, _)| share),
                                    energy_j,
                                    right: 1.0,
                                });
                            }
                        }
                    }
                }
                // Leave out what another choice beats.
                let beaten = |a: &Choice, b: &Choice| {
                    b.right >= a.right
                        && b.energy_j <= a.energy_j
                        && b.shares[0] <= a.shares[0]
                        && b.shares[1] <= a.shares[1]
                };
                let kept = all.iter().enumerate().filter(|(i, a)| {
                    !all.iter()
                        .enumerate()
                        .any(|(j, b)| j != *i && beaten(a, b) && (!beaten(b, a) || j < *i))
                });
                kept.map(|(_, c)| *c).collect()
            })
            .collect();
        // Device-frame 2·frame + device.
        let pairs = |frame: usize| {
            let mut out = Vec::new();
            for a in &choices[2 * frame] {
                for b in &choices[2 * frame + 1] {
                    let fits = (0..2).all(|k| a.shares[k] + b.shares[k] <= 1.0 + 1e-12);
                    if fits {
                        out.push((
                            weights[0] * a.right + weights[1] * b.right,
                            [a.energy_j, b.energy_j],
                        ));
                    }
                }
            }
            out
        };
        let (first, second) = (pairs(0), pairs(1));
        let mut best = 0.0f64;
        for (worth, energy) in &first {
            for (more, energy_more) in &second {
                if (0..2).all(|n| energy[n] + energy_more[n] <= 2.0 * budget_j) {
                    best = best.max(worth + more);
                }
            }
        }

        let allowed = [2.0 * budget_j; 2];
        let mut prices = EnergyPrices::new(&allowed, &weights.map(|w| 2.0 * w));
        let mut devices = weights.map(|w| Device::new(w, transmitter));
        let mut bound = FrameBound::default();
        let mut capacity = [0.0; MAX_BLOCKS];
        capacity[0] = 2.0;
        let mut lowest = f64::INFINITY;
        for _ in 0..25 {
            let mut used = [0.0; 2];
            let mut total: f64 = prices
                .prices()
                .iter()
                .zip(&allowed)
                .map(|(p, a)| p * a)
                .sum();
            for frame in 0..2 {
                for (n, device) in devices.iter_mut().enumerate() {
                    let at = 2 * frame + n;
                    device.prepare(&cell, &ways[at], 0, &gains[at], &[]);
                }
                let mut dual = FrameDual::default();
                bound.solve(
                    &mut devices,
                    prices.prices(),
                    &capacity,
                    0.0,
                    1e-6,
                    &mut dual,
                );
                total += dual.value;
                for (used, energy) in used.iter_mut().zip(&dual.energy_j) {
                    *used += energy;
                }
            }
            // Any prices bound every policy.
            assert!(total >= best - 1e-9, "case {case}: {total} below {best}");
            lowest = lowest.min(total);
            prices.update(&used, &allowed);
        }
        gaps.push(lowest - best);
    }
    // Two frames of two devices are far from the many for which the dual is tight; still it is within an answer.
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    assert!(mean < 0.8, "{mean} {gaps:?}");
}

/// A task that is not known is worth the mean over what it may be, at the best single cut; rounded upwards, not far.
#[test]
fn a_blind_choice_is_the_best_mean_of_what_tasks_may_be() {
    let mut rough = Rough(5);
    let mut excess = Vec::new();
    for _ in 0..60 {
        let cell = cell(&mut rough);
        let transmitter = transmitter(&mut rough);
        let gains = rough.fading(MEAN_GAIN, 12);
        let most: f64 = gains
            .iter()
            .map(|g| bits(&cell, *g, 1.0, transmitter.power_max_w))
            .sum();
        // Two cuts, three tasks each with two checkpoints.
        let fixed = [0.0, 1e-4 * rough.next()];
        let windows = [0..12u32, 4..12];
        let paths: Vec<Vec<Vec<(f64, f64)>>> = (0..2)
            .map(|_| {
                (0..3)
                    .map(|_| {
                        let first = most * rough.between(0.01, 0.1);
                        let right = rough.next();
                        vec![
                            (0.0, 0.01),
                            (first, right * rough.next()),
                            (first * rough.between(1.2, 4.0), right),
                        ]
                    })
                    .collect()
            })
            .collect();
        let band = [[0.0, 0.05][rough.index(2)]; MAX_BLOCKS];
        let energy_price = rough.between(1.0, 1e3);
        // From devices that know their task, asked for one point of one path.
        let mut expected = 0.0f64;
        for cut in 0..2 {
            let mut mean = 0.0;
            for path in &paths[cut] {
                let mut best = 0.0f64;
                for (bits, right) in path {
                    let way = Way {
                        right: *right,
                        fixed_energy_j: 0.0,
                        bits: *bits,
                        window: windows[cut].clone(),
                    };
                    let mut device = Device::new(1.0, transmitter);
                    device.prepare(&cell, &[way], 0, &gains, &[]);
                    best = best.max(device.respond(&band, energy_price, 1e-9).value);
                }
                mean += best / 3.0;
            }
            expected = expected.max(mean - energy_price * fixed[cut]);
        }
        let prospects: Vec<Prospects> = paths.iter().map(|paths| Prospects::new(paths)).collect();
        let cuts = (0..2)
            .map(|cut| BlindCut {
                prospects: &prospects[cut],
                fixed_energy_j: fixed[cut],
                first: windows[cut].start,
                end: windows[cut].end,
            })
            .collect();
        let mut device = BlindDevice::new(1.0, transmitter, cuts, &[]);
        device.prepare(&cell, 0, &gains);
        let found = device.respond(&band, energy_price, 1e-9).value;
        assert!(found >= expected - 1e-6, "{found} {expected}");
        excess.push(found - expected);
    }
    let mean = excess.iter().sum::<f64>() / excess.len() as f64;
    assert!(mean < 0.02, "{mean}");
}
