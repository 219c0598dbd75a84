//! The console sessions that README.md shows really go like that: `console/mod.rs` says how.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs a shell and real processes"
)]

mod console;

use console::{Names, blocks};

const README: &str = include_str!("../README.md");

fn play(heading: &str) {
    console::play(README, &[heading]);
}

fn section(heading: &str) -> &'static str {
    console::section(README, heading)
}

#[test]
fn the_quick_start_goes_as_shown() {
    play("Quick start");
}

#[test]
fn the_walk_through_of_a_cluster_goes_as_shown() {
    play("A cluster");
}

#[test]
fn the_walk_through_with_a_name_service_goes_as_shown() {
    play("A name service");
}

#[test]
fn no_session_is_left_out() {
    let played: usize = ["Quick start", "A cluster", "A name service"]
        .map(|heading| blocks(section(heading)))
        .iter()
        .map(Vec::len)
        .sum();
    assert_eq!(blocks(README).len(), played);
    assert!(played >= 2);
}

#[test]
fn names_stand_for_one_thing_each() {
    let mut names = Names::default();
    assert!(names.agree("14 5\nweb-1", "27 5\nweb-1\n"));
    assert!(!names.agree("14 5\nweb-2", "28 5\nweb-1\n"), "another text");
    assert!(!names.agree("14 5\nweb-1", "28 5\nweb-1\n"), "another rev");
    assert!(
        !names.agree("15 5\nweb-1", "28 6\nweb-1\n"),
        "another length"
    );
    assert_eq!(names.translate("set /14 14 -1"), "set /14 27 -1");
}

/// The README's example of the library. It is compiled here and not run.
mod example {
    use doozer::client::{Client, Condition, Error};

    async fn announce() -> Result<(), Error> {
        let client = Client::connect("doozer:?ca=127.0.0.1:8046&ca=127.0.0.2:8046").await?;
        let rev = client
            .set("/app/master", "web-1", Condition::MISSING)
            .await?;
        let mut changes = client.watch("/app/**", rev.next());
        loop {
            let event = changes.next().await?;
            println!("{} changed at {}", event.path, event.rev);
        }
    }

    #[test]
    fn it_is_what_is_compiled_here() {
        let _ = announce;
        let shown = super::README
            .split("```rust\n")
            .nth(1)
            .expect("there is one");
        let shown = shown.split("```").next().expect("it ends");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(include_str!("readme.rs")).contains(&words(shown)));
    }
}
