//! How a cluster is: every member, standby and vacancy, and whether it works, in one piece of data
//! that is the same for people, scripts and pages.
//!
//! Each process answers STATUS with what it knows ([`Report`]), without asking anybody. A
//! [`Status`] puts together what several of them said, and what came of asking the others. Nothing
//! in here talks to anybody: [`crate::client::status`] does.

mod assemble;
mod health;

#[cfg(test)]
mod tests;

pub use health::span;

use serde::{Deserialize, Serialize};

use crate::core::protocol::client::Report;

/// Slots that a process may be behind before that is worth a word: a busy cluster decides so many
/// in a fraction of a second.
pub const LAG_MAX: u64 = 1_000;

/// What came of asking whoever is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The address, as it is written in `/ctl/node/<id>/addr` or was given by the user.
    pub addr: String,
    /// What was said, or why nothing was.
    pub said: Result<Report, NoAnswer>,
}

/// Why somebody did not say anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// In words.
    pub reason: String,
    /// The machine says that nobody listens there: the process has ended.
    pub is_gone: bool,
}

/// How a cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The name of the cluster.
    pub cluster: String,
    /// How it is in a word.
    pub health: Health,
    /// How it is in a line, for people.
    pub summary: String,
    /// What is wrong, a line each; nothing if it is healthy.
    pub problems: Vec<String>,
    /// A change of the members is coming into force, which takes a few round trips. Until it is, a
    /// majority of those who were members before is needed as well.
    pub changing: bool,
    /// How many of the members that are up may fail before no majority is left.
    pub may_fail: usize,
    /// The highest revision that anybody who answered has.
    pub rev: u64,
    /// The last slot of the log that anybody who answered has applied.
    pub applied: u64,
    /// Members in the order of their slots, then standbys by address.
    pub processes: Vec<Process>,
    /// The names of the slots that nobody holds.
    pub vacancies: Vec<String>,
}

/// How a cluster is in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It works, and everybody who should be there is.
    Healthy,
    /// It works, and something is wrong.
    Degraded,
    /// No majority of the members is up. It may come back.
    NoMajority,
    /// So many members have ended that no majority of them can come back.
    Lost,
}

/// A process of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub id: String,
    /// What it is.
    pub role: Role,
    /// The name of the slot that it holds.
    pub slot: Option<String>,
    /// Where it can be reached; empty if it has not registered.
    pub addr: String,
    /// The name of its machine.
    pub hostname: String,
    /// The version of the program.
    pub version: String,
    /// Whether it may put commands into the log. Every process takes writes or leads to one that
    /// does; owning slots saves them a way.
    pub owner: bool,
    /// How it is.
    pub state: State,
    /// What there is to say about its state.
    pub note: Option<String>,
    /// The last slot of the log that it has applied, as far as is known.
    pub applied: u64,
    /// The revision of its copy of the store; absent if it did not answer.
    pub rev: Option<u64>,
    /// How many slots it has not applied of those that somebody had applied before it was asked.
    pub lag: u64,
    /// For how many milliseconds nothing was heard of it by the one of the others that heard it
    /// last; absent if nobody ever did.
    pub heard_ms: Option<u64>,
    /// For how many milliseconds it has been running; absent if it did not answer.
    pub uptime_ms: Option<u64>,
    /// Where its web view is; absent if it has none or did not answer.
    pub web: Option<String>,
    /// Whether it has a data directory; absent if it did not answer.
    pub durable: Option<bool>,
    /// How it is connected to each of the others, as it says itself; nothing if it did not answer.
    pub links: Vec<Link>,
    /// How its log on disk is doing; absent if it has none, or did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// How one process hears another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The id of the other.
    pub to: String,
    /// Whether it is heard.
    pub heard: bool,
    /// The smoothed round trip in microseconds, once measured.
    pub round_trip_us: Option<u64>,
}

/// How the log of a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Times that it made records durable since it was started.
    pub syncs: u64,
    /// Records that it made durable by these.
    pub records: u64,
    /// Syncs a second, over the last five to ten seconds.
    pub syncs_per_second: u64,
    /// Records that a thousand syncs made durable then: the mean size of a group.
    pub records_per_1000_syncs: u64,
}

/// What a process is in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It holds a slot, or votes until the change that takes its slot away is in force.
    Member,
    /// It has a copy of everything, and does not vote.
    Standby,
}

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It answers, and hears a majority of the members.
    Up,
    /// It answers, and is about to leave the cluster.
    Leaving,
    /// It answers, and does not hear a majority of the members.
    CutOff,
    /// Others hear it, and it does not answer whoever asks here.
    Unreached,
    /// Nobody hears it, and it does not answer. It may come back.
    Silent,
    /// Nobody hears it, and it is not at its address any more: it has ended.
    Gone,
}

impl State {
    /// Whether it takes part.
    pub fn is_up(self) -> bool {
        matches!(self, State::Up | State::Leaving | State::Unreached)
    }
}
