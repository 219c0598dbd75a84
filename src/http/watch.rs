//! Changes as server-sent events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::info;

use super::access::{Caller, Purpose};
use super::failure::Failure;
use super::feed::{Feed, Taken};
use super::files::{Params, params, put_value};
use super::routes::App;
use super::server::Hangup;
use crate::client::{Change, Client, Error, Event};
use crate::core::id::Rev;
use crate::core::store::{Glob, Path};

/// How often somebody who watches what does not change hears that it is so, and up to which revision.
const STILL_HERE: Duration = Duration::from_secs(10);

/// How long a watcher may take nothing of what is there for it.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Chunks that wait for one watcher. Each is a group of events of about [`CHUNK_BYTES`] bytes and
/// one more.
const CHUNKS_MAX: usize = 2;
const CHUNK_BYTES: usize = 32 << 10;

/// How long the node may take to say that a revision is forgotten. It says so at once.
const FORGOTTEN_MAX: Duration = Duration::from_millis(200);

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
    Extension(hangup): Extension<Hangup>,
    query: Params<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = app.access.caller(&headers)?;
    let asked = params(query)?;
    let glob = Glob::parse(asked.pattern.as_bytes());
    let glob = glob.map_err(|error| Failure::bad_request(error.to_string()))?;
    let client = app.access.client(caller, Purpose::Read).await?;
    let failed = |error| Failure::of(error, caller);
    // Also asks whether the caller may read.
    let first = match from(&asked, &headers)? {
        Some(from) => {
            let first = timeout(FORGOTTEN_MAX, client.wait(&asked.pattern, from)).await;
            if let Ok(Err(error)) = first {
                return Err(failed(error));
            }
            from
        }
        None => {
            client.local(true).stat("/").await.map_err(failed)?;
            client.rev().await.map_err(failed)?.next()
        }
    };
    let (chunks, body) = mpsc::channel(CHUNKS_MAX);
    let watching = Watching {
        app,
        caller,
        client,
        glob,
        next: first,
        chunks,
        hangup,
    };
    tokio::spawn(watching.run());
    let events = HeaderValue::from_static("text/event-stream");
    let body = Body::from_stream(Chunks(body));
    Ok(([(header::CONTENT_TYPE, events)], body).into_response())
}

/// The first revision to tell of, if that was said. Whoever comes back knows best.
fn from(asked: &Asked, headers: &HeaderMap) -> Result<Option<Rev>, Failure> {
    let Some(last) = headers.get("last-event-id") else {
        return Ok(asked.from.map(|from| Rev(from.max(1))));
    };
    let last = last.to_str().ok().and_then(|text| text.parse().ok());
    match last {
        Some(last) => Ok(Some(Rev(last).next())),
        None => Err(Failure::bad_request("Last-Event-ID is a revision")),
    }
}

/// Somebody who watches.
struct Watching {
    app: Arc<App>,
    caller: Caller,
    client: Client,
    glob: Glob,
    /// The first revision that it has not been told of.
    next: Rev,
    chunks: mpsc::Sender<Bytes>,
    hangup: Hangup,
}

/// The watcher has gone.
struct Gone;

impl Watching {
    async fn run(mut self) {
        let Err(error) = self.tell_all().await else {
            return;
        };
        let failure = Failure::of(error, self.caller);
        let text = format!("event: failure\ndata: {}\n\n", failure.json());
        // Who has gone does not want to know.
        let _ = self.send(text).await;
    }

    /// Tells everything until the watcher has gone, or the node has nothing more to say.
    async fn tell_all(&mut self) -> Result<(), Error> {
        if self
            .send(format!("id: {}\n\n", self.next.0 - 1))
            .await
            .is_err()
        {
            return Ok(());
        }
        let mut feed = self.feed().await?;
        loop {
            let told = match timeout(STILL_HERE, feed.take(self.next)).await {
                Ok(Taken::Events(events, next)) => {
                    let told = self.tell(&events).await;
                    self.next = next;
                    told
                }
                Ok(Taken::Forgotten) => self.catch_up().await?,
                Ok(Taken::Ended) => {
                    // The node says what is wrong with it, or is another one by now.
                    self.client.rev().await?;
                    feed = self.feed().await?;
                    Ok(())
                }
                Err(_) => self.send(format!("id: {}\n\n", self.next.0 - 1)).await,
            };
            if told.is_err() {
                return Ok(());
            }
        }
    }

    /// Asks the node for the next event that the feed has forgotten.
    async fn catch_up(&mut self) -> Result<Result<(), Gone>, Error> {
        let before = self.client.rev().await?;
        let waiting = self.client.wait(self.glob.as_str(), self.next);
        match timeout(STILL_HERE, waiting).await {
            Ok(event) => {
                let event = Arc::new(event?);
                self.next = event.rev.next();
                Ok(self.tell(&[event]).await)
            }
            // Nothing that matches has happened up to here.
            Err(_) => {
                self.next = self.next.max(before.next());
                Ok(self.send(": nothing yet\n\n".into()).await)
            }
        }
    }

    async fn tell(&self, events: &[Arc<Event>]) -> Result<(), Gone> {
        let mut text = String::new();
        for event in events.iter().filter(|event| self.is_wanted(event)) {
            text.push_str(&format!("id: {}\ndata: {}\n\n", event.rev, json(event)));
            if text.len() > CHUNK_BYTES {
                self.send(std::mem::take(&mut text)).await?;
            }
        }
        match text.is_empty() {
            true if self.chunks.is_closed() => Err(Gone),
            true => Ok(()),
            false => self.send(text).await,
        }
    }

    fn is_wanted(&self, event: &Event) -> bool {
        match Path::parse(event.path.as_bytes()) {
            Ok(path) => self.glob.matches(&path),
            Err(_) => false,
        }
    }

    async fn send(&self, text: String) -> Result<(), Gone> {
        match timeout(STALL_MAX, self.chunks.send(text.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => {
                info!(
                    "web view: dropping a watcher of {} that has taken nothing for {STALL_MAX:?}; \
                     it may go on from rev {}",
                    self.glob.as_str(),
                    self.next
                );
                self.hangup.hang_up();
                Err(Gone)
            }
        }
    }

    /// The feed that all share. It is read by whoever began it; all who get here may read.
    async fn feed(&self) -> Result<Arc<Feed>, Error> {
        let mut shared = self.app.feed.lock().await;
        if let Some(feed) = shared.upgrade()
            && !feed.has_ended()
        {
            return Ok(feed);
        }
        let feed = Feed::start(self.client.clone()).await?;
        *shared = Arc::downgrade(&feed);
        Ok(feed)
    }
}

fn json(event: &Event) -> Value {
    let mut fields = Map::new();
    fields.insert("rev".into(), event.rev.0.into());
    fields.insert("path".into(), event.path.as_str().into());
    let change = match &event.change {
        Change::Set(value) => {
            put_value(&mut fields, value);
            "set"
        }
        Change::Del => "del",
        Change::Nop => "nop",
    };
    fields.insert("change".into(), change.into());
    fields.into()
}

/// What is sent, as a body.
struct Chunks(mpsc::Receiver<Bytes>);

impl futures_core::Stream for Chunks {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(Ok))
    }
}
