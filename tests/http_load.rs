//! Many watchers of one node over HTTP, while much is written.
//!
//! Knobs, as environment variables: `DOOZER_LOAD_WATCHERS`, `DOOZER_LOAD_WRITES` (a second), and
//! `DOOZER_LOAD_SECONDS`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

#[path = "http/node.rs"]
mod node;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use doozer::client::{Client, Condition};
use node::{Node, free_port};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};

/// Memory that a watcher may cost the node, in bytes: buffers of its connection, and what waits.
const WATCHER_BYTES_MAX: u64 = 48 << 10;

/// Memory that the load may cost besides: the latest events, and the history of the store.
const LOAD_BYTES_MAX: u64 = 64 << 20;

/// Pauses between writes, of which several are made at a time.
const TICK: Duration = Duration::from_millis(10);

/// The value that is written last.
const LAST: &str = "last";

/// What the one that stalls is sent at first: more than all buffers on the way hold.
const BULK_VALUES: usize = 48;
const BULK_BYTES: usize = 16 << 10;

/// How long a machine that has other things to do may take for all of it.
const ALL_MAX: Duration = Duration::from_secs(180);

/// How long a watcher may take nothing, by `docs/http.md`.
const STALL_MAX: Duration = Duration::from_secs(10);

fn knob(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn thousands_of_watchers_get_every_event_in_order_and_one_that_stalls_is_dropped() {
    let watchers = knob("DOOZER_LOAD_WATCHERS", 2_000);
    let rate = knob("DOOZER_LOAD_WRITES", 500);
    let seconds = knob("DOOZER_LOAD_SECONDS", 6);
    raise_open_files(watchers + 200);
    let node = Node::start(1, free_port(), &[], &[]);
    let before = node.metric("process_resident_memory_bytes") as u64;
    thread::scope(|scope| {
        let stalled = Watcher::connect(&node.web, "/**", None, Some(4 << 10));
        let stalled = scope.spawn(|| stall(stalled, &node));
        let bulk = vec!["x".repeat(BULK_BYTES); BULK_VALUES];
        let mut written = write(&node.addr, "/bulk", bulk, u64::MAX);
        let crowd = (0..watchers).map(|_| Watcher::connect(&node.web, "/load/*", None, None));
        let crowd: Vec<Watcher> = crowd.collect();
        let crowd = scope.spawn(|| read_all(crowd));

        let mut expected = Seen::default();
        let began = Instant::now();
        let load = (1..rate * seconds).map(|n| n.to_string());
        let load = load.chain([LAST.to_owned()]).collect();
        let load = write(&node.addr, "/load", load, rate);
        let ended = Instant::now();
        load.values()
            .for_each(|event| expected.note(event.as_bytes()));
        assert_eq!(expected.count, rate * seconds);
        for seen in crowd.join().expect("all are read") {
            assert_eq!(seen, expected, "every event, in order");
        }
        let after = node.metric("process_resident_memory_bytes") as u64;
        println!(
            "{watchers} watchers, {} events each in {:?}; the last one had all {:?} after the \
             last write; memory {} KiB before, {} KiB after",
            expected.count,
            ended - began,
            ended.elapsed(),
            before >> 10,
            after >> 10
        );
        let most = before + LOAD_BYTES_MAX + watchers * WATCHER_BYTES_MAX;
        assert!(after < most, "{after} bytes of memory, {most} at most");

        written.extend(load);
        let mut expected = Seen::default();
        written
            .values()
            .for_each(|event| expected.note(event.as_bytes()));
        let seen = stalled.join().expect("it hears why, and goes on");
        assert_eq!(seen, expected, "it has missed nothing");
    });
}

/// Reads what all of them are sent, up to the last write, and gives what that was.
fn read_all(mut crowd: Vec<Watcher>) -> Vec<Seen> {
    let begin = Instant::now();
    let mut waiting: Vec<&mut Watcher> = crowd.iter_mut().collect();
    while !waiting.is_empty() {
        waiting.retain_mut(|watcher| match watcher.read() {
            None => true,
            Some(End::Reached) => false,
            Some(End::Failed(reason)) => panic!("{reason}"),
        });
        assert!(begin.elapsed() < ALL_MAX, "{} wait for more", waiting.len());
        thread::sleep(TICK);
    }
    crowd.into_iter().map(|watcher| watcher.seen).collect()
}

/// Takes nothing until it is dropped, hears why, and goes on from where it was. Gives what it was told
/// in all.
fn stall(mut watcher: Watcher, node: &Node) -> Seen {
    thread::sleep(STALL_MAX);
    let dropped = "doozer_http_watchers_stalled_total 1\n";
    node.until("/metrics", |answer| answer.text().contains(dropped));
    let reason = match watcher.read_until_end() {
        End::Failed(reason) => reason,
        End::Reached => panic!("it was not dropped"),
    };
    assert!(reason.contains("\"STALLED\""), "{reason}");
    let mut back = Watcher::connect(&node.web, "/**", Some(watcher), None);
    assert!(matches!(back.read_until_end(), End::Reached));
    back.seen
}

/// Writes values, at most so many a second, the last one after all others. Gives the events by their
/// revisions, as they are to be told.
fn write(addr: &str, dir: &str, mut values: Vec<String>, rate: u64) -> BTreeMap<u64, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let client = Client::connect(addr).await.expect("it serves");
        let last = values.pop().expect("a value");
        let mut writes = JoinSet::new();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let began = Instant::now();
        for (n, value) in values.into_iter().enumerate() {
            while n as f64 > rate as f64 * began.elapsed().as_secs_f64() {
                ticks.tick().await;
            }
            let path = format!("{dir}/{}", n % 100);
            writes.spawn_local(write_one(client.clone(), path, value));
        }
        let written = writes.join_all().await;
        let mut written: BTreeMap<u64, String> = written.into_iter().collect();
        written.extend([write_one(client, format!("{dir}/last"), last).await]);
        written
    })
}

async fn write_one(client: Client, path: String, text: String) -> (u64, String) {
    let written = client.set(&path, text.clone(), Condition::ALWAYS).await;
    let rev = written.expect("it is written").0;
    let event =
        format!("{{\"change\":\"set\",\"path\":\"{path}\",\"rev\":{rev},\"text\":\"{text}\"}}");
    (rev, event)
}

/// What a watcher has been told, in short.
#[derive(Clone, Default)]
struct Seen {
    count: u64,
    digest: DefaultHasher,
}

impl Seen {
    fn note(&mut self, event: &[u8]) {
        self.count += 1;
        self.digest.write(event);
    }
}

impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        (self.count, self.digest.finish()) == (other.count, other.digest.finish())
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events, {:x}", self.count, self.digest.finish())
    }
}

struct Watcher {
    stream: TcpStream,
    /// What has been read of a line.
    line: Vec<u8>,
    is_failure: bool,
    seen: Seen,
    last_id: u64,
}

enum End {
    Reached,
    Failed(String),
}

impl Watcher {
    /// Begins to watch, or goes on where another one was, and waits until it does.
    fn connect(
        web: &str,
        pattern: &str,
        before: Option<Watcher>,
        receive_bytes: Option<usize>,
    ) -> Watcher {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes).expect("a buffer");
        }
        let addr: SocketAddr = web.parse().expect("an address");
        socket.connect(&addr.into()).expect("it listens");
        let mut stream = TcpStream::from(socket);
        let mut head = format!("GET /api/v1/watch?pattern={pattern} HTTP/1.1\r\nHost: {web}\r\n");
        if let Some(before) = &before {
            head.push_str(&format!("Last-Event-ID: {}\r\n", before.last_id));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.set_nonblocking(true).expect("a mode");
        let mut watcher = Watcher {
            stream,
            line: Vec::new(),
            is_failure: false,
            seen: before.map(|before| before.seen).unwrap_or_default(),
            last_id: 0,
        };
        let begin = Instant::now();
        while watcher.last_id == 0 {
            assert!(watcher.read().is_none() && begin.elapsed() < ALL_MAX);
        }
        watcher
    }

    fn read_until_end(&mut self) -> End {
        let begin = Instant::now();
        loop {
            if let Some(end) = self.read() {
                return end;
            }
            assert!(begin.elapsed() < ALL_MAX, "nothing comes");
            thread::sleep(TICK);
        }
    }

    /// Notes what is there, until the last event has come, or the reason why no more come.
    fn read(&mut self) -> Option<End> {
        let mut buffer = [0; 64 << 10];
        let read = match self.stream.read(&mut buffer) {
            Ok(0) => panic!("it ended without a reason"),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        };
        let mut end = None;
        for part in buffer[..read].split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                end = end.or(self.take(line.trim_ascii_end()));
            }
        }
        end
    }

    /// Takes a line. Chunks end with events, so that none has a chunk's size within it.
    fn take(&mut self, line: &[u8]) -> Option<End> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        if let Some(id) = line.strip_prefix(b"id: ") {
            self.last_id = text(id).parse().expect("a revision");
        } else if line == b"event: failure" {
            self.is_failure = true;
        } else if let Some(event) = line.strip_prefix(b"data: ") {
            if self.is_failure {
                return Some(End::Failed(text(event)));
            }
            // The node writes below /ctl as well.
            let path = event.strip_prefix(br#"{"change":"set","path":""#)?;
            if path.starts_with(b"/load/") || path.starts_with(b"/bulk/") {
                self.seen.note(event);
            }
            if path.starts_with(b"/load/last") {
                return Some(End::Reached);
            }
        }
        None
    }
}

/// Lets this process, and those that it starts, have so many files open, if the system does.
fn raise_open_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(limit.maximum.map_or(wanted, |most| wanted.min(most))),
            ..limit
        };
        setrlimit(Resource::Nofile, raised).expect("a higher limit");
    }
}
