//! Whole nodes on a network of queues: what is sent arrives in order, at once, unless a test cuts
//! a connection.

mod durability;
mod endings;
mod forwarding;
mod guard;
mod hostile;
mod membership;
mod recovery;
mod report;
mod restoring;
mod resuming;
mod snapshots;
mod survivors;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::*;
use crate::core::durable::Record;
use crate::core::env::{Halt, Notice, RecordId};
use crate::core::limits::Limits;
use crate::core::log::Author;
use crate::core::protocol::client::{ErrorCode, Verb};
use crate::core::store::{Found, Path};

const STEP: Duration = Duration::from_millis(1);

#[derive(Clone, Default)]
struct World {
    now: Time,
    nodes: BTreeMap<NodeId, Node>,
    inputs: VecDeque<(NodeId, Input)>,
    wakes: BTreeMap<NodeId, Time>,
    replies: Vec<(NodeId, SessionId, Response)>,
    finished: BTreeSet<(NodeId, SessionId)>,
    located: BTreeMap<NodeId, BTreeSet<NodeId>>,
    cut: BTreeSet<(NodeId, NodeId)>,
    halted: Vec<(NodeId, Halt)>,
    notices: Vec<(NodeId, Notice)>,
    random: u64,
    records: u64,
    /// What each process has recorded.
    log: Vec<(NodeId, RecordId, Record)>,
    /// Which messages get lost, besides those of cut connections.
    loses: Option<fn(NodeId, NodeId, &Message) -> bool>,
    /// Processes whose disks make no record after this one durable, and what waits for that.
    busy_disks: BTreeMap<NodeId, RecordId>,
    held_back: Vec<(NodeId, NodeId, Message)>,
    /// What was sent, while a test wants to know.
    sent: Option<Vec<(NodeId, NodeId, Message)>>,
    tweak: Option<fn(&mut Config)>,
}

struct Outside<'a> {
    world: &'a mut World,
    me: NodeId,
}

impl Env for Outside<'_> {
    fn now(&self) -> Time {
        self.world.now
    }

    fn random(&mut self) -> u64 {
        self.world.random = self
            .world
            .random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1);
        self.world.random >> 11
    }

    fn send(&mut self, to: &[NodeId], message: Message, after: Option<RecordId>) {
        for id in to {
            let sent = (self.me, *id, message.clone());
            let durable = self.world.busy_disks.get(&self.me).copied();
            if durable.is_some_and(|durable| after > Some(durable)) {
                self.world.held_back.push(sent);
            } else {
                self.world.deliver(sent);
            }
        }
    }

    fn reply(&mut self, session: SessionId, response: Response) {
        self.world.replies.push((self.me, session, response));
    }

    fn finish(&mut self, session: SessionId) {
        self.world.finished.insert((self.me, session));
    }

    fn record(&mut self, record: Record) -> RecordId {
        self.world.records += 1;
        let at = RecordId(self.world.records);
        self.world.log.push((self.me, at, record));
        at
    }

    fn wake_at(&mut self, at: Time) {
        self.world.wakes.insert(self.me, at);
    }

    fn locate(&mut self, peer: NodeId, addr: Option<&str>) {
        let me = self.me;
        if addr.is_some() && self.world.located.entry(me).or_default().insert(peer) {
            self.world.link(me, peer);
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.world.notices.push((self.me, notice));
    }

    fn halt(&mut self, reason: Halt) {
        self.world.halted.push((self.me, reason));
    }
}

fn id(n: u8) -> NodeId {
    NodeId([n; 10])
}

const SESSION: SessionId = SessionId(1);

fn config(n: u8, start: Start) -> Config {
    Config {
        id: id(n),
        boot: 0,
        addr: format!("127.0.0.{n}:8046"),
        web: String::new(),
        hostname: "here".into(),
        version: "1".into(),
        start,
        rw_secret: Vec::new(),
        ro_secret: Vec::new(),
        pulse: Duration::from_secs(1),
        timeout: Duration::from_secs(60),
        history_revs: 2000,
        history_bytes: 1 << 24,
        durable: false,
        local_reads: false,
        request_timeout: Duration::from_secs(5),
        limits: Limits::default(),
        tuning: Tuning::default(),
    }
}

impl World {
    fn founded() -> World {
        World::founded_with(None)
    }

    fn founded_with(tweak: Option<fn(&mut Config)>) -> World {
        let mut world = World {
            now: Time(1_000_000),
            tweak,
            ..World::default()
        };
        world.start(
            1,
            Start::Found {
                cluster: "local".into(),
            },
        );
        world
    }

    /// A cluster of `members` and as many standbys as are left of `nodes`.
    fn cluster(nodes: u8, members: u8) -> World {
        World::cluster_with(nodes, members, |_| {})
    }

    fn cluster_with(nodes: u8, members: u8, tweak: fn(&mut Config)) -> World {
        let mut world = World::founded_with(Some(tweak));
        for n in 2..=nodes {
            world.start(n, Start::Join);
        }
        for slot in 1..members {
            let set = set(&format!("/ctl/cal/{slot}"), "", 0);
            assert_eq!(world.ask(1, set).error(), None);
            world.run(Duration::from_millis(500));
        }
        assert_eq!(
            world.nodes.values().filter(|node| node.is_member()).count(),
            usize::from(members)
        );
        world
    }

    fn start(&mut self, n: u8, start: Start) {
        let joins = start == Start::Join;
        let mut config = config(n, start);
        if let Some(tweak) = self.tweak {
            tweak(&mut config);
        }
        self.nodes.insert(id(n), Node::new(config));
        self.inputs
            .push_back((id(n), Input::Opened { session: SESSION }));
        if joins {
            self.link(id(n), id(1));
            self.link(id(1), id(n));
        }
        self.run(Duration::from_millis(200));
        assert!(self.nodes[&id(n)].is_ready());
    }

    fn link(&mut self, from: NodeId, to: NodeId) {
        let addr = String::new();
        self.inputs
            .push_back((from, Input::Linked { peer: to, addr }));
    }

    /// Cuts a process off, and lets everybody know.
    fn kill(&mut self, n: u8) {
        self.nodes.remove(&id(n));
        self.wakes.remove(&id(n));
        let others: Vec<NodeId> = self.nodes.keys().copied().collect();
        for other in others {
            self.inputs
                .push_back((other, Input::Unlinked { peer: id(n) }));
        }
    }

    fn deliver(&mut self, (from, to, message): (NodeId, NodeId, Message)) {
        if let Some(sent) = &mut self.sent {
            sent.push((from, to, message.clone()));
        }
        let is_lost = self.loses.is_some_and(|loses| loses(from, to, &message));
        if !is_lost && !self.cut.contains(&(from, to)) {
            self.inputs.push_back((to, Input::Peer { from, message }));
        }
    }

    /// Makes the disk of a process busy: what it records from here on does not become durable.
    fn stall_disk(&mut self, n: u8) {
        self.busy_disks.insert(id(n), RecordId(self.records));
    }

    /// Hands a node a message as if another process had sent it.
    fn tell(&mut self, from: u8, to: u8, message: Message) {
        let from = id(from);
        self.inputs
            .push_back((id(to), Input::Peer { from, message }));
    }

    /// Cuts a process off from all others, or connects it again, without anybody noticing.
    fn isolate(&mut self, n: u8, is_cut: bool) {
        for other in self.nodes.keys().filter(|other| **other != id(n)) {
            for pair in [(id(n), *other), (*other, id(n))] {
                match is_cut {
                    true => self.cut.insert(pair),
                    false => self.cut.remove(&pair),
                };
            }
        }
    }

    /// Puts a command of a node's own into its queue.
    fn command(&mut self, n: u8, op: Op) {
        self.with(id(n), |node, env| {
            let replica = node.replica.as_mut().expect("it has a copy");
            submit(&mut node.next, &mut replica.consensus, op);
            node.flush(env);
        });
    }

    /// Makes these members the owners.
    fn own(&mut self, owners: &[u8]) {
        let first = id(owners[0]);
        let expect = self.nodes[&first]
            .state()
            .map(|state| state.epochs().latest().start);
        let op = Op::Owners {
            expect: expect.expect("it has a copy"),
            owners: owners.iter().map(|n| id(*n)).collect(),
        };
        self.command(owners[0], op);
        self.run(Duration::from_millis(100));
        for node in self.nodes.values() {
            let latest = node.state().expect("it has a copy").epochs().latest();
            assert_eq!(latest.owners.len(), owners.len());
        }
    }

    fn value(&self, n: u8, path: &str) -> Option<String> {
        let path = Path::parse(path.as_bytes()).expect("well formed");
        let view = self.nodes[&id(n)].state()?.store().at(None).ok()?;
        match view.get(&path) {
            Found::File { value, .. } => Some(String::from_utf8_lossy(&value.0).into_owned()),
            Found::Missing | Found::Dir { .. } => None,
        }
    }

    fn settle(&mut self) {
        for _ in 0..100_000 {
            let Some((to, input)) = self.inputs.pop_front() else {
                return;
            };
            self.with(to, |node, env| {
                node.handle(input, env);
                node.flush(env);
            });
        }
        panic!("the nodes never come to rest");
    }

    fn with(&mut self, id: NodeId, act: impl FnOnce(&mut Node, &mut Outside<'_>)) {
        let Some(mut node) = self.nodes.remove(&id) else {
            return;
        };
        act(
            &mut node,
            &mut Outside {
                world: self,
                me: id,
            },
        );
        self.nodes.insert(id, node);
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        while self.now < end {
            self.now = self.now + STEP;
            let due: Vec<NodeId> = self
                .nodes
                .keys()
                .filter(|id| self.is_due(**id))
                .copied()
                .collect();
            for id in due {
                self.inputs.push_back((id, Input::Tick));
            }
            self.settle();
        }
    }

    fn is_due(&self, id: NodeId) -> bool {
        self.wakes.get(&id).is_none_or(|at| *at <= self.now)
    }

    fn send(&mut self, n: u8, request: Request) {
        self.inputs.push_back((
            id(n),
            Input::Client {
                session: SESSION,
                request,
            },
        ));
    }

    /// Asks, and waits for the answer as long as a client would.
    fn ask(&mut self, n: u8, request: Request) -> Response {
        self.replies.clear();
        self.send(n, request);
        for _ in 0..6000 {
            self.settle();
            if let Some((_, _, response)) = self.replies.iter().find(|(from, ..)| *from == id(n)) {
                return response.clone();
            }
            self.run(STEP);
        }
        panic!("no answer");
    }

    /// Lets the nodes finish what is in flight, such as a pulse, which takes a revocation if an
    /// owner is dead, and expects one state of all.
    fn agree(&mut self) {
        let end = self.now + Duration::from_millis(500);
        let states = |world: &World| -> BTreeSet<(Slot, u64)> {
            let nodes = world.nodes.values();
            nodes
                .map(|node| (node.applied(), node.digest().0))
                .collect()
        };
        while states(self).len() > 1 && self.now < end {
            self.run(STEP);
        }
        assert_eq!(
            states(self).len(),
            1,
            "the states differ: {:?}",
            states(self)
        );
        assert_eq!(self.halted, []);
    }
}

fn request(verb: Verb, path: &str) -> Request {
    let path = Some(path.to_owned().into());
    Request {
        tag: Some(7),
        verb: Some(verb as i32),
        path,
        ..Request::default()
    }
}

fn set(path: &str, value: &str, rev: i64) -> Request {
    let value = Some(value.to_owned().into());
    Request {
        value,
        rev: Some(rev),
        ..request(Verb::Set, path)
    }
}

#[test]
fn a_founder_serves_at_once_and_writes_the_first_revisions_of_the_original() {
    let mut world = World::founded();
    let me = id(1).to_string();
    let paths: Vec<String> = world.nodes[&id(1)]
        .state()
        .map(|state| {
            state
                .store()
                .events(Rev(1))
                .map(|e| e.path.to_string())
                .collect()
        })
        .unwrap_or_default();
    let expected = [
        "/ctl/name".to_owned(),
        format!("/ctl/node/{me}/addr"),
        format!("/ctl/node/{me}/hostname"),
        format!("/ctl/node/{me}/version"),
        "/ctl/cal/0".to_owned(),
        format!("/ctl/ns/local/{me}"),
    ];
    assert_eq!(paths[..6], expected);
    let done = world.ask(1, set("/a", "x", 0));
    assert_eq!(done.tag, Some(7));
    let got = world.ask(1, request(Verb::Get, "/a"));
    assert_eq!((got.value, got.rev), (Some("x".into()), done.rev));
}

#[test]
fn three_members_and_a_standby_agree_and_the_standby_refuses_writes() {
    let mut world = World::cluster(4, 3);
    for n in 1..=3 {
        let set = set(&format!("/from/{n}"), "x", 0);
        assert_eq!(world.ask(n, set).error(), None);
    }
    assert_eq!(
        world.ask(4, set("/no", "x", 0)).error(),
        Some(ErrorCode::Readonly)
    );
    for n in 1..=4 {
        let got = world.ask(n, request(Verb::Get, "/from/3"));
        assert_eq!(got.value, Some("x".into()));
    }
    world.run(Duration::from_millis(300));
    world.agree();
}

#[test]
fn a_dead_member_holds_nobody_up_for_longer_than_a_revocation() {
    let mut world = World::cluster(3, 3);
    world.kill(3);
    let mut slowest = Duration::ZERO;
    for n in 0..200 {
        let begin = world.now;
        let set = set(&format!("/x/{n}"), "x", -1);
        assert_eq!(world.ask(1 + n % 2, set).error(), None);
        slowest = slowest.max(world.now.since(begin));
    }
    assert!(slowest <= Duration::from_millis(20), "{slowest:?}");
    world.run(Duration::from_secs(1));
    world.agree();
}

#[test]
fn without_a_majority_writes_and_reads_end_with_words_and_a_local_read_works() {
    let mut world = World::cluster(3, 3);
    world.kill(2);
    world.kill(3);
    let refused = world.ask(1, set("/x", "x", -1));
    assert_eq!(refused.error(), Some(ErrorCode::Other));
    assert!(
        refused
            .err_detail
            .is_some_and(|text| text.contains("no majority"))
    );
    assert_eq!(
        world.ask(1, request(Verb::Get, "/x")).error(),
        Some(ErrorCode::Other)
    );
    let local = Request {
        local: Some(true),
        ..request(Verb::Get, "/ctl/name")
    };
    assert_eq!(world.ask(1, local).value, Some("local".into()));
}
