//! Revocations, and members that were away.

use super::*;
use crate::core::consensus::Ballot;
use crate::core::log::Entry;

#[test]
fn commands_of_a_revoked_owner_are_proposed_again_once_and_in_their_order() {
    let mut world = World::cluster(3, 3);
    world.replies.clear();
    let before = world.nodes[&id(1)].rev();
    // It is heard by nobody, and hears everybody.
    world.cut = BTreeSet::from([(id(1), id(2)), (id(1), id(3))]);
    for n in 0..30 {
        world.send(1, set("/a", &n.to_string(), -1));
        if n % 5 == 0 {
            world.run(STEP);
        }
    }
    assert_eq!(world.ask(2, set("/b", "x", -1)).error(), None);
    world.run(Duration::from_millis(100));
    assert_eq!(world.value(2, "/a"), None);
    world.replies.clear();
    world.cut.clear();
    world.run(Duration::from_secs(1));
    let revs: Vec<i64> = world.replies.iter().filter_map(|r| r.2.rev).collect();
    assert_eq!(revs.len(), 30, "{:?}", world.replies);
    assert!(revs.windows(2).all(|pair| pair[0] < pair[1]), "{revs:?}");
    let state = world.nodes[&id(2)].state().expect("a copy");
    let writes = state.store().events(before.next());
    let writes = writes.filter(|event| event.path.as_str() == "/a").count();
    assert_eq!(writes, 30, "each once");
    assert_eq!(world.value(3, "/a"), Some("29".into()));
    world.agree();
}

#[test]
fn two_revokers_that_duel_come_to_an_end() {
    let mut world = World::cluster(5, 5);
    world.kill(5);
    // Accepts of revokers are lost for a while: all the others try, and outbid each other.
    world.loses =
        Some(|_, _, message| matches!(message, Message::Accept { ballot, .. } if ballot.round > 0));
    for n in 1..=4 {
        world.send(n, set(&format!("/a/{n}"), "x", -1));
    }
    world.run(Duration::from_secs(2));
    world.loses = None;
    let begin = world.now;
    world.replies.clear();
    while world.replies.len() < 4 && world.now.since(begin) < Duration::from_secs(10) {
        world.run(STEP);
    }
    assert_eq!(world.replies.len(), 4);
    assert!(world.replies.iter().all(|reply| reply.2.error().is_none()));
    world.run(Duration::from_secs(1));
    world.agree();
}

#[test]
fn a_member_that_was_cut_off_asks_for_what_it_missed() {
    let mut world = World::cluster(3, 3);
    world.isolate(3, true);
    for n in 0..300 {
        assert_eq!(world.ask(1, set("/a", &n.to_string(), -1)).error(), None);
    }
    assert_eq!(world.value(3, "/a"), None);
    world.isolate(3, false);
    world.sent = Some(Vec::new());
    world.run(Duration::from_millis(200));
    assert_eq!(world.value(3, "/a"), Some("299".into()));
    let asked = |sent: &(NodeId, NodeId, Message)| matches!(sent.2, Message::Ask { .. });
    assert!(world.sent.iter().flatten().any(asked));
    assert_eq!(world.ask(3, set("/b", "x", -1)).error(), None);
    world.agree();
}

#[test]
fn a_member_that_missed_more_than_the_log_retains_takes_a_snapshot_and_goes_on() {
    let mut world = World::cluster(3, 3);
    let text = "x".repeat(1 << 20);
    world.send(3, set("/held", "x", -1));
    world.settle();
    world.isolate(3, true);
    world.send(3, set("/late", "x", -1));
    for n in 0..70 {
        let set = set(&format!("/a/{}", n % 3), &text, -1);
        assert_eq!(world.ask(1, set).error(), None);
    }
    world.isolate(3, false);
    world.sent = Some(Vec::new());
    world.run(Duration::from_secs(1));
    let pulled = |sent: &(NodeId, NodeId, Message)| matches!(sent.2, Message::SnapshotPiece { .. });
    assert!(world.sent.iter().flatten().any(pulled));
    world.sent = None;
    assert_eq!(world.value(1, "/late"), Some("x".into()));
    assert_eq!(world.ask(3, set("/b", "x", -1)).error(), None);
    world.run(Duration::from_millis(200));
    world.agree();
}

#[test]
fn a_read_behind_a_cut_reflects_a_write_made_two_configurations_later() {
    let mut world = World::cluster(6, 3);
    // Member 3 hears nothing more. The others replace themselves by 4, 5 and 6.
    for other in [1, 2, 4, 5, 6] {
        world.cut.insert((id(other), id(3)));
    }
    let slots = ["/ctl/cal/0", "/ctl/cal/1", "/ctl/cal/2"];
    for slot in slots {
        let value = world.value(1, slot).expect("it is held");
        if value == id(3).to_string() {
            assert_eq!(world.ask(1, set(slot, "", -1)).error(), None);
            world.run(Duration::from_millis(800));
        }
    }
    for slot in slots {
        let value = world.value(4, slot).expect("it is held");
        if [id(1).to_string(), id(2).to_string()].contains(&value) {
            let asker = (1..=6).find(|n| *n != 3 && world.nodes[&id(*n)].is_member());
            let set = set(
                slot,
                &id(4 + u8::from(value == id(2).to_string())).to_string(),
                -1,
            );
            world.ask(asker.expect("a member"), set);
            world.run(Duration::from_millis(800));
        }
    }
    let writer = (4..=6).find(|n| world.nodes[&id(*n)].is_member());
    let writer = writer.expect("a standby has become a member");
    assert_eq!(world.ask(writer, set("/a", "x", -1)).error(), None);
    assert_eq!(world.value(3, "/a"), None);
    let epochs = |n: u8| {
        world.nodes[&id(n)]
            .state()
            .map(|s| s.epochs().latest().start)
    };
    assert!(epochs(3) < epochs(writer));
    // The reader knows the first configuration only.
    for other in [1, 2, 4, 5, 6] {
        world.cut.remove(&(id(other), id(3)));
    }
    assert_eq!(
        world.ask(3, request(Verb::Get, "/a")).value,
        Some("x".into())
    );
}

#[test]
fn without_a_majority_too_many_writes_are_refused_and_reads_still_served() {
    fn few(config: &mut Config) {
        config.tuning.writes_open_max = 3;
        config.local_reads = true;
    }
    let mut world = World::founded_with(Some(few));
    for n in 2..=3 {
        world.start(n, Start::Join);
    }
    for slot in 1..3 {
        world.ask(1, set(&format!("/ctl/cal/{slot}"), "", 0));
        world.run(Duration::from_millis(500));
    }
    world.kill(2);
    world.kill(3);
    for n in 0..3 {
        world.send(1, set("/a", &n.to_string(), -1));
    }
    let refused = world.ask(1, set("/a", "3", -1));
    assert!(
        refused
            .err_detail
            .is_some_and(|text| text.contains("too many writes"))
    );
    let read = world.ask(1, request(Verb::Get, "/ctl/name"));
    assert_eq!(read.value, Some("local".into()));
    let unknown = Request {
        verb: Some(77),
        ..request(Verb::Get, "/")
    };
    assert_eq!(world.ask(1, unknown).error(), Some(ErrorCode::UnknownVerb));
}

#[test]
fn a_promise_given_before_a_snapshot_is_kept_after_it() {
    let mut world = World::cluster(3, 3);
    world.isolate(3, true);
    let epochs = world.nodes[&id(3)]
        .state()
        .expect("a copy")
        .epochs()
        .clone();
    let from = world.nodes[&id(3)].applied().plus(20);
    let slot = (0..3).map(|n| from.plus(n));
    let slot = slot
        .into_iter()
        .find(|slot| epochs.at(*slot).owner(*slot) == id(1));
    let slot = slot.expect("each of three owns one of three");
    let ballot = Ballot {
        round: 5,
        member: id(2),
    };
    let slots = vec![slot];
    world.tell(2, 3, Message::Prepare { ballot, slots });
    assert_eq!(world.ask(1, set("/a", "x", -1)).error(), None);
    let ahead = world.nodes[&id(1)].state().expect("a copy").clone();
    assert!(ahead.applied() > world.nodes[&id(3)].applied() && ahead.applied() < slot);
    world.with(id(3), |node, env| node.install(ahead, env));
    assert_eq!(world.value(3, "/a"), Some("x".into()));
    world.sent = Some(Vec::new());
    let accept = Message::Accept {
        ballot: Ballot::of_owner(id(1)),
        entries: vec![(slot, Entry::Skip)],
        lane: None,
        applied: Slot(0),
    };
    world.tell(1, 3, accept);
    world.settle();
    let rejected = Message::Reject {
        slot,
        promised: ballot,
    };
    let sent = world.sent.take().unwrap_or_default();
    assert!(sent.contains(&(id(3), id(1), rejected)), "{sent:?}");
    let voted = |message: &Message| matches!(message, Message::Accepted(a) if !a.votes.is_empty());
    assert!(
        !sent
            .iter()
            .any(|(from, _, message)| *from == id(3) && voted(message))
    );
}
