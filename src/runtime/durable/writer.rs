//! The thread that writes: it may wait for the disk, and the node never does.
//!
//! Orders are done one after the other. All records that have been ordered by the time a write
//! begins go into one frame and are made durable by one sync. Snapshots of a log that has grown long
//! are written by a thread of their own meanwhile. After the first error nothing more is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::Data;
use super::directory::Unfinished;
use crate::core::durable::{Checkpoint, Head, Identity, Kind, Part, Tail, frame};
use crate::core::id::Lineage;

/// Records that are written at a time, in bytes, unless one order alone has more: beyond it, others
/// would wait too long for theirs.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// How far the thread is.
#[derive(Clone, Debug, Default)]
pub(in crate::runtime) struct Progress {
    /// The last record that is durable.
    pub(in crate::runtime) durable: u64,
    /// Snapshots that are done.
    pub(in crate::runtime) snapshots: u64,
    /// Bytes of the last one.
    pub(in crate::runtime) snapshot_bytes: u64,
    /// What went wrong. Nothing more will be written.
    pub(in crate::runtime) failure: Option<String>,
}

enum Order {
    /// Append records; `upto` is the last of them.
    Write { records: Vec<u8>, upto: u64 },
    /// Begin a log and write the snapshot that belongs to it meanwhile.
    Compact(Box<Checkpoint>),
    /// Begin anew, with a snapshot that stands for all records up to `upto`.
    Begin {
        checkpoint: Box<Checkpoint>,
        upto: u64,
    },
    /// A snapshot was written, and is so long.
    Written { number: u64, bytes: u64 },
    /// A snapshot could not be written.
    Failed(io::Error),
    /// That is all.
    End,
}

/// Gives orders to the thread, and ends it when it is dropped: what was ordered is still written.
#[derive(Debug)]
pub(in crate::runtime) struct Writer {
    orders: Sender<Order>,
    progress: watch::Receiver<Progress>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(in crate::runtime) fn start(data: Data) -> Writer {
        let (orders, inbox) = channel();
        let (told, progress) = watch::channel(Progress::default());
        let is_ending = Arc::new(AtomicBool::new(false));
        let mut pen = Pen {
            folder: data.directory.of(data.identity.id),
            data,
            log: None,
            snapshot: None,
            orders: orders.clone(),
            is_ending: Arc::clone(&is_ending),
            told,
        };
        let thread = std::thread::spawn(move || pen.run(&inbox));
        Writer {
            orders,
            progress,
            is_ending,
            thread: Some(thread),
        }
    }

    /// Appends encoded records, of which this is the last.
    pub(in crate::runtime) fn write(&self, records: Vec<u8>, upto: u64) {
        self.order(Order::Write { records, upto });
    }

    /// Has a snapshot written, and the log begin anew with it.
    pub(in crate::runtime) fn compact(&self, checkpoint: Checkpoint) {
        self.order(Order::Compact(Box::new(checkpoint)));
    }

    /// Has the log begin anew with a snapshot, before which nothing more is durable. It stands for
    /// all records up to this one.
    pub(in crate::runtime) fn begin(&self, checkpoint: Checkpoint, upto: u64) {
        let checkpoint = Box::new(checkpoint);
        self.order(Order::Begin { checkpoint, upto });
    }

    /// How far the thread is.
    pub(in crate::runtime) fn progress(&mut self) -> &mut watch::Receiver<Progress> {
        &mut self.progress
    }

    fn order(&self, order: Order) {
        // A thread that has failed has said so.
        let _ = self.orders.send(order);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.order(Order::End);
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// What the thread works with.
struct Pen {
    data: Data,
    folder: PathBuf,
    log: Option<Log>,
    /// The thread that writes a snapshot.
    snapshot: Option<JoinHandle<()>>,
    orders: Sender<Order>,
    is_ending: Arc<AtomicBool>,
    told: watch::Sender<Progress>,
}

struct Log {
    file: File,
    head: Head,
    end: u64,
}

impl Pen {
    fn run(&mut self, inbox: &Receiver<Order>) {
        if let Err(error) = self.resume().and_then(|()| self.obey(inbox)) {
            let folder = self.folder.display();
            let failure = format!("{folder}: {error}");
            self.told
                .send_modify(|progress| progress.failure = Some(failure));
        }
        if let Some(thread) = self.snapshot.take() {
            let _ = thread.join();
        }
    }

    fn resume(&mut self) -> io::Result<()> {
        let Some(Tail {
            lineage,
            number,
            end,
            snapshot_bytes,
            ..
        }) = self.data.tail
        else {
            return Ok(());
        };
        let head = self.head(Kind::Log, number, lineage);
        let path = self.folder.join(Kind::Log.name(number));
        let file = File::options().append(true).open(path)?;
        self.log = Some(Log { file, head, end });
        self.told
            .send_modify(|progress| progress.snapshot_bytes = snapshot_bytes);
        Ok(())
    }

    fn obey(&mut self, inbox: &Receiver<Order>) -> io::Result<()> {
        let mut next = None;
        while let Some(order) = next.take().or_else(|| inbox.recv().ok()) {
            match order {
                Order::Write {
                    mut records,
                    mut upto,
                } => {
                    while records.len() < WRITE_BYTES_MAX {
                        match inbox.try_recv() {
                            Ok(Order::Write {
                                records: more,
                                upto: last,
                            }) => {
                                records.extend_from_slice(&more);
                                upto = last;
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.append(&records)?;
                    self.told.send_modify(|progress| progress.durable = upto);
                }
                Order::Compact(checkpoint) => self.compact(*checkpoint)?,
                Order::Begin { checkpoint, upto } => {
                    self.begin(*checkpoint)?;
                    self.told.send_modify(|progress| {
                        progress.durable = upto;
                    });
                }
                Order::Written { number, bytes } => self.written(number, bytes)?,
                Order::Failed(error) => return Err(error),
                Order::End => break,
            }
        }
        Ok(())
    }

    fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let log = self.log.as_mut().expect("a log begins with a checkpoint");
        log.put(Part::Records, records)
    }

    /// Begins the next log. The one before is whole by then.
    fn next_log(&mut self, lineage: Lineage) -> io::Result<u64> {
        let number = self.log.as_ref().map_or(1, |log| log.head.number + 1);
        let head = self.head(Kind::Log, number, lineage);
        let path = self.folder.join(Kind::Log.name(number));
        let mut file = Unfinished::create(&path)?;
        file.write(&head.encode())?;
        let end = file.offset();
        let file = file.finish()?;
        if let Some(former) = &mut self.log {
            former.put(Part::Closed, &[])?;
        }
        self.log = Some(Log { file, head, end });
        Ok(number)
    }

    fn compact(&mut self, checkpoint: Checkpoint) -> io::Result<()> {
        self.wait_for_snapshot();
        let number = self.next_log(checkpoint.lineage)?;
        let head = self.head(Kind::Snapshot, number, checkpoint.lineage);
        let (folder, orders) = (self.folder.clone(), self.orders.clone());
        let is_ending = Arc::clone(&self.is_ending);
        self.snapshot = Some(std::thread::spawn(move || {
            let order = match write_snapshot(&folder, head, checkpoint, &is_ending) {
                Ok(Some(bytes)) => Order::Written { number, bytes },
                Ok(None) => return,
                Err(error) => Order::Failed(error),
            };
            // Nobody listens any more when the process ends.
            let _ = orders.send(order);
        }));
        Ok(())
    }

    fn begin(&mut self, checkpoint: Checkpoint) -> io::Result<()> {
        self.wait_for_snapshot();
        let is_first = self.log.is_none();
        if is_first {
            let id = self.data.identity.id;
            self.folder = self.data.directory.make(id)?;
        }
        let number = self.next_log(checkpoint.lineage)?;
        let head = self.head(Kind::Snapshot, number, checkpoint.lineage);
        let never = AtomicBool::new(false);
        let bytes = write_snapshot(&self.folder, head, checkpoint, &never)?;
        if is_first {
            self.identify()?;
        }
        self.written(number, bytes.unwrap_or_default())
    }

    fn identify(&self) -> io::Result<()> {
        let Data {
            directory,
            identity,
            ..
        } = &self.data;
        let identity = Identity {
            boot: 0,
            ..identity.clone()
        };
        directory.identify(&identity).map_err(io::Error::other)
    }

    fn written(&mut self, number: u64, bytes: u64) -> io::Result<()> {
        let Data {
            directory,
            identity,
            ..
        } = &self.data;
        directory.tidy(identity.id, number)?;
        self.told.send_modify(|progress| {
            progress.snapshots += 1;
            progress.snapshot_bytes = bytes;
        });
        Ok(())
    }

    fn wait_for_snapshot(&mut self) {
        if let Some(thread) = self.snapshot.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }

    fn head(&self, kind: Kind, number: u64, lineage: Lineage) -> Head {
        Head {
            kind,
            number,
            id: self.data.identity.id,
            lineage,
        }
    }
}

impl Log {
    /// Appends a frame, durably.
    fn put(&mut self, part: Part, body: &[u8]) -> io::Result<()> {
        let bytes = frame(self.head.seed(), self.end, part, body);
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// Gives the length of the file; nothing if the process ends before it is whole.
fn write_snapshot(
    folder: &Path,
    head: Head,
    mut checkpoint: Checkpoint,
    is_ending: &AtomicBool,
) -> io::Result<Option<u64>> {
    let path = folder.join(Kind::Snapshot.name(head.number));
    let mut file = Unfinished::create(&path)?;
    file.write(&head.encode())?;
    let mut number = 0;
    while let Some((part, body)) = checkpoint.part(number) {
        if is_ending.load(Ordering::Relaxed) {
            return Ok(None);
        }
        file.write(&frame(head.seed(), file.offset(), part, &body))?;
        number += 1;
    }
    let bytes = file.offset();
    file.finish()?;
    Ok(Some(bytes))
}
