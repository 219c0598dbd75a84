//! The nemesis: what goes wrong, to whom, for how long.
//!
//! The n-th fault is a function of (seed, n) and of who lives at that moment. Kinds:
//!
//! | kind | what happens |
//! |---|---|
//! | `Crash` | a process dies with its memory; another, with a fresh id, joins from the same host or from a fresh one, 1 ms to 4 s later |
//! | `Pause` | a process stands still for 1 ms to 60 s; inputs queue up, timers are late |
//! | `Slow` | a process computes 10 to 1000 times slower for 10 ms to 4 s |
//! | `ClockJump` | the clock of a process jumps ahead by 1 ms to 20 s |
//! | `CutOff` | one host neither hears nor is heard |
//! | `Split` | the hosts fall into two halves |
//! | `OneWay` | one host is not heard by some others, but hears them |
//! | `Pair` | two hosts lose each other and nobody else |
//! | `Flap` | two hosts lose and find each other several times |
//! | `Reset` | connections of a process break, and are told broken |
//! | `HalfOpen` | connections of a process carry nothing and nobody is told |
//! | `Hangup` | a connection of a client breaks |
//! | `Mend` | all cuts end |
//!
//! A crash never takes the majority of a configuration away that may still decide a slot: members
//! keep nothing on disk, so that would end the cluster, and rightly.

use std::time::Duration;

use super::chance::{Dice, What};
use super::machine::Machine;
use super::net::State;
use super::params::micros;
use super::process::{HostId, Pid};
use super::world::{Happening, World};
use crate::core::env::Time;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table above tells what each does")]
pub enum Fault {
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
pub const FAULTS: [Fault; 13] = [
    Fault::Crash,
    Fault::Pause,
    Fault::Slow,
    Fault::ClockJump,
    Fault::CutOff,
    Fault::Split,
    Fault::OneWay,
    Fault::Pair,
    Fault::Flap,
    Fault::Reset,
    Fault::HalfOpen,
    Fault::Hangup,
    Fault::Mend,
];

/// Times that a flapping pair loses and finds each other.
const FLAPS: u64 = 6;

impl<M: Machine> World<M> {
    /// Lets the `n`-th fault happen, and arranges for the next one.
    pub(super) fn strike(&mut self, n: u64) {
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
        let chosen = FAULTS.iter().zip(weights).find(|(_, weight)| {
            let is_it = at < **weight;
            at = at.saturating_sub(**weight);
            is_it
        });
        let alive: Vec<Pid> = self.alive().collect();
        let victim = *dice.pick(&alive);
        let (fault, _) = chosen.expect("the weights add up to the total");
        self.inflict(*fault, victim, &mut dice);
    }

    /// Does one fault to one process.
    pub(super) fn inflict(&mut self, fault: Fault, victim: Pid, dice: &mut Dice) {
        self.note(victim, || format!("fault {fault:?}"));
        self.stats.faults += 1;
        let host = self.processes[victim].host;
        let others: Vec<HostId> = (0..self.hosts.len()).filter(|h| *h != host).collect();
        let span = micros(dice.magnitude(2_000, 4_000_000));
        match fault {
            Fault::Crash if self.may_lose(victim) => {
                self.crash(victim);
                let host = if dice.hit(500_000) {
                    host
                } else {
                    self.add_host()
                };
                let back = micros(dice.magnitude(1_000, 4_000_000));
                self.queue.push(self.now + back, Happening::Start { host });
            }
            Fault::Crash => {}
            Fault::Pause => {
                let span = micros(dice.magnitude(1_000, 60_000_000));
                self.processes[victim].paused_until = self.now + span;
                self.trouble(victim, span);
            }
            Fault::Slow => {
                self.processes[victim].slow = dice.magnitude(10, 1_000);
                self.queue
                    .push(self.now + span, Happening::Quick { pid: victim });
                self.trouble(victim, span);
            }
            Fault::ClockJump => {
                let ahead = micros(dice.magnitude(1_000, 20_000_000));
                self.jump_clock(victim, ahead);
            }
            Fault::CutOff => self.cut_for(&[host], &others, true, span),
            Fault::Split => {
                let mut all: Vec<HostId> = (0..self.hosts.len()).collect();
                dice.shuffle(&mut all);
                let (left, right) = all.split_at(all.len() / 2);
                self.cut_for(left, right, true, span);
            }
            Fault::OneWay => {
                let mut deaf = others;
                dice.shuffle(&mut deaf);
                deaf.truncate(1 + dice.below(deaf.len().max(1) as u64) as usize);
                self.cut_for(&[host], &deaf, false, span);
            }
            Fault::Pair if others.is_empty() => {}
            Fault::Pair => self.cut_for(&[host], &[*dice.pick(&others)], true, span),
            Fault::Flap if others.is_empty() => {}
            Fault::Flap => {
                let other = *dice.pick(&others);
                let phase = span.as_micros() as u64 / (2 * FLAPS);
                for flap in 0..FLAPS {
                    let at = self.now + micros(2 * flap * phase);
                    let pairs = vec![(host, other), (other, host)];
                    let until = at + micros(phase);
                    self.queue.push(at, Happening::Cut { pairs, until });
                }
                self.trouble(victim, span);
            }
            Fault::Reset | Fault::HalfOpen => {
                for other in 0..self.processes.len() {
                    if dice.hit(600_000) {
                        self.spoil_link(victim, other, fault == Fault::HalfOpen);
                        self.spoil_link(other, victim, fault == Fault::HalfOpen);
                    }
                }
            }
            Fault::Hangup => {
                let open: Vec<usize> = self.open_conns().collect();
                if !open.is_empty() {
                    self.hang_up(*dice.pick(&open));
                }
            }
            Fault::Mend => self.mend_everything(),
        }
    }

    /// Cuts every host of one side from every host of the other for some time.
    fn cut_for(&mut self, one: &[HostId], other: &[HostId], both_ways: bool, span: Duration) {
        let mut pairs = Vec::new();
        for a in one {
            for b in other {
                pairs.push((*a, *b));
                if both_ways {
                    pairs.push((*b, *a));
                }
            }
        }
        for pid in 0..self.processes.len() {
            if one.contains(&self.processes[pid].host) {
                self.trouble(pid, span);
            }
        }
        let until = self.now + span;
        self.queue.push(self.now, Happening::Cut { pairs, until });
    }

    fn spoil_link(&mut self, from: Pid, to: Pid, silently: bool) {
        if from == to || self.net.state(from, to) != State::Up {
            return;
        }
        if silently {
            self.make_hole(from, to);
        } else {
            self.break_link(from, to);
        }
    }

    /// For some time from now on, and a while longer, others may take this process for dead.
    fn trouble(&mut self, pid: Pid, span: Duration) {
        let until = self.now + span + 2 * self.params.timeout;
        let troubled = &mut self.troubled_until[pid];
        *troubled = (*troubled).max(until);
    }

    /// Whether every configuration that anybody knows of keeps a majority of untroubled members
    /// when this process dies.
    fn may_lose(&self, victim: Pid) -> bool {
        let is_well = |pid: Pid| {
            let process = &self.processes[pid];
            pid != victim && process.is_alive() && self.troubled_until[pid] <= self.now
        };
        let mut known = false;
        for pid in self.alive() {
            let machine = self.processes[pid].machine.as_ref();
            for set in machine.map(M::member_sets).unwrap_or_default() {
                known = true;
                let members = set.iter().filter_map(|id| self.by_id.get(id));
                let well = members.filter(|pid| is_well(**pid)).count();
                if well <= set.len() / 2 {
                    return false;
                }
            }
        }
        known
    }
}

/// The time from which a process is in no trouble that anybody could hold against it.
pub(super) const NEVER_TROUBLED: Time = Time(0);
