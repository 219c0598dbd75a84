//! The trace: a rolling hash over everything that happened, so that two runs can be compared.
//!
//! One 64-bit number stands for the time, place, kind and content of every event so far. A run of
//! the same seed has the same number, in every process and every build.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::core::env::Time;

/// The hash of a run so far, and how long that run was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
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
    /// Adds an event: when, at which process or client, and what.
    pub fn add(&mut self, time: Time, place: usize, kind: Kind, content: u64) {
        self.events += 1;
        let word = time.0.rotate_left(20) ^ ((place as u64) << 8) ^ kind as u64;
        self.hash = (self.hash ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
            .wrapping_add(content)
            .wrapping_mul(0xd1b5_4a32_d192_ed03);
    }

    /// Events so far. Also the logical time that orders operations in the history.
    pub fn events(&self) -> u64 {
        self.events
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
