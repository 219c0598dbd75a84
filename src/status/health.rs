//! Whether a cluster works, and what is wrong, in words.

use std::time::Duration;

use super::{Health, LAG_MAX, Process, State, Status};
use crate::core::membership::quorum;
use crate::core::protocol::client::Report;

/// Completes a status that has everything but health. Its problems so far stay.
pub(super) fn judge(status: &mut Status, reports: &[&Report], furthest: &Report) {
    let of = |ids: &[String], is: &dyn Fn(State) -> bool| {
        let processes = status.processes.iter();
        let those = processes.filter(|process| ids.contains(&process.id));
        those.filter(|process| is(process.state)).count()
    };
    let gone_of = |ids: &[String]| of(ids, &|state| state == State::Gone);
    let voters = furthest.voters.len();
    let up = of(&furthest.voters, &State::is_up);
    let works = works(reports, furthest);
    let is_lost = |ids: &&[String]| ids.len() - gone_of(ids) < quorum(ids.len());
    let ended = furthest.electorates().find(is_lost).filter(|_| !works);
    // Where processes have data directories, those that have ended most likely have one too.
    let remembers = reports.iter().any(|report| report.durable);
    let lost = ended.filter(|_| !remembers);
    let may_fail = match works {
        true => up.saturating_sub(quorum(voters)),
        false => 0,
    };
    let mut problems = std::mem::take(&mut status.problems);
    for process in &status.processes {
        problems.extend(problem(process, furthest.timeout_ms, works));
    }
    if ended.is_some() {
        let survivor = furthest.known.iter().find(|known| known.id == furthest.id);
        let addr = survivor.map_or("ADDRESS", |known| &known.addr);
        let recover = format!("what is left can become a new cluster: doozer -a {addr} recover");
        problems.push(match remembers {
            true => format!(
                "members with a data directory come back with their memory: start them again; only \
                 if their disks are lost for good, {recover}"
            ),
            false => recover,
        });
    }
    if works && status.changing {
        problems.push("a change of the members is coming into force".to_owned());
    }
    if works {
        problems.extend(vacancy(status));
    }
    let standbys = status.standbys().filter(|one| one.state.is_up()).count();
    let standbys = match standbys {
        0 => "no standby".to_owned(),
        1 => "1 standby".to_owned(),
        n => format!("{n} standbys"),
    };
    let margin = match (may_fail, voters) {
        (0, 1) => "it must not fail".to_owned(),
        (0, _) => "none of them may fail".to_owned(),
        (n, _) => format!("{n} of them may fail"),
    };
    let count = match (up, voters) {
        (1, 1) => "1 member up".to_owned(),
        (up, all) if up == all => format!("{all} members up"),
        (up, all) => format!("{up} of {all} members up"),
    };
    (status.health, status.summary) = match (lost, works) {
        (Some(ids), _) => {
            let gone = gone_of(ids);
            let have = match gone {
                1 => "has ended, and its memory with it",
                _ => "have ended, and their memory with them",
            };
            let text = format!(
                "MAJORITY LOST FOR GOOD: {gone} of {} members {have}; this cluster will take no \
                 writes any more",
                ids.len()
            );
            (Health::Lost, text)
        }
        (None, false) => {
            let ids = furthest.missed().unwrap_or(&furthest.voters);
            let members = reports.iter().filter(|report| ids.contains(&report.id));
            let most = members
                .map(|report| report.heard_of(ids))
                .max()
                .unwrap_or(0);
            let text = format!(
                "NO MAJORITY: {} of {} members must hear each other, and no more than {most} do; \
                 no writes until others are back",
                quorum(ids.len()),
                ids.len()
            );
            (Health::NoMajority, text)
        }
        (None, true) => {
            let (health, word) = match problems.is_empty() {
                true => (Health::Healthy, "healthy"),
                false => (Health::Degraded, "degraded"),
            };
            (health, format!("{word}: {count}, {standbys}; {margin}"))
        }
    };
    status.problems = problems;
    status.may_fail = may_fail;
}

/// Whether writes are possible. Members know; where none of them answered, what a standby hears is
/// the next best.
fn works(reports: &[&Report], furthest: &Report) -> bool {
    let is_voter = |report: &&&Report| furthest.voters.contains(&report.id);
    let mut members = reports.iter().filter(is_voter).peekable();
    match members.peek() {
        Some(_) => members.any(|report| report.has_majority()),
        None => reports.iter().any(|report| report.has_majority()),
    }
}

fn problem(process: &Process, timeout_ms: u64, works: bool) -> Option<String> {
    let who = match &process.slot {
        Some(slot) => format!("slot {slot}, {}", name(process)),
        None => format!("standby {}", name(process)),
    };
    let note = process.note.as_deref().unwrap_or("it is not heard");
    let since = match process.heard_ms {
        Some(ms) => format!("last heard {} ago", span(ms)),
        None => "never heard".to_owned(),
    };
    // Eviction takes a majority.
    let fate = match works {
        true => format!("; put out after {}", span(timeout_ms)),
        false => String::new(),
    };
    match process.state {
        State::Gone => Some(format!("{who} has ended: {note}; {since}{fate}")),
        State::Silent => Some(format!("{who} is silent: {note}; {since}{fate}")),
        State::Unreached => Some(format!(
            "{who} cannot be reached from here: {note}; others hear it"
        )),
        State::CutOff => Some(format!("{who} is cut off: it {note}")),
        State::Leaving => Some(format!("{who} is leaving")),
        State::Up if process.lag > LAG_MAX => {
            Some(format!("{who} lags {} slots behind", process.lag))
        }
        State::Up => None,
    }
}

fn vacancy(status: &Status) -> Option<String> {
    let (slots, are) = match status.vacancies.as_slice() {
        [] => return None,
        [slot] => (format!("slot {slot}"), "is"),
        slots => (format!("slots {}", slots.join(", ")), "are"),
    };
    let up = status.standbys().filter(|one| one.state.is_up()).count();
    Some(match status.vacancies.len().saturating_sub(up) {
        0 => format!("{slots} {are} vacant, and about to be taken"),
        _ => format!("{slots} {are} vacant, and no standby is there: start doozerd with -a"),
    })
}

fn name(process: &Process) -> &str {
    match process.addr.as_str() {
        "" => &process.id,
        addr => addr,
    }
}

/// A span of time as people say it, in at most two units.
pub fn span(ms: u64) -> String {
    let span = Duration::from_millis(ms);
    let seconds = span.as_secs();
    let two = |big: u64, unit: &str, small: u64, rest: &str| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{rest}"),
    };
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "m"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}
