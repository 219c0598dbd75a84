//! How processes begin and end.

use std::time::Duration;

use super::{Happening, World};
use crate::core::durable::{Directory, DiskError, Identity, Recovered, Standing, Unusable};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::limits::Limits;
use crate::core::node::{Config, Start};
use crate::sim::chance::What;
use crate::sim::check::Violation;
use crate::sim::check::acceptors::Memory;
use crate::sim::disk::{Device, Fate, Handle, Lane, Manner, Storage};
use crate::sim::fault::NEVER_TROUBLED;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::net::State;
use crate::sim::params::micros;
use crate::sim::process::{HostId, Outgoing, Pid, Process};

/// Bytes of history that nodes keep: more than any run makes.
pub(super) const HISTORY_BYTES: u64 = 1 << 40;

/// The name of the cluster.
const CLUSTER: &str = "sim";

/// What has been read when a process comes back.
#[derive(Debug)]
pub struct Waking {
    nth: u64,
    identity: Identity,
    recovered: Recovered,
}

/// The disk of a host.
#[derive(Debug, Default)]
pub struct Mount {
    /// The disk that a process started there gets, if there is one.
    pub device: Option<Device>,
    /// Disks that there were before.
    devices: u64,
    /// The process that writes to it, or has been the last to do so, and how often that was started
    /// before.
    pub(super) holder: Option<(Pid, u32)>,
    /// The process that may come back with what it holds, and the members that it knew of.
    pub sleeper: Option<(Pid, Vec<Vec<NodeId>>)>,
    /// What somebody has done to it that no disk does that works.
    pub harm: Option<Harm>,
    /// How often somebody has begun to read it.
    reads: u64,
    /// What was read there, while that takes its time.
    pub waking: Option<Box<Waking>>,
    /// The next process that reads it dies after so many operations, and what is left then.
    pub relapse: Option<(u64, Fate)>,
}

/// How a disk was damaged, and what is to be expected of whoever reads it.
#[derive(Debug)]
pub enum Harm {
    /// It must be refused.
    Surely,
    /// A log is missing: it must be refused, unless all is remembered without it that was before.
    Log(Memory),
    /// It may be that nobody can notice it: a former snapshot stands in for the newest one, or the
    /// power went later, and something older has come to the place of what was damaged.
    Perhaps,
}

/// That processes come back, as a sentence.
pub(super) const READABLE: &str = "what a crash leaves on a disk that works can be read";

/// How long it takes until somebody has seen to a disk that failed when it was read.
const REPAIR: Duration = micros(100_000);

/// How long a process stays away that has died while it came back.
const RELAPSE: Duration = micros(20_000);

/// Who a process is when it is started once more.
fn next_life(identity: &Identity) -> Identity {
    Identity {
        boot: identity.boot.saturating_add(1),
        ..identity.clone()
    }
}

impl<M: Machine> World<M> {
    /// The program is started on a host, unless it runs there: who has left something on its disk
    /// comes back, and others are somebody new.
    pub fn boot(&mut self, host: HostId) {
        if self.listening[host].is_some() || self.mounts[host].waking.is_some() {
            return;
        }
        let Some(device) = self.mounts[host].device.clone() else {
            self.start(host);
            return;
        };
        let directory = Directory::on(device.handle(Lane::Log, self.now));
        let read = self.read(&directory);
        if let Ok(found) = &read {
            let identity = found.as_ref().map(|(identity, _)| identity);
            if let Err(violation) = self.check_identity(host, identity) {
                self.accuse(violation);
            }
        }
        match read {
            Ok(None) => {
                self.start(host);
            }
            Ok(Some((identity, recovered))) => {
                if let Err(violation) = self.check_harm(host, &recovered) {
                    self.accuse(violation);
                }
                let mount = &mut self.mounts[host];
                mount.reads += 1;
                let nth = mount.reads;
                let relapse = mount.relapse.take();
                let dies = relapse.and_then(|(after, fate)| {
                    let at = device.done_at(usize::try_from(after).unwrap_or(usize::MAX))?;
                    Some((at, Happening::Relapse { host, nth, fate }))
                });
                let (at, happening) = dies.unwrap_or_else(|| {
                    let at = device.free_at(Lane::Log);
                    (at, Happening::Awake { host, nth })
                });
                mount.waking = Some(Box::new(Waking {
                    nth,
                    identity,
                    recovered,
                }));
                self.queue.push(at, happening);
            }
            Err(Unusable::Disk(error)) if device.take_failed() => {
                self.start_after_repair(host, &device, &error);
            }
            Err(error) => {
                if self.mounts[host].harm.is_none() {
                    let detail = format!("host {host} at {} ms: {error}", self.now.0 / 1000);
                    self.accuse(Violation::new(READABLE, detail));
                }
                sometimes!(DamageRefused);
                // As its operator does it: the directory is moved away, and the process joins anew.
                self.lose_disk(host);
                self.start(host);
            }
        }
    }

    /// A process cannot read its disk, or not write what it has to before it begins: it says so and
    /// ends, and is started again when somebody has seen to the disk.
    fn start_after_repair(&mut self, host: HostId, device: &Device, error: &DiskError) {
        sometimes!(DiskFailsInRecovery);
        let why = error.to_string();
        self.tell(Place::World, || Happened::Unstarted { host, why: &why });
        device.stop(self.now);
        device.mend();
        let at = self.now + REPAIR;
        self.queue.push(at, Happening::Start { host });
    }

    /// What the process reads that comes back: who it was, and what. It writes down who it is from
    /// now on.
    fn read(
        &self,
        directory: &Directory<Handle>,
    ) -> Result<Option<(Identity, Recovered)>, Unusable> {
        let Some(identity) = directory.identity()? else {
            return Ok(None);
        };
        let recovered = directory.recover(identity.id, self.history_limits())?;
        directory.identify(&next_life(&identity))?;
        Ok(Some((identity, recovered)))
    }

    pub(super) fn on_awake(&mut self, host: HostId, nth: u64) {
        let mount = &mut self.mounts[host];
        let Some(waking) = mount.waking.take_if(|waking| waking.nth == nth) else {
            return;
        };
        let Waking {
            identity,
            recovered,
            ..
        } = *waking;
        let identity = next_life(&identity);
        let (id, boot) = (identity.id, identity.boot);
        let start = Start::Resume {
            cluster: CLUSTER.to_owned(),
            state: Box::new(recovered.state),
            records: recovered.records,
        };
        let device = mount.device.clone().expect("it was read");
        let tail = Some(recovered.tail);
        let storage = Storage::on(
            device.clone(),
            identity,
            tail,
            self.params.log_bytes,
            self.now,
        );
        let storage = match storage {
            Ok(storage) => storage,
            Err(error) => {
                device.take_failed();
                return self.start_after_repair(host, &device, &error);
            }
        };
        let mount = &mut self.mounts[host];
        let sleeper = mount.sleeper.take();
        mount.harm = None;
        sometimes!(ComesBack);
        self.remains.comes_back(id);
        let pid = self.add_process(host, id, boot, start, storage);
        self.check_memory(pid);
        let Some((former, _)) = sleeper else { return };
        self.processes[pid].former = Some(former);
        for actor in &mut self.actors {
            if actor.pinned == Some(former) {
                actor.pinned = Some(pid);
            }
        }
        if let Some(place) = self.core.iter_mut().find(|core| **core == former) {
            *place = pid;
        }
    }

    pub(super) fn on_relapse(&mut self, host: HostId, nth: u64, fate: Fate) {
        let mount = &mut self.mounts[host];
        if mount.waking.take_if(|waking| waking.nth == nth).is_none() {
            return;
        }
        sometimes!(DiesInRecovery);
        self.leave_disk(host, fate);
        let at = self.now + RELAPSE;
        self.queue.push(at, Happening::Start { host });
    }

    /// What becomes of the disk of a host when the process there dies, or dies while it reads it.
    pub(in crate::sim) fn leave_disk(&mut self, host: HostId, fate: Fate) {
        self.mounts[host].waking = None;
        let Some(device) = &self.mounts[host].device else {
            return;
        };
        match fate {
            Fate::Gone => self.lose_disk(host),
            Fate::Written => device.stop(self.now),
            Fate::Synced => {
                device.lose_power(self.now);
                let harm = &mut self.mounts[host].harm;
                *harm = harm.take().map(|_| Harm::Perhaps);
            }
        }
    }

    /// Those who can come back do so. Without a majority of theirs, all of them.
    pub(in crate::sim) fn wake_sleepers(&mut self, mut chosen: impl FnMut() -> bool) {
        self.is_ebbing = true;
        for host in 0..self.hosts.len() {
            if self.mounts[host].sleeper.is_some() && chosen() {
                if let Some(device) = &self.mounts[host].device {
                    device.mend();
                }
                self.mounts[host].relapse = None;
                self.boot(host);
            }
        }
    }

    /// Whether somebody is about to come back.
    pub(in crate::sim) fn is_waking(&self) -> bool {
        self.mounts.iter().any(|mount| mount.waking.is_some())
    }

    /// Whether more than half of each configuration lives that anybody knows of who lives, or can
    /// come back.
    pub(in crate::sim) fn has_majorities(&self) -> bool {
        let is_alive = |id: &&NodeId| {
            let pid = self.by_id.get(id);
            pid.is_some_and(|pid| self.processes[*pid].is_alive())
        };
        let sets = self.member_sets_ever();
        sets.iter()
            .all(|set| set.iter().filter(is_alive).count() > set.len() / 2)
    }

    fn lose_disk(&mut self, host: HostId) {
        let mount = &mut self.mounts[host];
        mount.device = None;
        mount.holder = None;
        mount.sleeper = None;
        mount.harm = None;
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
            let cluster = CLUSTER.to_owned();
            Start::Found { cluster }
        } else {
            Start::Join
        };
        let storage = self.new_storage(host, id);
        let pid = self.add_process(host, id, 0, start, storage);
        self.processes[pid].attach = live.clone();
        for host in live {
            self.dial_soon(pid, host);
        }
        pid
    }

    /// Where somebody new writes.
    pub(super) fn new_storage(&mut self, host: HostId, id: NodeId) -> Storage<Outgoing> {
        let Manner::Syncs(usual) = self.params.disk else {
            return Storage::in_memory();
        };
        let mount = &mut self.mounts[host];
        mount.sleeper = None;
        if mount.device.is_none() {
            let name = (host as u64) << 16 | mount.devices;
            mount.devices += 1;
            mount.device = Some(Device::new(usual, self.chance.dice(What::Disk, name)));
        }
        let device = mount.device.clone().expect("there is one by now");
        let identity = Identity {
            id,
            boot: 0,
            cluster: CLUSTER.to_owned(),
            listen: self.hosts[host].clone(),
            advertise: None,
            through: Vec::new(),
            standing: Standing::Whole,
        };
        let storage = Storage::on(device, identity, None, self.params.log_bytes, self.now);
        storage.expect("there is no log to be opened")
    }

    pub(super) fn add_process(
        &mut self,
        host: HostId,
        id: NodeId,
        boot: u32,
        start: Start,
        storage: Storage<Outgoing>,
    ) -> Pid {
        let pid = self.processes.len();
        let who = self.name_next(host);
        let mut config = self.config(pid, id, host, start);
        config.boot = boot;
        config.durable = storage.device().is_some();
        self.mounts[host].holder = config.durable.then_some((pid, boot));
        let machine = M::new(config, &self.shared);
        let mut process =
            Process::new(who, host, id, machine, self.now, &self.chance, &self.params);
        process.storage = storage;
        self.processes.push(process);
        self.troubled_until.push(NEVER_TROUBLED);
        self.by_id.insert(id, pid);
        self.listening[host] = Some(pid);
        self.net.add_process(who);
        self.hearing.add_process(self.now);
        self.tell(Place::Node(pid), || Happened::Started { host });
        self.take_turn_soon(pid);
        pid
    }

    /// The name under which the choices of the next process on a host are drawn: it does not depend
    /// on who lived and died elsewhere.
    pub(super) fn name_next(&self, host: HostId) -> u64 {
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
        // The directory is held by the one that lives.
        self.lose_disk(host);
        self.start(host);
    }

    /// Ends a process at once. What is left of its disk decides whether it can come back.
    pub fn crash(&mut self, pid: Pid, fate: Fate) {
        self.stats.crashes += 1;
        let host = self.processes[pid].host;
        if self.is_listening(pid) && self.processes[pid].storage.device().is_some() {
            let machine = self.processes[pid].machine.as_ref();
            let sets = machine.map(M::member_sets).unwrap_or_default();
            self.mounts[host].sleeper = Some((pid, sets));
            self.leave_disk(host, fate);
        }
        self.end(pid, self.net.params.half_open_ppm);
    }

    /// Ends a process in order: what it has to write is written, and everybody is told that their
    /// connections to it have ended.
    pub fn stop(&mut self, pid: Pid) {
        self.processes[pid].storage.finish(self.now);
        self.end(pid, 0);
    }

    /// A process that cannot write stops, and is started again when somebody has seen to its disk.
    /// Tells whether that was to be expected.
    pub(super) fn fail_stop(&mut self, pid: Pid) -> bool {
        let device = self.processes[pid].storage.device().cloned();
        let Some(device) = device.filter(Device::take_failed) else {
            return false;
        };
        sometimes!(StopsForDisk);
        let back_us = self.processes[pid].back_after_failure_us;
        self.crash(pid, Fate::Written);
        device.mend();
        let host = self.processes[pid].host;
        if self.core.contains(&pid) {
            self.boot(host);
        } else {
            let at = self.now + micros(back_us);
            self.queue.push(at, Happening::Start { host });
        }
        true
    }

    fn end(&mut self, pid: Pid, half_open_ppm: u32) {
        self.tell(Place::Node(pid), || Happened::Ended);
        let process = &mut self.processes[pid];
        sometimes!(DiesBeforeReady, !process.ready);
        sometimes!(DiesWithUnsynced, process.storage.holds_something());
        sometimes!(DiesWithFullInbox, !process.inbox.is_empty());
        process.machine = None;
        (process.ready, process.serving) = (false, false);
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
        for pid in self.alive().filter(|pid| !self.is_given_up(*pid)) {
            let known = self.processes[pid].machine.as_ref().map(M::member_sets);
            for set in known.into_iter().flatten() {
                if !sets.contains(&set) {
                    sets.push(set);
                }
            }
        }
        sets
    }

    /// The same, and those that processes knew of that may come back.
    pub fn member_sets_ever(&self) -> Vec<Vec<NodeId>> {
        let mut sets = self.member_sets();
        let sleepers = self
            .mounts
            .iter()
            .filter_map(|mount| mount.sleeper.as_ref())
            .filter(|_| self.lineage.is_none());
        for set in sleepers.flat_map(|(_, sets)| sets) {
            if !sets.contains(set) {
                sets.push(set.clone());
            }
        }
        sets
    }

    /// Whether a process lives, or may come back.
    pub fn is_there(&self, id: NodeId) -> bool {
        let Some(pid) = self.by_id.get(&id).copied() else {
            return false;
        };
        let mount = &self.mounts[self.processes[pid].host];
        let sleeps = mount.sleeper.as_ref().is_some_and(|(one, _)| *one == pid);
        self.processes[pid].is_alive() || (sleeps && mount.harm.is_none())
    }
}
