//! ENACHI P1.2 (17) as data: one frame's problem and its solution.

use crate::curve::AccuracyCurve;
use crate::radio::{Noise, Radio};
use std::ops::Range;

/// One thing a device may do in the frame: split at a cut and send for `transmit_time_s`, or (a curve with a single
/// point) send nothing at all. All-local is an option with a single-point curve and transmit time 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CutOption {
    /// Index into [`Problem::curves`].
    pub curve: u32,
    /// ENACHI (16): what the deadline leaves for sending \[s\]; where it is ≤ 0 nothing can be sent.
    pub transmit_time_s: f64,
    /// ENACHI (2) plus codec work: energy spent before the first bit is sent \[J\].
    pub local_energy_j: f64,
    /// What it costs beside energy, e.g. the price of the time it takes of a busy edge \[objective\].
    pub charge: f64,
}

/// One device's part of the problem.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceProblem {
    /// Q_n of ENACHI (12), ≥ 0: the price of a joule.
    pub energy_queue_j: f64,
    /// Frame-average power gain h̄_n.
    pub gain: f64,
    /// p_max \[W\].
    pub power_max_w: f64,
    /// Weight of this device's accuracy (1 in the paper).
    pub weight: f64,
    /// Its options, as a range of [`Problem::options`]. Empty: the device sits the frame out.
    pub options: Range<u32>,
}

/// P1.2: max Σ V·w_n·A_n(b_n) − Q_n·(E_n + p_n·T_n) subject to Σω_n ≤ ω_tot, p_n ≤ p_max,n and
/// b_n ≤ ω_n·T_n·log2(1 + h_n·p_n/noise), over cuts, bands, powers and bits.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// ω_tot \[Hz\].
    pub bandwidth_hz: f64,
    /// Noise and cap on spectral efficiency.
    pub radio: Radio,
    /// V.
    pub v: f64,
    /// Curves that the options refer to.
    pub curves: &'a [AccuracyCurve],
    /// Options that the devices refer to.
    pub options: &'a [CutOption],
    /// The devices.
    pub devices: &'a [DeviceProblem],
}

impl<'a> Problem<'a> {
    /// Options of a device.
    pub fn options_of(&self, device: &DeviceProblem) -> &'a [CutOption] {
        &self.options[device.options.start as usize..device.options.end as usize]
    }

    /// Whether every number is in its range; the solver takes it for granted.
    pub fn check(&self) -> Result<(), ProblemError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let top = |key: &'static str, value: f64, ok: bool, allowed: &'static str| {
            if ok {
                Ok(())
            } else {
                Err(ProblemError {
                    device: None,
                    option: None,
                    key,
                    value,
                    allowed,
                })
            }
        };
        top(
            "bandwidth_hz",
            self.bandwidth_hz,
            positive(self.bandwidth_hz),
            "finite and above 0",
        )?;
        let (key, noise) = match self.radio.noise {
            Noise::Exact { psd_w_per_hz } => ("noise_psd_w_per_hz", psd_w_per_hz),
            Noise::Constant { power_w } => ("noise_power_w", power_w),
        };
        top(key, noise, positive(noise), "finite and above 0")?;
        top(
            "spectral_cap",
            self.radio.spectral_cap,
            self.radio.spectral_cap > 0.0,
            "above 0",
        )?;
        top("v", self.v, not_negative(self.v), "finite and at least 0")?;
        for (n, device) in self.devices.iter().enumerate() {
            let at = |option: Option<usize>,
                      key: &'static str,
                      value: f64,
                      ok: bool,
                      allowed: &'static str| {
                if ok {
                    Ok(())
                } else {
                    Err(ProblemError {
                        device: Some(n),
                        option,
                        key,
                        value,
                        allowed,
                    })
                }
            };
            let q = device.energy_queue_j;
            at(
                None,
                "energy_queue_j",
                q,
                not_negative(q),
                "finite and at least 0",
            )?;
            at(
                None,
                "gain",
                device.gain,
                not_negative(device.gain),
                "finite and at least 0",
            )?;
            let p = device.power_max_w;
            at(
                None,
                "power_max_w",
                p,
                not_negative(p),
                "finite and at least 0",
            )?;
            at(
                None,
                "weight",
                device.weight,
                not_negative(device.weight),
                "finite and at least 0",
            )?;
            let end = device.options.end as usize;
            let ok = device.options.start as usize <= end && end <= self.options.len();
            at(
                None,
                "options",
                end as f64,
                ok,
                "a range within the options",
            )?;
            for (o, option) in self.options_of(device).iter().enumerate() {
                let time_s = option.transmit_time_s;
                at(
                    Some(o),
                    "transmit_time_s",
                    time_s,
                    time_s.is_finite(),
                    "finite",
                )?;
                let energy_j = option.local_energy_j;
                at(
                    Some(o),
                    "local_energy_j",
                    energy_j,
                    not_negative(energy_j),
                    "finite and at least 0",
                )?;
                at(
                    Some(o),
                    "charge",
                    option.charge,
                    not_negative(option.charge),
                    "finite and at least 0",
                )?;
                let curve = option.curve as usize;
                at(
                    Some(o),
                    "curve",
                    curve as f64,
                    curve < self.curves.len(),
                    "an index into the curves",
                )?;
            }
        }
        Ok(())
    }
}

/// A number of a problem that is out of its range.
#[derive(Clone, Debug, PartialEq)]
pub struct ProblemError {
    /// Device, if it is one of a device.
    pub device: Option<usize>,
    /// Option of the device, if it is one of an option.
    pub option: Option<usize>,
    /// Which number.
    pub key: &'static str,
    /// What it is.
    pub value: f64,
    /// What it may be.
    pub allowed: &'static str,
}

impl std::error::Error for ProblemError {}

impl std::fmt::Display for ProblemError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(device) = self.device {
            write!(f, "devices[{device}].")?;
        }
        if let Some(option) = self.option {
            write!(f, "cuts[{option}].")?;
        }
        write!(
            f,
            "{} is {}, must be {}",
            self.key, self.value, self.allowed
        )
    }
}

/// What one device gets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grant {
    /// Index into the device's own options; `None` where it has none.
    pub cut: Option<u32>,
    /// ω_n \[Hz\].
    pub bandwidth_hz: f64,
    /// p̃_n \[W\].
    pub reference_power_w: f64,
    /// Bits the plan counts on (at most what band, power and time carry).
    pub bits: f64,
    /// Accuracy at those bits.
    pub accuracy: f64,
}

/// A solved frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// λ: what one more hertz is worth \[objective/Hz\].
    pub bandwidth_price: f64,
    /// Value of the grants.
    pub objective: f64,
    /// No feasible plan is worth more.
    pub upper_bound: f64,
    /// (upper_bound − objective)/|upper_bound|.
    pub gap: f64,
    /// One per device.
    pub grants: Vec<Grant>,
}

impl Plan {
    /// Set the bound and the gap that follows from it.
    pub(crate) fn set_bound(&mut self, upper_bound: f64) {
        self.upper_bound = upper_bound.max(self.objective);
        self.gap = if self.upper_bound > self.objective {
            (self.upper_bound - self.objective) / self.upper_bound.abs()
        } else {
            0.0
        };
    }
}
