//! How two nodes get to know each other, before any [`Message`](super::Message).
//!
//! Whoever dials speaks first: [`MAGIC`], the format version, a length, a [`Hello`]. The other side
//! gives an [`Answer`] in the same form, and the connection then carries messages from the dialer
//! to it. The magic's first byte has its top bit set: read as the length that begins a client's
//! frame it is negative, so no client ever begins like this, and both may share a port.
//!
//! The prefix (magic, version, length) is the same in every version, so that two nodes of different
//! versions can tell each other so.

use std::fmt;

use bincode::config::{Configuration, LittleEndian, Varint};
use bincode::{Decode, Encode};
use subtle::ConstantTimeEq;

use crate::core::id::{Lineage, NodeId};

/// What a connection between nodes begins with, in both directions.
pub const MAGIC: [u8; 4] = [0xD0, b'O', b'Z', b'R'];

/// The version of everything that nodes say to each other.
pub const VERSION: u16 = 6;

/// Bytes of magic, version and length.
pub const PREFIX_BYTES: usize = 10;

/// Largest greeting after the prefix, in bytes: a secret of [`SECRET_BYTES_MAX`], a cluster name
/// and an address, with room to spare.
pub const GREETING_BYTES_MAX: usize = 16 << 10;

/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 4 << 10;

const CONFIG: Configuration<LittleEndian, Varint> = bincode::config::standard();

/// What the dialer says first.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// The cluster that it belongs to or wants to join; empty when it will take any.
    pub cluster: String,
    /// Who it is.
    pub id: NodeId,
    /// Where it can be dialed.
    pub addr: String,
    /// How often this identity has been started before.
    pub boot: u32,
    /// A random number of this life: of two with one identity and one count, one is a copy.
    pub life: u64,
    /// The secret that grants everything; empty if unset.
    pub secret: Vec<u8>,
    /// Whom it wants to reach, if it knows.
    pub expect: Option<NodeId>,
    /// Which cluster of that name it belongs to, once it knows.
    pub lineage: Option<Lineage>,
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("cluster", &self.cluster)
            .field("id", &self.id)
            .field("addr", &self.addr)
            .field("boot", &self.boot)
            .field("life", &self.life)
            .field("expect", &self.expect)
            .field("lineage", &self.lineage)
            .finish_non_exhaustive()
    }
}

/// What the dialed node says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// Who it is.
    pub id: NodeId,
    /// The address that it wants to be known by.
    pub addr: String,
    /// Its cluster.
    pub cluster: String,
    /// Which cluster of that name it is. Whoever is welcomed knows it: without it there is none.
    pub lineage: Option<Lineage>,
}

/// What the dialed node says to a [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Go on.
    Welcome(Welcome),
    /// Go away; the connection closes.
    Refused(Refusal),
}

/// Why a node does not let another in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Refusal {
    /// The greeting's version is not one that this node speaks.
    #[error(
        "it speaks version {speaks} of the protocol between nodes; run the same doozerd on all"
    )]
    Version {
        /// What it speaks.
        speaks: u16,
    },
    /// The secrets differ.
    #[error("it has another secret; start this process with the cluster's DOOZER_RWSECRET")]
    Secret,
    /// The clusters differ.
    #[error("it belongs to cluster {cluster:?}")]
    Cluster {
        /// Its cluster.
        cluster: String,
    },
    /// The dialer looked for another process, which this address belonged to before.
    #[error("another process, {id}, has taken the address")]
    NotMe {
        /// The process that is here.
        id: NodeId,
    },
    /// The dialer reached itself.
    #[error("that is the address of this process itself")]
    Yourself,
    /// Too many nodes are connected.
    #[error("it has too many connections of nodes")]
    Busy,
    /// The clusters have the same name, and are not the same.
    #[error("it belongs to another cluster of that name: {lineage}")]
    Lineage {
        /// Its cluster.
        lineage: Lineage,
    },
    /// The node does not belong to any cluster so far, and neither does the dialer.
    #[error("it looks for its cluster itself")]
    Homeless,
    /// The dialer has been started later than this before: it has come back with what it remembered
    /// in the past.
    #[error("it knows this process from its start {boot}, after which this one must not go on")]
    Outdated {
        /// How often it had been started before in the latest life that is known.
        boot: u32,
    },
}

/// Why bytes are not a greeting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    /// They don't begin with [`MAGIC`].
    #[error("what answers is not a doozerd of this protocol")]
    Magic,
    /// Another version speaks.
    #[error("it speaks version {theirs} of the protocol between nodes, this process {VERSION}")]
    Version {
        /// The version that they name.
        theirs: u16,
    },
    /// They announce more than a greeting can have.
    #[error("a greeting of {announced} bytes was announced; at most {GREETING_BYTES_MAX} are read")]
    TooLong {
        /// Bytes that they announce.
        announced: u32,
    },
    /// They don't follow the format.
    #[error("an undecodable greeting")]
    Malformed,
}

impl Welcome {
    /// What the node that this describes says to `hello`, given its own secret.
    ///
    /// The secret is judged first, in time that does not depend on where secrets differ, so that
    /// whoever does not know it learns nothing else.
    pub fn judge(&self, secret: &[u8], hello: &Hello) -> Answer {
        let is_trusted = bool::from(secret.ct_eq(&hello.secret));
        Answer::Refused(if !is_trusted {
            Refusal::Secret
        } else if hello.id == self.id {
            Refusal::Yourself
        } else if !hello.cluster.is_empty() && hello.cluster != self.cluster {
            Refusal::Cluster {
                cluster: self.cluster.clone(),
            }
        } else if let Some(lineage) = self.lineage
            && hello.lineage.is_some_and(|theirs| theirs != lineage)
        {
            Refusal::Lineage { lineage }
        } else if hello.expect.is_some_and(|id| id != self.id) {
            Refusal::NotMe { id: self.id }
        } else if self.lineage.or(hello.lineage).is_none() {
            Refusal::Homeless
        } else {
            return Answer::Welcome(self.clone());
        })
    }
}

/// The bytes of a [`Hello`] or an [`Answer`], with their prefix.
pub fn encode_greeting(greeting: &impl Encode) -> Vec<u8> {
    let body = bincode::encode_to_vec(greeting, CONFIG)
        .expect("a greeting of ours can always be encoded into memory");
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// The greeting at the front of `bytes` and how many bytes it has, or `None` while it is
/// incomplete.
pub fn decode_greeting<G: Decode<()>>(bytes: &[u8]) -> Result<Option<(G, usize)>, GreetingError> {
    let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if !MAGIC.starts_with(magic) {
        return Err(GreetingError::Magic);
    }
    let Some(&[_, _, _, _, v0, v1, l0, l1, l2, l3]) = bytes.first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    let theirs = u16::from_be_bytes([v0, v1]);
    if theirs != VERSION {
        return Err(GreetingError::Version { theirs });
    }
    let announced = u32::from_be_bytes([l0, l1, l2, l3]);
    let length = announced as usize;
    if length > GREETING_BYTES_MAX {
        return Err(GreetingError::TooLong { announced });
    }
    let Some(body) = bytes.get(PREFIX_BYTES..PREFIX_BYTES + length) else {
        return Ok(None);
    };
    let config = CONFIG.with_limit::<GREETING_BYTES_MAX>();
    match bincode::decode_from_slice(body, config) {
        Ok((greeting, used)) if used == length => Ok(Some((greeting, PREFIX_BYTES + length))),
        _ => Err(GreetingError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us() -> Welcome {
        Welcome {
            id: NodeId([1; 10]),
            addr: "10.0.0.1:8046".into(),
            cluster: "local".into(),
            lineage: Some(lineage(1)),
        }
    }

    fn them() -> Hello {
        Hello {
            cluster: "local".into(),
            id: NodeId([2; 10]),
            addr: "10.0.0.2:8046".into(),
            boot: 3,
            life: 0xab,
            secret: b"sesame".to_vec(),
            expect: None,
            lineage: None,
        }
    }

    fn lineage(generation: u32) -> Lineage {
        Lineage {
            founder: NodeId([7; 10]),
            generation,
        }
    }

    #[test]
    fn clusters_of_one_name_are_told_apart_before_who_is_looked_for() {
        let from = |lineage| Hello {
            lineage,
            expect: Some(NodeId([9; 10])),
            ..them()
        };
        let judge = |hello: Hello| us().judge(b"sesame", &hello);
        let refusal = Refusal::Lineage {
            lineage: lineage(1),
        };
        assert_eq!(judge(from(Some(lineage(2)))), Answer::Refused(refusal));
        let not_me = Answer::Refused(Refusal::NotMe { id: us().id });
        assert_eq!(judge(from(Some(lineage(1)))), not_me);
        assert_eq!(judge(from(None)), not_me);
    }

    #[test]
    fn two_that_have_no_cluster_are_of_no_use_to_each_other() {
        let homeless = Welcome {
            lineage: None,
            ..us()
        };
        let judge = |hello: Hello| homeless.judge(b"sesame", &hello);
        assert_eq!(judge(them()), Answer::Refused(Refusal::Homeless));
        let called = Hello {
            lineage: Some(lineage(2)),
            ..them()
        };
        assert_eq!(judge(called), Answer::Welcome(homeless.clone()));
    }

    #[test]
    fn each_mismatch_is_refused_by_name_and_the_secret_comes_first() {
        let judge = |hello: Hello| us().judge(b"sesame", &hello);
        assert_eq!(judge(them()), Answer::Welcome(us()));
        let any = Hello {
            cluster: String::new(),
            expect: Some(us().id),
            ..them()
        };
        assert_eq!(judge(any), Answer::Welcome(us()));
        let foreign = Hello {
            cluster: "other".into(),
            ..them()
        };
        let refusal = Refusal::Cluster {
            cluster: "local".into(),
        };
        assert_eq!(judge(foreign.clone()), Answer::Refused(refusal));
        for secret in [&b""[..], b"sesamE", b"sesame2"] {
            let stranger = Hello {
                secret: secret.to_vec(),
                ..foreign.clone()
            };
            assert_eq!(judge(stranger), Answer::Refused(Refusal::Secret));
        }
        let lost = Hello {
            expect: Some(NodeId([9; 10])),
            ..them()
        };
        let refusal = Refusal::NotMe { id: us().id };
        assert_eq!(judge(lost), Answer::Refused(refusal));
        let mirror = Hello {
            id: us().id,
            ..them()
        };
        assert_eq!(judge(mirror), Answer::Refused(Refusal::Yourself));
    }

    #[test]
    fn a_greeting_is_read_when_its_last_byte_has_come() {
        let bytes = encode_greeting(&them());
        for cut in 0..bytes.len() {
            assert_eq!(decode_greeting::<Hello>(&bytes[..cut]), Ok(None));
        }
        let mut more = bytes.clone();
        more.push(7);
        assert_eq!(decode_greeting(&more), Ok(Some((them(), bytes.len()))));
        let answer = Answer::Refused(Refusal::Busy);
        let bytes = encode_greeting(&answer);
        assert_eq!(decode_greeting(&bytes), Ok(Some((answer, bytes.len()))));
    }

    #[test]
    fn the_bytes_of_a_greeting_are_pinned() {
        let answer = Answer::Refused(Refusal::Version { speaks: 1 });
        assert_eq!(
            encode_greeting(&answer),
            b"\xd0OZR\x00\x06\x00\x00\x00\x03\x01\x00\x01"
        );
        assert!(
            i32::from_be_bytes(MAGIC) < 0,
            "a client's length is never negative"
        );
    }

    #[test]
    fn what_is_no_greeting_is_refused() {
        let good = encode_greeting(&them());
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            decode_greeting::<Hello>(&bytes)
        };
        assert_eq!(with(0, 0), Err(GreetingError::Magic));
        assert_eq!(
            decode_greeting::<Hello>(b"\xd0X"),
            Err(GreetingError::Magic)
        );
        assert_eq!(with(5, 9), Err(GreetingError::Version { theirs: 9 }));
        assert!(matches!(with(6, 9), Err(GreetingError::TooLong { .. })));
        assert_eq!(with(10, 0xff), Err(GreetingError::Malformed));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert!(
            !format!("{:?}", them()).contains("115"),
            "as a list of bytes"
        );
        assert!(!format!("{:?}", them()).contains("sesame"));
    }
}
