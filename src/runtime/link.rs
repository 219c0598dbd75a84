//! Connections to peers, which carry messages away from this process.
//!
//! Each process dials every other that it is told of and sends only on the connections that it
//! dialed; what it receives comes on connections that others dialed. A task for each peer keeps
//! its connection up, and ends when the peer is forgotten.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::gauges::Traffic;
use super::greet::{Connection, DialError, dial};
use super::net::Net;
use super::outbox::Outbox;
use super::shared::Shared;
use super::signal::Signal;
use crate::core::env::Input;
use crate::core::id::NodeId;
use crate::core::protocol::peer;
use crate::core::protocol::peer::handshake::{Refusal, Welcome};

/// The first pause between attempts, which doubles.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest pause: how long a peer that is back may stay unnoticed, unless it dials first.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Processes that are dialed although the node has not named them: those that said hello, and
/// those that were given at the start. Beyond it callers are heard but not answered.
const UNNAMED_MAX: usize = 64;

/// Attempts to reach a process that the node has not named.
const UNNAMED_ATTEMPTS_MAX: u32 = 5;

/// How long a peer may take none of what is written to it.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A dialer that has had no message to send for this long sends an empty frame, and who is dialed
/// sends a zero byte this often, so that both can tell silence from a broken path.
pub(super) const KEEPALIVE_EVERY: Duration = Duration::from_secs(1);

/// How long the other side may be silent before the connection is given up. TCP alone would try
/// for many minutes, and, after a path has come back, wait up to two before it tries again.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// All peers that this process has an address of.
#[derive(Debug, Default)]
pub(super) struct Links {
    table: RefCell<BTreeMap<NodeId, Rc<Link>>>,
}

/// The connection to one peer, or the attempt to get one.
#[derive(Debug)]
pub(super) struct Link {
    peer: NodeId,
    addr: RefCell<String>,
    /// The node has named it.
    is_named: Cell<bool>,
    is_up: Cell<bool>,
    is_forgotten: Cell<bool>,
    outbox: RefCell<Outbox>,
    /// Messages lost since the connection came up, as the outbox was full.
    lost: Cell<u64>,
    /// For the task: look again.
    changed: Signal,
}

impl Links {
    /// The connection to `peer`, if there is one.
    pub(super) fn up(&self, peer: NodeId) -> Option<Rc<Link>> {
        let table = self.table.borrow();
        table.get(&peer).filter(|link| link.is_up.get()).cloned()
    }

    /// Peers that a connection is kept to, or tried.
    pub(super) fn count(&self) -> usize {
        self.table.borrow().len()
    }

    /// Whether any peer can be spoken to.
    pub(super) fn is_any_up(&self) -> bool {
        self.table.borrow().values().any(|link| link.is_up.get())
    }

    /// Whether every message has been handed to the network.
    pub(super) fn are_written(&self) -> bool {
        let table = self.table.borrow();
        table
            .values()
            .all(|link| !link.is_up.get() || !link.outbox.borrow().has_remaining())
    }

    /// Keeps a connection to a process that the node names, or forgets it.
    pub(super) fn locate<N: Net>(shared: &Rc<Shared>, peer: NodeId, addr: Option<&str>) {
        if peer == shared.me.id {
            return;
        }
        let known = shared.links.table.borrow().get(&peer).cloned();
        match (known, addr) {
            (Some(link), Some(addr)) => {
                link.is_named.set(true);
                link.move_to(addr);
            }
            (None, Some(addr)) => Links::add::<N>(shared, peer, addr, true, None),
            (Some(link), None) => {
                shared.links.table.borrow_mut().remove(&peer);
                link.is_forgotten.set(true);
                link.changed.raise();
            }
            (None, None) => {}
        }
    }

    /// Dials a process that said hello, so that what it says can be answered, where it says that it
    /// is now: its life is the latest that anybody knows of. Returns the connection or attempt,
    /// unless there are too many.
    pub(super) fn heard<N: Net>(shared: &Rc<Shared>, peer: NodeId, addr: &str) -> Option<Rc<Link>> {
        let known = shared.links.table.borrow().get(&peer).cloned();
        match known {
            // It is alive: what pause there may be has lost its reason. A connection that still
            // stands may be to where it was in the life before.
            Some(link) => {
                link.move_to(addr);
                link.changed.raise();
            }
            None if shared.links.has_room() => Links::add::<N>(shared, peer, addr, false, None),
            None => warn!("not dialing {peer} at {addr} back: too many unknown processes call"),
        }
        shared.links.table.borrow().get(&peer).cloned()
    }

    /// Takes over a connection to a process that was reached by another address than its own.
    pub(super) fn adopt<N: Net>(shared: &Rc<Shared>, via: &str, connection: Connection<N>) {
        let Welcome { id, .. } = connection.welcome;
        let known = shared.links.table.borrow().get(&id).cloned();
        match known {
            Some(link) if link.is_up.get() => {}
            Some(link) => {
                link.move_to(via);
                link.changed.raise();
            }
            None => Links::add::<N>(shared, id, via, false, Some(connection)),
        }
    }

    fn has_room(&self) -> bool {
        let table = self.table.borrow();
        table.values().filter(|link| !link.is_named.get()).count() < UNNAMED_MAX
    }

    fn add<N: Net>(
        shared: &Rc<Shared>,
        peer: NodeId,
        addr: &str,
        is_named: bool,
        connection: Option<Connection<N>>,
    ) {
        assert!(peer != shared.me.id, "nobody dials itself");
        let link = Rc::new(Link {
            peer,
            addr: RefCell::new(addr.into()),
            is_named: Cell::new(is_named),
            is_up: Cell::new(false),
            is_forgotten: Cell::new(false),
            outbox: RefCell::default(),
            lost: Cell::new(0),
            changed: Signal::default(),
        });
        let before = shared
            .links
            .table
            .borrow_mut()
            .insert(peer, Rc::clone(&link));
        assert!(before.is_none(), "one link for each peer");
        shared.spawn(keep_up::<N>(Rc::clone(shared), link, connection));
    }
}

impl Link {
    /// Appends a copy of a frame to what is sent next.
    pub(super) fn send_copy(&self, frame: &[u8]) {
        let is_taken = self.outbox.borrow_mut().push_copy(frame);
        self.sent(is_taken);
    }

    /// Appends a frame that several links share to what is sent next.
    pub(super) fn send_shared(&self, frame: &Bytes) {
        let is_taken = self.outbox.borrow_mut().push_shared(frame);
        self.sent(is_taken);
    }

    fn sent(&self, is_taken: bool) {
        self.changed.raise();
        if !is_taken && self.lost.replace(self.lost.get() + 1) == 0 {
            warn!("{self}: takes messages too slowly; dropping what does not fit");
        }
    }

    /// Whether the node has nothing more to say to this peer.
    pub(super) fn is_forgotten(&self) -> bool {
        self.is_forgotten.get()
    }

    fn move_to(&self, addr: &str) {
        if *self.addr.borrow() != addr {
            *self.addr.borrow_mut() = addr.into();
        }
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} at {}", self.peer, self.addr.borrow())
    }
}

/// Keeps a connection to a peer until it is forgotten.
async fn keep_up<N: Net>(
    shared: Rc<Shared>,
    link: Rc<Link>,
    mut connection: Option<Connection<N>>,
) {
    let mut failures: u32 = 0;
    let mut is_told_final = false;
    while !link.is_forgotten.get() {
        let attempt = match connection.take() {
            Some(connection) => Ok(connection),
            None => {
                let addr = link.addr.borrow().clone();
                dial::<N>(&shared, addr, Some(link.peer)).await
            }
        };
        match attempt {
            Ok(connection) => {
                let since = Instant::now();
                run(&shared, &link, connection).await;
                let has_held = since.elapsed() > PAUSE_MAX;
                failures = if has_held { 0 } else { failures + 1 };
            }
            Err(error) => {
                failures += 1;
                // That nothing will help is worth a line after others, too.
                let is_news = error.is_final() && !std::mem::replace(&mut is_told_final, true);
                if failures == 1 || is_news {
                    report(&link, &error);
                }
                if failures == 1 {
                    let peer = link.peer;
                    shared.inbox.push_link(Input::Unlinked { peer });
                }
                if matches!(error, DialError::Refused(Refusal::Yourself)) {
                    break;
                }
            }
        }
        if !link.is_named.get() && failures >= UNNAMED_ATTEMPTS_MAX {
            break;
        }
        let doubled = PAUSE_MIN.saturating_mul(1 << failures.min(16));
        tokio::select! {
            biased; // a change makes the pause pointless
            () = link.changed.taken() => {}
            () = sleep(shared.jittered(doubled.min(PAUSE_MAX))) => {}
        }
    }
    if !link.is_forgotten.get() {
        shared.links.table.borrow_mut().remove(&link.peer);
    }
}

fn report(link: &Link, error: &DialError) {
    if error.is_final() {
        warn!("cannot connect to {link}: {error}");
    } else {
        info!("still trying to connect to {link}: {error}");
    }
}

/// Uses a connection until it breaks.
async fn run<N: Net>(shared: &Rc<Shared>, link: &Link, connection: Connection<N>) {
    let Connection {
        mut reader,
        mut writer,
        welcome,
    } = connection;
    let peer = link.peer;
    link.outbox.borrow_mut().clear();
    link.lost.set(0);
    link.is_up.set(true);
    shared.inbox.push_link(Input::Linked {
        peer,
        addr: welcome.addr,
    });
    debug!("connected to {link}");
    let error = tokio::select! {
        biased; // an end first: writing after it would fail
        error = listen(&mut reader) => Some(error),
        written = write(link, &mut writer, &shared.traffic) => written.err(),
    };
    link.is_up.set(false);
    shared.inbox.push_link(Input::Unlinked { peer });
    if let Some(error) = error {
        info!("lost the connection to {link}: {error}");
    }
    if link.lost.get() > 0 {
        warn!("{link}: {} messages were dropped", link.lost.get());
    }
}

/// Hears the other side's signs of life until they end.
async fn listen(reader: &mut (impl AsyncRead + Unpin)) -> io::Error {
    let mut bytes = [0; 64];
    loop {
        match timeout(SILENCE_MAX, reader.read(&mut bytes)).await {
            Err(_) => return io::Error::new(io::ErrorKind::TimedOut, "it has been silent"),
            Ok(Err(error)) => return error,
            Ok(Ok(0)) => return io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up"),
            Ok(Ok(_)) => {}
        }
    }
}

/// Writes messages until the peer is forgotten.
async fn write(
    link: &Link,
    writer: &mut (impl AsyncWrite + Unpin),
    traffic: &Traffic,
) -> io::Result<()> {
    let mut batch = Outbox::default();
    let mut keepalive = std::pin::pin!(sleep(KEEPALIVE_EVERY));
    let mut last_write = Instant::now();
    while !link.is_forgotten.get() {
        link.outbox.borrow_mut().drain_into(&mut batch);
        if batch.has_remaining() {
            traffic.peer_out(batch.remaining());
            // A deadline for each bit of progress: a large batch may take its time.
            while batch.has_remaining() {
                timeout(WRITE_MAX, writer.write_buf(&mut batch)).await??;
            }
            last_write = Instant::now();
            continue;
        }
        tokio::select! {
            biased; // a message makes the empty frame pointless
            () = link.changed.taken() => {}
            () = keepalive.as_mut() => {
                if last_write.elapsed() >= KEEPALIVE_EVERY {
                    link.outbox.borrow_mut().push_copy(&peer::header(&[]));
                    last_write = Instant::now();
                }
                keepalive.as_mut().reset(last_write + KEEPALIVE_EVERY);
            }
        }
    }
    Ok(())
}
