//! Nobody is told that a revision is forgotten while it must be retained.

use super::Violation;
use super::linearizability::births;
use crate::core::protocol::client::ErrorCode;
use crate::sim::history::Operation;
use crate::sim::model::Model;

/// The property, as a sentence.
pub const PROPERTY: &str = "nodes retain as much history as they were told to";

/// Checks every answer that says TOO_LATE: as nodes retain `revs` revisions, as many must have
/// followed the one asked for before the answer was given.
pub fn check(history: &[Operation], model: &Model, revs: i64) -> Result<(), Violation> {
    let mut existed = None;
    for operation in history {
        let Some((answered, response)) = &operation.answer else {
            continue;
        };
        if response.error() != Some(ErrorCode::TooLate) {
            continue;
        }
        let births = existed.get_or_insert_with(|| births(history, model));
        let last = births.partition_point(|birth| birth < answered) as i64;
        let asked = operation.request.rev.map(|rev| rev.max(1));
        if asked.is_none_or(|asked| asked > last.saturating_sub(revs)) {
            let detail = format!(
                "client {} was told so when there were {last} revisions, of which {revs} are \
                 retained: {:?}",
                operation.client, operation.request
            );
            return Err(Violation::new(PROPERTY, detail));
        }
    }
    Ok(())
}
