//! Backups: the contents of a cluster as lines of text, and as a journal of every change.
//!
//! * `line.rs`: a line of JSON with a checksum.
//! * `contents.rs`: all files at one revision, and how changes alter them.
//! * `dump.rs`: contents as lines, and back.
//! * `log.rs`: changes as lines, and back.
//! * `plan.rs`: the steps that put contents into a cluster.
//! * `chain.rs`: what the files of a journal say.
//! * `directory.rs`: the files of a journal, and how they are written.
//!
//! All but the last two are pure functions of bytes.

mod chain;
mod contents;
mod directory;
mod dump;
mod line;
mod log;
mod plan;
#[cfg(test)]
mod tests;

pub use chain::{Reading, read_journal};
pub use contents::{Change, Content, Contents, Gap, Op};
pub use directory::{Journal, JournalError, LOG_BYTES_MIN, Outlook};
pub use dump::{Origin, encode_dump, read_dump};
pub use line::{Damage, DamageKind, seal};
pub use log::{Batch, Log, LogHead, read_log};
pub use plan::{Order, Plan, REV_STRIDE};
