//! What can go wrong, told so that a person knows what happened, to what, and what to do next.

use std::fmt;
use std::time::Duration;

use super::types::Stat;
use super::uri::{Address, UriError};
use crate::core::id::Rev;
use crate::core::protocol::client::{ErrorCode, Request, Verb, detail};

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cluster's URI is not one.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// No server could be reached.
    #[error("cannot reach {}", Listed(tried))]
    Unreachable {
        /// The addresses that were tried last, and why they failed.
        tried: Vec<Unreached>,
    },
    /// The name service does not know the cluster.
    #[error(
        "unknown cluster \"{name}\": the name service at {service} has no address under \
         /ctl/ns/{name}{}",
        Known(known)
    )]
    UnknownName {
        /// The name that was looked up.
        name: String,
        /// The server that was asked.
        service: Address,
        /// Names that it has.
        known: Vec<String>,
    },
    /// A URI has a cluster name and no address, and there is no name service to look it up.
    #[error(
        "invalid uri: the cluster name \"{name}\" needs a name service to look it up (-b URI or \
         DOOZER_BOOT_URI), or an address (ca=HOST:PORT)"
    )]
    NoNameService {
        /// The name.
        name: String,
    },
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Only members take writes, and none could be reached.
    #[error(
        "READONLY: no member of the cluster could be reached: {}",
        Standbys(standbys, tried)
    )]
    NoMember {
        /// Servers that answered and are no members.
        standbys: Vec<Address>,
        /// Servers that could not be reached.
        tried: Vec<Unreached>,
    },
    /// A watch asked for changes that the server has forgotten.
    #[error(
        "TOO_LATE: changes from rev {from} on are forgotten; the store is at rev {current}: read \
         what you need again, and watch from there"
    )]
    TooLate {
        /// The revision that was asked for.
        from: Rev,
        /// The revision that the store has.
        current: Rev,
    },
    /// The server belongs to another cluster than before, or to one that began anew.
    #[error(
        "{addr} belongs to another cluster than the one that was followed so far: \"{found}\", and \
         not \"{expected}\""
    )]
    Foreign {
        /// The server.
        addr: Address,
        /// The lineage that was followed.
        expected: String,
        /// The lineage of the server.
        found: String,
    },
    /// A write was sent and not answered, or the server does not know either: it may have happened or
    /// not.
    #[error(
        "outcome unknown: {what} was sent to {addr}, but {reason}; it may have happened, so look \
         before you repeat it"
    )]
    OutcomeUnknown {
        /// The request.
        what: String,
        /// Where it went.
        addr: Address,
        /// Why there is no answer.
        reason: String,
    },
    /// There was no answer in time, and nothing has changed.
    #[error("no answer to {what} within {limit:?}; is a majority of the members up?")]
    TimedOut {
        /// The request.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Connections break again and again before the request is answered.
    #[error("connection to {addr} lost: {reason}")]
    Lost {
        /// The server.
        addr: Address,
        /// Why the connection ended.
        reason: String,
    },
    /// An answer lacks what it must have.
    #[error("{what} was answered with {found}; is this a Doozer server?")]
    Nonsense {
        /// The request.
        what: String,
        /// What is wrong.
        found: &'static str,
    },
}

/// A server that could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Its address.
    pub addr: Address,
    /// What the system says.
    pub reason: String,
}

/// A request that a server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: ErrorCode,
    /// Why in words, with [`ErrorCode::Other`].
    pub detail: Option<String>,
    /// What was asked for.
    pub verb: Option<Verb>,
    /// The path or pattern in the request.
    pub path: Option<String>,
    /// The revision in the request.
    pub rev: Option<i64>,
    /// With [`ErrorCode::RevMismatch`]: what is at the path, if that was looked up.
    pub found: Option<Stat>,
}

impl Refusal {
    pub(super) fn of(request: &Request, code: ErrorCode, detail: Option<String>) -> Refusal {
        let verb = request.verb.and_then(Verb::from_number);
        Refusal {
            code,
            detail,
            verb,
            path: readable_path(request),
            rev: request.rev,
            found: None,
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or("the path");
        let rev = self.rev.unwrap_or_default();
        write!(f, "{}: ", self.code)?;
        match self.code {
            ErrorCode::RevMismatch => match self.found {
                Some(Stat::File { rev: found, .. }) => {
                    write!(f, "{path} is at rev {found}, you gave {rev}")
                }
                Some(Stat::Missing) => write!(f, "{path} is missing, you gave rev {rev}"),
                Some(Stat::Dir { .. }) => write!(f, "{path} is a directory, you gave rev {rev}"),
                None if rev == 0 => write!(f, "{path} exists already"),
                None => write!(f, "{path} has changed since rev {rev}"),
            },
            ErrorCode::TooLate => {
                write!(
                    f,
                    "rev {rev} is older than the history that the server keeps (-hist)"
                )
            }
            ErrorCode::BadPath => write!(
                f,
                "\"{path}\" is no path: it needs names of A-Z a-z 0-9 . - with a \"/\" before each"
            ),
            ErrorCode::Notdir if self.verb == Some(Verb::Getdir) => write!(f, "{path} is a file"),
            ErrorCode::Notdir => write!(f, "a name on the way to {path} is a file"),
            ErrorCode::Isdir => write!(f, "{path} is a directory"),
            ErrorCode::Noent => write!(f, "no such directory: {path}"),
            ErrorCode::Range => write!(f, "there is no such entry in {path}"),
            ErrorCode::Readonly => write!(f, "this server is a standby and takes no writes"),
            ErrorCode::UnknownVerb => write!(
                f,
                "the server does not know {}; is it older than this client?",
                verb_name(self.verb)
            ),
            ErrorCode::MissingArg => write!(f, "{} lacks a field", verb_name(self.verb)),
            ErrorCode::TagInUse => write!(f, "two requests had the same tag"),
            ErrorCode::Other => {
                let text = self
                    .detail
                    .as_deref()
                    .unwrap_or("the server does not say why");
                write!(f, "{text}")?;
                if text == detail::PERMISSION_DENIED {
                    match self.verb {
                        Some(Verb::Access) => {
                            write!(f, ": the server has another secret than that of sk=SECRET")?
                        }
                        verb => write!(
                            f,
                            ": {} needs a secret; give it as sk=SECRET",
                            verb_name(verb)
                        )?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// A request in words: `SET /x`.
pub(super) fn describe(request: &Request) -> String {
    let verb = verb_name(request.verb.and_then(Verb::from_number));
    match readable_path(request) {
        Some(path) => format!("{verb} {path}"),
        None => verb.to_owned(),
    }
}

fn readable_path(request: &Request) -> Option<String> {
    let path = request.path.as_ref()?;
    Some(String::from_utf8_lossy(path).into_owned())
}

fn verb_name(verb: Option<Verb>) -> &'static str {
    match verb {
        Some(Verb::Get) => "GET",
        Some(Verb::Set) => "SET",
        Some(Verb::Del) => "DEL",
        Some(Verb::Rev) => "REV",
        Some(Verb::Wait) => "WAIT",
        Some(Verb::Nop) => "NOP",
        Some(Verb::Walk) => "WALK",
        Some(Verb::Getdir) => "GETDIR",
        Some(Verb::Stat) => "STAT",
        Some(Verb::Self_) => "SELF",
        Some(Verb::Status) => "STATUS",
        Some(Verb::Recover) => "RECOVER",
        Some(Verb::Files) => "FILES",
        Some(Verb::Restore) => "RESTORE",
        Some(Verb::Access) => "ACCESS",
        None => "the request",
    }
}

/// Addresses with what is wrong with them.
struct Listed<'a>(&'a [Unreached]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any server: no address is known");
        }
        for (index, server) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {}", server.addr, server.reason)?;
        }
        Ok(())
    }
}

/// Servers that are standbys, then those that cannot be reached.
struct Standbys<'a>(&'a [Address], &'a [Unreached]);

impl fmt::Display for Standbys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, addr) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{addr} is a standby")?;
        }
        match self.1 {
            [] => Ok(()),
            tried => write!(f, ", {}", Listed(tried)),
        }
    }
}

/// Names that a name service has.
struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("; it knows no cluster"),
            names => write!(f, "; it knows {}", names.join(", ")),
        }
    }
}
