//! A data directory of this machine, and its lock.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::DataError;
use super::files::Files;
use crate::core::durable::{self, DiskError, IDENTITY, Identity, LOCK, Recovered, Unusable};
use crate::core::id::NodeId;
use crate::core::store::HistoryLimits;

/// A data directory that this process has for itself as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    inside: durable::Directory<Files>,
    _lock: File,
}

impl Directory {
    /// Takes a directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or another process has it.
    pub fn open(path: &Path) -> Result<Directory, DataError> {
        fs::create_dir_all(path).map_err(at(path))?;
        let file = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .map_err(at(&file))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            match io::Error::from(errno) {
                error if error.kind() == io::ErrorKind::WouldBlock => DataError::Locked {
                    path: path.to_owned(),
                },
                source => DataError::Io { path: file, source },
            }
        })?;
        Ok(Directory {
            path: path.to_owned(),
            inside: durable::Directory::on(Files::new(path)),
            _lock: lock,
        })
    }

    /// Who it belongs to, if it has been used.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not what was written.
    pub fn identity(&self) -> Result<Option<Identity>, DataError> {
        self.inside.identity().map_err(|error| self.explain(error))
    }

    /// Writes who it belongs to, durably and in one step.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn identify(&self, identity: &Identity) -> Result<(), DataError> {
        let written = self.inside.identify(identity);
        written.map_err(|error| self.explain(error.into()))
    }

    /// What a process was, as its files tell. A write that a crash has torn is cut off.
    ///
    /// # Errors
    ///
    /// When files cannot be read, or are damaged.
    pub fn recover(&self, id: NodeId, history: HistoryLimits) -> Result<Recovered, DataError> {
        let recovered = self.inside.recover(id, history);
        recovered.map_err(|error| self.explain(error))
    }

    /// What is in it.
    pub(super) fn inside(&self) -> &durable::Directory<Files> {
        &self.inside
    }

    fn explain(&self, error: Unusable) -> DataError {
        let root = self.path.clone();
        match error {
            Unusable::Disk(DiskError { path, source }) => DataError::Io {
                path: path.into(),
                source,
            },
            Unusable::Identity(source) => DataError::Identity {
                path: root.join(IDENTITY),
                source,
            },
            Unusable::Damaged { folder, damage } => DataError::Damaged {
                path: root.join(folder),
                root,
                damage,
            },
            Unusable::NotOurs => DataError::NotOurs { path: root },
        }
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Io {
        path: path.clone(),
        source,
    }
}
