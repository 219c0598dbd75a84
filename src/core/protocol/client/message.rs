//! Requests and responses.

#![allow(
    clippy::len_without_is_empty,
    reason = "the accessor that prost derives for the field `len` tells no size of its own"
)]

use crate::core::instrument::planted;
use bytes::Bytes;

/// `flags` of an answer to WAIT and WALK: the file was set.
pub const FLAG_SET: i32 = 4;
/// `flags` of an answer to WAIT: the file was deleted.
pub const FLAG_DEL: i32 = 8;
/// `rev` of a missing file.
pub const REV_MISSING: i64 = 0;
/// `rev` in a request that accepts whatever revision the file has.
pub const REV_CLOBBER: i64 = -1;
/// `rev` of a directory.
pub const REV_DIR: i64 = -2;

/// What a client asks for. Presence of a field is significant: MISSING_ARG tells of absence.
///
/// Field numbers 3 and 8 belonged to older versions of the protocol and stay unused.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Request {
    /// Chosen by the client, echoed in the answer.
    #[prost(int32, optional, tag = "1")]
    pub tag: Option<i32>,
    /// A [`Verb`] by number; kept as a number, since unknown ones are answered and not refused.
    #[prost(int32, optional, tag = "2")]
    pub verb: Option<i32>,
    /// Path or pattern. Bytes, as the decoder does not check strings for UTF-8.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub path: Option<Bytes>,
    /// Content of the file, or the secret of ACCESS.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub value: Option<Bytes>,
    /// A remnant: decoded, so that its wire type is checked, and ignored.
    #[prost(int32, optional, tag = "6")]
    pub other_tag: Option<i32>,
    /// Index for GETDIR and WALK.
    #[prost(int32, optional, tag = "7")]
    pub offset: Option<i32>,
    /// A revision; what it means depends on the verb.
    #[prost(int64, optional, tag = "9")]
    pub rev: Option<i64>,
    /// Reads: answer from this node's own copy, which may be stale (true), or with the latest
    /// state of the cluster (false). Absent: what the node was told by its `-reads` flag.
    /// Unknown to the original.
    #[prost(bool, optional, tag = "20")]
    pub local: Option<bool>,
    /// SET and DEL of a membership slot: do it even if that costs the majority, as far as this node
    /// can tell. RECOVER: do it although this node would advise against it. Unknown to the original.
    #[prost(bool, optional, tag = "21")]
    pub force: Option<bool>,
    /// SET and DEL: the file must have the revision (true), or no later one (false, absent), as the
    /// original has it, which lets a file be written that was deleted meanwhile. Unknown to the
    /// original.
    #[prost(bool, optional, tag = "22")]
    pub exact: Option<bool>,
}

/// An answer. Which fields are present is part of each verb's behaviour.
///
/// Field numbers 4 and 7 belonged to older versions of the protocol and stay unused.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Response {
    /// Copy of the request's tag; absent when that was.
    #[prost(int32, optional, tag = "1")]
    pub tag: Option<i32>,
    /// WAIT and WALK: [`FLAG_SET`], [`FLAG_DEL`] or 0.
    #[prost(int32, optional, tag = "2")]
    pub flags: Option<i32>,
    /// A revision.
    #[prost(int64, optional, tag = "3")]
    pub rev: Option<i64>,
    /// A path, or the name of an entry.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub path: Option<Bytes>,
    /// Content of a file.
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub value: Option<Bytes>,
    /// STAT: bytes in the file, or entries in the directory.
    #[prost(int32, optional, tag = "8")]
    pub len: Option<i32>,
    /// An [`ErrorCode`] by number; present exactly when the request failed.
    #[prost(int32, optional, tag = "100")]
    pub err_code: Option<i32>,
    /// What went wrong, in words; only with [`ErrorCode::Other`].
    #[prost(string, optional, tag = "101")]
    pub err_detail: Option<String>,
}

/// What to do. Retired numbers (0, 4, 8, 10 to 13, 17) are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Verb {
    /// Read a file.
    Get = 1,
    /// Write a file if its revision permits.
    Set = 2,
    /// Delete a file if its revision permits.
    Del = 3,
    /// The current revision of this node's store.
    Rev = 5,
    /// The first change at or after a revision that matches a pattern.
    Wait = 6,
    /// A no-op through consensus.
    Nop = 7,
    /// The n-th file that matches a pattern.
    Walk = 9,
    /// The name of the n-th entry of a directory.
    Getdir = 14,
    /// Length and revision.
    Stat = 16,
    /// The id of this node.
    Self_ = 20,
    /// What this node knows of itself and of the others: a [`Report`](super::Report) in `value`.
    /// Unknown to the original.
    Status = 32,
    /// Make a new cluster of what this node remembers; without a value, tell what that would come
    /// to. Unknown to the original.
    Recover = 33,
    /// The files that match a pattern, from the n-th on, as many as a message should hold:
    /// [`Files`](super::Files) in `value`, with none behind the last. Unknown to the original.
    Files = 34,
    /// A step of restoring a backup: a [`Restoration`](super::Restoration) in `value`. Unknown to the
    /// original.
    Restore = 35,
    /// Present a secret.
    Access = 99,
}

impl Verb {
    /// The verb with this number.
    pub fn from_number(number: i32) -> Option<Verb> {
        Some(match number {
            1 => Verb::Get,
            2 => Verb::Set,
            3 => Verb::Del,
            5 => Verb::Rev,
            6 => Verb::Wait,
            7 => Verb::Nop,
            9 => Verb::Walk,
            14 => Verb::Getdir,
            16 => Verb::Stat,
            20 => Verb::Self_,
            32 => Verb::Status,
            33 => Verb::Recover,
            34 => Verb::Files,
            35 => Verb::Restore,
            99 => Verb::Access,
            _ => return None,
        })
    }
}

impl Verb {
    /// Whether it puts something into the log.
    pub fn is_write(self) -> bool {
        matches!(self, Verb::Set | Verb::Del | Verb::Nop | Verb::Restore)
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(i32)]
pub enum ErrorCode {
    /// Never sent; the number is the original's.
    #[error("TAG_IN_USE")]
    TagInUse = 1,
    /// The verb is absent or not in the table.
    #[error("UNKNOWN_VERB")]
    UnknownVerb = 2,
    /// This node is not a member and takes no writes.
    #[error("READONLY")]
    Readonly = 3,
    /// The revision is older than the retained history.
    #[error("TOO_LATE")]
    TooLate = 4,
    /// The file has another revision than the one given.
    #[error("REV_MISMATCH")]
    RevMismatch = 5,
    /// The path is not well formed.
    #[error("BAD_PATH")]
    BadPath = 6,
    /// A field that the verb needs is absent.
    #[error("MISSING_ARG")]
    MissingArg = 7,
    /// The offset is outside the result.
    #[error("RANGE")]
    Range = 8,
    /// The path, or a proper prefix of it, is a file.
    #[error("NOTDIR")]
    Notdir = 20,
    /// The path is a directory.
    #[error("ISDIR")]
    Isdir = 21,
    /// There is no such directory.
    #[error("NOENT")]
    Noent = 22,
    /// Something else, told in `err_detail`.
    #[error("OTHER")]
    Other = 127,
}

impl ErrorCode {
    /// The code with this number.
    pub fn from_number(number: i32) -> Option<ErrorCode> {
        use ErrorCode::*;
        [
            TagInUse,
            UnknownVerb,
            Readonly,
            TooLate,
            RevMismatch,
            BadPath,
            MissingArg,
            Range,
            Notdir,
            Isdir,
            Noent,
            Other,
        ]
        .into_iter()
        .find(|code| *code as i32 == number)
    }
}

impl Response {
    /// An empty answer to the request with this tag.
    pub fn to(mut tag: Option<i32>) -> Response {
        if planted!(TagCut) {
            tag = tag.map(|tag| tag & 0xff);
        }
        Response {
            tag,
            ..Response::default()
        }
    }

    /// A refusal.
    pub fn refuse(tag: Option<i32>, code: ErrorCode) -> Response {
        Response {
            err_code: Some(code as i32),
            ..Response::to(tag)
        }
    }

    /// A refusal in words ([`ErrorCode::Other`]).
    pub fn refuse_with(tag: Option<i32>, detail: impl Into<String>) -> Response {
        Response {
            err_detail: Some(detail.into()),
            ..Response::refuse(tag, ErrorCode::Other)
        }
    }

    /// The error, if this is a refusal. A number outside the table counts as
    /// [`ErrorCode::Other`].
    pub fn error(&self) -> Option<ErrorCode> {
        self.err_code
            .map(|code| ErrorCode::from_number(code).unwrap_or(ErrorCode::Other))
    }
}
