//! What happens in the store, read once for all who watch.
//!
//! One task asks the node for every revision, in order, and keeps the latest, written as they are
//! sent. Watchers read them from there at their own pace and pick what they want; whoever is further
//! behind asks the node itself. So many watchers cost the node no more than one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ahead::Ahead;
use super::event::Told;
use crate::client::Client;
use crate::core::id::Rev;

/// Events that are kept, in number and in bytes.
const EVENTS_MAX: usize = 4_096;
const BYTES_MAX: usize = 32 << 20;

/// Events that a watcher takes at a time.
const TAKEN_MAX: usize = 256;

/// The latest events.
pub(super) struct Feed {
    kept: Mutex<Kept>,
    news: watch::Sender<()>,
    reading: JoinHandle<()>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

struct Kept {
    events: VecDeque<Arc<Told>>,
    bytes: usize,
    /// The revision after the last event.
    next: Rev,
    /// The node could not be asked any more.
    has_ended: bool,
}

/// What there is for a watcher.
pub(super) enum Taken {
    /// Events from the revision on that was asked for, and the revision after them.
    Events(Vec<Arc<Told>>, Rev),
    /// What is before this revision is not kept any more.
    Forgotten(Rev),
    /// There will be nothing more.
    Ended,
}

impl Feed {
    /// Begins to read, for as long as somebody holds the feed.
    pub(super) async fn start(client: Client) -> Result<Arc<Feed>, crate::client::Error> {
        let next = client.rev().await?.next();
        Ok(Arc::new_cyclic(|feed| Feed {
            kept: Mutex::new(Kept {
                events: VecDeque::new(),
                bytes: 0,
                next,
                has_ended: false,
            }),
            news: watch::Sender::new(()),
            reading: tokio::spawn(read(Weak::clone(feed), client, next)),
        }))
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.kept().has_ended
    }

    /// Waits for events from a revision on.
    pub(super) async fn take(&self, from: Rev) -> Taken {
        let mut news = self.news.subscribe();
        loop {
            if let Some(taken) = self.kept().from(from) {
                return taken;
            }
            if news.changed().await.is_err() {
                return Taken::Ended;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn from(&self, from: Rev) -> Option<Taken> {
        let first = self.events.front().map_or(self.next, |event| event.rev);
        if from < first {
            return Some(Taken::Forgotten(first));
        }
        let at = self.events.partition_point(|event| event.rev < from);
        let taken: Vec<_> = self.events.range(at..).take(TAKEN_MAX).cloned().collect();
        match taken.last() {
            Some(last) => {
                let next = last.rev.next();
                Some(Taken::Events(taken, next))
            }
            None => self.has_ended.then_some(Taken::Ended),
        }
    }

    fn push(&mut self, event: Told) {
        self.next = event.rev.next();
        self.bytes += event.text.len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            match self.events.pop_front() {
                Some(oldest) => self.bytes -= oldest.text.len(),
                None => return,
            }
        }
    }
}

async fn read(feed: Weak<Feed>, client: Client, next: Rev) {
    let mut events = Ahead::new(client, next, Rev(u64::MAX - 1));
    loop {
        let event = events.next().await;
        let Some(feed) = feed.upgrade() else { return };
        match event {
            Some(Ok(event)) => feed.kept().push(Told::of(&event)),
            // Whoever watches asks the node itself then, and hears what is wrong.
            Some(Err(_)) | None => {
                feed.kept().has_ended = true;
                feed.news.send_replace(());
                return;
            }
        }
        // Whoever is woken finds all that is there.
        if !events.is_there() {
            feed.news.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Change, Event};

    fn kept() -> Kept {
        Kept {
            events: VecDeque::new(),
            bytes: 0,
            next: Rev(1),
            has_ended: false,
        }
    }

    fn event(rev: u64, bytes: usize) -> Told {
        let mut told = Told::of(&Event {
            path: "/x".into(),
            rev: Rev(rev),
            change: Change::Nop,
        });
        told.text = vec![0; bytes].into();
        told
    }

    #[test]
    fn each_revision_is_told_once_in_order_or_is_known_to_be_forgotten() {
        let mut kept = kept();
        assert!(kept.from(Rev(1)).is_none());
        for rev in 1..=EVENTS_MAX as u64 + 10 {
            kept.push(event(rev, 1));
        }
        let forgotten = kept.from(Rev(10));
        assert!(matches!(forgotten, Some(Taken::Forgotten(Rev(11)))));
        let (mut next, mut seen) = (Rev(11), 11);
        while let Some(Taken::Events(events, after)) = kept.from(next) {
            for event in events {
                assert_eq!(event.rev, Rev(seen));
                seen += 1;
            }
            next = after;
        }
        assert_eq!(next, kept.next);
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let mut kept = kept();
        for rev in 1..=100 {
            kept.push(event(rev, 1 << 20));
        }
        assert_eq!(kept.bytes, BYTES_MAX);
        assert_eq!(kept.events.len(), BYTES_MAX >> 20);
        kept.has_ended = true;
        assert!(matches!(kept.from(Rev(101)), Some(Taken::Ended)));
    }
}
