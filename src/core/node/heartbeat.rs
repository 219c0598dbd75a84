//! Heartbeats: signs of life, lane statements, round trips, and the comparison of digests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Node, Replica};
use crate::core::env::{Env, Halt, Time};
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::membership::{BEAT, BEATS_MISSED, Peers, SILENCES_MAX};
use crate::core::protocol::peer::{Beat, Message, Silence};
use crate::core::state::State;

/// Whether the states of members agreed with ours when they were compared last.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    agrees: BTreeMap<NodeId, bool>,
}

impl Verdicts {
    /// Notes a comparison. Returns whether this node must be the one that is wrong: more members
    /// contradict it than agree with it.
    fn note(&mut self, peer: NodeId, agrees: bool) -> bool {
        self.agrees.insert(peer, agrees);
        let against = self.agrees.values().filter(|agrees| !**agrees).count();
        against > self.agrees.len() - against
    }

    fn forget(&mut self, is_gone: impl Fn(NodeId) -> bool) {
        self.agrees.retain(|peer, _| !is_gone(*peer));
    }
}

impl Node {
    /// Sends a heartbeat to everybody, when it is due or something cannot wait for it.
    pub(super) fn beat(&mut self, now: Time, env: &mut impl Env) {
        let Some(Replica { state, consensus }) = &mut self.replica else {
            return;
        };
        let is_hasty = consensus.is_hasty();
        if now < self.beat_due && !is_hasty {
            return;
        }
        // Alone there is nobody to tell.
        let is_alone = self.peers.linked().next().is_none();
        self.beat_due = now + if is_alone { BEAT * BEATS_MISSED } else { BEAT };
        self.verdicts.forget(|id| !consensus.is_voter(id));
        self.uploads.expire(now);
        let (lane, after) = consensus.statement(env);
        self.evidence.forget(|id| !consensus.is_voter(id));
        let silent = silences(state, &self.peers, now);
        let members = &state.epochs().latest().members;
        let majority = self.peers.majority_trip(self.config.id, members);
        let majority = majority.unwrap_or_default().as_micros();
        let majority_us = u32::try_from(majority).unwrap_or(u32::MAX);
        for (id, peer) in self.peers.iter().filter(|(_, peer)| peer.linked) {
            if planted!(NeverBeats) {
                break;
            }
            let echo_us = peer.beat.map_or(0, |(sent_us, arrived)| {
                let held = u64::try_from(now.since(arrived).as_micros()).unwrap_or(u64::MAX);
                sent_us.saturating_add(held)
            });
            let beat = Beat {
                lane: lane.clone(),
                applied: state.applied(),
                digest: state.digest(),
                seen: consensus.seen(),
                sent_us: now.0,
                echo_us,
                majority_us,
                silent: silent.clone(),
            };
            env.send(&[id], Message::Beat(beat), after);
        }
        consensus.follow(now, &self.peers, env);
    }

    /// A heartbeat arrived.
    pub(super) fn on_beat(&mut self, from: NodeId, beat: Beat, env: &mut impl Env) {
        let now = env.now();
        let Some(Replica { consensus, .. }) = &mut self.replica else {
            return;
        };
        let Some(peer) = self.peers.hear(from, now) else {
            return;
        };
        peer.applied = peer.applied.max(beat.applied);
        peer.beat = Some((beat.sent_us, now));
        peer.majority_trip =
            (beat.majority_us > 0).then(|| Duration::from_micros(beat.majority_us.into()));
        if beat.echo_us > 0 && beat.echo_us <= now.0 {
            peer.measure(now.since(Time(beat.echo_us)));
        }
        if let Some(lane) = beat.lane {
            consensus.on_lane(from, lane);
        }
        sometimes!(
            DigestUnknown,
            consensus.is_voter(from)
                && beat.applied < consensus.applied()
                && consensus.digest_at(beat.applied).is_none()
        );
        consensus.on_peer_applied(beat.applied);
        consensus.on_seen(beat.seen);
        if consensus.is_voter(from) {
            self.evidence.report(from, &beat.silent);
        }
        // Only members: a process that somebody attached must not be able to stop them.
        if consensus.is_voter(from)
            && let Some(ours) = consensus.digest_at(beat.applied)
            && self.verdicts.note(from, ours == beat.digest)
        {
            env.halt(Halt::Diverged {
                slot: beat.applied.0,
                peer: from,
            });
        }
    }
}

/// The processes of the cluster that this node does not hear.
fn silences(state: &State, peers: &Peers, now: Time) -> Vec<Silence> {
    let silent = peers.iter().filter(|(_, peer)| peer.is_silent(now));
    let known = silent.filter(|(id, _)| state.addr_of(*id).is_some());
    known
        .take(SILENCES_MAX)
        .map(|(process, peer)| Silence {
            process,
            ms: u32::try_from(peer.silence(now).as_millis()).unwrap_or(u32::MAX),
        })
        .collect()
}
