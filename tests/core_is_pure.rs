//! `src/core` is a deterministic state machine without an operating system below it. Clippy
//! refuses most means to break that; this check reads the source and refuses the rest: other rooms
//! of this package, crates that act on the world, `async`, and containers in random order.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that hold plain data or arithmetic, and the roots of paths within this one.
const ALLOWED_ROOTS: [&str; 16] = [
    "bincode",
    "bytes",
    "core",
    "crate",
    "planted",
    "prost",
    "rand_core",
    "self",
    "serde",
    "sometimes",
    "std",
    "subtle",
    "super",
    "thiserror",
    "tracing",
    "xxhash_rust",
];

/// Crates that the tests of the core may use on top.
const ALLOWED_IN_TESTS: [&str; 1] = ["proptest"];

/// What must not occur, as a sequence of tokens.
const FORBIDDEN: [&str; 19] = [
    "tokio",
    "std::fs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "rand::rng",
    "crate::runtime",
    "crate::client",
    "crate::sim",
    "async fn",
];

#[test]
fn the_core_reaches_for_nothing_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let foreign = foreign_crates(&fs::read_to_string(root.join("Cargo.toml")).unwrap());
    let mut files = Vec::new();
    collect(&root.join("src/core"), &mut files);
    assert!(files.len() > 10, "found only {} files", files.len());
    let mut findings = Vec::new();
    for file in files {
        let is_test = file.ends_with("tests.rs") || file.iter().any(|part| part == "tests");
        for finding in judge(&fs::read_to_string(&file).unwrap(), is_test, &foreign) {
            findings.push(format!("{}: {finding}", file.display()));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The crates that Cargo.toml names, as they are spelled in source, less those that are allowed.
fn foreign_crates(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            found.insert(name.trim().replace('-', "_"));
        }
    }
    found.retain(|name| !is_allowed(name, true));
    found
}

fn is_allowed(root: &str, in_tests: bool) -> bool {
    ALLOWED_ROOTS.contains(&root) || (in_tests && ALLOWED_IN_TESTS.contains(&root))
}

/// Everything in this source that the core must not name.
fn judge(source: &str, is_test: bool, foreign: &BTreeSet<String>) -> Vec<String> {
    let tokens = tokens(source);
    let mut findings = Vec::new();
    let mut paths = Vec::new();
    let mut modules = BTreeSet::new();
    // Unit tests come last in a file, behind this attribute.
    let tests_begin = find(&tokens, &["#", "[", "cfg", "(", "test", ")", "]"]);
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "mod" => modules.extend(tokens.get(at + 1)),
            // `impl Trait + use<'a>` imports nothing.
            "use" if tokens.get(at + 1).is_some_and(|next| next != "<") => {
                let in_tests = is_test || tests_begin.is_some_and(|begin| begin < at);
                let mut rest = &tokens[at + 1..];
                expand(&mut rest, &mut Vec::new(), in_tests, &mut paths);
            }
            root if foreign.contains(root)
                && at.checked_sub(1).map(|before| tokens[before].as_str()) != Some("::")
                && tokens.get(at + 1).is_some_and(|next| next == "::") =>
            {
                findings.push(format!("the crate `{root}` is not for the core"));
            }
            _ => {}
        }
    }
    for pattern in FORBIDDEN {
        let pattern_tokens = self::tokens(pattern);
        let wanted: Vec<&str> = pattern_tokens.iter().map(String::as_str).collect();
        let imported = |(path, _): &(Vec<String>, bool)| find(path, &wanted).is_some();
        if find(&tokens, &wanted).is_some() || paths.iter().any(imported) {
            findings.push(format!("`{pattern}` is not for the core"));
        }
    }
    for (path, in_tests) in &paths {
        let root = &path[0];
        let is_type = root.starts_with(|c: char| c.is_ascii_uppercase());
        if !is_type && !modules.contains(root) && !is_allowed(root, *in_tests) {
            findings.push(format!("`use {}`: not on the list", path.join("")));
        }
    }
    findings
}

/// Where `wanted` begins in `tokens`.
fn find(tokens: &[String], wanted: &[&str]) -> Option<usize> {
    tokens
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// Writes out the tree of a `use` declaration: one path, with its separators, for each leaf.
fn expand(
    rest: &mut &[String],
    prefix: &mut Vec<String>,
    in_tests: bool,
    paths: &mut Vec<(Vec<String>, bool)>,
) {
    let depth = prefix.len();
    loop {
        let Some((token, tail)) = rest.split_first() else {
            return;
        };
        match token.as_str() {
            "{" => {
                *rest = tail;
                while rest.first().is_some_and(|next| next != "}") {
                    expand(rest, prefix, in_tests, paths);
                    match rest.first() {
                        Some(next) if next == "," => *rest = &rest[1..],
                        Some(next) if next == "}" => {}
                        // Not a list of imports: a macro's pattern, perhaps.
                        _ => return,
                    }
                }
                *rest = rest.get(1..).unwrap_or_default();
                prefix.truncate(depth);
                return;
            }
            ";" | "," | "}" => {
                if prefix.len() > depth {
                    paths.push((prefix.clone(), in_tests));
                }
                prefix.truncate(depth);
                return;
            }
            _ => {
                // A leading `::` says only that a crate follows.
                if !(prefix.is_empty() && token == "::") {
                    prefix.push(token.clone());
                }
                *rest = tail;
            }
        }
    }
}

/// Words and punctuation, without comments and without what is inside of strings.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if c == 'r' && raw_string_hashes(&chars[i + 1..]).is_some() {
            let hashes = raw_string_hashes(&chars[i + 1..]).unwrap_or(0);
            let end: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', hashes))
                .collect();
            i += hashes + 2;
            while i < chars.len() && !chars[i..].starts_with(&end) {
                i += 1;
            }
            i += end.len();
        } else if c == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && at(i + 1) == '\\' {
            i += 3;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if c.is_alphanumeric() || c == '_' {
            let begin = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            tokens.push(chars[begin..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

/// The number of `#` of a raw string whose `r` comes right before `chars`.
fn raw_string_hashes(chars: &[char]) -> Option<usize> {
    let hashes = chars.iter().take_while(|c| **c == '#').count();
    (chars.get(hashes) == Some(&'"')).then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(source: &str) -> Vec<String> {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde_json = \"1\"\n\
                        bytes = \"1\"\n[dev-dependencies]\nproptest = \"1\"\nturmoil = \"1\"\n";
        judge(source, false, &foreign_crates(manifest))
    }

    #[test]
    fn each_forbidden_name_is_found_in_code_and_in_imports() {
        for pattern in FORBIDDEN {
            let mention = format!("`{pattern}` is not for the core");
            let in_code = format!("fn f() {{ let x = {pattern}(); }}");
            assert!(findings(&in_code).contains(&mention), "{in_code}");
            let Some((parent, name)) = pattern.rsplit_once("::") else {
                continue;
            };
            for import in [
                format!("use {pattern};"),
                format!("use {parent}::{{{name} as other, self}};"),
                format!("use {parent} :: {{ // why\n a, b::{{c}},\n {name}::x }};"),
            ] {
                assert!(findings(&import).contains(&mention), "{import}");
            }
        }
        assert!(!findings("use std::{io, collections::{BTreeMap, HashMap}};").is_empty());
        assert!(!findings("pub(crate) async fn f() {}").is_empty());
    }

    #[test]
    fn crates_that_are_not_on_the_list_are_found() {
        for source in [
            "use serde_json::Value;",
            "use ::serde_json::Value;",
            "use unheard_of::{a, b};",
            "use {std::fmt, unheard_of::b};",
            "fn f() { serde_json::to_vec(1); }",
            "fn f() { turmoil::now() }",
            "use proptest::prelude::*;",
            "use proptest::prelude::*;\n#[cfg(test)]\nmod tests {}",
        ] {
            assert!(!findings(source).is_empty(), "{source}");
        }
    }

    #[test]
    fn what_is_allowed_passes() {
        for source in [
            "// tokio, std::fs\n/* HashMap /* async fn */ SystemTime */ use std::fmt;",
            "//! `std::thread`\n/// Instant::now\nconst X: &str = \"use tokio; \\\" HashMap\";",
            "const X: &str = r#\"std::fs \" tokio\"#; const C: [char; 2] = ['\"', '\\''];",
            "fn f<'a>(x: &'a str) { use Code::*; }",
            "mod frame;\npub use frame::{Frame, self};\nuse crate::core::protocol::client::Request;",
            "use std::net::SocketAddr;\nuse std::collections::{BTreeMap, VecDeque};",
            "use bytes::{Buf, BufMut};\nuse xxhash_rust::xxh3::Xxh3;",
            "#[cfg(test)]\nmod tests { use proptest::prelude::*; }",
            "fn f<'a>(x: &'a u8) -> impl Fn() + use<'a> { g(); h() }",
            "fn hash_map_like(my_tokio: u8) { not::serde_json::x() }",
        ] {
            assert_eq!(findings(source), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn code_after_a_string_or_comment_is_seen() {
        for source in [
            "const X: &str = \"a\\\\\"; use tokio::x;",
            "const X: char = '\"'; use tokio::x; const Y: char = '\"';",
            "const X: &str = r\"\\\"; use tokio::x;",
            "/* a */ use tokio::x; /* b */",
            "macro_rules! m { (use $x { $y; }) => { tokio::x } }",
            "fn f<'a>() { tokio::x::<'a>() }",
        ] {
            assert!(!findings(source).is_empty(), "{source}");
        }
    }
}
