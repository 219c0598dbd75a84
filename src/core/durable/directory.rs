//! A data directory: whose it is, and the files of its process.
//!
//! ```text
//! identity         who the directory belongs to, in words
//! <id>/log-*       records
//! <id>/snapshot-*  states
//! lock             held by the process that uses the directory, where there are several
//! ```
//!
//! A process that begins anew under another id writes into a directory of that id; once its first
//! snapshot is durable, the identity is replaced in one step, and what the former one has left is
//! deleted.

use super::damage::Fault;
use super::{Damage, Disk, DiskError, Identity, IdentityError, Kind, Recovered, recover};
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::store::HistoryLimits;

/// The name of the file that a process holds.
pub const LOCK: &str = "lock";

/// The name of the file that says who the directory belongs to.
pub const IDENTITY: &str = "identity";

/// What names of files end with that are not whole yet.
const UNFINISHED: &str = ".tmp";

/// What names of logs end with that wait to be used again.
const SPARE: &str = ".spare";

/// Zeros that are written at a time, in bytes.
const ZEROS: usize = 1 << 20;

/// What file systems make of themselves in an empty directory.
const NOBODYS: &str = "lost+found";

/// A data directory on a disk.
#[derive(Clone, Debug)]
pub struct Directory<D> {
    disk: D,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The disk refuses something.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// Its identity cannot be read.
    #[error("{IDENTITY}: {0}")]
    Identity(IdentityError),
    /// A file is damaged.
    #[error("{folder}/{damage}")]
    Damaged {
        /// The directory that the file is in.
        folder: String,
        /// What is wrong.
        damage: Damage,
    },
    /// There are files, and nothing says whose.
    #[error("there are files of others")]
    NotOurs,
}

impl<D: Disk> Directory<D> {
    /// The directory that is all of a disk.
    pub fn on(disk: D) -> Directory<D> {
        Directory { disk }
    }

    /// What it is on.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Who it belongs to, if it has been used.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not what was written.
    pub fn identity(&self) -> Result<Option<Identity>, Unusable> {
        match self.disk.read(IDENTITY) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let identity = Identity::decode(&text).map_err(Unusable::Identity)?;
                Ok(Some(identity))
            }
            Err(error) if error.is_missing() => {
                self.expect_unused()?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes who it belongs to, durably and in one step.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn identify(&self, identity: &Identity) -> Result<(), DiskError> {
        let mut file = Unfinished::create(&self.disk, IDENTITY)?;
        file.write(&self.disk, identity.encode().as_bytes())?;
        file.finish(&self.disk).map(drop)
    }

    /// What a process was, as its files tell. A write that a crash has torn does not count.
    ///
    /// # Errors
    ///
    /// When files cannot be read, or are damaged.
    pub fn recover(&self, id: NodeId, history: HistoryLimits) -> Result<Recovered, Unusable> {
        let (newest, recovered) = self.read(id, history)?;
        // What was read may be what the system has kept of a process that died before it was durable;
        // from here on it counts as durable.
        self.disk.sync_directory("")?;
        self.disk.sync_directory(&folder(id))?;
        for end in &recovered.ends {
            if planted!(TailTrusted) && end.append.is_empty() {
                continue;
            }
            // After a sync that failed, only what is written again becomes so.
            let path = path(id, Kind::Log, end.number);
            let bytes = self.disk.read(&path)?;
            let last = &bytes[end.last as usize..end.end as usize];
            sometimes!(LogClosedLate, !end.append.is_empty());
            let mut file = self.disk.open(&path)?;
            self.disk
                .write(&mut file, end.last, &[last, &end.append].concat())?;
            self.disk.sync(&mut file)?;
        }
        self.tidy(id, newest, 0)?;
        Ok(recovered)
    }

    /// Whether a process could come back. Changes nothing.
    ///
    /// # Errors
    ///
    /// When files cannot be read, or are damaged.
    pub fn examine(&self, id: NodeId, history: HistoryLimits) -> Result<(), Unusable> {
        self.read(id, history).map(drop)
    }

    /// The number of the newest snapshot, and what it and the logs from there on tell.
    fn read(&self, id: NodeId, history: HistoryLimits) -> Result<(u64, Recovered), Unusable> {
        let folder = folder(id);
        let damaged = |damage| Unusable::Damaged {
            folder: folder.clone(),
            damage,
        };
        let names = match self.disk.list(&folder) {
            // Whoever has an identity has had files.
            Err(error) if error.is_missing() => Vec::new(),
            listed => listed?,
        };
        let Some(newest) = numbers(&names, Kind::Snapshot).last().copied() else {
            return Err(damaged(Damage {
                file: Kind::Snapshot.name(1),
                offset: 0,
                fault: Fault::Missing,
            }));
        };
        sometimes!(SnapshotsOverlap, names.len() > 3);
        let read = |kind: Kind, number| self.disk.read(&path(id, kind, number));
        let snapshot = read(Kind::Snapshot, newest)?;
        let mut logs = Vec::new();
        for number in numbers(&names, Kind::Log) {
            if number >= newest {
                logs.push((number, read(Kind::Log, number)?));
            }
        }
        let recovered = recover(id, (newest, &snapshot), &logs, history).map_err(damaged)?;
        Ok((newest, recovered))
    }

    /// Makes room for the files of a process.
    pub(super) fn make(&self, id: NodeId) -> Result<(), DiskError> {
        let folder = folder(id);
        if self.disk.list("")?.contains(&folder) {
            self.disk.remove_directory(&folder)?;
        }
        self.disk.make_directory(&folder)?;
        self.disk.sync_directory("")
    }

    /// Deletes what the snapshot of this number makes superfluous, and what other processes than
    /// this one have left. So many logs are kept to be used again.
    pub(super) fn tidy(&self, id: NodeId, snapshot: u64, spares: u64) -> Result<(), DiskError> {
        for name in self.disk.list("")? {
            if name.parse().is_ok_and(|other: NodeId| other != id) {
                self.disk.remove_directory(&name)?;
            }
        }
        let folder = folder(id);
        let mut spares_left = spares;
        for name in self.disk.list(&folder)? {
            let path = format!("{folder}/{name}");
            let is_past = |kind: Kind| kind.number(&name).is_some_and(|number| number < snapshot);
            if is_past(Kind::Log) && spares_left > 0 {
                spares_left -= 1;
                self.disk.rename(&path, &format!("{path}{SPARE}"))?;
            } else if name.ends_with(SPARE) && spares_left > 0 {
                spares_left -= 1;
            } else if is_past(Kind::Log)
                || is_past(Kind::Snapshot)
                || name.ends_with(SPARE)
                || name.ends_with(UNFINISHED)
            {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// A log that waits to be used again.
    pub(super) fn spare(&self, id: NodeId) -> Result<Option<String>, DiskError> {
        let folder = folder(id);
        let mut names = self.disk.list(&folder)?.into_iter();
        let spare = names.find(|name| name.ends_with(SPARE));
        Ok(spare.map(|name| format!("{folder}/{name}")))
    }

    fn expect_unused(&self) -> Result<(), Unusable> {
        for name in self.disk.list("")? {
            // What a start that was cut short has left belongs to nobody: nobody has heard of it.
            let is_cut_short = name.parse::<NodeId>().is_ok() || name.ends_with(UNFINISHED);
            if ![LOCK, NOBODYS].contains(&name.as_str()) && !is_cut_short {
                return Err(Unusable::NotOurs);
            }
        }
        Ok(())
    }
}

/// A file that gets its name when it is whole and durable.
pub(super) struct Unfinished<F> {
    file: F,
    path: String,
    offset: u64,
}

impl<F> Unfinished<F> {
    pub(super) fn create<D: Disk<File = F>>(disk: &D, path: &str) -> Result<Self, DiskError> {
        Ok(Unfinished {
            file: disk.create(&unfinished(path))?,
            path: path.to_owned(),
            offset: 0,
        })
    }

    /// Begins with a file that is there, which is made so long. What is in it stays until something
    /// else is written there.
    pub(super) fn over<D: Disk<File = F>>(
        disk: &D,
        from: &str,
        path: &str,
        length: u64,
    ) -> Result<Self, DiskError> {
        disk.rename(from, &unfinished(path))?;
        let mut file = disk.open(&unfinished(path))?;
        disk.resize(&mut file, length)?;
        Ok(Unfinished {
            file,
            path: path.to_owned(),
            offset: 0,
        })
    }

    /// Writes zeros up to this length.
    pub(super) fn fill<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        length: u64,
    ) -> Result<(), DiskError> {
        let zeros = vec![0; ZEROS.min(length as usize)];
        while self.offset < length {
            let left = (length - self.offset).min(ZEROS as u64);
            self.write(disk, &zeros[..left as usize])?;
        }
        Ok(())
    }

    pub(super) fn write<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        disk.write(&mut self.file, self.offset, bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Where the next byte goes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn finish<D: Disk<File = F>>(mut self, disk: &D) -> Result<F, DiskError> {
        disk.sync(&mut self.file)?;
        disk.rename(&unfinished(&self.path), &self.path)?;
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_forgotten = planted!(IdentityNotSynced) && folder.is_empty();
        if !planted!(RenameNotSynced) && !is_forgotten {
            disk.sync_directory(folder)?;
        }
        Ok(self.file)
    }
}

/// The directory of the files of a process.
pub(super) fn folder(id: NodeId) -> String {
    id.to_string()
}

/// A file of a process.
pub(super) fn path(id: NodeId, kind: Kind, number: u64) -> String {
    format!("{id}/{}", kind.name(number))
}

fn unfinished(path: &str) -> String {
    format!("{path}{UNFINISHED}")
}

/// The numbers of the files of a kind, ascending.
fn numbers(names: &[String], kind: Kind) -> Vec<u64> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| kind.number(name)).collect();
    numbers.sort_unstable();
    numbers
}
