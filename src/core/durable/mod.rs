//! What must not be forgotten: the records that a node writes ahead of what depends on them.

mod record;

pub use record::Record;
