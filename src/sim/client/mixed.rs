//! A client that reads and writes at random, conditions and refusals included.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ask, get, set};
use crate::core::limits::Limits;
use crate::core::protocol::client::{REV_CLOBBER, REV_MISSING, Request, Response, Verb};
use crate::sim::chance::Dice;

/// Padding of values: none, a little, and both sides of limits that encodings and buffers have.
const SIZES: [usize; 8] = [0, 0, 0, 1, 127, 128, 1023, 4097];

/// Limits of nodes up to here are tried out; larger ones would cost too much.
const LIMIT_TRIED_MAX: usize = 8 << 10;

/// Once in how many times a value or a path is as large as it may be, or nearly.
const AT_LIMIT_EVERY: u64 = 16;

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
    GetdirNow,
    WalkNow,
    Guarded,
}

const KINDS: [Kind; 16] = [
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
    Kind::GetdirNow,
    Kind::WalkNow,
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

/// Whether a condition is of just one revision: as often as not, and told or not.
const EXACT: [Option<bool>; 4] = [None, Some(false), Some(true), Some(true)];

/// Patterns to list by, found by counting and by looking.
const PATTERNS: [&str; 4] = ["/r/**", "/r/*", "/r/?", "/**/x"];

/// A client that reads and writes at random.
#[derive(Debug)]
pub struct Mixed {
    name: usize,
    keys: u64,
    limits: Limits,
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
    pub fn new(name: usize, keys: u64, limits: Limits, dice: &mut Dice) -> Mixed {
        let weights = KINDS.iter().map(|_| dice.below(3) * dice.below(4));
        let mut weights: Vec<u64> = weights.collect();
        weights[Kind::Clobber as usize] += 1;
        weights[Kind::Get as usize] += 1;
        Mixed {
            name,
            keys,
            limits,
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
                let known = self.known.get(&path).copied().unwrap_or(REV_MISSING);
                let rev = *dice.pick(&[known, known, known, known - 1, known + 1]);
                Request {
                    exact: *dice.pick(&EXACT),
                    ..set(path, self.value(dice), rev)
                }
            }
            Kind::Odd => {
                let path = *dice.pick(&["/r", "/", "/r/0/below", "/r/d/1"]);
                let rev = *dice.pick(&[i64::MIN, -7, -3, -2, -1, 0, 1, i64::MAX]);
                let request = match dice.below(3) {
                    0 => Request {
                        rev: Some(rev),
                        ..ask(Verb::Del, path)
                    },
                    _ => set(path, self.value(dice), rev),
                };
                Request {
                    exact: *dice.pick(&EXACT),
                    ..request
                }
            }
            Kind::Delete => {
                let known = self.known.get(&path).copied().unwrap_or(REV_MISSING);
                Request {
                    rev: Some(*dice.pick(&[REV_CLOBBER, known])),
                    exact: *dice.pick(&EXACT),
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
                rev: Some(self.age(dice)),
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
            Kind::Getdir => list(Verb::Getdir, "/r", Some(self.age(dice)), 0),
            Kind::Walk => {
                let pattern = *dice.pick(&PATTERNS);
                list(Verb::Walk, pattern, Some(self.age(dice)), 0)
            }
            Kind::GetdirNow => list(Verb::Getdir, "/r", None, self.offset(dice)),
            Kind::WalkNow => list(
                Verb::Walk,
                dice.pick::<&str>(&PATTERNS),
                None,
                self.offset(dice),
            ),
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

    /// A revision to read at: of the past, the present, or soon to come.
    fn age(&self, dice: &mut Dice) -> i64 {
        let latest = self.latest.max(1);
        match dice.below(4) {
            0 => *dice.pick(&[i64::MIN, -1, 0, 1, latest - 1, latest + 1]),
            1 => latest,
            _ => 1 + dice.below(latest as u64) as i64,
        }
    }

    /// A place in a listing: the edges, one beyond the end, and any.
    fn offset(&self, dice: &mut Dice) -> i32 {
        let keys = self.keys as i32;
        match dice.below(3) {
            0 => *dice.pick(&[i32::MIN, -1, 0, 1, keys, keys + 1, 2 * keys, i32::MAX]),
            _ => dice.below(2 * self.keys + 1) as i32,
        }
    }

    fn path(&self, dice: &mut Dice) -> Bytes {
        let key = dice.below(self.keys);
        let path = match dice.below(4) {
            0 => format!("/r/d/{key}/x"),
            _ => format!("/r/{key}"),
        };
        match self.edge(self.limits.path_bytes_max, dice) {
            Some(size) => format!("{path}{}", "p".repeat(size - path.len())).into(),
            None => path.into(),
        }
    }

    /// A value that nobody writes twice.
    fn value(&mut self, dice: &mut Dice) -> Bytes {
        self.writes += 1;
        let value = format!("m{}.{}.", self.name, self.writes);
        let padding = match self.edge(self.limits.value_bytes_max, dice) {
            Some(size) => size - value.len(),
            None => *dice.pick(&SIZES),
        };
        format!("{value}{}", "x".repeat(padding)).into()
    }

    /// Sometimes a size on either side of a limit.
    fn edge(&self, limit: usize, dice: &mut Dice) -> Option<usize> {
        let is_tried = limit <= LIMIT_TRIED_MAX && dice.below(AT_LIMIT_EVERY) == 0;
        is_tried.then(|| *dice.pick(&[limit - 1, limit, limit + 1]))
    }
}

/// A place in a listing, at a revision or in the latest state.
fn list(verb: Verb, path: &'static str, rev: Option<i64>, offset: i32) -> Request {
    Request {
        rev,
        offset: Some(offset),
        local: Some(false),
        ..ask(verb, path)
    }
}
