//! Faults: what can go wrong, to whom, for how long, each complete in itself.
//!
//! A fault names hosts and clients, which keep their numbers whatever else happens, never processes:
//! taking one fault away from a list leaves the others what they were.
//!
//! Nothing takes the majority of a configuration away for good that may still decide a slot, be it
//! that they keep nothing on disk, or that too many of their disks are lost or damaged: that would
//! end the cluster, and rightly. Those that come back with their disks may all die at once.

mod clients;
mod disks;
mod links;
mod processes;

use serde::{Deserialize, Serialize};

use super::disk::{Damage, Fate};
use super::machine::Machine;
use super::narration::{Happened, Place};
use super::process::HostId;
use super::world::World;

pub(super) use processes::{Doom, Farewell, NEVER_TROUBLED};

/// Later than any run ends, in microseconds.
pub(super) const NEVER_US: u64 = 1 << 40;

fn never() -> u64 {
    NEVER_US
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this shape"
)]
fn is_never(us: &u64) -> bool {
    *us >= NEVER_US
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this shape"
)]
fn is_gone(fate: &Fate) -> bool {
    *fate == Fate::Gone
}

/// Something that goes wrong. Spans are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// A process dies. If nothing is left of its disk, or it has none, another with a fresh id joins
    /// some time later; else it comes back as who it was.
    Crash {
        /// Where the process runs.
        host: HostId,
        /// At which point of what it does.
        #[serde(default)]
        moment: Moment,
        /// What is left of its disk.
        #[serde(default, skip_serializing_if = "is_gone")]
        disk: Fate,
        /// When it comes back it dies once more, after so many operations on its disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relapse: Option<u64>,
        /// When another one starts; never unless told.
        #[serde(default = "never", skip_serializing_if = "is_never")]
        back_us: u64,
        /// Where that one runs: on the same host unless told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back_host: Option<HostId>,
    },
    /// The power goes on several hosts at once. Those that have a disk come back as who they were.
    PowerLoss {
        /// The hosts, in the order in which they come back.
        hosts: Vec<HostId>,
        /// When the first one comes back.
        back_us: u64,
        /// Time between one and the next.
        #[serde(default)]
        step_us: u64,
        /// When they come back they die once more, after so many operations on their disks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relapse: Option<u64>,
    },
    /// An operation on a disk fails, and its process stops.
    DiskError {
        /// The host.
        host: HostId,
        /// After so many other operations.
        after: u64,
        /// When the process is started again, counted from its end.
        back_us: u64,
    },
    /// No space is left on a disk, and its process stops when it needs some.
    DiskFull {
        /// The host.
        host: HostId,
        /// When there is space again, and the process is started again.
        span_us: u64,
    },
    /// The syncs of a disk take long.
    SlowDisk {
        /// The host.
        host: HostId,
        /// How many times longer.
        times: u64,
        /// For how long this goes on.
        span_us: u64,
    },
    /// A process dies, and its disk loses something that was durable, in a way that can be noticed.
    DiskDamage {
        /// The host.
        host: HostId,
        /// What happens to the disk.
        damage: Damage,
        /// When the process is started again.
        back_us: u64,
    },
    /// A process ends as its operator wants it to: what it has said is still delivered, and all its
    /// connections are closed. Another one joins some time later.
    Stop {
        /// Where the process runs.
        host: HostId,
        /// When another one starts; never unless told.
        #[serde(default = "never", skip_serializing_if = "is_never")]
        back_us: u64,
        /// Where that one runs: on the same host unless told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back_host: Option<HostId>,
    },
    /// A process is asked to end, as an init system does it: it gives its slot up, finishes what its
    /// clients sent, and ends when it says so. Another one joins some time after that.
    Leave {
        /// Where the process runs.
        host: HostId,
        /// When it is killed, if it has not ended by then; never unless told.
        #[serde(default = "never", skip_serializing_if = "is_never")]
        kill_us: u64,
        /// When another one starts, counted from its end; never unless told.
        #[serde(default = "never", skip_serializing_if = "is_never")]
        back_us: u64,
        /// Where that one runs: on the same host unless told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back_host: Option<HostId>,
    },
    /// Processes are asked to end one after the other, and others take their places on their hosts.
    RollingRestart {
        /// Where they run, in order.
        hosts: Vec<HostId>,
        /// Time between one and the next.
        step_us: u64,
        /// When another one starts, counted from the end of its predecessor.
        back_us: u64,
    },
    /// A further process starts, if nothing runs on the host.
    Start {
        /// Where.
        host: HostId,
    },
    /// A process stands still, and meanwhile another one is started under its address. When the old
    /// one goes on, both live, and whoever dials the address reaches the new one.
    Takeover {
        /// Where both run.
        host: HostId,
        /// For how long the old one stands still.
        span_us: u64,
    },
    /// A process stands still: its inputs queue up, its timers are late.
    Pause {
        /// Where the process runs.
        host: HostId,
        /// For how long.
        span_us: u64,
    },
    /// Several processes stand still at once.
    Freeze {
        /// Where they run.
        hosts: Vec<HostId>,
        /// For how long.
        span_us: u64,
    },
    /// A machine sleeps: its process stands still, and so does its clock.
    Suspend {
        /// Where the process runs.
        host: HostId,
        /// For how long.
        span_us: u64,
    },
    /// A process computes slowly.
    Slow {
        /// Where the process runs.
        host: HostId,
        /// How many times slower.
        times: u64,
        /// For how long.
        span_us: u64,
    },
    /// A clock jumps ahead.
    ClockJump {
        /// Where the process runs.
        host: HostId,
        /// How far.
        ahead_us: u64,
    },
    /// A clock runs at another pace from now on.
    ClockPace {
        /// Where the process runs.
        host: HostId,
        /// Its microseconds for each million of true ones.
        pace_ppm: u64,
    },
    /// Messages from some hosts to others vanish.
    Cut {
        /// From where.
        from: Vec<HostId>,
        /// To where.
        to: Vec<HostId>,
        /// Whether those back vanish, too.
        both_ways: bool,
        /// For how long.
        span_us: u64,
    },
    /// Two hosts lose and find each other several times.
    Flap {
        /// One host.
        one: HostId,
        /// The other.
        other: HostId,
        /// How often they lose each other.
        times: u64,
        /// How long they lose each other, and find each other, at a time.
        span_us: u64,
    },
    /// Messages wait on their way, and then all arrive.
    Clog {
        /// From where to where.
        links: Vec<(HostId, HostId)>,
        /// For how long.
        span_us: u64,
    },
    /// Hosts are clogged one by one, and freed in another order.
    Swizzle {
        /// In which order they are clogged.
        clog: Vec<HostId>,
        /// In which order they are freed: the same hosts.
        free: Vec<HostId>,
        /// Time between two hosts, and between the last one clogged and the first one freed.
        step_us: u64,
    },
    /// Messages take longer than elsewhere.
    Lag {
        /// From where to where.
        links: Vec<(HostId, HostId)>,
        /// How much longer each.
        extra_us: u64,
        /// For how long this goes on.
        span_us: u64,
    },
    /// Connections break, and their openers are told. What is on its way arrives.
    Reset {
        /// From where to where they go.
        links: Vec<(HostId, HostId)>,
    },
    /// Connections break, and what is on its way is lost.
    Abort {
        /// From where to where they go.
        links: Vec<(HostId, HostId)>,
    },
    /// Connections break within the next message on each: its beginning arrives.
    Tear {
        /// From where to where they go.
        links: Vec<(HostId, HostId)>,
    },
    /// Bits of the next message on each connection are turned round.
    Corrupt {
        /// From where to where they go.
        links: Vec<(HostId, HostId)>,
        /// How many bits.
        bits: u32,
    },
    /// Connections carry nothing, and nobody is told for some time.
    HalfOpen {
        /// From where to where they go.
        links: Vec<(HostId, HostId)>,
    },
    /// New connections to a host, of peers and clients, are refused at once.
    Refuse {
        /// The host.
        host: HostId,
        /// For how long.
        span_us: u64,
    },
    /// Attempts to connect to a host, of peers and clients, hang until they are given up.
    Hang {
        /// The host.
        host: HostId,
        /// For how long.
        span_us: u64,
    },
    /// The connection of a client breaks. What is on its way arrives.
    Hangup {
        /// The client.
        client: usize,
    },
    /// The connection of a client breaks, and what is on its way is lost.
    ClientAbort {
        /// The client.
        client: usize,
    },
    /// The connection of a client carries nothing, and neither end is told for some time.
    ClientHalfOpen {
        /// The client.
        client: usize,
    },
    /// Frames between clients and hosts do not get through: they are late if this is short, and
    /// lost with their connection if it is long.
    ClientCut {
        /// The clients.
        clients: Vec<usize>,
        /// The hosts.
        hosts: Vec<HostId>,
        /// For how long.
        span_us: u64,
    },
    /// A client leaves its node without waiting for its answers, and goes elsewhere.
    Move {
        /// The client.
        client: usize,
    },
    /// A client takes none of its answers for some time.
    SlowReader {
        /// The client.
        client: usize,
        /// For how long.
        span_us: u64,
    },
    /// Many clients connect, ask little, and leave.
    Storm {
        /// To which host.
        host: HostId,
        /// How many.
        clients: u64,
    },
    /// One client asks for much, all at once, and takes no answers for some time.
    Glutton {
        /// The host.
        host: HostId,
        /// How many requests.
        requests: u64,
        /// For how long it takes no answers.
        span_us: u64,
    },
    /// An operator clears a membership slot, be its holder dead or alive, so that a standby takes
    /// it.
    Vacate {
        /// The slot: `/ctl/cal/<slot>`.
        slot: u64,
    },
    /// An operator creates a membership slot, if it is not there.
    AddSlot {
        /// The slot.
        slot: u64,
    },
    /// An operator deletes a membership slot: there is one member less.
    RemoveSlot {
        /// The slot.
        slot: u64,
    },
    /// An operator makes a new cluster of what one process knows, as the majority is lost for good.
    Recover {
        /// Where that process runs.
        host: HostId,
    },
    /// All cuts, clogs and lags end.
    Mend,
}

/// At which point of what a process does it dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Between two turns.
    #[default]
    Now,
    /// In its next turn that does anything, after so many things that it does to the world.
    InTurn(u64),
    /// So many microseconds after the next turn that leaves records unsynced.
    Unsynced(u64),
}

/// A fault at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in microseconds since the storm began.
    pub at_us: u64,
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
}

impl<M: Machine> World<M> {
    /// Does one fault. Those that name a host on which nothing runs do nothing to it.
    pub(super) fn inflict(&mut self, fault: Fault) {
        self.tell(Place::World, || Happened::Struck(&fault));
        self.stats.faults += 1;
        let at_us = self.now.since(self.storm_began).as_micros() as u64;
        self.befall(&fault);
        self.inflicted.push(Event { at_us, fault });
    }

    fn befall(&mut self, fault: &Fault) {
        match fault {
            Fault::PowerLoss { .. }
            | Fault::DiskError { .. }
            | Fault::DiskFull { .. }
            | Fault::SlowDisk { .. }
            | Fault::DiskDamage { .. } => self.befall_disks(fault),
            Fault::Crash { .. }
            | Fault::Stop { .. }
            | Fault::Leave { .. }
            | Fault::RollingRestart { .. }
            | Fault::Start { .. }
            | Fault::Takeover { .. }
            | Fault::Pause { .. }
            | Fault::Freeze { .. }
            | Fault::Suspend { .. }
            | Fault::Slow { .. }
            | Fault::ClockJump { .. }
            | Fault::ClockPace { .. } => self.befall_process(fault),
            Fault::Cut { .. }
            | Fault::Flap { .. }
            | Fault::Clog { .. }
            | Fault::Swizzle { .. }
            | Fault::Lag { .. }
            | Fault::Reset { .. }
            | Fault::Abort { .. }
            | Fault::Tear { .. }
            | Fault::Corrupt { .. }
            | Fault::HalfOpen { .. }
            | Fault::Refuse { .. }
            | Fault::Hang { .. }
            | Fault::Mend => self.befall_links(fault),
            Fault::Hangup { .. }
            | Fault::ClientAbort { .. }
            | Fault::ClientHalfOpen { .. }
            | Fault::ClientCut { .. }
            | Fault::Move { .. }
            | Fault::SlowReader { .. }
            | Fault::Storm { .. }
            | Fault::Glutton { .. }
            | Fault::Vacate { .. }
            | Fault::AddSlot { .. }
            | Fault::RemoveSlot { .. }
            | Fault::Recover { .. } => self.befall_clients(fault),
        }
    }
}

#[cfg(test)]
mod tests;
