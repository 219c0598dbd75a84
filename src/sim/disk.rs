//! The disk of a process: when its records are durable, and what waits for them.
//!
//! Effects name the record that they depend on; they are held here until it is durable. One sync
//! covers all records that were appended before it began (group commit). Two manners: every record
//! durable at once, as without a data directory, or after a delay. The content of records is not
//! kept: a process that crashes comes back without memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::chance::Dice;
use crate::core::durable::Record;
use crate::core::env::RecordId;

/// How long it takes until records are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// No time at all.
    AtOnce,
    /// A sync takes between half and three halves of this.
    Syncs(Duration),
}

/// The records of one process, and the effects that wait for them.
#[derive(Debug)]
pub struct Disk<T> {
    manner: Manner,
    dice: Dice,
    appended: RecordId,
    durable: RecordId,
    syncing: bool,
    held: VecDeque<(RecordId, T)>,
}

/// A sync has begun: it ends after this time, and makes all records up to this one durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// How long it takes.
    pub takes: Duration,
    /// What it covers.
    pub upto: RecordId,
}

impl<T> Disk<T> {
    /// An empty disk.
    pub fn new(manner: Manner, dice: Dice) -> Disk<T> {
        Disk {
            manner,
            dice,
            appended: RecordId(0),
            durable: RecordId(0),
            syncing: false,
            held: VecDeque::new(),
        }
    }

    /// Appends a record.
    pub fn append(&mut self, _record: Record) -> RecordId {
        self.appended = RecordId(self.appended.0 + 1);
        if self.manner == Manner::AtOnce {
            self.durable = self.appended;
        }
        self.appended
    }

    /// The last record.
    pub fn appended(&self) -> RecordId {
        self.appended
    }

    /// The last record that is durable.
    pub fn durable(&self) -> RecordId {
        self.durable
    }

    /// Whether there are records that would be lost if the machine failed now.
    pub fn is_unsynced(&self) -> bool {
        self.appended != self.durable
    }

    /// Gives an effect back if it may leave at once, else holds it.
    pub fn hold(&mut self, effect: T, after: Option<RecordId>) -> Option<T> {
        match after {
            Some(after) if after > self.durable => {
                assert!(after <= self.appended, "{after:?} was never recorded");
                self.held.push_back((after, effect));
                None
            }
            _ => Some(effect),
        }
    }

    /// Whether an effect waits for a record to become durable.
    pub fn holds_something(&self) -> bool {
        !self.held.is_empty()
    }

    /// Begins a sync if there is something to sync and none is under way.
    pub fn begin_sync(&mut self) -> Option<Sync> {
        let Manner::Syncs(usual) = self.manner else {
            return None;
        };
        if self.syncing || self.appended == self.durable {
            return None;
        }
        self.syncing = true;
        let usual = usual.as_micros() as u64;
        Some(Sync {
            takes: Duration::from_micros(self.dice.between(usual / 2, usual + usual / 2)),
            upto: self.appended,
        })
    }

    /// Ends a sync; returns the effects that may leave, in order.
    pub fn end_sync(&mut self, upto: RecordId) -> Vec<T> {
        assert!(self.syncing, "a sync ends that never began");
        assert!(upto >= self.durable, "durable records do not become less");
        self.syncing = false;
        self.durable = upto;
        let mut free = Vec::new();
        for (after, effect) in std::mem::take(&mut self.held) {
            if after <= upto {
                free.push(effect);
            } else {
                self.held.push_back((after, effect));
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::chance::{Chance, What};

    fn disk(manner: Manner) -> Disk<char> {
        Disk::new(manner, Chance::new(1).dice(What::Disk, 0))
    }

    #[test]
    fn effects_wait_for_their_record_and_for_nothing_else() {
        let mut disk = disk(Manner::Syncs(Duration::from_millis(1)));
        assert_eq!(disk.hold('a', None), Some('a'));
        let one = disk.append(Record::Round { round: 1 });
        assert_eq!(disk.hold('b', Some(one)), None);
        let sync = disk.begin_sync().expect("there is something to sync");
        assert_eq!(sync.upto, one);
        let two = disk.append(Record::Round { round: 2 });
        assert_eq!(disk.hold('c', Some(two)), None);
        assert_eq!(disk.begin_sync(), None);
        assert_eq!(disk.end_sync(one), vec!['b']);
        assert_eq!(disk.begin_sync().map(|s| s.upto), Some(two));
        assert_eq!(disk.end_sync(two), vec!['c']);
        assert_eq!(disk.hold('d', Some(two)), Some('d'));
    }

    #[test]
    fn without_a_data_directory_nothing_waits() {
        let mut disk = disk(Manner::AtOnce);
        let one = disk.append(Record::Round { round: 1 });
        assert_eq!(disk.hold('a', Some(one)), Some('a'));
        assert_eq!(disk.begin_sync(), None);
    }
}
