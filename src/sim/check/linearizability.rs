//! Every operation takes effect at one point between its call and its answer, in the order of
//! revisions.
//!
//! Revisions give the order, so nothing is searched for: writes must lie at their revision, each
//! read is given the earliest revision that its answer is true at and that is not below anything
//! that was known to anybody before it began. What was known counts answers of writes and of
//! reads, local ones and WAITs included, since what one client has seen is decided. No operation
//! may depend on a write that began after it was answered.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Violation;
use crate::core::protocol::client::{ErrorCode, FLAG_SET, Request, Response, Verb};
use crate::sim::history::{Operation, Outcome};
use crate::sim::model::Model;

/// The property, as a sentence.
pub const PROPERTY: &str = "every operation takes effect between its call and its answer";

/// What the paths of files begin with that servers write.
const SERVERS: &str = "/ctl/";

/// Checks all operations against the sequence of events.
pub fn check(history: &[Operation], model: &Model) -> Result<(), Violation> {
    let births = births(history, model);
    let mut steps: Vec<(u64, usize, bool)> = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        steps.push((operation.invoked, index, true));
        if let Some((answered, _)) = &operation.answer {
            steps.push((*answered, index, false));
        }
    }
    steps.sort_unstable();
    let mut known = 0;
    let mut floors = vec![0; history.len()];
    for (_, index, is_call) in steps {
        let operation = &history[index];
        if is_call {
            floors[index] = known;
            continue;
        }
        let Some((answered, response)) = &operation.answer else {
            continue;
        };
        let last = births.partition_point(|birth| birth < answered) as i64;
        let point = place(operation, response, floors[index], last, model)
            .map_err(|what| blame(operation, floors[index], last, &what))?;
        known = known.max(point.unwrap_or(0));
    }
    Ok(())
}

/// The revision at which an operation takes effect, if it shows one, at least `floor` and at most
/// `last`.
fn place(
    operation: &Operation,
    response: &Response,
    floor: i64,
    last: i64,
    model: &Model,
) -> Result<Option<i64>, String> {
    let request = &operation.request;
    let Some(verb) = operation.verb() else {
        return Ok(None);
    };
    match verb {
        Verb::Set | Verb::Del | Verb::Nop => place_write(operation, floor, last, model),
        Verb::Wait | Verb::Rev => Ok(response.rev.filter(|rev| *rev <= model.rev())),
        Verb::Get | Verb::Stat | Verb::Getdir | Verb::Walk => {
            if response.error() == Some(ErrorCode::Other) {
                return Ok(None);
            }
            if let Some(rev) = request.rev {
                // Whether it is so is judged elsewhere ([`super::edge`]).
                if response.error() == Some(ErrorCode::TooLate) {
                    return Ok(None);
                }
                return read_at(request, response, rev, last, model).map(Some);
            }
            let is_local = request.local == Some(true);
            // A local read may be as stale as it likes, but must be true at some time.
            let stale = response.rev.unwrap_or(0).max(0);
            let from = if is_local { stale } else { floor };
            let point = (from..=last).find(|rev| says(model, request, response, *rev));
            match point {
                Some(_) if is_local => Ok(Some(stale)),
                Some(rev) => Ok(Some(rev)),
                None => Err(format!("{response:?} is true at none of these")),
            }
        }
        Verb::Files | Verb::Restore => Ok(None),
        Verb::Self_ | Verb::Status | Verb::Recover | Verb::Access => Ok(None),
    }
}

fn read_at(
    request: &Request,
    response: &Response,
    rev: i64,
    last: i64,
    model: &Model,
) -> Result<i64, String> {
    let rev = rev.max(1);
    if rev > last {
        return Err(format!("rev {rev} was answered before it existed"));
    }
    if says(model, request, response, rev) {
        return Ok(rev);
    }
    Err(format!(
        "{response:?}, should be {:?}",
        model.answer(request, rev)
    ))
}

fn says(model: &Model, request: &Request, response: &Response, rev: i64) -> bool {
    model.answer(request, rev) == *response
}

fn place_write(
    operation: &Operation,
    floor: i64,
    last: i64,
    model: &Model,
) -> Result<Option<i64>, String> {
    let request = &operation.request;
    let fits = |rev: i64, error: Option<ErrorCode>| {
        let (event, refusal) = model.decide(request, rev - 1);
        refusal == error && model.event(rev) == Some(&event)
    };
    match operation.outcome() {
        Outcome::Done(Some(rev)) if rev <= floor => {
            Err(format!("rev {rev} was known before the write began"))
        }
        Outcome::Done(Some(rev)) if rev > last => Err(format!(
            "rev {rev} follows writes that began later than its answer"
        )),
        Outcome::Done(Some(rev)) if !fits(rev, None) => Err(format!(
            "rev {rev} is {:?}, should be {:?}",
            model.event(rev),
            model.decide(request, rev - 1)
        )),
        Outcome::Done(Some(rev)) => Ok(Some(rev)),
        Outcome::Done(None) => match (floor + 1..=last).find(|rev| fits(*rev, None)) {
            Some(rev) => Ok(Some(rev)),
            None => Err("no event fits the write".to_owned()),
        },
        Outcome::Refused(code) => match (floor + 1..=last).find(|rev| fits(*rev, Some(code))) {
            Some(rev) => Ok(Some(rev)),
            None => Err(format!("no event fits its refusal with {code}")),
        },
        Outcome::TurnedAway | Outcome::Unknown => Ok(None),
    }
}

/// For each revision, the moment before which it cannot have existed: the latest call of a write
/// that is known to be at or below it.
pub(super) fn births(history: &[Operation], model: &Model) -> Vec<u64> {
    let mut calls: BTreeMap<(Bytes, Bytes), u64> = BTreeMap::new();
    for operation in history {
        if operation.verb() == Some(Verb::Set) {
            let value = operation.request.value.clone().unwrap_or_default();
            let call = calls.entry((operation.path(), value)).or_insert(u64::MAX);
            *call = (*call).min(operation.invoked);
        }
    }
    let mut latest = 0;
    (1..=model.rev())
        .map(|rev| {
            let event = model.event(rev).expect("the sequence has no gap").clone();
            // Servers write membership slots as well, where no content tells whose it is.
            let is_told = event.flags == FLAG_SET && !event.path.starts_with(SERVERS.as_bytes());
            if let Some(call) = calls.get(&(event.path, event.value)).filter(|_| is_told) {
                latest = latest.max(*call);
            }
            latest
        })
        .collect()
}

fn blame(operation: &Operation, floor: i64, last: i64, what: &str) -> Violation {
    let detail = format!(
        "client {} at {} us, between rev {floor} and rev {last}: {:?}: {what}",
        operation.client, operation.began.0, operation.request
    );
    Violation::new(PROPERTY, detail)
}
