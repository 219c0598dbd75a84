//! Every revision of the node, in order, asked for ahead of the answers.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use crate::client::{Client, Error, Event};
use crate::core::id::Rev;

/// Every revision from one on.
pub(super) struct Ahead {
    client: Client,
    /// The next one to give.
    next: Rev,
    /// The last one that is wanted.
    last: Rev,
    /// How many may be asked for at a time.
    width: usize,
    /// Questions for the revisions from `next` on.
    asked: VecDeque<JoinHandle<Result<Event, Error>>>,
}

impl Ahead {
    /// All revisions from `first` to `last`, `width` of which are asked for at a time; those that have
    /// not come are waited for.
    pub(super) fn new(client: Client, first: Rev, last: Rev, width: usize) -> Ahead {
        Ahead {
            client,
            next: first,
            last,
            width,
            asked: VecDeque::new(),
        }
    }

    /// The next event. Nothing after the last, or when the runtime ends.
    pub(super) async fn next(&mut self) -> Option<Result<Event, Error>> {
        while self.asked.len() < self.width {
            let rev = Rev(self.next.0 + self.asked.len() as u64);
            if rev > self.last {
                break;
            }
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
