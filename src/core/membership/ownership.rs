//! Who owns slots. Ownership decides who waits for whom, never what is decided, so each member
//! follows its own judgement; the owner list changes through the log by compare-and-set.
//!
//! * A member that holds the others up is dropped: after two revocations, or after one if a
//!   majority does not hear it, or when nobody has heard it for a second.
//! * So is one that is so far away that the others wait for what it says, and not for each other.
//! * A member that clients write through all the time joins, if it is near.
//! * Who is behind judges nobody, itself included.
//! * Who has no clients is left out while others have some, but for the fewest owners that there
//!   must be: those are the members nearest to a busy one, as their skips come with the votes that
//!   it waits for anyway.

use std::collections::BTreeMap;
use std::time::Duration;

use super::epoch::{Epoch, Epochs, owners_min};
use super::eviction::Evidence;
use super::peers::{Peer, Peers};
use crate::core::consensus::Slot;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::log::Op;

/// Revocations of one owner's slots within [`MEMORY`] after which it is dropped from the list.
const REVOCATIONS: u32 = 2;

/// How long revocations are remembered.
const MEMORY: Duration = Duration::from_secs(2);

/// An owner that a majority has not heard for so long is dropped before it holds anybody up.
const DOWN: Duration = Duration::from_secs(1);

/// How often a member looks at the owners, unless it has just taken slots over: far more often than
/// anything about them changes, and far less often than it acts.
const LOOK: Duration = Duration::from_millis(10);

/// Between two proposals of this member.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes of clients that come closer to each other than this are one stream.
const BUSY: Duration = Duration::from_millis(50);

/// How long a stream of writes must have lasted before its member wants to own slots: a change of
/// owners costs everybody some round trips, and forwarding a write costs one.
const STREAM: Duration = Duration::from_millis(100);

/// An owner whose clients wrote nothing for so long is left out when others have clients.
const IDLE: Duration = Duration::from_secs(1);

/// How long a member that was dropped stays away, doubled each time.
const BAN_MIN: Duration = Duration::from_millis(500);
/// Longest time that a member stays away.
const BAN_MAX: Duration = Duration::from_secs(64);

/// With two owners far apart, each pays the other's distance. A member is near enough to another one
/// if it is no further from it than so many times the distance that the other has to bear anyway,
/// that to its nearest majority, and this.
const NEAR: u32 = 3;
/// See [`NEAR`].
const NEAR_MIN: Duration = Duration::from_millis(5);

/// An owner that is so many times too far away is dropped. More than once, so that nobody joins
/// and is dropped in turn.
const FAR: u32 = 2;

/// The longest distance that is near for somebody with this distance to its nearest majority.
fn near(majority: Duration) -> Duration {
    majority * NEAR + NEAR_MIN
}

/// What one member's judgement rests on.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The time.
    pub now: Time,
    /// The last slot applied.
    pub applied: Slot,
    /// How many slots after it may be open.
    pub window: u64,
    /// The configurations.
    pub epochs: &'a Epochs,
    /// Whom this member hears.
    pub peers: &'a Peers,
    /// Whom the others do not hear.
    pub evidence: &'a Evidence,
    /// When a client of this member wrote last.
    pub last_write: Option<Time>,
}

impl Sight<'_> {
    /// Whether somebody has applied what this member has not even room for.
    fn is_behind(&self) -> bool {
        let mut applied = self.peers.linked().filter_map(|id| self.peers.get(id));
        applied.any(|peer| peer.applied > self.applied.plus(self.window))
    }
}

/// One member's judgement about owners.
#[derive(Clone, Debug)]
pub struct Ownership {
    me: NodeId,
    /// How often owners' slots were revoked by this member, and since when.
    revoked: BTreeMap<NodeId, (u32, Time)>,
    /// When writes of each member's clients were applied last.
    used: BTreeMap<NodeId, Time>,
    /// When the stream of writes of this member's own clients began.
    stream: Option<Time>,
    changed: Time,
    owned: bool,
    banned_until: Time,
    ban: Duration,
    due: Time,
    look_due: Time,
}

impl Ownership {
    /// No judgement yet.
    pub fn new(me: NodeId) -> Ownership {
        Ownership {
            me,
            revoked: BTreeMap::new(),
            used: BTreeMap::new(),
            stream: None,
            changed: Time(0),
            owned: false,
            banned_until: Time(0),
            ban: BAN_MIN,
            due: Time(0),
            look_due: Time(0),
        }
    }

    /// This member revoked slots of an owner.
    pub fn on_revoked(&mut self, owner: NodeId, now: Time) {
        let (times, since) = self.revoked.entry(owner).or_insert((0, now));
        if now.since(*since) > MEMORY {
            (*times, *since) = (0, now);
        }
        *times += 1;
        self.look_due = Time(0);
    }

    /// A write by a client of this member was applied.
    pub fn on_use(&mut self, member: NodeId, now: Time) {
        self.used.insert(member, now);
    }

    /// The configuration has changed.
    pub fn on_change(&mut self, epochs: &Epochs, now: Time) {
        let latest = epochs.latest();
        self.changed = now;
        self.revoked
            .retain(|owner, _| latest.owners.contains(owner));
        self.used.retain(|member, _| latest.has(*member));
        let owns = latest.owners.contains(&self.me);
        if self.owned && !owns && latest.has(self.me) {
            sometimes!(BanDoubled, self.ban > BAN_MIN);
            self.banned_until = now + self.ban;
            self.ban = (self.ban * 2).min(BAN_MAX);
        }
        self.owned = owns;
    }

    /// A change of owners that this member wants, if any.
    pub fn propose(&mut self, sight: Sight<'_>) -> Option<Op> {
        let now = sight.now;
        self.note_stream(now, sight.last_write);
        if now < self.due.max(self.look_due) {
            return None;
        }
        self.look_due = now + LOOK;
        let latest = sight.epochs.latest();
        if latest.start > sight.applied.next() || !latest.has(self.me) {
            return None;
        }
        if sight.is_behind() {
            sometimes!(BehindAndSilent, self.stream.is_some());
            return None;
        }
        let mut owners = self
            .without_suspects(sight)
            .or_else(|| self.with_me(sight))
            .or_else(|| self.without_idle(sight))?;
        owners.sort_unstable();
        if owners == latest.owners {
            return None;
        }
        self.due = now + PAUSE;
        Some(Op::Owners {
            expect: latest.start,
            owners,
        })
    }

    fn note_stream(&mut self, now: Time, last_write: Option<Time>) {
        let is_busy = last_write.is_some_and(|at| now.since(at) < BUSY);
        self.stream = match self.stream {
            Some(since) if is_busy => Some(since),
            _ => last_write.filter(|_| is_busy),
        };
    }

    /// Whether an owner is to be dropped. Others wait for it only, for its distance or its slowness,
    /// if it is further away than `far`.
    fn is_suspect(&self, owner: NodeId, far: Option<Duration>, sight: Sight<'_>) -> bool {
        let Sight { now, peers, .. } = sight;
        let revoked = self.revoked.get(&owner);
        let times = match revoked {
            Some((times, since)) if now.since(*since) <= MEMORY => *times,
            _ => 0,
        };
        let is_unheard = |span| {
            let latest = sight.epochs.latest();
            let evidence = sight.evidence;
            evidence.is_agreed(self.me, owner, span, latest, peers, now)
        };
        let is_far = || {
            let trip = peers.get(owner).and_then(Peer::round_trip);
            let is_far = trip.zip(far).is_some_and(|(trip, far)| trip > far);
            sometimes!(OwnerTooFar, is_far);
            is_far
        };
        owner != self.me
            && (times >= REVOCATIONS
                || (times > 0 && is_unheard(Duration::ZERO))
                || is_unheard(DOWN)
                || is_far())
    }

    fn without_suspects(&self, sight: Sight<'_>) -> Option<Vec<NodeId>> {
        let latest = sight.epochs.latest();
        let majority = sight.peers.majority_trip(self.me, &latest.members);
        let far = majority.map(|majority| near(majority) * FAR);
        let (suspects, mut owners): (Vec<NodeId>, Vec<NodeId>) = latest
            .owners
            .iter()
            .partition(|owner| self.is_suspect(**owner, far, sight));
        if suspects.is_empty() {
            return None;
        }
        let is_spare = |member: &NodeId| {
            !latest.owners.contains(member)
                && match *member == self.me {
                    // Who was dropped lately may be the one that is slow.
                    true => sight.now >= self.banned_until,
                    false => !sight.peers.is_silent(*member, sight.now),
                }
        };
        let spares = self.nearest(latest, sight.peers).into_iter();
        let fewest = owners_min(latest.members.len());
        for member in spares.filter(is_spare).chain(suspects) {
            if owners.len() < fewest {
                sometimes!(SuspectStays, latest.owners.contains(&member));
                owners.push(member);
            }
        }
        owners.sort_unstable();
        (owners != latest.owners).then_some(owners)
    }

    fn with_me(&self, sight: Sight<'_>) -> Option<Vec<NodeId>> {
        let Sight { now, peers, .. } = sight;
        let latest = sight.epochs.latest();
        let streams = self.stream.is_some_and(|since| now.since(since) >= STREAM);
        if !streams || latest.owners.contains(&self.me) || now < self.banned_until {
            return None;
        }
        let is_near = |owner: &NodeId| {
            let peer = peers.get(*owner);
            let (trip, majority) = (
                peer.and_then(Peer::round_trip),
                peer.and_then(|peer| peer.majority_trip),
            );
            trip.zip(majority)
                .is_some_and(|(trip, majority)| trip <= near(majority))
        };
        if !latest.owners.iter().all(is_near) {
            sometimes!(TooFarToOwn);
            return None;
        }
        let mut owners = latest.owners.clone();
        owners.push(self.me);
        Some(owners)
    }

    /// The busy owner with the lowest id sees to it that nobody waits for idle ones.
    fn without_idle(&self, sight: Sight<'_>) -> Option<Vec<NodeId>> {
        let now = sight.now;
        let latest = sight.epochs.latest();
        let fewest = owners_min(latest.members.len());
        if latest.owners.len() <= fewest || now.since(self.changed) < IDLE {
            return None;
        }
        let is_busy = |owner: &NodeId| {
            let used = self.used.get(owner);
            used.is_some_and(|at| now.since(*at) < IDLE)
        };
        let mut owners: Vec<NodeId> = latest.owners.iter().copied().filter(is_busy).collect();
        if self.stream.is_none() || owners.first() != Some(&self.me) {
            return None;
        }
        sometimes!(IdleOwnersLeftOut);
        let nearest = self.nearest(latest, sight.peers).into_iter();
        for owner in nearest.filter(|owner| latest.owners.contains(owner)) {
            if owners.len() < fewest && !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        Some(owners)
    }

    /// The members, the nearest first.
    fn nearest(&self, latest: &Epoch, peers: &Peers) -> Vec<NodeId> {
        let mut members = latest.members.clone();
        members.sort_by_key(|member| {
            let trip = peers.get(*member).and_then(|peer| peer.round_trip());
            match *member == self.me {
                true => Duration::ZERO,
                false => trip.unwrap_or(Duration::MAX),
            }
        });
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::protocol::peer::Silence;

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
            let peer = peers.hear(id(n), Time(0)).expect("room");
            peer.majority_trip = Some(Duration::from_micros(100));
        }
        (epochs, peers)
    }

    fn sight<'a>(epochs: &'a Epochs, peers: &'a Peers, now: Time) -> Sight<'a> {
        static NOTHING: Evidence = Evidence::new();
        Sight {
            now,
            applied: Slot(5),
            window: 64,
            epochs,
            peers,
            evidence: &NOTHING,
            last_write: None,
        }
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
        assert_eq!(ownership.propose(sight(&epochs, &peers, Time(2))), None);
        ownership.on_revoked(id(3), Time(3));
        let op = ownership.propose(sight(&epochs, &peers, Time(4)));
        assert_eq!(owners(op), Some(vec![id(1), id(2)]));

        let (epochs, mut peers) = cluster(&[2, 3]);
        let mut ownership = Ownership::new(id(1));
        ownership.on_revoked(id(3), Time(1));
        ownership.on_revoked(id(3), Time(3));
        let op = ownership.propose(sight(&epochs, &peers, Time(4)));
        assert_eq!(owners(op), Some(vec![id(1), id(2)]));

        let (epochs, _) = cluster(&[1, 3]);
        peers.link(id(2), false, Time(5));
        let mut ownership = Ownership::new(id(1));
        ownership.on_revoked(id(3), Time(1));
        ownership.on_revoked(id(3), Time(3));
        assert_eq!(ownership.propose(sight(&epochs, &peers, Time(4))), None);
    }

    /// A judgement after a stream of writes that ended just now, and that time.
    fn after_stream(ownership: &mut Ownership, epochs: &Epochs, peers: &Peers) -> Option<Op> {
        let mut op = None;
        for ms in 1000..1000 + STREAM.as_millis() as u64 + 2 {
            let now = Time(ms * 1000);
            op = op.or(ownership.propose(Sight {
                last_write: Some(now),
                ..sight(epochs, peers, now)
            }));
        }
        op
    }

    #[test]
    fn a_member_that_clients_write_through_joins_unless_it_was_dropped_lately() {
        let (epochs, peers) = cluster(&[2, 3]);
        let mut ownership = Ownership::new(id(1));
        let now = Time(1_000_000);
        let once = Sight {
            last_write: Some(now),
            ..sight(&epochs, &peers, now)
        };
        assert_eq!(ownership.propose(once), None);
        let op = after_stream(&mut Ownership::new(id(1)), &epochs, &peers);
        assert_eq!(owners(op), Some(vec![id(1), id(2), id(3)]));

        let mut ownership = Ownership::new(id(1));
        ownership.on_change(&cluster(&[1, 2, 3]).0, Time(600_000));
        ownership.on_change(&epochs, Time(900_000));
        assert_eq!(after_stream(&mut ownership, &epochs, &peers), None);
    }

    #[test]
    fn whoever_has_no_clients_is_left_out_while_others_have_some() {
        let (epochs, mut peers) = cluster(&[1, 2, 3]);
        for _ in 0..50 {
            let two = peers.hear(id(2), Time(0)).expect("room");
            two.measure(Duration::from_millis(2));
        }
        let mut ownership = Ownership::new(id(1));
        ownership.on_change(&epochs, Time(1));
        // Nobody writes: nobody waits for anybody.
        let now = Time(5_000_000);
        assert_eq!(ownership.clone().propose(sight(&epochs, &peers, now)), None);
        ownership.on_use(id(1), now);
        let busy = Sight {
            last_write: Some(now),
            ..sight(&epochs, &peers, now)
        };
        // Of the idle ones the nearer stays, as there must be two.
        let op = ownership.clone().propose(busy);
        assert_eq!(owners(op), Some(vec![id(1), id(3)]));
        ownership.on_use(id(2), now);
        let op = ownership.clone().propose(busy);
        assert_eq!(owners(op), Some(vec![id(1), id(2)]));
        ownership.on_use(id(3), now);
        assert_eq!(ownership.clone().propose(busy), None);
    }

    #[test]
    fn whom_a_majority_does_not_hear_is_dropped_after_one_revocation_or_a_second() {
        let (epochs, mut peers) = cluster(&[1, 2, 3]);
        let mut evidence = Evidence::new();
        peers.link(id(3), false, Time(9));
        let mut ownership = Ownership::new(id(1));
        let now = Time(10);
        ownership.on_revoked(id(3), now);
        assert_eq!(ownership.clone().propose(sight(&epochs, &peers, now)), None);
        let silence = |ms| Silence { process: id(3), ms };
        evidence.report(id(2), &[silence(0)]);
        let op = ownership.clone().propose(Sight {
            evidence: &evidence,
            ..sight(&epochs, &peers, now)
        });
        assert_eq!(owners(op), Some(vec![id(1), id(2)]));

        let ownership = Ownership::new(id(1));
        let now = Time(2_000_000);
        peers.hear(id(2), now);
        for (ms, dropped) in [(900, None), (1100, Some(vec![id(1), id(2)]))] {
            evidence.report(id(2), &[silence(ms)]);
            let op = ownership.clone().propose(Sight {
                evidence: &evidence,
                ..sight(&epochs, &peers, now)
            });
            assert_eq!(owners(op), dropped);
        }
    }
}
