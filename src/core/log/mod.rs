//! The agreed log: what a slot may hold, and in which words nodes ask for changes.

mod command;
mod entry;

pub use command::{Author, Op, Seq};
pub use entry::{Batch, Entry, Run};
