//! What a data directory is kept on: the same code works on a file system and on a virtual disk.

use std::io;

/// A directory that files and directories can be kept in.
///
/// Paths are relative to it, and their parts are separated by `/`. What was done is durable only
/// after a sync: of the file for what it holds, and of the directory for the names in it.
pub trait Disk: Clone {
    /// A file that is open for writing.
    type File;

    /// All that a file holds.
    ///
    /// # Errors
    ///
    /// As for each operation: when it is not possible, or the disk fails. `NotFound` if there is no
    /// such file.
    fn read(&self, path: &str) -> Result<Vec<u8>, DiskError>;

    /// The names in a directory, in order. The one that all paths are relative to is `""`.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn list(&self, path: &str) -> Result<Vec<String>, DiskError>;

    /// Opens an empty file, which takes the place of the one that had the name before.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn create(&self, path: &str) -> Result<Self::File, DiskError>;

    /// Opens a file that is there.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn open(&self, path: &str) -> Result<Self::File, DiskError>;

    /// Writes all of these bytes, from this offset on.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn write(&self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Cuts a file off, or lengthens it with zeros.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn resize(&self, file: &mut Self::File, length: u64) -> Result<(), DiskError>;

    /// Makes durable what a file holds.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`]. After one nobody knows what of it is durable.
    fn sync(&self, file: &mut Self::File) -> Result<(), DiskError>;

    /// Gives a file another name, in place of a file that has it.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Deletes a file.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn remove(&self, path: &str) -> Result<(), DiskError>;

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn make_directory(&self, path: &str) -> Result<(), DiskError>;

    /// Deletes a directory and all that is in it.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn remove_directory(&self, path: &str) -> Result<(), DiskError>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// See [`Disk::read`].
    fn sync_directory(&self, path: &str) -> Result<(), DiskError>;
}

/// Why a disk has not done something.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct DiskError {
    /// With which file or directory, as the system calls it.
    pub path: String,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    /// Whether there is no such file or directory.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}
