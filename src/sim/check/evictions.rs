//! Nobody is put out who is well: not a process that, for as long as silence takes to count as death,
//! has been awake and in touch with a majority of the members, both ways. So what two members lose
//! between each other puts nobody out, nor does the word of one of them.
//!
//! Judged when a member proposes it, first and in each slot anew: what is on its way cannot be taken
//! back when the one that was gone is heard again. Who takes a slot over has to propose what it finds
//! there, and judges nobody by that.
//!
//! And nobody is put into a seat who lags behind more than a newcomer may.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::consensus::{Ballot, Slot};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::log::{Entry, Op, Run, Seq};
use crate::core::protocol::peer::Message;
use crate::sim::hearing::Hearing;
use crate::sim::process::Pid;

/// The property, as a sentence.
pub const PROPERTY: &str = "nobody is put out who is in touch with a majority";
/// Who takes a seat, as a sentence.
pub const LAGGARD: &str = "nobody takes a seat over who lags behind";

/// Evictions that were proposed.
#[derive(Debug, Default)]
pub struct Evictions {
    /// By whom, its how manyeth command, and in which slot; 0 if it was handed to an owner.
    seen: BTreeSet<(NodeId, Seq, Slot)>,
}

/// A proposal to put somebody out, when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Who is to go.
    pub victim: NodeId,
    /// Who is to take its seat.
    pub successor: Option<NodeId>,
}

impl Evictions {
    /// What a process proposes with this message that it has not proposed before.
    pub fn said(&mut self, id: NodeId, message: &Message) -> Vec<Proposal> {
        let mut fresh = Vec::new();
        match message {
            Message::Accept {
                ballot, entries, ..
            } if *ballot == Ballot::of_owner(id) => {
                for (slot, entry) in entries {
                    let Entry::Batch(batch) = entry else { continue };
                    let own = batch.runs.iter().filter(|run| run.origin == id);
                    own.for_each(|run| self.note(run, *slot, &mut fresh));
                }
            }
            Message::Forward { run } => self.note(run, Slot(0), &mut fresh),
            _ => {}
        }
        fresh
    }

    fn note(&mut self, run: &Run, slot: Slot, fresh: &mut Vec<Proposal>) {
        for (index, op) in run.ops.iter().enumerate() {
            let Op::Unseat { id, successor } = op else {
                continue;
            };
            let is_new = self.seen.insert((run.origin, run.first.plus(index), slot));
            if *id != run.origin && is_new {
                fresh.push(Proposal {
                    victim: *id,
                    successor: *successor,
                });
            }
        }
    }
}

/// Whether a process has been in touch with a majority of the members for some time, itself
/// included if it is one.
pub fn is_well(
    victim: Pid,
    members: &[Pid],
    count: usize,
    span: Duration,
    hearing: &Hearing,
    now: Time,
) -> bool {
    let is_friend = |member: &&Pid| {
        let touch = hearing.in_touch_since(victim, **member, now);
        **member == victim || touch.is_some_and(|since| now.since(since) >= span)
    };
    members.iter().filter(is_friend).count() > count / 2
}
