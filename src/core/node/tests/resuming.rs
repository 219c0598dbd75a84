//! Members that lose power, and come back with what their disks have kept.

use super::*;
use crate::core::consensus::Ballot;
use crate::core::state::State;

/// What each disk holds: a state, what was to be remembered then, and the moment.
struct Disks(Vec<(u8, State, Vec<Record>)>);

impl World {
    /// Writes checkpoints of all nodes; what was recorded before does not matter any more.
    fn checkpoint(&mut self) -> Disks {
        self.log.clear();
        let disks = (1..=3).map(|n| {
            let node = &self.nodes[&id(n)];
            let memory = node.checkpoint().expect("it has a state").memory;
            (n, node.state().expect("it has one").clone(), memory)
        });
        Disks(disks.collect())
    }

    /// All nodes lose power at once; those whose disks were busy lose what these had not written.
    fn power_loss(&mut self, disks: &Disks) {
        let log = std::mem::take(&mut self.log);
        let busy = std::mem::take(&mut self.busy_disks);
        self.nodes.clear();
        self.inputs.clear();
        self.wakes.clear();
        self.held_back.clear();
        self.located.clear();
        for (n, state, memory) in &disks.0 {
            let mine = log.iter().filter(|(who, at, _)| {
                *who == id(*n) && busy.get(who).is_none_or(|durable| at <= durable)
            });
            let mut records = memory.clone();
            records.extend(mine.map(|(_, _, record)| record.clone()));
            let start = Start::Resume {
                cluster: "local".into(),
                state: Box::new(state.clone()),
                records,
            };
            let mut config = config(*n, start);
            config.boot = 1;
            self.nodes.insert(id(*n), Node::new(config));
            self.inputs
                .push_back((id(*n), Input::Opened { session: SESSION }));
        }
    }
}

/// Which slots were proposed in at round 0, by whom, and which ballots were prepared.
fn used(world: &mut World) -> (BTreeSet<(NodeId, Slot)>, BTreeSet<Ballot>) {
    let sent = world.sent.replace(Vec::new()).unwrap_or_default();
    let (mut slots, mut ballots) = (BTreeSet::new(), BTreeSet::new());
    for (from, _, message) in sent {
        match message {
            Message::Accept {
                ballot, entries, ..
            } if ballot.round == 0 => {
                slots.extend(entries.iter().map(|(slot, _)| (from, *slot)));
            }
            Message::Prepare { ballot, .. } => {
                ballots.insert(ballot);
            }
            _ => {}
        }
    }
    (slots, ballots)
}

/// Writes, with disks that become busy at different moments, until the power goes out; then the same
/// again with those who came back.
fn survives(writes: usize, busy: &[(u8, usize)]) {
    let mut world = World::cluster(3, 3);
    world.sent = Some(Vec::new());
    let disks = world.checkpoint();
    world.replies.clear();
    for nth in 0..writes {
        for (n, _) in busy.iter().filter(|(_, at)| *at == nth) {
            world.stall_disk(*n);
        }
        let n = (nth % 3) as u8 + 1;
        let mut request = set(&format!("/a/{nth}"), &nth.to_string(), -1);
        request.tag = Some(nth as i32);
        world.send(n, request);
        if nth % 4 == 3 {
            world.run(STEP);
        }
    }
    let acknowledged = std::mem::take(&mut world.replies);
    let (slots, ballots) = used(&mut world);
    world.power_loss(&disks);
    world.run(Duration::from_secs(3));
    for n in 1..=3 {
        assert!(world.nodes[&id(n)].is_ready(), "{n} after {writes}");
        assert!(world.nodes[&id(n)].is_member(), "{n} after {writes}");
    }
    world.agree();
    for (_, _, response) in acknowledged {
        let (nth, rev) = (response.tag.expect("a tag"), response.rev.expect("a rev"));
        assert_eq!(world.value(2, &format!("/a/{nth}")), Some(nth.to_string()));
        let store = world.nodes[&id(3)].state().expect("a copy").store();
        let event = store.event(Rev(rev as u64)).expect("it is retained");
        assert_eq!(event.path.as_str(), format!("/a/{nth}"));
    }
    world.replies.clear();
    assert_eq!(world.ask(1, set("/b", "x", -1)).error(), None);
    assert_eq!(world.ask(3, set("/b", "y", -1)).error(), None);
    let (slots_again, ballots_again) = used(&mut world);
    let again: Vec<_> = slots.intersection(&slots_again).collect();
    assert!(again.is_empty(), "I3: {again:?}");
    let again: Vec<_> = ballots.intersection(&ballots_again).collect();
    assert!(again.is_empty(), "I5: {again:?}");
}

#[test]
fn every_acknowledged_write_comes_back_when_all_lose_power() {
    for writes in 0..24 {
        survives(writes, &[]);
    }
    for at in 0..20 {
        survives(20, &[(1, at)]);
        survives(20, &[(1, at), (2, (at * 7) % 20)]);
        survives(20, &[(1, at), (2, (at * 7) % 20), (3, (at * 3) % 20)]);
    }
}

#[test]
fn rounds_are_not_used_again_by_a_later_life() {
    let mut world = World::cluster(3, 3);
    let disks = world.checkpoint();
    let mut earlier = BTreeSet::new();
    for life in 0..2 {
        // Its slots are taken over by the others, each of which gets its turn.
        world.sent = Some(Vec::new());
        for silent in [3, 2, 1] {
            world.isolate(silent, true);
            for n in 0..8 {
                world.send(silent % 3 + 1, set("/a", &n.to_string(), -1));
                world.run(Duration::from_millis(20));
            }
            world.isolate(silent, false);
            world.run(Duration::from_millis(500));
        }
        let (_, ballots) = used(&mut world);
        assert!(ballots.len() > 2, "{ballots:?}");
        assert!(
            ballots.is_disjoint(&earlier),
            "I5: {ballots:?}, {earlier:?}"
        );
        earlier.extend(ballots);
        if life == 0 {
            world.power_loss(&disks);
            world.run(Duration::from_secs(3));
            earlier.extend(used(&mut world).1);
        }
    }
    world.agree();
}

#[test]
fn a_promise_is_kept_by_a_later_life() {
    let mut world = World::cluster(3, 3);
    world.run(Duration::from_millis(100));
    let disks = world.checkpoint();
    let epochs = world.nodes[&id(2)].state().expect("a copy").epochs();
    let slots = (1..12).map(|n| world.nodes[&id(2)].applied().plus(n));
    let mut theirs = slots.filter(|slot| epochs.at(*slot).owner(*slot) == id(1));
    let slot = theirs.next_back().expect("it owns one of these");
    let ballot = Ballot {
        round: 9,
        member: id(3),
    };
    let slots = vec![slot];
    world.tell(3, 2, Message::Prepare { ballot, slots });
    world.settle();
    world.power_loss(&disks);
    world.sent = Some(Vec::new());
    let accept = Message::Accept {
        ballot: Ballot::of_owner(id(1)),
        entries: vec![(slot, Entry::Skip)],
        lane: None,
        applied: Slot(0),
    };
    world.tell(1, 2, accept);
    world.settle();
    let answers = world.sent.take().expect("it was noted");
    let rejects = |(from, _, message): &(NodeId, NodeId, Message)| {
        let rejected = Message::Reject {
            slot,
            promised: ballot,
        };
        *from == id(2) && *message == rejected
    };
    assert!(answers.iter().any(rejects), "{answers:?}");
}

#[test]
fn a_lone_member_that_did_not_get_to_found_its_cluster_does_so_when_it_is_back() {
    let mut world = World::founded();
    let state = State::founded_by(id(1), world.nodes[&id(1)].state().unwrap().alpha(), {
        config(1, Start::Join).history()
    });
    let all: Vec<Record> = world.log.drain(..).map(|(_, _, record)| record).collect();
    for kept in 0..=all.len() {
        let start = Start::Resume {
            cluster: "local".into(),
            state: Box::new(state.clone()),
            records: all[..kept].to_vec(),
        };
        let mut config = config(1, start);
        config.boot = 1;
        world.nodes.insert(id(1), Node::new(config));
        world.inputs.clear();
        world
            .inputs
            .push_back((id(1), Input::Opened { session: SESSION }));
        world.run(Duration::from_secs(3));
        assert!(world.nodes[&id(1)].is_ready(), "with {kept} records");
        assert_eq!(world.value(1, "/ctl/name"), Some("local".into()));
        assert_eq!(world.value(1, "/ctl/cal/0"), Some(id(1).to_string()));
        assert_eq!(world.ask(1, set("/b", "x", -1)).error(), None);
    }
}

#[test]
fn an_old_copy_of_a_disk_halts_once_the_log_tells_of_what_came_after() {
    let mut world = World::cluster(3, 3);
    let disks = world.checkpoint();
    world.power_loss(&disks);
    world.run(Duration::from_secs(3));
    world.replies.clear();
    let old = world.checkpoint();
    for nth in 0..4 {
        let path = format!("/a/{nth}");
        assert_eq!(world.ask(1, set(&path, "x", -1)).error(), None);
    }
    world.agree();

    // The first one again, as it was before that.
    let (n, state, memory) = &old.0[0];
    let start = Start::Resume {
        cluster: "local".into(),
        state: Box::new(state.clone()),
        records: memory.clone(),
    };
    let mut config = config(*n, start);
    config.boot = 1;
    world.nodes.insert(id(*n), Node::new(config));
    world.inputs.clear();
    world.run(Duration::from_secs(3));
    let halt = Halt::Outdated { later: 1 };
    assert_eq!(world.halted.first(), Some(&(id(1), halt)));
    assert!(world.halted.iter().all(|(who, _)| *who == id(1)));
}
