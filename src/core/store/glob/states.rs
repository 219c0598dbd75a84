//! All readings of a pattern at once.
//!
//! State `i` means that everything before token `i` has matched what was read; the state behind
//! the last token accepts. A set of states is a set of bits, and one character moves them all, 64
//! at a time: a path costs at most its length times a 64th of the pattern's, whatever the pattern.

use std::collections::BTreeMap;

use super::{DEEP, Glob, ONE, STAR};

/// The states that a pattern may be in after some text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core::store) struct States(Words);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Words {
    /// Nearly every pattern has fewer than 64 tokens.
    One(u64),
    Many(Box<[u64]>),
}

/// Up to so many states of a word are looked at one by one; beyond, all 64 tokens are compared in
/// a row, which the compiler makes a few vector instructions of.
const SPARSE_MAX: u32 = 6;

impl States {
    /// Words that hold the states of a pattern of so many tokens.
    pub(super) fn words(tokens: usize) -> usize {
        tokens / 64 + 1
    }

    /// The states in which everything before token `start` has matched.
    pub(super) fn at(glob: &Glob, start: usize) -> States {
        let words = States::words(glob.0.tokens.len());
        let mut states = States(match words {
            1 => Words::One(0),
            _ => Words::Many(vec![0; words].into()),
        });
        states.0.as_mut()[start / 64] |= 1 << (start % 64);
        let mut carry = 0;
        for (word, stars) in states.0.as_mut().iter_mut().zip(&glob.0.stars) {
            carry = close(word, *stars, carry);
        }
        states
    }

    /// The states before anything was read, for a pattern with wildcards.
    pub(in crate::core::store) fn start(glob: &Glob) -> States {
        States::at(glob, 0)
    }

    /// Reads some text. Returns whether any state is left.
    pub(in crate::core::store) fn step_all(&mut self, glob: &Glob, text: &[u8]) -> bool {
        text.iter().all(|byte| self.step(glob, *byte))
    }

    /// Reads a long text, as [`States::step_all`] does. What a character does to many states is
    /// found out once and kept, so that a pattern and a path of 4 KiB each take less than a
    /// millisecond, whatever they are.
    pub(super) fn step_long(&mut self, glob: &Glob, text: &[u8]) -> bool {
        let mut known: BTreeMap<u8, Box<[u64]>> = BTreeMap::new();
        text.iter().all(|byte| {
            let tokens = glob.0.tokens.chunks(64);
            let fitting = known
                .entry(*byte)
                .or_insert_with(|| tokens.map(|tokens| fitting(tokens, *byte)).collect());
            self.step_with(glob, *byte, |word, index, _| {
                word & fitting.get(index).copied().unwrap_or_default()
            })
        })
    }

    /// Reads one character. Returns whether any state is left.
    pub(in crate::core::store) fn step(&mut self, glob: &Glob, byte: u8) -> bool {
        self.step_with(glob, byte, |word, _, tokens| advance(word, tokens, byte))
    }

    /// Reads one character, given which states of a word, by its index and its tokens, it moves on.
    fn step_with(
        &mut self,
        glob: &Glob,
        byte: u8,
        advance: impl Fn(u64, usize, &[u8]) -> u64,
    ) -> bool {
        let pattern = &*glob.0;
        let stay = if byte == b'/' {
            &pattern.deep
        } else {
            &pattern.stars
        };
        let (mut moved, mut closed, mut alive) = (0, 0, false);
        let words = self.0.as_mut().iter_mut();
        for (index, word) in words.enumerate() {
            let (Some(stay), Some(stars)) = (stay.get(index), pattern.stars.get(index)) else {
                break;
            };
            if *word | moved | closed == 0 {
                continue;
            }
            let tokens = pattern.tokens.get(index * 64..).unwrap_or_default();
            let advance = advance(*word, index, tokens);
            *word = (advance << 1 | moved) | (*word & stay);
            moved = advance >> 63;
            closed = close(word, *stars, closed);
            alive |= *word != 0;
        }
        alive
    }

    /// Whether the text read so far is a match.
    pub(in crate::core::store) fn is_accepting(&self, glob: &Glob) -> bool {
        self.contains(glob.0.tokens.len())
    }

    /// Whether whatever follows will be a match.
    pub(in crate::core::store) fn is_universal(&self, glob: &Glob) -> bool {
        let tokens = &glob.0.tokens;
        tokens.last() == Some(&DEEP) && self.contains(tokens.len() - 1)
    }

    /// Whether every text without `/` that follows will be a match, and no other.
    pub(in crate::core::store) fn is_any_name(&self, glob: &Glob) -> bool {
        let tokens = &glob.0.tokens;
        tokens.last() == Some(&STAR)
            && self.contains(tokens.len() - 1)
            && self.count() == 1 + u32::from(self.is_accepting(glob))
    }

    /// What must follow up to the next wildcard, `/` or end, and whether that is a whole name. An
    /// empty text tells nothing.
    pub(in crate::core::store) fn required<'g>(&self, glob: &'g Glob) -> (&'g [u8], bool) {
        let tokens = &glob.0.tokens;
        if self.count() != 1 {
            return (&[], false);
        }
        let mut words = self.0.as_ref().iter().enumerate();
        let state = words
            .find(|(_, word)| **word != 0)
            .map_or(0, |(index, word)| {
                index * 64 + word.trailing_zeros() as usize
            });
        let rest = tokens.get(state..).unwrap_or_default();
        let len = rest
            .iter()
            .take_while(|t| !matches!(**t, ONE | STAR | DEEP | b'/'))
            .count();
        let whole = matches!(rest.get(len), None | Some(b'/'));
        (rest.get(..len).unwrap_or_default(), whole)
    }

    fn contains(&self, state: usize) -> bool {
        let word = self.0.as_ref().get(state / 64);
        word.is_some_and(|word| word >> (state % 64) & 1 == 1)
    }

    fn count(&self) -> u32 {
        self.0.as_ref().iter().map(|word| word.count_ones()).sum()
    }
}

/// Adds the states behind stars, as a star may match nothing. No two stars are neighbours, so once
/// is enough. Returns the state carried into the following word.
fn close(word: &mut u64, stars: u64, carry: u64) -> u64 {
    *word |= carry;
    let behind = *word & stars;
    *word |= behind << 1;
    behind >> 63
}

/// The states of a word whose token is one character that `byte` may be.
fn advance(word: u64, tokens: &[u8], byte: u8) -> u64 {
    // `?` is the one wildcard that stands for a single character, and never for `/`.
    let one = if byte == b'/' { byte } else { ONE };
    let mut advance = 0;
    if word.count_ones() <= SPARSE_MAX {
        let mut rest = word;
        while rest != 0 {
            let state = rest.trailing_zeros();
            rest &= rest - 1;
            let token = tokens.get(state as usize);
            if token == Some(&byte) || token == Some(&one) {
                advance |= 1 << state;
            }
        }
        return advance;
    }
    word & fitting(tokens, byte)
}

/// The states of a word whose token is one character that `byte` may be, whether it is in them or
/// not.
fn fitting(tokens: &[u8], byte: u8) -> u64 {
    let one = if byte == b'/' { byte } else { ONE };
    let states = tokens.iter().take(64).enumerate();
    states.fold(0, |set, (state, token)| {
        set | u64::from(*token == byte || *token == one) << state
    })
}

impl Words {
    fn as_ref(&self) -> &[u64] {
        match self {
            Words::One(word) => std::slice::from_ref(word),
            Words::Many(words) => words,
        }
    }

    fn as_mut(&mut self) -> &mut [u64] {
        match self {
            Words::One(word) => std::slice::from_mut(word),
            Words::Many(words) => words,
        }
    }
}
