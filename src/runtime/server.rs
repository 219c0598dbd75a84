//! A running process: how it starts, and how it ends.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::accept::accept;
use super::attach::{AttachError, attach};
use super::driver::{Driver, Ended, Machine};
use super::durable::Data;
use super::gauges::Gauges;
use super::greet::plain;
use super::net::Net;
use super::shared::Shared;
use crate::core::env::{Halt, Input};
use crate::core::id::{Lineage, NodeId};
use crate::core::node::{Config, Node};
use crate::core::protocol::peer::handshake::Welcome;

/// How long a process that stops may take to write what it has answered.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// How often it looks whether that is done.
const GOODBYE_STEP: Duration = Duration::from_millis(2);

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the node is told. Its `addr` is replaced by the address that is advertised, or was
    /// bound.
    pub node: Config,
    /// The cluster that it founds or joins. Peers of others are turned away.
    pub cluster: String,
    /// Where to listen, for clients and peers. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address, as `HOST:PORT`, that others reach it at, if that is another.
    pub advertise: Option<String>,
    /// Addresses of processes, members or not, through which it joins; empty to found.
    pub attach: Vec<String>,
    /// Decides every random choice of the process.
    pub entropy: u64,
    /// Where what must not be forgotten is kept; nothing if it is kept in memory alone.
    pub data: Option<Data>,
}

/// Why a process did not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not to be had.
    #[error("cannot listen on {addr}: {}", listen_hint(.source))]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No process that it was to attach to let it in.
    #[error("{0}")]
    Attach(#[from] AttachError),
    /// The node stopped itself.
    #[error("{0}")]
    Halted(#[from] Halt),
}

/// Starts a process and runs it until it ends. Has to be called where tasks of the same thread can
/// be spawned: in a `LocalRuntime` or a `LocalSet`.
///
/// # Errors
///
/// When it cannot listen, cannot attach, or the node halts.
pub async fn serve<N: Net>(options: Options) -> Result<(), ServeError> {
    Server::start::<N>(options).await?.run().await
}

/// An address that this process holds before it serves there: nobody else gets it, and whoever calls
/// waits. That nobody holds an address shows that no process lives there.
pub struct Listening<N: Net> {
    listener: N::Listener,
    addr: SocketAddr,
}

impl<N: Net> Listening<N> {
    /// Takes the address. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`ServeError::Listen`].
    pub async fn on(addr: SocketAddr) -> Result<Listening<N>, ServeError> {
        let bound = N::bind(addr).await;
        let (listener, addr) = bound.map_err(|source| ServeError::Listen { addr, source })?;
        Ok(Listening { listener, addr })
    }

    /// The address that was bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// A process that has started. Dropping it ends all its connections at once.
pub struct Server {
    shared: Rc<Shared>,
    driver: tokio::task::JoinHandle<Ended>,
    is_durable: bool,
}

/// Stops a process from elsewhere in its thread.
#[derive(Clone)]
pub struct Stopper(Rc<Shared>);

impl Server {
    /// Listens, starts the node, and attaches if it was told to.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or cannot attach within [`ATTACH_MAX`](super::ATTACH_MAX).
    pub async fn start<N: Net>(options: Options) -> Result<Server, ServeError> {
        Server::start_machine::<N, Node>(options, Node::new).await
    }

    /// Starts the node at an address that this process holds already, and attaches if it was told
    /// to.
    ///
    /// # Errors
    ///
    /// When it cannot attach within [`ATTACH_MAX`](super::ATTACH_MAX).
    pub async fn start_at<N: Net>(
        listening: Listening<N>,
        options: Options,
    ) -> Result<Server, ServeError> {
        Server::start_machine_at(listening, options, Node::new).await
    }

    pub(crate) async fn start_machine<N: Net, M: Machine>(
        options: Options,
        machine: impl FnOnce(Config) -> M,
    ) -> Result<Server, ServeError> {
        let listening = Listening::<N>::on(options.listen).await?;
        Server::start_machine_at(listening, options, machine).await
    }

    async fn start_machine_at<N: Net, M: Machine>(
        Listening { listener, addr }: Listening<N>,
        options: Options,
        machine: impl FnOnce(Config) -> M,
    ) -> Result<Server, ServeError> {
        let Options {
            mut node,
            cluster,
            listen: _,
            advertise,
            attach: addrs,
            entropy,
            data,
        } = options;
        node.addr = advertise.unwrap_or_else(|| addr.to_string());
        let me = Welcome {
            id: node.id,
            addr: node.addr.clone(),
            cluster,
            lineage: node.lineage(),
        };
        let secret = node.rw_secret.clone();
        let shared = Rc::new(Shared::new(me, node.boot, secret, node.limits, entropy));
        let data = data.map(|mut data| {
            data.identity.id = node.id;
            data
        });
        let is_durable = data.is_some();
        let version = node.version.clone();
        let driver = Driver::<N, M>::new(Rc::clone(&shared), machine(node), version, entropy, data);
        let server = Server {
            driver: tokio::task::spawn_local(driver.run()),
            shared,
            is_durable,
        };
        let shared = &server.shared;
        let (accepting, stopping) = (Rc::clone(shared), Rc::clone(shared));
        shared.spawn(async move {
            tokio::select! {
                biased; // the end first: nobody gets in after it
                () = stopping.stopping.reached() => {}
                () = accept::<N>(accepting, listener) => {}
            }
        });
        if !addrs.is_empty() {
            attach::<N>(shared, &addrs).await?;
        }
        Ok(server)
    }

    /// The address that the process is known by.
    pub fn addr(&self) -> &str {
        &self.shared.me.addr
    }

    /// Whether the process can come back as who it is.
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Who the process is.
    pub fn id(&self) -> NodeId {
        self.shared.me.id
    }

    /// Ends once the node can serve clients, with the cluster that it belongs to.
    pub fn ready(&self) -> impl Future<Output = Lineage> + use<> {
        let shared = Rc::clone(&self.shared);
        async move {
            shared.ready.reached().await;
            shared.lineage().expect("it has got a copy of its state")
        }
    }

    /// Something to stop it with.
    pub fn stopper(&self) -> Stopper {
        Stopper(Rc::clone(&self.shared))
    }

    /// Something to read the counts of the process from.
    pub fn gauges(&self) -> Gauges {
        Gauges(Rc::downgrade(&self.shared))
    }

    /// Runs until the process is stopped, or its node halts. What has been answered by then is
    /// still sent, if that takes no longer than half a second. Then all connections are closed, and
    /// what is left for the disk is written, however long that takes: nothing waits for it, but a
    /// process that comes back is further on with it. Whoever does not want to wait for that drops
    /// this.
    ///
    /// # Errors
    ///
    /// When the node halts.
    ///
    /// # Panics
    ///
    /// When a task of the process did: an invariant is broken.
    pub async fn run(mut self) -> Result<(), ServeError> {
        let Ended { result, writing } = match (&mut self.driver).await {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Ok(()),
            },
        };
        if !matches!(
            result,
            Err(Halt::Diverged { .. } | Halt::Disk { .. } | Halt::Outdated { .. })
        ) {
            self.say_goodbye().await;
        }
        // Whoever starts anew in this thread needs the address.
        self.shared.end_tasks();
        tokio::task::yield_now().await;
        if let Some(writing) = writing
            // Nothing more comes of a disk that has failed.
            && !matches!(result, Err(Halt::Disk { .. }))
        {
            writing.ended().await;
        }
        Ok(result?)
    }

    async fn say_goodbye(&self) {
        let until = Instant::now() + GOODBYE_MAX;
        let is_written = || self.shared.sessions.are_written() && self.shared.links.are_written();
        while !is_written() && Instant::now() < until {
            sleep(GOODBYE_STEP).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.driver.abort();
        self.shared.end_tasks();
    }
}

impl Stopper {
    /// Ends the process: it answers what it has answers for, and closes all connections.
    pub fn stop(&self) {
        self.0.stopping.reach();
    }

    /// Lets the node give up its place in the cluster, which takes a few seconds at most, and then
    /// ends the process.
    pub fn leave(&self) {
        self.0.inbox.push_link(Input::Leave);
    }
}

fn listen_hint(error: &io::Error) -> String {
    let what = plain(error);
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{what}; is another doozerd running? give another address with -l")
        }
        io::ErrorKind::AddrNotAvailable => format!("{what}; -l takes an address of this machine"),
        io::ErrorKind::PermissionDenied => format!("{what}; give a port above 1023 with -l"),
        _ => what,
    }
}
