//! The node: the one entrance to all rooms. It routes each input to its room, applies what is
//! decided, and acts on what the rooms return.

mod apply;
mod config;
mod counters;
mod heartbeat;
mod leaving;
mod load;
mod majority;
mod objection;
mod recovery;
mod report;
mod resume;
mod transfer;

#[cfg(test)]
mod tests;

use transfer::{Download, Uploads};

use std::time::Duration;

use super::consensus::{Consensus, Slot, Ticket};
use super::durable::Checkpoint;
use super::env::{Env, Halt, Input, Notice, Time};
use super::id::{NodeId, Rev, SessionId};
use super::instrument::{planted, sometimes};
use super::log::{Entry, Op, Seq};
use super::membership::{
    BEAT, BEATS_MISSED, Eviction, Evidence, Housekeeping, Identity, Ownership, Peers,
    SUSPICION_FLOOR, Sight, Situation,
};
use super::protocol::client::{Request, Response, Verb, detail};
use super::protocol::peer::{Digest, Message};
use super::service::{Rules, Service, Standing, Task};
use super::state::{State, StateExport};

pub use config::{Config, Start, Tuning};
pub use counters::Counters;
pub use leaving::LEAVE_MAX;

/// A node that does nothing for so long stood still, or its clock jumped: without anything else to
/// do it sends heartbeats far more often.
const STANDSTILL: Duration = BEAT.saturating_mul(2 * BEATS_MISSED);

/// All logic of one process.
#[derive(Clone, Debug)]
pub struct Node {
    config: Config,
    peers: Peers,
    service: Service,
    housekeeping: Housekeeping,
    ownership: Ownership,
    /// The latest change of owners that this node asked for.
    owners_change: Option<Seq>,
    eviction: Eviction,
    /// The latest eviction that this node asked for.
    evicting: Option<(Seq, Op)>,
    /// Whom the members do not hear.
    evidence: Evidence,
    /// The replicated state and the consensus on what comes next; nothing before a process that
    /// joins has its copy.
    replica: Option<Replica>,
    download: Download,
    uploads: Uploads,
    /// The number of the next command of this process.
    next: Seq,
    beat_due: Time,
    /// When this node did something first.
    began: Time,
    /// When this node did something last, and when it wanted to be woken.
    awake: Time,
    wake: Time,
    /// Something in `/ctl` or in the membership changed: there may be chores.
    has_chores: bool,
    is_member: bool,
    is_ready: bool,
    /// It began with the state of an earlier life, in a cluster that was founded.
    is_back: bool,
    /// How often it has got its state other than by applying entries.
    installs: u64,
    /// Set once this node is to leave the cluster.
    leaving: Option<leaving::Leaving>,
    /// Others have put it out, and may need it for a while yet.
    is_put_out: bool,
    /// It has halted.
    is_out: bool,
    /// Whether enough members are heard.
    majority: majority::Majority,
    /// Whether peers' digests agreed with ours when they were compared last.
    verdicts: heartbeat::Verdicts,
    /// What it has done, but for what its consensus counts.
    counters: Counters,
}

#[derive(Clone, Debug)]
struct Replica {
    state: State,
    consensus: Consensus,
}

impl Node {
    /// A node at the beginning of its life. Its first effects leave with the first `flush`.
    pub fn new(mut config: Config) -> Node {
        let id = config.id;
        let identity = Identity {
            id,
            addr: config.addr.clone(),
            hostname: config.hostname.clone(),
            version: config.version.clone(),
            pulse: config.pulse,
        };
        let rules = Rules {
            id: id.to_string(),
            rw_secret: config.rw_secret.clone(),
            ro_secret: config.ro_secret.clone(),
            local_reads: config.local_reads,
            timeout: config.request_timeout,
            limits: config.limits,
            writes_open_max: config.tuning.writes_open_max,
        };
        let was_here = matches!(config.start, Start::Resume { .. });
        let (founds, replica) = match &config.start {
            Start::Found { cluster } => {
                let state = State::founded_by(id, config.tuning.alpha, config.history());
                (Some(cluster.clone()), Some(Replica::new(&config, state)))
            }
            Start::Join => (None, None),
            Start::Recover { survivor, state } => {
                let state = State::clone(state).recovered_by(id, *survivor);
                (None, Some(Replica::new(&config, state)))
            }
            Start::Resume { .. } => {
                let (founds, replica) = resume::resume(&mut config);
                (founds, Some(replica))
            }
        };
        let is_back = founds.is_none() && was_here;
        Node {
            installs: u64::from(config.is_founder()),
            next: Seq::first_of(if planted!(BootForgotten) {
                0
            } else {
                config.boot
            }),
            peers: Peers::default(),
            service: Service::new(rules),
            housekeeping: Housekeeping::new(identity, founds),
            ownership: Ownership::new(id),
            owners_change: None,
            evicting: None,
            eviction: Eviction::new(id, config.timeout),
            evidence: Evidence::default(),
            replica,
            download: Download::new(config.history()),
            uploads: Uploads::default(),
            beat_due: Time(0),
            began: Time::NEVER,
            awake: Time::NEVER,
            wake: Time::NEVER,
            has_chores: true,
            is_member: false,
            is_ready: false,
            is_back,
            leaving: None,
            is_put_out: false,
            is_out: false,
            majority: majority::Majority::default(),
            verdicts: heartbeat::Verdicts::default(),
            counters: Counters::default(),
            config,
        }
    }

    /// Takes one input. Never blocks and never fails; effects leave through `env`, except those
    /// that are collected for the next [`Node::flush`].
    pub fn handle(&mut self, input: Input, env: &mut impl Env) {
        match input {
            Input::Peer { from, message } => self.on_message(from, message, env),
            Input::Linked { peer, addr: _ } => {
                self.peers.link(peer, true, env.now());
                // It learns at once how far we are.
                self.beat_due = Time(0);
            }
            Input::Unlinked { peer } => {
                self.peers.link(peer, false, env.now());
                if let Some(replica) = &mut self.replica {
                    replica.consensus.on_unlinked(peer);
                }
            }
            Input::Opened { session } => self.service.open(session),
            Input::Client { session, request } => self.on_request(session, request, env),
            Input::HalfClosed { session } => self.service.half_close(session, env),
            Input::Closed { session } => self.service.close(session),
            Input::Leave => self.leave(env.now()),
            Input::Tick => {}
        }
        self.apply_decided(env);
    }

    /// Ends a group of inputs that were ready together: what was collected leaves, and what time
    /// asks for is done.
    pub fn flush(&mut self, env: &mut impl Env) {
        let now = env.now();
        if now.since(self.awake) > STANDSTILL {
            sometimes!(OthersExcused);
            self.peers.excuse(now);
        }
        if now.since(self.wake) > SUSPICION_FLOOR
            && let Some(replica) = &mut self.replica
        {
            replica.consensus.excuse(now);
        }
        self.awake = now;
        if self.heeds_a_later_life(env) {
            return;
        }
        if self.began == Time::NEVER {
            self.locate_all(env);
        }
        self.began = self.began.min(now);
        let may_be_out = self.has_chores || self.is_put_out || self.leaving.is_some();
        self.do_chores(now, env);
        if may_be_out {
            self.wind_up(now, env);
        }
        loop {
            if let Some(replica) = &mut self.replica {
                replica.consensus.flush(now, &self.peers, env);
                replica.consensus.tick(now, &self.peers, env);
            }
            self.note_revocations(now);
            if !self.apply_decided(env) {
                break;
            }
        }
        self.answer_reads(env);
        self.expire(now, env);
        self.beat(now, env);
        self.fetch(now, env);
        self.announce(env);
        self.watch_majority(now, env);
        self.wake = self.deadline();
        env.wake_at(self.wake);
    }

    /// Halts where the log has commands of this process that it has not given in this life: it has
    /// come back with what it remembered before it gave them, and says nothing more.
    fn heeds_a_later_life(&mut self, env: &mut impl Env) -> bool {
        let replica = self.replica.as_ref();
        let last = replica.map_or(Seq::default(), |replica| replica.state.last(self.config.id));
        let is_outdated = last >= self.next;
        if is_outdated {
            let later = last.life();
            env.halt(Halt::Outdated { later });
        }
        is_outdated
    }

    /// Whether the node takes part: the cluster knows it.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether the node has what it needs to answer clients. Until then the runtime lets them wait. Who
    /// comes back with its memory answers at once, perhaps alone: where no majority comes back, that is
    /// how one learns of it, reads what is left, and makes a new cluster of it.
    pub fn serves(&self) -> bool {
        self.is_ready || self.is_back
    }

    /// Whether the node votes and takes writes.
    pub fn is_member(&self) -> bool {
        self.is_member
    }

    /// The latest life of a process that has written anything: how often it had been started before.
    pub fn told_life(&self, id: NodeId) -> u32 {
        let replica = self.replica.as_ref();
        replica.map_or(0, |replica| replica.state.last(id).life())
    }

    /// The last slot applied.
    pub fn applied(&self) -> Slot {
        self.replica
            .as_ref()
            .map_or(Slot(0), |replica| replica.state.applied())
    }

    /// The current revision.
    pub fn rev(&self) -> Rev {
        self.replica
            .as_ref()
            .map_or(Rev(0), |replica| replica.state.store().rev())
    }

    /// The digest of the state, and of all states before it.
    pub fn digest(&self) -> Digest {
        self.replica
            .as_ref()
            .map_or(Digest(0), |replica| replica.state.digest())
    }

    /// The replicated state, once the node has one.
    pub fn state(&self) -> Option<&State> {
        self.replica.as_ref().map(|replica| &replica.state)
    }

    /// How often this node has got its state other than by applying entries to the one before, or to
    /// the one that it was started with. A log on disk has to begin anew then, with a checkpoint.
    pub fn installs(&self) -> u64 {
        self.installs
    }

    /// All that this node must not forget, between two groups of inputs; `None` before it has a
    /// state.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let Replica { state, consensus } = self.replica.as_ref()?;
        Some(Checkpoint {
            lineage: state.lineage(),
            state: StateExport::new(state),
            memory: consensus.memory(),
        })
    }

    /// The outcome of a slot, where this node knows it and has not forgotten it.
    pub fn outcome(&self, slot: Slot) -> Option<Entry> {
        self.replica.as_ref()?.consensus.outcome(slot)
    }

    fn on_request(&mut self, session: SessionId, request: Request, env: &mut impl Env) {
        let tag = request.tag;
        let judged = objection::is_judged(&request);
        let is_status = request.verb == Some(Verb::Status as i32);
        let standing = Standing {
            is_member: self.is_member,
            objection: self.objection(&request, env.now()),
            report: is_status.then(|| self.report(env.now(), env.disk_pace())),
        };
        let Some(Replica { state, consensus }) = &mut self.replica else {
            return env.reply(session, Response::refuse_with(tag, detail::NO_COPY));
        };
        match self
            .service
            .request(session, request, &standing, state.store_mut(), env)
        {
            Task::Nothing => {}
            Task::Read(ticket) => consensus.read(ticket),
            Task::Recover(order) => self.recover(session, order, env),
            Task::Propose { op, verb, tag } => {
                let op = match op {
                    Op::Mutate { mutation, .. } if judged => Op::Seat {
                        mutation,
                        members: state.epochs().latest().members.clone(),
                    },
                    op => op,
                };
                let seq = submit(&mut self.next, consensus, op);
                self.service.proposed(seq, session, tag, verb, env.now());
            }
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, env: &mut impl Env) {
        let now = env.now();
        if from != self.config.id && self.peers.hear(from, now).is_none() {
            return;
        }
        if let Message::SnapshotPiece { at, piece, bytes } = message {
            return self.on_snapshot_piece(from, at, piece, &bytes, env);
        }
        let Some(replica) = &mut self.replica else {
            return;
        };
        if let Message::SnapshotAsk { at, piece } = message {
            return self.uploads.send(from, (at, piece), replica, now, env);
        }
        let Replica { state, consensus } = replica;
        match message {
            Message::Accept {
                ballot,
                entries,
                lane,
                applied,
            } => {
                self.peers.note_applied(from, applied);
                consensus.on_accept(from, ballot, entries, lane, env);
            }
            Message::Accepted(accepted) => {
                self.peers.note_applied(from, accepted.applied);
                if let Some(sent) = consensus.on_accepted(from, accepted)
                    && from != self.config.id
                    && let Some(peer) = self.peers.hear(from, now)
                {
                    peer.measure(now.since(sent));
                }
            }
            Message::Reject { slot: _, promised } => {
                consensus.on_reject(promised, &self.peers, env);
            }
            Message::Prepare { ballot, slots } => consensus.on_prepare(from, ballot, slots, env),
            Message::Promise {
                ballot,
                slots,
                decided,
            } => {
                if consensus.trusts(from) {
                    let count = decided.len();
                    for (slot, entry) in decided {
                        let is_next = consensus.learn(slot, entry);
                        sometimes!(DecidedByPromise, is_next && count > 4);
                    }
                }
                consensus.on_promise(from, ballot, slots, env);
            }
            Message::Beat(beat) => self.on_beat(from, beat, env),
            Message::Ask { from: first } => consensus.on_ask(from, first, env),
            Message::Learn {
                from: first,
                entries,
            } => {
                self.on_learn(from, first, entries, env);
            }
            Message::Truncated { .. } => {
                if consensus.trusts(from) {
                    self.download.begin(from);
                }
            }
            Message::Follow { from: first } => consensus.on_follow(from, first, now),
            Message::SnapshotAsk { .. } | Message::SnapshotPiece { .. } => {
                unreachable!("it was handled above")
            }
            Message::Forward { run } => {
                let last = state.last(run.origin);
                consensus.on_forward(from, run, last);
            }
            Message::Where { question } => consensus.on_where(from, question, env),
            Message::At { question, slot } => consensus.on_at(from, question, slot),
        }
    }

    /// Submits the commands that this process gives of itself.
    fn do_chores(&mut self, now: Time, env: &mut impl Env) {
        let Some(Replica { state, consensus }) = &mut self.replica else {
            return;
        };
        let sight = Sight {
            now,
            applied: state.applied(),
            window: state.alpha(),
            epochs: state.epochs(),
            peers: &self.peers,
            evidence: &self.evidence,
            last_write: self.service.last_write(),
        };
        // Without a majority neither changes of owners nor evictions pile up.
        let is_open = |seq| state.last(self.config.id) < seq;
        if !self.owners_change.is_some_and(is_open)
            && let Some(op) = self.ownership.propose(sight)
        {
            self.owners_change = Some(submit(&mut self.next, consensus, op));
        }
        let (peers, evidence) = (&self.peers, &self.evidence);
        match &self.evicting {
            Some((seq, op)) if is_open(*seq) => {
                if !self.eviction.holds(op, now, state, peers, evidence) {
                    consensus.void(*seq);
                }
            }
            _ => {
                if let Some(op) = self.eviction.propose(now, state, peers, evidence) {
                    let seq = submit(&mut self.next, consensus, op.clone());
                    self.evicting = Some((seq, op));
                }
            }
        }
        if !self.has_chores && now < self.housekeeping.deadline(self.is_member) {
            return;
        }
        self.has_chores = false;
        let at = Situation {
            now,
            is_member: self.is_member,
            seen: consensus.seen(),
            random: env.random(),
        };
        let next = &mut self.next;
        self.housekeeping
            .due(state, at, |op| submit(next, consensus, op));
    }

    fn note_revocations(&mut self, now: Time) {
        let Some(replica) = &mut self.replica else {
            return;
        };
        for owner in replica.consensus.take_revoked() {
            self.counters.revocations += 1;
            self.ownership.on_revoked(owner, now);
        }
    }

    fn answer_reads(&mut self, env: &mut impl Env) {
        let Some(Replica { state, consensus }) = &mut self.replica else {
            return;
        };
        for ticket in consensus.ready_reads(env) {
            self.service.read(ticket, state.store_mut(), env);
        }
    }

    fn expire(&mut self, now: Time, env: &mut impl Env) {
        let Some(Replica { consensus, .. }) = &mut self.replica else {
            return;
        };
        if now < self.service.deadline() {
            return;
        }
        let expired = self.service.expire(now, env);
        for seq in expired.commands {
            consensus.void(seq);
        }
        if !expired.reads.is_empty() {
            consensus.forget_reads(|ticket: Ticket| expired.reads.contains(&ticket));
        }
    }

    /// Tells operators what has changed about this node.
    fn announce(&mut self, env: &mut impl Env) {
        let Some(Replica { state, consensus }) = &self.replica else {
            return;
        };
        let is_member = consensus.is_member();
        if is_member != self.is_member {
            self.is_member = is_member;
            self.has_chores = true;
            let id = self.config.id.to_string();
            let slot = state
                .slot_files()
                .find(|(_, _, value)| value.0 == id.as_bytes());
            match (is_member, slot) {
                (true, Some((file, ..))) => env.notice(Notice::Joined {
                    slot: file.to_string(),
                }),
                // A founder is a member before it has written so.
                (true, None) => {}
                (false, _) => env.notice(Notice::Left),
            }
        }
        if self.is_ready {
            return;
        }
        let is_known = self.housekeeping.is_registered(state);
        let is_founder = self.config.is_founder();
        if is_known && (!is_founder || self.is_member) {
            self.is_ready = true;
            env.notice(Notice::Ready);
        }
    }

    fn deadline(&self) -> Time {
        let mut deadline = self.service.deadline().min(self.download.deadline());
        if let Some(replica) = &self.replica {
            deadline = deadline
                .min(replica.consensus.deadline())
                .min(self.beat_due);
            let chores = self.housekeeping.deadline(self.is_member);
            deadline = deadline.min(if self.has_chores { Time(0) } else { chores });
        }
        deadline.min(self.wind_up_deadline())
    }
}

impl Replica {
    fn new(config: &Config, state: State) -> Replica {
        let (applied, epochs) = (state.applied(), state.epochs().clone());
        let consensus = Consensus::new(
            config.id,
            config.tuning.batch,
            config.tuning.retained_slots_max,
            state.alpha(),
            applied,
            epochs,
        );
        Replica { state, consensus }
    }
}

/// Gives a command its number, and to consensus.
fn submit(next: &mut Seq, consensus: &mut Consensus, op: Op) -> Seq {
    let seq = *next;
    *next = seq.next();
    consensus.submit(seq, op);
    seq
}
