//! The client protocol as the recordings know it, on its own feet: a mistake in the codec of the
//! server must not be repeated by what judges it. Decoding is stricter than any client's.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Content of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(i64),
    Bytes(Vec<u8>),
}

/// A message: the fields that are present, by name.
pub type Fields = BTreeMap<&'static str, Value>;

/// How a field travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int32,
    Int64,
    Verb,
    Error,
    Bytes,
}

/// The fields of a kind of message, in ascending order of their numbers.
pub struct Schema(&'static [(u64, &'static str, Kind)]);

pub const REQUEST: Schema = Schema(&[
    (1, "tag", Kind::Int32),
    (2, "verb", Kind::Verb),
    (4, "path", Kind::Bytes),
    (5, "value", Kind::Bytes),
    (6, "other_tag", Kind::Int32),
    (7, "offset", Kind::Int32),
    (9, "rev", Kind::Int64),
]);

pub const RESPONSE: Schema = Schema(&[
    (1, "tag", Kind::Int32),
    (2, "flags", Kind::Int32),
    (3, "rev", Kind::Int64),
    (5, "path", Kind::Bytes),
    (6, "value", Kind::Bytes),
    (8, "len", Kind::Int32),
    (100, "err_code", Kind::Error),
    (101, "err_detail", Kind::Bytes),
]);

const VERBS: [(&str, i64); 11] = [
    ("GET", 1),
    ("SET", 2),
    ("DEL", 3),
    ("REV", 5),
    ("WAIT", 6),
    ("NOP", 7),
    ("WALK", 9),
    ("GETDIR", 14),
    ("STAT", 16),
    ("SELF", 20),
    ("ACCESS", 99),
];

const ERRORS: [(&str, i64); 12] = [
    ("TAG_IN_USE", 1),
    ("UNKNOWN_VERB", 2),
    ("READONLY", 3),
    ("TOO_LATE", 4),
    ("REV_MISMATCH", 5),
    ("BAD_PATH", 6),
    ("MISSING_ARG", 7),
    ("RANGE", 8),
    ("NOTDIR", 20),
    ("ISDIR", 21),
    ("NOENT", 22),
    ("OTHER", 127),
];

impl Schema {
    /// The fields that an object of a recording describes.
    pub fn read(&self, object: &serde_json::Map<String, Json>) -> Result<Fields, String> {
        let mut fields = Fields::new();
        for (name, json) in object {
            let field = self.0.iter().find(|(_, known, _)| known == name);
            let (_, name, kind) = *field.ok_or(format!("the field {name} is unknown"))?;
            let value = match (kind, json) {
                (Kind::Bytes, Json::String(text)) => Value::Bytes(bytes_of(text)?),
                (Kind::Verb, Json::String(text)) => named(&VERBS, text)?,
                (Kind::Error, Json::String(text)) => named(&ERRORS, text)?,
                (Kind::Bytes, _) => return Err(format!("{name} is not a text")),
                _ => Value::Number(json.as_i64().ok_or(format!("{name} is not a number"))?),
            };
            fields.insert(name, value);
        }
        Ok(fields)
    }

    /// The canonical encoding: ascending field numbers, shortest varints, ten bytes for what is
    /// negative.
    pub fn encode(&self, fields: &Fields) -> Vec<u8> {
        self.encode_with(fields, false)
    }

    /// Whether these bytes are the canonical encoding of `fields`. Negative 32-bit numbers may
    /// also have five bytes, as the original sends them.
    pub fn is_canonical(&self, fields: &Fields, bytes: &[u8]) -> bool {
        self.encode(fields) == bytes || self.encode_with(fields, true) == bytes
    }

    fn encode_with(&self, fields: &Fields, short_int32: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, name, kind) in self.0 {
            match fields.get(name) {
                None => {}
                Some(Value::Number(value)) => {
                    put_varint(number << 3, &mut out);
                    match kind {
                        Kind::Int32 if short_int32 => put_varint((*value as u32).into(), &mut out),
                        _ => put_varint(*value as u64, &mut out),
                    }
                }
                Some(Value::Bytes(value)) => {
                    put_varint(number << 3 | 2, &mut out);
                    put_varint(value.len() as u64, &mut out);
                    out.extend(value);
                }
            }
        }
        out
    }

    /// The fields of an encoded message. Unknown fields are errors: nothing that an old client
    /// did not ask for may be in an answer.
    pub fn decode(&self, mut bytes: &[u8]) -> Result<Fields, String> {
        let mut fields = Fields::new();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes)?;
            let field = self.0.iter().find(|(number, _, _)| *number == key >> 3);
            let (_, name, kind) = *field.ok_or(format!("unknown field {}", key >> 3))?;
            let value = match (key & 7, kind) {
                (0, Kind::Int32) => Value::Number((take_varint(&mut bytes)? as i32).into()),
                (0, Kind::Int64 | Kind::Verb | Kind::Error) => {
                    Value::Number(take_varint(&mut bytes)? as i64)
                }
                (2, Kind::Bytes) => {
                    let length = usize::try_from(take_varint(&mut bytes)?).unwrap_or(usize::MAX);
                    let (value, rest) = bytes
                        .split_at_checked(length)
                        .ok_or(format!("{name} is cut off"))?;
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                (wire, _) => return Err(format!("{name} has wire type {wire}")),
            };
            if fields.insert(name, value).is_some() {
                return Err(format!("{name} comes twice"));
            }
        }
        Ok(fields)
    }

    /// Names of the fields that a message may have and whether they hold bytes.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let fields = self.0.iter();
        fields.map(|(_, name, kind)| (*name, *kind == Kind::Bytes))
    }
}

/// A message with its length in front.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a message of a recording");
    [&length.to_be_bytes(), message].concat()
}

/// Bytes written as hexadecimal digits.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => Err(format!("not hexadecimal: {text}")),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message for people.
pub fn show(fields: &Fields) -> String {
    let shown: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name} {}", show_value(value)))
        .collect();
    format!("({})", shown.join(", "))
}

pub fn show_value(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Bytes(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn bytes_of(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix("hex:") {
        Some(digits) => unhex(digits),
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn named(table: &[(&str, i64)], name: &str) -> Result<Value, String> {
    let entry = table.iter().find(|(known, _)| *known == name);
    let (_, number) = entry.ok_or(format!("{name} is in no table"))?;
    Ok(Value::Number(*number))
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or("a number is cut off")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number of more than ten bytes".to_owned())
}
