//! The log of a journal: every change since a base, as lines of text.
//!
//! ```text
//! {"doozer":"journal","format":1,"cluster":"local","lineage":"...","generation":1,"after":912,"sum":"..."}
//! {"time":1767225600123,"changes":[{"rev":913,"op":"set","path":"/a","value":"x"}],"sum":"..."}
//! ```
//!
//! A line is what became durable at once, and the next is written only after that. So a crash tears no
//! line but the last, and a line that is broken before one that is whole is damaged.

use serde::{Deserialize, Serialize};

use super::contents::Change;
use super::dump::{Lines, Origin};
use super::line::{self, Damage, DamageKind, FORMAT};
use crate::core::id::Rev;

/// What a log is called in its first line.
const KIND: &str = "journal";

/// The first line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    doozer: String,
    format: u32,
    /// Where the changes come from.
    #[serde(flatten)]
    pub origin: Origin,
    /// The revision before the first change.
    pub after: u64,
}

/// What became durable at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

/// What the line of a batch begins with. No text of JSON has these characters inside.
const BATCH_BEGIN: &[u8] = b"{\"time\":";

/// A log, as far as it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its first line.
    pub head: LogHead,
    /// The lines behind it, with their numbers.
    pub batches: Vec<(u64, Batch)>,
    /// Bytes up to the end of the last whole line.
    pub end: u64,
    /// What is wrong behind it.
    pub damage: Option<Damage>,
}

impl LogHead {
    /// The first line of a log of what comes after a revision.
    pub fn new(origin: &Origin, after: Rev) -> LogHead {
        LogHead {
            doozer: KIND.to_owned(),
            format: FORMAT,
            origin: origin.clone(),
            after: after.0,
        }
    }
}

impl Log {
    /// The number of the line that comes next.
    pub fn next_line(&self) -> u64 {
        self.batches.last().map_or(1, |(number, _)| *number) + 1
    }

    /// Whether these bytes, which it was read from, are its first line and nothing else.
    pub fn is_bare(&self, bytes: &[u8]) -> bool {
        self.batches.is_empty() && self.end == bytes.len() as u64
    }
}

/// Reads a log up to its end, or to the first line that is damaged. What a crash has torn at its end is
/// left out, if that `may_be_torn`.
///
/// # Errors
///
/// [`Damage`] of the first line.
pub fn read_log(bytes: &[u8], may_be_torn: bool) -> Result<Log, Damage> {
    let mut lines = Lines::new(bytes);
    let damage = |line, kind| Damage { line, kind };
    let first = lines.next().ok_or(damage(1, DamageKind::Foreign))?;
    let head = line::read_head(first, KIND)?;
    if !lines.ends_well() {
        return Err(damage(1, DamageKind::CutOff));
    }
    let mut log = Log {
        head,
        batches: Vec::new(),
        end: (bytes.len() - lines.left()) as u64,
        damage: None,
    };
    while let Some(text) = lines.next() {
        let number = lines.number;
        let read = match lines.ends_well() {
            true => line::read::<Batch>(text, number),
            false => Err(damage(number, DamageKind::CutOff)),
        };
        match read {
            Ok(batch) => {
                log.batches.push((number, batch));
                log.end = (bytes.len() - lines.left()) as u64;
            }
            Err(error) => {
                let is_broken = matches!(error.kind, DamageKind::Sum | DamageKind::CutOff);
                let is_torn =
                    may_be_torn && is_broken && !swallows(text, number) && !goes_on(&mut lines);
                log.damage = (!is_torn).then_some(error);
                break;
            }
        }
    }
    Ok(log)
}

/// Whether the end of a broken line of this number is the next line, whole: damage may have made
/// something else of what ended the first.
fn swallows(text: &[u8], number: u64) -> bool {
    let starts = text.windows(BATCH_BEGIN.len()).enumerate().skip(1);
    starts
        .filter(|(_, begin)| *begin == BATCH_BEGIN)
        .any(|(at, _)| line::read::<Batch>(&text[at..], number + 1).is_ok())
}

/// Whether there is a whole line behind a broken one. Damage may have made an end of a line, or
/// removed one, so that the lines behind it have other numbers.
fn goes_on(lines: &mut Lines<'_>) -> bool {
    while let Some(text) = lines.next() {
        let numbers = lines.number - 1..=lines.number + 1;
        let is_whole = |number| line::read::<Batch>(text, number).is_ok();
        if lines.ends_well() && numbers.into_iter().any(is_whole) {
            return true;
        }
    }
    false
}
