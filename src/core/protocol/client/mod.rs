//! The client protocol: what the original server speaks, field for field.
//!
//! Both directions carry frames: a four-byte big-endian length, then that many bytes of one
//! protocol buffer message ([`Request`] or [`Response`]). New abilities are new verbs and new
//! optional fields with fresh numbers, which old clients never notice.

mod backup;
pub mod detail;
mod frame;
mod message;
mod report;

pub use backup::{Begin, Commit, FileAt, Files, Part, Restoration, Step};
pub use frame::{FrameError, HEADER_BYTES, decode_frame, encode_frame};
pub use message::{
    ErrorCode, FLAG_DEL, FLAG_SET, REV_CLOBBER, REV_DIR, REV_MISSING, Request, Response, Verb,
};
pub use report::{Disk, Known, Report, Seat};

#[cfg(test)]
mod tests;
