//! Turns: a process handles what it has received, and what it did takes effect.

use super::{AT_ONCE, Happening, World};
use crate::core::env::{Halt, Input, RecordId, Time};
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::node::Node;
use crate::core::protocol::client::encode_frame;
use crate::sim::chance::Dice;
use crate::sim::check::Violation;
use crate::sim::check::observer::Observer;
use crate::sim::disk::Lane;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::net::State;
use crate::sim::process::{Effect, HostId, Pid};
use crate::sim::trace::{Kind, digest};

/// Largest number of inputs in one group, as in the production runtime.
const GROUP_INPUTS_MAX: u64 = 64;

impl<M: Machine> World<M> {
    /// The process handles its inbox when it next can.
    pub(in crate::sim) fn take_turn_soon(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        if process.has_turn || !process.is_alive() {
            return;
        }
        process.has_turn = true;
        let at = (self.now + self.params.group).max(process.busy_until);
        self.queue.push(at, Happening::Turn { pid });
    }

    pub(super) fn on_turn(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        process.has_turn = false;
        let free = process.busy_until.max(process.paused_until);
        if !process.is_alive() || free == Time::NEVER {
            return;
        }
        if free > self.now {
            process.has_turn = true;
            self.queue.push(free, Happening::Turn { pid });
            return;
        }
        if !self.look_at_disk(pid) {
            return;
        }
        let most = group_limit(&mut self.processes[pid].group_dice);
        let mut effects = std::mem::take(&mut self.effects);
        let process = &mut self.processes[pid];
        let was_serving = process.serving;
        let handled = process.run_group(self.now, most, &mut effects);
        self.stats.inputs += handled as u64;
        self.hearing.turned(pid, self.now);
        if process.slow > 1 {
            self.hearing.disturb(pid, self.now);
        }
        let compute = self.params.compute * u32::try_from(process.slow).unwrap_or(u32::MAX);
        process.busy_until = self.now + compute;
        let leaves = process.busy_until;
        if process.serving && !was_serving {
            let lobby = std::mem::take(&mut process.lobby);
            process.inbox.extend(lobby);
        }
        let has_more = !process.inbox.is_empty();
        sometimes!(
            MoreThanOneGroup,
            has_more && handled as u64 >= GROUP_INPUTS_MAX
        );
        self.trace.add(self.now, pid, Kind::Run, handled as u64);
        self.tell(Place::Node(pid), || Happened::Ran {
            inputs: handled,
            node: self.processes[pid].machine.as_ref().and_then(M::node),
        });
        self.observe(pid);
        if self.processes[pid].doom.is_some() && self.die_in_turn(pid, &mut effects, leaves) {
            self.effects = effects;
            return;
        }
        for effect in effects.drain(..) {
            self.take_effect(pid, effect, leaves);
        }
        self.effects = effects;
        self.after_turn(pid, has_more);
        if self.processes[pid].doom.is_some() {
            self.die_unsynced(pid);
        }
    }

    fn after_turn(&mut self, pid: Pid, has_more: bool) {
        self.arm_timer(pid);
        if has_more {
            self.take_turn_soon(pid);
        }
        let process = &mut self.processes[pid];
        let Some(machine) = &process.machine else {
            return;
        };
        let storage = &mut process.storage;
        storage.order(machine.installs(), || machine.checkpoint());
        self.go_on_writing(pid);
    }

    /// Shows the checkers what a turn has led to, before anybody hears of it.
    fn observe(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        let (id, durable) = (process.id, process.storage.durable());
        let records = std::mem::take(&mut process.records);
        if !records.is_empty() {
            for (at, record) in &records {
                let at = *at;
                self.tell(Place::Node(pid), || Happened::Recorded { at, record });
            }
            if durable > RecordId(0) {
                self.tell(Place::Node(pid), || Happened::Durable { upto: durable });
            }
            let is_judged = !self.is_given_up(pid);
            self.check(|observer| {
                if !is_judged {
                    return Ok(());
                }
                let mut records = records.into_iter();
                records.try_for_each(|(at, record)| observer.recorded(id, at, record))?;
                observer.durable(id, durable)
            });
        }
        if self.is_given_up(pid) {
            return;
        }
        let process = &self.processes[pid];
        let Some(machine) = &process.machine else {
            return;
        };
        if let Some(state) = machine.node().and_then(Node::state) {
            let judged = self.remains.note(self.chronicle.note(state.store()));
            if let Err(violation) = judged {
                self.accuse(violation);
            }
        }
        let process = &self.processes[pid];
        let Some(machine) = &process.machine else {
            return;
        };
        let Some(view) = machine.view() else { return };
        self.trace
            .add(self.now, pid, Kind::State, view.digest.0 ^ view.applied.0);
        let before = self.observer.applied(pid);
        let epochs = self.observer.epochs().len();
        let judged = self.observer.turned(pid, id, machine, &view);
        self.tell_progress(pid, before, view.applied, epochs);
        if let Err(violation) = judged {
            self.accuse(violation);
        }
        if let Some(seats) = self.observer.take_seats() {
            self.takeover.note_seats(seats, self.now);
        }
    }

    fn check(&mut self, judge: impl FnOnce(&mut Observer) -> Result<(), Violation>) {
        if let Err(violation) = judge(&mut self.observer) {
            self.accuse(violation);
        }
    }

    pub(in crate::sim) fn take_effect(&mut self, pid: Pid, effect: Effect, leaves: Time) {
        match effect {
            Effect::Send(outgoing) => self.send(pid, &outgoing, leaves),
            Effect::Reply(session, response) => {
                self.frame.clear();
                encode_frame(&response, &mut self.frame);
                self.trace
                    .add(self.now, pid, Kind::Reply, digest(&self.frame));
                let bytes = self.frame.len();
                self.deliver_answer(pid, session, Some((response, bytes)), leaves);
            }
            Effect::Finish(session) => self.deliver_answer(pid, session, None, leaves),
            Effect::Locate(peer, addr) => self.locate(pid, peer, addr.as_deref()),
            Effect::Notice(notice) => self.tell(Place::Node(pid), || Happened::Noticed(&notice)),
            Effect::Halt(Halt::Recovered { state }) => self.recover(pid, state),
            Effect::Halt(reason) => {
                let id = self.processes[pid].id;
                self.tell(Place::Node(pid), || Happened::Halted(&reason));
                let is_asked = self.processes[pid].leaving.is_some();
                if matches!(reason, Halt::Evicted { .. }) || reason == Halt::Left && is_asked {
                    return self.retire(pid, &reason);
                }
                if matches!(reason, Halt::Disk { .. }) && self.fail_stop(pid) {
                    return;
                }
                self.accuse(Violation::new(
                    "no node has to halt",
                    format!("{id}: {reason}"),
                ));
            }
        }
    }

    /// A process has ended its part in the cluster. If it was put out, the program begins anew under
    /// another id.
    fn retire(&mut self, pid: Pid, reason: &Halt) {
        self.stop(pid);
        if let Some((_, farewell)) = self.processes[pid].leaving {
            sometimes!(LeavesAsAsked, *reason == Halt::Left);
            self.follow_up(farewell);
        } else if matches!(reason, Halt::Evicted { .. }) {
            let host = self.processes[pid].host;
            self.queue
                .push(self.now + AT_ONCE, Happening::Rejoin { host, was: pid });
        }
    }

    /// A process that was put out joins again.
    pub(super) fn on_rejoin(&mut self, host: HostId, was: Pid) {
        if self.listening[host].is_some() {
            return;
        }
        let pid = self.start(host);
        for actor in &mut self.actors {
            if actor.pinned == Some(was) {
                actor.pinned = Some(pid);
            }
        }
        if let Some(place) = self.core.iter_mut().find(|core| **core == was) {
            *place = pid;
            self.attach_to_core();
        }
    }

    fn locate(&mut self, pid: Pid, peer: NodeId, addr: Option<&str>) {
        if peer == self.processes[pid].id {
            return;
        }
        let Some(addr) = addr else {
            self.processes[pid].book.remove(&peer);
            if let Some(to) = self.by_id.get(&peer).copied() {
                self.net.link(pid, to).state = State::Down;
                // It is hung up on, too, and calls again.
                self.break_link(to, pid);
            }
            return;
        };
        let Some(host) = self.hosts.iter().position(|known| known == addr) else {
            return;
        };
        self.processes[pid].book.insert(peer, host);
        let to = self.by_id.get(&peer).copied();
        if to.is_none_or(|to| self.net.state(pid, to) == State::Down) {
            self.dial_soon(pid, host);
        }
    }

    /// Makes sure that a timer event is in the queue by the time the process wants to be woken.
    pub(super) fn arm_timer(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        if process.wake == Time::NEVER || !process.is_alive() {
            return;
        }
        let at = process.clock.when(process.wake).max(self.now);
        if at < process.timer {
            process.timer = at;
            self.queue.push(at, Happening::Timer { pid });
        }
    }

    pub(super) fn on_timer(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        if process.timer <= self.now {
            process.timer = Time::NEVER;
        }
        if process.clock.show(self.now) < process.wake {
            self.arm_timer(pid);
            return;
        }
        process.wake = Time::NEVER;
        if process.is_alive() {
            process.inbox.push_back(Input::Tick);
            self.trace.add(self.now, pid, Kind::Timer, 0);
            self.tell(Place::Node(pid), || Happened::Woken);
            self.take_turn_soon(pid);
        }
    }

    /// Has the next thing written that is to be, if nothing is under way.
    fn go_on_writing(&mut self, pid: Pid) {
        if let Some(at) = self.processes[pid].storage.begin(self.now) {
            let lane = Lane::Log;
            self.queue.push(at, Happening::Wrote { pid, lane });
        }
    }

    pub(super) fn on_wrote(&mut self, pid: Pid, lane: Lane) {
        let process = &mut self.processes[pid];
        if !process.is_alive() {
            return;
        }
        process.has_news = true;
        if let Some(at) = process.storage.end(lane, self.now) {
            let lane = Lane::Snapshot;
            self.queue.push(at, Happening::Wrote { pid, lane });
        }
        self.go_on_writing(pid);
        self.take_turn_soon(pid);
    }

    /// What waited for what has become durable leaves. Tells whether the process goes on.
    fn look_at_disk(&mut self, pid: Pid) -> bool {
        let process = &mut self.processes[pid];
        let has_news = std::mem::take(&mut process.has_news);
        if let Some(error) = process.storage.trouble() {
            self.take_effect(pid, Effect::Halt(Halt::Disk { error }), self.now);
            return false;
        }
        if !has_news {
            return true;
        }
        let id = process.id;
        let before = process.storage.durable();
        let released = process.storage.look();
        let upto = process.storage.durable();
        if upto > before {
            self.trace.add(self.now, pid, Kind::Synced, upto.0);
            self.tell(Place::Node(pid), || Happened::Durable { upto });
            if !self.is_given_up(pid) {
                self.check(|observer| observer.durable(id, upto));
            }
        }
        for mut outgoing in released {
            if outgoing.to.contains(&id) {
                outgoing.to.retain(|to| *to != id);
                let message = outgoing.message.clone();
                let inbox = &mut self.processes[pid].inbox;
                inbox.push_front(Input::Peer { from: id, message });
            }
            if !outgoing.to.is_empty() {
                self.send(pid, &outgoing, self.now);
            }
        }
        true
    }
}

/// How many inputs the next group of a process has at most.
fn group_limit(dice: &mut Dice) -> usize {
    match dice.below(4) {
        0 => dice.between(1, GROUP_INPUTS_MAX) as usize,
        _ => GROUP_INPUTS_MAX as usize,
    }
}
