//! One event, as it is sent.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::files::put_value;
use crate::client::{Change, Event};
use crate::core::id::Rev;
use crate::core::store::{Glob, Path};

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

    pub(super) fn is_of(&self, glob: &Glob) -> bool {
        self.path.as_ref().is_some_and(|path| glob.matches(path))
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
