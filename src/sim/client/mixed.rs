//! A client that reads and writes at random, conditions and refusals included.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ask, get, set};
use crate::core::protocol::client::{REV_CLOBBER, REV_MISSING, Request, Response, Verb};
use crate::sim::chance::Dice;

/// Sizes of values: small ones, and both sides of limits that encodings and buffers have.
const SIZES: [usize; 8] = [0, 0, 0, 1, 127, 128, 1023, 4097];

/// The kinds of requests.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Create,
    Clobber,
    Compare,
    Odd,
    Delete,
    Nop,
    Get,
    GetLocal,
    GetAt,
    Rev,
    Stat,
    Getdir,
    Walk,
    Guarded,
}

const KINDS: [Kind; 14] = [
    Kind::Create,
    Kind::Clobber,
    Kind::Compare,
    Kind::Odd,
    Kind::Delete,
    Kind::Nop,
    Kind::Get,
    Kind::GetLocal,
    Kind::GetAt,
    Kind::Rev,
    Kind::Stat,
    Kind::Getdir,
    Kind::Walk,
    Kind::Guarded,
];

/// What clients may not write, and must be kept from writing.
const GUARDED: [&str; 5] = [
    "/ctl/name",
    "/ctl/err/below",
    "/ctl/node/nobody/addr",
    "/ctl/cal/1",
    SEAT,
];

/// A slot to which a process is proposed that nobody has ever heard of.
const SEAT: &str = "/ctl/cal/2";
const NOBODY: &str = "AAAAAAAAAAAAAAAA";

/// Patterns to list by, found by counting and by looking.
const PATTERNS: [&str; 4] = ["/r/**", "/r/*", "/r/?", "/**/x"];

/// A client that reads and writes at random.
#[derive(Debug)]
pub struct Mixed {
    name: usize,
    keys: u64,
    weights: Vec<u64>,
    writes: u64,
    /// The latest revision seen of each file.
    known: BTreeMap<Bytes, i64>,
    /// The latest revision seen of the store.
    latest: i64,
    /// The next request of a listing that goes on.
    paging: Option<Request>,
}

impl Mixed {
    /// A client with this name, on this many files, with a taste of its own.
    pub fn new(name: usize, keys: u64, dice: &mut Dice) -> Mixed {
        let weights = KINDS.iter().map(|_| dice.below(3) * dice.below(4));
        let mut weights: Vec<u64> = weights.collect();
        weights[Kind::Clobber as usize] += 1;
        weights[Kind::Get as usize] += 1;
        Mixed {
            name,
            keys,
            weights,
            writes: 0,
            known: BTreeMap::new(),
            latest: 0,
            paging: None,
        }
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> Request {
        if let Some(next) = &self.paging {
            return next.clone();
        }
        let path = self.path(dice);
        match self.kind(dice) {
            Kind::Create => set(path, self.value(dice), REV_MISSING),
            Kind::Clobber => set(path, self.value(dice), REV_CLOBBER),
            Kind::Compare => {
                let rev = self.known.get(&path).copied().unwrap_or(REV_MISSING);
                set(path, self.value(dice), rev)
            }
            Kind::Odd => {
                let path = *dice.pick(&["/r", "/", "/r/0/below", "/r/d/1"]);
                let rev = *dice.pick(&[i64::MIN, -7, -3, -2, -1, 0, 1, i64::MAX]);
                match dice.below(3) {
                    0 => Request {
                        rev: Some(rev),
                        ..ask(Verb::Del, path)
                    },
                    _ => set(path, self.value(dice), rev),
                }
            }
            Kind::Delete => {
                let known = self.known.get(&path).copied().unwrap_or(REV_MISSING);
                Request {
                    rev: Some(*dice.pick(&[REV_CLOBBER, known])),
                    ..ask(Verb::Del, path)
                }
            }
            Kind::Nop => Request {
                verb: Some(Verb::Nop as i32),
                ..Request::default()
            },
            Kind::Get => get(path),
            Kind::GetLocal => Request {
                local: Some(true),
                ..get(path)
            },
            Kind::GetAt => Request {
                rev: Some(dice.below(self.latest.max(1) as u64 + 1).max(1) as i64),
                ..ask(*dice.pick(&[Verb::Get, Verb::Stat]), path)
            },
            Kind::Rev => Request {
                verb: Some(Verb::Rev as i32),
                ..Request::default()
            },
            Kind::Stat => Request {
                local: Some(false),
                ..ask(Verb::Stat, *dice.pick(&["/", "/r", "/r/0", "/r/d"]))
            },
            Kind::Getdir => self.list(Verb::Getdir, "/r"),
            Kind::Walk => self.list(Verb::Walk, dice.pick::<&str>(&PATTERNS)),
            Kind::Guarded => {
                let rev = *dice.pick(&[REV_MISSING, REV_CLOBBER]);
                match *dice.pick(&GUARDED) {
                    SEAT => set(SEAT, NOBODY, rev),
                    path => set(path, self.value(dice), rev),
                }
            }
        }
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let verb = request.verb.and_then(Verb::from_number);
        let failed = response.is_none_or(|response| response.error().is_some());
        if let Some(Verb::Getdir | Verb::Walk) = verb {
            self.paging = (!failed).then(|| Request {
                offset: request.offset.map(|offset| offset + 1),
                ..request.clone()
            });
            return;
        }
        let (false, Some(rev)) = (failed, response.and_then(|response| response.rev)) else {
            return;
        };
        self.latest = self.latest.max(rev);
        if let (Some(Verb::Get | Verb::Set), Some(path)) = (verb, &request.path) {
            self.known.insert(path.clone(), rev);
        }
    }

    /// The beginning of a listing at the latest revision known.
    fn list(&self, verb: Verb, path: &'static str) -> Request {
        Request {
            rev: Some(self.latest.max(1)),
            offset: Some(0),
            ..ask(verb, path)
        }
    }

    fn kind(&self, dice: &mut Dice) -> Kind {
        let mut at = dice.below(self.weights.iter().sum());
        for (kind, weight) in KINDS.iter().zip(&self.weights) {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *kind,
            }
        }
        Kind::Get
    }

    fn path(&self, dice: &mut Dice) -> Bytes {
        let key = dice.below(self.keys);
        match dice.below(4) {
            0 => format!("/r/d/{key}/x").into(),
            _ => format!("/r/{key}").into(),
        }
    }

    /// A value that nobody writes twice.
    fn value(&mut self, dice: &mut Dice) -> Bytes {
        self.writes += 1;
        let padding = "x".repeat(*dice.pick(&SIZES));
        format!("m{}.{}.{padding}", self.name, self.writes).into()
    }
}
