//! Why a data directory cannot be used.

use std::io;
use std::path::PathBuf;

use crate::core::durable::{Damage, IdentityError};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system refuses something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "{}: another doozerd is running with this directory; stop it, or give another directory",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Its identity cannot be read.
    #[error(
        "{}: {source}; if no copy of the file is left, move the directory away and let the process \
         join again with an empty one",
        path.display()
    )]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// A file is damaged.
    #[error(
        "{}/{damage}; this process may have forgotten what it promised and must not go on with it: \
         move {} away and let the process join again, with -a and an empty directory",
        path.display(), root.display()
    )]
    Damaged {
        /// The data directory.
        root: PathBuf,
        /// The directory that the file is in.
        path: PathBuf,
        /// What is wrong.
        damage: Damage,
    },
    /// There are files of a process, and nothing says whose.
    #[error(
        "{}: not empty, and it has no identity file; give an empty directory, or one that doozerd \
         has used",
        path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
}
