//! The journal of a process, and the thread that writes for it.

use tokio::time::Instant;

use super::durable::{Data, Ending, Writer};
use super::pace::Meter;
use crate::core::durable::{Checkpoint, Journal, Record};
use crate::core::env::{DiskPace, RecordId};
use crate::core::limits::Gauge;

/// The records of a process, and what waits for them.
#[derive(Debug)]
pub(super) struct WrittenJournal<T> {
    journal: Journal<T>,
    /// Nothing if the process keeps nothing on disk.
    writer: Option<Writer>,
    meter: Meter,
}

impl<T> WrittenJournal<T> {
    pub(super) fn new(data: Option<Data>) -> WrittenJournal<T> {
        let meter = Meter::new(Instant::now());
        let Some(data) = data else {
            return WrittenJournal {
                journal: Journal::in_memory(),
                writer: None,
                meter,
            };
        };
        WrittenJournal {
            journal: Journal::on_disk(data.tail, data.log_bytes_max),
            writer: Some(Writer::start(data)),
            meter,
        }
    }

    /// Appends a record.
    pub(super) fn append(&mut self, record: &Record) -> RecordId {
        self.journal.append(record)
    }

    /// Gives `effect` back if it may leave, and holds it otherwise.
    pub(super) fn admit(&mut self, after: Option<RecordId>, effect: T) -> Option<T> {
        self.journal.admit(after, effect)
    }

    /// The next effect that was held and may leave.
    pub(super) fn release(&mut self) -> Option<T> {
        self.journal.release()
    }

    /// Has written what something waits for.
    pub(super) fn write(&mut self, installs: u64, checkpoint: impl Fn() -> Option<Checkpoint>) {
        let Some(writer) = &self.writer else { return };
        for order in self.journal.orders(installs, checkpoint) {
            writer.order(order);
        }
    }

    /// Takes note of what has become durable.
    ///
    /// # Errors
    ///
    /// What went wrong: nothing more will be durable, or not soon enough.
    pub(super) fn look(&mut self) -> Result<(), String> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let progress = writer.progress().borrow_and_update();
        self.journal.note(&progress);
        self.meter.note(&progress, Instant::now());
        self.journal.trouble(&progress).map_or(Ok(()), Err)
    }

    /// Tells how much waits for the disk, if there is one.
    pub(super) fn load(&self, tell: impl FnMut(Gauge)) {
        self.journal.load(tell);
    }

    /// How the log on disk is doing, if there is one.
    pub(super) fn pace(&self) -> Option<DiskPace> {
        let pace = || self.meter.pace(Instant::now());
        self.writer.is_some().then(pace)
    }

    /// Waits until there is something to take note of.
    pub(super) async fn news(&mut self) {
        let changed = match &mut self.writer {
            Some(writer) => writer.progress().changed().await,
            None => std::future::pending().await,
        };
        changed.expect("the writer lives as long as the journal, or says why not");
    }

    /// Has written what nothing waits for, and nothing more. Gives what ends with that.
    pub(super) fn end(mut self) -> Option<Ending> {
        let writer = self.writer.take()?;
        if let Some(order) = self.journal.last_order() {
            writer.order(order);
        }
        Some(writer.end())
    }
}
