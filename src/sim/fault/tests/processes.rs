use super::*;
use crate::core::protocol::client::Verb;
use crate::sim::client::{Operator, Role, ask};
use crate::sim::fault::Moment;

fn crash(host: usize, moment: Moment) -> Fault {
    Fault::Crash {
        host,
        moment,
        disk: crate::sim::disk::Fate::Gone,
        relapse: None,
        back_us: 5_000,
        back_host: Some(host),
    }
}

/// Gives a process something to do.
fn request(scene: &mut Scene, pid: Pid) {
    let role = Role::Operator(Operator::new(ask(Verb::Rev, "/")));
    scene
        .world
        .add_actor(scene.world.actors.len(), role, Some(pid));
}

#[test]
fn a_crash_ends_a_process_and_another_one_takes_its_place() {
    let mut scene = Scene::new(4);
    let old = scene.world.processes[0].id;
    scene.inflict(crash(0, Moment::Now));
    assert!(!scene.world.processes[0].is_alive());
    scene.run_us(6_000);
    let new = scene.world.process_on(0).expect("somebody is back");
    assert_ne!(scene.world.processes[new].id, old);
}

#[test]
fn nobody_dies_if_that_takes_the_majority_away() {
    let mut scene = Scene::new(3);
    scene.inflict(Fault::Pause {
        host: 0,
        span_us: 10_000,
    });
    scene.inflict(crash(1, Moment::Now));
    assert!(scene.world.processes[1].is_alive());
}

#[test]
fn a_death_in_a_turn_lets_the_first_effects_out_and_no_more() {
    for count in 0..5 {
        let mut scene = Scene::new(5);
        scene.inflict(crash(0, Moment::InTurn(count)));
        scene.run_us(10_000);
        assert!(scene.world.processes[0].is_alive(), "it does nothing");
        scene.forget();
        request(&mut scene, 0);
        scene.run_us(30_000);
        assert!(!scene.world.processes[0].is_alive());
        let log = scene.log.take();
        let told = log
            .iter()
            .filter(|(_, _, input)| matches!(input, Input::Peer { .. }));
        assert_eq!(told.count() as u64, count.min(4));
    }
}

#[test]
fn a_death_with_unsynced_records_needs_unsynced_records() {
    for (disk, dies) in [
        (Manner::AtOnce, false),
        (Manner::Syncs(micros(4_000)), true),
    ] {
        let mut scene = Scene::with(4, disk);
        scene.inflict(crash(0, Moment::Unsynced(100)));
        scene.run_us(10_000);
        assert!(
            scene.world.processes[0].is_alive(),
            "it has written nothing"
        );
        scene.forget();
        request(&mut scene, 0);
        scene.run_us(30_000);
        assert_eq!(!scene.world.processes[0].is_alive(), dies);
        let log = scene.log.take();
        let told = log
            .iter()
            .filter(|(_, _, input)| matches!(input, Input::Peer { .. }));
        assert_eq!(told.count(), 3, "what waits for no record has left");
    }
}

#[test]
fn a_polite_end_is_told_at_once_and_a_crash_not_always() {
    for polite in [false, true] {
        let mut scene = Scene::new(4);
        scene.world.net.params.half_open_ppm = 1_000_000;
        let (host, back_us, back_host) = (0, 9_000_000, 0);
        scene.inflict(match polite {
            true => Fault::Stop {
                host,
                back_us,
                back_host: Some(back_host),
            },
            false => crash(0, Moment::Now),
        });
        scene.forget();
        scene.run_us(60_000);
        let log = scene.log.take();
        let told = log
            .iter()
            .filter(|(_, _, input)| matches!(input, Input::Unlinked { .. }));
        assert_eq!(told.count(), if polite { 3 } else { 0 });
    }
}

#[test]
fn two_processes_live_under_one_address_after_a_takeover() {
    let mut scene = Scene::new(4);
    scene.inflict(Fault::Takeover {
        host: 0,
        span_us: 100_000,
    });
    let new = scene.world.process_on(0).expect("somebody listens");
    assert_ne!(new, 0);
    assert!(scene.world.processes[0].is_alive());
    scene.run_us(50_000);
    scene.say(1, 0, 1);
    scene.run_us(10_000);
    assert_eq!(scene.numbers(0), [] as [u64; 0], "it stands still");
    scene.run(SETTLING);
    assert_eq!(scene.numbers(0), [1], "it goes on");
    scene.say(0, 1, 2);
    scene.run_us(2 * DELAY_US);
    assert_eq!(
        scene.numbers(1),
        [2],
        "it is heard over its old connections"
    );
    scene.inflict(Fault::Reset {
        links: vec![(1, 0)],
    });
    assert!(scene.is_linked(1, 0), "the address is that of the new one");
    assert!(!scene.is_linked(1, new));
    scene.run(SETTLING);
    assert!(scene.is_linked(1, new));
    scene.world.break_link(1, 0);
    scene.run(SETTLING);
    assert!(
        !scene.is_linked(1, 0),
        "nobody reaches the old one any more"
    );
}

#[test]
fn a_standstill_makes_everything_late_and_a_sleeping_clock_does_not_notice() {
    let hosts = vec![0, 1];
    let span_us = 80_000;
    for (fault, clock_runs) in [
        (Fault::Pause { host: 1, span_us }, true),
        (Fault::Freeze { hosts, span_us }, true),
        (Fault::Suspend { host: 1, span_us }, false),
    ] {
        let mut scene = Scene::new(4);
        scene.forget();
        let before = scene.world.now;
        scene.inflict(fault);
        for number in 0..3 {
            scene.say(2, 1, number);
        }
        scene.run_us(79_000);
        assert!(scene.log.borrow().is_empty());
        scene.run_us(2_000);
        let heard = scene.heard(1);
        assert_eq!(heard.len(), 3, "all at once");
        let shown = heard[0].0.since(before).as_micros() as u64;
        assert_eq!(shown >= span_us, clock_runs, "{shown}");
    }
}

#[test]
fn a_slow_process_takes_longer_between_two_turns() {
    let mut scene = Scene::new(2);
    scene.inflict(Fault::Slow {
        host: 1,
        times: 1_000,
        span_us: 1_000_000,
    });
    scene.forget();
    scene.say(0, 1, 1);
    scene.run_us(2 * DELAY_US);
    scene.say(0, 1, 2);
    scene.run_us(2 * DELAY_US);
    assert_eq!(scene.numbers(1), [1], "it still works on the first");
    scene.run_us(10_000);
    assert_eq!(scene.numbers(1), [2]);
}

#[test]
fn clocks_jump_and_change_their_pace() {
    let mut scene = Scene::new(2);
    let show = |scene: &Scene| scene.world.processes[1].clock.show(scene.world.now);
    let before = show(&scene);
    scene.inflict(Fault::ClockJump {
        host: 1,
        ahead_us: 7_000,
    });
    assert_eq!(show(&scene).since(before), micros(7_000));
    let before = show(&scene);
    scene.inflict(Fault::ClockPace {
        host: 1,
        pace_ppm: 2_000_000,
    });
    assert_eq!(show(&scene), before);
    scene.run_us(1_000);
    assert_eq!(show(&scene).since(before), micros(2_000));
}

#[test]
fn further_processes_come() {
    let mut scene = Scene::new(2);
    scene.inflict(Fault::Start { host: 5 });
    scene.run(SETTLING);
    let new = scene.world.process_on(5).expect("it runs");
    assert!(scene.is_linked(new, 0) && scene.is_linked(0, new));
}
