//! The address, the thread, and the connections.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::access::Access;
use super::desk::Desk;
use super::impatient::Impatient;
use super::past;
use super::routes::{self, App};

/// Connections at a time at most, watchers included.
pub const CONNECTIONS_MAX: usize = 2_500;

/// The port where nothing else was asked for.
const PORT: u16 = 8000;

/// Ports that are tried from there on, for several processes of one machine.
const PORTS_TRIED: u16 = 20;

/// How long a caller may take to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// Bytes of the head of a request, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How long a caller may take nothing of its answer. Longer than watchers are waited for, so that
/// these get to hear why they were dropped.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Bytes that the system holds for a caller that does not take them, for which it reserves as much
/// again. By itself it goes to megabytes, for each of thousands of watchers.
const SEND_BUFFER_BYTES: usize = 128 << 10;

/// The pause after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// How HTTP is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where, if it was said. Otherwise port 8000 of `host`, or one of those that follow.
    pub addr: Option<SocketAddr>,
    /// Where the node itself listens.
    pub host: SocketAddr,
    /// Names, besides addresses and `localhost`, that this machine is reached by.
    pub names: Vec<String>,
    /// The secret that grants everything; empty if unset.
    pub rw_secret: Vec<u8>,
    /// The secret that grants reading; empty if unset.
    pub ro_secret: Vec<u8>,
    /// How long the node tries to settle a request.
    pub request_timeout: Duration,
    /// Bytes of a value at most.
    pub value_bytes_max: usize,
    /// Connections at a time at most.
    pub connections_max: usize,
}

/// Why HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is not to be had.
    #[error(
        "cannot serve the web view on {addr}: {source}; give another address with -w, or switch it \
         off with -w false"
    )]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no thread to be had.
    #[error("cannot serve the web view: {0}")]
    Thread(io::Error),
}

/// An address that HTTP will be served at.
pub struct Web {
    listener: std::net::TcpListener,
    addr: SocketAddr,
    options: Options,
}

impl Web {
    /// Takes the address. Nothing if none was asked for, and all that are tried are taken.
    ///
    /// # Errors
    ///
    /// [`WebError::Listen`].
    pub fn on(options: Options) -> Result<Option<Web>, WebError> {
        let bound = match options.addr {
            Some(addr) => Some(bind(addr).map_err(|source| WebError::Listen { addr, source })?),
            None => {
                let ports = PORT..PORT + PORTS_TRIED;
                let addrs = ports.map(|port| SocketAddr::new(options.host.ip(), port));
                let bound = addrs.into_iter().find_map(|addr| bind(addr).ok());
                if bound.is_none() {
                    warn!(
                        "no web view: ports {PORT} to {} of {} are taken; give another address \
                         with -w",
                        PORT + PORTS_TRIED - 1,
                        options.host.ip()
                    );
                }
                bound
            }
        };
        Ok(bound.map(|(listener, addr)| Web {
            listener,
            addr,
            options,
        }))
    }

    /// The address that was bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves for as long as the process lives, from two threads of its own: one for requests and
    /// connections, and one that follows what happens for those who watch. With thousands of these
    /// the former is busy with their connections, and the latter must not fall behind.
    ///
    /// # Errors
    ///
    /// [`WebError::Thread`].
    pub fn start(self, desk: Desk) -> Result<(), WebError> {
        let (serving, watching) = (runtime()?, runtime()?);
        let handle = watching.handle().clone();
        let addr = self.addr;
        thread("http-watch", move || watching.block_on(pending()))?;
        thread("http", move || serving.block_on(self.serve(desk, handle)))?;
        info!("web view at http://{addr}/");
        Ok(())
    }

    async fn serve(self, desk: Desk, watching: Handle) {
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return warn!("no web view: {error}"),
        };
        let options = self.options;
        let access = Access::new(
            desk.clone(),
            options.rw_secret,
            options.ro_secret,
            options.request_timeout,
        );
        let names = options.names;
        let app = App::new(access, desk, watching, names, options.value_bytes_max);
        let app = Arc::new(app);
        tokio::spawn(past::keep(Arc::clone(&app)));
        let router = routes::router(app);
        let seats = Arc::new(Semaphore::new(options.connections_max));
        loop {
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, from)) => {
                    let connection = connection(stream, from, router.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    debug!("cannot accept connections to the web view: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn runtime() -> Result<Runtime, WebError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(WebError::Thread)
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), WebError> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(run).map(drop).map_err(WebError::Thread)
}

async fn connection(stream: TcpStream, from: SocketAddr, router: Router) {
    // Events are small, and each is wanted at once.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    let stream = Impatient::new(stream, STALL_MAX);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        debug!("web view: {from}: {error}");
    }
}

fn bind(addr: SocketAddr) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(addr),
        socket2::Type::STREAM,
        None,
    )?;
    // A process that starts again gets the address of the one before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(1024)?;
    let listener = std::net::TcpListener::from(socket);
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}
