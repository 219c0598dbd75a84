//! The checkers, one file for each property. Some look at every turn of every node, the others at
//! the whole history when a run has ended.

pub mod acceptors;
pub mod agreement;
pub mod bounds;
pub mod chronicle;
pub mod configuration;
pub mod counters;
pub mod decisions;
pub mod edge;
pub mod evictions;
pub mod linearizability;
pub mod lists;
pub mod locks;
pub mod observer;
pub mod once;
pub mod remains;
pub mod revisions;
pub mod search;
pub mod sequence;
pub mod takeover;
pub mod watch;

#[cfg(test)]
mod story;

use std::fmt;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property, as a sentence.
    pub property: &'static str,
    /// How it was broken.
    pub detail: String,
}

impl Violation {
    /// A broken rule.
    pub fn new(property: &'static str, detail: impl Into<String>) -> Violation {
        Violation {
            property,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "violated: {}: {}", self.property, self.detail)
    }
}
