//! A run's folder, read and counted.

pub mod estimate;
pub mod replay;
pub mod tally;

use crate::ReportError;
use enachi_core::profile::Profile;
use enachi_sim::bootstrap::Design;
use enachi_sim::deployment::curve_profile;
use enachi_sim::oracle::OracleShare;
use enachi_sim::output::{PROFILE_FILE, RUN_FILE, RunInfo, SCENARIO_FILE, SUMMARY_FILE};
use enachi_sim::scenario::{Scenario, load};
use enachi_sim::summary::Summary;
use estimate::{Estimates, estimates};
use replay::{FrameDetail, replay};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use tally::{Extent, Lane, Tally, tally};

/// File with the records of device-frames.
pub const FRAMES_FILE: &str = "frames.parquet";

/// Which frame is shown slot by slot. What is not given is chosen: first policy, first seed, the first frame after the
/// warm-up, and the device that sent longest there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Policy, as in the records.
    pub policy: Option<String>,
    /// Seed.
    pub seed: Option<u64>,
    /// Frame from 0.
    pub frame: Option<u32>,
    /// Device from 0.
    pub device: Option<u32>,
}

/// A run, read and counted.
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
    /// What was simulated.
    pub scenario: Scenario,
    /// The same as it stands in the folder.
    pub scenario_text: String,
    /// What made it.
    pub info: RunInfo,
    /// The network; `None` where the folder has no copy of the profile.
    pub profile: Option<Profile>,
    /// What the rows can be.
    pub extent: Extent,
    /// The rows, counted.
    pub tally: Tally,
    /// Over all frames, by policy.
    pub all: Vec<Estimates>,
    /// Without the warm-up frames, by policy.
    pub settled: Vec<Estimates>,
    /// Against the upper bound, by policy.
    pub oracle: Vec<Option<OracleShare>>,
    /// Allowance Ē by device \[J\].
    pub budgets_j: Vec<f64>,
    /// One device-frame slot by slot, or why there is none.
    pub detail: Result<FrameDetail, String>,
    /// Doubts about the folder, to be shown.
    pub doubts: Vec<String>,
}

impl Run {
    /// Whether `folder` looks like the output of a run.
    pub fn is_at(folder: &Path) -> bool {
        [SCENARIO_FILE, SUMMARY_FILE, RUN_FILE, FRAMES_FILE]
            .iter()
            .any(|file| folder.join(file).is_file())
    }

    /// Read the run in `folder`.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others.
    pub fn open(folder: &Path, shown: &Shown) -> Result<Self, ReportError> {
        let file = |name: &str| {
            let path = folder.join(name);
            if path.is_file() {
                return Ok(path);
            }
            Err(ReportError::Missing {
                folder: folder.display().to_string(),
                file: name.into(),
            })
        };
        let info: RunInfo = json(&file(RUN_FILE)?)?;
        let scenario_file = file(SCENARIO_FILE)?;
        let scenario = load(&scenario_file, &[]).map_err(|source| ReportError::Scenario {
            made_by: info.enachi_version.clone(),
            source: Box::new(source),
        })?;
        let scenario_text = text(&scenario_file)?;
        let summary: Summary = json(&file(SUMMARY_FILE)?)?;
        let frames = file(FRAMES_FILE)?;
        let profile_file = folder.join(PROFILE_FILE);
        let profile = match &scenario.profile.curves {
            Some(curves) => Some(curve_profile(curves)),
            None if profile_file.is_file() => Some(enachi_data::profile::read(&profile_file)?),
            None => None,
        };
        let extent = extent(&scenario, &summary, shown)?;
        let tally = tally(&frames, &extent)?;
        if tally.rows == 0 {
            return Err(ReportError::Empty {
                file: frames.display().to_string(),
            });
        }
        let (seeds, replicates) = (extent.seeds as usize, scenario.output.bootstrap_replicates);
        let design = match tally.images {
            true => Design::Crossed,
            false => Design::Nested,
        };
        let (policies, first) = (&tally.policies, scenario.seed);
        let estimate = |cells: fn(&tally::PolicyTally) -> &[tally::Cell]| {
            estimates(policies, cells, design, seeds, first, replicates)
        };
        let all = estimate(|t| &t.cells);
        let settled = estimate(|t| &t.settled_cells);
        let doubts = doubts(&summary, &tally, &info);
        let budgets_j = scenario
            .devices
            .iter()
            .flat_map(|group| {
                let budget = group.resolved(&scenario.device).energy_budget_j;
                std::iter::repeat_n(budget, group.count as usize)
            })
            .collect();
        let detail = match lane(&tally.lanes, shown.device, extent.devices)? {
            Some(lane) => replay(&scenario, profile.as_ref(), &extent, lane),
            None => Err("the records hold no row of this frame".into()),
        };
        Ok(Self {
            folder: folder.into(),
            scenario,
            scenario_text,
            info,
            profile,
            extent,
            tally,
            all,
            settled,
            oracle: summary.policies.iter().map(|p| p.oracle).collect(),
            budgets_j,
            detail,
            doubts,
        })
    }

    /// Mean allowance Ē \[J\].
    pub fn budget_j(&self) -> f64 {
        self.budgets_j.iter().sum::<f64>() / self.budgets_j.len().max(1) as f64
    }

    /// Label of policy `index`.
    pub fn policy(&self, index: usize) -> &str {
        &self.extent.policies[index]
    }
}

pub(crate) fn text(path: &Path) -> Result<String, ReportError> {
    std::fs::read_to_string(path).map_err(|source| ReportError::Io {
        file: path.display().to_string(),
        source,
    })
}

pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    serde_json::from_str(&text(path)?).map_err(|source| ReportError::Json {
        file: path.display().to_string(),
        source,
    })
}

fn extent(scenario: &Scenario, summary: &Summary, shown: &Shown) -> Result<Extent, ReportError> {
    let policies: Vec<String> = summary.policies.iter().map(|p| p.policy.clone()).collect();
    let choice = |key: &'static str, value: String, allowed: String| ReportError::Choice {
        key,
        value,
        allowed,
    };
    let policy = match &shown.policy {
        None => 0,
        Some(name) => policies
            .iter()
            .position(|p| p == name)
            .ok_or_else(|| choice("policy", name.clone(), policies.join(", ")))?,
    };
    let seed = shown.seed.unwrap_or(scenario.seed);
    if !scenario.seed_range().any(|s| s == seed) {
        let last = scenario
            .seed
            .wrapping_add(u64::from(scenario.seeds.saturating_sub(1)));
        let allowed = format!("{}..={last}", scenario.seed);
        return Err(choice("seed", seed.to_string(), allowed));
    }
    let last = scenario.frames.saturating_sub(1);
    let frame = shown.frame.unwrap_or(scenario.warmup_frames.min(last));
    if frame > last {
        return Err(choice("frame", frame.to_string(), format!("0..={last}")));
    }
    Ok(Extent {
        policies,
        first_seed: scenario.seed,
        seeds: scenario.seeds,
        frames: scenario.frames,
        warmup_frames: scenario.warmup_frames,
        devices: scenario.device_count() as u32,
        length_s: scenario.frame.length_s,
        shown: (policy, seed, frame),
    })
}

/// The device that is shown: the one asked for, or the one that sent longest.
fn lane(lanes: &[Lane], asked: Option<u32>, devices: u32) -> Result<Option<&Lane>, ReportError> {
    match asked {
        Some(device) if device >= devices => Err(ReportError::Choice {
            key: "device",
            value: device.to_string(),
            allowed: format!("0..={}", devices.saturating_sub(1)),
        }),
        Some(device) => Ok(lanes.iter().find(|lane| lane.device == device)),
        // The first of those that are equal.
        None => Ok(lanes.iter().rev().max_by_key(|lane| lane.slots)),
    }
}

/// What a reader should know before believing the page.
fn doubts(summary: &Summary, tally: &Tally, info: &RunInfo) -> Vec<String> {
    let mut doubts = Vec::new();
    if info.interrupted {
        doubts.push(
            "the run was interrupted: policies and seeds have different numbers of frames".into(),
        );
    }
    if info.enachi_version != env!("CARGO_PKG_VERSION") {
        doubts.push(format!(
            "the run was made by version {}, this page by version {}",
            info.enachi_version,
            env!("CARGO_PKG_VERSION")
        ));
    }
    for (summary, tally) in summary.policies.iter().zip(&tally.policies) {
        let rows = tally.all.frames;
        let same = summary.device_frames as f64 == rows
            && (summary.accuracy - tally.all.accuracy()).abs() < 1e-9;
        if !same {
            doubts.push(format!(
                "{SUMMARY_FILE} says {:.4} over {} device-frames of {}, {FRAMES_FILE} says {:.4} over {rows}; this page shows \
                 the latter",
                summary.accuracy,
                summary.device_frames,
                summary.policy,
                tally.all.accuracy(),
            ));
        }
    }
    doubts
}
