//! The seam to the network: what the runtime needs of sockets, and nothing else.
//!
//! A trait and not a swap of imports, so that one build can run on real sockets and on simulated
//! ones.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A network of byte streams. Streams come in two halves, which two tasks of one thread own.
pub trait Net: 'static {
    /// What accepts connections.
    type Listener: 'static;
    /// The receiving half of a connection.
    type Reader: AsyncRead + Unpin + 'static;
    /// The sending half of a connection. Dropping it, or shutting it down, ends what the other
    /// side reads.
    type Writer: AsyncWrite + Unpin + 'static;

    /// Listens, and tells the address that was bound (port 0 asks for a free one).
    fn bind(
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + 'static;

    /// Waits for the next connection.
    fn accept(
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Reader, Self::Writer, SocketAddr)>>;

    /// Connects to `host:port`, trying every address that the host's name stands for.
    fn connect(
        addr: String,
    ) -> impl Future<Output = io::Result<(Self::Reader, Self::Writer)>> + 'static;
}

/// The operating system's TCP.
#[derive(Clone, Copy, Debug)]
pub struct TokioNet;

/// How long a connection is silent before the kernel asks whether the other side still exists: a
/// client's WAIT may be silent for days, and a machine that lost power says no goodbye.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// How often it asks again before it gives the other side up: nine times, on Linux.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

impl Net for TokioNet {
    type Listener = TcpListener;
    type Reader = OwnedReadHalf;
    type Writer = OwnedWriteHalf;

    async fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    }

    async fn accept(
        listener: &TcpListener,
    ) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        tune(&stream);
        let (reader, writer) = stream.into_split();
        Ok((reader, writer, from))
    }

    async fn connect(addr: String) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
        let stream = TcpStream::connect(addr).await?;
        tune(&stream);
        Ok(stream.into_split())
    }
}

/// Small messages leave at once, and dead peers are noticed. A socket that refuses either is
/// already broken, which its next use will tell.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}
