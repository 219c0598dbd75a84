//! The event queue: by time, and in the order of insertion at the same time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::core::env::Time;

/// Events to come.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    /// The events themselves, apart from the heap so that sifting moves three words only.
    events: Vec<Option<E>>,
    free: Vec<usize>,
    inserted: u64,
}

impl<E> Queue<E> {
    /// An empty queue.
    pub fn new() -> Queue<E> {
        Queue {
            heap: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            inserted: 0,
        }
    }

    /// Adds an event.
    pub fn push(&mut self, at: Time, event: E) {
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.heap.push(Reverse((at, self.inserted, place)));
        self.inserted += 1;
    }

    /// Takes the next event, unless it lies beyond `until`.
    pub fn pop(&mut self, until: Time) -> Option<(Time, E)> {
        let &Reverse((at, _, place)) = self.heap.peek()?;
        if at > until {
            return None;
        }
        self.heap.pop();
        self.free.push(place);
        let event = self.events[place].take().expect("an event is taken once");
        Some((at, event))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_insertion() {
        let mut queue = Queue::new();
        for (at, name) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            queue.push(Time(at), name);
        }
        let order: String = std::iter::from_fn(|| queue.pop(Time(5)).map(|e| e.1)).collect();
        assert_eq!(order, "abcd");
        queue.push(Time(6), 'e');
        assert_eq!(queue.pop(Time(5)), None);
        assert_eq!(queue.pop(Time(6)), Some((Time(6), 'e')));
    }
}
