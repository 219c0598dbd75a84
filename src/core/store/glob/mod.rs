//! Patterns of paths.
//!
//! A pattern is formed like a path whose components may also contain `?` (one character), `*` (any
//! number of characters of a component) and `**` (any number of characters, `/` included); it must
//! match the whole path. Matching follows all possible readings at once, in a set of states, so
//! that no pattern takes exponential time; see [`States`].

mod states;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::path::Path;
pub(super) use states::States;
#[cfg(test)]
pub(super) use tests::naive;

/// A well-formed pattern. Cheap to clone.
#[derive(Clone)]
pub struct Glob(Arc<Pattern>);

/// The text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a pattern: it must be formed like a path, that is \"/\", or one or more components each \
     preceded by one \"/\", of A-Z a-z 0-9 . - and the wildcards * and ?"
)]
pub struct GlobError;

struct Pattern {
    text: Box<str>,
    /// One token for each state but the last. Empty if the pattern has no wildcard, as then the
    /// text says all.
    tokens: Box<[u8]>,
    /// The states at any star, as a set.
    stars: Box<[u64]>,
    /// The states at a `**`, as a set.
    deep: Box<[u64]>,
    /// Length of the text before the first wildcard.
    literal: usize,
    /// Length of the text behind the last wildcard.
    ending: usize,
}

/// From so many tokens and characters on, what it takes to match long texts fast pays off.
const LONG: usize = 256;

// Tokens that are not characters of paths; every other token stands for itself.
const ONE: u8 = b'?';
const STAR: u8 = b'*';
const DEEP: u8 = 0;

impl Glob {
    /// Checks and takes a pattern. Its length is not limited here.
    pub fn parse(text: &[u8]) -> Result<Glob, GlobError> {
        let well_formed = match text {
            b"/" => true,
            [b'/', rest @ ..] => rest
                .split(|b| *b == b'/')
                .all(|name| !name.is_empty() && name.iter().all(|b| is_pattern_byte(*b))),
            _ => false,
        };
        match std::str::from_utf8(text) {
            Ok(text) if well_formed => Ok(Glob(Arc::new(Pattern::new(text)))),
            _ => Err(GlobError),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether the pattern matches this path as a whole.
    pub fn matches(&self, path: &Path) -> bool {
        let text = path.as_str();
        if self.is_exact() {
            return *text == *self.0.text;
        }
        let Some(rest) = text.strip_prefix(self.literal()) else {
            return false;
        };
        if self.ends_deep() {
            return true;
        }
        // Most paths are told apart by how they end, at once.
        let (_, ending) = self.0.text.split_at(self.0.text.len() - self.0.ending);
        if !rest.ends_with(ending) {
            return false;
        }
        if text == "/" {
            // A component is never empty, so no `*` matches the one that the root lacks.
            return false;
        }
        let mut states = States::at(self, self.0.literal);
        let alive = if self.0.tokens.len().min(rest.len()) < LONG {
            states.step_all(self, rest.as_bytes())
        } else {
            states.step_long(self, rest.as_bytes())
        };
        alive && states.is_accepting(self)
    }

    /// Whether the pattern has no wildcard: it matches the path that it spells and no other.
    pub fn is_exact(&self) -> bool {
        self.0.tokens.is_empty()
    }

    /// The text before the first wildcard: every match begins with it.
    pub fn literal(&self) -> &str {
        self.0.text.get(..self.0.literal).unwrap_or_default()
    }

    /// The directory that all matches are in.
    pub(super) fn dir(&self) -> Path {
        let literal = self.literal();
        let dir = literal.rsplit_once('/').map_or("", |(dir, _)| dir);
        let dir = if dir.is_empty() { "/" } else { dir };
        Path::parse(dir.as_bytes()).expect("what precedes a wildcard is formed like a path")
    }

    /// Whether the n-th match is found by counting: everything in or below a directory.
    pub(super) fn is_countable(&self) -> bool {
        let tokens = &self.0.tokens;
        self.is_exact()
            || (tokens.len() == self.0.literal + 1
                && tokens.last() != Some(&ONE)
                && self.literal().ends_with('/'))
    }

    /// Whether all that follows the literal beginning is one `**`.
    fn ends_deep(&self) -> bool {
        self.0.tokens.len() == self.0.literal + 1 && self.0.tokens.last() == Some(&DEEP)
    }
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        let literal = text
            .bytes()
            .position(|b| b == ONE || b == STAR)
            .unwrap_or(text.len());
        let wildcard = text.bytes().rposition(|b| b == ONE || b == STAR);
        let ending = wildcard.map_or(0, |wildcard| text.len() - 1 - wildcard);
        let tokens = if literal == text.len() {
            Vec::new()
        } else {
            tokens(text)
        };
        let set = |wanted: &dyn Fn(u8) -> bool| {
            let mut set = vec![0u64; States::words(tokens.len())];
            for (state, token) in tokens.iter().enumerate() {
                if wanted(*token) {
                    set[state / 64] |= 1 << (state % 64);
                }
            }
            set.into_boxed_slice()
        };
        Pattern {
            stars: set(&|token| token == STAR || token == DEEP),
            deep: set(&|token| token == DEEP),
            text: text.into(),
            literal,
            ending,
            tokens: tokens.into(),
        }
    }
}

/// The tokens of a pattern. A run of stars is one token: stars pair up from the left, so a run of
/// two or more begins with `**`, which already matches whatever the rest of the run could.
fn tokens(text: &str) -> Vec<u8> {
    let mut tokens = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match (byte, tokens.last_mut()) {
            (STAR, Some(last @ (&mut STAR | &mut DEEP))) => *last = DEEP,
            _ => tokens.push(byte),
        }
    }
    tokens
}

fn is_pattern_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | ONE | STAR)
}

impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Glob {}

/// Patterns are equal, and in order, as their texts are.
impl Borrow<str> for Glob {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialOrd for Glob {
    fn partial_cmp(&self, other: &Glob) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Glob {
    fn cmp(&self, other: &Glob) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
