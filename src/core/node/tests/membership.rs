//! Slots of members: who takes them, and what clients may write there.

use super::*;

fn err_rev(world: &mut World, n: u8) -> Option<i64> {
    world.ask(n, request(Verb::Get, "/ctl/err")).rev
}

#[test]
fn of_two_standbys_that_want_one_slot_one_wins_without_a_trace_in_ctl_err() {
    let mut world = World::founded();
    for n in 2..=4 {
        world.start(n, Start::Join);
    }
    let before = err_rev(&mut world, 1);
    assert_eq!(world.ask(1, set("/ctl/cal/1", "", 0)).error(), None);
    world.run(Duration::from_secs(1));
    let members = world.nodes.values().filter(|node| node.is_member());
    assert_eq!(members.count(), 2);
    assert_eq!(err_rev(&mut world, 1), before);
    // The ones that lost take the next.
    assert_eq!(world.ask(1, set("/ctl/cal/2", "", 0)).error(), None);
    assert_eq!(world.ask(1, set("/ctl/cal/3", "", 0)).error(), None);
    world.run(Duration::from_secs(1));
    assert!(world.nodes.values().all(Node::is_member));
    assert_eq!(err_rev(&mut world, 1), before);
    world.agree();
}

#[test]
fn slots_that_stand_vacant_together_are_taken_one_after_the_other_without_any_pulse() {
    fn quiet(config: &mut Config) {
        config.pulse = Duration::from_secs(100_000);
    }
    let mut world = World::founded_with(Some(quiet));
    for n in 2..=5 {
        world.start(n, Start::Join);
    }
    for slot in 1..=4 {
        world.send(1, set(&format!("/ctl/cal/{slot}"), "", 0));
    }
    world.run(Duration::from_secs(3));
    assert!(world.nodes.values().all(Node::is_member));
    world.agree();
}

#[test]
fn a_bogus_member_is_refused_and_writes_go_on() {
    let mut world = World::cluster(3, 3);
    for value in ["bogus", "AAAAAAAAAAAAAAAA", "aaaaaaaaaaaaaaaa"] {
        let answer = world.ask(2, set("/ctl/cal/1", value, -1));
        assert_eq!(answer.error(), Some(ErrorCode::Other), "{value}");
        let answer = world.ask(2, set("/ctl/cal/9", value, 0));
        assert_eq!(answer.error(), Some(ErrorCode::Other), "{value}");
    }
    for n in 0..100 {
        let set = set("/x", "x", -1);
        assert_eq!(world.ask(1 + n % 3, set).error(), None);
    }
    assert!(world.nodes.values().all(Node::is_member));
}

#[test]
fn deleting_a_slot_creates_none_and_makes_a_standby_of_its_holder() {
    let mut world = World::cluster(3, 3);
    let holder = world.value(1, "/ctl/cal/2").expect("it is held");
    let del = Request {
        rev: Some(-1),
        ..request(Verb::Del, "/ctl/cal/2")
    };
    assert_eq!(world.ask(1, del).error(), None);
    world.run(Duration::from_secs(2));
    assert_eq!(world.value(1, "/ctl/cal/2"), None);
    let slots = world.nodes[&id(1)].state().map(|s| s.slot_files().count());
    assert_eq!(slots, Some(2));
    for (id, node) in &world.nodes {
        assert_eq!(node.is_member(), id.to_string() != holder);
    }
    let left = world.nodes.keys().find(|id| id.to_string() == holder);
    let n = left.expect("it is one of them").0[0];
    let answer = world.ask(n, set("/x", "x", -1));
    assert_eq!(answer.error(), Some(ErrorCode::Readonly));
    world.agree();
}

#[test]
fn a_standby_whose_source_dies_follows_another() {
    let mut world = World::cluster(4, 3);
    let source = world.nodes[&id(4)].replica.as_ref();
    let source = source
        .and_then(|r| r.consensus.source())
        .expect("it follows");
    world.kill(source.0[0]);
    let alive = if source == id(1) { 2 } else { 1 };
    assert_eq!(world.ask(alive, set("/a", "x", -1)).error(), None);
    world.run(Duration::from_millis(400));
    assert_eq!(world.value(4, "/a"), Some("x".into()));
    let source = world.nodes[&id(4)].replica.as_ref();
    let source = source
        .and_then(|r| r.consensus.source())
        .expect("it follows");
    assert!(world.nodes.contains_key(&source));
    world.agree();
}

#[test]
fn what_would_cost_the_majority_is_refused_and_what_restores_it_is_not() {
    fn slot_of(world: &World, n: u8) -> String {
        let state = world.nodes[&id(1)].state().expect("it serves");
        let holder = id(n).to_string();
        let mut files = state.slot_files();
        let found = files.find(|(_, _, value)| value.0 == holder.as_bytes());
        found.expect("it is a member").0.to_string()
    }
    let mut world = World::cluster(5, 3);
    let is_member = |n: &u8| world.nodes[&id(*n)].is_member();
    let (mut members, standbys): (Vec<u8>, Vec<u8>) = (2..=5).partition(is_member);
    let (dead, alive) = (
        members.pop().expect("a member"),
        members.pop().expect("a member"),
    );
    let (dead_slot, alive_slot) = (slot_of(&world, dead), slot_of(&world, alive));
    world.kill(dead);
    world.kill(standbys[0]);
    world.kill(standbys[1]);

    let said = |response: Response| response.err_detail.unwrap_or_default();
    let cleared = said(world.ask(1, set(&alive_slot, "", -1)));
    assert!(cleared.contains("cost the majority"), "{cleared}");
    let deleted = Request {
        rev: Some(-1),
        ..request(Verb::Del, &alive_slot)
    };
    let deleted = said(world.ask(1, deleted));
    assert!(deleted.contains("cost the majority"), "{deleted}");
    let named = said(world.ask(1, set("/ctl/cal/9", &id(standbys[0]).to_string(), 0)));
    assert!(named.contains("no connection"), "{named}");

    assert_eq!(world.ask(1, set(&dead_slot, "", -1)).error(), None);
    assert_eq!(world.ask(alive, set("/x", "x", -1)).error(), None);
    world.run(Duration::from_millis(300));
    world.agree();
}
