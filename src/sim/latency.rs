//! How long writes take at healthy members while another one is dead, slow or paused.
//!
//! A scenario of its own, not part of random runs: a fixed local network, nothing random goes wrong,
//! clients write through all members but one. They are watched for a while, then something happens
//! to that one, and they are watched again.

use std::time::Duration;

use super::check::Violation;
use super::client::{Role, Writer};
use super::disk::{Fate, Manner};
use super::params::{NetParams, Params, micros};
use super::run::form;
use super::setup::Setup;
use super::world::World;
use crate::core::env::Time;
use crate::core::limits::Limits;
use crate::core::node::{Node, Tuning};

/// Clients that write through each healthy member.
const WRITERS: usize = 2;
/// Time that the cluster has to settle before it is watched.
const SETTLING: Duration = Duration::from_secs(1);
/// How long it is watched, before and after.
const WATCHED: Duration = Duration::from_secs(3);
/// Writes that begin this soon after the trouble are not counted: somebody has to notice.
const GRACE: Duration = Duration::from_millis(100);
/// How many times slower a slow member is.
const SLOW: u64 = 100;

/// What happens to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its process dies, and its connections break with it.
    Dies,
    /// Its machine dies, and nobody is told.
    Vanishes,
    /// It computes a hundred times slower.
    Slow,
    /// It stands still.
    Pauses,
}

/// How long writes took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// What all but one in a hundred took at most, before.
    pub healthy: Duration,
    /// The same, with the trouble, after the first 100 ms.
    pub troubled: Duration,
    /// The longest that any took, from the moment of the trouble on.
    pub worst: Duration,
    /// Writes that were answered in the second part.
    pub writes: usize,
}

/// Lets this happen to one of so many members.
pub fn measure(seed: u64, members: usize, trouble: Trouble) -> Result<Figures, Violation> {
    let setup = Setup {
        params: lan(members, trouble),
        ..Setup::calm(seed)
    };
    let mut world: World<Node> = World::new(&setup, (), None);
    form(&mut world, &setup)?;
    let victim = members - 1;
    for pid in (0..members).filter(|pid| *pid != victim) {
        for _ in 0..WRITERS {
            let name = world.actors.len();
            world.add_actor(name, Role::Writer(Writer::new(name)), Some(pid));
        }
    }
    advance(&mut world, SETTLING)?;
    let from = world.now;
    advance(&mut world, WATCHED)?;
    let until = world.now;
    match trouble {
        Trouble::Dies | Trouble::Vanishes => world.crash(victim, Fate::Gone),
        Trouble::Slow => world.processes[victim].slow = SLOW,
        Trouble::Pauses => world.processes[victim].paused_until = Time::NEVER,
    }
    advance(&mut world, WATCHED)?;
    let took = |from: Time, until: Time| {
        let ended = world
            .history
            .iter()
            .filter_map(|one| Some((one.began, one.ended?)));
        let during = ended.filter(|(began, _)| (from..until).contains(began));
        let mut took: Vec<Duration> = during.map(|(began, ended)| ended.since(began)).collect();
        took.sort_unstable();
        took
    };
    let p99 = |took: &[Duration]| {
        took.get(took.len() * 99 / 100)
            .copied()
            .unwrap_or(Duration::MAX)
    };
    let after = took(until + GRACE, Time::NEVER);
    Ok(Figures {
        healthy: p99(&took(from, until)),
        troubled: p99(&after),
        worst: took(until, Time::NEVER)
            .last()
            .copied()
            .unwrap_or(Duration::MAX),
        writes: after.len(),
    })
}

fn advance(world: &mut World<Node>, span: Duration) -> Result<(), Violation> {
    world.run_until(world.now + span);
    world.violation.clone().map_or(Ok(()), Err)
}

fn lan(members: usize, trouble: Trouble) -> Params {
    Params {
        members,
        standbys: 0,
        timeout: Duration::from_secs(5),
        pulse: Duration::from_secs(1),
        request_timeout: Duration::from_secs(5),
        tuning: Tuning::default(),
        limits: Limits::default(),
        net: NetParams {
            delay_min: micros(100),
            delay_spread: micros(100),
            tail_ppm: 0,
            loss_ppm: 0,
            duplicate_ppm: 0,
            ordered: true,
            decode_every: 1,
            bandwidth: 0,
            queue_bytes: 0,
            half_open_ppm: if trouble == Trouble::Vanishes {
                1_000_000
            } else {
                0
            },
            keepalive: Duration::from_secs(3),
        },
        group: Duration::ZERO,
        compute: micros(10),
        disk: Manner::AtOnce,
        drift_ppm: 0,
        client_tail_ppm: 0,
        think: micros(2_000),
        patience: Duration::from_secs(5),
        ..Params::default()
    }
}

#[cfg(test)]
mod tests;
