//! Nobody is told that a revision is forgotten while it must be retained.

use super::Violation;
use super::linearizability::births;
use crate::core::protocol::client::ErrorCode;
use crate::sim::history::Operation;
use crate::sim::model::Model;

/// The property, as a sentence.
pub const PROPERTY: &str = "nodes retain as much history as they were told to";

/// Checks every answer that says TOO_LATE: as nodes retain `revs` revisions, as many must have
/// followed the one asked for before the answer was given. `latest` is the last revision that there
/// is, also if it is behind those that are judged.
pub fn check(
    history: &[Operation],
    model: &Model,
    revs: i64,
    latest: i64,
) -> Result<(), Violation> {
    let mut existed = None;
    for operation in history {
        let Some((answered, response)) = &operation.answer else {
            continue;
        };
        if response.error() != Some(ErrorCode::TooLate) {
            continue;
        }
        let births = existed.get_or_insert_with(|| births(history, model));
        let last = match births.partition_point(|birth| birth < answered) as i64 {
            all if all == model.rev() => latest,
            some => some,
        };
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
