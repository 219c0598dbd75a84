//! Reads the recordings. What is not understood is an error: a rule that is skipped proves nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

use crate::wire::{Fields, REQUEST, RESPONSE, Schema, unhex};

const FORMAT: &str = "doozer-vectors/1";

/// How long an answer or a close may take if the recording does not say.
const PATIENCE: Duration = Duration::from_secs(5);

/// One conversation.
pub struct Case {
    pub name: String,
    pub profile: Profile,
    /// Whether the original fails here, so that there is no recording of the answers.
    pub is_ours: bool,
    pub steps: Vec<Step>,
}

/// How the server is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    #[default]
    Default,
    Hist,
    Secrets,
    Rwonly,
    Roonly,
    Slave,
}

/// What happens on one connection.
pub struct Step {
    pub connection: String,
    /// The process that a connection opened by this step goes to.
    pub target: String,
    pub action: Action,
}

pub enum Action {
    Open,
    SendRaw(Vec<u8>),
    /// Sends `fields` with `rules` applied; without rules these must be the `recorded` bytes.
    Send {
        recorded: Vec<u8>,
        fields: Fields,
        rules: Rules,
    },
    /// Each of these must arrive, in any order.
    Receive {
        wanted: Vec<Wanted>,
        within: Duration,
    },
    Silence(Duration),
    AwaitClose(Duration),
    Drain(Duration),
    ShutDown,
    Close,
    Pause(Duration),
    Assert(Term, Relation, Term),
}

/// An answer.
pub struct Wanted {
    pub recorded: Option<Vec<u8>>,
    pub fields: Fields,
    pub rules: Rules,
}

pub type Rules = BTreeMap<String, Rule>;

/// What a field whose value differs from run to run must be.
#[derive(Default)]
pub struct Rule {
    pub bind: Option<String>,
    pub expr: Option<Term>,
    pub template: Option<String>,
    pub relations: Vec<(Relation, Term)>,
    pub regex: Option<Regex>,
}

/// A number, or a variable with something added.
#[derive(Clone)]
pub enum Term {
    Number(i64),
    Variable(String, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// The cases of a file.
pub fn read(text: &str) -> Result<Vec<Case>, String> {
    let file: RawFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err(format!("the format is {}, not {FORMAT}", file.format));
    }
    file.cases.into_iter().map(RawCase::read).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    format: String,
    #[serde(rename = "captured_from")]
    _captured_from: Json,
    cases: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(default)]
    profile: Profile,
    /// Each case gets a fresh server anyway.
    #[serde(default, rename = "fresh")]
    _fresh: bool,
    original: Option<String>,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    conn: Option<String>,
    target: Option<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
    send: Option<String>,
    #[serde(default)]
    raw: bool,
    /// Null where there is no recording, which is not the same as absent.
    #[serde(default, deserialize_with = "present")]
    recv: Option<Option<String>>,
    recv_any_order: Option<Vec<RawStep>>,
    decoded: Option<Map<String, Json>>,
    #[serde(default)]
    vars: BTreeMap<String, RawRule>,
    within_ms: Option<u64>,
    expect_silence_ms: Option<u64>,
    expect_close: Option<bool>,
    drain_ms: Option<u64>,
    shutdown: Option<String>,
    close: Option<bool>,
    open: Option<bool>,
    sleep_ms: Option<u64>,
    assert: Option<(Json, String, Json)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    bind: Option<String>,
    expr: Option<Json>,
    template: Option<String>,
    eq: Option<Json>,
    gt: Option<Json>,
    ge: Option<Json>,
    le: Option<Json>,
    regex: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

impl RawCase {
    fn read(self) -> Result<Case, String> {
        let mut steps = Vec::new();
        for (number, step) in self.steps.into_iter().enumerate() {
            let step = step.read();
            steps.push(step.map_err(|error| format!("{} step {number}: {error}", self.name))?);
        }
        if steps.is_empty() {
            return Err(format!("{} has no steps", self.name));
        }
        Ok(Case {
            name: self.name,
            profile: self.profile,
            is_ours: self.original.is_some(),
            steps,
        })
    }
}

impl RawStep {
    fn read(mut self) -> Result<Step, String> {
        Ok(Step {
            connection: self.conn.take().unwrap_or("a".to_owned()),
            target: self.target.take().unwrap_or("main".to_owned()),
            action: self.action()?,
        })
    }

    fn action(mut self) -> Result<Action, String> {
        let mut actions = Vec::new();
        let within = self.within_ms.map_or(PATIENCE, Duration::from_millis);
        if let Some(recorded) = self.send.take() {
            let recorded = unhex(&recorded)?;
            actions.push(if self.raw {
                Action::SendRaw(recorded)
            } else {
                let (fields, rules) = self.message(&REQUEST)?;
                Action::Send {
                    recorded,
                    fields,
                    rules,
                }
            });
        }
        if self.recv.is_some() {
            let wanted = vec![self.wanted()?];
            actions.push(Action::Receive { wanted, within });
        }
        if let Some(wanted) = self.recv_any_order.take() {
            let wanted: Result<Vec<Wanted>, String> =
                wanted.into_iter().map(|mut raw| raw.wanted()).collect();
            let wanted = wanted?;
            actions.push(Action::Receive { wanted, within });
        }
        actions.extend(
            self.expect_silence_ms
                .map(|ms| Action::Silence(Duration::from_millis(ms))),
        );
        actions.extend(self.expect_close.map(|_| Action::AwaitClose(within)));
        actions.extend(
            self.drain_ms
                .map(|ms| Action::Drain(Duration::from_millis(ms))),
        );
        actions.extend(self.shutdown.map(|_| Action::ShutDown));
        actions.extend(self.close.map(|_| Action::Close));
        actions.extend(self.open.map(|_| Action::Open));
        actions.extend(
            self.sleep_ms
                .map(|ms| Action::Pause(Duration::from_millis(ms))),
        );
        if let Some((left, relation, right)) = self.assert {
            let relation = match relation.as_str() {
                "==" => Relation::Equal,
                "!=" => Relation::Unequal,
                "<" => Relation::Less,
                "<=" => Relation::AtMost,
                other => return Err(format!("the relation {other} is unknown")),
            };
            actions.push(Action::Assert(term(&left)?, relation, term(&right)?));
        }
        match actions.pop() {
            Some(action) if actions.is_empty() => Ok(action),
            _ => Err("not exactly one action".to_owned()),
        }
    }

    fn wanted(&mut self) -> Result<Wanted, String> {
        let recorded = self.recv.take().ok_or("an answer without recv")?;
        let (fields, rules) = self.message(&RESPONSE)?;
        Ok(Wanted {
            recorded: recorded.as_deref().map(unhex).transpose()?,
            fields,
            rules,
        })
    }

    fn message(&mut self, schema: &Schema) -> Result<(Fields, Rules), String> {
        let fields = schema.read(&self.decoded.take().ok_or("decoded is missing")?)?;
        let mut rules = Rules::new();
        for (name, raw) in std::mem::take(&mut self.vars) {
            if !fields.contains_key(name.as_str()) {
                return Err(format!("a rule for {name}, which is absent"));
            }
            rules.insert(name, raw.read()?);
        }
        Ok((fields, rules))
    }
}

impl RawRule {
    fn read(self) -> Result<Rule, String> {
        let mut relations = Vec::new();
        for (relation, json) in [
            (Relation::Equal, self.eq),
            (Relation::Greater, self.gt),
            (Relation::AtLeast, self.ge),
            (Relation::AtMost, self.le),
        ] {
            if let Some(json) = json {
                relations.push((relation, term(&json)?));
            }
        }
        let regex = self.regex.as_deref().map(Regex::new).transpose();
        Ok(Rule {
            bind: self.bind,
            expr: self.expr.as_ref().map(term).transpose()?,
            template: self.template,
            relations,
            regex: regex.map_err(|error| error.to_string())?,
        })
    }
}

fn term(json: &Json) -> Result<Term, String> {
    if let Some(number) = json.as_i64() {
        return Ok(Term::Number(number));
    }
    let text = json.as_str().ok_or("a term is a number or a text")?;
    let (name, added) = match text.find(['+', '-']) {
        Some(at) => (&text[..at], text[at..].parse().ok()),
        None => (text, Some(0)),
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match added {
        Some(added) if is_name => Ok(Term::Variable(name.to_owned(), added)),
        _ => Err(format!("{text} is not a term")),
    }
}
