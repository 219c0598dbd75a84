//! The boundary: what goes into a node, and how it acts on the world.
//!
//! A runtime gives a [`Node`](super::node::Node) one [`Input`] at a time, and after each group of
//! inputs that were ready together it calls `flush`, so that what can travel together does. The
//! node answers only through [`Env`]. The same state, inputs, clock and random values give the
//! same effects, byte for byte, on every machine and in every build.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use super::durable::Record;
use super::id::{NodeId, SessionId};
use super::protocol::client::{Request, Response};
use super::protocol::peer::Message;
use super::state::State;

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message from another process, or from this one by way of [`Env::send`].
    Peer {
        /// The process that the connection was opened by; the runtime has checked its handshake.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// A connection to another process has been established: messages to it may arrive.
    Linked {
        /// The process at the other end.
        peer: NodeId,
        /// Where it was reached: the address that it wants to be known by.
        addr: String,
    },
    /// The connection to another process broke, or cannot be made.
    Unlinked {
        /// The process at the other end.
        peer: NodeId,
    },
    /// A client connected.
    Opened {
        /// Its connection.
        session: SessionId,
    },
    /// A client asks for something.
    Client {
        /// Its connection.
        session: SessionId,
        /// What it wants.
        request: Request,
    },
    /// A client will send nothing more but still listens. The node answers what is open, drops
    /// parked WAITs, and then calls [`Env::finish`].
    HalfClosed {
        /// Its connection.
        session: SessionId,
    },
    /// A client is gone: nobody will read its answers.
    Closed {
        /// Its connection.
        session: SessionId,
    },
    /// The process is to end. The node gives up its place in the cluster, finishes what its clients
    /// have sent, and then calls [`Env::halt`] with [`Halt::Left`], after a few seconds at most.
    Leave,
    /// The time given to [`Env::wake_at`] has come. Too early or too often does no harm.
    Tick,
}

/// How a node acts on the world.
///
/// Nothing here fails and nothing blocks: what cannot be delivered is lost, and whoever waits for
/// it asks again.
pub trait Env {
    /// Time that never goes back; its zero is arbitrary.
    fn now(&self) -> Time;

    /// A random value, the only kind a node sees.
    fn random(&mut self) -> u64;

    /// Sends a message to other processes, or to this one (`to` may contain its own id; the
    /// message comes back as [`Input::Peer`], before inputs from outside).
    ///
    /// It may leave only once the record `after` is durable, and may then be lost, repeated,
    /// delayed or overtaken. `None` waits for nothing.
    fn send(&mut self, to: &[NodeId], message: Message, after: Option<RecordId>);

    /// Answers a client. Answers of one session keep their order.
    fn reply(&mut self, session: SessionId, response: Response);

    /// Ends a client's connection once all its answers have been delivered.
    fn finish(&mut self, session: SessionId);

    /// Appends to the log on disk, in order. Without a data directory each record counts as
    /// durable at once.
    fn record(&mut self, record: Record) -> RecordId;

    /// Asks for one [`Input::Tick`] at this time. There is one timer: a later call replaces it.
    fn wake_at(&mut self, at: Time);

    /// Where a process can be reached, or `None` when there is nothing more to say to it. The
    /// runtime keeps a connection to each process it has an address of.
    fn locate(&mut self, peer: NodeId, addr: Option<&str>);

    /// Something has happened that operators ought to know. The runtime logs it.
    fn notice(&mut self, notice: Notice);

    /// This node must not go on: its state differs from its peers', or it was told so. The runtime
    /// says why, loudly, closes every connection and ends the process.
    fn halt(&mut self, reason: Halt);

    /// How the log on disk is doing; nothing if there is none.
    fn disk_pace(&self) -> Option<DiskPace> {
        None
    }
}

/// What operators ought to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The node has what it needs to serve clients (once in its life).
    Ready,
    /// The node became a member: it votes and takes writes.
    Joined {
        /// The file of its slot, such as `/ctl/cal/1`.
        slot: String,
    },
    /// The node is a member no more: it follows, and takes no writes.
    Left,
    /// A snapshot that a peer sent cannot be used.
    BadSnapshot {
        /// The peer.
        peer: NodeId,
        /// What is wrong with it.
        error: String,
    },
    /// The node ends and could not give its place in the cluster up: the members that would stay
    /// could not go on, or no majority answered in time.
    CannotLeave,
    /// Too few members are heard for anything to be decided, for a while now.
    MajorityLost {
        /// The members that are not heard: their ids and addresses.
        silent: Vec<String>,
        /// How many members are heard, this process included if it is one.
        heard: usize,
        /// How many are needed.
        needed: usize,
        /// The address of this process.
        survivor: String,
    },
    /// Enough members are heard again.
    MajorityBack,
    /// Open slots of another member were taken over, since nothing was heard of them in time.
    Revoked {
        /// The owner of the slots.
        owner: NodeId,
        /// How many.
        slots: usize,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Ready => write!(f, "ready"),
            Notice::Joined { slot } => write!(f, "member in {slot}"),
            Notice::Left => write!(f, "no longer a member; following"),
            Notice::CannotLeave => write!(
                f,
                "leaves without giving up its place, as no majority of the other members was \
                 there to take over: clear its slot in /ctl/cal once they are back"
            ),
            Notice::BadSnapshot { peer, error } => {
                write!(
                    f,
                    "cannot use the snapshot that {peer} sent: {error}; taking another"
                )
            }
            Notice::MajorityLost {
                silent,
                heard,
                needed,
                survivor,
            } => {
                write!(
                    f,
                    "the majority is lost: {heard} members are heard where {needed} are needed, and \
                     nothing can be written; silent: {}; if they do not come back with their \
                     memory, make a new cluster of this process: doozer -a {survivor} recover",
                    silent.join(", ")
                )
            }
            Notice::MajorityBack => write!(f, "a majority of the members is heard again"),
            Notice::Revoked { owner, slots } => {
                write!(
                    f,
                    "took over {slots} open slots of {owner}, which was not heard in time"
                )
            }
        }
    }
}

/// Why a node must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// The state differs from a peer's at the same slot.
    #[error(
        "the state after slot {slot} differs from that of {peer}: this node stops, so that nobody \
         reads what was never agreed; start it again to take a fresh copy, and report this"
    )]
    Diverged {
        /// The slot after which the states were compared.
        slot: u64,
        /// The other process.
        peer: NodeId,
    },
    /// The members have taken this process for dead, and gave its place away. It may join again
    /// under another id.
    #[error("the other members did not hear this process for too long and put it out")]
    Evicted {
        /// The addresses of the members.
        members: Vec<String>,
    },
    /// Its cluster is to begin anew with what this process remembers, which it may start again with,
    /// under another id.
    #[error("this process is to make a new cluster")]
    Recovered {
        /// What it remembers.
        state: Box<State>,
    },
    /// What it promises cannot be kept on disk any more.
    #[error(
        "cannot write to the data directory: {error}; this node stops, as it must not promise what \
         it might forget; start it again once the cause is gone"
    )]
    Disk {
        /// What went wrong, and where.
        error: String,
    },
    /// It has come back with what it remembered at an earlier time: it was started later than this
    /// before, and has made promises then that it does not know of.
    #[error(
        "this process was started from an old copy of its data directory: the others know of its \
         start {later}; it stops, as it must not break promises that are not in there; let it join \
         again as a standby: doozerd repair DIR"
    )]
    Outdated {
        /// How often it had been started before in a life that was later than this one.
        later: u32,
    },
    /// It was asked to end, and has done so.
    #[error("left the cluster")]
    Left,
}

/// How the log on disk is doing.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct DiskPace {
    /// Times that records were made durable in this life.
    pub syncs: u64,
    /// Records that were, by these.
    pub records: u64,
    /// Bytes that they took.
    pub bytes: u64,
    /// Syncs a second, lately.
    pub syncs_per_second: f64,
    /// Records that a sync has made durable, in the mean, lately.
    pub records_per_sync: f64,
}

/// The position of a record in the log on disk, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordId(pub u64);

/// A point in time, in microseconds since an arbitrary zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// Later than every other.
    pub const NEVER: Time = Time(u64::MAX);

    /// How long ago `earlier` was; zero if it is yet to come.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, span: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, span: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}
