//! Task level: once a frame, which cut, how much band and how much power for every device.
//!
//! Two layers. [`Problem`] → [`Solver`] → [`Plan`] is the mathematics of ENACHI P1.2 (17), solved jointly and with a
//! bound. [`TaskPolicy`] is what the simulator and the live server call once a frame: the planner behind `enachi`, and
//! the policies it is compared with, one file each.

mod arm;
mod arm_constant;
mod band;
mod contained;
mod dual;
mod names;
mod outlook;
pub mod policies;
mod policy;
pub(crate) mod price;
mod problem;
mod sequential;
mod solver;

pub use crate::fading::Fading;
pub use band::{BandUse, Slice, best_option, option_at_band};
pub use contained::{
    PlanFailure, check_grants, observe_contained, plan_contained, solve_contained,
};
pub use names::nearest;
pub use outlook::snr_at_price;
pub use policy::{
    Candidate, DeviceView, FrameOutcome, FrameView, Level, PlanQuality, PowerMode, Replanning,
    StreamUse, TaskGrant, TaskPolicy,
};
pub use problem::{CutOption, DeviceProblem, Grant, Plan, Problem, ProblemError};
pub use sequential::Sequential;
pub use solver::{Settings, Solver};
