//! Changes as server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::info;

use super::access::{Caller, Purpose};
use super::event::{Group, Told};
use super::extract::Params;
use super::failure::Failure;
use super::feed::Taken;
use super::reader::rev;
use super::routes::App;
use super::tally::Watcher;
use crate::client::Client;
use crate::core::id::Rev;
use crate::core::store::Glob;

/// How often somebody who watches what does not change hears that it is so, and up to which revision.
const STILL_HERE: Duration = Duration::from_secs(10);

/// How long a watcher may take nothing of what is there for it. Whoever is dropped hears the reason if
/// it reads on before the connection ends, which takes longer.
const STALL_MAX: Duration = Duration::from_secs(10);

/// Groups of events that wait for one watcher.
const CHUNKS_MAX: usize = 2;

/// Revisions of the past that are asked for at a time, for each of those who are behind. Values may have
/// a mebibyte.
const PAST_MAX: usize = 16;

/// What may be watched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pattern: String,
    /// The first revision to tell of; the next one if absent.
    from: Option<u64>,
}

pub(super) async fn watch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let glob = Glob::parse(asked.pattern.as_bytes());
    let glob = glob.map_err(|error| Failure::bad_request(error.to_string()))?;
    let from = from(&asked, &headers)?;
    let client = app.access.client(caller, Purpose::Read).await?;
    let failed = |error| Failure::of(error, caller);
    // Also asks whether the caller may read.
    client.local(true).stat("/").await.map_err(failed)?;
    let present = client.rev().await.map_err(failed)?;
    let next = from.unwrap_or(present.next());
    if next <= present {
        // Answered at once: what happened then, or that nobody knows any more.
        client.wait("/**", next).await.map_err(failed)?;
    }
    let (chunks, waiting) = mpsc::channel(CHUNKS_MAX);
    let (last, last_words) = mpsc::channel(1);
    let watching = Watching {
        _counted: app.tally.watcher(),
        app: Arc::clone(&app),
        caller,
        glob,
        next,
        sent: Instant::now(),
        chunks,
        last,
    };
    app.watching.spawn(watching.run());
    let body = Chunks {
        waiting,
        last_words,
    };
    let events = HeaderValue::from_static("text/event-stream");
    let body = Body::from_stream(body);
    Ok(([(header::CONTENT_TYPE, events)], body).into_response())
}

/// The first revision to tell of, if that was said. Whoever comes back knows best.
fn from(asked: &Asked, headers: &HeaderMap) -> Result<Option<Rev>, Failure> {
    let Some(last) = headers.get("last-event-id") else {
        // What is before the first is what is before all.
        return asked.from.map(|from| rev(Some(from.max(1)))).transpose();
    };
    let last: Option<u64> = last.to_str().ok().and_then(|text| text.parse().ok());
    match rev(last.map(|last| last.saturating_add(1))) {
        Ok(next) => Ok(Some(next)),
        Err(_) => Err(Failure::bad_request("Last-Event-ID is a revision")),
    }
}

/// Somebody who watches.
struct Watching {
    app: Arc<App>,
    caller: Caller,
    glob: Glob,
    /// The first revision that it has not been told of.
    next: Rev,
    /// When it was last sent anything.
    sent: Instant,
    chunks: mpsc::Sender<Bytes>,
    /// For what comes after all chunks.
    last: mpsc::Sender<Bytes>,
    _counted: Watcher,
}

/// Why somebody is told nothing more.
enum End {
    /// It has gone.
    Gone,
    /// It takes nothing.
    Stalled,
    /// The node says why.
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failed(failure)
    }
}

impl Watching {
    /// Tells everything until the watcher has gone; or why there is no more.
    async fn run(mut self) {
        let Err(end) = self.tell_all().await;
        let failure = match end {
            End::Gone => return,
            End::Failed(failure) => failure,
            End::Stalled => {
                self.app.tally.stalled();
                let message = format!("a watcher that takes nothing for {STALL_MAX:?} is dropped");
                let pattern = self.glob.as_str();
                info!(
                    "web view: {message}: one of {pattern}, before rev {}",
                    self.next
                );
                let message = format!("{message}: go on with the last id as Last-Event-ID");
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "STALLED", message)
            }
        };
        let text = format!("event: failure\ndata: {}\n\n", failure.json());
        // Who has gone does not want to know.
        let _ = self.last.try_send(text.into());
    }

    async fn tell_all(&mut self) -> Result<Infallible, End> {
        self.tell_where().await?;
        let caller = self.caller;
        let client = self.app.access.client(caller, Purpose::Watch).await?;
        let mut feed = self.app.feed(caller).await?;
        loop {
            let quiet_till = self.sent + STILL_HERE;
            match timeout_at(quiet_till, feed.take(&self.glob, self.next)).await {
                Ok(Taken::Events(group)) => self.tell(group).await?,
                Ok(Taken::Forgotten(kept)) => self.catch_up(&client, kept).await?,
                Ok(Taken::Ended) => {
                    // The node says what is wrong with it, or is another one by now.
                    let rev = client.rev().await;
                    rev.map_err(|error| Failure::of(error, caller))?;
                    feed = self.app.feed(caller).await?;
                }
                Err(_) => self.tell_where().await?,
            }
        }
    }

    /// Asks the node itself for what was before a revision.
    async fn catch_up(&mut self, client: &Client, end: Rev) -> Result<(), End> {
        let last = Rev(end.0 - 1);
        let caller = self.caller;
        let failed = |error| Failure::of(error, caller);
        let report = client.report().await.map_err(failed)?;
        let events = client.follow(&report.lineage, self.next);
        let mut events = events.ahead(PAST_MAX, last);
        let mut waiting = Vec::new();
        while events.from() <= last {
            let event = events.next().await.map_err(failed)?;
            waiting.push(Told::of(&event));
            if events.from() <= last && events.is_there() && waiting.len() < PAST_MAX {
                continue;
            }
            while let Some(first) = waiting.first() {
                let group = Group::of(waiting.iter(), first.rev, &self.glob);
                waiting.retain(|event| event.rev >= group.next);
                self.tell(group).await?;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, group: Group) -> Result<(), End> {
        self.next = group.next;
        match group.text.is_empty() {
            true if self.chunks.is_closed() => Err(End::Gone),
            // What members write of themselves comes all the time, and matches few patterns.
            true if self.sent.elapsed() >= STILL_HERE => self.tell_where().await,
            true => Ok(()),
            false => {
                self.app.tally.events(group.count);
                self.send(group.text).await
            }
        }
    }

    /// Tells up to where the watcher has been told everything.
    async fn tell_where(&mut self) -> Result<(), End> {
        let text = format!("id: {}\n\n", self.next.0 - 1);
        self.send(text.into()).await
    }

    async fn send(&mut self, text: Bytes) -> Result<(), End> {
        match timeout(STALL_MAX, self.chunks.send(text)).await {
            Ok(Ok(())) => {
                self.sent = Instant::now();
                Ok(())
            }
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Stalled),
        }
    }
}

/// What is sent, as a body.
struct Chunks {
    waiting: mpsc::Receiver<Bytes>,
    /// What comes after all chunks.
    last_words: mpsc::Receiver<Bytes>,
}

impl futures_core::Stream for Chunks {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = match ready!(self.waiting.poll_recv(cx)) {
            Some(chunk) => Some(chunk),
            None => ready!(self.last_words.poll_recv(cx)),
        };
        Poll::Ready(chunk.map(Ok))
    }
}
