//! The kinds of faults that the nemesis draws.
//!
//! | kind | what it draws |
//! |---|---|
//! | `Crash` | a death; the successor starts on the same host, on one that was used before or on a fresh one, 1 ms to 4 s later |
//! | `CrashInTurn` | a death after some effects of a turn and before the others |
//! | `CrashUnsynced` | a death within 300 µs of a turn that leaves records unsynced |
//! | `QuickRestart` | a death whose successor takes the same address within a millisecond |
//! | `PowerLoss` | the power goes on some hosts at once, a majority or not |
//! | `Blackout` | the power goes on all hosts at once, and they come back in any order |
//! | `DiskError` | an operation on a disk fails |
//! | `DiskFull` | a disk is full for a while |
//! | `SlowDisk` | the syncs of a disk take 3 to 100 times longer |
//! | `DiskDamage` | a process dies, and its disk loses what was durable |
//! | `Stop` | an end that an operator wants, and a successor |
//! | `Leave` | a process is asked to end, gives its slot up first, and is sometimes killed meanwhile |
//! | `RollingRestart` | one process after the other leaves and comes back |
//! | `StandbyComes` | a further process on a fresh host |
//! | `StandbyGoes` | a process that is no member ends and does not come back soon |
//! | `Takeover` | another process takes the address of one that stands still and then goes on |
//! | `Pause` | a standstill of 1 ms to 60 s |
//! | `Freeze` | a majority of all processes stands still at once |
//! | `Suspend` | a standstill in which the clock stands still as well |
//! | `Slow` | 10 to 1000 times slower for 2 ms to 4 s |
//! | `Sluggish` | 2 to 20 times slower for the rest of the storm |
//! | `ClockJump` | a jump by 1 ms to 2 min |
//! | `ClockPace` | a clock that runs up to twice as fast or half as fast from now on |
//! | `CutOff` | one host neither hears nor is heard |
//! | `Split` | the hosts fall into two halves |
//! | `Bridge` | the hosts fall into two halves that share one host |
//! | `Partial` | some hosts lose some others; the rest sees all |
//! | `OneWay` | one host is not heard by some others, but hears them |
//! | `Pair` | two hosts lose each other and nobody else |
//! | `Flap` | two hosts lose and find each other several times |
//! | `ClogLink` | messages from one host to another wait, and then all come |
//! | `ClogHost` | all messages from and to one host wait |
//! | `Swizzle` | a random subset is clogged one by one and freed in another order |
//! | `SlowPair` | messages between two hosts take up to 300 ms longer for the rest of the storm |
//! | `FarHost` | all messages from and to one host do |
//! | `Reset` | connections of a process break, and are told broken |
//! | `Abort` | the same, and what is on its way is lost |
//! | `Tear` | connections break in the middle of a message |
//! | `Corrupt` | 1 to 32 bits of the next messages of a process are turned round |
//! | `HalfOpen` | connections of a process carry nothing and nobody is told |
//! | `Refuse` | a host refuses new connections |
//! | `Hang` | attempts to connect to a host hang |
//! | `Hangup` | a connection of a client breaks |
//! | `ClientAbort` | the same, and frames on their way are lost |
//! | `ClientHalfOpen` | a connection of a client carries nothing and nobody is told |
//! | `ClientCut` | some clients lose some hosts |
//! | `Move` | a client goes to another node without waiting for its answer |
//! | `SlowReader` | a client takes no answers |
//! | `Storm` | up to 40 clients connect at once |
//! | `Glutton` | a client sends up to 300 requests at once and takes no answers |
//! | `Vacate` | an operator clears the slot of somebody, preferably dead |
//! | `AddSlot` | an operator adds a slot |
//! | `RemoveSlot` | an operator deletes a slot |
//! | `Mend` | all cuts, clogs and lags end |

use crate::sim::files::kebab;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the table above tells what each does")]
pub enum Kind {
    Crash,
    CrashInTurn,
    CrashUnsynced,
    QuickRestart,
    Stop,
    StandbyComes,
    StandbyGoes,
    Takeover,
    Pause,
    Freeze,
    Suspend,
    Slow,
    Sluggish,
    ClockJump,
    ClockPace,
    CutOff,
    Split,
    Bridge,
    Partial,
    OneWay,
    Pair,
    Flap,
    ClogLink,
    ClogHost,
    Swizzle,
    SlowPair,
    FarHost,
    Reset,
    Abort,
    Tear,
    Corrupt,
    HalfOpen,
    Refuse,
    Hang,
    Hangup,
    ClientAbort,
    ClientHalfOpen,
    ClientCut,
    Move,
    SlowReader,
    Storm,
    Glutton,
    Vacate,
    AddSlot,
    RemoveSlot,
    Mend,
    Leave,
    RollingRestart,
    PowerLoss,
    Blackout,
    DiskError,
    DiskFull,
    SlowDisk,
    DiskDamage,
}

/// All kinds, in the order of `Params::fault_weights`.
pub const KINDS: [Kind; 54] = [
    Kind::Crash,
    Kind::CrashInTurn,
    Kind::CrashUnsynced,
    Kind::QuickRestart,
    Kind::Stop,
    Kind::StandbyComes,
    Kind::StandbyGoes,
    Kind::Takeover,
    Kind::Pause,
    Kind::Freeze,
    Kind::Suspend,
    Kind::Slow,
    Kind::Sluggish,
    Kind::ClockJump,
    Kind::ClockPace,
    Kind::CutOff,
    Kind::Split,
    Kind::Bridge,
    Kind::Partial,
    Kind::OneWay,
    Kind::Pair,
    Kind::Flap,
    Kind::ClogLink,
    Kind::ClogHost,
    Kind::Swizzle,
    Kind::SlowPair,
    Kind::FarHost,
    Kind::Reset,
    Kind::Abort,
    Kind::Tear,
    Kind::Corrupt,
    Kind::HalfOpen,
    Kind::Refuse,
    Kind::Hang,
    Kind::Hangup,
    Kind::ClientAbort,
    Kind::ClientHalfOpen,
    Kind::ClientCut,
    Kind::Move,
    Kind::SlowReader,
    Kind::Storm,
    Kind::Glutton,
    Kind::Vacate,
    Kind::AddSlot,
    Kind::RemoveSlot,
    Kind::Mend,
    Kind::Leave,
    Kind::RollingRestart,
    Kind::PowerLoss,
    Kind::Blackout,
    Kind::DiskError,
    Kind::DiskFull,
    Kind::SlowDisk,
    Kind::DiskDamage,
];

impl Kind {
    /// Its name in files.
    pub fn name(self) -> String {
        kebab(&format!("{self:?}"))
    }
}
