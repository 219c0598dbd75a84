//! The final phase: a core is chosen and healed, and must serve, agree and come to rest.

use super::{CLOSERS, LIVENESS, LOOK, RECORDERS, Run, TAIL_REVS};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::sim::chance::What;
use crate::sim::check::{Violation, bounds};
use crate::sim::client::{Closer, Recorder, Role};
use crate::sim::disk::Fate;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::process::Pid;
use crate::sim::script::EXPECTED;
use crate::sim::setup::{Core, Others};
use crate::sim::trouble::Phase;
use crate::sim::world::World;

impl<M: Machine> Run<'_, M> {
    /// Some of those who can come back do, and all of them if it takes that.
    pub(super) fn bring_back(&mut self) -> Result<(), Violation> {
        let mut dice = self.world.chance.dice(What::Core, 2);
        self.world.wake_sleepers(|| dice.hit(500_000));
        self.wait_for_sleepers()?;
        if !self.world.has_majorities() {
            self.world.wake_sleepers(|| true);
            self.wait_for_sleepers()?;
        }
        Ok(())
    }

    fn wait_for_sleepers(&mut self) -> Result<(), Violation> {
        while self.world.is_waking() {
            self.advance(LOOK)?;
        }
        Ok(())
    }

    /// A random majority of every configuration that may still decide a slot, and some standbys;
    /// or what the setup says. `None` when no such majority lives.
    pub(super) fn choose_core(&mut self) -> Option<Vec<Pid>> {
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
            let live = live.filter(|pid| is_staying(world, **pid));
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
                .filter(|pid| is_staying(world, *pid))
                .filter(|_| !shows_members || dice.hit(300_000)),
        );
        core.sort_unstable();
        core.dedup();
        self.sets = sets;
        Some(core)
    }

    /// Whether a change of members was on its way when the core was chosen, and has come into force
    /// among those who are left: the core has no majority of these members.
    pub(super) fn is_outvoted(&self) -> bool {
        let world = &*self.world;
        let is_served = |id: &NodeId| {
            let pid = world.by_id.get(id);
            pid.is_some_and(|pid| world.core.contains(pid) && world.processes[*pid].is_alive())
        };
        let sets = world.member_sets().into_iter();
        let mut fresh = sets.filter(|set| !self.sets.contains(set));
        fresh.any(|set| set.iter().filter(|id| is_served(id)).count() <= set.len() / 2)
    }

    pub(super) fn prove_liveness(&mut self, core: Vec<Pid>) -> Result<i64, Violation> {
        let world = &mut *self.world;
        let mut dice = world.chance.dice(What::Core, 1);
        world.tell(Place::World, || Happened::Healed(&core));
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
    pub(super) fn freeze_rest(&mut self, others: Others) {
        let world = &mut *self.world;
        let rest: Vec<Pid> = world
            .alive()
            .filter(|pid| !world.core.contains(pid))
            .collect();
        for pid in rest {
            let host = world.processes[pid].host;
            match others {
                Others::Stay => {}
                Others::Die => world.crash(pid, Fate::Written),
                // Somebody else has its address.
                Others::CutOff if !world.is_listening(pid) => world.crash(pid, Fate::Written),
                Others::CutOff => {
                    let others = (0..world.hosts.len()).filter(|other| *other != host);
                    let pairs: Vec<_> = others.flat_map(|o| [(host, o), (o, host)]).collect();
                    for (from, to) in &pairs {
                        world.net.cut(*from, *to);
                    }
                    world.tell(Place::World, || Happened::Cut {
                        pairs: &pairs,
                        until: Time::NEVER,
                    });
                }
            }
        }
    }

    pub(super) fn add_closer(&mut self, pid: Pid) -> usize {
        self.world
            .add_actor(CLOSERS + pid, Role::Closer(Closer::new(pid)), Some(pid))
    }

    /// What the scenario says of the end comes true in time.
    pub(super) fn check_end(&mut self, core: &[Pid], deadline: Time) -> Result<(), Violation> {
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
    pub(super) fn last_revision(&self) -> i64 {
        let answers = self.world.history.iter().filter_map(|o| o.answer.as_ref());
        answers
            .filter_map(|(_, response)| response.rev)
            .max()
            .unwrap_or(0)
    }

    /// Seats that are wanting are taken while standbys are there to take them: the vigil of the world
    /// sees to that, if the run lasts for as long as it may take.
    pub(super) fn seats_are_filled(&mut self) -> Result<(), Violation> {
        let standbys = u32::try_from(self.world.core.len()).unwrap_or(u32::MAX);
        let deadline = self.world.now + self.world.takeover_bound() * (standbys + 1);
        while self.world.is_short() && self.world.now < deadline {
            self.advance(LOOK)?;
        }
        Ok(())
    }

    /// When clients are gone, each node of the core comes to rest, each in its own time: members
    /// go on writing what they are there to write.
    pub(super) fn nothing_is_left(&mut self) -> Result<(), Violation> {
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
}

/// Whether a process can be reached and has not been asked to end.
fn is_staying<M: Machine>(world: &World<M>, pid: Pid) -> bool {
    world.is_listening(pid) && world.processes[pid].leaving.is_none()
}

fn is_closed<M: Machine>(world: &World<M>, actor: usize) -> bool {
    matches!(&world.actors[actor].role, Role::Closer(closer) if closer.is_done())
}
