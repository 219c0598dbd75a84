//! Reading snapshots.

use std::sync::Arc;

use super::super::apply::Store;
use super::super::event::{Event, EventKind};
use super::super::history::{HistoryLimits, Version};
use super::super::path::Path;
use super::super::tree::{Dir, Place};
use super::{Body, Digests, FORMAT, PIECE_BYTES_MAX, Piece, Start};
use crate::core::id::Rev;

/// Reads a snapshot, piece by piece, from anybody: whatever the bytes, it ends with the store that
/// was written or with an error. It holds no more than the store so far and one piece.
#[derive(Clone, Debug)]
pub struct Importer {
    history: HistoryLimits,
    /// Pieces taken.
    pieces: u64,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Nothing has come yet.
    Empty,
    /// Some has.
    Filling(Box<Filling>),
    /// There is nothing more to read: all came, or something was wrong.
    Over,
}

#[derive(Clone, Debug)]
struct Filling {
    start: Start,
    /// Files and events taken.
    files: u64,
    events: u64,
    /// What has come so far, as digests.
    found: Digests,
    store: Store,
}

/// The bytes are not the next piece of a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// They are more than a piece may have.
    #[error("a piece of {bytes} bytes; at most {PIECE_BYTES_MAX} are allowed")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// They do not decode.
    #[error("a piece that cannot be decoded: {0}")]
    Malformed(#[from] bincode::error::DecodeError),
    /// They are more than the piece that they begin with.
    #[error("{bytes} bytes behind the end of a piece")]
    Trailing {
        /// How many are left over.
        bytes: usize,
    },
    /// A program wrote it that this one does not know.
    #[error("snapshot format {found}; this program reads {FORMAT}: upgrade it")]
    Format {
        /// The format.
        found: u32,
    },
    /// Another piece is due.
    #[error("piece {found} where {expected} was due")]
    OutOfOrder {
        /// The number of the piece that is due.
        expected: u64,
        /// The number of the piece that came.
        found: u64,
    },
    /// The piece is of a kind that does not belong here, or has other content than was announced.
    #[error("a piece of another kind or length than is due")]
    Unexpected,
    /// A revision that cannot be.
    #[error("revision {found} where {expected} was due")]
    Rev {
        /// The revision that is due, or the largest that can be.
        expected: Rev,
        /// The revision that came.
        found: Rev,
    },
    /// A file where none can be.
    #[error("a change that cannot be made: {path}")]
    Conflict {
        /// Its path.
        path: Path,
    },
    /// All came, but it is not what was written.
    #[error("the content does not have the digests that it came with")]
    Digest,
    /// The snapshot was complete, or broken, before.
    #[error("no piece is due")]
    Over,
}

impl Importer {
    /// Before the first piece. The store will retain so much history.
    pub fn new(history: HistoryLimits) -> Importer {
        Importer {
            history,
            pieces: 0,
            stage: Stage::Empty,
        }
    }

    /// The number of the piece that is due.
    pub fn due(&self) -> u64 {
        self.pieces
    }

    /// Takes the next piece; with the last one comes the store. After an error there is no way but
    /// to begin again.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Store>, ImportError> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let piece = decode(bytes)?;
        if piece.index != self.pieces {
            return Err(ImportError::OutOfOrder {
                expected: self.pieces,
                found: piece.index,
            });
        }
        self.pieces += 1;
        let mut filling = match (stage, piece.body) {
            (Stage::Empty, Body::Start(start)) => Box::new(Filling::new(start, self.history)?),
            (Stage::Filling(mut filling), body) => match body {
                Body::Start(_) => return Err(ImportError::Unexpected),
                // Nothing would be gained; pieces could come for ever.
                Body::Files(none) | Body::Events(none) if none.is_empty() => {
                    return Err(ImportError::Unexpected);
                }
                Body::Files(files) => {
                    files.into_iter().try_for_each(|file| filling.file(file))?;
                    filling
                }
                Body::Events(events) => {
                    events
                        .into_iter()
                        .try_for_each(|event| filling.event(event))?;
                    filling
                }
                Body::End(digests) => return filling.finish(digests).map(Some),
            },
            (Stage::Empty, _) => return Err(ImportError::Unexpected),
            (Stage::Over, _) => return Err(ImportError::Over),
        };
        filling.settle();
        self.stage = Stage::Filling(filling);
        Ok(None)
    }
}

impl Filling {
    fn new(start: Start, history: HistoryLimits) -> Result<Filling, ImportError> {
        if start.format != FORMAT {
            return Err(ImportError::Format {
                found: start.format,
            });
        }
        if start.base > REV_MAX {
            return Err(ImportError::Rev {
                expected: REV_MAX,
                found: start.base,
            });
        }
        Ok(Filling {
            start,
            files: 0,
            events: 0,
            found: Digests {
                base: 0,
                events: 0,
                store: 0,
            },
            store: Store::with(start.base, Dir::empty(), 0, history),
        })
    }

    /// Takes a file of the base.
    fn file(&mut self, file: Event) -> Result<(), ImportError> {
        if self.files == self.start.files {
            return Err(ImportError::Unexpected);
        }
        if file.rev == Rev(0) || file.rev > self.start.base {
            return Err(ImportError::Rev {
                expected: self.start.base,
                found: file.rev,
            });
        }
        let is_file = matches!(file.kind, EventKind::Set | EventKind::Refused);
        if !is_file || !matches!(self.store.root.place(&file.path), Place::Missing) {
            return Err(ImportError::Conflict { path: file.path });
        }
        self.files += 1;
        self.store.files = self.store.files.wrapping_add(file.file_digest());
        Dir::put(&mut self.store.root, &Arc::new(file), true);
        Ok(())
    }

    /// Takes an event.
    fn event(&mut self, event: Event) -> Result<(), ImportError> {
        if self.files != self.start.files || self.events == self.start.events {
            return Err(ImportError::Unexpected);
        }
        let is_first = self.events == 0;
        let due = if is_first {
            self.start.base
        } else {
            self.store.rev.next()
        };
        if event.rev != due || due > REV_MAX {
            return Err(ImportError::Rev {
                expected: due,
                found: event.rev,
            });
        }
        self.events += 1;
        let digest = event.digest(event.file_digest());
        self.found.events = self.found.events.wrapping_add(digest);
        if is_first {
            self.first_event(event, digest);
            return Ok(());
        }
        let possible = match (event.kind, self.store.root.place(&event.path)) {
            (EventKind::Set, place) => matches!(place, Place::Missing | Place::File(_)),
            (EventKind::Del, place) => !matches!(place, Place::Dir(_)),
            (EventKind::Nop | EventKind::Refused, _) => true,
        };
        if !possible {
            return Err(ImportError::Conflict { path: event.path });
        }
        self.store.advance(event);
        Ok(())
    }

    /// Takes the event of the base, whose effect is there already.
    fn first_event(&mut self, event: Event, digest: u64) {
        let event = match self.store.root.place(&event.path) {
            Place::File(file) if **file == event => file.clone(),
            _ => Arc::new(event),
        };
        self.store.history.push(Version {
            event,
            root: self.store.root.clone(),
            files: self.store.files,
            digest,
            replaced: 0,
        });
    }

    /// Notes the digest of the base once it is complete.
    fn settle(&mut self) {
        if self.events == 0 {
            self.found.base = self.store.files;
        }
    }

    fn finish(mut self, digests: Digests) -> Result<Store, ImportError> {
        if self.files != self.start.files || self.events != self.start.events {
            return Err(ImportError::Unexpected);
        }
        self.found.store = self.store.digest();
        if self.found != digests {
            return Err(ImportError::Digest);
        }
        Ok(self.store)
    }
}

fn decode(bytes: &[u8]) -> Result<Piece, ImportError> {
    if bytes.len() > PIECE_BYTES_MAX {
        return Err(ImportError::TooLarge { bytes: bytes.len() });
    }
    let config = bincode::config::standard().with_limit::<PIECE_BYTES_MAX>();
    let (piece, read) = bincode::decode_from_slice(bytes, config)?;
    match bytes.len().checked_sub(read) {
        Some(0) | None => Ok(piece),
        Some(bytes) => Err(ImportError::Trailing { bytes }),
    }
}

/// Revisions are signed 64-bit numbers to clients.
const REV_MAX: Rev = Rev(i64::MAX as u64);
