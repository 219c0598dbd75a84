//! A view of the tree at one revision.

use std::sync::Arc;

use super::event::Event;
use super::glob::Glob;
use super::mutation::Value;
use super::path::Path;
use super::tree::{Dir, Entries, Entry, Place};
use super::walk::Walk;
use crate::core::id::Rev;

/// The tree at one revision. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(super) rev: Rev,
    pub(super) root: &'a Arc<Dir>,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing.
    Missing,
    /// A file.
    File {
        /// The revision that wrote it.
        rev: Rev,
        /// Its content.
        value: &'a Value,
    },
    /// A directory.
    Dir {
        /// How many files and directories it holds.
        entries: u64,
    },
}

impl<'a> View<'a> {
    /// The revision.
    pub fn rev(&self) -> Rev {
        self.rev
    }

    /// What is at a path. What is below a file is missing.
    pub fn get(&self, path: &Path) -> Found<'a> {
        match self.root.place(path) {
            Place::Missing | Place::BelowFile => Found::Missing,
            Place::File(file) => found_file(file),
            Place::Dir(dir) => found_dir(dir),
        }
    }

    /// What is at a path as a client sent it: an ill-formed one is missing.
    pub fn get_bytes(&self, path: &[u8]) -> Found<'a> {
        Path::parse(path).map_or(Found::Missing, |path| self.get(&path))
    }

    /// The name of the `n`-th entry of a directory in byte order, from 0. `None` if there are not
    /// so many, or the path is no directory.
    pub fn entry(&self, dir: &Path, n: u64) -> Option<&'a str> {
        self.dir(dir)?.nth_entry(n).map(Entry::name)
    }

    /// The names of the entries of a directory in byte order. None if the path is no directory.
    pub fn names(&self, dir: &Path) -> impl Iterator<Item = &'a str> + use<'a> {
        self.entries(dir).map(|(name, _)| name)
    }

    /// The entries of a directory in byte order of their names, with what they are. None if the
    /// path is no directory.
    pub fn entries(&self, dir: &Path) -> impl Iterator<Item = (&'a str, Found<'a>)> + use<'a> {
        let entries = self.dir(dir).into_iter().flat_map(|dir| Entries::all(dir));
        entries.map(|entry| match entry {
            Entry::File(file) => (entry.name(), found_file(file)),
            Entry::Dir(dir) => (entry.name(), found_dir(dir)),
        })
    }

    /// The `n`-th file that matches, from 0, in the order of [`View::files`].
    ///
    /// Looks at each match before it unless the pattern is everything in or below a directory;
    /// [`Store::walk`](super::Store::walk) goes on where an earlier call stood.
    pub fn walk(&self, glob: &Glob, n: u64) -> Option<(Path, Rev, Value)> {
        Walk::new(self.root, glob).nth(n).map(|file| owned(file))
    }

    /// The files that match, depth first, the entries of each directory in byte order of their
    /// names: `/w/a/b` comes before `/w/a-b`.
    pub fn files(&self, glob: &'a Glob) -> impl Iterator<Item = (&'a Path, Rev, &'a Value)> {
        Walk::new(self.root, glob).map(|file| (&file.path, file.rev, &file.value))
    }

    /// How many files there are.
    pub fn files_len(&self) -> u64 {
        self.root.files()
    }

    fn dir(&self, path: &Path) -> Option<&'a Arc<Dir>> {
        match self.root.place(path) {
            Place::Dir(dir) => Some(dir),
            Place::Missing | Place::BelowFile | Place::File(_) => None,
        }
    }
}

pub(super) fn owned(file: &Event) -> (Path, Rev, Value) {
    (file.path.clone(), file.rev, file.value.clone())
}

fn found_file(file: &Event) -> Found<'_> {
    Found::File {
        rev: file.rev,
        value: &file.value,
    }
}

fn found_dir(dir: &Dir) -> Found<'_> {
    Found::Dir { entries: dir.len() }
}
