//! The price of bandwidth: minimises the dual g(λ) = Σ_n max_arm L_n(λ) + λ·ω_tot over λ > 0.
//!
//! g is convex with slope ω_tot − D(λ), D the demand, which falls as the price rises and jumps where a device changes
//! its mind. The search keeps a bracket with D(lo) > ω_tot ≥ D(hi) and, as it shrinks, drops every arm that a convexity
//! argument shows to be nowhere best inside it. It ends when the two tangents at the ends meet within a tolerance of g:
//! the value where they meet is that of the convexified primal, so the dual is solved to that tolerance.

use super::arm::{Arm, Response, Shared};

/// The dual of one node, solved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dual {
    /// Where it was seen.
    pub price: f64,
    /// Least g seen: no plan of this node is worth more.
    pub bound: f64,
    /// Weight of the responses at the lower end of the bracket; those at the upper end have the rest.
    pub share: f64,
}

/// Responses at one price, and what they add up to.
#[derive(Debug, Default)]
struct At {
    price: f64,
    value: f64,
    demand_hz: f64,
    /// By arm.
    response: Vec<Response>,
    /// By device: its best arm.
    best: Vec<u32>,
}

/// Workspace of the search.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Arms in play, device by device.
    active: Vec<u32>,
    /// First of `active` and number, by device.
    spans: Vec<(u32, u32)>,
    lo: At,
    hi: At,
    new: At,
    /// Responses computed since the workspace was made.
    pub evaluations: u64,
}

impl Search {
    /// Start a node: no devices yet.
    pub fn clear(&mut self) {
        self.active.clear();
        self.spans.clear();
    }

    /// Add the next device with its arms.
    pub fn device(&mut self, arms: impl IntoIterator<Item = u32>) {
        let first = self.active.len() as u32;
        self.active.extend(arms);
        self.spans.push((first, self.active.len() as u32 - first));
    }

    /// Best arm and its response at the (lower, upper) end of the bracket.
    pub fn ends(&self, device: usize) -> [(u32, Response); 2] {
        [&self.lo, &self.hi].map(|at| (at.best[device], at.response[at.best[device] as usize]))
    }

    /// Minimise g from a first guess. `None`: a device has no feasible arm, or g falls to `hopeless` or below.
    pub fn minimise(
        &mut self,
        arms: &mut [Arm],
        shared: &Shared<'_>,
        bandwidth_hz: f64,
        guess: Guess,
        tolerance: Tolerance,
        hopeless: f64,
    ) -> Option<Dual> {
        for at in [&mut self.lo, &mut self.hi, &mut self.new] {
            at.response
                .resize(at.response.len().max(arms.len()), Response::default());
            at.best.resize(self.spans.len(), 0);
        }
        let (mut bound, mut bound_price) = (f64::INFINITY, guess.price);
        let mut price = guess.price.clamp(guess.least, f64::MAX);
        self.evaluate(arms, shared, bandwidth_hz, price);
        if !self.new.value.is_finite() || self.new.value <= hopeless {
            return None;
        }
        // Bracket. The step follows the demand's miss and grows if one is not enough.
        let mut step = guess.step;
        let high_first = self.new.demand_hz > bandwidth_hz;
        loop {
            if self.new.value < bound {
                (bound, bound_price) = (self.new.value, self.new.price);
            }
            let over = self.new.demand_hz > bandwidth_hz;
            if over {
                std::mem::swap(&mut self.lo, &mut self.new);
            } else {
                std::mem::swap(&mut self.hi, &mut self.new);
            }
            if over != high_first {
                break;
            }
            if !over && price <= guess.least {
                // Band to spare at (almost) no price.
                return Some(Dual {
                    price: bound_price,
                    bound,
                    share: 0.0,
                });
            }
            let demand_hz = if over {
                self.lo.demand_hz
            } else {
                self.hi.demand_hz
            };
            let miss = (demand_hz / bandwidth_hz).ln().abs().min(3.0);
            price *= (step * miss)
                .clamp(1e-4, 4.5)
                .exp()
                .powf(if over { 1.0 } else { -1.0 });
            price = price.max(guess.least);
            step *= 2.5;
            if price > 1e280 {
                return None;
            }
            self.evaluate(arms, shared, bandwidth_hz, price);
            if self.new.value <= hopeless {
                return None;
            }
        }
        let mut before_last = f64::INFINITY;
        let mut last = f64::INFINITY;
        for round in 0..200 {
            if bound <= hopeless {
                return None;
            }
            let (slope_lo, slope_hi) = (
                bandwidth_hz - self.lo.demand_hz,
                bandwidth_hz - self.hi.demand_hz,
            );
            let width = self.hi.price - self.lo.price;
            // Where the tangents meet.
            let meet = ((self.lo.value - self.hi.value + slope_hi * width) / (slope_hi - slope_lo))
                .clamp(0.0, width);
            let floor =
                (self.lo.value + slope_lo * meet).min(self.hi.value - slope_hi * (width - meet));
            if bound - floor <= tolerance.of(bound) || width <= 4.0 * f64::EPSILON * self.hi.price {
                break;
            }
            self.prune();
            let cut = if width > 0.5 * before_last {
                // Two rounds did not halve it.
                (self.lo.price * self.hi.price).sqrt() - self.lo.price
            } else if round % 2 == 1 {
                // Where demand is smooth the secant is quick; at a jump the tangents are.
                width * slope_lo / (slope_lo - slope_hi)
            } else {
                meet
            };
            before_last = last;
            last = width;
            let price = self.lo.price + cut.clamp(0.002 * width, 0.998 * width);
            self.evaluate(arms, shared, bandwidth_hz, price);
            if self.new.value < bound {
                (bound, bound_price) = (self.new.value, price);
            }
            if self.new.demand_hz > bandwidth_hz {
                std::mem::swap(&mut self.lo, &mut self.new);
            } else {
                std::mem::swap(&mut self.hi, &mut self.new);
            }
        }
        let share = (bandwidth_hz - self.hi.demand_hz) / (self.lo.demand_hz - self.hi.demand_hz);
        Some(Dual {
            price: bound_price,
            bound,
            share,
        })
    }

    /// g and the demand at a price, into `new`.
    fn evaluate(&mut self, arms: &mut [Arm], shared: &Shared<'_>, bandwidth_hz: f64, price: f64) {
        let at = &mut self.new;
        let (mut value, mut demand_hz) = (price * bandwidth_hz, 0.0);
        for (&(first, count), best) in self.spans.iter().zip(&mut at.best) {
            if count == 0 {
                continue;
            }
            let mut top = f64::NEG_INFINITY;
            let mut top_hz = 0.0;
            for &arm in &self.active[first as usize..(first + count) as usize] {
                let response = arms[arm as usize].respond(shared, price);
                at.response[arm as usize] = response;
                if response.value > top {
                    top = response.value;
                    top_hz = response.bandwidth_hz;
                    *best = arm;
                }
            }
            value += top;
            demand_hz += top_hz;
        }
        self.evaluations += self.active.len() as u64;
        at.price = price;
        at.value = value;
        at.demand_hz = demand_hz;
    }

    /// Drop arms that are nowhere best between the ends. Each arm's value is convex in the price: it lies below its
    /// chord, and the best arm's above its tangents. The chord is compared where the two tangents meet.
    fn prune(&mut self) {
        let width = self.hi.price - self.lo.price;
        let mut write = 0;
        for (device, span) in self.spans.iter_mut().enumerate() {
            let (first, count) = *span;
            span.0 = write as u32;
            if count <= 1 {
                if count == 1 {
                    self.active[write] = self.active[first as usize];
                    write += 1;
                }
                continue;
            }
            let (best_lo, best_hi) = (self.lo.best[device], self.hi.best[device]);
            let (lo, hi) = (
                self.lo.response[best_lo as usize],
                self.hi.response[best_hi as usize],
            );
            let bend = lo.bandwidth_hz - hi.bandwidth_hz;
            let (meet, floor) = if bend > 0.0 {
                let meet =
                    ((lo.value - hi.value - hi.bandwidth_hz * width) / bend).clamp(0.0, width);
                (
                    meet,
                    (lo.value - lo.bandwidth_hz * meet)
                        .max(hi.value + hi.bandwidth_hz * (width - meet)),
                )
            } else {
                (0.0, lo.value)
            };
            let meet = meet / width;
            for i in first as usize..(first + count) as usize {
                let arm = self.active[i];
                let (left, right) = (
                    self.lo.response[arm as usize].value,
                    self.hi.response[arm as usize].value,
                );
                if arm == best_lo || arm == best_hi || left + (right - left) * meet > floor {
                    self.active[write] = arm;
                    write += 1;
                }
            }
            span.1 = write as u32 - span.0;
        }
        self.active.truncate(write);
    }
}

/// How close is close enough: relative to a value, or to the most that is at stake if that is less (a value may be large
/// for energy that no choice changes).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerance {
    pub relative: f64,
    pub stake: f64,
}

impl Tolerance {
    /// Absolute tolerance of a value, not below what rounding leaves.
    pub fn of(&self, value: f64) -> f64 {
        (self.relative * value.abs().min(self.stake)).max(1e-14 * value.abs())
    }
}

/// Where to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guess {
    /// First price tried.
    pub price: f64,
    /// How far to step per unit of ln(demand/bandwidth) \[ln price\].
    pub step: f64,
    /// The least price there is any point in trying.
    pub least: f64,
}
