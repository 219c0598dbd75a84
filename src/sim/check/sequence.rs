//! All nodes tell the same sequence of events, without a gap, and each event follows from the
//! rules of the store.
//!
//! The truth is what nodes were seen to apply ([`super::chronicle`]), and the first answer where none
//! was. Recorders read `/**` from each node of the core, revision by revision. Other answers to WAIT
//! are compared elsewhere ([`super::watch`]).

use std::collections::BTreeMap;

use super::Violation;
use super::chronicle::Chronicle;
use crate::core::protocol::client::{ErrorCode, Response, Verb};
use crate::sim::history::Operation;
use crate::sim::model::{Event, Model};

/// The property, as a sentence.
pub const PROPERTY: &str = "all nodes tell one gapless sequence of events";

/// The sequence of events that was seen and that the recorders have read, up to revision `last`.
pub fn assemble(
    history: &[Operation],
    is_recorder: impl Fn(usize) -> bool,
    seen: &Chronicle,
    last: i64,
) -> Result<Model, Violation> {
    let seen = seen.events().map(|(rev, event)| (rev, event.clone()));
    let mut events: BTreeMap<i64, Event> = seen.collect();
    for operation in history {
        let Some((_, response)) = &operation.answer else {
            continue;
        };
        if operation.verb() != Some(Verb::Wait) || !is_recorder(operation.client) {
            continue;
        }
        if let Some(code) = response.error() {
            // Whether it is too late is judged elsewhere ([`super::edge`]).
            if matches!(code, ErrorCode::Other | ErrorCode::TooLate) {
                continue;
            }
            let detail = format!("{code} for rev {:?}", operation.request.rev);
            return Err(Violation::new(PROPERTY, detail));
        }
        if response.rev != operation.request.rev {
            let detail = format!(
                "the event at or after rev {:?} is said to be at {:?}",
                operation.request.rev, response.rev
            );
            return Err(Violation::new(PROPERTY, detail));
        }
        let rev = response.rev.unwrap_or_default();
        let told = event_of(response);
        let first = events.entry(rev).or_insert_with(|| told.clone());
        if *first != told {
            let detail = format!("at rev {rev}: {first:?}, and {told:?}");
            return Err(Violation::new(PROPERTY, detail));
        }
    }
    let mut model = Model::default();
    for rev in 1..=last {
        let Some(event) = events.remove(&rev) else {
            return Err(Violation::new(
                PROPERTY,
                format!("nobody tells of rev {rev}"),
            ));
        };
        model.push(event);
    }
    Ok(model)
}

/// The event that an answer to WAIT tells of.
pub fn event_of(response: &Response) -> Event {
    Event {
        path: response.path.clone().unwrap_or_default(),
        value: response.value.clone().unwrap_or_default(),
        flags: response.flags.unwrap_or_default(),
    }
}
