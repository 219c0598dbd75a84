//! How processes begin and end.

use super::World;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::limits::Limits;
use crate::core::node::{Config, Start};
use crate::sim::chance::What;
use crate::sim::fault::NEVER_TROUBLED;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::net::State;
use crate::sim::process::{HostId, Pid, Process};

/// Bytes of history that nodes keep: more than any run makes.
const HISTORY_BYTES: u64 = 1 << 40;

impl<M: Machine> World<M> {
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
        self.hearing.add_process(self.now);
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
            web: String::new(),
            hostname: format!("host{pid}"),
            version: "sim".to_owned(),
            start,
            rw_secret: Vec::new(),
            ro_secret: Vec::new(),
            pulse: self.params.pulse,
            timeout: self.params.timeout,
            history_revs: self.params.history_revs,
            history_bytes: HISTORY_BYTES,
            durable: false,
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
    pub(in crate::sim) fn usurp(&mut self, pid: Pid) {
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
}
