//! A majority that is lost: it is told, and a survivor makes a new cluster of what it remembers.

use super::*;
use crate::core::id::Lineage;
use crate::core::state::State;
use crate::core::store::Glob;

fn recover(force: bool, confirmed: bool) -> Request {
    Request {
        tag: Some(7),
        verb: Some(Verb::Recover as i32),
        force: Some(force),
        value: confirmed.then(|| "yes".into()),
        ..Request::default()
    }
}

impl World {
    fn majority_notices(&self, n: u8) -> Vec<&Notice> {
        let of_majority =
            |notice: &Notice| matches!(notice, Notice::MajorityLost { .. } | Notice::MajorityBack);
        self.notices
            .iter()
            .filter(|(from, notice)| *from == id(n) && of_majority(notice))
            .map(|(_, notice)| notice)
            .collect()
    }

    /// Lets a process recover the cluster, and start again as node `n`, in a world of its own.
    fn recovered_as(&mut self, survivor: u8, force: bool, n: u8) -> World {
        let answer = self.ask(survivor, recover(force, true));
        assert_eq!(answer.error(), None, "{answer:?}");
        let [(who, Halt::Recovered { state })] = self.halted.as_slice() else {
            panic!("{:?}", self.halted);
        };
        assert_eq!(*who, id(survivor));
        let mut world = World {
            now: self.now,
            ..World::default()
        };
        world.start(
            n,
            Start::Recover {
                survivor: *who,
                state: state.clone(),
            },
        );
        world
    }

    fn tree(&self, n: u8) -> Vec<(String, Rev)> {
        files(self.nodes[&id(n)].state().expect("a copy"), None)
    }
}

/// All files, now or at a revision that is retained, with their own revisions.
fn files(state: &State, then: Option<Rev>) -> Vec<(String, Rev)> {
    let view = state.store().at(then).expect("it is retained");
    let all = Glob::parse(b"/**").expect("a pattern");
    let files = view.files(&all);
    files
        .map(|(path, rev, _)| (path.to_string(), rev))
        .collect()
}

#[test]
fn the_loss_of_the_majority_is_told_and_told_again_and_its_return_too() {
    let mut world = World::cluster(3, 3);
    world.notices.clear();
    world.isolate(3, true);
    world.run(Duration::from_secs(4));
    assert_eq!(world.majority_notices(3), [] as [&Notice; 0]);
    world.run(Duration::from_secs(2));
    let [
        Notice::MajorityLost {
            silent,
            heard,
            needed,
            survivor,
        },
    ] = world.majority_notices(3)[..]
    else {
        panic!("{:?}", world.notices);
    };
    assert_eq!((*heard, *needed), (1, 2));
    assert_eq!(survivor, "127.0.0.3:8046");
    assert!(silent[0].ends_with(" at 127.0.0.1:8046"), "{silent:?}");
    world.run(Duration::from_secs(50));
    assert_eq!(world.majority_notices(3).len(), 1);
    world.isolate(3, false);
    world.run(Duration::from_secs(1));
    assert_eq!(world.majority_notices(3)[1], &Notice::MajorityBack);
    assert_eq!(world.majority_notices(1), [] as [&Notice; 0]);
}

#[test]
fn a_survivor_goes_on_with_everything_it_knows() {
    let mut world = World::cluster(4, 3);
    for n in 0..5 {
        let set = set("/a", &n.to_string(), -1);
        assert_eq!(world.ask(1, set).error(), None);
    }
    world.run(Duration::from_millis(200));
    for n in [1, 2, 4] {
        world.kill(n);
    }
    world.run(Duration::from_millis(500));
    let rev = world.nodes[&id(3)].rev();
    let old: State = world.nodes[&id(3)].state().expect("a copy").clone();

    // Being told changes nothing.
    let plan = world.ask(3, recover(false, false));
    assert_eq!(plan.error(), None);
    let text = String::from_utf8(plan.value.unwrap_or_default().into()).expect("text");
    assert!(text.contains("generation 2"), "{text}");
    assert!(text.contains("at 127.0.0.1:8046 has been silent"), "{text}");
    assert_eq!(
        (world.nodes[&id(3)].rev(), &world.halted[..]),
        (rev, &[][..])
    );

    let mut anew = world.recovered_as(3, false, 9);
    let state = anew.nodes[&id(9)].state().expect("a copy").clone();
    let lineage = Lineage {
        founder: id(9),
        generation: 2,
    };
    assert_eq!(state.lineage(), lineage);
    assert_ne!(state.digest(), old.digest());
    assert_eq!(state.epochs().latest().members, [id(9)]);
    assert!(state.store().rev() > rev);
    assert_eq!(state.store().oldest(), old.store().oldest());
    for then in [rev, Rev(rev.0 / 2), Rev(1)] {
        let then = Some(then);
        assert_eq!(files(&state, then), files(&old, then), "at {then:?}");
    }
    // Files of clients keep their revisions; the servers' are those of the new member.
    let of_clients = |tree: Vec<(String, Rev)>| -> Vec<(String, Rev)> {
        let tree = tree.into_iter();
        tree.filter(|(path, _)| !path.starts_with("/ctl/"))
            .collect()
    };
    assert_eq!(of_clients(anew.tree(9)), of_clients(world.tree(3)));
    let nodes = anew.tree(9).into_iter().filter_map(|(path, _)| {
        let name = path.strip_prefix("/ctl/node/")?.to_owned();
        Some(name[..NodeId::TEXT_LEN].to_owned())
    });
    assert_eq!(
        nodes.collect::<BTreeSet<_>>(),
        BTreeSet::from([id(9).to_string()])
    );
    let slots: Vec<Option<String>> = (0..3)
        .map(|slot| anew.value(9, &format!("/ctl/cal/{slot}")))
        .collect();
    assert_eq!(slots.iter().flatten().filter(|id| id.is_empty()).count(), 2);

    // It takes writes, and newcomers fill the slots.
    let done = anew.ask(9, set("/b", "x", 0));
    assert_eq!(done.error(), None);
    assert!(done.rev > Some(rev.0 as i64));
    for n in [7, 8] {
        anew.nodes.insert(id(n), Node::new(config(n, Start::Join)));
        anew.link(id(n), id(9));
        anew.link(id(9), id(n));
    }
    anew.run(Duration::from_secs(1));
    assert!([7, 8].iter().all(|n| anew.nodes[&id(*n)].is_member()));
    assert_eq!(
        anew.nodes[&id(8)].state().map(State::lineage),
        Some(lineage)
    );
    anew.agree();
}

#[test]
fn what_was_acknowledged_with_the_vote_of_the_survivor_is_not_lost() {
    let mut world = World::cluster(3, 3);
    // The survivor votes, and never hears what became of it.
    world.loses = Some(|_, to, message| {
        to == id(3) && !matches!(message, Message::Accept { .. } | Message::Beat(_))
    });
    let done = world.ask(1, set("/a", "x", 0));
    assert_eq!(done.error(), None, "it is acknowledged");
    assert_eq!(world.value(3, "/a"), None);
    for n in [1, 2] {
        world.kill(n);
    }
    world.run(Duration::from_millis(500));
    let anew = world.recovered_as(3, false, 9);
    assert_eq!(anew.value(9, "/a"), Some("x".into()));
}

#[test]
fn a_cluster_that_is_not_lost_is_recovered_only_by_force() {
    let mut world = World::cluster(3, 3);
    let refused = |answer: Response, part: &str| {
        let detail = answer.err_detail.unwrap_or_default();
        assert_eq!(answer.err_code, Some(ErrorCode::Other as i32));
        assert!(detail.contains(part), "{detail}");
    };
    refused(
        world.ask(3, recover(false, true)),
        "of 3 members 3 are heard",
    );
    world.kill(1);
    world.run(Duration::from_millis(500));
    refused(
        world.ask(3, recover(false, false)),
        "of 3 members 2 are heard",
    );
    assert_eq!(world.halted, []);
    world.recovered_as(3, true, 9);
}

#[test]
fn of_two_survivors_the_one_that_knows_more_is_named() {
    let mut world = World::cluster(5, 5);
    world.loses = Some(|_, to, message| to == id(5) && !matches!(message, Message::Beat(_)));
    assert_eq!(world.ask(1, set("/a", "x", 0)).error(), None);
    for n in [1, 2, 3] {
        world.kill(n);
    }
    world.run(Duration::from_millis(500));
    let answer = world.ask(5, recover(false, true));
    let detail = answer.err_detail.unwrap_or_default();
    assert!(detail.contains("at 127.0.0.4:8046 knows more"), "{detail}");
    let anew = world.recovered_as(4, false, 9);
    assert_eq!(anew.value(9, "/a"), Some("x".into()));
}

#[test]
fn whoever_may_not_write_may_not_recover() {
    let mut world = World::cluster_with(3, 1, |config| config.rw_secret = b"sesame".to_vec());
    let answer = world.ask(1, recover(true, true));
    assert_eq!(answer.err_detail.as_deref(), Some("permission denied"));
    assert_eq!(world.halted, []);
}
