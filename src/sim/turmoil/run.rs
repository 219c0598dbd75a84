//! One run: a cluster of real servers is formed, goes through a storm of faults, must serve again,
//! and is judged; then its clients leave, and it is stopped.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use ::turmoil::{Builder, Sim};
use tokio::sync::mpsc::unbounded_channel;

use super::client::{Part, WATCH_PATIENCE, host_clients};
use super::mischief;
use super::nemesis::Nemesis;
use super::operator::Operator;
use super::panics;
use super::params::Params;
use super::process::{Order, TIMEOUT, live_on};
use super::stage::{PORT, Stage, Teller};
use crate::core::env::Time;
use crate::core::instrument::probe;
use crate::core::limits::Limits;
use crate::sim::chance::{Chance, What};
use crate::sim::check::chronicle::Chronicle;
use crate::sim::check::{
    Violation, counters, linearizability, lists, once, revisions, search, sequence, watch,
};
use crate::sim::client::{Closer, Former, Increment, Mixed, Recorder, Role, Style, Watcher};
use crate::sim::machine::Machine as _;
use crate::sim::model::Model;
use crate::sim::process::Pid;
use crate::sim::run::{Course, LIVENESS, NO_PANIC, Report};

/// The step of the simulation. What happens within one happens at one time, host by host.
const TICK: Duration = Duration::from_millis(1);

/// Segments that an end may not have read; also connections that may wait to be accepted.
const TCP_CAPACITY: usize = 256;

/// Hosts of clients.
const HOMES: usize = 2;

/// How often the progress of a phase is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long forming a cluster may take when nothing fails.
const FORMING_MAX: Duration = Duration::from_secs(60);

/// The longest deadline of connections between processes: for a write that makes no progress.
const PEER_DEADLINE: Duration = Duration::from_secs(10);

/// The longest deadline of connections of clients: for one that stalls.
const CLIENT_DEADLINE: Duration = Duration::from_secs(60);

/// How long a process that is told to stop may take: half a second for its last answers, and what
/// it needs to notice.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Simulated time that no run reaches.
const RUN_MAX: Duration = Duration::from_secs(3600);

/// Revisions that the recorders of all processes but one read; one process tells all of them.
const TAIL_REVS: i64 = 100;

/// Connections come back and go away.
const NO_WEDGE: &str = "no connection is wedged or left over beyond twice its deadline";

/// A stop ends.
const STOPS: &str = "a process that is told to stop ends in time";

/// Runs one seed. A panic is caught and reported like any other broken rule.
pub fn run(seed: u64, narrator: Option<Teller>) -> Report {
    panics::watch();
    // What other code of this thread has met before does not belong to this run.
    probe::take();
    let chance = Chance::new(seed);
    let params = Params::draw(&chance);
    let stage = Stage::set_up(chance, params, narrator);
    let result = catch_unwind(AssertUnwindSafe(|| Run::new(&stage).all()));
    let result = result.unwrap_or_else(|panic| {
        let text = crate::sim::run::text_of(&*panic);
        Err(Violation::new(NO_PANIC, text))
    });
    let trace = stage.trace.borrow().clone();
    let stats = *stage.stats.borrow();
    let operations = stage.history.borrow().len() as u64;
    let simulated = stage.between_hosts.get().since(Time(0));
    Report {
        seed,
        violation: result.as_ref().err().cloned(),
        excused: false,
        events: trace.events(),
        trace,
        simulated,
        revisions: result.unwrap_or(0),
        operations,
        // Searched all the same; what is told of is the other simulator's.
        searched: search::Found::default(),
        stats,
        chosen: BTreeMap::new(),
        hits: probe::take(),
        course: Course::default(),
    }
}

struct Run<'a> {
    stage: Rc<Stage>,
    sim: Sim<'a>,
    nemesis: Nemesis,
    panics: u64,
}

impl Run<'_> {
    fn new<'a>(stage: &Rc<Stage>) -> Run<'a> {
        let params = &stage.params;
        let mut sim = Builder::new()
            .rng_seed(stage.chance.dice(What::Sockets, 0).draw())
            .epoch(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
            .tick_duration(TICK)
            .min_message_latency(params.latency.0)
            .max_message_latency(params.latency.1)
            .simulation_duration(RUN_MAX)
            .tcp_capacity(TCP_CAPACITY)
            .enable_random_order()
            .build();
        let nodes = params.members + params.standbys;
        for host in 0..nodes {
            // A name takes the next address, whether anything runs there yet or not.
            let ip = sim.lookup(format!("n{host}"));
            stage.addrs.borrow_mut().push(SocketAddr::new(ip, PORT));
        }
        for host in 0..nodes {
            let stage = Rc::clone(stage);
            sim.host(format!("n{host}"), move || live_on(Rc::clone(&stage), host));
        }
        for home in 0..HOMES {
            let stage = Rc::clone(stage);
            sim.host(format!("c{home}"), move || host_clients(Rc::clone(&stage)));
        }
        let (mischief, orders) = unbounded_channel();
        sim.client(
            mischief::HOST,
            mischief::host_mischief(Rc::clone(stage), orders),
        );
        let homes: Vec<IpAddr> = (0..HOMES).map(|n| sim.lookup(format!("c{n}"))).collect();
        Run {
            nemesis: Nemesis::new(Rc::clone(stage), homes, mischief),
            stage: Rc::clone(stage),
            sim,
            panics: panics::count(),
        }
    }

    /// All phases. Returns how many revisions were judged.
    fn all(&mut self) -> Result<u64, Violation> {
        self.form()?;
        self.storm()?;
        let last = self.recover()?;
        let judged = self.judge(last)?;
        self.clear()?;
        self.stop()?;
        Ok(judged)
    }

    /// Lets time pass.
    fn advance(&mut self, span: Duration) -> Result<(), Violation> {
        let until = self.stage.now() + span;
        while self.stage.now() < until {
            self.nemesis.act(&mut self.sim);
            let stepped = self.sim.step();
            let now = Time(self.sim.elapsed().as_micros() as u64);
            self.stage.between_hosts.set(now);
            if let Err(error) = stepped {
                return Err(Violation::new(NO_PANIC, error.to_string()));
            }
            if panics::count() > self.panics {
                let detail = "a task panicked; what it said is above";
                return Err(Violation::new(NO_PANIC, detail));
            }
            if let Some(violation) = self.stage.violation() {
                return Err(violation);
            }
        }
        Ok(())
    }

    /// Looks from time to time until nothing is missing any more.
    fn until(
        &mut self,
        property: &'static str,
        most: Duration,
        missing: impl Fn(&Stage) -> Option<String>,
    ) -> Result<(), Violation> {
        let deadline = self.stage.now() + most;
        while let Some(what) = missing(&self.stage) {
            if self.stage.now() >= deadline {
                let detail = format!("{what}, at {} ms", self.stage.now().0 / 1000);
                return Err(Violation::new(property, detail));
            }
            self.advance(LOOK)?;
        }
        Ok(())
    }

    fn form(&mut self) -> Result<(), Violation> {
        self.advance(TICK)?;
        let members = self.stage.params.members;
        let former = Part::Role(Role::Former(Former::new(members)));
        let founder = self.stage.processes.borrow()[0].host;
        let actor = self.stage.add_actor(former, Some(founder));
        self.until(LIVENESS, FORMING_MAX, |stage| {
            let is_seated = stage.actors.borrow()[actor].is_gone;
            (!is_seated).then(|| "the cluster is not formed".to_owned())
        })
    }

    fn storm(&mut self) -> Result<(), Violation> {
        let stage = Rc::clone(&self.stage);
        let params = &stage.params;
        let mut dice = stage.chance.dice(What::Swarm, 2);
        for name in 0..params.mixed {
            let mixed = Mixed::new(name, params.keys, Limits::default(), &mut dice);
            stage.add_actor(Part::Role(Role::Mixed(mixed)), None);
        }
        for (style, count) in [
            (Style::Count, params.counters),
            (Style::List, params.listers),
        ] {
            for _ in 0..count {
                let name = stage.actors.borrow().len();
                let increment = Increment::new(style, dice.below(params.keys), name);
                stage.add_actor(Part::Role(Role::Increment(increment)), None);
            }
        }
        for _ in 0..params.watchers {
            let (pattern, from) = Watcher::draw(&mut dice);
            let watcher = Watcher::new(pattern, from);
            stage.add_actor(Part::Role(Role::Watcher(watcher)), None);
        }
        stage.add_actor(Part::Operator(Operator::new(params.members)), None);
        self.nemesis.begin();
        self.advance(params.storm)
    }

    /// Ends all faults, and waits until everybody serves again and agrees. Returns the last
    /// revision that anybody has been told.
    fn recover(&mut self) -> Result<i64, Violation> {
        self.nemesis.heal(&mut self.sim);
        self.stage.is_calm.set(true);
        self.advance(TICK)?;
        let bound = 2 * PEER_DEADLINE;
        self.until(NO_WEDGE, bound, missing_link)?;
        let bound = 4 * self
            .stage
            .params
            .request_timeout
            .max(self.stage.params.patience);
        let bound = bound + 2 * TIMEOUT;
        self.until(LIVENESS, bound, |stage| {
            let actors = stage.actors.borrow();
            let open = actors
                .iter()
                .position(|actor| actor.part.leaves_in_calm() && !actor.is_gone)?;
            Some(format!("client {open} still waits, or a slot is not taken"))
        })?;
        let alive = self.stage.alive();
        for pid in &alive {
            let closer = Part::Role(Role::Closer(Closer::new(*pid)));
            let host = self.stage.processes.borrow()[*pid].host;
            self.stage.add_actor(closer, Some(host));
        }
        self.until(LIVENESS, bound, |stage| {
            let actors = stage.actors.borrow();
            let late = actors.iter().find(|actor| {
                matches!(&actor.part, Part::Role(Role::Closer(_))) && !actor.is_gone
            })?;
            Some(format!("host {:?} does not serve", late.pinned))
        })?;
        if !self.has_written() {
            return Err(Violation::new(LIVENESS, "nobody takes writes"));
        }
        let last = self.last_revision();
        let chronicler = alive.first().copied();
        for pid in alive {
            let is_chronicler = Some(pid) == chronicler;
            let first = if is_chronicler {
                1
            } else {
                (last - TAIL_REVS).max(1)
            };
            let recorder = Part::Role(Role::Recorder(Recorder::new(first, last)));
            let host = self.stage.processes.borrow()[pid].host;
            self.stage.add_actor(recorder, Some(host));
        }
        self.until(LIVENESS, bound, |stage| {
            let actors = stage.actors.borrow();
            let late = actors.iter().find(|actor| {
                matches!(&actor.part, Part::Role(Role::Recorder(_))) && !actor.is_gone
            })?;
            Some(format!("host {:?} does not tell all events", late.pinned))
        })?;
        Ok(last)
    }

    fn has_written(&self) -> bool {
        let actors = self.stage.actors.borrow();
        actors.iter().any(|actor| {
            matches!(&actor.part, Part::Role(Role::Closer(closer)) if closer.written().is_some())
        })
    }

    /// The latest revision that any client has been told.
    fn last_revision(&self) -> i64 {
        let history = self.stage.history.borrow();
        let answers = history.iter().filter_map(|o| o.answer.as_ref());
        let revs = answers.filter_map(|(_, response)| response.rev);
        revs.max().unwrap_or(0)
    }

    fn judge(&mut self, last: i64) -> Result<u64, Violation> {
        let model = {
            let actors = self.stage.actors.borrow();
            let is_recorder =
                |actor: usize| matches!(actors[actor].part, Part::Role(Role::Recorder(_)));
            let history = self.stage.history.borrow();
            // Nodes are not looked into; recorders ask for everything.
            sequence::assemble(&history, is_recorder, &Chronicle::default(), last)?
        };
        // Watchers may sit on connections that broke in the storm.
        let bound = WATCH_PATIENCE * self.stage.params.patience + PEER_DEADLINE;
        self.until(watch::PROPERTY, bound, |stage| behind(stage, &model))?;
        let history = self.stage.history.borrow();
        let actors = self.stage.actors.borrow();
        let is_watcher = |actor: usize| matches!(actors[actor].part, Part::Role(Role::Watcher(_)));
        let keys = self.stage.params.keys;
        watch::check(&history, is_watcher, &model)?;
        once::check(&history, &model, Limits::default())?;
        counters::check(&history, &model, keys)?;
        lists::check(&history, keys)?;
        // More may have happened since than the recorders were sent for.
        revisions::check_sessions(&history, i64::MAX)?;
        linearizability::check(&history, &model)?;
        if let Some(what) = search::search(&history, search::QUICK).broken {
            return Err(Violation::new(search::PROPERTY, what));
        }
        Ok(model.rev() as u64)
    }

    /// All clients leave but the stubborn. Nothing may be left of any, and of each connection between processes
    /// one task at either end.
    fn clear(&mut self) -> Result<(), Violation> {
        self.stage.is_over.set(true);
        self.until(NO_WEDGE, 2 * CLIENT_DEADLINE, left_over)
    }

    fn stop(&mut self) -> Result<(), Violation> {
        let alive = self.stage.alive();
        for pid in &alive {
            let host = self.stage.processes.borrow()[*pid].host;
            self.stage.order(host, Order::Stop);
        }
        self.until(STOPS, STOP_MAX, |stage| {
            let late = stage.alive();
            (!late.is_empty()).then(|| format!("processes {late:?} still run"))
        })?;
        self.advance(2 * LOOK)?;
        let left: Vec<Pid> = {
            let processes = self.stage.processes.borrow();
            let all = alive.into_iter();
            all.filter(|pid| processes[*pid].gauges.tasks() > 0)
                .collect()
        };
        if !left.is_empty() {
            let detail = format!("processes {left:?} have ended, and have tasks");
            return Err(Violation::new(STOPS, detail));
        }
        Ok(())
    }
}

/// Every process is connected to every member, and the members to every process of theirs.
fn missing_link(stage: &Stage) -> Option<String> {
    let processes = stage.processes.borrow();
    let alive = || processes.iter().filter(|one| one.node.is_some());
    let members: Vec<_> = alive()
        .filter_map(|one| one.node.as_ref())
        .flat_map(|node| node.borrow().member_sets())
        .flatten()
        .collect();
    for one in alive() {
        for other in alive().filter(|other| other.id != one.id && members.contains(&other.id)) {
            if !one.gauges.is_linked(other.id) {
                let detail = format!("host {} has no connection to {}", one.host, other.host);
                return Some(detail);
            }
        }
    }
    None
}

/// A watcher that waits for what has happened.
fn behind(stage: &Stage, model: &Model) -> Option<String> {
    let actors = stage.actors.borrow();
    actors.iter().enumerate().find_map(|(actor, one)| {
        let Part::Role(Role::Watcher(watcher)) = &one.part else {
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

/// What is there without clients: the task that accepts, one for each link, one for each caller.
fn left_over(stage: &Stage) -> Option<String> {
    let processes = stage.processes.borrow();
    for one in processes.iter().filter(|one| one.node.is_some()) {
        let gauges = &one.gauges;
        let (seats, sessions) = (gauges.seats(), gauges.sessions());
        let (tasks, links, callers) = (gauges.tasks(), gauges.links(), gauges.callers());
        if seats > 0 || sessions > 0 || tasks != 1 + links + callers {
            return Some(format!(
                "host {} has {seats} seats, {sessions} sessions, {links} links, {callers} callers \
                 and {tasks} tasks",
                one.host
            ));
        }
    }
    None
}
