//! Events: what happened at each revision.

use bincode::{Decode, Encode};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3Default;

use super::mutation::Value;
use super::path::Path;
use crate::core::id::Rev;
use crate::core::protocol::client::{FLAG_DEL, FLAG_SET};

/// What one revision did. The tree refers to the events that made its files, so that a file, its
/// path and its value exist once, however many revisions and watchers look at them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Event {
    /// Its revision.
    pub rev: Rev,
    /// The file that was written or deleted; `/` for a no-op, `/ctl/err` for a refusal.
    pub path: Path,
    /// The content written; empty for a deletion and a no-op.
    pub value: Value,
    /// What happened.
    pub kind: EventKind,
}

/// What happened at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum EventKind {
    /// A file was written.
    Set,
    /// A file was deleted, or did not exist in the first place.
    Del,
    /// Nothing.
    Nop,
    /// A mutation was refused; the reason went to `/ctl/err`.
    Refused,
}

/// Why a mutation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// A proper prefix of the path is a file.
    #[error("not a directory")]
    NotDir,
    /// The file has another revision than the one given.
    #[error("rev mismatch")]
    RevMismatch,
    /// The path is a directory.
    #[error("is a directory")]
    IsDir,
}

impl Refusal {
    /// The text that goes to `/ctl/err`, as clients of the original know it.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::NotDir => "not a directory",
            Refusal::RevMismatch => "rev mismatch",
            Refusal::IsDir => "is a directory",
        }
    }
}

impl Event {
    /// The `flags` that a WAIT answers with.
    pub fn flags(&self) -> i32 {
        match self.kind {
            EventKind::Set | EventKind::Refused => FLAG_SET,
            EventKind::Del => FLAG_DEL,
            EventKind::Nop => 0,
        }
    }

    /// A digest of path, revision and value: what a file in the tree consists of.
    pub(super) fn file_digest(&self) -> u64 {
        let path = self.path.as_str().as_bytes();
        let value: &Bytes = &self.value.0;
        let mut hash = Xxh3Default::new();
        hash.update(&self.rev.0.to_le_bytes());
        // The length keeps path and value apart.
        hash.update(&(path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update(value);
        hash.digest()
    }

    /// A digest of the whole event, given that of the file.
    pub(super) fn digest(&self, file: u64) -> u64 {
        let kind: u8 = match self.kind {
            EventKind::Set => 1,
            EventKind::Del => 2,
            EventKind::Nop => 3,
            EventKind::Refused => 4,
        };
        xxhash_rust::xxh3::xxh3_64_with_seed(&file.to_le_bytes(), u64::from(kind))
    }

    /// What the event costs while history retains it, in bytes: its path, and the tree nodes that
    /// the revision has to itself. Its value is part of the state until it is replaced, unless it
    /// could not be put there.
    pub(super) fn retained_bytes(&self) -> u64 {
        let path = self.path.as_str();
        let depth = path.bytes().filter(|b| *b == b'/').count();
        let value = match self.kind {
            EventKind::Refused => self.value.0.len(),
            EventKind::Set | EventKind::Del | EventKind::Nop => 0,
        };
        (path.len() + value + EVENT_BYTES + depth * LEVEL_BYTES) as u64
    }

    /// What the file takes that the event wrote, in bytes.
    pub(super) fn file_bytes(&self) -> u64 {
        (self.path.as_str().len() + self.value.0.len()) as u64
    }
}

/// Bytes counted for an event beside its path and value: the event itself and its place in history.
pub const EVENT_BYTES: usize = 192;

/// Bytes counted for each directory along the path of an event: the tree nodes that are copied for
/// it, about ten of 80 bytes and a directory of 40, since most directories are small.
pub const LEVEL_BYTES: usize = 840;
