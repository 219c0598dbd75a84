use super::*;
use crate::core::protocol::client::Request;
use crate::sim::check::story::Story;
use crate::sim::client::ask;

const WATCHER: usize = 7;

/// Four events at revisions 1 to 4, of which 1, 2 and 4 match `/r/*`.
fn story() -> Story {
    let mut story = Story::default();
    for (path, value) in [("/r/0", "a"), ("/r/1", "b"), ("/x", "c"), ("/r/0", "d")] {
        story.force(path, value);
    }
    story
}

fn wait(from: i64) -> Request {
    Request {
        rev: Some(from),
        ..ask(Verb::Wait, "/r/*")
    }
}

fn answer(story: &Story, rev: i64) -> Response {
    let event = story.model.event(rev).expect("it is in the story").clone();
    Response {
        rev: Some(rev),
        path: Some(event.path),
        value: Some(event.value),
        flags: Some(event.flags),
        ..Response::to(None)
    }
}

fn told(story: &mut Story, from: i64, rev: i64) {
    let operation = story.begin(WATCHER, wait(from));
    let response = answer(story, rev);
    story.end(operation, response);
}

fn verdict(story: &Story) -> Result<(), Violation> {
    check(&story.history, |client| client == WATCHER, &story.model)
}

#[test]
fn a_complete_watch_is_fine() {
    let mut story = story();
    told(&mut story, 1, 1);
    told(&mut story, 2, 2);
    told(&mut story, 3, 4);
    assert_eq!(verdict(&story), Ok(()));
}

#[test]
fn reliable_and_resumable() {
    let mut gap = story();
    told(&mut gap, 1, 1);
    told(&mut gap, 3, 4);
    assert!(verdict(&gap).is_err(), "rev 2 was never told");
    let mut late = story();
    told(&mut late, 1, 2);
    assert!(verdict(&late).is_err(), "rev 1 matches");
    let mut early = story();
    told(&mut early, 3, 2);
    assert!(
        verdict(&early).is_err(),
        "rev 2 lies before what was asked for"
    );
}

#[test]
fn ordered_and_unique() {
    let mut twice = story();
    told(&mut twice, 1, 1);
    told(&mut twice, 1, 1);
    assert!(verdict(&twice).is_err());
    let mut back = story();
    told(&mut back, 2, 2);
    told(&mut back, 1, 1);
    assert!(verdict(&back).is_err());
}

#[test]
fn atomic_filter_and_flags() {
    let change: [fn(&mut Response); 5] = [
        |response| response.value = None,
        |response| response.value = Some("b".into()),
        |response| response.path = Some("/x".into()),
        |response| response.flags = Some(FLAG_DEL),
        |response| response.flags = None,
    ];
    for (number, change) in change.iter().enumerate() {
        let mut story = story();
        let operation = story.begin(WATCHER, wait(1));
        let mut response = answer(&story, 1);
        change(&mut response);
        story.end(operation, response);
        assert!(verdict(&story).is_err(), "change {number}");
    }
    let mut story = story();
    told(&mut story, 3, 3);
    assert!(verdict(&story).is_err(), "/x does not match");
}

#[test]
fn bookmarkable() {
    for (rev, is_fine) in [(2, true), (3, true), (4, false)] {
        let mut story = story();
        told(&mut story, 1, 1);
        told(&mut story, 2, 2);
        story.begin(WATCHER, wait(3));
        let mark = story.begin(WATCHER, ask(Verb::Rev, ""));
        story.done(mark, rev);
        assert_eq!(verdict(&story).is_ok(), is_fine, "rev {rev}");
    }
}
