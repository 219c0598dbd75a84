//! The thread that writes: it may wait for the disk, and the node never does.
//!
//! Snapshots of a log that has grown long are written by a thread of their own meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::Data;
use super::files::Files;
use crate::core::durable::{DiskError, Order, Pen, Progress, Sketch};

enum Errand {
    /// Do this.
    Obey(Order),
    /// A snapshot was written, and is so long.
    Written { number: u64, bytes: u64 },
    /// A snapshot could not be written.
    Failed(DiskError),
    /// That is all.
    End,
}

/// Gives orders to the thread. Dropped, it waits until what was ordered is written.
#[derive(Debug)]
pub(in crate::runtime) struct Writer {
    errands: Sender<Errand>,
    progress: watch::Receiver<Progress>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(in crate::runtime) fn start(data: Data) -> Writer {
        let (errands, inbox) = channel();
        let (told, progress) = watch::channel(Progress::default());
        let is_ending = Arc::new(AtomicBool::new(false));
        let mut hand = Hand {
            data,
            snapshot: None,
            errands: errands.clone(),
            is_ending: Arc::clone(&is_ending),
            told,
        };
        let thread = std::thread::spawn(move || hand.run(&inbox));
        Writer {
            errands,
            progress,
            is_ending,
            thread: Some(thread),
        }
    }

    /// Has something written.
    pub(in crate::runtime) fn order(&self, order: Order) {
        self.send(Errand::Obey(order));
    }

    /// How far the thread is.
    pub(in crate::runtime) fn progress(&mut self) -> &mut watch::Receiver<Progress> {
        &mut self.progress
    }

    /// Lets the thread end once it has written what was ordered.
    pub(in crate::runtime) fn end(mut self) -> Ending {
        Ending {
            progress: self.progress.clone(),
            thread: self.thread.take().expect("it ends once"),
        }
    }

    fn send(&self, errand: Errand) {
        // A thread that has failed has said so.
        let _ = self.errands.send(errand);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.send(Errand::End);
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The thread, which writes what is left. If this is dropped, it does so for as long as the process
/// lives.
#[derive(Debug)]
pub(in crate::runtime) struct Ending {
    progress: watch::Receiver<Progress>,
    thread: JoinHandle<()>,
}

impl Ending {
    /// Waits until the thread has ended, and lets others go on meanwhile.
    pub(in crate::runtime) async fn ended(mut self) {
        while self.progress.changed().await.is_ok() {}
        // It has nothing left to do.
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// What the thread works with, besides the pen.
struct Hand {
    data: Data,
    /// The thread that writes a snapshot.
    snapshot: Option<JoinHandle<()>>,
    errands: Sender<Errand>,
    is_ending: Arc<AtomicBool>,
    told: watch::Sender<Progress>,
}

impl Hand {
    fn run(&mut self, inbox: &Receiver<Errand>) {
        if let Err(error) = self.work(inbox) {
            let failure = error.to_string();
            self.told
                .send_modify(|progress| progress.failure = Some(failure));
        }
        if let Some(thread) = self.snapshot.take() {
            let _ = thread.join();
        }
    }

    fn work(&mut self, inbox: &Receiver<Errand>) -> Result<(), DiskError> {
        let directory = self.data.directory.inside().clone();
        let mut pen = Pen::new(
            directory,
            self.data.identity.clone(),
            self.data.tail,
            self.data.log_bytes_max,
        )?;
        let mut next = None;
        while let Some(errand) = next.take().or_else(|| inbox.recv().ok()) {
            match errand {
                Errand::Obey(mut order) => {
                    while next.is_none()
                        && let Ok(more) = inbox.try_recv()
                    {
                        next = match more {
                            Errand::Obey(more) => order.merge(more).map(Errand::Obey),
                            other => Some(other),
                        };
                    }
                    if Pen::<Files>::has_to_wait(&order) {
                        self.wait_for_snapshot();
                    }
                    if let Some(sketch) = pen.obey(order)? {
                        self.write_meanwhile(sketch);
                    }
                }
                Errand::Written { number, bytes } => pen.written(number, bytes)?,
                Errand::Failed(error) => return Err(error),
                Errand::End => break,
            }
            self.told.send_replace(pen.progress().clone());
        }
        Ok(())
    }

    fn write_meanwhile(&mut self, sketch: Sketch) {
        let files = self.data.directory.inside().disk().clone();
        let errands = self.errands.clone();
        let is_ending = Arc::clone(&self.is_ending);
        self.snapshot = Some(std::thread::spawn(move || {
            let number = sketch.number();
            let errand = match sketch.write(&files, || is_ending.load(Ordering::Relaxed)) {
                Ok(Some(bytes)) => Errand::Written { number, bytes },
                Ok(None) => return,
                Err(error) => Errand::Failed(error),
            };
            // Nobody listens any more when the process ends.
            let _ = errands.send(errand);
        }));
    }

    fn wait_for_snapshot(&mut self) {
        if let Some(thread) = self.snapshot.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
