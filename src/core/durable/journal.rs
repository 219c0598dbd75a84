//! Write-ahead, in one place: what waits for a record is held until the record is durable.

use std::collections::VecDeque;

use super::{Checkpoint, Order, Progress, Record, Tail, put_record};
use crate::core::env::RecordId;
use crate::core::instrument::planted;
use crate::core::limits::Gauge;

/// Bytes of records that nothing waits for, beyond which they are written nevertheless.
const IDLE_BYTES_MAX: usize = 256 << 10;

/// Bytes of records that were ordered to be written and are not durable, beyond which the process
/// stops. The others go on without it, and nothing else keeps what waits for a disk that is slower
/// than they are from filling the memory. As much as a slow disk writes in several seconds, so that
/// a pause of a good one is none, and little against what a process needs for its files.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// Effects that wait for such records, beyond which the process stops: at some hundred bytes each, as
/// much again.
const HELD_MAX: usize = 1 << 20;

/// The records of a process, and what waits for them.
#[derive(Debug)]
pub struct Journal<T> {
    appended: u64,
    durable: u64,
    /// The last record that something waits for.
    wanted: u64,
    held: VecDeque<(RecordId, T)>,
    /// Nothing if the process keeps nothing on disk: each record is durable at once. What is sent
    /// goes through here all the same, so that the rule holds for any log.
    log: Option<Log>,
}

#[derive(Debug)]
struct Log {
    /// Records that were not ordered to be written, encoded.
    pending: Vec<u8>,
    /// The last record that was.
    written: u64,
    /// Of each write that was ordered and is not durable, the last record, and its bytes.
    waiting: VecDeque<(u64, usize)>,
    /// All of these.
    waiting_bytes: usize,
    /// How many bytes of `pending` were there at the end of a group of inputs, and the last record
    /// then. What came since may build on a state from elsewhere, for which no log has begun.
    whole: (usize, u64),
    /// How often the node had got its state from elsewhere when the log began.
    installs: u64,
    /// Bytes since the last snapshot began.
    bytes: u64,
    bytes_max: u64,
    /// Snapshots that were ordered.
    snapshots: u64,
    /// How far the writing was when it was looked at last.
    snapshots_done: u64,
    snapshot_bytes: u64,
}

impl<T> Journal<T> {
    /// That of a process that keeps nothing on disk.
    pub fn in_memory() -> Journal<T> {
        Journal {
            appended: 0,
            durable: 0,
            wanted: 0,
            held: VecDeque::new(),
            log: None,
        }
    }

    /// That of a process whose log goes on at `tail`, if it has one. A snapshot is written when the
    /// log is as long as `bytes_max`, and as the one before.
    pub fn on_disk(tail: Option<Tail>, bytes_max: u64) -> Journal<T> {
        let log = Log {
            pending: Vec::new(),
            written: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            whole: (0, 0),
            installs: 0,
            bytes: tail.map_or(0, |tail| tail.log_bytes),
            bytes_max,
            snapshots: 0,
            snapshots_done: 0,
            snapshot_bytes: tail.map_or(0, |tail| tail.snapshot_bytes),
        };
        Journal {
            log: Some(log),
            ..Journal::in_memory()
        }
    }

    /// Appends a record.
    pub fn append(&mut self, record: &Record) -> RecordId {
        self.appended += 1;
        match &mut self.log {
            None => self.durable = self.appended,
            Some(log) => put_record(record, &mut log.pending),
        }
        RecordId(self.appended)
    }

    /// Gives `effect` back if it may leave, and holds it otherwise.
    pub fn admit(&mut self, after: Option<RecordId>, effect: T) -> Option<T> {
        match after {
            Some(record) if record.0 > self.durable && !planted!(ToldBeforeDurable) => {
                assert!(
                    record.0 <= self.appended,
                    "nothing waits for what is not written"
                );
                self.wanted = self.wanted.max(record.0);
                self.held.push_back((record, effect));
                None
            }
            _ => Some(effect),
        }
    }

    /// The next effect that was held and may leave.
    pub fn release(&mut self) -> Option<T> {
        let nth = self
            .held
            .iter()
            .position(|(after, _)| after.0 <= self.durable)?;
        self.held.remove(nth).map(|(_, effect)| effect)
    }

    /// The last record.
    pub fn appended(&self) -> RecordId {
        RecordId(self.appended)
    }

    /// The last record that is known to be durable.
    pub fn durable(&self) -> RecordId {
        RecordId(self.durable)
    }

    /// Whether anything waits for a record.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// What is to be written at the end of a group of inputs: what something waits for. A node that
    /// has got its state from elsewhere gives a checkpoint, and so does one whose log has grown long.
    pub fn orders(
        &mut self,
        installs: u64,
        checkpoint: impl Fn() -> Option<Checkpoint>,
    ) -> Vec<Order> {
        let Some(log) = &mut self.log else {
            return Vec::new();
        };
        let upto = self.appended;
        let is_elsewhere = installs != log.installs;
        if is_elsewhere && (log.installs == 0 || !planted!(LogGoesOnAcrossJump)) {
            let checkpoint = Box::new(checkpoint().expect("it has got a state"));
            log.installs = installs;
            // All of it is in the checkpoint, and does not follow from what was written before.
            log.pending.clear();
            log.written = upto;
            log.whole = (0, upto);
            log.snapshots += 1;
            log.bytes = 0;
            return vec![Order::Begin { checkpoint, upto }];
        }
        let mut orders = Vec::new();
        let is_long = log.is_long();
        let is_wanted = self.wanted > log.written;
        if !log.pending.is_empty() && (is_wanted || is_long || log.pending.len() > IDLE_BYTES_MAX) {
            log.bytes += log.pending.len() as u64;
            orders.extend(log.rest(upto));
        }
        if is_long && let Some(checkpoint) = checkpoint() {
            log.snapshots += 1;
            log.bytes = 0;
            orders.push(Order::Compact(Box::new(checkpoint)));
        }
        log.whole = (log.pending.len(), upto);
        orders
    }

    /// What is left to be written when a process ends, within a group of inputs or after it. Nothing
    /// waits for it, but whoever comes back is further on with it.
    pub fn last_order(&mut self) -> Option<Order> {
        let log = self.log.as_mut()?;
        let (bytes, upto) = log.whole;
        log.pending.truncate(bytes);
        log.rest(upto)
    }

    /// Takes note of what has become durable.
    pub fn note(&mut self, progress: &Progress) {
        self.durable = self.durable.max(progress.durable);
        if let Some(log) = &mut self.log {
            log.snapshots_done = progress.snapshots;
            log.snapshot_bytes = progress.snapshot_bytes;
            while let Some((upto, bytes)) = log.waiting.front().copied()
                && upto <= self.durable
            {
                log.waiting.pop_front();
                log.waiting_bytes -= bytes;
            }
        }
    }

    /// Why nothing more may be promised, if the writing has come to an end or does not keep up.
    pub fn trouble(&self, progress: &Progress) -> Option<String> {
        if progress.failure.is_some() {
            return progress.failure.clone();
        }
        let bytes = self.log.as_ref()?.waiting_bytes;
        let is_behind = bytes > WAITING_BYTES_MAX || self.held.len() > HELD_MAX;
        is_behind.then(|| {
            let mib = bytes >> 20;
            format!(
                "the disk does not keep up: {mib} MiB of log wait for it; it hangs, is shared with \
                 too many others, or is too slow for what the cluster writes"
            )
        })
    }

    /// Tells how much waits for the disk, if there is one.
    pub fn load(&self, mut tell: impl FnMut(Gauge)) {
        if let Some(log) = &self.log {
            tell(Gauge::waiting(
                "log for the disk, bytes",
                log.waiting_bytes,
                WAITING_BYTES_MAX,
            ));
            tell(Gauge::waiting(
                "messages that wait for the disk",
                self.held.len(),
                HELD_MAX,
            ));
        }
    }
}

impl Log {
    fn rest(&mut self, upto: u64) -> Option<Order> {
        self.written = upto;
        let records = std::mem::take(&mut self.pending);
        if records.is_empty() {
            return None;
        }
        self.waiting.push_back((upto, records.len()));
        self.waiting_bytes += records.len();
        Some(Order::Write { records, upto })
    }

    /// Whether it is time for a snapshot. One is written at a time; and the log has to be as long as
    /// the snapshot, which would otherwise be most of what is written.
    fn is_long(&self) -> bool {
        self.bytes > self.bytes_max.max(self.snapshot_bytes)
            && self.snapshots_done == self.snapshots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consensus::{Ballot, Slot};
    use crate::core::id::NodeId;
    use crate::core::log::{Author, Batch, Entry, Op, Run, Seq};
    use crate::core::store::{Condition, Mutation, Path, Value};

    const RECORD: Record = Record::Round { round: 1 };

    #[test]
    fn a_process_that_ends_leaves_what_was_there_at_the_end_of_a_group() {
        let mut journal: Journal<()> = Journal::on_disk(None, 1 << 20);
        journal.append(&RECORD);
        assert_eq!(journal.orders(0, || None).len(), 0, "nothing waits for it");
        // Another state came from elsewhere, and this builds on it.
        journal.append(&RECORD);
        let mut records = Vec::new();
        put_record(&RECORD, &mut records);
        match journal.last_order() {
            Some(Order::Write {
                records: left,
                upto,
            }) => assert_eq!((left, upto), (records, 1)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_waits_for_a_record_leaves_when_that_is_durable() {
        let mut memory = Journal::in_memory();
        let first = memory.append(&RECORD);
        assert_eq!(first, RecordId(1));
        assert_eq!(memory.admit(Some(first), 'a'), Some('a'));

        let mut journal = Journal::on_disk(None, 1 << 20);
        let second = journal.append(&RECORD);
        let third = journal.append(&RECORD);
        assert_eq!(journal.admit(Some(third), 'c'), None);
        assert_eq!(journal.admit(Some(second), 'b'), None);
        assert_eq!(journal.admit(None, 'd'), Some('d'));
        assert_eq!(journal.release(), None);
        let durable = |record: RecordId| Progress {
            durable: record.0,
            ..Progress::default()
        };
        journal.note(&durable(second));
        assert_eq!(journal.release(), Some('b'));
        assert_eq!(journal.release(), None);
        journal.note(&durable(third));
        assert_eq!(journal.release(), Some('c'));
    }

    #[test]
    fn what_waits_for_a_disk_that_does_not_keep_up_is_bounded() {
        const LARGE: usize = 64 << 20;
        let mut journal = Journal::on_disk(None, u64::MAX);
        let bytes = |journal: &Journal<()>| {
            let mut loads = Vec::new();
            journal.load(|gauge| loads.push(gauge.used as usize));
            loads[0]
        };
        let large = Record::Accepted {
            slot: Slot(1),
            ballot: Ballot::of_owner(NodeId([1; 10])),
            entry: large_entry(LARGE),
        };
        let mut progress = Progress::default();
        let write = |journal: &mut Journal<()>| {
            let last = journal.append(&large);
            assert_eq!(journal.admit(Some(last), ()), None);
            assert_eq!(journal.orders(0, || None).len(), 1);
        };
        for written in 1..=3 {
            write(&mut journal);
            assert!(bytes(&journal) > written * LARGE);
            assert_eq!(journal.trouble(&progress), None);
        }
        // Some of it is durable, so there is room again.
        progress.durable = 2;
        journal.note(&progress);
        assert!(bytes(&journal) < 2 * LARGE);
        for _ in 0..2 {
            write(&mut journal);
            assert_eq!(journal.trouble(&progress), None);
        }
        write(&mut journal);
        let trouble = journal.trouble(&progress).expect("it is too much");
        assert!(trouble.contains("256 MiB of log wait"), "{trouble}");
        progress.durable = 6;
        journal.note(&progress);
        assert_eq!(bytes(&journal), 0);
        assert_eq!(journal.trouble(&progress), None);
        progress.failure = Some("gone".into());
        assert_eq!(journal.trouble(&progress).as_deref(), Some("gone"));
    }

    #[test]
    fn what_waits_for_one_record_is_bounded_as_well() {
        let mut journal = Journal::on_disk(None, 1 << 20);
        let record = journal.append(&RECORD);
        for _ in 0..HELD_MAX {
            assert_eq!(journal.admit(Some(record), ()), None);
        }
        let progress = Progress::default();
        assert_eq!(journal.trouble(&progress), None);
        journal.admit(Some(record), ());
        assert!(journal.trouble(&progress).is_some());
    }

    fn large_entry(bytes: usize) -> Entry {
        let mutation = Mutation::Set {
            path: Path::parse(b"/a").expect("a well-formed path"),
            value: Value(vec![0; bytes].into()),
            condition: Condition::ANY,
        };
        let op = Op::Mutate {
            mutation,
            author: Author::Client,
        };
        let run = Run {
            origin: NodeId([1; 10]),
            first: Seq::first_of(0),
            ops: vec![op],
        };
        Entry::Batch(Batch { runs: vec![run] }.into())
    }
}
