//! The data directory of a process: its lock, its files, and the thread that writes them. What is
//! written, and in which order, is told by `core/durable`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "moves bytes between memory and disk, on a thread that may wait for it"
)]

mod directory;
mod error;
mod files;
mod writer;

pub use directory::Directory;
pub use error::DataError;
pub(super) use writer::{Ending, Writer};

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
