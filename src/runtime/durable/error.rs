//! Why a data directory cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::core::durable::{Damage, Fault, IdentityError};

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
    #[error("{}, offset 0: {source}{}", path.display(), after_identity(path, source))]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// A file is damaged.
    #[error("{}/{damage}{}", path.display(), after_damage(root, &damage.fault))]
    Damaged {
        /// The data directory.
        root: PathBuf,
        /// The directory that the file is in.
        path: PathBuf,
        /// What is wrong.
        damage: Damage,
    },
    /// There are files of a process, and its identity is gone.
    #[error(
        "{0}/identity, offset 0: the file is missing, and there are files of a process{1}",
        path.display(), remedy(path)
    )]
    Anonymous {
        /// The directory.
        path: PathBuf,
    },
    /// There are files that are not of a process.
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

impl DataError {
    /// Whether what the directory holds is lost: it is there, and cannot be trusted.
    pub fn is_damage(&self) -> bool {
        match self {
            DataError::Damaged { damage, .. } => !matches!(damage.fault, Fault::Newer { .. }),
            DataError::Identity { source, .. } => *source == IdentityError::Changed,
            DataError::Anonymous { .. } => true,
            // The disk cannot give back what it was given.
            DataError::Io { source, .. } => source.raw_os_error() == Some(Errno::IO.raw_os_error()),
            DataError::Locked { .. } | DataError::NotOurs { .. } => false,
        }
    }
}

fn after_identity(path: &Path, error: &IdentityError) -> String {
    match error {
        // It has said what to do.
        IdentityError::Newer(_) => String::new(),
        IdentityError::Changed => path.parent().map_or_else(String::new, remedy),
    }
}

fn after_damage(root: &Path, fault: &Fault) -> String {
    match fault {
        Fault::Newer { .. } => String::new(),
        _ => format!(
            "; this process may have forgotten what it promised and must not go on with it{}",
            remedy(root)
        ),
    }
}

/// What to do where the files of a process are not what they were.
fn remedy(root: &Path) -> String {
    format!(
        "; to set the files aside and let the process join its cluster again as a standby: \
         doozerd repair {}",
        root.display()
    )
}
