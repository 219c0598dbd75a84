//! The tree of files at one revision: directories in directories, each a balanced tree of entries.
//!
//! Revisions share structure. Changing a tree that is shared copies the nodes along one path;
//! one that is not shared is changed in place. Nodes count what is below them, so that the n-th
//! entry, the n-th file of a directory and the n-th file anywhere below it are found in
//! logarithmic time.
//!
//! Paths may have thousands of components, so nothing here recurses from directory to directory,
//! the release of memory included.

mod entries;
mod node;

use std::fmt;
use std::sync::Arc;

pub(super) use entries::Entries;
use node::Link;

use super::event::Event;
use super::path::Path;

/// A directory.
#[derive(Clone)]
pub(super) struct Dir {
    name: Arc<str>,
    root: Link,
}

/// What a directory holds.
#[derive(Clone)]
pub(super) enum Entry {
    /// A file, as the event that wrote it.
    File(Arc<Event>),
    /// A directory that is not empty.
    Dir(Arc<Dir>),
}

/// What is at a path.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Nothing.
    Missing,
    /// Nothing, and there cannot be, as a proper prefix of the path is a file.
    BelowFile,
    /// A file.
    File(&'a Arc<Event>),
    /// A directory.
    Dir(&'a Arc<Dir>),
}

impl Dir {
    /// A root directory without entries.
    pub(super) fn empty() -> Arc<Dir> {
        Dir::named("")
    }

    fn named(name: &str) -> Arc<Dir> {
        Arc::new(Dir {
            name: name.into(),
            root: None,
        })
    }

    /// Entries, files and directories.
    pub(super) fn len(&self) -> u64 {
        node::totals(&self.root).entries
    }

    /// Files among the entries.
    pub(super) fn direct_files(&self) -> u64 {
        node::totals(&self.root).direct
    }

    /// Files in this directory and all below it.
    pub(super) fn files(&self) -> u64 {
        node::totals(&self.root).files
    }

    /// The entry of this name.
    pub(super) fn entry(&self, name: &[u8]) -> Option<&Entry> {
        node::find(&self.root, name)
    }

    /// The `n`-th entry in byte order of names, from 0.
    pub(super) fn nth_entry(&self, n: u64) -> Option<&Entry> {
        let (entry, _) = node::nth(&self.root, n, |totals| totals.entries)?;
        Some(entry)
    }

    /// The `n`-th file among the entries, from 0.
    pub(super) fn nth_direct_file(&self, n: u64) -> Option<&Arc<Event>> {
        match node::nth(&self.root, n, |totals| totals.direct)? {
            (Entry::File(file), _) => Some(file),
            (Entry::Dir(_), _) => None,
        }
    }

    /// The `n`-th file in this directory and all below it, depth first, from 0.
    pub(super) fn nth_file(&self, mut n: u64) -> Option<&Arc<Event>> {
        let mut dir = self;
        loop {
            match node::nth(&dir.root, n, |totals| totals.files)? {
                (Entry::File(file), _) => return Some(file),
                (Entry::Dir(below), rest) => (dir, n) = (below, rest),
            }
        }
    }

    /// What is at a path, counted from this directory.
    pub(super) fn place<'a>(self: &'a Arc<Dir>, path: &Path) -> Place<'a> {
        let mut dir = self;
        let mut names = path.components();
        while let Some(name) = names.next() {
            match dir.entry(name.as_bytes()) {
                None => return Place::Missing,
                Some(Entry::Dir(below)) => dir = below,
                Some(Entry::File(file)) => {
                    return match names.next() {
                        None => Place::File(file),
                        Some(_) => Place::BelowFile,
                    };
                }
            }
        }
        Place::Dir(dir)
    }

    /// Puts a file where its event says, in place of the file that is there or, if it `grows` the
    /// tree, with the directories that are missing. The place must not be a directory or below a
    /// file.
    pub(super) fn put(root: &mut Arc<Dir>, file: &Arc<Event>, grows: bool) {
        let mut dir = Arc::make_mut(root);
        let mut names = file.path.components().peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                node::put(&mut dir.root, Entry::File(file.clone()));
                return;
            }
            if grows && dir.entry(name.as_bytes()).is_none() {
                node::put(&mut dir.root, Entry::Dir(Dir::named(name)));
            }
            match node::entry_mut(&mut dir.root, name.as_bytes(), i64::from(grows)) {
                Entry::Dir(below) => dir = Arc::make_mut(below),
                Entry::File(_) => unreachable!("no prefix of the path is a file"),
            }
        }
    }

    /// Takes a file away, and the directories that are left empty. The file must exist.
    pub(super) fn remove(root: &mut Arc<Dir>, path: &Path) {
        let mut dir = Arc::make_mut(root);
        for name in path.components() {
            let name = name.as_bytes();
            // The topmost directory that holds nothing but this file goes as a whole.
            if dir.entry(name).is_some_and(|entry| entry.files() == 1) {
                node::remove(&mut dir.root, name);
                return;
            }
            match node::entry_mut(&mut dir.root, name, -1) {
                Entry::Dir(below) => dir = Arc::make_mut(below),
                Entry::File(_) => unreachable!("a file counts as one"),
            }
        }
    }

    /// Panics where counts or balance are not what they must be. For tests.
    #[cfg(test)]
    pub(super) fn invariants(&self) {
        node::invariants(&self.root);
    }
}

impl Entry {
    /// The name within the directory.
    pub(super) fn name(&self) -> &str {
        match self {
            Entry::Dir(dir) => &dir.name,
            Entry::File(file) => {
                let path = file.path.as_str();
                path.rsplit_once('/').map_or(path, |(_, name)| name)
            }
        }
    }

    /// Files in the entry.
    fn files(&self) -> u64 {
        match self {
            Entry::File(_) => 1,
            Entry::Dir(dir) => dir.files(),
        }
    }
}

impl Drop for Dir {
    /// Releases directory after directory; leaving it to the compiler would recurse as deep as
    /// paths are long.
    fn drop(&mut self) {
        if self.root.is_none() {
            return;
        }
        let mut pending: Vec<Link> = vec![self.root.take()];
        while let Some(link) = pending.pop() {
            let Some(node) = link.and_then(Arc::into_inner) else {
                continue;
            };
            let (left, right, entry) = node.into_parts();
            pending.push(left);
            pending.push(right);
            if let Entry::Dir(dir) = entry
                && let Some(mut dir) = Arc::into_inner(dir)
            {
                pending.push(dir.root.take());
            }
        }
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Dir({:?}, {} entries, {} files)",
            self.name,
            self.len(),
            self.files()
        )
    }
}
