//! Who is gone, by the evidence of a majority, and who takes its place.
//!
//! With each heartbeat every process tells whom it does not hear, and for how long. One deaf ear
//! evicts nobody; a process goes when a majority of the members have not heard it for the eviction
//! timeout. The members settle that in the log with one command, which may come more than once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::epoch::Epoch;
use super::peers::{BEAT, Peers};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
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

    /// Somebody who is gone, if there is one, and the command that takes it out.
    pub fn propose(
        &mut self,
        now: Time,
        state: &State,
        peers: &Peers,
        evidence: &Evidence,
    ) -> Option<(NodeId, Op)> {
        let latest = state.epochs().latest();
        if now < self.due || !latest.has(self.me) {
            return None;
        }
        self.due = now + BEAT;
        let is_gone = |id: &NodeId| {
            *id != self.me
                && peers.silence(*id, now) >= self.timeout
                && evidence.is_agreed(self.me, *id, self.timeout, latest, peers, now)
        };
        // One change of membership comes after the other.
        let is_settled = latest.start <= state.applied().next();
        let id = state
            .processes()
            .into_iter()
            .find(|id| (is_settled || !latest.has(*id)) && is_gone(id))?;
        // The others see the same. Whoever comes first in the order of members does it, and the
        // next one only if that came to nothing.
        let rank = latest.index(self.me).unwrap_or(0) as u32;
        let waited = peers.silence(id, now).saturating_sub(self.timeout);
        if waited < BEAT * 2 * rank {
            return None;
        }
        self.due = now + PAUSE;
        let successor = best_standby(state, peers, now);
        sometimes!(MemberEvicted, latest.has(id));
        sometimes!(SeatHandedOver, latest.has(id) && successor.is_some());
        sometimes!(StandbyEvicted, !latest.has(id));
        Some((id, Op::Unseat { id, successor }))
    }
}

/// The standby that would take a slot over with the least delay: one that is heard and has applied
/// nearly everything, the furthest first.
pub fn best_standby(state: &State, peers: &Peers, now: Time) -> Option<NodeId> {
    let holders = state.slot_holders();
    let standbys = state.processes().into_iter().filter_map(|id| {
        let peer = peers.get(id)?;
        let is_ready = !holders.contains(&id)
            && !state.epochs().latest().has(id)
            && !peer.is_silent(now)
            && state.is_caught_up(peer.applied);
        let trip = peer.round_trip().unwrap_or_default();
        is_ready.then_some((std::cmp::Reverse(peer.applied), trip, id))
    });
    standbys.min().map(|(_, _, id)| id)
}
