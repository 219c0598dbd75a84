//! Restoring a backup: files wait unseen, and take the place of the contents in one step.

use prost::Message as _;

use super::*;
use crate::core::protocol::client::{Begin, Commit, FileAt, Part, Restoration, Step};
use crate::core::store::Glob;

/// The revision that a backup is of, and the one that restoring it leads to.
const KEPT: u64 = 500;
const REV: u64 = 1000;

fn step(id: u64, step: Step) -> Request {
    let restoration = Restoration {
        id,
        step: Some(step),
    };
    Request {
        value: Some(restoration.encode_to_vec().into()),
        ..request(Verb::Restore, "")
    }
}

fn begin(id: u64, rev: u64, kept: u64, replace: bool) -> Request {
    step(id, Step::Begin(Begin { rev, kept, replace }))
}

fn part(id: u64, number: u64, files: &[(&str, u64)]) -> Request {
    let file = |(path, rev): &(&str, u64)| FileAt {
        path: (*path).to_owned().into(),
        rev: *rev,
        value: format!("{path}@{rev}").into(),
    };
    let files = files.iter().map(file).collect();
    step(
        id,
        Step::Part(Part {
            step: number,
            files,
        }),
    )
}

fn commit(id: u64, files: u64) -> Request {
    step(id, Step::Commit(Commit { files }))
}

fn said(response: &Response) -> &str {
    response.err_detail.as_deref().unwrap_or_default()
}

impl World {
    /// All files outside `/ctl`, with revisions and values, at one node.
    fn contents(&self, n: u8) -> Vec<(String, u64, String)> {
        let store = self.nodes[&id(n)].state().expect("a copy").store();
        let all = Glob::parse(b"/**").expect("a pattern");
        let view = store.at(None).expect("the present");
        let files = view
            .files(&all)
            .filter(|(path, ..)| !path.as_str().starts_with("/ctl/"));
        files
            .map(|(path, rev, value)| {
                let value = String::from_utf8_lossy(&value.0).into_owned();
                (path.to_string(), rev.0, value)
            })
            .collect()
    }

    fn rev_at(&self, n: u8) -> Rev {
        self.nodes[&id(n)].state().expect("a copy").store().rev()
    }

    fn done(&mut self, n: u8, request: Request) {
        let response = self.ask(n, request);
        assert_eq!(response.error(), None, "{}", said(&response));
    }

    fn refused(&mut self, n: u8, request: Request) -> String {
        let response = self.ask(n, request);
        assert_eq!(response.error(), Some(ErrorCode::Other));
        said(&response).to_owned()
    }
}

fn file(path: &str, rev: u64, of: u64) -> (String, u64, String) {
    (path.to_owned(), rev, format!("{path}@{of}"))
}

#[test]
fn a_backup_takes_effect_in_one_step_above_its_own_revision_and_files_keep_theirs() {
    let mut world = World::cluster(4, 3);
    let before = world.rev_at(1);
    let members = world.value(1, "/ctl/cal/1");
    world.done(1, begin(7, REV, KEPT, false));
    world.done(2, part(7, 0, &[("/a", 3), ("/d/b", 400)]));
    // The answer got lost, and the client asks again.
    world.done(3, part(7, 0, &[("/a", 3), ("/d/b", 400)]));
    // One of its beginnings was long on its way.
    world.done(2, begin(7, REV, KEPT, false));
    world.done(3, part(7, 1, &[("/d/c", KEPT), ("/ctl/ns/other/X", 9)]));
    assert_eq!(world.rev_at(1), before, "nothing took a revision so far");
    assert!(world.contents(1).is_empty());
    world.done(1, commit(7, 4));
    world.done(2, commit(7, 4));
    world.run(Duration::from_millis(300));
    world.agree();
    for n in 1..=4 {
        let expected = [
            file("/a", 3, 3),
            file("/d/b", 400, 400),
            file("/d/c", KEPT, KEPT),
        ];
        assert_eq!(world.contents(n), expected);
        assert_eq!(world.value(n, "/ctl/cal/1"), members);
        assert_eq!(world.value(n, "/ctl/name"), Some("local".into()));
        assert_eq!(
            world.value(n, "/ctl/ns/other/X"),
            Some("/ctl/ns/other/X@9".into())
        );
        assert_eq!(world.value(n, "/ctl/restored"), Some("7".into()));
    }
    let set = world.ask(2, set("/a", "new", 3));
    assert!(set.rev > Some(REV as i64), "{set:?}");
    for n in 1..=4 {
        let wait = Request {
            rev: Some(KEPT as i64 + 1),
            ..request(Verb::Wait, "/**")
        };
        assert_eq!(world.ask(n, wait).error(), Some(ErrorCode::TooLate));
        let wait = Request {
            rev: Some(REV as i64),
            ..request(Verb::Wait, "/**")
        };
        let first = world.ask(n, wait);
        assert_eq!(first.path, Some("/ctl/restored".into()));
        assert_eq!(first.rev, Some(REV as i64));
        let at = Request {
            rev: Some(REV as i64),
            ..request(Verb::Get, "/a")
        };
        assert_eq!(world.ask(n, at).value, Some("/a@3".into()));
    }
}

#[test]
fn watches_and_reads_of_revisions_that_are_jumped_over_are_told() {
    let mut world = World::cluster(3, 3);
    let wait = Request {
        rev: Some(600),
        ..request(Verb::Wait, "/a")
    };
    let read = Request {
        tag: Some(8),
        rev: Some(700),
        ..request(Verb::Get, "/a")
    };
    world.send(2, wait);
    world.send(2, read);
    world.settle();
    world.done(1, begin(7, REV, KEPT, false));
    world.done(1, part(7, 0, &[("/a", 3)]));
    world.replies.clear();
    world.send(1, commit(7, 1));
    world.run(Duration::from_millis(300));
    let told: Vec<_> = world
        .replies
        .iter()
        .filter(|(from, ..)| *from == id(2))
        .map(|(.., response)| (response.tag, response.error()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(7), Some(ErrorCode::TooLate)),
            (Some(8), Some(ErrorCode::TooLate))
        ]
    );
}

#[test]
fn a_cluster_with_files_is_replaced_only_if_that_is_wanted_and_by_new_revisions() {
    let mut world = World::cluster(3, 3);
    world.done(1, set("/old", "x", 0));
    let text = world.refused(1, begin(7, REV, 0, false));
    assert!(text.contains("there are files already"), "{text}");
    let text = world.refused(1, begin(7, REV, KEPT, true));
    assert!(text.contains("cannot be kept"), "{text}");
    world.done(1, begin(7, REV, 0, true));
    world.done(1, part(7, 0, &[("/a", 3)]));
    // Whoever writes meanwhile has written in vain.
    world.done(2, set("/late", "x", 0));
    world.done(1, commit(7, 1));
    assert_eq!(world.contents(1), [file("/a", REV, 3)]);
    let late = world.ask(1, set("/a", "x", 600));
    assert_eq!(late.error(), Some(ErrorCode::RevMismatch));
}

#[test]
fn a_restoration_that_no_longer_fits_changes_nothing() {
    let mut world = World::cluster(3, 3);
    // Another one begins.
    world.done(1, begin(7, REV, KEPT, false));
    world.done(2, begin(8, REV, KEPT, false));
    for request in [part(7, 0, &[("/a", 3)]), commit(7, 0)] {
        let text = world.refused(1, request);
        assert!(text.contains("no such restoration"), "{text}");
    }
    // A step is missing.
    let text = world.refused(1, part(8, 1, &[("/a", 3)]));
    assert!(text.contains("no such restoration"), "{text}");
    // Files are missing.
    world.done(1, part(8, 0, &[("/a", 3)]));
    let text = world.refused(1, commit(8, 2));
    assert!(
        text.contains("1 files have come where there are 2"),
        "{text}"
    );
    // What is the servers' own, what collides, and what comes from the future.
    for (path, rev) in [
        ("/ctl/cal/1", 3),
        ("/ctl/node/X/addr", 3),
        ("/ctl/ns/local/X", 3),
        ("/ctl", 3),
        ("/b/c", 3),
        ("/x", KEPT + 1),
        ("/x", 0),
    ] {
        world.done(1, begin(9, REV, KEPT, false));
        world.done(1, part(9, 0, &[("/b", 3)]));
        world.refused(1, part(9, 1, &[(path, rev)]));
        world.refused(1, commit(9, 1));
    }
    // Somebody writes.
    world.done(1, begin(10, REV, KEPT, false));
    world.done(3, set("/c", "x", 0));
    world.refused(1, part(10, 0, &[("/a", 3)]));
    for rev in [0, 1, 1 << 63] {
        world.refused(1, begin(11, rev, 0, true));
    }
    assert_eq!(world.contents(1).len(), 1);
    assert!(world.rev_at(1) < Rev(KEPT));
    world.agree();
}

#[test]
fn a_restoration_goes_on_where_members_die_and_processes_get_a_snapshot() {
    let mut world = World::cluster_with(3, 3, |config| config.tuning.retained_slots_max = 4);
    world.done(1, begin(7, REV, KEPT, false));
    world.done(1, part(7, 0, &[("/a", 3)]));
    world.kill(1);
    world.done(2, part(7, 1, &[("/b", 4)]));
    for n in 0..20 {
        world.done(2, set("/ctl/mine", &n.to_string(), -1));
    }
    // It comes as a copy of what the others have, with what waits there.
    world.nodes.insert(id(4), Node::new(config(4, Start::Join)));
    world
        .inputs
        .push_back((id(4), Input::Opened { session: SESSION }));
    for (from, to) in [(4, 2), (2, 4)] {
        world.link(id(from), id(to));
    }
    world.run(Duration::from_secs(1));
    assert!(world.nodes[&id(4)].is_ready());
    world.done(3, part(7, 2, &[("/c", 5)]));
    world.done(3, commit(7, 3));
    world.run(Duration::from_secs(1));
    world.agree();
    for n in 2..=4 {
        let expected = [file("/a", 3, 3), file("/b", 4, 4), file("/c", 5, 5)];
        assert_eq!(world.contents(n), expected);
        assert!(world.rev_at(n) >= Rev(REV));
    }
}

#[test]
fn files_are_listed_by_the_page_at_one_revision() {
    let mut world = World::cluster(3, 3);
    let large = "x".repeat(100 << 10);
    for n in 0..6 {
        world.done(1, set(&format!("/f/{n}"), &large, 0));
    }
    let page = |offset: i32| Request {
        offset: Some(offset),
        rev: None,
        ..request(Verb::Files, "/f/**")
    };
    let mut paths = Vec::new();
    loop {
        let response = world.ask(2, page(paths.len() as i32));
        assert_eq!(response.rev, Some(world.rev_at(2).0 as i64));
        let value = response.value.expect("a list");
        let files = crate::core::protocol::client::Files::decode(value).expect("files");
        if files.files.is_empty() {
            break;
        }
        assert!(files.files.len() <= 3, "a page of a good size");
        paths.extend(files.files.into_iter().map(|file| file.path));
    }
    assert_eq!(paths, ["/f/0", "/f/1", "/f/2", "/f/3", "/f/4", "/f/5"]);
}
