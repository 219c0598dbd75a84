//! Plays one conversation and compares what comes back, down to the bytes.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::script::{Action, Case, Relation, Rule, Rules, Step, Term, Wanted};
use crate::wire::{Fields, REQUEST, RESPONSE, Value, frame, hex, show, show_value};

/// A frame of more bytes than this is taken for garbage instead of waited for.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Where connections come from and how time passes: real servers, or a recording of them.
pub trait World {
    fn open(&mut self, connection: &str, target: &str) -> Result<Box<dyn Link>, String>;
    fn pause(&mut self, span: Duration);
}

/// One connection.
pub trait Link {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// What comes next, or [`Arrival::Nothing`] once the deadline has passed.
    fn receive(&mut self, deadline: Instant) -> io::Result<Arrival>;
    fn shut_down(&mut self) -> io::Result<()>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    Bytes(Vec<u8>),
    Closed,
    Nothing,
}

/// Plays all steps. The error begins with the number of the step that failed.
pub fn play(case: &Case, world: &mut impl World) -> Result<(), String> {
    let mut player = Player {
        world,
        connections: BTreeMap::new(),
        variables: BTreeMap::new(),
    };
    for (number, step) in case.steps.iter().enumerate() {
        let result = player.step(step);
        result.map_err(|failure| format!("step {number}: {failure}"))?;
    }
    Ok(())
}

struct Player<'w, W> {
    world: &'w mut W,
    connections: BTreeMap<String, Connection>,
    variables: BTreeMap<String, Value>,
}

impl<W: World> Player<'_, W> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::Open => self.connection(step).map(drop),
            Action::SendRaw(bytes) => self.connection(step)?.send(bytes),
            Action::Send {
                recorded,
                fields,
                rules,
            } => {
                let bytes = frame(&REQUEST.encode(&self.resolve(fields, rules)?));
                if rules.is_empty() && bytes != *recorded {
                    return Err(format!(
                        "the recording is not what it says: {}",
                        hex(&bytes)
                    ));
                }
                self.connection(step)?.send(&bytes)
            }
            Action::Receive { wanted, within } => self.receive(step, wanted, *within),
            Action::Silence(span) => match self.connection(step)?.frame(*span)? {
                Frame::Late => Ok(()),
                Frame::Closed => Err("closed, but silence was wanted".to_owned()),
                Frame::Message(bytes) => Err(format!("unexpected answer {}", hex(&bytes))),
            },
            Action::AwaitClose(within) => self.connection(step)?.await_close(*within),
            Action::Drain(span) => self.connection(step)?.drain(*span),
            Action::ShutDown => {
                let connection = self.connection(step)?;
                connection
                    .link
                    .shut_down()
                    .map_err(|error| format!("shutdown: {error}"))
            }
            Action::Close => {
                let closed = self.connections.remove(&step.connection);
                closed.map(drop).ok_or("no such connection".to_owned())
            }
            Action::Pause(span) => {
                self.world.pause(*span);
                Ok(())
            }
            Action::Assert(left, relation, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                check(&left, *relation, &right)
            }
        }
    }

    fn connection(&mut self, step: &Step) -> Result<&mut Connection, String> {
        if !self.connections.contains_key(&step.connection) {
            let connection = Connection {
                link: self.world.open(&step.connection, &step.target)?,
                buffer: Vec::new(),
                is_closed: false,
            };
            self.connections.insert(step.connection.clone(), connection);
        }
        let connection = self.connections.get_mut(&step.connection);
        connection.ok_or("no such connection".to_owned())
    }

    /// Takes as many answers as are wanted, each of which must fit one that is still missing.
    fn receive(&mut self, step: &Step, wanted: &[Wanted], within: Duration) -> Result<(), String> {
        let mut missing: Vec<&Wanted> = wanted.iter().collect();
        while !missing.is_empty() {
            let message = match self.connection(step)?.frame(within)? {
                Frame::Message(message) => message,
                Frame::Closed => return Err("closed, but an answer was wanted".to_owned()),
                Frame::Late => return Err(format!("no answer within {within:?}")),
            };
            let got = RESPONSE
                .decode(&message)
                .map_err(|error| format!("undecodable answer {}: {error}", hex(&message)))?;
            if !RESPONSE.is_canonical(&got, &message) {
                return Err(format!("not the canonical bytes: {}", hex(&message)));
            }
            let mut misfits = Vec::new();
            let fit = missing
                .iter()
                .position(|wanted| match self.compare(wanted, &got) {
                    Ok(()) => true,
                    Err(misfit) => {
                        misfits.push(misfit);
                        false
                    }
                });
            let fit = fit.ok_or(format!("answer {}: {}", show(&got), misfits.join("; ")))?;
            self.bind(&missing.remove(fit).rules, &got);
        }
        Ok(())
    }

    fn compare(&self, wanted: &Wanted, got: &Fields) -> Result<(), String> {
        if !wanted.fields.keys().eq(got.keys()) {
            return Err(format!("wanted the fields {}", show(&wanted.fields)));
        }
        for (name, value) in got {
            let fits = match wanted.rules.get(*name) {
                None => check(value, Relation::Equal, &wanted.fields[name]),
                Some(rule) => self.obeys(value, rule),
            };
            fits.map_err(|misfit| format!("{name}: {misfit}"))?;
        }
        Ok(())
    }

    fn obeys(&self, value: &Value, rule: &Rule) -> Result<(), String> {
        for (relation, term) in &rule.relations {
            check(value, *relation, &self.value(term)?)?;
        }
        if let Some(template) = &rule.template {
            check(value, Relation::Equal, &Value::Bytes(self.fill(template)?))?;
        }
        if let Some(regex) = &rule.regex {
            let text = match value {
                Value::Number(number) => number.to_string(),
                Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            };
            if !regex.is_match(&text) {
                return Err(format!("wanted a match of {regex}, got {text:?}"));
            }
        }
        Ok(())
    }

    fn bind(&mut self, rules: &Rules, got: &Fields) {
        for (name, rule) in rules {
            if let (Some(variable), Some(value)) = (&rule.bind, got.get(name.as_str())) {
                self.variables.insert(variable.clone(), value.clone());
            }
        }
    }

    fn resolve(&self, fields: &Fields, rules: &Rules) -> Result<Fields, String> {
        let mut resolved = fields.clone();
        for (name, value) in &mut resolved {
            *value = match rules.get(*name) {
                None => continue,
                Some(Rule {
                    expr: Some(term), ..
                }) => self.value(term)?,
                Some(Rule {
                    template: Some(template),
                    ..
                }) => Value::Bytes(self.fill(template)?),
                Some(_) => return Err(format!("no way to compute {name}")),
            };
        }
        Ok(resolved)
    }

    fn variable(&self, name: &str) -> Result<&Value, String> {
        let value = self.variables.get(name);
        value.ok_or(format!("the variable {name} has no value"))
    }

    fn value(&self, term: &Term) -> Result<Value, String> {
        match term {
            Term::Number(number) => Ok(Value::Number(*number)),
            Term::Variable(name, added) => match (self.variable(name)?, added) {
                (value, 0) => Ok(value.clone()),
                (Value::Number(number), added) => Ok(Value::Number(number + added)),
                (Value::Bytes(_), _) => Err(format!("{name} is not a number")),
            },
        }
    }

    /// The template with each `${name}` replaced by the value of that variable.
    fn fill(&self, template: &str) -> Result<Vec<u8>, String> {
        let mut pieces = template.split("${");
        let mut filled = pieces.next().unwrap_or_default().as_bytes().to_vec();
        for piece in pieces {
            let (name, text) = piece.split_once('}').ok_or("an open ${ in a template")?;
            match self.variable(name)? {
                Value::Number(number) => filled.extend(number.to_string().bytes()),
                Value::Bytes(bytes) => filled.extend(bytes),
            }
            filled.extend(text.bytes());
        }
        Ok(filled)
    }
}

/// Whether `got` stands in this relation to `wanted`. Only numbers have an order.
fn check(got: &Value, relation: Relation, wanted: &Value) -> Result<(), String> {
    let holds = match (relation, got, wanted) {
        (Relation::Equal, got, wanted) => got == wanted,
        (Relation::Unequal, got, wanted) => got != wanted,
        (_, Value::Number(got), Value::Number(wanted)) => match relation {
            Relation::Less => got < wanted,
            Relation::AtMost => got <= wanted,
            Relation::Greater => got > wanted,
            Relation::AtLeast => got >= wanted,
            Relation::Equal | Relation::Unequal => false,
        },
        _ => false,
    };
    if holds {
        return Ok(());
    }
    Err(format!(
        "wanted {relation:?} {}, got {}",
        show_value(wanted),
        show_value(got)
    ))
}

/// A link and what has arrived on it.
pub struct Connection {
    pub link: Box<dyn Link>,
    pub buffer: Vec<u8>,
    pub is_closed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Message(Vec<u8>),
    Closed,
    Late,
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.link
            .send(bytes)
            .map_err(|error| format!("send: {error}"))
    }

    /// Whether something arrived, or the connection was closed, before the deadline.
    fn fill(&mut self, deadline: Instant) -> Result<bool, String> {
        let arrival = self.link.receive(deadline);
        match arrival.map_err(|error| format!("receive: {error}"))? {
            Arrival::Bytes(bytes) => self.buffer.extend(bytes),
            Arrival::Closed => self.is_closed = true,
            Arrival::Nothing => return Ok(false),
        }
        Ok(true)
    }

    /// The next message.
    pub fn frame(&mut self, within: Duration) -> Result<Frame, String> {
        let deadline = Instant::now() + within;
        loop {
            if let Some((header, rest)) = self.buffer.split_first_chunk() {
                let length = u32::from_be_bytes(*header) as usize;
                if length > FRAME_BYTES_MAX {
                    return Err(format!("a frame of {length} bytes was announced"));
                }
                if rest.len() >= length {
                    let message = rest[..length].to_vec();
                    self.buffer.drain(..size_of::<u32>() + length);
                    return Ok(Frame::Message(message));
                }
            }
            if self.is_closed {
                return Ok(Frame::Closed);
            }
            if !self.fill(deadline)? {
                return Ok(Frame::Late);
            }
        }
    }

    fn await_close(&mut self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        while !self.is_closed {
            if !self.fill(deadline)? || Instant::now() >= deadline {
                return Err(format!("still open after {within:?}"));
            }
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        Err(format!("data before the close: {}", hex(&self.buffer)))
    }

    fn drain(&mut self, span: Duration) -> Result<(), String> {
        let deadline = Instant::now() + span;
        while !self.is_closed && Instant::now() < deadline && self.fill(deadline)? {}
        self.buffer.clear();
        Ok(())
    }
}
