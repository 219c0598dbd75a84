//! The main loop: gives the node what waits for it, in groups.

use std::rc::Rc;

use tokio::time::{Instant, sleep_until};
use tracing::{error, info};

use super::durable::{Data, Ending};
use super::gauges::Inside;
use super::net::Net;
use super::shared::Shared;
use super::world::World;
use crate::core::durable::Checkpoint;
use crate::core::env::{DiskPace, Env, Halt, Input, Time};
use crate::core::id::NodeId;
use crate::core::node::Node;

/// What the driver drives. A seam for tests of the runtime alone, and for who watches a node.
pub(crate) trait Machine: 'static {
    /// Takes one input.
    fn handle(&mut self, input: Input, env: &mut impl Env);
    /// Ends a group of inputs.
    fn flush(&mut self, env: &mut impl Env);
    /// Whether the cluster knows the node.
    fn is_ready(&self) -> bool;
    /// Whether clients can be answered.
    fn serves(&self) -> bool {
        self.is_ready()
    }
    /// How the node is, for those who watch over it; nothing if it is none.
    fn inside(&self, _now: Time, _disk: Option<DiskPace>) -> Option<Inside> {
        None
    }
    /// The latest life of a process that it has seen any command of.
    fn told_life(&self, _id: NodeId) -> u32 {
        0
    }
    /// How often the machine has got its state other than by handling inputs.
    fn installs(&self) -> u64 {
        0
    }
    /// All that it must not forget.
    fn checkpoint(&self) -> Option<Checkpoint> {
        None
    }
}

impl Machine for Node {
    fn handle(&mut self, input: Input, env: &mut impl Env) {
        Node::handle(self, input, env);
    }

    fn flush(&mut self, env: &mut impl Env) {
        Node::flush(self, env);
    }

    fn is_ready(&self) -> bool {
        Node::is_ready(self)
    }

    fn serves(&self) -> bool {
        Node::serves(self)
    }

    fn inside(&self, now: Time, disk: Option<DiskPace>) -> Option<Inside> {
        let mut load = Vec::new();
        self.load(|gauge| load.push(gauge));
        Some(Inside {
            report: self.report(now, disk),
            disk,
            counters: self.counters(),
            load,
            is_ready: self.is_ready(),
            is_member: self.is_member(),
        })
    }

    fn told_life(&self, id: NodeId) -> u32 {
        Node::told_life(self, id)
    }

    fn installs(&self) -> u64 {
        Node::installs(self)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Node::checkpoint(self)
    }
}

/// Times that a group may be flushed, each after messages of the node to itself. The protocol needs
/// a few; at the bound the rest waits for the next group, so that nobody is starved.
const FLUSHES_PER_GROUP_MAX: usize = 16;

/// The node, and what it acts on.
pub(super) struct Driver<N, M> {
    shared: Rc<Shared>,
    machine: M,
    world: World<N>,
    version: String,
    peers: Vec<Input>,
    clients: Vec<Input>,
}

/// How it came to an end that a node was driven.
pub(super) struct Ended {
    /// Whether that was as it should be.
    pub(super) result: Result<(), Halt>,
    /// What is still being written, if anything is kept on disk.
    pub(super) writing: Option<Ending>,
}

impl<N: Net, M: Machine> Driver<N, M> {
    pub(super) fn new(
        shared: Rc<Shared>,
        machine: M,
        version: String,
        entropy: u64,
        data: Option<Data>,
    ) -> Driver<N, M> {
        Driver {
            world: World::new(Rc::clone(&shared), entropy, data),
            shared,
            machine,
            version,
            peers: Vec::new(),
            clients: Vec::new(),
        }
    }

    /// Runs until the process stops, or the node halts.
    pub(super) async fn run(mut self) -> Ended {
        let result = self.drive().await;
        if result.is_ok() {
            // The process ends: to free a large tree file by file first would take seconds.
            std::mem::forget(self.machine);
        }
        let writing = self.world.end();
        Ended { result, writing }
    }

    async fn drive(&mut self) -> Result<(), Halt> {
        let mut alarm = std::pin::pin!(sleep_until(Instant::now()));
        loop {
            let is_quiet = self.turn();
            match self.world.halted() {
                None => {}
                Some(Halt::Left) => {
                    info!("{}", Halt::Left);
                    return Ok(());
                }
                Some(halt @ Halt::Recovered { .. }) => {
                    info!("{halt}");
                    return Err(halt);
                }
                Some(halt) => {
                    error!("halted: {halt}");
                    return Err(halt);
                }
            }
            if !is_quiet {
                tokio::task::yield_now().await;
                continue;
            }
            let timer = self.world.timer();
            // An alarm that comes too early is cheaper than setting it at each change.
            if let Some(at) = timer
                && (at < alarm.deadline() || alarm.is_elapsed())
            {
                alarm.as_mut().reset(at);
            }
            tokio::select! {
                biased; // the end first; then what is there, which looks at the clock as well
                () = self.shared.stopping.reached() => return Ok(()),
                () = self.shared.inbox.arrival() => {}
                () = self.world.news() => {}
                () = alarm.as_mut(), if timer.is_some() => {}
            }
        }
    }

    /// Handles everything that is there, and tells whether nothing is left.
    fn turn(&mut self) -> bool {
        self.shared.reap();
        self.world.read_clock();
        self.world.look();
        if self.world.is_timer_due() {
            self.handle(Input::Tick);
        }
        let (mut peers, mut clients) = (
            std::mem::take(&mut self.peers),
            std::mem::take(&mut self.clients),
        );
        self.shared.inbox.take(&mut peers, &mut clients);
        for input in peers.drain(..).chain(clients.drain(..)) {
            self.handle(input);
        }
        (self.peers, self.clients) = (peers, clients);
        let is_quiet = self.flush();
        self.world.write(&self.machine);
        if self.machine.serves() {
            self.shared.serving.reach();
        }
        if self.machine.is_ready() && !self.shared.ready.is_reached() {
            self.announce();
            self.shared.ready.reach();
        }
        self.tell_the_curious();
        is_quiet
    }

    fn tell_the_curious(&self) {
        for (id, wondering) in self.shared.wondering.take() {
            let _ = wondering.send(self.machine.told_life(id));
        }
        for curious in self.shared.curious.take() {
            let disk = self.world.disk_pace();
            if let Some(mut inside) = self.machine.inside(self.world.now(), disk) {
                self.world.load(|gauge| inside.load.push(gauge));
                // Who has gone does not want to know.
                let _ = curious.send(inside);
            }
        }
    }

    /// What the node says to itself comes before anything from outside.
    fn handle(&mut self, input: Input) {
        self.handle_loopback();
        self.machine.handle(input, &mut self.world);
        self.handle_loopback();
    }

    fn handle_loopback(&mut self) -> bool {
        let mut any = false;
        while let Some(message) = self.world.pop_loopback() {
            any = true;
            let from = self.shared.me.id;
            let input = Input::Peer { from, message };
            self.machine.handle(input, &mut self.world);
        }
        any
    }

    /// Lets what was collected leave, and tells whether that led to nothing more.
    fn flush(&mut self) -> bool {
        for _ in 0..FLUSHES_PER_GROUP_MAX {
            self.machine.flush(&mut self.world);
            self.world.release();
            if !self.handle_loopback() {
                return true;
            }
        }
        false
    }

    fn announce(&self) {
        let me = &self.shared.me;
        info!(
            "doozerd {} ready: cluster {:?}, id {}, listening on {}",
            self.version, me.cluster, me.id, me.addr
        );
    }
}
