//! What goes to standard output: plain text in the forms of the original client, or JSON lines.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use doozer::client::{Change, Event};
use serde::Serialize;

use crate::failure::Failure;

/// A JSON object. Which fields there are depends on the command.
#[derive(Serialize, Default)]
pub struct Object<'a> {
    /// A path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// What is at the path: `file` or `dir`.
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<&'a str>,
    /// A revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
    /// What happened: `set`, `del` or `nop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<&'a str>,
    /// Bytes of a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub len: Option<u64>,
    /// Entries of a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// A value that is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a str>,
    /// A value that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
    /// The id of a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
}

impl<'a> Object<'a> {
    /// The object with a value in the form that fits.
    pub fn with_value(self, value: &'a Bytes) -> Object<'a> {
        match std::str::from_utf8(value) {
            Ok(text) => Object {
                value: Some(text),
                ..self
            },
            Err(_) => Object {
                value_base64: Some(BASE64_STANDARD.encode(value)),
                ..self
            },
        }
    }

    /// Prints the object as one line.
    pub fn print(&self) -> Result<(), Failure> {
        json(self)
    }

    /// The object as one line, without its end.
    pub fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string(self)
            .map_err(|error| Failure::Message(format!("cannot write JSON: {error}")))
    }
}

/// Prints anything as one line of JSON.
pub fn json(what: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(what);
    let text = text.map_err(|error| Failure::Message(format!("cannot write JSON: {error}")))?;
    line(format_args!("{text}"))
}

/// Prints a line.
pub fn line(line: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Prints text as it is.
pub fn text(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Prints bytes as they are.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Whether a person reads along.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints the record of a change.
pub fn event(event: &Event, json: bool) -> Result<(), Failure> {
    let none = Bytes::new();
    let (op, value) = match &event.change {
        Change::Set(value) => ("set", value),
        Change::Del => ("del", &none),
        Change::Nop => ("nop", &none),
    };
    if json {
        let object = Object {
            path: Some(&event.path),
            rev: Some(event.rev.0),
            op: Some(op),
            ..Object::default()
        };
        return match event.change {
            Change::Set(_) => object.with_value(value).print(),
            Change::Del | Change::Nop => object.print(),
        };
    }
    // The word for a no-op is empty.
    let word = if op == "nop" { "" } else { op };
    let head = format!("{} {} {word} {}\n", event.path, event.rev, value.len());
    bytes(&[head.as_bytes(), value, b"\n"].concat())
}
