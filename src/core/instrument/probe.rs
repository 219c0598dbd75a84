//! Probes: situations that are rare and that a sweep must have met, or it proves little.

use std::cell::Cell;
use std::fmt;

macro_rules! probes {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A rare situation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Probe {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Probe {
            /// All of them.
            pub const ALL: &'static [Probe] = &[$(Probe::$name,)+];

            /// What happened, as a sentence.
            pub fn describe(self) -> &'static str {
                match self {
                    $(Probe::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

probes! {
    // Acceptor.
    /// An acceptor rejects an attempt to take over, since it has promised a higher ballot.
    RevokersCross,
    /// The votes of a majority arrive before the proposal that they are for.
    VotesBeforeProposal,
    /// An owner's proposal is rejected, as its slot has been promised to a revoker.
    OwnerFenced,
    /// A revoker's proposal is rejected, as its slot has been promised to another one.
    RevokerFenced,
    /// An acceptor accepts another entry in the place of one that it has accepted.
    AcceptsOtherEntry,
    /// A revoker asks twice with one ballot and gets its promise twice.
    PromiseRepeated,
    /// An owner promises away a slot that it has not used.
    OwnSlotPromisedAway,

    // Proposer.
    /// Commands wait, and all own slots of the window are in use.
    WindowFull,
    /// A batch leaves beyond the pipeline, into a slot that others wait for.
    PipelineExceeded,
    /// An owner gives up its turns of the whole window at once.
    WholeWindowGivenUp,
    /// An owner looks for a free slot and finds an own one that is not.
    OwnSlotPassedOver,
    /// A batch lost its slot to a revocation, and its commands go into another one.
    OwnBatchMoved,
    /// An owner sends an undecided proposal for at least the fourth time.
    ProposalRetried,
    /// The time of a proposal to be sent again comes when its slot is being taken over.
    RetryOfOvertaken,
    /// Commands are forwarded to a process that owns no slots.
    ForwardedToNonOwner,
    /// Commands are forwarded to the owner that brought nothing about before.
    FailedOwnerAgain,
    /// Two owners in turn bring nothing about, so commands are forwarded a third time.
    ForwardLostTwice,
    /// The owner that has forwarded commands falls silent, so they are forwarded again.
    ForwardOwnerSilent,
    /// An owner is dropped from the list while others' commands wait at it.
    DroppedWithForwarded,

    // Backlog.
    /// A command is emptied before it is applied, as nobody waits for it.
    CommandEmptied,
    /// Forwarded commands replace what was kept of their origin.
    ForwardedAnew,
    /// Forwarded commands are held, since those before them are on their way elsewhere.
    ForwardedHeld,
    /// The commands before the held ones are applied, and the held ones are let go.
    HeldReleased,
    /// Some of the commands that are forwarded are there already.
    ForwardedOverlap,
    /// Forwarded commands leave a gap behind those that are kept, and are ignored.
    ForwardedWithGap,
    /// A batch leaves commands behind, as it holds the most that it may.
    BatchFullByCommands,
    /// A batch leaves commands behind, as they would make it too large.
    BatchFullByBytes,
    /// A command travels that is larger than a batch may be.
    CommandAboveBatch,
    /// A batch holds commands of several processes.
    BatchOfSeveralOrigins,
    /// A batch is lost whose commands have been handed out again since.
    LossKnownBefore,

    // Learner.
    /// A lane statement begins beyond the window of a member with proposals under way.
    LaneBeyondWindow,
    /// A lane statement is overtaken by a later one and by the log.
    LaneComesLate,
    /// An outcome is told of a slot beyond the window.
    LearnBeyondWindow,
    /// A revoker learns five outcomes or more from one answer, the next one included.
    DecidedByPromise,
    /// More ballots are in play for one slot than are kept.
    BallotForgotten,

    // Revoker.
    /// A revocation proposes an entry that only others have accepted.
    RevocationAdopts,
    /// A revocation adopts what an earlier revoker has proposed.
    AdoptsFromRevoker,
    /// Promises tell of acceptances at several ballots, and the highest one counts.
    PromisesDiffer,
    /// A revoker has promised a higher ballot itself before a majority answers.
    RevokerOvertaken,
    /// A revocation is given up, as an acceptor has promised a higher ballot.
    RevocationRejected,
    /// Slots that were given up are told without a vote, as they are applied already.
    SkipsToldAlone,
    /// An owner gave slots up whose reservation was not durable yet.
    GivenUpBeforeReserved,
    /// Nothing was heard of an owner since its slots were taken over before.
    UnheardTwice,
    /// Somebody who knows the outcome is asked for it, and no slot is taken over.
    RevocationSpared,
    /// An owner gets its time once more, as this member stood still itself.
    OwnerExcused,
    /// A revoker has proposed in the stalled slot, and begins again.
    RevocationRetried,
    /// A revoker asks for promises again, as an answer is missing.
    PrepareRepeated,
    /// A revoker proposes again what is not decided.
    RevokedProposalRepeated,
    /// An owner takes over its own slots that it has not used.
    RevokesUnusedTurns,
    /// A member that hears no other one tries to take slots over.
    RevokesAlone,
    /// Patience that was learnt from long round trips ends with them.
    PatienceForgotten,
    /// The pause between two attempts is as long as it gets.
    PatienceAtLimit,

    // Reader.
    /// Reads wait, as enough questions are under way.
    QuestionsFull,
    /// Several reads share a question.
    ReadsShareQuestion,
    /// A read waits for a slot that is being taken over.
    ReadWaitsForRevocation,
    /// A read that was asked for the third time meets a configuration that it has not asked.
    ReadFindsConfiguration,
    /// A question of a reader is put for at least the fifth time.
    ReadReasked,

    // Catching up.
    /// Entries are asked for that are not retained.
    TruncatedAnswered,
    /// A follower lacks entries that are not retained.
    FollowerTruncated,
    /// As many entries arrive as fit an answer, and the next ones are asked for at once.
    LearnGoesOn,
    /// A follower stays far behind what it was sent, and is sent it again.
    FollowerResent,
    /// A follower hears nothing of its source, and follows another one at once.
    FollowerSwitches,
    /// A follower hears no member, and follows another standby.
    FollowsStandby,
    /// A snapshot replaces a state that is behind it by more than the window.
    JumpBeyondWindow,
    /// A snapshot passes slots in which this owner has proposals.
    JumpDropsOwn,
    /// A snapshot arrives while a revocation is under way.
    JumpEndsRevocation,
    /// A snapshot arrives between a promise and the proposal that it was made for.
    JumpKeepsPromise,
    /// A snapshot that is kept for others makes room for a newer one.
    UploadDrivenOut,
    /// A piece is asked for of a snapshot that is not kept any more.
    SnapshotGone,
    /// The source of a snapshot is lost before the last piece.
    SnapshotSourceLost,
    /// The source of a snapshot does not answer, and another one is asked.
    SnapshotSourceGivenUp,
    /// A piece of a snapshot that has begun is asked for again.
    SnapshotPieceReasked,
    /// A piece of a snapshot arrives from a source that was given up.
    SnapshotPieceOfFormerSource,
    /// The source of a snapshot begins with another one.
    SnapshotBegunAnew,
    /// A piece of a snapshot arrives twice.
    SnapshotPieceRepeated,
    /// A snapshot is complete when the log has overtaken it.
    SnapshotStale,
    /// A snapshot replaces a state.
    SnapshotOverState,
    /// A digest cannot be compared, since its slot lies before the latest snapshot.
    DigestUnknown,

    // State and membership.
    /// A command that was applied before comes again, and has no effect.
    RepeatSuppressed,
    /// A command comes before its predecessor, and has no effect.
    GapSuppressed,
    /// An emptied command takes its place.
    EmptyCommandApplied,
    /// A client may not write the name of the cluster.
    NameGuarded,
    /// A client may not write where refusals are told.
    ErrorsGuarded,
    /// A client may not give a slot to what is no attached process.
    SeatOfStrangerGuarded,
    /// A change of a slot is refused, as its node judged it by members that are others by now.
    SeatJudgedBefore,
    /// A client may not write a file of a process.
    NodeFileGuarded,
    /// Two processes claim a slot in one entry, one right behind the other.
    ClaimLosesRace,
    /// A change of the members comes in one entry with another one.
    ChangesInOneEntry,
    /// A claim comes while a change of membership is coming into force.
    ClaimWhileUnsettled,
    /// A process is too far behind to claim a vacant slot.
    TooFarBehindToClaim,
    /// A pulse is due before the last one is applied.
    PulseHeldBack,
    /// Two changes of owners meet in one entry.
    OwnersInOneEntry,
    /// A member joins the owners.
    OwnerJoins,
    /// An owner is suspected and stays, since too few would be left.
    SuspectStays,
    /// A member is dropped from the owners for the second time.
    BanDoubled,
    /// Owners without clients are left out for the sake of others.
    IdleOwnersLeftOut,
    /// A member is evicted.
    MemberEvicted,
    /// The seat of an evicted member goes to a standby in the same step.
    SeatHandedOver,
    /// A standby is evicted.
    StandbyEvicted,
    /// An evicted process has learnt it, and goes on voting until nobody needs it any more.
    EvictedStaysOn,
    /// An evicted process ends.
    EvictedLearns,
    /// A process that leaves stays until its clients have gone elsewhere.
    ClientsLearnOfLeaving,
    /// A process stood still, and blames nobody for what it could not hear.
    OthersExcused,
    /// A busy member stays out of the owners, as it is too far from them.
    TooFarToOwn,
    /// An owner is so far away that the others wait for it only.
    OwnerTooFar,
    /// A member is too far behind to judge owners, or to become one, though it is busy.
    BehindAndSilent,
    /// A round trip takes longer than any owner is waited for.
    RoundTripAboveCeiling,
    /// The silence of a far owner makes up for the time that it would be waited for.
    SilenceCounts,
    /// A round trip is measured that nobody believes.
    RoundTripClamped,

    // Service.
    /// A write is refused, as too many wait.
    BacklogFull,
    /// A write is refused, as those that wait take too many bytes.
    BacklogFullByBytes,
    /// A slot is denied to a process that is not heard.
    SeatOfUnheardRefused,
    /// A change of slots is refused that would cost the majority.
    LossOfMajorityRefused,
    /// A write is answered with an error, as no majority has taken it in time.
    WriteTimesOut,
    /// A write takes effect after its client was told that nobody knows.
    LateWriteTakesEffect,
    /// A write that was given up comes to nothing.
    LateWriteComesToNothing,
    /// A snapshot passes the outcome of a write that is answered with an error.
    WriteOutcomeSkipped,
    /// A read is answered with an error, as no majority has answered in time.
    ReadTimesOut,
    /// A read at a revision that had not come is answered.
    FutureReadAnswered,
    /// A client stops sending while requests are open.
    HalfClosedWithOpen,
    /// A connection ends with WAITs parked.
    SessionEndsWithWaits,
    /// A connection ends with reads at revisions that have not come.
    SessionEndsWithFutureReads,
    /// A connection ends with requests open.
    SessionEndsWithOpen,

    // Store.
    /// A WAIT from the past finds nothing, and is parked.
    WatchFromPast,
    /// A WAIT begins beyond the next revision.
    WatchFromFuture,
    /// A parked WAIT is there when a snapshot brings the events that it has missed.
    WatchCrossesJump,
    /// An event matches a WAIT that begins at a later revision.
    WatchWantsLater,
    /// An event answers several WAITs.
    EventWakesSeveral,
    /// An event answers a WAIT without wildcards.
    ExactWatchWoken,
    /// An event matches a WAIT whose pattern has a `?`.
    QuestionMarkMatches,
    /// A walk goes on where an earlier one stood.
    WalkGoesOn,
    /// A DEL is refused, as its file has changed since.
    DeleteFails,
    /// A compare-and-set is refused, as its file has changed since.
    CompareFails,
    /// A condition of one revision is not fulfilled by a file of an earlier one, or by none.
    ExactFails,
    /// A SET is refused, as its path leads through a file.
    SetBelowFile,
    /// A write to a directory is refused.
    WriteToDirectory,

    // Simulator.
    /// A message arrives at a host where another process has taken its receiver's place.
    MessageFindsHeir,
    /// A message is lost to a cut that began while it was on its way.
    MessageCutInFlight,
    /// A message arrives after its sender has died.
    MessageOutlivesSender,
    /// A message arrives after its connection broke.
    MessageOutlivesConnection,
    /// The second copy of a message arrives before the first.
    CopyOvertakes,
    /// Two cuts lie between the same hosts.
    CutsOverlap,
    /// A connection through a cut is given up.
    CutFoundByKeepalive,
    /// A process dies, and a connection to it seems open.
    ConnectionHalfOpen,
    /// A process that is paused is dialed.
    DialOfPaused,
    /// A host is dialed where nothing runs.
    DialOfNobody,
    /// A process dies before it lets clients in.
    DiesBeforeReady,
    /// A process dies while messages wait for its disk.
    DiesWithUnsynced,
    /// What a process wrote about itself is applied after it was put out.
    GhostWriteIgnored,
    /// A process dies with inputs that it has not handled.
    DiesWithFullInbox,
    /// A process that was asked to end is killed before it has.
    KilledWhileLeaving,
    /// A process that was asked to end has done so.
    LeavesAsAsked,
    /// A process is spared, as its death would cost a majority.
    CrashWouldCostMajority,
    /// A process is paused for longer than a silent member keeps its slot.
    PauseOutlastsTimeout,
    /// A process that is paused is paused again.
    PausedTwice,
    /// A process that is paused becomes slow.
    SlowWhilePaused,
    /// A clock jumps past the time at which the process wanted to be woken.
    ClockJumpsPastTimer,
    /// A process is paused when the core is healed.
    CoreWakesPaused,
    /// More inputs wait for a process than it takes at a time.
    MoreThanOneGroup,
    /// A request arrives at a process that has died.
    RequestFindsNobody,
    /// An answer arrives at a client that has left.
    AnswerLost,
    /// A client gives its request up.
    ClientLosesPatience,
    /// A watcher loses its connection, and goes on elsewhere.
    WatcherMoves,
    /// A client loses its connection before its write is answered.
    WriteOutcomeUnknown,
    /// Records that were to be written one after the other are written together.
    WritesShareSync,
    /// A process finds the end of its log torn.
    TornTailCut,
    /// A process finds that it died before it could say that a log is closed.
    LogClosedLate,
    /// A process finds files of two snapshots, or one that is not whole.
    SnapshotsOverlap,
    /// All processes lose power at once.
    PowerLossOfAll,
    /// Power goes on a host while a process there reads its directory.
    PowerLossWhileReading,
    /// A process comes back as who it was.
    ComesBack,
    /// A process dies while it reads its directory.
    DiesInRecovery,
    /// The disk fails while a process comes back.
    DiskFailsInRecovery,
    /// A process finds its directory damaged, and joins anew.
    DamageRefused,
    /// A process stops because its disk has failed.
    StopsForDisk,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Probes that this kind of set can hold.
const MOST: usize = 256;
const _: () = assert!(Probe::ALL.len() <= MOST, "the set of probes has to grow");

/// A set of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits([u64; MOST / 64]);

impl Hits {
    /// Nothing was met.
    pub const NONE: Hits = Hits([0; MOST / 64]);

    /// Whether this situation was met.
    pub fn has(&self, probe: Probe) -> bool {
        self.0[probe as usize / 64] & (1 << (probe as usize % 64)) != 0
    }

    /// What either has met.
    pub fn merge(&mut self, other: Hits) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine |= others;
        }
    }

    /// What was never met.
    pub fn missed(&self) -> impl Iterator<Item = Probe> {
        Probe::ALL.iter().copied().filter(|probe| !self.has(*probe))
    }
}

thread_local! {
    static HITS: Cell<Hits> = const { Cell::new(Hits::NONE) };
}

/// Notes that this happened, in this thread.
pub fn hit(probe: Probe) {
    let mut hits = HITS.get();
    hits.0[probe as usize / 64] |= 1 << (probe as usize % 64);
    HITS.set(hits);
}

/// What happened in this thread since the last time that it was asked.
pub fn take() -> Hits {
    HITS.replace(Hits::NONE)
}
