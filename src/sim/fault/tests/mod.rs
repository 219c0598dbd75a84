//! Each fault does what it says, on processes that only listen.

mod clients;
mod links;
mod operators;
mod processes;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::core::consensus::Slot;
use crate::core::durable::{Checkpoint, Record};
use crate::core::env::{Env, Input, Time};
use crate::core::id::NodeId;
use crate::core::node::{Config, Node};
use crate::core::protocol::client::Response;
use crate::core::protocol::peer::Message;
use crate::core::state::{State, StateExport};
use crate::core::store::HistoryLimits;
use crate::sim::disk::Manner;
use crate::sim::fault::Fault;
use crate::sim::machine::{Machine, View};
use crate::sim::params::micros;
use crate::sim::process::{Outgoing, Pid};
use crate::sim::setup::Setup;
use crate::sim::world::{Happening, World};

/// How long connections take to be made at the beginning.
const SETTLING: Duration = Duration::from_secs(2);
/// How long every message travels, in microseconds.
const DELAY_US: u64 = 1_000;

/// What all listeners have heard, with the time on the clock of whoever heard it.
type Log = Rc<RefCell<Vec<(NodeId, Time, Input)>>>;

/// What listeners share.
#[derive(Clone, Default)]
struct Shared {
    log: Log,
    ids: Rc<RefCell<Vec<NodeId>>>,
}

/// A process that notes what it hears. Each request of a client makes it write a record and then
/// send one message to each process that it is connected to, one by one, and answer.
struct Listener {
    shared: Shared,
    id: NodeId,
    links: Vec<NodeId>,
    /// The rounds that it has recorded: none comes twice.
    rounds: u32,
}

impl Machine for Listener {
    type Shared = Shared;

    fn new(config: Config, shared: &Shared) -> Listener {
        shared.ids.borrow_mut().push(config.id);
        Listener {
            shared: shared.clone(),
            id: config.id,
            links: Vec::new(),
            rounds: 0,
        }
    }

    fn handle(&mut self, input: Input, env: &mut impl Env) {
        let heard = (self.id, env.now(), input.clone());
        self.shared.log.borrow_mut().push(heard);
        match input {
            Input::Linked { peer, addr } => {
                env.locate(peer, Some(&addr));
                self.links.push(peer);
            }
            Input::Unlinked { peer } => self.links.retain(|one| *one != peer),
            Input::Client { session, request } => {
                self.rounds += 1;
                env.record(Record::Round { round: self.rounds });
                for peer in &self.links {
                    env.send(&[*peer], message(0), None);
                }
                env.reply(session, Response::to(request.tag));
            }
            _ => {}
        }
    }

    fn flush(&mut self, _env: &mut impl Env) {}

    fn is_ready(&self) -> bool {
        true
    }

    fn view(&self) -> Option<View> {
        None
    }

    fn node(&self) -> Option<&Node> {
        None
    }

    /// One configuration of all that ever started.
    fn member_sets(&self) -> Vec<Vec<NodeId>> {
        vec![self.shared.ids.borrow().clone()]
    }

    /// With a disk it begins as a node does that founds a cluster.
    fn installs(&self) -> u64 {
        1
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let history = HistoryLimits { revs: 1, bytes: 1 };
        let state = State::founded_by(self.id, 2, history);
        Some(Checkpoint {
            lineage: state.lineage(),
            state: StateExport::new(&state),
            memory: Vec::new(),
        })
    }

    fn seats(&self) -> Vec<(u64, Option<NodeId>)> {
        Vec::new()
    }

    fn file(&self, _path: &str) -> Option<Bytes> {
        None
    }
}

fn message(number: u64) -> Message {
    Message::Ask { from: Slot(number) }
}

/// Listeners on a network on which nothing goes wrong by itself, all connected.
struct Scene {
    world: World<Listener>,
    log: Log,
}

impl Scene {
    fn new(hosts: usize) -> Scene {
        Scene::with(hosts, Manner::AtOnce)
    }

    fn with(hosts: usize, disk: Manner) -> Scene {
        let shared = Shared::default();
        let log = Rc::clone(&shared.log);
        let mut world = World::new(&Setup::calm(1), shared, None);
        let params = &mut world.params;
        params.group = Duration::ZERO;
        params.compute = micros(10);
        params.disk = disk;
        params.drift_ppm = 0;
        params.clock_offsets = false;
        params.patience = Duration::from_secs(10);
        params.unsent_soft = 1 << 20;
        params.unsent_hard = 256 << 20;
        let net = &mut world.net.params;
        net.delay_min = micros(DELAY_US);
        net.delay_spread = Duration::ZERO;
        (net.loss_ppm, net.duplicate_ppm, net.tail_ppm) = (0, 0, 0);
        (net.bandwidth, net.half_open_ppm) = (0, 0);
        net.decode_every = 1;
        net.keepalive = micros(500_000);
        for _ in 0..hosts {
            let host = world.add_host();
            let from = world.start(host);
            // It is told only some of those who are there already.
            for host in 0..host {
                world.queue.push(world.now, Happening::Dial { from, host });
            }
        }
        let mut scene = Scene { world, log };
        scene.run(SETTLING);
        scene
    }

    fn run(&mut self, span: Duration) {
        let until = self.world.now + span;
        self.world.run_until(until);
        assert_eq!(self.world.violation, None);
    }

    fn run_us(&mut self, span_us: u64) {
        self.run(micros(span_us));
    }

    fn inflict(&mut self, fault: Fault) {
        let text = serde_json::to_string(&fault).expect("a fault can be written");
        let read: Fault = serde_json::from_str(&text).expect("a fault can be read");
        assert_eq!(read, fault);
        self.world.inflict(fault);
    }

    fn say(&mut self, from: Pid, to: Pid, number: u64) {
        let outgoing = Outgoing {
            to: vec![self.world.processes[to].id],
            message: message(number),
        };
        let now = self.world.now;
        self.world.send(from, &outgoing, now);
    }

    /// What a process has heard since the last call for any process.
    fn heard(&mut self, pid: Pid) -> Vec<(Time, Input)> {
        let id = self.world.processes[pid].id;
        let log = self.log.take().into_iter();
        log.filter(|heard| heard.0 == id)
            .map(|(_, at, input)| (at, input))
            .collect()
    }

    /// The messages of peers among it, by number.
    fn numbers(&mut self, pid: Pid) -> Vec<u64> {
        let number = |(_, input)| match input {
            Input::Peer {
                message: Message::Ask { from },
                ..
            } => Some(from.0),
            _ => None,
        };
        self.heard(pid).into_iter().filter_map(number).collect()
    }

    fn forget(&self) {
        self.log.borrow_mut().clear();
    }

    fn is_linked(&self, from: Pid, to: Pid) -> bool {
        self.world.net.state(from, to) == crate::sim::net::State::Up
    }
}
