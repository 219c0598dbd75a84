//! A lock in a file: whoever replaces its free content by compare-and-set holds it.

use super::{get, set};
use crate::core::protocol::client::{REV_MISSING, Request, Response, Verb};
use crate::sim::chance::Dice;

/// What the content of a lock begins with while somebody holds it.
const HELD: char = 'h';
/// What it begins with while nobody does.
const FREE: char = 'f';

/// Most looks at a lock while it is held.
const LOOKS_MAX: u64 = 4;

/// A client that takes a lock, looks at it for a while, and frees it.
#[derive(Debug)]
pub struct Locker {
    path: String,
    name: usize,
    tries: u64,
    seen: Seen,
}

/// What it knows of the lock.
#[derive(Debug)]
enum Seen {
    /// Nothing.
    Nothing,
    /// It was free at this revision.
    Free(i64),
    /// This client holds it since this revision, and wants to look at it so often before it goes.
    Mine(i64, u64),
}

impl Locker {
    /// A client with this name, and the lock with this number.
    pub fn new(key: u64, name: usize) -> Locker {
        Locker {
            path: format!("/lock/{key}"),
            name,
            tries: 0,
            seen: Seen::Nothing,
        }
    }

    pub(super) fn next(&mut self) -> Request {
        match self.seen {
            Seen::Nothing => get(self.path.clone()),
            Seen::Mine(_, looks) if looks > 0 => get(self.path.clone()),
            Seen::Free(rev) => self.write(HELD, rev),
            Seen::Mine(rev, _) => self.write(FREE, rev),
        }
    }

    fn write(&mut self, what: char, rev: i64) -> Request {
        self.tries += 1;
        self.seen = Seen::Nothing;
        let value = format!("{what}{}.{}", self.name, self.tries);
        set(self.path.clone(), value, rev)
    }

    pub(super) fn ended(
        &mut self,
        request: &Request,
        response: Option<&Response>,
        dice: &mut Dice,
    ) {
        let response = response.filter(|response| response.error().is_none());
        let Some(response) = response else {
            self.seen = Seen::Nothing;
            return;
        };
        let rev = response.rev.unwrap_or(REV_MISSING);
        let is_set = request.verb == Some(Verb::Set as i32);
        let value = if is_set {
            &request.value
        } else {
            &response.value
        };
        let holder = holder_of(value.as_deref().unwrap_or_default());
        self.seen = match (holder, &self.seen) {
            (None, _) => Seen::Free(rev),
            (Some(name), Seen::Mine(_, looks)) if name == self.name => Seen::Mine(rev, looks - 1),
            (Some(name), _) if name == self.name => Seen::Mine(rev, dice.below(LOOKS_MAX)),
            (Some(_), _) => Seen::Nothing,
        };
    }
}

/// Who holds a lock with this content.
pub fn holder_of(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?;
    let (name, _) = text.strip_prefix(HELD)?.split_once('.')?;
    name.parse().ok()
}
