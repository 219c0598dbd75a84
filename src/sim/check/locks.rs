//! A lock has one holder at a time, by revisions and by what its clients believe.
//!
//! By revisions: whoever takes a lock finds it free, and who frees it held it. By belief: a client
//! holds a lock from the first answer that tells it so until it first asks to free it; the times of
//! two clients do not overlap, and a look at the lock in that time shows nobody else.

use std::collections::BTreeMap;

use super::Violation;
use crate::core::protocol::client::Verb;
use crate::sim::client::holder_of;
use crate::sim::history::{Operation, Outcome};
use crate::sim::model::Model;

/// The property, as a sentence.
pub const PROPERTY: &str = "a lock has one holder at a time";

/// Checks this many locks.
pub fn check(history: &[Operation], model: &Model, keys: u64) -> Result<(), Violation> {
    for key in 0..keys {
        let path = format!("/lock/{key}");
        check_revisions(model, &path)?;
        check_beliefs(history, &path)?;
    }
    Ok(())
}

fn check_revisions(model: &Model, path: &str) -> Result<(), Violation> {
    let mut holder = None;
    for (rev, value) in model.versions(path.as_bytes()) {
        let value = value.as_deref().unwrap_or_default();
        let next = holder_of(value);
        let by: Option<usize> = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.get(1..)?.split_once('.')?.0.parse().ok());
        if holder.is_some() && (next.is_some() || by != holder) {
            let detail = format!("{path} at rev {rev} goes from {holder:?} to {next:?} by {by:?}");
            return Err(Violation::new(PROPERTY, detail));
        }
        holder = next;
    }
    Ok(())
}

/// A time in which a client believes that it holds a lock, in events of the trace.
#[derive(Debug)]
struct Hold<'a> {
    client: usize,
    /// What the lock contains while it lasts.
    content: &'a [u8],
    from: u64,
    until: u64,
}

impl<'a> Hold<'a> {
    fn new(client: usize, content: &'a [u8], from: u64) -> Hold<'a> {
        let until = u64::MAX;
        Hold {
            client,
            content,
            from,
            until,
        }
    }
}

fn check_beliefs(history: &[Operation], path: &str) -> Result<(), Violation> {
    let here: Vec<&Operation> = history
        .iter()
        .filter(|operation| operation.request.path.as_deref() == Some(path.as_bytes()))
        .collect();
    let mut holds = holds(&here);
    holds.sort_unstable_by_key(|hold| hold.from);
    for pair in holds.windows(2) {
        if pair[0].until > pair[1].from {
            let detail = format!("{path}: {:?} and {:?}", pair[0], pair[1]);
            return Err(Violation::new(PROPERTY, detail));
        }
    }
    for look in here.iter().filter(|one| one.verb() == Some(Verb::Get)) {
        let Some((answered, response)) = &look.answer else {
            continue;
        };
        let during = holds.iter().find(|hold| {
            hold.client == look.client && hold.from < look.invoked && *answered < hold.until
        });
        let value = response.value.as_deref().unwrap_or_default();
        if during.is_some_and(|hold| hold.content != value) && response.error().is_none() {
            let detail = format!("{path} was lost by its holder: {look:?}");
            return Err(Violation::new(PROPERTY, detail));
        }
    }
    Ok(())
}

fn holds<'a>(here: &[&'a Operation]) -> Vec<Hold<'a>> {
    // By the content that took the lock: it is written once.
    let mut holds: BTreeMap<&[u8], Hold<'a>> = BTreeMap::new();
    let mut names: BTreeMap<usize, usize> = BTreeMap::new();
    for operation in here.iter().filter(|one| one.verb() == Some(Verb::Set)) {
        let value = operation.request.value.as_deref().unwrap_or_default();
        if let Some(name) = holder_of(value) {
            names.insert(name, operation.client);
            if let (Outcome::Done(_), Some((from, _))) = (operation.outcome(), &operation.answer) {
                holds.insert(value, Hold::new(operation.client, value, *from));
            }
        }
    }
    // Who never heard of its success may see it.
    for operation in here.iter().filter(|one| one.verb() == Some(Verb::Get)) {
        let Some((from, response)) = &operation.answer else {
            continue;
        };
        let value = response.value.as_deref().unwrap_or_default();
        let is_own =
            holder_of(value).is_some_and(|name| names.get(&name) == Some(&operation.client));
        if is_own && response.error().is_none() {
            let new = Hold::new(operation.client, value, *from);
            let hold = holds.entry(value).or_insert(new);
            hold.from = hold.from.min(*from);
        }
    }
    for operation in here.iter().filter(|one| one.verb() == Some(Verb::Set)) {
        let value = operation.request.value.as_deref().unwrap_or_default();
        if holder_of(value).is_some() {
            continue;
        }
        for hold in holds.values_mut() {
            if hold.client == operation.client && hold.from < operation.invoked {
                hold.until = hold.until.min(operation.invoked);
            }
        }
    }
    holds.into_values().collect()
}

#[cfg(test)]
mod tests;
