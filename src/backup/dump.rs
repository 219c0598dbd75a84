//! A dump: contents as lines of text.
//!
//! ```text
//! {"doozer":"dump","format":1,"cluster":"local","lineage":"...","rev":912,"time":1767225600,"sum":"..."}
//! {"path":"/a","rev":57,"value":"hello","sum":"..."}
//! {"path":"/b","rev":58,"value_base64":"/wA=","sum":"..."}
//! {"files":2,"sum":"..."}
//! ```

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::contents::{Content, Contents};
use super::line::{self, Damage, DamageKind, FORMAT};
use crate::core::id::Rev;
use crate::core::store::Path;

/// Where contents come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The name of the cluster.
    pub cluster: String,
    /// Which cluster of that name; see [`Report::lineage`](crate::core::protocol::client::Report).
    pub lineage: String,
    /// How often it was recovered, plus one.
    pub generation: u32,
}

#[derive(Serialize, Deserialize)]
struct Head {
    doozer: String,
    format: u32,
    #[serde(flatten)]
    origin: Origin,
    rev: u64,
    /// When it was taken, in seconds since 1970.
    time: u64,
}

#[derive(Serialize, Deserialize)]
struct FileLine {
    path: String,
    rev: u64,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    files: u64,
}

/// What a dump is called in its first line.
const KIND: &str = "dump";

/// Contents as a dump. `time` is when they were read, in seconds since 1970.
pub fn encode_dump(origin: &Origin, contents: &Contents, time: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let head = Head {
        doozer: KIND.to_owned(),
        format: FORMAT,
        origin: origin.clone(),
        rev: contents.rev.0,
        time,
    };
    line::put(&mut out, 1, &head);
    let mut number = 2;
    for (path, (rev, value)) in &contents.files {
        let file = FileLine {
            path: path.as_str().to_owned(),
            rev: rev.0,
            content: Content::of(value),
        };
        line::put(&mut out, number, &file);
        number += 1;
    }
    let files = contents.files.len() as u64;
    line::put(&mut out, number, &End { files });
    out
}

/// Reads a dump.
///
/// # Errors
///
/// [`Damage`], with the line, if it is not what [`encode_dump`] has made.
pub fn read_dump(bytes: &[u8]) -> Result<(Origin, Contents), Damage> {
    let mut lines = Lines::new(bytes);
    let head: Head = match lines.next() {
        Some(text) => line::read_head(text, KIND)?,
        None => {
            return Err(Damage {
                line: 1,
                kind: DamageKind::Foreign,
            });
        }
    };
    let mut contents = Contents {
        rev: Rev(head.rev),
        ..Contents::default()
    };
    let mut last = None;
    while let Some(text) = lines.next() {
        let number = lines.number;
        if let Some(last) = last.replace((number, text)) {
            file(&mut contents, last)?;
        }
    }
    // A line that is cut off is not whole; one that is whole may not be the last.
    let cut_off = Damage {
        line: lines.number + 1,
        kind: DamageKind::CutOff,
    };
    let Some((number, text)) = last else {
        return Err(cut_off);
    };
    let end = line::read::<End>(text, number);
    match end {
        Ok(end) if end.files == contents.files.len() as u64 && lines.ends_well() => {
            Ok((head.origin, contents))
        }
        Ok(_) if !lines.ends_well() => Err(Damage {
            line: number,
            kind: DamageKind::CutOff,
        }),
        Ok(end) => {
            let what = format!("{} files, where {} came", end.files, contents.files.len());
            Err(Damage::nonsense(number, what))
        }
        Err(_) if !lines.ends_well() => Err(Damage {
            line: number,
            kind: DamageKind::CutOff,
        }),
        // Perhaps it is a file, and the last lines are missing.
        Err(error) => match line::read::<FileLine>(text, number) {
            Ok(_) => Err(cut_off),
            Err(_) => Err(error),
        },
    }
}

fn file(contents: &mut Contents, (number, text): (u64, &[u8])) -> Result<(), Damage> {
    let nonsense = |what| Damage::nonsense(number, what);
    let file: FileLine = match line::read(text, number) {
        Ok(file) => file,
        Err(error) => {
            // An end is the last line.
            return Err(match line::read::<End>(text, number) {
                Ok(_) => Damage {
                    line: number + 1,
                    kind: DamageKind::Trailing,
                },
                Err(_) => error,
            });
        }
    };
    let path =
        Path::parse(file.path.as_bytes()).map_err(|error| Damage::nonsense(number, error))?;
    let value: Bytes = file.content.bytes().map_err(nonsense)?;
    let rev = Rev(file.rev);
    if rev == Rev(0) || rev > contents.rev {
        return Err(nonsense("a revision that the dump is not of"));
    }
    if contents.files.insert(path, (rev, value)).is_some() {
        return Err(nonsense("the file was there before"));
    }
    Ok(())
}

/// The lines of a text, numbered.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the line that was given last.
    pub(super) number: u64,
    /// Whether that had its end.
    ended: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Lines<'a> {
        Lines {
            rest: bytes,
            number: 0,
            ended: true,
        }
    }

    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        self.ended = end.is_some();
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(line)
    }

    /// Whether the line that was given last has its end.
    pub(super) fn ends_well(&self) -> bool {
        self.ended
    }

    /// Bytes that were not given yet.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}
