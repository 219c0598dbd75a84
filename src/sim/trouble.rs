//! What happens to single messages: which are lost, come late, or come twice.
//!
//! The network draws such troubles at the rates of [`super::params::NetParams`] and keeps a list of
//! those that came about. A list can be given as well: what it names happens, whatever the rates.
//! Messages are counted from the beginning of each phase of a run, so that a change in how the
//! cluster was formed leaves the names of later messages what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::{parse_span, show_span};

/// The name of a process: the number of its host, and which of the processes there it is. It does
/// not depend on who lived and died elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The host.
    pub host: u16,
    /// Processes that ran there before.
    pub life: u16,
}

/// A stretch of a run in which messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The cluster is formed.
    Forming,
    /// Faults strike.
    Storm,
    /// A healed core proves that it lives.
    Core,
}

/// One passage over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passage {
    /// A message between processes: `"0>1 #17"`, the 17th since the storm began, from 0; before it,
    /// `"forming 0>1 #17"`.
    Message {
        /// When.
        phase: Phase,
        /// Who sends it.
        from: Name,
        /// To whom.
        to: Name,
        /// Its number among those.
        number: u64,
    },
    /// An attempt to connect: `"dial 0>1 #3"`.
    Dial {
        /// Who makes it.
        from: Name,
        /// The host.
        to: u16,
        /// Its number among all of this process.
        number: u64,
    },
}

/// Troubles of single messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Troubles {
    /// They never arrive.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub lost: BTreeSet<Passage>,
    /// They arrive later than others by some time.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub late: BTreeSet<Delayed>,
    /// They arrive a second time, this long after they were sent.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub twice: BTreeSet<Delayed>,
}

/// A passage with a time: `"0>1 #17 by 20 ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delayed {
    /// Which.
    pub passage: Passage,
    /// How long, in microseconds.
    pub by_us: u64,
}

impl Troubles {
    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.late.is_empty() && self.twice.is_empty()
    }

    /// The delays of one list by passage.
    pub(super) fn by_passage(list: &BTreeSet<Delayed>) -> BTreeMap<Passage, u64> {
        list.iter().map(|one| (one.passage, one.by_us)).collect()
    }
}

impl From<u64> for Name {
    /// From the number under which choices are drawn.
    fn from(who: u64) -> Name {
        Name {
            host: (who >> 16) as u16,
            life: who as u16,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.life {
            0 => write!(f, "{}", self.host),
            life => write!(f, "{}.{life}", self.host),
        }
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Name, ()> {
        let (host, life) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Name {
            host: host.parse().map_err(|_| ())?,
            life: life.parse().map_err(|_| ())?,
        })
    }
}

impl Passage {
    /// Whether it is a message of the storm.
    pub fn is_of_storm(&self) -> bool {
        matches!(
            self,
            Passage::Message {
                phase: Phase::Storm,
                ..
            }
        )
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Passage::Message {
                phase,
                from,
                to,
                number,
            } => {
                let phase = match phase {
                    Phase::Forming => "forming ",
                    Phase::Storm => "",
                    Phase::Core => "core ",
                };
                write!(f, "{phase}{from}>{to} #{number}")
            }
            Passage::Dial { from, to, number } => write!(f, "dial {from}>{to} #{number}"),
        }
    }
}

impl FromStr for Passage {
    type Err = ();

    fn from_str(text: &str) -> Result<Passage, ()> {
        let (ends, number) = text.split_once(" #").ok_or(())?;
        let number = number.parse().map_err(|_| ())?;
        let (kind, ends) = ends.rsplit_once(' ').unwrap_or(("", ends));
        let (from, to) = ends.split_once('>').ok_or(())?;
        let from: Name = from.parse()?;
        let phase = match kind {
            "dial" => {
                let to = to.parse().map_err(|_| ())?;
                return Ok(Passage::Dial { from, to, number });
            }
            "forming" => Phase::Forming,
            "" => Phase::Storm,
            "core" => Phase::Core,
            _ => return Err(()),
        };
        let to = to.parse()?;
        Ok(Passage::Message {
            phase,
            from,
            to,
            number,
        })
    }
}

impl fmt::Display for Delayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.passage, show_span(self.by_us))
    }
}

impl Serialize for Passage {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Delayed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'a> Deserialize<'a> for Passage {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Passage, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|()| {
            D::Error::custom(format!(
                "`{text}` names no message; write \"0>1 #17\", \"forming 0>1 #17\" or \"dial 0>1 #3\""
            ))
        })
    }
}

impl<'a> Deserialize<'a> for Delayed {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Delayed, D::Error> {
        let text = String::deserialize(from)?;
        let example = "write \"0>1 #17 by 20 ms\"";
        let (passage, by) = text
            .split_once(" by ")
            .ok_or_else(|| D::Error::custom(format!("`{text}` has no time: {example}")))?;
        let passage = passage
            .parse()
            .map_err(|()| D::Error::custom(format!("`{passage}` names no message: {example}")))?;
        let by_us = parse_span(by).map_err(D::Error::custom)?;
        Ok(Delayed { passage, by_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_written_and_read_back() {
        for text in [
            "0>1 #17",
            "forming 12>0.3 #0",
            "core 1>2 #5",
            "dial 0.1>1 #3",
        ] {
            let passage: Passage = text.parse().unwrap_or_else(|()| panic!("{text}"));
            assert_eq!(passage.to_string(), text);
        }
        for wrong in [
            "0>1",
            "0-1 #1",
            "0>1 #x",
            "late 0>1 #1",
            "dial 0>1.1 #3",
            "",
        ] {
            assert!(wrong.parse::<Passage>().is_err(), "{wrong}");
        }
    }
}
