//! Snapshots: what comes out is what went in, or an error.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::tests::{any_mutation, path, set};
use super::super::{Condition, EventKind, Glob, HistoryLimits, Mutation, Path, Store, Value};
use super::*;

fn pieces(store: &Store) -> Vec<Vec<u8>> {
    let mut export = Export::new(store);
    (0..).map_while(|index| export.piece(index)).collect()
}

fn import(pieces: &[Vec<u8>], history: HistoryLimits) -> Result<Option<Store>, ImportError> {
    let mut importer = Importer::new(history);
    for (index, piece) in pieces.iter().enumerate() {
        assert_eq!(importer.due(), index as u64);
        if let Some(store) = importer.take(piece)? {
            assert!(importer.take(piece).is_err());
            return Ok(Some(store));
        }
    }
    Ok(None)
}

/// All that can be seen of a store.
fn sight(store: &Store) -> impl PartialEq + std::fmt::Debug + use<> {
    let all = Glob::parse(b"/**").unwrap();
    let files = |rev: Option<Rev>| -> Vec<(Path, Rev, Value)> {
        let view = store.at(rev).unwrap();
        let files = view.files(&all);
        files
            .map(|(path, rev, value)| (path.clone(), rev, value.clone()))
            .collect()
    };
    let revs = store.oldest().0..=store.rev().0;
    let views: Vec<_> = revs.map(|rev| files(Some(Rev(rev)))).collect();
    let events: Vec<Event> = store.events(Rev(0)).cloned().collect();
    (
        store.rev(),
        store.oldest(),
        store.digest(),
        files(None),
        views,
        events,
    )
}

fn large() -> Store {
    let mut store = Store::new(HistoryLimits {
        revs: 30,
        bytes: 1 << 40,
    });
    for n in 0..60u64 {
        let value = Value(Bytes::from(vec![n as u8; 60_000]));
        store.apply(&Mutation::Set {
            path: path(&format!("/d{}/f{n}", n % 7)),
            value,
            condition: Condition::ANY,
        });
    }
    store
}

#[test]
fn pieces_are_of_bounded_size_and_come_in_any_order() {
    let store = large();
    let all = pieces(&store);
    assert!(all.len() > 10, "{}", all.len());
    for piece in &all {
        assert!(piece.len() <= PIECE_BYTES + 60_100, "{}", piece.len());
    }
    for index in [5, 0, all.len() - 1, 7] {
        let mut fresh = Export::new(&store);
        assert_eq!(fresh.piece(index as u64).as_ref(), all.get(index));
        assert_eq!(fresh.piece(index as u64).as_ref(), all.get(index));
    }
    assert_eq!(Export::new(&store).piece(all.len() as u64), None);
    assert_eq!(Export::new(&store).piece(u64::MAX), None);
    let history = HistoryLimits {
        revs: 30,
        bytes: 1 << 40,
    };
    assert_eq!(
        sight(&import(&all, history).unwrap().unwrap()),
        sight(&store)
    );
}

#[test]
fn a_store_goes_on_while_its_snapshot_is_read() {
    let mut store = large();
    let before = sight(&store);
    let mut export = Export::new(&store);
    let mut importer = Importer::new(HistoryLimits {
        revs: 30,
        bytes: 1 << 40,
    });
    for index in 0.. {
        store.apply(&set("/d1/f1", "changed", -1));
        store.apply(&Mutation::Del {
            path: path("/d2/f2"),
            condition: Condition::ANY,
        });
        if let Some(copy) = importer.take(&export.piece(index).unwrap()).unwrap() {
            assert_eq!(sight(&copy), before);
            break;
        }
    }
    assert_ne!(sight(&store), before);
}

#[test]
fn less_history_can_be_retained_than_comes() {
    let store = large();
    let copy = import(
        &pieces(&store),
        HistoryLimits {
            revs: 2,
            bytes: 1 << 40,
        },
    )
    .unwrap()
    .unwrap();
    assert_eq!((copy.rev(), copy.oldest()), (store.rev(), Rev(59)));
    assert_eq!(copy.digest(), store.digest());
}

#[test]
fn pieces_that_do_not_fit_are_refused() {
    let history = HistoryLimits {
        revs: 30,
        bytes: 1 << 40,
    };
    let all = pieces(&large());
    let mut importer = Importer::new(history);
    let error = importer.take(&all[1]).unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::OutOfOrder {
                expected: 0,
                found: 1
            }
        ),
        "{error}"
    );
    assert!(matches!(importer.take(&all[0]), Err(ImportError::Over)));

    let refused = |bodies: Vec<Body>| {
        let mut importer = Importer::new(history);
        let mut last = Ok(None);
        for (index, body) in bodies.into_iter().enumerate() {
            assert!(last.is_ok());
            let piece = Piece {
                index: index as u64,
                body,
            };
            let bytes = bincode::encode_to_vec(piece, bincode::config::standard()).unwrap();
            last = importer.take(&bytes);
        }
        last.map(|store| store.map(|store| store.digest()))
            .unwrap_err()
    };
    let start = |files, events| {
        Body::Start(Start {
            format: FORMAT,
            base: Rev(5),
            files,
            events,
        })
    };
    let event = |rev, at: &str, kind| Event {
        rev: Rev(rev),
        path: path(at),
        value: Value::default(),
        kind,
    };
    let digests = Body::End(Digests {
        base: 0,
        events: 0,
        store: 0,
    });

    let format = Start {
        format: 2,
        base: Rev(5),
        files: 0,
        events: 0,
    };
    assert!(matches!(
        refused(vec![Body::Start(format)]),
        ImportError::Format { found: 2 }
    ));
    let base = Start {
        format: FORMAT,
        base: Rev(u64::MAX),
        files: 0,
        events: 1,
    };
    assert!(matches!(
        refused(vec![Body::Start(base)]),
        ImportError::Rev { .. }
    ));
    assert!(matches!(
        refused(vec![start(0, 0), start(0, 0)]),
        ImportError::Unexpected
    ));
    assert!(matches!(
        refused(vec![start(0, 0), Body::Files(vec![])]),
        ImportError::Unexpected
    ));
    assert!(matches!(
        refused(vec![start(0, 0), digests]),
        ImportError::Digest
    ));
    use EventKind::{Del, Nop, Set};
    let files: [(Vec<Event>, &str); 6] = [
        (
            vec![event(1, "/a", Set), event(2, "/a/b", Set)],
            "cannot be made",
        ),
        (
            vec![event(1, "/a/b", Set), event(2, "/a", Set)],
            "cannot be made",
        ),
        (
            vec![event(1, "/a", Set), event(2, "/a", Set)],
            "cannot be made",
        ),
        (vec![event(1, "/a", Del)], "cannot be made"),
        (vec![event(1, "/", Set)], "cannot be made"),
        (vec![event(6, "/a", Set)], "revision 6"),
    ];
    for (files, why) in files {
        let error = refused(vec![start(files.len() as u64, 0), Body::Files(files)]).to_string();
        assert!(error.contains(why), "{error}");
    }
    let events: [(Vec<Event>, &str); 5] = [
        (vec![event(6, "/", Nop)], "revision 6"),
        (vec![event(5, "/", Nop), event(7, "/", Nop)], "revision 7"),
        (
            vec![event(5, "/", Nop), event(6, "/", Set)],
            "cannot be made",
        ),
        (
            vec![event(5, "/", Nop), event(6, "/", Del)],
            "cannot be made",
        ),
        (
            vec![event(5, "/", Nop), event(6, "/", Nop), event(7, "/", Nop)],
            "another kind or length",
        ),
    ];
    for (events, why) in events {
        let error = refused(vec![start(0, 2), Body::Events(events)]).to_string();
        assert!(error.contains(why), "{error}");
    }
    let mut long = all[0].clone();
    long.push(0);
    let error = Importer::new(history).take(&long).unwrap_err();
    assert!(matches!(error, ImportError::Trailing { bytes: 1 }));
    let huge = vec![0; PIECE_BYTES_MAX + 1];
    assert!(matches!(
        Importer::new(history).take(&huge),
        Err(ImportError::TooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_is_what_went_in(
        mutations in prop::collection::vec(any_mutation(), 0..60),
        more in prop::collection::vec(any_mutation(), 10),
        revs in prop_oneof![Just(0u64), Just(7), Just(1000)],
    ) {
        let history = HistoryLimits { revs, bytes: 1 << 30 };
        let mut store = Store::new(history);
        for mutation in &mutations {
            store.apply(mutation);
        }
        let mut copy = import(&pieces(&store), history).unwrap().unwrap();
        prop_assert_eq!(sight(&copy), sight(&store));
        for mutation in &more {
            prop_assert_eq!(copy.apply(mutation), store.apply(mutation));
        }
        prop_assert_eq!(sight(&copy), sight(&store));
        prop_assert_eq!(pieces(&copy), pieces(&store));
    }

    #[test]
    fn damage_is_noticed(
        mutations in prop::collection::vec(any_mutation(), 1..30),
        piece in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let history = HistoryLimits { revs: 7, bytes: 1 << 30 };
        let mut store = Store::new(history);
        for mutation in &mutations {
            store.apply(mutation);
        }
        let mut all = pieces(&store);
        let piece = piece.get_mut(&mut all);
        *byte.get_mut(piece) ^= flip;
        if let Ok(Some(copy)) = import(&all, history) {
            // The kind of a file's event is not part of what a file is.
            prop_assert_eq!(copy.digest(), store.digest());
            prop_assert_eq!(copy.oldest(), store.oldest());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let history = HistoryLimits { revs: 7, bytes: 1 << 30 };
        prop_assert!(!matches!(Importer::new(history).take(&bytes), Ok(Some(_))));
    }
}
