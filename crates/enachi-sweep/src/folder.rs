//! Who may write in a sweep's folder: any number of shards of one plan side by side, or one process that drops what is there.

use crate::SweepError;
use crate::merge::{TIMING_FILE, read_plan};
use crate::plan::{PLAN_FILE, Plan};
use enachi_data::sweep::{MANIFEST_FILE, TABLES, write_atomically};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

/// Locked by whoever works in the folder. Begins like the plan, as everything that may be in a folder before it.
const LOCK_FILE: &str = "plan.json.lock";

/// How often, and how long apart, to ask for a folder that others work in: shards that all start with force at the same moment.
const TRIES: (u32, Duration) = (40, Duration::from_millis(50));

/// Held while at work.
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    fn open(folder: &Path) -> Result<File, SweepError> {
        let path = folder.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(&path).map_err(|e| SweepError::io(&path, e))
    }

    /// Beside others. Waits for one that drops what is there, which is short.
    pub fn shared(folder: &Path) -> Result<Self, SweepError> {
        let file = Self::open(folder)?;
        // Some network file systems have no locks; there nothing keeps --force from a folder in use.
        let _ = file.lock_shared();
        Ok(Self { _file: file })
    }

    /// Alone; `None` where others are.
    fn alone(folder: &Path) -> Result<Option<Self>, SweepError> {
        let file = Self::open(folder)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Self { _file: file })),
        }
    }
}

/// Make `folder` that of `plan`, and keep others from dropping what it holds as long as the lock lives. With `force` whatever else
/// it holds is dropped, unless somebody works in it.
pub fn claim(folder: &Path, plan: &Plan, force: bool) -> Result<FolderLock, SweepError> {
    std::fs::create_dir_all(folder).map_err(|e| SweepError::io(folder, e))?;
    refuse_foreign(folder)?;
    let mut tries = 0;
    loop {
        let lock = FolderLock::shared(folder)?;
        match write_plan(folder, plan) {
            Ok(()) => return Ok(lock),
            Err(_) if force && folder.join(PLAN_FILE).exists() => drop(lock),
            Err(error) => return Err(error),
        }
        if let Some(_alone) = FolderLock::alone(folder)? {
            clear(folder)?;
            write_atomically(&folder.join(PLAN_FILE), plan.to_json().as_bytes())?;
            continue;
        }
        tries += 1;
        if tries > TRIES.0 {
            return Err(SweepError::InUse {
                folder: folder.display().to_string(),
            });
        }
        std::thread::sleep(TRIES.1);
    }
}

fn other_sweep(folder: &Path) -> SweepError {
    SweepError::OtherSweep {
        folder: folder.display().to_string(),
    }
}

/// Never among files of something else. Shards that start at the same moment see each other's plans, half done.
fn refuse_foreign(folder: &Path) -> Result<(), SweepError> {
    let entries = std::fs::read_dir(folder).map_err(|e| SweepError::io(folder, e))?;
    let foreign = entries.flatten().any(|entry| {
        let name = entry.file_name();
        !name.to_string_lossy().starts_with(PLAN_FILE)
    });
    if foreign && !folder.join(PLAN_FILE).exists() && !folder.join("parts").is_dir() {
        return Err(other_sweep(folder));
    }
    Ok(())
}

/// Write the plan where there is none; an error where there is another.
fn write_plan(folder: &Path, plan: &Plan) -> Result<(), SweepError> {
    let path = folder.join(PLAN_FILE);
    if !path.exists() {
        write_atomically(&path, plan.to_json().as_bytes())?;
        return Ok(());
    }
    match read_plan(folder)? == *plan {
        true => Ok(()),
        false => Err(other_sweep(folder)),
    }
}

/// Remove what a sweep wrote but its plan, the manifest first.
fn clear(folder: &Path) -> Result<(), SweepError> {
    let named = [MANIFEST_FILE, TIMING_FILE].into_iter().chain(TABLES);
    for path in named
        .map(|name| folder.join(name))
        .filter(|path| path.is_file())
    {
        std::fs::remove_file(&path).map_err(|e| SweepError::io(&path, e))?;
    }
    let parts = folder.join("parts");
    if parts.is_dir() {
        std::fs::remove_dir_all(&parts).map_err(|e| SweepError::io(&parts, e))?;
    }
    Ok(())
}
