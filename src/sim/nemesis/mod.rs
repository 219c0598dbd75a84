//! The nemesis: which fault comes when, drawn from the seed.
//!
//! The n-th fault is a function of (seed, n) and of who lives at that moment. What it came to is
//! kept in `World::inflicted`, from which the same storm can be made again, whole or in part.
//! [`Kind`] lists what it draws.

mod draw;
mod kind;

use super::chance::What;
use super::machine::Machine;
use super::params::micros;
use super::process::Pid;
use super::trace::Kind as Mark;
use super::world::{Happening, World};

pub use kind::{KINDS, Kind};

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
        let alive: Vec<Pid> = self.alive().filter(|pid| self.is_listening(*pid)).collect();
        if alive.is_empty() {
            return;
        }
        let victim = *dice.pick(&alive);
        let (kind, _) = chosen.expect("the weights add up to the total");
        let Some(fault) = self.draw_fault(*kind, victim, &mut dice) else {
            return;
        };
        *self.chosen.entry(*kind).or_default() += 1;
        self.inflict(fault);
    }
}
