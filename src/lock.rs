//! A file that one process at a time holds. The system lets go of it however the process ends.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Takes a lock file, which is made if it is not there, for as long as the result lives. Gives
/// nothing if another process has it.
///
/// # Errors
///
/// When the system refuses the file, or its file system has no locks.
pub(crate) fn take(path: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
