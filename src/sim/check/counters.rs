//! Counters count every successful increment and nothing else; lists keep every successful append.

use super::Violation;
use crate::core::protocol::client::Verb;
use crate::sim::client::count_of;
use crate::sim::history::{Operation, Outcome};
use crate::sim::model::Model;

/// The property, as a sentence.
pub const PROPERTY: &str = "counters and lists lose nothing and count nothing twice";

/// Checks every version of every counter and list, and the sums at the end.
pub fn check(history: &[Operation], model: &Model, keys: u64) -> Result<(), Violation> {
    for key in 0..keys {
        check_counter(history, model, &format!("/count/{key}"))?;
        check_list(model, &format!("/list/{key}"))?;
    }
    Ok(())
}

fn check_counter(history: &[Operation], model: &Model, path: &str) -> Result<(), Violation> {
    let mut count = 0;
    for (rev, value) in model.versions(path.as_bytes()) {
        count += 1;
        if value.as_deref().map(count_of) != Some(count) {
            let detail = format!("{path} at rev {rev} should be {count}, is {value:?}");
            return Err(Violation::new(PROPERTY, detail));
        }
    }
    let (mut done, mut unknown) = (0, 0);
    let here = history.iter().filter(|operation| {
        operation.verb() == Some(Verb::Set) && operation.path() == path.as_bytes()
    });
    for operation in here {
        match operation.outcome() {
            Outcome::Done(_) => done += 1,
            Outcome::Unknown => unknown += 1,
            Outcome::Refused(_) | Outcome::TurnedAway => {}
        }
    }
    if (done..=done + unknown).contains(&count) {
        return Ok(());
    }
    let detail = format!("{path} is {count}; {done} increments were answered, {unknown} may be");
    Err(Violation::new(PROPERTY, detail))
}

fn check_list(model: &Model, path: &str) -> Result<(), Violation> {
    let mut before: &[u8] = b"";
    for (rev, value) in model.versions(path.as_bytes()) {
        let value = value.as_deref().unwrap_or_default();
        let names = |list: &[u8]| list.iter().filter(|b| **b == b',').count();
        let grown = value.starts_with(before) && names(value) == names(before) + 1;
        let last = before
            .strip_suffix(b",")
            .unwrap_or(before)
            .rsplit(|byte| *byte == b',')
            .next();
        let begun_again = names(value) == 2 && value.split(|byte| *byte == b',').next() == last;
        if !grown && !begun_again {
            let detail = format!("{path} at rev {rev} does not follow from what was there");
            return Err(Violation::new(PROPERTY, detail));
        }
        before = value;
    }
    Ok(())
}
