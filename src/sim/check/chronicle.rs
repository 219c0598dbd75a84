//! The sequence of events as nodes apply it, for those that forget how it began.

use crate::core::id::Rev;
use crate::core::store::Store;
use crate::sim::model::Event;

/// Every event, from the first node that had it applied.
#[derive(Debug, Default)]
pub struct Chronicle {
    events: Vec<Event>,
}

impl Chronicle {
    /// Takes in what a node has applied and none had before, as far as the node still knows it, and
    /// shows it.
    pub fn note(&mut self, store: &Store) -> &[Event] {
        let next = Rev(self.events.len() as u64 + 1);
        if store.rev() < next || store.oldest() > next {
            return &[];
        }
        self.events.extend(store.events(next).map(|event| Event {
            path: event.path.as_str().to_owned().into(),
            value: event.value.0.clone(),
            flags: event.flags(),
        }));
        &self.events[next.0 as usize - 1..]
    }

    /// What came after a revision is given up.
    pub fn truncate(&mut self, rev: Rev) {
        self.events
            .truncate(usize::try_from(rev.0).unwrap_or(usize::MAX));
    }

    /// The latest revision.
    pub fn rev(&self) -> i64 {
        self.events.len() as i64
    }

    /// The events with their revisions.
    pub fn events(&self) -> impl Iterator<Item = (i64, &Event)> {
        (1..).zip(&self.events)
    }
}
