//! The records of the log on disk.

use bincode::{Decode, Encode};

use crate::core::consensus::{Ballot, Slot};
use crate::core::log::Entry;

/// A fact that a node must remember before it lets anybody depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Record {
    /// This acceptor will accept nothing in these slots below this ballot (I4).
    Promised {
        /// The slots.
        slots: Vec<Slot>,
        /// The ballot.
        ballot: Ballot,
    },
    /// This acceptor has accepted an entry (I4).
    Accepted {
        /// Where.
        slot: Slot,
        /// At which ballot.
        ballot: Ballot,
        /// What.
        entry: Entry,
    },
    /// This node may have brought entries into its own slots below this one, and into none from
    /// here on (I3).
    Reserved {
        /// The first slot that is not reserved.
        below: Slot,
    },
    /// This node has used rounds up to this one in a Prepare (I5).
    Round {
        /// The round.
        round: u32,
    },
    /// The outcome of the slot after the last one decided. Nothing waits for it: what is lost of these
    /// is settled anew, with the same outcome.
    Decided {
        /// Where.
        slot: Slot,
        /// What; `None` if it is what this acceptor has accepted there last.
        entry: Option<Entry>,
    },
}
