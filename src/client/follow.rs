//! Following every revision of one cluster, and of no other.

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::ahead::Ahead;
use super::attempt::{Losses, refused};
use super::call::Client;
use super::connection::{Connection, Lost};
use super::error::Error;
use super::types::{Event, signed};
use super::verbs::{plain, report_in, sound, status_request};
use crate::core::id::Rev;
use crate::core::protocol::client::{ErrorCode, Report, Request, Response, Verb};

/// WAITs ahead of the revision that is due: enough for what a cluster does in a round trip.
const WINDOW: usize = 512;

/// Every revision in order, each once, across connections and servers. Before it believes a server it
/// asks which cluster that belongs to: one that was founded anew under the same name counts from 1
/// again, and its revisions are others.
pub struct Follower {
    client: Client,
    lineage: String,
    /// The revision that is due.
    from: Rev,
    connection: Option<Connection>,
    /// WAITs for the revisions from `from` on.
    window: Ahead,
    losses: Losses,
}

impl Client {
    /// Follows all revisions from one on, of the cluster of this lineage; see [`Report::lineage`].
    pub fn follow(&self, lineage: &str, from: Rev) -> Follower {
        Follower {
            client: self.clone(),
            lineage: lineage.to_owned(),
            from: from.max(Rev(1)),
            connection: None,
            window: Ahead::default(),
            losses: self.losses(),
        }
    }
}

impl Follower {
    /// The next revision; waits for it. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TooLate`] if it is forgotten; [`Error::Foreign`]; those of connections once no server
    /// could be reached for some time, after which asking again tries again.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let begin = Instant::now();
            let request = request(self.from);
            match self.answer().await? {
                Ok(response) => {
                    self.window.advance();
                    let event = match refused(&request, response) {
                        Err(Error::Refused(refusal)) if refusal.code == ErrorCode::TooLate => {
                            self.window.clear();
                            return Err(Error::TooLate {
                                from: self.from,
                                current: self.client.rev().await?,
                            });
                        }
                        response => sound(&request, Event::read(response?))?,
                    };
                    if event.rev != self.from {
                        return sound(&request, Err("another revision"));
                    }
                    self.from = self.from.next();
                    self.losses = self.client.losses();
                    return Ok(event);
                }
                Err(lost) => {
                    self.window.clear();
                    if let Some(connection) = self.connection.take() {
                        self.client.leave(connection.addr());
                        self.losses.lost(connection.addr(), begin, lost).await?;
                    }
                }
            }
        }
    }

    /// The revision that comes next.
    pub fn from(&self) -> Rev {
        self.from
    }

    async fn answer(&mut self) -> Result<Result<Response, Lost>, Error> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => {
                let patience = self.losses.patience(None);
                let connection = self.client.connection(&[], patience).await?;
                match self.recognise(&connection).await? {
                    Ok(()) => self.connection.insert(connection).clone(),
                    Err(lost) => {
                        // It is left like any other that breaks.
                        self.connection = Some(connection);
                        return Ok(Err(lost));
                    }
                }
            }
        };
        let from = self.from.0;
        let request = |ahead| request(Rev(from + ahead as u64));
        Ok(self.window.first(&connection, WINDOW, request).await)
    }

    /// Makes sure that a server belongs to the cluster. A server stays what it is as long as its
    /// connections live.
    async fn recognise(&self, connection: &Connection) -> Result<Result<(), Lost>, Error> {
        let request = status_request();
        let asking = async {
            match connection.start(request.clone()).await {
                Ok(mut pending) => pending.answer().await,
                Err(lost) => Err(lost),
            }
        };
        let limit = self.client.limit(Verb::Status).unwrap_or_default();
        let response = match timeout(limit, asking).await {
            Ok(Ok(response)) => refused(&request, response)?,
            Ok(Err(lost)) => return Ok(Err(lost)),
            Err(_) => return Ok(Err(Lost::Sent(format!("no answer within {limit:?}")))),
        };
        let Report { lineage, .. } = report_in(&request, response)?;
        match lineage == self.lineage {
            true => Ok(Ok(())),
            false if lineage.is_empty() => Ok(Err(Lost::Sent(
                "it has no copy of the store yet".to_owned(),
            ))),
            false => Err(Error::Foreign {
                addr: connection.addr().clone(),
                expected: self.lineage.clone(),
                found: lineage,
            }),
        }
    }
}

fn request(rev: Rev) -> Request {
    Request {
        path: Some(Bytes::from_static(b"/**")),
        rev: Some(signed(rev)),
        ..plain(Verb::Wait)
    }
}
