//! The work folder of a profiling job: what is finished survives a stop.
//!
//! `job.json` says what the work belongs to, `calibration.safetensors` and `calibration.json` hold the first phase,
//! `pictures.json` the ladders of cut 0, and `rows.jsonl` gains one line per measured image. A line that was cut off is
//! measured again.

use super::measure::KNOWN;
use super::pictures::Ladder;
use super::streams::StreamPlan;
use super::{Calibration, CutCalibration, Job, RawStatistics};
use crate::codec::file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds another job's work.
    #[error(
        "{path} holds unfinished work with other settings ({differs}); finish it with the settings it was begun with, or remove the folder"
    )]
    OtherJob {
        /// The work folder.
        path: PathBuf,
        /// First thing that differs.
        differs: String,
    },
    /// A file of the folder is damaged.
    #[error("{path} is damaged ({reason}); remove the folder to begin again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a stream gave at one checkpoint: bits, top-1 class, entropy \[nat\].
pub type Outcome = (u32, u16, f32);

/// Everything measured on one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Index in the list of measured images.
    pub image: usize,
    /// The whole network's answer.
    pub top1: u16,
    /// Outcomes per stream of the plan and checkpoint after "nothing sent"; `None` where the stream is not measured on
    /// this image.
    pub streams: Vec<Option<Vec<Outcome>>>,
    /// Per stream, what a predictor may know at each checkpoint, "nothing sent" included:
    /// [`super::measure::KNOWN`] numbers each. Empty for streams without a predictor.
    pub known: Vec<Vec<f32>>,
}

/// The work folder.
pub struct Journal {
    folder: PathBuf,
    rows: BTreeMap<usize, Row>,
    log: File,
}

impl Journal {
    /// Open the work folder of a job, or begin it.
    pub fn open(job: &Job) -> Result<Self, JournalError> {
        let folder = job.work_folder.clone();
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let identity = identity(job);
        let path = folder.join("job.json");
        match fs::read_to_string(&path) {
            Ok(found) => {
                if let Some(differs) = difference(&found, &identity) {
                    return Err(JournalError::OtherJob {
                        path: folder,
                        differs,
                    });
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                replace(&path, identity.as_bytes())?
            }
            Err(e) => return Err(at(&path)(e)),
        }
        let path = folder.join("rows.jsonl");
        let text = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(at(&path)(e)),
        };
        let mut rows = BTreeMap::new();
        for line in text.split(|&b| b == b'\n') {
            // A line that was cut off is no row; its image is measured again.
            if let Ok(row) = serde_json::from_slice::<Row>(line)
                && row.image < job.measured.len()
            {
                rows.insert(row.image, row);
            }
        }
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(at(&path))?;
        if text.last().is_some_and(|&b| b != b'\n') {
            // Close a line that was cut off, so that the next one starts clean.
            log.write_all(b"\n").map_err(at(&path))?;
        }
        Ok(Self { folder, rows, log })
    }

    /// The calibration, if it was finished.
    pub fn calibration(&self, job: &Job) -> Result<Option<Calibration>, JournalError> {
        let path = self.folder.join("calibration.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(at(&path)(e)),
        };
        let damaged = |path: &Path, reason: String| JournalError::Damaged {
            path: path.to_owned(),
            reason,
        };
        type Rest = (Vec<f32>, Vec<RawStatistics>, Vec<Vec<Vec<f32>>>);
        let (input_mean, raw, class_means): Rest =
            serde_json::from_slice(&text).map_err(|e| damaged(&path, e.to_string()))?;
        let path = self.folder.join("calibration.safetensors");
        let bytes = fs::read(&path).map_err(at(&path))?;
        let (_, tables) = file::from_bytes(&bytes).map_err(|e| damaged(&path, e.to_string()))?;
        if tables.len() != job.cuts.len()
            || raw.len() != job.cuts.len()
            || class_means.len() != job.cuts.len()
        {
            return Err(damaged(&path, "cuts are missing".into()));
        }
        Ok(Some(Calibration {
            input_mean,
            cuts: tables
                .into_iter()
                .zip(raw)
                .zip(class_means)
                .map(|(((name, tables), raw), class_means)| CutCalibration {
                    name,
                    tables,
                    raw,
                    class_means,
                })
                .collect(),
        }))
    }

    /// Keep a finished calibration.
    pub fn store_calibration(&self, job: &Job, made: &Calibration) -> Result<(), JournalError> {
        let path = self.folder.join("calibration.safetensors");
        let damaged = |reason: String| JournalError::Damaged {
            path: path.clone(),
            reason,
        };
        let bytes = file::to_bytes(job.graph.sha256(), made.tables())
            .map_err(|e| damaged(e.to_string()))?;
        replace(&path, &bytes)?;
        let raw: Vec<&RawStatistics> = made.cuts.iter().map(|cut| &cut.raw).collect();
        let means: Vec<_> = made.cuts.iter().map(|cut| &cut.class_means).collect();
        let text = serde_json::to_vec(&(&made.input_mean, raw, means))
            .map_err(|e| damaged(e.to_string()))?;
        // Written last: its presence says that both are complete.
        replace(&self.folder.join("calibration.json"), &text)
    }

    /// The picture ladders, if they were chosen.
    pub fn pictures(&self) -> Result<Option<Vec<Ladder>>, JournalError> {
        let path = self.folder.join("pictures.json");
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text)
                    .map(Some)
                    .map_err(|e| JournalError::Damaged {
                        path,
                        reason: e.to_string(),
                    })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(at(&path)(e)),
        }
    }

    /// Keep the chosen picture ladders.
    pub fn store_pictures(&self, ladders: &[Ladder]) -> Result<(), JournalError> {
        let path = self.folder.join("pictures.json");
        let text = serde_json::to_vec(ladders).map_err(|e| at(&path)(e.into()))?;
        replace(&path, &text)
    }

    /// Forget rows that do not have the shape of the plan: they are measured again.
    pub fn keep_matching(&mut self, plan: &[StreamPlan]) {
        self.rows.retain(|_, row| {
            row.streams.len() == plan.len()
                && row.known.len() == plan.len()
                && row.known.iter().zip(plan).all(|(known, stream)| {
                    let predicted = stream.has_predictor() && row.image < stream.images;
                    known.len() == usize::from(predicted) * stream.checkpoints.len() * KNOWN
                })
                && row.streams.iter().zip(plan).all(|(outcomes, stream)| {
                    let wanted = (row.image < stream.images).then(|| stream.checkpoints.len() - 1);
                    outcomes.as_ref().map(Vec::len) == wanted
                })
        });
    }

    /// Rows measured so far, by image.
    pub fn rows(&self) -> &BTreeMap<usize, Row> {
        &self.rows
    }

    /// Keep a finished row.
    pub fn append(&mut self, row: Row) -> Result<(), JournalError> {
        let path = self.folder.join("rows.jsonl");
        let mut line = serde_json::to_vec(&row).map_err(|e| at(&path)(e.into()))?;
        line.push(b'\n');
        self.log.write_all(&line).map_err(at(&path))?;
        self.rows.insert(row.image, row);
        Ok(())
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> JournalError + use<> {
    let path = path.to_owned();
    move |source| JournalError::Io {
        path: path.clone(),
        source,
    }
}

/// Write a file so that it is there whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let temporary = path.with_extension("part");
    fs::write(&temporary, bytes).map_err(at(&temporary))?;
    fs::rename(&temporary, path).map_err(at(path))
}

/// Everything that decides the results, as pretty JSON.
fn identity(job: &Job) -> String {
    let names = |items: &[crate::images::Item]| {
        items
            .iter()
            .map(|item| format!("{} {}", item.label, item.name))
            .collect::<Vec<_>>()
    };
    let cuts: Vec<&str> = job.cuts.iter().map(|cut| cut.name.as_str()).collect();
    let value = serde_json::json!({
        "version": format!("enachi {}, streams {}", env!("CARGO_PKG_VERSION"), file::VERSION),
        "model": job.graph.sha256(),
        "engine": job.engine.name(),
        "settings": job.settings,
        "preprocess": format!("{:?}", job.preprocess),
        "cuts": cuts,
        "calibration": names(&job.calibration),
        "measured": names(&job.measured),
    });
    format!("{value:#}")
}

/// Where two identities differ first: settings before the lists that follow from them.
fn difference(found: &str, wanted: &str) -> Option<String> {
    if found == wanted {
        return None;
    }
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let (found, wanted) = (parse(found), parse(wanted));
    let first = |key: &str| {
        let (there, asked) = (&found[key], &wanted[key]);
        if there == asked {
            return None;
        }
        let pair = format!("{there:#}\n{asked:#}");
        let lines: Vec<&str> = pair.lines().collect();
        let (there, asked) = lines.split_at(format!("{there:#}").lines().count());
        there.iter().zip(asked).find(|(t, a)| t != a).map(|(t, a)| {
            let trim = |line: &str| line.trim().trim_end_matches(',').to_string();
            format!("{key}: `{}` there, `{}` asked", trim(t), trim(a))
        })
    };
    let keys = [
        "version",
        "model",
        "engine",
        "settings",
        "preprocess",
        "cuts",
        "calibration",
        "measured",
    ];
    Some(
        keys.into_iter()
            .find_map(first)
            .unwrap_or_else(|| "lists of different length".into()),
    )
}
