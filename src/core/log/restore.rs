//! The steps of restoring a backup.

use bincode::{Decode, Encode};

use crate::core::id::Rev;
use crate::core::store::{Path, Value};

/// Files in a step, as the bytes of their paths and values and [`RESTORED_FILE_BYTES`] each, unless
/// one file alone takes more: as much as a piece of a snapshot.
pub const RESTORE_BYTES: usize = 256 << 10;

/// Bytes counted for a file beside its path and value: its revision, lengths, and what memory holds
/// for it.
pub const RESTORED_FILE_BYTES: usize = 64;

/// No restoration leads to a revision above this one. It leaves as many again to count on from.
pub const RESTORED_REV_MAX: Rev = Rev(1 << 62);

/// A step of a restoration. Files arrive in steps of bounded size and wait beside the tree, where
/// nobody sees them; the last step puts them into its place, all at once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Restore {
    /// Begins, and forgets what another restoration has brought so far. Takes no revision.
    Begin {
        /// Names the restoration, by chance: steps of others do not meddle.
        id: u64,
        /// The revision that it will take: above those of the backup and of the cluster.
        rev: Rev,
        /// Files keep the revisions that they come with, which are up to this one. With 0 they take
        /// the revision of the restoration.
        kept: Rev,
        /// Files that are there now go. Without it there must be none.
        replace: bool,
    },
    /// Brings files. Takes no revision.
    Files {
        /// Of which restoration.
        id: u64,
        /// Counts these steps from 0. A step that comes again does nothing.
        step: u64,
        /// The files.
        files: Vec<RestoredFile>,
    },
    /// Puts the files into the place of the tree. Takes the revision of the restoration.
    Commit {
        /// Which restoration.
        id: u64,
        /// How many files it has brought.
        files: u64,
    },
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RestoredFile {
    /// Its path.
    pub path: Path,
    /// The revision that wrote it.
    pub rev: Rev,
    /// Its content.
    pub value: Value,
}

impl RestoredFile {
    /// What it counts in a step, in bytes.
    pub fn cost(&self) -> usize {
        self.path.as_str().len() + self.value.0.len() + RESTORED_FILE_BYTES
    }
}

impl Restore {
    /// Roughly the bytes that it takes in a message.
    pub fn cost(&self) -> usize {
        match self {
            Restore::Begin { .. } | Restore::Commit { .. } => RESTORED_FILE_BYTES,
            Restore::Files { files, .. } => files.iter().map(RestoredFile::cost).sum(),
        }
    }
}
