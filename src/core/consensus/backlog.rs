//! Commands that wait for a place in the log, by origin, in order.
//!
//! Each origin's commands are applied strictly in sequence, so this works like go-back-N: commands
//! stay until they are applied; a cursor tells which have been handed out for proposing; when some
//! were lost on the way, the cursor goes back and all from there are handed out again.

use std::collections::{BTreeMap, VecDeque};

use super::Slot;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::limits::Gauge;
use crate::core::log::{Batch, Entry, Op, Run, Seq};

/// Most commands and bytes in one batch: large enough that the cost of a message is shared by many
/// commands, small enough that it travels in a few milliseconds. A single larger command travels
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Commands.
    pub commands: usize,
    /// Bytes, estimated.
    pub bytes: usize,
}

/// Bytes of entries from which on a message takes no more of them, estimated. With one value of the
/// largest size on top it stays far below what a message may have.
const MESSAGE_BYTES: usize = 4 << 20;

/// Commands of one forwarding process that are kept at most; what exceeds this, it sends again.
const FORWARDED_MAX: usize = 16_384;

/// Bytes of them, estimated.
const FORWARDED_BYTES_MAX: usize = 64 << 20;

/// Origins that are kept, this process included. Far more than a cluster has processes.
const ORIGINS_MAX: usize = 256;

#[derive(Clone, Debug)]
struct Queue {
    /// The number of `ops[0]`.
    first: Seq,
    ops: VecDeque<Op>,
    /// How many of `ops` have been handed out since it last went back.
    sent: usize,
    /// Roughly what `ops` take in messages.
    bytes: usize,
    /// The command before the first is not known to be applied: it may be on its way by another
    /// owner. Until it is, nothing of this would come into effect.
    is_held: bool,
    /// Losses in slots before this one are known: the cursor has gone back since.
    resent_from: Slot,
}

/// Commands that wait to be applied.
#[derive(Clone, Debug, Default)]
pub struct Backlog {
    queues: BTreeMap<NodeId, Queue>,
    /// Commands that have not been handed out and are not held, over all origins.
    unsent: usize,
    /// Whose turn it was last.
    turn: Option<NodeId>,
}

impl Backlog {
    /// Whether some commands have not been handed out.
    pub fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// Whether this origin has commands that have not been applied.
    pub fn waits_for(&self, origin: NodeId) -> bool {
        self.queues.contains_key(&origin)
    }

    /// Roughly the bytes that the commands of this origin take.
    pub fn bytes_of(&self, origin: NodeId) -> usize {
        self.queues.get(&origin).map_or(0, |queue| queue.bytes)
    }

    /// Whose commands wait.
    pub fn origins(&self) -> impl Iterator<Item = NodeId> {
        self.queues.keys().copied()
    }

    /// Appends a command of this process. Numbers must be consecutive.
    pub fn push(&mut self, origin: NodeId, seq: Seq, op: Op) {
        let queue = self
            .queues
            .entry(origin)
            .or_insert_with(|| Queue::starting(seq));
        assert_eq!(seq, queue.end(), "commands are numbered in order");
        queue.bytes += cost(&op);
        queue.ops.push_back(op);
        self.unsent += 1;
    }

    /// Replaces a command that nobody waits for, so that it takes its place without effect. Copies
    /// of it may have left already.
    pub fn void(&mut self, origin: NodeId, seq: Seq) {
        let Some(queue) = self.queues.get_mut(&origin) else {
            return;
        };
        let index = seq
            .0
            .checked_sub(queue.first.0)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(op) = index.and_then(|index| queue.ops.get_mut(index)) {
            sometimes!(CommandEmptied);
            queue.bytes = queue.bytes + cost(&Op::Void) - cost(op);
            *op = Op::Void;
        }
    }

    /// Takes commands that another process forwards. `last` is its latest one applied here, where
    /// it may be ahead. What is known, or leaves a gap behind what is known, is ignored.
    pub fn forwarded(&mut self, run: Run, last: Seq) {
        let Run { origin, first, ops } = run;
        if first.0.checked_add(ops.len() as u64).is_none() {
            return;
        }
        // An origin begins with the first of its commands that it does not know to be applied.
        let begin = first.max(last.next());
        let is_beginning = match self.queues.get(&origin) {
            None if begin >= first.plus(ops.len()) || self.queues.len() >= ORIGINS_MAX => return,
            None => true,
            Some(queue) if first > queue.end() && !first.begins_life() => {
                sometimes!(ForwardedWithGap);
                return;
            }
            // What is kept lacks its beginning, or is of an earlier life.
            Some(queue) => first > queue.end() || queue.first > begin,
        };
        if is_beginning {
            sometimes!(ForwardedAnew, self.queues.contains_key(&origin));
            self.drop_origin(origin);
            let is_held = !begin.follows(last);
            sometimes!(ForwardedHeld, is_held);
            self.queues.insert(
                origin,
                Queue {
                    is_held,
                    ..Queue::starting(begin)
                },
            );
        }
        let queue = self.queues.get_mut(&origin).expect("it was just looked up");
        let before = queue.unsent();
        let skip = queue.end().0.saturating_sub(first.0) as usize;
        let is_overlap = skip > 0 && skip < ops.len() && !is_beginning;
        sometimes!(ForwardedOverlap, is_overlap);
        for op in ops.into_iter().skip(skip) {
            if queue.ops.len() >= FORWARDED_MAX || queue.bytes >= FORWARDED_BYTES_MAX {
                break;
            }
            queue.bytes += cost(&op);
            queue.ops.push_back(op);
        }
        self.unsent += queue.unsent() - before;
        if queue.ops.is_empty() {
            self.drop_origin(origin);
        }
    }

    /// The next batch to propose, of all origins in turn.
    pub fn take(&mut self, limits: BatchLimits) -> Option<Batch> {
        let mut batch = Batch::default();
        let mut budget = limits;
        let origins: Vec<NodeId> = match self.turn {
            Some(turn) => {
                let later = self.queues.range(turn..).skip_while(|(id, _)| **id == turn);
                later
                    .chain(self.queues.range(..=turn))
                    .map(|(id, _)| *id)
                    .collect()
            }
            None => self.queues.keys().copied().collect(),
        };
        for origin in origins {
            if let Some(run) = self.take_of(origin, &mut budget) {
                batch.runs.push(run);
                self.turn = Some(origin);
            }
            if budget.commands == 0 || budget.bytes == 0 {
                break;
            }
        }
        sometimes!(BatchOfSeveralOrigins, batch.runs.len() > 1);
        (!batch.runs.is_empty()).then_some(batch)
    }

    /// The next commands of one origin, as many as the budget allows, which is diminished.
    pub fn take_of(&mut self, origin: NodeId, budget: &mut BatchLimits) -> Option<Run> {
        let queue = self
            .queues
            .get_mut(&origin)
            .filter(|queue| !queue.is_held)?;
        let mut ops = Vec::new();
        let mut spent = 0;
        for op in queue.ops.iter().skip(queue.sent) {
            let cost = cost(op);
            let first = ops.is_empty() && spent == 0;
            if ops.len() >= budget.commands || (spent + cost > budget.bytes && !first) {
                sometimes!(BatchFullByCommands, ops.len() >= budget.commands);
                sometimes!(BatchFullByBytes, ops.len() < budget.commands);
                break;
            }
            sometimes!(CommandAboveBatch, cost > budget.bytes);
            spent += cost;
            ops.push(op.clone());
        }
        if ops.is_empty() {
            return None;
        }
        let first = queue.first.plus(queue.sent);
        queue.sent += ops.len();
        self.unsent -= ops.len();
        budget.commands -= ops.len();
        budget.bytes = budget.bytes.saturating_sub(spent);
        Some(Run { origin, first, ops })
    }

    /// Drops what has been applied: commands of `origin` up to `last`. Returns whether there was
    /// something.
    pub fn applied(&mut self, origin: NodeId, last: Seq) -> bool {
        let Some(queue) = self.queues.get_mut(&origin) else {
            return false;
        };
        let before = queue.unsent();
        let done = last.next().0.saturating_sub(queue.first.0) as usize;
        let done = done.min(queue.ops.len());
        queue.bytes -= queue.ops.drain(..done).map(|op| cost(&op)).sum::<usize>();
        queue.first = queue.first.plus(done);
        queue.sent = queue.sent.saturating_sub(done);
        sometimes!(HeldReleased, queue.is_held && queue.first.follows(last));
        queue.is_held &= !queue.first.follows(last);
        self.unsent = self.unsent - before + queue.unsent();
        if queue.ops.is_empty() {
            self.queues.remove(&origin);
        }
        done > 0
    }

    /// Commands of `origin` that were in `slot` did not get into effect there. Everything that is
    /// not applied is handed out again, unless that was done since `slot` was used: `next` is the
    /// first slot that may be used from here on.
    pub fn lost(&mut self, origin: NodeId, slot: Slot, next: Slot) {
        let resent_from = self.queues.get(&origin).map(|queue| queue.resent_from);
        sometimes!(LossKnownBefore, resent_from > Some(slot));
        if let Some(queue) = self.queues.get_mut(&origin)
            && slot >= queue.resent_from
        {
            queue.resent_from = next;
            self.unsent += queue.sent;
            queue.sent = 0;
        }
    }

    /// Everything of `origin` that is not applied is handed out again.
    pub fn resend(&mut self, origin: NodeId) {
        if let Some(queue) = self.queues.get_mut(&origin) {
            self.unsent += queue.sent;
            queue.sent = 0;
        }
    }

    /// Keeps the commands of this process only: a process that owns nothing proposes nothing, and
    /// the origins find another owner.
    pub fn keep_only(&mut self, origin: NodeId) {
        self.queues.retain(|id, _| *id == origin);
        self.unsent = self.queues.values().map(Queue::unsent).sum();
    }

    /// Tells how full this is. What clients may put into the queue of this process, `me`, is bounded
    /// where they ask.
    pub fn load(&self, me: NodeId, tell: &mut impl FnMut(Gauge)) {
        let own = usize::from(self.queues.contains_key(&me));
        let others = self.queues.len() - own;
        tell(Gauge::entrusted(
            "origins that forward",
            others,
            ORIGINS_MAX,
        ));
        for (origin, queue) in &self.queues {
            // The last command may be as large as it likes.
            let last = queue.ops.back().map_or(0, cost);
            if *origin != me {
                let commands = queue.ops.len();
                tell(Gauge::entrusted(
                    "forwarded commands",
                    commands,
                    FORWARDED_MAX,
                ));
                let bytes = queue.bytes - last;
                tell(Gauge::entrusted(
                    "forwarded commands, bytes",
                    bytes,
                    FORWARDED_BYTES_MAX,
                ));
            }
        }
    }

    /// Commands of this origin that have not been applied.
    pub fn commands_of(&self, origin: NodeId) -> usize {
        self.queues.get(&origin).map_or(0, |queue| queue.ops.len())
    }

    /// Drops commands of origins that are gone, as far as nothing will ever become of them here:
    /// those that wait for their predecessors, which nobody else will bring, and all of them in a
    /// process, `me`, that owns nothing. An origin that comes back hands everything in again.
    pub fn forget_gone(&mut self, me: NodeId, is_owner: bool, is_gone: impl Fn(NodeId) -> bool) {
        let before = self.queues.len();
        self.queues.retain(|origin, queue| {
            let is_stuck = *origin != me && (queue.is_held || !is_owner);
            !is_stuck || !is_gone(*origin)
        });
        if self.queues.len() < before {
            self.unsent = self.queues.values().map(Queue::unsent).sum();
        }
    }

    fn drop_origin(&mut self, origin: NodeId) {
        if let Some(queue) = self.queues.remove(&origin) {
            self.unsent -= queue.unsent();
        }
    }
}

impl Queue {
    fn starting(first: Seq) -> Queue {
        Queue {
            first,
            ops: VecDeque::new(),
            sent: 0,
            bytes: 0,
            is_held: false,
            resent_from: Slot(0),
        }
    }

    fn end(&self) -> Seq {
        self.first.plus(self.ops.len())
    }

    fn unsent(&self) -> usize {
        if self.is_held {
            0
        } else {
            self.ops.len() - self.sent
        }
    }
}

/// Roughly the bytes that an entry takes in a message.
pub fn weight(entry: &Entry) -> usize {
    match entry {
        Entry::Skip => 1,
        Entry::Batch(batch) => batch.runs.iter().flat_map(|run| &run.ops).map(cost).sum(),
    }
}

/// Splits what goes to a peer into messages of bounded size: one item more than fits each.
pub fn split<T>(items: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut messages: Vec<Vec<T>> = Vec::new();
    let mut bytes = MESSAGE_BYTES;
    for item in items {
        if bytes >= MESSAGE_BYTES {
            messages.push(Vec::new());
            bytes = 0;
        }
        bytes += size(&item);
        messages.last_mut().expect("there is a message").push(item);
    }
    messages
}

/// Roughly the bytes that a command takes in a message.
pub fn cost(op: &Op) -> usize {
    use crate::core::store::Mutation;
    const FIXED: usize = 16;
    const ID: usize = size_of::<NodeId>();
    let of = |mutation: &Mutation| match mutation {
        Mutation::Set { path, value, .. } => path.as_str().len() + value.0.len(),
        Mutation::Del { path, .. } => path.as_str().len(),
        Mutation::Nop => 0,
    };
    FIXED
        + match op {
            Op::Mutate { mutation, .. } => of(mutation),
            Op::Seat { mutation, members } => of(mutation) + members.len() * ID,
            Op::Claim { file, .. } => file.as_str().len(),
            Op::Owners { owners, .. } => owners.len() * ID,
            Op::Void => 0,
            Op::Unseat { .. } => 2 * ID,
            Op::Restore(restore) => restore.cost(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: BatchLimits = BatchLimits {
        commands: 100,
        bytes: 10_000,
    };

    fn id(n: u8) -> NodeId {
        NodeId([n; 10])
    }

    fn run(origin: NodeId, first: u64, count: usize) -> Run {
        Run {
            origin,
            first: Seq(first),
            ops: vec![Op::Void; count],
        }
    }

    #[test]
    fn what_was_lost_is_handed_out_again_once_and_in_order() {
        let mut backlog = Backlog::default();
        for seq in 1..=3 {
            backlog.push(id(1), Seq(seq), Op::Void);
        }
        let two = BatchLimits { commands: 2, ..ALL };
        assert_eq!(
            backlog.take(two).map(|b| b.runs),
            Some(vec![run(id(1), 1, 2)])
        ); // slot 1
        assert_eq!(
            backlog.take(two).map(|b| b.runs),
            Some(vec![run(id(1), 3, 1)])
        ); // slot 2
        assert!(!backlog.has_unsent());
        backlog.lost(id(1), Slot(1), Slot(3));
        assert_eq!(
            backlog.take(ALL).map(|b| b.runs),
            Some(vec![run(id(1), 1, 3)])
        ); // slot 3
        backlog.lost(id(1), Slot(2), Slot(4));
        assert!(
            !backlog.has_unsent(),
            "the loss in slot 2 was to be expected"
        );
        backlog.applied(id(1), Seq(2));
        backlog.lost(id(1), Slot(3), Slot(4));
        assert_eq!(
            backlog.take(ALL).map(|b| b.runs),
            Some(vec![run(id(1), 3, 1)])
        );
        backlog.applied(id(1), Seq(3));
        assert!(!backlog.waits_for(id(1)));
    }

    #[test]
    fn forwarded_commands_are_taken_without_gaps_and_without_repeats() {
        let mut backlog = Backlog::default();
        backlog.forwarded(run(id(2), 4, 2), Seq(5));
        assert!(!backlog.waits_for(id(2)), "4 and 5 are applied");
        backlog.forwarded(run(id(2), 4, 4), Seq(5));
        backlog.forwarded(run(id(2), 9, 4), Seq(5));
        backlog.forwarded(run(id(2), 7, 3), Seq(5));
        assert_eq!(
            backlog.take(ALL).map(|b| b.runs),
            Some(vec![run(id(2), 6, 4)])
        );
        backlog.forwarded(run(id(2), 4, 2), Seq(5));
        backlog.applied(id(2), Seq(9));
        backlog.forwarded(run(id(2), 7, 3), Seq(9));
        assert!(!backlog.waits_for(id(2)) && !backlog.has_unsent());
    }

    #[test]
    fn commands_whose_predecessors_are_on_their_way_are_held() {
        let mut backlog = Backlog::default();
        backlog.forwarded(run(id(2), 8, 2), Seq(5));
        backlog.applied(id(2), Seq(6));
        assert!(!backlog.has_unsent() && backlog.take(ALL).is_none());
        backlog.applied(id(2), Seq(7));
        assert_eq!(
            backlog.take(ALL).map(|b| b.runs),
            Some(vec![run(id(2), 8, 2)])
        );
        assert!(!backlog.has_unsent());
    }

    #[test]
    fn held_commands_of_an_origin_that_is_gone_are_dropped() {
        let mut backlog = Backlog::default();
        backlog.forwarded(run(id(2), 8, 2), Seq(5));
        backlog.forwarded(run(id(3), 1, 2), Seq(0));
        backlog.forget_gone(id(1), true, |_| false);
        assert!(backlog.waits_for(id(2)));
        backlog.forget_gone(id(1), true, |_| true);
        assert!(!backlog.waits_for(id(2)) && backlog.waits_for(id(3)));
        assert_eq!(
            backlog.take(ALL).map(|b| b.runs),
            Some(vec![run(id(3), 1, 2)])
        );
    }

    #[test]
    fn who_owns_nothing_drops_all_commands_of_an_origin_that_is_gone() {
        let mut backlog = Backlog::default();
        backlog.push(id(1), Seq(1), Op::Void);
        backlog.forwarded(run(id(2), 1, 2), Seq(0));
        backlog.forwarded(run(id(3), 1, 2), Seq(0));
        backlog.forget_gone(id(1), false, |origin| origin != id(3));
        let left: Vec<NodeId> = backlog.origins().collect();
        assert_eq!(left, [id(1), id(3)]);
        assert_eq!(backlog.unsent, 3);
    }

    #[test]
    fn messages_are_split_where_they_are_full() {
        let split = |sizes: &[usize]| -> Vec<usize> {
            split(sizes.to_vec(), |size| *size)
                .iter()
                .map(Vec::len)
                .collect()
        };
        assert_eq!(split(&[]), [0; 0]);
        assert_eq!(split(&[1, 1, MESSAGE_BYTES, 1]), [3, 1]);
        assert_eq!(split(&[MESSAGE_BYTES, 9 * MESSAGE_BYTES, 0]), [1, 1, 1]);
    }

    #[test]
    fn origins_take_turns() {
        let mut backlog = Backlog::default();
        backlog.forwarded(run(id(2), 1, 5), Seq(0));
        backlog.forwarded(run(id(3), 1, 5), Seq(0));
        let four = BatchLimits { commands: 4, ..ALL };
        let firsts: Vec<NodeId> = (0..3)
            .filter_map(|_| backlog.take(four))
            .map(|batch| batch.runs[0].origin)
            .collect();
        assert_eq!(firsts, [id(2), id(3), id(2)]);
    }

    #[test]
    fn a_command_larger_than_a_batch_travels_alone() {
        let mut backlog = Backlog::default();
        backlog.push(id(1), Seq(1), Op::Void);
        backlog.push(id(1), Seq(2), Op::Void);
        let tiny = BatchLimits {
            commands: 100,
            bytes: 1,
        };
        assert_eq!(backlog.take(tiny).map(|b| b.runs[0].ops.len()), Some(1));
        assert_eq!(backlog.take(tiny).map(|b| b.runs[0].ops.len()), Some(1));
        assert_eq!(backlog.take(tiny), None);
    }
}
