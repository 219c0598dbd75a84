use super::*;
use crate::core::limits::Limits;
use crate::core::protocol::client::{ErrorCode, Response, Verb};
use crate::sim::check::story::Story;
use crate::sim::check::{counters, linearizability, once};
use crate::sim::client::{ask, get, set};

impl Story {
    /// Both opinions: whether an order was found, and whether the checkers that follow revisions
    /// are content.
    fn verdicts(&self) -> (bool, bool) {
        let found = search(&self.history, DEEP);
        assert_eq!(found.undecided, 0);
        let follows = once::check(&self.history, &self.model, Limits::default())
            .and_then(|()| counters::check(&self.history, &self.model, 1))
            .and_then(|()| linearizability::check(&self.history, &self.model));
        (found.broken.is_none(), follows.is_ok())
    }
}

#[test]
fn both_checks_accept_what_is_right() {
    let mut story = Story::default();
    story.sets(1, "/r/0", "a", 0);
    let open = story.begin(2, set("/r/0", "b", -1));
    story.reads(1, "/r/0", "a", 1);
    story.apply(open);
    story.reads(1, "/r/0", "b", 2);
    let late = story.begin(3, set("/r/0", "never", 1));
    story.end(
        open,
        Response {
            rev: Some(2),
            ..Response::to(None)
        },
    );
    story.reads(1, "/r/0", "b", 2);
    assert_eq!(story.history[late].answer, None);
    assert_eq!(story.verdicts(), (true, true));
}

#[test]
fn both_checks_reject_a_stale_read() {
    let mut story = Story::default();
    story.sets(1, "/r/0", "a", 0);
    story.sets(1, "/r/0", "b", -1);
    story.reads(2, "/r/0", "a", 1);
    assert_eq!(story.verdicts(), (false, false));
}

#[test]
fn both_checks_reject_two_readers_that_see_two_orders() {
    let mut story = Story::default();
    story.sets(1, "/r/0", "a", 0);
    let open = story.begin(2, set("/r/0", "b", -1));
    story.apply(open);
    story.reads(1, "/r/0", "b", 2);
    story.reads(3, "/r/0", "a", 1);
    assert_eq!(story.verdicts(), (false, false));
}

#[test]
fn both_checks_reject_a_lost_write() {
    let mut story = Story::default();
    story.sets(1, "/r/0", "a", 0);
    let lost = story.begin(1, set("/r/0", "b", -1));
    story.end(
        lost,
        Response {
            rev: Some(2),
            ..Response::to(None)
        },
    );
    story.reads(2, "/r/0", "a", 1);
    assert_eq!(story.verdicts(), (false, false));
}

#[test]
fn both_checks_reject_two_writers_that_replace_the_same_version() {
    let mut story = Story::default();
    story.sets(1, "/count/0", "1 a", 0);
    story.sets(2, "/count/0", "2 b", 1);
    let blind = story.begin(3, set("/count/0", "2 c", 1));
    story.force("/count/0", "2 c");
    story.end(
        blind,
        Response {
            rev: Some(3),
            ..Response::to(None)
        },
    );
    assert_eq!(story.verdicts(), (false, false));
}

#[test]
fn both_checks_reject_a_refusal_without_a_reason() {
    let mut story = Story::default();
    story.sets(1, "/r/0", "a", 0);
    let refused = story.begin(1, ask(Verb::Del, "/r/0"));
    story.history[refused].request.rev = Some(1);
    story.end(refused, Response::refuse(None, ErrorCode::RevMismatch));
    assert_eq!(story.verdicts(), (false, false));
}

#[test]
fn a_file_stands_in_the_way_of_a_directory() {
    let mut story = Story::default();
    story.sets(1, "/r/0/below", "a", 0);
    let dir = story.begin(1, get("/r/0"));
    story.end(dir, Response::refuse(None, ErrorCode::Isdir));
    assert_eq!(story.verdicts(), (true, true));
    story.sets(1, "/r/1", "b", 0);
    let below = story.begin(2, set("/r/1/x", "c", 0));
    story.force("/r/1/x", "c");
    story.end(
        below,
        Response {
            rev: Some(3),
            ..Response::to(None)
        },
    );
    assert_eq!(story.verdicts(), (false, false));
}

#[test]
fn a_search_that_is_too_long_gives_up() {
    let mut story = Story::default();
    for client in 0..12 {
        story.begin(client, set("/r/0", format!("v{client}"), -1));
    }
    story.reads(20, "/r/0", "none of these", 99);
    let effort = Effort {
        operations_max: 100,
        states_max: 50,
    };
    let found = search(&story.history, effort);
    assert_eq!((found.undecided, found.broken), (1, None));
    let effort = Effort {
        operations_max: 3,
        ..effort
    };
    assert_eq!(
        search(&story.history, effort).explained,
        1,
        "only the beginning is looked at"
    );
}
