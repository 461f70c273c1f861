//! ENACHI P1.2 (17) as data: one frame's problem and its solution.

use crate::curve::AccuracyCurve;
use crate::radio::Radio;
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
