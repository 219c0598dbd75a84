//! Agreement on the log: a Paxos instance for each slot, slots owned in turn.
//!
//! * [`proposer`](self): an owner brings batches into its own slots at round 0, without a prepare
//!   phase, and gives up the slots that it has no use for (`propose.rs`).
//! * acceptor: promises and accepts (`accept.rs`).
//! * learner: counts votes, believes lane statements, decides (`learn.rs`).
//! * revoker: takes over the open slots of an owner that holds up the log (`revoke.rs`).
//! * reader: finds out up to where something may have been decided (`read.rs`).
//! * catch-up: asks others for what it missed, and answers them (`catch_up.rs`).
//! * memory: what a later life of this identity has to know (`memory.rs`).
//!
//! The scheme is Mencius (Mao, Junqueira, Marzullo, OSDI 2008) with configurations that take effect
//! ALPHA slots after the command that makes them (Lamport, "Reconfiguring a State Machine").
//! Invariants I1 to I11 are listed in ARCHITECTURE.md and cited where they are kept.

mod accept;
mod backlog;
mod catch_up;
mod learn;
mod load;
mod memory;
mod propose;
mod read;
mod retained;
mod revoke;
mod slot;
mod window;

use std::collections::BTreeMap;

use backlog::Backlog;
use read::Reader;
use retained::Retained;
use revoke::{Revocation, Stall};
use window::Window;

use super::env::{Env, RecordId, Time};
use super::id::NodeId;
use super::instrument::{planted, sometimes};
use super::log::{Entry, Seq};
use super::membership::{Epochs, Peers};
use super::protocol::peer::Digest;

pub use backlog::{BatchLimits, cost};
pub use propose::PIPELINE;
pub use read::Ticket;
pub use slot::{Ballot, Lane, Slot};

/// Slots between a command that changes the configuration and the first slot that it governs, and
/// so the number of slots that may be open at a time. At least twice the members that a
/// configuration may have (I7), and enough that a pipeline of batches never fills it on a local
/// network.
pub const ALPHA: u64 = 64;

/// Rounds that a ballot may be ahead of the highest one known. A member that is cut off raises its
/// round by one every few seconds, and gets there in two years; a wrong number would leave nobody a
/// higher ballot.
const ROUND_LEAP_MAX: u32 = 1 << 24;

/// The consensus of one node.
#[derive(Clone, Debug)]
pub struct Consensus {
    me: NodeId,
    batch: BatchLimits,
    epochs: Epochs,
    window: Window,
    /// The latest lane statement of each other member.
    lanes: BTreeMap<NodeId, Lane>,
    /// The highest slot seen in use by anybody, or that must be settled for another reason. Below
    /// the applied one when skips follow it.
    seen: Slot,
    /// The highest slot in which this acceptor has accepted an entry.
    accepted_max: Slot,
    /// The highest round seen.
    round_max: u32,

    /// Commands that wait.
    backlog: Backlog,
    /// The first slot of this owner's lane that it may still use.
    next: Slot,
    /// The slots that it gave up since it said so last, from the first to before the second.
    given_up: Option<(Slot, Slot)>,
    /// Nothing below is spoken of or used: an earlier life of this identity may have used it.
    fence: Slot,
    /// No entry of this owner exists in any slot from here on (I3), once the record is durable.
    reserved: Slot,
    reserved_at: Option<RecordId>,
    /// The same, durably: own slots from here on may be given up in words only, as a later life may
    /// know nothing of it.
    secured: Slot,
    /// Entries of this owner that are not applied.
    own: BTreeMap<Slot, Own>,
    /// The owner that commands are forwarded to, and since when it has brought nothing about.
    forwarded: Option<(NodeId, Time)>,
    /// The owner that brought nothing about before.
    failed: Option<NodeId>,

    /// Votes that leave with the next flush.
    votes: Vec<(Slot, Ballot)>,
    /// The latest record of a promise or an acceptance. Whatever this acceptor says depends on it,
    /// also what it says again: the first time may still be waiting for the disk.
    acted_at: Option<RecordId>,

    stall: Option<Stall>,
    revocation: Option<Revocation>,
    /// Whose slots this member began to take over last, and when.
    revoked_last: Option<(NodeId, Time)>,
    reader: Reader,
    retained: Retained,
    catch_up: catch_up::CatchUp,
    /// Owners whose slots this member took over, since somebody asked.
    revoked: Vec<NodeId>,
    /// Batches that this owner has brought into slots of its own.
    proposed: u64,
}

/// An entry that this owner has proposed.
#[derive(Clone, Debug)]
struct Own {
    entry: Entry,
    /// When it was sent last.
    sent: Time,
    /// How often it was sent.
    tries: u32,
}

impl Consensus {
    /// The consensus of a node whose state is that after slot `applied`. It keeps at most
    /// `retained_slots_max` applied slots for others.
    pub fn new(
        me: NodeId,
        batch: BatchLimits,
        retained_slots_max: usize,
        alpha: u64,
        applied: Slot,
        epochs: Epochs,
    ) -> Self {
        let fence = applied.next();
        let reach = if planted!(ActsBeyondWindow) { 2 } else { 1 };
        Consensus {
            me,
            batch,
            epochs,
            window: Window::new(applied, reach * alpha),
            lanes: BTreeMap::new(),
            seen: applied,
            accepted_max: Slot(0),
            round_max: 0,
            backlog: Backlog::default(),
            next: fence,
            given_up: None,
            fence,
            reserved: fence,
            reserved_at: None,
            secured: fence,
            own: BTreeMap::new(),
            forwarded: None,
            failed: None,
            votes: Vec::new(),
            acted_at: None,
            stall: None,
            revocation: None,
            revoked_last: None,
            reader: Reader::default(),
            retained: Retained::new(applied, retained_slots_max),
            catch_up: catch_up::CatchUp::default(),
            revoked: Vec::new(),
            proposed: 0,
        }
    }

    /// The last slot applied.
    pub fn applied(&self) -> Slot {
        self.window.applied()
    }

    /// The configurations of the slots that are not applied.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Whether this node votes in the next slot.
    pub fn is_member(&self) -> bool {
        self.epochs.at(self.window.first()).has(self.me)
    }

    /// Whether this node may propose: it owns slots in the latest configuration.
    pub fn is_owner(&self) -> bool {
        self.epochs.latest().owners.contains(&self.me)
    }

    /// The highest slot that anybody was seen to use.
    pub fn seen(&self) -> Slot {
        self.seen
    }

    /// The entry to apply next, if it is decided.
    pub fn next_decided(&self) -> Option<(Slot, Entry)> {
        Some((self.window.first(), self.window.next_decided()?.clone()))
    }

    /// Somebody says that this slot is in use.
    pub fn on_seen(&mut self, slot: Slot) {
        // Nobody here can do anything about what lies beyond the window, and whoever is ahead says
        // so again. A wrong number would make everybody skip up to it for ever.
        self.seen = self.seen.max(slot.min(self.window.last()));
    }

    /// Whether a process votes in a slot that is not applied, as far as is known here.
    pub fn is_voter(&self, node: NodeId) -> bool {
        let (first, last) = (self.window.first(), self.window.last());
        self.epochs
            .covering(first, last)
            .any(|epoch| epoch.has(node))
    }

    /// Notes the round of somebody's ballot. Returns whether it can be meant.
    fn heed_round(&mut self, ballot: Ballot) -> bool {
        if ballot.round > self.round_max.saturating_add(ROUND_LEAP_MAX) {
            return false;
        }
        if self.is_voter(ballot.member) {
            self.round_max = self.round_max.max(ballot.round);
        }
        true
    }

    /// The connection to a process broke: if the log waits for it, it need not wait for long.
    pub fn on_unlinked(&mut self, peer: NodeId) {
        let first = self.window.first();
        if self.epochs.at(first).owner(first) == peer {
            self.stall = None;
        }
    }

    /// The owners whose slots this member has taken over since the last call, once for each time
    /// that a majority has found such slots open.
    pub fn take_revoked(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.revoked)
    }

    /// Which own slots this node gives up, for a heartbeat, and the record that it depends on.
    pub fn statement(&mut self, env: &mut impl Env) -> (Option<Lane>, Option<RecordId>) {
        self.lane(env)
    }

    /// Installs a state from elsewhere, of after slot `applied`. Promises and own entries of later
    /// slots are kept. `last` tells the latest command of each origin that is in effect.
    pub fn jump(&mut self, applied: Slot, epochs: Epochs, last: impl Fn(NodeId) -> Seq) {
        assert!(applied > self.applied(), "a snapshot of the past");
        sometimes!(JumpBeyondWindow, applied > self.window.last());
        sometimes!(JumpDropsOwn, self.own.keys().any(|slot| *slot <= applied));
        sometimes!(JumpEndsRevocation, self.revocation.is_some());
        self.window.jump(applied);
        sometimes!(JumpKeepsPromise, self.window.has_bare_promise());
        self.retained.jump(applied);
        self.seen = self.seen.max(applied);
        self.next = self.next.max(applied.next());
        self.own = self.own.split_off(&applied.next());
        if planted!(JumpForgetsOwn) {
            self.own.clear();
        }
        let origins: Vec<NodeId> = self.backlog.origins().collect();
        for origin in origins {
            self.backlog.applied(origin, last(origin));
            self.backlog.resend(origin);
        }
        self.stall = None;
        self.revocation = None;
        if !planted!(JumpKeepsEpochs) {
            self.change_epochs(&epochs);
        }
        self.settle(self.window.first(), self.window.last().next());
    }

    /// What leaves at the end of a group of inputs: proposals, votes, questions, entries for
    /// followers.
    pub fn flush(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        self.repeat_forward(now, peers);
        self.propose(now, peers, env);
        self.reserve(env);
        self.send_votes(env);
        self.ask_readers(now, env);
        self.feed_followers(env);
    }

    /// Does what time asks for.
    pub fn tick(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        let (me, is_owner) = (self.me, self.is_owner());
        self.backlog
            .forget_gone(me, is_owner, |id| peers.is_silent(id, now));
        self.retransmit(now, env);
        self.repeat_revocation(now, env);
        self.repeat_questions(now, env);
        self.check_stall(now, peers, env);
        self.catch_up(now, peers, env);
        self.send_votes(env);
    }

    /// When [`Consensus::tick`] has something to do, at the latest.
    pub fn deadline(&self) -> Time {
        [
            self.retransmit_deadline(),
            self.repeat_deadline(),
            self.forward_deadline(),
            self.reader.deadline(),
            self.stall_deadline(),
        ]
        .into_iter()
        .min()
        .expect("the list is not empty")
    }

    /// What this node knows of the slots after the last applied one, without a gap: the outcome,
    /// else the entry that it has accepted, which may be the outcome, else nothing, which is Skip.
    pub fn remains(&self) -> Vec<(Slot, Entry)> {
        let first = self.window.first();
        let known = (0..self.window.len() as u64).map(|n| {
            let slot = self.window.get(first.plus(n))?;
            let accepted = slot.accepted.as_ref().map(|(_, entry)| entry);
            slot.decided.as_ref().or(accepted).cloned()
        });
        let mut entries: Vec<Option<Entry>> = known.collect();
        while entries.last().is_some_and(Option::is_none) {
            entries.pop();
        }
        let entries = entries.into_iter().enumerate();
        entries
            .map(|(n, entry)| (first.plus(n as u64), entry.unwrap_or(Entry::Skip)))
            .collect()
    }

    /// The digest after a slot that was applied lately.
    pub fn digest_at(&self, slot: Slot) -> Option<Digest> {
        self.retained.digest(slot)
    }

    /// The members of the configurations of these slots and of the latest one, without this node.
    fn others(&self, first: Slot, last: Slot) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = Vec::new();
        let latest = self.epochs.latest();
        for epoch in self.epochs.covering(first, last).chain([latest]) {
            for member in &epoch.members {
                if *member != self.me && !ids.contains(member) {
                    ids.push(*member);
                }
            }
        }
        ids
    }
}
