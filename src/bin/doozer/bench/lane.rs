//! One connection of the load generator: a socket, and a table of slots by tag. Each slot sends
//! its next request when the last one was answered.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use doozer::core::protocol::client::{
    ErrorCode, Request, Response, Verb, decode_frame, encode_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::data::{COUNTER, Random};
use super::report::Recorder;
use super::{Plan, Window};
use crate::args::Workload;

/// Pause after an error, as a broken server answers at once and must not be spun on.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// How long filling goes on connecting to a server that answers nothing.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Largest answer.
const FRAME_BYTES_MAX: usize = 32 << 20;
/// Free space that the read buffer keeps.
const BUFFER_BYTES: usize = 64 << 10;
/// The tag of the secret, which no slot has.
const TAG_SECRET: i32 = -1;

/// What all connections count together.
#[derive(Default)]
pub struct Tally {
    next: AtomicUsize,
    increments: AtomicU64,
    conflicts: AtomicU64,
}

impl Tally {
    /// Increments that won, over the whole run.
    pub fn increments(&self) -> u64 {
        self.increments.load(Ordering::Relaxed)
    }

    /// Attempts to increment that lost, over the whole run.
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }
}

/// One connection.
pub struct Lane {
    plan: Arc<Plan>,
    number: usize,
    window: Window,
    random: Random,
    counter: Bytes,
    slots: Vec<Slot>,
    incoming: BytesMut,
    outgoing: BytesMut,
    recorder: Recorder,
    /// When the server last answered, or this began.
    heard: Instant,
}

struct Slot {
    value: Bytes,
    /// When its operation began; `None` when there is nothing more to do.
    begin: Option<Instant>,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// One request, one answer.
    Single,
    /// The counter is being read.
    ReadCounter,
    /// The counter is being written.
    WriteCounter,
}

impl Lane {
    /// A connection that is not open yet.
    pub fn new(plan: Arc<Plan>, number: usize, window: Window) -> Lane {
        let mut random = Random::new(number as u64);
        let slots = (0..plan.options.inflight)
            .map(|_| Slot {
                value: random.value(plan.options.value_size as usize),
                begin: None,
                step: Step::Single,
            })
            .collect();
        Lane {
            plan,
            number,
            window,
            random,
            counter: Bytes::from_static(COUNTER.as_bytes()),
            slots,
            incoming: BytesMut::with_capacity(BUFFER_BYTES),
            outgoing: BytesMut::with_capacity(BUFFER_BYTES),
            recorder: Recorder::new(),
            heard: Instant::now(),
        }
    }

    /// Loads the server until the end of the window, connecting again when it must.
    pub async fn run(mut self) -> Recorder {
        while Instant::now() < self.window.end {
            self.incoming.clear();
            self.outgoing.clear();
            match self.connection().await {
                Ok(()) => break,
                Err(error) => self.connection_failed(&error),
            }
            if self.plan.options.workload == Workload::Fill && self.is_filling_over() {
                break;
            }
            tokio::time::sleep(ERROR_PAUSE).await;
        }
        self.recorder
    }

    /// Whether there is nothing left to fill, or nobody there who would take it. Other workloads end with
    /// their window.
    fn is_filling_over(&self) -> bool {
        self.plan.tally.next.load(Ordering::Relaxed) >= self.plan.options.keys as usize
            || self.heard.elapsed() >= SILENCE_MAX
    }

    fn connection_failed(&mut self, error: &io::Error) {
        let at = Instant::now();
        let mut lost = 0;
        for slot in &mut self.slots {
            lost += u64::from(slot.begin.take().is_some());
        }
        if at >= self.window.begin && at < self.window.end {
            let addr = self.plan.address(self.number).map(ToString::to_string);
            let text = || format!("{}: {error}", addr.unwrap_or_default());
            self.recorder.errors_of(lost.max(1), text);
        }
    }

    /// Ends well when the window does, or when there is nothing more to do.
    async fn connection(&mut self) -> io::Result<()> {
        let Some(addr) = self.plan.address(self.number) else {
            return Err(io::Error::other("no address"));
        };
        let end = tokio::time::sleep_until(self.window.end.into());
        tokio::pin!(end);
        let connecting = TcpStream::connect(addr.as_str());
        let mut stream = tokio::select! {
            biased;
            stream = connecting => stream?,
            () = &mut end => return Ok(()),
        };
        stream.set_nodelay(true)?;
        self.present_secret();
        for index in 0..self.slots.len() {
            self.begin(index);
        }
        let (mut reader, mut writer) = stream.split();
        loop {
            if self.slots.iter().all(|slot| slot.begin.is_none()) {
                return Ok(());
            }
            let erring = self.recorder.errors();
            tokio::select! {
                // Requests leave first: the server works while answers are read. Answers that
                // arrived together are read together, and so are the requests that follow them
                // written.
                biased;
                written = writer.write_buf(&mut self.outgoing), if !self.outgoing.is_empty() => {
                    written?;
                }
                read = reader.read_buf(&mut self.incoming) => {
                    if read? == 0 {
                        return Err(io::Error::other("the server closed the connection"));
                    }
                    self.read_answers()?;
                    if self.incoming.capacity() - self.incoming.len() < BUFFER_BYTES / 4 {
                        self.incoming.reserve(BUFFER_BYTES);
                    }
                }
                () = &mut end => return Ok(()),
            }
            if self.recorder.errors() > erring {
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }

    fn present_secret(&mut self) {
        if let Some(secret) = &self.plan.secret {
            let request = Request {
                tag: Some(TAG_SECRET),
                verb: Some(Verb::Access as i32),
                value: Some(secret.clone()),
                ..Request::default()
            };
            encode_frame(&request, &mut self.outgoing);
        }
    }

    fn read_answers(&mut self) -> io::Result<()> {
        while let Some(response) = decode_frame::<Response>(&mut self.incoming, FRAME_BYTES_MAX)
            .map_err(io::Error::other)?
        {
            let Some(tag) = response.tag else { continue };
            if tag == TAG_SECRET && response.error().is_some() {
                return Err(io::Error::other("the server does not accept the secret"));
            }
            if let Ok(index) = usize::try_from(tag)
                && index < self.slots.len()
            {
                self.answered(index, &response);
            }
        }
        Ok(())
    }

    fn answered(&mut self, index: usize, response: &Response) {
        let slot = &mut self.slots[index];
        let Some(begin) = slot.begin else { return };
        self.heard = Instant::now();
        let error = match (slot.step, response.error()) {
            (Step::WriteCounter, Some(ErrorCode::RevMismatch)) => {
                self.plan.tally.conflicts.fetch_add(1, Ordering::Relaxed);
                return self.read_counter(index);
            }
            (_, Some(code)) => Some(match &response.err_detail {
                Some(detail) => format!("{code}: {detail}"),
                None => code.to_string(),
            }),
            (Step::ReadCounter, None) => return self.write_counter(index, response),
            (Step::WriteCounter, None) => {
                self.plan.tally.increments.fetch_add(1, Ordering::Relaxed);
                None
            }
            (Step::Single, None) => self.missing(response),
        };
        let at = Instant::now();
        if at >= self.window.begin && at < self.window.end {
            match error {
                None => self.recorder.success(at - begin),
                Some(error) => self.recorder.errors_of(1, || error),
            }
        }
        self.begin(index);
    }

    /// A key that reads find missing was never filled in: an error of the one who measures.
    fn missing(&self, response: &Response) -> Option<String> {
        let reads = matches!(
            self.plan.options.workload,
            Workload::Get | Workload::GetLocal
        );
        (reads && response.rev == Some(0)).then(|| {
            "a key is missing: run \"doozer bench fill\" with these --keys first".to_owned()
        })
    }

    /// Begins the next operation of a slot, or leaves the slot idle.
    fn begin(&mut self, index: usize) {
        self.slots[index].begin = Some(Instant::now());
        self.slots[index].step = Step::Single;
        let read_percent = usize::from(self.plan.options.read_percent);
        match self.plan.options.workload {
            Workload::Set => self.set_any(index),
            Workload::Get => self.get_any(index, false),
            Workload::GetLocal => self.get_any(index, true),
            Workload::Mixed if self.random.below(100) < read_percent => self.get_any(index, false),
            Workload::Mixed => self.set_any(index),
            Workload::Cas => self.read_counter(index),
            Workload::Fill => {
                let next = self.plan.tally.next.fetch_add(1, Ordering::Relaxed);
                match self.plan.keys.key(next) {
                    Some(key) => self.set(index, key),
                    None => self.slots[index].begin = None,
                }
            }
            Workload::Watch => self.slots[index].begin = None,
        }
    }

    fn set_any(&mut self, index: usize) {
        let key = self.plan.keys.any(&mut self.random);
        self.set(index, key);
    }

    fn set(&mut self, index: usize, key: Bytes) {
        let request = Request {
            path: Some(key),
            value: Some(self.slots[index].value.clone()),
            rev: Some(-1),
            ..request(index, Verb::Set)
        };
        encode_frame(&request, &mut self.outgoing);
    }

    fn get_any(&mut self, index: usize, local: bool) {
        let request = Request {
            path: Some(self.plan.keys.any(&mut self.random)),
            local: Some(local),
            ..request(index, Verb::Get)
        };
        encode_frame(&request, &mut self.outgoing);
    }

    /// The read may be stale: the compare-and-set finds that out.
    fn read_counter(&mut self, index: usize) {
        self.slots[index].step = Step::ReadCounter;
        let request = Request {
            path: Some(self.counter.clone()),
            local: Some(true),
            ..request(index, Verb::Get)
        };
        encode_frame(&request, &mut self.outgoing);
    }

    fn write_counter(&mut self, index: usize, response: &Response) {
        self.slots[index].step = Step::WriteCounter;
        let value = response.value.as_deref().unwrap_or_default();
        let count: u64 = String::from_utf8_lossy(value).parse().unwrap_or(0);
        let request = Request {
            path: Some(self.counter.clone()),
            value: Some((count + 1).to_string().into()),
            rev: response.rev,
            ..request(index, Verb::Set)
        };
        encode_frame(&request, &mut self.outgoing);
    }
}

fn request(index: usize, verb: Verb) -> Request {
    Request {
        tag: i32::try_from(index).ok(),
        verb: Some(verb as i32),
        ..Request::default()
    }
}
