//! What goes wrong, to whom, for how long.
//!
//! | kind | what happens |
//! |---|---|
//! | `Pair` | two hosts of nodes lose each other |
//! | `Isolate` | a node loses all others, and clients on half of their hosts |
//! | `Split` | the nodes fall into two halves |
//! | `OneWay` | a node is not heard by some others, but hears them |
//! | `Clients` | clients of one host lose a node |
//! | `Hold` | what two hosts send each other is late, and comes all at once |
//! | `Distant` | segments between two hosts travel for longer |
//! | `Stop` | a process is told to stop, and does |
//! | `Kill` | a process ends at once; its kernel closes what was open |
//! | `Crash` | a process and its machine end; its connections are closed |
//! | `PowerCut` | a machine ends, and nobody hears of it |
//! | `Reset` | connections of a process break in the middle of a segment |
//! | `Mischief` | see [`super::mischief`] |
//!
//! Who ended comes back as another process under a fresh id, since nothing is kept on disk. Nobody
//! ends who is needed for the majority of a configuration that may still decide a slot.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use ::turmoil::Sim;
use tokio::sync::mpsc::UnboundedSender;

use super::mischief::Mischief;
use super::process::Order;
use super::stage::Stage;
use super::wires::Wires;
use crate::core::env::Time;
use crate::sim::chance::{Dice, What};
use crate::sim::machine::Machine as _;
use crate::sim::params::micros;
use crate::sim::process::Pid;
use crate::sim::trace::{Kind, digest};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Pair,
    Isolate,
    Split,
    OneWay,
    Clients,
    Hold,
    Distant,
    Stop,
    Kill,
    Crash,
    PowerCut,
    Reset,
    Mischief,
}

/// All kinds, in the order of `Params::fault_weights`.
pub(super) const FAULTS: [Fault; 13] = [
    Fault::Pair,
    Fault::Isolate,
    Fault::Split,
    Fault::OneWay,
    Fault::Clients,
    Fault::Hold,
    Fault::Distant,
    Fault::Stop,
    Fault::Kill,
    Fault::Crash,
    Fault::PowerCut,
    Fault::Reset,
    Fault::Mischief,
];

const MISCHIEF: [Mischief; 7] = [
    Mischief::Garbage,
    Mischief::PeerGarbage,
    Mischief::HalfFrame,
    Mischief::HalfGreeting,
    Mischief::Abort,
    Mischief::Vanish,
    Mischief::SlowReader,
];

/// What ends a fault.
#[derive(Debug)]
enum Cure {
    /// These hosts hear each other again, from the first to the second.
    Mend(Vec<(IpAddr, IpAddr)>),
    /// What these hosts have sent each other arrives.
    Release(IpAddr, IpAddr),
    /// Segments travel between these hosts no longer than others at most.
    Near(IpAddr, IpAddr),
    /// A process starts on the machine with this number.
    Start(usize),
    /// The machine with this number has power again, and starts a process.
    Boot(usize),
}

/// Who lets things go wrong.
pub(super) struct Nemesis {
    stage: Rc<Stage>,
    wires: Wires,
    /// What ends when; the number keeps order at one time.
    agenda: BTreeMap<(Time, u64), Cure>,
    cures: u64,
    strikes: u64,
    next_strike: Time,
    /// The hosts of clients.
    homes: Vec<IpAddr>,
    mischief: UnboundedSender<(Mischief, usize, u64)>,
}

impl Nemesis {
    pub(super) fn new(
        stage: Rc<Stage>,
        homes: Vec<IpAddr>,
        mischief: UnboundedSender<(Mischief, usize, u64)>,
    ) -> Nemesis {
        Nemesis {
            stage,
            wires: Wires::default(),
            agenda: BTreeMap::new(),
            cures: 0,
            strikes: 0,
            next_strike: Time::NEVER,
            homes,
            mischief,
        }
    }

    /// Faults begin.
    pub(super) fn begin(&mut self) {
        self.next_strike = self.stage.now();
    }

    /// Does what is due.
    pub(super) fn act(&mut self, sim: &mut Sim<'_>) {
        let now = self.stage.now();
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= now
        {
            let cure = entry.remove();
            self.cure(sim, cure);
        }
        if self.next_strike <= now {
            let mut dice = self.stage.chance.dice(What::Nemesis, self.strikes);
            self.strikes += 1;
            let gap = self.stage.params.fault_gap.as_micros() as u64;
            self.next_strike = now + micros(dice.between(gap / 4, 2 * gap));
            self.strike(sim, &mut dice);
        }
    }

    /// Faults end, and everything that they did is undone.
    pub(super) fn heal(&mut self, sim: &mut Sim<'_>) {
        self.next_strike = Time::NEVER;
        for cure in std::mem::take(&mut self.agenda).into_values() {
            self.cure(sim, cure);
        }
    }

    fn strike(&mut self, sim: &mut Sim<'_>, dice: &mut Dice) {
        let alive = self.stage.alive();
        let weights = &self.stage.params.fault_weights;
        let total: u64 = weights.iter().sum();
        if alive.is_empty() || total == 0 {
            return;
        }
        let mut at = dice.below(total);
        let chosen = FAULTS.iter().zip(weights).find(|(_, weight)| {
            let is_it = at < **weight;
            at = at.saturating_sub(**weight);
            is_it
        });
        let (fault, _) = chosen.expect("the weights add up to the total");
        let victim = *dice.pick(&alive);
        self.inflict(sim, *fault, victim, dice);
    }

    fn inflict(&mut self, sim: &mut Sim<'_>, fault: Fault, victim: Pid, dice: &mut Dice) {
        let stage = Rc::clone(&self.stage);
        let host = stage.processes.borrow()[victim].host;
        let hosts: Vec<IpAddr> = stage.addrs.borrow().iter().map(|a| a.ip()).collect();
        let here = hosts[host];
        let mut others: Vec<IpAddr> = hosts.iter().copied().filter(|a| *a != here).collect();
        dice.shuffle(&mut others);
        let span = micros(dice.magnitude(20_000, 12_000_000));
        let content = digest(format!("{fault:?}").as_bytes());
        stage.add(stage.place(host), Kind::Fault, content, || {
            format!("{fault:?} of process {victim}, {span:?}")
        });
        stage.stats.borrow_mut().faults += 1;
        match fault {
            Fault::Pair => self.cut(sim, both_ways(&[here], &others[..1]), span),
            Fault::Isolate => {
                others.extend(self.homes.iter().take(self.homes.len() / 2));
                self.cut(sim, both_ways(&[here], &others), span);
            }
            Fault::Split => {
                let mut all = hosts;
                dice.shuffle(&mut all);
                let (left, right) = all.split_at(all.len() / 2);
                self.cut(sim, both_ways(left, right), span);
            }
            Fault::OneWay => {
                others.truncate(1 + dice.below(others.len() as u64) as usize);
                let pairs = others.iter().map(|other| (here, *other)).collect();
                self.cut(sim, pairs, span);
            }
            Fault::Clients => {
                let home = *dice.pick(&self.homes);
                let mut pairs = both_ways(&[here], &[home]);
                pairs.truncate(1 + dice.below(2) as usize);
                self.cut(sim, pairs, span);
            }
            Fault::Hold => {
                others.extend(&self.homes);
                let other = *dice.pick(&others);
                self.wires.hold(sim, here, other);
                self.later(span, Cure::Release(here, other));
            }
            Fault::Distant => {
                let other = others[0];
                let millis = Duration::from_millis(dice.magnitude(10, 500));
                sim.set_link_latency(here, other, millis);
                self.later(span, Cure::Near(here, other));
            }
            Fault::Stop | Fault::Kill | Fault::Crash | Fault::PowerCut => {
                if self.may_lose(victim) {
                    self.end(sim, fault, victim, host, span);
                }
            }
            Fault::Reset => {
                let ends = stage.ends.borrow();
                let ends = ends.values().filter_map(|end| end.upgrade());
                for end in ends.filter(|end| end.place() == stage.place(host)) {
                    if dice.hit(600_000) {
                        end.break_after(dice.below(300) as usize);
                    }
                }
            }
            Fault::Mischief => {
                let order = (*dice.pick(&MISCHIEF), host, self.strikes);
                let sent = self.mischief.send(order);
                sent.expect("the host of mischief always runs");
            }
        }
    }

    fn end(&mut self, sim: &mut Sim<'_>, fault: Fault, victim: Pid, host: usize, span: Duration) {
        let here = self.stage.addrs.borrow()[host].ip();
        match fault {
            Fault::Stop => self.stage.order(host, Order::Stop),
            Fault::Kill => self.stage.order(host, Order::Kill),
            Fault::Crash => sim.crash(here),
            _ => {
                let hosts = self.stage.addrs.borrow().clone();
                let others = hosts.iter().map(|addr| addr.ip()).filter(|ip| *ip != here);
                let others: Vec<IpAddr> = others.chain(self.homes.iter().copied()).collect();
                self.cut(sim, both_ways(&[here], &others), span);
                sim.crash(here);
            }
        }
        if matches!(fault, Fault::Crash | Fault::PowerCut) {
            self.stage.bury(victim);
            self.later(span, Cure::Boot(host));
        } else {
            self.later(span, Cure::Start(host));
        }
    }

    fn cut(&mut self, sim: &Sim<'_>, pairs: Vec<(IpAddr, IpAddr)>, span: Duration) {
        for (from, to) in &pairs {
            self.wires.cut(sim, *from, *to);
        }
        self.later(span, Cure::Mend(pairs));
    }

    fn later(&mut self, span: Duration, cure: Cure) {
        self.cures += 1;
        let at = self.stage.now() + span;
        self.agenda.insert((at, self.cures), cure);
    }

    fn cure(&mut self, sim: &mut Sim<'_>, cure: Cure) {
        let content = digest(format!("{cure:?}").as_bytes());
        let tell = || format!("{cure:?}");
        self.stage.add(usize::MAX >> 8, Kind::Fault, content, tell);
        match cure {
            Cure::Mend(pairs) => {
                for (from, to) in pairs {
                    self.wires.mend(sim, from, to);
                }
            }
            Cure::Release(a, b) => self.wires.release(sim, a, b),
            Cure::Near(a, b) => {
                let (_, longest) = self.stage.params.latency;
                sim.set_link_latency(a, b, longest);
            }
            Cure::Start(host) => self.stage.order(host, Order::Start),
            Cure::Boot(host) => {
                let addr = self.stage.addrs.borrow()[host].ip();
                sim.bounce(addr);
            }
        }
    }

    /// Whether every configuration that anybody knows of keeps a living majority when this
    /// process ends.
    fn may_lose(&self, victim: Pid) -> bool {
        let processes = self.stage.processes.borrow();
        let alive = || {
            let all = processes.iter().enumerate();
            all.filter(|(_, one)| one.node.is_some() && one.stopped.0.is_none())
        };
        if !alive().any(|(pid, _)| pid == victim) {
            return false;
        }
        let mut is_known = false;
        for (_, one) in alive() {
            let node = one.node.as_ref().expect("it lives");
            for set in node.borrow().member_sets() {
                is_known = true;
                let is_left = |id| alive().any(|(pid, one)| one.id == id && pid != victim);
                if set.iter().filter(|id| is_left(**id)).count() <= set.len() / 2 {
                    return false;
                }
            }
        }
        is_known
    }
}

fn both_ways(one: &[IpAddr], other: &[IpAddr]) -> Vec<(IpAddr, IpAddr)> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
    pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
}
