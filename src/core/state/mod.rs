//! The replicated state: everything that is a function of the applied log, and the same on every
//! node after the same slot (I9).

mod guard;
mod recovery;
mod restore;
mod snapshot;

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::consensus::Slot;
use super::id::{Lineage, NodeId, Rev};
use super::instrument::{planted, sometimes};
use super::limits::Gauge;
use super::log::{Author, Entry, Op, Seq};
use super::membership::{Epoch, Epochs, MEMBERS_MAX, owners_min};
use super::protocol::peer::Digest;
use super::store::{Condition, Found, HistoryLimits, Mutation, Path, Refusal, Store, Value};
use restore::Restoration;

pub use guard::{is_of_servers, node_file, restored_file};
pub use snapshot::{SnapshotError, StateExport, StateImporter};

/// Processes whose place in their sequence of commands is remembered. Beyond it, the one that was
/// silent for the longest is forgotten: by then, as many others have come and gone.
const ORIGINS_MAX: usize = 4096;

/// The state after a slot. Cheap to clone: the tree shares structure.
#[derive(Clone, Debug)]
pub struct State {
    lineage: Lineage,
    applied: Slot,
    alpha: u64,
    store: Store,
    /// The latest command of each process that is in effect: what is not after it is a repeat.
    origins: BTreeMap<NodeId, Origin>,
    epochs: Epochs,
    digest: Digest,
    /// No file outside `/ctl` has ever been set, so no client has seen the revision of one.
    is_fresh: bool,
    /// The backup that is being restored, as far as it has come.
    restoration: Option<Restoration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
struct Origin {
    last: Seq,
    slot: Slot,
}

/// What became of a command. Commands that were not in effect, as they came twice or before their
/// predecessors, have no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, and took this revision.
    Done(Rev),
    /// The store refused it. It took a revision all the same.
    Refused(Refusal),
    /// A rule that guards `/ctl` refused it, in words. It took a revision all the same.
    Guarded(String),
    /// It took no revision.
    Nothing,
    /// It was refused, in words. It took no revision.
    Declined(String),
    /// A backup took the place of the contents at the present revision, and what happened up to it is
    /// forgotten.
    Restored {
        /// The revision that was the latest until then.
        before: Rev,
    },
}

impl Outcome {
    /// Whether it took a revision, so that the store has an event to tell of.
    pub fn has_event(&self) -> bool {
        match self {
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Guarded(_) => true,
            Outcome::Restored { .. } => true,
            Outcome::Nothing | Outcome::Declined(_) => false,
        }
    }
}

/// A command that came into effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Where it came from.
    pub origin: NodeId,
    /// Its number there.
    pub seq: Seq,
    /// What became of it.
    pub outcome: Outcome,
}

impl State {
    /// The state of a cluster that this process founds, before the first slot.
    pub fn founded_by(member: NodeId, alpha: u64, history: HistoryLimits) -> State {
        State {
            lineage: Lineage {
                founder: member,
                generation: 1,
            },
            applied: Slot(0),
            alpha,
            store: Store::new(history),
            origins: BTreeMap::new(),
            epochs: Epochs::founded_by(member),
            digest: Digest::default(),
            is_fresh: true,
            restoration: None,
        }
    }

    /// Which cluster this is the state of.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// The last slot applied.
    pub fn applied(&self) -> Slot {
        self.applied
    }

    /// Slots between a change of configuration and its effect.
    pub fn alpha(&self) -> u64 {
        self.alpha
    }

    /// The tree.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The tree, for reads that remember where they stood.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The configurations of the slots that are not applied.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The digest of the whole history of states up to this one.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The latest command of a process that is in effect.
    pub fn last(&self, origin: NodeId) -> Seq {
        self.origins
            .get(&origin)
            .map_or(Seq::default(), |origin| origin.last)
    }

    /// Tells how full this is.
    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        tell(Gauge::kept(
            "origins remembered",
            self.origins.len(),
            ORIGINS_MAX,
        ));
        let (alpha, epochs) = (self.alpha as usize, self.epochs.iter().count());
        // A change in each slot of the window, and the configuration before them.
        tell(Gauge::kept("configurations", epochs, alpha + 1));
        self.store.load(tell);
    }

    /// Applies the entry of the next slot. Calls `each` after every command that came into effect,
    /// with the store as it is then. Returns whether the configuration has changed.
    pub fn apply(
        &mut self,
        slot: Slot,
        entry: &Entry,
        mut each: impl FnMut(&mut Store, Effect),
    ) -> bool {
        assert_eq!(
            slot,
            self.applied.next(),
            "I9: entries are applied in slot order"
        );
        self.applied = slot;
        let mut changed = false;
        if let Entry::Batch(batch) = entry {
            let mut calendar = false;
            for run in &batch.runs {
                let origin = run.origin;
                for (index, op) in run.ops.iter().enumerate() {
                    let seq = run.first.plus(index);
                    let last = self.last(origin);
                    let mut is_due = seq.follows(last);
                    if planted!(RepeatsApplied) {
                        is_due |= seq <= last;
                    }
                    if planted!(GapsApplied) {
                        is_due |= seq > last;
                    }
                    if !is_due {
                        sometimes!(RepeatSuppressed, seq <= last);
                        sometimes!(GapSuppressed, seq > last);
                        continue;
                    }
                    self.remember(origin, seq.max(last));
                    let mut each = |store: &mut Store, outcome| {
                        let effect = Effect {
                            origin,
                            seq,
                            outcome,
                        };
                        each(store, effect);
                    };
                    if let Op::Unseat { id, successor } = op {
                        self.unseat(*id, *successor, each);
                    } else {
                        let outcome = self.perform(origin, op, &mut changed);
                        each(&mut self.store, outcome);
                    }
                    calendar |= touches_slots(op);
                }
            }
            if calendar {
                changed |= self.derive_members();
            }
        }
        self.epochs.prune(slot);
        self.fold_digest(changed);
        changed
    }

    /// The ids in the files `/ctl/cal/*`, ascending.
    pub fn slot_holders(&self) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = self
            .slot_files()
            .filter_map(|(_, _, value)| std::str::from_utf8(&value.0).ok()?.parse().ok())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The files `/ctl/cal/*` with their revisions and contents.
    pub fn slot_files(&self) -> impl Iterator<Item = (Path, Rev, &Value)> {
        let view = self.store.at(None).expect("the current state can be read");
        view.entries(&guard::slots_dir())
            .filter_map(|(name, found)| match found {
                Found::File { rev, value } => Some((guard::slot_file(name), rev, value)),
                Found::Missing | Found::Dir { .. } => None,
            })
    }

    /// Whether a process that has applied the log up to `applied` is far enough to become a member
    /// without holding the others up.
    pub fn is_caught_up(&self, applied: Slot) -> bool {
        applied.plus(self.alpha / 2) >= self.applied
    }

    /// Whether the latest change of configuration is in force, and no other has begun. One change
    /// comes after the other, in one entry too, whose changes of slots come into the configuration
    /// together at its end.
    fn is_settled(&self) -> bool {
        let latest = self.epochs.latest();
        let holders = self.slot_holders();
        let is_moving = !holders.is_empty() && holders != latest.members;
        sometimes!(ChangesInOneEntry, is_moving);
        latest.start <= self.applied && (!is_moving || planted!(ChangesTogether))
    }

    /// The ids in `/ctl/node`: processes that have registered.
    pub fn processes(&self) -> Vec<NodeId> {
        let view = self.store.at(None).expect("the current state can be read");
        view.names(&guard::nodes_dir())
            .filter_map(|name| name.parse().ok())
            .collect()
    }

    /// The file that holds the address of a process.
    pub fn addr_of(&self, node: NodeId) -> Option<&Value> {
        let view = self.store.at(None).expect("the current state can be read");
        match view.get(&guard::node_file(node, "addr")) {
            Found::File { value, .. } => Some(value),
            Found::Missing | Found::Dir { .. } => None,
        }
    }

    /// What a process has written into one of its files in `/ctl/node/<id>`; nothing if it has not.
    pub fn text_of(&self, node: NodeId, name: &str) -> String {
        self.text(&guard::node_file(node, name))
    }

    /// The name of the cluster; empty before its founder has written it.
    pub fn cluster_name(&self) -> String {
        self.text(&guard::name_file())
    }

    fn text(&self, path: &Path) -> String {
        let view = self.store.at(None).expect("the current state can be read");
        match view.get(path) {
            Found::File { value, .. } => String::from_utf8_lossy(&value.0).into_owned(),
            Found::Missing | Found::Dir { .. } => String::new(),
        }
    }

    fn perform(&mut self, origin: NodeId, op: &Op, changed: &mut bool) -> Outcome {
        match op {
            Op::Mutate { mutation, author } => match author {
                Author::Client => self.mutate(mutation, self.guard(mutation, None)),
                Author::Server if self.is_of_ghost(mutation) => {
                    sometimes!(GhostWriteIgnored);
                    Outcome::Nothing
                }
                Author::Server => self.mutate(mutation, Ok(())),
            },
            Op::Seat { mutation, members } => {
                self.mutate(mutation, self.guard(mutation, Some(members)))
            }
            Op::Void => {
                sometimes!(EmptyCommandApplied);
                Outcome::Nothing
            }
            Op::Claim { file, rev } => self.claim(origin, file, *rev),
            Op::Owners { expect, owners } => {
                *changed |= self.change_owners(*expect, owners);
                Outcome::Nothing
            }
            Op::Restore(step) => self.restore(step),
            Op::Unseat { .. } => unreachable!("it may have several outcomes"),
        }
    }

    /// Changes a file, unless a rule that guards `/ctl` is against it.
    fn mutate(&mut self, mutation: &Mutation, allowed: Result<(), String>) -> Outcome {
        if let Err(text) = allowed {
            self.store.refuse(&text);
            return Outcome::Guarded(text);
        }
        let done = self.store.apply(mutation);
        if let (Ok(()), Mutation::Set { path, .. }) = (done.result, mutation) {
            self.note_set(path);
        }
        match done.result {
            Ok(()) => Outcome::Done(done.rev),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// Takes a process out. Calls `each` after every change, and once if there is none.
    fn unseat(
        &mut self,
        id: NodeId,
        successor: Option<NodeId>,
        mut each: impl FnMut(&mut Store, Outcome),
    ) {
        let mutations = self.unseating(id, successor);
        if mutations.is_empty() {
            each(&mut self.store, Outcome::Nothing);
        }
        for mutation in mutations {
            let done = self.store.apply(&mutation);
            assert_eq!(done.result, Ok(()), "{mutation:?} changes what was found");
            each(&mut self.store, Outcome::Done(done.rev));
        }
    }

    /// What taking a process out comes to.
    fn unseating(&self, id: NodeId, successor: Option<NodeId>) -> Vec<Mutation> {
        let text = id.to_string();
        let holders = self.slot_holders();
        let mut mutations = Vec::new();
        let seat = self
            .slot_files()
            .find(|(_, _, value)| value.0 == text.as_bytes());
        if let Some((path, rev, _)) = seat.filter(|_| !planted!(EvictedKeepSeats)) {
            let successor =
                successor.filter(|id| self.addr_of(*id).is_some() && !holders.contains(id));
            if successor.is_none() && holders == [id] {
                return Vec::new();
            }
            let value = successor.map(|id| id.to_string()).unwrap_or_default();
            mutations.push(Mutation::Set {
                path,
                value: Value(value.into()),
                condition: Condition::exactly(rev),
            });
        }
        let view = self.store.at(None).expect("the current state can be read");
        let dir = guard::node_dir(id);
        for (name, found) in view.entries(&dir) {
            if planted!(EvictedLeaveFiles) && name != "addr" {
                continue;
            }
            if let Found::File { rev, .. } = found {
                mutations.push(Mutation::Del {
                    path: guard::node_file(id, name),
                    condition: Condition::exactly(rev),
                });
            }
        }
        mutations
    }

    /// Gives a vacant slot to a process. One change of membership at a time: while one is coming
    /// into force, the next has to wait.
    fn claim(&mut self, origin: NodeId, file: &Path, rev: Rev) -> Outcome {
        let vacant = self
            .slot_files()
            .any(|(path, found, value)| path == *file && found == rev && value.0.is_empty());
        let holders = self.slot_holders();
        let settled = self.is_settled();
        let taken_last = self.store.event(self.store.rev()).map(|event| &event.path);
        sometimes!(
            ClaimLosesRace,
            !vacant && settled && taken_last == Some(file)
        );
        sometimes!(ClaimWhileUnsettled, vacant && !settled);
        if !(vacant || planted!(ClaimTakesTaken))
            || !settled
            || holders.contains(&origin)
            || holders.len() >= MEMBERS_MAX
            || self.addr_of(origin).is_none()
        {
            return Outcome::Nothing;
        }
        let value = Value(origin.to_string().into());
        let mut condition = Condition::exactly(rev);
        if planted!(ClaimTakesTaken) {
            condition = Condition::ANY;
        }
        let done = self.store.apply(&Mutation::Set {
            path: file.clone(),
            value,
            condition,
        });
        assert_eq!(done.result, Ok(()), "the slot was found vacant");
        Outcome::Done(done.rev)
    }

    fn change_owners(&mut self, expect: Slot, owners: &[NodeId]) -> bool {
        let latest = self.epochs.latest();
        let start = self.change_start();
        if latest.start != expect || latest.start == start {
            sometimes!(OwnersInOneEntry, latest.start == start);
            return false;
        }
        let mut owners = owners.to_vec();
        owners.sort_unstable();
        let epoch = Epoch {
            start,
            members: latest.members.clone(),
            owners,
        };
        if !epoch.is_sound() || epoch.owners == latest.owners {
            return false;
        }
        sometimes!(OwnerJoins, epoch.owners.len() > latest.owners.len());
        self.epochs.push(epoch);
        true
    }

    /// Makes the members what `/ctl/cal` says. When it names nobody, they stay who they are.
    fn derive_members(&mut self) -> bool {
        let mut members = self.slot_holders();
        members.truncate(MEMBERS_MAX);
        let latest = self.epochs.latest();
        if members.is_empty() || members == latest.members {
            return false;
        }
        // Newcomers own slots like everybody; who turns out to be slow is dropped from the list.
        let mut owners: Vec<NodeId> = members
            .iter()
            .copied()
            .filter(|member| latest.owners.contains(member) || !latest.has(*member))
            .collect();
        for member in &members {
            if owners.len() < owners_min(members.len()) && !owners.contains(member) {
                owners.push(*member);
            }
        }
        self.epochs
            .push(Epoch::new(self.change_start(), members, owners));
        true
    }

    /// The first slot that a change of configuration in the slot applied last governs: nobody has
    /// acted in it so far (I6).
    fn change_start(&self) -> Slot {
        if planted!(ChangeAtOnce) {
            return self.applied.next();
        }
        if planted!(ChangeOneSlotEarly) {
            return self.applied.plus(self.alpha - 1);
        }
        self.applied.plus(self.alpha)
    }

    fn remember(&mut self, origin: NodeId, last: Seq) {
        let slot = self.applied;
        let origins_max = if planted!(OriginsForgotten) {
            2
        } else {
            ORIGINS_MAX
        };
        if self.origins.len() >= origins_max && !self.origins.contains_key(&origin) {
            let oldest = self
                .origins
                .iter()
                .min_by_key(|(id, origin)| (origin.slot, **id));
            let oldest = *oldest.expect("it is not empty").0;
            self.origins.remove(&oldest);
        }
        self.origins.insert(origin, Origin { last, slot });
    }

    fn fold_digest(&mut self, changed: bool) {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.digest.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.applied.0.to_le_bytes());
        bytes[16..].copy_from_slice(&self.store.digest().to_le_bytes());
        let mut digest = xxh3_64_with_seed(&bytes, 0);
        if changed {
            let latest = self.epochs.latest();
            for id in latest.members.iter().chain(&latest.owners) {
                digest = xxh3_64_with_seed(&id.0, digest);
            }
        }
        if let Some(Restoration { about, store }) = &self.restoration {
            digest = xxh3_64_with_seed(&store.digest().to_le_bytes(), digest ^ about.id);
        }
        self.digest = Digest(digest);
    }
}

fn touches_slots(op: &Op) -> bool {
    match op {
        Op::Mutate {
            mutation: Mutation::Set { path, .. } | Mutation::Del { path, .. },
            ..
        } => path.as_str().starts_with(guard::SLOTS),
        Op::Seat { .. } | Op::Claim { .. } | Op::Unseat { .. } => true,
        Op::Mutate {
            mutation: Mutation::Nop,
            ..
        }
        | Op::Void
        | Op::Owners { .. }
        // What it restores is not of the servers.
        | Op::Restore(_) => false,
    }
}
