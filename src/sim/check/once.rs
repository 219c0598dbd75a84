//! A write that was answered is in the log exactly once; one that was refused or turned away is
//! not in it as a success; one of unknown outcome is in it at most once.
//!
//! Clients never write a value twice, so a value in the sequence names the write.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Violation;
use crate::core::limits::Limits;
use crate::core::protocol::client::{FLAG_DEL, FLAG_SET, Verb};
use crate::sim::history::{Operation, Outcome};
use crate::sim::model::Model;

/// The property, as a sentence.
pub const PROPERTY: &str = "a write takes effect exactly once if answered, never if refused";

/// Checks all writes outside of `/ctl`.
pub fn check(history: &[Operation], model: &Model, limits: Limits) -> Result<(), Violation> {
    let mut written: BTreeMap<(&[u8], &[u8]), u32> = BTreeMap::new();
    let mut deletes: BTreeMap<&[u8], Count> = BTreeMap::new();
    let (mut nops, mut refusals) = (Count::default(), Count::default());
    for rev in 1..=model.rev() {
        let event = model.event(rev).expect("the sequence has no gap");
        match event.flags {
            FLAG_SET if event.path == b"/ctl/err"[..] => refusals.found += 1,
            FLAG_SET => *written.entry((&event.path, &event.value)).or_default() += 1,
            FLAG_DEL => deletes.entry(&event.path).or_default().found += 1,
            _ => nops.found += 1,
        }
    }
    let nothing = Bytes::new();
    for operation in history.iter().filter(|operation| operation.is_write()) {
        let path = operation.request.path.as_ref().unwrap_or(&nothing);
        let value = operation.request.value.as_ref().unwrap_or(&nothing);
        let outcome = operation.outcome();
        if exceeds(path, value, limits) && matches!(outcome, Outcome::Done(_) | Outcome::Refused(_))
        {
            let detail = format!("it exceeds the limits, and is answered with {outcome:?}");
            return Err(Violation::new(PROPERTY, format!("{detail}: {operation:?}")));
        }
        if let Outcome::Refused(_) = outcome {
            refusals.done += 1;
        }
        match operation.verb() {
            Some(Verb::Del) => deletes.entry(path).or_default().count(outcome),
            Some(Verb::Nop) => nops.count(outcome),
            _ if path.starts_with(b"/ctl/") || path.starts_with(b"/final/") => {}
            _ => {
                let times = written.get(&(&path[..], &value[..])).copied().unwrap_or(0);
                let fine = match outcome {
                    Outcome::Done(_) => times == 1,
                    Outcome::Unknown if exceeds(path, value, limits) => times == 0,
                    Outcome::Unknown => times <= 1,
                    Outcome::Refused(_) | Outcome::TurnedAway => times == 0,
                };
                if !fine {
                    let detail = format!("{outcome:?}, found {times} times: {operation:?}");
                    return Err(Violation::new(PROPERTY, detail));
                }
            }
        }
    }
    for (path, count) in deletes {
        if !path.starts_with(b"/ctl/") && !count.is_exact() {
            let path = String::from_utf8_lossy(path);
            return Err(Violation::new(PROPERTY, format!("DEL {path}: {count:?}")));
        }
    }
    if nops.found < nops.done {
        return Err(Violation::new(PROPERTY, format!("NOP: {nops:?}")));
    }
    if refusals.found < refusals.done {
        return Err(Violation::new(
            PROPERTY,
            format!("refused writes: {refusals:?}"),
        ));
    }
    Ok(())
}

/// Whether a node may not take such a write.
fn exceeds(path: &[u8], value: &[u8], limits: Limits) -> bool {
    path.len() > limits.path_bytes_max || value.len() > limits.value_bytes_max
}

/// Writes that cannot be told apart.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Found in the sequence.
    found: u32,
    /// Answered.
    done: u32,
    /// Of unknown outcome.
    unknown: u32,
}

impl Count {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done(_) => self.done += 1,
            Outcome::Unknown => self.unknown += 1,
            Outcome::Refused(_) | Outcome::TurnedAway => {}
        }
    }

    fn is_exact(&self) -> bool {
        (self.done..=self.done + self.unknown).contains(&self.found)
    }
}
