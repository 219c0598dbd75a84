//! The store against the rules of the specification; in `model`, against a naive model of itself.

mod model;

use bytes::Bytes;

use super::*;
use crate::core::id::Rev;
pub(super) use model::{any_glob, any_mutation, any_path};

pub(super) const PLENTY: HistoryLimits = HistoryLimits {
    revs: 1 << 20,
    bytes: 1 << 40,
};

pub(super) fn path(text: &str) -> Path {
    Path::parse(text.as_bytes()).unwrap()
}

pub(super) fn glob(text: &str) -> Glob {
    Glob::parse(text.as_bytes()).unwrap()
}

pub(super) fn set(to: &str, value: &str, rev: i64) -> Mutation {
    Mutation::Set {
        path: path(to),
        value: Value(Bytes::copy_from_slice(value.as_bytes())),
        condition: Condition::asked(rev, false),
    }
}

pub(super) fn del(at: &str, rev: i64) -> Mutation {
    Mutation::Del {
        path: path(at),
        condition: Condition::asked(rev, false),
    }
}

fn done(store: &mut Store, mutation: &Mutation) -> Rev {
    let outcome = store.apply(mutation);
    assert_eq!(outcome.result, Ok(()), "{mutation:?}");
    outcome.rev
}

/// Path, revision and value of each file in the order of a walk.
fn listing(view: View<'_>) -> Vec<(String, u64, Vec<u8>)> {
    let all = glob("/**");
    let files = view.files(&all);
    files
        .map(|(path, rev, value)| (path.to_string(), rev.0, value.0.to_vec()))
        .collect()
}

fn err(store: &Store) -> Option<String> {
    match store.at(None).unwrap().get(&path("/ctl/err")) {
        Found::File { value, .. } => Some(String::from_utf8(value.0.to_vec()).unwrap()),
        Found::Missing | Found::Dir { .. } => None,
    }
}

#[test]
fn revisions_of_requests_are_compared_as_the_table_says() {
    // A file of revision 2, a missing path, a directory.
    let mut start = Store::new(PLENTY);
    done(&mut start, &Mutation::Nop);
    assert_eq!(done(&mut start, &set("/d/f", "x", -1)), Rev(2));
    let cases: &[(&str, i64, Result<(), Refusal>)] = &[
        ("/d/f", -1, Ok(())),
        ("/d/f", 2, Ok(())),
        ("/d/f", 3, Ok(())),
        ("/d/f", i64::MAX, Ok(())),
        ("/d/f", 0, Err(Refusal::RevMismatch)),
        ("/d/f", 1, Err(Refusal::RevMismatch)),
        ("/d/f", -2, Err(Refusal::RevMismatch)),
        ("/d/f", i64::MIN, Err(Refusal::RevMismatch)),
        ("/d/g", -1, Ok(())),
        ("/d/g", 0, Ok(())),
        ("/d/g", 1, Ok(())),
        ("/d/g", i64::MAX, Ok(())),
        ("/d/g", -2, Err(Refusal::RevMismatch)),
        ("/d/g", -3, Err(Refusal::RevMismatch)),
        ("/d", -1, Err(Refusal::IsDir)),
        ("/d", -2, Err(Refusal::IsDir)),
        ("/d", 0, Err(Refusal::IsDir)),
        ("/d", i64::MAX, Err(Refusal::IsDir)),
        ("/d", -3, Err(Refusal::RevMismatch)),
        ("/", -1, Err(Refusal::IsDir)),
        ("/", -2, Err(Refusal::IsDir)),
        ("/", -3, Err(Refusal::RevMismatch)),
    ];
    for (at, rev, expected) in cases {
        for mutation in [set(at, "y", *rev), del(at, *rev)] {
            let mut store = start.clone();
            let outcome = store.apply(&mutation);
            assert_eq!(
                (outcome.rev, outcome.result),
                (Rev(3), *expected),
                "{mutation:?}"
            );
            assert_eq!(store.rev(), Rev(3));
            assert_eq!(
                err(&store).as_deref(),
                expected.err().map(Refusal::text),
                "{mutation:?}"
            );
            let event = store.event(Rev(3)).unwrap();
            match expected {
                Ok(()) => assert_eq!(event.path.as_str(), *at),
                Err(refusal) => {
                    assert_eq!(event.path.as_str(), "/ctl/err");
                    assert_eq!(event.value.0, refusal.text().as_bytes());
                    assert_eq!((event.kind, event.flags()), (EventKind::Refused, 4));
                }
            }
        }
    }
}

#[test]
fn a_file_on_the_way_is_noticed_before_the_revision() {
    let mut store = Store::new(PLENTY);
    done(&mut store, &set("/f", "x", -1));
    for (at, rev) in [
        ("/f/a", -1),
        ("/f/a", -7),
        ("/f/a/b/c", 0),
        ("/f/a", i64::MIN),
    ] {
        assert_eq!(
            store.apply(&set(at, "y", rev)).result,
            Err(Refusal::NotDir),
            "{at} {rev}"
        );
        assert_eq!(err(&store).as_deref(), Some("not a directory"));
    }
}

#[test]
fn deleting_below_a_file_is_deleting_what_is_missing() {
    let mut store = Store::new(PLENTY);
    done(&mut store, &set("/f", "x", -1));
    for rev in [-1, 0, 9] {
        let at = done(&mut store, &del("/f/a", rev));
        let event = store.event(at).unwrap();
        assert_eq!((event.path.as_str(), event.flags()), ("/f/a", 8));
    }
    assert_eq!(
        store.apply(&del("/f/a", -2)).result,
        Err(Refusal::RevMismatch)
    );
    let view = store.at(None).unwrap();
    assert!(matches!(
        view.get(&path("/f")),
        Found::File { rev: Rev(1), .. }
    ));
}

#[test]
fn directories_that_are_left_empty_vanish() {
    let mut store = Store::new(PLENTY);
    done(&mut store, &set("/a/b/c/d", "", -1));
    done(&mut store, &set("/a/x", "", -1));
    done(&mut store, &del("/a/b/c/d", 1));
    let view = store.at(None).unwrap();
    assert_eq!(view.get(&path("/a/b")), Found::Missing);
    assert_eq!(view.get(&path("/a")), Found::Dir { entries: 1 });
    done(&mut store, &del("/a/x", -1));
    let view = store.at(None).unwrap();
    assert_eq!(view.get(&path("/a")), Found::Missing);
    assert_eq!(view.get(&path("/")), Found::Dir { entries: 0 });
    done(&mut store, &set("/a", "a file", 0));
}

#[test]
fn an_event_says_what_happened() {
    let mut store = Store::new(PLENTY);
    done(&mut store, &set("/a", "1", -1));
    done(&mut store, &set("/a", "", -1));
    done(&mut store, &del("/a", 2));
    done(&mut store, &del("/a", 0));
    done(&mut store, &Mutation::Nop);
    assert_eq!(store.refuse("the slot is taken"), Rev(6));
    let events = store
        .events(Rev(0))
        .map(|e| (e.rev.0, e.path.as_str(), &*e.value.0, e.flags()));
    let expected: [(u64, &str, &[u8], i32); 6] = [
        (1, "/a", b"1", 4),
        (2, "/a", b"", 4),
        (3, "/a", b"", 8),
        (4, "/a", b"", 8),
        (5, "/", b"", 0),
        (6, "/ctl/err", b"the slot is taken", 4),
    ];
    assert!(events.eq(expected));
    assert_eq!(store.events(Rev(5)).count(), 2);
    assert_eq!(store.event(Rev(7)), None);
    assert_eq!(store.event(Rev(0)), None);
}

#[test]
fn a_refusal_leaves_the_tree_alone_where_its_place_is_taken() {
    for squatter in ["/ctl/err/x", "/ctl"] {
        let mut store = Store::new(PLENTY);
        done(&mut store, &set(squatter, "mine", -1));
        let before = listing(store.at(None).unwrap());
        assert_eq!(
            store.apply(&set(squatter, "", -2)).result,
            Err(Refusal::RevMismatch)
        );
        store.refuse("no");
        assert_eq!(listing(store.at(None).unwrap()), before);
        assert_eq!(store.event(Rev(3)).unwrap().path.as_str(), "/ctl/err");
        assert_eq!(store.rev(), Rev(3));
    }
}

#[test]
fn history_is_bounded_by_revisions() {
    let mut store = Store::new(HistoryLimits {
        revs: 3,
        bytes: 1 << 30,
    });
    assert_eq!((store.rev(), store.oldest()), (Rev(0), Rev(1)));
    assert_eq!(store.at(Some(Rev(1))).unwrap_err(), Unreadable::Future);
    assert_eq!(store.at(Some(Rev(0))).unwrap_err(), Unreadable::TooLate);
    for n in 1..=10 {
        done(&mut store, &set("/a", &n.to_string(), -1));
    }
    assert_eq!(store.oldest(), Rev(8));
    assert_eq!(store.at(Some(Rev(7))).unwrap_err(), Unreadable::TooLate);
    assert_eq!(store.at(Some(Rev(11))).unwrap_err(), Unreadable::Future);
    for n in 8..=10 {
        let view = store.at(Some(Rev(n))).unwrap();
        assert_eq!(
            listing(view),
            [("/a".into(), n, n.to_string().into_bytes())]
        );
    }
    assert_eq!(store.first_event(Rev(7), &glob("/b")), Err(TooLate));
    assert_eq!(store.first_event(Rev(8), &glob("/b")), Ok(None));
    assert_eq!(
        store.first_event(Rev(9), &glob("/?")).unwrap().unwrap().rev,
        Rev(9)
    );
    assert_eq!(store.first_event(Rev(99), &glob("/?")), Ok(None));
}

#[test]
fn history_is_bounded_by_bytes() {
    let limits = HistoryLimits {
        revs: 1000,
        bytes: 100_000,
    };
    let mut store = Store::new(limits);
    let value = "x".repeat(30_000);
    for _ in 0..10 {
        done(&mut store, &set("/a", &value, -1));
    }
    // The current value is no history; the three before it are.
    assert_eq!(store.oldest(), Rev(7));
    // Nor is a large current value, until it has been replaced.
    done(&mut store, &set("/a", &"x".repeat(200_000), -1));
    assert_eq!(store.oldest(), Rev(8));
    let rev = done(&mut store, &del("/a", -1));
    assert_eq!(
        store.oldest(),
        rev,
        "the states before this one hold the large value"
    );
    assert!(store.at(Some(rev)).is_ok());
    // What a value costs does not depend on how long ago it was written.
    done(&mut store, &set("/b", &"x".repeat(200_000), -1));
    for _ in 0..20 {
        done(&mut store, &Mutation::Nop);
    }
    assert_eq!(store.oldest(), rev);
    let rev = done(&mut store, &set("/b", "", -1));
    assert_eq!(store.oldest(), rev);
}

#[test]
fn without_history_only_the_current_state_is_readable() {
    let mut store = Store::new(HistoryLimits {
        revs: 0,
        bytes: 1 << 30,
    });
    done(&mut store, &set("/a", "1", -1));
    assert_eq!(store.at(Some(Rev(1))).unwrap_err(), Unreadable::TooLate);
    assert_eq!(store.at(Some(Rev(2))).unwrap_err(), Unreadable::Future);
    assert_eq!(store.first_event(Rev(1), &glob("/**")), Err(TooLate));
    assert_eq!(store.first_event(Rev(2), &glob("/**")), Ok(None));
    assert_eq!(listing(store.at(None).unwrap()).len(), 1);
}

#[test]
fn ill_formed_paths_are_missing() {
    let mut store = Store::new(PLENTY);
    done(&mut store, &set("/a/b", "1", -1));
    let view = store.at(None).unwrap();
    for text in ["", "a", "/a/", "//", "/a//b", "/a_b", "/\u{e9}", "a/b"] {
        assert_eq!(view.get_bytes(text.as_bytes()), Found::Missing, "{text}");
    }
    assert_eq!(view.get_bytes(b"/\xff"), Found::Missing);
    assert_eq!(view.get_bytes(b"/a"), Found::Dir { entries: 1 });
}

#[test]
fn walks_go_depth_first_in_byte_order_of_names() {
    let mut store = Store::new(PLENTY);
    for at in [
        "/w/a-b", "/w/a/b", "/w/a/a/z", "/w/a.b", "/w/B", "/w/0", "/v",
    ] {
        done(&mut store, &set(at, "", -1));
    }
    let view = store.at(None).unwrap();
    let order: Vec<String> = listing(view).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(
        order,
        [
            "/v", "/w/0", "/w/B", "/w/a/a/z", "/w/a/b", "/w/a-b", "/w/a.b"
        ]
    );
    assert!(view.names(&path("/w")).eq(["0", "B", "a", "a-b", "a.b"]));
    assert_eq!(view.entry(&path("/w"), 2), Some("a"));
    assert_eq!(view.entry(&path("/w"), 5), None);
    assert_eq!(view.entry(&path("/v"), 0), None);
    assert_eq!(view.walk(&glob("/w/*"), 3).unwrap().0, path("/w/a.b"));
    assert_eq!(view.walk(&glob("/"), 0), None);
}

#[test]
fn the_deepest_paths_do_not_exhaust_the_stack() {
    let deep = "/a".repeat(20_000);
    let mut store = Store::new(PLENTY);
    let before = store.digest();
    done(&mut store, &set(&deep, "x", -1));
    done(&mut store, &set(&(deep.clone() + "b"), "x", -1));
    let view = store.at(None).unwrap();
    assert_eq!(
        view.walk(&glob("/**b"), 0).unwrap().0.as_str(),
        deep.clone() + "b"
    );
    assert_eq!(
        view.walk(&glob("/**"), 1).unwrap().0.as_str(),
        deep.clone() + "b"
    );
    assert_eq!(view.files(&glob("/**a**")).count(), 2);
    done(&mut store, &del(&deep, -1));
    done(&mut store, &del(&(deep + "b"), -1));
    assert_eq!(listing(store.at(None).unwrap()), []);
    assert_ne!(store.digest(), before, "the revision is part of the digest");
}
