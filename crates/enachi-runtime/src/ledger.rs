//! Energy queues on disk, so that they survive the edge: one small file, replaced as a whole.

mod keeper;

pub use keeper::Keeper;

use enachi_proto::message::Account;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tracing::warn;

/// First line of the file.
const HEADER: &str = "enachi energy queues 2";
/// How often the disk is waited for.
const SYNC: Duration = Duration::from_secs(5);
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
    /// Whether the file is behind.
    dirty: bool,
    /// Whether the copy that was seen on the disk is behind.
    unsynced: bool,
    /// Locked as long as this ledger may write.
    lock: Option<File>,
}

impl Ledger {
    /// Read the file; one that is not there is an empty ledger. Where it is damaged, the last one that was seen to be on the disk
    /// takes its place.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let accounts = match read(path) {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => match read(&beside(path, SYNCED)) {
                Ok(Some(accounts)) => {
                    warn!(
                        %error,
                        copy = %beside(path, SYNCED).display(),
                        "the energy queues cannot be read: going on from the last copy that was seen on the disk"
                    );
                    accounts
                }
                Ok(None) | Err(_) => return Err(error),
            },
        };
        Ok(Self {
            path: path.to_owned(),
            accounts,
            dirty: false,
            unsynced: false,
            lock: None,
        })
    }

    /// Like [`Ledger::open`], and write the file at once: one that cannot be written is noticed before it is needed. No other process
    /// can open it so until this ledger is dropped: two would write over each other's accounts.
    pub fn open_to_write(path: &Path) -> Result<Self, LedgerError> {
        let lock = lock(path)?;
        let mut ledger = Self::open(path)?;
        ledger.lock = Some(lock);
        ledger.dirty = true;
        ledger.unsynced = true;
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
        self.unsynced = true;
    }

    /// Write what has changed: a new file takes the place of the old one, so a crash of the program leaves one of the two.
    /// `sync` also waits for the disk, and keeps a copy that is safe there should the power fail behind a later call.
    pub fn save(&mut self, sync: bool) -> Result<(), LedgerError> {
        if !(self.dirty || sync && self.unsynced) {
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
        text.push_str(&checksum(&text));
        let replace = |path: &Path| {
            let part = beside(path, "part");
            let mut file = File::create(&part)?;
            file.write_all(text.as_bytes())?;
            if sync {
                file.sync_all()?;
            }
            std::fs::rename(&part, path)
        };
        let written = replace(&self.path).and_then(|()| match sync {
            true => replace(&beside(&self.path, SYNCED)),
            false => Ok(()),
        });
        written.map_err(|e| LedgerError {
            path: self.path.clone(),
            reason: e.to_string(),
        })?;
        self.dirty = false;
        self.unsynced &= !sync;
        Ok(())
    }
}

/// Ending of the copy that was seen to be on the disk.
const SYNCED: &str = "synced";

/// A file that goes with the ledger at `path`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(ending)
}

/// Lock the ledger at `path`: by a file beside it, as itself is replaced with every write. The file stays, since one that is removed may be
/// another's by then.
fn lock(path: &Path) -> Result<File, LedgerError> {
    let fail = |reason: String| LedgerError {
        path: path.to_owned(),
        reason,
    };
    let file = File::create(beside(path, "lock")).map_err(|e| fail(e.to_string()))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(fail("is in use by another program".into())),
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Last line of a file whose other lines are `text`.
fn checksum(text: &str) -> String {
    format!("sha256 {:x}\n", Sha256::digest(text))
}

/// Accounts in a file; `None` if there is no file.
fn read(path: &Path) -> Result<Option<BTreeMap<String, Account>>, LedgerError> {
    let fail = |reason: String| LedgerError {
        path: path.to_owned(),
        reason,
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error.to_string())),
        Ok(found) if found.len() > MOST_BYTES => {
            return Err(fail("is larger than 16 MiB".into()));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    if !text.starts_with(HEADER) {
        return Err(fail(format!("must begin with `{HEADER}`")));
    }
    let end = text
        .trim_end_matches('\n')
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let (lines, last) = text.split_at(end);
    if last != checksum(lines) {
        return Err(fail(
            "is damaged: its last line is not the sum of the others".into(),
        ));
    }
    let mut accounts = BTreeMap::new();
    for (number, line) in lines.lines().enumerate().skip(1) {
        let entry = parse(line).ok_or_else(|| {
            let number = number + 1;
            fail(format!(
                "line {number}: must be `queue_j spent_j frames name`"
            ))
        })?;
        accounts.insert(entry.0, entry.1);
    }
    Ok(Some(accounts))
}

/// The device's own copy of its energy account, where it keeps one.
#[derive(Debug)]
pub struct Book {
    name: String,
    ledger: Option<Ledger>,
    synced: Instant,
}

impl Book {
    /// Open the file of the device `name`, if it has one.
    pub fn open(name: &str, path: Option<&Path>) -> Result<Self, LedgerError> {
        Ok(Self {
            name: name.to_owned(),
            ledger: path.map(Ledger::open_to_write).transpose()?,
            synced: Instant::now(),
        })
    }

    /// What the file holds.
    pub fn account(&self) -> Option<Account> {
        let accounts = self.ledger.as_ref()?.accounts();
        accounts.get(&self.name).copied()
    }

    /// Write the account down; the disk is waited for now and then only.
    pub fn enter(&mut self, account: Account) {
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        ledger.set(&self.name, account);
        let sync = self.synced.elapsed() > SYNC;
        if sync {
            self.synced = Instant::now();
        }
        if let Err(error) = ledger.save(sync) {
            // Answers come first; the edge has a copy.
            warn!(%error, "the energy account is not written");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn account(queue_j: f64) -> Account {
        Account {
            queue_j,
            spent_j: 3.0 * queue_j,
            frames: 7,
        }
    }

    #[test]
    fn accounts_come_back_to_the_last_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queues.txt");
        let mut ledger = Ledger::open(&path).expect("not there yet");
        assert!(ledger.accounts().is_empty());
        for (name, queue_j) in [("a", 0.1 + 0.2), ("b c", 1e-300), ("é", 0.0)] {
            ledger.set(name, account(queue_j));
        }
        ledger.save(false).expect("written");
        let again = Ledger::open(&path).expect("whole");
        assert_eq!(again.accounts(), ledger.accounts());
    }

    #[test]
    fn a_file_has_one_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queues.txt");
        let mut first = Ledger::open_to_write(&path).expect("free");
        first.set("a", account(1.0));
        first.save(false).expect("written");
        let error = Ledger::open_to_write(&path).expect_err("taken");
        assert!(error.to_string().contains("in use"), "{error}");
        // Who only reads may.
        assert_eq!(
            Ledger::open(&path).expect("whole").accounts(),
            first.accounts()
        );
        drop(first);
        let second = Ledger::open_to_write(&path).expect("free again");
        assert_eq!(second.accounts().len(), 1);
    }

    /// However a file is cut or changed, what is read is an earlier state of it or an error, never another account.
    #[test]
    fn a_damaged_file_is_noticed_and_the_copy_on_the_disk_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queues.txt");
        let mut ledger = Ledger::open(&path).expect("not there yet");
        ledger.set("camera-1", account(0.25));
        ledger.save(true).expect("written");
        let old = ledger.accounts().clone();
        ledger.set("camera-1", account(0.5));
        ledger.save(false).expect("written");
        let whole = std::fs::read(&path).expect("there");
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).expect("cut");
            assert_eq!(Ledger::open(&path).expect("the copy").accounts(), &old);
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 7);
            std::fs::write(&path, &changed).expect("changed");
            assert_eq!(Ledger::open(&path).expect("the copy").accounts(), &old);
        }
        std::fs::write(&path, &whole).expect("mended");
        assert_eq!(
            Ledger::open(&path).expect("whole").accounts(),
            ledger.accounts()
        );
        // Who takes the file away begins anew.
        std::fs::remove_file(&path).expect("gone");
        assert!(Ledger::open(&path).expect("empty").accounts().is_empty());
        // Without a copy there is nothing to go on from.
        std::fs::write(&path, &whole[..20]).expect("cut");
        std::fs::remove_file(beside(&path, SYNCED)).expect("gone");
        assert!(Ledger::open(&path).is_err());
    }
}
