//! Processes that go: evicted by the evidence of a majority, or on request.

use super::*;

fn cluster(nodes: u8, members: u8) -> World {
    World::cluster_with(nodes, members, |config| {
        config.timeout = Duration::from_secs(2);
    })
}

impl World {
    fn members(&self, n: u8) -> Vec<NodeId> {
        let state = self.nodes[&id(n)].state().expect("it has a copy");
        state.epochs().latest().members.clone()
    }

    fn knows(&self, n: u8, other: u8) -> bool {
        let state = self.nodes[&id(n)].state().expect("it has a copy");
        state.processes().contains(&id(other))
    }

    fn rev(&self, n: u8) -> Rev {
        self.nodes[&id(n)].rev()
    }

    fn errors(&self, n: u8) -> bool {
        self.value(n, "/ctl/err").is_some()
    }
}

#[test]
fn a_standby_takes_the_seat_of_a_dead_member_in_one_step() {
    let mut world = cluster(4, 3);
    let seat =
        (0..3).find(|slot| world.value(1, &format!("/ctl/cal/{slot}")) == Some(id(3).to_string()));
    let seat = format!("/ctl/cal/{}", seat.expect("it is a member"));
    world.kill(3);
    world.run(Duration::from_millis(1900));
    assert_eq!(world.members(1), [id(1), id(2), id(3)]);
    let before = world.rev(1);
    world.run(Duration::from_millis(600));
    assert_eq!(world.members(1), [id(1), id(2), id(4)]);
    assert_eq!(world.value(2, &seat), Some(id(4).to_string()));
    // It never was vacant.
    let state = world.nodes[&id(1)].state().expect("it has a copy");
    let steps = state.store().events(before.next());
    assert_eq!(
        steps.filter(|event| event.path.to_string() == seat).count(),
        1
    );
    assert!(!world.knows(1, 3));
    assert!(world.nodes[&id(4)].is_member());
    assert!(!world.errors(1));
    assert_eq!(world.ask(4, set("/a", "x", 0)).error(), None);
    world.agree();
}

#[test]
fn without_a_standby_the_seat_of_a_dead_member_becomes_vacant() {
    let mut world = cluster(3, 3);
    world.isolate(3, true);
    world.run(Duration::from_millis(2600));
    assert_eq!(world.members(1), [id(1), id(2)]);
    assert!(!world.errors(1));
    // Alone it can do nothing, and learns what happened when it hears the others again.
    assert_eq!(world.members(3), [id(1), id(2), id(3)]);
    assert_eq!(world.halted, []);
    world.isolate(3, false);
    // The others have hung up on it, so it calls again, and is called back.
    for n in [1, 2] {
        world.link(id(n), id(3));
        world.link(id(3), id(n));
    }
    world.run(Duration::from_millis(500));
    assert!(matches!(
        &world.halted[..],
        [(who, Halt::Evicted { members })] if *who == id(3) && members.len() == 2
    ));
    assert_eq!(world.ask(1, set("/a", "x", 0)).error(), None);
}

#[test]
fn two_members_that_do_not_hear_each_other_evict_nobody() {
    let mut world = cluster(4, 3);
    world.cut.insert((id(1), id(3)));
    world.cut.insert((id(3), id(1)));
    world.run(Duration::from_secs(5));
    assert_eq!(world.members(2), [id(1), id(2), id(3)]);
    assert_eq!(world.halted, []);
    for n in 1..=3 {
        assert_eq!(world.ask(n, set("/a", "x", -1)).error(), None);
    }
}

#[test]
fn a_member_that_is_heard_by_one_other_is_not_evicted_by_the_rest() {
    let mut world = cluster(5, 5);
    for n in [1, 2] {
        world.cut.insert((id(5), id(n)));
    }
    world.run(Duration::from_secs(5));
    assert_eq!(world.members(1).len(), 5);
    world.cut.insert((id(5), id(3)));
    world.run(Duration::from_millis(2600));
    assert_eq!(world.members(1), [id(1), id(2), id(3), id(4)]);
}

#[test]
fn nobody_is_blamed_for_what_a_process_missed_while_it_stood_still() {
    let mut world = cluster(3, 3);
    // Two of three stand still for a minute, and then hear nobody before their timers go off.
    let asleep: Vec<(NodeId, Node)> = [1, 2]
        .map(|n| (id(n), world.nodes.remove(&id(n)).expect("it lives")))
        .into();
    world.run(Duration::from_secs(10));
    world.nodes.extend(asleep);
    for n in [1, 2] {
        world.inputs.push_back((id(n), Input::Tick));
    }
    world.run(Duration::from_secs(3));
    assert_eq!(world.members(1), [id(1), id(2), id(3)]);
    assert_eq!(world.halted, []);
}

#[test]
fn the_files_of_a_dead_standby_go() {
    let mut world = cluster(5, 3);
    world.kill(5);
    world.run(Duration::from_millis(2600));
    assert!(!world.knows(1, 5) && world.knows(1, 4));
    assert_eq!(world.members(1), [id(1), id(2), id(3)]);
    world.agree();
}

#[test]
fn a_member_that_leaves_hands_its_seat_over_and_loses_no_write() {
    let mut world = cluster(4, 3);
    world.send(2, set("/a", "x", 0));
    world.inputs.push_back((id(2), Input::Leave));
    world.run(Duration::from_millis(50));
    // It stays until the others have what its vote may have been needed for. They have hung up on
    // it, so it calls again, and is called back.
    assert_eq!(world.halted, []);
    for n in [1, 3, 4] {
        world.link(id(n), id(2));
    }
    world.run(Duration::from_millis(300));
    assert_eq!(world.halted, [(id(2), Halt::Left)]);
    let answers: Vec<&Response> = world
        .replies
        .iter()
        .filter(|(from, ..)| *from == id(2))
        .map(|(_, _, response)| response)
        .collect();
    assert!(answers.iter().any(|answer| answer.error().is_none()));
    world.kill(2);
    world.run(Duration::from_millis(300));
    assert_eq!(world.members(1), [id(1), id(3), id(4)]);
    assert!(!world.knows(1, 2));
    assert_eq!(world.value(4, "/a"), Some("x".into()));
    assert_eq!(world.ask(4, set("/b", "x", 0)).error(), None);
}

#[test]
fn the_last_member_and_one_whose_seat_is_needed_leave_without_giving_it_up() {
    let mut world = World::founded();
    world.inputs.push_back((id(1), Input::Leave));
    world.run(Duration::from_millis(50));
    assert_eq!(world.halted, [(id(1), Halt::Left)]);

    let mut world = cluster(3, 3);
    world.kill(3);
    world.inputs.push_back((id(2), Input::Leave));
    world.run(Duration::from_millis(100));
    assert_eq!(world.halted, [(id(2), Halt::Left)]);
    assert_eq!(world.members(1), [id(1), id(2), id(3)]);
}

#[test]
fn a_standby_that_leaves_is_forgotten() {
    let mut world = cluster(4, 3);
    world.inputs.push_back((id(4), Input::Leave));
    world.run(Duration::from_millis(300));
    assert_eq!(world.halted, [(id(4), Halt::Left)]);
    assert!(!world.knows(1, 4));
}

#[test]
fn whoever_leaves_tells_clients_that_it_takes_no_writes_before_it_ends() {
    let mut world = cluster(3, 3);
    world.inputs.push_back((id(3), Input::Leave));
    world.run(Duration::from_millis(60));
    assert_eq!(world.members(1), [id(1), id(2)]);
    // The others have hung up on it, so it calls again, and is called back.
    for n in [1, 2] {
        world.link(id(n), id(3));
    }
    world.run(Duration::from_millis(60));
    assert_eq!(world.halted, []);
    let answer = world.ask(3, set("/a", "x", 0));
    assert_eq!(answer.error(), Some(ErrorCode::Readonly));
    world.run(Duration::from_millis(90));
    assert_eq!(world.halted, [], "somebody has asked just now");
    world.run(Duration::from_millis(200));
    assert_eq!(world.halted, [(id(3), Halt::Left)]);
}
