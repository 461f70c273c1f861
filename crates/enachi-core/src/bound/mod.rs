//! An upper bound on what any policy can reach: the Lagrangian dual of a frame with all gains and all outcomes known.
//!
//! A policy's frames are one point of the set
//!
//! ```text
//! maximise Σ_m Σ_n w_n·1{device n is right in frame m}
//! over cut, stream, and band ω and power p of every slot
//! subject to  Σ_n Σ_k ω_{nmk} ≤ K·ω_tot       in every frame m,      ω_{nmk} ≤ ω_tot,  p_{nmk} ≤ p_max,n
//!             Σ_m E_nm ≤ M·E_n                for every device n
//! ```
//!
//! Prices λ_m on the band of a frame and μ_n on the energy of a device separate it: what is left is, for every
//! device-frame, the best of "nothing", "right without sending", and "the bits that make it right", with the cheapest way
//! to deliver them ([`Device`]). Any prices ≥ 0 give a valid bound; [`FrameBound`] looks for the best λ_m,
//! [`EnergyPrices`] for the best μ_n. [`BlindDevice`] takes the place of [`Device`] where the task is not known when
//! the cut is chosen. `docs/oracle.md` has the equations and why each step is a relaxation.

mod blind;
mod delivery;
mod device;
mod energy_price;
mod frame;
mod slots;

pub use blind::{BlindCut, BlindDevice, Prospects};
pub use delivery::{Delivery, Need};
pub use device::{Device, Respond, Response, Way};
pub use energy_price::EnergyPrices;
pub use frame::{FrameBound, FrameDual};
pub use slots::{Cell, Flow, Prices, SlotTable, Transmitter, margin_snr};

/// Stretches of a frame with a band price of their own, at most.
pub const MAX_BLOCKS: usize = 4;

/// A value for every block of a frame.
pub type Blocks = [f64; MAX_BLOCKS];
