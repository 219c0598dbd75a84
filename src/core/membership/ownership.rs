//! Who owns slots. Ownership decides who waits for whom, never what is decided, so each member
//! follows its own judgement; the owner list changes through the log by compare-and-set.

use std::collections::BTreeMap;
use std::time::Duration;

use super::epoch::{Epochs, owners_min};
use super::peers::Peers;
use crate::core::consensus::Slot;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::log::Op;

/// Revocations of one owner's slots within [`MEMORY`] after which it is dropped from the list.
const REVOCATIONS: u32 = 2;

/// How long revocations are remembered.
const MEMORY: Duration = Duration::from_secs(2);

/// Between two proposals of this member.
const PAUSE: Duration = Duration::from_millis(200);

/// A member that clients wrote through within this time wants to own slots.
const BUSY: Duration = Duration::from_millis(50);

/// How long a member that was dropped stays away, doubled each time.
const BAN_MIN: Duration = Duration::from_millis(500);
/// Longest time that a member stays away.
const BAN_MAX: Duration = Duration::from_secs(64);

/// A member further than this from the other owners forwards instead: with two owners far apart,
/// each pays the other's distance.
const NEAR: Duration = Duration::from_millis(3);

/// One member's judgement about owners.
#[derive(Clone, Debug)]
pub struct Ownership {
    me: NodeId,
    /// How often owners' slots were revoked by this member, and since when.
    revoked: BTreeMap<NodeId, (u32, Time)>,
    owned: bool,
    banned_until: Time,
    ban: Duration,
    due: Time,
}

impl Ownership {
    /// No judgement yet.
    pub fn new(me: NodeId) -> Ownership {
        Ownership {
            me,
            revoked: BTreeMap::new(),
            owned: false,
            banned_until: Time(0),
            ban: BAN_MIN,
            due: Time(0),
        }
    }

    /// This member revoked slots of an owner.
    pub fn on_revoked(&mut self, owner: NodeId, now: Time) {
        let (times, since) = self.revoked.entry(owner).or_insert((0, now));
        if now.since(*since) > MEMORY {
            (*times, *since) = (0, now);
        }
        *times += 1;
    }

    /// The configuration has changed.
    pub fn on_change(&mut self, epochs: &Epochs, now: Time) {
        let latest = epochs.latest();
        self.revoked
            .retain(|owner, _| latest.owners.contains(owner));
        let owns = latest.owners.contains(&self.me);
        if self.owned && !owns && latest.has(self.me) {
            sometimes!(BanDoubled, self.ban > BAN_MIN);
            self.banned_until = now + self.ban;
            self.ban = (self.ban * 2).min(BAN_MAX);
        }
        self.owned = owns;
    }

    /// A change of owners that this member wants, if any.
    pub fn propose(
        &mut self,
        now: Time,
        applied: Slot,
        epochs: &Epochs,
        peers: &Peers,
        last_write: Option<Time>,
    ) -> Option<Op> {
        let latest = epochs.latest();
        if now < self.due || latest.start > applied.next() || !latest.has(self.me) {
            return None;
        }
        let owners = self.drop_suspect(now, epochs, peers).or_else(|| {
            let is_busy = last_write.is_some_and(|at| now.since(at) < BUSY);
            self.join(now, epochs, peers, is_busy)
        })?;
        self.due = now + PAUSE;
        Some(Op::Owners {
            expect: latest.start,
            owners,
        })
    }

    fn drop_suspect(&self, now: Time, epochs: &Epochs, peers: &Peers) -> Option<Vec<NodeId>> {
        let latest = epochs.latest();
        let is_suspect = |owner: &NodeId| {
            self.revoked
                .get(owner)
                .is_some_and(|(times, since)| *times >= REVOCATIONS && now.since(*since) <= MEMORY)
        };
        let suspect = latest
            .owners
            .iter()
            .find(|o| **o != self.me && is_suspect(o))?;
        let mut owners = latest.owners.clone();
        owners.retain(|owner| owner != suspect);
        let spares = latest.members.iter().copied().filter(|member| {
            !latest.owners.contains(member)
                && (*member == self.me || !peers.is_silent(*member, now))
        });
        for spare in spares {
            if owners.len() < owners_min(latest.members.len()) {
                owners.push(spare);
            }
        }
        sometimes!(
            SuspectStays,
            owners.len() < owners_min(latest.members.len())
        );
        (owners.len() >= owners_min(latest.members.len())).then_some(owners)
    }

    fn join(
        &self,
        now: Time,
        epochs: &Epochs,
        peers: &Peers,
        is_busy: bool,
    ) -> Option<Vec<NodeId>> {
        let latest = epochs.latest();
        if !is_busy || latest.owners.contains(&self.me) || now < self.banned_until {
            return None;
        }
        let is_near = |owner: &NodeId| {
            peers
                .get(*owner)
                .and_then(|peer| peer.round_trip())
                .is_some_and(|trip| trip < NEAR)
        };
        if !latest.owners.iter().all(is_near) {
            sometimes!(TooFarToOwn);
            return None;
        }
        let mut owners = latest.owners.clone();
        owners.push(self.me);
        Some(owners)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::membership::Epoch;

    fn id(n: u8) -> NodeId {
        NodeId([n; 10])
    }

    fn cluster(owners: &[u8]) -> (Epochs, Peers) {
        let mut epochs = Epochs::founded_by(id(1));
        let owners = owners.iter().map(|n| id(*n)).collect();
        epochs.push(Epoch::new(Slot(2), vec![id(1), id(2), id(3)], owners));
        let mut peers = Peers::default();
        for n in [2, 3] {
            peers.link(id(n), true, Time(0));
            peers
                .hear(id(n), Time(0))
                .expect("room")
                .measure(Duration::from_micros(100));
        }
        (epochs, peers)
    }

    fn owners(op: Option<Op>) -> Option<Vec<NodeId>> {
        match op {
            Some(Op::Owners { owners, .. }) => Some(owners),
            _ => None,
        }
    }

    #[test]
    fn a_suspect_is_dropped_or_swapped_but_never_below_one_more_than_may_fail() {
        let (epochs, peers) = cluster(&[1, 2, 3]);
        let mut ownership = Ownership::new(id(1));
        ownership.on_revoked(id(3), Time(1));
        assert_eq!(
            ownership.propose(Time(2), Slot(5), &epochs, &peers, None),
            None
        );
        ownership.on_revoked(id(3), Time(3));
        let op = ownership.propose(Time(4), Slot(5), &epochs, &peers, None);
        assert_eq!(owners(op), Some(vec![id(1), id(2)]));

        let (epochs, mut peers) = cluster(&[2, 3]);
        let mut ownership = Ownership::new(id(1));
        ownership.on_revoked(id(3), Time(1));
        ownership.on_revoked(id(3), Time(3));
        let op = ownership.propose(Time(4), Slot(5), &epochs, &peers, None);
        assert_eq!(owners(op), Some(vec![id(2), id(1)]));

        let (epochs, _) = cluster(&[1, 3]);
        peers.link(id(2), false, Time(5));
        let mut ownership = Ownership::new(id(1));
        ownership.on_revoked(id(3), Time(1));
        ownership.on_revoked(id(3), Time(3));
        assert_eq!(
            ownership.propose(Time(4), Slot(5), &epochs, &peers, None),
            None
        );
    }

    #[test]
    fn a_member_with_clients_joins_unless_it_was_dropped_lately() {
        let (epochs, peers) = cluster(&[2, 3]);
        let mut ownership = Ownership::new(id(1));
        assert_eq!(
            ownership.propose(Time(9), Slot(5), &epochs, &peers, None),
            None
        );
        let op = ownership.propose(Time(9), Slot(5), &epochs, &peers, Some(Time(8)));
        assert_eq!(owners(op), Some(vec![id(2), id(3), id(1)]));

        let mut ownership = Ownership::new(id(1));
        ownership.on_change(&cluster(&[1, 2, 3]).0, Time(1));
        ownership.on_change(&epochs, Time(2));
        assert_eq!(
            ownership.propose(Time(9), Slot(5), &epochs, &peers, Some(Time(8))),
            None
        );
        let later = Time(3) + BAN_MIN;
        let op = ownership.propose(later, Slot(5), &epochs, &peers, Some(later));
        assert!(op.is_some());
    }
}
