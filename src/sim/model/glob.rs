//! Patterns, matched by trying everything.

/// Whether a pattern matches a whole path. `?` is one character and `*` any number of them, `/`
/// excluded; `**` is any number, `/` included. Runs of stars are paired from the left.
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|taken| matches(rest, &path[taken..])),
        [b'*', rest @ ..] => {
            let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
            (0..=end).any(|taken| matches(rest, &path[taken..]))
        }
        [b'?', rest @ ..] => match path {
            [first, path @ ..] => *first != b'/' && matches(rest, path),
            [] => false,
        },
        [expected, rest @ ..] => match path {
            [first, path @ ..] => first == expected && matches(rest, path),
            [] => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn the_table_of_the_protocol() {
        let table = [
            ("/**", "/ /a /a/b", ""),
            ("/*", "/a /a.b", "/a/b"),
            ("/a/**", "/a/b /a/b/c", "/a /ab"),
            ("/**/z", "/a/z /a/b/z", "/z"),
            ("/a**z", "/az /a/z /a/m/z", "/a/zz/y"),
            ("/*-?/up", "/web-1/up", "/web-10/up"),
            ("/***y", "/y /xx/y /xy", ""),
            ("/?", "/a /-", "/ab /"),
        ];
        for (pattern, yes, no) in table {
            for path in yes.split_whitespace() {
                assert!(
                    matches(pattern.as_bytes(), path.as_bytes()),
                    "{pattern} {path}"
                );
            }
            for path in no.split_whitespace() {
                assert!(
                    !matches(pattern.as_bytes(), path.as_bytes()),
                    "{pattern} {path}"
                );
            }
        }
    }
}
