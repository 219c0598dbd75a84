//! The nemesis: which fault comes when, drawn from the seed.
//!
//! The n-th fault is a function of (seed, n) and of who lives at that moment. What it came to is
//! kept in `World::inflicted`, from which the same storm can be made again, whole or in part.
//!
//! | kind | what it draws |
//! |---|---|
//! | `Crash` | a death; the successor starts on the same host or on a fresh one, 1 ms to 4 s later |
//! | `Pause` | a standstill of 1 ms to 60 s |
//! | `Slow` | 10 to 1000 times slower for 2 ms to 4 s |
//! | `ClockJump` | a jump by 1 ms to 2 min |
//! | `CutOff` | one host neither hears nor is heard |
//! | `Split` | the hosts fall into two halves |
//! | `OneWay` | one host is not heard by some others, but hears them |
//! | `Pair` | two hosts lose each other and nobody else |
//! | `Flap` | two hosts lose and find each other several times |
//! | `Reset` | connections of a process break, and are told broken |
//! | `HalfOpen` | connections of a process carry nothing and nobody is told |
//! | `Hangup` | a connection of a client breaks |
//! | `Mend` | all cuts end |

use super::chance::{Dice, What};
use super::fault::{Event, Fault};
use super::machine::Machine;
use super::params::micros;
use super::process::{HostId, Pid};
use super::trace::Kind as Mark;
use super::world::{Happening, World};
use crate::core::instrument::sometimes;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table above tells what each does")]
pub enum Kind {
    Crash,
    Pause,
    Slow,
    ClockJump,
    CutOff,
    Split,
    OneWay,
    Pair,
    Flap,
    Reset,
    HalfOpen,
    Hangup,
    Mend,
}

/// All kinds, in the order of `Params::fault_weights`.
pub const KINDS: [Kind; 13] = [
    Kind::Crash,
    Kind::Pause,
    Kind::Slow,
    Kind::ClockJump,
    Kind::CutOff,
    Kind::Split,
    Kind::OneWay,
    Kind::Pair,
    Kind::Flap,
    Kind::Reset,
    Kind::HalfOpen,
    Kind::Hangup,
    Kind::Mend,
];

/// Times that a flapping pair loses and finds each other.
const FLAPS: u64 = 6;

impl<M: Machine> World<M> {
    /// Lets the `n`-th fault happen, and arranges for the next one.
    pub(super) fn strike(&mut self, n: u64) {
        self.trace.add(self.now, 0, Mark::Fault, n);
        let mut dice = self.chance.dice(What::Nemesis, n);
        let gap = self.params.fault_gap.as_micros() as u64;
        let next = self.now + micros(dice.between(gap / 4, 2 * gap));
        self.queue.push(next, Happening::Strike { n: n + 1 });
        let weights = &self.params.fault_weights;
        let total: u64 = weights.iter().sum();
        if total == 0 {
            return;
        }
        let mut at = dice.below(total);
        let chosen = KINDS.iter().zip(weights).find(|(_, weight)| {
            let is_it = at < **weight;
            at = at.saturating_sub(**weight);
            is_it
        });
        let alive: Vec<Pid> = self.alive().collect();
        let victim = *dice.pick(&alive);
        let (kind, _) = chosen.expect("the weights add up to the total");
        let Some(fault) = self.draw_fault(*kind, victim, &mut dice) else {
            return;
        };
        let at_us = self.now.since(self.storm_began).as_micros() as u64;
        self.inflict(&fault);
        self.inflicted.push(Event { at_us, fault });
    }

    /// What a fault of this kind comes to, if it can be done to this process.
    fn draw_fault(&self, kind: Kind, victim: Pid, dice: &mut Dice) -> Option<Fault> {
        let host = self.processes[victim].host;
        let others: Vec<HostId> = (0..self.hosts.len()).filter(|h| *h != host).collect();
        let span_us = dice.magnitude(2_000, 4_000_000);
        let cut = |from: Vec<HostId>, to: Vec<HostId>, both_ways: bool| Fault::Cut {
            from,
            to,
            both_ways,
            span_us,
        };
        let fault = match kind {
            Kind::Crash if !self.may_lose(victim) => {
                sometimes!(CrashWouldCostMajority);
                return None;
            }
            Kind::Crash => Fault::Crash {
                host,
                back_host: match dice.hit(500_000) {
                    true => host,
                    false => self.hosts.len(),
                },
                back_us: dice.magnitude(1_000, 4_000_000),
            },
            Kind::Pause => Fault::Pause {
                host,
                span_us: dice.magnitude(1_000, 60_000_000),
            },
            Kind::Slow => Fault::Slow {
                host,
                times: dice.magnitude(10, 1_000),
                span_us,
            },
            Kind::ClockJump => Fault::ClockJump {
                host,
                ahead_us: dice.magnitude(1_000, 120_000_000),
            },
            Kind::CutOff => cut(vec![host], others, true),
            Kind::Split => {
                let mut all: Vec<HostId> = (0..self.hosts.len()).collect();
                dice.shuffle(&mut all);
                let right = all.split_off(all.len() / 2);
                cut(all, right, true)
            }
            Kind::OneWay => {
                let mut deaf = others;
                dice.shuffle(&mut deaf);
                deaf.truncate(1 + dice.below(deaf.len().max(1) as u64) as usize);
                cut(vec![host], deaf, false)
            }
            Kind::Pair | Kind::Flap if others.is_empty() => return None,
            Kind::Pair => cut(vec![host], vec![*dice.pick(&others)], true),
            Kind::Flap => Fault::Flap {
                one: host,
                other: *dice.pick(&others),
                times: FLAPS,
                span_us: span_us / (2 * FLAPS),
            },
            Kind::Reset | Kind::HalfOpen => {
                let mut links = Vec::new();
                for other in others {
                    if dice.hit(600_000) {
                        links.extend([(host, other), (other, host)]);
                    }
                }
                match kind {
                    Kind::Reset => Fault::Reset { links },
                    _ => Fault::HalfOpen { links },
                }
            }
            Kind::Hangup => {
                let clients: Vec<usize> = self.open_conns().map(|c| self.conns[c].actor).collect();
                if clients.is_empty() {
                    return None;
                }
                Fault::Hangup {
                    client: *dice.pick(&clients),
                }
            }
            Kind::Mend => Fault::Mend,
        };
        Some(fault)
    }
}
