//! What a disk holds, what of it is durable, and what the loss of power leaves.
//!
//! Files are what processes see of them; what would undo the writes since the last sync is kept
//! beside. When the power goes, each sector that was written since has any of its versions since
//! then, and so has the length of the file; and any of the changes of names that were not synced
//! with their directory is lost, with those after it that concern the same file or name.

use std::collections::BTreeMap;

use crate::sim::chance::Dice;

/// Bytes that are written as a whole or not at all.
pub const SECTOR: usize = 512;

/// The files and directories of a disk.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    files: BTreeMap<u64, File>,
    /// As processes see them.
    names: BTreeMap<String, Entry>,
    /// As they are durable.
    durable: BTreeMap<String, Entry>,
    /// How the ones become the others, in order.
    unsynced: Vec<Naming>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file.
    File(u64),
}

/// Something that is done to a disk.
#[derive(Clone, Debug)]
pub enum Op {
    /// A name stands for a new, empty file.
    Create {
        /// The name.
        path: String,
        /// The file.
        file: u64,
    },
    /// Bytes are written.
    Write {
        /// Into which file.
        file: u64,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file becomes shorter or longer.
    Resize {
        /// The file.
        file: u64,
        /// Its length.
        length: u64,
    },
    /// What a file holds becomes durable.
    Sync {
        /// The file.
        file: u64,
    },
    /// A sync of a file fails: the system takes what it holds for durable from now on, and it is
    /// not.
    FailSync {
        /// The file.
        file: u64,
    },
    /// A file gets another name.
    Rename {
        /// The old one.
        from: String,
        /// The new one.
        to: String,
    },
    /// A name goes.
    Remove {
        /// The name.
        path: String,
    },
    /// A name stands for a new directory.
    MakeDirectory {
        /// The name.
        path: String,
    },
    /// A directory goes, with all that is in it.
    RemoveDirectory {
        /// The name.
        path: String,
    },
    /// The names in a directory become durable.
    SyncDirectory {
        /// The directory.
        path: String,
    },
}

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// Writes since the last sync, in order.
    changes: Vec<Change>,
    /// What is durable, where no changes lead from there to `bytes`: after a sync that failed.
    platter: Option<Vec<u8>>,
    /// Where each write began that is still there.
    writes: Vec<u64>,
}

/// A write, and what was there before.
#[derive(Clone, Debug)]
struct Change {
    offset: usize,
    new: Vec<u8>,
    old: Vec<u8>,
    length_before: usize,
    length_after: usize,
}

/// A change of a name, in the directory that it is made in.
#[derive(Clone, Debug)]
struct Naming {
    folder: String,
    from: Option<String>,
    to: Option<String>,
    entry: Entry,
}

/// How much of what is not durable outlives the loss of power.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Nothing,
    Everything,
    /// What was written first.
    Beginning,
    Anything,
}

impl Luck {
    fn draw(dice: &mut Dice) -> Luck {
        match dice.below(5) {
            0 => Luck::Nothing,
            1 => Luck::Everything,
            2 => Luck::Beginning,
            _ => Luck::Anything,
        }
    }
}

impl Volume {
    /// What a name stands for.
    pub fn entry(&self, path: &str) -> Option<Entry> {
        self.names.get(path).copied()
    }

    /// All names, and what they stand for.
    pub fn names(&self) -> &BTreeMap<String, Entry> {
        &self.names
    }

    /// What a file holds.
    pub fn read(&self, file: u64) -> &[u8] {
        self.files.get(&file).map_or(&[], |file| &file.bytes)
    }

    /// Where the writes of a file began, in their order.
    pub fn writes(&self, file: u64) -> &[u64] {
        self.files.get(&file).map_or(&[], |file| &file.writes)
    }

    /// Whether anything would be lost if the power went now.
    pub fn is_unsynced(&self) -> bool {
        let is_changed = |file: &File| !file.changes.is_empty() || file.platter.is_some();
        !self.unsynced.is_empty() || self.files.values().any(is_changed)
    }

    /// Does something.
    pub fn apply(&mut self, op: Op) {
        match op {
            Op::Create { path, file } => {
                self.files.insert(file, File::default());
                self.name(None, Some(path), Entry::File(file));
            }
            Op::Write {
                file,
                offset,
                bytes,
            } => self.file(file).write(offset as usize, bytes),
            Op::Resize { file, length } => self.file(file).resize(length as usize),
            Op::Sync { file } => self.file(file).sync(),
            Op::FailSync { file } => {
                let file = self.file(file);
                file.platter = Some(file.durable());
                file.changes.clear();
            }
            Op::Rename { from, to } => {
                if let Some(entry) = self.entry(&from) {
                    self.name(Some(from), Some(to), entry);
                }
            }
            Op::Remove { path } | Op::RemoveDirectory { path } => {
                if let Some(entry) = self.entry(&path) {
                    self.name(Some(path), None, entry);
                }
            }
            Op::MakeDirectory { path } => self.name(None, Some(path), Entry::Directory),
            Op::SyncDirectory { path } => {
                for naming in std::mem::take(&mut self.unsynced) {
                    match naming.folder == path {
                        true => naming.apply(&mut self.durable),
                        false => self.unsynced.push(naming),
                    }
                }
            }
        }
    }

    /// A write is cut short: so many bytes of it were written.
    pub fn apply_part(&mut self, op: Op, dice: &mut Dice) {
        match op {
            Op::Write {
                file,
                offset,
                mut bytes,
            } => {
                bytes.truncate(dice.below(bytes.len() as u64 + 1) as usize);
                self.apply(Op::Write {
                    file,
                    offset,
                    bytes,
                });
            }
            Op::Sync { .. } | Op::FailSync { .. } | Op::SyncDirectory { .. } => {}
            op => {
                if dice.hit(500_000) {
                    self.apply(op);
                }
            }
        }
    }

    /// The power goes. What was not durable is lost, but for what the disk has written of itself.
    pub fn lose_power(&mut self, dice: &mut Dice) {
        let luck = Luck::draw(dice);
        let count = self.unsynced.len() as u64;
        let first = dice.below(count + 1);
        let mut lost: Vec<Naming> = Vec::new();
        for (nth, naming) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            let survives = match luck {
                Luck::Nothing => false,
                Luck::Everything => true,
                Luck::Beginning => (nth as u64) < first,
                Luck::Anything => dice.hit(500_000),
            };
            // Those that concern one file, or one name, are done in order.
            if survives && !lost.iter().any(|former| former.concerns(&naming)) {
                naming.apply(&mut self.durable);
            } else {
                lost.push(naming);
            }
        }
        self.durable = with_parents(&self.durable);
        self.names.clone_from(&self.durable);
        let names = &self.names;
        let has_name = |file: &u64| names.values().any(|entry| *entry == Entry::File(*file));
        self.files.retain(|file, _| has_name(file));
        let luck = Luck::draw(dice);
        for file in self.files.values_mut() {
            file.lose_power(luck, dice);
        }
    }

    /// What the loss of power leaves if nothing outlives it that is not durable.
    pub fn worst(&self) -> Volume {
        let mut worst = self.clone();
        worst.unsynced.clear();
        worst.durable = with_parents(&worst.durable);
        worst.names.clone_from(&worst.durable);
        for file in worst.files.values_mut() {
            file.set(file.durable());
        }
        worst
    }

    /// Bytes of a file are not what was written any more. Nobody notices.
    pub fn damage(&mut self, file: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.file(file);
        let mut bytes = std::mem::take(&mut file.bytes);
        change(&mut bytes);
        file.set(bytes);
    }

    /// A name goes, durably. Nobody notices.
    pub fn lose(&mut self, path: &str) {
        self.names.remove(path);
        self.durable.remove(path);
    }

    fn file(&mut self, file: u64) -> &mut File {
        self.files.entry(file).or_default()
    }

    fn name(&mut self, from: Option<String>, to: Option<String>, entry: Entry) {
        let path = from.as_ref().or(to.as_ref()).map_or("", String::as_str);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let naming = Naming {
            folder: folder.to_owned(),
            from,
            to,
            entry,
        };
        naming.apply(&mut self.names);
        self.unsynced.push(naming);
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        if let Some(from) = &self.from {
            let inside = format!("{from}/");
            names.retain(|path, _| path != from && !path.starts_with(&inside));
        }
        if let Some(path) = &self.to {
            names.insert(path.clone(), self.entry);
        }
    }

    /// Whether both are about one file, or one name.
    fn concerns(&self, other: &Naming) -> bool {
        let is_file = matches!(self.entry, Entry::File(_));
        let names = |one: &Naming| [one.from.clone(), one.to.clone()];
        let shares_name = names(self).iter().flatten().any(|name| {
            let others = names(other);
            others.iter().flatten().any(|other| other == name)
        });
        (is_file && self.entry == other.entry) || shares_name
    }
}

/// The names whose directories are there.
fn with_parents(names: &BTreeMap<String, Entry>) -> BTreeMap<String, Entry> {
    let is_there = |path: &str| match path.rsplit_once('/') {
        None => true,
        Some((folder, _)) => names.get(folder) == Some(&Entry::Directory),
    };
    let kept = names.iter().filter(|(path, _)| is_there(path));
    kept.map(|(path, entry)| (path.clone(), *entry)).collect()
}

impl File {
    fn write(&mut self, offset: usize, new: Vec<u8>) {
        let length_before = self.bytes.len();
        let end = offset + new.len();
        let old = self.bytes[offset.min(length_before)..end.min(length_before)].to_vec();
        if end > length_before {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(&new);
        self.writes.retain(|write| *write < offset as u64);
        self.writes.push(offset as u64);
        self.changes.push(Change {
            offset,
            new,
            old,
            length_before,
            length_after: self.bytes.len(),
        });
    }

    fn resize(&mut self, length: usize) {
        let length_before = self.bytes.len();
        let old = self.bytes[length.min(length_before)..].to_vec();
        let new = vec![0; length.saturating_sub(length_before)];
        self.bytes.resize(length, 0);
        self.writes.retain(|write| *write < length as u64);
        self.changes.push(Change {
            offset: length.min(length_before),
            new,
            old,
            length_before,
            length_after: length,
        });
    }

    fn sync(&mut self) {
        if let Some(mut platter) = self.platter.take() {
            for change in &self.changes {
                change.redo(&mut platter);
            }
            self.platter = (platter != self.bytes).then_some(platter);
        }
        self.changes.clear();
    }

    /// What is durable.
    fn durable(&self) -> Vec<u8> {
        if let Some(platter) = &self.platter {
            return platter.clone();
        }
        let mut bytes = self.bytes.clone();
        for change in self.changes.iter().rev() {
            change.undo(&mut bytes);
        }
        bytes
    }

    fn lose_power(&mut self, luck: Luck, dice: &mut Dice) {
        if self.changes.is_empty() && self.platter.is_none() {
            return;
        }
        let durable = self.durable();
        let count = self.changes.len();
        let first = dice.below(count as u64 + 1) as usize;
        let mut draw = || match luck {
            Luck::Nothing => 0,
            Luck::Everything => count,
            Luck::Beginning => first,
            Luck::Anything => dice.below(count as u64 + 1) as usize,
        };
        let done = draw();
        let length = match done.checked_sub(1) {
            None => durable.len(),
            Some(last) => self.changes[last].length_after,
        };
        let lengths = self.changes.iter().map(|change| change.length_after);
        let longest = lengths.max().unwrap_or(0).max(durable.len());
        let mut left = durable.clone();
        left.resize(longest, 0);
        for begin in (0..longest).step_by(SECTOR) {
            let sector = begin..(begin + SECTOR).min(longest);
            let is_touched = |change: &Change| change.touches(sector.start, sector.end);
            if self.changes.iter().any(is_touched) {
                for change in &self.changes[..draw()] {
                    change.redo_within(&mut left, sector.start, sector.end);
                }
            }
        }
        left.resize(length, 0);
        self.set(left);
    }

    fn set(&mut self, bytes: Vec<u8>) {
        self.writes.retain(|write| *write < bytes.len() as u64);
        self.bytes = bytes;
        self.changes.clear();
        self.platter = None;
    }
}

impl Change {
    fn touches(&self, begin: usize, end: usize) -> bool {
        let length = self.new.len().max(self.old.len());
        self.offset < end && begin < self.offset + length
    }

    fn undo(&self, bytes: &mut Vec<u8>) {
        bytes.resize(self.length_before, 0);
        bytes[self.offset..self.offset + self.old.len()].copy_from_slice(&self.old);
    }

    /// Does it again to a part of a file.
    fn redo_within(&self, bytes: &mut [u8], begin: usize, end: usize) {
        let (from, to) = (
            self.offset.max(begin),
            (self.offset + self.new.len()).min(end),
        );
        if from < to {
            bytes[from..to].copy_from_slice(&self.new[from - self.offset..to - self.offset]);
        }
        // What a file was cut off by is zeros, should it become longer again.
        let cut = self.length_after.max(begin);
        if self.length_after < self.length_before && cut < end {
            bytes[cut..end].fill(0);
        }
    }

    fn redo(&self, bytes: &mut Vec<u8>) {
        bytes.resize(self.length_after.max(self.offset + self.new.len()), 0);
        bytes[self.offset..self.offset + self.new.len()].copy_from_slice(&self.new);
    }
}
