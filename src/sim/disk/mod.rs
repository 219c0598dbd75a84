//! Virtual disks: what a machine has written, when it is durable, and what a crash leaves of it.
//!
//! A process that keeps a data directory runs the same code on it as in production
//! ([`crate::core::durable`]): that code runs at once and gives a list of operations, which are
//! done one after the other in simulated time ([`device`]). A death in between leaves those that
//! were done: when only the process dies, all of what it has written ([`Fate::Written`]); when the
//! power goes, what was synced, and of the rest any part ([`Fate::Synced`], [`volume`]).
//!
//! Without a data directory records are durable at once, and whoever dies is forgotten.

pub mod damage;
pub mod device;
mod storage;
#[cfg(test)]
mod tests;
pub mod volume;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use damage::{DAMAGES, Damage, Damaged};
pub use device::{Device, Handle, Lane};
pub use storage::Storage;

/// Whether processes have a data directory, and how long it takes until records are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// They keep nothing.
    AtOnce,
    /// A sync takes between half and three halves of this.
    Syncs(Duration),
}

/// What is left of a disk when its process dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Nothing: the machine is lost, and another takes its place.
    #[default]
    Gone,
    /// All that was written: the process dies, and its system lives.
    Written,
    /// What was synced, and any part of what was not: the power goes.
    Synced,
}
