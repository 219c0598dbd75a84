//! Events, as they are sent.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::files::put_value;
use crate::client::{Change, Event};
use crate::core::id::Rev;
use crate::core::store::{Glob, Path};

/// Bytes after which a group ends, and events that are looked at for one.
const GROUP_BYTES: usize = 32 << 10;
const GROUP_EVENTS_MAX: usize = 512;

/// An event as all who watch are sent it, written once for all of them.
pub(super) struct Told {
    pub(super) rev: Rev,
    path: Option<Path>,
    pub(super) text: Bytes,
}

impl Told {
    pub(super) fn of(event: &Event) -> Told {
        let text = format!("id: {}\ndata: {}\n\n", event.rev, json(event));
        Told {
            rev: event.rev,
            path: Path::parse(event.path.as_bytes()).ok(),
            text: text.into(),
        }
    }

    fn is_of(&self, glob: &Glob) -> bool {
        self.path.as_ref().is_some_and(|path| glob.matches(path))
    }
}

/// Events that follow one another, as those who watch a pattern are sent them.
#[derive(Clone)]
pub(super) struct Group {
    /// Those that match, in about [`GROUP_BYTES`] bytes and one more.
    pub(super) text: Bytes,
    /// How many these are.
    pub(super) count: u64,
    /// The revision after the last, whether that one matches or not.
    pub(super) next: Rev,
}

impl Group {
    /// As many of the events as go into one, the first of which is that of a revision.
    pub(super) fn of<'a>(events: impl Iterator<Item = &'a Told>, first: Rev, glob: &Glob) -> Group {
        let (mut text, mut count, mut next) = (Vec::new(), 0, first);
        for event in events.take(GROUP_EVENTS_MAX) {
            next = event.rev.next();
            if event.is_of(glob) {
                text.extend_from_slice(&event.text);
                count += 1;
            }
            if text.len() > GROUP_BYTES {
                break;
            }
        }
        Group {
            text: text.into(),
            count,
            next,
        }
    }
}

fn json(event: &Event) -> Value {
    let mut fields = Map::new();
    fields.insert("rev".into(), event.rev.0.into());
    fields.insert("path".into(), event.path.as_str().into());
    let change = match &event.change {
        Change::Set(value) => {
            put_value(&mut fields, value);
            "set"
        }
        Change::Del => "del",
        Change::Nop => "nop",
    };
    fields.insert("change".into(), change.into());
    fields.into()
}
