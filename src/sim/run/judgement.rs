//! The judgement: what the whole history must look like.

use super::{DEEP_PPM, LOOK, Run};
use crate::sim::chance::What;
use crate::sim::check::{
    Violation, counters, edge, linearizability, lists, locks, once, revisions, search, sequence,
    watch,
};
use crate::sim::client::Role;
use crate::sim::machine::Machine;
use crate::sim::model::Model;
use crate::sim::params::micros;
use crate::sim::world::World;

impl<M: Machine> Run<'_, M> {
    /// The history, searched without a look at revisions: its beginning always, all of it now and
    /// then.
    pub(super) fn search(&self) -> search::Found {
        let is_deep = self.world.chance.dice(What::Search, 0).hit(DEEP_PPM);
        let effort = if is_deep { search::DEEP } else { search::QUICK };
        search::search(&self.world.history, effort)
    }

    /// The latest revision that any node has: watchers may have been told of it since.
    pub(super) fn latest_shown(&self, last: i64) -> i64 {
        let machines = self
            .world
            .processes
            .iter()
            .filter_map(|one| one.machine.as_ref());
        let revs = machines.filter_map(M::view).map(|view| view.rev.0 as i64);
        revs.max().unwrap_or(0).max(last)
    }

    /// The sequence of events as the recorders were told it.
    pub(super) fn assemble(&mut self, last: i64) -> Result<Model, Violation> {
        let world = &*self.world;
        let is_recorder = |actor: usize| matches!(world.actors[actor].role, Role::Recorder(_));
        let model = sequence::assemble(&world.history, is_recorder, &world.chronicle, last)?;
        self.revisions = model.rev() as u64;
        Ok(model)
    }

    pub(super) fn judge(&self, last: i64, model: &Model) -> Result<(), Violation> {
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
    pub(super) fn watchers_catch_up(&mut self, model: &Model) -> Result<(), Violation> {
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
