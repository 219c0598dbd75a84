//! Patterns against the table of the specification, and against a naive matcher.

use proptest::prelude::*;

use super::super::tests::{any_glob, any_path, glob, path};
use super::*;

/// Whether a pattern matches, found by trying everything.
pub(in crate::core::store) fn naive(pattern: &str, path: &str) -> bool {
    fn rest(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', b'*', after @ ..], _) => (0..=text.len()).any(|len| rest(after, &text[len..])),
            ([b'*', after @ ..], _) => {
                let name = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
                (0..=name).any(|len| rest(after, &text[len..]))
            }
            ([b'?', after @ ..], [first, text @ ..]) => *first != b'/' && rest(after, text),
            ([token, after @ ..], [first, text @ ..]) => token == first && rest(after, text),
            (_, []) => false,
        }
    }
    // The root has no component that a lone `*` could match.
    rest(pattern.as_bytes(), path.as_bytes()) && !(pattern == "/*" && path == "/")
}

#[test]
fn the_table_of_the_specification_holds() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("/**", &["/", "/a", "/a/b", "/a.b/-/c"], &[]),
        ("/*", &["/a", "/a.b"], &["/", "/a/b"]),
        ("/a/**", &["/a/b", "/a/b/c"], &["/a", "/ab"]),
        ("/a**", &["/a", "/ab", "/a/b"], &["/b"]),
        ("/**/z", &["/a/z", "/a/b/z"], &["/z"]),
        ("/a/**/z", &["/a/m/z", "/a/m/n/z"], &["/a/z"]),
        ("/a**z", &["/az", "/a/z", "/a/m/z"], &["/a/zz/y"]),
        ("/**e", &["/e", "/b/d/e"], &["/b/d/f"]),
        ("/*x", &["/x", "/yx"], &["/y/x"]),
        ("/?", &["/a", "/-"], &["/ab", "/"]),
        ("/a?b", &["/a.b", "/axb"], &["/ab", "/a/b"]),
        ("/*-?/up", &["/web-1/up"], &["/web-10/up"]),
        ("/", &["/"], &["/a", "/a/b"]),
        ("/***y", &["/y", "/xx/y", "/xy"], &["/x"]),
    ];
    for (pattern, matching, others) in table {
        for text in *matching {
            assert!(glob(pattern).matches(&path(text)), "{pattern} {text}");
        }
        for text in *others {
            assert!(!glob(pattern).matches(&path(text)), "{pattern} {text}");
        }
    }
}

#[test]
fn what_is_not_formed_like_a_path_is_refused() {
    for text in [
        "", "*", "**", "a/*", "/a/", "//", "/a//*", "/a_*", "/[ab]", "/{a,b}", "/a b", "/!x",
        "/a+", "/(a)", "/^a", "/\u{e9}", "/a\0",
    ] {
        assert_eq!(
            Glob::parse(text.as_bytes()).err(),
            Some(GlobError),
            "{text:?}"
        );
    }
    assert_eq!(Glob::parse(b"/\xff").err(), Some(GlobError));
    assert_eq!(glob("/a/***?-.Z9").as_str(), "/a/***?-.Z9");
}

#[test]
fn hostile_patterns_take_no_exponential_time() {
    let long = path(&format!("/{}", "a".repeat(4095)));
    let deep = path(&"/a".repeat(2048));
    for piece in ["*a", "**a", "?*", "a*", "*?a", "a**"] {
        let body = piece.repeat(4090 / piece.len());
        for text in [format!("/{body}b"), format!("/{body}")] {
            let glob = glob(&text);
            let (_, _) = (glob.matches(&long), glob.matches(&deep));
            assert!(!glob.matches(&path("/c")));
        }
    }
    assert!(glob(&format!("/{}", "*a".repeat(1000))).matches(&long));
    assert!(!glob(&format!("/{}b", "*a".repeat(1000))).matches(&long));
}

proptest! {
    #[test]
    fn patterns_match_what_a_naive_matcher_matches(
        pattern in prop_oneof![any_glob(), "/[ab*?]{1,9}(/[ab*?]{1,4})?"],
        at in prop_oneof![any_path(), "/[ab]{1,6}(/[ab]{1,3}){0,2}"],
    ) {
        prop_assert_eq!(glob(&pattern).matches(&path(&at)), naive(&pattern, &at));
    }

    /// Patterns whose states take several words.
    #[test]
    fn long_patterns_match_what_a_naive_matcher_matches(
        pattern in "/(a{55,70}|(a[?]){28,36})([*]{0,2}[ab?]{0,2}){0,3}",
        at in "/a{50,75}[ab/]{0,4}b",
    ) {
        prop_assume!(Glob::parse(pattern.as_bytes()).is_ok());
        prop_assume!(!at.contains("//"));
        prop_assert_eq!(glob(&pattern).matches(&path(&at)), naive(&pattern, &at));
    }

    /// Patterns and paths that are matched the way that long ones are.
    #[test]
    fn long_texts_match_alike(
        pattern in "/[ab]([*]{1,2}[ab?]|[ab?]){220,300}",
        other in "/[ab]([*][ab?]){150,200}",
        at in "/[ab]{200,600}(/[ab]{1,200})?",
    ) {
        for pattern in [pattern, other] {
            let (glob, path) = (glob(&pattern), path(&at));
            let mut states = States::start(&glob);
            let expected = states.step_all(&glob, at.as_bytes()) && states.is_accepting(&glob);
            prop_assert_eq!(glob.matches(&path), expected);
        }
    }

    #[test]
    fn parsing_never_panics(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = Glob::parse(&text);
    }
}
