//! Everything that is known of one slot.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::core::consensus::{Ballot, Slot};
use crate::core::durable::Record;
use crate::core::env::{RecordId, Time};
use crate::core::id::NodeId;
use crate::core::log::Entry;
use crate::core::membership::Epoch;
use crate::core::protocol::client::{Request, Verb};
use crate::core::protocol::peer::{Message, Promised};
use crate::core::store::Condition;
use crate::sim::check::Violation;
use crate::sim::narration::{Cast, Happened, Place, Told, text};
use crate::sim::process::Pid;

/// What is known of one slot.
#[derive(Debug)]
pub struct Account {
    /// Which.
    pub slot: Slot,
    /// The configuration that governs it, and when it was shown first.
    pub(super) epoch: Option<(Epoch, Moment)>,
    /// Attempts to bring something in, by ballot.
    pub(super) attempts: BTreeMap<Ballot, Attempt>,
    /// When the owner first said that it never uses the slot, and in which message.
    pub(super) given_up: Option<(Moment, &'static str)>,
    /// Who told others the outcome, and whom.
    pub(super) told: Vec<Tip>,
    /// What each process knows, in the order in which they learned it.
    pub(super) learned: Vec<Learned>,
    /// Requests of clients that write.
    pub(super) asked: Vec<Asked>,
    /// The rule that was broken in the run.
    pub(super) violation: Option<(Violation, Moment)>,
    /// The latest message about the slot that has reached each process.
    heard: BTreeMap<Pid, Heard>,
    by_id: BTreeMap<NodeId, Pid>,
    /// The id of each process. Several have had one after the other, where they have disks.
    ids: BTreeMap<Pid, NodeId>,
    names: Vec<u64>,
}

/// A moment in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// Events so far.
    pub number: u64,
    /// The time.
    pub time: Time,
}

/// What happened at one ballot.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// When promises were asked for first.
    pub prepared: Option<Moment>,
    /// The promises.
    pub promises: Vec<Promise>,
    /// When the proposer brought the entry in, and the entry.
    pub proposed: Option<(Moment, Entry)>,
    /// How often it was sent to others.
    pub sent: u64,
    /// Who accepted it.
    pub votes: Vec<Vote>,
    /// Who refused it, when, and for the sake of which ballot.
    pub refused: Vec<(Pid, Moment, Ballot)>,
}

/// A promise of one process.
#[derive(Debug)]
pub(super) struct Promise {
    /// Who.
    pub by: Pid,
    /// When it was recorded, and where.
    pub made: Moment,
    record: RecordId,
    /// When that was durable.
    pub durable: Option<Moment>,
    /// What had been accepted there at that time, at the highest ballot, as its records say.
    pub before: Option<(Ballot, Entry)>,
    /// What it told the proposer to have accepted, and when that arrived.
    pub reached: Option<(Moment, Option<(Ballot, Entry)>)>,
}

/// A vote of one process.
#[derive(Debug)]
pub(super) struct Vote {
    /// Who.
    pub by: Pid,
    /// When it was recorded, and where.
    pub made: Moment,
    record: RecordId,
    /// When that was durable.
    pub durable: Option<Moment>,
    /// When it was told to others first.
    pub told: Option<Moment>,
}

/// The outcome, told by one to another.
#[derive(Debug)]
pub(super) struct Tip {
    /// When it left.
    pub at: Moment,
    /// Who told it.
    pub by: Pid,
    /// To whom.
    pub to: Vec<NodeId>,
    /// In which message.
    pub kind: &'static str,
    /// What.
    pub entry: Entry,
}

/// What one process knows of the outcome.
#[derive(Debug)]
pub(super) struct Learned {
    /// Who.
    pub by: Pid,
    /// When it knew the outcome first, and what had reached it last. `None` if it never showed it,
    /// because it had forgotten it by the end of the turn, or took a snapshot of a later state.
    pub knew: Option<(Moment, Entry, Option<Heard>)>,
    /// When it had applied it.
    pub applied: Option<Moment>,
}

/// A message that has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// When.
    pub at: Moment,
    /// From whom.
    pub from: Pid,
    /// Which kind.
    pub kind: &'static str,
}

/// A write that a client asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// Who.
    pub client: usize,
    /// Which node.
    pub node: Pid,
    /// The tag.
    pub tag: i32,
    /// What.
    pub request: Request,
    /// When.
    pub at: Moment,
    /// When it was answered, and what.
    pub answered: Option<(Moment, String)>,
}

impl Account {
    /// Nothing is known of this slot.
    pub fn new(slot: Slot) -> Account {
        Account {
            slot,
            epoch: None,
            attempts: BTreeMap::new(),
            given_up: None,
            told: Vec::new(),
            learned: Vec::new(),
            asked: Vec::new(),
            violation: None,
            heard: BTreeMap::new(),
            by_id: BTreeMap::new(),
            ids: BTreeMap::new(),
            names: Vec::new(),
        }
    }

    /// Who is who.
    pub(super) fn cast(&self) -> Cast<'_> {
        Cast {
            by_id: &self.by_id,
            names: &self.names,
        }
    }

    /// Takes in what happens.
    pub fn take(&mut self, told: &Told<'_>) {
        let at = Moment {
            number: told.number,
            time: told.time,
        };
        match (&told.what, told.place) {
            (Happened::Started { .. }, _) => {
                self.by_id = told.cast.by_id.clone();
                let ids = self.by_id.iter().map(|(id, pid)| (*pid, *id));
                self.ids.extend(ids);
                self.names = told.cast.names.to_vec();
            }
            (Happened::Configured(epoch), _) if epoch.start <= self.slot => {
                self.epoch = Some(((*epoch).clone(), at));
            }
            (Happened::Recorded { at: id, record }, Place::Node(by)) => {
                self.recorded(by, at, *id, record);
            }
            (Happened::Durable { upto }, Place::Node(by)) => self.durable(by, at, *upto),
            (Happened::Sent { to, message, .. }, Place::Node(by)) => self.said(by, at, to, message),
            (Happened::Arrived { from, message, .. }, Place::Node(to)) => {
                self.arrived(to, at, *from, message);
            }
            (Happened::Ran { node, .. }, Place::Node(by)) => {
                let is_news = self.learned.iter().all(|one| one.by != by);
                if is_news && let Some(entry) = node.and_then(|node| node.outcome(self.slot)) {
                    let knew = Some((at, entry, self.heard.get(&by).copied()));
                    let applied = None;
                    self.learned.push(Learned { by, knew, applied });
                }
            }
            (Happened::Applied { slot, .. }, Place::Node(by)) if *slot == self.slot => {
                self.applied(by, at);
            }
            (Happened::Asked { .. } | Happened::Answered { .. }, Place::Client(client)) => {
                self.of_client(client, at, &told.what);
            }
            (Happened::Violated(violation), _) => self.violation = Some(((*violation).clone(), at)),
            _ => {}
        }
    }

    /// Whether the owner says in a message that it never uses the slot. What others say of slots that
    /// lie among theirs means nothing.
    fn gives_up(&self, by: Pid, message: &Message) -> bool {
        let slot = self.slot;
        let says_so = text::lane_of(message).is_some_and(|lane| {
            lane.base <= slot && slot < lane.next && lane.used.binary_search(&slot).is_err()
        });
        says_so && self.owner().is_some_and(|owner| self.is(by, owner))
    }

    /// Whether a process has this id.
    pub(super) fn is(&self, pid: Pid, id: NodeId) -> bool {
        self.ids.get(&pid) == Some(&id)
    }

    /// Whether a process is one of these members, and which, by its number among them.
    pub(super) fn place(&self, pid: Pid, members: &[NodeId]) -> Option<usize> {
        members.iter().position(|id| self.is(pid, *id))
    }

    fn attempt(&mut self, ballot: Ballot) -> &mut Attempt {
        self.attempts.entry(ballot).or_default()
    }

    fn proposed(&mut self, at: Moment, ballot: Ballot, entry: &Entry) -> &mut Attempt {
        let attempt = self.attempt(ballot);
        attempt.proposed.get_or_insert_with(|| (at, entry.clone()));
        attempt
    }

    fn recorded(&mut self, by: Pid, at: Moment, id: RecordId, record: &Record) {
        match record {
            Record::Promised { slots, ballot } if slots.contains(&self.slot) => {
                let before = self.accepted_by(by, *ballot);
                self.attempt(*ballot).promises.push(Promise {
                    by,
                    made: at,
                    record: id,
                    durable: None,
                    before,
                    reached: None,
                });
            }
            Record::Accepted {
                slot,
                ballot,
                entry,
            } if *slot == self.slot => {
                if self.is(by, ballot.member) {
                    self.proposed(at, *ballot, entry);
                }
                let votes = &mut self.attempt(*ballot).votes;
                if votes.iter().all(|vote| vote.by != by) {
                    votes.push(Vote {
                        by,
                        made: at,
                        record: id,
                        durable: None,
                        told: None,
                    });
                }
            }
            _ => {}
        }
    }

    /// What a process has accepted at the highest ballot below this one.
    fn accepted_by(&self, by: Pid, below: Ballot) -> Option<(Ballot, Entry)> {
        let mut known = self.attempts.range(..below).rev();
        known.find_map(|(ballot, attempt)| {
            let (_, entry) = attempt.proposed.as_ref()?;
            let accepted = attempt.votes.iter().any(|vote| vote.by == by);
            accepted.then(|| (*ballot, entry.clone()))
        })
    }

    fn durable(&mut self, by: Pid, at: Moment, upto: RecordId) {
        for attempt in self.attempts.values_mut() {
            for vote in &mut attempt.votes {
                if vote.by == by && vote.record <= upto {
                    vote.durable.get_or_insert(at);
                }
            }
            for promise in &mut attempt.promises {
                if promise.by == by && promise.record <= upto {
                    promise.durable.get_or_insert(at);
                }
            }
        }
    }

    fn said(&mut self, by: Pid, at: Moment, to: &[NodeId], message: &Message) {
        let slot = self.slot;
        if self.gives_up(by, message) {
            let kind = text::message_kind(message);
            self.given_up.get_or_insert((at, kind));
        }
        match message {
            Message::Accept {
                ballot, entries, ..
            } => {
                let entry = entries.iter().find(|(one, _)| *one == slot);
                if let Some((_, entry)) = entry {
                    self.proposed(at, *ballot, entry).sent += 1;
                }
            }
            Message::Accepted(accepted) => {
                for (_, ballot) in accepted.votes.iter().filter(|(one, _)| *one == slot) {
                    let votes = &mut self.attempt(*ballot).votes;
                    if let Some(vote) = votes.iter_mut().find(|vote| vote.by == by) {
                        vote.told.get_or_insert(at);
                    }
                }
            }
            Message::Prepare { ballot, slots } if slots.contains(&slot) => {
                self.attempt(*ballot).prepared.get_or_insert(at);
            }
            Message::Reject {
                slot: one,
                promised,
            } if *one == slot => {
                // It does not tell which ballot it refuses; that is a lower one of the addressee.
                for (ballot, attempt) in &mut self.attempts {
                    if to.contains(&ballot.member) && ballot < promised {
                        attempt.refused.push((by, at, *promised));
                    }
                }
            }
            Message::Promise { decided, .. } => {
                for (_, entry) in decided.iter().filter(|(one, _)| *one == slot) {
                    self.tip(by, at, to, "Promise", entry);
                }
            }
            Message::Learn { from, entries } => {
                let index = slot.0.checked_sub(from.0).map(|index| index as usize);
                if let Some(entry) = index.and_then(|index| entries.get(index)) {
                    self.tip(by, at, to, "Learn", entry);
                }
            }
            _ => {}
        }
    }

    fn tip(&mut self, by: Pid, at: Moment, to: &[NodeId], kind: &'static str, entry: &Entry) {
        self.told.push(Tip {
            at,
            by,
            to: to.to_vec(),
            kind,
            entry: entry.clone(),
        });
    }

    fn arrived(&mut self, to: Pid, at: Moment, from: Pid, message: &Message) {
        let (slots, _) = text::subject(message);
        if !slots.contains(&self.slot) && !self.gives_up(from, message) {
            return;
        }
        let kind = text::message_kind(message);
        self.heard.insert(to, Heard { at, from, kind });
        let Message::Promise { ballot, slots, .. } = message else {
            return;
        };
        let slot = self.slot;
        let told = slots.iter().find(|promised| promised.slot == slot);
        let Some(Promised { accepted, .. }) = told else {
            return;
        };
        let promises = &mut self.attempt(*ballot).promises;
        if let Some(promise) = promises.iter_mut().find(|promise| promise.by == from) {
            promise.reached.get_or_insert((at, accepted.clone()));
        }
    }

    fn applied(&mut self, by: Pid, at: Moment) {
        match self.learned.iter_mut().find(|one| one.by == by) {
            Some(one) => one.applied = Some(at),
            None => self.learned.push(Learned {
                by,
                knew: None,
                applied: Some(at),
            }),
        }
    }

    fn of_client(&mut self, client: usize, at: Moment, what: &Happened<'_>) {
        match what {
            Happened::Asked { node, tag, request }
                if request
                    .verb
                    .and_then(Verb::from_number)
                    .is_some_and(Verb::is_write) =>
            {
                self.asked.push(Asked {
                    client,
                    node: *node,
                    tag: *tag,
                    request: (*request).clone(),
                    at,
                    answered: None,
                });
            }
            Happened::Answered { tag, response, .. } => {
                let mut asked = self.asked.iter_mut().rev();
                let asked = asked.find(|one| one.client == client && one.tag == *tag);
                if let Some(asked) = asked {
                    asked.answered = Some((at, text::response(response)));
                }
            }
            _ => {}
        }
    }
}

impl Asked {
    /// Whether this asks for a change of this path with this content and condition.
    pub(super) fn is_for(
        &self,
        verb: Verb,
        path: &str,
        value: Option<&Bytes>,
        condition: Condition,
    ) -> bool {
        let asked = &self.request;
        asked.verb == Some(verb as i32)
            && asked.path.as_deref().unwrap_or_default() == path.as_bytes()
            && value.is_none_or(|value| asked.value.as_ref().unwrap_or(&Bytes::new()) == value)
            && (verb == Verb::Nop
                || asked.rev.is_some_and(|rev| {
                    Condition::asked(rev, asked.exact == Some(true)) == condition
                }))
    }
}
