//! All files at one revision.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::client::{self, Event};
use crate::core::id::Rev;
use crate::core::store::Path;

/// All files at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The revision.
    pub rev: Rev,
    /// The files by path, with the revisions that wrote them.
    pub files: BTreeMap<Path, (Rev, Bytes)>,
}

/// What one revision did, as a journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The revision.
    pub rev: u64,
    /// What it did.
    pub op: Op,
    /// The file that it did it to; absent if it did nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the file contains from then on.
    #[serde(flatten)]
    pub content: Content,
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It is written.
    Set,
    /// It is deleted.
    Del,
    /// Nothing.
    Nop,
}

/// The content of a file: as text where it is UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Anything else, in base 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

impl Content {
    /// The content of a file.
    pub fn of(bytes: &[u8]) -> Content {
        match std::str::from_utf8(bytes) {
            Ok(text) => Content {
                value: Some(text.to_owned()),
                value_base64: None,
            },
            Err(_) => Content {
                value: None,
                value_base64: Some(BASE64_STANDARD.encode(bytes)),
            },
        }
    }

    /// The bytes, or what is wrong.
    pub fn bytes(self) -> Result<Bytes, &'static str> {
        match (self.value, self.value_base64) {
            (Some(text), None) => Ok(text.into()),
            (None, Some(text)) => match BASE64_STANDARD.decode(text) {
                Ok(bytes) => Ok(bytes.into()),
                Err(_) => Err("the value is no base 64"),
            },
            _ => Err("one value is needed"),
        }
    }
}

/// A change that does not follow on what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// It is not of the next revision.
    #[error("revision {found} where {expected} was due")]
    Rev {
        /// The revision that is due.
        expected: Rev,
        /// The one that came.
        found: Rev,
    },
    /// It is none.
    #[error("revision {rev}: {what}")]
    Nonsense {
        /// Its revision.
        rev: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl From<&Event> for Change {
    fn from(event: &Event) -> Change {
        let (op, content) = match &event.change {
            client::Change::Set(value) => (Op::Set, Content::of(value)),
            client::Change::Del => (Op::Del, Content::default()),
            client::Change::Nop => (Op::Nop, Content::default()),
        };
        Change {
            rev: event.rev.0,
            op,
            path: (op != Op::Nop).then(|| event.path.clone()),
            content,
        }
    }
}

impl Contents {
    /// Takes the change of the next revision.
    ///
    /// # Errors
    ///
    /// [`Gap`]; nothing has changed then.
    pub fn apply(&mut self, change: Change) -> Result<(), Gap> {
        let rev = change.rev;
        let nonsense = |what| Gap::Nonsense { rev, what };
        if Rev(rev) != self.rev.next() {
            return Err(Gap::Rev {
                expected: self.rev.next(),
                found: Rev(rev),
            });
        }
        let path = match &change.path {
            Some(path) => {
                let path = Path::parse(path.as_bytes());
                Some(path.map_err(|_| nonsense("the path is none"))?)
            }
            None => None,
        };
        match (change.op, path) {
            (Op::Set, Some(path)) => {
                let value = change.content.bytes().map_err(nonsense)?;
                self.files.insert(path, (Rev(rev), value));
            }
            (Op::Del, Some(path)) => {
                self.files.remove(&path);
            }
            (Op::Nop, None) => {}
            _ => return Err(nonsense("a change needs a path, a no-op has none")),
        }
        self.rev = Rev(rev);
        Ok(())
    }
}
