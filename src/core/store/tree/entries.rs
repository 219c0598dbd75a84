//! The entries of a directory, in order.

use std::cmp::Ordering;

use super::node::{Link, Node};
use super::{Dir, Entry};

/// Yields the entries of a directory in byte order of their names, from anywhere on.
#[derive(Clone)]
pub(in crate::core::store) struct Entries<'a> {
    /// The nodes that are due, the next one last; what lies before each of them is done.
    due: Vec<&'a Node>,
}

impl<'a> Entries<'a> {
    /// All entries.
    pub(in crate::core::store) fn all(dir: &'a Dir) -> Entries<'a> {
        let mut entries = Entries { due: Vec::new() };
        entries.descend(&dir.root);
        entries
    }

    /// The entries from this name on.
    pub(in crate::core::store) fn from(dir: &'a Dir, name: &[u8]) -> Entries<'a> {
        Entries::seek(dir, |candidate| candidate >= name)
    }

    /// The entries behind this name.
    pub(in crate::core::store) fn after(dir: &'a Dir, name: &[u8]) -> Entries<'a> {
        Entries::seek(dir, |candidate| candidate.cmp(name) == Ordering::Greater)
    }

    fn seek(dir: &'a Dir, is_due: impl Fn(&[u8]) -> bool) -> Entries<'a> {
        let mut due = Vec::new();
        let mut link = &dir.root;
        while let Some(node) = link {
            if is_due(node.entry().name().as_bytes()) {
                due.push(&**node);
                link = node.left();
            } else {
                link = node.right();
            }
        }
        Entries { due }
    }

    fn descend(&mut self, link: &'a Link) {
        let mut link = link;
        while let Some(node) = link {
            self.due.push(node);
            link = node.left();
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        let node = self.due.pop()?;
        self.descend(node.right());
        Some(node.entry())
    }
}
