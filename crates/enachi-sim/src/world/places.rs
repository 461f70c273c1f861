//! Where devices are, how they move, and what their channel is like there: path loss, shadowing, line of sight.
//!
//! One frame after another: a device's place in a frame follows from its place in the frame before, and from draws that
//! belong to (seed, device, frame), so every policy meets the same places.

use super::path_loss::Urban;
use super::{Local, World};
use crate::rng::Purpose;
use crate::scenario::{LineOfSight, MobilityKind};
use enachi_core::fading::Fading;
use std::f64::consts::TAU;

/// Where one device stands and may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Mean channel gain, for a device without a place.
    pub mean_gain: Option<f64>,
    /// Place, where it is given \[m\].
    pub position_m: Option<[f64; 2]>,
    /// The ring it is placed in and does not leave, nearest and farthest \[m\].
    pub ring_m: [f64; 2],
    /// Speed \[m/s\].
    pub speed_m_per_s: f64,
    /// Share of the amplifier's power that is radiated.
    pub amplifier_efficiency: f64,
}

/// How path loss and shadowing follow from a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LargeScale {
    /// Log-distance path loss and log-normal shadowing.
    LogDistance {
        /// Path loss.
        loss: super::path_loss::LogDistance,
        /// Standard deviation of the shadowing \[dB\].
        shadowing_db: f64,
        /// Its decorrelation distance \[m\]; 0: drawn afresh in every frame.
        shadowing_distance_m: f64,
    },
    /// TR 38.901.
    Urban {
        /// Path loss and line of sight.
        cell: Urban,
        /// Whether there is line of sight.
        sight: LineOfSight,
        /// Whether there is shadowing.
        shadowing: bool,
    },
}

/// One device's state.
#[derive(Clone, Debug)]
struct Body {
    position_m: [f64; 2],
    distance_m: f64,
    /// Where it heads, and the time it still rests before it does \[s\] (random waypoint).
    target_m: [f64; 2],
    rest_s: f64,
    trips: u32,
    /// Velocity (Gauss–Markov) \[m/s\].
    velocity: [f64; 2],
    /// Standard normals that belong to the place: shadowing with and without line of sight, and the sight itself.
    normals: [f64; 3],
    /// Uniform that picks the height of the environment.
    environment: f64,
    /// Gain at its place, without shadowing, from the amplifier on.
    gain: f64,
}

/// Index of each of [`Body::normals`].
const CLEAR: usize = 0;
const OBSTRUCTED: usize = 1;
const SIGHT: usize = 2;

/// All devices of a world in one frame.
#[derive(Clone, Debug)]
pub struct Places {
    world: World,
    frame: u32,
    bodies: Vec<Body>,
}

impl Places {
    /// Frame 0.
    pub fn new(world: World) -> Self {
        let bodies = (0..world.setting.sites.len() as u32)
            .map(|device| Body::new(&world, device))
            .collect();
        Self {
            world,
            frame: 0,
            bodies,
        }
    }

    /// Go on to `frame`, which is this one or a later one.
    pub fn advance_to(&mut self, frame: u32) {
        while self.frame < frame {
            self.frame += 1;
            if self.world.setting.mobility.model == MobilityKind::None {
                continue;
            }
            for (device, body) in self.bodies.iter_mut().enumerate() {
                body.advance(&self.world, device as u32, self.frame);
            }
        }
    }

    /// Horizontal distance of a device \[m\].
    #[cfg(test)]
    fn distance_m(&self, device: u32) -> f64 {
        self.bodies[device as usize].distance_m
    }

    /// The channel of a device in this frame.
    pub fn local(&self, device: u32) -> Local {
        local(
            &self.world,
            device,
            self.frame,
            &self.bodies[device as usize],
        )
    }
}

/// The channel of a device in `frame`, walked up to from frame 0 where it moves.
pub(super) fn local_at(world: &World, device: u32, frame: u32) -> Local {
    let mut body = Body::new(world, device);
    if world.setting.mobility.model != MobilityKind::None {
        for frame in 1..=frame {
            body.advance(world, device, frame);
        }
    }
    local(world, device, frame, &body)
}

fn local(world: &World, device: u32, frame: u32, body: &Body) -> Local {
    let setting = &*world.setting;
    let site = &setting.sites[device as usize];
    if let Some(trace) = &setting.trace {
        return Local {
            mean_gain: trace.mean_gain(device, frame, setting) * site.amplifier_efficiency,
            fading: setting.fading,
        };
    }
    let placeless = site.mean_gain.is_some();
    let mean_gain = match body.shadowing_db(world, device, frame, placeless) {
        None => body.gain,
        Some(db) => body.gain * 10f64.powf(db / 10.0),
    };
    let steady = placeless || body.has_sight(&setting.large_scale);
    let fading = match setting.fading {
        Fading::Rician { .. } if !steady => Fading::Rayleigh,
        fading => fading,
    };
    Local { mean_gain, fading }
}

impl Body {
    fn new(world: &World, device: u32) -> Self {
        let site = &world.setting.sites[device as usize];
        let uniform = |index| world.draws.uniform(Purpose::Placement, device, 0, index);
        let (position_m, distance_m) = match site.position_m {
            Some([x, y]) => ([x, y], x.hypot(y)),
            None => {
                let distance_m = in_ring(site.ring_m, uniform(0));
                let (sin, cos) = (TAU * uniform(1)).sin_cos();
                ([distance_m * cos, distance_m * sin], distance_m)
            }
        };
        let normal = |index| world.draws.normal(Purpose::Shadowing, device, 0, index);
        let speed = site.speed_m_per_s / std::f64::consts::SQRT_2;
        let velocity = |index| speed * world.draws.normal(Purpose::Velocity, device, 0, index);
        let mut body = Self {
            position_m,
            distance_m,
            target_m: position_m,
            rest_s: 0.0,
            trips: 0,
            velocity: [velocity(0), velocity(1)],
            normals: [normal(0), normal(1), normal(2)],
            environment: uniform(2),
            gain: 0.0,
        };
        body.target_m = body.waypoint(world, device);
        body.set_gain(world, device);
        body
    }

    /// Gain at the place, as it leaves the amplifier.
    fn set_gain(&mut self, world: &World, device: u32) {
        let site = &world.setting.sites[device as usize];
        let gain = site.mean_gain.unwrap_or_else(|| {
            let loss_db = match world.setting.large_scale {
                LargeScale::LogDistance { loss, .. } => loss.loss_db(self.distance_m),
                LargeScale::Urban { cell, sight, .. } => {
                    let environment_m =
                        cell.environment_height_m(self.distance_m, self.environment);
                    cell.loss_db(self.distance_m, self.sees(&cell, sight), environment_m)
                }
            };
            10f64.powf(-loss_db / 10.0)
        });
        // What the amplifier draws counts, so the channel begins before it.
        self.gain = gain * site.amplifier_efficiency;
    }

    /// Shadowing in a frame \[dB\]; `None`: there is none.
    fn shadowing_db(&self, world: &World, device: u32, frame: u32, placeless: bool) -> Option<f64> {
        match world.setting.large_scale {
            LargeScale::LogDistance {
                shadowing_db: 0.0, ..
            } => None,
            LargeScale::LogDistance {
                shadowing_db,
                shadowing_distance_m,
                ..
            } => {
                let normal = if shadowing_distance_m > 0.0 {
                    self.normals[CLEAR]
                } else {
                    world
                        .draws
                        .normal(Purpose::Shadowing, device, frame, CLEAR as u32)
                };
                Some(shadowing_db * normal)
            }
            LargeScale::Urban { shadowing, .. } if !shadowing || placeless => None,
            LargeScale::Urban { cell, sight, .. } => {
                let sees = self.sees(&cell, sight);
                let normal = self.normals[if sees { CLEAR } else { OBSTRUCTED }];
                Some(cell.kind.shadowing_db(sees) * normal)
            }
        }
    }

    fn has_sight(&self, large_scale: &LargeScale) -> bool {
        match large_scale {
            LargeScale::Urban { cell, sight, .. } => self.sees(cell, *sight),
            LargeScale::LogDistance { .. } => true,
        }
    }

    /// Whether the device sees the base station: the normal of its place, as a uniform, against the probability there.
    fn sees(&self, cell: &Urban, sight: LineOfSight) -> bool {
        match sight {
            LineOfSight::Always => true,
            LineOfSight::Never => false,
            LineOfSight::Drawn => {
                normal_cdf(self.normals[SIGHT]) < cell.sight_probability(self.distance_m)
            }
        }
    }

    fn advance(&mut self, world: &World, device: u32, frame: u32) {
        let setting = &*world.setting;
        let site = &setting.sites[device as usize];
        if site.mean_gain.is_some() || site.speed_m_per_s <= 0.0 {
            return;
        }
        let from = self.position_m;
        match setting.mobility.model {
            MobilityKind::None => {}
            MobilityKind::RandomWaypoint => self.walk(world, device),
            MobilityKind::GaussMarkov => self.drift(world, device, frame),
        }
        let [x, y] = self.position_m;
        // A straight way may pass the base station; nearer than the ring's inner edge no path loss is defined.
        self.distance_m = x.hypot(y).clamp(site.ring_m[0], site.ring_m[1]);
        let moved_m = (x - from[0]).hypot(y - from[1]);
        self.decorrelate(world, device, frame, moved_m);
        self.set_gain(world, device);
    }

    /// Gudmundson: the autocorrelation of what belongs to a place falls as e^(−moved/d).
    fn decorrelate(&mut self, world: &World, device: u32, frame: u32, moved_m: f64) {
        let distances_m = match world.setting.large_scale {
            LargeScale::LogDistance {
                shadowing_distance_m,
                ..
            } => [shadowing_distance_m; 3],
            LargeScale::Urban { cell, .. } => [
                cell.kind.shadowing_distance_m(true),
                cell.kind.shadowing_distance_m(false),
                cell.kind.sight_distance_m(),
            ],
        };
        for (index, (normal, distance_m)) in self.normals.iter_mut().zip(distances_m).enumerate() {
            if distance_m > 0.0 {
                let kept = (-moved_m / distance_m).exp();
                let fresh = world
                    .draws
                    .normal(Purpose::Shadowing, device, frame, index as u32);
                *normal = kept * *normal + (1.0 - kept * kept).sqrt() * fresh;
            }
        }
    }

    fn waypoint(&self, world: &World, device: u32) -> [f64; 2] {
        let ring_m = world.setting.sites[device as usize].ring_m;
        let uniform = |index| {
            world
                .draws
                .uniform(Purpose::Waypoint, device, self.trips, index)
        };
        let distance_m = in_ring(ring_m, uniform(0));
        let (sin, cos) = (TAU * uniform(1)).sin_cos();
        [distance_m * cos, distance_m * sin]
    }

    /// Random waypoint: straight to a point drawn uniformly from the ring, a rest there, and on to the next.
    fn walk(&mut self, world: &World, device: u32) {
        let speed = world.setting.sites[device as usize].speed_m_per_s;
        let mut left_s = world.setting.frame_s;
        // A frame holds few trips; the bound is for cells that are smaller than a step.
        for _ in 0..1000 {
            let rest_s = self.rest_s.min(left_s);
            self.rest_s -= rest_s;
            left_s -= rest_s;
            let [dx, dy] = [
                self.target_m[0] - self.position_m[0],
                self.target_m[1] - self.position_m[1],
            ];
            let way_m = dx.hypot(dy);
            let step_m = speed * left_s;
            if step_m < way_m {
                self.position_m[0] += dx / way_m * step_m;
                self.position_m[1] += dy / way_m * step_m;
                return;
            }
            self.position_m = self.target_m;
            left_s -= way_m / speed;
            self.rest_s = world.setting.mobility.pause_s;
            self.trips += 1;
            self.target_m = self.waypoint(world, device);
        }
    }

    /// Gauss–Markov: each component of the velocity is a first-order Gaussian process; the ring's edges reflect.
    fn drift(&mut self, world: &World, device: u32, frame: u32) {
        let setting = &*world.setting;
        let site = &setting.sites[device as usize];
        let kept = (-setting.frame_s / setting.mobility.memory_s).exp();
        let spread = site.speed_m_per_s / std::f64::consts::SQRT_2 * (1.0 - kept * kept).sqrt();
        for (index, velocity) in self.velocity.iter_mut().enumerate() {
            let fresh = world
                .draws
                .normal(Purpose::Velocity, device, frame, index as u32);
            *velocity = kept * *velocity + spread * fresh;
        }
        let [mut x, mut y] = self.position_m;
        x += self.velocity[0] * setting.frame_s;
        y += self.velocity[1] * setting.frame_s;
        let distance_m = x.hypot(y);
        let [near_m, far_m] = site.ring_m;
        if !(near_m..=far_m).contains(&distance_m) && distance_m > 0.0 {
            let edge_m = distance_m.clamp(near_m, far_m);
            let inside_m = (2.0 * edge_m - distance_m).clamp(near_m, far_m);
            let [ux, uy] = [x / distance_m, y / distance_m];
            let outward = self.velocity[0] * ux + self.velocity[1] * uy;
            self.velocity[0] -= 2.0 * outward * ux;
            self.velocity[1] -= 2.0 * outward * uy;
            [x, y] = [ux * inside_m, uy * inside_m];
        }
        self.position_m = [x, y];
    }
}

/// Distance of a point that is uniform over the area of a ring \[m\], from a uniform in (0,1).
fn in_ring([near_m, far_m]: [f64; 2], uniform: f64) -> f64 {
    (near_m * near_m + uniform * (far_m * far_m - near_m * near_m)).sqrt()
}

/// Distribution function of the standard normal (Abramowitz & Stegun 7.1.26; error below 1e-7).
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let c = [
        0.254_829_592,
        -0.284_496_736,
        1.421_413_741,
        -1.453_152_027,
        1.061_405_429,
    ];
    let tail = c.iter().rev().fold(0.0, |sum, c| (sum + c) * t) * (-z * z).exp() / 2.0;
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
