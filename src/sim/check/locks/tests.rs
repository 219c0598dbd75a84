use super::*;
use crate::core::protocol::client::Response;
use crate::sim::check::story::Story;
use crate::sim::client::{get, set};

const LOCK: &str = "/lock/0";

fn verdict(story: &Story) -> Result<(), Violation> {
    check(&story.history, &story.model, 1)
}

#[test]
fn one_after_the_other_is_fine() {
    let mut story = Story::default();
    story.sets(1, LOCK, "h1.1", 0);
    story.reads(1, LOCK, "h1.1", 1);
    story.sets(1, LOCK, "f1.2", 1);
    story.sets(2, LOCK, "h2.1", 2);
    assert_eq!(verdict(&story), Ok(()));
}

#[test]
fn two_holders_are_found_in_the_sequence() {
    let mut story = Story::default();
    story.force(LOCK, "h1.1");
    story.force(LOCK, "h2.1");
    assert!(verdict(&story).is_err());
    let mut story = Story::default();
    story.force(LOCK, "h1.1");
    story.force(LOCK, "f2.1");
    assert!(verdict(&story).is_err(), "a stranger frees it");
}

#[test]
fn two_holders_are_found_by_what_they_were_told() {
    let mut story = Story::default();
    story.sets(1, LOCK, "h1.1", 0);
    let second = story.begin(2, set(LOCK, "h2.1", 0));
    story.done(second, 2);
    assert!(verdict(&story).is_err());
}

#[test]
fn a_holder_that_learns_by_looking_counts_until_it_wants_to_go() {
    let mut story = Story::default();
    let unknown = story.begin(1, set(LOCK, "h1.1", 0));
    story.apply(unknown);
    story.reads(1, LOCK, "h1.1", 1);
    let free = story.begin(1, set(LOCK, "f1.2", 1));
    story.reads(1, LOCK, "h1.1", 1);
    story.apply(free);
    story.sets(2, LOCK, "h2.1", 2);
    assert_eq!(verdict(&story), Ok(()), "its freeing was on its way");
}

#[test]
fn a_lock_that_its_holder_loses_is_found() {
    let mut story = Story::default();
    story.sets(1, LOCK, "h1.1", 0);
    let look = story.begin(1, get(LOCK));
    let (rev, value) = (Some(0), Some("".into()));
    story.end(
        look,
        Response {
            rev,
            value,
            ..Response::to(None)
        },
    );
    assert!(verdict(&story).is_err());
}
