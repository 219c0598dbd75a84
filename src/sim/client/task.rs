//! Clients with one task: forming the cluster, watching, closing, recording.

use std::collections::BTreeSet;

use super::{ask, get, set};
use crate::core::protocol::client::{ErrorCode, REV_CLOBBER, REV_MISSING, Request, Response, Verb};

/// Creates `/ctl/cal/1` and so on, one by one, and waits until each is taken.
#[derive(Debug, Default)]
pub struct Former {
    members: usize,
    created: usize,
    seated: usize,
}

impl Former {
    /// For a cluster that has no members besides the founder so far.
    pub fn new() -> Former {
        Former {
            members: 1,
            created: 0,
            seated: 0,
        }
    }

    /// From now on there are to be this many members, the founder included.
    pub fn grow(&mut self, members: usize) {
        self.members = members;
    }

    /// Whether every slot is taken.
    pub fn is_done(&self) -> bool {
        self.seated + 1 >= self.members
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        if self.is_done() {
            None
        } else if self.created == self.seated {
            Some(set(self.path(), "", REV_MISSING))
        } else {
            Some(get(self.path()))
        }
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let Some(response) = response else { return };
        match response.error() {
            Some(ErrorCode::RevMismatch) => self.created = self.seated + 1,
            Some(_) => {}
            None if request.verb == Some(Verb::Set as i32) => self.created = self.seated + 1,
            None => {
                let taken = response.value.as_ref().is_some_and(|v| !v.is_empty());
                self.seated += usize::from(taken);
            }
        }
    }

    fn path(&self) -> String {
        format!("/ctl/cal/{}", self.seated + 1)
    }
}

/// How much further a watcher tries when history does not reach back as far as it wants.
const BEYOND: i64 = 40;

/// Follows a pattern from some revision on: each WAIT begins right after the last answer, whatever
/// node it goes to.
#[derive(Debug)]
pub struct Watcher {
    pattern: String,
    next: i64,
}

impl Watcher {
    /// Follows a pattern from a revision on.
    pub fn new(pattern: String, next: i64) -> Watcher {
        Watcher { pattern, next }
    }

    /// What it follows, and the revision from which it has seen nothing.
    pub fn position(&self) -> (&str, i64) {
        (&self.pattern, self.next)
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        Some(Request {
            rev: Some(self.next),
            ..ask(Verb::Wait, self.pattern.clone())
        })
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let Some(response) = response else { return };
        if let Some(rev) = response.rev {
            self.next = rev.saturating_add(1);
        } else if response.error() == Some(ErrorCode::TooLate) {
            self.next = request.rev.unwrap_or_default().saturating_add(BEYOND);
        }
    }
}

/// Writes and reads back, through one node.
#[derive(Debug)]
pub struct Closer {
    path: String,
    written: Option<i64>,
    readonly: bool,
    read: bool,
}

impl Closer {
    /// The closer of the node with this number.
    pub fn new(name: usize) -> Closer {
        Closer {
            path: format!("/final/{name}"),
            written: None,
            readonly: false,
            read: false,
        }
    }

    /// Whether the node has served it.
    pub fn is_done(&self) -> bool {
        self.read
    }

    /// The revision of its write, if the node took writes.
    pub fn written(&self) -> Option<i64> {
        self.written
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        if self.read {
            None
        } else if self.written.is_none() && !self.readonly {
            Some(set(self.path.clone(), self.path.clone(), REV_CLOBBER))
        } else {
            Some(get(self.path.clone()))
        }
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let Some(response) = response else { return };
        match (request.verb == Some(Verb::Set as i32), response.error()) {
            (true, None) => self.written = response.rev,
            (true, Some(ErrorCode::Readonly)) => self.readonly = true,
            (false, None) => self.read = true,
            (_, Some(_)) => {}
        }
    }
}

/// Reads the events of one node, each by a WAIT of its own, many at a time.
#[derive(Debug)]
pub struct Recorder {
    todo: BTreeSet<i64>,
    open: BTreeSet<i64>,
}

impl Recorder {
    /// Requests that it has open at a time.
    pub const WINDOW: usize = 64;

    /// Reads the revisions from `first` to `last`.
    pub fn new(first: i64, last: i64) -> Recorder {
        Recorder {
            todo: (first..=last).collect(),
            open: BTreeSet::new(),
        }
    }

    /// Whether every revision has been read.
    pub fn is_done(&self) -> bool {
        self.todo.is_empty() && self.open.is_empty()
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        let rev = self.todo.pop_first()?;
        self.open.insert(rev);
        Some(Request {
            rev: Some(rev),
            ..ask(Verb::Wait, "/**")
        })
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let rev = request.rev.unwrap_or_default();
        self.open.remove(&rev);
        // What nodes do not retain any more, it goes without.
        let error = response.map(Response::error);
        if !matches!(error, Some(None | Some(ErrorCode::TooLate))) {
            self.todo.insert(rev);
        }
    }
}
