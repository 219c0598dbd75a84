//! Following every revision of one cluster, and of no other.

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::ahead::Ahead;
use super::attempt::{Losses, is_crowded_out, refused};
use super::call::Client;
use super::connection::{Connection, Lost};
use super::error::Error;
use super::types::{Event, signed};
use super::verbs::{plain, report_in, sound, status_request};
use crate::core::id::Rev;
use crate::core::protocol::client::{ErrorCode, Report, Request, Response, Verb};

/// WAITs ahead of the revision that is due: half of them are enough for what a cluster does in a round
/// trip.
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
    width: usize,
    /// No WAIT for a revision behind this one is sent ahead.
    last: Rev,
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
            width: WINDOW,
            last: Rev(u64::MAX),
            losses: self.losses(),
        }
    }
}

impl Follower {
    /// The same, but that it asks ahead for at most so many revisions at a time, and for none behind
    /// `last`.
    pub fn ahead(self, width: usize, last: Rev) -> Follower {
        Follower {
            width,
            last,
            ..self
        }
    }

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

    /// Whether the next revision is there already.
    pub fn is_there(&self) -> bool {
        self.window.is_there()
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
        let (from, last) = (self.from, self.last);
        let request = |ahead| {
            let rev = Rev(from.0 + ahead as u64);
            (rev == from || rev <= last).then(|| request(rev))
        };
        Ok(self.window.first(&connection, self.width, request).await)
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
            Ok(Ok(response)) if is_crowded_out(&response) => {
                return Ok(Err(Lost::Sent(response.err_detail.unwrap_or_default())));
            }
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
