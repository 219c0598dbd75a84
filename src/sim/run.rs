//! One run: a cluster is formed, goes through a storm of faults, and must then serve again.
//!
//! 1. *Forming*, as operators do it: the first process founds the cluster, the others join through
//!    it, a client creates an empty `/ctl/cal/<n>` for each further member, standbys claim them.
//! 2. *Storm*: clients work, the nemesis strikes, planned events and scripts take their course.
//! 3. *Core*: a random majority of every configuration in force is healed, with some standbys;
//!    everything else is frozen as it is, for ever. All open requests on the core must end, each
//!    node of the core must serve a write (unless it is a standby) and a linearizable read, and all
//!    must tell the events up to the last answered revision, within a stated time.
//! 4. *Judgement*: the checkers look at the whole history.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::chance::What;
use super::check::{
    Violation, bounds, counters, edge, linearizability, lists, locks, once, revisions, search,
    sequence, watch,
};
use super::client::{Closer, Former, Recorder, Role};
use super::fault::Event;
use super::machine::Machine;
use super::model::Model;
use super::nemesis::Kind;
use super::params::micros;
use super::process::Pid;
use super::script::{EXPECTED, SCRIPTS, Script, Step, Watch, names};
use super::setup::{Core, Others, Setup};
use super::trace::Trace;
use super::trouble::{Phase, Troubles};
use super::world::{Happening, Narrator, Stats, World};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::probe::{self, Hits};

pub use super::world::ENDLESS;

/// How often the progress of a phase is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Runs in a million whose whole history is searched.
const DEEP_PPM: u32 = 30_000;
/// Revisions that the recorders of all nodes but one read; one node tells all of them.
const TAIL_REVS: i64 = 100;

/// The names of clients, apart from those of the storm, which count from 1.
const FORMER: usize = 0;
const CLOSERS: usize = 2 << 20;
const RECORDERS: usize = 3 << 20;

/// The liveness property, as a sentence.
pub const LIVENESS: &str = "a healed core serves everybody and agrees within the bound";
/// Nodes don't fail on their own.
pub const NO_PANIC: &str = "no node panics";

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// Whether the core could not be expected to live: the storm took a majority away.
    pub excused: bool,
    /// The hash of everything that happened.
    pub trace: Trace,
    /// Events.
    pub events: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Revisions that were judged.
    pub revisions: u64,
    /// Operations of clients.
    pub operations: u64,
    /// What the search that does not look at revisions has found.
    pub searched: search::Found,
    /// Counts.
    pub stats: Stats,
    /// Faults that the nemesis chose, by kind.
    pub chosen: BTreeMap<Kind, u64>,
    /// The rare situations that came about.
    pub hits: Hits,
    /// What was drawn in it.
    pub course: Course,
}

/// What was drawn in a run, as far as a [`Setup`] can tell it instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// When the storm began, in simulated time.
    pub storm_began: Duration,
    /// The faults, in order.
    pub inflicted: Vec<Event>,
    /// What befell single messages.
    pub troubles: Troubles,
    /// Who was healed in the final phase, if it came to that.
    pub core: Option<Core>,
}

/// Does one run. A panic in the machine is caught and reported like any other broken rule.
pub fn run<M: Machine>(setup: &Setup, shared: M::Shared, narrator: Option<Narrator>) -> Report {
    complete(setup, World::<M>::new(setup, shared, narrator))
}

/// Does one run as [`run`] does, and keeps the events of one block of its trace.
pub fn run_watching<M: Machine>(setup: &Setup, shared: M::Shared, block: u64) -> Report {
    let mut world = World::<M>::new(setup, shared, None);
    world.trace = Trace::watching(block);
    complete(setup, world)
}

/// Does one run as [`run`] does, and gives it up after so many events: that violates [`ENDLESS`].
pub fn run_upto<M: Machine>(setup: &Setup, shared: M::Shared, events_max: u64) -> Report {
    let mut world = World::<M>::new(setup, shared, None);
    world.events_max = events_max.min(world.events_max);
    complete(setup, world)
}

/// Forms a cluster of five members on a quick network that loses nothing, and lets it stand idle for
/// some simulated time: how much faster than real time is that?
pub fn idle<M: Machine>(shared: M::Shared, span: Duration) -> Result<(), Violation> {
    let mut setup = Setup::calm(0);
    setup.params.members = 5;
    let mut world = World::<M>::new(&setup, shared, None);
    let mut run = Run::new(&mut world, &setup);
    run.form()?;
    run.advance(span)
}

fn complete<M: Machine>(setup: &Setup, mut world: World<M>) -> Report {
    // What other code of this thread has met before does not belong to this run.
    probe::take();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new(&mut world, setup);
        let result = run.all();
        (run.excused, run.revisions, run.searched, run.core, result)
    }));
    let (excused, revisions, searched, core, result) = result.unwrap_or_else(|panic| {
        let violation = Violation::new(NO_PANIC, text_of(&*panic));
        (false, 0, search::Found::default(), None, Err(violation))
    });
    Report {
        seed: setup.seed,
        violation: result.err(),
        excused,
        events: world.trace.events(),
        trace: world.trace,
        simulated: world.now.since(Time(0)),
        revisions,
        operations: world.history.len() as u64,
        searched,
        stats: world.stats,
        chosen: world.chosen,
        hits: probe::take(),
        course: Course {
            storm_began: world.storm_began.since(Time(0)),
            troubles: world.net.troubles(),
            inflicted: world.inflicted,
            core,
        },
    }
}

/// Forms the cluster that a world is meant to have, for scenarios.
pub fn form<M: Machine>(world: &mut World<M>, setup: &Setup) -> Result<(), Violation> {
    Run::new(world, setup).form()
}

pub(super) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

struct Run<'a, M: Machine> {
    world: &'a mut World<M>,
    setup: &'a Setup,
    revisions: u64,
    excused: bool,
    core: Option<Core>,
    searched: search::Found,
    /// The members of the configurations that were known when the core was chosen.
    sets: Vec<Vec<NodeId>>,
}

impl<'a, M: Machine> Run<'a, M> {
    fn new(world: &'a mut World<M>, setup: &'a Setup) -> Run<'a, M> {
        Run {
            world,
            setup,
            revisions: 0,
            excused: false,
            core: None,
            searched: search::Found::default(),
            sets: Vec::new(),
        }
    }

    fn all(&mut self) -> Result<(), Violation> {
        self.form()?;
        self.storm()?;
        let Some(core) = self.choose_core() else {
            self.excused = true;
            return Ok(());
        };
        let last = match self.prove_liveness(core) {
            Err(violation) if violation.property == LIVENESS && self.is_outvoted() => {
                self.excused = true;
                return Ok(());
            }
            ended => ended?,
        };
        let model = self.assemble(last)?;
        self.watchers_catch_up(&model)?;
        self.nothing_is_left()?;
        self.searched = self.search();
        self.judge(last, &model)?;
        match &self.searched.broken {
            None => Ok(()),
            Some(what) => Err(Violation::new(search::PROPERTY, what.clone())),
        }
    }

    /// The history, searched without a look at revisions: its beginning always, all of it now and
    /// then.
    fn search(&self) -> search::Found {
        let is_deep = self.world.chance.dice(What::Search, 0).hit(DEEP_PPM);
        let effort = if is_deep { search::DEEP } else { search::QUICK };
        search::search(&self.world.history, effort)
    }

    /// When clients are gone, each node of the core comes to rest, each in its own time: members
    /// go on writing what they are there to write.
    fn nothing_is_left(&mut self) -> Result<(), Violation> {
        self.world.dismiss_clients();
        let deadline = self.world.now + self.world.liveness_bound();
        let mut busy = self.world.core.clone();
        let in_touch = self.world.alive().all(|pid| busy.contains(&pid));
        loop {
            let left = |pid: &Pid| {
                let machine = self.world.processes[*pid].machine.as_ref();
                let node = machine.and_then(M::node)?;
                Some((
                    self.world.processes[*pid].id,
                    bounds::leftover(node, in_touch)?,
                ))
            };
            busy.retain(|pid| left(pid).is_some());
            let Some((id, gauge)) = busy.first().and_then(left) else {
                return Ok(());
            };
            if self.world.now >= deadline {
                let detail = format!("{id} still has {} {}", gauge.used, gauge.what);
                return Err(Violation::new(bounds::LEAK, detail));
            }
            self.advance(LOOK)?;
        }
    }

    /// Looks from time to time until something is so.
    fn until(
        &mut self,
        deadline: Time,
        what: &str,
        mut is_so: impl FnMut(&World<M>) -> bool,
    ) -> Result<(), Violation> {
        while !is_so(self.world) {
            if self.world.now >= deadline {
                let detail = format!("{what}, at {} ms", self.world.now.0 / 1000);
                return Err(Violation::new(LIVENESS, detail));
            }
            self.advance(LOOK)?;
        }
        Ok(())
    }

    fn advance(&mut self, span: Duration) -> Result<(), Violation> {
        let until = self.world.now + span;
        self.world.run_until(until);
        if let Some(violation) = self.world.violation.clone() {
            return Err(violation);
        }
        Ok(())
    }

    fn form(&mut self) -> Result<(), Violation> {
        let world = &mut *self.world;
        let deadline = world.now + world.forming_bound();
        let (members, standbys) = (world.params.members, world.params.standbys);
        let founder = world.add_host();
        world.start(founder);
        let former = world.add_actor(FORMER, Role::Former(Former::new(1)), None);
        if self.setup.orderly {
            for seat in 1..members {
                self.start_hosts(1);
                self.seat(former, seat + 1, deadline)?;
            }
            self.start_hosts(standbys);
        } else {
            self.start_hosts(members - 1 + standbys);
        }
        self.seat(former, members, deadline)
    }

    fn start_hosts(&mut self, count: usize) {
        for _ in 0..count {
            let host = self.world.add_host();
            self.world.start(host);
        }
    }

    /// Waits until all processes have joined, and so many of them are members.
    fn seat(&mut self, former: usize, members: usize, deadline: Time) -> Result<(), Violation> {
        if let Role::Former(role) = &mut self.world.actors[former].role {
            role.grow(members);
        }
        self.world.act_after(former, Duration::ZERO);
        let formed = |world: &World<M>| {
            let seated = matches!(&world.actors[former].role, Role::Former(f) if f.is_done());
            seated && world.alive().all(|pid| world.processes[pid].ready)
        };
        self.until(deadline, "the cluster is not formed", formed)
    }

    fn storm(&mut self) -> Result<(), Violation> {
        let (world, setup) = (&mut *self.world, self.setup);
        world.storm_began = world.now;
        world.net.begin(Phase::Storm);
        for client in &setup.clients {
            let role = client.role(&world.chance, &world.params);
            let actor = world.add_actor(client.name, role, None);
            world.actors[actor].limit = client.requests;
        }
        let scripts = self.add_scripts();
        let world = &mut *self.world;
        for event in &setup.events {
            let fault = event.fault.clone();
            let at = world.now + micros(event.at_us);
            world.queue.push(at, Happening::Inflict { fault });
        }
        world.queue.push(world.now, Happening::Strike { n: 0 });
        // Simulated time has no fractions of microseconds.
        let end = micros(world.params.storm.as_micros() as u64);
        let mut watch = Watch::new(&setup.checks);
        loop {
            let now = self.world.now.since(self.world.storm_began);
            watch.look(now, self.world)?;
            if now >= end {
                break;
            }
            let next = watch.next(now).unwrap_or(end).min(end);
            self.advance(next - now)?;
        }
        let unfinished = scripts
            .iter()
            .find_map(|a| match &self.world.actors[*a].role {
                Role::Script(script) => script.unfinished(),
                _ => None,
            });
        match unfinished {
            None => Ok(()),
            Some(step) => {
                let detail = format!("{step} has not ended when the storm ends");
                Err(Violation::new(EXPECTED, detail))
            }
        }
    }

    /// Adds a client for each name that has steps.
    fn add_scripts(&mut self) -> Vec<usize> {
        let scripts = names(&self.setup.steps).into_iter().enumerate();
        let added = scripts.map(|(index, name)| {
            let steps = self.setup.steps.iter().filter(|step| step.client == name);
            let script = Script::new(name, steps.flat_map(Step::repeated).collect());
            self.world.add_script(SCRIPTS + index, script)
        });
        added.collect()
    }

    /// A random majority of every configuration that may still decide a slot, and some standbys;
    /// or what the setup says. `None` when no such majority lives.
    fn choose_core(&mut self) -> Option<Vec<Pid>> {
        let world = &*self.world;
        let dice = &mut world.chance.dice(What::Core, 0);
        let sets = world.member_sets();
        if let Some(told) = &self.setup.core {
            let on = told.hosts.iter().filter_map(|host| world.process_on(*host));
            let core: Vec<Pid> = on.collect();
            let has = |id: &&NodeId| world.by_id.get(id).is_some_and(|pid| core.contains(pid));
            let is_majority = |set: &Vec<NodeId>| set.iter().filter(has).count() > set.len() / 2;
            let is_core = sets.iter().all(is_majority);
            self.sets = sets;
            return is_core.then_some(core);
        }
        let mut core = Vec::new();
        for mut set in sets.clone() {
            dice.shuffle(&mut set);
            set.sort_by_key(|id| world.by_id.get(id).is_none_or(|pid| !core.contains(pid)));
            let live = set.iter().filter_map(|id| world.by_id.get(id));
            let live = live.filter(|pid| world.is_listening(**pid));
            let chosen: Vec<Pid> = live.copied().take(set.len() / 2 + 1).collect();
            if chosen.len() <= set.len() / 2 {
                return None;
            }
            core.extend(chosen);
        }
        let shows_members = !core.is_empty();
        core.extend(
            world
                .alive()
                .filter(|pid| world.is_listening(*pid))
                .filter(|_| !shows_members || dice.hit(300_000)),
        );
        core.sort_unstable();
        core.dedup();
        self.sets = sets;
        Some(core)
    }

    /// Whether a change of members was on its way when the core was chosen, and has come into force
    /// among those who are left: the core has no majority of these members.
    fn is_outvoted(&self) -> bool {
        let world = &*self.world;
        let is_served = |id: &NodeId| {
            let pid = world.by_id.get(id);
            pid.is_some_and(|pid| world.core.contains(pid) && world.processes[*pid].is_alive())
        };
        let sets = world.member_sets().into_iter();
        let mut fresh = sets.filter(|set| !self.sets.contains(set));
        fresh.any(|set| set.iter().filter(|id| is_served(id)).count() <= set.len() / 2)
    }

    fn prove_liveness(&mut self, core: Vec<Pid>) -> Result<i64, Violation> {
        let world = &mut *self.world;
        let mut dice = world.chance.dice(What::Core, 1);
        world.note(usize::MAX, || format!("the core is {core:?}"));
        let others = match (&self.setup.core, dice.below(3)) {
            (Some(told), _) => told.others,
            (None, 0) => Others::Stay,
            (None, 1) => Others::Die,
            (None, _) => Others::CutOff,
        };
        let hosts = core.iter().map(|pid| world.processes[*pid].host).collect();
        self.core = Some(Core { hosts, others });
        world.net.begin(Phase::Core);
        world.heal_core(core);
        self.freeze_rest(others);
        let world = &mut *self.world;
        for actor in &mut world.actors {
            actor.stopped = true;
        }
        let deadline = world.now + world.liveness_bound();
        let is_idle = |world: &World<M>| {
            let mut actors = world.actors.iter();
            actors.all(|actor| actor.role.is_final() || actor.open.is_empty())
        };
        self.until(deadline, "requests on the core are still open", is_idle)?;
        // Not those of before: who was put out has come back as another.
        let core = self.world.core.clone();
        let closers: Vec<usize> = core.iter().map(|pid| self.add_closer(*pid)).collect();
        let closed = |world: &World<M>| closers.iter().all(|a| is_closed(world, *a));
        self.until(deadline, "a node of the core does not serve", closed)?;
        let written = closers
            .iter()
            .filter_map(|a| match &self.world.actors[*a].role {
                Role::Closer(closer) => closer.written(),
                _ => None,
            });
        if written.max().is_none() {
            let detail = "no node of the core takes writes";
            return Err(Violation::new(LIVENESS, detail));
        }
        let last = self.last_revision();
        let core = self.world.core.clone();
        let chronicler = *dice.pick(&core);
        for pid in core.iter().copied() {
            let first = if pid == chronicler {
                1
            } else {
                (last - TAIL_REVS).max(1)
            };
            let recorder = Role::Recorder(Recorder::new(first, last));
            self.world.add_actor(RECORDERS + pid, recorder, Some(pid));
        }
        let recorded = |world: &World<M>| {
            world.actors.iter().all(|actor| match &actor.role {
                Role::Recorder(recorder) => recorder.is_done(),
                _ => true,
            })
        };
        self.until(
            deadline,
            "a node of the core does not tell all events",
            recorded,
        )?;
        self.check_end(&core, deadline)?;
        Ok(last)
    }

    /// What is outside the core stays as it is, dies, or is cut off for good.
    fn freeze_rest(&mut self, others: Others) {
        let world = &mut *self.world;
        let rest: Vec<Pid> = world
            .alive()
            .filter(|pid| !world.core.contains(pid))
            .collect();
        for pid in rest {
            let host = world.processes[pid].host;
            match others {
                Others::Stay => {}
                Others::Die => world.crash(pid),
                // Somebody else has its address.
                Others::CutOff if !world.is_listening(pid) => world.crash(pid),
                Others::CutOff => {
                    for other in 0..world.hosts.len() {
                        world.net.cut(host, other);
                        world.net.cut(other, host);
                    }
                }
            }
        }
    }

    fn add_closer(&mut self, pid: Pid) -> usize {
        self.world
            .add_actor(CLOSERS + pid, Role::Closer(Closer::new(pid)), Some(pid))
    }

    /// What the scenario says of the end comes true in time.
    fn check_end(&mut self, core: &[Pid], deadline: Time) -> Result<(), Violation> {
        for check in self.setup.checks.iter().filter(|check| check.is_final()) {
            while let Some(wrong) = check.wrong(self.world, Some(core)) {
                if self.world.now >= deadline {
                    return Err(Violation::new(EXPECTED, format!("at the end: {wrong}")));
                }
                self.advance(LOOK)?;
            }
        }
        Ok(())
    }

    /// The latest revision that any client has been told.
    fn last_revision(&self) -> i64 {
        let answers = self.world.history.iter().filter_map(|o| o.answer.as_ref());
        answers
            .filter_map(|(_, response)| response.rev)
            .max()
            .unwrap_or(0)
    }

    /// The latest revision that any node has: watchers may have been told of it since.
    fn latest_shown(&self, last: i64) -> i64 {
        let machines = self
            .world
            .processes
            .iter()
            .filter_map(|one| one.machine.as_ref());
        let revs = machines.filter_map(M::view).map(|view| view.rev.0 as i64);
        revs.max().unwrap_or(0).max(last)
    }

    /// The sequence of events as the recorders were told it.
    fn assemble(&mut self, last: i64) -> Result<Model, Violation> {
        let world = &*self.world;
        let is_recorder = |actor: usize| matches!(world.actors[actor].role, Role::Recorder(_));
        let model = sequence::assemble(&world.history, is_recorder, &world.chronicle, last)?;
        self.revisions = model.rev() as u64;
        Ok(model)
    }

    fn judge(&self, last: i64, model: &Model) -> Result<(), Violation> {
        let world = &*self.world;
        let (revs, latest) = (world.params.history_revs as i64, world.chronicle.rev());
        edge::check(&world.history, model, revs, latest)?;
        let is_watcher = |actor: usize| matches!(world.actors[actor].role, Role::Watcher(_));
        let keys = world.params.keys;
        watch::check(&world.history, is_watcher, model)?;
        once::check(&world.history, model, world.params.limits)?;
        counters::check(&world.history, model, keys)?;
        lists::check(&world.history, keys)?;
        locks::check(&world.history, model, keys)?;
        revisions::check_sessions(&world.history, self.latest_shown(last))?;
        linearizability::check(&world.history, model)
    }

    /// Watchers are on the core by now: soon they wait for nothing that has happened already.
    fn watchers_catch_up(&mut self, model: &Model) -> Result<(), Violation> {
        let deadline = self.world.now + self.world.params.timeout + micros(500_000);
        while let Some(detail) = late_watcher(self.world, model) {
            if self.world.now >= deadline {
                return Err(Violation::new(watch::PROPERTY, detail));
            }
            self.advance(LOOK)?;
        }
        Ok(())
    }
}

/// A watcher that waits for something that has happened already, if there is one.
fn late_watcher<M: Machine>(world: &World<M>, model: &Model) -> Option<String> {
    world.actors.iter().enumerate().find_map(|(actor, one)| {
        let Role::Watcher(watcher) = &one.role else {
            return None;
        };
        let Some((pattern, next)) = watcher.position() else {
            return Some(format!("client {actor} was never told where it is"));
        };
        if next <= world.chronicle.rev() - world.params.history_revs as i64 {
            // It is being told that this is too late.
            return None;
        }
        let rev = model.first_match(pattern.as_bytes(), next)?;
        Some(format!(
            "client {actor} still waits for {pattern} at rev {rev}"
        ))
    })
}

fn is_closed<M: Machine>(world: &World<M>, actor: usize) -> bool {
    matches!(&world.actors[actor].role, Role::Closer(closer) if closer.is_done())
}
