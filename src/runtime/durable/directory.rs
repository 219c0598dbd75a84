//! A data directory: its lock, its identity, and the files of a process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::DataError;
use crate::core::durable::{Damage, End, Fault, Identity, Kind, Recovered, recover};
use crate::core::id::NodeId;
use crate::core::store::HistoryLimits;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";

/// What names of files end with that are not whole yet.
const UNFINISHED: &str = ".tmp";

/// What file systems make of themselves in an empty directory.
const NOBODYS: &str = "lost+found";

/// What names of directories begin with that hold what a repair has set aside.
const ASIDE: &str = "damaged-";

/// A data directory that this process has for itself as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Whether a process has used the directory. One that is not there has not been used.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or holds what is not of a process.
    pub fn is_used(path: &Path) -> Result<bool, DataError> {
        if !path.try_exists().map_err(at(path))? {
            return Ok(false);
        }
        if path.join(IDENTITY).try_exists().map_err(at(path))? {
            return Ok(true);
        }
        expect_unused(path).map(|()| false)
    }

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
            _lock: lock,
        })
    }

    /// Who it belongs to, if it has been used.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not what was written.
    pub fn identity(&self) -> Result<Option<Identity>, DataError> {
        let path = self.path.join(IDENTITY);
        match fs::read_to_string(&path) {
            Ok(text) => match Identity::decode(&text) {
                Ok(identity) => Ok(Some(identity)),
                Err(source) => Err(DataError::Identity { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                expect_unused(&self.path)?;
                Ok(None)
            }
            Err(source) => Err(DataError::Io { path, source }),
        }
    }

    /// Writes who it belongs to, durably and in one step.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn identify(&self, identity: &Identity) -> Result<(), DataError> {
        let path = self.path.join(IDENTITY);
        let write = || {
            let mut file = Unfinished::create(&path)?;
            file.write(identity.encode().as_bytes())?;
            file.finish().map(drop)
        };
        write().map_err(at(&path))
    }

    /// What a process was, as its files tell. A write that a crash has torn is cut off.
    ///
    /// # Errors
    ///
    /// When files cannot be read, or are damaged.
    pub fn recover(&self, id: NodeId, history: HistoryLimits) -> Result<Recovered, DataError> {
        let path = self.of(id);
        let (newest, recovered) = self.read(id, history)?;
        for end in &recovered.ends {
            let file = path.join(Kind::Log.name(end.number));
            mend(&file, end).map_err(at(&file))?;
        }
        self.tidy(id, newest).map_err(at(&path))?;
        Ok(recovered)
    }

    /// Whether a process could come back. Changes nothing.
    ///
    /// # Errors
    ///
    /// When files cannot be read, or are damaged.
    pub fn examine(&self, id: NodeId, history: HistoryLimits) -> Result<(), DataError> {
        self.read(id, history).map(drop)
    }

    /// The number of the newest snapshot, and what it and the logs from there on tell.
    fn read(&self, id: NodeId, history: HistoryLimits) -> Result<(u64, Recovered), DataError> {
        let path = self.of(id);
        let damaged = |damage| DataError::Damaged {
            root: self.path.clone(),
            path: path.clone(),
            damage,
        };
        let missing = |file: String| {
            damaged(Damage {
                file,
                offset: 0,
                fault: Fault::Missing,
            })
        };
        if !path.try_exists().map_err(at(&path))? {
            return Err(missing(Kind::Snapshot.name(1)));
        }
        let snapshots = numbers(&path, Kind::Snapshot).map_err(at(&path))?;
        let Some(newest) = snapshots.last().copied() else {
            return Err(missing(Kind::Snapshot.name(1)));
        };
        let file = path.join(Kind::Snapshot.name(newest));
        let snapshot = fs::read(&file).map_err(at(&file))?;
        let mut logs = Vec::new();
        for number in numbers(&path, Kind::Log).map_err(at(&path))? {
            if number >= newest {
                let file = path.join(Kind::Log.name(number));
                logs.push((number, fs::read(&file).map_err(at(&file))?));
            }
        }
        let recovered = recover(id, (newest, &snapshot), &logs, history).map_err(damaged)?;
        Ok((newest, recovered))
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
            match fs::copy(self.path.join(IDENTITY), aside.join(IDENTITY)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if is_of_process(&entry.file_name()) {
                    fs::rename(entry.path(), aside.join(entry.file_name()))?;
                }
            }
            sync_directory(&aside)
        };
        set_aside().map_err(at(&aside))?;
        self.identify(identity)?;
        Ok(aside)
    }

    /// Where the files of a process are.
    pub(super) fn of(&self, id: NodeId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// Makes room for the files of a process.
    pub(super) fn make(&self, id: NodeId) -> io::Result<PathBuf> {
        let path = self.of(id);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        sync_directory(&self.path)?;
        Ok(path)
    }

    /// Deletes what the snapshot of this number makes superfluous, and what other processes than
    /// this one have left.
    pub(super) fn tidy(&self, id: NodeId, snapshot: u64) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let other = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if other.is_some_and(|other: NodeId| other != id) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        for entry in fs::read_dir(self.of(id))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let number = Kind::Log.number(name).or(Kind::Snapshot.number(name));
            if number.is_some_and(|number| number < snapshot) || name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Whether a directory of this name holds the files of a process.
fn is_of_process(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.parse::<NodeId>().is_ok())
}

/// The identity comes first: without one, there is nothing of a process.
fn expect_unused(path: &Path) -> Result<(), DataError> {
    let mut is_foreign = false;
    for entry in fs::read_dir(path).map_err(at(path))? {
        let name = entry.map_err(at(path))?.file_name();
        if is_of_process(&name) {
            return Err(DataError::Anonymous {
                path: path.to_owned(),
            });
        }
        let name = name.to_str().unwrap_or_default();
        let is_ours = name.ends_with(UNFINISHED) || name.starts_with(ASIDE);
        is_foreign |= ![LOCK, NOBODYS].contains(&name) && !is_ours;
    }
    match is_foreign {
        true => Err(DataError::NotOurs {
            path: path.to_owned(),
        }),
        false => Ok(()),
    }
}

/// A file that gets its name when it is whole and durable.
pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
    offset: u64,
}

impl Unfinished {
    pub(super) fn create(path: &Path) -> io::Result<Unfinished> {
        let file = File::create(unfinished(path))?;
        Ok(Unfinished {
            file,
            path: path.to_owned(),
            offset: 0,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Where the next byte goes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn finish(self) -> io::Result<File> {
        self.file.sync_all()?;
        fs::rename(unfinished(&self.path), &self.path)?;
        sync_directory(self.path.parent().expect("it is in a directory"))?;
        Ok(self.file)
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn mend(path: &Path, end: &End) -> io::Result<()> {
    let mut file = File::options().append(true).open(path)?;
    if file.metadata()?.len() > end.end || !end.append.is_empty() {
        file.set_len(end.end)?;
        file.write_all(&end.append)?;
        file.sync_all()?;
    }
    Ok(())
}

/// The numbers of the files of a kind, ascending.
fn numbers(path: &Path, kind: Kind) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| kind.number(name)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn at(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Io {
        path: path.clone(),
        source,
    }
}
