//! What happens in the store, read once for all who watch.
//!
//! One task asks the node for every revision, in order, and keeps the latest, written as they are
//! sent. Watchers take them from there at their own pace, in groups, which those share that watch the
//! same pattern and are equally far; whoever is further behind asks the node itself. So many watchers
//! cost the node no more than one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::event::{Group, Told};
use crate::client::{Client, Error, Follower};
use crate::core::id::Rev;
use crate::core::store::Glob;

/// Events that are kept, in number and in bytes.
const EVENTS_MAX: usize = 4_096;
const BYTES_MAX: usize = 32 << 20;

/// Revisions that the node is asked for ahead, or half of them. A thread that has thousands of watchers to tell gets
/// round to its questions only a few times a second, and has to get by with these until the next.
const ASKED_MAX: usize = 512;

/// How long the news waits for more of it, for each of those that it goes to. One is told at once; for
/// thousands it would cost more to send them every event by itself than it takes to read it.
const PAUSE_PER_WATCHER: Duration = Duration::from_micros(10);

/// The shortest pause: timers have milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(1);

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
    events: VecDeque<Told>,
    /// What was taken last: by whom of which pattern, from where on, and when nothing was after it.
    shared: Option<Shared>,
    bytes: usize,
    /// The revision after the last event.
    next: Rev,
    /// The node could not be asked any more.
    has_ended: bool,
}

/// A group for those who watch a pattern from a revision on, as long as no event comes after the last.
struct Shared {
    glob: Glob,
    from: Rev,
    end: Rev,
    group: Group,
}

/// What there is for a watcher.
pub(super) enum Taken {
    /// Events from the revision on that was asked for.
    Events(Group),
    /// What is before this revision is not kept any more.
    Forgotten(Rev),
    /// There will be nothing more.
    Ended,
}

impl Feed {
    /// Begins to read, for as long as somebody holds the feed.
    pub(super) async fn start(client: Client) -> Result<Arc<Feed>, Error> {
        let next = client.rev().await?.next();
        let events = client.follow(&client.report().await?.lineage, next);
        let events = events.ahead(ASKED_MAX, Rev(u64::MAX));
        Ok(Arc::new_cyclic(|feed| Feed {
            kept: Mutex::new(Kept {
                events: VecDeque::new(),
                shared: None,
                bytes: 0,
                next,
                has_ended: false,
            }),
            news: watch::Sender::new(()),
            reading: tokio::spawn(read(Weak::clone(feed), events)),
        }))
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.kept().has_ended
    }

    /// Waits for a revision. It is there, or forgotten, or the feed has ended.
    pub(super) async fn reach(&self, rev: Rev) {
        let mut news = self.news.subscribe();
        while !self.has_reached(rev) {
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    fn has_reached(&self, rev: Rev) -> bool {
        let kept = self.kept();
        rev < kept.next || kept.has_ended
    }

    /// Waits for events from a revision on, for somebody who watches a pattern.
    pub(super) async fn take(&self, glob: &Glob, from: Rev) -> Taken {
        let mut news = self.news.subscribe();
        loop {
            if let Some(taken) = self.kept().take(glob, from) {
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
    fn take(&mut self, glob: &Glob, from: Rev) -> Option<Taken> {
        let first = self.events.front().map_or(self.next, |event| event.rev);
        if from < first {
            return Some(Taken::Forgotten(first));
        }
        if from >= self.next {
            return self.has_ended.then_some(Taken::Ended);
        }
        if let Some(shared) = &self.shared
            && (shared.from, shared.end) == (from, self.next)
            && shared.glob == *glob
        {
            return Some(Taken::Events(shared.group.clone()));
        }
        let at = self.events.partition_point(|event| event.rev < from);
        let group = Group::of(self.events.range(at..), from, glob);
        self.shared = Some(Shared {
            glob: glob.clone(),
            from,
            end: self.next,
            group: group.clone(),
        });
        Some(Taken::Events(group))
    }

    fn push(&mut self, event: Told) {
        self.next = event.rev.next();
        self.bytes += event.text.len();
        self.events.push_back(event);
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            match self.events.pop_front() {
                Some(oldest) => self.bytes -= oldest.text.len(),
                None => return,
            }
        }
    }
}

async fn read(feed: Weak<Feed>, mut events: Follower) {
    loop {
        let event = events.next().await;
        let Some(feed) = feed.upgrade() else { return };
        match event {
            Ok(event) => feed.kept().push(Told::of(&event)),
            // Whoever watches asks the node itself then, and hears what is wrong.
            Err(_) => {
                feed.kept().has_ended = true;
                feed.news.send_replace(());
                return;
            }
        }
        // Whoever is woken finds all that is there.
        if events.is_there() {
            continue;
        }
        let watchers = u32::try_from(feed.news.receiver_count()).unwrap_or(u32::MAX);
        feed.news.send_replace(());
        drop(feed);
        let pause = PAUSE_PER_WATCHER.saturating_mul(watchers);
        if pause >= PAUSE_MIN {
            sleep(pause).await;
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
            shared: None,
            bytes: 0,
            next: Rev(1),
            has_ended: false,
        }
    }

    fn glob(pattern: &str) -> Glob {
        Glob::parse(pattern.as_bytes()).unwrap()
    }

    fn event(rev: u64, bytes: usize) -> Told {
        let mut told = Told::of(&Event {
            path: "/x".into(),
            rev: Rev(rev),
            change: Change::Nop,
        });
        told.text = (rev.to_string() + &" ".repeat(bytes)).into();
        told
    }

    #[test]
    fn each_revision_is_told_once_in_order_or_is_known_to_be_forgotten() {
        let mut kept = kept();
        let all = glob("/**");
        assert!(kept.take(&all, Rev(1)).is_none());
        for rev in 1..=EVENTS_MAX as u64 + 10 {
            kept.push(event(rev, 1));
        }
        let forgotten = kept.take(&all, Rev(10));
        assert!(matches!(forgotten, Some(Taken::Forgotten(Rev(11)))));
        let (mut next, mut seen) = (Rev(11), String::new());
        while let Some(Taken::Events(group)) = kept.take(&all, next) {
            seen.push_str(std::str::from_utf8(&group.text).unwrap());
            next = group.next;
        }
        let expected: String = (11..next.0).map(|rev| format!("{rev} ")).collect();
        assert_eq!(seen, expected);
        assert_eq!(next, kept.next);
    }

    #[test]
    fn a_group_is_shared_by_those_who_are_equally_far_and_watch_the_same() {
        let mut kept = kept();
        for rev in 1..=10 {
            kept.push(event(rev, 1));
        }
        let take = |kept: &mut Kept, pattern: &str, from| match kept.take(&glob(pattern), from) {
            Some(Taken::Events(group)) => (group.text, group.count, group.next),
            _ => panic!("no events"),
        };
        let first = take(&mut kept, "/x", Rev(3));
        let again = take(&mut kept, "/x", Rev(3));
        assert_eq!(first.0.as_ptr(), again.0.as_ptr());
        assert_eq!((first.1, first.2), (8, Rev(11)));
        assert_eq!(take(&mut kept, "/y", Rev(3)), ("".into(), 0, Rev(11)));
        assert_eq!(take(&mut kept, "/x", Rev(4)).1, 7);
        kept.push(event(11, 1));
        assert_eq!(take(&mut kept, "/x", Rev(4)).1, 8);
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let mut kept = kept();
        for rev in 1..=100 {
            kept.push(event(rev, 1 << 20));
        }
        assert!(kept.bytes <= BYTES_MAX);
        assert_eq!(kept.events.len(), (BYTES_MAX >> 20) - 1);
        kept.has_ended = true;
        assert!(matches!(
            kept.take(&glob("/**"), Rev(101)),
            Some(Taken::Ended)
        ));
    }
}
