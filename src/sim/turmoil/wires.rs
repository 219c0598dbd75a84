//! Which hosts hear each other: counts of all cuts and holds in force, and what turmoil is told.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ::turmoil::Sim;

/// The links between hosts, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Wires {
    /// Cuts from one host to another.
    cuts: BTreeMap<(IpAddr, IpAddr), u32>,
    /// Holds between two hosts, the lower address first.
    holds: BTreeMap<(IpAddr, IpAddr), u32>,
    /// What turmoil was told last, the lower address first.
    told: BTreeMap<(IpAddr, IpAddr), State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Healthy,
    Held,
    /// From the lower address to the higher, and back.
    Cut(bool, bool),
}

impl Wires {
    /// Nothing gets from one host to another any more, nor what is on its way.
    pub(super) fn cut(&mut self, sim: &Sim<'_>, from: IpAddr, to: IpAddr) {
        *self.cuts.entry((from, to)).or_default() += 1;
        self.tell(sim, from, to);
    }

    /// Takes one cut back.
    pub(super) fn mend(&mut self, sim: &Sim<'_>, from: IpAddr, to: IpAddr) {
        let count = self.cuts.entry((from, to)).or_default();
        *count = count.checked_sub(1).expect("only cuts are mended");
        self.tell(sim, from, to);
    }

    /// What two hosts send each other waits.
    pub(super) fn hold(&mut self, sim: &Sim<'_>, a: IpAddr, b: IpAddr) {
        *self.holds.entry(sorted(a, b)).or_default() += 1;
        self.tell(sim, a, b);
    }

    /// Takes one hold back.
    pub(super) fn release(&mut self, sim: &Sim<'_>, a: IpAddr, b: IpAddr) {
        let count = self.holds.entry(sorted(a, b)).or_default();
        *count = count.checked_sub(1).expect("only holds are released");
        self.tell(sim, a, b);
    }

    /// A cut is stronger than a hold, which turmoil cannot have beside a cut in one direction.
    fn tell(&mut self, sim: &Sim<'_>, a: IpAddr, b: IpAddr) {
        let (a, b) = sorted(a, b);
        let is_cut = |from, to| self.cuts.get(&(from, to)).is_some_and(|count| *count > 0);
        let is_held = self.holds.get(&(a, b)).is_some_and(|count| *count > 0);
        let wanted = match (is_cut(a, b), is_cut(b, a)) {
            (false, false) if is_held => State::Held,
            (false, false) => State::Healthy,
            (there, back) => State::Cut(there, back),
        };
        let before = self.told.insert((a, b), wanted).unwrap_or_default();
        if before == wanted {
            return;
        }
        if before == State::Held {
            sim.release(a, b);
        }
        match wanted {
            State::Healthy => sim.repair(a, b),
            State::Held => {
                sim.repair(a, b);
                sim.hold(a, b);
            }
            State::Cut(there, back) => {
                for (from, to, is_cut) in [(a, b, there), (b, a, back)] {
                    if is_cut {
                        sim.partition_oneway(from, to);
                    } else {
                        sim.repair_oneway(from, to);
                    }
                }
            }
        }
    }
}

fn sorted(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}
