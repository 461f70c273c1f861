//! The journal of a shard: one line per finished run, appended as runs finish, so a killed sweep loses only what was running.
//!
//! A line is the first 16 hex digits of the SHA-256 of the rest, a space, and JSON. The first line is the [`Header`]. A last line
//! without its end is what a kill in the middle of writing leaves behind: it is cut off. A line whose checksum is wrong is
//! forgotten, its run is run again.

use crate::oracle::Bounds;
use crate::plan::Shard;
use crate::tally::Tally;
use enachi_data::sweep::{DatasetError, FORMAT, FORMAT_VERSION, bytes_sha256, check_version};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Digits of a line's checksum.
const CHECK_DIGITS: usize = 16;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the software.
    pub enachi_version: String,
    /// The plan it is about.
    pub plan_sha256: String,
    /// Which part of it.
    pub shard: Shard,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Number of the run in its plan.
    pub run: usize,
    /// What came of it, or why nothing did.
    pub outcome: Result<Done, String>,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// A policy.
    Policy(Box<Tally>),
    /// The upper bound.
    Oracle(Bounds),
}

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("{file}: {source}; what is finished is kept: the same command goes on from there")]
    Io {
        /// File.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// Someone else is at it.
    #[error("{file}: another process is working on this shard")]
    Locked {
        /// File.
        file: String,
    },
    /// It is about something else.
    #[error(
        "{file}: of another sweep or other settings; choose another folder, or pass --force to drop what it holds"
    )]
    OtherPlan {
        /// File.
        file: String,
    },
    /// Another version or no journal.
    #[error(transparent)]
    Format(#[from] DatasetError),
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> JournalError + '_ {
    |source| JournalError::Io {
        file: path.display().to_string(),
        source,
    }
}

/// File of a shard in a sweep's folder.
pub fn part_path(folder: &Path, shard: Shard) -> PathBuf {
    let name = format!("part-{:05}-of-{:05}.jsonl", shard.index, shard.count);
    folder.join("parts").join(name)
}

/// Where an entry stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the run.
    pub run: usize,
    /// Whether it failed.
    pub failed: bool,
    /// First byte of its JSON.
    pub offset: u64,
    /// Bytes of its JSON.
    pub length: usize,
}

/// What a journal holds.
#[derive(Clone, Debug)]
pub struct Index {
    /// First line.
    pub header: Header,
    /// Good entries, in the order of the file.
    pub places: Vec<Place>,
    /// Lines whose checksum is wrong, from 1.
    pub damaged: Vec<usize>,
    /// Bytes up to the end of the last whole line.
    pub whole_bytes: u64,
    /// Bytes behind it.
    pub torn_bytes: u64,
}

/// Only what indexing needs of an entry.
#[derive(Deserialize)]
struct Head {
    run: usize,
    outcome: Result<serde::de::IgnoredAny, serde::de::IgnoredAny>,
}

impl Index {
    /// Index `path`. `None` where not even the first line is whole.
    pub fn read(path: &Path) -> Result<Option<Self>, JournalError> {
        let file = File::open(path).map_err(io_error(path))?;
        Self::of(path, BufReader::new(file))
    }

    fn of(path: &Path, mut lines: impl BufRead) -> Result<Option<Self>, JournalError> {
        let mut line = Vec::new();
        let mut index: Option<Self> = None;
        let mut number = 0;
        let mut offset = 0;
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).map_err(io_error(path))? as u64;
            if length == 0 {
                return Ok(index);
            }
            number += 1;
            if line.last() != Some(&b'\n') {
                if let Some(index) = &mut index {
                    index.torn_bytes = length;
                }
                return Ok(index);
            }
            let json = checked(&line);
            match &mut index {
                None => index = Some(Self::begin(path, json)?),
                Some(index) => {
                    match json.and_then(|json| serde_json::from_slice::<Head>(json).ok()) {
                        Some(head) => index.places.push(Place {
                            run: head.run,
                            failed: head.outcome.is_err(),
                            offset: offset + CHECK_DIGITS as u64 + 1,
                            length: line.len() - CHECK_DIGITS - 2,
                        }),
                        None => index.damaged.push(number),
                    }
                }
            }
            offset += length;
            if let Some(index) = &mut index {
                index.whole_bytes = offset;
            }
        }
    }

    fn begin(path: &Path, json: Option<&[u8]>) -> Result<Self, JournalError> {
        let damaged = || DatasetError::Damaged {
            file: path.display().to_string(),
            reason: "its first line is not that of a part; delete it to run the part again".into(),
        };
        let value: serde_json::Value = json
            .and_then(|json| serde_json::from_slice(json).ok())
            .ok_or_else(damaged)?;
        check_version(path, &value)?;
        Ok(Self {
            header: serde_json::from_value(value).map_err(|_| damaged())?,
            places: Vec::new(),
            damaged: Vec::new(),
            whole_bytes: 0,
            torn_bytes: 0,
        })
    }
}

/// The JSON of a line, if its checksum is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (check, json) = (line.get(..CHECK_DIGITS)?, line.get(CHECK_DIGITS + 1..)?);
    let right = bytes_sha256(json).as_bytes()[..CHECK_DIGITS] == *check;
    right.then_some(json)
}

fn line_of(value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string(value).expect("plain data with finite numbers");
    let check = bytes_sha256(json.as_bytes());
    format!("{} {json}\n", &check[..CHECK_DIGITS]).into_bytes()
}

/// Read the entry at `place`.
pub fn read_entry(file: &mut File, path: &Path, place: &Place) -> Result<Entry, JournalError> {
    let mut json = vec![0; place.length];
    file.seek(SeekFrom::Start(place.offset))
        .and_then(|_| file.read_exact(&mut json))
        .map_err(io_error(path))?;
    serde_json::from_slice(&json).map_err(|error| {
        let reason = format!("run {}: {error}", place.run);
        JournalError::Format(DatasetError::Damaged {
            file: path.display().to_string(),
            reason,
        })
    })
}

/// A journal open for appending; no other process can have it open.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Open or start the journal of `shard` in `folder`, `anew` without what it holds. Returns what it holds already.
    pub fn open(
        folder: &Path,
        plan_sha256: &str,
        shard: Shard,
        anew: bool,
    ) -> Result<(Self, Vec<Place>), JournalError> {
        let path = part_path(folder, shard);
        let io = io_error(&path);
        if let Some(parts) = path.parent() {
            std::fs::create_dir_all(parts).map_err(io_error(parts))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(&io)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Locked {
                    file: path.display().to_string(),
                });
            }
            // Some network file systems have no locks; a shard run twice there costs time, not correctness.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let header = Header {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            enachi_version: env!("CARGO_PKG_VERSION").into(),
            plan_sha256: plan_sha256.into(),
            shard,
        };
        if anew {
            file.set_len(0).map_err(&io)?;
        }
        let (kept, places) = match Index::read(&path)? {
            Some(index) if index.header != header => {
                return Err(JournalError::OtherPlan {
                    file: path.display().to_string(),
                });
            }
            Some(index) => (index.whole_bytes, index.places),
            None => (0, Vec::new()),
        };
        let mut journal = Self {
            file,
            path: path.clone(),
        };
        journal.file.set_len(kept).map_err(&io)?;
        journal.file.seek(SeekFrom::End(0)).map_err(&io)?;
        if kept == 0 {
            journal.write(&line_of(&header))?;
        }
        Ok((journal, places))
    }

    /// Append a finished run.
    pub fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.write(&line_of(entry))
    }

    /// One call to the system per line: a process that dies leaves whole lines, and at most one torn one at the end.
    fn write(&mut self, line: &[u8]) -> Result<(), JournalError> {
        self.file.write_all(line).map_err(io_error(&self.path))
    }

    /// Make sure that everything is on the disk.
    pub fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(io_error(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(run: usize) -> Entry {
        Entry {
            run,
            outcome: Err(format!("reason {run}")),
        }
    }

    #[test]
    fn what_a_kill_leaves_is_cut_off_and_the_rest_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut journal, places) =
            Journal::open(folder.path(), "plan", Shard::WHOLE, false).expect("new");
        assert!(places.is_empty());
        (0..3).for_each(|run| journal.append(&entry(run)).expect("appended"));
        drop(journal);
        let path = part_path(folder.path(), Shard::WHOLE);
        let whole = std::fs::read(&path).expect("readable");
        // Wherever the file was cut off, the whole lines before it count and it can go on.
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("written");
            let (mut journal, places) =
                Journal::open(folder.path(), "plan", Shard::WHOLE, false).expect("reopened");
            let lines = whole[..length]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            assert_eq!(places.len(), lines.saturating_sub(1));
            for run in places.len()..3 {
                journal.append(&entry(run)).expect("appended");
            }
            drop(journal);
            assert_eq!(std::fs::read(&path).expect("readable"), whole);
        }
    }

    #[test]
    fn damaged_lines_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut journal, _) =
            Journal::open(folder.path(), "plan", Shard::WHOLE, false).expect("new");
        (0..3).for_each(|run| journal.append(&entry(run)).expect("appended"));
        drop(journal);
        let path = part_path(folder.path(), Shard::WHOLE);
        let text = std::fs::read_to_string(&path).expect("readable");
        std::fs::write(&path, text.replace("reason 1", "reason 7")).expect("written");
        let index = Index::read(&path).expect("readable").expect("has a header");
        assert_eq!(index.damaged, [3]);
        let runs: Vec<usize> = index.places.iter().map(|place| place.run).collect();
        assert_eq!(runs, [0, 2]);
        let mut file = File::open(&path).expect("readable");
        let read = read_entry(&mut file, &path, &index.places[1]).expect("whole");
        assert_eq!(read, entry(2));
    }

    #[test]
    fn one_process_at_a_time_and_one_plan() {
        let folder = tempfile::tempdir().expect("a folder");
        let (journal, _) = Journal::open(folder.path(), "plan", Shard::WHOLE, false).expect("new");
        let second = Journal::open(folder.path(), "plan", Shard::WHOLE, false);
        assert!(matches!(second, Err(JournalError::Locked { .. })));
        drop(journal);
        let other = Journal::open(folder.path(), "other", Shard::WHOLE, false);
        assert!(matches!(other, Err(JournalError::OtherPlan { .. })));
        let path = part_path(folder.path(), Shard::WHOLE);
        std::fs::write(&path, b"something else\nentirely\n").expect("written");
        let foreign =
            Journal::open(folder.path(), "plan", Shard::WHOLE, false).expect_err("no journal");
        assert!(foreign.to_string().contains("delete it"), "{foreign}");
        assert_eq!(
            std::fs::read(&path).expect("readable"),
            b"something else\nentirely\n"
        );
        let old = r#"{"format":"enachi-sweep","format_version":99,"enachi_version":"9.0","plan_sha256":"plan","shard":{"index":0,"count":1}}"#;
        let check = &bytes_sha256(old.as_bytes())[..CHECK_DIGITS];
        std::fs::write(&path, format!("{check} {old}\n")).expect("written");
        let error =
            Journal::open(folder.path(), "plan", Shard::WHOLE, false).expect_err("another version");
        assert!(
            error
                .to_string()
                .contains("version 99, written by enachi 9.0"),
            "{error}"
        );
    }
}
