//! The agreed log: what a slot may hold, and in which words nodes ask for changes.

mod command;
mod entry;
mod restore;

pub use command::{Author, Op, Seq};
pub use entry::{Batch, Entry, Run};
pub use restore::{RESTORE_BYTES, RESTORED_FILE_BYTES, RESTORED_REV_MAX, Restore, RestoredFile};
