//! Connections of clients: what is to be written to each, and the tasks that read and write it.
//!
//! Small answers are encoded where they will be written from; all that are there when the writer
//! wakes leave in one write. Large ones stay as they are, sharing their values with the store,
//! until the client has taken what comes before them. A client that does not take its answers is
//! not read from either.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::gauges::Traffic;
use super::shared::Shared;
use super::signal::Signal;
use crate::core::env::Input;
use crate::core::id::SessionId;
use crate::core::protocol::client::{
    FrameError, HEADER_BYTES, Request, Response, decode_frame, encode_frame,
};

/// Bytes of unfinished requests that all clients together may have the server hold. Nobody has to
/// have presented a secret for that, and each connection alone may hold a frame.
const UNFINISHED_MAX: usize = 256 << 20;

/// A connection that holds no more than this of an unfinished request is never closed for it, in
/// bytes: ordinary requests are smaller.
const UNFINISHED_FREE: usize = 64 << 10;

/// Unsent answers of one connection above which nothing more is read from it.
pub(super) const UNSENT_BYTES_SOFT: usize = 1 << 20;

/// Unsent answers of one connection above which it is closed. Requests that were read before the
/// soft bound was reached may all have answers of the largest size: this allows for 256 of them.
/// They share their values with the store, so that this is memory only for what it has forgotten.
const UNSENT_BYTES_HARD: usize = 256 << 20;

/// Answers larger than this are encoded when they are about to be written: a client that asks for
/// much and takes nothing would otherwise cost a copy, and the time to make it, for each request.
const ENCODED_AT_ONCE_BYTES_MAX: usize = 16 << 10;

/// Large answers are encoded for one write up to this size, and one answer more.
const BATCH_BYTES: usize = 256 << 10;

/// Requests that one connection hands in before others get their turn.
const REQUESTS_PER_TURN: usize = 128;

/// Room for each read. Holds some hundred small requests.
const READ_BYTES: usize = 16 << 10;

/// Bytes of a client that are read while the node cannot serve it yet.
const EARLY_BYTES_MAX: usize = 64 << 10;

/// Buffers that have grown beyond this are given back when they are empty.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Fields of requests up to this size are copied out of the read buffer, so that a value of five
/// bytes does not keep the buffer that it arrived in.
const COPIED_BYTES_MAX: usize = 8 << 10;

/// How long a client may take nothing at all of what is written to it, or send nothing more of a
/// request that it has begun. One that has nothing to say may be silent for as long as it likes.
pub(super) const STALL_MAX: Duration = Duration::from_secs(60);

/// How long, and for how many bytes, a client may go on sending after its connection has ended.
/// Closing with unread bytes would reset it, and lose the last answers on their way.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

/// All connections of clients that the node knows of.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    table: RefCell<BTreeMap<SessionId, Rc<Session>>>,
    last: Cell<u64>,
}

/// What is to be written to one client.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    from: SocketAddr,
    out: RefCell<Unsent>,
    /// Bytes that have left `out` and have not been written.
    writing: Cell<usize>,
    /// Nothing will be added to `out`; the connection ends when it is empty.
    is_finished: Cell<bool>,
    /// For the writer: nobody will read `out`, nor what is being written.
    broken: Signal,
    /// For the writer: look again.
    changed: Signal,
    /// For the reader: there is room for answers.
    drained: Signal,
    /// For the reader: the writer has ended.
    ended: Signal,
}

/// Answers that wait for the writer, in order.
#[derive(Debug, Default)]
struct Unsent {
    encoded: BytesMut,
    /// Those after `encoded`: a large one, and whatever came behind it.
    queue: VecDeque<Response>,
    /// Size of all of them as frames.
    bytes: usize,
}

impl Unsent {
    fn push(&mut self, response: Response) {
        let bytes = HEADER_BYTES + response.encoded_len();
        self.bytes += bytes;
        if self.queue.is_empty() && bytes <= ENCODED_AT_ONCE_BYTES_MAX {
            encode_frame(&response, &mut self.encoded);
        } else {
            self.queue.push_back(response);
        }
    }

    /// Fills `batch`, which is empty, with what is to be written next.
    fn take_batch(&mut self, batch: &mut BytesMut) {
        std::mem::swap(batch, &mut self.encoded);
        while batch.len() < BATCH_BYTES
            && let Some(response) = self.queue.pop_front()
        {
            encode_frame(&response, batch);
        }
        self.bytes -= batch.len();
    }
}

impl Sessions {
    /// Appends an answer, if the client is still there.
    pub(super) fn reply(&self, id: SessionId, response: Response) {
        if let Some(session) = self.table.borrow().get(&id) {
            session.reply(response);
        }
    }

    /// Ends a connection once its answers are written.
    pub(super) fn finish(&self, id: SessionId) {
        if let Some(session) = self.table.borrow().get(&id) {
            session.is_finished.set(true);
            session.changed.raise();
        }
    }

    /// Whether every answer has been handed to the network.
    pub(super) fn are_written(&self) -> bool {
        self.table.borrow().values().all(|s| s.unsent() == 0)
    }

    /// Connections that the node has been told of and that have not ended.
    pub(super) fn count(&self) -> usize {
        self.table.borrow().len()
    }

    fn open(&self, from: SocketAddr) -> Rc<Session> {
        let id = SessionId(self.last.get() + 1);
        self.last.set(id.0);
        let session = Rc::new(Session::new(id, from));
        self.table.borrow_mut().insert(id, Rc::clone(&session));
        session
    }

    fn close(&self, id: SessionId) {
        let known = self.table.borrow_mut().remove(&id);
        assert!(known.is_some(), "a session ends once");
    }
}

impl Session {
    fn new(id: SessionId, from: SocketAddr) -> Session {
        Session {
            id,
            from,
            out: RefCell::default(),
            writing: Cell::new(0),
            is_finished: Cell::new(false),
            broken: Signal::default(),
            changed: Signal::default(),
            drained: Signal::default(),
            ended: Signal::default(),
        }
    }

    fn reply(&self, response: Response) {
        if self.broken.is_raised() {
            return;
        }
        self.out.borrow_mut().push(response);
        if self.unsent() > UNSENT_BYTES_HARD {
            warn!(
                "closing the connection of client {}: it has not taken {} bytes of answers",
                self.from,
                self.unsent()
            );
            self.abandon();
        }
        self.changed.raise();
    }

    fn abandon(&self) {
        self.broken.raise();
        self.out.take();
        self.changed.raise();
    }

    fn half_close(&self, shared: &Shared) {
        if !self.ended.is_raised() {
            let session = self.id;
            shared.inbox.push_session(Input::HalfClosed { session });
        }
    }

    /// Waits until the client has taken enough of its answers, or the session has ended.
    async fn room_for_answers(&self) {
        while self.unsent() > UNSENT_BYTES_SOFT && !self.ended.is_raised() {
            tokio::select! {
                biased; // the end first: nothing else will come after it
                () = self.ended.raised() => {}
                () = self.drained.taken() => {}
            }
        }
    }

    fn unsent(&self) -> usize {
        self.out.borrow().bytes + self.writing.get()
    }
}

/// Serves one client to its end. `buffer` holds what has been read from it.
pub(super) async fn serve<R, W>(
    shared: Rc<Shared>,
    mut reader: R,
    writer: W,
    mut buffer: BytesMut,
    from: SocketAddr,
) where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    let Ok(is_at_end) = wait_until_serving(&shared, &mut reader, &mut buffer).await else {
        return;
    };
    let session = shared.sessions.open(from);
    let id = session.id;
    shared.inbox.push_session(Input::Opened { session: id });
    shared.spawn(write(Rc::clone(&shared), Rc::clone(&session), writer));
    match read(&shared, &session, &mut reader, buffer, is_at_end).await {
        ReadEnd::Finished => {
            session.half_close(&shared);
            session.ended.raised().await;
        }
        ReadEnd::Refused(error) => {
            debug!("client {from}: {error}; answering what came before, then closing");
            session.half_close(&shared);
            session.ended.raised().await;
            linger(&mut reader).await;
        }
        ReadEnd::Broken(error) => {
            debug!("client {from}: {error}");
            session.abandon();
        }
        ReadEnd::Unwanted => linger(&mut reader).await,
    }
}

/// Why reading ended.
enum ReadEnd {
    /// The client will send nothing more.
    Finished,
    /// The client sent what cannot be read on from.
    Refused(FrameError),
    /// The connection is gone.
    Broken(io::Error),
    /// The writer has ended: nobody would write the answers.
    Unwanted,
}

/// Waits until the node can answer clients, and tells whether the client has sent everything it
/// will. Watching the connection meanwhile frees those of clients that gave up.
async fn wait_until_serving(
    shared: &Shared,
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<bool> {
    let mut is_at_end = false;
    while !shared.serving.is_reached() {
        let may_read = !is_at_end && buffer.len() < EARLY_BYTES_MAX;
        buffer.reserve(READ_BYTES);
        tokio::select! {
            biased; // this first: it ends the loop
            () = shared.serving.reached() => {}
            read = reader.read_buf(buffer), if may_read => is_at_end = read? == 0,
        }
        if is_at_end && buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(is_at_end)
}

/// Hands in what the client asks for, until it stops or is stopped.
async fn read(
    shared: &Shared,
    session: &Session,
    reader: &mut (impl AsyncRead + Unpin),
    mut buffer: BytesMut,
    mut is_at_end: bool,
) -> ReadEnd {
    let mut unfinished = Unfinished { shared, bytes: 0 };
    loop {
        if let Err(error) = hand_in(shared, session, &mut buffer).await {
            return ReadEnd::Refused(error);
        }
        if !unfinished.set(buffer.len()) {
            let text = "the unfinished requests of all clients take too much memory";
            return ReadEnd::Broken(std::io::Error::other(text));
        }
        session.room_for_answers().await;
        if is_at_end {
            return ReadEnd::Finished;
        }
        buffer.reserve(READ_BYTES);
        let is_begun = !buffer.is_empty();
        tokio::select! {
            biased; // the end first: what is read after it would be lost
            () = session.ended.raised() => return ReadEnd::Unwanted,
            read = reader.read_buf(&mut buffer) => match read {
                Ok(0) => is_at_end = true,
                Ok(_) => {}
                Err(error) => return ReadEnd::Broken(error),
            },
            () = sleep(STALL_MAX), if is_begun => {
                return ReadEnd::Broken(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// What one connection holds of a request that has not arrived in full, counted with everybody's.
struct Unfinished<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl Unfinished<'_> {
    /// Notes how much it is. Returns whether there is room for that.
    fn set(&mut self, bytes: usize) -> bool {
        let all = self.shared.unfinished.get() - self.bytes + bytes;
        self.bytes = bytes;
        self.shared.unfinished.set(all);
        bytes <= UNFINISHED_FREE || all <= UNFINISHED_MAX
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Hands in every complete request in `buffer`.
async fn hand_in(
    shared: &Shared,
    session: &Session,
    buffer: &mut BytesMut,
) -> Result<(), FrameError> {
    let mut handed_in = 0;
    loop {
        let before = buffer.len();
        let limit = shared.limits.frame_bytes_max;
        let Some(mut request) = decode_frame::<Request>(buffer, limit)? else {
            return Ok(());
        };
        detach(&mut request.path);
        detach(&mut request.value);
        let input = Input::Client {
            session: session.id,
            request,
        };
        let bytes = before - buffer.len() - HEADER_BYTES;
        shared.inbox.room_for_clients().await;
        session.room_for_answers().await;
        if session.ended.is_raised() {
            return Ok(()); // The node has been told: nothing may come after that.
        }
        shared.traffic.request(bytes);
        shared.inbox.push_client(input, bytes);
        handed_in += 1;
        if handed_in % REQUESTS_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Gives a small field memory of its own.
fn detach(field: &mut Option<Bytes>) {
    if let Some(bytes) = field
        && bytes.len() <= COPIED_BYTES_MAX
    {
        *bytes = Bytes::copy_from_slice(bytes);
    }
}

/// Writes answers until the session ends, and tells the node so.
async fn write(shared: Rc<Shared>, session: Rc<Session>, mut writer: impl AsyncWrite + Unpin) {
    if let Err(error) = write_answers(&session, &mut writer, &shared.traffic).await {
        debug!("client {}: {error}", session.from);
    }
    session.abandon();
    let id = session.id;
    shared.sessions.close(id);
    shared.inbox.push_session(Input::Closed { session: id });
    session.ended.raise();
}

async fn write_answers(
    session: &Session,
    writer: &mut (impl AsyncWrite + Unpin),
    traffic: &Traffic,
) -> io::Result<()> {
    let mut batch = BytesMut::new();
    while !session.broken.is_raised() {
        session.out.borrow_mut().take_batch(&mut batch);
        if batch.is_empty() {
            if session.is_finished.get() {
                return timeout(STALL_MAX, writer.shutdown()).await?;
            }
            session.changed.taken().await;
            continue;
        }
        traffic.answer(batch.len());
        session.writing.set(batch.len());
        let mut written = 0;
        while written < batch.len() {
            let some = tokio::select! {
                biased; // the end first: a client that takes nothing would hold it up
                () = session.broken.raised() => return Ok(()),
                some = timeout(STALL_MAX, writer.write(&batch[written..])) => some??,
            };
            if some == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            written += some;
            session.writing.set(batch.len() - written);
        }
        batch.clear();
        if batch.capacity() > KEPT_BYTES_MAX {
            batch = BytesMut::new();
        }
        session.drained.raise();
    }
    Ok(())
}

/// Reads and forgets what a client still sends, for a moment.
async fn linger(reader: &mut (impl AsyncRead + Unpin)) {
    let discard = async {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let mut total = 0;
        while total < LINGER_BYTES_MAX {
            buffer.clear();
            match reader.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(some) => total += some,
            }
        }
    };
    // Whether it ended or ran out of time, the connection closes.
    let _ = timeout(LINGER_MAX, discard).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(tag: i32, value: &Bytes) -> Response {
        Response {
            tag: Some(tag),
            value: Some(value.clone()),
            ..Response::default()
        }
    }

    #[test]
    fn large_answers_share_their_values_until_they_are_written_in_order() {
        let mut unsent = Unsent::default();
        let large = Bytes::from(vec![1; ENCODED_AT_ONCE_BYTES_MAX]);
        let answers: Vec<Response> = (0..60)
            .map(|tag| match tag % 3 {
                0 => answer(tag, &Bytes::from_static(b"small")),
                _ => answer(tag, &large),
            })
            .collect();
        for response in &answers {
            unsent.push(response.clone());
        }
        assert!(unsent.encoded.len() < ENCODED_AT_ONCE_BYTES_MAX);
        let total = unsent.bytes;
        let mut written = BytesMut::new();
        let mut seen: Vec<Response> = Vec::new();
        while unsent.bytes > 0 {
            let mut batch = BytesMut::new();
            unsent.take_batch(&mut batch);
            assert!(batch.len() < BATCH_BYTES + 2 * ENCODED_AT_ONCE_BYTES_MAX);
            written.extend_from_slice(&batch);
        }
        assert_eq!(written.len(), total);
        while let Some(response) = decode_frame(&mut written, usize::MAX).unwrap() {
            seen.push(response);
        }
        assert!(seen == answers, "each answer once, in order");
    }

    #[test]
    fn a_client_that_is_given_up_holds_nobody_up() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let session = Session::new(SessionId(1), "127.0.0.1:1".parse().unwrap());
            session.reply(answer(1, &Bytes::from(vec![0; 1 << 10])));
            let traffic = Traffic::default();
            let (mut near, _far_reads_nothing) = tokio::io::duplex(16);
            let give_up = async {
                sleep(Duration::from_millis(20)).await;
                assert!(session.unsent() > 0, "it is being written");
                session.abandon();
            };
            let both =
                async { tokio::join!(write_answers(&session, &mut near, &traffic), give_up) };
            let in_time = timeout(Duration::from_secs(10), both).await;
            assert!(in_time.is_ok_and(|(written, ())| written.is_ok()));
        });
    }

    #[test]
    fn a_client_that_lets_answers_pile_up_is_given_up() {
        let session = Session::new(SessionId(1), "127.0.0.1:1".parse().unwrap());
        let response = Response {
            value: Some(Bytes::from(vec![0; UNSENT_BYTES_HARD / 8])),
            ..Response::default()
        };
        for _ in 0..7 {
            session.reply(response.clone());
        }
        assert!(!session.broken.is_raised());
        assert!(session.unsent() > UNSENT_BYTES_HARD / 8 * 7);
        session.reply(response.clone());
        assert!(session.broken.is_raised());
        session.reply(response);
        assert_eq!(session.unsent(), 0, "nothing is kept for it");
    }
}
