//! Writing a scenario to a file.

use std::fmt;

use serde::Serialize;
use toml::{Table, Value};

use super::{Expect, Params, Scenario};
use crate::sim::script::{SCRIPTS, names};
use crate::sim::units::show_span;

/// Keys that are written before the others of their table, in this order.
const FIRST: [&str; 12] = [
    "name", "does", "at", "fault", "host", "by", "from", "until", "client", "node", "do", "path",
];

impl fmt::Display for Scenario {
    /// The text of its file: what differs from a calm run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setup = &self.setup;
        let text = |text: &str| Value::String(text.to_owned());
        let name = |what: &dyn fmt::Display| Value::String(what.to_string());
        writeln!(f, "name = {}", text(&self.name))?;
        writeln!(f, "why = {}", text(&self.why))?;
        writeln!(f, "seed = {}", setup.seed)?;
        if let Some(mutant) = self.mutant {
            writeln!(f, "mutant = {}", name(&mutant))?;
        }
        if let Expect::Violates(property) = &self.expect {
            writeln!(f, "expect = {{ violates = {} }}", text(property))?;
        }
        if !self.catches.is_empty() {
            let catches = self.catches.iter().map(|mutant| name(mutant));
            writeln!(f, "catches = {}", Value::Array(catches.collect()))?;
        }
        if !self.probes.is_empty() {
            let probes = self.probes.iter().map(|probe| name(probe));
            writeln!(f, "probes = {}", Value::Array(probes.collect()))?;
        }
        if self.loses_majority {
            writeln!(f, "loses_majority = true")?;
        }
        writeln!(f, "members = {}", setup.params.members)?;
        if setup.params.standbys > 0 {
            writeln!(f, "standbys = {}", setup.params.standbys)?;
        }
        let storm = show_span(setup.params.storm.as_micros() as u64);
        writeln!(f, "length = {}", text(&storm))?;
        if !setup.orderly {
            writeln!(f, "orderly = false")?;
        }
        if let Some(core) = &setup.core {
            section(f, "[core]", as_table(core)?)?;
        }
        let mut params = as_table(&setup.params)?;
        subtract(&mut params, &as_table(&Params::default())?);
        section(f, "[params]", params)?;
        section(f, "[messages]", as_table(&setup.troubles)?)?;
        list(f, "[[client]]", &setup.clients)?;
        let scripts = names(&setup.steps);
        for event in &setup.events {
            section(f, "[[event]]", humane(called(as_table(event)?, &scripts)))?;
        }
        list(f, "[[step]]", &setup.steps)?;
        list(f, "[[check]]", &setup.checks)
    }
}

fn as_table<T: Serialize>(value: &T) -> Result<Table, fmt::Error> {
    Table::try_from(value).map_err(|_| fmt::Error)
}

/// Takes out what is the same in both.
fn subtract(table: &mut Table, usual: &Table) {
    table.retain(|key, value| match (value, usual.get(key)) {
        (Value::Table(part), Some(Value::Table(usual))) => {
            subtract(part, usual);
            !part.is_empty()
        }
        (value, Some(usual)) => value != usual,
        (_, None) => true,
    });
}

fn list<T: Serialize>(f: &mut fmt::Formatter<'_>, head: &str, all: &[T]) -> fmt::Result {
    for one in all {
        section(f, head, humane(as_table(one)?))?;
    }
    Ok(())
}

/// A fault in which clients that take steps are called by name.
fn called(mut event: Table, scripts: &[&str]) -> Table {
    let name = |value: &mut Value| {
        let number = value.as_integer().and_then(|n| usize::try_from(n).ok());
        let index = number.and_then(|number| number.checked_sub(SCRIPTS));
        if let Some(script) = index.and_then(|index| scripts.get(index)) {
            *value = Value::String((*script).to_owned());
        }
    };
    if let Some(client) = event.get_mut("client") {
        name(client);
    }
    if let Some(Value::Array(clients)) = event.get_mut("clients") {
        clients.iter_mut().for_each(name);
    }
    event
}

/// Spans of microseconds as text: `at_us = 2000` as `at = "2 ms"`.
fn humane(table: Table) -> Table {
    let fields =
        table.into_iter().map(
            |(key, value)| match (key.strip_suffix("_us"), value.as_integer()) {
                (Some(short), Some(us)) if us >= 0 => {
                    (short.to_owned(), Value::String(show_span(us as u64)))
                }
                _ => (key, value),
            },
        );
    fields.collect()
}

/// Writes a table: plain values first, then one section for each table in it.
fn section(f: &mut fmt::Formatter<'_>, head: &str, table: Table) -> fmt::Result {
    let is_section = |value: &Value| value.is_table() && !head.starts_with("[[");
    let mut plain: Vec<_> = table.iter().filter(|(_, v)| !is_section(v)).collect();
    let rank = |key: &str| FIRST.iter().position(|first| *first == key);
    plain.sort_by_key(|(key, _)| rank(key).unwrap_or(FIRST.len()));
    if !plain.is_empty() {
        writeln!(f, "\n{head}")?;
    }
    for (key, value) in plain {
        match value {
            Value::Array(items) if items.len() > 4 && items[0].is_str() => {
                writeln!(f, "{key} = [")?;
                for item in items {
                    writeln!(f, "    {item},")?;
                }
                writeln!(f, "]")?;
            }
            _ => writeln!(f, "{key} = {value}")?,
        }
    }
    for (key, value) in table.iter().filter(|(_, v)| is_section(v)) {
        if let Value::Table(part) = value {
            let name = head.trim_matches(['[', ']']);
            section(f, &format!("[{name}.{key}]"), part.clone())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::run::run;
    use crate::sim::scenario::Setup;
    use crate::sim::standin::{Bug, Shared, Standin};

    #[test]
    fn what_is_written_is_read_back_as_the_same() {
        for seed in 0..20 {
            let mut setup = Setup::from_seed(seed);
            let report = run::<Standin>(&setup, Shared::new(Bug::None), None);
            setup.events = report.course.inflicted;
            setup.troubles = report.course.troubles;
            setup.core = report.course.core;
            let scenario = Scenario {
                name: "all that a seed draws".to_owned(),
                why: "so that \"nothing\" gets lost".to_owned(),
                mutant: None,
                expect: Expect::Violates("some rule".to_owned()),
                catches: Vec::new(),
                probes: Vec::new(),
                loses_majority: false,
                setup,
            };
            let text = scenario.to_string();
            let read = Scenario::read("x.toml", &text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.to_string(), text);
            assert!(read == scenario, "something is not written: {text}");
        }
    }
}
