//! Applying what is decided.

use super::{Node, Replica};
use crate::core::consensus::Slot;
use crate::core::env::{Env, Time};
use crate::core::id::NodeId;
use crate::core::instrument::planted;
use crate::core::log::{Author, Entry, Op, Seq};
use crate::core::membership::Ownership;
use crate::core::state::Outcome;
use crate::core::store::{EventKind, Store};

/// What the paths of the servers' files begin with.
const CTL: &str = "/ctl/";

impl Node {
    /// Applies every entry that is decided and next. Returns whether there was one.
    pub(super) fn apply_decided(&mut self, env: &mut impl Env) -> bool {
        let Some(Replica { state, consensus }) = &mut self.replica else {
            return false;
        };
        let mut moved = Vec::new();
        let mut applied = false;
        while let Some((slot, entry)) = consensus.next_decided() {
            applied = true;
            let (service, me) = (&mut self.service, self.config.id);
            let has_chores = &mut self.has_chores;
            self.counters.note(&entry);
            consensus.note_decided(slot, &entry, env);
            note_use(&mut self.ownership, &entry, env.now());
            let changed = state.apply(slot, &entry, |store, effect| {
                if effect.outcome.has_event() {
                    *has_chores |= note_change(store, &mut moved);
                }
                match effect.outcome {
                    // No write of a client was skipped.
                    Outcome::Restored { before } => {
                        service.on_jump(before, Seq::default(), store, env);
                    }
                    _ if effect.outcome.has_event() => service.on_event(store, env),
                    _ => {}
                }
                if effect.origin == me || planted!(AnswersForOthers) {
                    service.outcome(effect.seq, &effect.outcome, env);
                }
            });
            let epochs = changed.then(|| state.epochs());
            consensus.on_applied(env.now(), state.digest(), epochs, |id| state.last(id));
            if changed {
                self.has_chores = true;
                self.ownership.on_change(state.epochs(), env.now());
            }
        }
        for id in moved {
            self.locate(id, env);
        }
        applied
    }

    /// Somebody tells outcomes.
    pub(super) fn on_learn(
        &mut self,
        from: NodeId,
        first: Slot,
        entries: Vec<Entry>,
        env: &mut impl Env,
    ) {
        let count = entries.len();
        for (index, entry) in entries.into_iter().enumerate() {
            let Some(replica) = &mut self.replica else {
                return;
            };
            if !replica.consensus.trusts(from) {
                return;
            }
            // The window moves with each entry that is applied.
            if replica.consensus.learn(first.plus(index as u64), entry) {
                self.apply_decided(env);
            }
        }
        if let Some(replica) = &mut self.replica {
            replica.consensus.after_learn(from, count, env.now(), env);
        }
    }

    /// Tells the runtime where a process is to be found, as the store says.
    pub(super) fn locate(&mut self, id: NodeId, env: &mut impl Env) {
        let now = env.now();
        if id == self.config.id {
            return;
        }
        let Some(replica) = &self.replica else { return };
        let addr = replica
            .state
            .addr_of(id)
            .and_then(|addr| std::str::from_utf8(&addr.0).ok());
        env.locate(id, addr);
        if addr.is_some() {
            self.peers.expect(id, now);
        } else {
            self.peers.forget(id);
        }
    }

    /// Tells the runtime where all processes are to be found.
    pub(super) fn locate_all(&mut self, env: &mut impl Env) {
        let Some(replica) = &self.replica else { return };
        for id in replica.state.processes() {
            self.locate(id, env);
        }
    }
}

/// Notes through which members clients write.
fn note_use(ownership: &mut Ownership, entry: &Entry, now: Time) {
    let Entry::Batch(batch) = entry else { return };
    for run in &batch.runs {
        let is_clients = |op: &Op| {
            let author = match op {
                Op::Mutate { author, .. } => *author,
                Op::Seat { .. } => Author::Client,
                _ => Author::Server,
            };
            author == Author::Client
        };
        if run.ops.iter().any(is_clients) {
            ownership.on_use(run.origin, now);
        }
    }
}

/// Whether the latest revision gives the servers something to do: pulses do not, and they are most of
/// what happens in an idle cluster. Notes the process whose address it changes.
fn note_change(store: &Store, moved: &mut Vec<NodeId>) -> bool {
    let Some(event) = store.event(store.rev()) else {
        return false;
    };
    let path = event.path.as_str();
    if !path.starts_with(CTL) || event.kind == EventKind::Refused {
        return false;
    }
    let mut names = event.path.components().skip(1);
    match (names.next(), names.next(), names.next(), names.next()) {
        (Some("node"), Some(id), Some("addr"), None) => {
            moved.extend(id.parse::<NodeId>());
            true
        }
        (Some("node"), Some(_), Some("applied"), None) => false,
        _ => true,
    }
}
