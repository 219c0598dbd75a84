//! Restoring a backup in the middle of faults.
//!
//! A run of its own kind, as the others count revisions one by one: a cluster is formed, and while the
//! nemesis strikes, clients restore a backup into it, begin again, and get into each other's way; others
//! look on. Then a core is healed, as in every run, and one of them must come to an end.

use super::{LIVENESS, LOOK, Run};
use crate::core::id::Rev;
use crate::core::node::Node;
use crate::core::protocol::client::{FileAt, Verb};
use crate::core::store::Glob;
use crate::sim::chance::What;
use crate::sim::check::Violation;
use crate::sim::client::{Backup, Onlooker, Restorer, Role, listed};
use crate::sim::fault::Event;
use crate::sim::history::Operation;
use crate::sim::params::micros;
use crate::sim::process::Pid;
use crate::sim::setup::{Others, Setup};
use crate::sim::trouble::Phase;
use crate::sim::world::{Happening, World};

/// The property, as a sentence.
pub const PROPERTY: &str = "a backup is restored as a whole, with its revisions, or not at all";

/// Clients that look on.
const ONLOOKERS: usize = 2;

/// The files of a backup.
const PATTERN: &[u8] = b"/b/**";

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The storm took the majority away, and nothing could be judged.
    pub excused: bool,
    /// Whether the backup was restored while the storm lasted.
    pub in_storm: bool,
    /// How often a restoration began.
    pub begun: usize,
    /// Lists that were seen, without and with the files.
    pub seen: (usize, usize),
    /// The faults that came about.
    pub inflicted: Vec<Event>,
}

/// Does the run of a seed.
///
/// # Errors
///
/// The rule that was broken.
pub fn restoring(seed: u64) -> Result<Restored, Violation> {
    let setup = Setup {
        clients: Vec::new(),
        ..Setup::from_seed(seed)
    };
    let mut world = World::<Node>::new(&setup, (), None);
    let backup = Backup::draw(&mut world.chance.dice(What::Crowd, 0));
    let mut run = Run::new(&mut world, &setup);
    run.form()?;
    let restorers = run.begin_storm(&backup);
    let storm = micros(run.world.params.storm.as_micros() as u64);
    run.advance(storm)?;
    let in_storm = run.is_restored(&restorers);
    run.bring_back()?;
    let core = run.choose_core();
    let mut restored = Restored {
        excused: core.is_none(),
        in_storm,
        ..Restored::default()
    };
    if let Some(core) = core {
        match run.come_to_an_end(core, &restorers, &backup) {
            Err(violation) if violation.property == LIVENESS && run.is_outvoted() => {
                restored.excused = true;
            }
            ended => ended?,
        }
    }
    restored.seen = judge(&run.world.history, &backup)?;
    restored.inflicted = std::mem::take(&mut run.world.inflicted);
    let begins = |role: &Role| match role {
        Role::Restorer(restorer) => restorer.attempts() as usize,
        _ => 0,
    };
    restored.begun = run.world.actors.iter().map(|one| begins(&one.role)).sum();
    Ok(restored)
}

impl Run<'_, Node> {
    fn begin_storm(&mut self, backup: &Backup) -> Vec<usize> {
        let world = &mut *self.world;
        world.storm_began = world.now;
        world.net.begin(Phase::Storm);
        let count = 1 + world.chance.dice(What::Crowd, 1).below(2) as usize;
        let restorers = (1..=count).map(|name| {
            let role = Role::Restorer(Restorer::new(name, backup.clone()));
            world.add_actor(name, role, None)
        });
        let restorers = restorers.collect();
        for name in count + 1..=count + ONLOOKERS {
            world.add_actor(name, Role::Onlooker(Onlooker), None);
        }
        world.queue.push(world.now, Happening::Strike { n: 0 });
        restorers
    }

    fn is_restored(&self, restorers: &[usize]) -> bool {
        let is_over = |actor: &usize| match &self.world.actors[*actor].role {
            Role::Restorer(restorer) => restorer.is_over(),
            _ => false,
        };
        restorers.iter().any(is_over)
    }

    fn come_to_an_end(
        &mut self,
        core: Vec<Pid>,
        restorers: &[usize],
        backup: &Backup,
    ) -> Result<(), Violation> {
        let world = &mut *self.world;
        world.net.begin(Phase::Core);
        world.heal_core(core);
        self.freeze_rest(Others::CutOff);
        // A client alone: two that begin again and again may be in each other's way for long.
        let world = &mut *self.world;
        for actor in restorers.iter().skip(1) {
            world.actors[*actor].stopped = true;
        }
        // Each step may wait as long as anything else.
        let steps = backup.files.len() as u32 + 2;
        let deadline = world.now + world.liveness_bound() * steps;
        while !self.is_restored(&restorers[..1]) {
            if self.world.now >= deadline {
                let detail = "a restoration does not come to its end";
                return Err(Violation::new(LIVENESS, detail));
            }
            self.advance(LOOK)?;
        }
        let deadline = self.world.now + self.world.liveness_bound();
        loop {
            let wrong = self.wrong(backup);
            match wrong {
                None => return Ok(()),
                Some(detail) if self.world.now >= deadline => {
                    return Err(Violation::new(PROPERTY, detail));
                }
                Some(_) => self.advance(LOOK)?,
            }
        }
    }

    /// What a node of the core has that it should not have, or the other way round.
    fn wrong(&self, backup: &Backup) -> Option<String> {
        let expected = backup.expected();
        self.world.core.iter().find_map(|pid| {
            let process = &self.world.processes[*pid];
            let state = process.machine.as_ref().and_then(|node| node.state());
            let Some(store) = state.map(|state| state.store()) else {
                return Some(format!("{} has no copy", process.id));
            };
            let glob = Glob::parse(PATTERN).expect("a well-formed pattern");
            let view = store.at(None).expect("the present can be read");
            let files: Vec<FileAt> = view
                .files(&glob)
                .map(|(path, rev, value)| FileAt {
                    path: path.as_str().to_owned().into(),
                    rev: rev.0,
                    value: value.0.clone(),
                })
                .collect();
            let is_right = files == expected && store.rev() >= Rev(backup.rev);
            (!is_right).then(|| format!("{} at rev {}: {files:?}", process.id, store.rev()))
        })
    }
}

/// Whoever looked on saw nothing or everything, and everything once anybody could know of it. Counts
/// both.
fn judge(history: &[Operation], backup: &Backup) -> Result<(usize, usize), Violation> {
    let expected = backup.expected();
    let (mut before, mut after) = (0, 0);
    // When somebody first knew of it.
    let mut known = u64::MAX;
    let lists: Vec<_> = history
        .iter()
        .filter(|operation| operation.verb() == Some(Verb::Files))
        .filter_map(|operation| {
            let (answered, response) = operation.answer.as_ref()?;
            let (rev, files) = listed(response).filter(|_| response.error().is_none())?;
            Some((operation, *answered, rev, files))
        })
        .collect();
    for (operation, answered, rev, files) in &lists {
        let wrong = |what: &str| {
            let client = operation.client;
            let detail = format!("client {client} saw {what} at rev {rev}: {files:?}");
            Err(Violation::new(PROPERTY, detail))
        };
        let is_restored = *rev >= backup.rev as i64;
        match (is_restored, files.is_empty()) {
            (false, true) => before += 1,
            (true, false) if *files == expected => {
                after += 1;
                known = known.min(*answered);
            }
            _ => return wrong("a part of it"),
        }
    }
    for (operation, _, rev, _) in &lists {
        let is_local = operation.request.local == Some(true);
        if !is_local && operation.invoked > known && *rev < backup.rev as i64 {
            let detail = format!("client {} saw nothing of it later", operation.client);
            return Err(Violation::new(PROPERTY, detail));
        }
    }
    Ok((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs, which together go through everything that can happen.
    const SEEDS: u64 = 60;

    #[test]
    fn a_backup_is_restored_whatever_goes_wrong() {
        let mut all = Vec::new();
        for seed in 0..SEEDS {
            let restored = restoring(seed);
            all.push(restored.unwrap_or_else(|violation| panic!("seed {seed}: {violation}")));
        }
        let judged: Vec<&Restored> = all.iter().filter(|one| !one.excused).collect();
        assert!(judged.len() > SEEDS as usize / 2, "{}", judged.len());
        let in_storm = judged.iter().filter(|one| one.in_storm).count();
        assert!(in_storm > 0 && in_storm < judged.len(), "{in_storm}");
        let again = judged.iter().filter(|one| one.begun > 1).count();
        assert!(again > 0);
        assert!(judged.iter().any(|one| one.seen.0 > 0 && one.seen.1 > 0));
        assert!(judged.iter().any(|one| !one.inflicted.is_empty()));
    }
}
