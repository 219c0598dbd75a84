//! Messages between nodes.
//!
//! Each may be lost, repeated, delayed and reordered. Nobody relies on delivery.

use bincode::{Decode, Encode};

use crate::core::consensus::{Ballot, Lane, Slot};
use crate::core::id::NodeId;
use crate::core::log::{Entry, Run};

/// A digest of the state after a slot. Equal on all nodes, or something is badly wrong (I9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
pub struct Digest(pub u64);

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Message {
    /// A proposer to the members: accept these entries at this ballot. At round 0 it comes from
    /// the slots' owner; at others from a member that has a majority of promises for each slot.
    Accept {
        /// The ballot of all of them.
        ballot: Ballot,
        /// What to accept where.
        entries: Vec<(Slot, Entry)>,
        /// Which of its own slots the sender gives up.
        lane: Option<Lane>,
        /// Up to which slot the sender has applied the log.
        applied: Slot,
    },
    /// An acceptor to the members: it has accepted, durably.
    Accepted(Accepted),
    /// An acceptor to a proposer: it has promised a higher ballot in this slot.
    Reject {
        /// The slot.
        slot: Slot,
        /// The promise.
        promised: Ballot,
    },
    /// A revoker to the members: promise to accept nothing below this ballot in these slots, and
    /// tell what you have accepted there.
    Prepare {
        /// The ballot, whose round is above 0.
        ballot: Ballot,
        /// The slots, ascending, all of one lane.
        slots: Vec<Slot>,
    },
    /// An acceptor to a revoker: the promise, durable.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// The slots promised, and what was accepted there before.
        slots: Vec<Promised>,
        /// Slots asked for that are decided already.
        decided: Vec<(Slot, Entry)>,
    },
    /// Every process to every other that it has a connection to, at a steady pace.
    Beat(Beat),
    /// Whoever misses entries to somebody who has them: send what is decided from here on.
    Ask {
        /// The first slot that is missing.
        from: Slot,
    },
    /// Decided entries, in order.
    Learn {
        /// The slot of the first.
        from: Slot,
        /// The entries of consecutive slots.
        entries: Vec<Entry>,
    },
    /// The answer to [`Message::Ask`] when the log does not reach back that far: take a snapshot.
    Truncated {
        /// The first slot that the log still has.
        oldest: Slot,
    },
    /// A standby to the process that it follows: send entries as they are decided. Holds for a few
    /// heartbeats; repeated with each.
    Follow {
        /// The first slot that is missing.
        from: Slot,
    },
    /// Send a piece of a snapshot.
    SnapshotAsk {
        /// The slot after which the snapshot was taken; 0 for the newest there is.
        at: Slot,
        /// Which piece, from 0.
        piece: u32,
    },
    /// A piece of a snapshot.
    SnapshotPiece {
        /// The slot after which the snapshot was taken.
        at: Slot,
        /// Which piece, from 0.
        piece: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A process that owns no slots to one that does: propose these commands.
    Forward {
        /// Consecutive commands.
        run: Run,
    },
    /// A reader to the members: up to where might something have been decided?
    Where {
        /// The question, never used again by the reader.
        question: u64,
    },
    /// The answer.
    At {
        /// The question.
        question: u64,
        /// The highest slot in which the sender has accepted an entry, or that it has applied.
        slot: Slot,
    },
}

/// Votes of an acceptor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Accepted {
    /// What it has accepted: a ballot names the entry (I5).
    pub votes: Vec<(Slot, Ballot)>,
    /// Which of its own slots the sender gives up.
    pub lane: Option<Lane>,
    /// Up to which slot the sender has applied the log.
    pub applied: Slot,
}

/// One slot of a promise.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Promised {
    /// The slot.
    pub slot: Slot,
    /// The entry accepted at the highest ballot so far.
    pub accepted: Option<(Ballot, Entry)>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Beat {
    /// Which of its own slots the sender gives up.
    pub lane: Option<Lane>,
    /// Up to which slot the sender has applied the log.
    pub applied: Slot,
    /// The digest of the state there.
    pub digest: Digest,
    /// The highest slot that the sender has seen in use.
    pub seen: Slot,
    /// The sender's clock, in microseconds.
    pub sent_us: u64,
    /// `sent_us` of the latest beat received from the addressee, advanced by the time that has
    /// passed since: the addressee's clock minus this is a round trip. 0 if none was received.
    pub echo_us: u64,
    /// The sender's round trip to the nearest majority, in microseconds. 0 if it is not known.
    pub majority_us: u32,
    /// Processes that the sender does not hear.
    pub silent: Vec<Silence>,
}

/// A process that is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Silence {
    /// Which.
    pub process: NodeId,
    /// For how long, in milliseconds.
    pub ms: u32,
}
