//! One run: a cluster is formed, goes through a storm of faults, and must then serve again.
//!
//! 1. *Forming*, as operators do it: the first process founds the cluster, the others join through
//!    it, a client creates an empty `/ctl/cal/<n>` for each further member, standbys claim them.
//! 2. *Storm*: clients work, the nemesis strikes.
//! 3. *Core*: a random majority of every configuration in force is healed, with some standbys;
//!    everything else is frozen as it is, for ever. All open requests on the core must end, each
//!    node of the core must serve a write (unless it is a standby) and a linearizable read, and all
//!    must tell the events up to the last answered revision, within a stated time.
//! 4. *Judgement*: the checkers look at the whole history.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::chance::{Dice, What};
use super::check::{
    Violation, bounds, counters, linearizability, lists, locks, once, revisions, search, sequence,
    watch,
};
use super::client::{Closer, Former, Increment, Locker, Mixed, Recorder, Role, Style, Watcher};
use super::machine::Machine;
use super::model::Model;
use super::nemesis::Kind;
use super::params::micros;
use super::process::Pid;
use super::trace::Trace;
use super::world::{Happening, Narrator, Stats, World};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::probe::{self, Hits};

/// How often the progress of a phase is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Events after which a run counts as running away: a hundred times a usual one.
const EVENTS_MAX: u64 = 20_000_000;
/// Runs in a million whose whole history is searched.
const DEEP_PPM: u32 = 30_000;
/// Revisions that the recorders of all nodes but one read; one node tells all of them.
const TAIL_REVS: i64 = 100;

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
}

/// Runs one seed. A panic in the machine is caught and reported like any other broken rule.
pub fn run<M: Machine>(seed: u64, shared: M::Shared, narrator: Option<Narrator>) -> Report {
    complete(seed, World::<M>::new(seed, shared, narrator))
}

/// Runs one seed as [`run`] does, and keeps the events of one block of its trace.
pub fn run_watching<M: Machine>(seed: u64, shared: M::Shared, block: u64) -> Report {
    let mut world = World::<M>::new(seed, shared, None);
    world.trace = Trace::watching(block);
    complete(seed, world)
}

/// Forms a cluster of five members on a quick network that loses nothing, and lets it stand idle for
/// some simulated time: how much faster than real time is that?
pub fn idle<M: Machine>(shared: M::Shared, span: Duration) -> Result<(), Violation> {
    let mut world = World::<M>::new(0, shared, None);
    world.params.members = 5;
    world.params.standbys = 0;
    let net = &mut world.net.params;
    (net.delay_min, net.delay_spread) = (micros(30), micros(200));
    (net.loss_ppm, net.duplicate_ppm, net.tail_ppm) = (0, 0, 0);
    let mut run = Run::new(&mut world);
    run.form()?;
    run.advance(span)
}

fn complete<M: Machine>(seed: u64, mut world: World<M>) -> Report {
    // What other code of this thread has met before does not belong to this run.
    probe::take();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new(&mut world);
        let result = run.all();
        (run.excused, run.revisions, run.searched, result)
    }));
    let (excused, revisions, searched, result) = result.unwrap_or_else(|panic| {
        let violation = Violation::new(NO_PANIC, text_of(&*panic));
        (false, 0, search::Found::default(), Err(violation))
    });
    Report {
        seed,
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
    }
}

/// Forms the cluster that a world is meant to have, for scenarios.
pub fn form<M: Machine>(world: &mut World<M>) -> Result<(), Violation> {
    let run = &mut Run {
        world,
        revisions: 0,
        excused: false,
        searched: search::Found::default(),
        sets: Vec::new(),
    };
    run.form()
}

pub(super) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

struct Run<'a, M: Machine> {
    world: &'a mut World<M>,
    revisions: u64,
    excused: bool,
    searched: search::Found,
    /// The members of the configurations that were known when the core was chosen.
    sets: Vec<Vec<NodeId>>,
}

impl<'a, M: Machine> Run<'a, M> {
    fn new(world: &'a mut World<M>) -> Run<'a, M> {
        Run {
            world,
            revisions: 0,
            excused: false,
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
        let deadline = self.world.now + self.world.params.liveness_bound();
        let mut busy = self.world.core.clone();
        loop {
            let left = |pid: &Pid| {
                let machine = self.world.processes[*pid].machine.as_ref();
                let node = machine.and_then(M::node)?;
                Some((self.world.processes[*pid].id, bounds::leftover(node)?))
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
        if self.world.trace.events() > EVENTS_MAX {
            let detail = format!("more than {EVENTS_MAX} events");
            return Err(Violation::new("a run comes to an end", detail));
        }
        Ok(())
    }

    fn form(&mut self) -> Result<(), Violation> {
        let world = &mut *self.world;
        let founder = world.add_host();
        world.start(founder);
        for _ in 1..world.params.members + world.params.standbys {
            let host = world.add_host();
            world.start(host);
        }
        let former = Former::new(world.params.members);
        let actor = world.add_actor(Role::Former(former), None);
        let deadline = world.now + world.params.forming_bound();
        let formed = |world: &World<M>| {
            let seated = matches!(&world.actors[actor].role, Role::Former(f) if f.is_done());
            seated && world.alive().all(|pid| world.processes[pid].ready)
        };
        self.until(deadline, "the cluster is not formed", formed)
    }

    fn storm(&mut self) -> Result<(), Violation> {
        let world = &mut *self.world;
        let params = world.params.clone();
        let mut dice = world.chance.dice(What::Swarm, 2);
        for name in 0..params.mixed {
            let mixed = Mixed::new(name, params.keys, params.limits, &mut dice);
            world.add_actor(Role::Mixed(mixed), None);
        }
        for (style, count) in [
            (Style::Count, params.counters),
            (Style::List, params.listers),
        ] {
            for _ in 0..count {
                let name = world.actors.len();
                let key = dice.below(params.keys);
                let increment = Increment::new(style, key, name);
                world.add_actor(Role::Increment(increment), None);
            }
        }
        for _ in 0..params.lockers {
            let name = world.actors.len();
            let locker = Locker::new(dice.below(params.keys), name);
            world.add_actor(Role::Locker(locker), None);
        }
        for _ in 0..params.watchers {
            let watcher = Watcher::new(&mut dice);
            world.add_actor(Role::Watcher(watcher), None);
        }
        world.storm_began = world.now;
        world.queue.push(world.now, Happening::Strike { n: 0 });
        self.advance(params.storm)
    }

    /// A random majority of every configuration that may still decide a slot, and some standbys.
    /// `None` when no such majority lives.
    fn choose_core(&mut self) -> Option<Vec<Pid>> {
        let world = &*self.world;
        let dice = &mut world.chance.dice(What::Core, 0);
        let sets = world.member_sets();
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
        world.heal_core(core);
        self.freeze_rest(&mut dice);
        let world = &mut *self.world;
        for actor in &mut world.actors {
            actor.stopped = true;
        }
        let deadline = world.now + world.params.liveness_bound();
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
        for pid in core {
            let first = if pid == chronicler {
                1
            } else {
                (last - TAIL_REVS).max(1)
            };
            let recorder = Role::Recorder(Recorder::new(first, last));
            self.world.add_actor(recorder, Some(pid));
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
        Ok(last)
    }

    /// What is outside the core stays as it is, dies, or is cut off for good.
    fn freeze_rest(&mut self, dice: &mut Dice) {
        let world = &mut *self.world;
        let fate = dice.below(3);
        let rest: Vec<Pid> = world
            .alive()
            .filter(|pid| !world.core.contains(pid))
            .collect();
        for pid in rest {
            let host = world.processes[pid].host;
            match fate {
                0 => {}
                1 => world.crash(pid),
                // Somebody else has its address.
                _ if !world.is_listening(pid) => world.crash(pid),
                _ => {
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
            .add_actor(Role::Closer(Closer::new(pid)), Some(pid))
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
        let model = sequence::assemble(&world.history, is_recorder, last)?;
        self.revisions = model.rev() as u64;
        Ok(model)
    }

    fn judge(&self, last: i64, model: &Model) -> Result<(), Violation> {
        let world = &*self.world;
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
        let rev = model.first_match(pattern.as_bytes(), next)?;
        Some(format!(
            "client {actor} still waits for {pattern} at rev {rev}"
        ))
    })
}

fn is_closed<M: Machine>(world: &World<M>, actor: usize) -> bool {
    matches!(&world.actors[actor].role, Role::Closer(closer) if closer.is_done())
}
