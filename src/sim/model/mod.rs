//! The store as a sequence of events, told as plainly as possible: what the checkers believe.
//!
//! Every version of every file is kept, so that a request can be answered at any revision. Nothing
//! here is clever or fast, and nothing is shared with the store of the nodes.

mod glob;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::core::protocol::client::{
    ErrorCode, FLAG_DEL, FLAG_SET, REV_CLOBBER, REV_DIR, REV_MISSING, Request, Response, Verb,
};

pub use glob::matches;

/// What happened at one revision, as WAIT tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The file; `/` for a no-op.
    pub path: Bytes,
    /// Its content.
    pub value: Bytes,
    /// [`FLAG_SET`], [`FLAG_DEL`] or 0 for a no-op.
    pub flags: i32,
}

/// Every version of every file.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The event of revision 1 first.
    events: Vec<Event>,
    /// The versions of each file, ascending; `None` where it was deleted.
    files: BTreeMap<Bytes, Vec<(i64, Option<Bytes>)>>,
}

impl Model {
    /// The latest revision.
    pub fn rev(&self) -> i64 {
        self.events.len() as i64
    }

    /// The event at a revision.
    pub fn event(&self, rev: i64) -> Option<&Event> {
        let index = usize::try_from(rev).ok()?.checked_sub(1)?;
        self.events.get(index)
    }

    /// The first revision at or after `from` whose event matches.
    pub fn first_match(&self, pattern: &[u8], from: i64) -> Option<i64> {
        (from.max(1)..=self.rev()).find(|rev| {
            self.event(*rev)
                .is_some_and(|event| matches(pattern, &event.path))
        })
    }

    /// Takes the event of the next revision.
    pub fn push(&mut self, event: Event) {
        self.events.push(event.clone());
        let rev = self.rev();
        let version = match event.flags {
            FLAG_SET => Some(event.value),
            FLAG_DEL => None,
            _ => return,
        };
        self.files
            .entry(event.path)
            .or_default()
            .push((rev, version));
    }

    /// What the event at `rev + 1` is if it is this SET, DEL or NOP, and its error if it is refused.
    pub fn decide(&self, request: &Request, rev: i64) -> (Event, Option<ErrorCode>) {
        let path = request.path.clone().unwrap_or_default();
        let is_set = request.verb == Some(Verb::Set as i32);
        if request.verb == Some(Verb::Nop as i32) {
            let event = Event {
                path: Bytes::from_static(b"/"),
                value: Bytes::new(),
                flags: 0,
            };
            return (event, None);
        }
        let condition = request.rev.unwrap_or(REV_MISSING);
        let found = self.rev_of(&path, rev);
        let is_exact = request.exact == Some(true) && condition > REV_MISSING;
        let holds = match is_exact {
            true => condition == found,
            false => condition == REV_CLOBBER || condition >= found.max(0),
        };
        let refusal = if is_set && self.is_below_file(&path, rev) {
            Some((ErrorCode::Notdir, "not a directory"))
        } else if found == REV_DIR && condition >= REV_DIR {
            Some((ErrorCode::Isdir, "is a directory"))
        } else if !holds {
            Some((ErrorCode::RevMismatch, "rev mismatch"))
        } else {
            None
        };
        match refusal {
            Some((code, text)) => {
                let event = Event {
                    path: Bytes::from_static(b"/ctl/err"),
                    value: Bytes::from_static(text.as_bytes()),
                    flags: FLAG_SET,
                };
                (event, Some(code))
            }
            None if is_set => {
                let value = request.value.clone().unwrap_or_default();
                let flags = FLAG_SET;
                (Event { path, value, flags }, None)
            }
            None => {
                let value = Bytes::new();
                let flags = FLAG_DEL;
                (Event { path, value, flags }, None)
            }
        }
    }

    /// The answer to GET, STAT, GETDIR or WALK in the state after `rev`.
    pub fn answer(&self, request: &Request, rev: i64) -> Response {
        let path = request.path.clone().unwrap_or_default();
        let offset = request.offset.unwrap_or(0);
        let tag = request.tag;
        let verb = request.verb.and_then(Verb::from_number);
        let found = self.rev_of(&path, rev);
        let file = self.file(&path, rev);
        match verb {
            Some(Verb::Get) if found == REV_DIR => Response::refuse(tag, ErrorCode::Isdir),
            Some(Verb::Get) => Response {
                rev: Some(found),
                value: Some(file.map(|f| f.1).unwrap_or_default()),
                ..Response::to(tag)
            },
            Some(Verb::Stat) => Response {
                rev: Some(found),
                len: Some(match file {
                    Some((_, value)) => value.len() as i32,
                    None => self.entries(&path, rev).len() as i32,
                }),
                ..Response::to(tag)
            },
            Some(Verb::Getdir) if found == REV_MISSING => Response::refuse(tag, ErrorCode::Noent),
            Some(Verb::Getdir) if found > 0 => Response::refuse(tag, ErrorCode::Notdir),
            Some(Verb::Getdir) => {
                let index = usize::try_from(offset).unwrap_or(usize::MAX);
                match self.entries(&path, rev).into_iter().nth(index) {
                    Some(name) => Response {
                        path: Some(name),
                        ..Response::to(tag)
                    },
                    None => Response::refuse(tag, ErrorCode::Range),
                }
            }
            Some(Verb::Walk) => {
                let index = usize::try_from(offset).unwrap_or(usize::MAX);
                match self.walk(&path, rev).into_iter().nth(index) {
                    Some((path, rev, value)) => Response {
                        path: Some(path),
                        rev: Some(rev),
                        value: Some(value),
                        flags: Some(FLAG_SET),
                        ..Response::to(tag)
                    },
                    None => Response::refuse(tag, ErrorCode::Range),
                }
            }
            _ => Response::refuse(tag, ErrorCode::UnknownVerb),
        }
    }

    /// A file as it is after `rev`.
    pub fn file(&self, path: &[u8], rev: i64) -> Option<(i64, Bytes)> {
        let versions = self.files.get(path)?;
        let upto = versions.partition_point(|version| version.0 <= rev);
        let (rev, value) = versions.get(upto.checked_sub(1)?)?;
        Some((*rev, value.clone()?))
    }

    /// The events of a file, with their revisions.
    pub fn versions(&self, path: &[u8]) -> &[(i64, Option<Bytes>)] {
        self.files.get(path).map_or(&[], |versions| versions)
    }

    /// The revision of a file, or what stands for a directory or a missing one.
    fn rev_of(&self, path: &[u8], rev: i64) -> i64 {
        match self.file(path, rev) {
            Some((rev, _)) => rev,
            None if path == b"/" || !self.entries(path, rev).is_empty() => REV_DIR,
            None => REV_MISSING,
        }
    }

    fn is_below_file(&self, path: &[u8], rev: i64) -> bool {
        let ends = path.iter().enumerate().skip(1);
        ends.filter(|(_, byte)| **byte == b'/')
            .any(|(end, _)| self.file(&path[..end], rev).is_some())
    }

    /// The names in a directory after `rev`, in byte order.
    fn entries(&self, dir: &[u8], rev: i64) -> BTreeSet<Bytes> {
        let mut inside = dir.strip_suffix(b"/").unwrap_or(dir).to_vec();
        inside.push(b'/');
        let below = self.files.range(Bytes::from(inside.clone())..);
        below
            .take_while(|(path, _)| path.starts_with(&inside))
            .filter(|(path, _)| self.file(path, rev).is_some())
            .map(|(path, _)| {
                let rest = path.slice(inside.len()..);
                let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
                rest.slice(..end)
            })
            .collect()
    }

    /// The files that match after `rev`, directory by directory.
    fn walk(&self, pattern: &[u8], rev: i64) -> Vec<(Bytes, i64, Bytes)> {
        let mut found: Vec<_> = self
            .files
            .keys()
            .filter(|path| matches(pattern, path))
            .filter_map(|path| {
                let (rev, value) = self.file(path, rev)?;
                Some((path.clone(), rev, value))
            })
            .collect();
        found.sort_by(|a, b| a.0.split(|c| *c == b'/').cmp(b.0.split(|c| *c == b'/')));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(verb: Verb, path: &'static str, rev: Option<i64>) -> Request {
        Request {
            verb: Some(verb as i32),
            path: Some(Bytes::from_static(path.as_bytes())),
            value: Some(Bytes::from_static(b"v")),
            rev,
            ..Request::default()
        }
    }

    fn write(model: &mut Model, verb: Verb, path: &'static str, rev: i64) -> Option<ErrorCode> {
        let (event, error) = model.decide(&request(verb, path, Some(rev)), model.rev());
        model.push(event);
        error
    }

    #[test]
    fn conditions_follow_the_table_of_the_verbs() {
        use ErrorCode::{Isdir, Notdir, RevMismatch};
        let mut model = Model::default();
        assert_eq!(write(&mut model, Verb::Set, "/a/x", -2), Some(RevMismatch));
        assert_eq!(write(&mut model, Verb::Set, "/a/x", 0), None);
        assert_eq!(write(&mut model, Verb::Set, "/a/x", 0), Some(RevMismatch));
        assert_eq!(write(&mut model, Verb::Set, "/a/x", 2), None);
        assert_eq!(write(&mut model, Verb::Set, "/a/x", 3), Some(RevMismatch));
        assert_eq!(write(&mut model, Verb::Set, "/a", -1), Some(Isdir));
        assert_eq!(write(&mut model, Verb::Set, "/a", -3), Some(RevMismatch));
        assert_eq!(write(&mut model, Verb::Set, "/a/x/y", -7), Some(Notdir));
        assert_eq!(write(&mut model, Verb::Del, "/a/x", 99), None);
        assert_eq!(write(&mut model, Verb::Del, "/a/x", 0), None);
        let stat = |rev| model.answer(&request(Verb::Stat, "/a", None), rev).rev;
        assert_eq!((stat(1), stat(2), stat(9)), (Some(0), Some(-2), Some(0)));
        let get = model.answer(&request(Verb::Get, "/a/x", None), 8);
        assert_eq!((get.rev, get.value), (Some(4), Some(Bytes::from("v"))));
    }

    #[test]
    fn a_walk_goes_directory_by_directory() {
        let mut model = Model::default();
        for path in ["/w/a-b", "/w/a/b", "/w/c"] {
            assert_eq!(write(&mut model, Verb::Set, path, 0), None);
        }
        let order: Vec<_> = model.walk(b"/w/**", 3).into_iter().map(|f| f.0).collect();
        assert_eq!(order, ["/w/a/b", "/w/a-b", "/w/c"]);
        assert_eq!(model.first_match(b"/w/a*", 2), None);
        assert_eq!(model.first_match(b"/w/a**", 2), Some(2));
    }
}
