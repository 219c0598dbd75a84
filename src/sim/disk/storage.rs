//! What a process writes: the journal that holds back what waits for a record, and, if it keeps a
//! data directory, whoever writes to that, in simulated time.

use std::collections::VecDeque;

use super::device::{Device, Handle, Lane};
use crate::core::durable::{
    Checkpoint, Directory, DiskError, Identity, Journal, Order, Pen, Progress, Record, Sketch, Tail,
};
use crate::core::env::{RecordId, Time};

/// The records of one process, and the effects that wait for them.
#[derive(Debug)]
pub struct Storage<T> {
    journal: Journal<T>,
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    device: Device,
    pen: Pen<Handle>,
    errands: VecDeque<Errand>,
    /// What is under way, and what will have come of it.
    at_log: Option<Result<Option<Sketch>, DiskError>>,
    at_snapshot: Option<Result<Errand, DiskError>>,
    /// How far it is, as the process can know.
    progress: Progress,
}

#[derive(Debug)]
enum Errand {
    Obey(Order),
    Written { number: u64, bytes: u64 },
}

impl<T> Storage<T> {
    /// That of a process that keeps nothing.
    pub fn in_memory() -> Storage<T> {
        Storage {
            journal: Journal::in_memory(),
            writer: None,
        }
    }

    /// That of a process with a data directory on this disk, whose log goes on at `tail`, if it has
    /// one. It is at most about `log_bytes_max` long.
    ///
    /// # Errors
    ///
    /// When that log cannot be opened.
    pub fn on(
        device: Device,
        identity: Identity,
        tail: Option<Tail>,
        log_bytes_max: u64,
        now: Time,
    ) -> Result<Storage<T>, DiskError> {
        let handle = device.handle(Lane::Log, now);
        let pen = Pen::new(Directory::on(handle), identity, tail, log_bytes_max)?;
        Ok(Storage {
            journal: Journal::on_disk(tail, log_bytes_max),
            writer: Some(Writer {
                device,
                pen,
                errands: VecDeque::new(),
                at_log: None,
                at_snapshot: None,
                progress: Progress::default(),
            }),
        })
    }

    /// The disk, if anything is kept.
    pub fn device(&self) -> Option<&Device> {
        self.writer.as_ref().map(|writer| &writer.device)
    }

    /// Appends a record.
    pub fn append(&mut self, record: &Record) -> RecordId {
        self.journal.append(record)
    }

    /// The last record.
    pub fn appended(&self) -> RecordId {
        self.journal.appended()
    }

    /// The last record that is durable, as far as the process knows.
    pub fn durable(&self) -> RecordId {
        self.journal.durable()
    }

    /// Whether there are records that may be lost if the machine fails now.
    pub fn is_unsynced(&self) -> bool {
        self.appended() != self.durable()
    }

    /// Gives an effect back if it may leave at once, else holds it.
    pub fn hold(&mut self, effect: T, after: Option<RecordId>) -> Option<T> {
        self.journal.admit(after, effect)
    }

    /// Whether an effect waits for a record to become durable.
    pub fn holds_something(&self) -> bool {
        self.journal.is_holding()
    }

    /// Has written what is to be written at the end of a turn.
    pub fn order(&mut self, installs: u64, checkpoint: impl Fn() -> Option<Checkpoint>) {
        if let Some(writer) = &mut self.writer {
            let orders = self.journal.orders(installs, checkpoint);
            writer.errands.extend(orders.into_iter().map(Errand::Obey));
        }
    }

    /// Begins the next thing that is to be written, unless something is under way or it has to wait.
    /// Gives the time at which it is done.
    pub fn begin(&mut self, now: Time) -> Option<Time> {
        let writer = self.writer.as_mut()?;
        if writer.at_log.is_some() || writer.progress.failure.is_some() {
            return None;
        }
        writer.begin(now)
    }

    /// What was under way is done. Gives the time at which a snapshot is done that is written from
    /// now on.
    pub fn end(&mut self, lane: Lane, now: Time) -> Option<Time> {
        let writer = self.writer.as_mut()?;
        match lane {
            Lane::Log => writer.end_log(now),
            Lane::Snapshot => {
                writer.end_snapshot();
                None
            }
        }
    }

    /// Takes note of what has become durable: the effects that may leave, in order.
    pub fn look(&mut self) -> Vec<T> {
        let Some(writer) = &self.writer else {
            return Vec::new();
        };
        self.journal.note(&writer.progress);
        std::iter::from_fn(|| self.journal.release()).collect()
    }

    /// Why the process must not go on, if the disk has failed or does not keep up.
    pub fn trouble(&self) -> Option<String> {
        self.journal.trouble(&self.writer.as_ref()?.progress)
    }

    /// The process ends in order: what is left is written, however long that takes.
    pub fn finish(&mut self, now: Time) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let last = self.journal.last_order();
        writer.errands.extend(last.map(Errand::Obey));
        // A snapshot is not written any more.
        writer.at_snapshot = None;
        if let Some(Err(error)) = writer.at_log.take() {
            writer.progress.failure = Some(error.to_string());
        }
        while writer.progress.failure.is_none() && writer.begin(now).is_some() {
            if let Some(Err(error)) = writer.at_log.take() {
                writer.progress.failure = Some(error.to_string());
            }
        }
        writer.device.finish(Lane::Log);
    }
}

impl Writer {
    fn begin(&mut self, now: Time) -> Option<Time> {
        let has_to_wait = match self.errands.front()? {
            Errand::Obey(order) => Pen::<Handle>::has_to_wait(order),
            Errand::Written { .. } => false,
        };
        if has_to_wait && self.at_snapshot.is_some() {
            return None;
        }
        // The pen has a handle of its own on the same lane.
        let _ = self.device.handle(Lane::Log, now);
        let done = match self.errands.pop_front()? {
            Errand::Written { number, bytes } => self.pen.written(number, bytes).map(|()| None),
            Errand::Obey(mut order) => {
                while let Some(Errand::Obey(_)) = self.errands.front() {
                    let Some(Errand::Obey(next)) = self.errands.pop_front() else {
                        break;
                    };
                    if let Some(next) = order.merge(next) {
                        self.errands.push_front(Errand::Obey(next));
                        break;
                    }
                }
                self.pen.obey(order)
            }
        };
        self.at_log = Some(done);
        Some(self.device.free_at(Lane::Log))
    }

    fn end_log(&mut self, now: Time) -> Option<Time> {
        let sketch = match self.at_log.take()? {
            Err(error) => {
                self.progress.failure = Some(error.to_string());
                return None;
            }
            Ok(sketch) => sketch,
        };
        self.progress = self.pen.progress().clone();
        let sketch = sketch?;
        let number = sketch.number();
        let handle = self.device.handle(Lane::Snapshot, now);
        let written = sketch.write(&handle, || false);
        self.at_snapshot = Some(written.map(|bytes| Errand::Written {
            number,
            bytes: bytes.unwrap_or_default(),
        }));
        Some(self.device.free_at(Lane::Snapshot))
    }

    fn end_snapshot(&mut self) {
        match self.at_snapshot.take() {
            None => {}
            Some(Ok(errand)) => self.errands.push_back(errand),
            Some(Err(error)) => self.progress.failure = Some(error.to_string()),
        }
    }
}
