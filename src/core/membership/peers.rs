//! What this node knows of the others: when it heard them, how far away they are, how far they
//! have come.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::consensus::Slot;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::limits::Gauge;

/// Between two heartbeats.
pub const BEAT: Duration = Duration::from_millis(50);

/// Heartbeats that a process may miss before it counts as silent.
pub const BEATS_MISSED: u32 = 5;

/// A blocked slot's owner is waited for this many times nearly the longest round trip to be expected:
/// its proposal, the votes, and one lost message.
pub const SUSPICION: u32 = 4;

/// Shortest and longest time that a blocked slot's owner is waited for: below the floor, scheduling
/// hiccups of a busy machine would pass for deaths; above the ceiling, people notice.
pub const SUSPICION_FLOOR: Duration = Duration::from_millis(4);
/// See [`SUSPICION_FLOOR`].
pub const SUSPICION_CEILING: Duration = Duration::from_secs(1);

/// How long the owner of a blocked slot is waited for when the connection to it is broken.
const SUSPICION_UNLINKED: Duration = Duration::from_millis(1);

/// How much longer than expected a round trip may seem at once, in times and beyond that. One that
/// took longer may tell of a pause at either end; if it does not, the next ones say so again.
const GROWTH: u32 = 2;
/// See [`GROWTH`].
const GROWTH_MIN: Duration = Duration::from_millis(10);

/// Longest round trip that is believed: beyond it, a sample tells of a pause, or of a clock that
/// jumped.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(60);

/// Processes that are remembered at most. Far more than a cluster has.
const PEERS_MAX: usize = 256;

/// One other process.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Whether a connection to it stands.
    pub linked: bool,
    /// When a message from it arrived last.
    pub heard: Time,
    /// How far it has applied the log, as far as it has said.
    pub applied: Slot,
    /// Its clock when it sent its latest heartbeat, and ours when that arrived.
    pub beat: Option<(u64, Time)>,
    /// Its round trip to the nearest majority of the members, as far as it has said.
    pub majority_trip: Option<Duration>,
    /// Smoothed round trip and its mean deviation (RFC 6298), once measured.
    round_trip: Option<(Duration, Duration)>,
}

impl Peer {
    fn new(now: Time) -> Peer {
        Peer {
            linked: false,
            heard: now,
            applied: Slot(0),
            beat: None,
            majority_trip: None,
            round_trip: None,
        }
    }

    /// Takes a measured round trip into account.
    pub fn measure(&mut self, sample: Duration) {
        sometimes!(RoundTripAboveCeiling, sample > SUSPICION_CEILING);
        sometimes!(RoundTripClamped, sample > ROUND_TRIP_MAX);
        let sample = match self.long_round_trip() {
            Some(long) => sample.min(long * GROWTH + GROWTH_MIN),
            None => sample,
        };
        let sample = sample.min(ROUND_TRIP_MAX);
        self.round_trip = Some(match self.round_trip {
            None => (sample, sample / 2),
            Some((mean, deviation)) => {
                let off = mean.abs_diff(sample);
                ((mean * 7 + sample) / 8, (deviation * 3 + off) / 4)
            }
        });
    }

    /// The smoothed round trip, once measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|(mean, _)| mean)
    }

    /// Nearly the longest round trip to be expected, once one was measured.
    pub fn long_round_trip(&self) -> Option<Duration> {
        self.round_trip
            .map(|(mean, deviation)| mean + deviation * 4)
    }

    /// How long to wait for it when it holds up the log. Whoever was silent before, for longer than its
    /// distance explains, has had that time: each slot of the dead would cost it again otherwise.
    pub fn suspicion(&self, now: Time) -> Duration {
        if !self.linked {
            return SUSPICION_UNLINKED;
        }
        let span = self.long_round_trip().unwrap_or_default() * SUSPICION;
        if self.is_silent(now) && self.silence(now) >= span {
            sometimes!(SilenceCounts, span > SUSPICION_CEILING);
            return SUSPICION_UNLINKED;
        }
        span.clamp(SUSPICION_FLOOR, SUSPICION_CEILING)
    }

    /// How long nothing was heard of it.
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.heard)
    }

    /// Whether nothing was heard of it for several heartbeats, or its connection is broken.
    pub fn is_silent(&self, now: Time) -> bool {
        !self.linked || now.since(self.heard) > BEAT * BEATS_MISSED
    }
}

/// The other processes.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    map: BTreeMap<NodeId, Peer>,
}

impl Peers {
    /// What is known of a process.
    pub fn get(&self, id: NodeId) -> Option<&Peer> {
        self.map.get(&id)
    }

    /// Tells how full this is.
    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        tell(Gauge::kept("processes known", self.map.len(), PEERS_MAX));
    }

    /// Notes that something arrived from a process.
    pub fn hear(&mut self, id: NodeId, now: Time) -> Option<&mut Peer> {
        let peer = self.entry(id, now)?;
        peer.heard = peer.heard.max(now);
        Some(peer)
    }

    /// Notes that a connection to a process stands, or broke.
    pub fn link(&mut self, id: NodeId, linked: bool, now: Time) {
        if let Some(peer) = self.entry(id, now) {
            peer.linked = linked;
            if linked {
                peer.heard = peer.heard.max(now);
            }
        }
    }

    /// Notes how far a process says it has applied the log.
    pub fn note_applied(&mut self, id: NodeId, applied: Slot) {
        if let Some(peer) = self.map.get_mut(&id) {
            peer.applied = peer.applied.max(applied);
        }
    }

    /// The round trip from one of these members to the nearest majority of them, itself included,
    /// once enough of them were measured.
    pub fn majority_trip(&self, me: NodeId, members: &[NodeId]) -> Option<Duration> {
        let others = members.iter().filter(|member| **member != me);
        let mut trips: Vec<Duration> = others
            .filter_map(|member| self.get(*member)?.round_trip())
            .collect();
        trips.sort_unstable();
        let needed = members.len() / 2;
        trips.get(needed.checked_sub(1)?).copied()
    }

    /// Forgets a process.
    pub fn forget(&mut self, id: NodeId) {
        self.map.remove(&id);
    }

    /// All processes, by id.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.map.iter().map(|(id, peer)| (*id, peer))
    }

    /// Processes that are connected.
    pub fn linked(&self) -> impl Iterator<Item = NodeId> {
        self.iter()
            .filter(|(_, peer)| peer.linked)
            .map(|(id, _)| id)
    }

    /// Whether a process counts as silent: never heard of, cut off, or quiet for too long.
    pub fn is_silent(&self, id: NodeId, now: Time) -> bool {
        self.get(id).is_none_or(|peer| peer.is_silent(now))
    }

    /// How long nothing was heard of a process that is known; nothing can be said of others.
    pub fn silence(&self, id: NodeId, now: Time) -> Duration {
        self.get(id)
            .map_or(Duration::ZERO, |peer| peer.silence(now))
    }

    /// Begins to listen for a process that is said to exist.
    pub fn expect(&mut self, id: NodeId, now: Time) {
        self.entry(id, now);
    }

    /// This process could not hear anybody for a while, as it stood still: that is nobody's fault.
    pub fn excuse(&mut self, now: Time) {
        for peer in self.map.values_mut() {
            peer.heard = peer.heard.max(now);
        }
    }

    fn entry(&mut self, id: NodeId, now: Time) -> Option<&mut Peer> {
        if self.map.len() >= PEERS_MAX && !self.map.contains_key(&id) {
            let gone = self
                .map
                .iter()
                .filter(|(_, peer)| !peer.linked)
                .map(|(id, _)| *id)
                .next()?;
            self.map.remove(&gone);
        }
        Some(self.map.entry(id).or_insert_with(|| Peer::new(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspicion_follows_the_round_trips_within_its_bounds() {
        let mut peers = Peers::default();
        let id = NodeId([1; 10]);
        let suspicion = |peers: &Peers, now| peers.get(id).map(|peer| peer.suspicion(now));
        peers.link(id, true, Time(0));
        for _ in 0..50 {
            peers
                .hear(id, Time(1))
                .expect("there is room")
                .measure(Duration::from_micros(100));
        }
        assert_eq!(suspicion(&peers, Time(1)), Some(SUSPICION_FLOOR));
        for _ in 0..50 {
            peers
                .hear(id, Time(1))
                .expect("there is room")
                .measure(Duration::from_millis(30));
        }
        let slow = suspicion(&peers, Time(1)).expect("it was heard");
        assert!(
            slow > Duration::from_millis(110) && slow < Duration::from_millis(200),
            "{slow:?}"
        );
        for _ in 0..50 {
            peers
                .hear(id, Time(1))
                .expect("there is room")
                .measure(Duration::from_secs(30));
        }
        assert_eq!(suspicion(&peers, Time(1)), Some(SUSPICION_CEILING));
        let after = |span: Duration| Time(1) + span;
        let silent = BEAT * (BEATS_MISSED + 1);
        assert_eq!(suspicion(&peers, after(silent)), Some(SUSPICION_CEILING));
        let far = Duration::from_secs(30) * SUSPICION * 2;
        assert_eq!(suspicion(&peers, after(far)), Some(SUSPICION_UNLINKED));
        peers.link(id, false, Time(2));
        assert!(peers.is_silent(id, Time(2)));
        assert_eq!(suspicion(&peers, Time(1)), Some(SUSPICION_UNLINKED));
    }
}
