//! The balanced tree of one directory's entries.
//!
//! A weight-balanced tree: for each node, neither side weighs more than [`DELTA`] times the other,
//! where the weight is the number of entries plus one. With the two constants as they are, single
//! and double rotations restore that after each change (Hirai and Yamamoto, 2011).

use std::cmp::Ordering;
use std::sync::Arc;

use super::Entry;

/// How many times one side may outweigh the other.
const DELTA: u64 = 3;
/// How many times the inner part of a side may outweigh the outer before it takes two rotations.
const GAMMA: u64 = 2;

pub(super) type Link = Option<Arc<Node>>;

/// An entry with those before and behind it.
#[derive(Clone)]
pub(super) struct Node {
    left: Link,
    right: Link,
    entry: Entry,
    /// The beginning of the entry's name. It decides most comparisons without a look at the entry,
    /// which is elsewhere in memory.
    key: Key,
    totals: Totals,
}

/// The first eight bytes of a name, as a number that is in the same order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    fn of(name: &[u8]) -> Key {
        let mut key = [0; 8];
        for (to, from) in key.iter_mut().zip(name) {
            *to = *from;
        }
        Key(u64::from_be_bytes(key))
    }
}

/// What is in a subtree.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Totals {
    /// Entries.
    pub(super) entries: u64,
    /// Entries that are files.
    pub(super) direct: u64,
    /// Files among the entries and in the directories below.
    pub(super) files: u64,
}

impl Node {
    fn leaf(entry: Entry) -> Node {
        let key = Key::of(entry.name().as_bytes());
        let mut node = Node {
            left: None,
            right: None,
            entry,
            key,
            totals: Totals::default(),
        };
        node.count();
        node
    }

    /// How a name, whose key is given too, compares to this node's.
    fn order(&self, name: &[u8], key: Key) -> Ordering {
        key.cmp(&self.key)
            .then_with(|| name.cmp(self.entry.name().as_bytes()))
    }

    pub(super) fn left(&self) -> &Link {
        &self.left
    }

    pub(super) fn right(&self) -> &Link {
        &self.right
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(super) fn into_parts(self) -> (Link, Link, Entry) {
        (self.left, self.right, self.entry)
    }

    fn count(&mut self) {
        let (left, right) = (totals(&self.left), totals(&self.right));
        let own = own(&self.entry);
        self.totals = Totals {
            entries: left.entries + right.entries + own.entries,
            direct: left.direct + right.direct + own.direct,
            files: left.files + right.files + own.files,
        };
    }
}

fn own(entry: &Entry) -> Totals {
    let direct = u64::from(matches!(entry, Entry::File(_)));
    Totals {
        entries: 1,
        direct,
        files: entry.files(),
    }
}

pub(super) fn totals(link: &Link) -> Totals {
    link.as_ref().map_or(Totals::default(), |node| node.totals)
}

/// The entry of this name.
pub(super) fn find<'a>(link: &'a Link, name: &[u8]) -> Option<&'a Entry> {
    let mut link = link;
    let key = Key::of(name);
    while let Some(node) = link {
        match node.order(name, key) {
            Ordering::Less => link = &node.left,
            Ordering::Greater => link = &node.right,
            Ordering::Equal => return Some(&node.entry),
        }
    }
    None
}

/// The entry that the `n`-th thing of a kind is in, with its number there.
pub(super) fn nth(link: &Link, mut n: u64, kind: impl Fn(Totals) -> u64) -> Option<(&Entry, u64)> {
    let mut link = link;
    while let Some(node) = link {
        let before = kind(totals(&node.left));
        let here = kind(own(&node.entry));
        if n < before {
            link = &node.left;
        } else if n - before < here {
            return Some((&node.entry, n - before));
        } else {
            n -= before + here;
            link = &node.right;
        }
    }
    None
}

/// Puts an entry in, in place of the one of the same name, if any.
///
/// Recurses as deep as the tree is high, at most 2.41 times the logarithm of its size.
pub(super) fn put(link: &mut Link, entry: Entry) {
    put_leaf(link, Node::leaf(entry));
}

fn put_leaf(link: &mut Link, leaf: Node) {
    let Some(this) = link else {
        *link = Some(Arc::new(leaf));
        return;
    };
    let node = Arc::make_mut(this);
    match node.order(leaf.entry.name().as_bytes(), leaf.key) {
        Ordering::Less => put_leaf(&mut node.left, leaf),
        Ordering::Greater => put_leaf(&mut node.right, leaf),
        Ordering::Equal => node.entry = leaf.entry,
    }
    balance(this);
}

/// The entry of this name, to be changed such that the files in it become so many more. It must
/// exist.
pub(super) fn entry_mut<'a>(link: &'a mut Link, name: &[u8], change: i64) -> &'a mut Entry {
    let mut link = link;
    let key = Key::of(name);
    loop {
        let node = Arc::make_mut(link.as_mut().expect("the entry exists"));
        let files = node.totals.files.checked_add_signed(change);
        node.totals.files = files.expect("no fewer than no files");
        match node.order(name, key) {
            Ordering::Less => link = &mut node.left,
            Ordering::Greater => link = &mut node.right,
            Ordering::Equal => return &mut node.entry,
        }
    }
}

/// Takes the entry of this name out. It must exist.
pub(super) fn remove(link: &mut Link, name: &[u8]) {
    remove_key(link, name, Key::of(name));
}

fn remove_key(link: &mut Link, name: &[u8], key: Key) {
    let this = link.as_mut().expect("the entry exists");
    let node = Arc::make_mut(this);
    match node.order(name, key) {
        Ordering::Less => remove_key(&mut node.left, name, key),
        Ordering::Greater => remove_key(&mut node.right, name, key),
        Ordering::Equal => {
            // The neighbour from the heavier side takes the place; without one the place goes.
            let heavier = totals(&node.left).entries > totals(&node.right).entries;
            let next = if heavier {
                take_last(&mut node.left)
            } else {
                take_first(&mut node.right)
            };
            match next {
                Some(entry) => {
                    node.key = Key::of(entry.name().as_bytes());
                    node.entry = entry;
                }
                None => {
                    *link = None;
                    return;
                }
            }
        }
    }
    balance(this);
}

fn take_first(link: &mut Link) -> Option<Entry> {
    let this = link.as_mut()?;
    let node = Arc::make_mut(this);
    if let Some(entry) = take_first(&mut node.left) {
        balance(this);
        return Some(entry);
    }
    let (rest, entry) = (node.right.take(), node.entry.clone());
    *link = rest;
    Some(entry)
}

fn take_last(link: &mut Link) -> Option<Entry> {
    let this = link.as_mut()?;
    let node = Arc::make_mut(this);
    if let Some(entry) = take_last(&mut node.right) {
        balance(this);
        return Some(entry);
    }
    let (rest, entry) = (node.left.take(), node.entry.clone());
    *link = rest;
    Some(entry)
}

fn weight(link: &Link) -> u64 {
    totals(link).entries + 1
}

/// Counts what is below a node whose sides have changed by one entry at most, and rotates until
/// neither side is too heavy.
fn balance(this: &mut Arc<Node>) {
    let node = Arc::make_mut(this);
    node.count();
    let (left, right) = (weight(&node.left), weight(&node.right));
    if left > DELTA * right {
        if let Some(side) = &mut node.left
            && weight(&side.right) >= GAMMA * weight(&side.left)
        {
            rotate_left(side);
        }
        rotate_right(this);
    } else if right > DELTA * left {
        if let Some(side) = &mut node.right
            && weight(&side.left) >= GAMMA * weight(&side.right)
        {
            rotate_right(side);
        }
        rotate_left(this);
    }
}

/// Lifts the right side of a node into its place.
fn rotate_left(this: &mut Arc<Node>) {
    let node = Arc::make_mut(this);
    let mut lifted = node.right.take().expect("the heavier side is not empty");
    let top = Arc::make_mut(&mut lifted);
    node.right = top.left.take();
    node.count();
    std::mem::swap(this, &mut lifted);
    let top = Arc::make_mut(this);
    top.left = Some(lifted);
    top.count();
}

/// Lifts the left side of a node into its place.
fn rotate_right(this: &mut Arc<Node>) {
    let node = Arc::make_mut(this);
    let mut lifted = node.left.take().expect("the heavier side is not empty");
    let top = Arc::make_mut(&mut lifted);
    node.left = top.right.take();
    node.count();
    std::mem::swap(this, &mut lifted);
    let top = Arc::make_mut(this);
    top.right = Some(lifted);
    top.count();
}

/// Panics where counts or balance are not what they must be, here and in all directories below.
#[cfg(test)]
pub(super) fn invariants(link: &Link) {
    let mut nodes: Vec<&Node> = link.as_deref().into_iter().collect();
    while let Some(node) = nodes.pop() {
        let mut counted = node.clone();
        counted.count();
        assert_eq!(counted.totals, node.totals);
        let (left, right) = (weight(&node.left), weight(&node.right));
        assert!(left <= DELTA * right && right <= DELTA * left);
        nodes.extend(node.left.as_deref());
        nodes.extend(node.right.as_deref());
        if let Entry::Dir(dir) = &node.entry {
            assert!(dir.files() > 0, "an empty directory stays");
            nodes.extend(dir.root.as_deref());
        }
    }
}
