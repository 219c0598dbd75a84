//! The store against a naive model of itself, on whatever it may be asked.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::{PLENTY, glob, listing, path, set};
use crate::core::id::Rev;

/// The store as the specification tells it: a full copy of the state after each revision.
#[derive(Default)]
struct Model {
    states: Vec<BTreeMap<String, (u64, Vec<u8>)>>,
    events: Vec<(String, Vec<u8>, i32)>,
}

impl Model {
    fn apply(&mut self, mutation: &Mutation) -> Option<&'static str> {
        let mut state = self.states.last().cloned().unwrap_or_default();
        let rev = self.states.len() as u64 + 1;
        let refusal = Model::refusal(&state, mutation);
        let event = match (refusal, mutation) {
            (Some(text), _) => ("/ctl/err".to_owned(), text.as_bytes().to_vec(), 4),
            (None, Mutation::Nop) => ("/".to_owned(), vec![], 0),
            (None, Mutation::Del { path, .. }) => (path.to_string(), vec![], 8),
            (None, Mutation::Set { path, value, .. }) => (path.to_string(), value.0.to_vec(), 4),
        };
        let below = |dir: &str| state.keys().any(|key| key.starts_with(&format!("{dir}/")));
        let is_free = !below(&event.0) && !Model::is_below_file(&state, &event.0);
        match event.2 {
            4 if is_free => {
                state.insert(event.0.clone(), (rev, event.1.clone()));
            }
            8 => {
                state.remove(&event.0);
            }
            _ => {}
        }
        self.states.push(state);
        self.events.push(event);
        refusal
    }

    fn is_below_file(state: &BTreeMap<String, (u64, Vec<u8>)>, path: &str) -> bool {
        let mut slashes = path.match_indices('/').skip(1);
        slashes.any(|(at, _)| state.contains_key(&path[..at]))
    }

    fn refusal(
        state: &BTreeMap<String, (u64, Vec<u8>)>,
        mutation: &Mutation,
    ) -> Option<&'static str> {
        let (path, (rev, is_exact), is_set) = match mutation {
            Mutation::Nop => return None,
            Mutation::Set {
                path, condition, ..
            } => (path.as_str(), condition.number(), true),
            Mutation::Del { path, condition } => (path.as_str(), condition.number(), false),
        };
        let prefix = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let is_dir = path == "/" || state.keys().any(|key| key.starts_with(&prefix));
        let has = state
            .get(path)
            .map_or(if is_dir { -2 } else { 0 }, |file| file.0 as i64);
        if is_set && Model::is_below_file(state, path) {
            Some("not a directory")
        } else if rev != -1 && (rev < has || is_exact && has != -2 && rev != has) {
            Some("rev mismatch")
        } else {
            is_dir.then_some("is a directory")
        }
    }

    /// The files of a state in the order of a walk.
    fn listing(&self, rev: u64) -> Vec<(String, u64, Vec<u8>)> {
        let state = &self.states[rev as usize - 1];
        let mut files: Vec<_> = state
            .iter()
            .map(|(path, file)| (path.clone(), file.0, file.1.clone()))
            .collect();
        files.sort_by_key(|file| file.0.split('/').map(str::to_owned).collect::<Vec<_>>());
        files
    }

    fn names(&self, rev: u64, dir: &str) -> Vec<String> {
        let prefix = if dir == "/" {
            "/".to_owned()
        } else {
            format!("{dir}/")
        };
        let below = self.states[rev as usize - 1]
            .keys()
            .filter_map(|k| k.strip_prefix(&prefix));
        let mut names: Vec<String> = below
            .map(|rest| rest.split('/').next().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

pub(in crate::core::store) fn any_path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "a-b", "a.b", "ab", "B", "0", "z"]);
    prop_oneof![
        12 => prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/"))),
        1 => Just("/ctl/err".to_owned()),
        1 => Just("/ctl".to_owned()),
        1 => Just("/ctl/err/x".to_owned()),
        1 => Just("/".to_owned()),
    ]
}

pub(in crate::core::store) fn any_mutation() -> impl Strategy<Value = Mutation> {
    let rev = || prop_oneof![4 => Just(-1), 2 => -4..40i64, 1 => Just(i64::MAX)];
    let condition = || (rev(), any::<bool>()).prop_map(|(rev, is)| Condition::asked(rev, is));
    prop_oneof![
        6 => (any_path(), "[a-c]{0,3}", condition()).prop_map(|(at, value, condition)| Mutation::Set {
            path: path(&at),
            value: Value(value.into()),
            condition,
        }),
        3 => (any_path(), condition()).prop_map(|(at, condition)| Mutation::Del {
            path: path(&at),
            condition,
        }),
        1 => Just(Mutation::Nop),
    ]
}

pub(in crate::core::store) fn any_glob() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "*", "**", "?", "a*", "*b", "a**", "a-b", "a?b", "**z", "***", "ctl", "err", "0",
    ]);
    prop::collection::vec(piece, 1..4).prop_map(|pieces| format!("/{}", pieces.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(
        mutations in prop::collection::vec(any_mutation(), 1..60),
        globs in prop::collection::vec(any_glob(), 4),
        revs in prop_oneof![Just(5u64), Just(1000)],
    ) {
        let mut store = Store::new(HistoryLimits { revs, bytes: 1 << 30 });
        let mut model = Model::default();
        for mutation in &mutations {
            let outcome = store.apply(mutation);
            prop_assert_eq!(outcome.result.err().map(Refusal::text), model.apply(mutation));
            prop_assert_eq!(outcome.rev, store.rev());
            store.root.invariants();
        }
        let oldest = store.oldest().0;
        prop_assert_eq!(oldest, (mutations.len() as u64 + 1).saturating_sub(revs).max(1));
        for rev in oldest..=mutations.len() as u64 {
            let event = store.event(Rev(rev)).unwrap();
            let (path, value, flags) = &model.events[rev as usize - 1];
            prop_assert_eq!((event.path.as_str(), &*event.value.0, event.flags()),
                (path.as_str(), value.as_slice(), *flags));
            let view = store.at(Some(Rev(rev))).unwrap();
            let expected = model.listing(rev);
            prop_assert_eq!(&listing(view), &expected);
            for dir in ["/", "/a", "/a/b", "/ctl"] {
                let names = model.names(rev, dir);
                let dir = super::path(dir);
                prop_assert!(view.names(&dir).eq(names.iter().map(String::as_str)));
                for n in 0..=names.len() {
                    prop_assert_eq!(view.entry(&dir, n as u64), names.get(n).map(String::as_str));
                }
            }
            for text in &globs {
                let glob = glob(text);
                let matching: Vec<_> = expected.iter()
                    .filter(|file| super::glob::naive(text, &file.0))
                    .map(|file| file.0.as_str())
                    .collect();
                let walked: Vec<_> = view.files(&glob).map(|file| file.0.as_str()).collect();
                prop_assert_eq!(&walked, &matching);
                let mut walker = store.clone();
                // Upwards, where each walk goes on from the one before, and downwards.
                for n in (0..matching.len() + 2).chain((0..matching.len()).rev()) {
                    let expected = matching.get(n).map(|path| super::path(path));
                    let seen = walker.walk(Some(Rev(rev)), &glob, n as u64).unwrap();
                    prop_assert_eq!(seen.map(|file| file.0), expected.clone());
                    let seen = view.walk(&glob, n as u64);
                    prop_assert_eq!(seen.map(|file| file.0), expected);
                }
            }
        }
        for text in &globs {
            let glob = glob(text);
            for from in oldest..=mutations.len() as u64 + 1 {
                let expected = (from..=mutations.len() as u64)
                    .find(|rev| super::glob::naive(text, &model.events[*rev as usize - 1].0));
                let found = store.first_event(Rev(from), &glob).unwrap();
                prop_assert_eq!(found.map(|event| event.rev.0), expected);
            }
        }
    }

    #[test]
    fn walks_that_go_on_see_what_walks_from_the_start_see(
        mutations in prop::collection::vec(any_mutation(), 1..40),
        globs in prop::collection::vec(any_glob(), 3),
        asked in prop::collection::vec((0..3usize, 0..8u64, any::<bool>(), any_mutation()), 60),
    ) {
        let mut store = Store::new(HistoryLimits { revs: 10, bytes: 1 << 30 });
        for mutation in &mutations {
            store.apply(mutation);
        }
        for (pattern, n, changes, mutation) in asked {
            if changes {
                store.apply(&mutation);
            }
            let glob = glob(&globs[pattern]);
            let expected = store.at(None).unwrap().files(&glob).nth(n as usize)
                .map(|(path, ..)| path.clone());
            prop_assert_eq!(store.walk(None, &glob, n).unwrap().map(|file| file.0), expected);
        }
    }

    #[test]
    fn equal_states_have_equal_digests_however_they_came_about(
        files in prop::collection::btree_map("/[a-c]{1,3}(/[a-c]{1,2})?", "[a-z]{0,4}", 1..20),
        detours in prop::collection::vec(any_mutation(), 20),
    ) {
        // The same files at the same revisions, once after a detour that leaves nothing behind.
        let mut plain = Store::new(PLENTY);
        let mut busy = Store::new(HistoryLimits { revs: 0, bytes: 0 });
        for detour in &detours {
            busy.apply(detour);
            plain.apply(&Mutation::Nop);
        }
        let left: Vec<Path> =
            listing(busy.at(None).unwrap()).iter().map(|file| path(&file.0)).collect();
        for path in left {
            busy.apply(&Mutation::Del { path, condition: Condition::ANY });
            plain.apply(&Mutation::Nop);
        }
        for (at, value) in &files {
            let (one, two) = (plain.apply(&set(at, value, -1)), busy.apply(&set(at, value, -1)));
            prop_assert_eq!(one, two);
            prop_assert_eq!(plain.digest(), busy.digest());
        }
        let other = busy.clone();
        busy.apply(&set("/q", "1", -1));
        plain.apply(&set("/q", "2", -1));
        prop_assert_ne!(plain.digest(), busy.digest());
        prop_assert_ne!(other.digest(), busy.digest());
    }
}
