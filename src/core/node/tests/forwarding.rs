//! Members that own nothing hand their commands to one that does.

use super::*;

#[test]
fn a_command_lost_on_its_way_to_an_owner_is_sent_again_before_its_successors_spin() {
    let mut world = World::cluster(3, 3);
    world.own(&[1, 2]);
    world.loses = Some(|_, _, message| matches!(message, Message::Forward { .. }));
    world.send(3, set("/a", "1", -1));
    world.settle();
    world.loses = None;
    let before = world.nodes[&id(1)].applied();
    world.send(3, set("/a", "2", -1));
    world.run(Duration::from_millis(300));
    assert_eq!(world.value(1, "/a"), Some("2".into()));
    let used = world.nodes[&id(1)].applied().0 - before.0;
    assert!(used < 50, "{used} slots for two commands");
    world.agree();
}

#[test]
fn commands_go_to_another_owner_when_the_nearest_brings_nothing_about() {
    let mut world = World::cluster(3, 3);
    world.own(&[1, 2]);
    world.loses = Some(|_, to, message| to == id(1) && matches!(message, Message::Forward { .. }));
    world.send(3, set("/a", "1", -1));
    world.run(Duration::from_millis(350));
    assert_eq!(world.value(1, "/a"), Some("1".into()));
    world.loses = Some(|_, to, message| to == id(2) && matches!(message, Message::Forward { .. }));
    world.send(3, set("/a", "2", -1));
    world.run(Duration::from_millis(350));
    assert_eq!(world.value(1, "/a"), Some("2".into()));
}

#[test]
fn writes_of_a_member_keep_their_order_when_it_ceases_to_own_slots() {
    let mut world = World::cluster(3, 3);
    for n in 0..20 {
        world.send(3, set("/a", &n.to_string(), -1));
        if n == 10 {
            let latest = world.nodes[&id(1)].state().expect("a copy").epochs();
            let expect = latest.latest().start;
            let owners = vec![id(1), id(2)];
            world.command(1, Op::Owners { expect, owners });
        }
    }
    world.replies.clear();
    world.run(Duration::from_millis(500));
    assert_eq!(world.replies.len(), 20);
    let revs: Vec<i64> = world.replies.iter().filter_map(|r| r.2.rev).collect();
    assert!(revs.windows(2).all(|pair| pair[0] < pair[1]), "{revs:?}");
    assert_eq!(world.value(1, "/a"), Some("19".into()));
    world.agree();
}
