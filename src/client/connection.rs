//! One connection: a task that owns the socket, matches answers to requests by tag, and tells each
//! request that is lost whether a byte of it was sent.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::error::Refusal;
use super::uri::Address;
use crate::core::protocol::client::{Request, Response, Verb, decode_frame, encode_frame};

/// Requests that wait for the task. Beyond them callers wait, which is back-pressure.
const QUEUE_CALLS_MAX: usize = 1024;
/// Requests without an answer; more wait. A little below what servers accept by default.
const OPEN_CALLS_MAX: usize = 16_000;
/// Unanswered requests that nobody waits for any more, after which the connection retires: parked
/// WAITs cannot be cancelled, and this is how the server gets rid of them.
const ABANDONED_CALLS_MAX: usize = 1024;
/// Bytes that wait to be written before more requests are taken.
const OUTGOING_BYTES_MAX: usize = 1 << 20;
/// Largest answer: twice the largest frame that servers accept by default.
const FRAME_BYTES_MAX: usize = 32 << 20;
/// Bytes that the buffers start with.
const BUFFER_BYTES: usize = 16 << 10;
/// How often the task looks at the time while something is open.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Silence after which the server is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(2);
/// Silence after which the connection counts as lost: a parked WAIT would else wait for ever on a
/// server that was cut off.
const LOST_AFTER: Duration = Duration::from_secs(6);

/// A handle on a connection. It closes when the last handle is gone and nobody waits for answers.
#[derive(Clone)]
pub(super) struct Connection {
    addr: Address,
    calls: mpsc::Sender<Call>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// No byte of it left: it has not happened.
    Unsent,
    /// It may have arrived.
    Sent(String),
}

/// Why a connection could not be opened.
pub(super) enum OpenError {
    /// The network or the system says no.
    Io(String),
    /// The machine says that nobody listens there.
    Closed(String),
    /// The server does not accept the secret. Another server will not either.
    Refused(Refusal),
}

struct Call {
    request: Request,
    answer: oneshot::Sender<Result<Response, Lost>>,
}

/// An answer on its way.
pub(super) struct Pending(oneshot::Receiver<Result<Response, Lost>>);

impl Pending {
    pub(super) async fn answer(&mut self) -> Result<Response, Lost> {
        match (&mut self.0).await {
            Ok(result) => result,
            // The task was dropped with its runtime, and cannot tell.
            Err(_) => Err(Lost::Sent("the runtime of the client ended".to_owned())),
        }
    }

    /// Whether there would be no waiting for the answer.
    pub(super) fn is_there(&self) -> bool {
        !self.0.is_empty()
    }
}

impl Connection {
    /// Connects, and presents the secret if there is one. Does not limit its own time.
    pub(super) async fn open(
        addr: &Address,
        secret: Option<Bytes>,
    ) -> Result<Connection, OpenError> {
        let stream = dial(addr).await.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => OpenError::Closed(plain(&error)),
            _ => OpenError::Io(plain(&error)),
        })?;
        let (calls, queue) = mpsc::channel(QUEUE_CALLS_MAX);
        tokio::spawn(Task::new(stream, queue).run());
        let connection = Connection {
            addr: addr.clone(),
            calls,
        };
        if let Some(value) = secret {
            connection.present(value).await?;
        }
        Ok(connection)
    }

    async fn present(&self, secret: Bytes) -> Result<(), OpenError> {
        let request = Request {
            verb: Some(Verb::Access as i32),
            value: Some(secret),
            ..Request::default()
        };
        let answer = match self.start(request.clone()).await {
            Ok(mut pending) => pending.answer().await,
            Err(lost) => Err(lost),
        };
        match answer {
            Ok(response) => match response.error() {
                None => Ok(()),
                Some(code) => Err(OpenError::Refused(Refusal::of(
                    &request,
                    code,
                    response.err_detail,
                ))),
            },
            Err(Lost::Sent(reason)) => Err(OpenError::Io(reason)),
            Err(Lost::Unsent) => Err(OpenError::Io("the connection broke".to_owned())),
        }
    }

    pub(super) fn addr(&self) -> &Address {
        &self.addr
    }

    /// Whether requests can still be handed to it.
    pub(super) fn is_open(&self) -> bool {
        !self.calls.is_closed()
    }

    /// Hands a request to the connection; waits only when very many are before it.
    pub(super) async fn start(&self, request: Request) -> Result<Pending, Lost> {
        let (answer, pending) = oneshot::channel();
        match self.calls.send(Call { request, answer }).await {
            Ok(()) => Ok(Pending(pending)),
            Err(_) => Err(Lost::Unsent),
        }
    }
}

async fn dial(addr: &Address) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr.as_str()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What the system says, without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_lowercase(),
        None => text,
    }
}

struct Task {
    stream: TcpStream,
    queue: mpsc::Receiver<Call>,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// Bytes that were ever put into `outgoing`, and those that have left it.
    encoded_bytes: u64,
    written_bytes: u64,
    open: BTreeMap<i32, Open>,
    tag_next: i32,
    /// When something was last heard, or when there was last nothing to hear.
    heard: Instant,
    check_at: Instant,
    ping: Option<i32>,
    /// The queue is closed: what is in it is taken, more does not come.
    retiring: bool,
    /// No more requests come: the connection ends when the open ones are answered.
    retired: bool,
}

/// A request without an answer.
struct Open {
    /// `encoded_bytes` before it.
    begin: u64,
    /// Absent for a ping.
    answer: Option<oneshot::Sender<Result<Response, Lost>>>,
}

impl Open {
    fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_none_or(|answer| answer.is_closed())
    }
}

impl Task {
    fn new(stream: TcpStream, queue: mpsc::Receiver<Call>) -> Task {
        Task {
            stream,
            queue,
            incoming: BytesMut::with_capacity(BUFFER_BYTES),
            outgoing: BytesMut::with_capacity(BUFFER_BYTES),
            encoded_bytes: 0,
            written_bytes: 0,
            open: BTreeMap::new(),
            tag_next: 0,
            heard: Instant::now(),
            check_at: Instant::now(),
            ping: None,
            retiring: false,
            retired: false,
        }
    }

    async fn run(mut self) {
        let reason = match self.serve().await {
            Ok(()) => "the connection retired".to_owned(),
            Err(reason) => reason,
        };
        self.queue.close();
        for open in std::mem::take(&mut self.open).into_values() {
            let lost = if open.begin < self.written_bytes {
                Lost::Sent(reason.clone())
            } else {
                Lost::Unsent
            };
            if let Some(answer) = open.answer {
                let _ = answer.send(Err(lost));
            }
        }
        while let Some(call) = self.queue.recv().await {
            let _ = call.answer.send(Err(Lost::Unsent));
        }
    }

    /// Ends well when nobody wants anything any more, and else with the reason.
    async fn serve(&mut self) -> Result<(), String> {
        loop {
            if self.retired && self.open.values().all(Open::is_abandoned) {
                return Ok(());
            }
            let takes_calls = !self.retired
                && (self.retiring || self.open.len() < OPEN_CALLS_MAX)
                && self.outgoing.len() < OUTGOING_BYTES_MAX;
            let (mut reader, mut writer) = self.stream.split();
            tokio::select! {
                // Answers first: they make room. Then what is ready leaves, so that the requests
                // that are taken meanwhile go out together.
                biased;
                read = reader.read_buf(&mut self.incoming) => match read {
                    Ok(0) => return Err("it closed the connection".to_owned()),
                    Ok(_) => self.read_answers()?,
                    Err(error) => return Err(plain(&error)),
                },
                call = self.queue.recv(), if takes_calls => match call {
                    Some(call) => self.take(call),
                    None => self.retired = true,
                },
                written = writer.write_buf(&mut self.outgoing), if !self.outgoing.is_empty() => {
                    match written {
                        Ok(bytes) => self.written_bytes += bytes as u64,
                        Err(error) => return Err(plain(&error)),
                    }
                },
                () = tokio::time::sleep_until(self.check_at), if !self.open.is_empty() => {
                    self.check()?;
                },
            }
        }
    }

    fn take(&mut self, call: Call) {
        if call.answer.is_closed() {
            return;
        }
        self.send(call.request, Some(call.answer));
    }

    fn send(
        &mut self,
        mut request: Request,
        answer: Option<oneshot::Sender<Result<Response, Lost>>>,
    ) -> i32 {
        if self.open.is_empty() {
            self.heard = Instant::now();
        }
        while self.open.contains_key(&self.tag_next) {
            self.tag_next = self.tag_next.wrapping_add(1) & i32::MAX;
        }
        let tag = self.tag_next;
        self.tag_next = self.tag_next.wrapping_add(1) & i32::MAX;
        request.tag = Some(tag);
        let begin = self.encoded_bytes;
        let before = self.outgoing.len();
        encode_frame(&request, &mut self.outgoing);
        self.encoded_bytes += (self.outgoing.len() - before) as u64;
        self.open.insert(tag, Open { begin, answer });
        tag
    }

    fn read_answers(&mut self) -> Result<(), String> {
        self.heard = Instant::now();
        while let Some(response) = decode_frame::<Response>(&mut self.incoming, FRAME_BYTES_MAX)
            .map_err(|error| format!("it sent something else than answers: {error}"))?
        {
            // An answer that nobody asked for is no reason to lose the others.
            let Some(tag) = response.tag else { continue };
            if self.ping == Some(tag) {
                self.ping = None;
            }
            if let Some(answer) = self.open.remove(&tag).and_then(|open| open.answer) {
                let _ = answer.send(Ok(response));
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        self.check_at = Instant::now() + CHECK_EVERY;
        let silence = self.heard.elapsed();
        if silence >= LOST_AFTER {
            return Err(format!("it was silent for {} s", silence.as_secs()));
        }
        if silence >= PING_AFTER && self.ping.is_none() {
            let rev = Request {
                verb: Some(Verb::Rev as i32),
                ..Request::default()
            };
            self.ping = Some(self.send(rev, None));
        }
        let abandoned = || self.open.values().filter(|open| open.is_abandoned());
        if self.open.len() >= ABANDONED_CALLS_MAX && abandoned().count() >= ABANDONED_CALLS_MAX {
            self.queue.close();
            self.retiring = true;
        }
        Ok(())
    }
}
