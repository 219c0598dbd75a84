//! Snapshots of the whole state, in pieces: a header, then the store with its retained history.
//!
//! A snapshot carries the place of each process in its sequence of commands, so that an answer
//! stays the only answer, and history, so that watches can move to the node that installs it.

use std::collections::BTreeMap;

use bincode::config::Configuration;
use bincode::{Decode, Encode};

use super::{ORIGINS_MAX, Origin, State};
use crate::core::consensus::Slot;
use crate::core::id::{Lineage, NodeId};
use crate::core::instrument::planted;
use crate::core::membership::Epochs;
use crate::core::protocol::peer::Digest;
use crate::core::store::{Export, HistoryLimits, ImportError, Importer};

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

/// Writes a snapshot. Works on a copy, which is cheap and does not change.
#[derive(Clone, Debug)]
pub struct StateExport {
    at: Slot,
    header: Vec<u8>,
    store: Export,
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
        if planted!(SnapshotForgetsOrigins) {
            header.origins.clear();
        }
        let header = bincode::encode_to_vec(&header, CONFIG)
            .expect("a header of ours can always be encoded into memory");
        StateExport {
            at: state.applied,
            header,
            store: Export::new(&state.store),
        }
    }

    /// The slot after which it was taken.
    pub fn at(&self) -> Slot {
        self.at
    }

    /// A piece, numbered from 0; `None` behind the last.
    pub fn piece(&mut self, number: u32) -> Option<Vec<u8>> {
        match number.checked_sub(1) {
            None => Some(self.header.clone()),
            Some(number) => self.store.piece(u64::from(number)),
        }
    }
}

/// Reads a snapshot, piece by piece, from anybody.
#[derive(Clone, Debug)]
pub struct StateImporter {
    header: Option<Header>,
    store: Importer,
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
        }
    }

    /// The number of the piece that is due.
    pub fn due(&self) -> u32 {
        match self.header {
            None => 0,
            Some(_) => u32::try_from(self.store.due() + 1).unwrap_or(u32::MAX),
        }
    }

    /// Takes the next piece; with the last one comes the state.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<State>, SnapshotError> {
        let Some(header) = &self.header else {
            let (header, used) = bincode::decode_from_slice::<Header, _>(bytes, CONFIG)?;
            let is_sound = used == bytes.len()
                && header.applied <= SLOT_MAX
                && (1..=ALPHA_MAX).contains(&header.alpha)
                && header.epochs.is_sound()
                && header.epochs.are_of(header.applied, header.alpha)
                && header.origins.len() <= ORIGINS_MAX;
            if !is_sound {
                return Err(SnapshotError::Nonsense);
            }
            self.header = Some(header);
            return Ok(None);
        };
        let Some(store) = self.store.take(bytes)? else {
            return Ok(None);
        };
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
        }))
    }
}
