use super::*;
use crate::sim::client::{Flood, Role};

/// A client that sends a number of requests to one process, and takes answers at once.
fn client(scene: &mut Scene, pid: Pid, requests: u64) -> usize {
    let role = Role::Flood(Flood::new(requests, 0));
    scene
        .world
        .add_actor(scene.world.actors.len(), role, Some(pid))
}

fn count(scene: &mut Scene, pid: Pid, is_it: impl Fn(&Input) -> bool) -> usize {
    let heard = scene.heard(pid);
    heard.iter().filter(|(_, input)| is_it(input)).count()
}

fn is_request(input: &Input) -> bool {
    matches!(input, Input::Client { .. })
}

fn is_end(input: &Input) -> bool {
    matches!(input, Input::Closed { .. })
}

/// A client whose connection stands, and that has just sent requests.
fn talking(scene: &mut Scene) -> usize {
    let client = client(scene, 0, 5);
    scene.run_us(1);
    client
}

#[test]
fn a_hangup_delivers_what_is_on_its_way_and_an_abort_does_not() {
    for aborts in [false, true] {
        let mut scene = Scene::new(2);
        let client = talking(&mut scene);
        scene.inflict(match aborts {
            false => Fault::Hangup { client },
            true => Fault::ClientAbort { client },
        });
        scene.run_us(500_000);
        let log = scene.log.borrow().clone();
        assert_eq!(count(&mut scene, 0, is_request), if aborts { 0 } else { 5 });
        *scene.log.borrow_mut() = log;
        assert_eq!(count(&mut scene, 0, is_end), 1);
    }
}

#[test]
fn a_half_open_connection_is_told_to_its_client_first_and_to_its_node_later() {
    let mut scene = Scene::new(2);
    let client = talking(&mut scene);
    scene.inflict(Fault::ClientHalfOpen { client });
    scene.run_us(450_000);
    assert_eq!(scene.world.stats.answered, 0, "no answer comes through");
    assert!(scene.world.conn_of(client).is_some());
    scene.run_us(100_000);
    assert!(scene.world.conn_of(client).is_none(), "it has had enough");
    assert_eq!(count(&mut scene, 0, is_end), 0);
    scene.run_us(500_000);
    assert_eq!(count(&mut scene, 0, is_end), 1);
}

#[test]
fn a_short_cut_makes_answers_late_and_a_long_one_ends_the_connection() {
    for (span_us, ends) in [(200_000, false), (900_000, true)] {
        let mut scene = Scene::new(2);
        let client = talking(&mut scene);
        scene.inflict(Fault::ClientCut {
            clients: vec![client],
            hosts: vec![0],
            span_us,
        });
        scene.run_us(190_000);
        assert_eq!(scene.world.stats.answered, 0);
        scene.run_us(400_000);
        assert_eq!(scene.world.stats.answered, if ends { 0 } else { 5 });
    }
}

#[test]
fn nobody_connects_through_a_cut() {
    let mut scene = Scene::new(2);
    let next = scene.world.actors.len();
    scene.inflict(Fault::ClientCut {
        clients: vec![next],
        hosts: vec![0],
        span_us: 1_000_000,
    });
    client(&mut scene, 0, 1);
    scene.run_us(500_000);
    assert_eq!(count(&mut scene, 0, is_request), 0);
}

#[test]
fn clients_are_refused_or_hang_as_peers_do() {
    for hangs in [false, true] {
        let mut scene = Scene::new(2);
        let (host, span_us) = (0, 100_000);
        scene.inflict(match hangs {
            false => Fault::Refuse { host, span_us },
            true => Fault::Hang { host, span_us },
        });
        let client = client(&mut scene, 0, 1);
        scene.run_us(50_000);
        assert_eq!(scene.world.conn_of(client).is_some(), hangs);
        assert_eq!(count(&mut scene, 0, is_request), 0);
    }
}

#[test]
fn a_client_that_moves_leaves_its_requests_behind() {
    let mut scene = Scene::new(2);
    let client = talking(&mut scene);
    scene.inflict(Fault::Move { client });
    assert!(scene.world.conn_of(client).is_none());
    scene.run_us(50_000);
    assert_eq!(scene.world.stats.answered, 0);
    assert_eq!(count(&mut scene, 0, is_end), 1);
}

#[test]
fn a_slow_reader_gets_its_answers_when_it_reads_on() {
    let mut scene = Scene::new(2);
    let client = talking(&mut scene);
    scene.inflict(Fault::SlowReader {
        client,
        span_us: 300_000,
    });
    scene.run_us(290_000);
    assert_eq!(scene.world.stats.answered, 0);
    scene.run_us(20_000);
    assert_eq!(scene.world.stats.answered, 5);
}

#[test]
fn who_takes_no_answers_is_not_read_from_and_at_last_cut_off() {
    let mut scene = Scene::new(2);
    scene.world.params.unsent_soft = 1;
    scene.inflict(Fault::Glutton {
        host: 0,
        requests: 2_000,
        span_us: 300_000,
    });
    scene.run_us(100_000);
    let read = count(&mut scene, 0, is_request);
    assert!((1..2_000).contains(&read), "{read} were read");
    scene.run_us(500_000);
    assert_eq!(read + count(&mut scene, 0, is_request), 2_000);
    assert_eq!(scene.world.stats.answered, 2_000);

    let mut scene = Scene::new(2);
    scene.world.params.unsent_hard = 100;
    scene.inflict(Fault::Glutton {
        host: 0,
        requests: 200,
        span_us: 300_000,
    });
    scene.run_us(100_000);
    assert_eq!(count(&mut scene, 0, is_end), 1);
    assert_eq!(scene.world.stats.answered, 0);
}

#[test]
fn a_storm_is_many_connections() {
    let mut scene = Scene::new(2);
    scene.inflict(Fault::Storm {
        host: 1,
        clients: 30,
    });
    scene.run_us(500_000);
    let log = scene.log.borrow().clone();
    let opened = |input: &Input| matches!(input, Input::Opened { .. });
    assert_eq!(count(&mut scene, 1, opened), 30);
    *scene.log.borrow_mut() = log;
    assert_eq!(count(&mut scene, 1, is_end), 30, "they leave");
}

#[test]
fn whoever_is_healed_connects_anew() {
    for trouble in 0..3 {
        let mut scene = Scene::new(2);
        let client = talking(&mut scene);
        let (span_us, clients, hosts) = (400_000, vec![client], vec![0]);
        scene.inflict(match trouble {
            0 => Fault::SlowReader { client, span_us },
            1 => Fault::ClientHalfOpen { client },
            _ => Fault::ClientCut {
                clients,
                hosts,
                span_us,
            },
        });
        scene.world.heal_core(vec![0, 1]);
        scene.run_us(50_000);
        assert!(scene.world.conn_of(client).is_none(), "{trouble}");
        assert_eq!(count(&mut scene, 0, is_end), 1, "{trouble}");
    }
}
