//! The data directory of a process: who it belongs to, its lock, its files, and the thread that
//! writes them.
//!
//!     DIR/lock             held by the process that uses the directory
//!     DIR/identity         who the directory belongs to, in words
//!     DIR/<id>/log-*       records
//!     DIR/<id>/snapshot-*  states
//!
//! A process that begins anew under another id writes into a directory of that id; once its first
//! snapshot is durable, the identity is replaced in one step, and what the former one has left is
//! deleted.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "moves bytes between memory and disk, on a thread that may wait for it"
)]

mod directory;
mod error;
mod writer;

pub use directory::Directory;
pub use error::DataError;
pub(super) use writer::Writer;

use std::sync::Arc;

use crate::core::durable::{Identity, Tail};

/// What a process keeps on disk, and where.
#[derive(Clone, Debug)]
pub struct Data {
    /// Where.
    pub directory: Arc<Directory>,
    /// Who it is to belong to. Its id is that of the node.
    pub identity: Identity,
    /// Where the log of this id goes on, if there is one.
    pub tail: Option<Tail>,
    /// Bytes of log after which a snapshot is written, and the log before it deleted. The directory
    /// holds at most about twice as much and two snapshots; a log is never cut before it is as large
    /// as its snapshot.
    pub log_bytes_max: u64,
}
