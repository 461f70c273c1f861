//! Energy queues on disk, so that they survive the edge: one small file, replaced as a whole.

use enachi_proto::message::Account;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// First line of the file.
const HEADER: &str = "enachi energy queues 1";
/// Largest file that is read \[byte\].
const MOST_BYTES: u64 = 16 << 20;

/// A ledger that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct LedgerError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Accounts by device name, kept in a file.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    accounts: BTreeMap<String, Account>,
    dirty: bool,
}

impl Ledger {
    /// Read the file; one that is not there yet is an empty ledger.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let fail = |reason: String| LedgerError {
            path: path.to_owned(),
            reason,
        };
        let mut accounts = BTreeMap::new();
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error.to_string())),
            Ok(found) if found.len() > MOST_BYTES => {
                return Err(fail("is larger than 16 MiB".into()));
            }
            Ok(_) => {
                let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
                let mut lines = text.lines();
                if lines.next() != Some(HEADER) {
                    return Err(fail(format!("must begin with `{HEADER}`")));
                }
                for (number, line) in lines.enumerate() {
                    let entry = parse(line).ok_or_else(|| {
                        fail(format!(
                            "line {}: must be `queue_j spent_j frames name`",
                            number + 2
                        ))
                    })?;
                    accounts.insert(entry.0, entry.1);
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            accounts,
            dirty: false,
        })
    }

    /// Like [`Ledger::open`], and write the file at once: one that cannot be written is noticed before it is needed.
    pub fn open_to_write(path: &Path) -> Result<Self, LedgerError> {
        let mut ledger = Self::open(path)?;
        ledger.dirty = true;
        ledger.save(true)?;
        Ok(ledger)
    }

    /// All accounts.
    pub fn accounts(&self) -> &BTreeMap<String, Account> {
        &self.accounts
    }

    /// Enter an account.
    pub fn set(&mut self, name: &str, account: Account) {
        self.accounts.insert(name.to_owned(), account);
        self.dirty = true;
    }

    /// Write what has changed: a new file takes the place of the old one, so a crash leaves one of the two. `sync` also waits for
    /// the disk.
    pub fn save(&mut self, sync: bool) -> Result<(), LedgerError> {
        if !self.dirty {
            return Ok(());
        }
        let mut text = format!("{HEADER}\n");
        for (name, account) in &self.accounts {
            // The shortest form that reads back as the same number.
            let Account {
                queue_j,
                spent_j,
                frames,
            } = account;
            let _ = writeln!(text, "{queue_j:?} {spent_j:?} {frames} {name}");
        }
        let part = self.path.with_extension("part");
        let written = std::fs::write(&part, text).and_then(|()| {
            if sync {
                std::fs::File::open(&part)?.sync_all()?;
            }
            std::fs::rename(&part, &self.path)
        });
        written.map_err(|e| LedgerError {
            path: self.path.clone(),
            reason: e.to_string(),
        })?;
        self.dirty = false;
        Ok(())
    }
}

fn parse(line: &str) -> Option<(String, Account)> {
    let mut words = line.splitn(4, ' ');
    let number = |word: Option<&str>| {
        let value: f64 = word?.parse().ok()?;
        (value.is_finite() && value >= 0.0).then_some(value)
    };
    let (queue_j, spent_j) = (number(words.next())?, number(words.next())?);
    let frames = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| !name.is_empty())?;
    let account = Account {
        queue_j,
        spent_j,
        frames,
    };
    Some((name.to_owned(), account))
}
