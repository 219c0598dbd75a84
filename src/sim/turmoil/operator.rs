//! The operator: gives away the slots of members that are dead, as people do.

use super::stage::Stage;
use crate::core::protocol::client::{REV_MISSING, Request, Response, Verb};
use crate::sim::client::{get, set};

/// A client that looks at one slot after the other, and clears those whose member is dead.
#[derive(Debug)]
pub(super) struct Operator {
    slots: usize,
    at: usize,
    /// The revision at which the slot was seen to hold a dead process.
    stale: Option<i64>,
    /// Slots in a row that were seen to hold living processes, since faults ended.
    fine: usize,
}

impl Operator {
    /// For a cluster of this many members.
    pub(super) fn new(slots: usize) -> Operator {
        Operator {
            slots,
            at: 0,
            stale: None,
            fine: 0,
        }
    }

    /// What to ask next; `None` when faults have ended and all slots hold living processes.
    pub(super) fn next(&mut self) -> Option<Request> {
        if self.fine == self.slots {
            return None;
        }
        let path = format!("/ctl/cal/{}", self.at);
        Some(match self.stale.take() {
            Some(rev) => set(path, "", rev),
            None => get(path),
        })
    }

    /// A request was answered, or its outcome will never be known.
    pub(super) fn ended(&mut self, stage: &Stage, request: &Request, response: Option<&Response>) {
        let found = response.filter(|_| request.verb == Some(Verb::Get as i32));
        let id = found.and_then(|response| response.value.as_ref());
        let id = id.filter(|id| !id.is_empty());
        let is_fine = id.is_some_and(|id| stage.is_alive(id));
        self.fine = if is_fine && stage.is_calm.get() {
            self.fine + 1
        } else {
            0
        };
        if id.is_some() && !is_fine {
            let rev = found.and_then(|response| response.rev);
            self.stale = Some(rev.unwrap_or(REV_MISSING));
        } else {
            self.at = (self.at + 1) % self.slots;
        }
    }
}
