//! Connections that peers dialed: they bring messages to this process.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::greet::{DialError, GREETING_MAX, read_greeting};
use super::link::Links;
use super::net::Net;
use super::shared::{Counted, Shared};
use crate::core::env::Input;
use crate::core::id::NodeId;
use crate::core::protocol::peer::handshake::{
    Answer, GreetingError, Hello, Refusal, VERSION, encode_greeting,
};
use crate::core::protocol::peer::{self, MESSAGE_BYTES_MAX};

/// Peers that may be connected to this process. Far above any cluster.
const CALLERS_MAX: usize = 256;

/// How long a peer may be silent. It sends an empty frame every two seconds, so that a path that
/// loses everything is noticed, and dialed anew.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Messages that one peer hands in before others get their turn.
const MESSAGES_PER_TURN: usize = 256;

/// Room for each read.
const READ_BYTES: usize = 64 << 10;

/// Bytes of the length in front of each message.
pub(super) const HEADER_BYTES: usize = 4;

/// What a peer sent that cannot be read on from.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// A frame is too long.
    #[error("a message of {announced} bytes was announced; at most {MESSAGE_BYTES_MAX} are read")]
    TooLong {
        /// Bytes that its header announces.
        announced: u32,
    },
    /// A frame does not hold a message.
    #[error("{0}")]
    Undecodable(#[from] peer::DecodeError),
}

/// Hears a peer out. `buffer` holds what has been read from it.
pub(super) async fn serve<N: Net>(
    shared: Rc<Shared>,
    mut reader: N::Reader,
    mut writer: N::Writer,
    mut buffer: BytesMut,
    from: SocketAddr,
) {
    let greeting = greet(&shared, &mut reader, &mut writer, &mut buffer);
    let hello = match timeout(GREETING_MAX, greeting).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(DialError::Broken(error))) => return debug!("a node at {from}: {error}"),
        Ok(Err(error)) => return info!("turned away a node at {from}: {error}"),
        Err(_) => return info!("turned away a node at {from}: it did not say who it is"),
    };
    let _counted = Counted::new(&shared, |shared| &shared.callers);
    debug!("node {} called from {from}", hello.id);
    Links::heard::<N>(&shared, hello.id, &hello.addr);
    if let Err(error) = receive(&shared, hello.id, &mut reader, &mut buffer).await {
        warn!(
            "closing the connection of node {} at {}: {error}",
            hello.id, hello.addr
        );
    }
}

/// Lets a peer in, or says why not.
async fn greet(
    shared: &Shared,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    buffer: &mut BytesMut,
) -> Result<Hello, DialError> {
    let (answer, hello) = match read_greeting::<Hello>(reader, buffer).await {
        Ok(hello) if shared.callers.get() >= CALLERS_MAX => {
            (Answer::Refused(Refusal::Busy), Ok(hello))
        }
        Ok(hello) => (shared.me.judge(&shared.secret, &hello), Ok(hello)),
        Err(error @ DialError::Greeting(GreetingError::Version { .. })) => {
            let refusal = Refusal::Version { speaks: VERSION };
            (Answer::Refused(refusal), Err(error))
        }
        Err(error) => return Err(error),
    };
    let bytes = encode_greeting(&answer);
    writer.write_all(&bytes).await.map_err(DialError::Broken)?;
    match answer {
        Answer::Welcome(_) => hello,
        Answer::Refused(refusal) => {
            writer.shutdown().await.map_err(DialError::Broken)?;
            hello.and_then(|hello| Err(turned_away(refusal, &hello)))
        }
    }
}

/// A refusal is worded for whoever is refused; this one is for the log of who refuses.
fn turned_away(refusal: Refusal, hello: &Hello) -> DialError {
    debug!("node {} at {}: {refusal}", hello.id, hello.addr);
    DialError::Refused(refusal)
}

/// Hands in what a peer says, until its connection ends.
async fn receive(
    shared: &Shared,
    from: NodeId,
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<(), StreamError> {
    let mut last_read = Instant::now();
    let mut silence = std::pin::pin!(sleep(SILENCE_MAX));
    loop {
        hand_in(shared, from, buffer).await?;
        buffer.reserve(READ_BYTES);
        tokio::select! {
            biased; // what has come breaks the silence
            read = reader.read_buf(buffer) => match read {
                Ok(0) | Err(_) => return Ok(()),
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
async fn hand_in(shared: &Shared, from: NodeId, buffer: &mut BytesMut) -> Result<(), StreamError> {
    let mut handed_in = 0;
    while let Some(header) = buffer.first_chunk::<HEADER_BYTES>() {
        let announced = u32::from_be_bytes(*header);
        let length = announced as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(StreamError::TooLong { announced });
        }
        let Some(body) = buffer.get(HEADER_BYTES..HEADER_BYTES + length) else {
            return Ok(());
        };
        // An empty frame only breaks the silence.
        let message = match body {
            [] => None,
            body => Some(peer::decode(body)?),
        };
        buffer.advance(HEADER_BYTES + length);
        let Some(message) = message else { continue };
        let input = Input::Peer { from, message };
        shared.inbox.push_peer(input, length).await;
        handed_in += 1;
        if handed_in % MESSAGES_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
