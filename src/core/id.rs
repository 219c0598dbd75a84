//! Names of processes, sessions and revisions.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

/// The id of a process: 80 random bits, drawn anew at each start of a process that keeps nothing
/// on disk, so that it can never vote with a promise that it has forgotten.
///
/// Written as 16 characters of base 32 (`A-Z2-7`), as clients see it in `/ctl/node/<id>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NodeId(pub [u8; 10]);

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl NodeId {
    /// Characters in the written form.
    pub const TEXT_LEN: usize = 16;

    /// An id from 128 random bits, of which it keeps 80.
    pub fn from_random(high: u64, low: u64) -> NodeId {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes()[..2]);
        NodeId(bytes)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bits = [0; 16];
        bits[6..].copy_from_slice(&self.0);
        let bits = u128::from_be_bytes(bits);
        let mut text = [0; Self::TEXT_LEN];
        for (place, letter) in text.iter_mut().rev().enumerate() {
            let index = (bits >> (5 * place)) & 31;
            *letter = ALPHABET[index as usize];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id: not 16 characters of `A-Z2-7`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a process id (16 characters of A-Z and 2-7)")]
pub struct NotAnId;

impl FromStr for NodeId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<NodeId, NotAnId> {
        if text.len() != Self::TEXT_LEN {
            return Err(NotAnId);
        }
        let mut bits: u128 = 0;
        for c in text.bytes() {
            let digit = ALPHABET.iter().position(|a| *a == c).ok_or(NotAnId)?;
            bits = bits << 5 | digit as u128;
        }
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&bits.to_be_bytes()[6..]);
        Ok(NodeId(bytes))
    }
}

/// Which cluster it is, of all that ever had its name: who founded it, and how often it has been
/// recovered. Processes of different lineages have nothing to say to each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Lineage {
    /// The process that founded this generation of it.
    pub founder: NodeId,
    /// From 1; one more with each recovery.
    pub generation: u32,
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lineage {
            founder,
            generation,
        } = self;
        write!(f, "generation {generation}, founded by {founder}")
    }
}

/// A connection of a client to this process. Numbers are never used again while the process lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u64);

/// A revision: the number of a mutation in the one sequence of the whole store, from 1.
/// 0 is the state before the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode)]
pub struct Rev(pub u64);

impl Rev {
    /// The revision after this one.
    pub fn next(self) -> Rev {
        Rev(self.0 + 1)
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_written_form() {
        let id = NodeId::from_random(0x0123_4567_89ab_cdef, 0xfedc << 48);
        let text = id.to_string();
        assert_eq!(text.len(), NodeId::TEXT_LEN);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!("AAAAAAAAAAAAAAAA".parse(), Ok(NodeId([0; 10])));
        assert_eq!("bogus".parse::<NodeId>(), Err(NotAnId));
        assert_eq!("aaaaaaaaaaaaaaaa".parse::<NodeId>(), Err(NotAnId));
    }
}
