//! The world: one event loop over the processes, their connections, their clients and the nemesis.

mod happening;
mod healing;
mod lineages;
mod links;
mod lives;
mod memory;
mod sessions;
mod telling;
mod turns;
mod vigil;

use std::collections::BTreeMap;
use std::time::Duration;

use super::chance::Chance;
use super::check::Violation;
use super::check::chronicle::Chronicle;
use super::check::evictions::Evictions;
use super::check::observer::Observer;
use super::check::remains::Remains;
use super::check::takeover::Takeover;
use super::clock::Clock;
use super::fault::Event;
use super::hearing::Hearing;
use super::history::Operation;
use super::machine::Machine;
use super::narration::Narrator;
use super::nemesis::Kind;
use super::net::Net;
use super::params::{Params, micros};
use super::process::{HostId, Pid, Process};
use super::queue::Queue;
use super::setup::Setup;
use super::trace::Trace;
use crate::core::env::Time;
use crate::core::id::{Lineage, NodeId};
use crate::core::instrument::sometimes;
use crate::core::protocol::client::Response;

pub use happening::Happening;
pub use links::Parcel;
pub use lives::{Harm, Mount};
pub use sessions::{Actor, Conn};

/// Events after which a run counts as running away: a hundred times a usual one.
const EVENTS_MAX: u64 = 4_000_000;

/// Everything in one run.
pub struct World<M: Machine> {
    /// What this run is made of.
    pub params: Params,
    /// The source of all choices.
    pub chance: Chance,
    /// Simulated time.
    pub now: Time,
    /// What is to happen.
    pub queue: Queue<Happening>,
    /// The hash of what has happened.
    pub trace: Trace,
    /// The network.
    pub net: Net,
    /// The address of each host.
    pub hosts: Vec<String>,
    /// All processes that ever lived.
    pub processes: Vec<Process<M>>,
    /// Processes by id.
    pub by_id: BTreeMap<NodeId, Pid>,
    /// Clients.
    pub actors: Vec<Actor>,
    /// Connections of clients, open and closed.
    pub conns: Vec<Conn>,
    /// What clients asked and were told.
    pub history: Vec<Operation>,
    /// The first rule found broken.
    pub violation: Option<Violation>,
    /// Counts.
    pub stats: Stats,
    /// Faults that the nemesis chose, by kind.
    pub chosen: BTreeMap<Kind, u64>,
    /// The processes that the final phase is about; empty until then.
    pub core: Vec<Pid>,
    /// Whoever is told what happens.
    pub narrator: Option<Narrator>,
    /// When faults began.
    pub storm_began: Time,
    /// The faults so far, in order.
    pub inflicted: Vec<Event>,
    /// Revisions that scripts remember.
    pub labels: BTreeMap<String, i64>,
    /// Until when each process may be taken for dead, and rightly.
    pub(super) troubled_until: Vec<Time>,
    /// Events after which the run is given up.
    pub events_max: u64,
    /// The longest that a message may travel while nobody is healed.
    longest: Duration,
    /// Whether each host lets new connections in.
    pub(super) doors: Vec<Door>,
    /// Clients that do not reach some host, until some time.
    client_cuts: Vec<(usize, HostId, Time)>,
    shared: M::Shared,
    /// The cluster that operators have made of an earlier one, if they have.
    lineage: Option<Lineage>,
    listening: Vec<Option<Pid>>,
    /// The disk of each host.
    pub(super) mounts: Vec<Mount>,
    /// Whether the storm is over, and those come back who can.
    pub(super) is_ebbing: bool,
    /// The events as they were applied.
    pub(super) chronicle: Chronicle,
    observer: Observer,
    /// Who hears whom.
    pub(super) hearing: Hearing,
    takeover: Takeover,
    evictions: Evictions,
    remains: Remains,
    /// When the cluster is looked at next.
    look_due: Time,
    effects: Vec<super::process::Effect>,
    buffer: Vec<u8>,
    frame: bytes::BytesMut,
}

/// What happens to attempts to connect to a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// They succeed if somebody listens.
    #[default]
    Open,
    /// They fail at once, until some time.
    Refuses(Time),
    /// They hang until they are given up, until some time.
    Hangs(Time),
}

/// Counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Inputs that nodes handled.
    pub inputs: u64,
    /// Messages between processes that arrived.
    pub messages: u64,
    /// Faults.
    pub faults: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Requests of clients that were answered.
    pub answered: u64,
    /// Messages of peers that were damaged on their way.
    pub damaged: u64,
}

impl<M: Machine> World<M> {
    /// An empty world for a run.
    pub fn new(setup: &Setup, shared: M::Shared, narrator: Option<Narrator>) -> World<M> {
        let chance = Chance::new(setup.seed);
        let params = setup.params.clone();
        let mut net = Net::new(params.net.clone(), &setup.troubles, chance);
        net.forming_tail_max = params.timeout;
        World {
            events_max: EVENTS_MAX,
            longest: net.longest(),
            net,
            params,
            chance,
            now: Time(0),
            queue: Queue::new(),
            trace: Trace::default(),
            hosts: Vec::new(),
            processes: Vec::new(),
            by_id: BTreeMap::new(),
            actors: Vec::new(),
            conns: Vec::new(),
            history: Vec::new(),
            violation: None,
            stats: Stats::default(),
            chosen: BTreeMap::new(),
            core: Vec::new(),
            narrator,
            storm_began: Time(0),
            inflicted: Vec::new(),
            labels: BTreeMap::new(),
            troubled_until: Vec::new(),
            doors: Vec::new(),
            client_cuts: Vec::new(),
            shared,
            lineage: None,
            listening: Vec::new(),
            mounts: Vec::new(),
            is_ebbing: false,
            chronicle: Chronicle::default(),
            observer: Observer::default(),
            hearing: Hearing::default(),
            takeover: Takeover::default(),
            evictions: Evictions::default(),
            remains: Remains::default(),
            look_due: Time(0),
            effects: Vec::new(),
            buffer: Vec::new(),
            frame: bytes::BytesMut::new(),
        }
    }

    /// A host that nothing runs on.
    pub fn add_host(&mut self) -> HostId {
        let host = self.hosts.len();
        let (high, low) = (host / 250, host % 250 + 1);
        self.hosts.push(format!("10.0.{high}.{low}:8046"));
        self.listening.push(None);
        self.mounts.push(Mount::default());
        self.doors.push(Door::Open);
        self.net.add_host();
        host
    }

    /// Makes sure that there is a host of this number.
    pub(super) fn ensure_host(&mut self, host: HostId) {
        while self.hosts.len() <= host {
            self.add_host();
        }
    }

    /// Lets everything happen that happens up to a time, or until a rule is found broken.
    pub fn run_until(&mut self, until: Time) {
        while self.violation.is_none() {
            if self.trace.events() > self.events_max {
                let detail = format!("more than {} events", self.events_max);
                return self.accuse(Violation::new(ENDLESS, detail));
            }
            let Some((now, happening)) = self.queue.pop(until) else {
                self.now = until;
                return;
            };
            assert!(now >= self.now, "time goes back");
            self.now = now;
            self.happen(happening);
            self.look_around();
        }
    }

    /// Changes the clock of a process.
    pub(super) fn set_clock(&mut self, pid: Pid, change: impl FnOnce(&mut Clock, Time)) {
        let process = &mut self.processes[pid];
        change(&mut process.clock, self.now);
        self.hearing.disturb(pid, self.now);
        sometimes!(
            ClockJumpsPastTimer,
            process.clock.show(self.now) >= process.wake
        );
        process.timer = Time::NEVER;
        self.arm_timer(pid);
    }

    /// How long the core may take, once healed; see [`Params::liveness_bound`]. To be asked before
    /// it is healed.
    pub fn liveness_bound(&self) -> Duration {
        self.params.liveness_bound(self.longest)
    }

    /// How long forming the cluster may take.
    pub fn forming_bound(&self) -> Duration {
        self.params.forming_bound(self.longest)
    }

    /// Reports that a rule was broken, unless one was before.
    pub fn accuse(&mut self, violation: Violation) {
        if self.violation.is_none() {
            self.violation = Some(violation);
        }
    }
}

/// The property that no run goes on for ever, as a sentence.
pub const ENDLESS: &str = "a run comes to an end";

/// How soon something follows that takes no time worth modelling.
const AT_ONCE: Duration = micros(1);
