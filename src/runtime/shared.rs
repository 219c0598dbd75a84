//! What all tasks of one process share. One thread runs them, so nothing is locked.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::gauges::{Inside, Traffic};
use super::inbox::Inbox;
use super::link::Links;
use super::lives::{Life, Lives};
use super::session::Sessions;
use super::signal::Milestone;
use crate::core::id::{Lineage, NodeId};
use crate::core::limits::Limits;
use crate::core::protocol::peer::handshake::{Answer, Hello, Refusal, Welcome};

/// What all tasks of one process share.
pub(super) struct Shared {
    /// Who this process is.
    pub(super) me: Welcome,
    /// Which cluster of the name it belongs to, once it knows. Never changes then.
    lineage: Cell<Option<Lineage>>,
    /// Which life of its identity this is.
    life: Life,
    /// Those of the others.
    lives: RefCell<Lives>,
    /// A later life of this identity, once another process has told of one.
    pub(super) later_life: Cell<Option<u32>>,
    /// What a peer must know to be let in.
    pub(super) secret: Vec<u8>,
    /// Bounds on clients.
    pub(super) limits: Limits,
    /// What waits for the node.
    pub(super) inbox: Inbox,
    /// Connections of clients.
    pub(super) sessions: Sessions,
    /// Connections to peers.
    pub(super) links: Links,
    /// Peers that are connected to this process.
    pub(super) callers: Cell<usize>,
    /// Connections that are not peers', as far as is known.
    pub(super) seats: Cell<usize>,
    /// Bytes of requests that have not arrived in full, of all clients.
    pub(super) unfinished: Cell<usize>,
    /// What clients have asked for so far.
    pub(super) traffic: Traffic,
    /// Who wants to be told about the node after its next turn.
    pub(super) curious: RefCell<Vec<oneshot::Sender<Inside>>>,
    /// Who wants to know what the log tells of the latest life of a process.
    pub(super) wondering: RefCell<Vec<(NodeId, oneshot::Sender<u32>)>>,
    /// The node can answer clients.
    pub(super) serving: Milestone,
    /// The cluster knows the node.
    pub(super) ready: Milestone,
    /// The process is about to end.
    pub(super) stopping: Milestone,
    /// For lines about peers that are not let in.
    pub(super) turned_away_lines: RefCell<Throttle>,
    jitter: RefCell<ChaCha8Rng>,
    tasks: RefCell<JoinSet<()>>,
}

/// The stream of random values for delays; the node has stream 0 of the same seed.
const JITTER_STREAM: u64 = 1;

/// The stream of the number that tells this life from others.
const LIFE_STREAM: u64 = 2;

impl Shared {
    pub(super) fn new(
        me: Welcome,
        boot: u32,
        secret: Vec<u8>,
        limits: Limits,
        entropy: u64,
    ) -> Shared {
        let mut jitter = ChaCha8Rng::seed_from_u64(entropy);
        let mut life = jitter.clone();
        jitter.set_stream(JITTER_STREAM);
        life.set_stream(LIFE_STREAM);
        let token = life.next_u64();
        Shared {
            lineage: Cell::new(me.lineage),
            me,
            life: Life { boot, token },
            lives: RefCell::default(),
            later_life: Cell::new(None),
            secret,
            limits,
            inbox: Inbox::default(),
            sessions: Sessions::default(),
            links: Links::default(),
            callers: Cell::new(0),
            seats: Cell::new(0),
            unfinished: Cell::new(0),
            traffic: Traffic::default(),
            curious: RefCell::default(),
            wondering: RefCell::default(),
            serving: Milestone::default(),
            ready: Milestone::default(),
            stopping: Milestone::default(),
            turned_away_lines: RefCell::default(),
            jitter: RefCell::new(jitter),
            tasks: RefCell::new(JoinSet::new()),
        }
    }

    /// What this process says first to a peer.
    pub(super) fn hello(&self, expect: Option<NodeId>) -> Hello {
        Hello {
            cluster: self.me.cluster.clone(),
            id: self.me.id,
            addr: self.me.addr.clone(),
            boot: self.life.boot,
            life: self.life.token,
            secret: self.secret.clone(),
            expect,
            lineage: self.lineage.get(),
        }
    }

    /// What this process says to whoever dials it; `told` is the latest life of the dialer that the
    /// log tells of.
    pub(super) fn judge(&self, hello: &Hello, told: u32) -> Answer {
        let me = Welcome {
            lineage: self.lineage.get(),
            ..self.me.clone()
        };
        let life = Life {
            boot: hello.boot,
            token: hello.life,
        };
        let answer = me.judge(&self.secret, hello);
        let later = match &answer {
            Answer::Refused(Refusal::Yourself) => {
                let is_copy = life != self.life && life.boot <= self.life.boot;
                is_copy.then_some(self.life.boot)
            }
            Answer::Welcome(_) => self.lives.borrow_mut().meet(hello.id, life, told).err(),
            Answer::Refused(_) => None,
        };
        later.map_or(answer, |boot| Answer::Refused(Refusal::Outdated { boot }))
    }

    /// The latest life of a process that the log tells of.
    pub(super) async fn told_life(&self, id: NodeId) -> u32 {
        let (wondering, told) = oneshot::channel();
        self.wondering.borrow_mut().push((id, wondering));
        self.inbox.nudge();
        // Where the node has ended, so does this process.
        told.await.unwrap_or_default()
    }

    /// This process has heard that it has lived later.
    pub(super) fn is_outdated(&self, boot: u32) {
        self.later_life.set(Some(boot));
        self.inbox.nudge();
    }

    /// Which cluster this process belongs to.
    pub(super) fn lineage(&self) -> Option<Lineage> {
        self.lineage.get()
    }

    /// Whether another process belongs to the same cluster. A process that has none so far belongs
    /// to the first that it hears of.
    pub(super) fn shares(&self, lineage: Option<Lineage>) -> bool {
        let ours = self.lineage.get().or(lineage);
        self.lineage.set(ours);
        lineage.is_none() || lineage == ours
    }

    /// Starts a task that ends with the process at the latest.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn_local(task);
    }

    /// Forgets tasks that have ended. The panic of one is the panic of all: it is a mistake of
    /// ours, and nobody knows what else it has left half done.
    pub(super) fn reap(&self) {
        while let Some(ended) = self.tasks.borrow_mut().try_join_next() {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// Tasks that have not ended, or whose end has not been noticed.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Ends all tasks, and with them all connections.
    pub(super) fn end_tasks(&self) {
        drop(self.tasks.take());
    }

    /// Between one half of `span` and all of it, so that processes that lost each other at the
    /// same moment don't come back at the same moment.
    pub(super) fn jittered(&self, span: Duration) -> Duration {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(2);
        let random = self.jitter.borrow_mut().next_u64();
        Duration::from_micros(micros / 2 + random % (micros / 2 + 1))
    }
}

/// One more in a count for as long as it lives.
pub(super) struct Counted<F: Fn(&Shared) -> &Cell<usize>> {
    shared: Rc<Shared>,
    count: F,
}

impl<F: Fn(&Shared) -> &Cell<usize>> Counted<F> {
    pub(super) fn new(shared: &Rc<Shared>, count: F) -> Counted<F> {
        let cell = count(shared);
        cell.set(cell.get() + 1);
        Counted {
            shared: Rc::clone(shared),
            count,
        }
    }
}

impl<F: Fn(&Shared) -> &Cell<usize>> Drop for Counted<F> {
    fn drop(&mut self) {
        let cell = (self.count)(&self.shared);
        cell.set(cell.get() - 1);
    }
}

/// Lets one log line of a kind through in a while, so that a flood of causes is no flood of lines.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    held_back: u64,
}

/// The while.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Throttle {
    /// Whether to log, and how many lines have been held back since the last.
    pub(super) fn pass(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.held_back))
    }
}
