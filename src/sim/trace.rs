//! The trace: a rolling hash over everything that happened, so that two runs can be compared.
//!
//! One 64-bit number stands for the time, place, kind and content of every event so far. A run of
//! the same seed has the same number, in every process and every build. The number is kept after
//! each block of events, so that two runs that differ can be run again to show where they part.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::core::env::Time;

/// Events in a block: few enough to keep, many enough that the hashes of all blocks are few.
pub const BLOCK: u64 = 1_000;

/// The hash of a run so far, and how long that run was.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    /// The hash after each whole block.
    blocks: Vec<u64>,
    /// The block whose events are kept, if one is.
    watched: Option<u64>,
    kept: Vec<Entry>,
}

/// One event, as the trace knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub time: Time,
    /// At which process or client.
    pub place: usize,
    /// What kind of event.
    pub kind: Kind,
    /// A number that stands for its content.
    pub content: u64,
}

/// What kind of event is added to the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A message arrived at a process.
    Arrive = 1,
    /// A process handled a group of inputs.
    Run,
    /// A process sent a message.
    Send,
    /// A node answered a client.
    Reply,
    /// A client asked a node.
    Request,
    /// A connection between processes was made, or broke.
    Link,
    /// A client woke up.
    Client,
    /// A fault began or ended.
    Fault,
    /// The timer of a process went off.
    Timer,
    /// Records became durable.
    Synced,
    /// What a node showed of its state.
    State,
}

impl Trace {
    /// An empty trace that keeps the events of one block.
    pub fn watching(block: u64) -> Trace {
        Trace {
            watched: Some(block),
            ..Trace::default()
        }
    }

    /// Adds an event: when, at which process or client, and what.
    pub fn add(&mut self, time: Time, place: usize, kind: Kind, content: u64) {
        if self.watched == Some(self.events / BLOCK) {
            self.kept.push(Entry {
                time,
                place,
                kind,
                content,
            });
        }
        self.events += 1;
        let word = time.0.rotate_left(20) ^ ((place as u64) << 8) ^ kind as u64;
        self.hash = (self.hash ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
            .wrapping_add(content)
            .wrapping_mul(0xd1b5_4a32_d192_ed03);
        if self.events.is_multiple_of(BLOCK) {
            self.blocks.push(self.hash);
        }
    }

    /// Events so far. Also the logical time that orders operations in the history.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The events of the watched block.
    pub fn kept(&self) -> &[Entry] {
        &self.kept
    }

    /// The first block in which two runs differ, if they do.
    pub fn parting(&self, other: &Trace) -> Option<u64> {
        if self == other {
            return None;
        }
        let pairs = self.blocks.iter().zip(&other.blocks);
        let equal = pairs.take_while(|(one, another)| one == another).count();
        Some(equal as u64)
    }
}

/// Traces are equal if they stand for the same events, whatever they keep of them.
impl PartialEq for Trace {
    fn eq(&self, other: &Trace) -> bool {
        (self.hash, self.events) == (other.hash, other.events)
    }
}

impl Eq for Trace {}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry {
            time,
            place,
            kind,
            content,
        } = self;
        write!(f, "{kind:?} at {} us, at {place}: {content:016x}", time.0)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.hash)
    }
}

/// The digest of some bytes, the same on every machine.
pub fn digest(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}
