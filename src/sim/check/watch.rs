//! A watcher that begins each WAIT right after the last answer sees every matching event, once, in
//! order, on whatever nodes it asks.

use super::Violation;
use super::sequence::event_of;
use crate::core::protocol::client::{ErrorCode, Verb};
use crate::sim::history::Operation;
use crate::sim::model::Model;

/// The property, as a sentence.
pub const PROPERTY: &str = "a watch has no gap, no duplicate, and is in order";

/// Checks every answer to WAIT: it is the first event at or after the revision asked for that
/// matches. With chains of WAITs that is completeness.
pub fn check(history: &[Operation], model: &Model) -> Result<(), Violation> {
    for operation in history {
        let (Some(Verb::Wait), Some((_, response))) = (operation.verb(), &operation.answer) else {
            continue;
        };
        let from = operation.request.rev.unwrap_or_default();
        let pattern = operation.path();
        let blame = |what: String| {
            let pattern = String::from_utf8_lossy(&pattern);
            let client = operation.client;
            let detail = format!("client {client} waited for {pattern} from rev {from}: {what}");
            Violation::new(PROPERTY, detail)
        };
        // A node that is overloaded or has no copy may say so; the watcher asks again. Whether it is
        // too late is judged elsewhere ([`super::edge`]).
        if let Some(ErrorCode::Other | ErrorCode::TooLate) = response.error() {
            continue;
        }
        let Some(rev) = response.rev else {
            return Err(blame(format!("refused with {:?}", response.error())));
        };
        if rev > model.rev() {
            continue;
        }
        let expected = model.first_match(&pattern, from);
        if expected != Some(rev) {
            return Err(blame(format!("got rev {rev}, the first is {expected:?}")));
        }
        if model.event(rev) != Some(&event_of(response)) {
            return Err(blame(format!(
                "at rev {rev} is {:?}, got {response:?}",
                model.event(rev)
            )));
        }
    }
    Ok(())
}
