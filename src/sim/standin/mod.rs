//! A stand-in for the node, to test the harness: a cluster that cheats.
//!
//! All stand-ins of a run share one sequence of writes, so that agreement costs nothing and is
//! right by construction; each applies it at its own pace, when messages of others tell it to. That
//! is a correct store as far as clients can see, and with one of the planted [`Bug`]s it is not:
//! every checker must find the bug that is meant for it.

mod serve;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::chance::is_hit;
use super::machine::{Machine, View};
use super::model::{Event, Model};
use super::trace::digest;
use crate::core::consensus::Slot;
use crate::core::env::{Env, Halt, Input, Time};
use crate::core::id::{NodeId, Rev, SessionId};
use crate::core::node::{Config, Node, Start};
use crate::core::protocol::client::{FLAG_SET, Request};
use crate::core::protocol::peer::{Beat, Digest, Message};

/// A mistake that stand-ins make on purpose, each in a small part of the cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// None.
    None,
    /// A linearizable read is answered from the local copy.
    StaleRead,
    /// A write is answered, and not in the sequence.
    LostWrite,
    /// A write is in the sequence twice.
    DoubleWrite,
    /// A compare-and-set does not compare.
    BlindSet,
    /// A write is answered with the revision after its own.
    WrongRev,
    /// A WAIT skips an event.
    WatchGap,
    /// A WAIT tells an event before the one asked for.
    WatchTwice,
    /// A node changes a value when it applies it.
    Divergence,
    /// A node goes back by one slot.
    GoesBack,
    /// A request is never answered.
    Silence,
    /// A node fails.
    Panic,
    /// A refused write is said to have been done.
    FalseSuccess,
    /// A listing leaves an entry out.
    ShortListing,
    /// A read at a revision is answered at another.
    WrongAge,
    /// Others are told in the order of a hash set, which no seed decides. Only a second run shows it.
    HashOrder,
}

/// All planted bugs that one run can show.
pub const BUGS: [Bug; 14] = [
    Bug::StaleRead,
    Bug::LostWrite,
    Bug::DoubleWrite,
    Bug::BlindSet,
    Bug::WrongRev,
    Bug::WatchGap,
    Bug::WatchTwice,
    Bug::Divergence,
    Bug::GoesBack,
    Bug::Silence,
    Bug::Panic,
    Bug::FalseSuccess,
    Bug::ShortListing,
    Bug::WrongAge,
];

/// Cases in a million in which a bug shows.
const BUG_PPM: u32 = 20_000;
/// How often stand-ins tell each other how far they are.
const BEAT: Duration = Duration::from_millis(20);

/// What all stand-ins of a run share.
#[derive(Clone, Debug)]
pub struct Shared {
    log: Rc<RefCell<Model>>,
    /// Where each of them is to be found.
    addrs: Rc<RefCell<BTreeMap<NodeId, String>>>,
    bug: Bug,
}

impl Shared {
    /// An empty sequence, and the mistake that is made.
    pub fn new(bug: Bug) -> Shared {
        Shared {
            log: Rc::default(),
            addrs: Rc::default(),
            bug,
        }
    }
}

/// A node that cheats.
#[derive(Debug)]
pub struct Standin {
    shared: Shared,
    config: Config,
    /// How much of the sequence this one has applied.
    applied: i64,
    digest: u64,
    is_member: bool,
    links: BTreeSet<NodeId>,
    /// WAITs and reads of revisions that have not come.
    parked: Vec<(SessionId, Request)>,
    /// Writes of this one that are in the sequence, by revision, to be answered when applied.
    unanswered: BTreeMap<i64, (SessionId, Request)>,
    beat_at: Time,
    ready: bool,
}

impl Machine for Standin {
    type Shared = Shared;

    fn new(config: Config, shared: &Shared) -> Standin {
        let mut addrs = shared.addrs.borrow_mut();
        addrs.insert(config.id, config.addr.clone());
        drop(addrs);
        Standin {
            shared: shared.clone(),
            is_member: config.start != Start::Join,
            config,
            applied: 0,
            digest: 0,
            links: BTreeSet::new(),
            parked: Vec::new(),
            unanswered: BTreeMap::new(),
            beat_at: Time(0),
            ready: false,
        }
    }

    fn handle(&mut self, input: Input, env: &mut impl Env) {
        match input {
            Input::Peer { message, .. } => {
                if let Message::Beat(beat) = message {
                    self.apply_upto(beat.applied.0 as i64, env);
                    self.ready = true;
                }
            }
            Input::Linked { peer, addr } => {
                env.locate(peer, Some(&addr));
                self.links.insert(peer);
            }
            Input::Leave => env.halt(Halt::Left),
            Input::Unlinked { peer } => {
                self.links.remove(&peer);
            }
            Input::Client { session, request } => self.serve(session, request, env),
            Input::Closed { session } | Input::HalfClosed { session } => {
                self.parked.retain(|(open, _)| *open != session);
            }
            Input::Opened { .. } | Input::Tick => {}
        }
    }

    fn flush(&mut self, env: &mut impl Env) {
        if self.beat_at == Time(0) && self.is_member {
            self.append(event("/ctl/cal/0", self.config.id.to_string()));
            self.ready = true;
        }
        let end = self.shared.log.borrow().rev();
        if self.is_member {
            self.apply_upto(end, env);
        } else {
            self.claim(env);
        }
        if env.now() >= self.beat_at {
            self.beat_at = env.now() + BEAT;
            self.find_others(env);
            let mut links: Vec<NodeId> = self.links.iter().copied().collect();
            if self.shared.bug == Bug::HashOrder {
                links = in_hash_order(links);
            }
            env.send(&links, Message::Beat(self.beat()), None);
        }
        env.wake_at(self.beat_at);
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn view(&self) -> Option<View> {
        self.ready.then_some(View {
            applied: Slot(self.applied as u64),
            digest: Digest(self.digest),
            rev: Rev(self.applied as u64),
        })
    }

    fn node(&self) -> Option<&Node> {
        None
    }

    fn member_sets(&self) -> Vec<Vec<NodeId>> {
        let log = self.shared.log.borrow();
        let members = (0..7).filter_map(|n| {
            let path = format!("/ctl/cal/{n}");
            let (_, id) = log.file(path.as_bytes(), self.applied)?;
            std::str::from_utf8(&id).ok()?.parse().ok()
        });
        vec![members.collect()]
    }

    fn file(&self, path: &str) -> Option<Bytes> {
        let log = self.shared.log.borrow();
        log.file(path.as_bytes(), self.applied).map(|file| file.1)
    }

    /// Its membership is not replicated state: no operator may touch it.
    fn seats(&self) -> Vec<(u64, Option<NodeId>)> {
        Vec::new()
    }
}

impl Standin {
    /// Whether the planted bug shows in this case.
    fn errs(&self, bug: Bug, env: &mut impl Env) -> bool {
        self.shared.bug == bug && is_hit(env.random(), BUG_PPM)
    }

    /// Asks for a connection to everybody who is not connected.
    fn find_others(&self, env: &mut impl Env) {
        for (id, addr) in &*self.shared.addrs.borrow() {
            if *id != self.config.id && !self.links.contains(id) {
                env.locate(*id, Some(addr));
            }
        }
    }

    fn append(&mut self, event: Event) -> i64 {
        let mut log = self.shared.log.borrow_mut();
        log.push(event);
        log.rev()
    }

    fn beat(&self) -> Beat {
        Beat {
            lane: None,
            applied: Slot(self.applied as u64),
            digest: Digest(self.digest),
            seen: Slot(self.applied as u64),
            sent_us: 0,
            echo_us: 0,
            majority_us: 0,
            silent: Vec::new(),
        }
    }

    fn apply_upto(&mut self, upto: i64, env: &mut impl Env) {
        let log = Rc::clone(&self.shared.log);
        while self.applied < upto.min(log.borrow().rev()) {
            self.applied += 1;
            let event = log.borrow().event(self.applied).cloned();
            let event = event.expect("the sequence has no gap");
            let content = digest(&event.path) ^ digest(&event.value).rotate_left(1);
            self.digest = self.digest.rotate_left(7) ^ content;
            self.digest ^= u64::from(self.errs(Bug::Divergence, env));
            self.answer_write(env);
        }
        if self.applied > 1 && self.errs(Bug::GoesBack, env) {
            self.applied -= 1;
        }
        assert!(!self.errs(Bug::Panic, env), "a planted failure");
        self.retry_parked(env);
    }

    /// A standby takes a vacant slot that it knows of.
    fn claim(&mut self, env: &mut impl Env) {
        for slot in 0..7 {
            let path = format!("/ctl/cal/{slot}");
            let log = self.shared.log.borrow();
            let known = log.file(path.as_bytes(), self.applied);
            let latest = log.file(path.as_bytes(), log.rev());
            drop(log);
            if self.is_member || known.is_none_or(|(_, id)| !id.is_empty()) {
                continue;
            }
            if latest.is_some_and(|(_, id)| id.is_empty()) {
                let end = self.append(event(&path, self.config.id.to_string()));
                self.is_member = true;
                self.apply_upto(end, env);
            }
        }
    }
}

#[allow(clippy::disallowed_types, reason = "the bug that is planted here")]
fn in_hash_order(ids: Vec<NodeId>) -> Vec<NodeId> {
    let set: std::collections::HashSet<NodeId> = ids.into_iter().collect();
    set.into_iter().collect()
}

fn event(path: &str, value: String) -> Event {
    Event {
        path: path.to_owned().into(),
        value: value.into(),
        flags: FLAG_SET,
    }
}

#[cfg(test)]
mod tests;
