//! Snapshots on the wire: pulled piece by piece by whoever needs one.

use std::time::Duration;

use super::{Node, Replica};
use crate::core::consensus::Slot;
use crate::core::env::{Env, Notice, Time};
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::limits::Gauge;
use crate::core::protocol::peer::Message;
use crate::core::state::{State, StateExport, StateImporter};
use crate::core::store::HistoryLimits;

/// Before a piece is asked for again.
const REPEAT: Duration = Duration::from_millis(200);

/// Questions for one piece before somebody else is asked.
const TRIES: u32 = 5;

/// Snapshots that are kept for others at a time. Each may hold on to one old state.
const UPLOADS_MAX: usize = 2;

/// How long a snapshot is kept that nobody asks for.
const UPLOAD_IDLE: Duration = Duration::from_secs(10);

/// Snapshots that others take.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads {
    list: Vec<(StateExport, Time)>,
}

impl Uploads {
    /// Sends a piece of a snapshot: of the one taken after slot `at`, or of one after which the
    /// log still goes on: several processes that come at a time share it, or they would keep
    /// driving out each other's.
    pub fn send(
        &mut self,
        to: NodeId,
        (at, piece): (Slot, u32),
        Replica { state, consensus }: &Replica,
        now: Time,
        env: &mut impl Env,
    ) {
        let goes_on = |export: &StateExport| {
            consensus.has_after(export.at()) || planted!(SnapshotServedForEver)
        };
        // Who begins names no slot, which must not pass for the slot before the first.
        let begins = piece == 0;
        let known = |(export, _): &(StateExport, Time)| export.at() == at && !begins;
        let usable = |(export, _): &(StateExport, Time)| goes_on(export);
        let position = self.list.iter().position(known);
        let index = match position.or_else(|| self.list.iter().rposition(usable)) {
            Some(index) => index,
            None => {
                if self.list.len() >= UPLOADS_MAX {
                    sometimes!(UploadDrivenOut);
                    let oldest = (0..self.list.len()).min_by_key(|i| self.list[*i].1);
                    self.list.remove(oldest.expect("it is not empty"));
                }
                self.list.push((StateExport::new(state), now));
                self.list.len() - 1
            }
        };
        let (export, used) = &mut self.list[index];
        *used = now;
        sometimes!(SnapshotGone, at != Slot(0) && export.at() != at);
        // It begins, or what it began with is gone: either way with the first piece.
        let piece = if export.at() == at { piece } else { 0 };
        if let Some(bytes) = export.piece(piece) {
            env.send(
                &[to],
                Message::SnapshotPiece {
                    at: export.at(),
                    piece,
                    bytes,
                },
                None,
            );
        }
    }

    /// Tells how full this is.
    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        tell(Gauge::kept(
            "snapshots for others",
            self.list.len(),
            UPLOADS_MAX,
        ));
    }

    /// Drops what nobody asks for any more.
    pub fn expire(&mut self, now: Time) {
        self.list.retain(|(_, used)| now.since(*used) < UPLOAD_IDLE);
    }
}

/// The snapshot that this node takes.
#[derive(Clone, Debug)]
pub(super) struct Download {
    history: HistoryLimits,
    current: Option<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    source: NodeId,
    /// The slot after which it was taken, once known.
    at: Slot,
    importer: StateImporter,
    /// When the piece that is due was last asked for, and how often.
    asked: Option<Time>,
    tries: u32,
}

impl Download {
    pub fn new(history: HistoryLimits) -> Download {
        Download {
            history,
            current: None,
        }
    }

    /// Begins to take a snapshot from this process, unless one is being taken.
    pub fn begin(&mut self, source: NodeId) {
        let importer = StateImporter::new(self.history);
        self.current.get_or_insert(Current {
            source,
            at: Slot(0),
            importer,
            asked: None,
            tries: 0,
        });
    }

    pub fn deadline(&self) -> Time {
        match &self.current {
            Some(Current {
                asked: Some(asked), ..
            }) if !planted!(DownloadAsksOnce) => *asked + REPEAT,
            Some(Current { asked: Some(_), .. }) => Time::NEVER,
            Some(_) => Time(0),
            None => Time::NEVER,
        }
    }
}

impl Node {
    /// Asks for the piece that is due; and begins a snapshot when this node has no state at all.
    pub(super) fn fetch(&mut self, now: Time, env: &mut impl Env) {
        if let Some(current) = &self.download.current
            && (current.tries >= TRIES || !self.peers.linked().any(|id| id == current.source))
        {
            sometimes!(SnapshotSourceLost, current.tries < TRIES);
            sometimes!(SnapshotSourceGivenUp, current.tries >= TRIES);
            self.download.current = None;
        }
        if self.download.current.is_none() && self.replica.is_none() {
            let linked: Vec<NodeId> = self.peers.linked().collect();
            if let Some(index) = env.random().checked_rem(linked.len() as u64) {
                self.download.begin(linked[index as usize]);
            }
        }
        let Some(current) = &mut self.download.current else {
            return;
        };
        let repeats = |asked: Time| now >= asked + REPEAT && !planted!(DownloadAsksOnce);
        if current.asked.is_none_or(repeats) {
            current.asked = Some(now);
            current.tries += 1;
            let piece = current.importer.due();
            sometimes!(SnapshotPieceReasked, piece > 0 && current.tries > 1);
            env.send(
                &[current.source],
                Message::SnapshotAsk {
                    at: current.at,
                    piece,
                },
                None,
            );
        }
    }

    /// A piece of a snapshot arrived.
    pub(super) fn on_snapshot_piece(
        &mut self,
        from: NodeId,
        at: Slot,
        piece: u32,
        bytes: &[u8],
        env: &mut impl Env,
    ) {
        let Some(current) = &mut self.download.current else {
            return;
        };
        if current.source != from {
            sometimes!(SnapshotPieceOfFormerSource);
            return;
        }
        if current.at != at {
            if piece != 0 {
                return;
            }
            sometimes!(SnapshotBegunAnew, current.at != Slot(0));
            // The source has begun anew.
            current.at = at;
            current.importer = StateImporter::new(self.download.history);
        }
        if piece != current.importer.due() {
            sometimes!(SnapshotPieceRepeated, piece < current.importer.due());
            return;
        }
        let alpha = self.replica.as_ref().map(|replica| replica.state.alpha());
        match current.importer.take(bytes) {
            Ok(None) => {
                current.asked = None;
                current.tries = 0;
            }
            Ok(Some(state)) if alpha.is_some_and(|alpha| alpha != state.alpha()) => {
                env.notice(Notice::BadSnapshot {
                    peer: from,
                    error: format!("it is of a cluster with a window of {}", state.alpha()),
                });
                self.download.current = None;
            }
            Ok(Some(state)) => {
                self.download.current = None;
                self.install(state, env);
            }
            Err(error) => {
                env.notice(Notice::BadSnapshot {
                    peer: from,
                    error: error.to_string(),
                });
                self.download.current = None;
            }
        }
    }

    pub(super) fn install(&mut self, state: State, env: &mut impl Env) {
        let before = self.rev();
        match &mut self.replica {
            None => self.replica = Some(Replica::new(&self.config, state)),
            // What was applied meanwhile is further on than the snapshot.
            Some(replica) if state.applied() <= replica.state.applied() => {
                sometimes!(SnapshotStale);
                return;
            }
            Some(replica) => {
                sometimes!(SnapshotOverState);
                let (applied, epochs) = (state.applied(), state.epochs().clone());
                replica.consensus.jump(applied, epochs, |id| state.last(id));
                replica.state = state;
            }
        }
        self.installs += 1;
        if let Some(Replica { state, .. }) = &mut self.replica {
            let last = state.last(self.config.id);
            self.service.on_jump(before, last, state.store_mut(), env);
            self.ownership.on_change(state.epochs(), env.now());
        }
        self.has_chores = true;
        self.locate_all(env);
    }
}
