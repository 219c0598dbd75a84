//! The directory of a journal.
//!
//! ```text
//! DIR/lock    held by the journal that writes
//! DIR/base-N  contents, as a dump
//! DIR/log-N   what happened after base N, or after log N - 1
//! ```
//!
//! When a log is large, the next one begins, and a thread makes a base of what was before it. Files
//! older than the base before the newest one go then.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::chain::Chain;
use super::contents::{Change, Contents};
use super::dump::{Origin, encode_dump};
use super::line::{self, Damage};
use super::log::{Batch, LogHead};
use crate::client::Event;
use crate::core::id::Rev;
use crate::lock;

/// Bytes of log, at least, before a new base is made; a log is never cut before it is as large as its
/// base. The directory holds at most two bases, the logs of both, and one that is being written.
pub const LOG_BYTES_MIN: u64 = 64 << 20;

const LOCK: &str = "lock";
pub(super) const BASE: &str = "base-";
pub(super) const LOG: &str = "log-";
/// What names of files end with that are not whole yet.
const UNFINISHED: &str = ".tmp";
/// What file systems make of themselves in an empty directory.
const NOBODYS: &str = "lost+found";

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system says so.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Another journal writes there.
    #[error("{path} is in use by another journal", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// There is something else in the directory.
    #[error(
        "{path} holds \"{name}\", which is of no journal: give an empty directory, or that of a journal",
        path = path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What is there.
        name: String,
    },
    /// There is no base.
    #[error("{path} holds no journal", path = path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A file is not what was written.
    #[error("{path}, {damage}{remedy}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        damage: Damage,
        /// What can be done.
        remedy: String,
    },
    /// A file that others go on from is not there.
    #[error("{path} is missing: put it back{remedy}", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What else can be done.
        remedy: String,
    },
    /// The journal does not have the revision.
    #[error("the journal does not have revision {at}: {has}")]
    Absent {
        /// The revision.
        at: Rev,
        /// What it has.
        has: String,
    },
}

/// Where a journal goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Which cluster it follows.
    pub origin: Origin,
    /// The last revision that it has.
    pub rev: Rev,
    /// Bytes that a crash has torn, and that were cut off.
    pub torn: u64,
}

/// A journal that this process writes.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    _lock: File,
    log_bytes_min: u64,
    open: Option<Open>,
    compaction: Option<JoinHandle<Result<(), JournalError>>>,
}

/// The log that is written to.
#[derive(Debug)]
struct Open {
    number: u64,
    origin: Origin,
    file: File,
    bytes: u64,
    base_bytes: u64,
    line: u64,
    rev: Rev,
}

impl Journal {
    /// Takes a directory, which is made if it is not there, and tells where the journal in it goes on.
    /// What a crash has torn at its end is cut off.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub fn open(
        path: &Path,
        log_bytes_min: u64,
    ) -> Result<(Journal, Option<Outlook>), JournalError> {
        fs::create_dir_all(path).map_err(at(path))?;
        let file = path.join(LOCK);
        let lock = lock::take(&file).map_err(at(&file))?;
        let lock = lock.ok_or_else(|| JournalError::Locked {
            path: path.to_owned(),
        })?;
        let mut journal = Journal {
            path: path.to_owned(),
            _lock: lock,
            log_bytes_min,
            open: None,
            compaction: None,
        };
        for name in names(path)? {
            let is_ours = number(&name, BASE).or(number(&name, LOG)).is_some();
            if name.ends_with(UNFINISHED) {
                let file = path.join(&name);
                fs::remove_file(&file).map_err(at(&file))?;
            } else if !is_ours && name != LOCK && name != NOBODYS {
                let path = path.to_owned();
                return Err(JournalError::NotOurs { path, name });
            }
        }
        let chain = match Chain::read(path, None, None) {
            Err(JournalError::Empty { .. }) => {
                remove(path, LOG, ..)?;
                return Ok((journal, None));
            }
            chain => chain?,
        };
        // The log of a base that was not finished: nothing is in it.
        remove(path, LOG, chain.log + 1..)?;
        let outlook = Outlook {
            origin: chain.origin.clone(),
            rev: chain.contents.rev,
            torn: chain.torn,
        };
        journal.open = Some(journal.resume(&chain)?);
        if chain.log > chain.base {
            journal.compact(chain.log);
        }
        Ok((journal, Some(outlook)))
    }

    /// Begins with new contents, of this or of another cluster. What was there before stays until the
    /// next base.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the journal must not be used any more.
    pub fn begin(
        &mut self,
        origin: &Origin,
        contents: &Contents,
        time: u64,
    ) -> Result<(), JournalError> {
        self.settle()?;
        let number = self.open.take().map_or(1, |open| open.number + 1);
        // The log first: a base without one would be a journal that has nothing to go on with.
        let file = self.create_log(number, origin, contents.rev)?;
        let bytes = encode_dump(origin, contents, time);
        write_whole(&self.path.join(name(BASE, number)), &bytes)?;
        self.open = Some(Open {
            number,
            origin: origin.clone(),
            bytes: 0,
            base_bytes: bytes.len() as u64,
            line: 2,
            rev: contents.rev,
            file,
        });
        tidy(&self.path)
    }

    /// Appends changes, which follow on those before, and makes them durable.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the journal must not be used any more.
    pub fn append(&mut self, events: &[Event], time: u64) -> Result<(), JournalError> {
        let open = self.open.as_mut().expect("it has begun");
        let Some(last) = events.last() else {
            return Ok(());
        };
        assert_eq!(events[0].rev, open.rev.next(), "no revision is left out");
        let batch = Batch {
            time,
            changes: events.iter().map(Change::from).collect(),
        };
        let mut bytes = Vec::new();
        line::put(&mut bytes, open.line, &batch);
        let written = open
            .file
            .write_all(&bytes)
            .and_then(|()| open.file.sync_data());
        written.map_err(at(&self.path.join(name(LOG, open.number))))?;
        open.line += 1;
        open.bytes += bytes.len() as u64;
        open.rev = last.rev;
        if self
            .compaction
            .as_ref()
            .is_some_and(JoinHandle::is_finished)
        {
            self.settle()?;
        }
        self.rotate_if_due()
    }

    /// Waits until a base that is being made is there.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the journal must not be used any more.
    pub fn settle(&mut self) -> Result<(), JournalError> {
        let Some(compaction) = self.compaction.take() else {
            return Ok(());
        };
        match compaction.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn rotate_if_due(&mut self) -> Result<(), JournalError> {
        let open = self.open.as_ref().expect("it has begun");
        let is_due = open.bytes >= self.log_bytes_min.max(open.base_bytes);
        if !is_due || self.compaction.is_some() {
            return Ok(());
        }
        let number = open.number + 1;
        let file = self.create_log(number, &open.origin, open.rev)?;
        let open = self.open.as_mut().expect("it has begun");
        open.number = number;
        open.file = file;
        open.bytes = 0;
        open.line = 2;
        self.compact(number);
        Ok(())
    }

    /// Makes the base that the log of this number goes on from.
    fn compact(&mut self, number: u64) {
        let path = self.path.clone();
        self.compaction = Some(std::thread::spawn(move || {
            let chain = Chain::read(&path, None, Some(number - 1))?;
            let time = chain.time.unwrap_or_default() / 1000;
            let bytes = encode_dump(&chain.origin, &chain.contents, time);
            write_whole(&path.join(name(BASE, number)), &bytes)?;
            tidy(&path)
        }));
    }

    fn create_log(&self, number: u64, origin: &Origin, after: Rev) -> Result<File, JournalError> {
        let path = self.path.join(name(LOG, number));
        let mut bytes = Vec::new();
        line::put(&mut bytes, 1, &LogHead::new(origin, after));
        write_whole(&path, &bytes)?;
        File::options().append(true).open(&path).map_err(at(&path))
    }

    /// Cuts off what was torn, and goes on behind it.
    fn resume(&self, chain: &Chain) -> Result<Open, JournalError> {
        let path = self.path.join(name(LOG, chain.log));
        let resume = || {
            let file = File::options().append(true).open(&path)?;
            if chain.torn > 0 {
                file.set_len(chain.log_end)?;
                file.sync_all()?;
            }
            Ok(file)
        };
        let base = self.path.join(name(BASE, chain.base));
        Ok(Open {
            number: chain.log,
            origin: chain.origin.clone(),
            file: resume().map_err(at(&path))?,
            bytes: chain.log_end,
            base_bytes: fs::metadata(&base).map_err(at(&base))?.len(),
            line: chain.line,
            rev: chain.contents.rev,
        })
    }
}

/// Deletes what is older than the base before the newest one.
fn tidy(path: &Path) -> Result<(), JournalError> {
    let bases = numbers(path, BASE)?;
    let Some(oldest) = bases.iter().rev().nth(1).copied() else {
        return Ok(());
    };
    remove(path, BASE, ..oldest)?;
    remove(path, LOG, ..oldest)
}

/// Deletes the files of a kind whose numbers are in a range, for good.
fn remove(path: &Path, kind: &str, which: impl RangeBounds<u64>) -> Result<(), JournalError> {
    for number in numbers(path, kind)?.range(which) {
        let file = path.join(name(kind, *number));
        fs::remove_file(&file).map_err(at(&file))?;
    }
    sync_dir(path).map_err(at(path))
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file that gets its name when it is whole and durable. It takes the place of none.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    if fs::exists(path).map_err(at(path))? {
        let error = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it is there already, and stays",
        );
        return Err(at(path)(error));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_dir(path.parent().expect("it is in a directory"))
    };
    write().map_err(at(path))
}

/// The name of the file of a kind and a number.
pub(super) fn name(kind: &str, number: u64) -> String {
    format!("{kind}{number}")
}

fn number(name: &str, kind: &str) -> Option<u64> {
    let digits = name.strip_prefix(kind)?;
    let number = digits.parse().ok()?;
    (format!("{number}") == digits).then_some(number)
}

fn names(path: &Path) -> Result<Vec<String>, JournalError> {
    let read = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    read().map_err(at(path))
}

/// The numbers of the files of a kind.
pub(super) fn numbers(path: &Path, kind: &str) -> Result<BTreeSet<u64>, JournalError> {
    let names = names(path)?;
    Ok(names.iter().filter_map(|name| number(name, kind)).collect())
}

/// What the system says of a file.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io {
        path: path.clone(),
        source,
    }
}
