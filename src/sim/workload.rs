//! Which clients work during the storm, and on what.

use serde::{Deserialize, Serialize};

use super::chance::{Chance, Dice, What};
use super::client::{From, Increment, Locker, Mixed, Role, Style, Watcher};
use super::params::{Params, micros};

/// Requests that clients make in a drawn storm, more or less, times members: each member makes a
/// request cost more events. Most bugs need few.
const REQUESTS: (u64, u64) = (250, 4_000);

/// A client of the storm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its number, under which its choices are drawn; not 0.
    pub name: usize,
    /// How many requests it makes; any number if not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// What it does.
    #[serde(flatten)]
    pub task: Task,
}

/// What a client does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Task {
    /// Reads and writes at random, below `/r`.
    Mixed {},
    /// Counts in `/count/<key>`.
    Count {
        /// Which file.
        key: u64,
    },
    /// Appends to the list `/list/<key>`.
    Append {
        /// Which file.
        key: u64,
    },
    /// Takes and frees the lock `/lock/<key>`.
    Lock {
        /// Which file.
        key: u64,
    },
    /// Follows all changes.
    Watch {
        /// Of which files.
        pattern: String,
        /// From where on.
        from: From,
    },
}

/// The clients of a seed. Those that never rest would make long storms many times longer than short
/// ones, so the pause between requests is made to fit.
pub fn draw(chance: &Chance, params: &mut Params) -> Vec<Client> {
    let dice = &mut chance.dice(What::Crowd, 0);
    let sometimes = |dice: &mut Dice| match dice.below(5) {
        0 | 1 => 0,
        _ => 1 + dice.below(3),
    };
    let mut tasks = Vec::new();
    tasks.extend((0..dice.between(1, 5)).map(|_| Task::Mixed {}));
    let counters = sometimes(dice);
    tasks.extend((0..counters).map(|_| Task::Count {
        key: dice.below(params.keys),
    }));
    let listers = sometimes(dice);
    tasks.extend((0..listers).map(|_| Task::Append {
        key: dice.below(params.keys),
    }));
    let lockers = sometimes(dice);
    tasks.extend((0..lockers).map(|_| Task::Lock {
        key: dice.below(params.keys),
    }));
    let requests = dice.magnitude(REQUESTS.0, REQUESTS.1) / params.members as u64;
    let storm = params.storm.as_micros() as u64;
    let busy = tasks.len() as u64 * 2 * storm / requests;
    params.think = params.think.max(micros(busy));
    let watchers = sometimes(dice);
    tasks.extend((0..watchers).map(|_| {
        let (pattern, from) = Watcher::draw(dice);
        Task::Watch { pattern, from }
    }));
    let named = tasks.into_iter().enumerate().map(|(index, task)| Client {
        name: index + 1,
        requests: None,
        task,
    });
    named.collect()
}

impl Client {
    /// The role of this client in a world.
    pub fn role(&self, chance: &Chance, params: &Params) -> Role {
        let dice = &mut chance.dice(What::Taste, self.name as u64);
        match &self.task {
            Task::Mixed {} => Role::Mixed(Mixed::new(self.name, params.keys, params.limits, dice)),
            Task::Count { key } => Role::Increment(Increment::new(Style::Count, *key, self.name)),
            Task::Append { key } => Role::Increment(Increment::new(Style::List, *key, self.name)),
            Task::Lock { key } => Role::Locker(Locker::new(*key, self.name)),
            Task::Watch { pattern, from } => Role::Watcher(Watcher::new(pattern.clone(), *from)),
        }
    }
}
