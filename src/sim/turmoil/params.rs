//! What one run is made of: every size, limit and fault is drawn from the seed.

use std::time::Duration;

use super::nemesis::FAULTS;
use crate::core::consensus::BatchLimits;
use crate::core::node::Tuning;
use crate::sim::chance::{Chance, What};
use crate::sim::params::micros;

/// What one run is made of.
#[derive(Clone, Debug)]
pub(super) struct Params {
    /// Members to be seated, the founder included.
    pub(super) members: usize,
    /// Processes beyond those.
    pub(super) standbys: usize,
    /// The range of the time that a segment travels.
    pub(super) latency: (Duration, Duration),
    /// Bytes that one segment carries at most.
    pub(super) segment: usize,
    /// How long faults are injected.
    pub(super) storm: Duration,
    /// How often members report.
    pub(super) pulse: Duration,
    /// How long a node lets a client wait for the cluster.
    pub(super) request_timeout: Duration,
    /// How nodes batch, and how far ahead configurations are fixed.
    pub(super) tuning: Tuning,
    /// Clients that read and write at random.
    pub(super) mixed: usize,
    /// Clients that count.
    pub(super) counters: usize,
    /// Clients that append to lists.
    pub(super) listers: usize,
    /// Clients that watch.
    pub(super) watchers: usize,
    /// Longest pause of a client between two requests.
    pub(super) think: Duration,
    /// Files that the clients of one kind share.
    pub(super) keys: u64,
    /// How long a client waits for an answer before it goes elsewhere.
    pub(super) patience: Duration,
    /// Time between two faults, on average.
    pub(super) fault_gap: Duration,
    /// How likely each kind of fault is, in the order of [`FAULTS`].
    pub(super) fault_weights: Vec<u64>,
    /// Whether mischievous clients stay until the server is rid of them.
    pub(super) is_stubborn: bool,
}

impl Params {
    /// The parameters of a seed.
    pub(super) fn draw(chance: &Chance) -> Params {
        let dice = &mut chance.dice(What::Swarm, 0);
        let usual = Tuning::default();
        let (latency_min, latency_max) = *dice.pick(&[(0, 1), (1, 5), (1, 20), (5, 60)]);
        let millis = Duration::from_millis;
        Params {
            members: *dice.pick(&[1, 3, 3, 3, 3, 5]),
            standbys: *dice.pick(&[1, 1, 1, 2]),
            latency: (millis(latency_min), millis(latency_max)),
            segment: *dice.pick(&[100, 1460, 1460, 16 << 10]),
            storm: micros(dice.magnitude(2_000_000, 12_000_000)),
            pulse: micros(dice.between(200_000, 1_000_000)),
            request_timeout: micros(dice.magnitude(1_000_000, 8_000_000)),
            tuning: Tuning {
                alpha: *dice.pick(&[16, 32, 64, usual.alpha]),
                batch: BatchLimits {
                    commands: *dice.pick(&[1, 16, usual.batch.commands]),
                    bytes: *dice.pick(&[300, 8 << 10, usual.batch.bytes]),
                },
                ..usual
            },
            mixed: dice.between(1, 4) as usize,
            counters: dice.below(3) as usize,
            listers: dice.below(3) as usize,
            watchers: dice.below(3) as usize,
            think: micros(dice.magnitude(5_000, 200_000)),
            keys: dice.between(1, 6),
            patience: micros(dice.magnitude(500_000, 8_000_000)),
            fault_gap: micros(dice.magnitude(100_000, 1_500_000)),
            fault_weights: FAULTS
                .iter()
                .map(|_| dice.below(3) * dice.below(5))
                .collect(),
            is_stubborn: dice.hit(200_000),
        }
    }
}
