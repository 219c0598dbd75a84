//! Connections that peers dialed: they bring messages to this process.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::greet::{DialError, GREETING_MAX, read_greeting};
use super::link::{KEEPALIVE_EVERY, Links, SILENCE_MAX};
use super::net::Net;
use super::shared::{Counted, Shared};
use crate::core::env::Input;
use crate::core::id::{Lineage, NodeId};
use crate::core::protocol::peer::handshake::{
    Answer, GreetingError, Hello, Refusal, VERSION, encode_greeting,
};
use crate::core::protocol::peer::{FrameError, read_frame};

/// Peers that may be connected to this process. Far above any cluster.
const CALLERS_MAX: usize = 256;

/// Messages that one peer hands in before others get their turn.
const MESSAGES_PER_TURN: usize = 256;

/// Room for each read.
const READ_BYTES: usize = 64 << 10;

/// Hears a peer out. `buffer` holds what has been read from it, and `seat` is its place among the
/// connections that are not known to be peers', which it keeps until it is let in.
pub(super) async fn serve<N: Net>(
    shared: Rc<Shared>,
    seat: impl Sized,
    mut reader: N::Reader,
    mut writer: N::Writer,
    mut buffer: BytesMut,
    from: SocketAddr,
) {
    let greeting = greet(&shared, &mut reader, &mut writer, &mut buffer);
    let greeted = timeout(GREETING_MAX, greeting).await;
    let hello = match greeted.unwrap_or(Err(TurnedAway::Silent)) {
        Ok(hello) => hello,
        // This goes on for as long as somebody remembers a process that was here before.
        Err(error @ (TurnedAway::Lost | TurnedAway::Homeless)) => {
            return debug!("turned away a node at {from}: {error}");
        }
        Err(error) => {
            if let Some(more) = shared.turned_away_lines.borrow_mut().pass() {
                warn!("turned away a node at {from} ({more} more lately): {error}");
            }
            return;
        }
    };
    let _counted = Counted::new(&shared, |shared| &shared.callers);
    drop(seat);
    debug!("node {} called from {from}", hello.id);
    let link = Links::heard::<N>(&shared, hello.id, &hello.addr);
    // Who is forgotten would talk on without ever getting an answer. It has to call again.
    let is_forgotten = || link.as_ref().is_some_and(|link| link.is_forgotten());
    let heard = tokio::select! {
        biased; // what has come first
        heard = receive(&shared, hello.id, &mut reader, &mut buffer, is_forgotten) => heard,
        error = give_signs(&mut writer) => {
            debug!("node {}: {error}", hello.id);
            Ok(())
        }
    };
    if let Err(error) = heard {
        warn!(
            "closing the connection of node {} at {}: {error}",
            hello.id, hello.addr
        );
    }
}

/// Why a peer is not let in, as the log of this process says it.
#[derive(Debug, thiserror::Error)]
enum TurnedAway {
    #[error("it did not say who it is in time")]
    Silent,
    #[error("{0}")]
    Greeting(DialError),
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("it has another secret")]
    Secret,
    #[error("it looks for cluster {0:?}")]
    Cluster(String),
    #[error("it looks for a process that was here before")]
    Lost,
    #[error("it is this process itself")]
    Myself,
    #[error("too many nodes are connected")]
    Busy,
    #[error(
        "it belongs to {theirs}, of the cluster, this process to {ours}: one of them was recovered, \
         or founded, without the other"
    )]
    Lineage { theirs: Lineage, ours: Lineage },
    #[error("it looks for its cluster, and so does this process")]
    Homeless,
    #[error(
        "{id} is in its start {is}, and was in start {was} before: it was started from an old copy of \
         its data directory; there, let it join again as a standby: doozerd repair DIR"
    )]
    Outdated { id: NodeId, is: u32, was: u32 },
}

impl TurnedAway {
    fn new(refusal: &Refusal, hello: Hello) -> TurnedAway {
        match refusal {
            Refusal::Version { .. } => unreachable!("a greeting that was read has our version"),
            Refusal::Secret => TurnedAway::Secret,
            Refusal::Cluster { .. } => TurnedAway::Cluster(hello.cluster),
            Refusal::NotMe { .. } => TurnedAway::Lost,
            Refusal::Yourself => TurnedAway::Myself,
            Refusal::Busy => TurnedAway::Busy,
            Refusal::Lineage { lineage: ours } => TurnedAway::Lineage {
                theirs: hello.lineage.unwrap_or(*ours),
                ours: *ours,
            },
            Refusal::Homeless => TurnedAway::Homeless,
            Refusal::Outdated { boot } => TurnedAway::Outdated {
                id: hello.id,
                is: hello.boot,
                was: *boot,
            },
        }
    }
}

/// Lets a peer in, or says why not.
async fn greet(
    shared: &Shared,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    buffer: &mut BytesMut,
) -> Result<Hello, TurnedAway> {
    let hello = match read_greeting::<Hello>(reader, buffer).await {
        Ok(hello) => hello,
        Err(error @ DialError::Greeting(GreetingError::Version { .. })) => {
            let refusal = Refusal::Version { speaks: VERSION };
            answer(writer, &Answer::Refused(refusal)).await?;
            return Err(TurnedAway::Greeting(error));
        }
        Err(error) => return Err(TurnedAway::Greeting(error)),
    };
    let verdict = if shared.callers.get() >= CALLERS_MAX {
        Answer::Refused(Refusal::Busy)
    } else {
        // Who keeps nothing has one life, and the log tells nothing of others.
        let told = match hello.boot {
            0 => 0,
            _ => shared.told_life(hello.id).await,
        };
        shared.judge(&hello, told)
    };
    if matches!(verdict, Answer::Welcome(_)) {
        shared.shares(hello.lineage);
    }
    answer(writer, &verdict).await?;
    match verdict {
        Answer::Welcome(_) => Ok(hello),
        Answer::Refused(refusal) => Err(TurnedAway::new(&refusal, hello)),
    }
}

async fn answer(writer: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> io::Result<()> {
    writer.write_all(&encode_greeting(answer)).await?;
    match answer {
        Answer::Welcome(_) => Ok(()),
        Answer::Refused(_) => writer.shutdown().await,
    }
}

/// Lets the dialer know that its messages arrive somewhere.
async fn give_signs(writer: &mut (impl AsyncWrite + Unpin)) -> io::Error {
    loop {
        sleep(KEEPALIVE_EVERY).await;
        match timeout(SILENCE_MAX, writer.write_all(&[0])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(_) => return io::ErrorKind::TimedOut.into(),
        }
    }
}

/// Hands in what a peer says, until its connection ends.
async fn receive(
    shared: &Shared,
    from: NodeId,
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    is_forgotten: impl Fn() -> bool,
) -> Result<(), FrameError> {
    let mut last_read = Instant::now();
    let mut silence = std::pin::pin!(sleep(SILENCE_MAX));
    loop {
        hand_in(shared, from, buffer).await?;
        buffer.reserve(READ_BYTES);
        tokio::select! {
            biased; // what has come breaks the silence
            read = reader.read_buf(buffer) => match read {
                Ok(0) | Err(_) => return Ok(()),
                Ok(_) if is_forgotten() => return Ok(()),
                Ok(_) => last_read = Instant::now(),
            },
            () = silence.as_mut() => {
                if last_read.elapsed() >= SILENCE_MAX {
                    info!("closing the connection of node {from}: it has been silent");
                    return Ok(());
                }
                silence.as_mut().reset(last_read + SILENCE_MAX);
            }
        }
    }
}

/// Hands in every complete message in `buffer`.
async fn hand_in(shared: &Shared, from: NodeId, buffer: &mut BytesMut) -> Result<(), FrameError> {
    let mut handed_in = 0;
    while let Some(frame) = read_frame(buffer)? {
        buffer.advance(frame.bytes);
        shared.traffic.peer_in(frame.bytes);
        // An empty frame only breaks the silence.
        let Some(message) = frame.message else {
            continue;
        };
        let input = Input::Peer { from, message };
        shared.inbox.push_peer(input, frame.bytes).await;
        handed_in += 1;
        if handed_in % MESSAGES_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
