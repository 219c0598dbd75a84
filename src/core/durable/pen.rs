//! What is written, and in which order: everything that a process does to its data directory while
//! it lives.
//!
//! Orders are done one after the other. All records that have been ordered by the time a write
//! begins go into one frame and are made durable by one sync. Snapshots of a log that has grown long
//! are written beside it meanwhile. After the first error nothing more is written.
//!
//! The log is a sequence of files, *segments*, each of which has its full length before anything is
//! written to it, so that a sync has nothing to do but write, and a full disk is met between two
//! segments. Those that a snapshot has made superfluous become the next ones.

use super::directory::{Directory, Unfinished, path};
use super::file::FRAME_HEAD_BYTES;
use super::{Checkpoint, Disk, DiskError, HEAD_BYTES, Head, Identity, Kind, Part, Tail, frame};
use crate::core::id::{Lineage, NodeId};
use crate::core::instrument::{planted, sometimes};

/// Records that are written at a time, in bytes, unless one order alone has more: beyond it, others
/// would wait too long for theirs.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// Length of a segment in bytes, unless one write alone is longer: to fill one with zeros takes a
/// disk a few milliseconds, and the syncs between two are few against those within.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;

/// Length of a segment where the log is to be short: a block of most file systems.
const SEGMENT_BYTES_MIN: u64 = 4 << 10;

/// Segments of a log that is to be short.
const SEGMENTS_MIN: u64 = 4;

/// What is to be written.
#[derive(Debug)]
pub enum Order {
    /// Append records.
    Write {
        /// Encoded.
        records: Vec<u8>,
        /// The number of the last of them.
        upto: u64,
    },
    /// Begin a log, and write the snapshot that belongs to it meanwhile.
    Compact(Box<Checkpoint>),
    /// Begin anew with a snapshot, before which nothing more is durable.
    Begin {
        /// What it holds.
        checkpoint: Box<Checkpoint>,
        /// It stands for all records up to this one.
        upto: u64,
    },
}

/// How far the writing is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The last record that is durable.
    pub durable: u64,
    /// Snapshots that are done.
    pub snapshots: u64,
    /// Bytes of the last one.
    pub snapshot_bytes: u64,
    /// Times that records were made durable.
    pub syncs: u64,
    /// Records that were made durable by these.
    pub records: u64,
    /// Bytes that these took in the log.
    pub bytes: u64,
    /// What went wrong. Nothing more will be written.
    pub failure: Option<String>,
}

/// Whoever writes to a data directory.
#[derive(Debug)]
pub struct Pen<D: Disk> {
    directory: Directory<D>,
    identity: Identity,
    log: Option<Log<D::File>>,
    segments: Segments,
    /// The last record that was written or has become superfluous.
    written: u64,
    progress: Progress,
}

/// How the log is divided.
#[derive(Clone, Copy, Debug)]
struct Segments {
    /// Length of each, in bytes.
    bytes: u64,
    /// Those that are kept for later, at most: as many as make a log.
    spares_max: u64,
}

/// A snapshot that is to be written while the log goes on.
#[derive(Debug)]
pub struct Sketch {
    head: Head,
    checkpoint: Checkpoint,
}

#[derive(Debug)]
struct Log<F> {
    file: F,
    head: Head,
    end: u64,
}

impl Order {
    /// Takes another order into this one, if both can be done by one write. Gives it back otherwise.
    pub fn merge(&mut self, next: Order) -> Option<Order> {
        match (self, next) {
            (
                Order::Write { records, upto },
                Order::Write {
                    records: more,
                    upto: last,
                },
            ) if records.len() < WRITE_BYTES_MAX => {
                sometimes!(WritesShareSync);
                records.extend_from_slice(&more);
                *upto = last;
                None
            }
            (_, next) => Some(next),
        }
    }
}

impl<D: Disk> Pen<D> {
    /// A pen for the process of this identity, whose log goes on here, if it has one. About
    /// `log_bytes_max` bytes of log are written between two snapshots.
    ///
    /// # Errors
    ///
    /// When that log cannot be opened.
    pub fn new(
        directory: Directory<D>,
        identity: Identity,
        tail: Option<Tail>,
        log_bytes_max: u64,
    ) -> Result<Pen<D>, DiskError> {
        let mut pen = Pen {
            directory,
            identity,
            log: None,
            segments: Segments::of(log_bytes_max),
            written: 0,
            progress: Progress::default(),
        };
        if let Some(tail) = tail {
            let head = pen.head(Kind::Log, tail.number, tail.lineage);
            let path = path(pen.id(), Kind::Log, tail.number);
            pen.log = Some(Log {
                file: pen.directory.disk().open(&path)?,
                head,
                end: tail.end,
            });
            pen.progress.snapshot_bytes = tail.snapshot_bytes;
        }
        Ok(pen)
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether it has to wait until the snapshot that is being written is done before it does this.
    pub fn has_to_wait(order: &Order) -> bool {
        !matches!(order, Order::Write { .. })
    }

    /// Does what was ordered. A snapshot that is to be written meanwhile is given back; one that a log
    /// begins with is written to its end, as without it a process that has joined would not come back
    /// as who it was.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn obey(&mut self, order: Order) -> Result<Option<Sketch>, DiskError> {
        match order {
            Order::Write { records, upto } => {
                self.make_room(records.len())?;
                let log = self.log.as_mut().expect("a log begins with a checkpoint");
                let begin = log.end;
                log.put(self.directory.disk(), Part::Records, &records)?;
                self.progress.syncs += 1;
                self.progress.records += upto - self.written;
                self.progress.bytes += log.end - begin;
                self.progress.durable = upto;
                self.written = upto;
            }
            Order::Compact(checkpoint) => return self.next(*checkpoint).map(Some),
            Order::Begin { checkpoint, upto } => {
                let is_first = self.log.is_none();
                if is_first {
                    self.directory.make(self.id())?;
                }
                let sketch = self.next(*checkpoint)?;
                let number = sketch.number();
                let bytes = sketch.write(self.directory.disk(), || false)?;
                if is_first {
                    self.identify()?;
                }
                self.written(number, bytes.unwrap_or_default())?;
                self.progress.durable = upto;
                self.written = upto;
            }
        }
        Ok(None)
    }

    /// A snapshot is whole and so long: what it makes superfluous goes.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn written(&mut self, number: u64, bytes: u64) -> Result<(), DiskError> {
        let spares_max = self.segments.spares_max;
        self.directory.tidy(self.id(), number, spares_max)?;
        self.progress.snapshots += 1;
        self.progress.snapshot_bytes = bytes;
        Ok(())
    }

    /// Begins the next log.
    fn next(&mut self, checkpoint: Checkpoint) -> Result<Sketch, DiskError> {
        let number = self.next_segment(checkpoint.lineage)?;
        if planted!(TidiesTooEarly) {
            self.directory.tidy(self.id(), number, 0)?;
        }
        let head = self.head(Kind::Snapshot, number, checkpoint.lineage);
        Ok(Sketch { head, checkpoint })
    }

    /// Goes on in the next segment if this one has no room for a frame of these bytes, and one that
    /// says so.
    fn make_room(&mut self, bytes: usize) -> Result<(), DiskError> {
        let log = self.log.as_ref().expect("a log begins with a checkpoint");
        let needed = bytes as u64 + 2 * FRAME_HEAD_BYTES as u64;
        let is_full = log.end + needed > self.segments.bytes;
        // What is longer than any segment has one for itself.
        if is_full && log.end > HEAD_BYTES as u64 {
            self.next_segment(log.head.lineage)?;
        }
        Ok(())
    }

    /// Begins the next segment. The one before is whole by then.
    fn next_segment(&mut self, lineage: Lineage) -> Result<u64, DiskError> {
        let number = self.log.as_ref().map_or(1, |log| log.head.number + 1);
        let head = self.head(Kind::Log, number, lineage);
        let disk = self.directory.disk();
        let file = match self.directory.spare(self.id())? {
            Some(spare) => {
                let to = path(self.id(), Kind::Log, number);
                let mut file = Unfinished::over(disk, &spare, &to, self.segments.bytes)?;
                file.write(disk, &head.encode())?;
                file
            }
            None => {
                let mut file = Unfinished::create(disk, &path(self.id(), Kind::Log, number))?;
                file.write(disk, &head.encode())?;
                file.fill(disk, self.segments.bytes)?;
                file
            }
        };
        let file = file.finish(disk)?;
        if let Some(former) = &mut self.log {
            former.put(disk, Part::Closed, &[])?;
        }
        let end = HEAD_BYTES as u64;
        self.log = Some(Log { file, head, end });
        Ok(number)
    }

    fn identify(&self) -> Result<(), DiskError> {
        self.directory.identify(&Identity {
            boot: 0,
            ..self.identity.clone()
        })
    }

    fn head(&self, kind: Kind, number: u64, lineage: Lineage) -> Head {
        Head {
            kind,
            number,
            id: self.id(),
            lineage,
        }
    }

    fn id(&self) -> NodeId {
        self.identity.id
    }
}

impl Segments {
    fn of(log_bytes_max: u64) -> Segments {
        let bytes = log_bytes_max / SEGMENTS_MIN;
        let bytes = bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        Segments {
            bytes,
            spares_max: (log_bytes_max / bytes).max(SEGMENTS_MIN),
        }
    }
}

impl Sketch {
    /// The number of the snapshot.
    pub fn number(&self) -> u64 {
        self.head.number
    }

    /// Writes it. Gives the length of the file; nothing if the process ends before it is whole.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn write<D: Disk>(
        mut self,
        disk: &D,
        is_ending: impl Fn() -> bool,
    ) -> Result<Option<u64>, DiskError> {
        let Head { kind, number, .. } = self.head;
        let mut file = Unfinished::create(disk, &path(self.head.id, kind, number))?;
        file.write(disk, &self.head.encode())?;
        let mut nth = 0;
        while let Some((part, body)) = self.checkpoint.part(nth) {
            if is_ending() {
                return Ok(None);
            }
            let bytes = frame(self.head.seed(), file.offset(), part, &body);
            file.write(disk, &bytes)?;
            nth += 1;
        }
        let bytes = file.offset();
        file.finish(disk)?;
        Ok(Some(bytes))
    }
}

impl<F> Log<F> {
    /// Appends a frame, durably.
    fn put<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        part: Part,
        body: &[u8],
    ) -> Result<(), DiskError> {
        let bytes = frame(self.head.seed(), self.end, part, body);
        disk.write(&mut self.file, self.end, &bytes)?;
        if !planted!(SyncSkipped) {
            disk.sync(&mut self.file)?;
        }
        self.end += bytes.len() as u64;
        Ok(())
    }
}
