//! Reading a scenario from its file.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Spanned, Table, Value};

use super::{
    AFTERMATH, Check, Client, Core, Event, Expect, Mutant, Params, Probe, Scenario, Setup, Step,
    Troubles, last_mention,
};
use crate::core::membership::MEMBERS_MAX;
use crate::sim::script::{Outcome, SCRIPTS, names};
use crate::sim::units::{parse_span, span};

/// Seed of a scenario that does not tell one.
const SEED: u64 = 1;

/// What is wrong with a file, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ReadError {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with a remedy.
    pub text: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadError { file, line, text } = self;
        write!(f, "{file}:{line}: {text}")
    }
}

/// A scenario as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    why: String,
    #[serde(default = "seed")]
    seed: u64,
    mutant: Option<Spanned<String>>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    catches: Vec<Spanned<String>>,
    #[serde(default)]
    probes: Vec<Spanned<String>>,
    #[serde(default)]
    loses_majority: bool,
    members: Option<Spanned<usize>>,
    #[serde(default)]
    standbys: usize,
    length: Option<Spanned<Span>>,
    #[serde(default = "yes")]
    orderly: bool,
    core: Option<Core>,
    #[serde(default)]
    params: Params,
    #[serde(default)]
    messages: Troubles,
    #[serde(default)]
    client: Vec<Spanned<Table>>,
    #[serde(default)]
    event: Vec<Spanned<Table>>,
    #[serde(default)]
    step: Vec<Spanned<Step>>,
    #[serde(default)]
    check: Vec<Spanned<Check>>,
}

#[derive(Deserialize)]
struct Span(#[serde(with = "span")] Duration);

fn seed() -> u64 {
    SEED
}

fn yes() -> bool {
    true
}

/// Something wrong in some part of the text.
struct Wrong(Range<usize>, String);

impl Scenario {
    /// Reads a scenario. `file` is how errors call it.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, with the line.
    pub fn read(file: &str, text: &str) -> Result<Scenario, ReadError> {
        let raw = toml::from_str(text).map_err(|error| {
            let all = error.span().unwrap_or_default();
            let help = "docs/scenarios.md tells every key";
            Wrong(all, format!("{}; {help}", error.message().trim()))
        });
        raw.and_then(Raw::finish).map_err(|Wrong(place, text_of)| {
            let before = text.get(..place.start).unwrap_or_default();
            ReadError {
                file: file.to_owned(),
                line: before.matches('\n').count() + 1,
                text: text_of,
            }
        })
    }
}

impl Raw {
    fn finish(self) -> Result<Scenario, Wrong> {
        let mutant = self.mutant.map(|name| find("bug", Mutant::ALL, &name));
        let catches = self
            .catches
            .iter()
            .map(|name| find("bug", Mutant::ALL, name));
        let probes = self
            .probes
            .iter()
            .map(|name| find("probe", Probe::ALL, name));
        let (mutant, catches) = (mutant.transpose()?, catches.collect::<Result<_, _>>()?);
        let probes = probes.collect::<Result<_, _>>()?;
        let clients = clients(self.client)?;
        let steps = valid(self.step, Step::fault)?;
        let scripts = names(steps.iter().map(Spanned::get_ref));
        let events = self.event.into_iter().map(|event| {
            let place = event.span();
            let event = called(event, &scripts).map_err(|text| Wrong(place, text))?;
            table::<Event>(event)
        });
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let checks = valid(self.check, Check::fault)?;
        unique_values(&steps)?;
        known_labels(&steps)?;
        let steps: Vec<Step> = steps.into_iter().map(Spanned::into_inner).collect();
        let checks: Vec<Check> = checks.into_iter().map(Spanned::into_inner).collect();
        let last = last_mention(&events, &steps, &checks);
        let mut params = self.params;
        if let Some(members) = self.members {
            if !(1..=MEMBERS_MAX).contains(members.get_ref()) {
                let text = format!("a cluster has 1 to {MEMBERS_MAX} members");
                return Err(Wrong(members.span(), text));
            }
            params.members = members.into_inner();
        }
        params.standbys = self.standbys;
        params.storm = match self.length {
            None => params.storm.max(last + AFTERMATH),
            Some(length) if length.get_ref().0 < last => {
                let text = format!(
                    "something is to happen at {} ms: make length longer, or remove it",
                    last.as_millis()
                );
                return Err(Wrong(length.span(), text));
            }
            Some(length) => length.into_inner().0,
        };
        Ok(Scenario {
            name: self.name,
            why: self.why,
            mutant,
            expect: self.expect,
            catches,
            probes,
            loses_majority: self.loses_majority,
            setup: Setup {
                seed: self.seed,
                params,
                orderly: self.orderly,
                clients,
                events,
                troubles: self.messages,
                steps,
                checks,
                core: self.core,
            },
        })
    }
}

/// The one of these that has a name.
fn find<T: Copy + fmt::Display>(what: &str, all: &[T], name: &Spanned<String>) -> Result<T, Wrong> {
    let wanted = name.get_ref();
    let found = all.iter().find(|one| one.to_string() == *wanted);
    found.copied().ok_or_else(|| {
        let near = all.iter().map(T::to_string);
        let near: Vec<String> = near.filter(|name| is_like(name, wanted)).collect();
        let hint = match near.is_empty() {
            true => "src/core/instrument lists all".to_owned(),
            false => format!("is it {}?", near.join(", or ")),
        };
        Wrong(
            name.span(),
            format!("there is no {what} `{wanted}`: {hint}"),
        )
    })
}

/// Whether two names begin alike.
fn is_like(one: &str, other: &str) -> bool {
    let alike = one.chars().zip(other.chars());
    alike.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count() >= 5
}

/// A value from a table in which spans are text: `at = "2 ms"` stands for `at_us = 2000`.
fn table<T: DeserializeOwned>(raw: Spanned<Table>) -> Result<T, Wrong> {
    let place = raw.span();
    let mut table = Table::new();
    for (key, value) in raw.into_inner() {
        match &value {
            Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                let us = parse_span(text).map_err(|text| Wrong(place.clone(), text))?;
                let us = i64::try_from(us).unwrap_or(i64::MAX);
                table.insert(format!("{key}_us"), Value::Integer(us));
            }
            _ => {
                table.insert(key, value);
            }
        }
    }
    table.try_into().map_err(|error: toml::de::Error| {
        let text = error.message().trim().replace("_us`", "`");
        Wrong(place, format!("{text}; docs/scenarios.md tells every key"))
    })
}

/// A fault in which clients that take steps are called by name: others know them by number.
fn called(mut event: Spanned<Table>, scripts: &[&str]) -> Result<Spanned<Table>, String> {
    let number = |value: &mut Value| {
        let Value::String(name) = value else {
            return Ok(());
        };
        let Some(index) = scripts.iter().position(|script| script == name) else {
            return Err(format!(
                "no client `{name}` takes any steps: say one of {}, or the number of a [[client]]",
                scripts.join(", ")
            ));
        };
        *value = Value::Integer(i64::try_from(SCRIPTS + index).unwrap_or(i64::MAX));
        Ok(())
    };
    let fields = event.get_mut();
    if let Some(client) = fields.get_mut("client") {
        number(client)?;
    }
    if let Some(Value::Array(clients)) = fields.get_mut("clients") {
        clients.iter_mut().try_for_each(number)?;
    }
    Ok(event)
}

/// The clients; those without a name are called by their place.
fn clients(raw: Vec<Spanned<Table>>) -> Result<Vec<Client>, Wrong> {
    let mut clients: Vec<Client> = Vec::new();
    for mut one in raw {
        let place = one.span();
        let fields = one.get_mut();
        if !fields.contains_key("name") {
            let number = i64::try_from(clients.len() + 1).unwrap_or(i64::MAX);
            fields.insert("name".to_owned(), Value::Integer(number));
        }
        let client: Client = table(one)?;
        if client.name == 0 || clients.iter().any(|other| other.name == client.name) {
            let text = format!("the name {} is taken: choose another number", client.name);
            return Err(Wrong(place, text));
        }
        clients.push(client);
    }
    Ok(clients)
}

fn valid<T>(
    list: Vec<Spanned<T>>,
    fault: impl Fn(&T) -> Option<String>,
) -> Result<Vec<Spanned<T>>, Wrong> {
    for one in &list {
        if let Some(text) = fault(one.get_ref()) {
            return Err(Wrong(one.span(), text));
        }
    }
    Ok(list)
}

/// What steps need, others remember.
fn known_labels(steps: &[Spanned<Step>]) -> Result<(), Wrong> {
    let labels = steps
        .iter()
        .filter_map(|raw| raw.get_ref().label.as_deref());
    let labels: std::collections::BTreeSet<&str> = labels.collect();
    for raw in steps {
        if let Some(unknown) = raw.get_ref().needs().find(|need| !labels.contains(need)) {
            let text = format!(
                "no step remembers the revision `{unknown}`: add as = \"{unknown}\" to one, or \
                 write a number, \"missing\", \"any\" or \"dir\""
            );
            return Err(Wrong(raw.span(), text));
        }
    }
    Ok(())
}

/// The checkers know writes by what they write.
fn unique_values(steps: &[Spanned<Step>]) -> Result<(), Wrong> {
    let mut seen = std::collections::BTreeSet::new();
    for raw in steps {
        let step = raw.get_ref();
        let (Some(path), Some(_)) = (&step.path, &step.value) else {
            continue;
        };
        let is_refused = matches!(step.expect, Outcome::Error(_));
        for one in step.repeated() {
            if !is_refused && !seen.insert((one.path, one.value)) {
                let text = format!(
                    "the same value is written to {path} twice, and checkers know a write by its \
                     value: write another one, with {{n}} in it if the step is done many times"
                );
                return Err(Wrong(raw.span(), text));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"a\"\nwhy = \"b\"\n";

    fn error(text: &str) -> String {
        let text = format!("{HEAD}{text}");
        let error = Scenario::read("x.toml", &text).expect_err("it is wrong");
        error.to_string()
    }

    #[test]
    fn errors_name_the_line_and_a_remedy() {
        for (text, wanted) in [
            ("membres = 3", "x.toml:3: unknown field `membres`"),
            ("members = 77", "x.toml:3: a cluster has 1 to 15 members"),
            (
                "[params.net]\nlos = \"3 %\"",
                "x.toml:4: unknown field `los`",
            ),
            ("[params.net]\nloss = \"3\"", "x.toml:4: `3` is not a rate"),
            ("[params]\ntimeout = \"1\"", "x.toml:4: `1` has no unit"),
            (
                "[[event]]\nat = \"1 ms\"\nfault = \"crush\"\nhost = 1",
                "x.toml:3: unknown variant `crush`",
            ),
            (
                "[[event]]\nat = \"1 ms\"\nfault = \"pause\"\nhost = 1",
                "x.toml:3: missing field `span`",
            ),
            (
                "[[event]]\nat = \"1 ms\"\nfault = \"pause\"\nhost = 1\nspan = \"1 s\"\nspin = 1",
                "x.toml:3: unknown field `spin`",
            ),
            (
                "[[event]]\nat = \"1\"\nfault = \"mend\"",
                "x.toml:3: `1` has no unit",
            ),
            (
                "\n[[step]]\ndo = \"set\"\npath = \"/x\"\nvalue = \"1\"",
                "x.toml:4: it needs a revision",
            ),
            (
                "[[step]]\ndo = \"get\"\npath = \"/x\"\nexpect = \"REV_MISSMATCH\"",
                "x.toml:6: nothing ends with `REV_MISSMATCH`",
            ),
            ("[[check]]\nat = \"1 s\"", "x.toml:3: it says nothing"),
            ("mutant = \"QuorumOfHall\"", "is it QuorumOfHalf"),
            ("catches = [\"QuorumOfHall\"]", "is it QuorumOfHalf"),
            (
                "[[event]]\nat = \"1 ms\"\nfault = \"hangup\"\nclient = \"b\"",
                "x.toml:3: no client `b` takes any steps",
            ),
            ("[messages]\nlost = [\"0-1 #3\"]", "names no message"),
            (
                "length = \"1 s\"\n[[event]]\nat = \"2 s\"\nfault = \"mend\"",
                "x.toml:3: something is to happen at 2000 ms",
            ),
            (
                "[[step]]\ndo = \"set\"\npath = \"/x\"\nvalue = \"1\"\nrev = \"any\"\ntimes = 2",
                "x.toml:3: the same value is written to /x twice",
            ),
            (
                "[[step]]\ndo = \"wait\"\npath = \"/x\"\nrev = \"frist+1\"",
                "x.toml:3: no step remembers the revision `frist`",
            ),
            (
                "[[client]]\ndoes = \"mixd\"",
                "x.toml:3: unknown variant `mixd`",
            ),
            (
                "[params.faults]\ncrush = 1",
                "no kind of fault is called `crush`",
            ),
        ] {
            let told = error(text);
            assert!(told.contains(wanted), "{text}\n{told}");
        }
    }
}
