//! Turmoil's sockets behind the seam of the runtime, with what their TCP lacks and the kernel has.
//!
//! * A keepalive: an end that hears nothing for a while learns that the other end is not there any
//!   more.
//! * A SYN that gets lost keeps the dialer waiting, as it would for seconds, instead of refusing
//!   it at once.
//! * Segments have a largest size, so that frames come in pieces.
//! * A connection can be told to break after some more bytes.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use ::turmoil::net::{TcpListener, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::stage::Stage;
use crate::runtime::Net;
use crate::sim::trace::{Kind, digest};

/// How long an end hears nothing before it asks whether the other one is still there. Shorter than
/// in production, where it is a matter of patience.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// The sockets of a simulation.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurmoilNet;

impl Net for TurmoilNet {
    type Listener = TcpListener;
    type Reader = Reader;
    type Writer = Writer;

    async fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
        // A host has one address, and turmoil knows it by this name only.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, addr.port())).await?;
        Ok((listener, addr))
    }

    async fn accept(listener: &TcpListener) -> io::Result<(Reader, Writer, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        let (reader, writer) = split(stream)?;
        Ok((reader, writer, from))
    }

    async fn connect(addr: String) -> io::Result<(Reader, Writer)> {
        match TcpStream::connect(addr.as_str()).await {
            Ok(stream) => split(stream),
            Err(error) => {
                if Stage::current().is_listening(&addr) {
                    pending::<()>().await; // Somebody would have answered: the SYN was lost.
                }
                Err(error)
            }
        }
    }
}

/// One end of a connection, for as long as a half of it is open.
pub(super) struct End {
    stage: Rc<Stage>,
    local: SocketAddr,
    remote: SocketAddr,
    /// Bytes that may still be written before the connection breaks.
    fuse: Cell<Option<usize>>,
}

impl End {
    /// Lets the connection break after this many more bytes.
    pub(super) fn break_after(&self, bytes: usize) {
        self.fuse.set(Some(bytes));
    }

    /// The last number of its host's address.
    pub(super) fn place(&self) -> usize {
        place_of(self.local)
    }

    fn is_other_end_open(&self) -> bool {
        let ends = self.stage.ends.borrow();
        ends.contains_key(&(self.remote, self.local))
    }

    fn add(&self, kind: Kind, what: &str, bytes: &[u8]) {
        let content = digest(bytes) ^ u64::from(self.remote.port());
        let tell = || format!("{what} {} bytes, {}", bytes.len(), self.remote);
        self.stage.add(self.place(), kind, content, tell);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let key = (self.local, self.remote);
        self.stage.ends.borrow_mut().remove(&key);
    }
}

/// The last number of an address, which tells the hosts of a simulation apart.
pub(super) fn place_of(addr: SocketAddr) -> usize {
    match addr.ip() {
        std::net::IpAddr::V4(ip) => usize::from(ip.octets()[3]),
        std::net::IpAddr::V6(_) => 0,
    }
}

fn split(stream: TcpStream) -> io::Result<(Reader, Writer)> {
    let stage = Stage::current();
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let end = Rc::new(End {
        stage: Rc::clone(&stage),
        local,
        remote,
        fuse: Cell::new(None),
    });
    let weak = Rc::downgrade(&end);
    stage.ends.borrow_mut().insert((local, remote), weak);
    end.add(Kind::Link, "connected", &[]);
    let (reader, writer) = stream.into_split();
    let reader = Reader {
        half: reader,
        end: Rc::clone(&end),
        heard: Instant::now(),
        probe: Box::pin(sleep(KEEPALIVE)),
    };
    Ok((reader, Writer { half: writer, end }))
}

/// The receiving half of a connection.
pub(super) struct Reader {
    half: OwnedReadHalf,
    end: Rc<End>,
    heard: Instant,
    probe: Pin<Box<Sleep>>,
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.half).poll_read(cx, buf) {
            this.heard = Instant::now();
            match &read {
                Ok(()) => this.end.add(Kind::Arrive, "read", &buf.filled()[before..]),
                Err(_) => this.end.add(Kind::Arrive, "cannot read", &[0]),
            }
            return Poll::Ready(read);
        }
        loop {
            ready!(this.probe.as_mut().poll(cx));
            let quiet_until = this.heard + KEEPALIVE;
            let now = Instant::now();
            if quiet_until > now {
                this.probe.as_mut().reset(quiet_until);
            } else if this.end.is_other_end_open() {
                this.probe.as_mut().reset(now + KEEPALIVE);
            } else {
                this.end.add(Kind::Arrive, "keepalive fails after", &[1]);
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
    }
}

/// The sending half of a connection.
pub(super) struct Writer {
    half: OwnedWriteHalf,
    end: Rc<End>,
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let fuse = this.end.fuse.get();
        if fuse == Some(0) {
            this.end.add(Kind::Send, "breaks after", &[0]);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let most = this.end.stage.params.segment;
        let most = most.min(fuse.unwrap_or(most)).min(bytes.len());
        let segment = &bytes[..most];
        let written = ready!(Pin::new(&mut this.half).poll_write(cx, segment));
        if let Ok(count) = written {
            this.end.add(Kind::Send, "wrote", &segment[..count]);
            this.end.fuse.set(fuse.map(|left| left - count));
        }
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let most = self.end.stage.params.segment;
        let bytes = slices.iter().flat_map(|slice| slice.iter()).take(most);
        let bytes: Vec<u8> = bytes.copied().collect();
        self.poll_write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}
