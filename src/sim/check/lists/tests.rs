use super::*;
use crate::sim::check::story::Story;
use crate::sim::client::set;

const LIST: &str = "/list/0";

fn verdict(story: &Story) -> Result<(), Violation> {
    check(&story.history, 1)
}

#[test]
fn a_chain_is_fine_also_where_it_begins_again() {
    let mut story = Story::default();
    story.sets(1, LIST, "a,", 0);
    let unknown = story.begin(2, set(LIST, "a,b,", 1));
    story.apply(unknown);
    story.begin(3, set(LIST, "a,x,", 1));
    story.reads(1, LIST, "a,b,", 2);
    story.sets(1, LIST, "b,c,", 2);
    story.reads(2, LIST, "b,c,", 3);
    assert_eq!(verdict(&story), Ok(()));
}

#[test]
fn a_lost_append_is_found() {
    let mut story = Story::default();
    story.sets(1, LIST, "a,", 0);
    story.sets(1, LIST, "a,b,", 1);
    let lost = story.begin(2, set(LIST, "a,c,", 1));
    story.done(lost, 3);
    assert!(verdict(&story).is_err());
}

#[test]
fn a_list_that_shrinks_or_comes_from_nowhere_is_found() {
    let mut story = Story::default();
    story.sets(1, LIST, "a,", 0);
    story.sets(1, LIST, "a,b,", 1);
    story.reads(2, LIST, "a,", 1);
    assert!(verdict(&story).is_err());
    let mut story = Story::default();
    story.reads(2, LIST, "z,", 1);
    assert!(verdict(&story).is_err());
}
