//! How a node acts on the world: its [`Env`] on sockets and clocks.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::driver::Machine;
use super::durable::{Data, Ending};
use super::journal::WrittenJournal;
use super::link::{Link, Links};
use super::net::Net;
use super::outbox::COPIED_BYTES_MAX;
use super::shared::Shared;
use crate::core::durable::Record;
use crate::core::env::{DiskPace, Env, Halt, Notice, RecordId, Time};
use crate::core::id::{NodeId, SessionId};
use crate::core::limits::Gauge;
use crate::core::protocol::client::Response;
use crate::core::protocol::peer::{self, HEADER_BYTES, MESSAGE_BYTES_MAX, Message};

/// Where the node's clock begins. Not at zero, which peers read as "never".
const BEGINNING: Duration = Duration::from_secs(1);

/// What a node acts on.
pub(super) struct World<N> {
    shared: Rc<Shared>,
    epoch: Instant,
    now: Time,
    rng: ChaCha8Rng,
    journal: WrittenJournal<Outgoing>,
    /// Messages of the node to itself.
    loopback: VecDeque<Message>,
    wake_at: Time,
    halted: Option<Halt>,
    /// Kept for its memory: the frame that is being encoded, and the links that it goes to.
    frame: Vec<u8>,
    targets: Vec<Rc<Link>>,
    net: PhantomData<fn() -> N>,
}

struct Outgoing {
    to: Vec<NodeId>,
    message: Message,
}

impl<N: Net> World<N> {
    pub(super) fn new(shared: Rc<Shared>, entropy: u64, data: Option<Data>) -> World<N> {
        World {
            shared,
            epoch: Instant::now(),
            now: Time::default() + BEGINNING,
            rng: ChaCha8Rng::seed_from_u64(entropy),
            journal: WrittenJournal::new(data),
            loopback: VecDeque::new(),
            wake_at: Time::NEVER,
            halted: None,
            frame: Vec::new(),
            targets: Vec::new(),
            net: PhantomData,
        }
    }

    /// Reads the clock. All inputs of a group share one reading.
    pub(super) fn read_clock(&mut self) {
        let now = Time::default() + BEGINNING + self.epoch.elapsed();
        assert!(now >= self.now, "the clock never goes back");
        self.now = now;
    }

    /// Whether the node's timer has fired; it then has to be set anew.
    pub(super) fn is_timer_due(&mut self) -> bool {
        let is_due = self.wake_at <= self.now;
        if is_due {
            self.wake_at = Time::NEVER;
        }
        is_due
    }

    /// When the node's timer fires, if it is set to a time that can be waited for.
    pub(super) fn timer(&self) -> Option<Instant> {
        let span = self.wake_at.since(Time::default() + BEGINNING);
        (self.wake_at != Time::NEVER)
            .then(|| self.epoch.checked_add(span))
            .flatten()
    }

    /// The next message of the node to itself.
    pub(super) fn pop_loopback(&mut self) -> Option<Message> {
        self.loopback.pop_front()
    }

    /// Has written what must be durable, at the end of a group of inputs.
    pub(super) fn write(&mut self, machine: &impl Machine) {
        self.journal
            .write(machine.installs(), || machine.checkpoint());
    }

    /// Takes note of what has become durable, and of what others have said of this process. The node
    /// halts if something went wrong.
    pub(super) fn look(&mut self) {
        if let Some(later) = self.shared.later_life.take() {
            self.halt(Halt::Outdated { later });
        }
        match self.journal.look() {
            Ok(()) => self.release(),
            Err(error) => self.halt(Halt::Disk { error }),
        }
    }

    /// Tells how much waits for the disk, if there is one.
    pub(super) fn load(&self, tell: impl FnMut(Gauge)) {
        self.journal.load(tell);
    }

    /// Waits until more has become durable.
    pub(super) async fn news(&mut self) {
        self.journal.news().await;
    }

    /// Has written what is left. Gives what ends with that, if anything is kept on disk.
    pub(super) fn end(self) -> Option<Ending> {
        self.journal.end()
    }

    /// Sends what no longer has to wait for a record.
    pub(super) fn release(&mut self) {
        while let Some(Outgoing { to, message }) = self.journal.release() {
            self.transmit(&to, message);
        }
    }

    /// Why the node must not go on, if it said so.
    pub(super) fn halted(&mut self) -> Option<Halt> {
        self.halted.take()
    }

    fn transmit(&mut self, to: &[NodeId], message: Message) {
        let me = self.shared.me.id;
        let others = to.iter().filter(|id| **id != me);
        self.targets.clear();
        self.targets
            .extend(others.filter_map(|id| self.shared.links.up(*id)));
        if !self.targets.is_empty() {
            self.transmit_to_targets(&message);
        }
        if to.contains(&me) {
            self.loopback.push_back(message);
        }
    }

    /// Encodes once, however many it goes to.
    fn transmit_to_targets(&mut self, message: &Message) {
        self.frame.clear();
        self.frame.extend_from_slice(&[0; HEADER_BYTES]);
        peer::encode(message, &mut self.frame);
        let length = self.frame.len() - HEADER_BYTES;
        if length > MESSAGE_BYTES_MAX {
            error!("not sending a message of {length} bytes: peers read {MESSAGE_BYTES_MAX}");
            return;
        }
        let header = peer::header(&self.frame[HEADER_BYTES..]);
        self.frame[..HEADER_BYTES].copy_from_slice(&header);
        if self.frame.len() <= COPIED_BYTES_MAX {
            for link in &self.targets {
                link.send_copy(&self.frame);
            }
        } else {
            let frame = Bytes::from(std::mem::take(&mut self.frame));
            for link in &self.targets {
                link.send_shared(&frame);
            }
        }
        self.targets.clear();
    }
}

impl<N: Net> Env for World<N> {
    fn now(&self) -> Time {
        self.now
    }

    fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn send(&mut self, to: &[NodeId], message: Message, after: Option<RecordId>) {
        if after.is_none() {
            return self.transmit(to, message);
        }
        let outgoing = Outgoing {
            to: to.to_vec(),
            message,
        };
        if let Some(Outgoing { to, message }) = self.journal.admit(after, outgoing) {
            self.transmit(&to, message);
        }
    }

    fn reply(&mut self, session: SessionId, response: Response) {
        if let Some(code) = response.error() {
            self.shared.traffic.refuse(code);
        }
        self.shared.sessions.reply(session, response);
    }

    fn finish(&mut self, session: SessionId) {
        self.shared.sessions.finish(session);
    }

    fn record(&mut self, record: Record) -> RecordId {
        self.journal.append(&record)
    }

    fn wake_at(&mut self, at: Time) {
        self.wake_at = at;
    }

    fn locate(&mut self, peer: NodeId, addr: Option<&str>) {
        Links::locate::<N>(&self.shared, peer, addr);
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            // Told by the driver, with what an operator needs to know along with it.
            Notice::Ready => {}
            Notice::Joined { .. } | Notice::MajorityBack => info!("{notice}"),
            Notice::Revoked { .. } => debug!("{notice}"),
            Notice::Left
            | Notice::CannotLeave
            | Notice::MajorityLost { .. }
            | Notice::BadSnapshot { .. } => warn!("{notice}"),
        }
    }

    fn halt(&mut self, reason: Halt) {
        self.halted.get_or_insert(reason);
    }

    fn disk_pace(&self) -> Option<DiskPace> {
        self.journal.pace()
    }
}
