//! What happens in the store, read once for all who watch.
//!
//! One task asks the node for every revision, in order, and keeps the latest. Watchers read them from
//! there at their own pace and pick what they want; whoever is further behind asks the node itself.
//! So many watchers cost the node no more than one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use crate::client::{Change, Client, Event};
use crate::core::id::Rev;

/// Events that are kept, in number and in bytes of their values.
const EVENTS_MAX: usize = 4_096;
const BYTES_MAX: usize = 32 << 20;

/// Events that a watcher takes at a time.
const TAKEN_MAX: usize = 256;

/// The latest events.
pub(super) struct Feed {
    kept: Mutex<Kept>,
    news: watch::Sender<()>,
}

struct Kept {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The revision after the last event.
    next: Rev,
    /// The node could not be asked any more.
    has_ended: bool,
}

/// What there is for a watcher.
pub(super) enum Taken {
    /// Events from the revision on that was asked for, and the revision after them.
    Events(Vec<Arc<Event>>, Rev),
    /// The revision is not kept any more.
    Forgotten,
    /// There will be nothing more.
    Ended,
}

impl Feed {
    /// Begins to read, for as long as somebody holds the feed.
    pub(super) async fn start(client: Client) -> Result<Arc<Feed>, crate::client::Error> {
        let next = client.rev().await?.next();
        let feed = Arc::new(Feed {
            kept: Mutex::new(Kept {
                events: VecDeque::new(),
                bytes: 0,
                next,
                has_ended: false,
            }),
            news: watch::Sender::new(()),
        });
        tokio::spawn(read(Arc::downgrade(&feed), client, next));
        Ok(feed)
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
            return Some(Taken::Forgotten);
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

    fn push(&mut self, event: Event) {
        self.next = event.rev.next();
        self.bytes += size(&event);
        self.events.push_back(Arc::new(event));
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            match self.events.pop_front() {
                Some(oldest) => self.bytes -= size(&oldest),
                None => return,
            }
        }
    }
}

fn size(event: &Event) -> usize {
    match &event.change {
        Change::Set(value) => value.len(),
        Change::Del | Change::Nop => 0,
    }
}

async fn read(feed: Weak<Feed>, client: Client, mut next: Rev) {
    loop {
        let event = client.wait("/**", next).await;
        let Some(feed) = feed.upgrade() else { return };
        match event {
            Ok(event) => {
                next = event.rev.next();
                feed.kept().push(event);
            }
            // Whoever watches asks the node itself then, and hears what is wrong.
            Err(_) => {
                feed.kept().has_ended = true;
                feed.news.send_replace(());
                return;
            }
        }
        feed.news.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        Kept {
            events: VecDeque::new(),
            bytes: 0,
            next: Rev(1),
            has_ended: false,
        }
    }

    fn event(rev: u64, bytes: usize) -> Event {
        Event {
            path: "/x".into(),
            rev: Rev(rev),
            change: Change::Set(vec![0; bytes].into()),
        }
    }

    #[test]
    fn each_revision_is_told_once_in_order_or_is_known_to_be_forgotten() {
        let mut kept = kept();
        assert!(kept.from(Rev(1)).is_none());
        for rev in 1..=EVENTS_MAX as u64 + 10 {
            kept.push(event(rev, 1));
        }
        assert!(matches!(kept.from(Rev(10)), Some(Taken::Forgotten)));
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
