//! What one process knows of its cluster: the answer to STATUS. It is a protocol buffer message as
//! the others are, so that old programs read those of later versions.

use crate::core::membership::quorum;

/// What a process knows of itself and of the others, at one moment. Nobody else was asked for it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Report {
    /// Who tells.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The name of the cluster.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// The version of the program.
    #[prost(string, tag = "3")]
    pub version: String,
    /// For how long the process has been running, in milliseconds.
    #[prost(uint64, tag = "4")]
    pub uptime_ms: u64,
    /// The last slot of the log that it has applied.
    #[prost(uint64, tag = "5")]
    pub applied: u64,
    /// The highest slot that it has seen anybody use.
    #[prost(uint64, tag = "6")]
    pub seen: u64,
    /// The revision of its copy of the store.
    #[prost(uint64, tag = "7")]
    pub rev: u64,
    /// The ids of those who vote.
    #[prost(string, repeated, tag = "8")]
    pub voters: Vec<String>,
    /// The ids of those who may put commands into the log.
    #[prost(string, repeated, tag = "9")]
    pub owners: Vec<String>,
    /// How long a majority must not hear a process before it is put out, in milliseconds.
    #[prost(uint64, tag = "10")]
    pub timeout_ms: u64,
    /// The files `/ctl/cal/*`, by name.
    #[prost(message, repeated, tag = "11")]
    pub seats: Vec<Seat>,
    /// Every process that holds a slot, votes or is registered, by id; this one included.
    #[prost(message, repeated, tag = "12")]
    pub known: Vec<Known>,
    /// It is about to leave the cluster.
    #[prost(bool, tag = "13")]
    pub leaving: bool,
    /// While a change of who votes is coming into force: the ids of those who voted before. Until it
    /// is, a majority of them is needed as well.
    #[prost(string, repeated, tag = "14")]
    pub voters_before: Vec<String>,
    /// It has a data directory, and may come back with its memory when it has ended.
    #[prost(bool, tag = "15")]
    pub durable: bool,
    /// The address of its web view; empty if it has none.
    #[prost(string, tag = "16")]
    pub web: String,
    /// The oldest revision that it can tell of.
    #[prost(uint64, tag = "17")]
    pub oldest: u64,
    /// Which cluster it belongs to: its generation, and the id of who founded that. Another cluster of
    /// the same name has another one, and so has this one when it was recovered.
    #[prost(string, tag = "20")]
    pub lineage: String,
    /// How often the cluster was recovered, plus one.
    #[prost(uint32, tag = "21")]
    pub generation: u32,
    /// How its log on disk is doing; absent if it has none.
    #[prost(message, optional, tag = "18")]
    pub disk: Option<Disk>,
}

/// How the log of a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Disk {
    /// Times that it made records durable since it was started.
    #[prost(uint64, tag = "1")]
    pub syncs: u64,
    /// Records that it made durable by these.
    #[prost(uint64, tag = "2")]
    pub records: u64,
    /// Syncs a second, lately.
    #[prost(uint64, tag = "3")]
    pub syncs_per_second: u64,
    /// Records that a thousand syncs have made durable, lately: the mean size of a group.
    #[prost(uint64, tag = "4")]
    pub records_per_1000_syncs: u64,
}

/// A membership slot.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Seat {
    /// Its name: `1` for `/ctl/cal/1`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The id of who holds it; empty for a vacancy.
    #[prost(string, tag = "2")]
    pub holder: String,
}

/// A process, as another one sees it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Known {
    /// Who it is.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The file `addr`; empty if it is not registered.
    #[prost(string, tag = "2")]
    pub addr: String,
    /// The file `hostname`.
    #[prost(string, tag = "3")]
    pub hostname: String,
    /// The file `version`.
    #[prost(string, tag = "4")]
    pub version: String,
    /// Whether it is heard. Who tells hears itself.
    #[prost(bool, tag = "5")]
    pub heard: bool,
    /// For how long nothing was heard of it, in milliseconds; absent if it never was.
    #[prost(uint64, optional, tag = "6")]
    pub silence_ms: Option<u64>,
    /// The last slot that it is known to have applied.
    #[prost(uint64, tag = "7")]
    pub applied: u64,
    /// The smoothed round trip to it in microseconds, once measured.
    #[prost(uint64, optional, tag = "8")]
    pub round_trip_us: Option<u64>,
}

impl Report {
    /// Whether a change of who votes is coming into force.
    pub fn is_changing(&self) -> bool {
        !self.voters_before.is_empty()
    }

    /// Those whose majority is needed, one list, or two during a change.
    pub fn electorates(&self) -> impl Iterator<Item = &[String]> {
        let all = [self.voters.as_slice(), self.voters_before.as_slice()];
        all.into_iter().filter(|ids| !ids.is_empty())
    }

    /// How many of these are heard, this process included.
    pub fn heard_of(&self, ids: &[String]) -> usize {
        let is_heard = |id: &&String| {
            let mut known = self.known.iter();
            known.any(|known| known.id == **id && known.heard)
        };
        ids.iter().filter(is_heard).count()
    }

    /// Those whose majority is needed and not heard, if there are any.
    pub fn missed(&self) -> Option<&[String]> {
        let is_missed = |ids: &&[String]| self.heard_of(ids) < quorum(ids.len());
        self.electorates().find(is_missed)
    }

    /// Whether everybody is heard who is needed to decide something.
    pub fn has_majority(&self) -> bool {
        !self.voters.is_empty() && self.missed().is_none()
    }
}
