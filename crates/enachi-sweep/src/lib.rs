//! Sweeps: a grid of scenario keys × policies × seeds, run on all cores, resumed where it was, merged into one dataset.
//!
//! ```no_run
//! use enachi_sweep::{RunOptions, Sweep, Unwatched};
//! # fn main() -> Result<(), enachi_sweep::SweepError> {
//! let sweep = Sweep::read("sweeps/paper.toml".as_ref())?.quick(true);
//! let outcome = sweep.run("runs/paper-quick".as_ref(), &RunOptions::default(), &Unwatched)?;
//! let manifest = enachi_sweep::merge(&outcome.folder, &[])?;
//! println!("{} of {} runs failed", manifest.failed_runs, manifest.runs);
//! # Ok(())
//! # }
//! ```
//!
//! [`spec`] reads the sweep file; [`plan`] numbers points and runs and splits them into shards; a run is condensed by [`tally`]
//! while it runs and kept in a [`journal`], as is the [`oracle`]; [`merge()`] turns journals into the dataset of `docs/sweep-format.md`. A policy of
//! one's own joins with [`Sweep::with_policy`].

mod curves;
mod folder;
pub mod journal;
mod merge;
pub mod oracle;
pub mod plan;
mod points;
pub mod spec;
mod stats;
pub mod tally;
mod work;

pub use merge::{TIMING_FILE, merge, read_plan};

use crate::journal::{Journal, JournalError};
use crate::plan::{Added, PLAN_FILE, Plan, Shard};
use crate::spec::{SpecError, SweepFile};
use enachi_core::task::TaskPolicy;
use enachi_data::sweep::{DatasetError, file_sha256};
use enachi_sim::policies::PolicyFactory;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A sweep that cannot run or be merged.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The sweep file.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A key, policy or profile that the sweep names.
    #[error("{file}: {problem}")]
    Plan {
        /// Sweep file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The folder is in use for something else.
    #[error(
        "{folder}: holds another sweep, or this one with other settings, from another version or of a program with other policies; choose another --out, or pass --force (in a program `RunOptions::force`) to drop what it holds"
    )]
    OtherSweep {
        /// Folder.
        folder: String,
    },
    /// What it holds cannot be dropped now.
    #[error("{folder}: another process is working in it; nothing was dropped")]
    InUse {
        /// Folder.
        folder: String,
    },
    /// There is nothing to merge.
    #[error(
        "{folder}: holds no sweep: {PLAN_FILE} is missing; start with `enachi sweep run FILE.toml --out {folder}`"
    )]
    NoSweep {
        /// Folder.
        folder: String,
    },
    /// Runs are missing.
    #[error(
        "{folder}: not finished: shard {missing}; run what is missing with `enachi sweep run FILE.toml --shard I/N --out {folder}`, then merge again"
    )]
    Unfinished {
        /// Folder.
        folder: String,
        /// Which.
        missing: String,
    },
    /// A part that does not fit.
    #[error("{file}: {reason}")]
    Part {
        /// File.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The dataset.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The file system refused.
    #[error("{file}: {source}")]
    Io {
        /// File.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

impl SweepError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            file: path.display().to_string(),
            source,
        }
    }
}

/// A policy of one's own.
#[derive(Clone)]
struct Register {
    name: String,
    /// Adds it to a factory.
    with: Arc<dyn Fn(PolicyFactory) -> PolicyFactory + Send + Sync>,
}

/// A sweep file with what the command line changes.
#[derive(Clone)]
pub struct Sweep {
    file: SweepFile,
    /// The file, for errors and for what it names relative to itself.
    path: PathBuf,
    quick: bool,
    overrides: Vec<String>,
    policies: Vec<String>,
    registered: Vec<Register>,
}

impl Sweep {
    /// Read a sweep file.
    pub fn read(path: &Path) -> Result<Self, SweepError> {
        Ok(Self::new(SweepFile::read(path)?, path))
    }

    /// A sweep from text; `path` is what errors call it, and where files that it names are looked for.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SweepError> {
        Ok(Self::new(
            SweepFile::parse(text, &path.display().to_string())?,
            path,
        ))
    }

    fn new(file: SweepFile, path: &Path) -> Self {
        Self {
            file,
            path: path.into(),
            quick: false,
            overrides: Vec::new(),
            policies: Vec::new(),
            registered: Vec::new(),
        }
    }

    /// Use the file's `[quick]` settings.
    pub fn quick(mut self, quick: bool) -> Self {
        self.quick = quick;
        self
    }

    /// Set scenario keys, `key=value`; axes go before them.
    pub fn set(mut self, overrides: &[String]) -> Self {
        self.overrides.extend_from_slice(overrides);
        self
    }

    /// Run these policies in place of the file's; an empty list changes nothing.
    pub fn policies(mut self, policies: &[String]) -> Self {
        self.policies = policies.to_vec();
        self
    }

    /// Let the file name a policy of one's own; it goes before one of the core of the same name. The plan then holds the hash of the
    /// running program: results of another build, whose policy may be another, are refused, or dropped with [`RunOptions::force`].
    pub fn with_policy<P: TaskPolicy + 'static>(
        mut self,
        name: &str,
        make: impl Fn() -> P + Clone + Send + Sync + 'static,
    ) -> Self {
        let own = name.to_owned();
        self.registered.push(Register {
            name: name.to_owned(),
            with: Arc::new(move |factory| factory.with(&own, make.clone())),
        });
        self
    }

    /// What the plan says of policies of one's own.
    fn added(&self) -> Result<Option<Added>, String> {
        if self.registered.is_empty() {
            return Ok(None);
        }
        let policies = self.registered.iter().map(|policy| policy.name.clone());
        Ok(Some(Added {
            policies: policies.collect(),
            program_sha256: program_sha256()?,
        }))
    }

    /// Name of the folder that results go to by default.
    pub fn folder_name(&self) -> String {
        let quick = if self.quick { "-quick" } else { "" };
        format!("{}{quick}", self.file.name)
    }

    /// Number the points without running any.
    pub fn plan(&self) -> Result<Plan, SweepError> {
        Ok(points::Points::of(self)?.plan)
    }

    /// Run what is left of a shard. What was finished before, by whichever process, is kept.
    pub fn run(
        &self,
        folder: &Path,
        options: &RunOptions<'_>,
        monitor: &impl Monitor,
    ) -> Result<Outcome, SweepError> {
        let points = points::Points::of(self)?;
        let plan = &points.plan;
        let _lock = folder::claim(folder, plan, options.force)?;
        let runs = plan.runs();
        let own = runs.of_shard(options.shard);
        let (mut journal, places) =
            Journal::open(folder, &plan.plan_sha256, options.shard, options.force)?;
        // A run that failed gets another chance: what it failed of may be mended.
        let well = places.iter().filter(|place| !place.failed);
        let done: HashSet<usize> = well.map(|place| place.run).collect();
        let mut todo: Vec<usize> = own
            .iter()
            .copied()
            .filter(|run| !done.contains(run))
            .collect();
        // The largest first, so that no core is left with one of them at the end.
        todo.sort_by_key(|run| (std::cmp::Reverse(runs.cost(*run)), *run));
        let cost = |of: &mut dyn Iterator<Item = usize>| of.map(|run| runs.cost(run)).sum::<u64>();
        monitor.started(&Start {
            runs: own.len(),
            left: todo.len(),
            device_frames: cost(&mut own.iter().copied()),
            device_frames_left: cost(&mut todo.iter().copied()),
        });
        let watch = Watch::new(monitor, &runs, &todo);
        work::work(
            &points,
            &runs,
            &todo,
            options.threads.max(1),
            &mut journal,
            options.cancel,
            &watch,
        )?;
        let failed = watch.failed.load(Ordering::Relaxed);
        let finished = watch.finished.load(Ordering::Relaxed);
        Ok(Outcome {
            folder: folder.into(),
            runs: own.len(),
            left: todo.len() - finished,
            failed,
        })
    }
}

/// Hash of the program that runs, read once.
fn program_sha256() -> Result<String, String> {
    static HASH: OnceLock<Result<String, String>> = OnceLock::new();
    let hash = || {
        let fail = |error: &dyn std::fmt::Display| {
            format!(
                "cannot read the running program, whose hash tells states of its policies apart: {error}"
            )
        };
        let path = std::env::current_exe().map_err(|error| fail(&error))?;
        file_sha256(&path).map_err(|error| fail(&error))
    };
    HASH.get_or_init(hash).clone()
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    /// Which part.
    pub shard: Shard,
    /// Threads.
    pub threads: usize,
    /// Once set, what is running is given up and what is finished kept.
    pub cancel: &'a AtomicBool,
    /// Drop what the folder holds: another sweep wholly, of this one the runs of this shard.
    pub force: bool,
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self {
            shard: Shard::WHOLE,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            cancel: &NEVER,
            force: false,
        }
    }
}

/// What came of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Folder.
    pub folder: PathBuf,
    /// Runs of the shard.
    pub runs: usize,
    /// Runs that were not reached.
    pub left: usize,
    /// Runs that failed.
    pub failed: usize,
}

/// What is about to be done.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Runs of the shard.
    pub runs: usize,
    /// Of them, not yet done.
    pub left: usize,
    /// Device-frames of the shard.
    pub device_frames: u64,
    /// Of them, not yet done.
    pub device_frames_left: u64,
}

/// Watches a sweep, from any thread.
pub trait Monitor: Sync {
    /// Before the first run.
    fn started(&self, _start: &Start) {}
    /// A run is done; `point` if it was the point's last.
    fn finished(&self, _device_frames: u64, _failed: bool, _point: bool) {}
}

/// Watches nothing.
pub struct Unwatched;

impl Monitor for Unwatched {}

/// Counts for a [`Monitor`].
struct Watch<'a, M> {
    monitor: &'a M,
    runs: &'a plan::Runs,
    /// Runs left of each point.
    left: std::collections::HashMap<usize, std::sync::atomic::AtomicUsize>,
    finished: std::sync::atomic::AtomicUsize,
    failed: std::sync::atomic::AtomicUsize,
}

impl<'a, M: Monitor> Watch<'a, M> {
    fn new(monitor: &'a M, runs: &'a plan::Runs, todo: &[usize]) -> Self {
        let mut left: std::collections::HashMap<usize, std::sync::atomic::AtomicUsize> =
            Default::default();
        for run in todo {
            *left.entry(runs.get(*run).point).or_default().get_mut() += 1;
        }
        Self {
            monitor,
            runs,
            left,
            finished: Default::default(),
            failed: Default::default(),
        }
    }

    fn run_finished(&self, run: usize, failed: bool) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.failed
            .fetch_add(usize::from(failed), Ordering::Relaxed);
        let left = self.left.get(&self.runs.get(run).point);
        let last = left.is_some_and(|left| left.fetch_sub(1, Ordering::Relaxed) == 1);
        self.monitor.finished(self.runs.cost(run), failed, last);
    }
}
