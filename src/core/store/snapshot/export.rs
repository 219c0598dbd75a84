//! Writing snapshots.

use std::sync::Arc;

use super::super::apply::Store;
use super::super::event::Event;
use super::super::glob::Glob;
use super::super::tree::Dir;
use super::super::walk::Walk;
use super::{Body, Digests, FORMAT, PIECE_BYTES, Piece, Start};

/// Writes a snapshot of a store, piece by piece.
///
/// It works on a copy, which is cheap and does not change; whoever reads the pieces may take their
/// time, and may ask for any piece again: the same piece is the same bytes.
#[derive(Clone, Debug)]
pub struct Export {
    store: Store,
    /// Matches every file.
    all: Glob,
    /// Where the pieces begin, as far as that is known.
    places: Vec<Place>,
}

/// Where a piece begins.
#[derive(Clone, Copy, Debug)]
enum Place {
    Start,
    File(u64),
    Event(u64),
    End,
}

/// Bytes of an encoded event beside its path and value, at most: the length of each, the revision
/// and the kind.
const EVENT_OVERHEAD: usize = 32;

impl Export {
    /// A snapshot of a store as it is.
    pub fn new(store: &Store) -> Export {
        Export {
            store: store.clone(),
            all: Glob::parse(b"/**").expect("a well-formed pattern"),
            places: vec![Place::Start],
        }
    }

    /// The store that the snapshot is of.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The piece of this number, from 0; `None` behind the last one.
    ///
    /// Pieces may be asked for in any order. The first time, finding where a piece begins takes a
    /// look at what comes before.
    pub fn piece(&mut self, index: u64) -> Option<Vec<u8>> {
        let wanted = usize::try_from(index).ok()?;
        while self.places.len() <= wanted {
            let (_, next) = self.body(*self.places.last()?);
            self.places.push(next?);
        }
        let (body, next) = self.body(*self.places.get(wanted)?);
        if let Some(next) = next
            && self.places.len() == wanted + 1
        {
            self.places.push(next);
        }
        let piece = Piece { index, body };
        let bytes = bincode::encode_to_vec(piece, bincode::config::standard());
        Some(bytes.expect("encoding into memory does not fail"))
    }

    /// How many pieces are known: all, once one behind the last was asked for.
    pub fn known(&self) -> u64 {
        self.places.len() as u64
    }

    /// The content of the piece that begins at `place`, and where the one behind it does.
    fn body(&self, place: Place) -> (Body, Option<Place>) {
        let (files, events) = (self.base().files(), self.store.history.len());
        let behind = |start: u64, taken: &[Event]| start + taken.len() as u64;
        // Files, then events, then the end, whatever of it there is.
        let next = |file: u64, event: u64| {
            if file < files {
                Place::File(file)
            } else if event < events {
                Place::Event(event)
            } else {
                Place::End
            }
        };
        match place {
            Place::Start => (Body::Start(self.start()), Some(next(0, 0))),
            Place::File(start) => {
                let taken = fill(self.files(start));
                let next = next(behind(start, &taken), 0);
                (Body::Files(taken), Some(next))
            }
            Place::Event(start) => {
                let taken = fill(self.store.history.iter(start).map(|version| &version.event));
                let next = next(files, behind(start, &taken));
                (Body::Events(taken), Some(next))
            }
            Place::End => (Body::End(self.digests()), None),
        }
    }

    fn start(&self) -> Start {
        Start {
            format: FORMAT,
            base: self.store.oldest().min(self.store.rev),
            files: self.base().files(),
            events: self.store.history.len(),
        }
    }

    fn digests(&self) -> Digests {
        Digests {
            base: self
                .store
                .history
                .nth(0)
                .map_or(self.store.files, |oldest| oldest.files),
            events: self.store.history.digest(),
            store: self.store.digest(),
        }
    }

    /// The tree at the oldest retained revision.
    fn base(&self) -> &Arc<Dir> {
        self.store
            .history
            .nth(0)
            .map_or(&self.store.root, |oldest| &oldest.root)
    }

    /// The files of the base, from the `start`-th on.
    fn files(&self, start: u64) -> Walk<'_> {
        let before = start
            .checked_sub(1)
            .and_then(|last| self.base().nth_file(last));
        match before {
            None => Walk::new(self.base(), &self.all),
            Some(file) => Walk::after(self.base(), &self.all, &file.path),
        }
    }
}

/// As many events as a piece holds, at least one.
fn fill<'a>(events: impl Iterator<Item = &'a Arc<Event>>) -> Vec<Event> {
    let mut bytes = 0;
    let fitting = events.take_while(|event| {
        let room = bytes < PIECE_BYTES;
        bytes += event.path.as_str().len() + event.value.0.len() + EVENT_OVERHEAD;
        room
    });
    fitting.map(|event| (**event).clone()).collect()
}
