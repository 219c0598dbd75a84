//! Connections between processes, as a runtime on TCP keeps them.
//!
//! A process has a connection of its own to each process in its address book; it carries messages
//! one way. Whoever is connected to learns the address of who did, and connects back. A broken
//! connection is told with `Unlinked` and made again with growing pauses; one through a cut is told
//! broken only after a while, and one to a dead host sometimes, too. Damaged messages go through the
//! framing of the runtime: whoever gets one that cannot be read closes the connection.

use std::rc::Rc;
use std::time::Duration;

use super::{AT_ONCE, Door, Happening, World};
use crate::core::env::{Input, Time};
use crate::core::instrument::sometimes;
use crate::core::protocol::peer::{HEADER_BYTES, Message, decode, encode, header, read_frame};
use crate::sim::chance::{Dice, What};
use crate::sim::check::Violation;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Loss, Place};
use crate::sim::net::{Damage, State};
use crate::sim::params::micros;
use crate::sim::process::{HostId, Outgoing, Pid};
use crate::sim::trace::{Kind, digest};

/// A message on its way.
pub enum Parcel {
    /// Its bytes, decoded on arrival.
    Bytes(Rc<[u8]>),
    /// The message itself.
    Plain(Rc<Message>),
    /// A frame to which something happens on its way, and which choices say what.
    Damaged(Rc<[u8]>, Damage, Dice),
}

/// What a receiver makes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// There is no message in it, and there will not be one when more comes: the connection closes.
    Refused,
    /// It is not complete.
    Unfinished,
    /// A message.
    Message(Message),
}

/// That damage is found, as a sentence.
const UNSEEN: &str = "no damage to a message goes unseen";

/// How long an attempt to connect that nobody answers takes until it is given up, as in the
/// production runtime, in microseconds.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Shortest and longest pause before a failed connection is tried again.
const REDIAL: (u64, u64) = (20_000, 800_000);

impl<M: Machine> World<M> {
    /// Sends a message to every addressee that there is a connection to.
    pub(in crate::sim) fn send(&mut self, from: Pid, outgoing: &Outgoing, leaves: Time) {
        self.buffer.clear();
        encode(&outgoing.message, &mut self.buffer);
        self.trace
            .add(self.now, from, Kind::Send, digest(&self.buffer));
        self.tell(Place::Node(from), || Happened::Sent {
            to: &outgoing.to,
            message: &outgoing.message,
            bytes: self.buffer.len(),
        });
        let id = self.processes[from].id;
        if !self.is_given_up(from) {
            if let Err(violation) = self.observer.said(id, &outgoing.message) {
                self.accuse(violation);
            }
            self.judge_evictions(from, &outgoing.message);
        }
        let sent = self.trace.events();
        let parcel = if sent.is_multiple_of(self.net.params.decode_every) {
            Parcel::Bytes(self.buffer.as_slice().into())
        } else {
            Parcel::Plain(Rc::new(outgoing.message.clone()))
        };
        for id in &outgoing.to {
            let Some(to) = self.by_id.get(id).copied() else {
                continue;
            };
            let hosts = (self.processes[from].host, self.processes[to].host);
            let path = self.net.path_mut(hosts.0, hosts.1);
            if to == from {
                continue;
            }
            if path.cuts > 0 {
                self.tell_loss(from, to, sent, &parcel, Loss::Cut);
                continue;
            }
            let leaves = match path.lag_until > leaves {
                true => leaves + path.lag,
                false => leaves,
            };
            let bytes = HEADER_BYTES + self.buffer.len();
            let is_linked = self.net.state(from, to) == State::Up;
            let arrivals = self.net.transmit(from, to, leaves, bytes);
            match arrivals.0 {
                [None, None] if is_linked => {
                    self.tell_loss(from, to, sent, &parcel, Loss::Dropped);
                }
                [None, None] => self.tell_loss(from, to, sent, &parcel, Loss::Unconnected),
                _ => {}
            }
            // What never arrives cannot be damaged: the next message is.
            let damage = match arrivals.0 {
                [None, None] => None,
                _ => self.net.path_mut(hosts.0, hosts.1).damage.take(),
            };
            for at in arrivals.0.into_iter().flatten() {
                let parcel = match (damage, &parcel) {
                    (Some(damage), _) => self.damage(damage, from, sent),
                    (None, Parcel::Plain(message)) => Parcel::Plain(Rc::clone(message)),
                    (None, Parcel::Bytes(bytes) | Parcel::Damaged(bytes, ..)) => {
                        Parcel::Bytes(Rc::clone(bytes))
                    }
                };
                let left = self.now;
                let arrival = Happening::Arrive {
                    from,
                    to,
                    left,
                    sent,
                    parcel,
                };
                self.queue.push(at, arrival);
            }
        }
    }

    /// The message that has just been encoded, to be damaged on its way.
    fn damage(&self, damage: Damage, from: Pid, nth: u64) -> Parcel {
        let header = header(&self.buffer);
        let frame: Rc<[u8]> = header.iter().chain(&self.buffer).copied().collect();
        let dice = self.chance.dice(What::Damage, from as u64).within(nth);
        Parcel::Damaged(frame, damage, dice)
    }

    pub(super) fn on_arrive(
        &mut self,
        from: Pid,
        to: Pid,
        (left, sent): (Time, u64),
        parcel: Parcel,
    ) {
        if !self.processes[to].is_alive() {
            let is_back = self.listening[self.processes[to].host].is_some_and(|pid| pid > to);
            sometimes!(MessageFindsHeir, is_back);
            return self.tell_loss(from, to, sent, &parcel, Loss::Dead);
        }
        let path = self
            .net
            .path(self.processes[from].host, self.processes[to].host);
        if path.cuts > 0 || path.aborted_at >= left {
            sometimes!(MessageCutInFlight);
            let loss = if path.cuts > 0 {
                Loss::Cut
            } else {
                Loss::Reset
            };
            return self.tell_loss(from, to, sent, &parcel, loss);
        }
        if path.held_until > self.now {
            let (at, happening) = (
                path.held_until,
                Happening::Arrive {
                    from,
                    to,
                    left,
                    sent,
                    parcel,
                },
            );
            return self.queue.push(at, happening);
        }
        sometimes!(MessageOutlivesSender, !self.processes[from].is_alive());
        let is_linked = self.net.state(from, to) == State::Up;
        sometimes!(MessageOutlivesConnection, !is_linked);
        self.stats.messages += 1;
        self.hearing.hears(to, from, left, self.now);
        let message = match parcel {
            Parcel::Damaged(frame, damage, dice) => {
                return self.on_damaged(from, to, sent, &frame, (damage, dice));
            }
            Parcel::Bytes(bytes) => decode(&bytes).expect("what a node sends can be decoded"),
            Parcel::Plain(message) => Rc::unwrap_or_clone(message),
        };
        self.hand_in(from, to, sent, message);
    }

    /// A damaged frame arrives. Its receiver closes the connection if it cannot read on, and waits
    /// for more in vain if the frame seems longer than it is, until the sender has had enough.
    fn on_damaged(
        &mut self,
        from: Pid,
        to: Pid,
        sent: u64,
        frame: &[u8],
        (damage, mut dice): (Damage, Dice),
    ) {
        let mut damaged = frame.to_vec();
        match damage {
            Damage::Tear => damaged.truncate(dice.below(frame.len() as u64) as usize),
            Damage::Flip { bits } => flip(&mut damaged, bits, &mut dice),
        }
        let reading = read(&damaged);
        if damaged != frame {
            self.stats.damaged += 1;
            self.tell(Place::Node(to), || Happened::Lost {
                from,
                sent,
                message: None,
                loss: Loss::Damaged,
            });
        }
        match (damage, reading) {
            (Damage::Flip { .. }, Reading::Unfinished) => self.make_hole(from, to),
            (_, Reading::Refused | Reading::Unfinished) => self.break_link(from, to),
            // The same bits were turned round twice.
            (_, Reading::Message(message)) if damaged == frame => {
                self.hand_in(from, to, sent, message);
            }
            (_, Reading::Message(message)) => {
                let detail = format!("p{to} reads {message:?}, which p{from} never sent");
                self.accuse(Violation::new(UNSEEN, detail));
            }
        }
    }

    fn hand_in(&mut self, from: Pid, to: Pid, sent: u64, message: Message) {
        self.trace.add(self.now, to, Kind::Arrive, from as u64);
        self.tell(Place::Node(to), || Happened::Arrived {
            from,
            sent,
            message: &message,
        });
        let from = self.processes[from].id;
        let inbox = &mut self.processes[to].inbox;
        inbox.push_back(Input::Peer { from, message });
        self.take_turn_soon(to);
    }

    fn is_cut_between(&self, from: Pid, to: Pid) -> bool {
        let host = |pid: Pid| self.processes[pid].host;
        self.net.is_cut(host(from), host(to))
    }

    /// A process connects to a host, unless it is about to already.
    pub(super) fn dial_soon(&mut self, from: Pid, host: HostId) {
        if self.processes[from].host == host || !self.processes[from].dialing.insert(host) {
            return;
        }
        let delay = self.net.dial(from, host);
        self.queue
            .push(self.now + delay, Happening::Dial { from, host });
    }

    fn dial_later(&mut self, from: Pid, host: HostId) {
        if self.processes[from].host == host || !self.processes[from].dialing.insert(host) {
            return;
        }
        let pause = self.processes[from].dial_dice.magnitude(REDIAL.0, REDIAL.1);
        self.queue
            .push(self.now + micros(pause), Happening::Dial { from, host });
    }

    pub(super) fn on_dial(&mut self, from: Pid, host: HostId) {
        let process = &mut self.processes[from];
        process.dialing.remove(&host);
        if !process.is_alive() {
            return;
        }
        let here = process.host;
        match self.doors[host] {
            Door::Hangs(until) if until > self.now => {
                process.dialing.insert(host);
                let at = self.now + CONNECT_MAX;
                return self.queue.push(at, Happening::Dial { from, host });
            }
            Door::Refuses(until) if until > self.now => {
                if self.wants(from, host) {
                    self.dial_later(from, host);
                }
                return;
            }
            _ => {}
        }
        let answers = |pid: &Pid| {
            let paused = [*pid, from].map(|pid| self.processes[pid].paused_until > self.now);
            paused == [false, false] && !self.net.is_cut(here, host) && !self.net.is_cut(host, here)
        };
        match self.listening[host].filter(answers) {
            Some(to) if self.greet(from, to) => self.connect(from, to),
            Some(_) if self.wants(from, host) => self.dial_later(from, host),
            Some(_) => {}
            None if self.wants(from, host) => {
                sometimes!(
                    DialOfPaused,
                    self.listening[host]
                        .is_some_and(|pid| self.processes[pid].paused_until > self.now)
                );
                sometimes!(DialOfNobody, self.listening[host].is_none());
                self.dial_later(from, host);
            }
            None => {}
        }
    }

    fn wants(&self, from: Pid, host: HostId) -> bool {
        let process = &self.processes[from];
        let attaching = process.attach.contains(&host) && !process.ready;
        attaching || process.book.values().any(|known| *known == host)
    }

    fn connect(&mut self, from: Pid, to: Pid) {
        if self.net.state(from, to) != State::Down {
            return;
        }
        self.forget_former(from, to);
        self.net.link(from, to).open(self.now);
        self.hearing.reaches(from, to, self.now);
        self.trace.add(self.now, from, Kind::Link, to as u64);
        let (id, host) = (self.processes[to].id, self.processes[to].host);
        let addr = self.hosts[host].clone();
        self.tell(Place::Node(from), || Happened::Linked { peer: to });
        let process = &mut self.processes[from];
        process.book.insert(id, host);
        process.inbox.push_back(Input::Linked { peer: id, addr });
        self.take_turn_soon(from);
        let (id, host) = (self.processes[from].id, self.processes[from].host);
        self.processes[to].book.insert(id, host);
        if self.net.state(to, from) == State::Down {
            self.dial_soon(to, host);
        }
    }

    /// Whoever connects to a process that has come back knows by then that its connection to the
    /// life before has ended.
    fn forget_former(&mut self, from: Pid, to: Pid) {
        let mut former = self.processes[to].former;
        while let Some(pid) = former {
            if self.net.state(from, pid) != State::Down {
                self.net.link(from, pid).state = State::Down;
                let peer = self.processes[pid].id;
                self.processes[from]
                    .inbox
                    .push_back(Input::Unlinked { peer });
            }
            former = self.processes[pid].former;
        }
    }

    /// A connection breaks, and its opener is told soon.
    pub(crate) fn break_link(&mut self, from: Pid, to: Pid) {
        let pause = self.processes[from].dial_dice.magnitude(100, 50_000);
        self.end_link(from, to, micros(pause));
    }

    /// A connection carries nothing from now on, and its opener is told when it has had enough.
    pub(crate) fn make_hole(&mut self, from: Pid, to: Pid) {
        let keepalive = self.net.params.keepalive;
        self.end_link(from, to, keepalive);
    }

    fn end_link(&mut self, from: Pid, to: Pid, told_after: Duration) {
        let link = self.net.link(from, to);
        if link.state == State::Down {
            return;
        }
        link.state = State::Hole;
        let epoch = link.epoch;
        let at = self.now + told_after;
        self.queue.push(at, Happening::Broken { from, to, epoch });
    }

    pub(super) fn on_cut(&mut self, pairs: Vec<(HostId, HostId)>, until: Time) {
        for (a, b) in &pairs {
            self.ensure_host(*a.max(b));
            self.net.cut(*a, *b);
            let (Some(from), Some(to)) = (self.listening[*a], self.listening[*b]) else {
                continue;
            };
            if from != to && self.net.state(from, to) == State::Up {
                let epoch = self.net.link(from, to).epoch;
                let at = self.now + self.net.params.keepalive;
                self.queue.push(at, Happening::Broken { from, to, epoch });
            }
        }
        self.trace.add(self.now, 0, Kind::Fault, pairs.len() as u64);
        let until = until.max(self.now + AT_ONCE);
        self.tell(Place::World, || Happened::Cut {
            pairs: &pairs,
            until,
        });
        self.queue.push(until, Happening::MendCut { pairs });
    }

    pub(super) fn on_broken(&mut self, from: Pid, to: Pid, epoch: u32) {
        let is_cut = self.is_cut_between(from, to);
        let link = self.net.link(from, to);
        let mended = link.state == State::Up && !is_cut;
        let is_current = link.epoch == epoch;
        sometimes!(
            CutFoundByKeepalive,
            link.state == State::Up && is_cut && is_current
        );
        if link.epoch != epoch || link.state == State::Down || mended {
            return;
        }
        link.state = State::Down;
        let peer = self.processes[to].id;
        let process = &mut self.processes[from];
        if !process.is_alive() {
            return;
        }
        process.inbox.push_back(Input::Unlinked { peer });
        self.trace.add(self.now, from, Kind::Link, !(to as u64));
        self.tell(Place::Node(from), || Happened::Unlinked { peer: to });
        self.take_turn_soon(from);
        if let Some(host) = self.processes[from].book.get(&peer).copied() {
            self.dial_later(from, host);
        }
    }
}

/// Turns so many bits round, some of them more than once.
fn flip(frame: &mut [u8], bits: u32, dice: &mut Dice) {
    for _ in 0..bits {
        let bit = dice.below(8 * frame.len() as u64);
        frame[(bit / 8) as usize] ^= 1 << (bit % 8);
    }
}

/// What the production runtime would make of a frame.
pub(super) fn read(frame: &[u8]) -> Reading {
    match read_frame(frame) {
        Ok(None) => Reading::Unfinished,
        Ok(Some(read)) => match read.message {
            Some(message) => Reading::Message(message),
            // What follows an empty frame is read as the next one.
            None => self::read(&frame[read.bytes..]),
        },
        Err(_) => Reading::Refused,
    }
}
