//! A data directory of this machine, and its lock.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::files::Files;
use crate::core::durable::{self, DiskError, IDENTITY, Identity, LOCK, Recovered, Unusable};
use crate::core::id::NodeId;
use crate::core::store::HistoryLimits;
use crate::lock;

/// What names of directories begin with that hold what a repair has set aside.
const ASIDE: &str = "damaged-";

/// A data directory that this process has for itself as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    inside: durable::Directory<Files>,
    _lock: File,
}

impl Directory {
    /// Whether a process has used the directory. One that is not there has not been used.
    ///
    /// # Errors
    ///
    /// When it cannot be read, holds what is not of a process, or does not say whose it is.
    pub fn is_used(path: &Path) -> Result<bool, DataError> {
        let is_there = path.try_exists().map_err(at(path))?;
        Ok(is_there && inspect(path)?.is_some())
    }

    /// Takes a directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or another process has it.
    pub fn open(path: &Path) -> Result<Directory, DataError> {
        make(path).map_err(at(path))?;
        let file = path.join(LOCK);
        let lock = lock::take(&file).map_err(at(&file))?;
        let lock = lock.ok_or_else(|| DataError::Locked {
            path: path.to_owned(),
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
        inspect(&self.path)
    }

    /// Writes who it belongs to, durably and in one step.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn identify(&self, identity: &Identity) -> Result<(), DataError> {
        let written = self.inside.identify(identity);
        written.map_err(|error| explain(&self.path, error.into()))
    }

    /// What a process was, as its files tell. A write that a crash has torn is cut off.
    ///
    /// # Errors
    ///
    /// When files cannot be read, or are damaged.
    pub fn recover(&self, id: NodeId, history: HistoryLimits) -> Result<Recovered, DataError> {
        let recovered = self.inside.recover(id, history);
        recovered.map_err(|error| explain(&self.path, error))
    }

    /// Whether a process could come back. Changes nothing.
    ///
    /// # Errors
    ///
    /// When files cannot be read, or are damaged.
    pub fn examine(&self, id: NodeId, history: HistoryLimits) -> Result<(), DataError> {
        let examined = self.inside.examine(id, history);
        examined.map_err(|error| explain(&self.path, error))
    }

    /// Moves what processes have left into a directory of its own beside the new identity, which
    /// takes the place of the old one, and gives the name of that directory. Whatever moment a crash
    /// comes at, the directory still says that it is not to be used as it is, or whose it is now.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn set_aside(&self, identity: &Identity) -> Result<PathBuf, DataError> {
        let mut names = (1u64..).map(|number| self.path.join(format!("{ASIDE}{number}")));
        let aside = names.find(|path| !path.exists());
        let aside = aside.expect("not all numbers are taken");
        let set_aside = || {
            fs::create_dir(&aside)?;
            let copy = aside.join(IDENTITY);
            match fs::copy(self.path.join(IDENTITY), &copy) {
                Ok(_) => File::open(&copy)?.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if is_of_process(&entry.file_name()) {
                    fs::rename(entry.path(), aside.join(entry.file_name()))?;
                }
            }
            File::open(&aside)?.sync_all()
        };
        set_aside().map_err(at(&aside))?;
        self.identify(identity)?;
        Ok(aside)
    }

    /// What is in it.
    pub(super) fn inside(&self) -> &durable::Directory<Files> {
        &self.inside
    }
}

/// Makes a directory, and those above it that are missing. Each name is made durable: all that is
/// durable below would be gone with it.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if above != Path::new("") => above,
        _ => Path::new("."),
    };
    make(above)?;
    match fs::create_dir(path) {
        // Somebody else was faster.
        Err(_) if path.is_dir() => {}
        made => made?,
    }
    File::open(above)?.sync_all()
}

/// Who a directory belongs to. The identity is written before anything else of a process is, so
/// where there is something of one, and be it what a repair has set aside, the identity is lost.
fn inspect(path: &Path) -> Result<Option<Identity>, DataError> {
    let inside = durable::Directory::on(Files::new(path));
    match inside.identity() {
        Ok(None) | Err(Unusable::NotOurs) if holds_process(path).map_err(at(path))? => {
            Err(DataError::Anonymous {
                path: path.to_owned(),
            })
        }
        known => known.map_err(|error| explain(path, error)),
    }
}

/// Whether there are files of a process, in their place or set aside.
fn holds_process(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let is_aside = name.to_str().is_some_and(|name| name.starts_with(ASIDE));
        if is_aside || is_of_process(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a directory of this name holds the files of a process.
fn is_of_process(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.parse::<NodeId>().is_ok())
}

fn explain(root: &Path, error: Unusable) -> DataError {
    let root = root.to_owned();
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

fn at(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Io {
        path: path.clone(),
        source,
    }
}
