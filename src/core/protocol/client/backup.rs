//! Many files at a time: what FILES answers, and what RESTORE takes.

use bytes::Bytes;

/// A file with the revision that wrote it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FileAt {
    /// Its path.
    #[prost(bytes = "bytes", tag = "1")]
    pub path: Bytes,
    /// The revision that wrote it.
    #[prost(uint64, tag = "2")]
    pub rev: u64,
    /// Its content.
    #[prost(bytes = "bytes", tag = "3")]
    pub value: Bytes,
}

/// The answer to FILES: files in the order of WALK.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Files {
    /// The files.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileAt>,
}

/// What RESTORE is to do.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Restoration {
    /// Names the restoration; chosen at random.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The step.
    #[prost(oneof = "Step", tags = "2, 3, 4")]
    pub step: Option<Step>,
}

/// A step of a restoration. They come in the order of these variants.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Step {
    /// It begins.
    #[prost(message, tag = "2")]
    Begin(Begin),
    /// Some of its files.
    #[prost(message, tag = "3")]
    Part(Part),
    /// All have come.
    #[prost(message, tag = "4")]
    Commit(Commit),
}

/// A restoration begins.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Begin {
    /// The revision that it will take: above those of the backup and of the cluster.
    #[prost(uint64, tag = "1")]
    pub rev: u64,
    /// Files keep the revisions that they come with, which are up to this one; with 0 they take that
    /// of the restoration.
    #[prost(uint64, tag = "2")]
    pub kept: u64,
    /// Files that are there now go.
    #[prost(bool, tag = "3")]
    pub replace: bool,
}

/// Files of a restoration. May come twice.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Part {
    /// Counts these steps from 0.
    #[prost(uint64, tag = "1")]
    pub step: u64,
    /// The files.
    #[prost(message, repeated, tag = "2")]
    pub files: Vec<FileAt>,
}

/// All files of a restoration have come.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Commit {
    /// How many.
    #[prost(uint64, tag = "1")]
    pub files: u64,
}
