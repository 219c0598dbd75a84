//! Repair: whoever misses entries asks for them; standbys have them sent as they are decided.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Consensus, Slot};
use crate::core::env::{Env, Time};
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::limits::Gauge;
use crate::core::log::Entry;
use crate::core::membership::Peers;
use crate::core::membership::{BEAT, BEATS_MISSED};
use crate::core::protocol::peer::Message;

/// Most entries and bytes in one answer: a few milliseconds of work for both sides.
const LEARN_SLOTS_MAX: usize = 256;
/// See [`LEARN_SLOTS_MAX`].
const LEARN_BYTES_MAX: usize = 1 << 20;

/// Slots that a follower is sent ahead of where it said it is.
const CREDIT: u64 = 4096;

/// Between two questions for missing entries.
const ASK_PAUSE: Duration = Duration::from_millis(20);

/// Followers that one process feeds at most. Far more than a cluster has standbys.
const FOLLOWERS_MAX: usize = 64;

/// Slots that one may be behind somebody else without asking: they are on their way.
const BEHIND: u64 = 8;

#[derive(Clone, Debug, Default)]
pub(super) struct CatchUp {
    asked: Option<(NodeId, Time)>,
    followers: BTreeMap<NodeId, Follower>,
    /// Whom this node follows, while it is no member.
    source: Option<NodeId>,
    /// Something changed that others should hear about before the next heartbeat.
    hasty: bool,
}

#[derive(Clone, Debug)]
struct Follower {
    /// The last slot that was sent.
    sent: Slot,
    /// Where it said it was.
    from: Slot,
    /// When it last said so.
    heard: Time,
}

impl CatchUp {
    pub(super) fn hasten(&mut self) {
        self.hasty = true;
    }

    pub(super) fn load(&self, tell: &mut impl FnMut(Gauge)) {
        tell(Gauge::kept(
            "followers",
            self.followers.len(),
            FOLLOWERS_MAX,
        ));
    }
}

impl Consensus {
    /// Whether peers should get a heartbeat at once: they wait for a lane statement.
    pub fn is_hasty(&mut self) -> bool {
        std::mem::take(&mut self.catch_up.hasty)
    }

    /// Whether entries from this process may be believed: it is a member, or was asked.
    pub fn trusts(&self, from: NodeId) -> bool {
        self.is_voter(from)
            || self.catch_up.source == Some(from)
            || self.catch_up.asked.is_some_and(|(asked, _)| asked == from)
    }

    /// Whom this node follows, while it is no member.
    pub fn source(&self) -> Option<NodeId> {
        self.catch_up.source
    }

    /// A peer has applied the log up to this slot.
    pub fn on_peer_applied(&mut self, applied: Slot) {
        self.on_seen(applied);
    }

    /// Somebody misses entries.
    pub fn on_ask(&mut self, from: NodeId, first: Slot, env: &mut impl Env) {
        if first > self.applied() {
            return;
        }
        let message = if first < self.retained.oldest() {
            sometimes!(TruncatedAnswered);
            Message::Truncated {
                oldest: self.retained.oldest(),
            }
        } else {
            let entries = self.retained.tail(first, LEARN_SLOTS_MAX, LEARN_BYTES_MAX);
            Message::Learn {
                from: first,
                entries,
            }
        };
        env.send(&[from], message, None);
    }

    /// Entries arrived: if many, there may be more.
    pub fn after_learn(&mut self, from: NodeId, entries: usize, now: Time, env: &mut impl Env) {
        if entries >= LEARN_SLOTS_MAX && self.catch_up.asked.is_some_and(|(id, _)| id == from) {
            sometimes!(LearnGoesOn);
            self.ask(from, now, env);
        }
    }

    /// Whether the log that is kept goes on from a state after this slot.
    pub fn has_after(&self, slot: Slot) -> bool {
        slot.next() >= self.retained.oldest()
    }

    /// A standby wants to be fed.
    pub fn on_follow(&mut self, follower: NodeId, from: Slot, now: Time) {
        let followers = &mut self.catch_up.followers;
        if followers.len() >= FOLLOWERS_MAX && !followers.contains_key(&follower) {
            return;
        }
        let fresh = Follower {
            sent: Slot(from.0.saturating_sub(1)),
            from,
            heard: now,
        };
        let known = followers.entry(follower).or_insert_with(|| fresh.clone());
        // It says twice that it is at the same place: what was sent since is lost.
        if known.from == from && known.sent >= from && now.since(known.heard) >= BEAT / 2 {
            sometimes!(FollowerResent, known.sent > from.plus(BEHIND));
            known.sent = fresh.sent;
        }
        known.sent = known.sent.max(fresh.sent);
        known.from = from;
        known.heard = now;
    }

    /// Sends each follower what it lacks.
    pub(super) fn feed_followers(&mut self, env: &mut impl Env) {
        if self.catch_up.followers.is_empty() {
            return;
        }
        let applied = self.applied();
        let now = env.now();
        self.catch_up
            .followers
            .retain(|_, f| now.since(f.heard) <= BEAT * (BEATS_MISSED + 1));
        for (id, follower) in &mut self.catch_up.followers {
            let first = follower.sent.next();
            if first > applied || first.0 > follower.from.0.saturating_add(CREDIT) {
                continue;
            }
            if first < self.retained.oldest() {
                sometimes!(FollowerTruncated);
                env.send(
                    &[*id],
                    Message::Truncated {
                        oldest: self.retained.oldest(),
                    },
                    None,
                );
                follower.sent = applied;
                continue;
            }
            let entries = self.retained.tail(first, LEARN_SLOTS_MAX, LEARN_BYTES_MAX);
            follower.sent = follower.sent.plus(entries.len() as u64);
            env.send(
                &[*id],
                Message::Learn {
                    from: first,
                    entries,
                },
                None,
            );
        }
    }

    /// Chooses whom to follow, and tells it so: with each heartbeat, and when the source changes.
    pub fn follow(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        if self.is_member() {
            self.catch_up.source = None;
            return;
        }
        let source = self
            .catch_up
            .source
            .filter(|source| !peers.is_silent(*source, now));
        let is_lost = self.catch_up.source.is_some() && source.is_none();
        self.catch_up.source = source.or_else(|| {
            let random = env.random();
            pick(peers, now, random, |id| self.epochs.latest().has(id))
                .or_else(|| pick(peers, now, random, |_| true))
        });
        sometimes!(FollowerSwitches, is_lost && self.catch_up.source.is_some());
        sometimes!(
            FollowsStandby,
            is_lost && self.catch_up.source.is_some_and(|id| !self.is_voter(id))
        );
        if let Some(source) = self.catch_up.source {
            env.send(
                &[source],
                Message::Follow {
                    from: self.window.first(),
                },
                None,
            );
        }
    }

    /// Asks for entries that others have applied and this node lacks.
    pub(super) fn catch_up(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        let furthest = peers
            .iter()
            .map(|(_, peer)| peer.applied)
            .max()
            .unwrap_or_default();
        if furthest > self.applied().plus(BEHIND) {
            self.ask_somebody(now, peers, env);
        }
    }

    /// Asks anybody who is ahead and was heard lately; not always the same one, who might be the
    /// one that does not answer.
    pub(super) fn ask_somebody(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        if self
            .catch_up
            .asked
            .is_some_and(|(_, asked)| now.since(asked) < ASK_PAUSE)
        {
            return;
        }
        let applied = self.applied();
        let random = env.random();
        let ahead = |id| peers.get(id).is_some_and(|peer| peer.applied > applied);
        if let Some(peer) = pick(peers, now, random, ahead) {
            self.ask(peer, now, env);
        }
    }

    fn ask(&mut self, peer: NodeId, now: Time, env: &mut impl Env) {
        self.catch_up.asked = Some((peer, now));
        env.send(
            &[peer],
            Message::Ask {
                from: self.window.first(),
            },
            None,
        );
    }

    /// Tells a peer outcomes that it does not know.
    pub(super) fn tell(&self, to: NodeId, known: Vec<(Slot, Entry)>, env: &mut impl Env) {
        for (from, entry) in known {
            env.send(
                &[to],
                Message::Learn {
                    from,
                    entries: vec![entry],
                },
                None,
            );
        }
    }
}

fn pick(peers: &Peers, now: Time, random: u64, fits: impl Fn(NodeId) -> bool) -> Option<NodeId> {
    let fitting: Vec<NodeId> = peers
        .iter()
        .filter(|(id, peer)| !peer.is_silent(now) && fits(*id))
        .map(|(id, _)| id)
        .collect();
    let index = random.checked_rem(fitting.len() as u64)?;
    fitting.get(index as usize).copied()
}
