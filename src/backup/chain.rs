//! What the files of a journal say: a base, and the logs that go on from it.
//!
//! A base has a log of the same number, and each log goes on where the one before it ends. One that does
//! not has a base of its own, or nothing is in it: it was made for a base that a crash has prevented.
//! Anything else is refused, as a file must be missing.

use std::fs;
use std::path::Path;

use super::contents::Contents;
use super::directory::{BASE, JournalError, LOG, at, name, numbers};
use super::dump::{Origin, read_dump};
use super::line::Damage;
use super::log::{Log, read_log};
use crate::core::id::Rev;

/// What to do about a damaged base, where the logs of its predecessor lead to it.
const OLDER_BASE: &str = "; move this file away: the base before it, with its logs, says the same";

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where it comes from.
    pub origin: Origin,
    /// What was there.
    pub contents: Contents,
    /// When the last change was written, in milliseconds since 1970; `None` if there is none behind
    /// the base.
    pub time: Option<u64>,
    /// Bytes at the end that a crash has torn, and which are left out.
    pub torn: u64,
}

/// Reads the journal in a directory, up to a revision or to its end. It may be written to meanwhile.
///
/// # Errors
///
/// [`JournalError`].
pub fn read_journal(path: &Path, rev: Option<Rev>) -> Result<Reading, JournalError> {
    let chain = Chain::read(path, rev, None)?;
    Ok(Reading {
        origin: chain.origin,
        contents: chain.contents,
        time: chain.time,
        torn: chain.torn,
    })
}

/// A base and the logs that go on from it.
pub(super) struct Chain {
    pub(super) origin: Origin,
    pub(super) contents: Contents,
    pub(super) time: Option<u64>,
    /// The numbers of the base and of the last log.
    pub(super) base: u64,
    pub(super) log: u64,
    /// Where that log ends, what is torn behind it, and its next line.
    pub(super) log_end: u64,
    pub(super) torn: u64,
    pub(super) line: u64,
}

impl Chain {
    /// Reads a base and its logs, as far as they go up to a revision and a number.
    pub(super) fn read(
        path: &Path,
        upto: Option<Rev>,
        last_log: Option<u64>,
    ) -> Result<Chain, JournalError> {
        let bases = numbers(path, BASE)?;
        let mut first = None;
        for number in bases.range(..=last_log.unwrap_or(u64::MAX)).rev() {
            let mut chain = Chain::of_base(path, *number)?;
            let rev = chain.contents.rev;
            first = Some(rev);
            if upto.is_none_or(|upto| rev <= upto) {
                chain.take_logs(path, upto, last_log)?;
                return Ok(chain);
            }
        }
        match first.zip(upto) {
            None => Err(without_base(path)?),
            Some((first, at)) => Err(JournalError::Absent {
                at,
                has: format!("it begins at revision {first}"),
            }),
        }
    }

    /// The base of a number, without its log.
    fn of_base(path: &Path, number: u64) -> Result<Chain, JournalError> {
        let file = path.join(name(BASE, number));
        let bytes = fs::read(&file).map_err(at(&file))?;
        match read_dump(&bytes) {
            Ok((origin, contents)) => Ok(Chain {
                origin,
                contents,
                time: None,
                base: number,
                log: number,
                log_end: 0,
                torn: 0,
                line: 2,
            }),
            Err(damage) => Err(JournalError::Damaged {
                path: file,
                damage,
                remedy: instead_of(path, number)?,
            }),
        }
    }

    fn take_logs(
        &mut self,
        path: &Path,
        upto: Option<Rev>,
        last_log: Option<u64>,
    ) -> Result<(), JournalError> {
        let logs = numbers(path, LOG)?;
        let newest = logs.last().copied().unwrap_or_default();
        let last = newest.max(self.base).min(last_log.unwrap_or(u64::MAX));
        for number in self.base..=last {
            if self.reaches(upto) {
                return Ok(());
            }
            let file = path.join(name(LOG, number));
            if !logs.contains(&number) {
                return Err(JournalError::Missing {
                    path: file,
                    remedy: self.what_was_before(),
                });
            }
            let damaged = |damage, remedy| JournalError::Damaged {
                path: file.clone(),
                damage,
                remedy,
            };
            let bytes = fs::read(&file).map_err(at(&file))?;
            let log = read_log(&bytes, number == newest)
                .map_err(|damage| damaged(damage, self.what_was_before()))?;
            if log.head.after != self.contents.rev.0 || log.head.origin != self.origin {
                let has_base = || fs::exists(path.join(name(BASE, number)));
                if number > self.base && has_base().map_err(at(&file))? {
                    // Revisions were lost, or the cluster began anew, which its base tells of.
                    break;
                }
                if number > self.base && log.is_bare(&bytes) {
                    continue;
                }
                let (after, rev) = (log.head.after, self.contents.rev);
                let text = match log.head.origin == self.origin {
                    true => format!("it goes on from revision {after}"),
                    false => format!("it goes on from revision {after} of another cluster"),
                };
                let text = format!("{text}, and what is before it ends at revision {rev}");
                return Err(damaged(
                    Damage::nonsense(1, text),
                    format!(": a file is missing, put it back{}", self.what_was_before()),
                ));
            }
            (self.log, self.log_end) = (number, log.end);
            self.torn = bytes.len() as u64 - log.end;
            self.line = log.next_line();
            if let Err(damage) = self.apply(log, upto) {
                return Err(damaged(damage, self.what_was_before()));
            }
        }
        match upto {
            Some(at) if self.contents.rev < at => Err(JournalError::Absent {
                at,
                has: format!("it goes on from there to revision {}", self.contents.rev),
            }),
            _ => Ok(()),
        }
    }

    /// Takes the changes of a log. What is behind the last that is wanted may be damaged.
    fn apply(&mut self, log: Log, upto: Option<Rev>) -> Result<(), Damage> {
        for (number, batch) in log.batches {
            for change in batch.changes {
                if self.reaches(upto) {
                    return Ok(());
                }
                let applied = self.contents.apply(change);
                applied.map_err(|gap| Damage::nonsense(number, gap))?;
            }
            self.time = Some(batch.time);
        }
        match log.damage {
            Some(damage) if !self.reaches(upto) => Err(damage),
            _ => Ok(()),
        }
    }

    /// Whether nothing more is wanted.
    fn reaches(&self, upto: Option<Rev>) -> bool {
        upto.is_some_and(|upto| self.contents.rev >= upto)
    }

    /// What can be done about a file that does not go on from what was read.
    fn what_was_before(&self) -> String {
        let rev = self.contents.rev;
        format!("; what was before, up to revision {rev}, can be restored with --at {rev}")
    }
}

/// What can be done about a damaged base.
fn instead_of(path: &Path, number: u64) -> Result<String, JournalError> {
    let bases = numbers(path, BASE)?;
    let before = bases.range(..number).next_back();
    let Some(Ok(mut chain)) = before.map(|before| Chain::of_base(path, *before)) else {
        return Ok(String::new());
    };
    match chain.take_logs(path, None, Some(number)) {
        Ok(()) if chain.log == number => Ok(OLDER_BASE.to_owned()),
        // As far as it was read it is right.
        Ok(()) | Err(_) => Ok(format!(
            "{}, once this file is moved away",
            chain.what_was_before()
        )),
    }
}

/// Why there is nothing without a base: a first one that was not finished has left nothing but a log
/// in which nothing is.
fn without_base(path: &Path) -> Result<JournalError, JournalError> {
    for number in numbers(path, LOG)? {
        let file = path.join(name(LOG, number));
        let bytes = fs::read(&file).map_err(at(&file))?;
        if !read_log(&bytes, false).is_ok_and(|log| log.is_bare(&bytes)) {
            return Ok(JournalError::Missing {
                path: path.join(name(BASE, number)),
                remedy: format!(
                    ": {} goes on from it and says nothing alone",
                    file.display()
                ),
            });
        }
    }
    Ok(JournalError::Empty {
        path: path.to_owned(),
    })
}
