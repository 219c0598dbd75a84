//! Write-ahead, in one place: what waits for a record is held until the record is durable.

use std::collections::VecDeque;

use crate::core::env::RecordId;

/// The log of a process that keeps nothing on disk: each record is durable at once. What is sent
/// goes through it all the same, so that the rule holds for any log.
#[derive(Debug)]
pub(super) struct Journal<T> {
    appended: u64,
    durable: u64,
    held: VecDeque<(RecordId, T)>,
}

impl<T> Journal<T> {
    pub(super) fn in_memory() -> Journal<T> {
        Journal {
            appended: 0,
            durable: 0,
            held: VecDeque::new(),
        }
    }

    /// Counts a record, which is durable.
    pub(super) fn append(&mut self) -> RecordId {
        let id = self.append_undurable();
        self.durable = self.appended;
        id
    }

    /// Gives `effect` back if it may leave, and holds it otherwise.
    pub(super) fn admit(&mut self, after: Option<RecordId>, effect: T) -> Option<T> {
        match after {
            Some(record) if record.0 > self.durable => {
                assert!(
                    record.0 <= self.appended,
                    "nothing waits for what is not written"
                );
                self.held.push_back((record, effect));
                None
            }
            _ => Some(effect),
        }
    }

    /// The next effect that was held and may leave.
    pub(super) fn release(&mut self) -> Option<T> {
        let nth = self
            .held
            .iter()
            .position(|(after, _)| after.0 <= self.durable)?;
        self.held.remove(nth).map(|(_, effect)| effect)
    }

    fn append_undurable(&mut self) -> RecordId {
        self.appended += 1;
        RecordId(self.appended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_record_leaves_when_that_is_durable() {
        let mut journal = Journal::in_memory();
        let first = journal.append();
        assert_eq!(first, RecordId(1));
        assert_eq!(journal.admit(Some(first), 'a'), Some('a'));
        let second = journal.append_undurable();
        let third = journal.append_undurable();
        assert_eq!(journal.admit(Some(third), 'c'), None);
        assert_eq!(journal.admit(Some(second), 'b'), None);
        assert_eq!(journal.admit(None, 'd'), Some('d'));
        assert_eq!(journal.release(), None);
        journal.durable = second.0;
        assert_eq!(journal.release(), Some('b'));
        assert_eq!(journal.release(), None);
        journal.durable = third.0;
        assert_eq!(journal.release(), Some('c'));
    }
}
