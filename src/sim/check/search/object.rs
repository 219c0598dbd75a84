//! What is searched: the operations on one file, or on one tree of files, and what they do.

use std::collections::BTreeMap;

use crate::core::protocol::client::{ErrorCode, REV_CLOBBER, REV_DIR, REV_MISSING, Verb};
use crate::sim::history::{Operation, Outcome};

/// The files of clients that condition on their own file only.
const ALONE: [&[u8]; 4] = [b"/count/", b"/list/", b"/lock/", b"/final/"];
/// The tree in which directories come and go.
const TREE: &[u8] = b"/r";

/// The object that a path belongs to, if clients alone write there.
pub fn name_of(path: &[u8]) -> Option<&[u8]> {
    if ALONE.iter().any(|place| path.starts_with(place)) {
        return Some(path);
    }
    let rest = path.strip_prefix(TREE)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(TREE)
}

/// Operations on an object.
#[derive(Debug, Default)]
pub struct Object {
    /// In the order of their beginnings.
    pub calls: Vec<Call>,
    /// For each path, those of the directories that it lies in.
    above: Vec<Vec<usize>>,
    /// The length of each content.
    lengths: Vec<usize>,
}

/// The files that exist, with their contents, by number.
pub type State = BTreeMap<usize, usize>;

/// An operation.
#[derive(Debug)]
pub struct Call {
    /// Its place in what the object was made of.
    pub source: usize,
    /// When it began.
    pub from: u64,
    /// When it ended, if that and its outcome are known.
    pub to: Option<u64>,
    path: usize,
    kind: Kind,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Read,
    Set(Condition, usize),
    Del(Condition),
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    /// Always holds.
    Always,
    /// Holds where nothing is.
    Missing,
    /// Holds where nothing is, or this content.
    Content(usize),
    /// Holds where this content is.
    Exactly(usize),
    /// Never holds.
    Never,
    /// Not even a directory is told from a mismatch.
    NeverEver,
    /// A revision that nobody was shown: it may hold.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Unknown,
    Content(Option<usize>),
    Length(Option<usize>),
    Dir,
    Done,
    Refused(ErrorCode),
}

impl Object {
    /// The first operations of these.
    pub fn new(operations: &[&Operation], operations_max: usize) -> Object {
        let cut = operations
            .get(operations_max)
            .map_or(u64::MAX, |next| next.invoked);
        let mut names = Names::default();
        let mut object = Object::default();
        names.note_shown(operations);
        for (source, operation) in operations.iter().enumerate().take(operations_max) {
            if let Some(call) = names.call(source, operation, cut) {
                object.calls.push(call);
            }
        }
        let paths: Vec<&[u8]> = names.paths.keys().copied().collect();
        object.above = vec![Vec::new(); paths.len()];
        for (path, number) in &names.paths {
            let is_above =
                |dir: &&&[u8]| path.starts_with(dir) && path.get(dir.len()) == Some(&b'/');
            object.above[*number] = paths
                .iter()
                .filter(is_above)
                .map(|dir| names.paths[dir])
                .collect();
        }
        object.lengths = vec![0; names.contents.len()];
        for (content, number) in &names.contents {
            object.lengths[*number] = content.len();
        }
        object
    }

    /// The state after a call, unless its answer is another one.
    pub fn apply(&self, state: &State, call: &Call) -> Option<State> {
        let found = state.get(&call.path).copied();
        let is_dir = found.is_none()
            && state
                .keys()
                .any(|file| self.above[*file].contains(&call.path));
        let (condition, content) = match call.kind {
            Kind::Read => {
                let fits = match call.answer {
                    Answer::Content(content) => !is_dir && content == found,
                    Answer::Length(length) => {
                        !is_dir && length == found.map(|content| self.lengths[content])
                    }
                    Answer::Dir => is_dir,
                    Answer::Unknown | Answer::Done | Answer::Refused(_) => false,
                };
                return fits.then(|| state.clone());
            }
            Kind::Set(condition, content) => (condition, Some(content)),
            Kind::Del(condition) => (condition, None),
        };
        let is_below_file = || {
            self.above[call.path]
                .iter()
                .any(|dir| state.contains_key(dir))
        };
        let holds = match condition {
            Condition::Always => Some(true),
            Condition::Missing => Some(found.is_none()),
            Condition::Content(shown) => Some(found.is_none_or(|content| content == shown)),
            Condition::Exactly(shown) => Some(found == Some(shown)),
            Condition::Never | Condition::NeverEver => Some(false),
            Condition::Unclear => None,
        };
        let answer = if content.is_some() && is_below_file() {
            Answer::Refused(ErrorCode::Notdir)
        } else if is_dir && !matches!(condition, Condition::NeverEver) {
            Answer::Refused(ErrorCode::Isdir)
        } else {
            match holds {
                Some(true) => Answer::Done,
                Some(false) => Answer::Refused(ErrorCode::RevMismatch),
                None if call.answer == Answer::Refused(ErrorCode::RevMismatch) => call.answer,
                None => Answer::Done,
            }
        };
        if call.answer != Answer::Unknown && call.answer != answer {
            return None;
        }
        let mut after = state.clone();
        match (answer, content) {
            (Answer::Done, Some(content)) => drop(after.insert(call.path, content)),
            (Answer::Done, None) => drop(after.remove(&call.path)),
            _ => {}
        }
        Some(after)
    }
}

/// Numbers for paths and contents, and the contents that revisions were shown with.
#[derive(Default)]
struct Names<'a> {
    paths: BTreeMap<&'a [u8], usize>,
    contents: BTreeMap<&'a [u8], usize>,
    /// With the time at which it was first shown: before, somebody may have guessed.
    shown: BTreeMap<(&'a [u8], i64), (u64, usize)>,
}

fn number<'a>(of: &mut BTreeMap<&'a [u8], usize>, name: &'a [u8]) -> usize {
    let next = of.len();
    *of.entry(name).or_insert(next)
}

impl<'a> Names<'a> {
    fn note_shown(&mut self, operations: &[&'a Operation]) {
        for operation in operations {
            let Some((at, response)) = &operation.answer else {
                continue;
            };
            let content = match operation.verb() {
                Some(Verb::Get) => &response.value,
                Some(Verb::Set) => &operation.request.value,
                _ => continue,
            };
            if let (Some(rev @ 1..), None) = (response.rev, response.error()) {
                let path = operation.request.path.as_deref().unwrap_or_default();
                let content = number(&mut self.contents, content.as_deref().unwrap_or_default());
                let shown = self.shown.entry((path, rev)).or_insert((*at, content));
                *shown = (*shown).min((*at, content));
            }
        }
    }

    fn call(&mut self, source: usize, operation: &'a Operation, cut: u64) -> Option<Call> {
        let request = &operation.request;
        let name = request.path.as_deref().unwrap_or_default();
        let rev = request.rev;
        let kind = match operation.verb()? {
            Verb::Get | Verb::Stat if rev.is_none() && request.local != Some(true) => Kind::Read,
            Verb::Set => {
                let content = request.value.as_deref().unwrap_or_default();
                let content = number(&mut self.contents, content);
                Kind::Set(self.condition(name, operation)?, content)
            }
            Verb::Del => Kind::Del(self.condition(name, operation)?),
            _ => return None,
        };
        if operation.outcome() == Outcome::TurnedAway && operation.is_write() {
            return None;
        }
        let to = operation
            .answer
            .as_ref()
            .map(|(at, _)| *at)
            .filter(|at| *at < cut);
        let answer = match to {
            Some(_) => self.answer(operation),
            None => Answer::Unknown,
        };
        if answer == Answer::Unknown && matches!(kind, Kind::Read) {
            return None;
        }
        let to = to.filter(|_| answer != Answer::Unknown);
        let path = number(&mut self.paths, name);
        let from = operation.invoked;
        Some(Call {
            source,
            from,
            to,
            path,
            kind,
            answer,
        })
    }

    fn condition(&self, path: &[u8], operation: &Operation) -> Option<Condition> {
        let rev = operation.request.rev?;
        let is_exact = operation.request.exact == Some(true);
        Some(match rev {
            REV_CLOBBER => Condition::Always,
            i64::MAX if is_exact => Condition::Never,
            i64::MAX => Condition::Always,
            REV_MISSING => Condition::Missing,
            REV_DIR => Condition::Never,
            i64::MIN..REV_DIR => Condition::NeverEver,
            _ => match self.shown.get(&(path, rev)) {
                Some((at, content)) if *at < operation.invoked => match is_exact {
                    true => Condition::Exactly(*content),
                    false => Condition::Content(*content),
                },
                _ => Condition::Unclear,
            },
        })
    }

    fn answer(&mut self, operation: &'a Operation) -> Answer {
        let Some((_, response)) = &operation.answer else {
            return Answer::Unknown;
        };
        let content = response.value.as_deref().unwrap_or_default();
        match (operation.verb(), response.error(), response.rev) {
            (_, Some(ErrorCode::Other), _) => Answer::Unknown,
            (Some(Verb::Get), Some(ErrorCode::Isdir), _) => Answer::Dir,
            (_, Some(code), _) => Answer::Refused(code),
            (Some(Verb::Stat), None, Some(REV_DIR)) => Answer::Dir,
            (Some(Verb::Stat), None, Some(1..)) => {
                Answer::Length(Some(response.len.unwrap_or_default() as usize))
            }
            (Some(Verb::Stat), None, _) => Answer::Length(None),
            (Some(Verb::Get), None, Some(1..)) => {
                Answer::Content(Some(number(&mut self.contents, content)))
            }
            (Some(Verb::Get), None, _) => Answer::Content(None),
            (_, None, _) => Answer::Done,
        }
    }
}
