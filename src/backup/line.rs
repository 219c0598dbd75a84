//! A line of a backup: an object of JSON whose last field is a checksum of the rest.
//!
//! The checksum depends on the number of the line, too: a line that is missing, or comes twice, or in
//! another place, is noticed where that happens.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What separates the checksum from what it is of.
const BEFORE: &str = ",\"sum\":\"";
/// Digits of a checksum.
const DIGITS: usize = 16;
/// What comes behind it.
const BEHIND: &str = "\"}";

/// The layout of backups that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// A backup that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct Damage {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub kind: DamageKind,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// It is none of a backup.
    Foreign,
    /// A later version of the program wrote it.
    Newer {
        /// The layout.
        format: u64,
    },
    /// Its checksum is that of something else.
    Sum,
    /// It is whole, and says what cannot be.
    Nonsense(String),
    /// There should be more.
    CutOff,
    /// There should be nothing more.
    Trailing,
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DamageKind::Foreign => {
                f.write_str("this is no backup of Doozer: give a file that doozer dump has written")
            }
            DamageKind::Newer { format } => write!(
                f,
                "a newer version of doozer wrote this (format {format}; this one reads {FORMAT}): \
                 use that version"
            ),
            DamageKind::Sum => f.write_str(
                "damaged: the checksum does not fit what it says; use another copy of it, or an \
                 older backup",
            ),
            DamageKind::Nonsense(what) => write!(f, "it makes no sense: {what}"),
            DamageKind::CutOff => f.write_str(
                "the end is missing: it was cut off, or is still being written; use another copy, \
                 or an older backup",
            ),
            DamageKind::Trailing => f.write_str("there is something behind the end"),
        }
    }
}

impl Damage {
    /// Something that is whole and makes no sense.
    pub(super) fn nonsense(line: u64, what: impl fmt::Display) -> Damage {
        let kind = DamageKind::Nonsense(what.to_string());
        Damage { line, kind }
    }
}

/// Appends an object as the line of this number.
pub fn put(out: &mut Vec<u8>, line: u64, object: &impl Serialize) {
    let begin = out.len();
    serde_json::to_writer(&mut *out, object).expect("it has strings for keys");
    assert_eq!(out.pop(), Some(b'}'), "it is an object");
    let seal = seal(&out[begin..], line);
    out.extend_from_slice(seal.as_bytes());
    out.push(b'\n');
}

/// What ends the line of this number: the checksum of what is before it, and the end of the object.
pub fn seal(body: &[u8], line: u64) -> String {
    format!("{BEFORE}{:016x}{BEHIND}", xxh3_64_with_seed(body, line))
}

/// Reads the line of this number, given without its end.
pub fn read<T: DeserializeOwned>(text: &[u8], line: u64) -> Result<T, Damage> {
    let error = |kind| Damage { line, kind };
    let tail = BEFORE.len() + DIGITS + BEHIND.len();
    let body = text.len().checked_sub(tail).map(|end| text.split_at(end));
    let (body, tail) = body.ok_or_else(|| error(DamageKind::Sum))?;
    if tail != seal(body, line).as_bytes() {
        return Err(error(DamageKind::Sum));
    }
    serde_json::from_slice(&[body, b"}"].concat()).map_err(|error| Damage::nonsense(line, error))
}

/// The first line of a file: what it is, and in which layout.
///
/// A newer program may have changed anything else, the checksums too, so that they are looked at last.
pub fn read_head<T: DeserializeOwned>(text: &[u8], kind: &str) -> Result<T, Damage> {
    let error = |kind| Damage { line: 1, kind };
    let object: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let field = |name: &str| object.as_ref()?.get(name);
    if let Some(object) = &object {
        let is_ours = object.get("doozer").and_then(|kind| kind.as_str()) == Some(kind);
        let format = field("format").and_then(serde_json::Value::as_u64);
        match format {
            Some(format) if is_ours && format > u64::from(FORMAT) => {
                return Err(error(DamageKind::Newer { format }));
            }
            Some(_) if is_ours => {}
            _ => return Err(error(DamageKind::Foreign)),
        }
    } else if !text.starts_with(b"{\"doozer\":") {
        return Err(error(DamageKind::Foreign));
    }
    read(text, 1)
}
