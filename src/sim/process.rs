//! A process: one machine with its clock, its disk, its inbox, its address book and its troubles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::chance::{Chance, Dice, What};
use super::clock::Clock;
use super::disk::Storage;
use super::fault::{Doom, Farewell};
use super::machine::Machine;
use super::params::Params;
use crate::core::durable::Record;
use crate::core::env::{Env, Halt, Input, Notice, RecordId, Time};
use crate::core::id::{Lineage, NodeId, SessionId};
use crate::core::protocol::client::Response;
use crate::core::protocol::peer::Message;

/// The number of a process in the order of their starts. Never used again.
pub type Pid = usize;
/// The number of a host. Processes come and go on it.
pub type HostId = usize;

/// Messages to itself that a process may answer with further messages to itself, before that
/// counts as a loop without end. Far above what any honest group of inputs causes.
const LOOPBACKS_MAX: usize = 100_000;

/// One process.
pub struct Process<M> {
    /// The machine; `None` once the process has died.
    pub machine: Option<M>,
    /// Who it is.
    pub id: NodeId,
    /// Where it runs.
    pub host: HostId,
    /// Its clock.
    pub clock: Clock,
    /// What it has received and not handled.
    pub inbox: VecDeque<Input>,
    /// Whether a turn of this process is in the event queue.
    pub has_turn: bool,
    /// It computes until then.
    pub busy_until: Time,
    /// It is stopped until then.
    pub paused_until: Time,
    /// The death that awaits it at some point of what it does.
    pub doom: Option<Doom>,
    /// When it was asked to end, and how.
    pub leaving: Option<(Time, Farewell)>,
    /// How many times slower than usual it computes.
    pub slow: u64,
    /// When it wants to be woken, in its own time.
    pub wake: Time,
    /// The earliest timer event in the queue, in simulated time.
    pub timer: Time,
    /// What it writes, and the messages that wait for that.
    pub storage: Storage<Outgoing>,
    /// What it wrote in its latest turn, until the checkers have seen it.
    pub records: Vec<(RecordId, Record)>,
    /// Whether something was written since the process has looked.
    pub has_news: bool,
    /// How soon it is started again when it has stopped because of its disk, in microseconds.
    pub back_after_failure_us: u64,
    /// The cluster of the first process that it was connected to.
    pub lineage: Option<Lineage>,
    /// The life before this one, if it is one of the same identity.
    pub former: Option<Pid>,
    /// Where other processes can be reached.
    pub book: BTreeMap<NodeId, HostId>,
    /// Hosts that it was told to attach to.
    pub attach: Vec<HostId>,
    /// Hosts that it is dialing, or waits to dial again.
    pub dialing: BTreeSet<HostId>,
    /// What clients sent before the machine was ready.
    pub lobby: Vec<Input>,
    /// Whether its cluster knows it.
    pub ready: bool,
    /// Whether clients are let in.
    pub serving: bool,
    /// How its connections to others behave.
    pub dial_dice: Dice,
    /// How many inputs its groups have at most.
    pub group_dice: Dice,
    node_dice: Dice,
}

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// To whom.
    pub to: Vec<NodeId>,
    /// What.
    pub message: Message,
}

/// What a machine did to the world besides sending.
#[derive(Debug)]
pub enum Effect {
    /// It sent a message that waits for nothing any more.
    Send(Outgoing),
    /// It answered a client.
    Reply(SessionId, Response),
    /// It ended a client's connection.
    Finish(SessionId),
    /// It told where a process is to be reached, or that it needs no connection any more.
    Locate(NodeId, Option<String>),
    /// It had something to say to operators.
    Notice(Notice),
    /// It stopped.
    Halt(Halt),
}

impl<M: Machine> Process<M> {
    /// A process that starts at `now`, whose choices are drawn under the name `who`.
    pub fn new(
        who: u64,
        host: HostId,
        id: NodeId,
        machine: M,
        now: Time,
        chance: &Chance,
        params: &Params,
    ) -> Process<M> {
        let mut dice = chance.dice(What::Clock, who);
        let offset = dice.magnitude(1, 1 << 40);
        let shown = Time(if params.clock_offsets { offset } else { 1 });
        let drift_ppm = u64::from(params.drift_ppm);
        let pace = 1_000_000 + dice.between(0, 2 * drift_ppm) - drift_ppm;
        Process {
            machine: Some(machine),
            id,
            host,
            clock: Clock::new(now, shown, pace),
            inbox: VecDeque::new(),
            has_turn: false,
            busy_until: now,
            paused_until: now,
            doom: None,
            leaving: None,
            slow: 1,
            wake: Time::NEVER,
            timer: Time::NEVER,
            storage: Storage::in_memory(),
            records: Vec::new(),
            has_news: false,
            back_after_failure_us: 0,
            lineage: None,
            former: None,
            book: BTreeMap::new(),
            attach: Vec::new(),
            dialing: BTreeSet::new(),
            lobby: Vec::new(),
            ready: false,
            serving: false,
            dial_dice: chance.dice(What::Dial, who),
            group_dice: chance.dice(What::Process, who),
            node_dice: chance.dice(What::Node, who),
        }
    }

    /// Whether it lives, stopped or not.
    pub fn is_alive(&self) -> bool {
        self.machine.is_some()
    }

    /// Handles everything in the inbox as one group, up to `most` inputs, as a runtime does:
    /// messages to itself come before other inputs, and a flush ends the group.
    pub fn run_group(&mut self, now: Time, most: usize, effects: &mut Vec<Effect>) -> usize {
        let Some(machine) = self.machine.as_mut() else {
            return 0;
        };
        let id = self.id;
        let mut env = Outlet {
            now: self.clock.show(now),
            id,
            dice: &mut self.node_dice,
            storage: &mut self.storage,
            wake: &mut self.wake,
            loopback: VecDeque::new(),
            effects,
            records: &mut self.records,
        };
        let mut handled = 0;
        let mut loopbacks = 0;
        while handled < most {
            let Some(input) = self.inbox.pop_front() else {
                break;
            };
            handled += 1;
            machine.handle(input, &mut env);
            drain_loopback(machine, id, &mut env, &mut loopbacks);
        }
        machine.flush(&mut env);
        while !env.loopback.is_empty() {
            drain_loopback(machine, id, &mut env, &mut loopbacks);
            machine.flush(&mut env);
        }
        self.ready = machine.is_ready();
        self.serving = machine.serves();
        handled + loopbacks
    }
}

fn drain_loopback<M: Machine>(
    machine: &mut M,
    id: NodeId,
    env: &mut Outlet<'_>,
    count: &mut usize,
) {
    while let Some(message) = env.loopback.pop_front() {
        *count += 1;
        assert!(*count < LOOPBACKS_MAX, "{id} talks to itself without end");
        machine.handle(Input::Peer { from: id, message }, env);
    }
}

/// The `Env` of a simulated process: collects what the machine does.
struct Outlet<'a> {
    now: Time,
    id: NodeId,
    dice: &'a mut Dice,
    storage: &'a mut Storage<Outgoing>,
    wake: &'a mut Time,
    loopback: VecDeque<Message>,
    effects: &'a mut Vec<Effect>,
    records: &'a mut Vec<(RecordId, Record)>,
}

impl Env for Outlet<'_> {
    fn now(&self) -> Time {
        self.now
    }

    fn random(&mut self) -> u64 {
        self.dice.draw()
    }

    fn send(&mut self, to: &[NodeId], message: Message, after: Option<RecordId>) {
        let outgoing = Outgoing {
            to: to.to_vec(),
            message,
        };
        let Some(mut outgoing) = self.storage.hold(outgoing, after) else {
            return;
        };
        if outgoing.to.contains(&self.id) {
            outgoing.to.retain(|id| *id != self.id);
            self.loopback.push_back(outgoing.message.clone());
        }
        if !outgoing.to.is_empty() {
            self.effects.push(Effect::Send(outgoing));
        }
    }

    fn reply(&mut self, session: SessionId, response: Response) {
        self.effects.push(Effect::Reply(session, response));
    }

    fn finish(&mut self, session: SessionId) {
        self.effects.push(Effect::Finish(session));
    }

    fn record(&mut self, record: Record) -> RecordId {
        if matches!(record, Record::Decided { .. }) {
            // Nothing waits for it, and without a disk nobody comes back who would read it.
            return match self.storage.device() {
                Some(_) => self.storage.append(&record),
                None => self.storage.appended(),
            };
        }
        let id = self.storage.append(&record);
        self.records.push((id, record));
        id
    }

    fn wake_at(&mut self, at: Time) {
        *self.wake = at;
    }

    fn locate(&mut self, peer: NodeId, addr: Option<&str>) {
        self.effects
            .push(Effect::Locate(peer, addr.map(str::to_owned)));
    }

    fn notice(&mut self, notice: Notice) {
        self.effects.push(Effect::Notice(notice));
    }

    fn halt(&mut self, reason: Halt) {
        self.effects.push(Effect::Halt(reason));
    }
}
