//! The world: one event loop over the processes, their connections, their clients and the nemesis.

mod links;
mod sessions;
mod turns;

use std::collections::BTreeMap;
use std::time::Duration;

use super::chance::{Chance, What};
use super::check::Violation;
use super::check::chronicle::Chronicle;
use super::check::observer::Observer;
use super::clock::Clock;
use super::fault::{Doom, Event, Fault, NEVER_TROUBLED};
use super::history::Operation;
use super::machine::Machine;
use super::narration::{Cast, Happened, Narrator, Place, Told};
use super::nemesis::Kind;
use super::net::{Net, State};
use super::params::{Params, micros};
use super::process::{HostId, Pid, Process};
use super::queue::Queue;
use super::setup::Setup;
use super::trace::{Kind as Mark, Trace};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::limits::Limits;
use crate::core::node::{Config, Start};
use crate::core::protocol::client::Response;

pub use links::Parcel;
pub use sessions::{Actor, Conn};

/// Events after which a run counts as running away: a hundred times a usual one.
const EVENTS_MAX: u64 = 4_000_000;

/// Bytes of history that nodes keep: more than any run makes.
const HISTORY_BYTES: u64 = 1 << 40;

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
    listening: Vec<Option<Pid>>,
    /// The events as they were applied.
    pub(super) chronicle: Chronicle,
    observer: Observer,
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
    /// Damaged messages of peers that no receiver took for a message.
    pub damage_caught: u64,
    /// Damaged messages of peers that could be read as other messages.
    pub damage_unseen: u64,
}

/// Something that happens at some time.
pub enum Happening {
    /// A message from another process arrives.
    Arrive {
        /// The process that sent it.
        from: Pid,
        /// The process that it is for.
        to: Pid,
        /// When it left.
        left: Time,
        /// The number of the event in which it did.
        sent: u64,
        /// What it is.
        parcel: Parcel,
    },
    /// A process handles what it has received.
    Turn {
        /// The process.
        pid: Pid,
    },
    /// The timer of a process may be due.
    Timer {
        /// The process.
        pid: Pid,
    },
    /// A sync ends.
    Synced {
        /// The process.
        pid: Pid,
        /// What it covers.
        upto: crate::core::env::RecordId,
    },
    /// A process tries to connect to a host.
    Dial {
        /// The process.
        from: Pid,
        /// The host.
        host: HostId,
    },
    /// A connection is found to be broken, unless it has been opened again since.
    Broken {
        /// The process that opened it.
        from: Pid,
        /// The other end.
        to: Pid,
        /// The epoch of the connection.
        epoch: u32,
    },
    /// A process starts on a host.
    Start {
        /// The host.
        host: HostId,
    },
    /// A process that was put out of the cluster begins anew.
    Rejoin {
        /// The host.
        host: HostId,
        /// The process that was put out.
        was: Pid,
    },
    /// A slow process is quick again.
    Quick {
        /// The process.
        pid: Pid,
    },
    /// Messages vanish between hosts, until some time.
    Cut {
        /// From where to where.
        pairs: Vec<(HostId, HostId)>,
        /// Until when.
        until: Time,
    },
    /// Messages wait on their way, until some time.
    Clog {
        /// From where to where.
        links: Vec<(HostId, HostId)>,
        /// Until when.
        until: Time,
    },
    /// A process dies that was doomed.
    Doomed {
        /// The process.
        pid: Pid,
        /// How.
        doom: Doom,
    },
    /// A cut ends.
    MendCut {
        /// From where to where.
        pairs: Vec<(HostId, HostId)>,
    },
    /// The nemesis acts.
    Strike {
        /// For the how manyeth time.
        n: u64,
    },
    /// A fault that was planned happens.
    Inflict {
        /// Which.
        fault: Fault,
    },
    /// A client acts.
    Act {
        /// The client.
        actor: usize,
    },
    /// A client may have waited for too long.
    Impatient {
        /// The client.
        actor: usize,
    },
    /// A step of a script must have ended.
    Deadline {
        /// The client.
        actor: usize,
        /// The number of the step.
        step: usize,
    },
    /// A request arrives at a node.
    Asked {
        /// The connection.
        conn: usize,
        /// What arrives.
        what: sessions::ToNode,
    },
    /// An answer arrives at a client.
    Answered {
        /// The connection.
        conn: usize,
        /// The answer; `None` when the connection ended.
        response: Option<Response>,
    },
}

impl<M: Machine> World<M> {
    /// An empty world for a run.
    pub fn new(setup: &Setup, shared: M::Shared, narrator: Option<Narrator>) -> World<M> {
        let chance = Chance::new(setup.seed);
        let params = setup.params.clone();
        let net = Net::new(params.net.clone(), &setup.troubles, chance);
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
            listening: Vec::new(),
            chronicle: Chronicle::default(),
            observer: Observer::default(),
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

    /// Starts a process on a host. The first one founds the cluster; others are told the addresses
    /// of some live ones.
    pub fn start(&mut self, host: HostId) -> Pid {
        assert!(
            self.listening[host].is_none(),
            "{} is taken",
            self.hosts[host]
        );
        let pid = self.processes.len();
        let who = self.name_next(host);
        let mut dice = self.chance.dice(What::Identity, who);
        let id = NodeId::from_random(dice.draw(), dice.draw());
        let live = (0..self.hosts.len()).filter(|host| self.listening[*host].is_some());
        let mut live: Vec<HostId> = live.collect();
        dice.shuffle(&mut live);
        live.truncate(2);
        let start = if pid == 0 {
            let cluster = "sim".to_owned();
            Start::Found { cluster }
        } else {
            Start::Join
        };
        let machine = M::new(self.config(pid, id, host, start), &self.shared);
        let mut process =
            Process::new(who, host, id, machine, self.now, &self.chance, &self.params);
        process.attach = live.clone();
        self.processes.push(process);
        self.troubled_until.push(NEVER_TROUBLED);
        self.by_id.insert(id, pid);
        self.listening[host] = Some(pid);
        self.net.add_process(who);
        self.tell(Place::Node(pid), || Happened::Started { host });
        self.take_turn_soon(pid);
        for host in live {
            self.dial_soon(pid, host);
        }
        pid
    }

    /// The name under which the choices of the next process on a host are drawn: it does not depend
    /// on who lived and died elsewhere.
    fn name_next(&self, host: HostId) -> u64 {
        let lives = self.processes.iter().filter(|one| one.host == host).count();
        (host as u64) << 16 | lives as u64
    }

    /// The process that runs on a host.
    pub fn process_on(&self, host: HostId) -> Option<Pid> {
        self.listening.get(host).copied().flatten()
    }

    fn config(&self, pid: Pid, id: NodeId, host: HostId, start: Start) -> Config {
        Config {
            id,
            boot: 0,
            addr: self.hosts[host].clone(),
            hostname: format!("host{pid}"),
            version: "sim".to_owned(),
            start,
            rw_secret: Vec::new(),
            ro_secret: Vec::new(),
            pulse: self.params.pulse,
            timeout: self.params.timeout,
            history_revs: self.params.history_revs,
            history_bytes: HISTORY_BYTES,
            local_reads: false,
            request_timeout: self.params.request_timeout,
            limits: Limits {
                requests_open_max: self.params.requests_open,
                ..self.params.limits
            },
            tuning: self.params.tuning,
        }
    }

    /// Whether connections to its address reach this process.
    pub fn is_listening(&self, pid: Pid) -> bool {
        self.listening[self.processes[pid].host] == Some(pid)
    }

    /// Another process starts under the address of this one, which lives on and cannot be reached
    /// any more. Nobody may count on it from now on.
    pub(super) fn usurp(&mut self, pid: Pid) {
        let host = self.processes[pid].host;
        self.troubled_until[pid] = Time::NEVER;
        self.listening[host] = None;
        self.start(host);
    }

    /// Ends a process with all it remembered.
    pub fn crash(&mut self, pid: Pid) {
        self.stats.crashes += 1;
        self.end(pid, self.net.params.half_open_ppm);
    }

    /// Ends a process in order: everybody is told that their connections to it have ended.
    pub fn stop(&mut self, pid: Pid) {
        self.end(pid, 0);
    }

    fn end(&mut self, pid: Pid, half_open_ppm: u32) {
        self.tell(Place::Node(pid), || Happened::Ended);
        let process = &mut self.processes[pid];
        sometimes!(DiesBeforeReady, !process.ready);
        sometimes!(DiesWithUnsynced, process.disk.holds_something());
        sometimes!(DiesWithFullInbox, !process.inbox.is_empty());
        process.machine = None;
        process.ready = false;
        process.inbox.clear();
        process.lobby.clear();
        process.doom = None;
        let host = process.host;
        if self.listening[host] == Some(pid) {
            self.listening[host] = None;
        }
        for other in 0..self.processes.len() {
            self.net.link(pid, other).state = State::Down;
            if other != pid && self.net.state(other, pid) == State::Up {
                let dice = &mut self.processes[other].dial_dice;
                if dice.hit(half_open_ppm) {
                    sometimes!(ConnectionHalfOpen);
                    self.make_hole(other, pid);
                } else {
                    self.break_link(other, pid);
                }
            }
        }
        let open: Vec<usize> = self.open_conns().collect();
        for conn in open {
            if self.conns[conn].pid == pid {
                self.hang_up(conn);
            }
        }
    }

    /// The processes that live.
    pub fn alive(&self) -> impl Iterator<Item = Pid> + use<'_, M> {
        (0..self.processes.len()).filter(|pid| self.processes[*pid].is_alive())
    }

    /// The members of all configurations that anybody who lives may still decide a slot under: who
    /// is behind may need one that others have left.
    pub fn member_sets(&self) -> Vec<Vec<NodeId>> {
        let mut sets: Vec<Vec<NodeId>> = Vec::new();
        for pid in self.alive() {
            let known = self.processes[pid].machine.as_ref().map(M::member_sets);
            for set in known.into_iter().flatten() {
                if !sets.contains(&set) {
                    sets.push(set);
                }
            }
        }
        sets
    }

    /// Whether this is the time in which faults happen.
    pub fn is_frozen(&self) -> bool {
        !self.core.is_empty()
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
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive {
                from,
                to,
                left,
                sent,
                parcel,
            } => self.on_arrive(from, to, (left, sent), parcel),
            Happening::Turn { pid } => self.on_turn(pid),
            Happening::Timer { pid } => self.on_timer(pid),
            Happening::Synced { pid, upto } => self.on_synced(pid, upto),
            Happening::Dial { from, host } => self.on_dial(from, host),
            Happening::Broken { from, to, epoch } => self.on_broken(from, to, epoch),
            Happening::Act { actor } => self.on_act(actor),
            Happening::Impatient { actor } => self.on_impatient(actor),
            Happening::Deadline { actor, step } => self.on_deadline(actor, step),
            Happening::Asked { conn, what } => self.on_asked(conn, what),
            Happening::Answered { conn, response } => self.on_answered(conn, response),
            Happening::Rejoin { host, was } => self.on_rejoin(host, was),
            Happening::Start { .. }
            | Happening::MendCut { .. }
            | Happening::Quick { .. }
            | Happening::Cut { .. }
            | Happening::Clog { .. }
            | Happening::Doomed { .. }
            | Happening::Strike { .. }
            | Happening::Inflict { .. }
                if self.is_frozen() => {}
            Happening::Start { host } => {
                self.ensure_host(host);
                if self.listening[host].is_none() {
                    self.start(host);
                }
            }
            Happening::MendCut { pairs } => {
                for (from, to) in pairs {
                    self.net.mend(from, to);
                }
            }
            Happening::Quick { pid } => self.processes[pid].slow = 1,
            Happening::Cut { pairs, until } => self.on_cut(pairs, until),
            Happening::Clog { links, until } => self.clog(&links, until),
            Happening::Doomed { pid, doom } => self.on_doomed(pid, doom),
            Happening::Strike { n } => self.strike(n),
            Happening::Inflict { fault } => {
                self.trace.add(self.now, 0, Mark::Fault, 0);
                self.inflict(fault);
            }
        }
    }

    /// Changes the clock of a process.
    pub(super) fn set_clock(&mut self, pid: Pid, change: impl FnOnce(&mut Clock, Time)) {
        let process = &mut self.processes[pid];
        change(&mut process.clock, self.now);
        sometimes!(
            ClockJumpsPastTimer,
            process.clock.show(self.now) >= process.wake
        );
        process.timer = Time::NEVER;
        self.arm_timer(pid);
    }

    /// Ends all cuts, clogs and lags.
    pub(super) fn mend_everything(&mut self) {
        for a in 0..self.hosts.len() {
            for b in 0..a {
                self.mend_between(a, b);
            }
        }
    }

    /// Ends all that holds messages up between two hosts.
    fn mend_between(&mut self, one: HostId, other: HostId) {
        self.net.mend_all(one, other);
        self.tell(Place::World, || Happened::Mended { one, other });
    }

    /// Heals these processes and the connections among them for good, and freezes every other
    /// fault as it is.
    pub fn heal_core(&mut self, core: Vec<Pid>) {
        assert!(!core.is_empty(), "a core has somebody in it");
        self.core = core;
        let params = &mut self.net.params;
        params.loss_ppm = 0;
        params.duplicate_ppm = 0;
        params.tail_ppm = 0;
        params.bandwidth = 0;
        self.client_cuts.clear();
        for pid in 0..self.processes.len() {
            let in_core = self.core.contains(&pid);
            let process = &mut self.processes[pid];
            if in_core {
                sometimes!(CoreWakesPaused, process.paused_until > self.now);
                process.slow = 1;
                process.doom = None;
                process.paused_until = self.now;
                process.busy_until = self.now;
                // Its next turn may be planned for the end of a long pause.
                process.has_turn = false;
                self.take_turn_soon(pid);
            } else if process.paused_until > self.now {
                process.paused_until = Time::NEVER;
                let until = Time::NEVER;
                self.tell(Place::Node(pid), || Happened::Paused { until });
            }
        }
        for one in self.core.clone() {
            for other in self.core.clone() {
                let hosts = (self.processes[one].host, self.processes[other].host);
                self.mend_between(hosts.0, hosts.1);
                self.doors[hosts.0] = Door::Open;
                if self.net.state(one, other) == State::Hole {
                    self.break_link(one, other);
                }
            }
        }
        self.attach_to_core();
        let open: Vec<usize> = self.open_conns().collect();
        for conn in open {
            if !self.core.contains(&self.conns[conn].pid) {
                self.hang_up(conn);
            }
            self.heal_conn(conn);
        }
    }

    /// Who has not attached to anybody so far, and was told addresses that may be dead by now, is
    /// told the addresses of the core, as its operator would do.
    pub(super) fn attach_to_core(&mut self) {
        let hosts = self.core.iter().map(|pid| self.processes[*pid].host);
        let hosts: Vec<HostId> = hosts.collect();
        for pid in self.core.clone() {
            if !self.processes[pid].ready {
                self.processes[pid].attach.clone_from(&hosts);
                for host in &hosts {
                    self.dial_soon(pid, *host);
                }
            }
        }
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

    /// Whether anybody wants to hear what happens now.
    fn is_told(&self) -> bool {
        let narrator = self.narrator.as_ref();
        narrator.is_some_and(|narrator| narrator.tells(self.trace.events()))
    }

    /// Tells what happens, if anybody wants to hear it.
    pub(super) fn tell<'a>(&self, place: Place, what: impl FnOnce() -> Happened<'a>) {
        if let Some(narrator) = &self.narrator
            && self.is_told()
        {
            self.tell_to(narrator, place, what());
        }
    }

    /// Tells which rule was broken, whatever else the listener wants to hear.
    pub(super) fn tell_violation(&self, violation: &Violation) {
        if let Some(narrator) = &self.narrator {
            self.tell_to(narrator, Place::World, Happened::Violated(violation));
        }
    }

    fn tell_to(&self, narrator: &Narrator, place: Place, what: Happened<'_>) {
        narrator.tell(&Told {
            number: self.trace.events(),
            time: self.now,
            place,
            what,
            cast: Cast {
                by_id: &self.by_id,
                names: self.net.names(),
            },
        });
    }
}

/// The property that no run goes on for ever, as a sentence.
pub const ENDLESS: &str = "a run comes to an end";

/// How soon something follows that takes no time worth modelling.
const AT_ONCE: Duration = micros(1);
