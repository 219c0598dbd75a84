//! What can happen at some time, and where it is seen to.

use super::Parcel;
use super::{Response, World, sessions};
use crate::core::env::Time;
use crate::sim::disk::{Fate, Lane};
use crate::sim::fault::{Doom, Farewell, Fault};
use crate::sim::machine::Machine;
use crate::sim::process::{HostId, Pid};
use crate::sim::trace::Kind as Mark;

/// Something that happens at some time.
pub enum Happening {
    /// A message from another process arrives.
    Arrive {
        /// The process that sent it.
        from: Pid,
        /// The process that it is for.
        to: Pid,
        /// When it left.
        left: Time,
        /// The number of the event in which it did.
        sent: u64,
        /// What it is.
        parcel: Parcel,
    },
    /// A process handles what it has received.
    Turn {
        /// The process.
        pid: Pid,
    },
    /// The timer of a process may be due.
    Timer {
        /// The process.
        pid: Pid,
    },
    /// Something has been written.
    Wrote {
        /// The process.
        pid: Pid,
        /// Which of its threads has.
        lane: Lane,
    },
    /// A process comes back that has read its directory.
    Awake {
        /// The host.
        host: HostId,
        /// How often somebody began to read a directory there.
        nth: u64,
    },
    /// A process dies while it reads its directory.
    Relapse {
        /// The host.
        host: HostId,
        /// How often somebody began to read a directory there.
        nth: u64,
        /// What is left of the disk.
        fate: Fate,
    },
    /// A process tries to connect to a host.
    Dial {
        /// The process.
        from: Pid,
        /// The host.
        host: HostId,
    },
    /// A connection is found to be broken, unless it has been opened again since.
    Broken {
        /// The process that opened it.
        from: Pid,
        /// The other end.
        to: Pid,
        /// The epoch of the connection.
        epoch: u32,
    },
    /// A process starts on a host.
    Start {
        /// The host.
        host: HostId,
    },
    /// A process that was put out of the cluster begins anew.
    Rejoin {
        /// The host.
        host: HostId,
        /// The process that was put out.
        was: Pid,
    },
    /// A slow process is quick again.
    Quick {
        /// The process.
        pid: Pid,
    },
    /// Messages vanish between hosts, until some time.
    Cut {
        /// From where to where.
        pairs: Vec<(HostId, HostId)>,
        /// Until when.
        until: Time,
    },
    /// Messages wait on their way, until some time.
    Clog {
        /// From where to where.
        links: Vec<(HostId, HostId)>,
        /// Until when.
        until: Time,
    },
    /// A process is asked to end.
    AskToLeave {
        /// Where it runs.
        host: HostId,
        /// How it ends.
        farewell: Farewell,
    },
    /// A process dies that was doomed.
    Doomed {
        /// The process.
        pid: Pid,
        /// How.
        doom: Doom,
    },
    /// A cut ends.
    MendCut {
        /// From where to where.
        pairs: Vec<(HostId, HostId)>,
    },
    /// The nemesis acts.
    Strike {
        /// For the how manyeth time.
        n: u64,
    },
    /// A fault that was planned happens.
    Inflict {
        /// Which.
        fault: Fault,
    },
    /// A client acts.
    Act {
        /// The client.
        actor: usize,
    },
    /// A client may have waited for too long.
    Impatient {
        /// The client.
        actor: usize,
    },
    /// A step of a script must have ended.
    Deadline {
        /// The client.
        actor: usize,
        /// The number of the step.
        step: usize,
    },
    /// A request arrives at a node.
    Asked {
        /// The connection.
        conn: usize,
        /// What arrives.
        what: sessions::ToNode,
    },
    /// An answer arrives at a client.
    Answered {
        /// The connection.
        conn: usize,
        /// The answer; `None` when the connection ended.
        response: Option<Response>,
    },
}

impl<M: Machine> World<M> {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive {
                from,
                to,
                left,
                sent,
                parcel,
            } => self.on_arrive(from, to, (left, sent), parcel),
            Happening::Turn { pid } => self.on_turn(pid),
            Happening::Timer { pid } => self.on_timer(pid),
            Happening::Wrote { pid, lane } => self.on_wrote(pid, lane),
            Happening::Awake { host, nth } => self.on_awake(host, nth),
            Happening::Relapse { host, nth, fate } => self.on_relapse(host, nth, fate),
            Happening::Dial { from, host } => self.on_dial(from, host),
            Happening::Broken { from, to, epoch } => self.on_broken(from, to, epoch),
            Happening::Act { actor } => self.on_act(actor),
            Happening::Impatient { actor } => self.on_impatient(actor),
            Happening::Deadline { actor, step } => self.on_deadline(actor, step),
            Happening::Asked { conn, what } => self.on_asked(conn, what),
            Happening::Answered { conn, response } => self.on_answered(conn, response),
            Happening::Rejoin { host, was } => self.on_rejoin(host, was),
            Happening::Start { .. }
            | Happening::MendCut { .. }
            | Happening::Quick { .. }
            | Happening::Cut { .. }
            | Happening::Clog { .. }
            | Happening::AskToLeave { .. }
            | Happening::Doomed { .. }
            | Happening::Strike { .. }
            | Happening::Inflict { .. }
                if self.is_frozen() || self.is_ebbing => {}
            Happening::Start { host } => {
                self.ensure_host(host);
                self.boot(host);
            }
            Happening::MendCut { pairs } => {
                for (from, to) in pairs {
                    self.net.mend(from, to);
                }
            }
            Happening::Quick { pid } => self.processes[pid].slow = 1,
            Happening::Cut { pairs, until } => self.on_cut(pairs, until),
            Happening::Clog { links, until } => self.clog(&links, until),
            Happening::AskToLeave { host, farewell } => self.ask_to_leave(host, farewell),
            Happening::Doomed { pid, doom } => self.on_doomed(pid, doom),
            Happening::Strike { n } => self.strike(n),
            Happening::Inflict { fault } => {
                self.trace.add(self.now, 0, Mark::Fault, 0);
                self.inflict(fault);
            }
        }
    }
}
