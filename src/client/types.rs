//! What clients give and get: conditions, files, events.

use bytes::Bytes;

use crate::core::id::Rev;
use crate::core::protocol::client::{FLAG_DEL, FLAG_SET, REV_CLOBBER, REV_MISSING, Response};

/// What the revision of a file must be for a write to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition {
    number: i64,
    is_exact: bool,
}

impl Condition {
    /// Whatever it is, and also when there is no file.
    pub const ALWAYS: Condition = Condition::from_number(REV_CLOBBER);
    /// There is no file.
    pub const MISSING: Condition = Condition::from_number(REV_MISSING);

    /// The condition as the protocol has it: -1 for [`Condition::ALWAYS`], 0 for
    /// [`Condition::MISSING`], else the highest revision that the file may have. A file that is
    /// missing, also one that somebody has deleted, fulfils it: `Condition::from(rev)` is stricter.
    pub const fn from_number(number: i64) -> Condition {
        Condition {
            number,
            is_exact: false,
        }
    }

    /// The condition as the protocol has it.
    pub fn number(self) -> i64 {
        self.number
    }

    /// Whether the file must have just this revision.
    pub fn is_exact(self) -> bool {
        self.is_exact
    }
}

impl From<Rev> for Condition {
    /// The file is the one that was written at this revision: nobody has written or deleted it since.
    fn from(rev: Rev) -> Condition {
        Condition {
            number: signed(rev),
            is_exact: true,
        }
    }
}

/// A file that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// The revision that wrote it.
    pub rev: Rev,
    /// Its content.
    pub value: Bytes,
}

/// A file that a pattern matched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// The revision that wrote it.
    pub rev: Rev,
    /// Its content.
    pub value: Bytes,
}

/// What is at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stat {
    /// Nothing.
    Missing,
    /// A file.
    File {
        /// The revision that wrote it.
        rev: Rev,
        /// Bytes of its value.
        len: u32,
    },
    /// A directory.
    Dir {
        /// Files and directories directly in it.
        entries: u32,
    },
}

/// Something that took a revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What it happened to; `/` for a no-op.
    pub path: String,
    /// The revision that it took.
    pub rev: Rev,
    /// What happened.
    pub change: Change,
}

/// What happened to a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It was written, perhaps with the value that it had.
    Set(Bytes),
    /// It was deleted.
    Del,
    /// Nothing: a no-op took the revision.
    Nop,
}

impl Event {
    /// Reads an answer to WAIT, or says what is wrong with it.
    pub(super) fn read(response: Response) -> Result<Event, &'static str> {
        let rev = revision(&response)?;
        let value = response.value.clone().unwrap_or_default();
        let change = match response.flags.unwrap_or(0) {
            flags if flags & FLAG_SET != 0 => Change::Set(value),
            flags if flags & FLAG_DEL != 0 => Change::Del,
            _ => Change::Nop,
        };
        Ok(Event {
            path: text(response.path)?,
            rev,
            change,
        })
    }
}

/// The `rev` of an answer that must have one that is no special value.
pub(super) fn revision(response: &Response) -> Result<Rev, &'static str> {
    let rev = response.rev.ok_or("no revision")?;
    Ok(Rev(u64::try_from(rev).map_err(|_| "a negative revision")?))
}

/// The `path` of an answer that must have one.
pub(super) fn text(path: Option<Bytes>) -> Result<String, &'static str> {
    let path = path.ok_or("no path")?;
    String::from_utf8(path.into()).map_err(|_| "a path that is not UTF-8")
}

/// A revision as a request has it. None reaches 2^63, so that the bound is never seen.
pub(super) fn signed(rev: Rev) -> i64 {
    i64::try_from(rev.0).unwrap_or(i64::MAX)
}
