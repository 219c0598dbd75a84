//! Which lines are wanted: `slot=17,node=2`.

use std::str::FromStr;

use super::line::{Line, WORDS};
use crate::core::consensus::Slot;
use crate::sim::trouble::Name;

/// What lines are wanted. Of several values of one key one must fit, and so for each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    slots: Vec<Slot>,
    nodes: Vec<Wanted>,
    clients: Vec<usize>,
    kinds: Vec<String>,
}

/// A process, or all that run on a host one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Host(u16),
    Process(Name),
}

/// What a filter looks like.
const EXAMPLE: &str = "write slot=17, node=2 (all processes of host 2), node=2.1 (the second one), \
                       client=4 or kind=accept, separated by commas";

impl Filter {
    /// Whether a line is wanted. One that tells of a broken rule always is.
    pub fn takes(&self, line: &Line) -> bool {
        if line.verb == "violates" {
            return true;
        }
        let is_about = |slot: &Slot| {
            let mut spans = line.slots.iter().chain(&line.given_up);
            spans.any(|(first, last)| first <= slot && slot <= last)
        };
        let is_with = |wanted: &Wanted| {
            line.nodes.iter().any(|name| match wanted {
                Wanted::Host(host) => name.host == *host,
                Wanted::Process(process) => name == process,
            })
        };
        let is_of = |client: &usize| line.client == Some(*client);
        let is_kind = |kind: &String| {
            kind == line.verb || !line.kind.is_empty() && line.kind.eq_ignore_ascii_case(kind)
        };
        (self.slots.is_empty() || self.slots.iter().any(is_about))
            && (self.nodes.is_empty() || self.nodes.iter().any(is_with))
            && (self.clients.is_empty() || self.clients.iter().any(is_of))
            && (self.kinds.is_empty() || self.kinds.iter().any(is_kind))
    }

    fn add(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "slot" => self.slots.push(Slot(value.parse().ok()?)),
            "node" => {
                let value = value.strip_prefix('n').unwrap_or(value);
                self.nodes.push(match value.contains('.') {
                    true => Wanted::Process(value.parse().ok()?),
                    false => Wanted::Host(value.parse().ok()?),
                });
            }
            "client" => {
                let value = value.strip_prefix('c').unwrap_or(value);
                self.clients.push(value.parse().ok()?);
            }
            "kind" => {
                let kind = value.to_ascii_lowercase();
                self.kinds
                    .push(Some(kind).filter(|k| WORDS.contains(&&k[..]))?);
            }
            _ => return None,
        }
        Some(())
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let added = filter.add(key.trim(), value.trim());
            added.ok_or_else(|| match key.trim() {
                "kind" => format!("`{value}` is no kind; there are {}", WORDS.join(", ")),
                _ => format!("`{part}` chooses nothing: {EXAMPLE}"),
            })?;
        }
        Ok(filter)
    }
}
