//! The end of a node's part in the cluster: it leaves on request, or finds itself put out.

use std::time::Duration;

use super::{Node, Replica, submit};
use crate::core::env::{Env, Halt, Notice, Time};
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::log::{Op, Seq};
use crate::core::membership::{Peers, best_standby, quorum};
use crate::core::service::Service;
use crate::core::state::State;

/// Longest time that leaving may take: operators and init systems wait for it, ten seconds as a
/// rule.
pub const LEAVE_MAX: Duration = Duration::from_secs(4);

/// Clients that write go elsewhere when they learn that this node takes no writes. It ends when none
/// has tried for so long: a write that is on its way then would be lost without an answer.
const FAREWELL: Duration = Duration::from_millis(100);

/// Clients that never go elsewhere are not waited for any longer.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// A departure on request.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    since: Time,
    /// The command that gives the slot up, once it was given.
    asked: Option<Seq>,
    /// Since when nobody needs this node any more, but for clients that do not know it yet.
    gone: Option<Time>,
}

impl Node {
    /// The process is to end: its slot goes to a standby or becomes vacant, what its clients sent
    /// is finished, then the node halts with [`Halt::Left`].
    pub(super) fn leave(&mut self, now: Time) {
        self.leaving.get_or_insert(Leaving {
            since: now,
            asked: None,
            gone: None,
        });
    }

    /// Does what is left to do before this node ends.
    pub(super) fn wind_up(&mut self, now: Time, env: &mut impl Env) {
        if self.is_out {
            return;
        }
        let Some(Replica { state, consensus }) = &mut self.replica else {
            if self.leaving.is_some() {
                self.is_out = true;
                env.halt(Halt::Left);
            }
            return;
        };
        let me = self.config.id;
        let is_gone = self.housekeeping.is_registered(state)
            && state.addr_of(me).is_none()
            && !state.slot_holders().contains(&me);
        let is_needed = is_needed(me, state, &self.peers);
        let Some(leaving) = &mut self.leaving else {
            sometimes!(EvictedStaysOn, is_gone && is_needed);
            self.is_put_out = is_gone;
            if is_gone && !is_needed {
                sometimes!(EvictedLearns);
                self.is_out = true;
                let members = addresses(state);
                env.halt(Halt::Evicted { members });
            }
            return;
        };
        let is_late = now.since(leaving.since) >= LEAVE_MAX && !planted!(LeavesWhenItCan);
        let is_done = is_gone && !is_needed && !self.service.has_open();
        let is_alone = state.slot_holders() == [me] && !self.service.has_open();
        if is_done && leaving.gone.is_none() {
            leaving.gone = Some(now);
        }
        let farewell = leaving.farewell(&self.service);
        let is_over = is_done && farewell.is_none_or(|end| now >= end);
        sometimes!(
            ClientsLearnOfLeaving,
            is_over && self.service.turned_away() >= leaving.gone
        );
        if is_over || is_late || is_alone {
            self.is_out = true;
            if !is_gone && !is_alone {
                env.notice(Notice::CannotLeave);
            }
            env.halt(Halt::Left);
            return;
        }
        let is_pending = leaving.asked.is_some_and(|seq| state.last(me) < seq);
        if is_gone || is_pending {
            return;
        }
        let successor = best_standby(state, &self.peers, now);
        let mut remaining: Vec<NodeId> = state.slot_holders();
        remaining.retain(|id| *id != me);
        remaining.extend(successor);
        let heard = remaining
            .iter()
            .filter(|id| !self.peers.is_silent(**id, now));
        // Those who stay must be able to go on; otherwise the slot is better kept.
        let is_harmless = !state.slot_holders().contains(&me)
            || (!remaining.is_empty() && heard.count() >= quorum(remaining.len()));
        if is_harmless {
            let op = Op::Unseat { id: me, successor };
            leaving.asked = Some(submit(&mut self.next, consensus, op));
        } else if !self.service.has_open() {
            self.is_out = true;
            env.notice(Notice::CannotLeave);
            env.halt(Halt::Left);
        }
    }

    /// When there is something to wind up at the latest.
    pub(super) fn wind_up_deadline(&self) -> Time {
        match &self.leaving {
            Some(leaving) if !self.is_out => {
                let end = leaving.since + LEAVE_MAX;
                leaving.farewell(&self.service).unwrap_or(end).min(end)
            }
            _ => Time::NEVER,
        }
    }
}

impl Leaving {
    /// Until when this node stays for clients only.
    fn farewell(&self, service: &Service) -> Option<Time> {
        let gone = self.gone.filter(|_| service.has_sessions())?;
        let last = service.turned_away().map_or(gone, |at| at.max(gone));
        Some((last + FAREWELL).min(gone + FAREWELL_MAX))
    }
}

/// Whether the others may need this process to decide a slot or to learn what was decided there: its
/// vote counts until the configuration without it is in force, and until a majority of that one has
/// applied everything before. Ending earlier could cost the cluster its majority.
fn is_needed(me: NodeId, state: &State, peers: &Peers) -> bool {
    let latest = state.epochs().latest();
    if state.epochs().iter().any(|epoch| epoch.has(me)) {
        return true;
    }
    let has_all = |member: &&NodeId| {
        let peer = peers.get(**member);
        peer.is_some_and(|peer| peer.applied.next() >= latest.start)
    };
    latest.members.iter().filter(has_all).count() < latest.quorum()
}

/// Where the members are to be found.
fn addresses(state: &State) -> Vec<String> {
    let members = state.slot_holders();
    let addrs = members.iter().filter_map(|id| state.addr_of(*id));
    addrs
        .map(|addr| String::from_utf8_lossy(&addr.0).into_owned())
        .collect()
}
