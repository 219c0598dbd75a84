//! Every revision of the node, in order, asked for ahead of the answers.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use crate::client::{Client, Error, Event};
use crate::core::id::Rev;

/// Revisions that are asked for at a time. A thread that has thousands of watchers to tell gets
/// round to its questions only a few times a second, and has to get by with these until the next.
const ASKED_MAX: u64 = 512;

/// Every revision from one on.
pub(super) struct Ahead {
    client: Client,
    /// The next one to give.
    next: Rev,
    /// The last one that is wanted.
    last: Rev,
    /// Questions for the revisions from `next` on.
    asked: VecDeque<JoinHandle<Result<Event, Error>>>,
}

impl Ahead {
    /// All revisions between these two; those that have not come are waited for.
    pub(super) fn new(client: Client, first: Rev, last: Rev) -> Ahead {
        Ahead {
            client,
            next: first,
            last,
            asked: VecDeque::new(),
        }
    }

    /// The next event. Nothing after the last, or when the runtime ends.
    pub(super) async fn next(&mut self) -> Option<Result<Event, Error>> {
        let wanted = (self.last.0 + 1).saturating_sub(self.next.0);
        while (self.asked.len() as u64) < wanted.min(ASKED_MAX) {
            let rev = Rev(self.next.0 + self.asked.len() as u64);
            let client = self.client.clone();
            let asking = async move { client.wait("/**", rev).await };
            self.asked.push_back(tokio::spawn(asking));
        }
        let event = self.asked.front_mut()?.await.ok();
        self.asked.pop_front();
        self.next = self.next.next();
        event
    }

    /// Whether the next event is there already.
    pub(super) fn is_there(&self) -> bool {
        self.asked.front().is_some_and(JoinHandle::is_finished)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        for asking in &self.asked {
            asking.abort();
        }
    }
}
