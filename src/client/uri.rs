//! Doozer URIs: `doozer:?ca=HOST:PORT&ca=...&cn=NAME&sk=SECRET`.

use std::fmt;
use std::str::FromStr;

/// The port of an address that names none.
pub const DEFAULT_PORT: u16 = 8046;

/// Addresses in one URI. Clusters have a handful of processes; more is a mistake.
const ADDRESSES_MAX: usize = 256;

/// Where a cluster is, or what it is called, and the secret that opens it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uri {
    /// The addresses given as `ca`.
    pub addresses: Vec<Address>,
    /// The cluster name given as `cn`.
    pub name: Option<String>,
    /// The secret given as `sk`, which is presented on each connection.
    pub secret: Option<Vec<u8>>,
}

/// A host and a port. A host is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address(String);

/// Why a text is not a doozer URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It does not begin as one, and is no address either.
    #[error(
        "invalid uri: \"{0}\" is neither \"doozer:?ca=HOST:PORT\" nor an address \"HOST:PORT\""
    )]
    Form(String),
    /// It names neither an address nor a cluster.
    #[error(
        "invalid uri: \"{0}\" names no server; write \"doozer:?ca=HOST:PORT\", with one \"ca\" for \
         each server that you know"
    )]
    Empty(String),
    /// A per cent sign is not followed by two hexadecimal digits.
    #[error("invalid URL escape \"{0}\"; write a per cent sign as %25")]
    Escape(String),
    /// What is escaped is no text.
    #[error("invalid uri: the value of \"{0}\" is not UTF-8")]
    Text(String),
    /// An address has no host.
    #[error("missing address: \"ca\" needs HOST:PORT, such as ca=127.0.0.1:8046")]
    NoAddress,
    /// An address has a port that is no port.
    #[error("\"{0}\" is not an address: expected HOST:PORT with a port from 1 to 65535")]
    Port(String),
    /// There are more addresses than a cluster has processes.
    #[error("invalid uri: more than {ADDRESSES_MAX} addresses")]
    TooMany,
}

impl Uri {
    /// A URI of these addresses alone.
    pub fn of(addresses: Vec<Address>) -> Uri {
        Uri {
            addresses,
            ..Uri::default()
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    /// Reads a doozer URI, or a bare address.
    fn from_str(text: &str) -> Result<Uri, UriError> {
        let Some(query) = text.strip_prefix("doozer:?") else {
            if text.is_empty() || text.contains(['?', '/', '&', '=']) {
                return Err(UriError::Form(text.to_owned()));
            }
            return Ok(Uri::of(vec![text.parse()?]));
        };
        let mut uri = Uri::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescape(value)?;
            match key {
                "ca" => uri.addresses.push(readable(key, value)?.parse()?),
                "cn" => uri.name = Some(readable(key, value)?),
                "sk" => uri.secret = Some(value),
                // `un` is documented and means nothing; others may come to mean something.
                _ => {}
            }
            if uri.addresses.len() > ADDRESSES_MAX {
                return Err(UriError::TooMany);
            }
        }
        if uri.addresses.is_empty() && uri.name.is_none() {
            return Err(UriError::Empty(text.to_owned()));
        }
        Ok(uri)
    }
}

impl FromStr for Address {
    type Err = UriError;

    /// Reads `HOST:PORT`; a missing port is [`DEFAULT_PORT`].
    fn from_str(text: &str) -> Result<Address, UriError> {
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address without a port, in brackets or bare.
            Some(_) if text.ends_with(']') => (text.to_owned(), None),
            Some((host, _)) if host.contains(':') && !host.ends_with(']') => {
                (format!("[{text}]"), None)
            }
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        };
        if host.is_empty() {
            return Err(UriError::NoAddress);
        }
        if host.contains(char::is_whitespace) {
            return Err(UriError::Port(text.to_owned()));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(UriError::Port(text.to_owned())),
                Ok(port) => port,
            },
        };
        Ok(Address(format!("{host}:{port}")))
    }
}

impl Address {
    /// The address as `HOST:PORT`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn readable(key: &str, value: Vec<u8>) -> Result<String, UriError> {
    String::from_utf8(value).map_err(|_| UriError::Text(key.to_owned()))
}

/// Resolves per cent escapes, and plus signs, which stand for spaces in queries.
fn unescape(text: &str) -> Result<Vec<u8>, UriError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = after;
                digit(*high) << 4 | digit(*low)
            }
            (b'%', _) => {
                let wrong = &tail[..tail.len().min(2)];
                return Err(UriError::Escape(format!(
                    "%{}",
                    String::from_utf8_lossy(wrong)
                )));
            }
            (byte, _) => *byte,
        });
    }
    Ok(bytes)
}

fn digit(hex: u8) -> u8 {
    char::from(hex).to_digit(16).map_or(0, |digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let uri: Uri = text.parse().expect(text);
        uri.addresses.iter().map(Address::to_string).collect()
    }

    #[test]
    fn addresses_are_read_in_order_with_the_default_port() {
        assert_eq!(
            addresses("doozer:?ca=a:1&ca=b&un=x&ca=%5B::1%5D:7&ca=::1&ca=[::2]"),
            ["a:1", "b:8046", "[::1]:7", "[::1]:8046", "[::2]:8046"]
        );
        assert_eq!(addresses("127.0.0.1:9"), ["127.0.0.1:9"]);
        assert_eq!(addresses("db"), ["db:8046"]);
        assert_eq!(addresses("doozer:9"), ["doozer:9"]);
    }

    #[test]
    fn names_and_secrets_are_unescaped() {
        let uri: Uri = "doozer:?cn=a%20b&sk=%00%ff+%26".parse().unwrap();
        assert_eq!(uri.name.as_deref(), Some("a b"));
        assert_eq!(uri.secret.as_deref(), Some(&[0, 0xff, b' ', b'&'][..]));
        let uri: Uri = "doozer:?ca=h&sk=".parse().unwrap();
        assert_eq!(
            uri.secret.as_deref(),
            Some(&[][..]),
            "an empty secret is a secret"
        );
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "invalid uri"),
            ("doozer?:ca=h:1", "invalid uri"),
            ("doozer:?", "invalid uri"),
            ("doozer:?sk=x", "invalid uri"),
            ("doozer:?ca=", "missing address"),
            ("doozer:?ca=:8046", "missing address"),
            ("doozer:?ca=%zz", "invalid URL escape \"%zz\""),
            ("doozer:?ca=h%4", "invalid URL escape \"%4\""),
            ("doozer:?ca=%ff", "not UTF-8"),
            ("h:port", "\"h:port\" is not an address"),
            ("h:0", "\"h:0\" is not an address"),
            ("h:65536", "\"h:65536\" is not an address"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Uri>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_value_or_an_error(text in "(doozer:\\?)?[ -~é%&=]{0,40}") {
            let _ = text.parse::<Uri>();
        }

        #[test]
        fn any_secret_survives_escaping(secret: Vec<u8>) {
            let escaped: String = secret.iter().map(|byte| format!("%{byte:02x}")).collect();
            let uri: Uri = format!("doozer:?ca=h&sk={escaped}").parse().unwrap();
            prop_assert_eq!(uri.secret, Some(secret));
        }
    }
}
