//! How revisions and outcomes are written in files.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::{Outcome, Revision, WORDS};
use crate::core::protocol::client::ErrorCode;

/// Largest number of an error code.
const CODE_MAX: i32 = ErrorCode::Other as i32;

/// For serde: a span of time that need not be there.
pub mod some_span {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    use crate::sim::units::span;

    /// Writes it.
    pub fn serialize<S: Serializer>(some: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match some {
            Some(time) => span::serialize(time, to),
            None => to.serialize_none(),
        }
    }

    /// Reads it.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<Duration>, D::Error> {
        span::deserialize(from).map(Some)
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Revision::Number(number) => match WORDS.iter().find(|(_, rev)| rev == number) {
                Some((word, _)) => to.serialize_str(word),
                None => to.serialize_i64(*number),
            },
            Revision::After(label, 0) => to.serialize_str(label),
            Revision::After(label, more) => to.collect_str(&format_args!("{label}{more:+}")),
        }
    }
}

impl<'a> Deserialize<'a> for Revision {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Revision, D::Error> {
        struct Reader;
        impl serde::de::Visitor<'_> for Reader {
            type Value = Revision;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a revision: a number, \"missing\", \"any\", \"dir\", or what a step remembered",
                )
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Revision, E> {
                Ok(Revision::Number(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Revision, E> {
                if let Some((_, rev)) = WORDS.iter().find(|(word, _)| *word == text) {
                    return Ok(Revision::Number(*rev));
                }
                let split = text.find(['+', '-']).unwrap_or(text.len());
                let (label, more) = text.split_at(split);
                let more = if more.is_empty() { Ok(0) } else { more.parse() };
                match more {
                    Ok(more) if !label.is_empty() => Ok(Revision::After(label.to_owned(), more)),
                    _ => Err(E::custom(format!(
                        "`{text}` is no revision; write \"first\" or \"first+1\""
                    ))),
                }
            }
        }
        from.deserialize_any(Reader)
    }
}

fn codes() -> impl Iterator<Item = ErrorCode> {
    (1..=CODE_MAX).filter_map(ErrorCode::from_number)
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Outcome::Ok => to.serialize_str("ok"),
            Outcome::Anything => to.serialize_str("anything"),
            Outcome::Silence => to.serialize_str("silence"),
            Outcome::Lost => to.serialize_str("lost"),
            Outcome::Error(code) => to.collect_str(code),
        }
    }
}

impl<'a> Deserialize<'a> for Outcome {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Outcome, D::Error> {
        let word = String::deserialize(from)?;
        Ok(match &word[..] {
            "ok" => Outcome::Ok,
            "anything" => Outcome::Anything,
            "silence" => Outcome::Silence,
            "lost" => Outcome::Lost,
            _ => match codes().find(|code| code.to_string() == word) {
                Some(code) => Outcome::Error(code),
                None => {
                    let codes: Vec<String> = codes().map(|code| code.to_string()).collect();
                    let text = format!(
                        "nothing ends with `{word}`; write ok, anything, silence, lost, {}",
                        codes.join(", ")
                    );
                    return Err(D::Error::custom(text));
                }
            },
        })
    }
}
