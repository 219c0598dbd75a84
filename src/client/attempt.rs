//! How one request finds a server that answers it: what is asked again, and what never is.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::call::{Client, PAUSE_MAX, PAUSE_MIN};
use super::connection::{Connection, Lost};
use super::error::{Error, Refusal, describe};
use super::uri::Address;
use crate::core::protocol::client::{ErrorCode, Request, Response, Verb, detail};

/// One request on its way from server to server.
pub(super) struct Attempts<'a> {
    client: &'a Client,
    request: &'a Request,
    writes: bool,
    /// Servers that have refused the write.
    standbys: Vec<Address>,
    losses: Losses,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(client: &'a Client, request: &'a Request, losses: Losses) -> Attempts<'a> {
        let verb = request.verb.and_then(Verb::from_number);
        Attempts {
            client,
            request,
            writes: verb.is_some_and(|verb| verb.is_write() || verb == Verb::Recover),
            standbys: Vec::new(),
            losses,
        }
    }

    /// Goes on until there is an answer that is no refusal.
    pub(super) async fn run(mut self, limit: Option<Duration>) -> Result<Response, Error> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let late = |what| Error::TimedOut {
            what,
            limit: limit.unwrap_or_default(),
        };
        let mut pause = PAUSE_MIN;
        loop {
            // With standbys left behind there is one round, as the member may be gone for good.
            let patience = match self.standbys.is_empty() {
                true => self.losses.patience(deadline),
                false => Instant::now(),
            };
            let connecting = self.client.connection(&self.standbys, patience);
            let connection = match before(deadline, connecting).await {
                Some(Ok(connection)) => connection,
                Some(Err(Error::Unreachable { tried })) if !self.standbys.is_empty() => {
                    let standbys = self.standbys;
                    return Err(Error::NoMember { standbys, tried });
                }
                Some(Err(error)) => return Err(error),
                None => return Err(late(describe(self.request))),
            };
            let begin = Instant::now();
            let sent = match before(deadline, connection.start(self.request.clone())).await {
                Some(sent) => sent,
                None => return Err(late(describe(self.request))),
            };
            let answer = match sent {
                Err(lost) => Err(lost),
                Ok(mut pending) => match before(deadline, pending.answer()).await {
                    Some(answer) => answer,
                    None if self.writes => {
                        let limit = limit.unwrap_or_default();
                        return Err(
                            self.unknown(&connection, format!("no answer came in {limit:?}"))
                        );
                    }
                    None => return Err(late(describe(self.request))),
                },
            };
            match answer {
                Ok(response) if response.error() == Some(ErrorCode::Readonly) && self.writes => {
                    self.ask_members(&connection).await;
                }
                // It has not happened, and there may be room later.
                Ok(response) if is_crowded_out(&response) => {
                    if before(deadline, sleep(pause)).await.is_none() {
                        return refused(self.request, response);
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Ok(response)
                    if self.writes
                        && response.err_detail.as_deref() == Some(detail::OUTCOME_UNKNOWN) =>
                {
                    let reason = "it was behind when the write was decided, and does not know how";
                    return Err(self.unknown(&connection, reason.to_owned()));
                }
                Ok(response) => return refused(self.request, response),
                Err(Lost::Sent(reason)) if self.writes => {
                    self.client.leave(connection.addr());
                    return Err(self.unknown(&connection, reason));
                }
                Err(lost) => {
                    self.client.leave(connection.addr());
                    self.losses.lost(connection.addr(), begin, lost).await?;
                }
            }
        }
    }

    async fn ask_members(&mut self, standby: &Connection) {
        if self.standbys.is_empty() {
            self.client.learn_from(standby).await;
        }
        self.standbys.push(standby.addr().clone());
    }

    fn unknown(&self, connection: &Connection, reason: String) -> Error {
        Error::OutcomeUnknown {
            what: describe(self.request),
            addr: connection.addr().clone(),
            reason,
        }
    }
}

/// How often connections broke under one request, and when that is too often.
pub(super) struct Losses {
    reconnect: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Losses {
    pub(super) fn new(reconnect: Duration) -> Losses {
        Losses {
            reconnect,
            since: None,
            pause: Duration::ZERO,
        }
    }

    /// Until when to try to connect.
    pub(super) fn patience(&self, deadline: Option<Instant>) -> Instant {
        let end = self.since.unwrap_or_else(Instant::now) + self.reconnect;
        deadline.map_or(end, |deadline| end.min(deadline))
    }

    /// Counts a loss and pauses, so that a server that accepts and closes is not flooded.
    pub(super) async fn lost(
        &mut self,
        addr: &Address,
        begin: Instant,
        lost: Lost,
    ) -> Result<(), Error> {
        let reason = match lost {
            Lost::Sent(reason) => reason,
            Lost::Unsent => "the connection broke".to_owned(),
        };
        if begin.elapsed() > PAUSE_MAX {
            // It worked for a while: this is another story.
            *self = Losses::new(self.reconnect);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > self.reconnect {
            let addr = addr.clone();
            return Err(Error::Lost { addr, reason });
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        Ok(())
    }
}

/// Whether a request was refused because too many others of its connection were open.
pub(super) fn is_crowded_out(response: &Response) -> bool {
    let text = response.err_detail.as_deref();
    text.is_some_and(|text| text.starts_with(detail::CONNECTION_FULL))
}

/// Turns a refusal into an error.
pub(super) fn refused(request: &Request, response: Response) -> Result<Response, Error> {
    match response.error() {
        None => Ok(response),
        Some(code) => Err(Refusal::of(request, code, response.err_detail).into()),
    }
}

/// The result of a future, or `None` if it takes too long.
pub(super) async fn before<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        None => Some(future.await),
        Some(deadline) => timeout_at(deadline, future).await.ok(),
    }
}
