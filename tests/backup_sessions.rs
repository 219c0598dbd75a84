//! The sessions of docs/backup.md really go like that: `console/mod.rs` says how.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs a shell and real processes"
)]

mod console;

const BACKUPS: &str = include_str!("../docs/backup.md");

/// The headings, each of which goes on where the one before it ended.
const HEADINGS: [&str; 2] = ["Dump and restore", "Journal"];

#[test]
fn the_document_goes_as_shown() {
    console::play(BACKUPS, &HEADINGS);
}

#[test]
fn no_session_is_left_out() {
    let played: usize = HEADINGS
        .iter()
        .map(|heading| console::blocks(console::section(BACKUPS, heading)).len())
        .sum();
    assert_eq!(console::blocks(BACKUPS).len(), played);
    assert_eq!(BACKUPS.matches("\n## ").count(), HEADINGS.len());
}
