//! A disk in simulated time: operations take their time, one after the other in each of two lanes,
//! and can fail.
//!
//! Whoever works with the disk gives its operations all at once; each gets the time at which it is
//! done, and is done then. Names are told at once as they will be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::volume::{Entry, Op, Volume};
use crate::core::durable::{Disk, DiskError};
use crate::core::env::Time;
use crate::sim::chance::Dice;
use crate::sim::params::micros;

/// Longest time of an operation that waits for no sync, in microseconds.
const QUICK_MAX: u64 = 8;

/// Threads that work with a disk at the same time.
const LANES: usize = 2;

/// A thread that works with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Whoever writes the log.
    Log = 0,
    /// Whoever writes a snapshot meanwhile.
    Snapshot = 1,
}

/// A disk, shared by those who work with it.
#[derive(Clone, Debug)]
pub struct Device(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    volume: Volume,
    /// What is to be done, by when it is done.
    plan: BTreeMap<(Time, u64), Planned>,
    /// Names as they are when all of that is done.
    names: BTreeMap<String, Entry>,
    planned: u64,
    files: u64,
    /// When each lane is done with what was planned.
    free: [Time; LANES],
    dice: Dice,
    sync: Duration,
    /// How many times slower than usual syncs are, and until when.
    slow: (u64, Time),
    /// Operations until one fails.
    fails_after: Option<u64>,
    /// No space is left until then.
    full_until: Time,
    has_failed: bool,
}

#[derive(Debug)]
struct Planned {
    begins: Time,
    op: Op,
}

/// A disk, as one thread sees it.
#[derive(Clone, Debug)]
pub struct Handle {
    device: Device,
    lane: Lane,
}

/// A file that is open.
#[derive(Debug)]
pub struct OpenFile {
    file: u64,
    path: String,
    length: u64,
}

impl Device {
    /// An empty disk that takes about this long for a sync.
    pub fn new(sync: Duration, dice: Dice) -> Device {
        Device(Rc::new(RefCell::new(Inner {
            volume: Volume::default(),
            plan: BTreeMap::new(),
            names: BTreeMap::new(),
            planned: 0,
            files: 0,
            free: [Time(0); LANES],
            dice,
            sync,
            slow: (1, Time(0)),
            fails_after: None,
            full_until: Time(0),
            has_failed: false,
        })))
    }

    /// The disk, as a thread sees it that has something to do from now on.
    pub fn handle(&self, lane: Lane, now: Time) -> Handle {
        let free = &mut self.0.borrow_mut().free[lane as usize];
        *free = (*free).max(now);
        let device = self.clone();
        Handle { device, lane }
    }

    /// When a thread is done with what it has planned.
    pub fn free_at(&self, lane: Lane) -> Time {
        self.0.borrow().free[lane as usize]
    }

    /// When the operation of this number after others of what is planned is done, if there are as many.
    pub fn done_at(&self, nth: usize) -> Option<Time> {
        let inner = self.0.borrow();
        inner.plan.keys().nth(nth).map(|(at, _)| *at)
    }

    /// A process that works with the disk dies: what it has done so far is there.
    pub fn stop(&self, now: Time) {
        self.0.borrow_mut().stop(now);
    }

    /// A process that works with the disk ends once this thread is done.
    pub fn finish(&self, lane: Lane) {
        let at = self.free_at(lane);
        self.stop(at);
    }

    /// The power goes. What was not durable is lost, but for what the disk has written of itself.
    pub fn lose_power(&self, now: Time) {
        let inner = &mut *self.0.borrow_mut();
        inner.stop(now);
        inner.volume.lose_power(&mut inner.dice);
        inner.names.clone_from(inner.volume.names());
    }

    /// Whether anything would be lost if the power went now.
    pub fn is_unsynced(&self, now: Time) -> bool {
        let inner = &mut *self.0.borrow_mut();
        inner.settle(now);
        !inner.plan.is_empty() || inner.volume.is_unsynced()
    }

    /// A disk that holds what is durable on this one by now, and nothing else.
    pub fn worst(&self, now: Time) -> Device {
        let inner = &mut *self.0.borrow_mut();
        inner.settle(now);
        inner.copy(inner.volume.worst())
    }

    /// A disk that holds what this one does, while nobody works with it.
    pub fn copy(&self) -> Device {
        let inner = self.0.borrow();
        inner.copy(inner.volume.clone())
    }

    /// Does something with what the disk holds, while nobody works with it.
    pub fn with_volume<T>(&self, act: impl FnOnce(&mut Volume, &mut Dice) -> T) -> T {
        let inner = &mut *self.0.borrow_mut();
        let done = act(&mut inner.volume, &mut inner.dice);
        inner.names.clone_from(inner.volume.names());
        done
    }

    /// An operation fails, after so many others. Those that read count as well.
    pub fn fail_after(&self, operations: u64) {
        self.0.borrow_mut().fails_after = Some(operations);
    }

    /// No space is left until then.
    pub fn fill_until(&self, until: Time) {
        self.0.borrow_mut().full_until = until;
    }

    /// Syncs take so many times longer until then.
    pub fn slow_until(&self, times: u64, until: Time) {
        self.0.borrow_mut().slow = (times.max(1), until);
    }

    /// Everything works again.
    pub fn mend(&self) {
        let inner = &mut *self.0.borrow_mut();
        inner.fails_after = None;
        inner.full_until = Time(0);
        inner.slow = (1, Time(0));
    }

    /// Whether an operation has failed since this was asked last.
    pub fn take_failed(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().has_failed)
    }
}

impl Inner {
    /// A disk like this one that holds something else.
    fn copy(&self, volume: Volume) -> Device {
        let device = Device::new(self.sync, self.dice.clone());
        {
            let copy = &mut *device.0.borrow_mut();
            copy.names.clone_from(volume.names());
            copy.volume = volume;
            copy.files = self.files;
        }
        device
    }

    /// What is done by now is done.
    fn settle(&mut self, now: Time) {
        while let Some(first) = self.plan.first_entry() {
            if first.key().0 > now {
                return;
            }
            self.volume.apply(first.remove().op);
        }
    }

    fn stop(&mut self, now: Time) {
        self.settle(now);
        let dice = &mut self.dice;
        for (_, Planned { begins, op }) in std::mem::take(&mut self.plan) {
            if begins < now {
                self.volume.apply_part(op, dice);
            }
        }
        self.names.clone_from(self.volume.names());
        self.free = [now; LANES];
    }

    fn plan(&mut self, lane: Lane, path: &str, op: Op) -> Result<(), DiskError> {
        let begins = self.free[lane as usize];
        let takes = match op {
            Op::Sync { .. } | Op::SyncDirectory { .. } => {
                let usual = self.sync.as_micros() as u64;
                let factor = if self.slow.1 > begins { self.slow.0 } else { 1 };
                factor * self.dice.between(usual / 2, usual + usual / 2)
            }
            _ => self.dice.between(1, QUICK_MAX),
        };
        let at = begins + micros(takes.max(1));
        self.free[lane as usize] = at;
        let error = self.fate(begins, &op);
        let op = match (&error, op) {
            (None, op) => Some(op),
            (Some(_), Op::Sync { file }) => Some(Op::FailSync { file }),
            (
                Some(_),
                Op::Write {
                    file,
                    offset,
                    bytes,
                },
            ) => {
                let length = self.dice.below(bytes.len() as u64 + 1) as usize;
                let bytes = bytes[..length].to_vec();
                Some(Op::Write {
                    file,
                    offset,
                    bytes,
                })
            }
            (Some(_), _) => None,
        };
        if let Some(op) = op {
            self.foretell(&op);
            self.planned += 1;
            let planned = Planned { begins, op };
            self.plan.insert((at, self.planned), planned);
        }
        match error {
            None => Ok(()),
            Some(source) => {
                self.has_failed = true;
                Err(DiskError {
                    path: path.to_owned(),
                    source,
                })
            }
        }
    }

    /// Why an operation that begins now fails, if it does.
    fn fate(&mut self, begins: Time, op: &Op) -> Option<io::Error> {
        let needs_space = matches!(
            op,
            Op::Create { .. } | Op::Write { .. } | Op::MakeDirectory { .. }
        );
        if needs_space && self.full_until > begins {
            return Some(io::ErrorKind::StorageFull.into());
        }
        self.fails_now().then(io_error)
    }

    /// Counts an operation, and tells whether it is the one that fails.
    fn fails_now(&mut self) -> bool {
        let fails = self.fails_after == Some(0);
        self.fails_after = self.fails_after.and_then(|left| left.checked_sub(1));
        fails
    }

    /// Something is read, which fails like anything else.
    fn before_reading(&mut self, path: &str) -> Result<(), DiskError> {
        if !self.fails_now() {
            return Ok(());
        }
        self.has_failed = true;
        Err(DiskError {
            path: path.to_owned(),
            source: io_error(),
        })
    }

    /// What an operation does to the names.
    fn foretell(&mut self, op: &Op) {
        let names = &mut self.names;
        match op {
            Op::Create { path, file } => drop(names.insert(path.clone(), Entry::File(*file))),
            Op::Rename { from, to } => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
            Op::Remove { path } | Op::RemoveDirectory { path } => {
                let inside = format!("{path}/");
                names.retain(|name, _| name != path && !name.starts_with(&inside));
            }
            Op::MakeDirectory { path } => drop(names.insert(path.clone(), Entry::Directory)),
            Op::Write { .. }
            | Op::Resize { .. }
            | Op::Sync { .. }
            | Op::FailSync { .. }
            | Op::SyncDirectory { .. } => {}
        }
    }

    fn file(&self, path: &str) -> Result<u64, DiskError> {
        match self.names.get(path) {
            Some(Entry::File(file)) => Ok(*file),
            Some(Entry::Directory) | None => Err(missing(path)),
        }
    }
}

impl Handle {
    fn plan(&self, path: &str, op: Op) -> Result<(), DiskError> {
        self.device.0.borrow_mut().plan(self.lane, path, op)
    }
}

impl Disk for Handle {
    type File = OpenFile;

    fn read(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        let inner = &mut *self.device.0.borrow_mut();
        inner.before_reading(path)?;
        let file = inner.file(path)?;
        if inner.plan.is_empty() {
            return Ok(inner.volume.read(file).to_vec());
        }
        let mut volume = inner.volume.clone();
        for planned in inner.plan.values() {
            volume.apply(planned.op.clone());
        }
        Ok(volume.read(file).to_vec())
    }

    fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        let inner = &mut *self.device.0.borrow_mut();
        inner.before_reading(path)?;
        let folder = match path {
            "" => String::new(),
            path if inner.names.get(path) == Some(&Entry::Directory) => format!("{path}/"),
            path => return Err(missing(path)),
        };
        let inside = inner
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&folder))
            .filter(|name| !name.contains('/'));
        Ok(inside.map(str::to_owned).collect())
    }

    fn create(&self, path: &str) -> Result<OpenFile, DiskError> {
        let file = {
            let inner = &mut *self.device.0.borrow_mut();
            inner.files += 1;
            inner.files
        };
        let name = path.to_owned();
        self.plan(path, Op::Create { path: name, file })?;
        Ok(OpenFile {
            file,
            path: path.to_owned(),
            length: 0,
        })
    }

    fn open(&self, path: &str) -> Result<OpenFile, DiskError> {
        let length = self.read(path)?.len() as u64;
        Ok(OpenFile {
            file: self.device.0.borrow().file(path)?,
            path: path.to_owned(),
            length,
        })
    }

    fn write(&self, file: &mut OpenFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        if bytes.is_empty() {
            return Ok(());
        }
        assert!(
            offset <= file.length,
            "{} has {} bytes, and a hole would come before {offset}",
            file.path,
            file.length
        );
        file.length = file.length.max(offset + bytes.len() as u64);
        let op = Op::Write {
            file: file.file,
            offset,
            bytes: bytes.to_vec(),
        };
        self.plan(&file.path, op)
    }

    fn resize(&self, file: &mut OpenFile, length: u64) -> Result<(), DiskError> {
        file.length = length;
        let file_number = file.file;
        let op = Op::Resize {
            file: file_number,
            length,
        };
        self.plan(&file.path, op)
    }

    fn sync(&self, file: &mut OpenFile) -> Result<(), DiskError> {
        self.plan(&file.path, Op::Sync { file: file.file })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.device.0.borrow().file(from)?;
        let (old, new) = (from.to_owned(), to.to_owned());
        self.plan(from, Op::Rename { from: old, to: new })
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.device.0.borrow().file(path)?;
        let name = path.to_owned();
        self.plan(path, Op::Remove { path: name })
    }

    fn make_directory(&self, path: &str) -> Result<(), DiskError> {
        let name = path.to_owned();
        self.plan(path, Op::MakeDirectory { path: name })
    }

    fn remove_directory(&self, path: &str) -> Result<(), DiskError> {
        let name = path.to_owned();
        self.plan(path, Op::RemoveDirectory { path: name })
    }

    fn sync_directory(&self, path: &str) -> Result<(), DiskError> {
        let name = path.to_owned();
        self.plan(path, Op::SyncDirectory { path: name })
    }
}

fn io_error() -> io::Error {
    io::Error::other("input/output error")
}

fn missing(path: &str) -> DiskError {
    DiskError {
        path: path.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    }
}
