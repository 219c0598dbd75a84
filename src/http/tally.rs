//! What has been asked for over HTTP, in numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What has been asked for over HTTP so far, and who watches.
#[derive(Debug, Default)]
pub(super) struct Tally {
    answers: Mutex<BTreeMap<u16, u64>>,
    watchers: Arc<AtomicU64>,
    events: AtomicU64,
    stalled: AtomicU64,
}

/// One of those who watch, for as long as it lives.
pub(super) struct Watcher(Arc<AtomicU64>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Tally {
    /// Counts an answer by its status.
    pub(super) fn answer(&self, status: u16) {
        let answers = self.answers.lock();
        let mut answers = answers.unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status).or_default() += 1;
    }

    /// Somebody begins to watch.
    pub(super) fn watcher(&self) -> Watcher {
        self.watchers.fetch_add(1, Relaxed);
        Watcher(Arc::clone(&self.watchers))
    }

    /// Counts events that a watcher is sent.
    pub(super) fn events(&self, count: u64) {
        self.events.fetch_add(count, Relaxed);
    }

    /// Counts a watcher that was dropped.
    pub(super) fn stalled(&self) {
        self.stalled.fetch_add(1, Relaxed);
    }

    /// All of it as it is now.
    pub(super) fn counts(&self) -> Counts {
        let answers = self.answers.lock();
        let answers = answers.unwrap_or_else(PoisonError::into_inner);
        Counts {
            answers: answers.clone(),
            watchers: self.watchers.load(Relaxed),
            events: self.events.load(Relaxed),
            stalled: self.stalled.load(Relaxed),
        }
    }
}

/// A [`Tally`] at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Answers by their status.
    pub(super) answers: BTreeMap<u16, u64>,
    /// Those who watch now.
    pub(super) watchers: u64,
    /// Events that watchers were sent.
    pub(super) events: u64,
    /// Watchers that were dropped as they took nothing.
    pub(super) stalled: u64,
}
