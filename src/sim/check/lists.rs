//! Appends to a list form one chain: nothing is lost, nothing forks, and nobody sees it shrink.
//!
//! A second opinion that does not look at revisions. Every item is appended once, by a client that
//! names all items before it, so that two appends behind the same item betray a lost update. The
//! chain orders all contents that anybody saw; time must not contradict it: what begins after
//! something ended sees a content at least as late. So there is no cycle among "was appended
//! before", "was seen before" and "ended before".

use std::collections::BTreeMap;

use super::Violation;
use crate::core::protocol::client::Verb;
use crate::sim::history::{Operation, Outcome};

/// The property, as a sentence.
pub const PROPERTY: &str = "appends to a list form one chain that nobody sees shrink";

/// Checks all lists.
pub fn check(history: &[Operation], keys: u64) -> Result<(), Violation> {
    for key in 0..keys {
        let path = format!("/list/{key}");
        let here = history
            .iter()
            .filter(|operation| operation.request.path.as_deref() == Some(path.as_bytes()));
        let here: Vec<&Operation> = here.collect();
        check_list(&here).map_err(|what| Violation::new(PROPERTY, format!("{path}: {what}")))?;
    }
    Ok(())
}

/// The last item of a list.
fn last_of(list: &[u8]) -> &[u8] {
    let items = list.strip_suffix(b",").unwrap_or(list);
    items
        .rsplit(|byte| *byte == b',')
        .next()
        .unwrap_or_default()
}

/// The item before the last one; empty if there is none.
fn previous_of(list: &[u8]) -> &[u8] {
    let items = list.strip_suffix(b",").unwrap_or(list);
    items
        .rsplit(|byte| *byte == b',')
        .nth(1)
        .unwrap_or_default()
}

fn check_list(here: &[&Operation]) -> Result<(), String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let appends = here.iter().filter(|one| one.verb() == Some(Verb::Set));
    let written: BTreeMap<&[u8], &[u8]> = appends
        .map(|one| one.request.value.as_deref().unwrap_or_default())
        .map(|list| (last_of(list), list))
        .collect();
    let mut after: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for list in here
        .iter()
        .filter_map(|one| shown(one))
        .filter(|list| !list.is_empty())
    {
        // Whoever saw an item saw all that its writer named before it.
        let mut list = list;
        loop {
            let last = last_of(list);
            if written.get(last) != Some(&list) {
                return Err(format!("nobody wrote {}", text(list)));
            }
            let previous = previous_of(list);
            match after.insert(previous, last) {
                None => {}
                Some(known) if known == last => break,
                Some(known) => {
                    let (one, other) = (text(known), text(last));
                    return Err(format!(
                        "{one} and {other} both follow '{}'",
                        text(previous)
                    ));
                }
            }
            match written.get(previous) {
                Some(earlier) => list = earlier,
                None => break,
            }
        }
    }
    let mut places: BTreeMap<&[u8], usize> = BTreeMap::from([(&b""[..], 0)]);
    let mut item: &[u8] = b"";
    while let Some(next) = after.get(item) {
        if places.insert(next, places.len()).is_some() {
            return Err(format!("{} comes twice", text(next)));
        }
        item = next;
    }
    check_time(here, &places)
}

/// The content that an operation shows to have been there: what it appended, or what it saw.
fn shown(operation: &Operation) -> Option<&[u8]> {
    let (_, response) = operation.answer.as_ref()?;
    if response.error().is_some() {
        return None;
    }
    match operation.verb()? {
        Verb::Set => match operation.outcome() {
            Outcome::Done(_) => operation.request.value.as_deref(),
            _ => None,
        },
        Verb::Get => Some(response.value.as_deref().unwrap_or_default()),
        _ => None,
    }
}

fn check_time(here: &[&Operation], places: &BTreeMap<&[u8], usize>) -> Result<(), String> {
    let mut steps: Vec<(u64, usize, bool)> = Vec::new();
    for (index, operation) in here.iter().enumerate() {
        let is_past = operation.request.local == Some(true)
            || (operation.verb() == Some(Verb::Get) && operation.request.rev.is_some());
        if let (false, Some(_), Some((at, _))) = (is_past, shown(operation), &operation.answer) {
            steps.push((operation.invoked, index, false));
            steps.push((*at, index, true));
        }
    }
    steps.sort_unstable();
    let mut latest = 0;
    let mut floors = vec![0; here.len()];
    for (_, index, is_end) in steps {
        if !is_end {
            floors[index] = latest;
            continue;
        }
        let list = shown(here[index]).unwrap_or_default();
        let item = if list.is_empty() { list } else { last_of(list) };
        let place = *places
            .get(item)
            .ok_or_else(|| format!("no chain leads to {item:?}"))?;
        if place < floors[index] {
            let floor = floors[index];
            return Err(format!(
                "item {place} is the last after {floor} were there: {:?}",
                here[index]
            ));
        }
        latest = latest.max(place);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
