//! An unbiased `select!` polls its branches in random order: a choice that no seed decides. So
//! every one that the simulators run says `biased;` first, and thereby what goes before what.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads the sources"
)]

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 3] = ["src/runtime", "src/client", "src/sim"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of this package") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

/// The lines of `text` on which a `select!` begins that is not biased. Comments don't count.
fn unbiased(text: &str) -> Vec<usize> {
    let code = text.lines().map(|line| match line.split_once("//") {
        Some((code, _)) => code,
        None => line,
    });
    let code = code.collect::<Vec<_>>().join("\n");
    let found = code.match_indices("select!").filter_map(|(at, name)| {
        let body = code[at + name.len()..].trim_start();
        let body = body.trim_start_matches(['{', '(', '[']).trim_start();
        (!body.starts_with("biased;")).then(|| code[..at].lines().count())
    });
    found.collect()
}

#[test]
fn every_select_says_what_goes_first() {
    let mut paths = Vec::new();
    for room in ROOMS {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(room);
        sources(&root, &mut paths);
    }
    let mut seen = 0;
    for path in paths {
        let text = fs::read_to_string(&path).expect("a source");
        seen += text.matches("select! {").count();
        let lines = unbiased(&text);
        assert!(lines.is_empty(), "{} at lines {lines:?}", path.display());
    }
    assert!(seen > 10, "the sources have moved: {seen}");
}

#[test]
fn an_unbiased_select_is_found() {
    let good = "tokio::select! {\n    biased; // because\n    a = b => {}\n}";
    assert_eq!(unbiased(good), []);
    let bad = "fn f() {\n    select! { // biased;\n        a = b => {}\n    }\n}";
    assert_eq!(unbiased(bad), [2]);
}
