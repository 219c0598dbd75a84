//! Who is gone, by the evidence of a majority, and who takes its place.
//!
//! With each heartbeat every process tells whom it does not hear, and for how long. One deaf ear
//! evicts nobody; a process goes when a majority of the members have not heard it for the eviction
//! timeout. The members settle that in the log with one command, which may come more than once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::epoch::Epoch;
use super::peers::{BEAT, Peers};
use crate::core::consensus::Slot;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::log::Op;
use crate::core::protocol::peer::Silence;
use crate::core::state::State;

/// Between two proposals of this member.
const PAUSE: Duration = Duration::from_millis(100);

/// Silent processes in one report at most: a bound for what somebody else may make us keep.
pub const SILENCES_MAX: usize = 256;

/// What the members say about whom they do not hear.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    reports: BTreeMap<NodeId, BTreeMap<NodeId, Duration>>,
}

impl Evidence {
    /// Nobody has said anything.
    pub const fn new() -> Evidence {
        Evidence {
            reports: BTreeMap::new(),
        }
    }

    /// A process tells whom it does not hear at the moment.
    pub fn report(&mut self, from: NodeId, silent: &[Silence]) {
        let silent = silent.iter().take(SILENCES_MAX);
        let silences: BTreeMap<NodeId, Duration> = silent
            .map(|one| (one.process, Duration::from_millis(one.ms.into())))
            .collect();
        if silences.is_empty() {
            self.reports.remove(&from);
        } else {
            self.reports.insert(from, silences);
        }
    }

    /// Forgets what processes said that are of no interest any more.
    pub fn forget(&mut self, is_gone: impl Fn(NodeId) -> bool) {
        self.reports.retain(|from, _| !is_gone(*from));
    }

    /// Whether a majority of the members, this one included, have not heard a process for so long.
    /// Members that are not heard themselves have no say.
    pub fn is_agreed(
        &self,
        me: NodeId,
        id: NodeId,
        span: Duration,
        members: &Epoch,
        peers: &Peers,
        now: Time,
    ) -> bool {
        if !peers.is_silent(id, now) || peers.silence(id, now) < span {
            return false;
        }
        let says = |member: &NodeId| {
            *member == me
                || (!peers.is_silent(*member, now)
                    && self
                        .reports
                        .get(member)
                        .and_then(|report| report.get(&id))
                        .is_some_and(|silence| *silence >= span))
        };
        let votes = members.members.iter().filter(|member| says(member)).count();
        members.has(me) && votes >= members.quorum()
    }
}

/// Evictions by this member.
#[derive(Clone, Debug)]
pub struct Eviction {
    me: NodeId,
    timeout: Duration,
    due: Time,
}

impl Eviction {
    /// Nobody is gone yet. Who is silent for `timeout` will be.
    pub fn new(me: NodeId, timeout: Duration) -> Eviction {
        Eviction {
            me,
            timeout,
            due: Time(0),
        }
    }

    /// The command that takes somebody out who is gone, if there is one.
    pub fn propose(
        &mut self,
        now: Time,
        state: &State,
        peers: &Peers,
        evidence: &Evidence,
    ) -> Option<Op> {
        let latest = state.epochs().latest();
        if now < self.due || !latest.has(self.me) || planted!(NeverEvicts) {
            return None;
        }
        self.due = now + BEAT;
        let is_gone = |id: &NodeId| self.is_gone(*id, now, state, peers, evidence);
        // One change of membership comes after the other. Changes of owners may be under way.
        let is_settled = state.epochs().has_settled_members();
        // Members are needed, standbys are not: what is left of these must not be in the way when one
        // of those is about to go.
        let is_whole = latest
            .members
            .iter()
            .all(|id| *id == self.me || !peers.is_silent(*id, now));
        let may_go = |id: &NodeId| {
            if latest.has(*id) {
                is_settled
            } else {
                is_whole
            }
        };
        let id = state
            .processes()
            .into_iter()
            .find(|id| may_go(id) && is_gone(id))?;
        // The others see the same. Whoever comes first in the order of members does it, and the
        // next one only if that came to nothing.
        let rank = latest.index(self.me).unwrap_or(0) as u32;
        let waited = peers.silence(id, now).saturating_sub(self.timeout);
        if waited < BEAT * 2 * rank {
            return None;
        }
        self.due = now + PAUSE;
        let is_seated = state.slot_holders().contains(&id);
        let successor = best_standby(state, peers, now).filter(|_| is_seated);
        sometimes!(MemberEvicted, latest.has(id));
        sometimes!(SeatHandedOver, latest.has(id) && successor.is_some());
        sometimes!(StandbyEvicted, !latest.has(id));
        Some(Op::Unseat { id, successor })
    }

    /// Whether what was proposed is still right: it may have waited for a majority, and meanwhile the
    /// one that was gone may be back, or the one that was ready be left behind.
    pub fn holds(
        &self,
        op: &Op,
        now: Time,
        state: &State,
        peers: &Peers,
        evidence: &Evidence,
    ) -> bool {
        let Op::Unseat { id, successor } = op else {
            return true;
        };
        let is_ready = |id: NodeId| is_ready(id, state, peers, now);
        planted!(EvictionKept)
            || (self.is_gone(*id, now, state, peers, evidence) && successor.is_none_or(is_ready))
    }

    fn is_gone(
        &self,
        id: NodeId,
        now: Time,
        state: &State,
        peers: &Peers,
        evidence: &Evidence,
    ) -> bool {
        let latest = state.epochs().latest();
        id != self.me
            && peers.silence(id, now) >= self.timeout
            && (planted!(EvictsOnOneWord)
                || evidence.is_agreed(self.me, id, self.timeout, latest, peers, now))
    }
}

/// The standby that would take a slot over with the least delay: one that is heard and has applied
/// nearly everything, the furthest first.
pub fn best_standby(state: &State, peers: &Peers, now: Time) -> Option<NodeId> {
    let processes = state.processes().into_iter();
    let ready = processes.filter(|id| is_ready(*id, state, peers, now));
    let best = ready.filter_map(|id| {
        let peer = peers.get(id)?;
        let trip = peer.round_trip().unwrap_or_default();
        Some((std::cmp::Reverse(peer.applied), trip, id))
    });
    best.min().map(|(_, _, id)| id)
}

/// Whether a process could take a slot over. It is compared with the furthest of all, as the one
/// that judges may lag behind itself.
fn is_ready(id: NodeId, state: &State, peers: &Peers, now: Time) -> bool {
    let Some(peer) = peers.get(id) else {
        return false;
    };
    let others = peers.iter().map(|(_, peer)| peer.applied);
    let furthest = others.fold(state.applied(), Slot::max);
    !state.slot_holders().contains(&id)
        && !state.epochs().latest().has(id)
        && !peer.is_silent(now)
        && (peer.applied.plus(state.alpha() / 2) >= furthest || planted!(SuccessorLags))
}
