//! The world that all policies meet: where devices stand and go, how channels fade, which task each frame brings.
//!
//! [`World`] is a seed and what is fixed beside it ([`Setting`]); [`Places`] follows the devices from frame to frame;
//! [`Gains`] are the slots of one device-frame; [`Arrivals`](arrivals::Arrivals) says which frames have a task. All draws
//! are functions of (seed, purpose, device, frame, index). docs/worlds.md explains the models to users.

pub mod arrivals;
mod doppler;
mod gains;
pub mod path_loss;
mod places;
pub mod trace;

pub use gains::Gains;
pub use places::{LargeScale, Places, Site};

use crate::rng::{Draws, Purpose};
use crate::scenario::{CorrelationKind, Estimate, FadingKind, Mobility, PathLossKind, Scenario};
use doppler::{Doppler, Timing};
use enachi_core::fading::Fading;
use enachi_core::packet::GainSource;
use gains::{OtherGains, RayleighBlocks, RicianBlocks, SlotKnowledge, Source, TraceSlots};
use path_loss::{LIGHT_M_PER_S, LogDistance, Urban, UrbanKind};
use std::sync::Arc;
use trace::{Trace, TraceError};

/// The channel of a device in a frame, before it fades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local {
    /// Mean power gain, from the amplifier on.
    pub mean_gain: f64,
    /// How slots vary around it.
    pub fading: Fading,
}

/// What is fixed about a world beside its seed.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Frame \[s\].
    pub frame_s: f64,
    /// t_slot \[s\].
    pub slot_s: f64,
    /// Slots of a frame.
    pub slots: u32,
    /// Devices.
    pub sites: Vec<Site>,
    /// Path loss and shadowing.
    pub large_scale: LargeScale,
    /// How devices move.
    pub mobility: Mobility,
    /// Small-scale fading where there is line of sight.
    pub fading: Fading,
    /// How fading hangs together in time.
    pub correlation: CorrelationKind,
    /// Slots per block of block fading.
    pub coherence_slots: u32,
    /// f_c \[Hz\].
    pub carrier_hz: f64,
    /// What devices know of gains.
    pub estimate: Estimate,
    /// Gains that were recorded, in place of all of the above.
    pub trace: Option<Arc<Trace>>,
}

impl Setting {
    /// The setting of a checked scenario; reads its trace if it has one.
    pub fn new(scenario: &Scenario) -> Result<Self, TraceError> {
        let channel = &scenario.channel;
        let mut sites = Vec::with_capacity(scenario.device_count());
        for group in &scenario.devices {
            let values = group.resolved(&scenario.device);
            for index in 0..group.count as usize {
                let position_m = group.positions_m.get(index).copied();
                sites.push(Site {
                    mean_gain: group.mean_gain,
                    position_m,
                    ring_m: match position_m {
                        Some(_) => [channel.nearest_m(), channel.cell_radius_m],
                        None => values.distance_m,
                    },
                    speed_m_per_s: values.speed_m_per_s,
                    amplifier_efficiency: values.amplifier_efficiency,
                });
            }
        }
        let large_scale = match channel.path_loss.urban() {
            None => LargeScale::LogDistance {
                loss: LogDistance {
                    at_1m_db: channel.path_loss_1m_db,
                    exponent: channel.path_loss_exponent,
                },
                shadowing_db: channel.shadowing_db,
                shadowing_distance_m: channel.shadowing_distance_m,
            },
            Some(kind) => LargeScale::Urban {
                cell: Urban {
                    kind,
                    carrier_hz: channel.carrier_hz,
                    base_height_m: channel.base_height_m(),
                    device_height_m: channel.urban.device_height_m,
                },
                sight: channel.urban.line_of_sight,
                shadowing: channel.urban.shadowing,
            },
        };
        let slots = (scenario.frame.length_s / scenario.frame.slot_s).round() as u32;
        Ok(Self {
            frame_s: scenario.frame.length_s,
            slot_s: scenario.frame.slot_s,
            slots,
            sites,
            large_scale,
            mobility: scenario.mobility.clone(),
            fading: match channel.fading {
                FadingKind::None => Fading::None,
                FadingKind::Rayleigh => Fading::Rayleigh,
                FadingKind::Rician => Fading::Rician {
                    k: 10f64.powf(channel.rician_k_db / 10.0),
                },
            },
            correlation: channel.correlation,
            coherence_slots: channel.coherence_slots,
            carrier_hz: channel.carrier_hz,
            estimate: channel.estimate.clone(),
            trace: match &channel.trace {
                None => None,
                Some(source) => Some(Arc::new(Trace::read(source, scenario, slots)?)),
            },
        })
    }
}

impl PathLossKind {
    /// Scenario of TR 38.901.
    pub fn urban(self) -> Option<UrbanKind> {
        match self {
            Self::LogDistance => None,
            Self::Umi => Some(UrbanKind::StreetCanyon),
            Self::Uma => Some(UrbanKind::Macro),
        }
    }
}

/// Largest Doppler shift of a device that moves at `speed_m_per_s` \[Hz\].
pub fn doppler_hz(speed_m_per_s: f64, carrier_hz: f64) -> f64 {
    speed_m_per_s * carrier_hz / LIGHT_M_PER_S
}

/// The random draws of one seed in one setting.
#[derive(Clone, Debug)]
pub struct World {
    draws: Draws,
    setting: Arc<Setting>,
}

impl World {
    /// The world of `seed`.
    pub fn new(seed: u64, setting: &Arc<Setting>) -> Self {
        Self {
            draws: Draws::new(seed),
            setting: Arc::clone(setting),
        }
    }

    /// What is fixed beside the seed.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// The channel of a device in any frame. Where devices move, all frames before are walked through: whoever goes through
    /// a run follows [`Places`] instead.
    pub fn local_at(&self, device: u32, frame: u32) -> Local {
        places::local_at(self, device, frame)
    }

    /// The task of a device in a frame: a uniform that picks the image, or the difficulty of a curve-only task.
    pub fn task(&self, device: u32, frame: u32) -> f64 {
        self.draws.uniform(Purpose::Task, device, frame, 0)
    }

    /// Error of the uncertainty prediction at each checkpoint of a device-frame, standard normal.
    pub fn prediction_errors(
        &self,
        device: u32,
        frame: u32,
    ) -> impl Fn(usize) -> f64 + Copy + use<> {
        let draws = self.draws;
        move |checkpoint| draws.normal(Purpose::Prediction, device, frame, checkpoint as u32)
    }

    /// Factor by which the gain that planners are told in a frame is off, log-normal.
    pub fn frame_estimate_error(&self, device: u32, frame: u32) -> f64 {
        let error_db = self.setting.estimate.error_db;
        if error_db == 0.0 {
            return 1.0;
        }
        let normal = self.draws.normal(Purpose::FrameEstimate, device, frame, 0);
        10f64.powf(error_db * normal / 10.0)
    }

    /// Gains of a device in a frame whose channel is `local`.
    pub fn gains(&self, device: u32, frame: u32, local: Local) -> Gains {
        let estimate = &self.setting.estimate;
        let exact = estimate.slot_error_db == 0.0 && estimate.slot_delay_slots == 0;
        match self.source(device, frame, local) {
            Source::Rayleigh(blocks) if exact => Gains::Plain(blocks),
            source => Gains::Other(OtherGains {
                knowledge: (!exact).then(|| SlotKnowledge {
                    draws: self.draws,
                    device,
                    frame,
                    error_db: estimate.slot_error_db,
                    delay_slots: estimate.slot_delay_slots,
                    behind: source.clone(),
                }),
                source,
            }),
        }
    }

    fn source(&self, device: u32, frame: u32, local: Local) -> Source {
        let setting = &*self.setting;
        let Local { mean_gain, fading } = local;
        let (draws, coherence_slots) = (self.draws, setting.coherence_slots);
        if let Some(trace) = &setting.trace {
            let efficiency = setting.sites[device as usize].amplifier_efficiency;
            return Source::Trace(TraceSlots::new(trace, device, frame, setting, efficiency));
        }
        match (fading, setting.correlation) {
            (Fading::None, _) => Source::Constant(mean_gain),
            (Fading::Rayleigh, CorrelationKind::Block) => Source::Rayleigh(RayleighBlocks {
                draws,
                coherence_slots,
                device,
                frame,
                mean_gain,
                block: [0.0; 4],
                block_index: u32::MAX,
            }),
            (Fading::Rician { k }, CorrelationKind::Block) => Source::Rician(RicianBlocks {
                draws,
                coherence_slots,
                device,
                frame,
                k,
                mean_gain,
                block: [0.0; 2],
                block_index: u32::MAX,
            }),
            (Fading::Rayleigh | Fading::Rician { .. }, CorrelationKind::Doppler) => {
                let k = match fading {
                    Fading::Rician { k } => k,
                    Fading::Rayleigh | Fading::None => 0.0,
                };
                let speed = setting.sites[device as usize].speed_m_per_s;
                let timing = Timing {
                    start_s: f64::from(frame) * setting.frame_s,
                    slot_s: setting.slot_s,
                };
                let doppler_hz = doppler_hz(speed, setting.carrier_hz);
                Source::Doppler(Doppler::new(
                    draws, device, timing, doppler_hz, k, mean_gain,
                ))
            }
        }
    }

    /// Average of the realised gains over the frame's slots.
    pub fn frame_average_gain(&self, device: u32, frame: u32, local: Local) -> f64 {
        let slots = self.setting.slots;
        let fades = self.setting.trace.is_some() || local.fading != Fading::None;
        if !fades || slots == 0 {
            return local.mean_gain;
        }
        let mut gains = self.gains(device, frame, local);
        (0..slots).map(|k| gains.gain(k)).sum::<f64>() / f64::from(slots)
    }
}

#[cfg(test)]
mod tests;
