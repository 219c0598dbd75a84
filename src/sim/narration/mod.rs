//! What happens in a run, told to whoever wants to know.
//!
//! The world tells everything that passes between nodes, clients and the network, and what nodes
//! record and apply, as it happens and without changing any of it: a run that is told has the same
//! trace as one that is not. [`mod@line`] makes a line of text of each thing, [`filter`] chooses among
//! them; [`super::explain`] and [`super::draw`] put them together.

pub mod filter;
pub mod line;
pub(in crate::sim) mod text;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::Violation;
use super::fault::Fault;
use super::process::{HostId, Pid};
use super::trouble::Name;
use crate::core::consensus::Slot;
use crate::core::durable::Record;
use crate::core::env::{Halt, Notice, RecordId, Time};
use crate::core::id::NodeId;
use crate::core::log::Entry;
use crate::core::membership::Epoch;
use crate::core::node::Node;
use crate::core::protocol::client::{Request, Response};
use crate::core::protocol::peer::Message;

/// Whoever is told.
pub type Listener = Box<dyn FnMut(&Told<'_>)>;

/// Tells what happens.
pub struct Narrator {
    events: RangeInclusive<u64>,
    listener: RefCell<Listener>,
}

/// Something that happened.
pub struct Told<'a> {
    /// Events of the trace so far, this one included if it is one of them.
    pub number: u64,
    /// When, in simulated time.
    pub time: Time,
    /// To whom.
    pub place: Place,
    /// What.
    pub what: Happened<'a>,
    /// Who is who.
    pub cast: Cast<'a>,
}

/// To whom something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To a process.
    Node(Pid),
    /// To a client, by its number in the run.
    Client(usize),
    /// To several, or to the network.
    World,
}

/// What happens.
pub enum Happened<'a> {
    /// A process starts.
    Started {
        /// Its host.
        host: HostId,
    },
    /// A process does not start, since it cannot come back.
    Unstarted {
        /// Its host.
        host: HostId,
        /// Why.
        why: &'a str,
    },
    /// A process ends.
    Ended,
    /// A process is asked to leave.
    Dismissed,
    /// A process has handled a group of inputs. What else it tells of its turn follows.
    Ran {
        /// How many.
        inputs: usize,
        /// It, if it is a real node.
        node: Option<&'a Node>,
    },
    /// A process has recorded something.
    Recorded {
        /// Where.
        at: RecordId,
        /// What.
        record: &'a Record,
    },
    /// What a process recorded up to here is durable.
    Durable {
        /// The last record.
        upto: RecordId,
    },
    /// A process has applied a slot.
    Applied {
        /// The slot.
        slot: Slot,
        /// What it holds, unless the process has forgotten that already or jumped over it.
        entry: Option<&'a Entry>,
    },
    /// A configuration is shown by a process, and was not shown before.
    Configured(&'a Epoch),
    /// A message leaves. The number of this event names it from here on.
    Sent {
        /// For whom.
        to: &'a [NodeId],
        /// What.
        message: &'a Message,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A message does not reach the process that this happens to.
    Lost {
        /// Who sent it.
        from: Pid,
        /// The number of the event in which it left.
        sent: u64,
        /// Happened, unless it was damaged.
        message: Option<&'a Message>,
        /// Why.
        loss: Loss,
    },
    /// A message arrives.
    Arrived {
        /// Who sent it.
        from: Pid,
        /// The number of the event in which it left.
        sent: u64,
        /// What.
        message: &'a Message,
    },
    /// A process has a connection to another one.
    Linked {
        /// The other one.
        peer: Pid,
    },
    /// A process knows that its connection to another one is broken.
    Unlinked {
        /// The other one.
        peer: Pid,
    },
    /// A client asks.
    Asked {
        /// Which node.
        node: Pid,
        /// The tag of the request.
        tag: i32,
        /// What.
        request: &'a Request,
    },
    /// A client is answered.
    Answered {
        /// By which node.
        node: Pid,
        /// The tag of the request.
        tag: i32,
        /// What.
        response: &'a Response,
    },
    /// A client has no connection any more.
    Disconnected {
        /// The node that it was connected to.
        node: Pid,
    },
    /// A process has something to say to its operator.
    Noticed(&'a Notice),
    /// A process stops.
    Halted(&'a Halt),
    /// The timer of a process goes off.
    Woken,
    /// Something goes wrong that was drawn or told.
    Struck(&'a Fault),
    /// Nothing gets from some hosts to others.
    Cut {
        /// From where to where.
        pairs: &'a [(HostId, HostId)],
        /// Until when.
        until: Time,
    },
    /// What is between some hosts and others waits.
    Held {
        /// From where to where.
        pairs: &'a [(HostId, HostId)],
        /// Until when.
        until: Time,
    },
    /// What is sent from some hosts to others takes longer than elsewhere.
    Lagged {
        /// From where to where.
        pairs: &'a [(HostId, HostId)],
        /// How much longer.
        extra: Duration,
        /// Until when.
        until: Time,
    },
    /// All cuts, and all else that keeps messages up, end between two hosts.
    Mended {
        /// One of them.
        one: HostId,
        /// The other.
        other: HostId,
    },
    /// A process stands still.
    Paused {
        /// Until when.
        until: Time,
    },
    /// A process computes slowly.
    Slowed {
        /// How many times slower than usual.
        times: u64,
        /// Until when.
        until: Time,
    },
    /// The final phase begins: these processes are healed.
    Healed(&'a [Pid]),
    /// A rule is found broken. The run ends.
    Violated(&'a Violation),
}

/// Why a message does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// There is no connection.
    Unconnected,
    /// The hosts are cut off from each other.
    Cut,
    /// It is lost on its way, or does not fit in a queue.
    Dropped,
    /// Its connection was reset meanwhile.
    Reset,
    /// It was damaged on its way.
    Damaged,
    /// Nobody is there any more.
    Dead,
}

/// Who is who.
#[derive(Clone, Copy)]
pub struct Cast<'a> {
    pub(super) by_id: &'a BTreeMap<NodeId, Pid>,
    pub(super) names: &'a [u64],
}

impl Narrator {
    /// Tells everything.
    pub fn new(listener: impl FnMut(&Told<'_>) + 'static) -> Narrator {
        Narrator::within(0..=u64::MAX, listener)
    }

    /// Tells what happens while the number of events is in this range. The rest of the run is done
    /// at full speed.
    pub fn within(
        events: RangeInclusive<u64>,
        listener: impl FnMut(&Told<'_>) + 'static,
    ) -> Narrator {
        Narrator {
            events,
            listener: RefCell::new(Box::new(listener)),
        }
    }

    /// Whether it tells what happens now. A broken rule is always told.
    pub(super) fn tells(&self, number: u64) -> bool {
        self.events.contains(&number)
    }

    pub(super) fn tell(&self, told: &Told<'_>) {
        (self.listener.borrow_mut())(told);
    }
}

impl Cast<'_> {
    /// The name of a process.
    pub fn name(&self, pid: Pid) -> Name {
        Name::from(self.names.get(pid).copied().unwrap_or_default())
    }

    /// The process with this id.
    pub fn pid(&self, id: NodeId) -> Option<Pid> {
        self.by_id.get(&id).copied()
    }

    /// A process, as lines call it: `n0` for the first on host 0, `n0.1` for the one after it.
    pub fn node(&self, pid: Pid) -> String {
        format!("n{}", self.name(pid))
    }

    /// A process, as lines call it; its id if it is unknown.
    pub fn who(&self, id: NodeId) -> String {
        match self.pid(id) {
            Some(pid) => self.node(pid),
            None => id.to_string(),
        }
    }

    /// Some processes, as lines call them.
    pub fn list(&self, ids: &[NodeId]) -> String {
        let names: Vec<String> = ids.iter().map(|id| self.who(*id)).collect();
        names.join(",")
    }

    /// A text in which ids of processes are replaced by what lines call them.
    pub fn rename(&self, text: &str) -> String {
        let mut renamed = text.to_owned();
        for id in self.by_id.keys() {
            let written = id.to_string();
            if renamed.contains(&written) {
                renamed = renamed.replace(&written, &self.who(*id));
            }
        }
        renamed
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Unconnected => "there is no connection",
            Loss::Cut => "the hosts are cut off",
            Loss::Dropped => "dropped on its way",
            Loss::Reset => "its connection was reset",
            Loss::Damaged => "damaged on its way",
            Loss::Dead => "nobody is there any more",
        })
    }
}

impl fmt::Debug for Narrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Narrator").finish_non_exhaustive()
    }
}
