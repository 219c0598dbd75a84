//! What one run is made of: every size, limit and fault is drawn from the seed (swarm testing).
//!
//! Each fault is absent from a third of the runs or more, since some bugs need its absence.

use std::time::Duration;

use super::chance::{Chance, Dice, What};
use super::disk::Manner;
use super::net::TAIL_POWER_MAX;
use crate::core::consensus::BatchLimits;
use crate::core::limits::Limits;
use crate::core::node::Tuning;

/// How long storms last, in microseconds, from the shortest to the longest. Most bugs need little
/// time and few operations; a few long runs are there for the others.
const STORM: (u64, u64) = (60_000, 3_840_000);
/// Operations of clients in a storm, more or less, times members: each member makes an operation
/// cost more events.
const OPERATIONS: (u64, u64) = (250, 4_000);

/// Frames between clients and nodes, in a million, that take much longer than usual.
const CLIENT_TAIL_PPM: u32 = 20_000;

/// Time that forming a cluster may take on a fast network when nothing fails but single messages.
const FORMING: Duration = Duration::from_secs(120);

/// Bounds on the unsent answers of one connection in the production runtime, in bytes.
const UNSENT_SOFT: usize = 1 << 20;
/// See [`UNSENT_SOFT`].
const UNSENT_HARD: usize = 256 << 20;

/// What one run is made of.
#[derive(Clone, Debug)]
pub struct Params {
    /// Members to be seated, the founder included.
    pub members: usize,
    /// Processes beyond those.
    pub standbys: usize,
    /// How long faults are injected.
    pub storm: Duration,
    /// Silence after which a member is evicted.
    pub timeout: Duration,
    /// How often members report.
    pub pulse: Duration,
    /// How long a node lets a client wait for the cluster.
    pub request_timeout: Duration,
    /// How nodes batch, and how far ahead configurations are fixed.
    pub tuning: Tuning,
    /// The network between processes.
    pub net: NetParams,
    /// Time for which a process collects inputs before it handles them as one group.
    pub group: Duration,
    /// Time that handling a group takes on a process that is not slow.
    pub compute: Duration,
    /// The disks.
    pub disk: Manner,
    /// Largest deviation of a clock's pace, in millionths.
    pub drift_ppm: u64,
    /// Whether clocks begin at different times.
    pub clock_offsets: bool,
    /// Unsent answers of one connection above which a node reads nothing more from it, in bytes.
    pub unsent_soft: usize,
    /// Unsent answers of one connection above which a node closes it, in bytes.
    pub unsent_hard: usize,
    /// Requests of one connection that a node holds open at most.
    pub requests_open: usize,
    /// Clients that read and write at random.
    pub mixed: usize,
    /// Clients that count.
    pub counters: usize,
    /// Clients that append to lists.
    pub listers: usize,
    /// Clients that take and free locks.
    pub lockers: usize,
    /// Clients that watch.
    pub watchers: usize,
    /// Bounds on what clients may ask for.
    pub limits: Limits,
    /// Frames between clients and nodes, in a million, that take up to a hundred times longer than
    /// usual.
    pub client_tail_ppm: u32,
    /// Longest pause of a client between two requests.
    pub think: Duration,
    /// Files that the clients of one kind share.
    pub keys: u64,
    /// How long a client waits for an answer before it goes elsewhere.
    pub patience: Duration,
    /// Time between two faults, on average.
    pub fault_gap: Duration,
    /// How likely each kind of fault is, in the order of [`super::nemesis::KINDS`].
    pub fault_weights: Vec<u64>,
}

/// The network between processes.
#[derive(Clone, Debug)]
pub struct NetParams {
    /// Shortest time that a message travels.
    pub delay_min: Duration,
    /// How much longer it may take, evenly spread.
    pub delay_spread: Duration,
    /// Messages in a million that take far longer: twice the spread with probability 1/2, four
    /// times with 1/4, and so on up to 2^10.
    pub tail_ppm: u32,
    /// Messages in a million that are lost.
    pub loss_ppm: u32,
    /// Messages in a million that arrive twice.
    pub duplicate_ppm: u32,
    /// Bytes that a connection carries in a millisecond; 0 if there is no limit.
    pub bandwidth: u64,
    /// Bytes that wait for a connection at most, if its bandwidth is limited. Whatever comes when
    /// more wait is lost.
    pub queue_bytes: u64,
    /// Whether messages of one connection arrive in the order in which they were sent.
    pub ordered: bool,
    /// Every how many messages one is decoded from its bytes; the others arrive as they were sent.
    /// Each is encoded, for the trace.
    pub decode_every: u64,
    /// Connections in a million that break without telling when the other end dies.
    pub half_open_ppm: u32,
    /// Longest time until a connection that carries nothing any more is given up.
    pub keepalive: Duration,
}

impl Params {
    /// The parameters of a seed.
    pub fn draw(chance: &Chance) -> Params {
        let dice = &mut chance.dice(What::Swarm, 0);
        let members = *dice.pick(&[1, 3, 3, 3, 3, 5, 5, 7]);
        let timeout = micros(dice.magnitude(600_000, 5_000_000));
        let sometimes = |dice: &mut Dice, most: u64| match dice.below(5) {
            0 | 1 => 0,
            _ => 1 + dice.below(most),
        };
        let net = NetParams::draw(&mut chance.dice(What::Swarm, 1));
        let tuning = draw_tuning(&mut chance.dice(What::Swarm, 3));
        let limits = draw_limits(&mut chance.dice(What::Swarm, 4));
        let lockers = sometimes(&mut chance.dice(What::Swarm, 5), 4);
        let storm = dice.magnitude(STORM.0, STORM.1);
        let operations = dice.magnitude(OPERATIONS.0, OPERATIONS.1) / members as u64;
        let (mixed, counters) = (dice.between(1, 5), sometimes(dice, 3));
        let (listers, watchers) = (sometimes(dice, 3), sometimes(dice, 3));
        // Clients that never rest would make long storms many times longer than short ones.
        let busy = (mixed + counters + listers + lockers) * 2 * storm / operations;
        Params {
            members,
            standbys: dice.below(5) as usize,
            storm: micros(storm),
            timeout,
            pulse: micros(dice.between(timeout.as_micros() as u64 / 8, 1_000_000)),
            request_timeout: micros(dice.magnitude(1_000_000, 8_000_000)),
            tuning,
            net,
            group: micros(*dice.pick(&[0, 0, 10, 100, 500])),
            compute: micros(dice.between(2, 40)),
            disk: match dice.below(4) {
                0 => Manner::Syncs(micros(dice.magnitude(50, 4_000))),
                _ => Manner::AtOnce,
            },
            drift_ppm: *dice.pick(&[0, 0, 100, 10_000, 200_000]),
            clock_offsets: dice.hit(600_000),
            unsent_soft: *dice.pick(&[1, 1_000, UNSENT_SOFT]),
            unsent_hard: *dice.pick(&[10_000, UNSENT_HARD]),
            requests_open: *dice.pick(&[64, 16_384]),
            mixed: mixed as usize,
            counters: counters as usize,
            listers: listers as usize,
            lockers: lockers as usize,
            watchers: watchers as usize,
            limits,
            client_tail_ppm: CLIENT_TAIL_PPM,
            think: micros(dice.magnitude(500, 60_000).max(busy)),
            keys: dice.between(1, 8),
            patience: micros(dice.magnitude(500_000, 10_000_000)),
            fault_gap: micros(dice.magnitude(20_000, 800_000)),
            fault_weights: draw_weights(&mut chance.dice(What::Swarm, 4)),
        }
    }

    /// How long the core may take, once healed, to answer everybody and to agree. Nobody can be
    /// faster than the messages: on a network where one may travel for a minute, and holds up those
    /// behind it on its connection, a few of those may lie on the way.
    pub fn liveness_bound(&self) -> Duration {
        10 * self.timeout + 10 * self.net.keepalive.max(self.patience) + 4 * self.net.longest()
    }

    /// How long forming the cluster may take: some dozens of changes, one after the other.
    pub fn forming_bound(&self) -> Duration {
        FORMING + 40 * self.net.longest()
    }
}

/// Small limits are met by clients that try what lies on both sides of them. The smallest leave
/// room for the paths of servers, and for lists.
fn draw_limits(dice: &mut Dice) -> Limits {
    let usual = Limits::default();
    Limits {
        path_bytes_max: *dice.pick(&[64, usual.path_bytes_max]),
        value_bytes_max: *dice.pick(&[6_000, usual.value_bytes_max]),
        ..usual
    }
}

/// Few kinds of faults in some runs, many in others, and never all: some bugs need one fault again
/// and again, others a mixture.
fn draw_weights(dice: &mut Dice) -> Vec<u64> {
    let share_ppm = *dice.pick(&[80_000, 250_000, 600_000]);
    let weight = |dice: &mut Dice| match dice.hit(share_ppm) {
        true => dice.between(1, 8),
        false => 0,
    };
    super::nemesis::KINDS.iter().map(|_| weight(dice)).collect()
}

fn draw_tuning(dice: &mut Dice) -> Tuning {
    let usual = Tuning::default();
    Tuning {
        // At least twice the members that a run has at most.
        alpha: *dice.pick(&[14, 16, 32, 64, usual.alpha]),
        batch: BatchLimits {
            commands: *dice.pick(&[1, 2, 16, usual.batch.commands]),
            bytes: *dice.pick(&[1, 300, 8 << 10, usual.batch.bytes]),
        },
        writes_open_max: *dice.pick(&[2, 16, usual.writes_open_max, usual.writes_open_max]),
        bytes_open_max: *dice.pick(&[200, 8 << 10, usual.bytes_open_max, usual.bytes_open_max]),
        retained_slots_max: *dice.pick(&[
            64,
            256,
            usual.retained_slots_max,
            usual.retained_slots_max,
        ]),
    }
}

impl NetParams {
    /// The longest that a message may travel.
    pub fn longest(&self) -> Duration {
        let stretch = if self.tail_ppm > 0 {
            (1 << TAIL_POWER_MAX) + 1
        } else {
            1
        };
        self.delay_min + self.delay_spread * stretch
    }

    fn draw(dice: &mut Dice) -> NetParams {
        let (delay_min, spread_max) = *dice.pick(&[
            (30, 200),
            (30, 200),
            (60, 3_000),
            (500, 20_000),
            (10_000, 60_000),
        ]);
        let rare = |dice: &mut Dice, most: u64| match dice.below(3) {
            0 | 1 => 0,
            _ => dice.magnitude(1_000, most) as u32,
        };
        NetParams {
            delay_min: micros(delay_min),
            delay_spread: micros(dice.between(1, spread_max)),
            tail_ppm: rare(dice, 100_000),
            loss_ppm: rare(dice, 250_000),
            duplicate_ppm: rare(dice, 200_000),
            bandwidth: u64::from(rare(dice, 100_000)),
            queue_bytes: dice.magnitude(2_000, 1_000_000),
            ordered: dice.hit(400_000),
            decode_every: *dice.pick(&[1, 1, 8]),
            half_open_ppm: *dice.pick(&[0, 300_000, 1_000_000]),
            keepalive: micros(dice.magnitude(200_000, 3_000_000)),
        }
    }
}

/// A span of microseconds.
pub const fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

#[cfg(test)]
mod tests;
