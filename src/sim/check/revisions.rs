//! Revisions and slots never decrease: on a node while it lives, and for a client on a connection.

use std::collections::BTreeMap;

use super::Violation;
use crate::core::id::NodeId;
use crate::core::protocol::client::Verb;
use crate::sim::history::Operation;
use crate::sim::machine::View;

/// The property, as a sentence.
pub const PROPERTY: &str = "revisions never decrease";

/// Compares what a node shows with what it has shown before.
pub fn check_node(node: NodeId, before: Option<&View>, view: &View) -> Result<(), Violation> {
    let View { applied, rev, .. } = *before.unwrap_or(view);
    if view.applied >= applied && view.rev >= rev {
        return Ok(());
    }
    let detail = format!(
        "{node} went from slot {applied}, rev {rev} to slot {}, rev {}",
        view.applied, view.rev
    );
    Err(Violation::new(PROPERTY, detail))
}

/// Checks the answers to REV: one that was asked after another was answered, on the same
/// connection, is not lower; and nobody hears of a revision that does not exist.
pub fn check_sessions(history: &[Operation], last: i64) -> Result<(), Violation> {
    let mut floors: BTreeMap<usize, Vec<(u64, i64)>> = BTreeMap::new();
    for operation in history {
        let Some((answered, response)) = &operation.answer else {
            continue;
        };
        let (Some(Verb::Rev), Some(rev)) = (operation.verb(), response.rev) else {
            continue;
        };
        let earlier = floors.entry(operation.conn).or_default();
        let before = earlier.iter().filter(|(at, _)| *at < operation.invoked);
        let floor = before.map(|(_, rev)| *rev).max().unwrap_or(0);
        if rev < floor || rev > last {
            let detail = format!(
                "client {} heard of rev {rev} after rev {floor} on one connection; the last is {last}",
                operation.client
            );
            return Err(Violation::new(PROPERTY, detail));
        }
        earlier.push((*answered, rev));
    }
    Ok(())
}
