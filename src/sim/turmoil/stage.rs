//! What the driver of a run, its processes and its clients share. One thread runs them all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use tokio::sync::mpsc::UnboundedSender;

use super::client::Actor;
use super::net::End;
use super::params::Params;
use super::process::Process;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::sim::chance::Chance;
use crate::sim::check::Violation;
use crate::sim::check::agreement::Agreement;
use crate::sim::history::Operation;
use crate::sim::machine::View;
use crate::sim::trace::{Kind, Trace};
use crate::sim::world::Stats;

/// The port that every process listens on.
pub(super) const PORT: u16 = 8046;

/// Where the story of a run goes, a line at a time.
pub type Teller = fn(fmt::Arguments<'_>);

/// What a run consists of besides its hosts.
pub(super) struct Stage {
    pub(super) chance: Chance,
    pub(super) params: Params,
    pub(super) trace: RefCell<Trace>,
    pub(super) stats: RefCell<Stats>,
    pub(super) history: RefCell<Vec<Operation>>,
    /// The addresses of the hosts of nodes.
    pub(super) addrs: RefCell<Vec<SocketAddr>>,
    /// Every process that ever was, in the order of their starts.
    pub(super) processes: RefCell<Vec<Process>>,
    pub(super) actors: RefCell<Vec<Actor>>,
    /// Starts an actor, on each of the hosts of clients.
    pub(super) homes: RefCell<Vec<UnboundedSender<usize>>>,
    /// The ends of connections that are open, by their own address and that of the other end.
    pub(super) ends: RefCell<BTreeMap<(SocketAddr, SocketAddr), Weak<End>>>,
    /// Connections that clients have made.
    pub(super) conns: Cell<usize>,
    /// Faults have ended: ordinary clients ask for nothing more, others leave.
    pub(super) is_calm: Cell<bool>,
    /// All clients leave.
    pub(super) is_over: Cell<bool>,
    pub(super) agreement: RefCell<Agreement>,
    /// What each node has shown last.
    pub(super) shown: RefCell<BTreeMap<NodeId, View>>,
    violation: RefCell<Option<Violation>>,
    /// The time outside of hosts.
    pub(super) between_hosts: Cell<Time>,
    narrator: Option<Teller>,
}

thread_local! {
    static CURRENT: RefCell<Weak<Stage>> = const { RefCell::new(Weak::new()) };
}

impl Stage {
    /// The stage of a run, which becomes that of this thread.
    pub(super) fn set_up(chance: Chance, params: Params, narrator: Option<Teller>) -> Rc<Stage> {
        let stage = Rc::new(Stage {
            chance,
            params,
            trace: RefCell::default(),
            stats: RefCell::default(),
            history: RefCell::default(),
            addrs: RefCell::default(),
            processes: RefCell::default(),
            actors: RefCell::default(),
            homes: RefCell::default(),
            ends: RefCell::default(),
            conns: Cell::new(0),
            is_calm: Cell::new(false),
            is_over: Cell::new(false),
            agreement: RefCell::default(),
            shown: RefCell::default(),
            violation: RefCell::default(),
            between_hosts: Cell::default(),
            narrator,
        });
        CURRENT.set(Rc::downgrade(&stage));
        stage
    }

    /// The stage of this thread, for sockets: nobody hands them anything.
    pub(super) fn current() -> Rc<Stage> {
        let stage = CURRENT.with_borrow(Weak::upgrade);
        stage.expect("simulated sockets belong to a run")
    }

    /// Simulated time.
    pub(super) fn now(&self) -> Time {
        match ::turmoil::sim_elapsed() {
            Some(elapsed) => Time(elapsed.as_micros() as u64),
            None => self.between_hosts.get(),
        }
    }

    /// Adds an event to the trace, and tells it to whoever wants to read it. Returns the number
    /// of events so far.
    pub(super) fn add(
        &self,
        place: usize,
        kind: Kind,
        content: u64,
        tell: impl FnOnce() -> String,
    ) -> u64 {
        let now = self.now();
        let mut trace = self.trace.borrow_mut();
        trace.add(now, place, kind, content);
        if let Some(narrator) = self.narrator {
            narrator(format_args!(
                "{:>12.3} ms  host {place:<2} {kind:?}: {}",
                now.0 as f64 / 1000.0,
                tell()
            ));
        }
        trace.events()
    }

    /// Notes a broken rule; the first one counts.
    pub(super) fn accuse(&self, violation: Violation) {
        self.violation.borrow_mut().get_or_insert(violation);
    }

    /// The first rule that was broken.
    pub(super) fn violation(&self) -> Option<Violation> {
        self.violation.borrow().clone()
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}
