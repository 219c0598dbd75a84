//! What clients may not do to the files of the servers, and what they may.

use super::*;
use crate::core::log::{Batch, Entry, Run};
use crate::core::state::Outcome;
use crate::core::store::{Condition, Mutation, Value};

fn del(path: &str) -> Request {
    Request {
        rev: Some(-1),
        ..request(Verb::Del, path)
    }
}

fn said(response: Response) -> String {
    response.err_detail.unwrap_or_default()
}

fn slot_of(world: &World, n: u8) -> String {
    let state = world.nodes[&id(1)].state().expect("it serves");
    let holder = id(n).to_string();
    let mut files = state.slot_files();
    let found = files.find(|(_, _, value)| value.0 == holder.as_bytes());
    found.expect("it is a member").0.to_string()
}

#[test]
fn files_of_a_process_that_is_heard_stay_and_those_of_a_dead_one_may_go() {
    let mut world = World::cluster(4, 3);
    let standby = (2..=4).find(|n| !world.nodes[&id(*n)].is_member());
    let standby = standby.expect("there is one");
    for n in [2, standby] {
        for name in ["addr", "hostname", "version", "applied"] {
            let file = format!("/ctl/node/{}/{name}", id(n));
            let refused = said(world.ask(1, del(&file)));
            assert!(refused.contains("which is running"), "{refused}");
            let refused = said(world.ask(1, set(&file, "x", -1)));
            assert!(refused.contains("belongs to the servers"), "{refused}");
        }
    }
    world.kill(standby);
    let addr = format!("/ctl/node/{}/addr", id(standby));
    assert_eq!(world.ask(1, del(&addr)).error(), None);
    assert_eq!(world.value(1, &addr), None);
    world.agree();
}

#[test]
fn a_standby_that_lags_gets_no_slot_by_name_before_it_has_caught_up() {
    let mut world = World::cluster(4, 3);
    let standby = (2..=4).find(|n| !world.nodes[&id(*n)].is_member());
    let standby = standby.expect("there is one");
    assert_eq!(standby, 4, "the test loses what is sent to it");
    // It is heard, and does not learn what is decided.
    world.loses = Some(|_, to, message| {
        to == id(4) && !matches!(message, Message::Beat(_) | Message::Where { .. })
    });
    for _ in 0..200 {
        assert_eq!(world.ask(1, set("/x", "x", -1)).error(), None);
    }
    world.run(Duration::from_millis(100));
    let seat = |world: &mut World| world.ask(1, set("/ctl/cal/9", &id(4).to_string(), 0));
    let refused = said(seat(&mut world));
    assert!(refused.contains("caught up"), "{refused}");
    world.loses = None;
    world.run(Duration::from_secs(1));
    assert_eq!(seat(&mut world).error(), None);
    world.run(Duration::from_secs(1));
    assert!(world.nodes[&id(4)].is_member());
    world.agree();
}

#[test]
fn of_two_changes_of_the_members_at_once_the_second_one_waits() {
    let mut world = World::cluster(5, 5);
    let (first, second) = (slot_of(&world, 4), slot_of(&world, 5));
    world.replies.clear();
    world.send(1, set(&first, "", -1));
    world.send(2, set(&second, "", -1));
    world.run(Duration::from_millis(200));
    let refused: Vec<String> = world
        .replies
        .iter()
        .filter_map(|(_, _, response)| response.err_detail.clone())
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("try again in a moment"), "{refused:?}");
    world.run(Duration::from_secs(4));
    assert_eq!(world.ask(1, set(&second, "", -1)).error(), None);
    world.run(Duration::from_secs(1));
    world.agree();
}

#[test]
fn of_changes_in_one_entry_the_first_one_is_made() {
    let mut world = World::cluster(5, 5);
    world.kill(5);
    let seats = [1, 2, 3].map(|n| slot_of(&world, n));
    let members: Vec<NodeId> = (1..=5).map(id).collect();
    // Each of them alone leaves a majority of living members.
    let removals = seats.iter().map(|seat| Op::Seat {
        mutation: Mutation::Del {
            path: Path::parse(seat.as_bytes()).expect("well formed"),
            condition: Condition::ANY,
        },
        members: members.clone(),
    });
    let mut state = world.nodes[&id(4)].state().expect("it serves").clone();
    let mut outcomes = Vec::new();
    let batch = Batch {
        runs: vec![Run {
            origin: id(4),
            first: state.last(id(4)).next(),
            ops: removals.collect(),
        }],
    };
    let slot = state.applied().next();
    state.apply(slot, &Entry::Batch(batch.into()), |_, effect| {
        outcomes.push(effect.outcome);
    });
    assert!(matches!(outcomes[0], Outcome::Done(_)), "{outcomes:?}");
    for outcome in &outcomes[1..] {
        let Outcome::Guarded(text) = outcome else {
            panic!("{outcomes:?}");
        };
        assert!(text.contains("try again in a moment"), "{text}");
    }
    assert_eq!(state.epochs().latest().members.len(), 4);
}

#[test]
fn nothing_takes_the_place_of_the_directory_of_slots() {
    let mut world = World::cluster(1, 1);
    let seat = slot_of(&world, 1);
    assert_eq!(
        world.ask(1, set("/ctl/cal", "x", -1)).error(),
        Some(ErrorCode::Isdir)
    );
    assert_eq!(world.ask(1, del(&seat)).error(), None);
    let refused = said(world.ask(1, set("/ctl/cal", "x", -1)));
    assert!(refused.contains("files directly in"), "{refused}");
    assert_eq!(
        world.ask(1, set(&seat, &id(1).to_string(), 0)).error(),
        None
    );
}

#[test]
fn a_change_judged_by_members_that_have_changed_since_is_refused() {
    let mut world = World::cluster(5, 5);
    let (first, second) = (slot_of(&world, 4), slot_of(&world, 5));
    let members = (1..=5).map(id).collect();
    let removal = Request {
        verb: Some(Verb::Del as i32),
        ..set(&first, "", -1)
    };
    assert_eq!(world.ask(1, removal).error(), None);
    world.run(Duration::from_secs(4));
    let path = Path::parse(second.as_bytes()).expect("well formed");
    // It was long on its way: the other change is in force by now.
    let late = |members| Op::Seat {
        mutation: Mutation::Del {
            path: path.clone(),
            condition: Condition::ANY,
        },
        members,
    };
    world.command(2, late(members));
    world.run(Duration::from_secs(1));
    assert_eq!(world.value(1, &second), Some(id(5).to_string()));
    let told = world.value(1, "/ctl/err").expect("refusals are told");
    assert!(told.contains("came first"), "{told}");
    world.command(2, late(vec![id(1), id(2), id(3), id(5)]));
    world.run(Duration::from_secs(1));
    assert_eq!(world.value(1, &second), None);
    world.agree();
}

#[test]
fn force_takes_a_slot_although_the_majority_is_lost_and_seats_no_stranger() {
    let mut world = World::cluster(3, 3);
    let alive = slot_of(&world, 2);
    world.kill(3);
    let forced = |request: Request| Request {
        force: Some(true),
        ..request
    };
    let refused = said(world.ask(1, set(&alive, "", -1)));
    assert!(refused.contains("cost the majority"), "{refused}");
    for stranger in ["AAAAAAAAAAAAAAAA", "bogus", &id(3).to_string()] {
        let refused = world.ask(1, forced(set("/ctl/cal/9", stranger, -1)));
        assert_eq!(refused.error(), Some(ErrorCode::Other), "{stranger}");
    }
    assert_eq!(world.ask(1, forced(set(&alive, "", -1))).error(), None);
    assert_eq!(world.value(1, &alive), Some(String::new()));
}

#[test]
fn what_an_evicted_process_had_under_way_leaves_nothing_behind() {
    fn soon(config: &mut Config) {
        config.timeout = Duration::from_secs(1);
        config.pulse = Duration::from_secs(100_000);
    }
    let mut world = World::cluster_with(3, 3, soon);
    let applied = format!("/ctl/node/{}/applied", id(3));
    world.isolate(3, true);
    let seq = world.nodes[&id(3)].next;
    world.command(
        3,
        Op::Mutate {
            mutation: Mutation::Set {
                path: Path::parse(applied.as_bytes()).expect("well formed"),
                value: Value("1".into()),
                condition: Condition::ANY,
            },
            author: Author::Server,
        },
    );
    world.run(Duration::from_secs(3));
    assert_eq!(world.value(1, &applied), None, "it was evicted");
    world.isolate(3, false);
    // The others have hung up on it, so it calls again, and is called back.
    for n in [1, 2] {
        world.link(id(n), id(3));
        world.link(id(3), id(n));
    }
    world.run(Duration::from_secs(3));
    let evicted = world.halted.iter().any(|(who, _)| *who == id(3));
    assert!(evicted, "it has learnt it: {:?}", world.halted);
    let state = world.nodes[&id(1)].state().expect("it serves");
    assert_eq!(state.processes(), [id(1), id(2)]);
    assert!(state.last(id(3)) >= seq, "it came into effect");
}
