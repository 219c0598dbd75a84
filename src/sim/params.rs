//! What one run is made of: every size, limit and fault is drawn from the seed (swarm testing).
//!
//! Each fault is absent from a third of the runs or more, since some bugs need its absence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chance::{Chance, Dice, What};
use super::disk::Manner;
use super::files::{limits, sync, tuning, weights};
use super::net::TAIL_POWER_MAX;
use super::units::{rate, span};
use crate::core::consensus::BatchLimits;
use crate::core::limits::Limits;
use crate::core::node::Tuning;

/// How long storms last, in microseconds, from the shortest to the longest. Most bugs need little
/// time and few operations; a few long runs are there for the others.
const STORM: (u64, u64) = (60_000, 3_840_000);
/// Frames between clients and nodes, in a million, that take much longer than usual.
const CLIENT_TAIL_PPM: u32 = 20_000;

/// Time that forming a cluster may take on a fast network when nothing fails but single messages.
const FORMING: Duration = Duration::from_secs(120);

/// More revisions than any run makes.
const HISTORY_WHOLE: u64 = 1 << 40;

/// Bounds on the unsent answers of one connection in the production runtime, in bytes.
const UNSENT_SOFT: usize = 1 << 20;
/// See [`UNSENT_SOFT`].
const UNSENT_HARD: usize = 256 << 20;
/// Bound on the open requests of one connection there.
const REQUESTS_OPEN: usize = 16_384;

/// Bytes of log after which a snapshot is written: as much as a long run writes.
const LOG_BYTES: u64 = 256 << 10;

/// What one run is made of, apart from its clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Members to be seated, the founder included.
    #[serde(skip)]
    pub members: usize,
    /// Processes beyond those.
    #[serde(skip)]
    pub standbys: usize,
    /// How long faults are injected.
    #[serde(skip)]
    pub storm: Duration,
    /// Silence after which a member is evicted.
    #[serde(with = "span")]
    pub timeout: Duration,
    /// How often members report.
    #[serde(with = "span")]
    pub pulse: Duration,
    /// How long a node lets a client wait for the cluster.
    #[serde(with = "span")]
    pub request_timeout: Duration,
    /// Revisions of history that nodes retain.
    pub history_revs: u64,
    /// Time for which a process collects inputs before it handles them as one group.
    #[serde(with = "span")]
    pub group: Duration,
    /// Time that handling a group takes on a process that is not slow.
    #[serde(with = "span")]
    pub compute: Duration,
    /// The disks.
    #[serde(with = "sync", rename = "sync")]
    pub disk: Manner,
    /// Bytes of log after which a process with a disk writes a snapshot.
    pub log_bytes: u64,
    /// Largest deviation of a clock's pace, in millionths.
    #[serde(with = "rate", rename = "drift")]
    pub drift_ppm: u32,
    /// Whether clocks begin at different times.
    pub clock_offsets: bool,
    /// Unsent answers of one connection above which a node reads nothing more from it, in bytes.
    pub unsent_soft: usize,
    /// Unsent answers of one connection above which a node closes it, in bytes.
    pub unsent_hard: usize,
    /// Requests of one connection that a node holds open at most.
    pub requests_open: usize,
    /// Frames between clients and nodes that take up to a hundred times longer than usual.
    #[serde(with = "rate", rename = "client_tail")]
    pub client_tail_ppm: u32,
    /// Bounds on what clients may ask for.
    #[serde(with = "limits")]
    pub limits: Limits,
    /// Longest pause of a client between two requests.
    #[serde(with = "span")]
    pub think: Duration,
    /// Files that the clients of one kind share.
    pub keys: u64,
    /// How long a client waits for an answer before it goes elsewhere.
    #[serde(with = "span")]
    pub patience: Duration,
    /// The network between processes.
    pub net: NetParams,
    /// How nodes batch, and how far ahead configurations are fixed.
    #[serde(with = "tuning")]
    pub tuning: Tuning,
    /// Time between two drawn faults, on average.
    #[serde(with = "span")]
    pub fault_gap: Duration,
    /// How likely each kind of fault is drawn, in the order of [`super::nemesis::KINDS`].
    #[serde(with = "weights", rename = "faults")]
    pub fault_weights: Vec<u64>,
}

/// The network between processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetParams {
    /// Shortest time that a message travels.
    #[serde(with = "span", rename = "delay")]
    pub delay_min: Duration,
    /// How much longer it may take, evenly spread.
    #[serde(with = "span", rename = "spread")]
    pub delay_spread: Duration,
    /// Messages in a million that take far longer: twice the spread with probability 1/2, four
    /// times with 1/4, and so on up to 2^10.
    #[serde(with = "rate", rename = "tail")]
    pub tail_ppm: u32,
    /// Messages in a million that are lost.
    #[serde(with = "rate", rename = "loss")]
    pub loss_ppm: u32,
    /// Messages in a million that arrive twice.
    #[serde(with = "rate", rename = "duplicate")]
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
    #[serde(with = "rate", rename = "half_open")]
    pub half_open_ppm: u32,
    /// Longest time until a connection that carries nothing any more is given up.
    #[serde(with = "span")]
    pub keepalive: Duration,
}

/// A calm run: three members on a fast network on which nothing goes wrong.
impl Default for Params {
    fn default() -> Params {
        Params {
            members: 3,
            standbys: 0,
            storm: micros(2_000_000),
            timeout: micros(1_000_000),
            pulse: micros(250_000),
            request_timeout: micros(2_000_000),
            history_revs: HISTORY_WHOLE,
            group: micros(0),
            compute: micros(10),
            disk: Manner::AtOnce,
            log_bytes: LOG_BYTES,
            drift_ppm: 0,
            clock_offsets: false,
            unsent_soft: UNSENT_SOFT,
            unsent_hard: UNSENT_HARD,
            requests_open: REQUESTS_OPEN,
            limits: Limits::default(),
            client_tail_ppm: 0,
            think: micros(20_000),
            keys: 4,
            patience: micros(2_000_000),
            net: NetParams::default(),
            tuning: Tuning::default(),
            fault_gap: micros(100_000),
            fault_weights: vec![0; super::nemesis::KINDS.len()],
        }
    }
}

/// A fast network on which nothing goes wrong.
impl Default for NetParams {
    fn default() -> NetParams {
        NetParams {
            delay_min: micros(100),
            delay_spread: micros(200),
            tail_ppm: 0,
            loss_ppm: 0,
            duplicate_ppm: 0,
            bandwidth: 0,
            queue_bytes: 1_000_000,
            ordered: true,
            decode_every: 1,
            half_open_ppm: 0,
            keepalive: micros(500_000),
        }
    }
}

impl Params {
    /// The parameters of a seed.
    pub fn draw(chance: &Chance) -> Params {
        let dice = &mut chance.dice(What::Swarm, 0);
        let members = *dice.pick(&[1, 3, 3, 3, 3, 5, 5, 7]);
        let timeout = micros(dice.magnitude(600_000, 5_000_000));
        let net = NetParams::draw(&mut chance.dice(What::Swarm, 1));
        let tuning = draw_tuning(&mut chance.dice(What::Swarm, 3));
        let limits = draw_limits(&mut chance.dice(What::Swarm, 7));
        let storm = dice.magnitude(STORM.0, STORM.1);
        Params {
            members,
            standbys: dice.below(5) as usize,
            storm: micros(storm),
            timeout,
            pulse: micros(dice.between(timeout.as_micros() as u64 / 8, 1_000_000)),
            request_timeout: micros(dice.magnitude(1_000_000, 8_000_000)),
            tuning,
            history_revs: draw_history(&mut chance.dice(What::Swarm, 5)),
            net,
            group: micros(*dice.pick(&[0, 0, 10, 100, 500])),
            compute: micros(dice.between(2, 40)),
            disk: match dice.below(5) {
                0 | 1 => Manner::Syncs(micros(dice.magnitude(50, 4_000))),
                _ => Manner::AtOnce,
            },
            log_bytes: *chance
                .dice(What::Swarm, 6)
                .pick(&[1, 300, 3_000, 30_000, LOG_BYTES]),
            drift_ppm: *dice.pick(&[0, 0, 100, 10_000, 200_000]),
            clock_offsets: dice.hit(600_000),
            unsent_soft: *dice.pick(&[1, 1_000, UNSENT_SOFT]),
            unsent_hard: *dice.pick(&[10_000, UNSENT_HARD]),
            requests_open: *dice.pick(&[64, REQUESTS_OPEN]),
            limits,
            client_tail_ppm: CLIENT_TAIL_PPM,
            think: micros(dice.magnitude(500, 60_000)),
            keys: dice.between(1, 8),
            patience: micros(dice.magnitude(500_000, 10_000_000)),
            fault_gap: micros(dice.magnitude(20_000, 800_000)),
            fault_weights: draw_weights(&mut chance.dice(What::Swarm, 4)),
        }
    }

    /// How long the core may take, once healed, to answer everybody and to agree. `longest`: the
    /// longest that a message may travel; nobody can be faster than that: on a network where one may
    /// take a minute, and holds up those behind it on its connection, a few may lie on the way.
    pub fn liveness_bound(&self, longest: Duration) -> Duration {
        10 * self.timeout + 10 * self.net.keepalive.max(self.patience) + 4 * longest
    }

    /// How long forming the cluster may take: some dozens of changes, one after the other.
    pub fn forming_bound(&self, longest: Duration) -> Duration {
        FORMING + 40 * longest
    }
}

/// Mostly everything, so that every watch can be checked from the beginning. Else a tenth of a usual
/// run and more, as no turn of a node makes so many revisions.
fn draw_history(dice: &mut Dice) -> u64 {
    *dice.pick(&[200, 1_000, HISTORY_WHOLE, HISTORY_WHOLE, HISTORY_WHOLE])
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
            8,
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
