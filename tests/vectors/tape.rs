//! Judges the judge: recordings played against themselves pass, and every one of many thousand
//! small departures from them is noticed at the step where it happens.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::connect;
use crate::player::{Arrival, Connection, Frame, Link, World, play};
use crate::script::{Action, Case, Relation, Rule, Wanted};
use crate::wire::{Fields, RESPONSE, Value, frame};

/// What a server does, as the recording has it.
#[derive(Clone)]
struct Event {
    step: usize,
    connection: String,
    arrival: Arrival,
}

/// A recording as a server.
struct Tape {
    links: BTreeMap<String, TapeLink>,
}

#[derive(Default)]
struct TapeLink {
    arrivals: VecDeque<Arrival>,
    requests: VecDeque<Vec<u8>>,
}

impl Tape {
    fn new(case: &Case, events: &[Event]) -> Tape {
        let mut links: BTreeMap<String, TapeLink> = BTreeMap::new();
        for step in &case.steps {
            let link = links.entry(step.connection.clone()).or_default();
            if let Action::Send {
                recorded: bytes, ..
            }
            | Action::SendRaw(bytes) = &step.action
            {
                link.requests.push_back(bytes.clone());
            }
        }
        for event in events {
            let link = links.entry(event.connection.clone()).or_default();
            link.arrivals.push_back(event.arrival.clone());
        }
        Tape { links }
    }
}

impl World for Tape {
    fn open(&mut self, connection: &str, _: &str) -> Result<Box<dyn Link>, String> {
        let link = self.links.remove(connection);
        Ok(Box::new(link.ok_or("opened again, which is not recorded")?))
    }

    fn pause(&mut self, _: Duration) {}
}

impl Link for TapeLink {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.requests.pop_front() {
            Some(recorded) if recorded == bytes => Ok(()),
            other => Err(io::Error::other(format!("recorded was {other:02x?}"))),
        }
    }

    fn receive(&mut self, _: Instant) -> io::Result<Arrival> {
        Ok(self.arrivals.pop_front().unwrap_or(Arrival::Nothing))
    }

    fn shut_down(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the server did in the recording.
fn events(case: &Case) -> Vec<Event> {
    let mut events = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        let mut push = |arrival| {
            events.push(Event {
                step: number,
                connection: step.connection.clone(),
                arrival,
            });
        };
        match &step.action {
            Action::Receive { wanted, .. } => {
                for wanted in wanted {
                    push(Arrival::Bytes(wanted.recorded.clone().unwrap()));
                }
            }
            Action::AwaitClose(_) => push(Arrival::Closed),
            Action::Silence(_) | Action::Drain(_) => push(Arrival::Nothing),
            _ => {}
        }
    }
    events
}

fn recorded_cases() -> Vec<(&'static str, Case)> {
    let mut cases = Vec::new();
    for (file, text) in crate::FILES {
        let read = crate::script::read(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        cases.extend(read.into_iter().map(|case| (*file, case)));
    }
    assert_eq!(cases.len(), 149);
    cases.retain(|(_, case)| !case.is_ours);
    assert_eq!(cases.len(), 141);
    cases
}

#[test]
fn recordings_pass_against_themselves() {
    for (file, case) in recorded_cases() {
        let result = play(&case, &mut Tape::new(&case, &events(&case)));
        assert_eq!(result, Ok(()), "{file} {}", case.name);
    }
}

#[test]
fn every_departure_from_a_recording_is_noticed_where_it_happens() {
    let mut departures = 0;
    for (file, case) in recorded_cases() {
        let events = events(&case);
        for (at, event) in events.iter().enumerate() {
            for (what, arrivals) in departures_from(&case, event) {
                let replacement = arrivals.into_iter().map(|arrival| Event {
                    arrival,
                    ..event.clone()
                });
                let mut changed = events.clone();
                changed.splice(at..=at, replacement);
                let result = play(&case, &mut Tape::new(&case, &changed));
                let noticed = match &result {
                    Err(failure) => failure.starts_with(&format!("step {}:", event.step)),
                    Ok(()) => false,
                };
                assert!(
                    noticed,
                    "{file} {} step {}: {what}: {result:?}",
                    case.name, event.step
                );
                departures += 1;
            }
        }
    }
    assert!(
        departures > 10_000,
        "only {departures} departures were tried"
    );
}

/// What a server might do wrong in the place of this event.
fn departures_from(case: &Case, event: &Event) -> Vec<(String, Vec<Arrival>)> {
    let Arrival::Bytes(bytes) = &event.arrival else {
        let is_drain = matches!(case.steps[event.step].action, Action::Drain(_));
        let extra = Arrival::Bytes(frame(&[8, 1]));
        return match event.arrival {
            _ if is_drain => Vec::new(),
            Arrival::Closed => vec![
                ("stays open".to_owned(), vec![Arrival::Nothing]),
                (
                    "answers and closes".to_owned(),
                    vec![extra, Arrival::Closed],
                ),
            ],
            _ => vec![
                ("closes".to_owned(), vec![Arrival::Closed]),
                ("answers".to_owned(), vec![extra]),
            ],
        };
    };
    let Action::Receive { wanted, .. } = &case.steps[event.step].action else {
        panic!("bytes without a receiving step");
    };
    let is_this = |wanted: &&Wanted| wanted.recorded.as_deref() == Some(bytes);
    let wanted = wanted.iter().find(is_this).unwrap();
    let message = &bytes[4..];
    let mut bad = vec![
        ("no answer".to_owned(), vec![Arrival::Nothing]),
        ("closes".to_owned(), vec![Arrival::Closed]),
        ("half an answer".to_owned(), cut(bytes)),
    ];
    for (what, message) in wrong_messages(wanted, message) {
        bad.push((what, vec![Arrival::Bytes(frame(&message))]));
    }
    bad
}

fn cut(bytes: &[u8]) -> Vec<Arrival> {
    let half = Arrival::Bytes(bytes[..bytes.len() - 1].to_vec());
    vec![half, Arrival::Closed]
}

fn wrong_messages(wanted: &Wanted, message: &[u8]) -> Vec<(String, Vec<u8>)> {
    let fields = RESPONSE.decode(message).unwrap();
    let mut wrong = Vec::new();
    for (name, holds_bytes) in RESPONSE.names() {
        let mut other = fields.clone();
        match fields.get(name) {
            Some(value) => {
                let rule = wanted.rules.get(name);
                if let Some(bad) = wrong_value(value, rule) {
                    other.insert(name, bad);
                    wrong.push((format!("another {name}"), other.clone()));
                }
                other.remove(name);
                wrong.push((format!("{name} missing"), other));
            }
            None => {
                let empty = match holds_bytes {
                    true => Value::Bytes(Vec::new()),
                    false => Value::Number(0),
                };
                other.insert(name, empty);
                wrong.push((format!("{name} too many"), other));
            }
        }
    }
    let mut wrong: Vec<(String, Vec<u8>)> = wrong
        .into_iter()
        .map(|(what, fields): (String, Fields)| (what, RESPONSE.encode(&fields)))
        .collect();
    wrong.push((
        "unknown field".to_owned(),
        [message, &[0x98, 1, 1]].concat(),
    ));
    if let Some((key, rest)) = message.split_first() {
        let long_key = [&[key | 0x80, 0], rest].concat();
        wrong.push(("not the shortest number".to_owned(), long_key));
        wrong.push(("a field twice".to_owned(), [message, message].concat()));
    }
    if let Some(backwards) = backwards(&fields) {
        wrong.push(("fields in another order".to_owned(), backwards));
    }
    wrong
}

/// A value that breaks the rule, if anything does.
fn wrong_value(value: &Value, rule: Option<&Rule>) -> Option<Value> {
    let other = match value {
        Value::Number(number) => Value::Number(number ^ 1),
        Value::Bytes(bytes) => Value::Bytes([bytes.as_slice(), b"x"].concat()),
    };
    let Some(rule) = rule else {
        return Some(other);
    };
    if rule.regex.is_some() {
        return Some(match value {
            Value::Number(_) => Value::Number(-1),
            Value::Bytes(_) => Value::Bytes(Vec::new()),
        });
    }
    match rule.relations.first() {
        Some((Relation::Equal, _)) => Some(other),
        Some((Relation::Greater | Relation::AtLeast, _)) => Some(Value::Number(i64::MIN)),
        Some(_) => Some(Value::Number(i64::MAX)),
        None => rule.template.as_ref().map(|_| other),
    }
}

/// The same fields in descending order, if there are several.
fn backwards(fields: &Fields) -> Option<Vec<u8>> {
    let single = |(name, value): (&&'static str, &Value)| {
        RESPONSE.encode(&Fields::from([(*name, value.clone())]))
    };
    let mut parts: Vec<Vec<u8>> = fields.iter().map(single).collect();
    parts.sort();
    parts.reverse();
    let bytes = parts.concat();
    (bytes != RESPONSE.encode(fields)).then_some(bytes)
}

#[test]
fn recordings_with_anything_unknown_are_refused() {
    let file = |step: &str| {
        crate::script::read(&format!(
            r#"{{"format": "doozer-vectors/1", "captured_from": {{}}, "cases": [
                {{"name": "n", "description": "d", "steps": [{step}]}}]}}"#
        ))
        .err()
    };
    assert_eq!(file(r#"{"sleep_ms": 1}"#), None);
    assert_eq!(
        file(r#"{"recv": null, "decoded": {"rev": 0}, "vars": {"rev": {"gt": 0}}}"#),
        None
    );
    for step in [
        "",
        "{}",
        r#"{"unheard": 1}"#,
        r#"{"sleep_ms": 1, "drain_ms": 1}"#,
        r#"{"send": "0", "raw": true}"#,
        r#"{"send": "00"}"#,
        r#"{"recv": "00", "decoded": {"unheard": 1}}"#,
        r#"{"recv": "00", "decoded": {"rev": "x"}}"#,
        r#"{"recv": "00", "decoded": {}, "vars": {"rev": {"gt": 0}}}"#,
        r#"{"recv": "00", "decoded": {"rev": 0}, "vars": {"rev": {"unheard": 0}}}"#,
        r#"{"recv": "00", "decoded": {"rev": 0}, "vars": {"rev": {"gt": "a*b"}}}"#,
        r#"{"recv": "00", "decoded": {"path": ""}, "vars": {"path": {"regex": "("}}}"#,
        r#"{"assert": ["a", "~", "b"]}"#,
    ] {
        assert!(file(step).is_some(), "{step}");
    }
}

#[test]
fn assertions_between_variables_are_checked() {
    let play_with = |relation: &str, second: u8| {
        let text = format!(
            r#"{{"format": "doozer-vectors/1", "captured_from": {{}}, "cases": [
                {{"name": "n", "description": "d", "steps": [
                    {{"recv": "000000021801", "decoded": {{"rev": 1}}, "vars": {{"rev": {{"bind": "x"}}}}}},
                    {{"recv": "0000000218{second:02x}", "decoded": {{"rev": {second}}},
                      "vars": {{"rev": {{"bind": "y"}}}}}},
                    {{"assert": ["x", "{relation}", "y"]}}]}}]}}"#
        );
        let case = crate::script::read(&text).unwrap().remove(0);
        play(&case, &mut Tape::new(&case, &events(&case)))
    };
    for (relation, holds) in [
        ("==", [false, true, false]),
        ("!=", [true, false, true]),
        ("<", [false, false, true]),
        ("<=", [false, true, true]),
    ] {
        for (second, holds) in holds.into_iter().enumerate() {
            let result = play_with(relation, second as u8);
            assert_eq!(result.is_ok(), holds, "1 {relation} {second}: {result:?}");
        }
    }
}

#[test]
fn sockets_tell_pieces_silence_and_closes_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go, wait) = std::sync::mpsc::channel();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.send(&[0, 0, 0]).unwrap();
        wait.recv().unwrap();
        stream.send(&[2, 8, 1, 0, 0]).unwrap();
    });
    let mut connection = Connection {
        link: Box::new(connect(address).unwrap()),
        buffer: Vec::new(),
        is_closed: false,
    };
    assert_eq!(connection.frame(Duration::from_millis(50)), Ok(Frame::Late));
    go.send(()).unwrap();
    let patience = Duration::from_secs(10);
    assert_eq!(connection.frame(patience), Ok(Frame::Message(vec![8, 1])));
    assert_eq!(connection.frame(patience), Ok(Frame::Closed));
    assert_eq!(connection.buffer, [0, 0]);
    server.join().unwrap();
}
