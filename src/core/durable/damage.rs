//! What may be wrong with a file.

use std::fmt;

/// A file that cannot be what it was written as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Damage {
    /// The name of the file within its directory.
    pub file: String,
    /// Where in it, in bytes from its beginning.
    pub offset: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It does not begin as such a file does.
    #[error("this is not a file of doozerd, or its beginning is damaged")]
    NotOurs,
    /// It was written by a later version.
    #[error("written in format {format}, by a newer doozerd: start that version")]
    Newer {
        /// The format.
        format: u32,
    },
    /// It was written by another process, or is another file of this one.
    #[error("it belongs to another process or cluster, or was renamed")]
    Foreign,
    /// Bytes are not those that were written.
    #[error("the bytes are not those that were written: the disk has lost or changed some")]
    Changed,
    /// The bytes are what was written, and make no sense.
    #[error("a record makes no sense: {0}")]
    Nonsense(String),
    /// A file is not there.
    #[error("the file is missing")]
    Missing,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage {
            file,
            offset,
            fault,
        } = self;
        write!(f, "{file}, offset {offset}: {fault}")
    }
}
