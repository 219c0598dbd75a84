//! Snapshots: a store with its retained history, in pieces of bounded size.
//!
//! A snapshot is the tree at the oldest retained revision, file by file, and every event from
//! there on. The last piece carries digests of both and of the current state, so that what comes
//! out is what went in or nothing.

mod export;
mod import;
#[cfg(test)]
mod tests;

use bincode::{Decode, Encode};

pub use export::Export;
pub use import::{ImportError, Importer};

use super::event::Event;
use crate::core::id::Rev;

/// A piece holds no more than this, in bytes, unless its last file or event alone takes it there.
pub const PIECE_BYTES: usize = 256 << 10;

/// No piece is larger, in bytes, before it is decoded and after: a value that fits the largest
/// frame, and a piece.
pub const PIECE_BYTES_MAX: usize = 32 << 20;

/// The layout of pieces.
const FORMAT: u32 = 1;

/// A piece, as it is encoded.
#[derive(Encode, Decode)]
struct Piece {
    /// Its number, from 0.
    index: u64,
    body: Body,
}

/// Pieces come in the order of these variants.
#[derive(Encode, Decode)]
enum Body {
    Start(Start),
    /// Files of the base, as the events that wrote them.
    Files(Vec<Event>),
    /// Retained events.
    Events(Vec<Event>),
    End(Digests),
}

/// What is to come.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Start {
    format: u32,
    /// The revision of the base. The first event is the one of this revision, and its effect is
    /// part of the base; without events it is the current revision.
    base: Rev,
    files: u64,
    events: u64,
}

/// What must come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Digests {
    /// The sum of the digests of the files in the base.
    base: u64,
    /// The sum of the digests of the events.
    events: u64,
    /// The digest of the store.
    store: u64,
}
