//! Clients with one task: forming the cluster, watching, closing, recording.

use std::collections::BTreeSet;

use super::{ask, get, set};
use crate::core::protocol::client::{ErrorCode, REV_CLOBBER, REV_MISSING, Request, Response, Verb};
use crate::sim::chance::Dice;

/// Creates `/ctl/cal/1` and so on, one by one, and waits until each is taken.
#[derive(Debug)]
pub struct Former {
    members: usize,
    created: usize,
    seated: usize,
}

impl Former {
    /// For a cluster of this many members, the founder included.
    pub fn new(members: usize) -> Former {
        Former {
            members,
            created: 0,
            seated: 0,
        }
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

/// Writes to a file of its own, one write after the other.
#[derive(Debug)]
pub struct Writer {
    name: usize,
    writes: u64,
}

impl Writer {
    /// A writer with this name.
    pub fn new(name: usize) -> Writer {
        Writer { name, writes: 0 }
    }

    pub(super) fn next(&mut self) -> Request {
        self.writes += 1;
        let (name, writes) = (self.name, self.writes);
        set(
            format!("/w/{name}"),
            format!("{name}.{writes}"),
            REV_CLOBBER,
        )
    }
}

/// Revisions that a watcher of the future looks ahead at most.
const AHEAD_MAX: u64 = 200;

/// Follows a pattern from some revision on: each WAIT begins right after the last answer, whatever
/// node it goes to. Sometimes it asks for the revision beside it: an answer that tells of one with
/// a match, before the WAIT was answered, would be a gap.
#[derive(Debug)]
pub struct Watcher {
    pattern: &'static str,
    from: From,
    /// The revision from which it has seen nothing; unknown until it has asked where it is.
    next: Option<i64>,
    /// Whether a WAIT is open, and a question for the revision.
    open: (bool, bool),
    /// Whether it may ask for the revision while this WAIT is open.
    may_ask: bool,
}

/// Where a watch begins, as seen from the revision of that moment.
#[derive(Clone, Copy, Debug)]
enum From {
    /// With the first revision of all.
    Beginning,
    /// In this many millionths of the past.
    Past(u64),
    /// With the latest revision.
    Latest,
    /// With the revision this far ahead, 1 for the next one.
    Future(u64),
}

impl Watcher {
    /// Requests that it has open at a time.
    pub const WINDOW: usize = 2;

    /// A watcher with a pattern of its own.
    pub fn new(dice: &mut Dice) -> Watcher {
        let pattern = *dice.pick(&[
            "/**", "/r/*", "/r/**", "/count/*", "/*/0", "/ctl/**", "/r/?", "/r/0",
        ]);
        let from = match dice.below(6) {
            0 | 1 => From::Beginning,
            2 => From::Past(dice.below(1_000_000)),
            3 => From::Latest,
            4 => From::Future(1),
            _ => From::Future(1 + dice.below(AHEAD_MAX)),
        };
        Watcher {
            pattern,
            from,
            next: None,
            open: (false, false),
            may_ask: false,
        }
    }

    /// What it follows, and the revision from which it has seen nothing, once it has begun.
    pub fn position(&self) -> Option<(&'static str, i64)> {
        Some((self.pattern, self.next?))
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> Option<Request> {
        match (self.open, self.next) {
            ((false, _), Some(next)) => {
                self.open.0 = true;
                self.may_ask = dice.hit(250_000);
                let rev = Some(next);
                Some(Request {
                    rev,
                    ..ask(Verb::Wait, self.pattern)
                })
            }
            ((_, false), next) if self.may_ask || next.is_none() => {
                self.open.1 = true;
                self.may_ask = false;
                let verb = Some(Verb::Rev as i32);
                Some(Request {
                    verb,
                    ..Request::default()
                })
            }
            _ => None,
        }
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let is_wait = request.verb == Some(Verb::Wait as i32);
        match is_wait {
            true => self.open.0 = false,
            false => self.open.1 = false,
        }
        let Some(rev) = response.and_then(|response| response.rev) else {
            return;
        };
        if is_wait {
            self.next = Some(rev.saturating_add(1));
        } else if self.next.is_none() {
            let now = rev.max(1);
            self.next = Some(match self.from {
                From::Beginning => 1,
                From::Past(part) => 1 + (now - 1) * part as i64 / 1_000_000,
                From::Latest => now,
                From::Future(ahead) => now.saturating_add(ahead as i64),
            });
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
        if response.is_none_or(|response| response.error().is_some()) {
            self.todo.insert(rev);
        }
    }
}
