//! The index of watches against a list of them.

use proptest::prelude::*;

use super::super::tests::{any_glob, any_path, glob, path};
use super::super::{EventKind, Value};
use super::*;

fn event(rev: u64, at: &str) -> Event {
    Event {
        rev: Rev(rev),
        path: path(at),
        value: Value::default(),
        kind: EventKind::Set,
    }
}

fn ids(ids: &[u64]) -> Vec<WatchId> {
    ids.iter().copied().map(WatchId).collect()
}

#[test]
fn an_event_wakes_those_that_it_matches_once() {
    let mut watches = Watches::new();
    for (id, pattern) in ["/a", "/a/b", "/*", "/a**", "/**", "/b/*", "/a", "/a/?"]
        .iter()
        .enumerate()
    {
        watches.add(WatchId(id as u64), glob(pattern), Rev(1));
    }
    assert_eq!(watches.wake(&event(1, "/a")), ids(&[0, 2, 3, 4, 6]));
    assert_eq!(watches.wake(&event(2, "/a")), []);
    assert_eq!(watches.wake(&event(3, "/a/b")), ids(&[1, 7]));
    assert_eq!(watches.len(), 1);
    assert!(watches.remove(WatchId(5)));
    assert!(!watches.remove(WatchId(5)));
    assert!(watches.is_empty());
    assert!(watches.exact.is_empty() && watches.wild.is_empty() && watches.lengths.is_empty());
}

#[test]
fn a_watch_waits_for_its_revision() {
    let mut watches = Watches::new();
    watches.add(WatchId(1), glob("/a"), Rev(10));
    watches.add(WatchId(2), glob("/?"), Rev(10));
    watches.add(WatchId(3), glob("/?"), Rev(9));
    assert_eq!(watches.wake(&event(8, "/a")), []);
    assert_eq!(watches.wake(&event(9, "/a")), ids(&[3]));
    assert_eq!(watches.wake(&event(11, "/a")), ids(&[1, 2]));
}

#[test]
fn those_that_want_what_is_forgotten_are_told_apart() {
    let mut watches = Watches::new();
    for (id, pattern, from) in [(1, "/a", 4), (2, "/?", 5), (3, "/**", 4)] {
        watches.add(WatchId(id), glob(pattern), Rev(from));
    }
    assert_eq!(watches.take_before(Rev(4)), []);
    assert_eq!(watches.take_before(Rev(5)), ids(&[1, 3]));
    assert_eq!(watches.wake(&event(5, "/a")), ids(&[2]));
    assert!(watches.is_empty());
}

#[test]
fn no_ops_wake_those_who_wait_for_the_root() {
    let mut watches = Watches::new();
    for (id, pattern) in ["/", "/**", "/*", "/?"].iter().enumerate() {
        watches.add(WatchId(id as u64), glob(pattern), Rev(1));
    }
    assert_eq!(watches.wake(&event(1, "/")), ids(&[0, 1]));
}

#[derive(Clone, Debug)]
enum Act {
    Add(u64, String, u64),
    Remove(u64),
    Wake(String),
}

fn any_act() -> impl Strategy<Value = Act> {
    let pattern = prop_oneof![
        any_glob(),
        any_path(),
        Just("/*b".into()),
        Just("/a/b*".into())
    ];
    prop_oneof![
        4 => (0..30u64, pattern, 0..40u64).prop_map(|(id, glob, from)| Act::Add(id, glob, from)),
        1 => (0..30u64).prop_map(Act::Remove),
        3 => any_path().prop_map(Act::Wake),
    ]
}

proptest! {
    #[test]
    fn the_index_wakes_whom_a_list_wakes(acts in prop::collection::vec(any_act(), 1..80)) {
        let mut watches = Watches::new();
        let mut list: BTreeMap<u64, (String, u64)> = BTreeMap::new();
        for (rev, act) in acts.into_iter().enumerate() {
            let rev = rev as u64;
            match act {
                Act::Add(id, pattern, from) => {
                    watches.add(WatchId(id), glob(&pattern), Rev(from));
                    list.insert(id, (pattern, from));
                }
                Act::Remove(id) => {
                    prop_assert_eq!(watches.remove(WatchId(id)), list.remove(&id).is_some());
                }
                Act::Wake(at) => {
                    let woken: Vec<u64> = list.iter()
                        .filter(|(_, (glob, from))| {
                            *from <= rev && super::super::glob::naive(glob, &at)
                        })
                        .map(|(id, _)| *id)
                        .collect();
                    list.retain(|id, _| !woken.contains(id));
                    prop_assert_eq!(watches.wake(&event(rev, &at)), ids(&woken));
                }
            }
            prop_assert_eq!(watches.len(), list.len());
        }
    }
}
