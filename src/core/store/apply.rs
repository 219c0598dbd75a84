//! The store: the current state, how mutations change it, and what is retained of its past.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::condition::Condition;
use super::cursors::Cursors;
use super::event::{Event, EventKind, Refusal};
use super::glob::Glob;
use super::history::{History, HistoryLimits, Version};
use super::mutation::{Mutation, Value};
use super::path::Path;
use super::tree::{Dir, Place};
use super::view::{View, owned};
use crate::core::id::Rev;
use crate::core::instrument::{planted, sometimes};
use crate::core::limits::Gauge;
use crate::core::protocol::client::{REV_DIR, REV_MISSING};

/// A tree of small files addressed by revision.
///
/// The same mutations in the same order give the same state, history and digest everywhere. A
/// clone shares what it can and costs little.
#[derive(Clone)]
pub struct Store {
    pub(super) rev: Rev,
    pub(super) root: Arc<Dir>,
    /// The sum of the digests of all files.
    pub(super) files: u64,
    pub(super) history: History,
    cursors: Cursors,
    paths: Paths,
}

/// The paths of events that name no file of their own.
#[derive(Clone)]
struct Paths {
    root: Path,
    err: Path,
}

/// What became of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The revision that it took.
    pub rev: Rev,
    /// Whether it was done.
    pub result: Result<(), Refusal>,
}

/// The revision asked for cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is older than the retained history.
    #[error("the revision is older than the retained history")]
    TooLate,
    /// It has not come yet.
    #[error("the revision has not come yet")]
    Future,
}

/// The revision is older than the retained history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the revision is older than the retained history")]
pub struct TooLate;

impl Store {
    /// An empty store, which retains so much history.
    pub fn new(history: HistoryLimits) -> Store {
        Store::with(Rev(0), Dir::empty(), 0, history)
    }

    /// A store at a revision, without history. `files` is the sum of the digests of all files.
    pub(super) fn with(rev: Rev, root: Arc<Dir>, files: u64, history: HistoryLimits) -> Store {
        let path = |text: &str| Path::parse(text.as_bytes()).expect("a well-formed path");
        Store {
            rev,
            root,
            files,
            history: History::new(history),
            cursors: Cursors::default(),
            paths: Paths {
                root: path("/"),
                err: path(ERR_PATH),
            },
        }
    }

    /// The current revision; 0 before the first.
    pub fn rev(&self) -> Rev {
        self.rev
    }

    /// The oldest revision whose state and event are retained; the one after the current if none
    /// is.
    pub fn oldest(&self) -> Rev {
        Rev(self.rev.0 + 1 - self.history.len())
    }

    /// Applies a mutation. It takes one revision and makes one event, whatever becomes of it.
    pub fn apply(&mut self, mutation: &Mutation) -> Outcome {
        let rev = self.rev.next();
        let result = self.check(mutation);
        let event = match (result, mutation) {
            (Err(refusal), _) => self.refusal(Bytes::from_static(refusal.text().as_bytes())),
            (Ok(()), Mutation::Set { path, value, .. }) => {
                // A copy, as the original may be a small part of a large buffer.
                let value = Value(Bytes::copy_from_slice(&value.0));
                Event {
                    rev,
                    path: path.clone(),
                    value,
                    kind: EventKind::Set,
                }
            }
            (Ok(()), Mutation::Del { path, .. }) => Event {
                rev,
                path: path.clone(),
                value: Value::default(),
                kind: EventKind::Del,
            },
            (Ok(()), Mutation::Nop) => {
                let path = self.paths.root.clone();
                Event {
                    rev,
                    path,
                    value: Value::default(),
                    kind: EventKind::Nop,
                }
            }
        };
        self.advance(event);
        Outcome { rev, result }
    }

    /// Takes one revision for a mutation that a rule outside the store refuses: `text` goes to
    /// `/ctl/err`.
    pub fn refuse(&mut self, text: &str) -> Rev {
        let event = self.refusal(Bytes::copy_from_slice(text.as_bytes()));
        self.advance(event);
        self.rev
    }

    /// A digest of the revision and of all files: path, revision and value of each. Equal for
    /// equal states, however they came about.
    pub fn digest(&self) -> u64 {
        xxh3_64_with_seed(&self.files.to_le_bytes(), self.rev.0)
    }

    /// Tells how full this is.
    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        self.history.load(tell);
    }

    /// The tree at a revision, or the current one.
    pub fn at(&self, rev: Option<Rev>) -> Result<View<'_>, Unreadable> {
        let Some(rev) = rev else {
            return Ok(View {
                rev: self.rev,
                root: &self.root,
            });
        };
        if rev > self.rev {
            return Err(Unreadable::Future);
        }
        let version = self.version(rev).ok_or(Unreadable::TooLate)?;
        let root = match planted!(ReadAtRevIsCurrent) {
            true => &self.root,
            false => &version.root,
        };
        Ok(View { rev, root })
    }

    /// The `n`-th file that matches at a revision, from 0, in the order of [`View::files`].
    ///
    /// Remembers where it stood, so that asking for one match after the other costs little. What
    /// it remembers never changes an answer.
    pub fn walk(
        &mut self,
        rev: Option<Rev>,
        glob: &Glob,
        n: u64,
    ) -> Result<Option<(Path, Rev, Value)>, Unreadable> {
        let View { rev, root } = self.at(rev)?;
        let root = root.clone();
        Ok(self
            .cursors
            .nth(&root, rev, glob, n)
            .map(|file| owned(file)))
    }

    /// What happened at a revision, if that is retained.
    pub fn event(&self, rev: Rev) -> Option<&Event> {
        self.version(rev).map(|version| &*version.event)
    }

    /// What happened from a revision on, as far as it is retained.
    pub fn events(&self, from: Rev) -> impl Iterator<Item = &Event> {
        let skip = from.0.saturating_sub(self.oldest().0);
        self.history.iter(skip).map(|version| &*version.event)
    }

    /// The first event at a revision or after it that matches. `None` if it has not come yet.
    pub fn first_event(&self, from: Rev, glob: &Glob) -> Result<Option<&Event>, TooLate> {
        if from < self.oldest() && !planted!(WaitIgnoresEdge) {
            return Err(TooLate);
        }
        Ok(self.events(from).find(|event| glob.matches(&event.path)))
    }

    fn version(&self, rev: Rev) -> Option<&Version> {
        let mut index = rev.0.checked_sub(self.oldest().0);
        if planted!(ReadIgnoresEdge) {
            index = index.or(Some(0));
        }
        self.history.nth(index?)
    }

    /// Whether the state permits a mutation. A file below which something is asked for comes
    /// first, then the revision, then what cannot be done to a directory.
    fn check(&self, mutation: &Mutation) -> Result<(), Refusal> {
        let (path, condition) = match mutation {
            Mutation::Nop => return Ok(()),
            Mutation::Set {
                path, condition, ..
            }
            | Mutation::Del { path, condition } => (path, *condition),
        };
        let (rev, is_exact) = condition.number();
        let place = self.root.place(path);
        let is_set = matches!(mutation, Mutation::Set { .. });
        let found = match place {
            Place::BelowFile if is_set => {
                sometimes!(SetBelowFile);
                return Err(Refusal::NotDir);
            }
            Place::Missing | Place::BelowFile => REV_MISSING,
            Place::File(file) => i64::try_from(file.rev.0).unwrap_or(i64::MAX),
            Place::Dir(_) => REV_DIR,
        };
        let mut mismatches = !condition.holds(found);
        if planted!(ExactIsLatest) {
            mismatches &= !is_exact || rev < found;
        }
        if planted!(StaleRevAccepted) {
            mismatches &= rev <= REV_MISSING;
        }
        if planted!(CreateOverwrites) {
            mismatches &= rev != REV_MISSING;
        }
        if planted!(DelIgnoresRev) {
            mismatches &= is_set;
        }
        if planted!(FutureRevRefused) {
            mismatches |= rev > found;
        }
        if condition != Condition::ANY && mismatches {
            sometimes!(ExactFails, is_exact && rev > found);
            sometimes!(DeleteFails, !is_set && rev > REV_MISSING);
            sometimes!(CompareFails, is_set && rev > REV_MISSING);
            return Err(Refusal::RevMismatch);
        }
        match place {
            Place::Dir(_) => {
                sometimes!(WriteToDirectory);
                Err(Refusal::IsDir)
            }
            Place::Missing | Place::BelowFile | Place::File(_) => Ok(()),
        }
    }

    fn refusal(&self, text: Bytes) -> Event {
        Event {
            rev: self.rev.next(),
            path: self.paths.err.clone(),
            value: Value(text),
            kind: EventKind::Refused,
        }
    }

    /// Takes the next revision: does what its event says, without asking whether it may.
    pub(super) fn advance(&mut self, event: Event) {
        assert_eq!(event.rev, self.rev.next());
        let event = Arc::new(event);
        let digest = event.file_digest();
        let mut replaced = 0;
        match (event.kind, self.root.place(&event.path)) {
            (EventKind::Nop, _) => {}
            (EventKind::Set | EventKind::Refused, Place::File(file)) => {
                let before = file.file_digest();
                replaced = file.file_bytes();
                self.files = self.files.wrapping_sub(before).wrapping_add(digest);
                Dir::put(&mut self.root, &event, false);
            }
            (EventKind::Set | EventKind::Refused, Place::Missing) => {
                self.files = self.files.wrapping_add(digest);
                Dir::put(&mut self.root, &event, true);
            }
            (EventKind::Del, Place::File(file)) => {
                self.files = self.files.wrapping_sub(file.file_digest());
                replaced = file.file_bytes();
                Dir::remove(&mut self.root, &event.path);
            }
            // Deleting what is missing has no effect. Nor has a refusal whose place is taken by a
            // directory, or below a file, that somebody made in `/ctl`: nothing is ever both.
            _ => assert!(
                event.kind != EventKind::Set,
                "{} can not be set",
                event.path
            ),
        }
        self.rev = event.rev;
        self.history.push(Version {
            digest: event.digest(digest),
            event,
            root: self.root.clone(),
            files: self.files,
            replaced,
        });
        self.cursors.forget_before(self.oldest());
    }
}

/// Where the reason of the latest refusal is.
const ERR_PATH: &str = "/ctl/err";

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("rev", &self.rev)
            .field("oldest", &self.oldest())
            .field("files", &self.root.files())
            .field("digest", &self.digest())
            .finish()
    }
}
