//! `sweep.json`: what was run, and what belongs to the dataset.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What [`Manifest::format`] says.
pub const FORMAT: &str = "enachi-sweep";
/// Version of the dataset that this software writes and reads.
pub const FORMAT_VERSION: u32 = 3;

/// The whole of `sweep.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the software that ran the sweep.
    pub enachi_version: String,
    /// Name of the sweep file.
    pub name: String,
    /// Whether the file's `[quick]` settings were used.
    pub quick: bool,
    /// Hash of all that decides about the results.
    pub plan_sha256: String,
    /// Points.
    pub points: u64,
    /// Runs: point × policy × seed.
    pub runs: u64,
    /// Runs that failed.
    pub failed_runs: u64,
    /// The sweeps of the file, in order.
    pub sweeps: Vec<SweepInfo>,
    /// Profiles used.
    pub profiles: Vec<ProfileInfo>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// The Parquet files.
    pub files: BTreeMap<String, FileInfo>,
}

/// One `[[sweep]]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepInfo {
    /// Name.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// Policies, in order.
    pub policies: Vec<String>,
    /// Number of its first point.
    pub first_point: u64,
    /// Points.
    pub points: u64,
    /// Axes; points are their product, the last axis fastest.
    pub axes: Vec<AxisInfo>,
    /// The scenario with every default written out, before the axes set anything.
    pub scenario: String,
}

/// One axis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AxisInfo {
    /// Name, without spaces.
    pub name: String,
    /// Label for people, without unit.
    pub label: String,
    /// Unit of the first key's values; empty if none.
    pub unit: String,
    /// `linear` or `log`: how to draw it.
    pub scale: String,
    /// Scenario keys that it sets; several on a zipped axis.
    pub keys: Vec<String>,
    /// One entry per value, each with one value per key.
    pub values: Vec<Vec<serde_json::Value>>,
}

impl AxisInfo {
    /// Unit of the values of key number `index`; empty if none.
    pub fn unit_of(&self, index: usize) -> String {
        match self.keys.get(index) {
            Some(key) if index > 0 => split_unit(key).1,
            _ => self.unit.clone(),
        }
    }
}

/// Name and unit of a scenario key: `channel.bandwidth_hz` is `bandwidth` in Hz.
pub fn split_unit(key: &str) -> (String, String) {
    let parts: Vec<&str> = key.split('.').collect();
    let last = parts.last().copied().unwrap_or_default();
    const UNITS: [(&str, &str); 9] = [
        ("_hz", "Hz"),
        ("_s", "s"),
        ("_j", "J"),
        ("_w", "W"),
        ("_w2", "W²"),
        ("_db", "dB"),
        ("_m", "m"),
        ("_nats", "nat"),
        ("_slots", "slots"),
    ];
    for (ending, unit) in UNITS {
        if let Some(stem) = last.strip_suffix(ending) {
            return (stem.into(), unit.into());
        }
    }
    (last.into(), String::new())
}

/// A profile that was used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileInfo {
    /// Name of the network.
    pub model: String,
    /// Hash of the file, or of the curves.
    pub sha256: String,
    /// Whether it consists of given curves alone.
    pub curve_only: bool,
    /// What was measured.
    pub data_source: String,
    /// Terms.
    pub licence_note: String,
}

/// Something that did not run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the sweep.
    pub sweep: String,
    /// Number of the point.
    pub point: u64,
    /// Policy.
    pub policy: String,
    /// Seed; `None`: every seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Why.
    pub error: String,
}

/// A file of the dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Hash of its bytes.
    pub sha256: String,
    /// Rows.
    pub rows: u64,
}
