//! Connections between clients and nodes: ordered, lossless until they break.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::links::CONNECT_MAX;
use super::{Door, Happening, World};
use crate::core::env::{Input, Time};
use crate::core::id::SessionId;
use crate::core::instrument::sometimes;
use crate::core::limits::Limits;
use crate::core::protocol::client::{ErrorCode, Request, Response, decode_frame, encode_frame};
use crate::sim::chance::{Dice, What};
use crate::sim::check::Violation;
use crate::sim::client::Role;
use crate::sim::history::Operation;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::params::micros;
use crate::sim::process::{HostId, Pid};
use crate::sim::trace::{Kind, digest};

/// A client.
pub struct Actor {
    /// The number under which its choices are drawn.
    pub name: usize,
    /// What it is there for.
    pub role: Role,
    /// The only node that it talks to, if there is one.
    pub pinned: Option<Pid>,
    /// Whether it has been told to stop.
    pub stopped: bool,
    /// How many requests it makes at most.
    pub limit: Option<u64>,
    /// Whether it has gone, whatever it wanted.
    gone: bool,
    /// Its requests that wait for an answer, by tag.
    pub open: BTreeMap<i32, usize>,
    /// Its connection, if it has one.
    pub(in crate::sim) conn: Option<usize>,
    /// Requests so far.
    asked: u64,
    dice: Dice,
    pause_dice: Dice,
    net_dice: Dice,
    scheduled: bool,
    /// When it loses patience with what it asked last.
    impatient_at: Time,
    /// Whether the queue holds an event for that.
    waits: bool,
}

impl Actor {
    /// Whether it may ask for one thing more now.
    fn may_ask(&self) -> bool {
        self.open.len() < self.role.window() && self.limit.is_none_or(|limit| self.asked < limit)
    }
}

/// A connection of a client to a node.
pub struct Conn {
    /// The client.
    pub actor: usize,
    /// The node.
    pub pid: Pid,
    /// Whether the client has it open.
    pub open: bool,
    /// Whether the node has been told of its end, so that nothing can follow.
    ended: bool,
    /// Whether the node knows of its end.
    gone: bool,
    /// Whether it carries nothing any more.
    hole: bool,
    /// Whether what was on its way is lost.
    aborted: bool,
    /// The client takes no answers until then.
    reads_from: Time,
    /// Bytes of answers that wait for the client to read on.
    unread: usize,
    /// What its node does not read as long as too many answers wait, in order.
    held: VecDeque<ToNode>,
    /// When the latest frame to the node arrives.
    to_node: Time,
    /// When the latest frame to the client arrives.
    to_client: Time,
}

/// What arrives at a node over a connection of a client.
pub enum ToNode {
    /// The connection itself.
    Open,
    /// A request.
    Request(Request),
    /// The end of what the client sends.
    HalfClose,
    /// The end of the connection.
    Close,
}

/// Clients in a million that go elsewhere when a node cannot do what they want.
const LEAVES_PPM: u32 = 700_000;

/// Shortest and longest pause before a client connects again, or asks again after an error.
const RETRY: (u64, u64) = (1_000, 100_000);

/// Longest time that a frame between client and node travels, in microseconds.
const FRAME_DELAY_MAX: u64 = 20_000;

impl<M: Machine> World<M> {
    /// Adds a client that begins at once.
    pub fn add_actor(&mut self, name: usize, role: Role, pinned: Option<Pid>) -> usize {
        let actor = self.actors.len();
        let who = name as u64;
        self.actors.push(Actor {
            name,
            role,
            pinned,
            stopped: false,
            limit: None,
            gone: false,
            open: BTreeMap::new(),
            conn: None,
            asked: 0,
            dice: self.chance.dice(What::Client, who),
            pause_dice: self.chance.dice(What::Pause, who),
            net_dice: self.chance.dice(What::ClientNet, who),
            scheduled: false,
            impatient_at: Time::NEVER,
            waits: false,
        });
        self.act_after(actor, Duration::ZERO);
        actor
    }

    /// The connections that clients have open.
    pub fn open_conns(&self) -> impl Iterator<Item = usize> + use<'_, M> {
        let conns = self.actors.iter().filter_map(|actor| actor.conn);
        conns.filter(|conn| self.conns[*conn].open)
    }

    /// All clients close their connections and go.
    pub fn dismiss_clients(&mut self) {
        for actor in &mut self.actors {
            actor.gone = true;
        }
        let open: Vec<usize> = self.open_conns().collect();
        for conn in open {
            self.leave(conn);
        }
    }

    /// The connection of a client.
    pub fn conn_of(&self, actor: usize) -> Option<&Conn> {
        self.actors[actor].conn.map(|conn| &self.conns[conn])
    }

    /// Lets a client act after some time, unless it is about to anyway.
    pub(in crate::sim) fn act_after(&mut self, actor: usize, pause: Duration) {
        if !self.actors[actor].scheduled {
            self.actors[actor].scheduled = true;
            self.queue.push(self.now + pause, Happening::Act { actor });
        }
    }

    pub(in crate::sim) fn act_later(&mut self, actor: usize) {
        let pause = self.actors[actor].pause_dice.magnitude(RETRY.0, RETRY.1);
        self.act_after(actor, micros(pause));
    }

    pub(super) fn on_act(&mut self, actor: usize) {
        let one = &mut self.actors[actor];
        one.scheduled = false;
        if one.gone || (one.stopped && !one.role.is_final()) {
            return;
        }
        if let Role::Script(_) = one.role {
            return self.on_act_script(actor);
        }
        if one.role.is_over() {
            if let Some(conn) = one.conn {
                self.leave(conn);
            }
            return;
        }
        let conn = match one.conn {
            Some(conn) => conn,
            None => match self.choose_node(actor) {
                Some(pid) => self.open_conn(actor, pid),
                None => return self.act_later(actor),
            },
        };
        while self.actors[actor].may_ask() {
            let one = &mut self.actors[actor];
            let Some(request) = one.role.next(&mut one.dice.within(one.asked)) else {
                break;
            };
            one.asked += 1;
            self.issue(actor, conn, request);
        }
    }

    fn choose_node(&mut self, actor: usize) -> Option<Pid> {
        let candidates: Vec<Pid> = match self.actors[actor].pinned {
            Some(pid) => vec![pid],
            None if self.is_frozen() => self.core.clone(),
            None => self.alive().collect(),
        };
        let candidates: Vec<Pid> = candidates
            .into_iter()
            .filter(|pid| self.is_listening(*pid))
            .collect();
        if candidates.is_empty() {
            return None;
        }
        Some(*self.actors[actor].pause_dice.pick(&candidates))
    }

    pub(in crate::sim) fn open_conn(&mut self, actor: usize, pid: Pid) -> usize {
        let conn = self.conns.len();
        self.conns.push(Conn {
            actor,
            pid,
            open: true,
            ended: false,
            gone: false,
            hole: false,
            aborted: false,
            reads_from: Time::default(),
            unread: 0,
            held: VecDeque::new(),
            to_node: self.now,
            to_client: self.now,
        });
        self.actors[actor].conn = Some(conn);
        let host = self.processes[pid].host;
        match self.doors[host] {
            Door::Refuses(until) if until > self.now => {
                let soon = self.client_delay(actor);
                self.fail_conn(conn, soon);
            }
            Door::Hangs(until) if until > self.now => self.fail_conn(conn, CONNECT_MAX),
            _ if self.is_client_cut(actor, host) => self.fail_conn(conn, CONNECT_MAX),
            _ => self.send_to_node(conn, ToNode::Open),
        }
        if let Role::Flood(flood) = &self.actors[actor].role {
            self.conns[conn].reads_from = self.now + flood.deaf();
        }
        conn
    }

    /// A connection never comes about, which its client learns after some time.
    fn fail_conn(&mut self, conn: usize, after: Duration) {
        self.conns[conn].hole = true;
        self.conns[conn].gone = true;
        let response = None;
        self.queue
            .push(self.now + after, Happening::Answered { conn, response });
    }

    fn is_client_cut(&self, actor: usize, host: HostId) -> bool {
        let name = self.actors[actor].name;
        let mut cuts = self.client_cuts.iter();
        cuts.any(|(one, there, until)| (*one, *there) == (name, host) && *until > self.now)
    }

    fn send_to_node(&mut self, conn: usize, what: ToNode) {
        if self.conns[conn].ended || self.conns[conn].hole {
            return;
        }
        self.conns[conn].ended = matches!(what, ToNode::Close);
        let delay = self.client_delay(self.conns[conn].actor);
        let at = (self.now + delay).max(self.conns[conn].to_node);
        self.conns[conn].to_node = at;
        self.queue.push(at, Happening::Asked { conn, what });
    }

    fn client_delay(&mut self, actor: usize) -> Duration {
        let dice = &mut self.actors[actor].net_dice;
        micros(match dice.hit(self.params.client_tail_ppm) {
            true => dice.magnitude(300, FRAME_DELAY_MAX),
            false => dice.between(20, 300),
        })
    }

    /// The tag of the next request.
    pub(in crate::sim) fn next_tag(&self) -> i32 {
        i32::try_from(self.history.len()).expect("runs are shorter than the space of tags")
    }

    pub(in crate::sim) fn issue(&mut self, actor: usize, conn: usize, mut request: Request) {
        let operation = self.history.len();
        let tag = self.next_tag();
        request.tag = Some(tag);
        self.frame.clear();
        encode_frame(&request, &mut self.frame);
        self.trace
            .add(self.now, actor, Kind::Request, digest(&self.frame));
        let limit = Limits::default().frame_bytes_max;
        let decoded: Request = decode_frame(&mut self.frame, limit)
            .expect("a request can be decoded")
            .expect("a whole frame was encoded");
        assert_eq!(decoded, request, "a request survives its encoding");
        let node = self.conns[conn].pid;
        self.tell(Place::Client(actor), || Happened::Asked {
            node,
            tag,
            request: &request,
        });
        self.history.push(Operation {
            client: actor,
            conn,
            request,
            began: self.now,
            ended: None,
            invoked: self.trace.events(),
            answer: None,
        });
        self.actors[actor].open.insert(tag, operation);
        self.send_to_node(conn, ToNode::Request(decoded));
        self.actors[actor].impatient_at = self.now + self.params.patience;
        self.watch_patience(actor);
    }

    /// Makes sure that one event in the queue, and not more, looks after the patience of a client.
    fn watch_patience(&mut self, actor: usize) {
        let one = &mut self.actors[actor];
        if !one.waits && !one.role.is_patient() {
            one.waits = true;
            let at = one.impatient_at;
            self.queue.push(at, Happening::Impatient { actor });
        }
    }

    pub(super) fn on_asked(&mut self, conn: usize, what: ToNode) {
        let one = &mut self.conns[conn];
        let is_end = matches!(what, ToNode::Close);
        if one.gone || one.aborted && !is_end {
            return;
        }
        if one.unread > self.params.unsent_soft && !is_end {
            return one.held.push_back(what);
        }
        one.gone = is_end;
        let pid = one.pid;
        if !self.processes[pid].is_alive() {
            sometimes!(RequestFindsNobody);
            self.hang_up(conn);
            return;
        }
        let session = SessionId(conn as u64 + 1);
        let input = match what {
            ToNode::Open => Input::Opened { session },
            ToNode::Request(request) => Input::Client { session, request },
            ToNode::HalfClose => Input::HalfClosed { session },
            ToNode::Close => Input::Closed { session },
        };
        let process = &mut self.processes[pid];
        if process.serving {
            process.inbox.push_back(input);
            self.take_turn_soon(pid);
        } else {
            process.lobby.push(input);
        }
    }

    /// An answer of a node, or the end of the connection, travels to its client.
    pub(super) fn deliver_answer(
        &mut self,
        pid: Pid,
        session: SessionId,
        response: Option<(Response, usize)>,
        leaves: Time,
    ) {
        let conn = usize::try_from(session.0 - 1).expect("sessions are counted in memory");
        assert_eq!(
            self.conns[conn].pid, pid,
            "{session:?} belongs to another node"
        );
        let one = &mut self.conns[conn];
        if one.hole {
            return;
        }
        if one.reads_from > leaves {
            one.unread += response.as_ref().map_or(0, |(_, bytes)| *bytes);
            if one.unread > self.params.unsent_hard {
                return self.abort_conn(conn);
            }
        }
        let delay = self.client_delay(self.conns[conn].actor);
        let one = &mut self.conns[conn];
        let at = (leaves + delay).max(one.to_client).max(one.reads_from);
        one.to_client = at;
        let response = response.map(|(response, _)| response);
        self.queue.push(at, Happening::Answered { conn, response });
    }

    pub(super) fn on_answered(&mut self, conn: usize, response: Option<Response>) {
        let one = &mut self.conns[conn];
        if !one.open || one.aborted && response.is_some() {
            sometimes!(AnswerLost, response.is_some());
            return;
        }
        one.unread = 0;
        let actor = one.actor;
        for what in std::mem::take(&mut one.held) {
            self.on_asked(conn, what);
        }
        let Some(response) = response else {
            return self.lose_conn(conn);
        };
        self.trace.add(self.now, actor, Kind::Client, conn as u64);
        let tag = response.tag.unwrap_or(-1);
        let node = self.conns[conn].pid;
        self.tell(Place::Client(actor), || Happened::Answered {
            node,
            tag,
            response: &response,
        });
        let Some(operation) = self.actors[actor].open.remove(&tag) else {
            let detail =
                format!("client {actor} got a second answer, or one to nothing: {response:?}");
            return self.accuse(Violation::new("each request is answered once", detail));
        };
        self.stats.answered += 1;
        let one = &mut self.history[operation];
        one.answer = Some((self.trace.events(), response.clone()));
        one.ended = Some(self.now);
        let request = one.request.clone();
        if let Role::Script(_) = self.actors[actor].role {
            return self.script_ended(actor, &request, Some(&response));
        }
        let one = &mut self.actors[actor];
        one.role
            .ended(&request, Some(&response), &mut one.pause_dice);
        match response.error() {
            Some(ErrorCode::Readonly | ErrorCode::Other) => {
                let one = &mut self.actors[actor];
                // Who stays would notice an answer that comes after all.
                if one.pinned.is_none() && one.pause_dice.hit(LEAVES_PPM) {
                    self.leave(conn);
                }
                self.act_later(actor);
            }
            Some(ErrorCode::TooLate) => self.act_later(actor),
            _ if self.actors[actor].role.is_patient() => self.act_after(actor, Duration::ZERO),
            _ => {
                let most = self.params.think.as_micros() as u64;
                let think = self.actors[actor].pause_dice.below(most + 1);
                self.act_after(actor, micros(think));
            }
        }
    }

    pub(super) fn on_impatient(&mut self, actor: usize) {
        let is_frozen = self.is_frozen();
        let one = &mut self.actors[actor];
        one.waits = false;
        if one.open.is_empty() || is_frozen {
            return;
        }
        if self.now < one.impatient_at {
            self.watch_patience(actor);
        } else {
            sometimes!(ClientLosesPatience);
            if let Some(conn) = self.actors[actor].conn {
                self.leave(conn);
            }
            self.act_later(actor);
        }
    }

    /// The connection of a client breaks in the middle.
    pub(crate) fn hang_up(&mut self, conn: usize) {
        if self.processes[self.conns[conn].pid].is_alive() && self.conns[conn].open {
            self.send_to_node(conn, ToNode::Close);
        }
        let delay = self.client_delay(self.conns[conn].actor);
        let at = (self.now + delay).max(self.conns[conn].to_client);
        let response = None;
        self.queue.push(at, Happening::Answered { conn, response });
    }

    /// The connection of a client breaks, and what is on its way is lost.
    pub(crate) fn abort_conn(&mut self, conn: usize) {
        self.conns[conn].aborted = true;
        self.hang_up(conn);
    }

    /// The connection of a client carries nothing from now on. Its client is told when it has had
    /// enough, and its node after that.
    pub(crate) fn make_conn_hole(&mut self, conn: usize) {
        self.conns[conn].hole = true;
        let keepalive = self.net.params.keepalive;
        let response = None;
        self.queue
            .push(self.now + keepalive, Happening::Answered { conn, response });
        let what = ToNode::Close;
        self.queue
            .push(self.now + 2 * keepalive, Happening::Asked { conn, what });
    }

    /// A client takes no answers for some time.
    pub(crate) fn stop_reading(&mut self, conn: usize, span: Duration) {
        let one = &mut self.conns[conn];
        one.reads_from = one.reads_from.max(self.now + span);
    }

    /// A client whose connection is still in trouble loses it now, and connects anew.
    pub(super) fn heal_conn(&mut self, conn: usize) {
        let one = &mut self.conns[conn];
        let latest = one.to_node.max(one.to_client).max(one.reads_from);
        if !one.hole && latest <= self.now + micros(FRAME_DELAY_MAX) {
            return;
        }
        one.hole = false;
        one.reads_from = self.now;
        one.to_node = self.now;
        one.to_client = self.now;
        self.abort_conn(conn);
    }

    /// Clients lose hosts. Frames that are sent again later arrive if the connection still stands by
    /// then.
    pub(crate) fn cut_clients(&mut self, clients: &[usize], hosts: &[HostId], span: Duration) {
        let (now, until) = (self.now, self.now + span);
        self.client_cuts.retain(|(_, _, until)| *until > now);
        for client in clients {
            for host in hosts {
                self.client_cuts.push((*client, *host, until));
            }
        }
        let open: Vec<usize> = self.open_conns().collect();
        for conn in open {
            let one = &mut self.conns[conn];
            let host = self.processes[one.pid].host;
            if !clients.contains(&self.actors[one.actor].name) || !hosts.contains(&host) || one.hole
            {
                continue;
            }
            if span > self.net.params.keepalive {
                self.make_conn_hole(conn);
            } else {
                one.to_node = one.to_node.max(until);
                one.to_client = one.to_client.max(until);
            }
        }
    }

    /// A client leaves its node: what is open has an unknown outcome.
    pub(in crate::sim) fn leave(&mut self, conn: usize) {
        let actor = self.conns[conn].actor;
        if self.actors[actor].pause_dice.hit(300_000) {
            self.send_to_node(conn, ToNode::HalfClose);
        }
        self.send_to_node(conn, ToNode::Close);
        self.lose_conn(conn);
    }

    fn lose_conn(&mut self, conn: usize) {
        self.conns[conn].open = false;
        let Conn {
            actor, pid: node, ..
        } = self.conns[conn];
        self.tell(Place::Client(actor), || Happened::Disconnected { node });
        self.actors[actor].conn = None;
        for (_, operation) in std::mem::take(&mut self.actors[actor].open) {
            let request = self.history[operation].request.clone();
            sometimes!(
                WatcherMoves,
                matches!(self.actors[actor].role, Role::Watcher(_))
            );
            sometimes!(WriteOutcomeUnknown, self.history[operation].is_write());
            if let Role::Script(_) = self.actors[actor].role {
                self.script_ended(actor, &request, None);
                continue;
            }
            let one = &mut self.actors[actor];
            one.role.ended(&request, None, &mut one.pause_dice);
        }
        self.act_later(actor);
    }
}
