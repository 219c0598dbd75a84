//! Linearizable reads without writes to the log.
//!
//! The reader asks the members of every configuration that may be deciding slots it has not applied
//! for the highest slot each has accepted something in. When each configuration has answered with a
//! majority, everything acknowledged before the question was sent lies at or below the maximum:
//! the reader waits until it has applied that, asks a configuration that it has discovered on the
//! way, and may then answer from its own state (I10).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::{Consensus, Slot};
use crate::core::env::{Env, Time};
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::limits::Gauge;
use crate::core::protocol::peer::Message;

/// Questions under way at a time. Reads that arrive meanwhile share the next one.
const QUESTIONS_MAX: usize = 4;

/// Before a question is put again to those who have not answered, doubled each time.
const REPEAT: Duration = Duration::from_millis(50);
/// Longest pause between two times: who is slow must not be drowned in questions.
const REPEAT_MAX: Duration = Duration::from_secs(2);

/// A read that waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    /// The number of the last question; never used again, so that an answer to an older one never
    /// counts.
    last: u64,
    /// Reads that join the next question: one joins only a question sent after it arrived.
    waiting: Vec<Ticket>,
    questions: BTreeMap<u64, Question>,
}

#[derive(Clone, Debug)]
struct Question {
    tickets: Vec<Ticket>,
    /// The configurations asked, by their start, with their members and who has answered.
    asked: BTreeMap<Slot, Asked>,
    /// The highest slot in any answer.
    max: Slot,
    sent: Time,
    /// How often it was put.
    tries: u32,
}

impl Question {
    fn due(&self) -> Time {
        let pause = REPEAT * 2u32.saturating_pow(self.tries.min(10) - 1);
        self.sent + pause.min(REPEAT_MAX)
    }
}

#[derive(Clone, Debug)]
struct Asked {
    members: Vec<NodeId>,
    answered: u16,
}

impl Asked {
    fn has_majority(&self) -> bool {
        self.answered.count_ones() as usize > self.members.len() / 2
    }
}

impl Reader {
    /// Whether a read waits for this slot to be applied.
    pub fn needs(&self, slot: Slot) -> bool {
        self.questions.values().any(|question| question.max >= slot)
    }

    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        let questions = self.questions.len();
        tell(Gauge::waiting(
            "questions of readers",
            questions,
            QUESTIONS_MAX,
        ));
    }

    pub fn deadline(&self) -> Time {
        self.questions
            .values()
            .map(Question::due)
            .min()
            .unwrap_or(Time::NEVER)
    }
}

impl Consensus {
    /// Takes a read. Its ticket comes back from [`Consensus::ready_reads`] when the state reflects
    /// everything that was acknowledged before.
    pub fn read(&mut self, ticket: Ticket) {
        self.reader.waiting.push(ticket);
    }

    /// Forgets reads for which nobody waits any more.
    pub fn forget_reads(&mut self, is_forgotten: impl Fn(Ticket) -> bool) {
        self.reader.waiting.retain(|ticket| !is_forgotten(*ticket));
        for question in self.reader.questions.values_mut() {
            question.tickets.retain(|ticket| !is_forgotten(*ticket));
        }
        self.reader
            .questions
            .retain(|_, question| !question.tickets.is_empty());
    }

    pub(super) fn ask_readers(&mut self, now: Time, env: &mut impl Env) {
        if self.reader.waiting.is_empty() || self.reader.questions.len() >= QUESTIONS_MAX {
            sometimes!(QuestionsFull, !self.reader.waiting.is_empty());
            return;
        }
        self.reader.last += 1;
        let number = self.reader.last;
        let tickets = std::mem::take(&mut self.reader.waiting);
        let mut question = Question {
            tickets,
            asked: BTreeMap::new(),
            max: Slot(0),
            sent: now,
            tries: 1,
        };
        self.widen(number, &mut question, env);
        sometimes!(ReadsShareQuestion, question.tickets.len() > 1);
        self.reader.questions.insert(number, question);
    }

    /// Asks every configuration that may be deciding unapplied slots and was not asked. Returns
    /// whether there was one.
    fn widen(&self, number: u64, question: &mut Question, env: &mut impl Env) -> bool {
        let (first, last) = (self.window.first(), self.window.last());
        let mut to: Vec<NodeId> = Vec::new();
        for epoch in self.epochs.covering(first, last) {
            if let Entry::Vacant(vacant) = question.asked.entry(epoch.start) {
                vacant.insert(Asked {
                    members: epoch.members.clone(),
                    answered: 0,
                });
                to.extend(&epoch.members);
            }
        }
        to.sort_unstable();
        to.dedup();
        if !to.is_empty() {
            env.send(&to, Message::Where { question: number }, None);
        }
        !to.is_empty()
    }

    /// A reader asks up to where something may have been decided.
    pub fn on_where(&self, from: NodeId, question: u64, env: &mut impl Env) {
        let slot = self.accepted_max.max(self.applied());
        env.send(&[from], Message::At { question, slot }, None);
    }

    /// A member answers.
    pub fn on_at(&mut self, from: NodeId, number: u64, slot: Slot) {
        let Some(question) = self.reader.questions.get_mut(&number) else {
            return;
        };
        let mut counts = false;
        for asked in question.asked.values_mut() {
            if let Ok(member) = asked.members.binary_search(&from) {
                asked.answered |= 1 << member;
                counts = true;
            }
        }
        if counts {
            question.max = question.max.max(slot);
            self.on_seen(slot);
        }
    }

    /// The reads that may be answered from the state as it is.
    pub fn ready_reads(&mut self, env: &mut impl Env) -> Vec<Ticket> {
        let mut ready = Vec::new();
        let numbers: Vec<u64> = self.reader.questions.keys().copied().collect();
        for number in numbers {
            let question = &self.reader.questions[&number];
            let is_answered = question.asked.values().all(Asked::has_majority);
            if !is_answered || question.max > self.applied() {
                let revocation = self.revocation.as_ref().filter(|_| is_answered);
                sometimes!(
                    ReadWaitsForRevocation,
                    revocation.is_some_and(|r| r.is_of(question.max))
                );
                continue;
            }
            let mut question = self
                .reader
                .questions
                .remove(&number)
                .expect("it was just seen");
            if self.widen(number, &mut question, env) {
                sometimes!(ReadFindsConfiguration, question.tries > 2);
                self.reader.questions.insert(number, question);
            } else {
                ready.append(&mut question.tickets);
            }
        }
        ready
    }

    pub(super) fn repeat_questions(&mut self, now: Time, env: &mut impl Env) {
        for (number, question) in &mut self.reader.questions {
            if now < question.due() {
                continue;
            }
            question.sent = now;
            question.tries += 1;
            let mut to: Vec<NodeId> = Vec::new();
            for asked in question.asked.values() {
                let missing = asked.members.iter().enumerate();
                to.extend(
                    missing
                        .filter(|(i, _)| asked.answered & (1 << i) == 0)
                        .map(|(_, id)| id),
                );
            }
            to.sort_unstable();
            to.dedup();
            if !to.is_empty() {
                sometimes!(ReadReasked, question.tries > 4);
                env.send(&to, Message::Where { question: *number }, None);
            }
        }
    }
}
