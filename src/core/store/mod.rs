//! The store: a tree of small files addressed by revision.

mod apply;
mod condition;
mod cursors;
mod event;
mod glob;
mod history;
mod mutation;
mod path;
mod restore;
mod snapshot;
#[cfg(test)]
mod tests;
mod tree;
mod view;
mod walk;
mod watches;

pub use apply::{Outcome, Store, TooLate, Unreadable};
pub use condition::Condition;
pub use event::{EVENT_BYTES, Event, EventKind, LEVEL_BYTES, Refusal};
pub use glob::{Glob, GlobError};
pub use history::HistoryLimits;
pub use mutation::{Mutation, Value};
pub use path::{Path, PathError};
pub use restore::Misplaced;
pub use snapshot::{Export, ImportError, Importer, PIECE_BYTES, PIECE_BYTES_MAX};
pub use view::{Found, View};
pub use watches::{WatchId, Watches};
