//! Counts of a running process, for whoever watches it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Weak;

use tokio::sync::oneshot;

use super::shared::Shared;
use crate::core::env::DiskPace;
use crate::core::id::NodeId;
use crate::core::limits::Gauge;
use crate::core::node::Counters;
use crate::core::protocol::client::{ErrorCode, Report};

/// How a node is, as it sees itself.
#[derive(Clone, Debug)]
pub struct Inside {
    /// What it knows of itself and of the others.
    pub report: Report,
    /// What it has done.
    pub counters: Counters,
    /// What it holds in memory, against its bounds.
    pub load: Vec<Gauge>,
    /// How its log on disk is doing; nothing if it has none.
    pub disk: Option<DiskPace>,
    /// Whether clients can be served.
    pub is_ready: bool,
    /// Whether it votes and takes writes.
    pub is_member: bool,
}

/// How a process is: its node, and what surrounds it.
#[derive(Clone, Debug)]
pub struct Measures {
    /// The node.
    pub inside: Inside,
    /// Connections of clients, and those that have not said what they are.
    pub connections: usize,
    /// Connections that peers have dialed.
    pub callers: usize,
    /// Peers that the process keeps a connection to, or tries to.
    pub links: usize,
    /// Tasks of the process.
    pub tasks: usize,
    /// Requests of clients so far.
    pub requests: u64,
    /// Bytes of these.
    pub request_bytes: u64,
    /// Bytes of the answers.
    pub answer_bytes: u64,
    /// Bytes of messages of peers.
    pub peer_bytes_in: u64,
    /// Bytes of messages to peers, those included that were lost with a connection.
    pub peer_bytes_out: u64,
    /// Requests that were refused so far, by the name of the error.
    pub refused: BTreeMap<String, u64>,
}

/// What clients have asked for so far.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    requests: Cell<u64>,
    bytes: Cell<u64>,
    answer_bytes: Cell<u64>,
    peer_bytes_in: Cell<u64>,
    peer_bytes_out: Cell<u64>,
    refused: RefCell<BTreeMap<String, u64>>,
}

impl Traffic {
    /// Counts a request.
    pub(super) fn request(&self, bytes: usize) {
        add(&self.requests, 1);
        add(&self.bytes, bytes);
    }

    /// Counts bytes of answers.
    pub(super) fn answer(&self, bytes: usize) {
        add(&self.answer_bytes, bytes);
    }

    /// Counts bytes that a peer has sent.
    pub(super) fn peer_in(&self, bytes: usize) {
        add(&self.peer_bytes_in, bytes);
    }

    /// Counts bytes that a peer is sent.
    pub(super) fn peer_out(&self, bytes: usize) {
        add(&self.peer_bytes_out, bytes);
    }

    /// Counts an answer that is a refusal.
    pub(super) fn refuse(&self, code: ErrorCode) {
        let mut refused = self.refused.borrow_mut();
        *refused.entry(code.to_string()).or_default() += 1;
    }
}

fn add(count: &Cell<u64>, more: usize) {
    count.set(count.get() + more as u64);
}

/// Counts of a process. All are zero once it has ended.
#[derive(Clone, Default)]
pub struct Gauges(pub(super) Weak<Shared>);

impl Gauges {
    /// Tasks that have not ended, or whose end has not been noticed.
    pub fn tasks(&self) -> usize {
        self.read(|shared| shared.tasks())
    }

    /// Connections that are not peers', as far as is known: clients, and those that have not said
    /// what they are.
    pub fn seats(&self) -> usize {
        self.read(|shared| shared.seats.get())
    }

    /// Connections of clients that the node has been told of and that have not ended.
    pub fn sessions(&self) -> usize {
        self.read(|shared| shared.sessions.count())
    }

    /// Connections that peers have dialed.
    pub fn callers(&self) -> usize {
        self.read(|shared| shared.callers.get())
    }

    /// Peers that the process keeps a connection to, or tries to.
    pub fn links(&self) -> usize {
        self.read(|shared| shared.links.count())
    }

    /// Whether messages to this peer can leave.
    pub fn is_linked(&self, peer: NodeId) -> bool {
        let shared = self.0.upgrade();
        shared.is_some_and(|shared| shared.links.up(peer).is_some())
    }

    /// How the process is, after the turn that its node is having or has next. Nothing if it has
    /// ended, or ends before.
    pub async fn measure(&self) -> Option<Measures> {
        let (curious, told) = oneshot::channel();
        {
            let shared = self.0.upgrade()?;
            shared.curious.borrow_mut().push(curious);
            shared.inbox.nudge();
        }
        let inside = told.await.ok()?;
        let shared = self.0.upgrade()?;
        let traffic = &shared.traffic;
        let refused = traffic.refused.borrow().clone();
        Some(Measures {
            inside,
            connections: shared.seats.get(),
            callers: shared.callers.get(),
            links: shared.links.count(),
            tasks: shared.tasks(),
            requests: traffic.requests.get(),
            request_bytes: traffic.bytes.get(),
            answer_bytes: traffic.answer_bytes.get(),
            peer_bytes_in: traffic.peer_bytes_in.get(),
            peer_bytes_out: traffic.peer_bytes_out.get(),
            refused,
        })
    }

    fn read(&self, count: impl FnOnce(&Shared) -> usize) -> usize {
        self.0.upgrade().map_or(0, |shared| count(&shared))
    }
}
