//! What operators do, on real nodes.

use std::time::Duration;

use crate::core::id::NodeId;
use crate::core::node::Node;
use crate::sim::client::{Former, Role};
use crate::sim::fault::{Fault, Moment};
use crate::sim::nemesis::{KINDS, Kind};
use crate::sim::params::{Params, micros};
use crate::sim::process::Pid;
use crate::sim::setup::Setup;
use crate::sim::world::World;

/// Four members and as many standbys as asked for, on a calm network.
fn cluster(standbys: usize) -> World<Node> {
    cluster_with(standbys, Setup::calm(1).params.timeout)
}

/// The same, in which the silent are put out after another time.
fn cluster_with(standbys: usize, timeout: Duration) -> World<Node> {
    let mut setup = Setup::calm(1);
    setup.params.timeout = timeout;
    let mut world: World<Node> = World::new(&setup, (), None);
    let net = &mut world.net.params;
    net.delay_min = micros(200);
    net.delay_spread = Duration::ZERO;
    (net.loss_ppm, net.duplicate_ppm, net.tail_ppm) = (0, 0, 0);
    (net.bandwidth, net.half_open_ppm) = (0, 0);
    let Params { drift_ppm, .. } = &mut world.params;
    *drift_ppm = 0;
    for _ in 0..4 + standbys {
        let host = world.add_host();
        world.start(host);
    }
    let former = world.add_actor(0, Role::Former(Former::new(4)), None);
    run(&mut world, 20);
    assert!(matches!(&world.actors[former].role, Role::Former(f) if f.is_done()));
    world
}

fn run(world: &mut World<Node>, seconds: u64) {
    let until = world.now + Duration::from_secs(seconds);
    world.run_until(until);
    assert_eq!(world.violation, None);
}

/// Who sits where, as all nodes that live know by now.
fn seats(world: &World<Node>) -> Vec<(u64, Option<NodeId>)> {
    let mut seats = world.seats();
    seats.sort_unstable();
    let slots = seats.iter().map(|(slot, _)| *slot);
    assert!(slots.is_sorted_by(|a, b| a < b), "they differ: {seats:?}");
    seats
}

#[test]
fn the_slot_of_a_dead_member_is_vacated_and_a_standby_takes_it() {
    // Nobody is put out before the operator acts.
    let mut world = cluster_with(1, Duration::from_secs(60));
    let (_, dead) = seats(&world)[1];
    let dead = dead.expect("somebody holds it");
    let host = world.processes[world.by_id[&dead]].host;
    world.inflict(Fault::Crash {
        host,
        moment: Moment::Now,
        disk: crate::sim::disk::Fate::Gone,
        relapse: None,
        back_us: 100_000_000,
        back_host: Some(host),
    });
    run(&mut world, 5);
    assert_eq!(seats(&world)[1].1, Some(dead));
    world.inflict(Fault::Vacate { slot: 1 });
    run(&mut world, 5);
    let successor = seats(&world)[1].1.expect("somebody took it");
    assert_ne!(successor, dead);
}

#[test]
fn slots_are_added_and_removed() {
    let mut world = cluster(2);
    world.inflict(Fault::AddSlot { slot: 4 });
    run(&mut world, 5);
    assert_eq!(seats(&world).len(), 5);
    assert!(seats(&world)[4].1.is_some(), "a standby takes it");
    world.inflict(Fault::RemoveSlot { slot: 2 });
    run(&mut world, 5);
    assert_eq!(seats(&world).len(), 4);
    let sets = world.member_sets();
    assert!(sets.iter().all(|set| set.len() == 4), "{sets:?}");
}

#[test]
fn who_is_asked_to_leave_hands_its_slot_over_and_ends_and_another_one_comes() {
    let mut world = cluster_with(1, Duration::from_secs(60));
    let (_, leaver) = seats(&world)[1];
    let leaver = leaver.expect("somebody holds it");
    let pid = world.by_id[&leaver];
    let host = world.processes[pid].host;
    world.inflict(Fault::Leave {
        host,
        kill_us: 10_000_000,
        back_us: 1_000_000,
        back_host: None,
    });
    run(&mut world, 1);
    assert!(!world.processes[pid].is_alive(), "it ends by itself");
    let successor = seats(&world)[1].1.expect("the standby took it");
    assert_ne!(successor, leaver);
    assert_eq!(world.stats.crashes, 0);
    run(&mut world, 2);
    assert!(world.process_on(host).is_some(), "another one has come");
}

#[test]
fn who_does_not_end_in_time_is_killed() {
    let mut world = cluster_with(1, Duration::from_secs(60));
    let pid = world.process_on(2).expect("a process runs there");
    world.inflict(Fault::Leave {
        host: 2,
        kill_us: 100,
        back_us: 100,
        back_host: Some(2),
    });
    run(&mut world, 1);
    assert!(!world.processes[pid].is_alive());
    assert_eq!(world.stats.crashes, 1);
    assert!(world.process_on(2).is_some_and(|other| other != pid));
}

#[test]
fn a_rolling_restart_replaces_every_process_and_costs_no_seat() {
    let mut world = cluster_with(1, Duration::from_secs(60));
    let before: Vec<Pid> = world.alive().collect();
    world.inflict(Fault::RollingRestart {
        hosts: vec![0, 1, 2, 3, 4],
        step_us: 2_000_000,
        back_us: 200_000,
    });
    run(&mut world, 15);
    assert!(before.iter().all(|pid| !world.processes[*pid].is_alive()));
    assert_eq!(world.alive().count(), before.len());
    let holders = seats(&world).into_iter().map(|(_, holder)| holder);
    let seated = holders.flatten().filter(|id| {
        let pid = world.by_id[id];
        world.processes[pid].is_alive()
    });
    assert_eq!(seated.count(), 4);
}

#[test]
fn nobody_is_removed_whose_loss_the_cluster_would_not_survive() {
    let mut world = cluster(0);
    for host in [0, 1] {
        world.inflict(Fault::Pause {
            host,
            span_us: 1_000,
        });
    }
    let actors = world.actors.len();
    world.inflict(Fault::RemoveSlot { slot: 3 });
    assert_eq!(world.actors.len(), actors);
}

#[test]
fn each_kind_of_fault_is_drawn_for_some_process_at_some_time() {
    let mut world = cluster(2);
    world.params.disk = crate::sim::disk::Manner::Syncs(micros(100));
    world.storm_began = world.now;
    let members = world.member_sets().concat();
    let is_standby = |pid: &Pid| !members.contains(&world.processes[*pid].id);
    let victim = world.alive().find(is_standby).expect("a standby lives");
    for kind in KINDS {
        let drawn = (0..20).find_map(|n| {
            let mut dice = world.chance.dice(crate::sim::chance::What::Nemesis, n);
            world.draw_fault(kind, victim, &mut dice)
        });
        // The client of the beginning has not left.
        assert!(drawn.is_some(), "{kind:?}");
    }
}

#[test]
fn bridges_and_partial_cuts_leave_somebody_connected_to_all() {
    let world = cluster(1);
    for n in 0..50 {
        for kind in [Kind::Bridge, Kind::Partial] {
            let mut dice = world.chance.dice(crate::sim::chance::What::Nemesis, n);
            let drawn = world.draw_fault(kind, 2, &mut dice);
            let Some(Fault::Cut { from, to, .. }) = drawn else {
                panic!("{kind:?} is no cut");
            };
            assert!(!from.contains(&2) && !to.contains(&2));
            assert!(from.iter().all(|host| !to.contains(host)));
        }
    }
}
