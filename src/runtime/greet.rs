//! The handshake on a connection, from the side that dials.

use std::io;
use std::time::Duration;

use bincode::Decode;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::net::Net;
use super::shared::Shared;
use crate::core::id::{Lineage, NodeId};
use crate::core::protocol::peer::handshake::{
    Answer, GreetingError, Refusal, Welcome, decode_greeting, encode_greeting,
};

/// How long a connection may take to come about. Long enough for a lost first packet, which is
/// sent again after a second.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long either side may take to say who it is.
pub(super) const GREETING_MAX: Duration = Duration::from_secs(3);

/// Room for each read of a greeting.
const READ_BYTES: usize = 4 << 10;

/// A connection that the other side has welcomed.
pub(super) struct Connection<N: Net> {
    pub(super) reader: N::Reader,
    pub(super) writer: N::Writer,
    pub(super) welcome: Welcome,
}

/// Why a process cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection came about.
    #[error("{}; is a doozerd running there?", plain(.0))]
    Connect(#[source] io::Error),
    /// No connection, or no answer, came in time.
    #[error("no answer; is a doozerd running there, and does the network let it answer?")]
    Silent,
    /// The connection broke.
    #[error("the connection closed before it said who it is")]
    Broken(#[source] io::Error),
    /// The other side does not speak this protocol.
    #[error("{0}")]
    Greeting(#[from] GreetingError),
    /// The other side does not want this process.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The clusters differ.
    #[error(
        "it belongs to cluster {theirs:?}, not {ours:?}; give -c {theirs} to attach to that one"
    )]
    Cluster {
        /// The cluster that the other side belongs to.
        theirs: String,
        /// The one that this process was told to attach to.
        ours: String,
    },
    /// The clusters have the same name, and are not the same.
    #[error(
        "it belongs to {theirs}, of the cluster, this process to {ours}: one of them was recovered, \
         or founded, without the other; stop the one that is of the past, and start it again as a \
         standby with -a"
    )]
    Lineage {
        /// The cluster that the other side belongs to.
        theirs: Lineage,
        /// The cluster that this process belongs to.
        ours: Lineage,
    },
}

impl DialError {
    /// Whether trying again is of no use before somebody changes something.
    pub(super) fn is_final(&self) -> bool {
        match self {
            DialError::Connect(_) | DialError::Silent | DialError::Broken(_) => false,
            DialError::Refused(Refusal::Busy | Refusal::Homeless) => false,
            DialError::Greeting(_)
            | DialError::Refused(_)
            | DialError::Cluster { .. }
            | DialError::Lineage { .. } => true,
        }
    }
}

/// Connects to the process at `addr`, which has to be `expect` if that is given.
pub(super) async fn dial<N: Net>(
    shared: &Shared,
    addr: String,
    expect: Option<NodeId>,
) -> Result<Connection<N>, DialError> {
    let (mut reader, mut writer) = timeout(CONNECT_MAX, N::connect(addr))
        .await
        .map_err(|_| DialError::Silent)?
        .map_err(DialError::Connect)?;
    let hello = encode_greeting(&shared.hello(expect));
    let talk = async {
        writer.write_all(&hello).await.map_err(DialError::Broken)?;
        read_greeting::<Answer>(&mut reader, &mut BytesMut::new()).await
    };
    let answer = timeout(GREETING_MAX, talk)
        .await
        .map_err(|_| DialError::Silent)??;
    let ours = &shared.me.cluster;
    let theirs = match &answer {
        Answer::Welcome(welcome) if welcome.cluster == *ours && !shared.shares(welcome.lineage) => {
            welcome.lineage
        }
        Answer::Refused(Refusal::Lineage { lineage }) => Some(*lineage),
        _ => None,
    };
    if let (Some(theirs), Some(ours)) = (theirs, shared.lineage()) {
        return Err(DialError::Lineage { theirs, ours });
    }
    if let Answer::Refused(Refusal::Outdated { boot }) = answer {
        shared.is_outdated(boot);
    }
    match answer {
        Answer::Welcome(welcome) if welcome.cluster == *ours => Ok(Connection {
            reader,
            writer,
            welcome,
        }),
        Answer::Welcome(Welcome { cluster, .. })
        | Answer::Refused(Refusal::Cluster { cluster }) => Err(DialError::Cluster {
            theirs: cluster,
            ours: ours.clone(),
        }),
        Answer::Refused(refusal) => Err(refusal.into()),
    }
}

/// Reads one greeting, and leaves what follows it in `buffer`.
pub(super) async fn read_greeting<G: Decode<()>>(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<G, DialError> {
    loop {
        if let Some((greeting, used)) = decode_greeting(buffer)? {
            buffer.advance(used);
            return Ok(greeting);
        }
        buffer.reserve(READ_BYTES);
        let read = reader.read_buf(buffer).await.map_err(DialError::Broken)?;
        if read == 0 {
            return Err(DialError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// An error without its number, where it is one that everybody meets.
pub(super) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".into(),
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        _ => error.to_string(),
    }
}
