//! Where walks stood.
//!
//! A client of the original lists matches by asking for offsets 0, 1, 2, ..., each a request. Where
//! a pattern can not be counted, each would look at everything before its offset again. So the
//! store remembers where the latest walks stood, and the next offset goes on from there. What is
//! remembered never changes an answer, only its cost.

use std::sync::Arc;

use super::event::Event;
use super::glob::Glob;
use super::path::Path;
use super::tree::{Dir, Place};
use super::walk::Walk;
use crate::core::id::Rev;
use crate::core::instrument::sometimes;

/// Walks that are remembered: more than operators page at a time, few enough to look through.
const CURSORS_MAX: usize = 64;

/// Where the latest walks stood, the latest one last.
#[derive(Clone, Default)]
pub(super) struct Cursors {
    kept: Vec<Cursor>,
}

#[derive(Clone)]
struct Cursor {
    glob: Glob,
    /// The directory that all matches are in, as it was. The walk goes on as long as this very
    /// directory is there, whatever changes elsewhere.
    dir: Arc<Dir>,
    /// The revision that was current or asked for; it bounds how long the directory is kept.
    rev: Rev,
    /// Matches up to and including `last`.
    count: u64,
    /// The last match that was found; `None` if no further one exists.
    last: Option<Path>,
}

impl Cursors {
    /// The `n`-th match at revision `rev`, whose root is `root`.
    pub(super) fn nth<'a>(
        &mut self,
        root: &'a Arc<Dir>,
        rev: Rev,
        glob: &'a Glob,
        n: u64,
    ) -> Option<&'a Arc<Event>> {
        if glob.is_countable() {
            return Walk::new(root, glob).nth(n);
        }
        let Place::Dir(dir) = root.place(&glob.dir()) else {
            return None;
        };
        let (walk, skip) = match self.take(dir, glob, n) {
            None => (Walk::new(root, glob), n),
            Some(Cursor {
                last: Some(last),
                count,
                ..
            }) => {
                sometimes!(WalkGoesOn);
                (Walk::after(root, glob, &last), n - count)
            }
            Some(end) => {
                self.keep(end);
                return None;
            }
        };
        let found = walk.nth(skip);
        self.keep(Cursor {
            glob: glob.clone(),
            dir: dir.clone(),
            rev,
            count: if found.is_some() {
                n.saturating_add(1)
            } else {
                n
            },
            last: found.map(|file| file.path.clone()),
        });
        found
    }

    /// Forgets walks at revisions before `oldest`, so that they do not hold on to states that
    /// history has let go of.
    pub(super) fn forget_before(&mut self, oldest: Rev) {
        self.kept.retain(|cursor| cursor.rev >= oldest);
    }

    /// The cursor that is nearest before match `n`, which leaves.
    fn take(&mut self, dir: &Arc<Dir>, glob: &Glob, n: u64) -> Option<Cursor> {
        let fitting = self.kept.iter().enumerate().filter(|(_, cursor)| {
            cursor.count <= n && cursor.glob == *glob && Arc::ptr_eq(&cursor.dir, dir)
        });
        let (nearest, _) = fitting.max_by_key(|(_, cursor)| cursor.count)?;
        Some(self.kept.remove(nearest))
    }

    fn keep(&mut self, cursor: Cursor) {
        if self.kept.len() == CURSORS_MAX {
            self.kept.remove(0);
        }
        self.kept.push(cursor);
        assert!(self.kept.len() <= CURSORS_MAX);
    }
}
