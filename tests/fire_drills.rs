//! The fire drills of docs/fire-drills.md really go like that: `console/mod.rs` says how.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs a shell and real processes"
)]

mod console;

use std::process::Command;

const DRILLS: &str = include_str!("../docs/fire-drills.md");

const SET_UP: &str = "Set up";

/// Drills that begin with what "Set up" says, and the one that has a network of its own.
const ON_ONE_NETWORK: [&str; 5] = ["Kill", "Pause", "Replace", "Rolling restart", "Total loss"];
const PARTITION: &str = "Partition";

/// A shell in a network of its own.
const APART: [&str; 5] = ["unshare", "-rnm", "sh", "-c", INSIDE];
const INSIDE: &str = "mount -t tmpfs tmpfs /run && exec bash --norc --noprofile";

fn play(drill: &str) {
    assert!(ON_ONE_NETWORK.contains(&drill));
    console::play(DRILLS, &[SET_UP, drill]);
}

#[test]
fn kill() {
    play("Kill");
}

#[test]
fn pause() {
    play("Pause");
}

#[test]
fn replace() {
    play("Replace");
}

#[test]
fn rolling_restart() {
    play("Rolling restart");
}

#[test]
fn total_loss() {
    play("Total loss");
}

#[test]
fn partition() {
    let tools = "mount -t tmpfs tmpfs /run && ip link add br0 type bridge";
    let probe = Command::new("unshare")
        .args(["-rnm", "sh", "-c", tools])
        .output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("NOT RUN: this machine has no iproute2, or no network namespaces for users");
        return;
    }
    console::play_in(&APART, DRILLS, &[PARTITION]);
}

#[test]
fn no_drill_is_left_out() {
    let all = ON_ONE_NETWORK.iter().chain([&SET_UP, &PARTITION]);
    let played: usize = all
        .map(|heading| console::blocks(console::section(DRILLS, heading)).len())
        .sum();
    assert_eq!(console::blocks(DRILLS).len(), played);
    let headings = DRILLS.matches("\n## ").count();
    assert_eq!(headings, ON_ONE_NETWORK.len() + 2);
}
