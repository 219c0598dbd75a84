//! Processes: the real server on a host of the simulation, one life after the other.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::net::{TurmoilNet, place_of};
use super::stage::Stage;
use crate::core::env::{Env, Input, Time};
use crate::core::id::NodeId;
use crate::core::limits::Limits;
use crate::core::node::{Config, Node, Start};
use crate::runtime::{Gauges, Machine, Options, ServeError, Server};
use crate::sim::chance::What;
use crate::sim::check::Violation;
use crate::sim::check::{bounds, revisions};
use crate::sim::machine::Machine as _;
use crate::sim::process::Pid;
use crate::sim::trace::{Kind, digest};

/// Nodes don't stop by themselves.
const NO_HALT: &str = "no node halts";

/// How long a process that found no cluster stays away before it is started again.
const RESTART: Duration = Duration::from_millis(500);

/// Groups of inputs that a node may handle without time going on, far above what one tick brings.
/// Beyond it, it asks to be woken at a time that has come and then does nothing about it.
const GROUPS_AT_ONCE_MAX: u32 = 20_000;

/// Silence after which a member is evicted, where nodes do that.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A process that lives or lived.
pub(super) struct Process {
    /// Its host, in the order of [`Stage::addrs`].
    pub(super) host: usize,
    pub(super) id: NodeId,
    /// What it remembers; `None` once it is dead.
    pub(super) node: Option<Rc<RefCell<Node>>>,
    /// Counts of its runtime, once that has started.
    pub(super) gauges: Gauges,
    /// When it was told to stop, and when it did.
    pub(super) stopped: (Option<Time>, Option<Time>),
    pub(super) orders: UnboundedSender<Order>,
}

/// What the driver tells a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Stop as at SIGTERM.
    Stop,
    /// End at once, as at SIGKILL. The machine lives on, and closes what was open.
    Kill,
    /// Start another process.
    Start,
}

impl Stage {
    /// The processes that live.
    pub(super) fn alive(&self) -> Vec<Pid> {
        let processes = self.processes.borrow();
        let all = processes.iter().enumerate();
        all.filter_map(|(pid, one)| one.node.is_some().then_some(pid))
            .collect()
    }

    /// Whether a process with this id lives.
    pub(super) fn is_alive(&self, id: &[u8]) -> bool {
        let processes = self.processes.borrow();
        let mut alive = processes.iter().filter(|one| one.node.is_some());
        alive.any(|one| one.id.to_string().as_bytes() == id)
    }

    /// Whether a process listens at this address: it lives, and its runtime has started.
    pub(super) fn is_listening(&self, addr: &str) -> bool {
        let addrs = self.addrs.borrow();
        let host = addrs.iter().position(|known| known.to_string() == addr);
        let processes = self.processes.borrow();
        let mut alive = processes.iter().filter(|one| one.node.is_some());
        alive.any(|one| Some(one.host) == host && one.gauges.tasks() > 0)
    }

    /// Tells the latest process of a host something.
    pub(super) fn order(&self, host: usize, order: Order) {
        let mut processes = self.processes.borrow_mut();
        let now = self.now();
        let latest = processes.iter_mut().rev().find(|one| one.host == host);
        let process = latest.expect("every host has had a process");
        if order == Order::Stop && process.node.is_some() {
            process.stopped.0 = Some(now);
        }
        process
            .orders
            .send(order)
            .expect("a host listens while it runs");
    }

    /// Notes that a process is no more.
    pub(super) fn bury(&self, pid: Pid) {
        let node = self.processes.borrow_mut()[pid].node.take();
        if node.is_some() {
            self.stats.borrow_mut().crashes += 1;
            let host = self.processes.borrow()[pid].host;
            self.add(self.place(host), Kind::Fault, pid as u64, || {
                format!("process {pid} ends")
            });
        }
    }

    /// The number of a host in the trace.
    pub(super) fn place(&self, host: usize) -> usize {
        place_of(self.addrs.borrow()[host])
    }

    fn give_birth(&self, host: usize) -> (Pid, Options, UnboundedReceiver<Order>) {
        let pid = self.processes.borrow().len();
        let mut dice = self.chance.dice(What::Identity, pid as u64);
        let id = NodeId::from_random(dice.draw(), dice.draw());
        let others = self.addrs.borrow();
        let others = others.iter().enumerate().filter(|(nth, _)| *nth != host);
        let attach: Vec<String> = others.map(|(_, addr)| addr.to_string()).collect();
        let cluster = "local".to_owned();
        let is_founder = pid == 0;
        let start = if is_founder {
            Start::Found {
                cluster: cluster.clone(),
            }
        } else {
            Start::Join
        };
        let params = &self.params;
        let options = Options {
            node: Config {
                id,
                boot: 0,
                addr: self.addrs.borrow()[host].to_string(),
                web: String::new(),
                hostname: format!("host{host}"),
                version: "sim".to_owned(),
                start,
                rw_secret: Vec::new(),
                ro_secret: Vec::new(),
                pulse: params.pulse,
                timeout: TIMEOUT,
                // The checkers want all of it.
                history_revs: 1 << 40,
                history_bytes: 1 << 40,
                durable: false,
                local_reads: false,
                request_timeout: params.request_timeout,
                limits: Limits::default(),
                tuning: params.tuning,
            },
            cluster,
            listen: self.addrs.borrow()[host],
            advertise: None,
            attach: if is_founder { Vec::new() } else { attach },
            entropy: self.chance.dice(What::Node, pid as u64).draw(),
            data: None,
        };
        let node = Rc::new(RefCell::new(Node::new(options.node.clone())));
        let (orders, inbox) = unbounded_channel();
        self.processes.borrow_mut().push(Process {
            host,
            id,
            node: Some(node),
            gauges: Gauges::default(),
            stopped: (None, None),
            orders,
        });
        self.add(self.place(host), Kind::Run, pid as u64, || {
            format!("process {pid} starts as {id}")
        });
        (pid, options, inbox)
    }

    /// Looks at the state of a node after a group of inputs.
    fn look_at(&self, pid: Pid, node: &Node) {
        let Some(view) = node.view() else { return };
        let (id, host) = {
            let process = &self.processes.borrow()[pid];
            (process.id, process.host)
        };
        let content = view.applied.0 ^ digest(&view.digest.0.to_be_bytes());
        self.add(self.place(host), Kind::State, content, || {
            format!("has applied slot {}, rev {}", view.applied, view.rev)
        });
        let before = self.shown.borrow_mut().insert(id, view);
        let judged = bounds::check(id, node)
            .and_then(|()| self.agreement.borrow_mut().check(id, &view))
            .and_then(|()| revisions::check_node(id, before.as_ref(), &view));
        if let Err(violation) = judged {
            self.accuse(violation);
        }
    }
}

/// The node of a process, which others can look at. It remembers nothing itself, so that the
/// memory of a process ends when it is buried.
struct Watched {
    stage: Weak<Stage>,
    pid: Pid,
    node: Weak<RefCell<Node>>,
    has_changed: bool,
    /// Groups handled at one time.
    groups: (Time, u32),
}

impl Watched {
    fn node(&self) -> Rc<RefCell<Node>> {
        self.node.upgrade().expect("only who lives is asked")
    }
}

impl Machine for Watched {
    fn handle(&mut self, input: Input, env: &mut impl Env) {
        let node = self.node();
        let mut node = node.borrow_mut();
        let before = node.applied();
        node.handle(input, env);
        self.has_changed |= node.applied() != before;
    }

    fn flush(&mut self, env: &mut impl Env) {
        let node = self.node();
        let mut node = node.borrow_mut();
        let before = node.applied();
        node.flush(env);
        let (at, count) = self.groups;
        self.groups = (env.now(), if at == env.now() { count + 1 } else { 0 });
        assert!(count < GROUPS_AT_ONCE_MAX, "the node wakes up for nothing");
        self.has_changed |= node.applied() != before;
        if std::mem::take(&mut self.has_changed)
            && let Some(stage) = self.stage.upgrade()
        {
            stage.look_at(self.pid, &node);
        }
    }

    fn is_ready(&self) -> bool {
        self.node().borrow().is_ready()
    }

    fn serves(&self) -> bool {
        self.node().borrow().serves()
    }
}

/// What runs on the host of a node, for as long as the machine runs.
pub(super) async fn live_on(stage: Rc<Stage>, host: usize) -> ::turmoil::Result {
    loop {
        let (pid, options, mut orders) = stage.give_birth(host);
        let ended = live(&stage, pid, options, &mut orders).await;
        stage.bury(pid);
        let wait_for_start = async { while orders.recv().await != Some(Order::Start) {} };
        match ended {
            Some(Err(ServeError::Attach(_))) => {
                let _ = timeout(RESTART, wait_for_start).await;
            }
            Some(Err(error)) => {
                let detail = format!("process {pid}: {error}");
                stage.accuse(Violation::new(NO_HALT, detail));
                wait_for_start.await;
            }
            Some(Ok(())) => {
                stage.processes.borrow_mut()[pid].stopped.1 = Some(stage.now());
                wait_for_start.await;
            }
            None => wait_for_start.await,
        }
    }
}

/// One life of a process. `None` when it was killed.
async fn live(
    stage: &Rc<Stage>,
    pid: Pid,
    options: Options,
    orders: &mut UnboundedReceiver<Order>,
) -> Option<Result<(), ServeError>> {
    let node = stage.processes.borrow()[pid].node.clone()?;
    let watched = Watched {
        stage: Rc::downgrade(stage),
        pid,
        node: Rc::downgrade(&node),
        has_changed: false,
        groups: (Time::default(), 0),
    };
    drop(node);
    let start = Server::start_machine::<TurmoilNet, _>(options, |_| watched);
    let started = tokio::select! {
        biased; // an end first
        _ = orders.recv() => return None,
        started = start => started,
    };
    let server = match started {
        Ok(server) => server,
        Err(error) => return Some(Err(error)),
    };
    let stopper = server.stopper();
    stage.processes.borrow_mut()[pid].gauges = server.gauges();
    let mut run = std::pin::pin!(server.run());
    loop {
        tokio::select! {
            biased; // an end first
            ended = run.as_mut() => return Some(ended),
            order = orders.recv() => match order {
                Some(Order::Stop) => stopper.stop(),
                Some(Order::Kill) | None => return None,
                Some(Order::Start) => {}
            }
        }
    }
}
