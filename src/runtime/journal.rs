//! Write-ahead, in one place: what waits for a record is held until the record is durable.

use std::collections::VecDeque;

use super::durable::{Data, Writer};
use crate::core::durable::{Checkpoint, Record, put_record};
use crate::core::env::RecordId;

/// Bytes of records that nothing waits for, beyond which they are written nevertheless.
const IDLE_BYTES_MAX: usize = 256 << 10;

/// The records of a process, and what waits for them.
#[derive(Debug)]
pub(super) struct Journal<T> {
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
    writer: Writer,
    /// Records that were not given to the writer, encoded.
    pending: Vec<u8>,
    /// The last record that was.
    written: u64,
    /// How often the node had got its state from elsewhere when the log began.
    installs: u64,
    /// Bytes since the last snapshot began.
    bytes: u64,
    bytes_max: u64,
    /// Snapshots that were ordered.
    snapshots: u64,
}

impl<T> Journal<T> {
    pub(super) fn in_memory() -> Journal<T> {
        Journal {
            appended: 0,
            durable: 0,
            wanted: 0,
            held: VecDeque::new(),
            log: None,
        }
    }

    pub(super) fn on_disk(data: Data) -> Journal<T> {
        let log = Log {
            pending: Vec::new(),
            written: 0,
            installs: 0,
            bytes: data.tail.map_or(0, |tail| tail.log_bytes),
            bytes_max: data.log_bytes_max,
            snapshots: 0,
            writer: Writer::start(data),
        };
        Journal {
            log: Some(log),
            ..Journal::in_memory()
        }
    }

    /// Appends a record.
    pub(super) fn append(&mut self, record: &Record) -> RecordId {
        let id = self.append_undurable();
        match &mut self.log {
            None => self.durable = self.appended,
            Some(log) => put_record(record, &mut log.pending),
        }
        id
    }

    /// Gives `effect` back if it may leave, and holds it otherwise.
    pub(super) fn admit(&mut self, after: Option<RecordId>, effect: T) -> Option<T> {
        match after {
            Some(record) if record.0 > self.durable => {
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
    pub(super) fn release(&mut self) -> Option<T> {
        let nth = self
            .held
            .iter()
            .position(|(after, _)| after.0 <= self.durable)?;
        self.held.remove(nth).map(|(_, effect)| effect)
    }

    /// Has written what something waits for. A node that has got its state from elsewhere gives a
    /// checkpoint, and so does one whose log has grown long.
    pub(super) fn write(&mut self, installs: u64, checkpoint: impl Fn() -> Option<Checkpoint>) {
        let Some(log) = &mut self.log else { return };
        if installs != log.installs {
            let checkpoint = checkpoint().expect("it has got a state");
            log.installs = installs;
            // All of it is in the checkpoint, and does not follow from what was written before.
            log.pending.clear();
            log.written = self.appended;
            log.snapshots += 1;
            log.bytes = 0;
            return log.writer.begin(checkpoint, self.appended);
        }
        let is_long = log.is_long();
        let is_wanted = self.wanted > log.written;
        if !log.pending.is_empty() && (is_wanted || is_long || log.pending.len() > IDLE_BYTES_MAX) {
            log.bytes += log.pending.len() as u64;
            log.written = self.appended;
            log.writer
                .write(std::mem::take(&mut log.pending), self.appended);
        }
        if is_long && let Some(checkpoint) = checkpoint() {
            log.snapshots += 1;
            log.bytes = 0;
            log.writer.compact(checkpoint);
        }
    }

    /// Takes note of what has become durable.
    ///
    /// # Errors
    ///
    /// What went wrong: nothing more will be durable.
    pub(super) fn look(&mut self) -> Result<(), String> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let progress = log.writer.progress().borrow_and_update();
        self.durable = self.durable.max(progress.durable);
        match &progress.failure {
            None => Ok(()),
            Some(failure) => Err(failure.clone()),
        }
    }

    /// Waits until there is something to take note of.
    pub(super) async fn news(&mut self) {
        let changed = match &mut self.log {
            Some(log) => log.writer.progress().changed().await,
            None => std::future::pending().await,
        };
        changed.expect("the writer lives as long as the journal, or says why not");
    }

    fn append_undurable(&mut self) -> RecordId {
        self.appended += 1;
        RecordId(self.appended)
    }
}

impl Drop for Log {
    /// Nothing waits for what is left, but whoever comes back is further on with it.
    fn drop(&mut self) {
        if !self.pending.is_empty() && !std::thread::panicking() {
            self.writer
                .write(std::mem::take(&mut self.pending), self.written);
        }
    }
}

impl Log {
    /// Whether it is time for a snapshot. One is written at a time; and the log has to be as long as
    /// the snapshot, which would otherwise be most of what is written.
    fn is_long(&mut self) -> bool {
        let progress = self.writer.progress().borrow();
        self.bytes > self.bytes_max.max(progress.snapshot_bytes)
            && progress.snapshots == self.snapshots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record::Round { round: 1 };

    #[test]
    fn what_waits_for_a_record_leaves_when_that_is_durable() {
        let mut journal = Journal::in_memory();
        let first = journal.append(&RECORD);
        assert_eq!(first, RecordId(1));
        assert_eq!(journal.admit(Some(first), 'a'), Some('a'));
        let second = journal.append_undurable();
        let third = journal.append_undurable();
        assert_eq!(journal.admit(Some(third), 'c'), None);
        assert_eq!(journal.admit(Some(second), 'b'), None);
        assert_eq!(journal.admit(None, 'd'), Some('d'));
        assert_eq!(journal.release(), None);
        journal.durable = second.0;
        assert_eq!(journal.release(), Some('b'));
        assert_eq!(journal.release(), None);
        journal.durable = third.0;
        assert_eq!(journal.release(), Some('c'));
    }
}
