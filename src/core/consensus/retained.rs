//! The tail of the applied log, for those who missed some of it.

use std::collections::VecDeque;

use super::Slot;
use super::backlog::weight;
use crate::core::limits::Gauge;
use crate::core::log::Entry;
use crate::core::protocol::peer::Digest;

/// Bytes that are kept at most, estimated. Whoever is further behind takes a snapshot.
const BYTES_MAX: usize = 64 << 20;

/// Entries of applied slots, and the digests of the states after them.
#[derive(Clone, Debug)]
pub struct Retained {
    slots_max: usize,
    /// The slot before the first one kept.
    base: Slot,
    entries: VecDeque<(Entry, Digest, usize)>,
    bytes: usize,
}

impl Retained {
    /// Nothing, after `applied`. Of what comes, at most so many slots are kept.
    pub fn new(applied: Slot, slots_max: usize) -> Retained {
        Retained {
            slots_max,
            base: applied,
            entries: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Adds the next slot.
    pub fn push(&mut self, entry: Entry, digest: Digest) {
        let size = weight(&entry);
        self.bytes += size;
        self.entries.push_back((entry, digest, size));
        while self.entries.len() > self.slots_max
            || (self.bytes > BYTES_MAX && self.entries.len() > 1)
        {
            let (_, _, size) = self.entries.pop_front().expect("it is not empty");
            self.bytes -= size;
            self.base = self.base.next();
        }
    }

    /// Forgets everything: what is kept from here on follows `applied`.
    pub fn jump(&mut self, applied: Slot) {
        *self = Retained::new(applied, self.slots_max);
    }

    /// The first slot that is kept.
    pub fn oldest(&self) -> Slot {
        self.base.next()
    }

    /// The entry of a slot.
    pub fn get(&self, slot: Slot) -> Option<&Entry> {
        self.kept(slot).map(|(entry, _, _)| entry)
    }

    /// The digest of the state after a slot.
    pub fn digest(&self, slot: Slot) -> Option<Digest> {
        self.kept(slot).map(|(_, digest, _)| *digest)
    }

    /// Entries from a slot on, as many as fit a message.
    pub fn tail(&self, from: Slot, slots_max: usize, bytes_max: usize) -> Vec<Entry> {
        let skip = from.0.saturating_sub(self.base.0 + 1) as usize;
        let mut bytes = 0;
        self.entries
            .iter()
            .skip(skip)
            .take(slots_max)
            .take_while(|(_, _, size)| {
                let fits = bytes == 0 || bytes + size <= bytes_max;
                bytes += size;
                fits
            })
            .map(|(entry, _, _)| entry.clone())
            .collect()
    }

    /// Tells how full this is.
    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        tell(Gauge::kept(
            "applied slots",
            self.entries.len(),
            self.slots_max,
        ));
        // A single entry may be as large as it likes.
        let bytes = if self.entries.len() > 1 {
            self.bytes
        } else {
            0
        };
        tell(Gauge::kept("applied slots, bytes", bytes, BYTES_MAX));
    }

    fn kept(&self, slot: Slot) -> Option<&(Entry, Digest, usize)> {
        let index = slot.0.checked_sub(self.base.0 + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_starts_where_it_is_asked_to() {
        let mut retained = Retained::new(Slot(10), 100);
        for n in 11..=20 {
            retained.push(Entry::Skip, Digest(n));
        }
        assert_eq!(retained.oldest(), Slot(11));
        assert_eq!(retained.digest(Slot(11)), Some(Digest(11)));
        assert_eq!(retained.digest(Slot(20)), Some(Digest(20)));
        assert_eq!(
            (retained.get(Slot(10)), retained.get(Slot(21))),
            (None, None)
        );
        assert_eq!(retained.tail(Slot(18), 100, 100).len(), 3);
        assert_eq!(retained.tail(Slot(11), 4, 100).len(), 4);
        assert_eq!(retained.tail(Slot(21), 4, 100).len(), 0);
        assert_eq!(retained.tail(Slot(11), 100, 3).len(), 3);
    }
}
