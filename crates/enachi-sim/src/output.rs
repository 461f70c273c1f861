//! The output folder of a run: records, summary, and all that is needed to run it again.

use crate::deployment::Deployment;
use crate::scenario::{RecordFormat, Scenario};
use crate::simulate::Records;
use crate::summary::Summary;
use enachi_data::profile::ProfileFileError;
use enachi_data::records::{self as files, Format, RecordsError};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// File with the scenario, every default written out.
pub const SCENARIO_FILE: &str = "scenario.toml";
/// Copy of the profile, unless the scenario holds its curves itself.
pub const PROFILE_FILE: &str = "profile.parquet";
/// File with the summary.
pub const SUMMARY_FILE: &str = "summary.json";
/// File with what made the run.
pub const RUN_FILE: &str = "run.json";

/// What made a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of this software.
    pub enachi_version: String,
    /// Command line.
    pub command_line: String,
    /// Whether it was interrupted; the records then hold the frames that were finished.
    pub interrupted: bool,
}

/// An output folder that cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It is there already.
    #[error(
        "--out {folder}: must be a folder that does not exist yet, or pass --force to replace a run"
    )]
    Exists {
        /// Folder.
        folder: String,
    },
    /// It is there, and is no run.
    #[error(
        "--out {folder}: --force replaces only folders that hold a run; this one has files but no {SCENARIO_FILE}"
    )]
    NotARun {
        /// Folder.
        folder: String,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Records.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Profile.
    #[error(transparent)]
    Profile(#[from] ProfileFileError),
}

/// Copy of the `n`-th profile that groups name themselves.
fn group_profile_file(n: usize) -> String {
    format!("profile.{n}.parquet")
}

/// Names under which a run keeps the trace it replayed.
const TRACE_FILES: [&str; 2] = ["trace.csv", "trace.parquet"];

/// A folder that is ready to be written to.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.display().to_string();
    move |source| OutputError::Io { path, source }
}

/// Files that a run writes; `force` removes them so that nothing of an older run is left among the new.
const FILES: [&str; 13] = [
    SCENARIO_FILE,
    PROFILE_FILE,
    SUMMARY_FILE,
    RUN_FILE,
    "frames.parquet",
    "frames.csv",
    "frames.jsonl",
    "slots.parquet",
    "slots.csv",
    "slots.jsonl",
    "policies.svg",
    "policies.png",
    "report.html",
];

impl RunFolder {
    /// Check that `path` may be used, without touching it.
    pub fn check(path: &Path, force: bool) -> Result<(), OutputError> {
        let folder = || path.display().to_string();
        if !path.exists() {
            return Ok(());
        }
        if !force {
            return Err(OutputError::Exists { folder: folder() });
        }
        let mut entries = std::fs::read_dir(path).map_err(io_error(path))?;
        if entries.next().is_some() && !path.join(SCENARIO_FILE).is_file() {
            return Err(OutputError::NotARun { folder: folder() });
        }
        Ok(())
    }

    /// Make the folder, or with `force` clear the files of the run that it holds.
    pub fn create(path: &Path, force: bool) -> Result<Self, OutputError> {
        Self::check(path, force)?;
        std::fs::create_dir_all(path).map_err(io_error(path))?;
        let profiles = (1..).map(group_profile_file);
        let profiles = profiles.take_while(|name| path.join(name).is_file());
        for name in FILES.map(str::to_owned).into_iter().chain(profiles) {
            let file = path.join(name);
            if file.is_file() {
                std::fs::remove_file(&file).map_err(io_error(&file))?;
            }
        }
        Ok(Self { path: path.into() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Write everything but the figure. Returns the files written.
    pub fn write(
        &self,
        deployment: &Deployment,
        records: &Records,
        summary: &Summary,
        info: &RunInfo,
    ) -> Result<Vec<PathBuf>, OutputError> {
        let mut written = Vec::new();
        let mut scenario = deployment.scenario.clone();
        let mut own = 0;
        for network in &deployment.networks {
            let name = match &network.key {
                None if scenario.profile.curves.is_some() => continue,
                None => PROFILE_FILE.to_owned(),
                Some(_) => {
                    own += 1;
                    group_profile_file(own)
                }
            };
            let file = self.path.join(&name);
            enachi_data::profile::write(&file, &network.profile, true)?;
            written.push(file);
            match &network.key {
                None => scenario.profile.path = Some(name),
                Some(_) => {
                    let before = &deployment.scenario.devices;
                    for (group, before) in scenario.devices.iter_mut().zip(before) {
                        if before.profile == network.key {
                            group.profile = Some(name.clone());
                        }
                    }
                }
            }
        }
        written.extend(self.keep_trace(&mut scenario)?);
        written.push(self.text(SCENARIO_FILE, &scenario.to_toml())?);
        written.push(self.json(RUN_FILE, info)?);
        written.push(self.json(SUMMARY_FILE, summary)?);
        for kind in &scenario.output.records {
            let format = match kind {
                RecordFormat::Parquet => Format::Parquet,
                RecordFormat::Csv => Format::Csv,
                RecordFormat::Json => Format::JsonLines,
            };
            let file = self.path.join(format!("frames.{}", format.extension()));
            files::write_frames(&file, format, &records.names, &records.frames)?;
            written.push(file);
            if scenario.output.slots {
                let file = self.path.join(format!("slots.{}", format.extension()));
                files::write_slots(&file, format, &records.names, &records.slots)?;
                written.push(file);
            }
        }
        Ok(written)
    }

    /// Copy the trace that was replayed, and take away that of an older run.
    fn keep_trace(&self, scenario: &mut Scenario) -> Result<Option<PathBuf>, OutputError> {
        let mut kept = None;
        if let Some(trace) = &mut scenario.channel.trace {
            let from = trace.file();
            let csv = from
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("csv"));
            let name = if csv { TRACE_FILES[0] } else { TRACE_FILES[1] };
            let file = self.path.join(name);
            // A run that is run again replays the copy that it has.
            let same = file.canonicalize().ok() == from.canonicalize().ok();
            if !same {
                std::fs::copy(&from, &file).map_err(io_error(&from))?;
            }
            trace.path = name.into();
            kept = Some(file);
        }
        for name in TRACE_FILES {
            let file = self.path.join(name);
            if kept.as_ref() != Some(&file) && file.is_file() {
                std::fs::remove_file(&file).map_err(io_error(&file))?;
            }
        }
        Ok(kept)
    }

    fn json(&self, name: &str, value: &impl Serialize) -> Result<PathBuf, OutputError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| OutputError::Io {
            path: name.into(),
            source: error.into(),
        })?;
        self.text(name, &(text + "\n"))
    }

    fn text(&self, name: &str, text: &str) -> Result<PathBuf, OutputError> {
        let file = self.path.join(name);
        std::fs::write(&file, text).map_err(io_error(&file))?;
        Ok(file)
    }
}
