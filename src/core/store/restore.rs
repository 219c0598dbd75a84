//! Restoring a backup: files with revisions of their own, and the step to a revision that is not
//! the next.

use std::sync::Arc;

use super::apply::Store;
use super::event::{Event, EventKind};
use super::mutation::Value;
use super::path::Path;
use super::tree::{Dir, Place};
use crate::core::id::Rev;

/// A file that cannot be where it should: a directory is in its place, or a file above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a file and a directory would be in the same place")]
pub struct Misplaced;

impl Store {
    /// A store without files and history at a revision. It will retain as much history as this one.
    pub fn bare(&self, rev: Rev) -> Store {
        Store::with(rev, Dir::empty(), 0, self.history.limits())
    }

    /// Puts a file there with the revision that it has, without an event, in place of the one that
    /// is there.
    pub fn install(&mut self, path: Path, rev: Rev, value: &Value) -> Result<(), Misplaced> {
        let file = Event {
            rev,
            path,
            // A copy, as the original may be a small part of a large buffer.
            value: Value(bytes::Bytes::copy_from_slice(&value.0)),
            kind: EventKind::Set,
        };
        let grows = match self.root.place(&file.path) {
            Place::Missing => true,
            Place::File(before) => {
                self.files = self.files.wrapping_sub(before.file_digest());
                false
            }
            Place::BelowFile | Place::Dir(_) => return Err(Misplaced),
        };
        self.files = self.files.wrapping_add(file.file_digest());
        Dir::put(&mut self.root, &Arc::new(file), grows);
        Ok(())
    }

    /// Goes on as another store, at the revision that it has, which is above this one's. The event of
    /// that revision sets one more file. What happened before is forgotten.
    pub fn become_restored(&mut self, mut store: Store, path: Path, value: Value) {
        let rev = store.rev;
        assert!(rev > self.rev, "revisions go up");
        store.rev = Rev(rev.0 - 1);
        store.advance(Event {
            rev,
            path,
            value,
            kind: EventKind::Set,
        });
        *self = store;
    }

    /// Whether there is no file but below `/ctl`.
    pub fn is_empty(&self) -> bool {
        self.root.len() == u64::from(self.root.entry(b"ctl").is_some())
    }
}
