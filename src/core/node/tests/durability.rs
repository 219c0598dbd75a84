//! What an acceptor says leaves only when it is durable (I4).

use super::*;
use crate::core::consensus::{Ballot, Slot};
use crate::core::log::Entry;

fn votes_or_promises(world: &World, n: u8) -> usize {
    let sent = world.sent.iter().flatten();
    sent.filter(|(from, ..)| *from == id(n))
        .filter(|(_, _, message)| match message {
            Message::Accepted(accepted) => !accepted.votes.is_empty(),
            Message::Promise { slots, .. } => !slots.is_empty(),
            _ => false,
        })
        .count()
}

#[test]
fn a_vote_waits_for_its_record_however_often_it_is_asked_for() {
    let mut world = World::cluster(3, 3);
    world.stall_disk(2);
    world.sent = Some(Vec::new());
    world.loses = Some(|from, to, _| from == id(3) || to == id(3));
    world.send(1, set("/a", "x", -1));
    // Long enough for the owner to send its proposal again.
    world.run(Duration::from_millis(180));
    assert_eq!(votes_or_promises(&world, 2), 0);
    assert_eq!(world.value(1, "/a"), None);
    world.busy_disks.clear();
    for sent in std::mem::take(&mut world.held_back) {
        world.deliver(sent);
    }
    world.run(Duration::from_millis(300));
    assert_eq!(world.value(1, "/a"), Some("x".into()));
}

#[test]
fn an_owner_does_not_repeat_its_own_vote_before_that_is_durable() {
    let mut world = World::cluster(3, 3);
    // Its slots are reserved already, so that the vote waits for its own record only.
    world.command(1, Op::Void);
    world.settle();
    world.stall_disk(1);
    // It hears nobody, and proposes again.
    world.loses = Some(|from, to, _| to == id(1) && from != id(1));
    world.sent = Some(Vec::new());
    world.send(1, set("/a", "x", -1));
    world.run(Duration::from_millis(180));
    assert_eq!(votes_or_promises(&world, 1), 0);
}

#[test]
fn a_promise_waits_for_its_record_however_often_it_is_asked_for() {
    let mut world = World::cluster(3, 3);
    world.stall_disk(2);
    world.sent = Some(Vec::new());
    let slot = world.nodes[&id(2)].applied().plus(20);
    for _ in 0..3 {
        let ballot = Ballot {
            round: 3,
            member: id(3),
        };
        let slots = vec![slot];
        world.tell(3, 2, Message::Prepare { ballot, slots });
        world.settle();
    }
    assert_eq!(votes_or_promises(&world, 2), 0);
    let promises = |sent: &&(NodeId, NodeId, Message)| matches!(sent.2, Message::Promise { .. });
    assert_eq!(world.held_back.iter().filter(promises).count(), 3);
}

#[test]
fn own_slots_that_are_promised_away_are_not_given_up_before_that_is_reserved() {
    let mut world = World::cluster(3, 3);
    let me = id(2);
    // Far ahead: nothing so late is reserved yet.
    let state = world.nodes[&me].state().expect("it serves");
    let epoch = state.epochs().latest().clone();
    let last = state.applied().plus(state.alpha());
    let ahead = (0..3).map(|back| Slot(last.0 - back));
    let slot = ahead
        .into_iter()
        .find(|slot| epoch.owner(*slot) == me)
        .expect("each owns one of three");
    world.stall_disk(2);
    let ballot = Ballot {
        round: 3,
        member: id(3),
    };
    let slots = vec![slot];
    world.tell(3, 2, Message::Prepare { ballot, slots });
    world.settle();
    assert_eq!(world.nodes[&me].outcome(slot), None);
    world.busy_disks.clear();
    for sent in std::mem::take(&mut world.held_back) {
        world.deliver(sent);
    }
    world.settle();
    assert_eq!(world.nodes[&me].outcome(slot), Some(Entry::Skip));
}
