//! Snapshots of the whole state, in pieces: a header, then the store with its retained history, then
//! what a restoration has brought so far, if one is under way.
//!
//! A snapshot carries the place of each process in its sequence of commands, so that an answer
//! stays the only answer, and history, so that watches can move to the node that installs it.

use std::collections::BTreeMap;

use bincode::config::Configuration;
use bincode::{Decode, Encode};

use super::restore::{About, Restoration};
use super::{ORIGINS_MAX, Origin, State};
use crate::core::consensus::Slot;
use crate::core::id::{Lineage, NodeId, Rev};
use crate::core::instrument::planted;
use crate::core::log::RESTORED_REV_MAX;
use crate::core::membership::Epochs;
use crate::core::protocol::peer::Digest;
use crate::core::store::{Export, HistoryLimits, ImportError, Importer, Store};

/// Largest window that a header may name; see [`ALPHA`](crate::core::consensus::ALPHA).
const ALPHA_MAX: u64 = 1 << 16;

/// The last slot that anybody will ever get to: a million a second for a hundred thousand years.
/// Leaves room to count on from.
const SLOT_MAX: Slot = Slot(1 << 62);

/// Largest header in bytes: all origins that are remembered, with room to spare.
const HEADER_BYTES_MAX: usize = 1 << 20;

const CONFIG: Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<HEADER_BYTES_MAX>,
> = bincode::config::standard().with_limit::<HEADER_BYTES_MAX>();

#[derive(Clone, Debug, Encode, Decode)]
struct Header {
    applied: Slot,
    alpha: u64,
    epochs: Epochs,
    digest: Digest,
    origins: Vec<(NodeId, Origin)>,
    lineage: Lineage,
}

/// What follows the header, in the same piece. Snapshots of older versions lack it.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
struct Supplement {
    is_fresh: bool,
    /// The files that a restoration has brought come behind the store, as another one.
    restoration: Option<About>,
}

/// Writes a snapshot. Works on a copy, which is cheap and does not change.
#[derive(Clone, Debug)]
pub struct StateExport {
    at: Slot,
    header: Vec<u8>,
    store: Export,
    restoration: Option<Export>,
}

impl StateExport {
    /// A snapshot of a state as it is.
    pub fn new(state: &State) -> StateExport {
        let mut header = Header {
            applied: state.applied,
            alpha: state.alpha,
            epochs: state.epochs.clone(),
            digest: state.digest,
            origins: state
                .origins
                .iter()
                .map(|(id, origin)| (*id, *origin))
                .collect(),
            lineage: state.lineage,
        };
        let supplement = Supplement {
            is_fresh: state.is_fresh,
            restoration: state.restoration.as_ref().map(|under_way| under_way.about),
        };
        if planted!(SnapshotForgetsOrigins) {
            header.origins.clear();
        }
        let header = bincode::encode_to_vec((&header, supplement), CONFIG)
            .expect("a header of ours can always be encoded into memory");
        StateExport {
            at: state.applied,
            header,
            store: Export::new(&state.store),
            restoration: state
                .restoration
                .as_ref()
                .map(|under_way| Export::new(&under_way.store)),
        }
    }

    /// The slot after which it was taken.
    pub fn at(&self) -> Slot {
        self.at
    }

    /// A piece, numbered from 0; `None` behind the last.
    pub fn piece(&mut self, number: u32) -> Option<Vec<u8>> {
        let Some(number) = number.checked_sub(1) else {
            return Some(self.header.clone());
        };
        let number = u64::from(number);
        let piece = self.store.piece(number);
        piece.or_else(|| {
            self.restoration
                .as_mut()?
                .piece(number - self.store.known())
        })
    }
}

/// Reads a snapshot, piece by piece, from anybody.
#[derive(Clone, Debug)]
pub struct StateImporter {
    header: Option<(Header, Supplement)>,
    store: Importer,
    /// The store, once it is complete and something comes behind it.
    complete: Option<Store>,
    restoration: Importer,
}

/// The bytes are not the next piece of a snapshot. The only way is to begin again.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The header does not decode.
    #[error("undecodable header of a snapshot: {0}")]
    Header(#[from] bincode::error::DecodeError),
    /// The header says what cannot be.
    #[error("the header of a snapshot makes no sense")]
    Nonsense,
    /// The rest is wrong.
    #[error(transparent)]
    Store(#[from] ImportError),
}

impl StateImporter {
    /// Before the first piece.
    pub fn new(mut history: HistoryLimits) -> StateImporter {
        if planted!(SnapshotLosesHistory) {
            history.revs = 1;
        }
        StateImporter {
            header: None,
            store: Importer::new(history),
            complete: None,
            restoration: Importer::new(history),
        }
    }

    /// The number of the piece that is due.
    pub fn due(&self) -> u32 {
        match self.header {
            None => 0,
            Some(_) => {
                let due = self.store.due() + self.restoration.due() + 1;
                u32::try_from(due).unwrap_or(u32::MAX)
            }
        }
    }

    /// Takes the next piece; with the last one comes the state.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<State>, SnapshotError> {
        let Some((header, supplement)) = &self.header else {
            let (header, used) = bincode::decode_from_slice::<Header, _>(bytes, CONFIG)?;
            let rest = &bytes[used..];
            let (supplement, used) = match rest {
                [] => (Supplement::default(), 0),
                rest => bincode::decode_from_slice(rest, CONFIG)?,
            };
            let is_sound = used == rest.len()
                && header.applied <= SLOT_MAX
                && (1..=ALPHA_MAX).contains(&header.alpha)
                && header.epochs.is_sound()
                && header.epochs.are_of(header.applied, header.alpha)
                && header.origins.len() <= ORIGINS_MAX;
            if !is_sound {
                return Err(SnapshotError::Nonsense);
            }
            self.header = Some((header, supplement));
            return Ok(None);
        };
        let (store, restored) = if let Some(store) = &self.complete {
            let Some(restored) = self.restoration.take(bytes)? else {
                return Ok(None);
            };
            let is_sound = restored.rev() <= RESTORED_REV_MAX
                && restored.rev() > Rev(0)
                && restored.oldest() > restored.rev();
            if !is_sound {
                return Err(SnapshotError::Nonsense);
            }
            (store.clone(), Some(restored))
        } else {
            let Some(store) = self.store.take(bytes)? else {
                return Ok(None);
            };
            if supplement.restoration.is_some() {
                self.complete = Some(store);
                return Ok(None);
            }
            (store, None)
        };
        let restoration = supplement.restoration.zip(restored);
        let header = header.clone();
        let origins: BTreeMap<NodeId, Origin> = header.origins.into_iter().collect();
        Ok(Some(State {
            lineage: header.lineage,
            applied: header.applied,
            alpha: header.alpha,
            store,
            origins,
            epochs: header.epochs,
            digest: header.digest,
            is_fresh: supplement.is_fresh,
            restoration: restoration.map(|(about, store)| Restoration { about, store }),
        }))
    }
}
