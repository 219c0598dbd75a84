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

mod finale;
mod judgement;
mod restoring;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::probe::{self, Hits};
use crate::sim::check::{Violation, search};
use crate::sim::client::{Former, Role};
use crate::sim::fault::Event;
use crate::sim::machine::Machine;
use crate::sim::narration::Narrator;
use crate::sim::nemesis::Kind;
use crate::sim::params::micros;
use crate::sim::script::{EXPECTED, SCRIPTS, Script, Step, Watch, names};
use crate::sim::setup::{Core, Setup};
use crate::sim::trace::Trace;
use crate::sim::trouble::{Phase, Troubles};
use crate::sim::world::{Happening, Stats, World};

pub use super::world::ENDLESS;
pub use restoring::{Restored, restoring};

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

/// A cluster of five members on a quick network that loses nothing, which nobody uses: how much
/// faster than real time is it simulated?
pub struct Idle<M: Machine>(World<M>);

impl<M: Machine> Idle<M> {
    /// Forms the cluster.
    ///
    /// # Errors
    ///
    /// The rule that was broken.
    pub fn form(shared: M::Shared) -> Result<Idle<M>, Violation> {
        let mut setup = Setup::calm(0);
        setup.params.members = 5;
        let mut world = World::<M>::new(&setup, shared, None);
        Run::new(&mut world, &setup).form()?;
        Ok(Idle(world))
    }

    /// Lets it stand for some simulated time, with all checks on.
    ///
    /// # Errors
    ///
    /// The rule that was broken.
    pub fn stand(&mut self, span: Duration) -> Result<(), Violation> {
        let until = self.0.now + span;
        self.0.run_until(until);
        self.0.violation.clone().map_or(Ok(()), Err)
    }
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
    let violation = result.err();
    if let Some(violation) = &violation {
        world.tell_violation(violation);
    }
    Report {
        seed: setup.seed,
        violation,
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
        self.bring_back()?;
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
        self.seats_are_filled()?;
        let model = self.assemble(last)?;
        self.watchers_catch_up(&model)?;
        self.nothing_is_left()?;
        self.world.check_disks()?;
        self.searched = self.search();
        self.judge(last, &model)?;
        match &self.searched.broken {
            None => Ok(()),
            Some(what) => Err(Violation::new(search::PROPERTY, what.clone())),
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
}
