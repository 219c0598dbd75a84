//! Who is gone is replaced, and nobody else: a seat whose holder is dead or cut off for good goes to
//! a standby in time, provided that a majority is in touch and a standby is ready.
//!
//! "In time" counts from the moment since when all of this holds without a break: the seat has been
//! vacant, or its holder gone, for all of that majority; each of the majority is awake and hears each
//! other one and the standby, and is heard by it; no seat has changed hands; the standby is ready and
//! lacks no more of the log than a newcomer may. Whatever befalls one of those hosts shows as a gap
//! and starts the clock anew.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::sim::hearing::Hearing;
use crate::sim::process::Pid;

/// The property, as a sentence.
pub const PROPERTY: &str = "a standby takes the seat of who is gone, in time";

/// Longest time from an eviction to the end of a takeover.
pub const TAKEOVER_MAX: Duration = Duration::from_secs(1);

/// A membership slot and who holds it.
pub type Seat = (u64, Option<NodeId>);

/// The seats as the node that has applied most knows them, and since when.
#[derive(Debug, Default)]
pub struct Takeover {
    seats: Vec<Seat>,
    changed: Time,
    /// When processes that hold none have held a seat last.
    unseated: BTreeMap<NodeId, Time>,
    /// Since when each standby has been fit for a seat. Looked at only while one is wanting.
    fit_since: BTreeMap<Pid, Time>,
}

/// What a look at the world shows.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The time.
    pub now: Time,
    /// Who hears whom.
    pub hearing: &'a Hearing,
    /// The seats that are wanting: vacant, or held by a process that few hear.
    pub wanting: Vec<Wanting>,
    /// Processes that could take a seat now.
    pub standbys: Vec<Pid>,
    /// The members of the configurations that may still decide slots, as far as they live.
    pub sets: Vec<Members>,
    /// Time until a takeover has to be over.
    pub bound: Duration,
}

/// A seat that nobody sits in who is there.
#[derive(Clone, Copy, Debug)]
pub struct Wanting {
    /// Its number.
    pub seat: u64,
    /// Who holds it, if somebody does.
    pub holder: Option<Pid>,
}

/// The members of one configuration.
#[derive(Clone, Debug)]
pub struct Members {
    /// How many there are.
    pub count: usize,
    /// Those that live.
    pub alive: Vec<Pid>,
}

impl Takeover {
    /// The seats, as known by the node that has applied most.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The seats are these from now on.
    pub fn note_seats(&mut self, seats: Vec<Seat>, now: Time) {
        if seats == self.seats {
            return;
        }
        let before = std::mem::replace(&mut self.seats, seats);
        for (_, holder) in before {
            if let Some(id) = holder
                && !self.is_seated(id)
            {
                self.unseated.insert(id, now);
            }
        }
        self.changed = now;
        self.fit_since.clear();
    }

    /// Whether a process holds a seat.
    pub fn is_seated(&self, id: NodeId) -> bool {
        self.seats.iter().any(|(_, holder)| *holder == Some(id))
    }

    /// Whether a process has lost a seat so lately that it leaves vacancies to others.
    pub fn is_demoted(&self, id: NodeId, pause: Duration, now: Time) -> bool {
        let lost = self.unseated.get(&id);
        lost.is_some_and(|at| now.since(*at) < pause)
    }

    /// Every seat is taken by somebody who is there.
    pub fn rest(&mut self) {
        self.fit_since.clear();
    }

    /// Looks whether somebody has waited for too long.
    pub fn look(&mut self, scene: &Scene<'_>) -> Result<(), Violation> {
        let now = scene.now;
        self.fit_since.retain(|pid, _| scene.standbys.contains(pid));
        for pid in &scene.standbys {
            self.fit_since.entry(*pid).or_insert(now);
        }
        let since = now - scene.bound;
        if self.changed > since {
            return Ok(());
        }
        for wanting in &scene.wanting {
            for (standby, fit) in &self.fit_since {
                if *fit > since {
                    continue;
                }
                if let Some(majority) = scene.majority(wanting, *standby, since) {
                    let Wanting { seat, holder, .. } = wanting;
                    let holder = holder.map_or("vacant".to_owned(), |pid| format!("p{pid}'s"));
                    let detail = format!(
                        "seat {seat} is {holder} since {} ms at least, though {majority:?} hear \
                         each other and p{standby}, which is ready",
                        since.0 / 1000
                    );
                    return Err(Violation::new(PROPERTY, detail));
                }
            }
        }
        Ok(())
    }
}

impl Scene<'_> {
    /// Processes that have been in touch with each other and a standby, and have not heard the
    /// holder of a seat, since some time, and are a majority of each configuration.
    fn majority(&self, wanting: &Wanting, standby: Pid, since: Time) -> Option<Vec<Pid>> {
        let misses = |pid: Pid| {
            let heard = |holder| self.hearing.heard_last(pid, holder);
            wanting.holder.is_none_or(|holder| heard(holder) <= since)
        };
        let mut fit: Vec<Pid> = self.sets.iter().flat_map(|set| set.alive.clone()).collect();
        fit.sort_unstable();
        fit.dedup();
        fit.retain(|pid| {
            Some(*pid) != wanting.holder && misses(*pid) && self.is_touched(*pid, standby, since)
        });
        self.grow(&mut Vec::new(), &fit, since)
    }

    fn is_touched(&self, one: Pid, other: Pid, since: Time) -> bool {
        let touch = self.hearing.in_touch_since(one, other, self.now);
        touch.is_some_and(|at| at <= since)
    }

    /// Adds some of these to those chosen, all in touch, until they are enough.
    fn grow(&self, chosen: &mut Vec<Pid>, rest: &[Pid], since: Time) -> Option<Vec<Pid>> {
        if self.is_enough(chosen) {
            return Some(chosen.clone());
        }
        for (place, pid) in rest.iter().enumerate() {
            if chosen.iter().all(|one| self.is_touched(*one, *pid, since)) {
                chosen.push(*pid);
                let found = self.grow(chosen, &rest[place + 1..], since);
                if found.is_some() {
                    return found;
                }
                chosen.pop();
            }
        }
        None
    }

    fn is_enough(&self, chosen: &[Pid]) -> bool {
        let has = |set: &Members| set.alive.iter().filter(|pid| chosen.contains(pid)).count();
        !self.sets.is_empty() && self.sets.iter().all(|set| has(set) > set.count / 2)
    }
}
