//! From what several processes said to one picture.

use std::collections::BTreeSet;

use super::{Answer, Disk, Link, Process, Role, State, Status, health};
use crate::core::protocol::client::{Known, Report};

impl Status {
    /// Puts together what was said. `applied_before` is a slot that somebody had applied before
    /// anybody was asked, or 0. Nothing if nobody has said anything.
    pub fn of(answers: &[Answer], applied_before: u64) -> Option<Status> {
        let (reports, strangers) = reports(answers);
        // Whoever is furthest knows best who belongs to the cluster.
        let furthest = reports.iter().rev().max_by_key(|report| report.applied)?;
        let picture = Picture {
            answers,
            reports: &reports,
            furthest,
            applied_before,
        };
        let mut processes: Vec<Process> = furthest
            .known
            .iter()
            .map(|known| picture.process(known))
            .collect();
        let place = |process: &Process| {
            let slot = process.slot.clone();
            let number = slot.as_ref().and_then(|slot| slot.parse::<u64>().ok());
            let is_numbered = number.is_some();
            (
                process.role,
                slot.is_none(),
                (!is_numbered, number, slot),
                process.addr.clone(),
            )
        };
        processes.sort_by_cached_key(place);
        let vacant = furthest.seats.iter().filter(|seat| seat.holder.is_empty());
        let mut status = Status {
            cluster: furthest.cluster.clone(),
            health: super::Health::Healthy,
            summary: String::new(),
            problems: Vec::new(),
            changing: is_changing(&reports, furthest),
            may_fail: 0,
            rev: reports.iter().map(|report| report.rev).max().unwrap_or(0),
            applied: furthest.applied,
            processes,
            vacancies: vacant.map(|seat| seat.name.clone()).collect(),
        };
        status.problems = strangers;
        health::judge(&mut status, &reports, furthest);
        Some(status)
    }

    /// The members, in the order of their slots.
    pub fn members(&self) -> impl Iterator<Item = &Process> {
        self.with_role(Role::Member)
    }

    /// The standbys, by address.
    pub fn standbys(&self) -> impl Iterator<Item = &Process> {
        self.with_role(Role::Standby)
    }

    fn with_role(&self, role: Role) -> impl Iterator<Item = &Process> {
        self.processes
            .iter()
            .filter(move |process| process.role == role)
    }
}

/// What was said, once for each process, whichever of its addresses it was asked at; and complaints
/// about those who have nothing to do with the first one that answered.
fn reports(answers: &[Answer]) -> (Vec<&Report>, Vec<String>) {
    let mut family: BTreeSet<&str> = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let (mut reports, mut strangers) = (Vec::new(), Vec::new());
    for answer in answers {
        let Ok(report) = &answer.said else { continue };
        let mut known = report.known.iter().map(|known| known.id.as_str());
        if !family.is_empty() && !known.any(|id| family.contains(id)) {
            strangers.push(format!(
                "{} belongs to another cluster: {} is there, which knows nobody of this one",
                answer.addr, report.id
            ));
            continue;
        }
        family.extend(report.known.iter().map(|known| known.id.as_str()));
        if ids.insert(&report.id) {
            reports.push(report);
        }
    }
    (reports, strangers)
}

/// Whether somebody who takes part has not come to the latest configuration.
fn is_changing(reports: &[&Report], furthest: &Report) -> bool {
    let takes_part =
        |report: &&&Report| furthest.voters.contains(&report.id) && report.has_majority();
    let is_before = |report: &Report| report.is_changing() || report.voters != furthest.voters;
    let mut members = reports.iter().filter(takes_part);
    furthest.is_changing() || members.any(|report| is_before(report))
}

struct Picture<'a> {
    answers: &'a [Answer],
    reports: &'a [&'a Report],
    furthest: &'a Report,
    applied_before: u64,
}

impl Picture<'_> {
    fn process(&self, known: &Known) -> Process {
        let Known { id, addr, .. } = known;
        let own = self.reports.iter().find(|report| report.id == *id);
        let seats = &self.furthest.seats;
        let slot = seats.iter().find(|seat| seat.holder == *id);
        let votes = self
            .furthest
            .electorates()
            .any(|voters| voters.contains(id));
        let (state, note) = match own {
            Some(report) => answering(report),
            None => self.not_answering(known),
        };
        let seen = self.seen(id);
        let applied = match own {
            Some(report) => report.applied,
            None => seen.clone().map(|seen| seen.applied).max().unwrap_or(0),
        };
        let target = match own {
            Some(report) => self.applied_before.max(report.seen),
            None => self.applied_before,
        };
        Process {
            id: id.clone(),
            role: match votes || slot.is_some() {
                true => Role::Member,
                false => Role::Standby,
            },
            slot: slot.map(|seat| seat.name.clone()),
            addr: addr.clone(),
            hostname: known.hostname.clone(),
            version: known.version.clone(),
            owner: self.furthest.owners.contains(id),
            state,
            note,
            applied,
            rev: own.map(|report| report.rev),
            lag: target.saturating_sub(applied),
            heard_ms: seen.filter_map(|seen| seen.silence_ms).min(),
            uptime_ms: own.map(|report| report.uptime_ms),
            web: own
                .map(|report| report.web.clone())
                .filter(|web| !web.is_empty()),
            durable: own.map(|report| report.durable),
            links: own.map(|report| links(report)).unwrap_or_default(),
            disk: own.and_then(|report| report.disk).map(|disk| Disk {
                syncs: disk.syncs,
                records: disk.records,
                syncs_per_second: disk.syncs_per_second,
                records_per_1000_syncs: disk.records_per_1000_syncs,
            }),
        }
    }

    /// What the others see of a process.
    fn seen(&self, id: &str) -> impl Iterator<Item = &Known> + Clone {
        let others = self.reports.iter().filter(move |report| report.id != id);
        others.flat_map(move |report| report.known.iter().filter(move |known| known.id == id))
    }

    fn not_answering(&self, Known { id, addr, .. }: &Known) -> (State, Option<String>) {
        let asked = self.answers.iter().find(|answer| answer.addr == *addr);
        let is_heard = self.seen(id).any(|seen| seen.heard);
        match (asked.map(|answer| &answer.said), is_heard) {
            (None, true) => (State::Up, None),
            (Some(Err(why)), true) => (State::Unreached, Some(why.reason.clone())),
            // It has the address, so that this one has not long to live.
            (Some(Ok(other)), _) => {
                let note = format!("another process has its address: {}", other.id);
                (State::Gone, Some(note))
            }
            (Some(Err(why)), false) if why.is_gone => (State::Gone, Some(why.reason.clone())),
            (Some(Err(why)), false) => (State::Silent, Some(why.reason.clone())),
            (None, false) => (State::Silent, None),
        }
    }
}

fn links(report: &Report) -> Vec<Link> {
    let others = report.known.iter().filter(|known| known.id != report.id);
    let link = |known: &Known| Link {
        to: known.id.clone(),
        heard: known.heard,
        round_trip_us: known.round_trip_us,
    };
    others.map(link).collect()
}

fn answering(report: &Report) -> (State, Option<String>) {
    if let Some(missed) = report.missed() {
        let (heard, all) = (report.heard_of(missed), missed.len());
        let note = format!("hears {heard} of {all} members");
        return (State::CutOff, Some(note));
    }
    match report.leaving {
        true => (State::Leaving, None),
        false => (State::Up, None),
    }
}
