//! Clients: actors that ask nodes for things, over connections that break.
//!
//! A client decides what to ask next from what it was told. How the request travels, which node it
//! reaches and when it is given up is the world's affair.

mod crowd;
mod increment;
mod lock;
mod mixed;
mod restore;
mod task;

use bytes::Bytes;

use super::chance::Dice;
use super::script::Script;
use crate::core::protocol::client::{Request, Response, Verb};

pub use crowd::{Flood, Operator};
pub use increment::{Increment, Style, count_of};
pub use lock::{Locker, holder_of};
pub use mixed::Mixed;
pub use restore::{Backup, Onlooker, Restorer, listed};
pub use task::{Closer, Former, From, Recorder, Watcher, Writer};

/// What a client is there for.
#[derive(Debug)]
pub enum Role {
    /// Creates the files of the membership slots and waits until they are taken.
    Former(Former),
    /// Reads and writes at random.
    Mixed(Mixed),
    /// Counts, or appends to a list, by compare-and-set.
    Increment(Increment),
    /// Takes and frees a lock.
    Locker(Locker),
    /// Writes to a file of its own, one write after the other.
    Writer(Writer),
    /// Follows all changes that match a pattern.
    Watcher(Watcher),
    /// Writes and reads once at the end, to prove that the core serves.
    Closer(Closer),
    /// Reads the whole sequence of events of one node at the end.
    Recorder(Recorder),
    /// Follows a script; the world lets it act.
    Script(Script),
    /// Asks for much at once, and leaves.
    Flood(Flood),
    /// Changes something in `/ctl`, once.
    Operator(Operator),
    /// Restores a backup.
    Restorer(Restorer),
    /// Looks at what is being restored.
    Onlooker(Onlooker),
}

impl Role {
    /// What to ask next; `None` when there is nothing left to do.
    pub fn next(&mut self, dice: &mut Dice) -> Option<Request> {
        match self {
            Role::Former(role) => role.next(),
            Role::Mixed(role) => Some(role.next(dice)),
            Role::Increment(role) => Some(role.next()),
            Role::Locker(role) => Some(role.next()),
            Role::Writer(role) => Some(role.next()),
            Role::Watcher(role) => role.next(dice),
            Role::Closer(role) => role.next(),
            Role::Recorder(role) => role.next(),
            Role::Script(_) => None,
            Role::Flood(role) => role.next(dice),
            Role::Operator(role) => role.next(),
            Role::Restorer(role) => role.next(dice),
            Role::Onlooker(_) => Some(Onlooker::next(dice)),
        }
    }

    /// A request was answered, or its outcome will never be known.
    pub fn ended(&mut self, request: &Request, response: Option<&Response>, dice: &mut Dice) {
        match self {
            Role::Former(role) => role.ended(request, response),
            Role::Mixed(role) => role.ended(request, response),
            Role::Increment(role) => role.ended(request, response),
            Role::Locker(role) => role.ended(request, response, dice),
            Role::Writer(_) => {}
            Role::Watcher(role) => role.ended(request, response),
            Role::Closer(role) => role.ended(request, response),
            Role::Recorder(role) => role.ended(request, response),
            Role::Script(role) => role.ended(request, response),
            Role::Flood(role) => role.ended(),
            Role::Operator(role) => role.ended(request, response),
            Role::Restorer(role) => role.ended(response),
            Role::Onlooker(_) => {}
        }
    }

    /// Requests that it may have open at a time.
    pub fn window(&self) -> usize {
        match self {
            Role::Recorder(_) => Recorder::WINDOW,
            Role::Watcher(_) => Watcher::WINDOW,
            Role::Flood(_) => usize::MAX,
            _ => 1,
        }
    }

    /// Whether it goes on asking until it has what it wants, also while others have stopped.
    pub fn is_final(&self) -> bool {
        match self {
            Role::Closer(_) | Role::Recorder(_) | Role::Watcher(_) => true,
            Role::Former(_)
            | Role::Script(_)
            | Role::Mixed(_)
            | Role::Increment(_)
            | Role::Locker(_)
            | Role::Writer(_)
            | Role::Flood(_)
            | Role::Operator(_)
            | Role::Restorer(_)
            | Role::Onlooker(_) => false,
        }
    }

    /// Whether it has done all that it ever wanted to, and needs no connection any more.
    pub fn is_over(&self) -> bool {
        match self {
            Role::Flood(role) => role.is_over(),
            Role::Operator(role) => role.is_over(),
            _ => false,
        }
    }

    /// Whether its requests may stay open for any length of time.
    pub fn is_patient(&self) -> bool {
        matches!(self, Role::Watcher(_) | Role::Recorder(_) | Role::Script(_))
    }
}

/// A request without conditions.
pub fn ask(verb: Verb, path: impl Into<Bytes>) -> Request {
    Request {
        verb: Some(verb as i32),
        path: Some(path.into()),
        ..Request::default()
    }
}

/// A SET.
pub fn set(path: impl Into<Bytes>, value: impl Into<Bytes>, rev: i64) -> Request {
    Request {
        value: Some(value.into()),
        rev: Some(rev),
        ..ask(Verb::Set, path)
    }
}

/// A GET of the latest state of the cluster.
pub fn get(path: impl Into<Bytes>) -> Request {
    Request {
        local: Some(false),
        ..ask(Verb::Get, path)
    }
}
