//! What a watcher is told, across reconnections and on whatever nodes it asks.
//!
//! A watch is a chain of WAITs: each begins right after the last answer. The properties are those
//! that etcd's robustness suite lists, as far as they have a meaning here:
//!
//! * *ordered*: the revisions told to a watcher rise;
//! * *unique*: none is told twice;
//! * *atomic*: a revision is told as a whole: path, value and flags of one and the same event;
//! * *reliable*: between two revisions told, nothing matched;
//! * *resumable*: a WAIT from some revision, on any node, is answered with the first match from
//!   there, be it past, present or future;
//! * *bookmarkable*: a node that tells its revision over a connection has answered the WAITs that
//!   were open there, if something up to that revision matches;
//! * *filter*: only what matches the pattern is told;
//! * *is create*: the flags tell what happened (set, deleted, nothing), as the sequence does.
//!
//! The ninth, *previous value*, does not apply: WAIT tells none.

use std::collections::BTreeMap;

use super::Violation;
use super::sequence::event_of;
use crate::core::protocol::client::{ErrorCode, FLAG_DEL, FLAG_SET, Response, Verb};
use crate::sim::history::Operation;
use crate::sim::model::{Model, matches};

/// The property, as a sentence.
pub const PROPERTY: &str = "a watch has no gap, no duplicate, and is in order";

/// Checks every answer to WAIT, the chains of the clients that watch, and their bookmarks.
pub fn check(
    history: &[Operation],
    is_watcher: impl Fn(usize) -> bool,
    model: &Model,
) -> Result<(), Violation> {
    let mut chains: BTreeMap<usize, Chain> = BTreeMap::new();
    for operation in history {
        let blame = |what: String| {
            let pattern = String::from_utf8_lossy(&operation.path()).into_owned();
            let (client, from) = (operation.client, operation.request.rev.unwrap_or_default());
            let detail = format!("client {client} waited for {pattern} from rev {from}: {what}");
            Violation::new(PROPERTY, detail)
        };
        let (Some(Verb::Wait), Some((_, response))) = (operation.verb(), &operation.answer) else {
            continue;
        };
        // A node that is overloaded or has no copy may say so; the watcher asks again.
        if response.error() == Some(ErrorCode::Other) {
            continue;
        }
        let rev = whole(response).map_err(blame)?;
        if is_watcher(operation.client) {
            let chain = chains.entry(operation.client).or_default();
            chain.follow(operation, rev, model).map_err(blame)?;
        }
        if rev <= model.rev() {
            resumes(operation, response, rev, model).map_err(blame)?;
        }
    }
    check_bookmarks(history, model)
}

/// Atomic: everything about the event is told. The revision.
fn whole(response: &Response) -> Result<i64, String> {
    let Response {
        rev,
        path,
        value,
        flags,
        ..
    } = response;
    match (response.error(), rev, path, value, flags) {
        (None, Some(rev), Some(_), Some(_), Some(_)) => Ok(*rev),
        _ => Err(format!("got {response:?}, which is no event")),
    }
}

/// Resumable, filter, is create.
fn resumes(
    operation: &Operation,
    response: &Response,
    rev: i64,
    model: &Model,
) -> Result<(), String> {
    let pattern = operation.path();
    let event = event_of(response);
    if !matches(&pattern, &event.path) {
        return Err(format!("{event:?} does not match"));
    }
    let has_flags = match event.flags {
        FLAG_SET => true,
        FLAG_DEL => event.value.is_empty(),
        flags => flags == 0 && event.value.is_empty(),
    };
    if !has_flags || model.event(rev) != Some(&event) {
        let expected = model.event(rev);
        return Err(format!("at rev {rev} is {expected:?}, got {event:?}"));
    }
    let from = operation.request.rev.unwrap_or_default();
    let expected = model.first_match(&pattern, from);
    if expected != Some(rev) {
        return Err(format!("got rev {rev}, the first is {expected:?}"));
    }
    Ok(())
}

/// What one watcher was told so far.
#[derive(Default)]
struct Chain {
    /// The revision after the latest one told.
    next: Option<i64>,
}

impl Chain {
    /// Ordered, unique, reliable.
    fn follow(&mut self, operation: &Operation, rev: i64, model: &Model) -> Result<(), String> {
        if let Some(next) = self.next {
            if rev < next {
                return Err(format!("got rev {rev} after rev {}", next - 1));
            }
            let missed = model.first_match(&operation.path(), next);
            if let Some(missed) = missed.filter(|missed| *missed < rev) {
                return Err(format!("got rev {rev}, and never rev {missed}"));
            }
        }
        self.next = Some(rev + 1);
        Ok(())
    }
}

/// Bookmarkable.
fn check_bookmarks(history: &[Operation], model: &Model) -> Result<(), Violation> {
    let mut waits: BTreeMap<usize, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        if operation.verb() == Some(Verb::Wait) {
            waits.entry(operation.conn).or_default().push(operation);
            continue;
        }
        let (Some(Verb::Rev), Some((told, response))) = (operation.verb(), &operation.answer)
        else {
            continue;
        };
        let Some(rev) = response.rev else { continue };
        let open = waits.get(&operation.conn).into_iter().flatten();
        for wait in open.filter(|wait| wait.answer.as_ref().is_none_or(|(at, _)| at > told)) {
            let from = wait.request.rev.unwrap_or_default();
            let pattern = wait.path();
            if let Some(missed) = model
                .first_match(&pattern, from)
                .filter(|first| *first <= rev)
            {
                let (client, pattern) = (wait.client, String::from_utf8_lossy(&pattern));
                let detail = format!(
                    "client {client} waited for {pattern} from rev {from}; it was told rev {rev} \
                     before rev {missed}"
                );
                return Err(Violation::new(PROPERTY, detail));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
