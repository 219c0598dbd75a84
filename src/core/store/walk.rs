//! Walks: the files that match a pattern, depth first, entries in byte order.
//!
//! A walk carries the states of the pattern from directory to directory, enters only what may
//! still match, goes straight to names that the pattern spells out, and where the rest of the
//! pattern matches everything it counts instead of looking.

use std::sync::Arc;

use super::event::Event;
use super::glob::{Glob, States};
use super::path::Path;
use super::tree::{Dir, Entries, Entry, Place};

/// A position in the sequence of files that match a pattern.
#[derive(Clone)]
pub(super) struct Walk<'a> {
    glob: &'a Glob,
    /// What comes first: the root, or the one match of a pattern without wildcards.
    first: Option<Step<'a>>,
    /// The directories that the walk is in, the outermost first.
    frames: Vec<Frame<'a>>,
}

#[derive(Clone)]
struct Frame<'a> {
    entries: Entries<'a>,
    /// Names of matching entries begin with this.
    prefix: &'a [u8],
    /// And they are no longer than it.
    whole: bool,
    test: Test,
}

/// How the entries of a directory are judged.
#[derive(Clone)]
enum Test {
    /// All files here and below match.
    All,
    /// All files here match, and none below.
    Files,
    /// By the states of the pattern behind the directory's path and a `/`.
    States(States),
}

/// What an entry means for the walk.
#[derive(Clone)]
enum Step<'a> {
    Match(&'a Arc<Event>),
    Enter(&'a Arc<Dir>, Test),
    Pass,
}

impl<'a> Walk<'a> {
    /// Before the first match.
    pub(super) fn new(root: &'a Arc<Dir>, glob: &'a Glob) -> Walk<'a> {
        let first = if glob.is_exact() {
            exact(root, glob).map(Step::Match)
        } else {
            Test::root(glob).map(|test| Step::Enter(root, test))
        };
        Walk {
            glob,
            first,
            frames: Vec::new(),
        }
    }

    /// Behind a file, whether it matches or not.
    pub(super) fn after(root: &'a Arc<Dir>, glob: &'a Glob, file: &Path) -> Walk<'a> {
        let mut walk = Walk {
            glob,
            first: None,
            frames: Vec::new(),
        };
        if glob.is_exact() {
            return walk;
        }
        let mut next = Test::root(glob).map(|test| (root, test));
        for name in file.components() {
            let Some((dir, test)) = next.take() else {
                break;
            };
            let name = name.as_bytes();
            if let Some(Entry::Dir(below)) = dir.entry(name) {
                next = test.below(glob, name).map(|test| (below, test));
            }
            let mut frame = Frame::new(dir, test, glob);
            frame.entries = Entries::after(dir, name);
            walk.frames.push(frame);
        }
        walk
    }

    /// The match that comes `skip` matches after the next one.
    pub(super) fn nth(mut self, mut skip: u64) -> Option<&'a Arc<Event>> {
        loop {
            match self.step()? {
                Step::Pass => {}
                Step::Match(file) if skip == 0 => return Some(file),
                Step::Match(_) => skip -= 1,
                Step::Enter(dir, Test::All) => match dir.nth_file(skip) {
                    None => skip -= dir.files(),
                    found => return found,
                },
                Step::Enter(dir, Test::Files) => match dir.nth_direct_file(skip) {
                    None => skip -= dir.direct_files(),
                    found => return found,
                },
                Step::Enter(dir, test) => self.frames.push(Frame::new(dir, test, self.glob)),
            }
        }
    }

    /// Looks at one entry.
    fn step(&mut self) -> Option<Step<'a>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let frame = self.frames.last_mut()?;
            if let Some(entry) = frame.next() {
                return Some(frame.test.judge(self.glob, entry));
            }
            self.frames.pop();
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Arc<Event>;

    fn next(&mut self) -> Option<&'a Arc<Event>> {
        loop {
            match self.step()? {
                Step::Pass => {}
                Step::Match(file) => return Some(file),
                Step::Enter(dir, test) => self.frames.push(Frame::new(dir, test, self.glob)),
            }
        }
    }
}

impl<'a> Frame<'a> {
    fn new(dir: &'a Dir, test: Test, glob: &'a Glob) -> Frame<'a> {
        let (prefix, whole) = match &test {
            Test::States(states) => states.required(glob),
            Test::All | Test::Files => (&[][..], false),
        };
        Frame {
            entries: Entries::from(dir, prefix),
            prefix,
            whole,
            test,
        }
    }

    /// The next entry that may match.
    fn next(&mut self) -> Option<&'a Entry> {
        let entry = self.entries.next()?;
        let name = entry.name().as_bytes();
        let fits = if self.whole {
            name == self.prefix
        } else {
            name.starts_with(self.prefix)
        };
        // Entries come in order, so those that begin alike are neighbours.
        fits.then_some(entry)
    }
}

impl Test {
    /// How entries of the root are judged.
    fn root(glob: &Glob) -> Option<Test> {
        let mut states = States::start(glob);
        states.step(glob, b'/').then(|| Test::with(glob, states))
    }

    fn with(glob: &Glob, states: States) -> Test {
        if states.is_universal(glob) {
            Test::All
        } else if states.is_any_name(glob) {
            Test::Files
        } else {
            Test::States(states)
        }
    }

    /// How entries of the directory of this name are judged, or `None` if none can match.
    fn below(&self, glob: &Glob, name: &[u8]) -> Option<Test> {
        match self {
            Test::All => Some(Test::All),
            Test::Files => None,
            Test::States(states) => {
                let mut states = states.clone();
                let alive = states.step_all(glob, name) && states.step(glob, b'/');
                alive.then(|| Test::with(glob, states))
            }
        }
    }

    fn judge<'a>(&self, glob: &Glob, entry: &'a Entry) -> Step<'a> {
        let file = match entry {
            Entry::Dir(dir) => {
                let below = self.below(glob, entry.name().as_bytes());
                return below.map_or(Step::Pass, |test| Step::Enter(dir, test));
            }
            Entry::File(file) => file,
        };
        let matches = match self {
            Test::All | Test::Files => true,
            Test::States(states) => {
                let mut states = states.clone();
                states.step_all(glob, entry.name().as_bytes()) && states.is_accepting(glob)
            }
        };
        if matches {
            Step::Match(file)
        } else {
            Step::Pass
        }
    }
}

/// The file that a pattern without wildcards spells out.
fn exact<'a>(root: &'a Arc<Dir>, glob: &Glob) -> Option<&'a Arc<Event>> {
    let path = Path::parse(glob.as_str().as_bytes()).ok()?;
    match root.place(&path) {
        Place::File(file) => Some(file),
        Place::Missing | Place::BelowFile | Place::Dir(_) => None,
    }
}
