//! Clients that write, and what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doozer::client::{Client, Condition};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cluster::{MEMBERS, connect};

/// Errors after which a client gives up.
const ERRORS_MAX: usize = 3;

/// A part of the time.
#[derive(Clone, Copy)]
pub struct Span {
    from: Instant,
    to: Instant,
}

impl Span {
    /// From one moment to another.
    pub fn new(from: Instant, to: Instant) -> Span {
        Span { from, to }
    }

    fn has(self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    victim: Option<usize>,
    writers: Vec<JoinHandle<Seen>>,
    reader: JoinHandle<Read>,
}

struct Shared {
    stop: AtomicBool,
    /// Whether reads go through the victim by now.
    reads: AtomicBool,
    /// The latest value of each client's file that is known to be written.
    written: Vec<AtomicU64>,
}

/// What one client saw.
struct Seen {
    member: usize,
    /// When its writes were answered, and how long they took.
    writes: Vec<(Instant, Duration)>,
    errors: Vec<String>,
    moved: bool,
}

/// What was read through the victim.
#[derive(Default)]
struct Read {
    stale: usize,
    error: Option<String>,
}

/// What all clients saw.
pub struct Record {
    /// Writes of those whose member was left alone.
    clients: Vec<Vec<(Instant, Duration)>>,
    /// Errors of these, and of who read through the victim.
    pub errors: Vec<String>,
    /// Errors of the victim's clients.
    pub victims_errors: Vec<String>,
    /// Reads that were older than what had been written before they began.
    pub stale: usize,
    /// Clients of the members left alone whose connection did not last.
    pub moved: usize,
}

impl Load {
    /// Connects the clients, each to one member, and lets them write. Those of the `victim` are
    /// looked at on their own; without one, all may move to other members.
    pub async fn start(addrs: &[String], victim: Option<usize>, count: usize) -> Load {
        let mut clients = Vec::new();
        for n in 0..count {
            let mut addrs = addrs.to_vec();
            addrs.rotate_left(n % MEMBERS);
            addrs.truncate(if victim.is_some() { 1 } else { MEMBERS });
            clients.push(connect(&addrs).await);
        }
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            reads: AtomicBool::new(false),
            written: (0..count).map(|_| AtomicU64::new(0)).collect(),
        });
        let reads_at = victim.map_or(addrs, |victim| &addrs[victim..=victim]);
        let reader = connect(reads_at).await;
        let reader = tokio::spawn(read(reader, Arc::clone(&shared)));
        let writers = clients.into_iter().enumerate().map(|(n, client)| {
            let member = n % MEMBERS;
            tokio::spawn(write(n, member, client, Arc::clone(&shared)))
        });
        Load {
            victim,
            writers: writers.collect(),
            reader,
            shared,
        }
    }

    /// From now on there are reads, through the victim if there is one, which have to show all writes.
    pub fn read(&self) {
        self.shared.reads.store(true, Ordering::Relaxed);
    }

    /// Stops, and tells what the clients saw.
    pub async fn finish(self) -> Record {
        self.shared.stop.store(true, Ordering::Relaxed);
        let read = self.reader.await.expect("the reader ends");
        let mut record = Record {
            clients: Vec::new(),
            errors: read.error.into_iter().collect(),
            victims_errors: Vec::new(),
            stale: read.stale,
            moved: 0,
        };
        for writer in self.writers {
            let seen = writer.await.expect("a writer ends");
            if Some(seen.member) == self.victim {
                record.victims_errors.extend(seen.errors);
            } else {
                record.clients.push(seen.writes);
                record.errors.extend(seen.errors);
                record.moved += usize::from(seen.moved);
            }
        }
        record
    }
}

async fn write(n: usize, member: usize, client: Client, shared: Arc<Shared>) -> Seen {
    let path = file(n);
    let server = client.connected_to().await;
    let mut seen = Seen {
        member,
        writes: Vec::new(),
        errors: Vec::new(),
        moved: false,
    };
    for value in 1.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let begin = Instant::now();
        let written = client
            .set(&path, value.to_string(), Condition::ALWAYS)
            .await;
        match written {
            Ok(_) => {
                let now = Instant::now();
                shared.written[n].store(value, Ordering::Relaxed);
                seen.writes.push((now, now - begin));
            }
            Err(error) => {
                seen.errors.push(format!("client {n}: {error}"));
                if seen.errors.len() >= ERRORS_MAX {
                    break;
                }
            }
        }
    }
    seen.moved = client.connected_to().await != server;
    seen
}

/// Reads the files in turn, each with the latest state, once it may.
async fn read(client: Client, shared: Arc<Shared>) -> Read {
    let client = client.local(false);
    let mut read = Read::default();
    for n in (0..shared.written.len()).cycle() {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        if !shared.reads.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let least = shared.written[n].load(Ordering::Relaxed);
        match client.get(&file(n)).await {
            Ok(file) => {
                let value = file.map_or(0, |file| number(&file.value));
                read.stale += usize::from(value < least);
            }
            Err(error) => {
                read.error = Some(format!("a reader: {error}"));
                break;
            }
        }
    }
    read
}

fn file(n: usize) -> String {
    format!("/stall/{n}")
}

fn number(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("a number");
    text.parse().expect("a number")
}

impl Record {
    /// The longest part of a time without any successful write.
    pub fn gap(&self, span: Span) -> Duration {
        longest(self.clients.iter().flatten(), span).1
    }

    /// When that began, counted from the beginning of the time.
    pub fn gap_at(&self, span: Span) -> Duration {
        longest(self.clients.iter().flatten(), span).0 - span.from
    }

    /// The longest part of a time in which one client had no success.
    pub fn client_gap(&self, span: Span) -> Duration {
        let gaps = self
            .clients
            .iter()
            .map(|writes| longest(writes.iter(), span).1);
        gaps.max().unwrap_or(span.to - span.from)
    }

    /// The time within which 99 % of the writes were answered that were so in some time.
    pub fn p99(&self, span: Span) -> Duration {
        let writes = self.clients.iter().flatten();
        let within = writes.filter(|(at, _)| span.has(*at));
        let mut took: Vec<Duration> = within.map(|(_, took)| *took).collect();
        took.sort_unstable();
        let rank = (took.len() * 99).div_ceil(100);
        let took = took.get(rank.saturating_sub(1));
        took.copied().unwrap_or(span.to - span.from)
    }

    /// Writes in a second.
    pub fn rate(&self, span: Span) -> f64 {
        let writes = self.clients.iter().flatten();
        let count = writes.filter(|(at, _)| span.has(*at)).count();
        count as f64 / (span.to - span.from).as_secs_f64()
    }
}

/// The longest part of a time without a success: when it began, and how long it is.
fn longest<'a>(
    writes: impl Iterator<Item = &'a (Instant, Duration)>,
    span: Span,
) -> (Instant, Duration) {
    let mut times: Vec<Instant> = writes
        .map(|(at, _)| *at)
        .filter(|at| span.has(*at))
        .collect();
    times.push(span.from);
    times.push(span.to);
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    let longest = gaps.max_by_key(|(_, gap)| *gap);
    longest.expect("a time has two ends")
}
