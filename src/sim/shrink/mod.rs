//! Shrinking: from a run that failed to the smallest scenario that fails alike.
//!
//! First everything that was drawn is written down: faults, troubles of single messages, the core.
//! Then whatever the failure does not need is taken away, the large things first: kinds of trouble,
//! time, faults, clients, members, then each parameter that is not calm, at last long numbers. A
//! step counts if the same property is violated, and, where a bug is planted, nothing without it.

mod ddmin;
mod simpler;

use std::collections::BTreeSet;
use std::time::Duration;

use super::chance::{Chance, What};
use super::run::Report;
use super::scenario::{Expect, Scenario};
use super::setup::Setup;
use super::trouble::Troubles;
use super::units::round;
use ddmin::ddmin;

/// Events that all runs of one search may have together: about half a minute.
const EVENTS_MAX: u64 = 30_000_000;
/// Rounds through all steps. What one step takes away lets another one take more.
const ROUNDS_MAX: usize = 4;
/// A candidate has to fail within as many events as the best so far, or hardly more.
const EVENTS_MORE: u64 = 500;
/// Other seeds that are tried where much is to be won: delays and requests are others then.
const SEEDS_TRIED: u64 = 6;
/// Seeds that are tried have this many bits less than 64: they are written in files.
const SEED_SHIFT: u32 = 54;
/// Faults, or troubles of messages, that a person can follow. Of more, random halves are tried.
const FEW: usize = 10;
/// Halves that are tried, each with a seed of its own.
const HALVES: u64 = 24;

/// What came of shrinking.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest scenario found.
    pub scenario: Scenario,
    /// How large the run was.
    pub before: Size,
    /// How large it is.
    pub after: Size,
    /// Runs made.
    pub runs: u64,
    /// Events in all of them.
    pub events: u64,
}

/// How large a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Faults.
    pub faults: usize,
    /// Messages lost.
    pub lost: usize,
    /// Messages late or doubled.
    pub late: usize,
    /// Clients.
    pub clients: usize,
    /// Events.
    pub events: u64,
}

impl Size {
    /// All that goes wrong: faults, and troubles of single messages.
    pub fn troubles(self) -> usize {
        self.faults + self.lost + self.late
    }
}

/// Makes a scenario that fails smaller. `None` if it does not violate anything.
pub fn shrink(scenario: &Scenario) -> Option<Shrunk> {
    let report = scenario.run(true, None);
    let violation = report.violation.clone()?;
    let mut frozen = scenario.clone();
    frozen.expect = Expect::Violates(violation.property.to_owned());
    let mut search = Search {
        best: frozen,
        last: report.clone(),
        runs: 1,
        events: report.events,
        strict: false,
    };
    let before = search.size();
    search.step(|search| search.freeze(&report));
    for _ in 0..ROUNDS_MAX {
        let earlier = search.best.setup.clone();
        search.step(Search::take_away_much);
        search.step(Search::shorten);
        search.step(Search::take_away_clients);
        search.step(Search::shorten);
        search.step(Search::thin_out);
        search.step(Search::take_away_events);
        search.step(Search::take_away_troubles);
        search.step(Search::take_away_members);
        search.step(Search::calm);
        search.step(Search::simplify_events);
        if search.best.setup == earlier {
            break;
        }
    }
    let after = search.size();
    Some(Shrunk {
        scenario: search.best,
        before,
        after,
        runs: search.runs,
        events: search.events,
    })
}

/// Looks for something smaller than the best so far.
struct Search {
    best: Scenario,
    /// How the best went.
    last: Report,
    runs: u64,
    events: u64,
    /// Whether each change is tried without the bug as well, not only a whole step.
    strict: bool,
}

impl Search {
    /// Does one step. If the result fails without the bug as well, it is done again with more care.
    fn step(&mut self, step: impl Fn(&mut Search)) {
        let (best, last) = (self.best.clone(), self.last.clone());
        step(self);
        if self.best == best || self.is_healthy_without_bug() {
            return;
        }
        (self.best, self.last) = (best, last);
        self.strict = true;
        step(self);
        self.strict = false;
    }

    fn is_healthy_without_bug(&mut self) -> bool {
        if self.best.mutant.is_none() {
            return true;
        }
        let report = self.best.run(false, None);
        self.runs += 1;
        self.events += report.events;
        self.best.loses_majority = report.excused;
        report.violation.is_none()
    }

    fn size(&self) -> Size {
        let troubles = &self.last.course.troubles;
        Size {
            faults: self.last.course.inflicted.len(),
            lost: troubles.lost.len(),
            late: troubles.late.len() + troubles.twice.len(),
            clients: self.best.setup.clients.len(),
            events: self.last.events,
        }
    }

    /// Whether a change leaves the failure what it was; then it is kept.
    fn try_change(&mut self, change: impl FnOnce(&mut Setup)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate.setup);
        candidate.setup != self.best.setup && self.try_candidate(candidate)
    }

    /// The same, with other seeds as well.
    fn try_seeds(&mut self, change: impl Fn(&mut Setup)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate.setup);
        if candidate.setup == self.best.setup {
            return false;
        }
        let seed = candidate.setup.seed;
        let others = Chance::new(seed).dice(What::Seeds, 0);
        let seeds = (0..SEEDS_TRIED).map(|n| others.at(n) >> SEED_SHIFT);
        std::iter::once(seed).chain(seeds).any(|seed| {
            candidate.setup.seed = seed;
            self.try_candidate(candidate.clone())
        })
    }

    fn try_candidate(&mut self, candidate: Scenario) -> bool {
        if self.events >= EVENTS_MAX {
            return false;
        }
        let report = candidate.run_upto(true, self.last.events + EVENTS_MORE);
        self.runs += 1;
        self.events += report.events;
        if candidate.judge(&report, &candidate.expect).is_err() {
            return false;
        }
        let before = std::mem::replace(&mut self.best, candidate);
        if self.strict && !self.is_healthy_without_bug() {
            self.best = before;
            return false;
        }
        self.last = report;
        true
    }

    /// Writes down what was drawn, as far as the failure stays the same. A listed fault may take its
    /// turn a little earlier than a drawn one among what happens within the same microsecond, so that
    /// some failures need another seed.
    fn freeze(&mut self, report: &Report) {
        let no_faults = |setup: &mut Setup| {
            setup.events.clone_from(&report.course.inflicted);
            setup.params.fault_weights.fill(0);
        };
        let no_core = |setup: &mut Setup| setup.core.clone_from(&report.course.core);
        let no_rates = |setup: &mut Setup| {
            setup.troubles.clone_from(&report.course.troubles);
            let net = &mut setup.params.net;
            (net.loss_ppm, net.duplicate_ppm, net.tail_ppm) = (0, 0, 0);
        };
        let all = self.try_seeds(|setup| {
            no_faults(setup);
            no_core(setup);
            no_rates(setup);
        });
        if !all {
            self.try_seeds(no_faults);
            self.try_seeds(no_core);
            self.try_seeds(no_rates);
        }
    }

    /// Whole kinds of things, with a few other seeds to make up for what goes with them.
    fn take_away_much(&mut self) {
        self.try_seeds(|setup| {
            setup.troubles = Troubles::default();
            setup.params = super::params::Params {
                members: setup.params.members,
                standbys: setup.params.standbys,
                storm: setup.params.storm,
                fault_weights: setup.params.fault_weights.clone(),
                ..super::params::Params::default()
            };
        });
        self.try_seeds(|setup| setup.troubles = Troubles::default());
        self.try_change(|setup| setup.troubles.late.clear());
        self.try_change(|setup| setup.troubles.twice.clear());
        self.try_seeds(|setup| setup.events.clear());
        self.try_change(|setup| {
            let forming = |passage: &super::trouble::Passage| !passage.is_of_storm();
            setup.troubles.lost.retain(|passage| !forming(passage));
            setup.troubles.late.retain(|one| !forming(&one.passage));
            setup.troubles.twice.retain(|one| !forming(&one.passage));
        });
        if self.best.setup.params.members > 3 {
            self.try_seeds(|setup| setup.params.members = 3);
        }
        self.try_change(|setup| setup.orderly = true);
        self.try_change(|setup| setup.core = None);
    }

    /// Ends the storm as soon as the harm is done, else in ever shorter steps.
    fn shorten(&mut self) {
        let began = self.last.course.storm_began;
        let spent = self.last.simulated.saturating_sub(began) + Duration::from_millis(1);
        if spent < self.best.setup.params.storm {
            self.try_change(|setup| end_storm(setup, round_up(spent)));
        }
        loop {
            let half = self.best.setup.params.storm / 2;
            if half < Duration::from_millis(1) || !self.try_change(|s| end_storm(s, half)) {
                break;
            }
        }
        let rounded = round_up(self.best.setup.params.storm);
        self.try_change(|setup| end_storm(setup, rounded));
    }

    fn take_away_events(&mut self) {
        let all = self.best.setup.events.clone();
        let mut dropped = all;
        // The failure needs nothing of what comes after it.
        let began = self.last.course.storm_began;
        let spent = self.last.simulated.saturating_sub(began).as_micros() as u64;
        dropped.retain(|event| event.at_us <= spent);
        self.try_change(|setup| setup.events.clone_from(&dropped));
        let all = self.best.setup.events.clone();
        ddmin(all, |some| {
            self.try_change_or_same(|setup| setup.events = some.to_vec())
        });
        let steps = self.best.setup.steps.clone();
        ddmin(steps, |some| {
            self.try_change_or_same(|setup| setup.steps = some.to_vec())
        });
    }

    /// Halves what is too much to be followed, at random and with other seeds. A failure that hangs
    /// on the exact time of everything does not get smaller step by step, but there are others like
    /// it.
    fn thin_out(&mut self) {
        for round in 0.. {
            let setup = &self.best.setup;
            let troubles = &setup.troubles;
            let messages = troubles.lost.len() + troubles.late.len() + troubles.twice.len();
            if setup.events.len() <= FEW && messages <= FEW {
                return;
            }
            let chance = Chance::new(setup.seed);
            let is_smaller = (0..HALVES).any(|n| {
                let mut dice = chance.dice(What::Seeds, round * HALVES + n + 1);
                self.try_change(|setup| {
                    setup.seed = dice.draw() >> SEED_SHIFT;
                    if setup.events.len() > FEW {
                        setup.events.retain(|_| dice.hit(500_000));
                    }
                    if messages > FEW {
                        let troubles = &mut setup.troubles;
                        troubles.lost.retain(|_| dice.hit(500_000));
                        troubles.late.retain(|_| dice.hit(500_000));
                        troubles.twice.retain(|_| dice.hit(500_000));
                    }
                })
            });
            if !is_smaller {
                return;
            }
        }
    }

    fn take_away_clients(&mut self) {
        let all = self.best.setup.clients.clone();
        for client in &all {
            let alone = vec![client.clone()];
            if all.len() > 2 && self.try_change(|setup| setup.clients = alone) {
                break;
            }
        }
        let all = self.best.setup.clients.clone();
        ddmin(all, |some| {
            self.try_change_or_same(|setup| setup.clients = some.to_vec())
        });
        for index in 0..self.best.setup.clients.len() {
            let mut requests = 1;
            let most = self.best.setup.clients[index].requests.unwrap_or(1_000);
            while requests < most
                && !self.try_change(|setup| setup.clients[index].requests = Some(requests))
            {
                requests *= 2;
            }
        }
    }

    fn take_away_troubles(&mut self) {
        let lost = self.best.setup.troubles.lost.iter().copied().collect();
        ddmin(lost, |some| {
            let some: BTreeSet<_> = some.iter().copied().collect();
            self.try_change_or_same(|setup| setup.troubles.lost = some)
        });
        let late = self.best.setup.troubles.late.iter().copied().collect();
        ddmin(late, |some| {
            let some: BTreeSet<_> = some.iter().copied().collect();
            self.try_change_or_same(|setup| setup.troubles.late = some)
        });
        let twice = self.best.setup.troubles.twice.iter().copied().collect();
        ddmin(twice, |some| {
            let some: BTreeSet<_> = some.iter().copied().collect();
            self.try_change_or_same(|setup| setup.troubles.twice = some)
        });
    }

    fn take_away_members(&mut self) {
        for members in 1..self.best.setup.params.members {
            if self.try_change(|setup| setup.params.members = members) {
                break;
            }
        }
        for standbys in 0..self.best.setup.params.standbys {
            if self.try_change(|setup| setup.params.standbys = standbys) {
                break;
            }
        }
    }

    /// For delta debugging, to which what is there already fails.
    fn try_change_or_same(&mut self, change: impl FnOnce(&mut Setup)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate.setup);
        candidate.setup == self.best.setup || self.try_candidate(candidate)
    }
}

/// Ends the storm at a time; what would come later is left out.
fn end_storm(setup: &mut Setup, end: Duration) {
    let end_us = end.as_micros() as u64;
    setup.params.storm = Duration::from_micros(end_us);
    setup.events.retain(|event| event.at_us <= end_us);
}

/// The next span that is short to write.
fn round_up(span: Duration) -> Duration {
    let us = span.as_micros() as u64;
    let step = round(us).max(1) / 10;
    Duration::from_micros(us.next_multiple_of(step.max(1)))
}
