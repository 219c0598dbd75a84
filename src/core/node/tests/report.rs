//! What nodes tell of themselves and of the others.

use prost::Message as _;

use super::*;
use crate::core::protocol::client::Report;

fn report(world: &mut World, n: u8) -> Report {
    let status = Request {
        verb: Some(Verb::Status as i32),
        ..Request::default()
    };
    let answer = world.ask(n, status);
    Report::decode(answer.value.expect("a report")).expect("it is well formed")
}

#[test]
fn every_node_tells_who_is_there_and_how_far() {
    let mut world = World::cluster(4, 3);
    world.ask(1, set("/ctl/cal/spare", &id(4).to_string(), 0));
    world.run(Duration::from_secs(1));
    world.ask(1, set("/ctl/cal/vacant", "", 0));
    world.run(Duration::from_secs(1));
    for n in 1..=4 {
        let told = report(&mut world, n);
        let node = &world.nodes[&id(n)];
        let state = node.state().expect("it has a copy");
        assert_eq!(told.id, id(n).to_string());
        assert_eq!(
            (told.cluster.as_str(), told.version.as_str()),
            ("local", "1")
        );
        assert_eq!((told.applied, told.rev), (node.applied().0, node.rev().0));
        assert_eq!(told.seen, told.applied);
        assert_eq!(
            told.uptime_ms / 1_000,
            world.now.since(node.began).as_secs()
        );
        assert!(told.uptime_ms > 2_000 && !told.leaving);
        assert_eq!((told.voters.len(), told.heard_of(&told.voters)), (4, 4));
        assert_eq!(told.owners.len(), state.epochs().latest().owners.len());
        let vacant: Vec<&str> = told
            .seats
            .iter()
            .filter(|seat| seat.holder.is_empty())
            .map(|seat| seat.name.as_str())
            .collect();
        assert_eq!((told.seats.len(), vacant), (5, vec!["vacant"]));
        for (other, known) in (1..=4).zip(&told.known) {
            assert_eq!(known.id, id(other).to_string());
            assert_eq!(known.addr, format!("127.0.0.{other}:8046"));
            assert!(known.heard && known.silence_ms.is_some_and(|ms| ms < 100));
            assert!(known.applied + 10 > told.applied);
        }
    }
}

#[test]
fn a_node_without_a_majority_tells_whom_it_misses() {
    let mut world = World::cluster(3, 3);
    world.kill(2);
    world.kill(3);
    world.run(Duration::from_secs(2));
    let told = report(&mut world, 1);
    assert_eq!(
        (told.heard_of(&told.voters), told.has_majority()),
        (1, false)
    );
    assert_eq!(told.known.len(), 3);
    for known in told.known.iter().filter(|known| !known.heard) {
        assert!(known.silence_ms.is_some_and(|ms| ms >= 2_000), "{known:?}");
    }
}

#[test]
fn while_a_change_comes_into_force_those_who_voted_before_are_needed_as_well() {
    let mut world = World::cluster(2, 2);
    let mut slots = (0..2).map(|n| format!("/ctl/cal/{n}"));
    let slot = slots.find(|slot| world.value(1, slot) == Some(id(2).to_string()));
    let slot = slot.expect("it is a member");
    let del = Request {
        rev: Some(-1),
        ..request(Verb::Del, &slot)
    };
    world.send(1, del);
    // It goes as soon as its slot is gone, too early.
    while world.value(1, &slot).is_some() {
        let (to, input) = world.inputs.pop_front().expect("something is under way");
        world.with(to, |node, env| {
            node.handle(input, env);
            node.flush(env);
        });
    }
    world.kill(2);
    world.run(Duration::from_secs(1));
    let told = report(&mut world, 1);
    assert_eq!(told.voters, [id(1).to_string()]);
    assert_eq!(told.missed().map(<[String]>::len), Some(2));
    assert!(told.is_changing() && !told.has_majority());
    assert_eq!(
        world.ask(1, set("/x", "x", -1)).error(),
        Some(ErrorCode::Other)
    );
}

#[test]
fn whoever_may_not_read_is_told_nothing() {
    fn secret(config: &mut Config) {
        config.rw_secret = b"rw".to_vec();
        config.ro_secret = b"ro".to_vec();
    }
    let mut world = World::founded_with(Some(secret));
    let status = Request {
        verb: Some(Verb::Status as i32),
        ..Request::default()
    };
    let refused = world.ask(1, status.clone());
    assert_eq!(refused.err_detail.as_deref(), Some("permission denied"));
    assert_eq!(refused.value, None);
    let access = Request {
        verb: Some(Verb::Access as i32),
        value: Some("ro".into()),
        ..Request::default()
    };
    assert_eq!(world.ask(1, access).error(), None);
    assert!(world.ask(1, status).value.is_some());
}
