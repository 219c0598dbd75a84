//! Bugs that can be planted, one at a time, to prove that the simulator finds them.
//!
//! A bug is planted in a thread, which runs one simulation at a time.

use std::cell::Cell;
use std::fmt;

macro_rules! mutants {
    ($($class:literal { $($(#[doc = $doc:literal])+ $name:ident,)+ })+) => {
        /// A bug in the logic of the node.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($($(#[doc = $doc])+ $name,)+)+
        }

        impl Mutant {
            /// All of them, by class.
            pub const ALL: &'static [Mutant] = &[$($(Mutant::$name,)+)+];

            /// What part of the logic is wrong.
            pub fn class(self) -> &'static str {
                match self {
                    $($(Mutant::$name => $class,)+)+
                }
            }

            /// What is wrong, as a sentence.
            pub fn describe(self) -> &'static str {
                match self {
                    $($(Mutant::$name => concat!($($doc),+).trim_ascii(),)+)+
                }
            }
        }
    };
}

mutants! {
    "quorums" {
        /// A quorum is half of the members, rounded down.
        QuorumOfHalf,
        /// A quorum is all members.
        QuorumOfAll,
        /// A single vote decides.
        OneVoteDecides,
        /// A revoker goes on with one promise fewer than a quorum.
        OnePromiseTooFew,
        /// Processes that are not members of a slot's configuration vote, and are counted.
        StandbyVotesCount,
    }
    "ballots" {
        /// Votes for different ballots are added up.
        BallotsAddUp,
        /// An acceptor accepts what an owner proposes whatever it has promised to others.
        OwnerIgnoresPromise,
        /// A revoker uses the same round again and again.
        RoundNeverGrows,
        /// A ballot of the promised round is as good as the promised one, whoever it belongs to.
        TiedRoundsBothWin,
        /// A revoker proposes anew with each further promise, at the same ballot.
        TwoEntriesAtOneBallot,
    }
    "promises" {
        /// An acceptor promises without telling what it has accepted.
        PromiseForgetsAccepted,
        /// An acceptor promises without telling what it has accepted from the slot's owner.
        PromiseForgetsRoundZero,
        /// An acceptor promises and does not remember it.
        PromiseNotKept,
        /// An acceptor promises a ballot below the one it has promised.
        PromiseGoesBack,
        /// Accepting a ballot promises nothing.
        AcceptPromisesNothing,
        /// A revoker counts promises that were made to its earlier attempts.
        OldPromisesCount,
        /// A revoker skips the slot whatever others have accepted there.
        RevokerIgnoresAccepted,
        /// A revoker adopts the entry that was accepted at the lowest ballot.
        RevokerTakesLowest,
    }
    "windows" {
        /// Nodes act in slots up to twice as far ahead as they may.
        ActsBeyondWindow,
        /// A change of configuration governs from the next slot on.
        ChangeAtOnce,
        /// A change of configuration governs one slot too early.
        ChangeOneSlotEarly,
    }
    "configurations" {
        /// A configuration is forgotten one slot too early.
        PrunesTooEarly,
        /// Votes are counted by the latest configuration instead of the slot's.
        VotesCountByLatest,
        /// One owner is enough for any number of members.
        OneOwnerIsEnough,
    }
    "lanes" {
        /// A lane statement does not list the slots that were used.
        LaneForgetsUsed,
        /// A lane statement gives up one slot too many.
        LaneReachesTooFar,
    }
    "reads" {
        /// A linearizable read trusts the first answer.
        ReadTrustsOneAnswer,
        /// A linearizable read does not wait until what it was told of is applied.
        ReadDoesNotWait,
        /// A linearizable read does not ask configurations that it discovers on the way.
        ReadAsksOnce,
        /// A linearizable read joins a question that was sent before it arrived.
        ReadJoinsOldQuestion,
        /// Who is asked by a reader tells what it has applied, not what it has accepted.
        ReadToldApplied,
        /// An answer to an earlier question counts for the latest.
        ReadCountsOldAnswers,
        /// Linearizable reads are answered from the own copy.
        ReadsAreLocal,
    }
    "duplicates" {
        /// Commands that were applied before are applied again.
        RepeatsApplied,
        /// Commands are applied though their predecessors are not.
        GapsApplied,
        /// The places of all processes but two in their sequences are forgotten.
        OriginsForgotten,
        /// When a write has waited for too long, the one after it is emptied.
        VoidsTheNext,
        /// What an owner had in a slot that was taken over is not proposed again.
        LostNotProposedAgain,
        /// What was forwarded once is not forwarded again.
        ForwardsOnce,
        /// Outcomes of other processes' commands answer writes of the same number.
        AnswersForOthers,
        /// A write is answered though its client was told that nobody knows.
        AnswersTwice,
    }
    "catch-up" {
        /// Entries are sent as those of the slots before theirs.
        CatchUpOffByOne,
        /// Nobody asks for missing entries.
        NeverAsks,
        /// Who asks for entries that are kept no more is not answered.
        TruncatedNeverTold,
        /// A piece of a snapshot that does not come is not asked for again.
        DownloadAsksOnce,
    }
    "snapshots" {
        /// A snapshot does not tell how far the commands of each process have come.
        SnapshotForgetsOrigins,
        /// A snapshot is installed without its history.
        SnapshotLosesHistory,
        /// A snapshot is handed out though the log does not go on from it any more.
        SnapshotServedForEver,
        /// Installing a snapshot forgets own entries in later slots.
        JumpForgetsOwn,
        /// Installing a snapshot forgets promises and votes in later slots.
        JumpForgetsPromises,
        /// Installing a snapshot does not change the configurations that consensus works with.
        JumpKeepsEpochs,
        /// Installing a snapshot wakes no watch.
        JumpWakesNobody,
        /// Installing a snapshot leaves watches parked that have missed something.
        JumpHidesGap,
        /// Installing a snapshot leaves writes unanswered that it contains.
        JumpLeavesWritesOpen,
    }
    "history" {
        /// A WAIT from before the retained history is answered from what is retained.
        WaitIgnoresEdge,
        /// A read at a revision before the retained history is answered from the oldest retained.
        ReadIgnoresEdge,
        /// A read at a revision is answered from the present state.
        ReadAtRevIsCurrent,
        /// Half of the history that should be retained is.
        HistoryTooShort,
        /// Reads at revisions to come are never answered.
        FutureReadsForgotten,
    }
    "watches" {
        /// An event wakes only one of those that wait for a pattern.
        OneWatchPerEvent,
        /// An event wakes only those whose patterns have the longest literal beginning.
        WatchLongestOnly,
        /// Refused writes wake no watch.
        WatchSkipsRefusals,
        /// A WAIT begins one revision late.
        WaitBeginsLate,
        /// A WAIT begins one revision early.
        WaitTellsThePast,
    }
    "compare-and-set" {
        /// A revision older than the file's is as good as the file's.
        StaleRevAccepted,
        /// A file is created over one that exists.
        CreateOverwrites,
        /// A file is deleted whatever its revision.
        DelIgnoresRev,
        /// A revision newer than the file's is refused.
        FutureRevRefused,
        /// Who asks for just one revision gets any that is not later.
        ExactIsLatest,
    }
    "claims" {
        /// Several changes of the members in one entry are each judged as if it were alone.
        ChangesTogether,
        /// A claim takes a slot that somebody holds.
        ClaimTakesTaken,
        /// A claim that comes to nothing is not repeated.
        ClaimsOnce,
        /// Who lags behind claims vacant slots.
        ClaimsBehind,
        /// The slot of who is put out goes to any standby, however far it lags behind.
        SuccessorLags,
    }
    "evictions" {
        /// A member puts out whom it does not hear, whatever the others hear.
        EvictsOnOneWord,
        /// Nobody is put out.
        NeverEvicts,
        /// Who is put out keeps its slot.
        EvictedKeepSeats,
        /// Who is put out leaves its files behind.
        EvictedLeaveFiles,
        /// Who was put out goes on to write its files.
        EvictedWriteOn,
        /// An eviction is not taken back when its victim is heard again.
        EvictionKept,
        /// Who is asked to leave waits until it has given its slot up, however long that takes.
        LeavesWhenItCan,
    }
    "liveness" {
        /// A proposal is never sent again.
        NeverRetransmits,
        /// Nobody takes the slots of a silent owner over.
        NeverRevokes,
        /// Nobody sends heartbeats.
        NeverBeats,
        /// Nobody tells which own slots it gives up.
        NeverTellsSkips,
        /// A question of a reader is never put again.
        ReadNeverAsksAgain,
    }
    "disks" {
        /// What was written is said to be durable without a sync.
        SyncSkipped,
        /// What depends on a record leaves before the record is durable.
        ToldBeforeDurable,
        /// The name of a file counts as durable without a sync of its directory.
        RenameNotSynced,
        /// The same, only of the file that says whose a directory is.
        IdentityNotSynced,
        /// Logs and snapshots are deleted before the snapshot is whole that stands for them.
        TidiesTooEarly,
        /// A snapshot on disk lacks what was accepted beyond its state.
        SnapshotLacksAccepted,
        /// A log goes on where its node has got a state from elsewhere.
        LogGoesOnAcrossJump,
        /// A log whose end is torn loses the write before as well.
        TruncatesTooMuch,
        /// What is read from a disk counts as written, whatever its checksum says.
        DiskChecksumIgnored,
        /// What a process has left to its system counts as durable when it comes back.
        TailTrusted,
        /// Who comes back forgets which own slots it may have used.
        ReservationForgotten,
        /// Own slots that are given up are decided before their reservation is durable.
        GivesUpUnreserved,
        /// Who comes back forgets which rounds it has used.
        RoundForgotten,
        /// Who comes back forgets what it has promised and not accepted.
        PromiseForgotten,
        /// Who comes back numbers its commands as in its life before.
        BootForgotten,
    }
    "codec" {
        /// The last of several votes in a message is lost.
        CodecLosesVote,
        /// The last used slot in a lane statement is lost.
        CodecLosesUsed,
        /// What a promise tells of an accepted entry is lost.
        CodecLosesAccepted,
        /// Of the slot that entries begin with, only the lowest eight bits arrive.
        CodecCutsSlots,
        /// A message that was damaged on its way is read like any other.
        ChecksumIgnored,
        /// Of a client's tag, only the lowest eight bits come back.
        TagCut,
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    static REACHED: Cell<u64> = const { Cell::new(0) };
}

/// Plants a bug in this thread, or takes it out.
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
    REACHED.set(0);
}

/// Whether this bug is planted in this thread. Asked where the bug is.
pub fn is_planted(mutant: Mutant) -> bool {
    let is_here = PLANTED.get() == Some(mutant);
    if is_here {
        REACHED.set(REACHED.get() + 1);
    }
    is_here
}

/// How often the code came to the place of the planted bug since it was planted in this thread.
pub fn reached() -> u64 {
    REACHED.get()
}
