//! The workload `watch`: one file is written, and the time until each watch has told is measured.
//! The next write waits for all of them.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use doozer::client::{Client, Condition};
use doozer::core::id::Rev;
use doozer::core::protocol::client::{Request, Response, Verb, decode_frame, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Plan;
use super::data::{Random, WATCHED};
use super::report::{CpuSample, Recorder, Report};
use crate::failure::Failure;

/// How long the events of one write may take.
const ROUND_MAX: Duration = Duration::from_secs(10);
/// Largest answer.
const FRAME_BYTES_MAX: usize = 32 << 20;

/// The write that all watches wait for.
struct Round {
    origin: Instant,
    /// When the write began, in nanoseconds after `origin`.
    began: AtomicU64,
    arrived: AtomicUsize,
    complete: Notify,
    is_measured: AtomicBool,
    events: Mutex<Recorder>,
}

impl Round {
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn events(&self) -> MutexGuard<'_, Recorder> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_arrived(&self, watchers: usize) {
        if self.is_measured.load(Ordering::Relaxed) {
            let took = self
                .now()
                .saturating_sub(self.began.load(Ordering::Relaxed));
            self.events().success(Duration::from_nanos(took));
        }
        if self.arrived.fetch_add(1, Ordering::Relaxed) + 1 == watchers {
            self.complete.notify_one();
        }
    }
}

/// Runs the workload and reports it.
pub async fn run(client: &Client, plan: Arc<Plan>) -> Result<(), Failure> {
    let value = Random::new(0).value(plan.options.value_size as usize);
    let first = client
        .set(WATCHED, value.clone(), Condition::ALWAYS)
        .await?;
    let round = Arc::new(Round {
        origin: Instant::now(),
        began: AtomicU64::new(0),
        arrived: AtomicUsize::new(0),
        complete: Notify::new(),
        is_measured: AtomicBool::new(false),
        events: Mutex::new(Recorder::new()),
    });
    let mut lanes = JoinSet::new();
    let lanes_count = plan.options.connections.min(plan.options.watchers) as usize;
    for number in 0..lanes_count {
        let watches = Watches {
            plan: plan.clone(),
            round: round.clone(),
            number,
            lanes_count,
        };
        lanes.spawn(watches.run(first.next()));
    }
    let mut acknowledged = Recorder::new();
    let mut last = Recorder::new();
    let measured_from = Instant::now() + plan.options.warmup;
    let until = measured_from + plan.options.duration;
    let mut before = None;
    while Instant::now() < until {
        let is_measured = Instant::now() >= measured_from;
        if is_measured && before.is_none() {
            before = Some((Instant::now(), CpuSample::take()));
        }
        round.is_measured.store(is_measured, Ordering::Relaxed);
        round.arrived.store(0, Ordering::Relaxed);
        let begin = Instant::now();
        round.began.store(round.now(), Ordering::Relaxed);
        client
            .set(WATCHED, value.clone(), Condition::ALWAYS)
            .await?;
        let written = begin.elapsed();
        if tokio::time::timeout(ROUND_MAX, round.complete.notified())
            .await
            .is_err()
        {
            return Err(incomplete(&plan, &round, &mut lanes));
        }
        if is_measured {
            acknowledged.success(written);
            last.success(begin.elapsed());
        }
    }
    let Some((begin, before)) = before else {
        return Err(Failure::Message(
            "no write fell into the measured time".to_owned(),
        ));
    };
    let elapsed = begin.elapsed();
    let spent = CpuSample::take().since(before);
    let mut report = Report::new(&plan);
    let events = round.events();
    report.put("watchers", plan.options.watchers);
    report.put_load(&events, elapsed);
    report.put("writes", last.count());
    report.put("last_watcher_us", last.latency_us());
    report.put("acknowledged_us", acknowledged.latency_us());
    report.put_cpu(spent, events.count());
    report.publish()
}

fn incomplete(plan: &Plan, round: &Round, lanes: &mut JoinSet<io::Error>) -> Failure {
    let arrived = round.arrived.load(Ordering::Relaxed);
    let cause = match lanes.try_join_next() {
        Some(Ok(error)) => format!(": {error}"),
        _ => String::new(),
    };
    Failure::Message(format!(
        "only {arrived} of {} watches saw the write within {ROUND_MAX:?}{cause}",
        plan.options.watchers
    ))
}

/// The watches of one connection. The tag of each is its number.
struct Watches {
    plan: Arc<Plan>,
    round: Arc<Round>,
    number: usize,
    lanes_count: usize,
}

impl Watches {
    /// Watches until it fails.
    async fn run(self, from: Rev) -> io::Error {
        match self.watch(from).await {
            Ok(()) => io::Error::other("the server closed the connection"),
            Err(error) => error,
        }
    }

    async fn watch(&self, from: Rev) -> io::Result<()> {
        let Some(addr) = self.plan.address(self.number) else {
            return Err(io::Error::other("no address"));
        };
        let mut stream = TcpStream::connect(addr.as_str()).await?;
        stream.set_nodelay(true)?;
        let mut incoming = BytesMut::new();
        let mut outgoing = BytesMut::new();
        if let Some(secret) = &self.plan.secret {
            let access = Request {
                verb: Some(Verb::Access as i32),
                value: Some(secret.clone()),
                ..Request::default()
            };
            encode_frame(&access, &mut outgoing);
        }
        let watchers = self.plan.options.watchers as usize;
        for tag in (self.number..watchers).step_by(self.lanes_count) {
            wait(i32::try_from(tag).ok(), from, &mut outgoing);
        }
        let (mut reader, mut writer) = stream.split();
        loop {
            tokio::select! {
                // Events first: their arrival is what is measured.
                biased;
                read = reader.read_buf(&mut incoming) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    while let Some(event) = decode_frame::<Response>(&mut incoming, FRAME_BYTES_MAX)
                        .map_err(io::Error::other)?
                    {
                        self.told(event, &mut outgoing)?;
                    }
                }
                written = writer.write_buf(&mut outgoing), if !outgoing.is_empty() => {
                    written?;
                }
            }
        }
    }

    fn told(&self, event: Response, outgoing: &mut BytesMut) -> io::Result<()> {
        if let Some(code) = event.error() {
            let detail = event.err_detail.unwrap_or_default();
            return Err(io::Error::other(format!("{code} {detail}")));
        }
        // The answer to ACCESS has no tag.
        if event.tag.is_some() {
            self.round.has_arrived(self.plan.options.watchers as usize);
            let rev = event
                .rev
                .and_then(|rev| u64::try_from(rev).ok())
                .unwrap_or(0);
            wait(event.tag, Rev(rev).next(), outgoing);
        }
        Ok(())
    }
}

fn wait(tag: Option<i32>, from: Rev, outgoing: &mut BytesMut) {
    let request = Request {
        tag,
        verb: Some(Verb::Wait as i32),
        path: Some(Bytes::from_static(WATCHED.as_bytes())),
        rev: i64::try_from(from.0).ok(),
        ..Request::default()
    };
    encode_frame(&request, outgoing);
}
