//! Service: what clients ask for and are answered.
//!
//! * `request.rs`: the checks that are made in request order, verb by verb.
//! * `answer.rs`: answers from the store, at the present or at a revision.
//! * `restore.rs`: the checks of the steps of a restoration.
//! * `session.rs`: what a connection may do, and what it waits for.
//! * `load.rs`: how much waits.
//!
//! Nothing in here decides anything: writes and linearizable reads go to consensus, and come back.

mod answer;
mod load;
mod request;
mod restore;
mod session;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use session::Session;

use super::consensus::Ticket;
use super::env::{Env, Time};
use super::histogram::Histogram;
use super::id::{Rev, SessionId};
use super::instrument::{planted, sometimes};
use super::limits::Limits;
use super::log::{Op, Seq};
use super::protocol::client::{ErrorCode, Report, Request, Response, Verb, detail};
use super::state::Outcome;
use super::store::{Event, EventKind, Refusal, Store, WatchId, Watches};

/// Clients and what they wait for.
#[derive(Clone, Debug)]
pub struct Service {
    rules: Rules,
    sessions: BTreeMap<SessionId, Session>,
    watches: Watches,
    /// Parked WAITs: who waits, under which tag.
    parked: BTreeMap<WatchId, (SessionId, Option<i32>)>,
    next_watch: u64,
    /// Reads at revisions that have not come yet.
    future: BTreeMap<Rev, Vec<(SessionId, Request)>>,
    /// Reads that wait for consensus, in the order of their arrival.
    reads: BTreeMap<Ticket, Read>,
    next_read: u64,
    /// Writes that wait for their place in the log, in the order of their arrival.
    writes: VecDeque<(Seq, Write)>,
    /// When clients last wrote or read through consensus.
    last_write: Option<Time>,
    /// When a client that wanted to write was last told to go to a member.
    turned_away: Option<Time>,
    /// How long writes and reads that are settled have waited, in microseconds.
    write_waits: Histogram,
    read_waits: Histogram,
}

/// What the node was told about serving.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The id that SELF answers.
    pub id: String,
    /// The secret that grants everything; empty if unset.
    pub rw_secret: Vec<u8>,
    /// The secret that grants reading; empty if unset.
    pub ro_secret: Vec<u8>,
    /// Whether reads are local unless they say otherwise.
    pub local_reads: bool,
    /// How long a request may wait for the cluster.
    pub timeout: Duration,
    /// Bounds.
    pub limits: Limits,
    /// Writes that wait for their place in the log at most.
    pub writes_open_max: usize,
}

#[derive(Clone, Debug)]
struct Read {
    session: SessionId,
    request: Request,
    deadline: Time,
}

#[derive(Clone, Debug)]
struct Write {
    session: SessionId,
    tag: Option<i32>,
    verb: Verb,
    deadline: Time,
    /// The client has been told that nobody knows.
    abandoned: bool,
}

/// How this node stands towards a request.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whether it takes writes.
    pub is_member: bool,
    /// Why it does not want this one in the log, if it is a well-formed write.
    pub objection: Option<String>,
    /// What it knows of itself and of the others, if that is what it is asked for.
    pub report: Option<Report>,
}

/// What has to be done about a request beyond answering it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Nothing.
    Nothing,
    /// Put this command into the log, then call [`Service::proposed`].
    Propose {
        /// The command.
        op: Op,
        /// Of which verb.
        verb: Verb,
        /// The tag to answer under.
        tag: Option<i32>,
    },
    /// Make sure that the state is up to date, then call [`Service::read`].
    Read(Ticket),
    /// Answer what a recovery would come to, and do it if it is confirmed.
    Recover(Recovery),
}

/// What an operator says about a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The tag to answer under.
    pub tag: Option<i32>,
    /// Do it although this node would advise against it.
    pub force: bool,
    /// Do it, and do not only tell.
    pub confirmed: bool,
}

impl Service {
    /// No clients yet.
    pub fn new(rules: Rules) -> Service {
        Service {
            rules,
            sessions: BTreeMap::new(),
            watches: Watches::new(),
            parked: BTreeMap::new(),
            next_watch: 0,
            future: BTreeMap::new(),
            reads: BTreeMap::new(),
            next_read: 0,
            writes: VecDeque::new(),
            last_write: None,
            turned_away: None,
            write_waits: Histogram::default(),
            read_waits: Histogram::default(),
        }
    }

    /// When a client wrote last.
    pub fn last_write(&self) -> Option<Time> {
        self.last_write
    }

    /// When a client that wanted to write was last told to go to a member.
    pub fn turned_away(&self) -> Option<Time> {
        self.turned_away
    }

    /// How long writes of clients have waited for their place in the log, in microseconds. Those
    /// that nobody waits for any more do not count.
    pub fn write_waits(&self) -> &Histogram {
        &self.write_waits
    }

    /// How long reads of clients have waited until the state was up to date, in microseconds.
    pub fn read_waits(&self) -> &Histogram {
        &self.read_waits
    }

    /// How long a request has waited that has to be answered by `deadline`.
    fn waited(&self, deadline: Time, now: Time) -> u64 {
        (now + self.rules.timeout).0.saturating_sub(deadline.0)
    }

    /// Whether clients are connected.
    pub fn has_sessions(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Whether a client waits for a write or for a read of the latest state.
    pub fn has_open(&self) -> bool {
        !self.reads.is_empty() || self.writes.iter().any(|(_, write)| !write.abandoned)
    }

    /// A client connected.
    pub fn open(&mut self, session: SessionId) {
        self.sessions.insert(session, Session::new(&self.rules));
    }

    /// A client is gone.
    pub fn close(&mut self, session: SessionId) {
        self.unpark(session);
        let open = self.sessions.get(&session).map(|state| state.open);
        sometimes!(SessionEndsWithOpen, open > Some(0));
        self.sessions.remove(&session);
    }

    /// A client will send nothing more. Parked WAITs and reads of the future are dropped, as they
    /// might never be answered; the rest is answered before the connection ends.
    pub fn half_close(&mut self, session: SessionId, env: &mut impl Env) {
        self.unpark(session);
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        state.half_closed = true;
        sometimes!(HalfClosedWithOpen, state.open > 0);
        if state.open == 0 {
            env.finish(session);
        }
    }

    /// A write has become the command `seq`.
    pub fn proposed(
        &mut self,
        seq: Seq,
        session: SessionId,
        tag: Option<i32>,
        verb: Verb,
        now: Time,
    ) {
        let deadline = now + self.rules.timeout;
        self.last_write = Some(now);
        self.writes.push_back((
            seq,
            Write {
                session,
                tag,
                verb,
                deadline,
                abandoned: false,
            },
        ));
    }

    /// A command of this process came into effect. If it was a client's write, answers it.
    pub fn outcome(&mut self, seq: Seq, outcome: &Outcome, env: &mut impl Env) {
        // Commands of one process come into effect in order.
        while self.writes.front().is_some_and(|(first, _)| *first <= seq) {
            let (first, write) = self.writes.pop_front().expect("it was just seen");
            let is_late = first == seq && write.abandoned;
            sometimes!(
                LateWriteTakesEffect,
                is_late && *outcome != Outcome::Nothing
            );
            sometimes!(
                LateWriteComesToNothing,
                is_late && *outcome == Outcome::Nothing
            );
            if first == seq && (!write.abandoned || planted!(AnswersTwice)) {
                self.write_waits
                    .note(self.waited(write.deadline, env.now()));
                let response = match outcome {
                    Outcome::Done(rev) if write.verb == Verb::Set => Response {
                        rev: Some(rev.0 as i64),
                        ..Response::to(write.tag)
                    },
                    Outcome::Done(_) | Outcome::Nothing => Response::to(write.tag),
                    Outcome::Refused(refusal) => {
                        Response::refuse(write.tag, refusal_code(*refusal))
                    }
                    Outcome::Guarded(text) | Outcome::Declined(text) => {
                        Response::refuse_with(write.tag, text.clone())
                    }
                    Outcome::Restored { .. } => Response::to(write.tag),
                };
                self.answer(write.session, response, env);
            }
        }
    }

    /// A revision has been applied: wakes whoever waits for it. `store` is the state right after.
    pub fn on_event(&mut self, store: &mut Store, env: &mut impl Env) {
        if !self.watches.is_empty() {
            self.wake(store.rev(), store, env);
        }
        self.answer_future(store, env);
    }

    fn wake(&mut self, rev: Rev, store: &Store, env: &mut impl Env) {
        let Some(event) = store.event(rev) else {
            return;
        };
        if planted!(WatchSkipsRefusals) && event.kind == EventKind::Refused {
            return;
        }
        let woken = self.watches.wake(event);
        sometimes!(EventWakesSeveral, woken.len() > 1);
        for id in woken {
            let (session, tag) = self.let_go(id);
            self.answer(session, event_response(tag, event), env);
        }
    }

    /// Takes a watch away that `watches` has let go. Returns who waits for it.
    fn let_go(&mut self, id: WatchId) -> (SessionId, Option<i32>) {
        let (session, tag) = self.parked.remove(&id).expect("it was parked");
        if let Some(state) = self.sessions.get_mut(&session) {
            state.parked.remove(&id);
        }
        (session, tag)
    }

    /// Answers reads at revisions that have come.
    fn answer_future(&mut self, store: &mut Store, env: &mut impl Env) {
        if planted!(FutureReadsForgotten) {
            return;
        }
        let rev = store.rev();
        while let Some(entry) = self.future.first_entry()
            && *entry.key() <= rev
        {
            sometimes!(FutureReadAnswered);
            let (at, waiting) = entry.remove_entry();
            for (session, request) in waiting {
                if let Some(state) = self.sessions.get_mut(&session) {
                    state.future.remove(&at);
                    self.answer_now(session, &request, store, env);
                }
            }
        }
    }

    /// The state jumped from revision `before` to a later one, past what happened between. `last`
    /// is the latest command of this process that is in effect.
    pub fn on_jump(&mut self, before: Rev, last: Seq, store: &mut Store, env: &mut impl Env) {
        let (after, oldest) = (store.rev(), store.oldest());
        let have_missed = before.next() < oldest && !planted!(JumpHidesGap);
        if have_missed {
            // Nobody knows what these have missed.
            for id in self.watches.take_before(oldest) {
                let (session, tag) = self.let_go(id);
                self.answer(session, Response::refuse(tag, ErrorCode::TooLate), env);
            }
        }
        let mut rev = before.next().max(oldest);
        while rev <= after && !self.watches.is_empty() && !planted!(JumpWakesNobody) {
            sometimes!(WatchCrossesJump);
            self.wake(rev, store, env);
            rev = rev.next();
        }
        self.answer_future(store, env);
        if planted!(JumpLeavesWritesOpen) {
            return;
        }
        while self.writes.front().is_some_and(|(seq, _)| *seq <= last) {
            let (_, write) = self.writes.pop_front().expect("it was just seen");
            if !write.abandoned {
                sometimes!(WriteOutcomeSkipped);
                let response = Response::refuse_with(write.tag, detail::OUTCOME_UNKNOWN);
                self.answer(write.session, response, env);
            }
        }
    }

    /// The state reflects everything that was acknowledged before this read arrived: answers it.
    pub fn read(&mut self, ticket: Ticket, store: &mut Store, env: &mut impl Env) {
        if let Some(read) = self.reads.remove(&ticket) {
            self.read_waits.note(self.waited(read.deadline, env.now()));
            self.answer_now(read.session, &read.request, store, env);
        }
    }

    /// Ends requests that have waited for too long. Returns the commands and reads that nobody
    /// waits for any more.
    pub fn expire(&mut self, now: Time, env: &mut impl Env) -> Expired {
        let mut expired = Expired::default();
        let mut late = Vec::new();
        for (seq, write) in &mut self.writes {
            if write.deadline > now {
                break;
            }
            if !write.abandoned {
                sometimes!(WriteTimesOut);
                write.abandoned = true;
                let void = if planted!(VoidsTheNext) {
                    seq.next()
                } else {
                    *seq
                };
                expired.commands.push(void);
                late.push((
                    write.session,
                    write.tag,
                    "the write may or may not take effect",
                ));
            }
        }
        while let Some(entry) = self.reads.first_entry()
            && entry.get().deadline <= now
        {
            sometimes!(ReadTimesOut);
            let (ticket, read) = entry.remove_entry();
            expired.reads.insert(ticket);
            late.push((
                read.session,
                read.request.tag,
                "ask another node, or read locally",
            ));
        }
        for (session, tag, advice) in late {
            let waited = self.rules.timeout.as_secs_f64();
            let text = format!("{} within {waited} s; {advice}", detail::NO_MAJORITY);
            self.answer(session, Response::refuse_with(tag, text), env);
        }
        expired
    }

    /// When [`Service::expire`] has something to do.
    pub fn deadline(&self) -> Time {
        let write = self.writes.iter().find(|(_, write)| !write.abandoned);
        let write = write.map_or(Time::NEVER, |(_, write)| write.deadline);
        let read = self
            .reads
            .first_key_value()
            .map_or(Time::NEVER, |(_, read)| read.deadline);
        write.min(read)
    }

    /// Answers a request that was counted as open.
    fn answer(&mut self, session: SessionId, response: Response, env: &mut impl Env) {
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        assert!(state.open > 0, "an answer to a request that was not open");
        state.open -= 1;
        env.reply(session, response);
        if state.half_closed && state.open == 0 {
            env.finish(session);
        }
    }

    fn unpark(&mut self, session: SessionId) {
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        let parked: BTreeSet<WatchId> = std::mem::take(&mut state.parked);
        let future: BTreeSet<Rev> = std::mem::take(&mut state.future);
        sometimes!(SessionEndsWithWaits, !parked.is_empty());
        sometimes!(SessionEndsWithFutureReads, !future.is_empty());
        for id in &parked {
            self.watches.remove(*id);
            self.parked.remove(id);
        }
        let mut dropped = parked.len();
        for rev in future {
            if let Some(waiting) = self.future.get_mut(&rev) {
                let before = waiting.len();
                waiting.retain(|(who, _)| *who != session);
                dropped += before - waiting.len();
                if waiting.is_empty() {
                    self.future.remove(&rev);
                }
            }
        }
        state.open -= dropped;
    }
}

/// What nobody waits for any more.
#[derive(Clone, Debug, Default)]
pub struct Expired {
    /// Commands of clients.
    pub commands: Vec<Seq>,
    /// Reads of clients.
    pub reads: BTreeSet<Ticket>,
}

fn refusal_code(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::NotDir => ErrorCode::Notdir,
        Refusal::RevMismatch => ErrorCode::RevMismatch,
        Refusal::IsDir => ErrorCode::Isdir,
    }
}

fn event_response(tag: Option<i32>, event: &Event) -> Response {
    Response {
        flags: Some(event.flags()),
        rev: Some(event.rev.0 as i64),
        path: Some(event.path.as_str().to_owned().into()),
        value: Some(event.value.0.clone()),
        ..Response::to(tag)
    }
}
