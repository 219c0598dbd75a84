//! What a scenario says to the letter: steps that clients take, and what must be so when.
//!
//! All times count from the beginning of the storm.

mod actor;
mod check;
mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::HostId;
use super::units::span;
use crate::core::protocol::client::{ErrorCode, REV_CLOBBER, REV_DIR, REV_MISSING, Verb};

pub use actor::Script;
pub(in crate::sim) use check::Watch;

/// The property, as a sentence.
pub const EXPECTED: &str = "what the scenario expects comes true";

/// The number of the first client that follows a script; the others follow in the order of their
/// names. Faults call clients by number.
pub const SCRIPTS: usize = 1 << 20;

/// The names of the clients that take these steps, sorted.
pub fn names<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<&'a str> {
    let names = steps.into_iter().map(|step| &step.client[..]);
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// One request of a scripted client. A client takes its steps in order, each when it is time for it
/// and the one before it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Who asks.
    #[serde(default = "first_client", skip_serializing_if = "is_first_client")]
    pub client: String,
    /// Not before this time.
    #[serde(with = "span", default, skip_serializing_if = "Duration::is_zero")]
    pub at: Duration,
    /// Which node is asked: the one on this host. Without it, the one asked before; at first host 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<HostId>,
    /// What to do.
    #[serde(rename = "do")]
    pub verb: Do,
    /// Path or pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value is filled up to this many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// The revision to ask for, or to make a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<Revision>,
    /// Which entry of a listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i32>,
    /// Whether a read may be answered from the node's own copy.
    #[serde(default, skip_serializing_if = "is_false")]
    pub local: bool,
    /// Whether a condition is that the file has just this revision.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exact: bool,
    /// How it ends.
    #[serde(default, skip_serializing_if = "Outcome::is_ok")]
    pub expect: Outcome,
    /// What it is answered, as far as told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// It must have ended at this time.
    #[serde(
        with = "format::some_span",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub by: Option<Duration>,
    /// The name under which the revision of the answer is remembered.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether the next step need not wait for the end of this one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pipelined: bool,
    /// Whether it is asked again, of the next node unless told of which, when the node cannot serve
    /// it; a read also when the connection breaks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retry: bool,
    /// How often it is done; `{n}` in path and value stands for the number, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

fn first_client() -> String {
    "a".to_owned()
}

fn is_first_client(name: &str) -> bool {
    name == "a"
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this shape"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "the verbs of the protocol, and the end of a connection"
)]
pub enum Do {
    Get,
    Set,
    Del,
    Rev,
    Wait,
    Nop,
    Walk,
    Getdir,
    Stat,
    #[serde(rename = "self")]
    Self_,
    /// Ends the connection.
    Leave,
}

impl Do {
    fn is_write(self) -> bool {
        matches!(self, Do::Set | Do::Del | Do::Nop)
    }

    fn verb(self) -> Option<Verb> {
        Some(match self {
            Do::Get => Verb::Get,
            Do::Set => Verb::Set,
            Do::Del => Verb::Del,
            Do::Rev => Verb::Rev,
            Do::Wait => Verb::Wait,
            Do::Nop => Verb::Nop,
            Do::Walk => Verb::Walk,
            Do::Getdir => Verb::Getdir,
            Do::Stat => Verb::Stat,
            Do::Self_ => Verb::Self_,
            Do::Leave => return None,
        })
    }
}

/// A revision in a file: a number, `"missing"`, `"any"`, `"dir"`, or the name that an earlier step
/// gave to its answer, with a number added or not: `"first"`, `"first+1"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// This one.
    Number(i64),
    /// So many after a remembered one.
    After(String, i64),
}

/// Revisions with a word of their own.
const WORDS: [(&str, i64); 3] = [
    ("missing", REV_MISSING),
    ("any", REV_CLOBBER),
    ("dir", REV_DIR),
];

/// How a step ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    #[default]
    Ok,
    /// However it pleases.
    Anything,
    /// It is not answered until its `by`.
    Silence,
    /// The connection breaks before the answer.
    Lost,
    /// It is refused with this error.
    Error(ErrorCode),
}

impl Outcome {
    fn is_ok(&self) -> bool {
        *self == Outcome::Ok
    }
}

/// What an answer holds. What is not told may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// The content of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The path of the change or of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<Revision>,
    /// Length of a file, or entries of a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub len: Option<i32>,
    /// Whether the change was a `"set"` or a `"del"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// What a change did to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It wrote it.
    Set,
    /// It deleted it.
    Del,
    /// Neither.
    Nop,
}

/// What must be so: at a moment, by some time, or throughout; without a time, in the core at the
/// end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// At this time.
    #[serde(with = "format::some_span", skip_serializing_if = "Option::is_none")]
    pub at: Option<Duration>,
    /// At some moment until this time.
    #[serde(with = "format::some_span", skip_serializing_if = "Option::is_none")]
    pub by: Option<Duration>,
    /// From this time on...
    #[serde(with = "format::some_span", skip_serializing_if = "Option::is_none")]
    pub from: Option<Duration>,
    /// ...to this one.
    #[serde(with = "format::some_span", skip_serializing_if = "Option::is_none")]
    pub until: Option<Duration>,
    /// Whose view counts: the nodes on these hosts. Without it, all that live and are ready; at the
    /// end, those of the core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<HostId>>,
    /// The members are the processes on these hosts, in any order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<HostId>>,
    /// The processes that own slots of the log are those on these hosts, in any order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owners: Option<Vec<HostId>>,
    /// The processes that the cluster knows, members and standbys, are those on these hosts, in any
    /// order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<HostId>>,
    /// Which host's process holds which slot of `/ctl/cal`; a host below 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<BTreeMap<String, i64>>,
    /// The content of files; false for one that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, Content>>,
    /// Whether the nodes have applied the same slots, with the same state.
    #[serde(skip_serializing_if = "is_false")]
    pub agree: bool,
    /// The hosts on which a process lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alive: Option<Vec<HostId>>,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// This text.
    Text(String),
    /// Something, or nothing at all.
    Exists(bool),
}

impl Step {
    /// The step as often as it is to be done.
    pub fn repeated(&self) -> Vec<Step> {
        let Some(times) = self.times else {
            return vec![self.clone()];
        };
        let fill = |text: &Option<String>, n: u64| {
            let text = text.as_ref()?;
            Some(text.replace("{n}", &n.to_string()))
        };
        let steps = (1..=times).map(|n| Step {
            path: fill(&self.path, n),
            value: fill(&self.value, n),
            times: None,
            ..self.clone()
        });
        steps.collect()
    }

    /// The names of remembered revisions that it needs.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        let answer = self.answer.as_ref().and_then(|answer| answer.rev.as_ref());
        let needed = [self.rev.as_ref(), answer].into_iter().flatten();
        needed.filter_map(|rev| match rev {
            Revision::After(label, _) => Some(&label[..]),
            Revision::Number(_) => None,
        })
    }

    /// What is wrong with the step itself, with a remedy.
    pub fn fault(&self) -> Option<String> {
        let has_condition = matches!(self.verb, Do::Set | Do::Del);
        let needs_path = !matches!(self.verb, Do::Rev | Do::Nop | Do::Self_ | Do::Leave);
        let needs_rev = matches!(self.verb, Do::Wait | Do::Walk | Do::Getdir);
        let wrong = if needs_path && self.path.is_none() {
            "it needs a path: add path = \"/x\""
        } else if has_condition && self.rev.is_none() {
            "it needs a revision as its condition: add rev = \"any\", \"missing\" or a revision"
        } else if needs_rev && self.rev.is_none() {
            "it needs a revision to begin at: add rev = 1, or one that a step remembered"
        } else if self.verb == Do::Set && self.value.is_none() {
            "it needs something to write: add value = \"...\""
        } else if self.expect == Outcome::Silence && self.by.is_none() {
            "silence lasts until some time: add by = \"1 s\""
        } else if self.answer.is_some() && self.expect != Outcome::Ok {
            "only what is expected to succeed has an answer: remove expect, or answer"
        } else if self.by.is_some_and(|by| by <= self.at) {
            "it must end before it may begin: make by later than at"
        } else {
            return None;
        };
        Some(wrong.to_owned())
    }
}

impl Check {
    /// What is wrong with the check itself, with a remedy.
    pub fn fault(&self) -> Option<String> {
        let times = [self.at.is_some(), self.by.is_some(), self.from.is_some()];
        let says_nothing = Check {
            at: self.at,
            by: self.by,
            from: self.from,
            until: self.until,
            nodes: self.nodes.clone(),
            ..Check::default()
        };
        let wrong = if times.iter().filter(|told| **told).count() > 1 {
            "it has more than one time: keep one of at, by, and from with until"
        } else if self.from.is_some() != self.until.is_some() {
            "from and until belong together: add the other one"
        } else if self.from > self.until {
            "it ends before it begins: make until later than from"
        } else if *self == says_nothing {
            "it says nothing: add members, owners, processes, slots, files, agree or \
             alive"
        } else {
            return None;
        };
        Some(wrong.to_owned())
    }
}
